"""The embedded pool: questions with traces from 16 sources, with the faults of a real pool.

Sources have the paper's proportions. Lengths follow the paper's Table 7 at about 1 to 37: a source
with long traces there has long ones here. The pool does not say what is wrong with a row.
`blemishes` says it, so that a filter can be scored.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from datasets import Dataset

from s1lab.budget import whole
from s1lab.paper.numbers import TABLE_7
from s1lab.tiny.families import FAMILIES, SIZES, Problem
from s1lab.tiny.teacher import written
from s1lab.tiny.tokenizer import build
from s1lab.tiny.world import benchmark, split_of

SIZE = sum(count for count, _ in TABLE_7.values())  # 59,029
# A teacher that mostly stops at its first stop: a third of its traces are wrong, as in a real pool.
WAITS = (0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 6)
SHARED_WORDS = 13  # a near repeat, or a leaked test question, keeps at least so many words in a row


@dataclass(frozen=True)
class Mix:
    """The questions of a source.

    Attributes:
        families: The source's families; one that is named twice is drawn twice as often.
        sizes: Weights of small, medium and large.
        waits: How often its teacher may go on after a stop.
    """

    families: tuple[str, ...]
    sizes: tuple[int, int, int]
    waits: tuple[int, ...] = WAITS


_ONCE = (0, 0, 0, 1)
MIXES: dict[str, Mix] = {
    "NuminaMATH": Mix(("letters", "modular", "pair", "signs", "order", "pair", "signs"), (3, 3, 4)),
    "MATH": Mix(("letters", "pair", "signs", "gcd", "order"), (4, 4, 2)),
    "OlympicArena": Mix(("letters", "pair", "signs", "order"), (4, 4, 3)),
    "OmniMath": Mix(("pair", "signs", "modular", "gcd"), (3, 5, 2)),
    "AGIEval": Mix(("order",), (4, 4, 2), _ONCE),
    "xword": Mix(("letters", "order"), (1, 0, 0), (0,)),
    "OlympiadBench": Mix(("letters", "pair", "signs"), (3, 4, 3)),
    "AIME 1983-2021": Mix(("modular", "pair", "signs"), (3, 4, 4)),
    "TheoremQA": Mix(("order", "gcd", "letters"), (3, 4, 3), _ONCE),
    "USACO": Mix(("letters", "pair", "signs"), (3, 4, 2)),
    "JEEBench": Mix(("letters", "gcd", "pair"), (3, 4, 2), _ONCE),
    "GPQA (non-diamond)": Mix(("letters", "gcd", "pair"), (3, 4, 2), _ONCE),
    "SciEval": Mix(("order",), (1, 0, 0), (0,)),
    "s1-prob": Mix(("pair", "signs"), (3, 4, 2)),
    "LiveCodeBench": Mix(("letters", "pair", "signs"), (3, 4, 2)),
    "s1-teasers": Mix(("signs", "letters"), (2, 4, 3)),
}


@dataclass(frozen=True)
class Row:
    """A row of the pool while faults are put on it; its problem is kept beside it."""

    problem: Problem
    source: str
    question: str
    answer: str | None
    thinking: str | None
    attempt: str | None


API_ERRORS = (
    "Error code: 429 - {'error': {'message': 'Rate limit reached for requests', 'type': "
    "'requests'}}",
    "500 Internal Server Error",
    "google.api_core.exceptions.ResourceExhausted: 429 Resource has been exhausted (e.g. check "
    "quota).",
    "The read operation timed out",
    "ValueError: the response was blocked: finish_reason RECITATION",
)


def _missing(field: str) -> Callable[[Row, random.Random], Row]:
    return lambda row, rng: replace(row, **{field: rng.choice((None, ("")))})  # type: ignore[arg-type]


def _api_error(row: Row, rng: random.Random) -> Row:
    text = rng.choice(API_ERRORS)
    return replace(row, thinking=text, attempt=rng.choice((text, row.attempt)))


def _asked(pattern: str) -> Callable[[Row, random.Random], Row]:
    """Put text that is foreign to the question on it; K and J become numbers."""

    def put(row: Row, rng: random.Random) -> Row:
        text = pattern.replace("K", str(rng.randint(1, 40))).replace("J", str(rng.randint(1, 9)))
        return replace(row, question=text.replace("QUESTION", row.question))

    return put


def _loop(row: Row, rng: random.Random) -> Row:
    assert row.thinking
    *_, last = row.thinking.splitlines()
    return replace(row, thinking=row.thinking + f"Wait\n{last}\n" * rng.randint(60, 120))


def _short(row: Row, _: random.Random) -> Row:
    guess = row.problem.guesses[1]
    return replace(row, thinking=f"It is {guess}\n", attempt=f"Answer: {guess}")


def _long(row: Row, rng: random.Random) -> Row:
    thinking, attempt = written(row.problem, rng, rng.randint(30, 40))
    return replace(row, thinking=thinking, attempt=attempt)


def _respelt(question: str, rng: random.Random) -> str:
    """Write the same words in another case and with other spaces."""
    words = question.split(" ")
    text = rng.choice(("  ", " \n", "\t")).join([" ".join(words[:2]), " ".join(words[2:])])
    return rng.choice((text.upper(), text.lower(), text))


# Of 10,000 rows, the paper lost 832 to missing features and API errors, and 429 to formatting.
OF_TEN_THOUSAND: dict[str, int] = {
    "missing answer": 150,
    "missing trace": 250,
    "missing attempt": 120,
    "api error": 312,
    "image link": 120,
    "figure code": 100,
    "part number": 109,
    "bold number": 100,
    "loop": 40,
    "repeat": 100,
    "near repeat": 80,
    "reworded repeat": 30,
    "contaminated": 30,
    "contaminated in part": 10,
    "short": 80,
    "long": 80,
}
_OF_ONE_ROW: dict[str, Callable[[Row, random.Random], Row]] = {
    "missing answer": _missing("answer"),
    "missing trace": _missing("thinking"),
    "missing attempt": _missing("attempt"),
    "api error": _api_error,
    "image link": _asked("![Image](figures/K.png) QUESTION"),
    "figure code": _asked("QUESTION\n[asy]\ndraw((0,0)--(K,J));\n[/asy]"),
    "part number": _asked("pK. QUESTION"),
    "bold number": _asked("**K.** QUESTION"),
    "loop": _loop,
    "short": _short,
    "long": _long,
}


def pool(n: int = SIZE, seed: int = 0) -> Dataset:
    """Make a pool to curate. The rows are the same on any machine.

    The rows come from 16 sources in the proportions of the paper's Table 7. Faulty rows
    (`blemishes`) are mixed in. The questions that they repeat from the test split are those
    of `benchmark`.

    Args:
        n: Number of rows.
        seed: Seed of the draws.

    Returns:
        A Dataset of question, answer, kind, source, domain, thinking, attempt, thinking_tokens.
        ``domain`` is the family and size. ``thinking`` and ``attempt`` are the embedded teacher's,
        some of them wrong. ``thinking_tokens`` counts the tokens of s1-tiny.

    Example:
        pool = lab.tiny.pool(200)
    """
    rows = [row for row, _ in _collected(whole("n", n, 1, 1000), whole("seed", seed))]
    texts = [row.thinking or "" for row in rows]
    counts = [
        len(e.ids)
        for e in build().backend_tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    ]
    return Dataset.from_dict(
        {
            "question": [row.question for row in rows],
            "answer": [row.answer for row in rows],
            "kind": [row.problem.kind for row in rows],
            "source": [row.source for row in rows],
            "domain": [f"{row.problem.family}, {row.problem.size}" for row in rows],
            "thinking": [row.thinking for row in rows],
            "attempt": [row.attempt for row in rows],
            "thinking_tokens": counts,
        }
    )


def blemishes(n: int = SIZE, seed: int = 0) -> list[str]:
    """Say what is wrong with each row of ``pool(n, seed)``.

    Args:
        n: As in `pool`.
        seed: As in `pool`.

    Returns:
        For each row a name of `OF_TEN_THOUSAND`, "wrong trace", or "" if nothing is wrong. A
        wrong trace ends in a wrong answer because its teacher gave up too early. The paper keeps
        such rows.

    Example:
        pool, wrong = lab.tiny.pool(200), lab.tiny.blemishes(200)
    """
    made = _collected(whole("n", n, 1, 1000), whole("seed", seed))
    return [blemish for _, blemish in made]


@functools.lru_cache(maxsize=1)
def _collected(n: int, seed: int) -> tuple[tuple[Row, str], ...]:
    if n < 1:
        raise ValueError(f"n is {n}: ask for at least one row")
    rng = random.Random(f"s1lab.tiny.pool {seed}")
    rows = _drawn(n, rng)
    labels = [""] * n
    order = iter(rng.sample(range(n), n))
    for name, of_ten_thousand in OF_TEN_THOUSAND.items():
        for _ in range(round(n * of_ten_thousand / 10_000)):
            at = next((i for i in order if _can_be(name, rows[i])), None)
            if at is not None:
                labels[at] = name
    clean = [i for i in range(n) if not labels[i]]
    tests = list(benchmark()["question"])
    for at, name in enumerate(labels):
        if name in _OF_ONE_ROW:
            rows[at] = _OF_ONE_ROW[name](rows[at], rng)
        elif name:
            rows[at] = _copied(name, rows, at, clean, tests, rng)
    _figures_of_aime(rows, labels, rng)
    for at, row in enumerate(rows):
        if not labels[at] and row.attempt != f"Answer: {row.answer}":
            labels[at] = "wrong trace"
    return tuple(zip(rows, labels, strict=True))


def _can_be(name: str, row: Row) -> bool:
    if name == "long":
        return len(row.problem.lines) >= 20
    return not (name == "figure code" and "AIME" in row.source)


def _drawn(n: int, rng: random.Random) -> list[Row]:
    """Draw distinct training questions with their traces, sources in proportion, shuffled."""
    exact = {name: n * count / SIZE for name, (count, _) in TABLE_7.items()}
    counts = {name: int(share) for name, share in exact.items()}
    for name in sorted(exact, key=lambda s: counts[s] - exact[s])[: n - sum(counts.values())]:
        counts[name] += 1
    seen: set[str] = set()
    rows = []
    for source, count in counts.items():
        mix = MIXES[source]
        for _ in range(count):
            problem = _new(mix, seen, rng)
            thinking, attempt = written(problem, rng, rng.choice(mix.waits))
            rows.append(Row(problem, source, problem.question, problem.answer, thinking, attempt))
    rng.shuffle(rows)
    return rows


def _new(mix: Mix, seen: set[str], rng: random.Random) -> Problem:
    while True:
        family, (size,) = rng.choice(mix.families), rng.choices(SIZES, mix.sizes)
        for _ in range(40):  # a small world may have no new question left: draw another one
            problem = FAMILIES[family](rng, size)
            if problem and problem.question not in seen and split_of(problem.question) == "train":
                seen.add(problem.question)
                return problem


def _copied(
    name: str, rows: list[Row], at: int, clean: list[int], tests: list[str], rng: random.Random
) -> Row:
    """Make a row that repeats the question of an earlier row, or of the benchmark."""
    row = rows[at]
    if name.startswith("contaminated"):
        long = [t for t in tests if len(t.split()) >= SHARED_WORDS]
        question = rng.choice(long if name.endswith("in part") else tests)
        text = (
            _reworded(question, rng)
            if name.endswith("in part")
            else rng.choice((question, _respelt(question, rng)))
        )
        return replace(row, question=text)
    earlier = [i for i in clean if i < at]
    for _ in range(1000):
        if not earlier:
            break
        original = rows[rng.choice(earlier)]
        if name == "reworded repeat" and len(original.question.split()) < SHARED_WORDS:
            continue
        text = original.question
        if name == "near repeat":
            text = _respelt(text.rstrip("?."), rng)
        elif name == "reworded repeat":
            text = _reworded(text, rng)
        return replace(original, question=text, source=row.source)
    return row


def _reworded(question: str, rng: random.Random) -> str:
    return f"{rng.choice(('Tell me:', 'Here is one.', 'Quick,'))} {question}"


def _figures_of_aime(rows: list[Row], labels: list[str], rng: random.Random) -> None:
    """Write the figures of AIME's questions as code. That is no fault, and the paper keeps them."""
    for at, row in enumerate(rows):
        if "AIME" in row.source and not labels[at] and rng.random() < 0.1:
            rows[at] = _OF_ONE_ROW["figure code"](row, rng)
