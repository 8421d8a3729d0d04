"""The training sets, curated as in the paper's section 2. Each is kept in a file of the runs."""

from __future__ import annotations

import json
from typing import Any

from datasets import Dataset

import s1lab as lab
from s1lab.storage.files import write_whole
from tools.smol import BASE, RUNS, SEED

NAMES = ("chosen", "few", "random")
STEPS = RUNS / "curation.json"
CONTEXT = 1_024
ASKED = 2_000  # questions that the base is asked, to know which it already solves
TRACES = 1_000
FEW = 250
ANSWER_TOKENS = 128  # an answer of the base; its usual one is shorter


def sets(progress: bool = True) -> dict[str, Dataset]:
    """Return the training sets: from their files, or curated anew.

    Args:
        progress: Whether to show progress bars.

    Returns:
        Rows by the name of their set.
    """
    if not STEPS.exists():
        made, steps = curated(progress)
        for name, rows in made.items():
            lab.curate.write(rows, RUNS / f"{name}.jsonl")
        write_whole(STEPS, [json.dumps(steps, indent=1).encode() + b"\n"])
    return {name: lab.curate.read(RUNS / f"{name}.jsonl") for name in NAMES}


def curated(progress: bool = True) -> tuple[dict[str, Dataset], list[dict[str, Any]]]:
    """Curate the pool: quality, test questions, difficulty, and 1,000 by Algorithm 1.

    The base is asked the first 2,000 questions, which are balanced. What it solves is dropped, and
    the choice is made from the others. The random set is drawn from all that passed the tests of
    quality, as in the paper's Table 2.

    Args:
        progress: Whether to show progress bars.

    Returns:
        The sets by name, and what each step dropped.
    """
    pool, faults = lab.curate.quality(lab.smol.pool(seed=SEED), progress=progress)
    pool, repeats = lab.curate.deduplicate(pool)
    tests = [lab.smol.benchmark("test"), lab.smol.benchmark("dev")]
    pool, leaked = lab.smol.decontaminate(pool, tests)
    with lab.load(BASE, engine="vllm", max_model_len=CONTEXT) as base:
        pool = lab.curate.count_tokens(pool, base.template.tokenizer)
        hard, solved = lab.curate.difficulty(
            pool.select(range(ASKED)),
            [base],
            answer_tokens=ANSWER_TOKENS,
            store=RUNS / "difficulty.db",
            progress=progress,
        )
    chosen, rest = lab.curate.select(hard, TRACES, seed=SEED)
    few, _ = lab.curate.select(hard, FEW, seed=SEED)
    drawn, _ = lab.curate.random(pool, TRACES, seed=SEED)
    steps = [
        {
            "stage": step.stage,
            "before": step.before,
            "after": step.after,
            "dropped": dict(step.counts),
            "notes": list(step.notes),
        }
        for step in (faults, repeats, leaked, solved, rest)
    ]
    return {"chosen": chosen, "few": few, "random": drawn}, steps
