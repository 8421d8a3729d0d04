"""The training sets, curated as in the paper's section 2. Each is kept in a file of the runs."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets import Dataset

import s1lab as lab
from s1lab.engines.model_files import load_tokenizer
from s1lab.smol.overlap import words_to_sort
from s1lab.smol.teachers import ANSWER
from s1lab.storage.files import write_whole
from tools.smol import BASE, RUNS, SEED

NUMBER = re.compile(r"-?\d+")
NAMES = ("chosen", "few", "random")
TAUGHT = "taught"  # the questions of "chosen", with other traces
CONTEXT = 1_024
ASKED = 2_000  # questions that the base is asked, to know which it already solves
TRACES = 1_000
FEW = 250
ANSWER_TOKENS = 128  # an answer of the base; its usual one is shorter


def sets(seed: int = SEED, progress: bool = True) -> dict[str, Dataset]:
    """Return the training sets: from their files, or curated anew.

    Args:
        seed: Seed of the choice.
        progress: Whether to show progress bars.

    Returns:
        Rows by the name of their set.
    """
    steps = steps_of(seed)
    if not steps.exists():
        made, told = curated(seed, progress)
        for name, rows in made.items():
            lab.curate.write(rows, RUNS / f"{name}-{seed}.jsonl")
        write_whole(steps, [json.dumps(told, indent=1).encode() + b"\n"])
    found = {name: lab.curate.read(RUNS / f"{name}-{seed}.jsonl") for name in NAMES}
    tokenizer = load_tokenizer(BASE)
    tokens = sum(found["chosen"]["thinking_tokens"])
    return found | {
        TAUGHT: taught(found["chosen"], tokens, lambda text: len(tokenizer(text).input_ids), seed)
    }


def steps_of(seed: int = SEED) -> Path:
    """Return the file that says what each step of the curation dropped."""
    return RUNS / f"curation-{seed}.json"


def curated(
    seed: int = SEED, progress: bool = True
) -> tuple[dict[str, Dataset], list[dict[str, Any]]]:
    """Curate the pool: quality, test questions, difficulty, and 1,000 by Algorithm 1.

    The base is asked the first 2,000 questions, which are balanced. What it solves is dropped, and
    the choice is made from the others. The random set is drawn from all that passed the tests of
    quality, as in the paper's Table 2.

    Args:
        seed: Seed of the choice.
        progress: Whether to show progress bars.

    Returns:
        The sets by name, and what each step dropped.
    """
    pool, faults = lab.curate.quality(lab.smol.pool(), progress=progress)
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
    chosen, rest = lab.curate.select(hard, TRACES, seed=seed)
    few, _ = lab.curate.select(hard, FEW, seed=seed)
    drawn, _ = lab.curate.random(pool, TRACES, seed=seed)
    told = [
        {
            "stage": step.stage,
            "before": step.before,
            "after": step.after,
            "dropped": dict(step.counts),
            "notes": list(step.notes),
        }
        for step in (faults, repeats, leaked, solved, rest)
    ]
    return {"chosen": chosen, "few": few, "random": drawn}, told


PATIENCE = 3  # lines that the taught model writes before it stops


def taught(rows: Dataset, tokens: int, count: Callable[[str], int], seed: int = SEED) -> Dataset:
    """Rewrite traces as the embedded model's were: they stop early, and go on after "Wait".

    A trace stops after every third line. Some traces end there, with the answer that they have so
    far. Others go on behind a "Wait" on a line of its own. After its last line, a trace that goes
    on repeats that line. Questions take turns, each with another number of Waits, until there are
    as many tokens.

    Args:
        rows: Rows with question, answer, family, thinking and attempt.
        tokens: How many tokens of thinking there shall be, at least.
        count: Returns the tokens of a text.
        seed: Seed of the draws.

    Returns:
        Rows with question, thinking and attempt.
    """
    rng = random.Random(f"taught {seed}")
    found, total, turn = list[dict[str, str]](), 0, 0
    while total < tokens:
        row = rows[turn % len(rows)]
        lines = row["thinking"].split("\n")
        most = -(-len(lines) // PATIENCE)  # Waits until the last line is written, and repeated
        made = _stopped(row, lines, rng.randint(0, most))
        found.append(made)
        total += count(made["thinking"])
        turn += 1
    return Dataset.from_list(found)


def _stopped(row: dict[str, Any], lines: list[str], waits: int) -> dict[str, str]:
    rounds, done = list[str](), 0
    for _ in range(waits + 1):
        new = lines[done : done + PATIENCE] or lines[-1:]
        rounds.append("\n".join(new))
        done = min(done + PATIENCE, len(lines))
    whole = done == len(lines)
    answer = row["attempt"] if whole else ANSWER + guess(row["question"], lines[:done])
    return {"question": row["question"], "thinking": "\nWait\n".join(rounds), "attempt": answer}


def guess(question: str, lines: list[str]) -> str:
    """Return the answer to give when the thinking stops early: the last number on its lines.

    For words to sort it is the words as they were given, and for a sum to build it is the sum of
    all numbers.
    """
    if "list: " in question:
        return ", ".join(words_to_sort(question)[1])
    if lines[0].startswith("Numbers: "):
        return " + ".join(NUMBER.findall(lines[0].partition("Target")[0]))
    found = NUMBER.findall("\n".join(lines))
    return found[-1] if found else "0"
