"""The interval of an accuracy, and of the difference between two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from s1lab.arguments import numbers, outcomes, real, share, whole

MOST = 10**9  # questions, and resamples times a hundred: above it a call would take hours
_PAIRED = "one outcome a question, from 0 to 1 (True and False will do)"
_ACCURACY = "an accuracy in percents from 0 to 100"
SLACK = 1e-9  # outcomes that are means may miss 0 or 1 by a rounding


@dataclass(frozen=True)
class Interval:
    """A number with its interval, all in the unit of what came in."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1f} [{self.low:.1f}, {self.high:.1f}]"


def accuracy_interval(correct: Sequence[bool], level: float = 0.95) -> Interval:
    """Accuracy in percent with its Wilson score interval.

    The interval is sound at 0 % and 100 % too, where the bootstrap has no width.

    Args:
        correct: One outcome a question: True or False, or 1 or 0.
        level: The share of such intervals that hold the true accuracy.

    Returns:
        The accuracy and its interval, in percent.

    Raises:
        ValueError: For no outcomes, an outcome that is neither right nor wrong, or a level that is
            no share.

    Example:
        >>> print(accuracy_interval([True] * 17 + [False] * 13))
        56.7 [39.2, 72.6]
    """
    right = outcomes("correct", correct)
    level = share("level", level)
    test = stats.binomtest(int(right.sum()), right.size)
    found = test.proportion_ci(level, method="wilson")
    return Interval(100 * float(right.mean()), 100 * float(found.low), 100 * float(found.high))


def share_interval(percent: float, n: int, level: float = 0.95) -> Interval:
    """Wilson's interval for an accuracy that was published, in percent of n questions.

    Args:
        percent: The accuracy, 0 to 100; it need not be a whole number of questions.
        n: How many questions it was measured on.
        level: The share of such intervals that hold the true accuracy.

    Returns:
        The accuracy and its interval, in percent.

    Raises:
        ValueError: For a percentage outside 0 to 100, no questions, or a level that is no share.
    """
    return _published("percent", percent, "n", n, level)


def _published(name: str, percent: float, size: str, n: int, level: float) -> Interval:
    """:func:`share_interval`, under the names that the caller knows its arguments by."""
    percent = real(name, percent, _ACCURACY, 0, 100)
    n, level = whole(size, n, 1, MOST), share("level", level)
    z, part = float(stats.norm.ppf((1 + level) / 2)), percent / 100
    middle = (part + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(part * (1 - part) / n + z * z / (4 * n * n)))
    return Interval(percent, 100 * max(0.0, middle - half), 100 * min(1.0, middle + half))


def paired_bootstrap(
    a: Sequence[float],
    b: Sequence[float],
    *,
    resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Mean of ``a - b`` over the same questions, with its paired bootstrap interval (Table 2).

    Args:
        a: Outcomes of one run: booleans, or numbers from 0 to 1. Row i is question i.
        b: Outcomes of the other run on the same questions, in the same order.
        resamples: How often the questions are drawn with replacement.
        level: The interval holds the middle ``level`` of the means that were drawn.
        seed: Of the generator that draws.

    Returns:
        The difference and its interval, in percentage points.

    Raises:
        ValueError: For lists that don't pair, entries outside 0 to 1, or numbers that make no
            sense.
    """
    x, y = (numbers(name, given, _PAIRED, low=-SLACK, high=1 + SLACK, booleans=True) for name, given in (("a", a), ("b", b)))
    if x.size != y.size:
        raise ValueError(
            f"a has {x.size} outcomes and b has {y.size}, but they pair question by question: give both one for each question"
        )
    resamples, level = whole("resamples", resamples, 1, MOST // 100), share("level", level)
    difference = x - y
    generator = np.random.default_rng(whole("seed", seed, 0))
    # The generator gives the same draws in chunks of any size; large benchmarks take small ones.
    rows = max(1, min(500, 10**7 // x.size))
    means = np.empty(resamples)
    for start in range(0, resamples, rows):
        chunk = min(rows, resamples - start)
        drawn = generator.integers(0, x.size, (chunk, x.size))
        means[start : start + chunk] = difference[drawn].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(100 * float(difference.mean()), 100 * float(low), 100 * float(high))


@dataclass(frozen=True)
class Unpaired:
    """Two accuracies measured apart. difference: a - b in points; gain: a over b, less one, in percent; p: Fisher's exact."""

    difference: Interval
    gain: Interval
    p: float


def unpaired(a: float, b: float, n: int, m: int | None = None, level: float = 0.95) -> Unpaired:
    """Is one published accuracy above another, where nobody has the answers question by question?

    The difference has Newcombe's interval (from Wilson's of each), the gain that of its logarithm,
    the test is Fisher's on the nearest counts. An accuracy that is no whole number of questions (a
    mean over samples) is taken as it is. The same questions asked of both would tell more: see
    :func:`mcnemar`.

    Args:
        a: One accuracy, in percent.
        b: The other.
        n: Questions of the first.
        m: Questions of the second; None for as many as the first.
        level: Of the intervals.

    Returns:
        The difference, the gain and the p-value.

    Raises:
        ValueError: For an accuracy outside 0 to 100, no questions, or a level that is no share.
    """
    first = _published("a", a, "n", n, level)
    m = n if m is None else m
    second = _published("b", b, "m", m, level)
    (p, p_low, p_high), (q, q_low, q_high) = ((i.value / 100, i.low / 100, i.high / 100) for i in (first, second))
    z = float(stats.norm.ppf((1 + level) / 2))
    low = p - q - np.hypot(p - p_low, q_high - q)
    high = p - q + np.hypot(p_high - p, q - q_low)
    difference = Interval(100 * (p - q), 100 * float(low), 100 * float(high))
    if p and q:
        ratio, spread = p / q, float(np.sqrt((1 - p) / (n * p) + (1 - q) / (m * q)))
        gain = Interval(*(100 * (ratio * float(np.exp(k * z * spread)) - 1) for k in (0, -1, 1)))
    else:
        gain = Interval(float("nan"), float("nan"), float("nan"))
    right = (round(p * n), round(q * m))
    fisher = stats.fisher_exact([[right[0], n - right[0]], [right[1], m - right[1]]])
    return Unpaired(difference, gain, float(fisher.pvalue))
