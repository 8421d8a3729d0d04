"""s1lab: simple test-time scaling, from curated questions to budget forcing and its curves.

Example:
    import s1lab as lab

    engine = lab.load("s1-tiny")
    trace = lab.force(engine, "How many r in raspberry?", lab.Budget(waits=1))
    print(trace.answer)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from s1lab.interop import old_paths

if TYPE_CHECKING:
    from s1lab import curate, figures, methods, paper, sft, storage, tiny, widgets
    from s1lab import figures as plots  # noqa: F401
    from s1lab.api import direct, force
    from s1lab.budget import Budget
    from s1lab.engine import Completion, Engine, Request
    from s1lab.engines.background import Driver
    from s1lab.engines.description import describe
    from s1lab.evaluation import benchmarks, grade, metrics
    from s1lab.evaluation.evaluate import evaluate, sweep
    from s1lab.evaluation.results import Results, compare
    from s1lab.evaluation.sweep import Sweep
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

# Where each name is: a module, or a name in a module. All are imported when they are first used,
# so that `import s1lab` and `s1lab --help` are quick. `sft` needs trl, and `widgets` ipywidgets.
_HOMES = {
    "Budget": "budget:Budget",
    "Completion": "engine:Completion",
    "Driver": "engines.background:Driver",
    "Engine": "engine:Engine",
    "Request": "engine:Request",
    "Results": "evaluation.results:Results",
    "Sweep": "evaluation.sweep:Sweep",
    "ThinkTemplate": "template:ThinkTemplate",
    "Trace": "trace:Trace",
    "benchmarks": "evaluation.benchmarks",
    "compare": "evaluation.results:compare",
    "cost": "methods.costs:cost",
    "curate": "curate",
    "describe": "engines.description:describe",
    "diff": "storage.diff:diff",
    "direct": "api:direct",
    "evaluate": "evaluation.evaluate:evaluate",
    "figures": "figures",
    "force": "api:force",
    "grade": "evaluation.grade",
    "interrupted": "questions:interrupted",
    "ladder": "methods.ladder:ladder",
    "load": "loader:load",
    "methods": "methods",
    "metrics": "evaluation.metrics",
    "paper": "paper",
    "plots": "figures",  # the name in version 0.1, which every notebook of that time uses
    "rebase": "methods.rebase:rebase",
    "replay": "storage.replay:replay",
    "runs": "storage.run_table:runs",
    "sft": "sft",
    "storage": "storage",
    "sweep": "evaluation.evaluate:sweep",
    "tiny": "tiny",
    "vote": "methods.voting:vote",
    "widgets": "widgets",
}
# Other modules and folders, for example in `lab.driver.run`.
_MODULES = (
    "api", "budget", "driver", "engine", "engines", "evaluation", "forcing", "loader", "questions",
    "smol", "template", "tokenization", "trace",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a name when it is first used, or find one that was here in version 0.1."""
    if name not in _HOMES and name not in _MODULES:
        return old_paths.moved_name(name)
    home, _, attribute = _HOMES.get(name, name).partition(":")
    module = import_module(f"s1lab.{home}")
    found = getattr(module, attribute) if attribute else module
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """The public names, which a tab completes."""
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
