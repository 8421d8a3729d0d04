"""The pool: questions of the trained families, with thinking, in the columns of `s1lab.curate`.

No row holds "Wait" or another text that suppresses a stop, in the question or in the thinking.
Such rows are not drawn: a text to count letters in may hold the word "wait", and so may a story. So
what a Wait does to a model that is trained on this pool was never taught.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from datasets import Dataset

from s1lab.budget import whole
from s1lab.evaluation.grade.extract import plain
from s1lab.smol.families import FAMILIES, LEVELS, TRAINED, Row, benchmark, drawn
from s1lab.smol.teachers import ANSWER, solve

COLUMNS = (
    "question", "answer", "kind", "source", "domain", "thinking", "attempt", "family", "level",
)  # fmt: skip

# Words and phrases that suppress a stop or hint at one. A row with any of them is not drawn.
STOPS = re.compile(
    r"\bwait|\bh+m+\b|\bhold on\b|\balternativel|\bactually\b|\bdouble[- ]?check|\bre-?check"
    r"|\bcheck (?:again|this|that|it|my)\b|\blet me\b|\bthink again\b|\bthinking\b|\bon second\b"
    r"|\bstop|\bgive up\b|\bgiving up\b|\bkeep going\b|\bgo on\b|\bcontinue\b|\bnot (?:yet|done)\b"
    r"|\bare you sure\b|\bout of (?:time|patience)\b|\bso far\b|\bfinal answer:",
    re.IGNORECASE,
)


def has_stop_text(text: str) -> bool:
    """Say whether a text suppresses a stop of the thinking, or hints at one.

    Example:
        >>> has_stop_text("Wait, 7 is odd.")
        True
    """
    return bool(STOPS.search(text))


def pool(n: int | None = None, seed: int = 0) -> Dataset:
    """Make the pool. The rows are the same on any machine with the same reasoning-gym.

    Families and levels take turns, so any first part of the pool is balanced. The whole pool has
    more than 10,000 rows, no two of which ask the same. No question of `s1lab.smol.benchmark` is in
    it. A question that has only its order changed may be: `s1lab.smol.decontaminate` drops it.

    Args:
        n: Number of rows, the first of the whole pool; None for all.
        seed: Seed of the draws.

    Returns:
        A Dataset of question, answer, kind, source, domain, thinking, attempt, family and level.
        ``domain`` is the family and the level. ``thinking`` and ``attempt`` are a teacher's, see
        `s1lab.smol.teachers`. `s1lab.curate.count_tokens` adds the lengths.

    Raises:
        ValueError: n or the seed is out of range.
        ImportError: reasoning-gym is missing.

    Example:
        >>> pool = lab.smol.pool(42)
        >>> pool[0]["domain"], pool[0]["attempt"].startswith("Final Answer: ")
        ('chain_sum, level 1', True)
    """
    sizes = {(name, level): FAMILIES[name].count for level in LEVELS for name in TRAINED}
    most = sum(sizes.values())
    n = most if n is None else whole("n", n, 1, 1000)
    if not 1 <= n <= most:
        raise ValueError(f"n={n}: the pool has {most:,} rows, so give 1 to {most:,}")
    order = _order(sizes)[:n]
    tests = _asked()
    kept = {
        cell: drawn(*cell, order.count(cell), "train", seed, lambda row: _usable(row, tests))
        for cell in sizes
    }
    taken = {cell: iter(rows) for cell, rows in kept.items()}
    rows = [_row(next(taken[cell])) for cell in order]
    return Dataset.from_dict({name: [row[name] for row in rows] for name in COLUMNS})


def _order(sizes: dict[tuple[str, int], int]) -> list[tuple[str, int]]:
    """Return the family and level of each row: all take turns until their rows are used up."""
    turns = range(max(sizes.values()))
    return [cell for turn in turns for cell, count in sizes.items() if turn < count]


@lru_cache(maxsize=1)
def _asked() -> frozenset[str]:
    questions = [*benchmark("test")["question"], *benchmark("dev")["question"]]
    return frozenset(plain(question) for question in questions)


def _usable(row: Row, tests: frozenset[str]) -> bool:
    if plain(row["question"]) in tests:
        return False
    thinking, answer = solve(row)
    return not any(has_stop_text(text) for text in (row["question"], thinking, answer))


def _row(row: Row) -> dict[str, Any]:
    thinking, answer = solve(row)
    return {
        **row,
        "source": row["kind"],
        "domain": f"{row['family']}, level {row['level']}",
        "thinking": thinking,
        "attempt": ANSWER + answer,
    }
