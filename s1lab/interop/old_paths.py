"""The paths and names of version 0.1. They work in this version, with a warning about the new one.

``MOVED`` is the table of modules, and ``NAMES`` that of the package's own names. A module that was
divided has several new homes. Its old path offers the names of all of them, each from the first
home that has it.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import CodeType, ModuleType
from typing import Any

# Old path -> new homes. All of them are below "s1lab.".
MOVED = {
    "benchmarks": "evaluation.benchmarks",
    "chat": "tokenization.chat_template",
    "cli.asking": "cli.run",
    "cli.curation": "cli.curate",
    "cli.evaluation": "cli.evaluate",
    "cli.stored": "cli.runs",
    "cli.tuning": "cli.sft",
    "compat": "methods.original_loops",
    "control": "methods.conditional methods.rejection methods.steps methods.original_steps",
    "cost": "methods.costs",
    "curate.files": "curate.io",
    "curate.models": "curate.difficulty curate.teacher",
    "curate.ngrams": "curate.overlap",
    "curate.subjects": "curate.domains",
    "diff": "storage.diff",
    "encoding": "tokenization.encoding",
    "engines.checkpoint": "engines.weights engines.finite engines.vocabulary",
    "engines.kept": "engines.prefix_cache",
    "engines.pretrained": (
        "engines.model_files engines.fingerprint engines.folder_digest engines.end_of_sequence "
        "engines.vocabulary"
    ),
    "evaluate": "evaluation.evaluate evaluation.results",
    "exports": "interop.exports",
    "grade": "evaluation.grade",
    "grade.answers": "evaluation.grade.extract",
    "grade.choices": "evaluation.grade.choices",
    "grade.forms": "evaluation.grade.forms evaluation.grade.reading",
    "grade.judge": "evaluation.grade.verdict",
    "grade.places": "evaluation.grade.places",
    "grade.pool": "evaluation.grade.sandbox",
    "grade.prose": "evaluation.grade.prose",
    "grade.quantities": "evaluation.grade.quantities evaluation.grade.arithmetic",
    "grade.spelling": "evaluation.grade.spelling",
    "grade.worker": "evaluation.grade.sandbox_worker",
    "habits": "evaluation.token_counts",
    "harness": "interop.lm_eval",
    "ladder": "methods.ladder",
    "metrics": "evaluation.metrics",
    "parallel": "methods.voting methods.mixtures methods.samples methods.rebase methods.allocation",
    "pictures": "figures.export",
    "plots": "figures",
    "programs": "forcing methods.ladder methods.fan_out",
    "recording": "storage.replay",
    "records": "storage.saved storage.run",
    "sft.batches": "sft.collator",
    "sft.plans": "sft.memory",
    "sft.rows": "sft.encode",
    "store": (
        "storage.store storage.stored_run storage.completion_row storage.run_table storage.sqlite "
        "storage.tokenizers"
    ),
    "style": "figures.style",
    "tiny.judge": "tiny.reward_model",
    "tiny.sources": "tiny.pool",
    "voting": (
        "methods.majority methods.samples methods.rewards methods.outcomes methods.tree "
        "methods.voting"
    ),
    "widgets.browser": "widgets.pool",
    "widgets.explorer": "widgets.explore",
    "widgets.pad": "widgets.playground",
    "widgets.slider": "widgets.ladder",
}

# Modules that stayed, and the new homes of some of their names.
LEFT = {
    "engine": "driver loader engines.description engines.limits methods.fan_out",
    "template": "tokenization.bound_template tokenization.presets tokenization.delimiters",
}

# Functions of s1lab.engine that nothing takes the place of one by one.
REPLACED = dict.fromkeys(
    ("collect", "driving", "submit", "withdraw"),
    "callers share an engine through s1lab.driver.Member now",
)

# Names that were at the top of the package, and where they are now, below "s1lab.".
NAMES = {
    "Best": "methods.Best",
    "Cost": "methods.Cost",
    "Interrupted": "questions.Interrupted",
    "Ladder": "methods.Ladder",
    "Outcome": "methods.Outcome",
    "Reward": "methods.Reward",
    "Run": "storage.Run",
    "Source": "trace.Source",
    "StoreError": "storage.StoreError",
    "Tree": "methods.Tree",
    "Vote": "methods.Vote",
    "best_of": "methods.best_of",
    "class_conditional": "methods.class_conditional",
    "control": "methods",
    "import_run": "storage.import_run",
    "mixture": "methods.mixture",
    "outcome": "methods.outcome",
    "read_run": "storage.read_run",
    "reject": "methods.reject",
    "run": "driver.run",
    "step_conditional": "methods.step_conditional",
    "token_conditional": "methods.token_conditional",
}

# Only the repository needs these modules, so they are outside the package.
OUTSIDE = {
    "beside": "tools/report.py, which 'make reproduce' prints",
    "bench": "'make bench'",
    "dry": "tools/rehearse.py, which 'make reproduce' runs",
    "planning": "tools/plan.py",
    "profiles": "tools/profiles.py, which 'make reproduce' reads profiles with",
    "repository": "tools/__init__.py",
    "reproduce": "'make reproduce'",
    "tiny.bars": "tools/tiny/bars.py, which 'make weights' runs",
    "tiny.card": "tools/tiny/card.py, which 'make weights' runs",
    "tiny.make": "'make weights'",
    "tiny.rows": "tools/tiny/rows.py",
    "tiny.variants": "'make variants'",
}

PACKAGE = "s1lab."


def install() -> None:
    """Let Python find the old paths, and names that left the modules that stayed."""
    # First in the list: otherwise Python would look for s1lab.grade.places in the folder of
    # s1lab.evaluation.grade, and load it twice.
    sys.meta_path.insert(0, _OldPaths())
    sys.modules["s1lab"].__class__ = _Package


def moved_name(name: str) -> Any:
    """A name that was at the top of the package in 0.1, with a warning about its new place.

    Args:
        name: The name, without "s1lab.".

    Returns:
        What has the name now.

    Raises:
        AttributeError: The package never had it.
    """
    if name not in NAMES:
        raise AttributeError(f"module 's1lab' has no attribute {name!r}")
    warnings.warn(
        f"s1lab.{name} is s1lab.{NAMES[name]} now: the old name goes with the next version",
        DeprecationWarning,
        stacklevel=3,
    )
    if name == "control":  # a module of 0.1, now divided among several modules of s1lab.methods
        return divided("s1lab.control")
    home, _, attribute = NAMES[name].rpartition(".")
    return getattr(importlib.import_module(PACKAGE + home), attribute)


def divided(name: str) -> ModuleType:
    """A module of 0.1 that was divided, with the names of all its homes.

    The homes are imported when a name is used.
    """
    homes = _homes(name)
    module = ModuleType(name, f"{name} of version 0.1: see {' and '.join(homes)}.")
    vars(module)["__getattr__"] = _Names(name, homes)
    return module


def _homes(name: str) -> list[str]:
    return [PACKAGE + home for home in MOVED[name.removeprefix(PACKAGE)].split()]


class _Names:
    """A module's ``__getattr__``. It takes a name from the first home that has it."""

    def __init__(self, module: str, homes: Sequence[str], warned: bool = False) -> None:
        self.module, self.homes, self.warned = module, homes, warned

    def __call__(self, name: str) -> Any:
        if not name.startswith("__"):
            for home in self.homes:
                found = importlib.import_module(home)
                if name in vars(found):
                    if self.warned:
                        warnings.warn(
                            f"{self.module}.{name} is {home}.{name} now: the old path goes with "
                            "the next version",
                            DeprecationWarning,
                            stacklevel=2,
                        )
                    return vars(found)[name]
        if name == "__all__" and not self.warned:  # for a star import
            return sorted(
                {
                    n
                    for home in self.homes
                    for n in vars(importlib.import_module(home))
                    if not n.startswith("_")
                }
            )
        fix = f": {REPLACED[name]}" if name in REPLACED and self.module == "s1lab.engine" else ""
        raise AttributeError(f"module {self.module!r} has no attribute {name!r}{fix}")


