"""s1lab: simple test-time scaling, from curated questions to budget forcing and its curves.

import s1lab as lab

engine = lab.load("s1-tiny")
trace = lab.force(engine, "How many r in raspberry?", lab.Budget(waits=1))
"""

from importlib import import_module
from typing import Any

from s1lab import benchmarks, control, curate, grade, metrics, paper, plots, tiny
from s1lab.api import Interrupted, direct, force, interrupted
from s1lab.budget import Budget
from s1lab.control import class_conditional, reject, step_conditional, token_conditional
from s1lab.cost import Cost, cost
from s1lab.diff import diff
from s1lab.engine import Completion, Engine, Request, describe, load, run
from s1lab.evaluate import Results, evaluate, sweep
from s1lab.ladder import Ladder, ladder
from s1lab.parallel import best_of, mixture, rebase, vote
from s1lab.recording import replay
from s1lab.records import Run, read_run
from s1lab.store import StoreError, import_run, runs
from s1lab.template import ThinkTemplate
from s1lab.trace import Source, Trace
from s1lab.voting import Best, Outcome, Reward, Tree, Vote, outcome


def __getattr__(name: str) -> Any:
    """``lab.sft``, which needs trl, and ``lab.widgets``, which needs ipywidgets, are imported when they are first used."""
    if name in ("sft", "widgets"):
        return import_module(f"s1lab.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__version__ = "0.1.0"

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
