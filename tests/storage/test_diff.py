"""Stored runs: what is written is what is read, and where two part."""

from __future__ import annotations

from dataclasses import replace

import pytest
from datasets import Dataset
from typer.testing import CliRunner

import s1lab as lab
from s1lab.cli import app
from s1lab.storage.saved import read_run, write_run
from tests.helpers.scripted import thinker

PROBLEMS = Dataset.from_list(
    [{"question": q, "answer": "3", "kind": "integer"} for q in ("a?", "b?", "c?")]
)


def other(text: str) -> str:
    """As the model of the first run, but for one question whose thinking ends otherwise, and
    wrongly.
    """
    return (
        thinker("1 r 1\n2 b 1\n", answer="Answer: 4<|im_end|>")(text)
        if "b?" in text
        else thinker("1 r 1\n2 a 1\n")(text)
    )


@pytest.fixture
def runs(scripted, tmp_path):
    a = lab.evaluate(scripted(thinker("1 r 1\n2 a 1\n")), PROBLEMS, progress=False).save(
        tmp_path / "a.jsonl"
    )
    b = lab.evaluate(scripted(other), PROBLEMS, seed=1, progress=False).save(tmp_path / "b.jsonl")
    return a, b


def test_a_stored_run_reads_back(scripted, tmp_path):
    found = lab.evaluate(
        scripted(thinker("1 r 1\n")), PROBLEMS, lab.Budget(waits=1, max_tokens=40), progress=False
    )
    run = read_run(found.save(tmp_path / "deep" / "a.jsonl"))
    assert [(t.ids, t.source, t.budget, t.answer) for t in run.traces] == [
        (t.ids, t.source, t.budget, t.answer) for t in found.traces
    ]
    assert len(repr(run)) < 200 and "3 traces" in repr(run)
    assert (
        [t.correct for t in run.traces] == [True] * 3
        and run.made["seed"] == 0
        and run.made["engine"] == "scripted"
    )


def test_the_place_where_two_runs_part_and_what_it_did(runs):
    found = lab.diff(*runs)
    assert found.same == 2 and found.flipped == (1, 0) and found.only == (0, 0)
    (parting,) = found.partings
    x, y = (next(t for t in read_run(path).traces if t.question == "b?") for path in runs)
    assert x.ids[: parting.at] == y.ids[: parting.at] and x.ids[parting.at] != y.ids[parting.at]
    assert parting.source == "sampled"
    shown = CliRunner().invoke(app, ["diff", *map(str, runs)])
    assert shown.exit_code == 1  # they differ
    for words in (
        "2 of 3 traces are identical, 1 differ",
        "* seed: 0  |  1",
        "a is right, b is wrong",
        "1 turned from right to wrong",
    ):
        assert words in shown.stdout


def test_another_budget_is_paired_question_by_question_but_a_sweeps_rungs_only_with_their_own(
    scripted, runs, tmp_path
):
    waited = lab.evaluate(scripted(other), PROBLEMS, lab.Budget(waits=1), progress=False).save(
        tmp_path / "waited.jsonl"
    )
    found = lab.diff(runs[0], waited)
    assert len(found.partings) == 3 and found.only == (0, 0) and found.flipped == (1, 0)
    assert (
        found.partings[0].question == "b?" and found.partings[1].source == "close"
    )  # first what turned
    swept, deeper = tmp_path / "swept.jsonl", tmp_path / "deeper.jsonl"
    for path, waits in (swept, (1, 2)), (deeper, (3, 4)):
        rungs = [lab.Budget(waits=n) for n in waits]
        write_run(
            path,
            lab.force(scripted(other), ["a?", "a?"], rungs, progress=False),
            {"model": "scripted"},
        )
    assert lab.diff(swept, swept).same == 2
    apart = lab.diff(swept, deeper)
    assert apart.only == (2, 2) and "nothing can be paired" in str(apart)


def test_a_stored_run_keeps_all_of_a_trace_and_its_own_tokenizer(scripted, tmp_path):
    """With the store at hand, nothing else on this machine need know the model."""
    budget = lab.Budget(waits=1, max_tokens=11, answer_tokens=1)
    paths = tmp_path / "a.db", tmp_path / "b.db"
    for path, end in zip(paths, ("a 1\n", "b 1\n"), strict=True):
        found = lab.force(scripted(thinker("1 r 1\n2 " + end)), "How many r?", budget, store=path)
        (kept,) = read_run(path).traces
        for name in ("ids", "source", "stops", "answer_cut", "dropped", "waits", "cut", "notes"):
            assert getattr(kept, name) == getattr(found, name), name
    (parting,) = lab.diff(*paths).partings
    assert "2" in parting.before and [text.strip()[:1] for text in parting.after] == ["a", "b"]


def test_runs_of_other_questions_and_a_trace_that_is_the_beginning_of_the_other(
    scripted, runs, tmp_path
):
    fewer = tmp_path / "fewer.jsonl"
    run = read_run(runs[0])
    whole = run.traces[0]
    short = replace(whole, ids=whole.ids[:-1], source=whole.source[:-1])
    replace(run, traces=[short]).save(fewer)
    found = lab.diff(runs[0], fewer)
    assert found.only == (2, 0) and found.same == 0
    assert found.partings[0].at == len(short.ids) and found.partings[0].after[1] == ""


def test_nothing_is_overwritten_and_what_is_no_run_is_named(runs, tmp_path):
    with pytest.raises(FileExistsError, match=r"a\.jsonl is there already"):
        write_run(runs[0], [], {})
    for name, text in {
        "empty": "",
        "other": '{"format": "x"}\n',
        "broken": runs[0].read_text()[:-40],
    }.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=f"{name} is no stored run"):
            read_run(tmp_path / name)
    ran = CliRunner().invoke(app, ["diff", str(runs[0]), str(tmp_path / "none")])
    assert ran.exit_code == 2 and "no stored run is at" in ran.stderr
