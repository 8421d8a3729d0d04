"""How REBASE divides new samples among the branches of a tree (Wu et al. 2024, equation 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from s1lab.evaluation.arguments import real, whole

ALLOCATIONS = ("remainder", "ceiling")  # the ways to share new branches


def balanced(rewards: Sequence[float], n: int, balance: float) -> list[int]:
    """Share ``n`` new branches in proportion to exp(reward / balance), by largest remainders.

    Each branch gets the whole part of its share. The rest goes to the largest remainders; ties go
    to the earlier branch.

    Args:
        rewards: The rewards of the open branches.
        n: The number of new branches.
        balance: Near 0 the best branch takes everything. With a large number all share alike.

    Returns:
        A whole number for each branch. They add up to ``n``.

    Raises:
        ValueError: A reward, the number or the balance makes no sense.

    Example:
        balanced([1.0, 0.8, 0.6], 8, 0.2)  # [5, 2, 1]
    """
    weights = growth_weights(rewards, n, balance)
    exact = [n * w / sum(weights) for w in weights]
    parts = [math.floor(round(x, 9)) for x in exact]
    order = sorted(range(len(exact)), key=lambda i: (-round(exact[i] - parts[i], 9), i))
    for i in order[: n - sum(parts)]:
        parts[i] += 1
    return parts


def ceilings(rewards: Sequence[float], n: int, balance: float) -> list[int]:
    """Share ``n`` new branches as the original's code does it, by greedy ceilings.

    This is ``select_softmax`` in its ``eval/rebase/inference_scaling/rebase.py``. It takes the
    branches from the highest reward down; of equal rewards the later branch comes first. Each
    branch gets its share of what is left, among the branches that are left, rounded up. So good
    branches get more than by `balanced`, and the last ones often get none. The original adds
    in float32, where a rounding sometimes hands out one branch too many. Here the branches always
    add up to ``n``.

    Args:
        rewards: The rewards of the open branches.
        n: The number of new branches.
        balance: Its ``softmax_temperature``, which is 0.2 there.

    Returns:
        A whole number for each branch, in the order of ``rewards``. They add up to ``n``.

    Raises:
        ValueError: A reward, the number or the balance makes no sense.

    Example:
        ceilings([1.0, 0.8, 0.6], 8, 0.2)  # [6, 2, 0]
    """
    weights = growth_weights(rewards, n, balance)
    order = sorted(range(len(weights)), key=lambda i: (rewards[i], i), reverse=True)
    parts = [0] * len(weights)
    left = n
    for place, i in enumerate(order):
        rest = math.fsum(weights[j] for j in order[place:])
        # A whole share may be a few bits too large. Without rounding, ceil would raise it by one.
        parts[i] = math.ceil(round(left * weights[i] / rest, 9)) if rest else left
        left -= parts[i]
    return parts


def growth_weights(rewards: Sequence[float], n: int, balance: float) -> list[float]:
    """exp(reward / balance), up to a common factor."""
    whole("n", n, 0)
    if not real("balance", balance, "a temperature above 0, such as 0.2") > 0:
        raise ValueError(f"balance={balance} is no temperature: give a number above 0, such as 0.2")
    for i, reward in enumerate(rewards):
        real(f"rewards[{i}]", reward, "a finite reward a branch")
    return [math.exp((r - max(rewards)) / balance) for r in rewards]
