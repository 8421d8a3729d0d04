"""Two methods on the same questions: which answers flipped, and what a test can detect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from s1lab.evaluation.arguments import outcomes, percentage, real, share, shown, whole
from s1lab.evaluation.intervals import MOST


@dataclass(frozen=True)
class Flips:
    """How many answers two runs share, and how many changed from the first run to the second."""

    right_to_wrong: int
    wrong_to_right: int
    both_right: int
    both_wrong: int

    def __str__(self) -> str:
        return f"{self.wrong_to_right} wrong to right, {self.right_to_wrong} right to wrong"


def flips(before: Sequence[bool], after: Sequence[bool]) -> Flips:
    """Count the answers that changed between two runs, question by question.

    Args:
        before: Outcomes of the first run, right or wrong.
        after: Outcomes of the second run on the same questions.

    Returns:
        How many went from right to wrong, how many from wrong to right, and how many stayed.

    Raises:
        ValueError: The lists have different lengths, or an outcome is neither right nor wrong.

    Example:
        >>> lab.metrics.flips([True, False, True], [True, True, False])
        Flips(right_to_wrong=1, wrong_to_right=1, both_right=1, both_wrong=0)
    """
    return _flips(("before", before), ("after", after))


def _flips(first: tuple[str, Any], second: tuple[str, Any]) -> Flips:
    """`flips`, with the argument names that the caller uses."""
    a, b = outcomes(*first), outcomes(*second)
    if a.size != b.size:
        raise ValueError(
            f"{first[0]} has {a.size} outcomes and {second[0]} has {b.size}, but they pair "
            "question by question: give both one for each question"
        )
    counts = (a & ~b, ~a & b, a & b, ~a & ~b)
    return Flips(*(int(which.sum()) for which in counts))


def mcnemar(a: Sequence[bool], b: Sequence[bool]) -> float:
    """McNemar's exact test, two-sided.

    Args:
        a: Outcomes of one run, right or wrong.
        b: Outcomes of the other run on the same questions.

    Returns:
        The p-value: how likely flips at least as uneven as these are if both runs are equally good.
        Only questions on which the runs differ count. If there are none, it is 1.

    Raises:
        ValueError: The lists have different lengths, or an outcome is neither right nor wrong.

    Example:
        >>> lab.metrics.mcnemar([True] * 6 + [False], [False] * 7)
        0.03125
    """
    from scipy import stats  # imported here, because it takes half a second

    found = _flips(("a", a), ("b", b))
    n = found.right_to_wrong + found.wrong_to_right
    return float(stats.binomtest(found.wrong_to_right, n, 0.5).pvalue) if n else 1.0


def smallest_difference(
    n: int, *, disagree: float | None = None, level: float = 0.95, power: float = 0.8
) -> float:
    """The smallest difference between two runs that a benchmark of ``n`` questions can show.

    Args:
        n: The number of questions of the benchmark.
        disagree: The share of questions, in percent, on which the runs differ. None is the best
            case: all answers that change, change in the same direction. On AIME24 that takes 6 of
            30 questions, 20 points.
        level: McNemar's exact test must find the difference at this level.
        power: With ``disagree``: how often the test must find the difference, summed over the
            possible numbers of differing questions. It must be above 1 - level.

    Returns:
        The difference in percentage points. NaN if the test could not find it even if all answers
        that change did so in the same direction.

    Raises:
        ValueError: A number is out of range.

    Example:
        >>> lab.metrics.smallest_difference(30)
        20.0
    """
    from scipy import optimize, stats  # imported here, because it takes half a second

    n, level, power = whole("n", n, 1, MOST), share("level", level), share("power", power)
    if disagree is None:
        least = next((k for k in range(1, n + 1) if 2 * 0.5**k <= 1 - level), None)
        return 100 * least / n if least else float("nan")
    wanted = "the percentage of questions on which the runs differ, above 0 and at most 100"
    if real("disagree", disagree, wanted) <= 0:
        raise ValueError(f"disagree={shown(disagree)} is out of range: give {wanted}")
    disagree = percentage("disagree", disagree, n, wanted)
    if power <= 1 - level:
        raise ValueError(
            f"power={power:g} is not above 1 - level={1 - level:g}, which two equal runs reach by "
            "chance: raise the power or the level"
        )
    differing = disagree / 100
    # Very rare numbers of differing questions are left out. If there are many, only some are used,
    # because the chance to find the difference hardly changes from one to the next.
    ends = stats.binom.ppf([1e-18, 1 - 1e-16], n, differing)
    differ = np.arange(max(0, int(ends[0]) - 10), min(n, int(ends[1]) + 10) + 1)
    differ = differ[:: 1 + differ.size // 801]
    chance = stats.binom.pmf(differ, n, differing)
    chance /= chance.sum()
    # The test finds a difference if at most this many of the differing questions go one way. It is
    # -1 if too few differ for the test to find anything.
    tail = np.where(
        2 * stats.binom.cdf(0, differ, 0.5) <= 1 - level,
        stats.binom.ppf((1 - level) / 2, differ, 0.5),
        -1,
    )
    tail = np.where(2 * stats.binom.cdf(tail, differ, 0.5) > 1 - level, tail - 1, tail)

    def found(difference: float) -> float:
        # The share of the differing questions that go from wrong to right.
        upwards = (1 + difference / differing) / 2
        return float(
            (
                chance
                * (
                    stats.binom.cdf(tail, differ, upwards)
                    + stats.binom.sf(differ - tail - 1, differ, upwards)
                )
            ).sum()
        )

    if found(differing) < power:
        return float("nan")
    return 100 * float(optimize.brentq(lambda d: found(d) - power, 0.0, differing, xtol=1e-6))
