"""The paper's metrics (Control, Scaling, Performance), the frontier of runs, and a fitted line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from s1lab.evaluation.arguments import PERCENT, numbers, real, share, whole
from s1lab.evaluation.intervals import (
    MOST,
    SLACK,
    Interval,
    Unpaired,
    accuracy_interval,
    paired_bootstrap,
    share_interval,
    unpaired,
)
from s1lab.evaluation.paired import Flips, flips, mcnemar, smallest_difference

__all__ = [
    "Fit",
    "Flips",
    "Interval",
    "Score",
    "Unpaired",
    "accuracy_interval",
    "control",
    "flips",
    "frontier",
    "mcnemar",
    "paired_bootstrap",
    "performance",
    "scaling",
    "scaling_fit",
    "score",
    "share_interval",
    "smallest_difference",
    "unpaired",
]

# The input that error messages ask for.
_TOKENS = "one number of thinking tokens a run, 0 or more"
_SOME_TOKENS = "one number of thinking tokens a run, above 0: no tokens have no logarithm"
Bound = float | Sequence[float | None] | None


def control(tokens: Sequence[float], low: Bound = None, high: Bound = None) -> float:
    """Control (paper section 3.2): the share of runs whose thinking stays within the limits.

    Args:
        tokens: Mean thinking tokens, one number a run.
        low: The smallest number of tokens that was requested: one number for all runs, or one a
            run. None means no lower limit.
        high: The largest number of tokens that was requested, in the same form.

    Returns:
        The share of the runs, in percent. A run exactly at its limit counts as within it.

    Raises:
        ValueError: Tokens or bounds are not such numbers, or a lower bound is above the upper one.

    Example:
        >>> lab.metrics.control([480, 1010], high=[500, 1000])
        50.0
    """
    runs = numbers("tokens", tokens, _TOKENS, low=0)
    lows, highs = _bounds("low", low, runs.size, -np.inf), _bounds("high", high, runs.size, np.inf)
    if (crossed := lows > highs).any():
        i = int(np.argmax(crossed))
        raise ValueError(
            f"low={lows[i]:g} is above high={highs[i]:g} for run {i}: give the smaller one as low"
        )
    return 100 * float(np.mean((lows <= runs) & (runs <= highs)))


def _bounds(name: str, bound: Any, runs: int, free: float) -> Any:
    """A bound for each run; ``free`` for a run without one."""
    wanted = "a number of tokens, one for all runs or one a run; None for no bound"
    if bound is None:
        return np.full(runs, free)
    if not isinstance(bound, Sequence | np.ndarray) or isinstance(bound, str):
        return np.full(runs, real(name, bound, wanted, 0))
    if np.ndim(bound) == 0 or len(bound) != runs:
        raise ValueError(
            f"{name} has {np.size(bound)} bounds for {runs} runs: give one for all, or one a run"
        )
    each = enumerate(bound)
    return np.array([free if b is None else real(f"{name}[{i}]", b, wanted, 0) for i, b in each])


def scaling(tokens: Sequence[float], accuracy: Sequence[float]) -> float:
    """Scaling (paper section 3.2): the mean slope over all pairs of runs.

    The paper does not state the unit. Its Table 3 comes out with log2 of the tokens.

    Args:
        tokens: Mean thinking tokens of each run, above 0.
        accuracy: The accuracy of each run, in percent.

    Returns:
        Percentage points for each doubling of the thinking tokens. Pairs of runs with equally many
        tokens have no slope and are left out.

    Raises:
        ValueError: A number is out of range, or all runs have the same tokens.

    Example:
        >>> lab.metrics.scaling([500, 1000, 2000], [30, 40, 50])
        10.0
    """
    x, y = _curve(tokens, accuracy, _SOME_TOKENS, np.nextafter(0, 1))
    # All pairs, as the paper has it, and not neighbours or a fitted line: those give other numbers.
    i, j = np.triu_indices(x.size, 1)
    run, rise = np.log2(x[j]) - np.log2(x[i]), y[j] - y[i]
    if not (apart := run != 0).any():
        raise ValueError(
            "tokens are the same in every run: a slope takes two runs or more that differ in tokens"
        )
    return float(np.mean(rise[apart] / run[apart]))


def performance(accuracy: Sequence[float]) -> float:
    """Performance (paper section 3.2): the best run's accuracy, in percent.

    Args:
        accuracy: The accuracy of each run, in percent.

    Returns:
        The highest accuracy.

    Raises:
        ValueError: There are no runs, or an accuracy is outside 0 to 100.

    Example:
        >>> lab.metrics.performance([50.0, 56.7, 53.3])
        56.7
    """
    return float(_percents(accuracy).max())


def _percents(accuracy: Any) -> Any:
    return numbers("accuracy", accuracy, PERCENT, low=-100 * SLACK, high=100 + 100 * SLACK)


def _curve(tokens: Any, accuracy: Any, wanted: str, least: float = 0.0) -> tuple[Any, Any]:
    """Tokens and accuracies of the same runs."""
    x, y = numbers("tokens", tokens, wanted, low=least), _percents(accuracy)
    if x.size != y.size:
        raise ValueError(
            f"{x.size} runs have tokens and {y.size} have an accuracy: give one of each for every "
            "run"
        )
    return x, y


@dataclass(frozen=True)
class Score:
    """A method's row of the paper's Table 3, each number with its interval over questions.

    Attributes:
        control: Control, in percent.
        scaling: Scaling, in percentage points for each doubling of the thinking tokens.
        performance: Performance, in percent.
        runs: The number of runs, one a budget.
    """

    control: Interval
    scaling: Interval
    performance: Interval
    runs: int

    def __str__(self) -> str:
        return (
            f"control {self.control} %, scaling {self.scaling}, performance {self.performance} %, "
            f"{self.runs} runs"
        )


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

    The best of several runs is biased upwards, and so is its interval. Compare Performance only
    between methods with equally many runs. A resample in which all runs have the same tokens has no
    slope. It is left out of Scaling's interval.

    Args:
        tokens: [runs, questions], thinking tokens. Column i of every run is question i, so that a
            resample draws whole questions, with all their runs.
        correct: [runs, questions], outcomes from 0 to 1.
        low: As in `control`.
        high: As in `control`.
        resamples: How often the questions are drawn with replacement.
        level: The interval contains the middle ``level`` of the drawn values.
        seed: The seed of the generator that draws.

    Returns:
        The three metrics with their intervals, and the number of runs.

    Raises:
        ValueError: A number is out of range, or all runs have the same tokens.

    Example:
        >>> print(lab.metrics.score([[100, 120], [400, 380]], [[0, 1], [1, 1]]).performance)
        100.0 [100.0, 100.0]
    """
    grid = "[runs, questions], a list of equally many questions for each run"
    t = numbers("tokens", tokens, f"thinking tokens, 0 or more, as {grid}", low=0, dimensions=2)
    c = numbers(
        "correct", correct, f"outcomes from 0 to 1 as {grid}",
        low=-SLACK, high=1 + SLACK, booleans=True, dimensions=2,
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
        slope = (
            float("nan")
            if flat and not isinstance(columns, slice)
            else scaling(mean.tolist(), right.tolist())
        )
        return control(mean.tolist(), low, high), slope, performance(right.tolist())

    # A resample draws whole questions with all their runs, as one answer to a question says much
    # about the others. SciPy's bootstrap can't leave out a resample without a slope.
    measured = three(slice(None))
    generator = np.random.default_rng(seed)
    drawn = np.asarray(
        [three(generator.integers(0, t.shape[1], t.shape[1])) for _ in range(resamples)]
    )
    columns = [column[~np.isnan(column)] for column in drawn.T]
    middle = [(1 - level) / 2, (1 + level) / 2]
    # If no resample has a slope, the interval of Scaling is not known.
    ends = [np.quantile(column, middle) if column.size else (np.nan, np.nan) for column in columns]
    kept, slope, best = (
        Interval(value, float(a), float(b)) for value, (a, b) in zip(measured, ends, strict=True)
    )
    return Score(kept, slope, best, t.shape[0])


def frontier(tokens: Sequence[float], accuracy: Sequence[float]) -> list[int]:
    """The runs that are more accurate than every run with as many tokens or fewer.

    Args:
        tokens: Mean tokens of each run, 0 or more.
        accuracy: The accuracy of each run, in percent.

    Returns:
        The positions of these runs, cheapest first. If runs have equal tokens and equal accuracy,
        only the earliest is returned.

    Raises:
        ValueError: A number is out of range, or the lists have different lengths.

    Example:
        >>> lab.metrics.frontier([100, 200, 300], [20, 50, 40])
        [0, 1]
    """
    x, y = _curve(tokens, accuracy, _TOKENS)
    found: list[int] = []
    for i in sorted(range(x.size), key=lambda i: (x[i], -y[i], i)):
        if not found or y[i] > y[found[-1]]:
            found.append(i)
    return found


@dataclass(frozen=True)
class Fit:
    """Accuracy as a straight line over log2 of the thinking tokens.

    Attributes:
        slope: Percentage points for each doubling, with their interval.
        intercept: The accuracy of the line at one token, in percent.
        level: The level of the slope's interval and of the band.
    """

    slope: Interval
    intercept: float
    level: float
    _x: tuple[float, ...]
    _spread: float  # standard deviation of the residuals

    def at(self, tokens: float) -> Interval:
        """The line at a number of thinking tokens, with the band that contains the true line.

        Args:
            tokens: Thinking tokens, above 0.

        Returns:
            The accuracy and its band, in percent.

        Raises:
            ValueError: The tokens are not above 0.
        """
        from scipy import stats  # imported here, because it takes half a second

        tokens = real("tokens", tokens, "a number of thinking tokens above 0", np.nextafter(0, 1))
        x = np.asarray(self._x)
        place = np.log2(tokens)
        error = self._spread * np.sqrt(
            1 / x.size + (place - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum()
        )
        half = float(stats.t.ppf((1 + self.level) / 2, x.size - 2) * error)
        value = float(self.intercept + self.slope.value * place)
        return Interval(value, value - half, value + half)


def scaling_fit(tokens: Sequence[float], accuracy: Sequence[float], *, level: float = 0.95) -> Fit:
    """Fit accuracy to log2 of the mean thinking tokens by least squares, with a band.

    Args:
        tokens: Mean thinking tokens of each run, above 0; at least three runs.
        accuracy: The accuracy of each run, in percent.
        level: The level of the slope's interval and of the band.

    Returns:
        The line. Its slope is in percentage points for each doubling.

    Raises:
        ValueError: A number is out of range, there are fewer than three runs, or all runs have the
            same tokens.

    Example:
        >>> print(lab.metrics.scaling_fit([500, 1000, 2000, 4000], [30, 41, 49, 60]).slope)
        9.8 [8.0, 11.6]
    """
    from scipy import stats  # imported here, because it takes half a second

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
    return Fit(
        slope,
        float(line.intercept),
        level,
        tuple(x.tolist()),
        float(np.sqrt((left**2).sum() / (x.size - 2))),
    )
