"""What a run's numbers are worth: intervals and paired tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, stats


@dataclass(frozen=True)
class Interval:
    """A number with its interval, all in the unit of what came in."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1f} [{self.low:.1f}, {self.high:.1f}]"


def accuracy_interval(correct: Sequence[bool], level: float = 0.95) -> Interval:
    """Accuracy in percent with its Wilson score interval: sound at 0 % and 100 % too, where the bootstrap has no width."""
    outcomes = np.asarray(correct, dtype=bool)
    if not outcomes.size:
        raise ValueError("no outcomes: grade at least one question")
    found = stats.binomtest(int(outcomes.sum()), outcomes.size).proportion_ci(level, method="wilson")
    return Interval(100 * float(outcomes.mean()), 100 * float(found.low), 100 * float(found.high))


def share_interval(percent: float, n: int, level: float = 0.95) -> Interval:
    """The same for an accuracy that was published, in percent of n questions; it need not be a whole number of them.

    Raises ValueError for a percentage outside 0 to 100, no questions, or a level that is no share.
    """
    if not 0 <= percent <= 100 or n < 1 or not 0 < level < 1:
        raise ValueError(
            f"{percent} % of {n} at the level {level}: accuracies are percents from 0 to 100, of at least one question"
        )
    z, share = float(stats.norm.ppf((1 + level) / 2)), percent / 100
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    return Interval(percent, 100 * max(0.0, middle - half), 100 * min(1.0, middle + half))


