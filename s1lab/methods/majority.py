"""The chance that a majority of k draws is right, computed exactly."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from s1lab.evaluation.arguments import shown, whole

TABLE = 256  # most samples for which the result for every k is computed at once, and cached


def elected(counts: Sequence[int], silent: int, k: int | None = None) -> Any:
    """The chance of each answer to win a vote of k samples, drawn without replacement.

    Args:
        counts: The number of samples of each answer.
        silent: The number of samples without an answer.
        k: How many samples are drawn; None for every k from 0 to all of them.

    Returns:
        The probability of each answer, an array [answer]; for k=None an array [k, answer]. It is
        right to 12 decimals for thousands of samples.

    Raises:
        ValueError: A number is not such a count.

    Example:
        elected([2, 1], 0, 1).round(3).tolist()  # [0.667, 0.333]
    """
    if isinstance(counts, (str, bytes)) or not isinstance(counts, Sequence | np.ndarray):
        raise ValueError(f"counts={shown(counts)} is no list: give the samples of each answer")
    sizes = tuple(whole(f"counts[{i}]", count, 0) for i, count in enumerate(counts))
    silent = whole("silent", silent, 0)
    n = sum(sizes) + silent
    if k is not None:
        k = whole("k", k, 0, n)
    if n <= TABLE:
        return _table(sizes, silent) if k is None else _table(sizes, silent)[k]
    if k is None:
        return np.array([_row(sizes, silent, k) for k in range(n + 1)]).reshape(n + 1, len(sizes))
    return _row(sizes, silent, k)


@lru_cache(4096)
def _table(counts: tuple[int, ...], silent: int) -> Any:
    """Compute all k at once, by a table over the answers instead of over the subsets.

    For each number of votes t it counts the ways in which an answer has t votes and s others have t
    too. The answer then has a share of 1 / (s + 1). The ways are counted in floats, which overflow
    beyond 1,000 samples.
    """
    n = sum(counts) + silent
    table = np.zeros((n + 1, len(counts)))
    subsets = np.asarray([float(math.comb(n, k)) for k in range(n + 1)])
    for own in set(counts):
        others = list(counts)
        others.remove(own)
        won = np.zeros(n + 1)
        for votes in range(1, own + 1):
            ways = _ways(others, silent, votes, n)
            shares = (ways / (1 + np.arange(ways.shape[1]))).sum(1)
            won[votes:] += math.comb(own, votes) * shares[: n + 1 - votes]
        table[:, [count == own for count in counts]] = (won / subsets)[:, None]
    table.setflags(write=False)
    return table


def _ways(others: list[int], silent: int, votes: int, n: int) -> Any:
    """Count the ways to choose other answers' samples, none with more than ``votes``.

    Args:
        others: The number of samples of each other answer.
        silent: The number of samples without an answer.
        votes: The winner's votes.
        n: The number of all samples.

    Returns:
        An array [chosen, tied]: how many of the others' samples are chosen, and how many of the
        other answers have exactly ``votes`` votes.
    """
    ways = np.zeros((n + 1, min(len(others), n // votes) + 1))
    ways[: silent + 1, 0] = [math.comb(silent, c) for c in range(silent + 1)]
    for size in others:
        before, ways = ways, np.zeros_like(ways)
        for taken in range(min(size, votes) + 1):
            added = math.comb(size, taken) * before[: n + 1 - taken]
            if taken < votes:
                ways[taken:] += added
            else:
                ways[taken:, 1:] += added[:, :-1]
    return ways


NEVER = 1e-18  # a probability that is left out of a sum


@lru_cache(4096)
def _row(counts: tuple[int, ...], silent: int, k: int) -> Any:
    """Compute one k, for any number of samples, without a number that could overflow.

    Drawing k of n is the same as keeping each sample with probability k / n, given that k are kept.
    So the counts are independent binomials, given their sum. For a winner with v votes the others'
    sum is a product of polynomials, and one of its coefficients is needed. A discrete Fourier
    transform gives it: the polynomials are multiplied at the roots of unity, and averaged. A share
    1 / (s + 1) of a tie with s others is the integral of y^s from 0 to 1, computed by
    Gauss-Legendre quadrature.
    """
    from scipy import stats  # imported here, because it takes half a second

    n, found = sum(counts) + silent, dict.fromkeys(counts, 0.0)
    most = max(counts, default=0)
    if not most or k == 0:
        return _fixed([0.0] * len(counts))
    if k == 1:
        return _fixed([count / n for count in counts])
    if k == n:
        return _fixed([(count == most) / counts.count(most) for count in counts])
    kept = k / n
    sizes = Counter(count for count in counts if count)
    some = {c: stats.binom.pmf(np.arange(c + 1), c, kept) for c in sizes}
    at_most = {c: np.cumsum(some[c]) for c in sizes}
    at_least = {c: np.cumsum(some[c][::-1])[::-1] for c in sizes}
    total = float(stats.binom.pmf(k, n, kept))
    # With so many roots, a coefficient that matters is only mixed with ones that are almost 0.
    points = min(n + 1, math.ceil(40 * math.sqrt(n * kept * (1 - kept))) + 80)
    roots = np.exp(2j * np.pi * np.arange(points // 2 + 1) / points)
    # The other half of the roots are the conjugates of these.
    weight = np.full(roots.size, 2.0 / points)
    weight[0] = 1 / points
    if points % 2 == 0:
        weight[-1] = 1 / points
    quiet = (1 - kept + kept * roots) ** silent
    fewer = {c: np.zeros_like(roots) for c in sizes}  # each size's polynomial, below v votes
    for v in range(1, min(most, k) + 1):
        for c in sizes:
            if v - 1 <= c:
                fewer[c] = fewer[c] + some[c][v - 1] * roots ** (v - 1)
        beaten = {c: at_most[c][min(v, c)] > total * NEVER for c in sizes}
        owns = [
            own
            for own, many in sizes.items()
            if own >= v
            and at_least[own][v] > total * NEVER
            and all(beaten[c] for c in sizes if c != own or many > 1)
        ]
        if not owns:
            continue
        tied = min(sum(many for c, many in sizes.items() if c >= v) - 1, (k - v) // v)
        y, share = _legendre(min(tied // 2 + 1, math.ceil(4.5 * math.sqrt(tied)) + 4))
        # The factor of each size, and the products from both sides. With one answer of a size left
        # out, they give the product of all other answers, for every size.
        factors = [
            fewer[c] + (y[:, None] * (some[c][v] * roots**v) if v <= c else 0.0) for c in sizes
        ]
        left = [np.broadcast_to(quiet, (y.size, roots.size))]
        for factor, many in zip(factors, sizes.values(), strict=True):
            left.append(left[-1] * factor**many)
        right = np.ones_like(left[0])
        for place, (own, many) in reversed(list(enumerate(sizes.items()))):
            if own in owns:
                others = share @ (left[place] * factors[place] ** (many - 1) * right)
                coefficient = (weight * (others * roots.conj() ** (k - v)).real).sum()
                found[own] += float(some[own][v] * coefficient) / total
            right = right * factors[place] ** many
    return _fixed([min(1.0, max(0.0, found[count])) for count in counts])


@lru_cache(1024)
def _legendre(n: int) -> tuple[Any, Any]:
    """Nodes and weights that integrate polynomials from 0 to 1."""
    places, weights = np.polynomial.legendre.leggauss(n)
    return (places + 1) / 2, weights / 2


def _fixed(values: list[float]) -> Any:
    """A read-only array, which is safe to cache."""
    array = np.asarray(values, dtype=float)
    array.setflags(write=False)
    return array
