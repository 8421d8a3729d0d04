"""Diversity: choose a thousand rows (paper section 2.2, Algorithm 1), and the sets of Table 2.

Every draw uses ``random.Random(seed).random()``, whose sequence Python keeps from version to
version. Draws go over domains and questions in a fixed order. So the same questions and seed give
the same thousand, in whatever order the rows came.
"""

from __future__ import annotations

import random as _random
from collections import Counter
from collections.abc import Callable, Sequence

from datasets import Dataset

from s1lab.curate.io import source_name
from s1lab.curate.overlap import split_words
from s1lab.curate.report import Report, account, needs
from s1lab.evaluation.grade import verdicts

TRUSTED = ("AIME", "GPQA")  # sources whose correctly answered questions are all taken
LONG = ("MATH",)  # sources whose correctly answered questions are taken if the trace is long
# Variant "code": 700 of 1,000 are drawn with equal weights of the domains, the rest with the
# weights of the benchmarks.
UNIFORM_SHARE = 0.7


def select(
    pool: Dataset,
    n: int = 1000,
    seed: int = 0,
    variant: str = "paper",
    *,
    domain: str = "domain",
    long_tokens: int = 5600,
) -> tuple[Dataset, Report]:
    """Choose ``n`` questions of many domains with long traces: the paper's Algorithm 1, seeded.

    It first takes all questions of a trusted source that the teacher answered correctly: AIME and
    GPQA, and MATH if the trace is longer than ``long_tokens``. Then it draws until there are ``n``:
    a domain at random with equal weights, and a question of that domain. The longest trace has
    weight 1, the next one 1/2, then 1/4, and so on. A drawn question leaves its domain. As in the
    Algorithm, the questions that were taken first stay in their domains; if they are drawn again,
    they add nothing.

    Args:
        pool: A Dataset with question, domain and thinking_tokens. Without thinking_tokens the words
            of ``thinking`` are counted, and a note says so. The first step needs source and
            correct. If ``correct`` is missing, ``attempt`` is graded against ``answer``.
        n: How many questions to choose.
        seed: Seed of the draws.
        variant: "paper", or "code" for the authors' notebook (data/filter.ipynb). There only the
            first 700 of 1,000 are drawn as above. For the rest, a domain is drawn with the weights
            that it has among all AIME and GPQA questions of the pool, including those that are
            taken already. GPQA has half of AIME's weight, in whole numbers for each domain, rounded
            down.
        domain: The column to spread over.
        long_tokens: Tokens of a trace above which a MATH question is taken at once.

    Returns:
        The chosen rows, and the report.

    Raises:
        ValueError: If the pool has fewer than ``n`` different questions (the error gives their
            number in each domain), if more than ``n`` are taken at once, or if the variant is
            unknown.

    Example:
        pool, _ = lab.curate.quality(lab.tiny.pool(900))
        chosen, rest = lab.curate.select(pool, 40, seed=0)
    """
    if variant not in ("paper", "code"):
        raise ValueError(f"no variant is called {variant!r}: choose 'paper' or 'code'")
    drawing = _Drawing(pool, n, seed, domain)
    taken = dict.fromkeys(_high_quality(pool, drawing, long_tokens), "high quality")
    if len(taken) > n:
        raise ValueError(
            f"{len(taken):,} questions are taken at once as high quality, more than n={n:,}: raise "
            "n or long_tokens"
        )
    notes = (
        []
        if "source" in pool.column_names
        else ["no column 'source': nothing is taken at once as high quality"]
    )
    ranked = drawing.by_domain(key=lambda row: (drawing.lengths[row], drawing.questions[row]))
    uniform = n if variant == "paper" else max(len(taken), round(UNIFORM_SHARE * n))
    _draw(drawing, ranked, taken, uniform, lambda: dict.fromkeys(ranked, 1.0), "a domain at random")
    if variant == "code":
        weights = _like_benchmarks(pool, drawing)
        _draw(
            drawing,
            ranked,
            taken,
            n,
            lambda: {d: weights.get(d, 0.0) for d in ranked},
            "a domain like the benchmarks'",
        )
    notes += [f"{how}: {count:,}" for how, count in Counter(taken.values()).items()]
    notes += [f"{len({drawing.domains[row] for row in taken})} domains", *drawing.notes]
    return _chosen(f"select ({variant})", pool, set(taken), notes)


def random(pool: Dataset, n: int = 1000, seed: int = 0) -> tuple[Dataset, Report]:
    """Draw ``n`` rows with equal weights: 1K-random of Table 2.

    Args:
        pool: The rows that `s1lab.curate.quality` kept.
        n: How many rows to draw.
        seed: Seed of the draws.

    Returns:
        The chosen rows, and the report.

    Example:
        pool, _ = lab.curate.quality(lab.tiny.pool(400))
        chosen, rest = lab.curate.random(pool, 40, seed=0)
    """
    drawing = _Drawing(pool, n, seed, None)
    return _chosen("random", pool, set(drawing.sample(drawing.order, n)), [])


