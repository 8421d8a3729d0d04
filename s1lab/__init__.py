"""s1lab: simple test-time scaling, from curated questions to budget forcing and its curves.

import s1lab as lab

engine = lab.load("s1-tiny")
trace = lab.force(engine, "How many r in raspberry?", lab.Budget(waits=1))
"""

from s1lab import grade, metrics, paper, plots, tiny
from s1lab.api import Interrupted, direct, force, interrupted
from s1lab.budget import Budget
from s1lab.diff import diff
from s1lab.engine import Completion, Engine, Request, describe, load, run
from s1lab.evaluate import Results, evaluate
from s1lab.template import ThinkTemplate
from s1lab.trace import Source, Trace

__version__ = "0.1.0.dev0"

__all__ = [
    "Budget",
    "Completion",
    "Engine",
    "Interrupted",
    "Request",
    "Results",
    "Source",
    "ThinkTemplate",
    "Trace",
    "describe",
    "diff",
    "direct",
    "evaluate",
    "force",
    "grade",
    "interrupted",
    "load",
    "metrics",
    "paper",
    "plots",
    "run",
    "tiny",
]
