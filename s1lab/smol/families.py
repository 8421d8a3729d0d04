"""The families of questions: tasks of reasoning-gym at three levels, and the seeds of their draws.

Seven families are trained. One is kept out of training, to see what carries over. A level is a set
of the task's own settings. gsm_symbolic has no such settings: there, the level is the number of
lines of the package's worked solution.

The package is imported when questions are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

from datasets import Dataset

from s1lab.evaluation.benchmarks import load
from s1lab.evaluation.gym import MOST, PREFIX
from s1lab.smol.overlap import counted_text, numbers_and_target, what_varies

Row = dict[str, Any]

LEVELS = (1, 2, 3)  # easy to hard

# The draw with the seed s has the package's rows from 1,000,000 * s on. So draws with different
# seeds share no row. Each family and level has a seed of its own, counted from these numbers.
# They were fixed before any model was trained. The dev questions are for choosing settings, so
# that the test questions are asked only at the end.
FIRST_SEED = {"test": 1_000, "dev": 2_000, "train": 100_000}
MOST_SEEDS = 800  # training sets
TEST_QUESTIONS, KEPT_OUT_QUESTIONS = 400, 100  # of the trained families, and of the one kept out


@dataclass(frozen=True)
class Family:
    """A task of reasoning-gym at three levels.

    Attributes:
        name: The task's name in the package.
        count: Questions of each level in a whole pool. 0 keeps the family out of training.
        settings: The task's settings at each level, easy to hard.
        lines: The fewest and the most lines of the worked solution at each level. None if the
            settings make the level.
        asked: Tells whether to use a question. Questions with an easily guessed answer are left
            out.
        per_question: About how many rows of the package are needed for one question. A wrong value
            only costs time.
    """

    name: str
    count: int
    settings: tuple[Mapping[str, Any], ...] = ({}, {}, {})
    lines: tuple[tuple[int, int], ...] | None = None
    asked: Callable[[Row], bool] = lambda row: True
    per_question: float = 1.2


def _between(name: str, *bounds: tuple[int, int]) -> tuple[dict[str, Any], ...]:
    """Settings in which one thing grows from level to level."""
    return tuple({f"min_{name}": low, f"max_{name}": high} for low, high in bounds)


def _signs(numbers: int, largest: int) -> dict[str, Any]:
    """Settings of countdown with + and - only. With * and / too, the search would be far longer."""
    return {
        "min_numbers": numbers, "max_numbers": numbers, "max_value": largest, "min_target": 1,
        "max_target": 999, "operators": ("+", "-"),
    }  # fmt: skip


def _gcd_over_5(row: Row) -> bool:
    """Whether the divisor is above 5. Half of them are 1 or 2, so a guess would often be right."""
    return int(row["answer"]) > 5


def _frequent(row: Row) -> bool:
    """Whether the letter comes more often than once in four words. Else "1" is a good guess."""
    _, words = counted_text(row["question"])
    return 4 * int(row["answer"]) > len(words)


def _not_the_whole_sum(row: Row) -> bool:
    """Whether some number must be subtracted. In a quarter of the easy questions, none is."""
    numbers, target = numbers_and_target(row["question"])
    return sum(numbers) != target


# No two levels of a family can ask the same question. A new family goes to the end, because seeds
# are counted in this order.
_ALL = (
    Family(
        "chain_sum",
        560,
        (
            {"min_terms": 2, "max_terms": 3, "min_digits": 2, "max_digits": 2},
            {"min_terms": 4, "max_terms": 4, "min_digits": 2, "max_digits": 3},
            {"min_terms": 5, "max_terms": 5, "min_digits": 3, "max_digits": 3},
        ),
    ),
    Family(
        "leg_counting",
        560,
        (
            {"min_animals": 2, "max_animals": 3, "max_instances": 9},
            {"min_animals": 4, "max_animals": 5, "max_instances": 12},
            {"min_animals": 7, "max_animals": 8, "max_instances": 15},
        ),
    ),
    Family(
        "letter_counting",
        560,
        _between("words", (5, 7), (10, 13), (17, 20)),
        asked=_frequent,
        per_question=2.5,
    ),
    Family(
        "gcd",
        560,
        _between("value", (10, 200), (201, 800), (801, 4_000)),
        asked=_gcd_over_5,
        per_question=4,
    ),
    Family("word_sorting", 560, _between("words", (4, 4), (5, 6), (8, 10))),
    Family(
        "countdown",
        560,
        (_signs(3, 30), _signs(4, 40), _signs(5, 50)),
        asked=_not_the_whole_sum,
        per_question=1.5,
    ),
    # SmolLM2 learns these worst, so a pool has fewer of them.
    Family("gsm_symbolic", 340, lines=((1, 2), (3, 3), (4, 99)), per_question=5),
    Family("spell_backward", 0, _between("word_len", (3, 4), (5, 6), (8, 10))),
)
FAMILIES: dict[str, Family] = {family.name: family for family in _ALL}
TRAINED = tuple(family.name for family in _ALL if family.count)
KEPT_OUT = tuple(family.name for family in _ALL if not family.count)


def drawn(
    name: str,
    level: int,
    count: int,
    split: str,
    seed: int = 0,
    keep: Callable[[Row], bool] = lambda row: True,
) -> list[Row]:
    """Draw questions of a family at a level. No two of them ask the same.

    The first questions do not depend on how many are drawn.

    Args:
        name: A family, a key of `FAMILIES`.
        level: 1, 2 or 3.
        count: How many questions.
        split: "train", "dev" or "test".
        seed: Draws another training set. The other splits have one set only.
        keep: Whether a row is kept. The next row takes the place of one that is not.

    Returns:
        The rows: question, answer, kind, family, level, and for gsm_symbolic the package's worked
        solution.

    Raises:
        ValueError: The family, level, split or seed is unknown, or there are too few questions.
        ImportError: reasoning-gym is missing.
    """
    if name not in FAMILIES or split not in FIRST_SEED or level not in LEVELS:
        raise ValueError(
            f"{name!r}, level {level!r}, {split!r} can't be drawn: choose a family of "
            f"{list(FAMILIES)}, a level of {LEVELS} and a split of {list(FIRST_SEED)}"
        )
    if seed not in range(MOST_SEEDS if split == "train" else 1):
        raise ValueError(f"seed={seed!r}: only the split 'train' has seeds, 0 to {MOST_SEEDS - 1}")
    family, known, found = FAMILIES[name], set[str](), list[Row]()
    place = 0 if family.lines else level - 1  # where lines make the level, one draw has all levels
    ask = round(family.per_question * count) + 40
    first = FIRST_SEED[split] + 1_000 * seed + len(LEVELS) * list(FAMILIES).index(name) + place
    done = 0
    while len(found) < count and done < MOST:
        ask = min(ask, MOST)
        for row in islice(_loaded(name, place, first, ask), done, None):
            low, high = family.lines[level - 1] if family.lines else (0, 0)
            if family.lines and not low <= len(solution_lines(row)) <= high:
                continue
            varies = what_varies(name, row["question"])
            made = {**row, "family": name, "level": level}
            if varies not in known and family.asked(made) and keep(made):
                known.add(varies)
                found.append(made)
        done, ask = ask, 2 * ask
    if len(found) < count:
        raise ValueError(
            f"{name} at level {level} has only {len(found)} questions in {MOST:,}: ask for fewer"
        )
    return found[:count]


@lru_cache(maxsize=4)
def _loaded(name: str, place: int, seed: int, n: int) -> tuple[Row, ...]:
    settings = FAMILIES[name].settings[place]
    rows = load(PREFIX + name, n=n, seed=seed, **settings)
    return tuple(dict(row) for row in rows.remove_columns("row"))


def solution_lines(row: Mapping[str, Any]) -> list[str]:
    """Return the lines of a worked solution of gsm_symbolic, without the last one, "#### 5"."""
    lines = [line.strip() for line in row["solution"].splitlines()]
    return [line for line in lines if line and not line.startswith("####")]


def benchmark(split: str = "test") -> Dataset:
    """Return the questions to measure on: 400 of the trained families and 100 of the one kept out.

    Families and levels take turns. So the first n questions of each part are balanced. No two
    questions ask the same. A pool shares none of them (`s1lab.smol.pool.pool`).

    Args:
        split: "test", or "dev" for choosing settings.

    Returns:
        A Dataset of question, answer, kind, family, level and trained.

    Raises:
        ImportError: reasoning-gym is missing.
        ValueError: The split is neither "test" nor "dev".

    Example:
        >>> lab.smol.benchmark("dev")[0]["family"]
        'chain_sum'
    """
    if split not in ("test", "dev"):
        raise ValueError(f"split={split!r}: choose 'test' or 'dev'; training questions are a pool")
    rows = _in_turn(TRAINED, TEST_QUESTIONS, split) + _in_turn(KEPT_OUT, KEPT_OUT_QUESTIONS, split)
    names = ("question", "answer", "kind", "family", "level")
    columns: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in names}
    columns["trained"] = [row["family"] in TRAINED for row in rows]
    return Dataset.from_dict(columns)


def _in_turn(names: tuple[str, ...], count: int, split: str) -> list[Row]:
    cells = [(name, level) for level in LEVELS for name in names]
    each = -(-count // len(cells))
    made = [drawn(name, level, each, split) for name, level in cells]
    return [row for turn in zip(*made, strict=True) for row in turn][:count]
