"""What s1-smol is measured on: the 500 questions, every budget, and paired differences.

The outcomes are kept in ``s1lab/smol/measured.json``, one for each question, so that any interval
can be computed from it. `s1lab.smol.record` reads it.
"""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import s1lab as lab
from s1lab.smol.record import RECORD
from s1lab.storage.files import write_whole
from tools.smol import RUNS

CONTEXT = 1_024
CAPS = (16, 32, 64, 128, 256, 512)
WAITS = (1, 2, 3, 4)
ANSWER_TOKENS = 64  # the longest right answer has 40
# The other things that a suppressed stop may be followed by: no text, and another word.
OTHERS: dict[str, lab.Budget] = {
    "no text": lab.Budget(waits=1, wait=None),
    "Hmm": lab.Budget(waits=1, wait="Hmm"),
    "Alternatively": lab.Budget(waits=1, wait="Alternatively"),
}


def measure(model: str, name: str, others: bool = True, progress: bool = True) -> dict[str, Any]:
    """Ask a model all test questions: at once, under caps, at its own stop, and with Waits.

    Args:
        model: What `s1lab.load` loads.
        name: A name for the stores, from which a run that was stopped goes on.
        others: Whether to try other texts in place of "Wait" too.
        progress: Whether to show progress bars.

    Returns:
        For each rung, by its name: the outcome of each question, a digit, and its thinking tokens.
    """
    asked = lab.smol.benchmark()
    began = time.monotonic()
    options: dict[str, Any] = {"answer_tokens": ANSWER_TOKENS, "progress": progress}
    with lab.load(model, engine="vllm", max_model_len=CONTEXT) as engine:
        found = {
            "at once": lab.evaluate(
                engine,
                asked,
                thinking=False,
                prefix=lab.Budget().on_cut,
                store=RUNS / f"{name}-at-once.db",
                **options,
            )
        }
        found |= lab.sweep(
            engine, asked, CAPS, (0, *WAITS), store=RUNS / f"{name}-ladder.db", **options
        )
        for text, budget in OTHERS.items() if others else ():
            store = RUNS / f"{name}-{text.replace(' ', '-')}.db"
            found[text] = lab.evaluate(engine, asked, budget, store=store, **options)
        kept = ("engine", "dtype", "device", "context", "versions")
        made = {key: value for key, value in lab.describe(engine).items() if key in kept}
    return {
        "rungs": {rung: _kept(results) for rung, results in found.items()},
        "engine": made,
        "seconds": round(time.monotonic() - began),
    }


def _kept(results: Any) -> dict[str, Any]:
    return {
        "correct": "".join(str(int(right)) for right in results.correct),
        "thinking_tokens": [trace.thinking_tokens for trace in results.traces],
    }


def record(name: str, made: dict[str, Any]) -> None:
    """Write what was measured of a model into the record, beside what is there of others."""
    known = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    known[name] = made
    write_whole(RECORD, [json.dumps(known, separators=(",", ":")).encode() + b"\n"])


def bars(rungs: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Say of each bar what was measured, and whether it holds.

    Args:
        rungs: The rungs of a model, as `measure` returns them.

    Returns:
        The figure and the verdict, by the bar.
    """
    accuracy = {rung: percent(kept["correct"]) for rung, kept in rungs.items()}
    own, smallest = accuracy["own stop"], accuracy[f"cap {CAPS[0]}"]
    climbs = [accuracy[f"cap {cap}"] for cap in CAPS] + [own]
    worst = min(after - before for before, after in itertools.pairwise(climbs))
    return {
        "answering at once is below 10 %": verdict(accuracy["at once"], accuracy["at once"] < 10),
        "the own stop is at least 25 points above the smallest cap": verdict(
            own - smallest, own - smallest >= 25
        ),
        "no doubling of the cap loses more than 3 points": verdict(worst, worst >= -3),
    }


def verdict(measured: float, holds: bool) -> dict[str, Any]:
    """Return a bar's figure and verdict."""
    return {"measured": round(measured, 1), "holds": holds}


def percent(outcomes: str) -> float:
    """Return the share of right answers, in percent."""
    return 100 * outcomes.count("1") / len(outcomes)