class _OldPaths(MetaPathFinder, Loader):
    """The importer of the old paths."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        old = name.removeprefix(PACKAGE)
        if old == name:
            return None
        if old in OUTSIDE:
            # Without its `name`, so that `from s1lab.tiny import make` shows this sentence too.
            raise ModuleNotFoundError(
                f"{name} is not in the library any more: it is {OUTSIDE[old]}, in the project's "
                "repository"
            )
        if old in LEFT:
            return _with_left_names(PathFinder.find_spec(name, path), LEFT[old])  # type: ignore[arg-type]
        return ModuleSpec(name, self) if old in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        homes = _homes(name)
        _warn(name, homes)
        # The import returns the entry that is in sys.modules afterwards.
        sys.modules[name] = importlib.import_module(homes[0]) if len(homes) == 1 else divided(name)

    def get_code(self, name: str) -> CodeType | None:
        """The new module's code, for ``python -m`` with the old path."""
        (home,) = _homes(name)
        _warn(name, [home])
        spec = find_spec(home)
        code: CodeType | None = spec.loader.get_code(home) if spec and spec.loader else None  # type: ignore[attr-defined]
        return code


def _with_left_names(spec: ModuleSpec | None, home: str) -> ModuleSpec | None:
    """Let a module that stayed find the names that left it, as soon as it is imported."""
    loader: Any = spec and spec.loader
    if loader is None:
        return spec
    run = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        run(module)
        homes = [PACKAGE + h for h in home.split()]
        vars(module)["__getattr__"] = _Names(module.__name__, homes, warned=True)

    loader.exec_module = exec_module
    return spec


def _warn(name: str, homes: Sequence[str]) -> None:
    warnings.warn(
        f"{name} is {' and '.join(homes)} now: the old path goes with the next version",
        DeprecationWarning,
        stacklevel=3,
    )


class _Package(ModuleType):
    """The package s1lab, whose functions are not hidden by an old path.

    Python sets ``s1lab.evaluate`` to the module when ``s1lab.evaluate`` is imported. It must stay
    the function `s1lab.evaluate`, and ``s1lab.cost`` a name that `moved_name` finds.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        # `getattr`, because the package imports its names when they are first used.
        if (
            name in MOVED
            and isinstance(value, ModuleType)
            and (name in NAMES or callable(getattr(self, name, None)))
        ):
            return
        super().__setattr__(name, value)
