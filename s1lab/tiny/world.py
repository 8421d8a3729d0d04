"""The embedded world: questions that are answered by writing lines until one says ``yes``.

A question knows its own solution path: the lines a careful worker writes, in order, and what that worker would answer
if interrupted after each of them. Everything else in :mod:`s1lab.tiny` (the teacher's traces, the training corpora,
the test sets) is made from these two lists, so a family is defined here and nowhere else.

What is compared stands next to each other on a line (``7+7=14-11=3 5 no``: 3 is compared with 5): a model of a million
weights learns that comparison in minutes, and never learns it across the distance to the question.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from datasets import Dataset

from s1lab.tiny.words import LONG_WORDS, NAMES, SHORT_WORDS, SYLLABLES

SIZES = ("small", "medium", "large")
SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Problem:
    """One question of the world.

    ``lines[i]`` is the text of thinking line ``i + 1`` without its number; the last line ends in ``yes``.
    ``guesses[k]`` is what a worker who wrote ``k`` lines would answer; ``guesses[len(lines)]`` is the right answer.
    """

    family: str
    size: str
    question: str
    answer: str
    kind: str
    lines: tuple[str, ...]
    guesses: tuple[str, ...]


def _letters(rng: random.Random, size: str) -> Problem | None:
    """How many of a letter are in a word: a scan, a letter a line after the two before it, with a running count."""
    low, high = {"small": (3, 6), "medium": (6, 9), "large": (10, 18)}[size]
    word = _word(rng, low, high)
    # Four times in five a letter of the word that occurs most often, else any letter of it: counts of 1 to 4, not mostly 1.
    often = max(word.count(c) for c in word)
    letter = rng.choice([c for c in word if word.count(c) == often] if rng.random() < 0.8 else list(word))
    counts = [word[: i + 1].count(letter) for i in range(len(word))]
    lines = [f"{read} {n}" for read, n in zip(windows(word), counts, strict=True)]
    lines[-1] += " yes"
    return Problem(
        "letters",
        size,
        f"How many {letter} in {word}?",
        str(counts[-1]),
        "integer",
        tuple(lines),
        ("0", *map(str, counts)),
    )


def windows(word: str) -> list[str]:
    """Each letter of a word behind the two before it: r, ra, ras, asp ... The two tell which of doubled letters is meant."""
    return [word[max(0, i - 2) : i + 1] for i in range(len(word))]


def _word(rng: random.Random, low: int, high: int) -> str:
    for _ in range(1000):
        style = rng.random()
        if style < 0.4:
            word = rng.choice(SHORT_WORDS if high <= 6 else LONG_WORDS)
        elif style < 0.7 and high > 6:
            word = rng.choice(SHORT_WORDS) + rng.choice(SHORT_WORDS)
        else:
            word = "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 6)))
        if low <= len(word) <= high:
            return word
    raise AssertionError(f"no word of {low} to {high} letters")


def _modular(rng: random.Random, size: str) -> Problem | None:
    """Smallest x with a x = b (mod m): x = 1, 2, 3 ..., adding a each time."""
    (low, high), (m_low, m_high) = {
        "small": ((1, 6), (7, 48)),
        "medium": ((2, 10), (12, 48)),
        "large": ((6, 30), (31, 48)),
    }[size]
    x, m = rng.randint(low, high), rng.randint(m_low, m_high)
    a = rng.randint(2, m - 1)
    b = a * x % m
    if next(k for k in itertools.count(1) if a * k % m == b) != x:
        return None
    lines, rest = [], 0
    for k in range(1, x + 1):
        total = rest + a
        rest = total % m
        wrap = f"-{m}={rest}" if total >= m else ""
        lines.append(f"{total - a}+{a}={total}{wrap} {b} {'yes' if k == x else 'no'}")
    guesses = [str(min(k + 1, x)) for k in range(x + 1)]
    return Problem(
        "modular", size, f"What is the smallest x with {a}x = {b} mod {m}?", str(x), "integer", tuple(lines), tuple(guesses)
    )


def _pair(rng: random.Random, size: str) -> Problem | None:
    """Which two of n ascending numbers add up to a target: all pairs, in order."""
    n = {"small": 4, "medium": 5, "large": 7}[size]
    numbers = sorted(rng.sample(range(1, 60), n))
    pairs = list(itertools.combinations(numbers, 2))
    at = rng.randrange(len(pairs))
    target = sum(pairs[at])
    if sum(a + b == target for a, b in pairs) > 1:
        return None
    lines = [f"{a}+{b}={a + b} {target} {'yes' if k == at else 'no'}" for k, (a, b) in enumerate(pairs[: at + 1])]
    answers = [f"{a}+{b}" for a, b in pairs[: at + 1]]
    return Problem(
        "pair",
        size,
        f"Which two of {' '.join(map(str, numbers))} add up to {target}?",
        answers[-1],
        "exact",
        tuple(lines),
        (*answers, answers[-1]),
    )


def _signs(rng: random.Random, size: str) -> Problem | None:
    """Make a target from numbers in their order with + and -: all sign patterns, counted up in binary."""
    n = {"small": 2, "medium": 3, "large": 4}[size]
    numbers = [rng.randint(4 * n, 60), *(rng.randint(1, 9) for _ in range(n))]
    patterns = list(itertools.product("+-", repeat=n))

    def value(signs: tuple[str, ...]) -> int:
        return numbers[0] + sum(v if s == "+" else -v for s, v in zip(signs, numbers[1:], strict=True))

    at = rng.randrange(len(patterns))
    target = value(patterns[at])
    if [value(p) for p in patterns].count(target) > 1:
        return None

    def line(signs: tuple[str, ...]) -> str:
        text, total = str(numbers[0]), numbers[0]
        for s, v in zip(signs, numbers[1:], strict=True):
            total += v if s == "+" else -v
            text += f"{s}{v}={total}"
        return f"{text} {target} {'yes' if total == target else 'no'}"

    def expression(signs: tuple[str, ...]) -> str:
        return str(numbers[0]) + "".join(f"{s}{v}" for s, v in zip(signs, numbers[1:], strict=True))

    if numbers[0] < sum(numbers[1:]):
        return None  # every running total stays at or above 0
    answers = [expression(p) for p in patterns[: at + 1]]
    return Problem(
        "signs",
        size,
        f"Put + or - between {' '.join(map(str, numbers))} to make {target}.",
        answers[-1],
        "exact",
        tuple(line(p) for p in patterns[: at + 1]),
        (*answers, answers[-1]),
    )


def _order(rng: random.Random, size: str) -> Problem | None:
    """Who is tallest: n - 1 comparisons of neighbours in any order; climb from the first one told."""
    low, high = {"small": (2, 6), "medium": (4, 10), "large": (8, 22)}[size]
    steps = rng.randint(low, high)  # the first comparison, the climbs after it, and the top
    people = rng.sample(NAMES, steps + rng.randint(0, 2))  # tallest first
    pairs = list(itertools.pairwise(people))
    first = pairs.pop(steps - 2)
    rng.shuffle(pairs)
    told = [f"{b} < {a}" for a, b in [first, *pairs]]
    climb = people[:steps][::-1]
    lines = [f"{a} < {b}" for a, b in itertools.pairwise(climb)] + [f"{people[0]} yes"]
    guesses = (climb[1], *climb[1:], people[0])
    return Problem("order", size, f"Heights: {', '.join(told)}. Who is tallest?", people[0], "exact", tuple(lines), guesses)


def _gcd(rng: random.Random, size: str) -> Problem | None:
    """Greatest common divisor by subtraction: the smaller from the larger until both are equal."""
    low, high = {"small": (2, 6), "medium": (4, 10), "large": (8, 18)}[size]
    a, b = rng.randint(2, 99), rng.randint(2, 99)
    if a == b:
        return None
    question = f"What is the greatest common divisor of {a} and {b}?"
    a, b = max(a, b), min(a, b)
    lines, guesses = [], []
    while a != b:
        guesses.append(str(b))
        lines.append(f"{a}-{b}={a - b}")
        a, b = max(b, a - b), min(b, a - b)
    lines.append(f"{a}={b} yes")
    guesses += [str(b), str(b)]
    # Most pairs of coprime numbers are passed over, so that "1" is no safe guess.
    if not low <= len(lines) <= high or (b == 1 and rng.random() < 0.95):
        return None
    return Problem("gcd", size, question, str(b), "integer", tuple(lines), tuple(guesses))


FAMILIES: dict[str, Callable[[random.Random, str], Problem | None]] = {
    "letters": _letters,
    "modular": _modular,
    "pair": _pair,
    "signs": _signs,
    "order": _order,
    "gcd": _gcd,
}


def split_of(question: str) -> str:
    """The split a question belongs to, by a hash of its text: 8 in 10 train, 1 dev, 1 test, and never two of them."""
    bucket = int.from_bytes(hashlib.sha256(question.encode()).digest()[:4], "big") % 10
    return "train" if bucket < 8 else "dev" if bucket == 8 else "test"


def stream(seed: int = 0, split: str = "train", families: tuple[str, ...] | list[str] | None = None) -> Iterator[Problem]:
    """Distinct problems until none is left, families and sizes in turn; the same seed gives the same on any machine."""
    names = list(families) if families is not None else list(FAMILIES)
    unknown = [f for f in names if f not in FAMILIES]
    if unknown or not names:
        raise ValueError(f"unknown families {unknown}: choose from {list(FAMILIES)}")
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: choose from {list(SPLITS)}")
    seen: set[str] = set()
    cells = {(f, s): random.Random(f"s1lab.tiny {seed} {split} {f} {s}") for s in SIZES for f in names}
    while cells:
        for (family, size), rng in list(cells.items()):
            for _ in range(20_000):
                problem = FAMILIES[family](rng, size)
                if problem and problem.question not in seen and split_of(problem.question) == split:
                    seen.add(problem.question)
                    yield problem
                    break
            else:
                del cells[family, size]  # no new question is left here: the others go on


def problems(n: int, seed: int = 0, split: str = "test", families: list[str] | None = None) -> Dataset:
    """``n`` questions of the embedded world as a Dataset of question, answer, kind, family, size.

    Same seed, same rows, on any machine. Splits ("train", "dev", "test") never share a question, whatever the seeds.
    Families and sizes take turns, so a set of any length is balanced.
    """
    if n < 1:
        raise ValueError(f"n is {n}: ask for at least one problem")
    rows = list(itertools.islice(stream(seed, split, families), n))
    if len(rows) < n:
        raise ValueError(
            f"the {split} split of {families or list(FAMILIES)} has {len(rows)} questions: ask for no more than that"
        )
    return Dataset.from_list(
        [{"question": p.question, "answer": p.answer, "kind": p.kind, "family": p.family, "size": p.size} for p in rows]
    )
