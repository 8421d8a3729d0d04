"""The embedded world: questions that are answered by writing lines until one says ``yes``.

The questions themselves are made in `s1lab.tiny.families`. Here they are drawn: each belongs
to one split, and families and sizes take turns.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterator, Sequence

from datasets import Dataset
from tqdm.auto import tqdm

from s1lab.budget import whole
from s1lab.tiny.families import FAMILIES, SIZES, Problem

SPLITS = ("train", "dev", "test")
# Models and notebooks are measured on these questions of the test split, which no training reads.
# Candidates are judged on the dev split. Give the next weights a new seed.
BENCHMARK, BENCHMARK_SEED = 500, 20250517


def split_of(question: str) -> str:
    """Return the split of a question, by a hash of its text.

    8 in 10 are "train", 1 "dev" and 1 "test". A question is in one split only.
    """
    bucket = int.from_bytes(hashlib.sha256(question.encode()).digest()[:4], "big") % 10
    return "train" if bucket < 8 else "dev" if bucket == 8 else "test"


def stream(
    seed: int = 0, split: str = "train", families: Sequence[str] | None = None
) -> Iterator[Problem]:
    """Draw distinct problems until none is left, families and sizes in turn.

    The same seed gives the same problems on any machine.

    Args:
        seed: Seed of the draws.
        split: "train", "dev" or "test".
        families: Families to draw from. None is all.

    Yields:
        One problem after the other.

    Raises:
        ValueError: If the split or a family is unknown.
    """
    names = list(families) if families is not None else list(FAMILIES)
    unknown = [f for f in names if f not in FAMILIES]
    if unknown or not names:
        raise ValueError(f"unknown families {unknown}: choose from {list(FAMILIES)}")
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: choose from {list(SPLITS)}")
    seen: set[str] = set()
    cells = {
        (f, s): random.Random(f"s1lab.tiny {seed} {split} {f} {s}") for s in SIZES for f in names
    }
    while cells:
        for (family, size), rng in list(cells.items()):
            for _ in range(20_000):
                problem = FAMILIES[family](rng, size)
                if problem and problem.question not in seen and split_of(problem.question) == split:
                    seen.add(problem.question)
                    yield problem
                    break
            else:
                del cells[family, size]  # no new question is left here; the other families go on


def problems(
    n: int, seed: int = 0, split: str = "test", families: list[str] | None = None
) -> Dataset:
    """Draw ``n`` questions of the embedded world.

    The same seed gives the same rows on any machine. Splits never share a question, whatever the
    seeds. Families and sizes take turns, so a set of any length is balanced.

    Args:
        n: Number of questions.
        seed: Seed of the draws.
        split: "train", "dev" or "test".
        families: Families to draw from. None is all.

    Returns:
        A Dataset of question, answer, kind, family, size.

    Raises:
        ValueError: If there are not so many questions, or the split or a family is unknown.

    Example:
        questions = lab.tiny.problems(100, seed=0, split="dev")
    """
    n, seed = whole("n", n, 1, 100), whole("seed", seed)
    if n < 1:
        raise ValueError(f"n is {n}: ask for at least one problem")
    drawn = itertools.islice(stream(seed, split, families), n)
    # A bar, on a terminal only, where many questions take more than a moment.
    bar = tqdm(drawn, "making questions", n, unit="question", leave=False, disable=None, delay=1)
    rows = list(bar)
    if len(rows) < n:
        raise ValueError(
            f"the {split} split of {families or list(FAMILIES)} has {len(rows)} questions: ask for "
            "no more than that"
        )
    return Dataset.from_list(
        [
            {
                "question": p.question,
                "answer": p.answer,
                "kind": p.kind,
                "family": p.family,
                "size": p.size,
            }
            for p in rows
        ]
    )


def benchmark() -> Dataset:
    """Return the test questions that the cards and notebooks measure on.

    Example:
        questions = lab.tiny.benchmark()["question"]
    """
    return problems(BENCHMARK, BENCHMARK_SEED, "test")
