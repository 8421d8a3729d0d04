"""The interval of an accuracy, and of the difference between two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from s1lab.evaluation.arguments import numbers, outcomes, percentage, share, whole

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


def accuracy_interval(
    correct: Sequence[float], level: float = 0.95, *, samples: int | Sequence[int] | None = None
) -> Interval:
    """Accuracy in percent with its Wilson score interval: the one that every table here shows.

    Samples of one question resemble each other, so they are worth fewer independent answers than
    there are. Wilson's interval then takes their effective number: the answers over the design
    effect (Kish 1965), at least the number of questions and at most all answers. The design effect
    is how much more the accuracy varies than that of as many independent answers. It is 1 plus
    samples - 1 times the correlation within a question.

    The interval has a width at 0 % and 100 % too. There nothing tells how alike the samples are,
    and they count as one a question.

    Args:
        correct: One outcome a question: True or False, or 1 or 0. With ``samples``, the mean over
            a question's samples, from 0 to 1.
        level: The share of such intervals that contain the true accuracy.
        samples: Samples a question: a number for all, or one a question. None is one sample.

    Returns:
        The accuracy, which is the mean over questions, and its interval, in percent.

    Raises:
        ValueError: There are no outcomes, an outcome is out of range, or (without ``samples``)
            neither right nor wrong, the samples are not such numbers, or the level is not a share.

    Example:
        >>> print(lab.metrics.accuracy_interval([True] * 17 + [False] * 13))
        56.7 [39.2, 72.6]
        >>> print(lab.metrics.accuracy_interval([0.5] * 20 + [0.75] * 10, samples=8))
        58.3 [52.0, 64.4]
    """
    level = share("level", level)
    if samples is None:
        right = outcomes("correct", correct).astype(float)
        return _wilson(float(right.mean()), right.size, level)
    # Rounding may put a mean just outside the range.
    shares = numbers("correct", correct, _PAIRED, low=-SLACK, high=1 + SLACK, booleans=True)
    shares = shares.clip(0, 1)
    return _wilson(float(shares.mean()), _effective(shares, _samples(samples, shares.size)), level)


def _samples(samples: int | Sequence[int], questions: int) -> Any:
    """The samples of each question, as an array."""
    if not isinstance(samples, Sequence | np.ndarray) or isinstance(samples, str):
        return np.full(questions, whole("samples", samples, 1, MOST))
    if len(samples) != questions:
        raise ValueError(
            f"samples has {len(samples)} numbers for {questions} questions: give one for all, "
            "or one a question"
        )
    return np.array([whole(f"samples[{i}]", n, 1, MOST) for i, n in enumerate(samples)])


def _effective(shares: Any, samples: Any) -> float:
    """The number of independent answers that tell as much as these samples do."""
    questions = shares.size
    # The correlation is measured as if one more question had been asked: half of it always right,
    # half always wrong, as Jeffreys' prior adds half a right answer and half a wrong one. In 30
    # questions, the rare one whose samples are nearly all right may be missing, and with it most
    # of the variance. Then the interval is far too narrow: without the addition it covered an
    # accuracy of 2 % in 77 of 100 simulations with 64 samples a question. Franco and others (2019,
    # PMC6690503) find the same for every interval of this kind, recommend Wilson's, and steady the
    # design effect with a model, which here is that one question. It also counts the samples of
    # each question as one if all answers are right or all are wrong.
    mean = (shares.sum() + 0.5) / (questions + 1)
    spread = ((shares - mean) ** 2).sum() + (mean**2 + (1 - mean) ** 2) / 2
    effective = questions * mean * (1 - mean) / (spread / questions)
    # Answers that are independent of each other, even within a question, are worth this many.
    most = questions / np.mean(1 / samples)
    return float(np.clip(effective, questions, most))


def _wilson(part: float, n: float, level: float) -> Interval:
    """Wilson's interval of a share of n answers, neither of which need be whole, in percent."""
    # Imported here: it imports pandas too, and `import s1lab` has to stay quick.
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(part * n, n, alpha=1 - level, method="wilson")
    # By the formula these ends are exact. Rounding would make 99.99999999999999 of 100.
    low, high = (low if part > 0 else 0.0), (high if part < 1 else 1.0)
    return Interval(100 * part, 100 * float(low), 100 * float(high))


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
    n = whole("n", n, 1, MOST)
    percent = percentage("percent", percent, n, _ACCURACY)
    found = _wilson(percent / 100, n, share("level", level))
    return replace(found, value=percent)  # exactly as published


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
            f"a has {x.size} outcomes and b has {y.size}, but they pair question by question: "
            "give both one for each question"
        )
    resamples, level = whole("resamples", resamples, 1, MOST // 100), share("level", level)
    difference = x - y
    generator = np.random.default_rng(whole("seed", seed, 0))
    # scipy.stats.bootstrap draws the same questions, but refuses a benchmark of one question.
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
    from scipy import stats
    from statsmodels.stats.proportion import confint_proportions_2indep

    n, m = whole("n", n, 1, MOST), whole("m", n if m is None else m, 1, MOST)
    p, q = (percentage(*given, _ACCURACY) / 100 for given in (("a", a, n), ("b", b, m)))
    both, alpha = (p * n, n, q * m, m), 1 - share("level", level)
    low, high = confint_proportions_2indep(*both, method="newcomb", compare="diff", alpha=alpha)
    difference = Interval(100 * (p - q), 100 * float(low), 100 * float(high))
    gain = Interval(float("nan"), float("nan"), float("nan"))
    if p and q:  # nothing has a ratio to 0, or an interval around it
        ends = confint_proportions_2indep(*both, method="log", compare="ratio", alpha=alpha)
        gain = Interval(*(100 * (float(ratio) - 1) for ratio in (p / q, *ends)))
    # Fisher's test takes counts. A mean over samples need not be one, so it is rounded.
    right = (round(p * n), round(q * m))
    fisher = stats.fisher_exact([[right[0], n - right[0]], [right[1], m - right[1]]])
    return Unpaired(difference, gain, float(fisher.pvalue))
