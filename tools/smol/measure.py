"""What s1-smol is measured on: the 500 questions, every budget, and paired differences.

The record has the outcome of each question, so that any interval can be computed from it.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import s1lab as lab

CONTEXT = 1_024
CAPS = (16, 32, 64, 128, 256, 512)
WAITS = (1, 2, 3, 4)
ANSWER_TOKENS = 64  # the longest right answer has 40
# What to append after a suppressed stop, instead of "Wait".
OTHERS: dict[str, lab.Budget] = {
    "1 stop without text": lab.Budget(waits=1, wait=None),
    "1 Hmm": lab.Budget(waits=1, wait="Hmm"),
    "1 Alternatively": lab.Budget(waits=1, wait="Alternatively"),
}
TARGETS = {
    "answering at once": "below 10 %",
    "the own stop above the smallest cap": "at least 25 points",
    "the worst step from a cap to the next, or to the own stop": "at least -3 points",
}


def measure(
    model: str, folder: Path, others: bool = True, progress: bool = True, **options: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ask a model all test questions: at once, under caps, at its own stop, and with Waits.

    Args:
        model: What `s1lab.load` loads.
        folder: Where its stores are. A run that was stopped goes on from them.
        others: Whether to try other texts in place of "Wait" too.
        progress: Whether to show progress bars.
        options: For `s1lab.load`.

    Returns:
        For each budget, by its name, the outcomes of all questions (see `s1lab.smol.measured`); and
        a description of the engine.

    Raises:
        RuntimeError: A question failed.
    """
    asked = lab.smol.benchmark()
    shared: dict[str, Any] = {"answer_tokens": ANSWER_TOKENS, "progress": progress}
    with lab.load(model, engine="vllm", max_model_len=CONTEXT, **options) as engine:
        found = {
            "at once": lab.evaluate(
                engine,
                asked,
                thinking=False,
                prefix=lab.Budget().on_cut,
                store=folder / "at-once.db",
                **shared,
            )
        }
        ladder = lab.sweep(engine, asked, CAPS, (0, *WAITS), store=folder / "ladder.db", **shared)
        found |= ladder
        for text, budget in OTHERS.items() if others else ():
            store = folder / f"{text.replace(' ', '-')}.db"
            found[text] = lab.evaluate(engine, asked, budget, store=store, **shared)
        kept = ("engine", "dtype", "device", "context", "versions")
        made = {key: value for key, value in lab.describe(engine).items() if key in kept}
    return {rung: outcomes(results) for rung, results in found.items()}, made


def own_stop(model: str, store: Path) -> Any:
    """Ask a model all test questions once, each up to its own stop."""
    with lab.load(model, engine="vllm", max_model_len=CONTEXT) as engine:
        return lab.evaluate(engine, lab.smol.benchmark(), store=store, answer_tokens=ANSWER_TOKENS)


def outcomes(results: Any) -> dict[str, Any]:
    """Return the outcomes of a run's questions, as the record keeps them.

    Raises:
        RuntimeError: A question failed.
    """
    if results.failed:
        raise RuntimeError(f"{results.failed} questions failed: run the command again")
    traces = results.traces
    return {
        "correct": "".join(str(int(right)) for right in results.correct),
        "cut": "".join(str(int(trace.cut)) for trace in traces),
        "answer_cut": "".join(str(int(trace.answer_cut)) for trace in traces),
        "waits": "".join(str(trace.waits) for trace in traces),
        "thinking_tokens": [trace.thinking_tokens for trace in traces],
    }


def bars(rungs: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what was measured of each target, and whether it holds, over all questions.

    Args:
        rungs: The outcomes of a model by budget, as `measure` returns them.

    Returns:
        The figure, in percent or points, and the verdict, by the name in ``TARGETS``.
    """
    right = {rung: kept["correct"].count("1") for rung, kept in rungs.items()}
    n = len(rungs["own stop"]["correct"])
    climb = [right[f"cap {cap}"] for cap in CAPS] + [right["own stop"]]
    worst = min(after - before for before, after in itertools.pairwise(climb))
    # In counts, because 100 * 3 / 500 - 100 * 18 / 500 is not exactly -3.
    held = (
        (right["at once"], 100 * right["at once"] < 10 * n),
        (climb[-1] - climb[0], 100 * (climb[-1] - climb[0]) >= 25 * n),
        (worst, 100 * worst >= -3 * n),
    )
    return {
        name: {"measured": round(100 * count / n, 1), "holds": holds}
        for name, (count, holds) in zip(TARGETS, held, strict=True)
    }
