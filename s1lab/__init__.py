"""s1lab: simple test-time scaling, from curated questions to budget forcing and its curves.

Example:
    import s1lab as lab

    engine = lab.load("s1-tiny")
    trace = lab.force(engine, "How many r in raspberry?", lab.Budget(waits=1))
    print(trace.answer)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from s1lab import curate, figures, methods, paper, storage, tiny
from s1lab.api import direct, force
from s1lab.budget import Budget
from s1lab.engine import Completion, Engine, Request
from s1lab.engines.background import Driver
from s1lab.engines.description import describe
from s1lab.evaluation import benchmarks, grade, metrics
from s1lab.evaluation.evaluate import evaluate, sweep
from s1lab.evaluation.results import Results, compare
from s1lab.evaluation.sweep import Sweep
from s1lab.interop import old_paths
from s1lab.loader import load
from s1lab.methods.costs import cost
from s1lab.methods.ladder import ladder
from s1lab.methods.rebase import rebase
from s1lab.methods.voting import vote
from s1lab.questions import interrupted
from s1lab.storage.diff import diff
from s1lab.storage.replay import replay
from s1lab.storage.run_table import runs
from s1lab.template import ThinkTemplate
from s1lab.trace import Trace

if TYPE_CHECKING:
    from s1lab import sft, widgets

plots = figures  # the name in version 0.1, which every notebook of that time uses


def __getattr__(name: str) -> Any:
    """Import a name when it is first used, or find one that was here in version 0.1.

    ``lab.sft`` needs trl, and ``lab.widgets`` needs ipywidgets.
    """
    if name in ("sft", "widgets"):
        return import_module(f"s1lab.{name}")
    return old_paths.moved_name(name)


def __dir__() -> list[str]:
    """The public names, for ``lab.<Tab>``. Names of version 0.1 work, but are not offered."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


__version__ = "0.1.0"

old_paths.install()

__all__ = [
    "Budget",
    "Completion",
    "Driver",
    "Engine",
    "Request",
    "Results",
    "Sweep",
    "ThinkTemplate",
    "Trace",
    "benchmarks",
    "compare",
    "cost",
    "curate",
    "describe",
    "diff",
    "direct",
    "evaluate",
    "figures",
    "force",
    "grade",
    "interrupted",
    "ladder",
    "load",
    "methods",
    "metrics",
    "paper",
    "rebase",
    "replay",
    "runs",
    "sft",
    "storage",
    "sweep",
    "tiny",
    "vote",
    "widgets",
]
