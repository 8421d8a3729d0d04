"""The interval of an accuracy, and of the difference between two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from s1lab.evaluation.arguments import numbers, outcomes, real, share, whole

MOST = 10**9  # the most questions, and resamples times 100: more would take hours
_PAIRED = "one outcome a question, from 0 to 1 (True and False will do)"
_ACCURACY = "an accuracy in percents from 0 to 100"
SLACK = 1e-9  # rounding may put an outcome that is a mean just outside 0 or 1


@dataclass(frozen=True)
class Interval:
    """A number with its interval, all three in the unit of the input.

    Example:
        >>> print(lab.metrics.Interval(56.7, 39.2, 72.6))
        56.7 [39.2, 72.6]
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1f} [{self.low:.1f}, {self.high:.1f}]"


def accuracy_interval(correct: Sequence[bool], level: float = 0.95) -> Interval:
    """Accuracy in percent with its Wilson score interval.

    The interval is also sound at 0 % and 100 %, where the bootstrap has no width.

    Args:
        correct: One outcome a question: True or False, or 1 or 0.
        level: The share of such intervals that contain the true accuracy.

    Returns:
        The accuracy and its interval, in percent.

    Raises:
        ValueError: There are no outcomes, an outcome is neither right nor wrong, or the level is
            not a share.

    Example:
        >>> print(lab.metrics.accuracy_interval([True] * 17 + [False] * 13))
        56.7 [39.2, 72.6]
    """
    right = outcomes("correct", correct)
    level = share("level", level)
    test = stats.binomtest(int(right.sum()), right.size)
    found = test.proportion_ci(level, method="wilson")
    return Interval(100 * float(right.mean()), 100 * float(found.low), 100 * float(found.high))


def share_interval(percent: float, n: int, level: float = 0.95) -> Interval:
    """Wilson's interval for a published accuracy, in percent of n questions.

    Args:
        percent: The accuracy, 0 to 100. It need not be a whole number of questions.
        n: The number of questions it was measured on.
        level: The share of such intervals that contain the true accuracy.

    Returns:
        The accuracy and its interval, in percent.

    Raises:
        ValueError: The percentage is outside 0 to 100, there are no questions, or the level is not
            a share.

    Example:
        >>> print(lab.metrics.share_interval(56.7, 30))
        56.7 [39.2, 72.7]
    """
    return _published("percent", percent, "n", n, level)


def _published(name: str, percent: float, size: str, n: int, level: float) -> Interval:
    """`share_interval`, with the argument names that the caller uses."""
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
        level: The interval contains the middle ``level`` of the drawn means.
        seed: The seed of the generator that draws.

    Returns:
        The difference and its interval, in percentage points.

    Raises:
        ValueError: The lists have different lengths, an entry is outside 0 to 1, or an option is
            out of range.

    Example:
        before, after = [True, False, False, True] * 8, [True, True, False, True] * 8
        print(lab.metrics.paired_bootstrap(before, after))
    """
    x, y = (
        numbers(name, given, _PAIRED, low=-SLACK, high=1 + SLACK, booleans=True)
        for name, given in (("a", a), ("b", b))
    )
    if x.size != y.size:
        raise ValueError(
            f"a has {x.size} outcomes and b has {y.size}, but they pair question by question: give both one for each question"
        )
    resamples, level = whole("resamples", resamples, 1, MOST // 100), share("level", level)
    difference = x - y
    generator = np.random.default_rng(whole("seed", seed, 0))
    # The generator gives the same draws for any chunk size. Large benchmarks take small chunks.
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
    """The comparison of two accuracies that were measured separately.

    Attributes:
        difference: a - b, in percentage points.
        gain: a / b - 1, in percent.
        p: The p-value of Fisher's exact test.
    """

    difference: Interval
    gain: Interval
    p: float


def unpaired(a: float, b: float, n: int, m: int | None = None, level: float = 0.95) -> Unpaired:
    """Test whether one published accuracy is above another, without answers question by question.

    The difference has Newcombe's interval, made from Wilson's interval of each accuracy. The gain
    has the interval of its logarithm. The test is Fisher's, on the nearest counts. An accuracy
    that is not a whole number of questions (a mean over samples) is used unchanged. If both runs
    answered the same questions, `mcnemar` tells more.

    Args:
        a: One accuracy, in percent.
        b: The other accuracy, in percent.
        n: The number of questions of the first.
        m: The number of questions of the second. None means as many as the first.
        level: The level of the intervals.

    Returns:
        The difference, the gain and the p-value.

    Raises:
        ValueError: An accuracy is outside 0 to 100, there are no questions, or the level is not a
            share.

    Example:
        >>> found = lab.metrics.unpaired(56.7, 44.6, 30)
        >>> print(found.difference)
        12.1 [-12.5, 34.8]
        >>> round(found.p, 2)
        0.44
    """
    first = _published("a", a, "n", n, level)
    m = n if m is None else m
    second = _published("b", b, "m", m, level)
    (p, p_low, p_high), (q, q_low, q_high) = (
        (i.value / 100, i.low / 100, i.high / 100) for i in (first, second)
    )
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
