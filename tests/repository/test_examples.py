"""Every public call has an example in its docstring, and the example runs as it is written."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from functools import cache

import pytest

import s1lab as lab

PACKAGES = (
    "s1lab",
    "s1lab.curate",
    "s1lab.evaluation.benchmarks",
    "s1lab.evaluation.grade",
    "s1lab.evaluation.metrics",
    "s1lab.figures",
    "s1lab.interop",
    "s1lab.interop.exports",
    "s1lab.methods",
    "s1lab.paper",
    "s1lab.sft",
    "s1lab.sft.formats",
    "s1lab.smol",
    "s1lab.storage",
    "s1lab.storage.saved",
    "s1lab.tiny",
    "s1lab.widgets",
)
# What calls return: nobody makes one by hand, and the call's example shows it.
RETURNED = """
    Benchmark Comparison Explorer Fit Flips LadderSlider Method Plan Playground Point PoolBrowser
    Score Shape Sweep Trained Unpaired Verdict
""".split()
SMALL = "bucket split_steps".split()  # one line each, and said in it
# These are only compiled: they train a model, start processes, open a browser, ask for the hub, or
# read prompts of thousands of tokens.
COMPILED = {
    "s1lab.curate.domains",
    "s1lab.evaluation.benchmarks.compare",
    "s1lab.figures.Live",
    "s1lab.figures.can_draw",
    "s1lab.sft.launch",
    "s1lab.sft.train",
}


def example(thing: object) -> str:
    """The code under "Example:" in a docstring; empty if there is none."""
    found = re.search(r"^Example:\n((?:    .*\n?|\n)+)", inspect.getdoc(thing) or "", re.MULTILINE)
    return inspect.cleandoc("\n" + found[1]) if found else ""


def public() -> Iterator[tuple[str, object]]:
    """Each public function and class once, under the first name that it has."""
    seen = set()
    for package in PACKAGES:
        module = importlib.import_module(package)
        own = [
            name
            for name, thing in vars(module).items()
            if getattr(thing, "__module__", "") == package and not name.startswith("_")
        ]
        for name in getattr(module, "__all__", own):
            thing = getattr(module, name)
            ours = getattr(thing, "__module__", "").startswith("s1lab")
            if ours and (inspect.isclass(thing) or inspect.isfunction(thing)) and thing not in seen:
                seen.add(thing)
                yield f"{package}.{name}", thing


CALLS = dict(public())


def run(code: str, names: dict[str, object]) -> None:
    """Run an example; one with prompts must also print what it shows."""
    if ">>>" not in code:
        exec(compile(code, "<example>", "exec"), names)
        return
    test = doctest.DocTestParser().get_doctest(code, names, "example", None, 0)
    said: list[str] = []
    failed, tried = doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert tried and not failed, "".join(said)


@pytest.fixture(scope="module")
def load() -> Callable[..., lab.Engine]:
    """`lab.load`, which loads each model once, for an engine that is never closed."""
    real = lab.load

    @cache
    def loaded(model: str) -> lab.Engine:
        engine = real(model)
        engine.close = lambda: None
        return engine

    return loaded


@pytest.mark.parametrize("name", CALLS)
def test_a_public_call_has_an_example(name):
    assert name.rpartition(".")[2] in RETURNED + SMALL or example(CALLS[name])


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in CALLS if example(CALLS[name])])
def test_an_example_runs_as_it_is_written(name, load, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code = example(CALLS[name])
    if name in COMPILED:
        compile(code, "<example>", "exec")
        return
    monkeypatch.setattr(lab, "load", load)
    run(code, {"lab": lab, CALLS[name].__name__: CALLS[name]})


def test_an_example_that_is_wrong_would_be_seen():
    with pytest.raises(AssertionError, match="Expected"):
        run(">>> lab.metrics.performance([1.0, 2.0])\n3.0", {"lab": lab})
    with pytest.raises(AttributeError):
        run("lab.metrics.best([1.0])", {"lab": lab})
    assert example(run) == ""
