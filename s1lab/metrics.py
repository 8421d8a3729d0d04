"""What a run's numbers are worth: intervals and paired tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


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
