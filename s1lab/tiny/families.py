"""The six families of questions in the embedded world, each with its solution path.

A question knows its own solution path: the lines that a careful worker writes, in order, and the
answer that this worker would give if interrupted after each of them. Everything else in
`s1lab.tiny` (the teacher's traces, the training corpora, the test sets) is made from these two
lists. So a family is defined here and nowhere else.

Compared values are next to each other on a line (``7+7=14-11=3 5 no``: 3 is compared with 5). A
model of a million weights learns that comparison in minutes. It never learns it across the distance
to the question.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from s1lab.tiny.words import LONG_WORDS, NAMES, SHORT_WORDS, SYLLABLES

SIZES = ("small", "medium", "large")


@dataclass(frozen=True)
class Problem:
    """One question of the world.

    Attributes:
        family: The kind of question.
        size: "small", "medium" or "large".
        question: The text of the question.
        answer: The right answer.
        kind: How the answer is graded.
        lines: ``lines[i]`` is the text of thinking line ``i + 1`` without its number. The last line
            ends in ``yes``.
        guesses: ``guesses[k]`` is the answer of a worker who wrote ``k`` lines.
            ``guesses[len(lines)]`` is the right answer.
    """

    family: str
    size: str
    question: str
    answer: str
    kind: str
    lines: tuple[str, ...]
    guesses: tuple[str, ...]


def _letters(rng: random.Random, size: str) -> Problem | None:
    """How many of a letter are in a word: a scan with a running count.

    Each line has one letter after the two before it.
    """
    low, high = {"small": (3, 6), "medium": (6, 9), "large": (10, 18)}[size]
    word = _word(rng, low, high)
    # Four times in five the word's most frequent letter, else any of its letters. So counts are 1
    # to 4, not mostly 1.
    often = max(word.count(c) for c in word)
    letter = rng.choice(
        [c for c in word if word.count(c) == often] if rng.random() < 0.8 else list(word)
    )
    return _counted(letter, word, size)


def _counted(letter: str, word: str, size: str) -> Problem:
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
    """Return each letter of a word after the two before it: r, ra, ras, asp ...

    The two tell which of doubled letters is meant.
    """
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
    problem = _multiplied(a, b, m, size)
    return problem if problem and problem.answer == str(x) else None


def _multiplied(a: int, b: int, m: int, size: str) -> Problem | None:
    x = next((k for k in range(1, m + 1) if a * k % m == b), None)
    if x is None:
        return None
    lines, rest = [], 0
    for k in range(1, x + 1):
        total = rest + a
        rest = total % m
        wrap = f"-{m}={rest}" if total >= m else ""
        lines.append(f"{total - a}+{a}={total}{wrap} {b} {'yes' if k == x else 'no'}")
    guesses = [str(min(k + 1, x)) for k in range(x + 1)]
    return Problem(
        "modular",
        size,
        f"What is the smallest x with {a}x = {b} mod {m}?",
        str(x),
        "integer",
        tuple(lines),
        tuple(guesses),
    )


def _pair(rng: random.Random, size: str) -> Problem | None:
    """Which two of n ascending numbers add up to a target: all pairs, in order."""
    n = {"small": 4, "medium": 5, "large": 7}[size]
    numbers = sorted(rng.sample(range(1, 60), n))
    pairs = list(itertools.combinations(numbers, 2))
    return _added(numbers, sum(pairs[rng.randrange(len(pairs))]), size)


def _added(numbers: list[int], target: int, size: str) -> Problem | None:
    pairs = list(itertools.combinations(numbers, 2))
    hits = [at for at, (a, b) in enumerate(pairs) if a + b == target]
    if len(hits) != 1:
        return None
    at = hits[0]
    lines = [
        f"{a}+{b}={a + b} {target} {'yes' if k == at else 'no'}"
        for k, (a, b) in enumerate(pairs[: at + 1])
    ]
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
    """Make a target from numbers in their order with + and -: all sign patterns, counted up."""
    n = {"small": 2, "medium": 3, "large": 4}[size]
    numbers = [rng.randint(4 * n, 60), *(rng.randint(1, 9) for _ in range(n))]
    signs = rng.choice(list(itertools.product("+-", repeat=n)))
    return _signed(numbers, _sum(numbers, signs), size)


def _sum(numbers: list[int], signs: tuple[str, ...]) -> int:
    """Add the numbers, with these signs before all but the first."""
    return numbers[0] + sum(v if s == "+" else -v for s, v in zip(signs, numbers[1:], strict=True))


def _signed(numbers: list[int], target: int, size: str) -> Problem | None:
    patterns = list(itertools.product("+-", repeat=len(numbers) - 1))
    hits = [at for at, pattern in enumerate(patterns) if _sum(numbers, pattern) == target]
    # every running total must stay at or above 0
    if len(hits) != 1 or numbers[0] < sum(numbers[1:]):
        return None
    at = hits[0]

    def line(signs: tuple[str, ...]) -> str:
        text, total = str(numbers[0]), numbers[0]
        for s, v in zip(signs, numbers[1:], strict=True):
            total += v if s == "+" else -v
            text += f"{s}{v}={total}"
        return f"{text} {target} {'yes' if total == target else 'no'}"

    def expression(signs: tuple[str, ...]) -> str:
        return str(numbers[0]) + "".join(f"{s}{v}" for s, v in zip(signs, numbers[1:], strict=True))

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
    """Who is tallest: n - 1 comparisons of neighbours in any order; climb from the first one."""
    low, high = {"small": (2, 6), "medium": (4, 10), "large": (8, 22)}[size]
    steps = rng.randint(low, high)  # the first comparison, the climbs after it, and the top
    people = rng.sample(NAMES, steps + rng.randint(0, 2))  # tallest first
    pairs = list(itertools.pairwise(people))
    first = pairs.pop(steps - 2)
    rng.shuffle(pairs)
    return _climbed([(b, a) for a, b in [first, *pairs]], size)


def _climbed(told: list[tuple[str, str]], size: str) -> Problem | None:
    above = dict(told)
    climb = list(told[0])
    while climb[-1] in above and len(climb) <= len(told):
        climb.append(above[climb[-1]])
    tallest = climb[-1]
    if len(above) < len(told) or tallest in above:
        return None  # somebody is below two others, or there is a circle
    lines = [f"{a} < {b}" for a, b in itertools.pairwise(climb)] + [f"{tallest} yes"]
    guesses = (climb[1], *climb[1:], tallest)
    question = f"Heights: {', '.join(f'{a} < {b}' for a, b in told)}. Who is tallest?"
    return Problem("order", size, question, tallest, "exact", tuple(lines), guesses)


def _gcd(rng: random.Random, size: str) -> Problem | None:
    """Greatest common divisor by subtraction: the smaller from the larger until both are equal."""
    low, high = {"small": (2, 6), "medium": (4, 10), "large": (8, 18)}[size]
    problem = _subtracted(rng.randint(2, 99), rng.randint(2, 99), size)
    if not problem:
        return None
    # Most pairs of coprime numbers are skipped, so that "1" is not a safe guess.
    if not low <= len(problem.lines) <= high or (problem.answer == "1" and rng.random() < 0.95):
        return None
    return problem


def _subtracted(a: int, b: int, size: str) -> Problem | None:
    if a == b or min(a, b) < 1:
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
    return Problem("gcd", size, question, str(b), "integer", tuple(lines), tuple(guesses))


FAMILIES: dict[str, Callable[[random.Random, str], Problem | None]] = {
    "letters": _letters,
    "modular": _modular,
    "pair": _pair,
    "signs": _signs,
    "order": _order,
    "gcd": _gcd,
}

# An example of each family. `s1-tiny` stops too early on most of them: a Wait changes its answer.
EXAMPLES = {
    "letters": "How many r in raspberry?",
    "modular": "What is the smallest x with 29x = 14 mod 46?",
    "pair": "Which two of 9 19 25 56 add up to 81?",
    "signs": "Put + or - between 38 9 3 2 to make 28.",
    "order": "Heights: Ian < Kim, Kim < Leo, Eve < Ian, Leo < Sue. Who is tallest?",
    "gcd": "What is the greatest common divisor of 84 and 68?",
}

# The pattern of each family's question, and the problem it poses. The size of a typed question is
# unknown. Bounds on its length and its numbers keep the searches short.
_READ: dict[str, tuple[str, Callable[[re.Match[str]], Problem | None]]] = {
    "letters": (
        r"How many ([a-z]) in ([a-z]{1,40})",
        lambda m: _counted(m[1], m[2], "") if m[1] in m[2] else None,
    ),
    "modular": (
        r"What is the smallest x with (\d{1,3})x = (\d{1,3}) mod (\d{1,3})",
        lambda m: _multiplied(int(m[1]), int(m[2]), int(m[3]), ""),
    ),
    "pair": (
        r"Which two of ((?:\d{1,4} ){2,20})add up to (\d{1,4})",
        lambda m: _added([int(n) for n in m[1].split()], int(m[2]), ""),
    ),
    "signs": (
        r"Put \+ or - between ((?:\d{1,4} ){2,9})to make (\d{1,4})",
        lambda m: _signed([int(n) for n in m[1].split()], int(m[2]), ""),
    ),
    "order": (
        r"Heights: (\w+ < \w+(?:, \w+ < \w+){0,99})\. Who is tallest",
        lambda m: _climbed(re.findall(r"(\w+) < (\w+)", m[1]), ""),
    ),
    "gcd": (
        r"What is the greatest common divisor of (\d{1,3}) and (\d{1,3})",
        lambda m: _subtracted(int(m[1]), int(m[2]), ""),
    ),
}


def _match(family: str, question: str) -> re.Match[str] | None:
    return re.fullmatch(_READ[family][0] + "[?.]?", question.strip())


def family_of(question: str) -> str | None:
    """Say to which of the six families a question belongs, by its form.

    Args:
        question: Any text.

    Returns:
        The name of the family, a key of `FAMILIES`. None if the question fits none.

    Example:
        >>> lab.tiny.family_of("How many r in raspberry")
        'letters'
        >>> lab.tiny.family_of("What is the capital of France?") is None
        True
    """
    return next((family for family in _READ if _match(family, question)), None)


def solve(question: str) -> Problem:
    """Read the problem from the text of a question. The embedded teacher works from it.

    Args:
        question: A question of the embedded world.

    Returns:
        The problem, with its solution path.

    Raises:
        ValueError: If the text is not such a question, or has not exactly one answer.

    Example:
        >>> lab.tiny.solve("How many r in raspberry").answer
        '3'
    """
    family = family_of(question)
    if family and (match := _match(family, question)) and (problem := _READ[family][1](match)):
        return problem
    raise ValueError(f"no question of the embedded world that has one answer: {question[:80]!r}")
