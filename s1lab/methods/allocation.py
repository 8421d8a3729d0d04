"""How REBASE divides the next samples among the branches of a tree (Wu et al. 2024, equation 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from s1lab.arguments import real, whole

ALLOCATIONS = ("remainder", "ceiling")  # how a tree shares its branches


def balanced(rewards: Sequence[float], n: int, balance: float) -> list[int]:
    """``n`` new branches shared in proportion to exp(reward / balance), by largest remainders.

    Each branch gets the whole part of its share. What is left goes to the largest remainders; ties go
    to the earlier branch.

    Args:
        rewards: Of the open branches.
        n: New branches in all.
        balance: Near 0 the best branch takes everything; large, all share alike.

    Returns:
        Whole numbers that add up to ``n``, one a branch.

    Raises:
        ValueError: For rewards, a number or a balance that make no sense.

    Example:
        >>> balanced([1.0, 0.8, 0.6], 8, 0.2)
        [5, 2, 1]
    """
    weights = growth_weights(rewards, n, balance)
    exact = [n * w / sum(weights) for w in weights]
    parts = [math.floor(round(x, 9)) for x in exact]
    order = sorted(range(len(exact)), key=lambda i: (-round(exact[i] - parts[i], 9), i))
    for i in order[: n - sum(parts)]:
        parts[i] += 1
    return parts


def ceilings(rewards: Sequence[float], n: int, balance: float) -> list[int]:
    """``n`` new branches shared as the original's code does it, by greedy ceilings.

    ``select_softmax`` in its ``eval/rebase/inference_scaling/rebase.py``: the branches from the
    highest reward down, of equal ones the later first; each gets its share of what is left, among the
    branches that are left, rounded up. So good branches get more than by :func:`balanced`, and the
    last ones often none. The original adds in float32, where a rounding at times hands out one branch
    too many; here they always add up to ``n``.

    Args:
        rewards: Of the open branches.
        n: New branches in all.
        balance: Its ``softmax_temperature``, 0.2 there.

    Returns:
        Whole numbers that add up to ``n``, one a branch, in the order of ``rewards``.

    Raises:
        ValueError: For rewards, a number or a balance that make no sense.

    Example:
        >>> ceilings([1.0, 0.8, 0.6], 8, 0.2)
        [6, 2, 0]
    """
    weights = growth_weights(rewards, n, balance)
    order = sorted(range(len(weights)), key=lambda i: (rewards[i], i), reverse=True)
    parts = [0] * len(weights)
    left = n
    for place, i in enumerate(order):
        rest = math.fsum(weights[j] for j in order[place:])
        # The rounding keeps a share that is whole but for its last bits from being rounded up.
        parts[i] = math.ceil(round(left * weights[i] / rest, 9)) if rest else left
        left -= parts[i]
    return parts


def growth_weights(rewards: Sequence[float], n: int, balance: float) -> list[float]:
    """exp(reward / balance), but for a common factor."""
    whole("n", n, 0)
    if not real("balance", balance, "a temperature above 0, such as 0.2") > 0:
        raise ValueError(f"balance={balance} is no temperature: give a number above 0, such as 0.2")
    for i, reward in enumerate(rewards):
        real(f"rewards[{i}]", reward, "a finite reward a branch")
    return [math.exp((r - max(rewards)) / balance) for r in rewards]
