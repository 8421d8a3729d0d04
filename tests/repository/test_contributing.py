"""The recipes of CONTRIBUTING and the tour hold: their code runs, their files are there."""

from __future__ import annotations

import re
import sys
import types

import pytest

import s1lab as lab
from tests.helpers import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ENGINE, PROGRAM, TEST = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def module(monkeypatch, name: str, source: str) -> types.ModuleType:
    """A module out of a recipe, as if its file were there."""
    made = types.ModuleType(name)
    monkeypatch.setitem(sys.modules, name, made)
    exec(compile(source, name, "exec"), made.__dict__)
    return made


@pytest.mark.long
def test_the_engine_gives_the_ids_of_the_reference(monkeypatch, tiny):
    plain = module(monkeypatch, "s1lab.engines.plain", ENGINE).PlainEngine("s1-tiny")
    questions = list(lab.tiny.problems(3, 5)["question"])
    for budget in (lab.Budget(max_tokens=24), lab.Budget(waits=1)):
        traces = [lab.force(engine, questions, budget, progress=False) for engine in (plain, tiny)]
        assert [t.ids for t in traces[0]] == [t.ids for t in traces[1]]
    hot = [
        lab.force(plain, q, lab.Budget(max_tokens=20), temperature=0.9, top_p=0.9, seed=2)
        for q in (questions, questions[0])
    ]
    assert hot[0][0].ids == hot[1].ids


def test_the_program_passes_its_own_test(monkeypatch, scripted):
    module(monkeypatch, "s1lab.methods.doubling", PROGRAM)
    module(
        monkeypatch, "test_doubling", TEST
    ).test_the_cap_doubles_until_the_thinking_ends_and_what_was_cut_is_counted(scripted)


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/tour.md"])
def test_every_file_that_a_page_names_is_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert links and [link for link in links if not ((ROOT / page).parent / link).exists()] == []


def test_every_module_has_a_line_in_the_table():
    table = TEXT[TEXT.index("## Where a line belongs") : TEXT.index("## Rules of the house")]
    modules = {
        p.name for p in (ROOT / "s1lab").iterdir() if p.suffix == ".py" and p.stem != "__init__"
    }
    folders = {f"{p.parent.name}/" for p in (ROOT / "s1lab").glob("*/__init__.py")}
    assert [name for name in sorted(modules | folders) if name not in table] == []
