"""A notebook's parameters, versions and record: what is taken, refused, named and written."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import platform
import re
from importlib.metadata import version

import nbformat
import pytest

from s1lab.figures import histogram
from s1lab.interop.notebooks import ParameterError, check_parameters, save_record, versions
from tests.helpers import ROOT

OWN = (
    'caps = [16, 32]  # rungs\nsize = 500\nprefix = "Answer:"\ntried = None\nshare = 0.5\non = True'
)


@pytest.fixture
def names(tmp_path, monkeypatch):
    """The names of a notebook that papermill started with further parameters."""
    monkeypatch.chdir(tmp_path)

    def started(injected: str = "") -> dict:
        scope: dict = {}
        exec(f"{OWN}\n{injected}", scope)
        cells = ["", OWN, *([f"# Parameters\n{injected}\n"] if injected else [])]
        return scope | {"In": [*cells, "check_parameters(globals())"]}

    return started


@pytest.mark.parametrize(
    ("injected", "name", "value"),
    [
        ("", "caps", [16, 32]),
        ('caps = "[16, 64]"', "caps", [16, 64]),
        ('caps = "16, 64"', "caps", [16, 64]),
        ("caps = [8]", "caps", [8]),
        ('size = "100"', "size", 100),
        ('share = "1"', "share", 1),
        ("prefix = None", "prefix", None),
        ('tried = "12"', "tried", "12"),
        ('on = "False"', "on", False),
    ],
)
def test_a_value_whose_meaning_is_clear_is_taken(names, injected, name, value):
    scope = names(injected)
    check_parameters(scope, caps=1)
    assert scope[name] == value and type(scope[name]) is type(value)


@pytest.mark.parametrize(
    ("injected", "words"),
    [
        ('caps = "many"', "caps='many' is not of the kind of [16, 32]"),
        ("caps = 16", "caps=16 is not"),
        ('caps = ["16"]', "caps=['16'] is not"),
        ("caps = [-1, 2]", "caps=[-1, 2] is not"),
        ("caps = []", "caps=[] has too few values: this notebook needs at least 1"),
        ('size = "many"', "size='many' is not of the kind of 500"),
        ("size = 1.5", "size=1.5 is not"),
        ("size = True", "size=True is not"),
        ("prefix = 3", "prefix=3 is not"),
        ("on = 1", "on=1 is not"),
        ("cap = [16]", "no parameter 'cap': did you mean 'caps'?"),
        ("xyz = 1", "no parameter 'xyz': it has caps, size, prefix, tried, share, on"),
    ],
)
def test_any_other_value_is_refused_in_one_sentence(names, injected, words):
    with pytest.raises(ParameterError, match=re.escape(words)) as refused:
        check_parameters(names(injected), caps=1)
    assert "\n" not in str(refused.value)
    # IPython, and so papermill, shows this in place of a traceback.
    assert refused.value._render_traceback_() == [f"ParameterError: {refused.value}"]


def test_a_notebook_works_in_the_repositorys_folder_of_notebooks(names, tmp_path, monkeypatch):
    check_parameters(names())
    assert os.getcwd() == str(tmp_path)  # a copy in a folder of its own stays there
    for inside in ("notebooks/profiles", "s1lab", "runs/mine"):
        (tmp_path / inside).mkdir(parents=True)
    for begun in (".", "runs/mine", "notebooks"):
        monkeypatch.chdir(tmp_path / begun)
        check_parameters(names_of(OWN))
        assert os.getcwd() == str(tmp_path / "notebooks")


def names_of(cell: str) -> dict:
    scope: dict = {}
    exec(cell, scope)
    return scope | {"In": ["", cell]}


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_every_notebook_checks_its_parameters_in_its_second_cell(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second, *_ = (
        cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"
    )
    statements = [
        s for s in ast.parse(second).body if not isinstance(s, ast.Import | ast.ImportFrom)
    ]
    call = ast.unparse(statements[0])
    assert call.startswith("check_parameters(globals()")
    for injected, fault in (("", None), ("caps_ = [1]", "no parameter 'caps_'")):
        scope = names_of(first)
        scope["In"] += [f"# Parameters\n{injected}"] if injected else []
        expected = pytest.raises(ParameterError, match=fault) if fault else contextlib.nullcontext()
        with expected:
            exec(f"from s1lab.interop.notebooks import check_parameters\n{call}", scope)


def test_versions_name_python_and_each_package():
    assert versions("pytest", "no-such-package") == (
        f"python {platform.python_version()}, s1lab {version('s1lab')}, "
        f"pytest {pytest.__version__}, no-such-package not installed"
    )


@pytest.mark.usefixtures("no_pictures")
def test_a_record_is_written_with_its_figures_and_a_bad_one_leaves_the_old(tmp_path):
    figure = histogram({"all": [10, 20, 40, 60]}, "tokens")
    record = {"accuracy": 63.6, "rungs": ["cap 16"]}
    written = save_record("09_x", tmp_path / "a" / "b", record, tmp_path, {"lengths": figure})
    assert [p.relative_to(tmp_path).as_posix() for p in written] == [
        "a/b/09_x.json",
        "lengths.json",
    ]
    assert json.loads(written[0].read_text()) == record
    with pytest.raises(TypeError):
        save_record("09_x", tmp_path / "a" / "b", {"odd": object()})
    assert json.loads(written[0].read_text()) == record
