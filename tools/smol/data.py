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
from s1lab.smol.overlap import numbers_and_target, words_to_sort
from s1lab.smol.pool import has_stop_text
from s1lab.smol.teachers import ANSWER
from s1lab.storage.files import write_whole
from s1lab.tiny.teacher import CONTINUATIONS
from tools.smol import BASE, RUNS, SEED

NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?<!,)")
TOTAL = re.compile(r"=(-?\d+)\.$")  # at the end of a line
NAMES = ("chosen", "few", "random")
TAUGHT = "taught"  # the questions of "chosen", with other traces
CONTEXT = 1_024
ASKED = 2_000  # questions that the base is asked, to know which it already solves
TRACES = 1_000
FEW = 250
ANSWER_TOKENS = 128  # of the base; what is cut there counts as not solved, and is counted


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

    def count(row: dict[str, Any]) -> int:
        text = row["question"] + row["thinking"] + row["attempt"]
        return len(tokenizer(text).input_ids)

    return found | {TAUGHT: taught(found["chosen"], count, seed)}


def steps_of(seed: int = SEED) -> Path:
    """Return the file that says what each step of the curation dropped."""
    return RUNS / f"curation-{seed}.json"


def curated(
    seed: int = SEED, progress: bool = True
) -> tuple[dict[str, Dataset], list[dict[str, Any]]]:
    """Curate the pool: quality, test questions, difficulty, and 1,000 by Algorithm 1.

    The base is asked the first 2,000 questions, which are balanced. Those that it solves are
    dropped, and the choice is made from the others. The random set is drawn from all that passed the tests of
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
    texts = [text for rows in (chosen, few, drawn) for text in rows["thinking"]]
    if any(map(has_stop_text, texts)):
        raise ValueError("a trace has a text about stopping: look at lab.smol.pool")
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


def taught(rows: Dataset, count: Callable[[dict[str, Any]], int], seed: int = SEED) -> Dataset:
    """Rewrite traces as the embedded model's were: they stop early, and go on after "Wait".

    A trace stops after every third line. Some traces end there with a guess. Others continue after
    a line with a word alone: mostly "Wait", at times "Hmm" or "Alternatively". After its last line,
    a trace that continues repeats that line. Early stops make traces shorter. So questions take
    turns, each time with a newly drawn number of Waits, until there are as many tokens as in
    ``rows``.

    Two things differ from the embedded model's traces. It also writes "stop" before it stops, and a
    fifth of its traces are cut at a random token. Neither is needed to teach what a Wait does.

    Args:
        rows: Rows with question, answer, family, thinking and attempt.
        count: Returns the tokens of a row.
        seed: Seed of the draws.

    Returns:
        Rows with question, thinking and attempt.
    """
    rng = random.Random(f"taught {seed}")
    found, total, turn = list[dict[str, str]](), 0, 0
    tokens = sum(count(row) for row in rows)
    while total < tokens:
        row = rows[turn % len(rows)]
        lines = row["thinking"].split("\n")
        # With this many Waits, the trace is complete and its last line is repeated.
        most = -(-len(lines) // PATIENCE)
        made = _stopped(row, lines, rng.randint(0, most), rng)
        found.append(made)
        total += count(made)
        turn += 1
    return Dataset.from_list(found)


def _stopped(
    row: dict[str, Any], lines: list[str], waits: int, rng: random.Random
) -> dict[str, str]:
    thinking, done = "\n".join(lines[:PATIENCE]), PATIENCE
    for _ in range(waits):
        new = lines[done : done + PATIENCE] or lines[-1:]
        thinking += f"\n{rng.choice(CONTINUATIONS)}\n" + "\n".join(new)
        done += PATIENCE
    answer = row["attempt"]
    if done < len(lines):
        answer = ANSWER + guess(row["family"], row["question"], lines[:done])
    return {"question": row["question"], "thinking": thinking, "attempt": answer}


def guess(family: str, question: str, lines: list[str]) -> str:
    """Return the answer to give when the thinking stops early: what the lines have so far.

    For words to sort it is the words as they were given, for countdown the sum of all numbers, and
    for a common divisor the smaller number of the last line. For a chain of sums it is the last
    total, and for the others the last number.
    """
    if family == "word_sorting":
        return ", ".join(words_to_sort(question)[1])
    if family == "countdown":
        return " + ".join(map(str, numbers_and_target(question)[0]))
    if family == "gcd":
        return str(NUMBER.findall(lines[-1].partition(":")[0])[-1])
    if family == "chain_sum":
        totals = [found for line in lines for found in TOTAL.findall(line)]
        return str(totals[-1] if totals else NUMBER.findall(lines[0])[0])
    found = NUMBER.findall("\n".join(lines))
    return str(found[-1]).replace(",", "") if found else "0"