def diverse(
    pool: Dataset, n: int = 1000, seed: int = 0, *, domain: str = "domain"
) -> tuple[Dataset, Report]:
    """Draw a domain with equal weights, then any question of it, until there are ``n``: 1K-diverse.

    This is a set of Table 2.

    Args:
        pool: A Dataset with question and domain.
        n: How many rows to draw.
        seed: Seed of the draws.
        domain: The column to spread over.

    Returns:
        The chosen rows, and the report.

    Example:
        pool, _ = lab.curate.quality(lab.tiny.pool(400))
        chosen, rest = lab.curate.diverse(pool, 40)
    """
    drawing = _Drawing(pool, n, seed, domain)
    groups = {name: drawing.sample(rows, len(rows)) for name, rows in drawing.by_domain().items()}
    taken: set[int] = set()
    while len(taken) < n:
        name = drawing.choice(sorted(groups))
        taken.add(groups[name].pop())
        if not groups[name]:
            del groups[name]
    return _chosen(
        "diverse", pool, taken, [f"{len({drawing.domains[row] for row in taken})} domains"]
    )


def longest(pool: Dataset, n: int = 1000) -> tuple[Dataset, Report]:
    """Take the ``n`` longest traces: 1K-longest of Table 2.

    Among equal lengths, the question that comes first in the alphabet is taken.

    Args:
        pool: A Dataset with question, and thinking_tokens or thinking.
        n: How many rows to take.

    Returns:
        The chosen rows, and the report.

    Example:
        pool, _ = lab.curate.quality(lab.tiny.pool(400))
        chosen, rest = lab.curate.longest(pool, 40)
    """
    drawing = _Drawing(pool, n, 0, None, lengths=True)
    return _chosen(
        "longest",
        pool,
        set(sorted(drawing.order, key=lambda row: -drawing.lengths[row])[:n]),
        drawing.notes,
    )


def full(pool: Dataset) -> tuple[Dataset, Report]:
    """Keep every row: 59K-full of Table 2.

    Example:
        pool, _ = lab.curate.quality(lab.tiny.pool(400))
        chosen, rest = lab.curate.full(pool)
    """
    needs(pool, "the pool", question="text")
    return account("full", pool, {})


class _Drawing:
    """A pool's questions in a fixed order, with domains and lengths, and seeded draws from them."""

    def __init__(
        self, pool: Dataset, n: int, seed: int, domain: str | None, lengths: bool = False
    ) -> None:
        needs(pool, "the pool", question="text", **({domain: "text"} if domain else {}))
        if n < 1:
            raise ValueError(f"n is {n}: ask for at least one question")
        self.questions: list[str] = list(pool["question"])
        self.domains: list[str | None] = list(pool[domain]) if domain else [None] * len(pool)
        first: dict[str, int] = {}
        for place, question in enumerate(self.questions):
            if not (question or "").strip():
                raise ValueError(
                    f"row {place} of the pool has no question: drop such rows with curate.quality "
                    "first"
                )
            first.setdefault(question, place)
        # Each question once, sorted by its text, so that the order of the rows has no effect.
        self.order = [first[question] for question in sorted(first)]
        if (
            domain
            and (row := next((row for row in self.order if not self.domains[row]), None))
            is not None
        ):
            raise ValueError(f"row {row} of the pool has no {domain}: label it, or drop it")
        if n > len(self.order):
            labels = (
                list(pool["domain"])
                if domain is None and "domain" in pool.column_names
                else self.domains
            )
            counts = Counter(str(labels[row]) for row in self.order if labels[row])
            apiece = "; ".join(f"{name} {count:,}" for name, count in counts.most_common())
            raise ValueError(
                f"n={n:,}, but {len(self.order):,} different questions are "
                f"left{f' ({apiece})' if apiece else ''}: ask for fewer"
            )
        self.notes: list[str] = []
        self.lengths = self._lengths(pool) if domain or lengths else []
        self._rng = _random.Random(f"s1lab.curate {seed}")

    def _lengths(self, pool: Dataset) -> Sequence[int]:
        if "thinking_tokens" in pool.column_names:
            needs(pool, "the pool", thinking_tokens="number")
            return [length or 0 for length in pool["thinking_tokens"]]
        needs(pool, "the pool", thinking="text")
        self.notes.append(
            "lengths in words: the pool has no column 'thinking_tokens' (curate.count_tokens makes "
            "it)"
        )
        return [len(split_words(text or "")) for text in pool["thinking"]]

    def by_domain(
        self, key: Callable[[int], tuple[int, str]] | None = None
    ) -> dict[str, list[int]]:
        """Return the rows of each domain by name; with a key, sorted by it, the greatest last."""
        groups: dict[str, list[int]] = {}
        for row in self.order:
            groups.setdefault(str(self.domains[row]), []).append(row)
        return {
            name: sorted(groups[name], key=key) if key else groups[name] for name in sorted(groups)
        }

    def uniform(self) -> float:
        return self._rng.random()

    def choice(self, names: Sequence[str]) -> str:
        return names[int(self.uniform() * len(names))]

    def weighted(self, weights: dict[str, float]) -> str:
        at = self.uniform() * sum(weights.values())
        for name, weight in weights.items():
            at -= weight
            if at < 0:
                return name
        # rounding in the last bits of the sum
        return next(name for name in reversed(weights) if weights[name] > 0)

    def sample(self, rows: Sequence[int], n: int) -> list[int]:
        """Draw ``n`` different ones of these rows with equal weights (Fisher and Yates)."""
        deck = list(rows)
        for at in range(n):
            other = at + int(self.uniform() * (len(deck) - at))
            deck[at], deck[other] = deck[other], deck[at]
        return deck[:n]

    def halving(self, n: int) -> int:
        """Draw a rank of 0 to n - 1, each with half the weight of the one before."""
        at, rank = self.uniform() * (2 - 2 ** (1 - n)), 0
        while at >= 1 and rank < n - 1:
            at, rank = 2 * (at - 1), rank + 1
        return rank


