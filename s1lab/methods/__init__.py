"""The methods beside the loop itself: the paper's comparisons, and what it builds on top.

They are ladders (many budgets for the cost of the longest), the original's two loops, conditional
control, rejection sampling, votes over samples, and REBASE. ``lab.ladder``, ``lab.vote`` and
``lab.rebase`` are at the top of the package, the other calls and the results are here.
"""

from s1lab.methods.conditional import class_conditional, step_conditional, token_conditional
from s1lab.methods.costs import Cost, cost, usage
from s1lab.methods.ladder import Ladder
from s1lab.methods.mixtures import mixture
from s1lab.methods.outcomes import Outcome, outcome
from s1lab.methods.rejection import reject
from s1lab.methods.rewards import Best, Reward
from s1lab.methods.tree import Tree
from s1lab.methods.voting import Vote, best_of

__all__ = [
    "Best",
    "Cost",
    "Ladder",
    "Outcome",
    "Reward",
    "Tree",
    "Vote",
    "best_of",
    "class_conditional",
    "cost",
    "mixture",
    "outcome",
    "reject",
    "step_conditional",
    "token_conditional",
    "usage",
]
