"""s1lab: simple test-time scaling, from curated questions to budget forcing and its curves.

Example:
    import s1lab as lab

    engine = lab.load("s1-tiny")
    trace = lab.force(engine, "How many r in raspberry?", lab.Budget(waits=1))
    print(trace.answer)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from s1lab import curate, figures, paper, tiny
from s1lab.api import direct, force
from s1lab.budget import Budget
from s1lab.driving import Interrupted, interrupted
from s1lab.engine import Completion, Engine, Request, run
from s1lab.evaluation import benchmarks, grade, metrics
from s1lab.evaluation.evaluate import Results, evaluate, sweep
from s1lab.interop import old_paths
from s1lab.load import describe, load
from s1lab.methods.conditional import class_conditional, step_conditional, token_conditional
from s1lab.methods.ladder import Ladder, ladder
from s1lab.methods.mixture import mixture
from s1lab.methods.outcomes import Outcome, outcome
from s1lab.methods.rebase import rebase
from s1lab.methods.rejection import reject
from s1lab.methods.rewards import Best, Reward
from s1lab.methods.tree import Tree
from s1lab.methods.voting import Vote, best_of, vote
from s1lab.storage.diff import diff
from s1lab.storage.replay import replay
from s1lab.storage.run import Run
from s1lab.storage.run_table import runs
from s1lab.storage.saved import read_run
from s1lab.storage.sqlite import StoreError
from s1lab.storage.store import import_run
from s1lab.template import ThinkTemplate
from s1lab.trace import Cost, Source, Trace, cost

if TYPE_CHECKING:
    from s1lab.methods import conditional as control

plots = figures  # the name in version 0.1


def __getattr__(name: str) -> Any:
    """Import a name when it is first used.

    ``lab.sft`` needs trl, and ``lab.widgets`` needs ipywidgets.
    """
    if name in ("sft", "widgets"):
        return import_module(f"s1lab.{name}")
    if name == "control":  # a module of 0.1, now divided among several modules of s1lab.methods
        globals()[name] = old_paths.divided("s1lab.control")
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__version__ = "0.1.0"

old_paths.install()

__all__ = [
    "Best",
    "Budget",
    "Completion",
    "Cost",
    "Engine",
    "Interrupted",
    "Ladder",
    "Outcome",
    "Request",
    "Results",
    "Reward",
    "Run",
    "Source",
    "StoreError",
    "ThinkTemplate",
    "Trace",
    "Tree",
    "Vote",
    "benchmarks",
    "best_of",
    "class_conditional",
    "control",
    "cost",
    "curate",
    "describe",
    "diff",
    "direct",
    "evaluate",
    "figures",
    "force",
    "grade",
    "import_run",
    "interrupted",
    "ladder",
    "load",
    "metrics",
    "mixture",
    "outcome",
    "paper",
    "plots",
    "read_run",
    "rebase",
    "reject",
    "replay",
    "run",
    "runs",
    "sft",
    "step_conditional",
    "sweep",
    "tiny",
    "token_conditional",
    "vote",
    "widgets",
]