def _draw(
    drawing: _Drawing,
    ranked: dict[str, list[int]],
    taken: dict[int, str],
    n: int,
    weights: Callable[[], dict[str, float]],
    how: str,
) -> None:
    """Draw until ``n`` are taken: a domain by weight, then a question by its trace's rank."""
    while len(taken) < n:
        chances = weights()
        if not sum(chances.values()):
            chances = dict.fromkeys(ranked, 1.0)
            note = f"no domain of {how[2:]} was left: the others were drawn with all domains alike"
            drawing.notes += [note] if note not in drawing.notes else []
        name = drawing.weighted(chances)
        rows = ranked[name]
        row = rows.pop(len(rows) - 1 - drawing.halving(len(rows)))
        if not rows:
            del ranked[name]
        taken.setdefault(row, how)


def _high_quality(pool: Dataset, drawing: _Drawing, long_tokens: int) -> list[int]:
    """Return the rows that Algorithm 1 takes at once."""
    sources = _sources(pool)
    rows = [
        row
        for row in sorted(drawing.order)
        if sources[row].startswith(TRUSTED)
        or (sources[row] in LONG and drawing.lengths[row] > long_tokens)
    ]
    if not rows:
        return []
    candidates = pool.select(rows)
    if "correct" in pool.column_names:
        needs(pool, "the pool", correct="truth")
        return [row for row, correct in zip(rows, candidates["correct"], strict=True) if correct]
    needs(pool, "the pool", attempt="text", answer="text")
    kinds = candidates["kind"] if "kind" in pool.column_names else ["math"] * len(rows)
    whole = zip(rows, candidates["attempt"], candidates["answer"], kinds, strict=True)
    asked = [
        (row, attempt, gold, kind or "math")
        for row, attempt, gold, kind in whole
        if attempt and gold
    ]
    judged = verdicts(
        [a for _, a, _, _ in asked], [g for _, _, g, _ in asked], [k for *_, k in asked]
    )
    return [row for (row, *_), found in zip(asked, judged, strict=True) if found.correct]


def _sources(pool: Dataset) -> list[str]:
    if "source" not in pool.column_names:
        return [""] * len(pool)
    needs(pool, "the pool", source="text")
    return [source_name(source) for source in pool["source"]]


def _like_benchmarks(pool: Dataset, drawing: _Drawing) -> dict[str, float]:
    """Return the weight of each domain in the notebook's last draws.

    All AIME and GPQA questions of the pool count, including those that are taken already: the
    notebook fills its two counters before it draws. GPQA's counts are scaled to half of AIME's sum
    and cut to whole numbers there. So a domain that comes to less than one is never drawn.
    """
    sources = _sources(pool)
    aime, gpqa = (
        Counter(str(drawing.domains[row]) for row in drawing.order if sources[row].startswith(name))
        for name in TRUSTED
    )
    # The notebook divides by GPQA's sum and multiplies by AIME's, so it needs both. If only one
    # is there, that one decides.
    scale = 0.5 * aime.total() / gpqa.total() if aime and gpqa else 1.0
    weights = {d: float(aime[d] + int(gpqa[d] * scale)) for d in sorted(aime | gpqa)}
    return {d: weight for d, weight in weights.items() if weight}


def _chosen(stage: str, pool: Dataset, taken: set[int], notes: list[str]) -> tuple[Dataset, Report]:
    drops = {
        row: ("not chosen", "others were drawn") for row in range(len(pool)) if row not in taken
    }
    return account(stage, pool, drops, notes)