def paired_bootstrap(
    a: Sequence[float], b: Sequence[float], *, resamples: int = 10_000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Mean of ``a - b`` over the same questions, in percentage points, with its paired bootstrap interval (paper Table 2).

    a, b: outcomes (booleans, or numbers from 0 to 1), row i of both for question i. Questions are drawn with replacement
    ``resamples`` times from a seeded generator; the interval holds the middle ``level`` of the means.
    """
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if x.shape != y.shape or x.ndim != 1 or not x.size:
        raise ValueError(f"a and b pair question by question: give two equal, non-empty lists, not {x.shape} and {y.shape}")
    difference = x - y
    generator = np.random.default_rng(seed)
    means = np.concatenate(
        [
            difference[generator.integers(0, x.size, (chunk, x.size))].mean(axis=1)
            for chunk in np.diff(np.r_[0:resamples:500, resamples])
        ]
    )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(100 * float(difference.mean()), 100 * float(low), 100 * float(high))


Bound = float | Sequence[float | None] | None


def control(tokens: Sequence[float], low: Bound = None, high: Bound = None) -> float:
    """Control (paper section 3.2): the share of runs, in percent, whose mean thinking tokens keep to what was asked.

    tokens: one number a run. low, high: the bounds, one for all or one a run; None bounds nothing.
    """
    runs = _runs(tokens)
    bounds = []
    for name, bound, free in (("low", low, -np.inf), ("high", high, np.inf)):
        listed = list(bound) if isinstance(bound, Sequence) else [bound] * runs.size
        if len(listed) != runs.size:
            raise ValueError(f"{name} has {len(listed)} bounds for {runs.size} runs: give one for all, or one a run")
        bounds.append(np.asarray([free if b is None else b for b in listed], dtype=float))
    return 100 * float(np.mean((bounds[0] <= runs) & (runs <= bounds[1])))


def scaling(tokens: Sequence[float], accuracy: Sequence[float]) -> float:
    """Scaling (paper section 3.2): the mean slope over all pairs of runs, in percentage points a doubling of thinking tokens.

    tokens: mean thinking tokens of each run. accuracy: in percent. The paper doesn't state the unit; its Table 3 comes out with
    log2 of the tokens. Pairs of runs with equally many tokens have no slope and are left out.
    """
    x, y = _runs(tokens), _runs(accuracy)
    if x.size != y.size:
        raise ValueError(f"{x.size} runs have tokens and {y.size} have an accuracy: give both of each")
    if (x <= 0).any():
        raise ValueError("a run of no thinking tokens has no logarithm: leave it out")
    i, j = np.triu_indices(x.size, 1)
    run, rise = np.log2(x[j]) - np.log2(x[i]), y[j] - y[i]
    if not (apart := run != 0).any():
        raise ValueError("all runs have equally many tokens: a slope takes two that differ")
    return float(np.mean(rise[apart] / run[apart]))


def performance(accuracy: Sequence[float]) -> float:
    """Performance (paper section 3.2): the best run's accuracy."""
    return float(_runs(accuracy).max())


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
    """Control, Scaling and Performance of one method from its runs, question by question, with bootstrap intervals.

    tokens, correct: [runs, questions], thinking tokens and outcomes (0 to 1); column i of all is question i, so that a resample
        draws whole questions, with all their runs. low, high: as in :func:`control`.
    The best of several runs is biased upwards, and its interval with it: compare Performance between methods of as many runs.
    A resample whose runs all come to the same tokens has no slope and is left out of Scaling's interval.
    """
    t, c = np.asarray(tokens, dtype=float), np.asarray(correct, dtype=float)
    if t.shape != c.shape or t.ndim != 2 or not t.size:
        raise ValueError(f"tokens and correct are [runs, questions] both, not {t.shape} and {c.shape}")

    def three(columns: Any) -> tuple[float, float, float]:
        mean, right = t[:, columns].mean(axis=1), 100 * c[:, columns].mean(axis=1)
        flat = np.ptp(mean) == 0 or mean.min() <= 0
        slope = float("nan") if flat and not isinstance(columns, slice) else scaling(mean.tolist(), right.tolist())
        return control(mean.tolist(), low, high), slope, performance(right.tolist())

    measured = three(slice(None))
    generator = np.random.default_rng(seed)
    drawn = np.asarray([three(generator.integers(0, t.shape[1], t.shape[1])) for _ in range(resamples)])
    ends = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    kept, slope, best = (Interval(v, float(a), float(b)) for v, a, b in zip(measured, *ends, strict=True))
    return Score(kept, slope, best, t.shape[0])


def frontier(tokens: Sequence[float], accuracy: Sequence[float]) -> list[int]:
    """The runs, by number, that are more accurate than every run of as many tokens or fewer; cheapest first.

    Of runs with equal tokens and accuracy the earlier stands for both.
    """
    x, y = _runs(tokens), _runs(accuracy)
    if x.size != y.size:
        raise ValueError(f"{x.size} runs have tokens and {y.size} have an accuracy: give both of each")
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
    """Count the answers that went from right to wrong and from wrong to right between two rungs, question by question."""
    a, b = _outcomes(before, after)
    return Flips(int((a & ~b).sum()), int((~a & b).sum()), int((a & b).sum()), int((~a & ~b).sum()))


def mcnemar(a: Sequence[bool], b: Sequence[bool]) -> float:
    """McNemar's exact test, two-sided: the p-value of as uneven flips between two runs on the same questions, were both as good.

    Only questions on which the runs differ count; with none of them p is 1.
    """
    found = flips(a, b)
    n = found.right_to_wrong + found.wrong_to_right
    return float(stats.binomtest(found.wrong_to_right, n, 0.5).pvalue) if n else 1.0


def smallest_difference(n: int, *, disagree: float | None = None, level: float = 0.95, power: float = 0.8) -> float:
    """The smallest difference between two runs, in percentage points, that a benchmark of ``n`` questions can show.

    disagree=None is the best case: every answer that changes changes the same way, and McNemar's exact test is to call it at
        ``level``. On AIME24 that takes 6 of 30 questions, 20 points. NaN where not even all of them would do.
    disagree: the share of questions, in percent, on which the runs differ; then it is the difference that the same test finds
        with probability ``power``, summed over how many questions come to differ. NaN where even ``disagree`` itself, all of it
        one way, is not found as often.
    """
    if n < 1:
        raise ValueError(f"n={n}: a benchmark has at least one question")
    if disagree is None:
        least = next((k for k in range(1, n + 1) if 2 * 0.5**k <= 1 - level), None)
        return 100 * least / n if least else float("nan")
    if not 0 < disagree <= 100:
        raise ValueError(f"disagree={disagree} is outside 0 to 100 %: give the share of questions on which the runs differ")
    share, differ = disagree / 100, np.arange(n + 1)
    chance = stats.binom.pmf(differ, n, share)
    # The test calls a difference where at most so many of those that differ go one way; -1 where too few differ for any call.
    tail = np.where(2 * stats.binom.cdf(0, differ, 0.5) <= 1 - level, stats.binom.ppf((1 - level) / 2, differ, 0.5), -1)
    tail = np.where(2 * stats.binom.cdf(tail, differ, 0.5) > 1 - level, tail - 1, tail)

    def found(difference: float) -> float:
        upwards = (1 + difference / share) / 2  # of those that differ, the share that goes the better way
        return float(
            (chance * (stats.binom.cdf(tail, differ, upwards) + stats.binom.sf(differ - tail - 1, differ, upwards))).sum()
        )

    if found(share) < power:
        return float("nan")
    return 100 * float(optimize.brentq(lambda d: found(d) - power, 0.0, share, xtol=1e-6))


@dataclass(frozen=True)
class Fit:
    """Accuracy as a straight line over log2 of thinking tokens. slope: points a doubling, with its interval."""

    slope: Interval
    intercept: float
    level: float
    _x: tuple[float, ...]
    _spread: float  # standard deviation of what the line leaves

    def at(self, tokens: float) -> Interval:
        """The line at so many thinking tokens, with the band within which the true line lies."""
        x = np.asarray(self._x)
        place = np.log2(tokens)
        error = self._spread * np.sqrt(1 / x.size + (place - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum())
        half = float(stats.t.ppf((1 + self.level) / 2, x.size - 2) * error)
        value = float(self.intercept + self.slope.value * place)
        return Interval(value, value - half, value + half)


def scaling_fit(tokens: Sequence[float], accuracy: Sequence[float], *, level: float = 0.95) -> Fit:
    """Least squares of accuracy (percent) on log2 of mean thinking tokens, at least three runs, with a band around the line."""
    x, y = np.log2(_runs(tokens)), _runs(accuracy)
    if x.size != y.size or x.size < 3 or np.ptp(x) == 0:
        raise ValueError(f"a line with a band takes three runs or more that differ in tokens, not {x.size} of {y.size}")
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

    a, b: accuracies in percent on n and m questions (m: None for as many). The difference has Newcombe's interval (from Wilson's
    of each), the gain that of its logarithm, the test is Fisher's on the nearest counts. An accuracy that is no whole number of
    questions (a mean over samples) is taken as it is. The same questions asked of both would tell more: see :func:`mcnemar`.
    Raises ValueError for an accuracy outside 0 to 100.
    """
    m = n if m is None else m
    (p, p_low, p_high), (q, q_low, q_high) = (
        (i.value / 100, i.low / 100, i.high / 100) for i in (share_interval(a, n, level), share_interval(b, m, level))
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


def _runs(numbers: Sequence[float]) -> Any:
    values = np.asarray(numbers, dtype=float)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"give one finite number a run, not {numbers!r}")
    return values


def _outcomes(a: Sequence[bool], b: Sequence[bool]) -> tuple[Any, Any]:
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if x.shape != y.shape or x.ndim != 1 or not x.size:
        raise ValueError(f"the runs pair question by question: give two equal, non-empty lists, not {x.shape} and {y.shape}")
    if not (np.isin(x, (0, 1)).all() and np.isin(y, (0, 1)).all()):
        raise ValueError("an outcome is right or wrong, 1 or 0: means over samples can't flip, compare them by paired_bootstrap")
    return x.astype(bool), y.astype(bool)
