"""The embedded world: questions that thinking solves, and the two small models trained on them.

``make weights`` (``python -m tools.tiny.make``) trains both models from nothing. Their cards say
what they can do. ``make reward`` (``python -m tools.tiny.reward``) trains the reward model that
reads their traces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from s1lab.tiny.families import EXAMPLES, FAMILIES, SIZES, family_of, solve
from s1lab.tiny.pool import blemishes, pool
from s1lab.tiny.scope import scope_note
from s1lab.tiny.teacher import Teacher
from s1lab.tiny.world import SPLITS, benchmark, problems

if TYPE_CHECKING:
    from s1lab.tiny.reward_model import TinyReward


def reward() -> TinyReward:
    """Load the embedded reward model, for `s1lab.rebase` and `s1lab.methods.best_of`.

    Returns:
        The reward model, see `s1lab.tiny.reward_model`.

    Example:
        trace = lab.force(lab.load("s1-tiny"), "How many r in raspberry?")
        print(lab.tiny.reward()(trace))
    """
    from s1lab.tiny.reward_model import TinyReward  # it is built on the engines

    return TinyReward()


__all__ = [
    "EXAMPLES",
    "FAMILIES",
    "SIZES",
    "SPLITS",
    "Teacher",
    "benchmark",
    "blemishes",
    "family_of",
    "pool",
    "problems",
    "reward",
    "scope_note",
    "solve",
]
