"""The import paths of version 0.1: every one works, says where it has gone, and hides nothing."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import s1lab as lab
from s1lab.interop.old_paths import LEFT, MOVED, OUTSIDE, REPLACED
from s1lab.interop.old_paths import NAMES as TOP
from tests.helpers import FIXTURES

NAMES = json.loads((FIXTURES / "v0.1" / "names.json").read_text(encoding="utf-8"))
NEEDS = {"harness": "lm_eval", "sft.batches": "trl"}
# A sentence of the playground that is no longer true: sampling costs the same tokens now.
GONE = {"HOW_SAMPLED"}


def imported(monkeypatch, old: str):
    """A module by its old path, as if for the first time, and what was warned of."""
    monkeypatch.delitem(sys.modules, f"s1lab.{old}", raising=False)
    if "." in old:  # the package above warns for itself
        with warnings.catch_warnings(action="ignore"):
            importlib.import_module(f"s1lab.{old.rpartition('.')[0]}")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        module = importlib.import_module(f"s1lab.{old}")
    return module, [
        str(w.message)
        for w in told
        if w.category is DeprecationWarning and "old path" in str(w.message)
    ]


def test_the_names_of_every_module_that_moved_are_known():
    assert set(MOVED) | set(LEFT) == set(NAMES) - {"paper"}


@pytest.mark.parametrize("old", MOVED)
def test_an_old_path_gives_all_its_names_with_one_warning_that_names_the_new_one(monkeypatch, old):
    if old in NEEDS:
        pytest.importorskip(NEEDS[old])
    module, told = imported(monkeypatch, old)
    homes = [f"s1lab.{home}" for home in MOVED[old].split()]
    assert len(told) == 1 and told[0].startswith(f"s1lab.{old} is {' and '.join(homes)} now")
    for name in set(NAMES[old].split()) - GONE:
        found = getattr(module, name)
        assert any(vars(importlib.import_module(home)).get(name, ...) is found for home in homes), (
            name
        )
    if len(homes) == 1:
        assert module is importlib.import_module(homes[0])


@pytest.mark.parametrize("old", LEFT)
def test_a_module_that_stayed_gives_the_names_that_left_it(old):
    module = importlib.import_module(f"s1lab.{old}")
    left = [name for name in NAMES[old].split() if name not in {*vars(module), *REPLACED}]
    assert left
    for name in left:
        with pytest.warns(
            DeprecationWarning, match=rf"s1lab\.{old}\.{name} is s1lab\.\S+\.{name} now"
        ):
            getattr(module, name)
    with pytest.raises(AttributeError, match="nothing"):
        _ = module.nothing


@pytest.mark.parametrize("name", REPLACED)
def test_a_function_that_is_gone_names_what_there_is_instead(name):
    with pytest.raises(AttributeError, match=r"s1lab\.driver\.Member"):
        getattr(lab.engine, name)


def test_the_papers_numbers_are_where_they_were():
    with warnings.catch_warnings(action="error"):
        assert all(hasattr(lab.paper, name) for name in NAMES["paper"].split())


@pytest.mark.parametrize("old", OUTSIDE)
def test_what_went_to_the_repositorys_tools_says_so(old):
    with pytest.raises(
        ModuleNotFoundError,
        match=rf"s1lab\.{old} is not in the library any more: it is .*(make |tools/)",
    ):
        importlib.import_module(f"s1lab.{old}")
    package, _, name = f"s1lab.{old}".rpartition(".")
    with pytest.raises(ModuleNotFoundError, match="not in the library any more"):
        exec(f"from {package} import {name}")


@pytest.mark.parametrize("name", TOP)
def test_a_name_that_left_the_top_of_the_package_works_and_names_its_new_place(name):
    with pytest.warns(
        DeprecationWarning, match=rf"s1lab\.{name} is s1lab\.{TOP[name]} now"
    ) as told:
        found = getattr(lab, name)
    assert len(told) == 1 and told[0].filename == __file__
    assert name not in lab.__all__
    home, _, attribute = f"s1lab.{TOP[name]}".rpartition(".")
    if name == "control":
        assert [n for n in NAMES["control"].split() if not hasattr(found, n)] == []
    else:
        assert found is getattr(importlib.import_module(home), attribute)


@pytest.mark.parametrize("name", ["plots", "metrics", "benchmarks", "grade"])
def test_a_public_name_of_the_package_gives_no_warning(name):
    with warnings.catch_warnings(action="error"):
        module = getattr(lab, name)
        assert [n for n in NAMES[name].split() if not hasattr(module, n)] == []


@pytest.mark.parametrize("name", ["cost", "diff", "evaluate", "ladder"])
def test_an_old_path_hides_no_function(monkeypatch, name):
    before = getattr(lab, name)
    imported(monkeypatch, name)
    assert getattr(lab, name) is before and callable(before)


def test_a_star_gives_the_names_of_all_homes(monkeypatch):
    monkeypatch.delitem(sys.modules, "s1lab.store", raising=False)
    names: dict[str, object] = {}
    with pytest.warns(DeprecationWarning):
        exec("from s1lab.store import *", names)
    assert set(NAMES["store"].split()) <= set(names)


def test_a_path_that_never_was_is_still_an_error():
    with pytest.raises(ModuleNotFoundError, match=r"No module named 's1lab\.nothing'"):
        importlib.import_module("s1lab.nothing")
    with pytest.raises(AttributeError, match="nothing"):
        _ = lab.nothing


def test_the_warning_points_at_the_line_that_imports(tmp_path):
    script = tmp_path / "old.py"
    script.write_text("\nfrom s1lab.metrics import mcnemar\n", encoding="utf-8")
    here = os.environ | {"PYTHONPATH": str(Path(lab.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True, env=here
    )
    assert (
        "old.py:2: DeprecationWarning: s1lab.metrics is s1lab.evaluation.metrics now" in done.stderr
    )
    assert done.stderr.count("DeprecationWarning") == 1
