"""What a run's numbers are worth: intervals and paired tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, stats

from s1lab.arguments import PERCENT, numbers, outcomes, real, share, whole

MOST = 10**9  # questions, and resamples times a hundred: above it a call would take hours

# What the sentences of bad input ask for.
_TOKENS = "one number of thinking tokens a run, 0 or more"
_SOME_TOKENS = "one number of thinking tokens a run, above 0: no tokens have no logarithm"
_PAIRED = "one outcome a question, from 0 to 1 (True and False will do)"
_ACCURACY = "an accuracy in percents from 0 to 100"
_SLACK = 1e-9  # outcomes that are means may miss 0 or 1 by a rounding


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
    x, y = (numbers(name, given, _PAIRED, low=-_SLACK, high=1 + _SLACK, booleans=True) for name, given in (("a", a), ("b", b)))
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


Bound = float | Sequence[float | None] | None


def control(tokens: Sequence[float], low: Bound = None, high: Bound = None) -> float:
    """Control (paper section 3.2): the share of runs whose thinking keeps to what was asked.

    Args:
        tokens: Mean thinking tokens, one number a run.
        low: The least that was asked for: one number for all runs, or one a run; None for none.
        high: The most that was asked for, likewise.

    Returns:
        The share of the runs, in percent. A run at its bound keeps it.

    Raises:
        ValueError: For tokens or bounds that are no such numbers, or a lower bound above the upper.
    """
    runs = numbers("tokens", tokens, _TOKENS, low=0)
    lows, highs = _bounds("low", low, runs.size, -np.inf), _bounds("high", high, runs.size, np.inf)
    if (crossed := lows > highs).any():
        i = int(np.argmax(crossed))
        raise ValueError(f"low={lows[i]:g} is above high={highs[i]:g} for run {i}: give the smaller one as low")
    return 100 * float(np.mean((lows <= runs) & (runs <= highs)))


def _bounds(name: str, bound: Any, runs: int, free: float) -> Any:
    """A bound for each run; ``free`` where there is none."""
    wanted = "a number of tokens, one for all runs or one a run; None for no bound"
    if bound is None:
        return np.full(runs, free)
    if not isinstance(bound, Sequence | np.ndarray) or isinstance(bound, str):
        return np.full(runs, real(name, bound, wanted, 0))
    if np.ndim(bound) == 0 or len(bound) != runs:
        raise ValueError(f"{name} has {np.size(bound)} bounds for {runs} runs: give one for all, or one a run")
    each = enumerate(bound)
    return np.array([free if b is None else real(f"{name}[{i}]", b, wanted, 0) for i, b in each])


def scaling(tokens: Sequence[float], accuracy: Sequence[float]) -> float:
    """Scaling (paper section 3.2): the mean slope over all pairs of runs.

    The paper doesn't state the unit; its Table 3 comes out with log2 of the tokens.

    Args:
        tokens: Mean thinking tokens of each run, above 0.
        accuracy: Of each run, in percent.

    Returns:
        Percentage points a doubling of thinking tokens. Pairs of runs with equally many tokens
        have no slope and are left out.

    Raises:
        ValueError: For numbers that make no sense, or runs that all have the same tokens.
    """
    x, y = _curve(tokens, accuracy, _SOME_TOKENS, np.nextafter(0, 1))
    i, j = np.triu_indices(x.size, 1)
    run, rise = np.log2(x[j]) - np.log2(x[i]), y[j] - y[i]
    if not (apart := run != 0).any():
        raise ValueError("tokens are the same in every run: a slope takes two runs or more that differ in tokens")
    return float(np.mean(rise[apart] / run[apart]))


def performance(accuracy: Sequence[float]) -> float:
    """Performance (paper section 3.2): the best run's accuracy, in percent.

    Args:
        accuracy: Of each run, in percent.

    Returns:
        The highest of them.

    Raises:
        ValueError: For no runs, or an accuracy outside 0 to 100.
    """
    return float(_percents(accuracy).max())


def _percents(accuracy: Any) -> Any:
    return numbers("accuracy", accuracy, PERCENT, low=-100 * _SLACK, high=100 + 100 * _SLACK)


def _curve(tokens: Any, accuracy: Any, wanted: str, least: float = 0.0) -> tuple[Any, Any]:
    """Tokens and accuracies of the same runs."""
    x, y = numbers("tokens", tokens, wanted, low=least), _percents(accuracy)
    if x.size != y.size:
        raise ValueError(f"{x.size} runs have tokens and {y.size} have an accuracy: give one of each for every run")
    return x, y


@dataclass(frozen=True)
class Score:
    """A method's row of the paper's Table 3, each number with its interval over questions. runs: how many budgets."""

    control: Interval
    scaling: Interval
    performance: Interval
    runs: int

    def __str__(self) -> str:
        return f"control {self.control} %, scaling {self.scaling}, performance {self.performance} %, {self.runs} runs"


def score(
    tokens: Sequence[Sequence[float]],
    correct: Sequence[Sequence[float]],
    low: Bound = None,
    high: Bound = None,
    *,
    resamples: int = 2_000,
    level: float = 0.95,
    seed: int = 0,
) -> Score:
    """Control, Scaling and Performance of one method from its runs, with bootstrap intervals.

    The best of several runs is biased upwards, and its interval with it: compare Performance
    between methods of as many runs. A resample whose runs all come to the same tokens has no slope
    and is left out of Scaling's interval.

    Args:
        tokens: [runs, questions], thinking tokens. Column i of every run is question i, so that a
            resample draws whole questions, with all their runs.
        correct: [runs, questions], outcomes from 0 to 1.
        low: As in :func:`control`.
        high: As in :func:`control`.
        resamples: How often the questions are drawn with replacement.
        level: The interval holds the middle ``level`` of what was drawn.
        seed: Of the generator that draws.

    Returns:
        The three metrics with their intervals, and the number of runs.

    Raises:
        ValueError: For numbers that make no sense, or runs that all have the same tokens.
    """
    grid = "[runs, questions], a list of equally many questions for each run"
    t = numbers("tokens", tokens, f"thinking tokens, 0 or more, as {grid}", low=0, dimensions=2)
    c = numbers(
        "correct", correct, f"outcomes from 0 to 1 as {grid}",
        low=-_SLACK, high=1 + _SLACK, booleans=True, dimensions=2,
    )  # fmt: skip
    if t.shape != c.shape:
        raise ValueError(
            f"tokens and correct are [runs, questions] both, not {t.shape} and {c.shape}: "
            "give both for the same runs and questions"
        )
    resamples, level = whole("resamples", resamples, 1, MOST // 100), share("level", level)
    seed = whole("seed", seed, 0)

    def three(columns: Any) -> tuple[float, float, float]:
        mean, right = t[:, columns].mean(axis=1), 100 * c[:, columns].mean(axis=1)
        flat = np.ptp(mean) == 0 or mean.min() <= 0
        slope = float("nan") if flat and not isinstance(columns, slice) else scaling(mean.tolist(), right.tolist())
        return control(mean.tolist(), low, high), slope, performance(right.tolist())

    measured = three(slice(None))
    generator = np.random.default_rng(seed)
    drawn = np.asarray([three(generator.integers(0, t.shape[1], t.shape[1])) for _ in range(resamples)])
    columns = [column[~np.isnan(column)] for column in drawn.T]
    middle = [(1 - level) / 2, (1 + level) / 2]
    # Where no resample has a slope, its interval is not known.
    ends = [np.quantile(column, middle) if column.size else (np.nan, np.nan) for column in columns]
    kept, slope, best = (Interval(value, float(a), float(b)) for value, (a, b) in zip(measured, ends, strict=True))
    return Score(kept, slope, best, t.shape[0])


def frontier(tokens: Sequence[float], accuracy: Sequence[float]) -> list[int]:
    """The runs that are more accurate than every run of as many tokens or fewer.

    Args:
        tokens: Mean tokens of each run, 0 or more.
        accuracy: Of each run, in percent.

    Returns:
        Their numbers, cheapest first. Of runs with equal tokens and accuracy the earlier stands for
        both.

    Raises:
        ValueError: For numbers that make no sense, or lists of different lengths.
    """
    x, y = _curve(tokens, accuracy, _TOKENS)
    found: list[int] = []
    for i in sorted(range(x.size), key=lambda i: (x[i], -y[i], i)):
        if not found or y[i] > y[found[-1]]:
            found.append(i)
    return found


@dataclass(frozen=True)
class Flips:
    """How many answers two runs agree on, and how many turned each way from the first to the second."""

    right_to_wrong: int
    wrong_to_right: int
    both_right: int
    both_wrong: int

    def __str__(self) -> str:
        return f"{self.wrong_to_right} mended, {self.right_to_wrong} broken"


def flips(before: Sequence[bool], after: Sequence[bool]) -> Flips:
    """Count the answers that changed between two runs, question by question.

    Args:
        before: Outcomes of the first run, right or wrong.
        after: Outcomes of the second run on the same questions.

    Returns:
        How many went from right to wrong, from wrong to right, and stayed.

    Raises:
        ValueError: For lists that don't pair, or an outcome that is neither right nor wrong.
    """
    return _flips(("before", before), ("after", after))


def _flips(first: tuple[str, Any], second: tuple[str, Any]) -> Flips:
    """:func:`flips`, under the names that the caller knows its arguments by."""
    a, b = outcomes(*first), outcomes(*second)
    if a.size != b.size:
        raise ValueError(
            f"{first[0]} has {a.size} outcomes and {second[0]} has {b.size}, but they pair question "
            "by question: give both one for each question"
        )
    counts = (a & ~b, ~a & b, a & b, ~a & ~b)
    return Flips(*(int(which.sum()) for which in counts))


def mcnemar(a: Sequence[bool], b: Sequence[bool]) -> float:
    """McNemar's exact test, two-sided.

    Args:
        a: Outcomes of one run, right or wrong.
        b: Outcomes of the other run on the same questions.

    Returns:
        The p-value: how likely flips as uneven as these are, were both runs equally good. Only
        questions on which the runs differ count; with none of them it is 1.

    Raises:
        ValueError: For lists that don't pair, or an outcome that is neither right nor wrong.
    """
    found = _flips(("a", a), ("b", b))
    n = found.right_to_wrong + found.wrong_to_right
    return float(stats.binomtest(found.wrong_to_right, n, 0.5).pvalue) if n else 1.0


def smallest_difference(n: int, *, disagree: float | None = None, level: float = 0.95, power: float = 0.8) -> float:
    """The smallest difference between two runs that a benchmark of ``n`` questions can show.

    Args:
        n: Questions of the benchmark.
        disagree: The share of questions, in percent, on which the runs differ. None is the best
            case: every answer that changes changes the same way. On AIME24 that takes 6 of 30
            questions, 20 points.
        level: McNemar's exact test is to call the difference at this level.
        power: With ``disagree``, how often the test is to find the difference, summed over how many
            questions come to differ; above 1 - level.

    Returns:
        The difference in percentage points. NaN where even all answers that change, all of them one
        way, would not do.

    Raises:
        ValueError: For numbers that make no sense.
    """
    n, level, power = whole("n", n, 1, MOST), share("level", level), share("power", power)
    if disagree is None:
        least = next((k for k in range(1, n + 1) if 2 * 0.5**k <= 1 - level), None)
        return 100 * least / n if least else float("nan")
    wanted = "the percentage of questions on which the runs differ, above 0 and at most 100"
    disagree = real("disagree", disagree, wanted, np.nextafter(0, 1), 100)
    if power <= 1 - level:
        raise ValueError(
            f"power={power:g} is not above 1 - level={1 - level:g}, which two equal runs reach by "
            "chance: raise the power or the level"
        )
    differing = disagree / 100
    # Numbers of differing questions that hardly ever come up are left out; of many, a part stands
    # for all, because from one to the next the chance to find the difference hardly changes.
    ends = stats.binom.ppf([1e-18, 1 - 1e-16], n, differing)
    differ = np.arange(max(0, int(ends[0]) - 10), min(n, int(ends[1]) + 10) + 1)
    differ = differ[:: 1 + differ.size // 801]
    chance = stats.binom.pmf(differ, n, differing)
    chance /= chance.sum()
    # The test calls a difference where at most so many of those that differ go one way; -1 where too few differ for any call.
    tail = np.where(2 * stats.binom.cdf(0, differ, 0.5) <= 1 - level, stats.binom.ppf((1 - level) / 2, differ, 0.5), -1)
    tail = np.where(2 * stats.binom.cdf(tail, differ, 0.5) > 1 - level, tail - 1, tail)

    def found(difference: float) -> float:
        upwards = (1 + difference / differing) / 2  # of those that differ, the share that goes the better way
        return float(
            (chance * (stats.binom.cdf(tail, differ, upwards) + stats.binom.sf(differ - tail - 1, differ, upwards))).sum()
        )

    if found(differing) < power:
        return float("nan")
    return 100 * float(optimize.brentq(lambda d: found(d) - power, 0.0, differing, xtol=1e-6))


@dataclass(frozen=True)
class Fit:
    """Accuracy as a straight line over log2 of thinking tokens. slope: points a doubling, with its interval."""

    slope: Interval
    intercept: float
    level: float
    _x: tuple[float, ...]
    _spread: float  # standard deviation of what the line leaves

    def at(self, tokens: float) -> Interval:
        """The line at so many thinking tokens, with the band within which the true line lies.

        Raises ValueError for tokens that are not above 0.
        """
        tokens = real("tokens", tokens, "a number of thinking tokens above 0", np.nextafter(0, 1))
        x = np.asarray(self._x)
        place = np.log2(tokens)
        error = self._spread * np.sqrt(1 / x.size + (place - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum())
        half = float(stats.t.ppf((1 + self.level) / 2, x.size - 2) * error)
        value = float(self.intercept + self.slope.value * place)
        return Interval(value, value - half, value + half)


def scaling_fit(tokens: Sequence[float], accuracy: Sequence[float], *, level: float = 0.95) -> Fit:
    """Least squares of accuracy on log2 of mean thinking tokens, with a band around the line.

    Args:
        tokens: Mean thinking tokens of each run, above 0; three runs or more.
        accuracy: Of each run, in percent.
        level: Of the slope's interval and of the band.

    Returns:
        The line, and its slope in percentage points a doubling.

    Raises:
        ValueError: For numbers that make no sense, fewer than three runs, or runs that all have the
            same tokens.
    """
    x, y = _curve(tokens, accuracy, _SOME_TOKENS, np.nextafter(0, 1))
    x, level = np.log2(x), share("level", level)
    if x.size < 3 or np.ptp(x) == 0:
        raise ValueError(
            "tokens must differ and be those of three runs or more for a line with a band: "
            f"these are {x.size} run{'s' * (x.size != 1)} at {np.unique(x).size} different"
        )
    line = stats.linregress(x, y)
    half = float(stats.t.ppf((1 + level) / 2, x.size - 2) * line.stderr)
    slope = Interval(float(line.slope), float(line.slope) - half, float(line.slope) + half)
    left = y - (line.intercept + line.slope * x)
    return Fit(slope, float(line.intercept), level, tuple(x.tolist()), float(np.sqrt((left**2).sum() / (x.size - 2))))


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
