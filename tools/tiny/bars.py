"""The requirements on the embedded model before it may ship, measured."""

from __future__ import annotations

import itertools
from typing import Any

from s1lab.api import force
from s1lab.budget import Budget
from s1lab.engine import Engine
from s1lab.evaluation.evaluate import evaluate
from s1lab.evaluation.intervals import paired_bootstrap
from s1lab.tiny.world import BENCHMARK, BENCHMARK_SEED, problems

CAPS = (16, 32, 64, 128, 256)
WAITS = (1, 2, 4, 6)  # the paper's Figure 4 ends at six as well
RASPBERRY = "How many r in raspberry"


def base(engine: Engine, split: str = "test") -> float:
    """Return the accuracy in percent of the base model when it answers at once."""
    return evaluate(
        engine, problems(BENCHMARK, BENCHMARK_SEED, split), thinking=False, prefix="Answer:"
    ).accuracy


def measure(engine: Engine, split: str = "test") -> dict[str, Any]:
    """Measure each cap, the own stop and each number of Waits.

    Args:
        engine: The engine of the model.
        split: The split of the questions.

    Returns:
        For each rung its accuracy, thinking tokens and outcome for each question.
    """
    asked = problems(BENCHMARK, BENCHMARK_SEED, split)
    budgets = (
        {f"cap {c}": Budget(max_tokens=c) for c in CAPS}
        | {"own stop": Budget()}
        | {f"waits {w}": Budget(waits=w) for w in WAITS}
    )
    rungs: dict[str, Any] = {}
    for name, budget in budgets.items():
        found = evaluate(engine, asked, budget)
        rungs[name] = {
            "accuracy": found.accuracy,
            "thinking_tokens": found.thinking_tokens,
            "families": {
                f: round(100 * sum(r["correct"] for r in rows) / len(rows), 1)
                for f in dict.fromkeys(found.rows["family"])
                if (rows := [r for r in found.rows if r["family"] == f])
            },
            "correct": "".join("1" if c else "0" for c in found.correct),
        }
    traces = force(engine, [RASPBERRY] * 2, [Budget(), Budget(waits=1)])
    rungs["raspberry"] = [t.answer for t in traces]
    return rungs


def verdicts(base_accuracy: float, rungs: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return each requirement with its measured value and whether it holds."""
    caps = [rungs[f"cap {c}"]["accuracy"] for c in CAPS] + [rungs["own stop"]["accuracy"]]
    own = rungs["own stop"]["accuracy"]
    best = max((1, 2, 4), key=lambda w: rungs[f"waits {w}"]["accuracy"])
    gain = paired_bootstrap(
        *([int(c) for c in rungs[n]["correct"]] for n in (f"waits {best}", "own stop"))
    )
    steps = [b - a for a, b in itertools.pairwise(caps)]
    many = rungs[f"waits {WAITS[-1]}"]["accuracy"] - rungs[f"waits {best}"]["accuracy"]
    raspberry = [a.split()[-1].rstrip(".") for a in rungs["raspberry"]]
    rows: dict[str, tuple[Any, bool]] = {
        "from a cap of 16 to the own stop, at least 40 points": (
            round(own - caps[0], 1),
            own - caps[0] >= 40,
        ),
        "no doubling loses more than 3 points": (round(min(steps), 1), min(steps) >= -3),
        "own stop between 50 and 85 %": (round(own, 1), 50 <= own <= 85),
        "base model without thinking below 35 %": (round(base_accuracy, 1), base_accuracy < 35),
        f"best of 1, 2, 4 Waits ({best}) at least 5 points above the own stop, interval above 0": (
            str(gain),
            gain.value >= 5 and gain.low > 0,
        ),
        f"too many Waits ({WAITS[-1]}) flatten or fall": (round(many, 1), many <= 1),
        f"{RASPBERRY}: 3, at once or after a Wait": (raspberry, "3" in raspberry),
    }
    return {name: {"measured": value, "holds": holds} for name, (value, holds) in rows.items()}
