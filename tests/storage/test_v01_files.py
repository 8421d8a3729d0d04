"""Files of version 0.1 are read, and the same calls give the same results out of its store.

``fixtures/v0.1/README.md`` says which calls wrote them. ``expected.json`` is what version 0.1
itself read back.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import s1lab as lab
from tests.helpers import FIXTURES

FIXTURE = FIXTURES / "v0.1"
EXPECTED = json.loads((FIXTURE / "expected.json").read_text())
# In the order of the runs in the store.
CALLS = ("force", "readme", "harness", "direct", "ladder", "sampled", "vote", "evaluate")
# What 0.1 meant where a call named no number: 1,024 tokens for the answer, and as many left for it
# by the thinking.
OLD = {"answer_tokens": 1024, "answer_room": 1024}
FIELDS = ("ids", "source", "answer", "waits", "cut")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A copy of the store: reading one puts files beside it."""
    return Path(shutil.copy(FIXTURE / "store.db", tmp_path / "store.db"))


def facts(traces: list[lab.Trace] | list[Any]) -> list[dict[str, Any]]:
    """What ``expected.json`` has of each trace."""
    return [
        {
            name: list(map(str, t.source)) if name == "source" else getattr(t, name)
            for name in FIELDS
        }
        for t in traces
    ]


def test_the_questions_are_those_of_the_embedded_world():
    assert lab.tiny.problems(4, seed=0)["question"] == EXPECTED["questions"]


def test_the_runs_are_listed(store):
    listed = lab.runs(store)
    assert list(listed["run"]) == list(range(1, 9)) and set(listed["status"]) == {"finished"}
    assert list(listed["call"]) == [
        "force",
        "force",
        "force",
        "direct",
        "ladder",
        "force",
        "vote",
        "evaluate",
    ]
    assert list(listed["questions"]) == [4, 4, 4, 4, 2, 2, 2, 4]


@pytest.mark.parametrize("name", CALLS)
def test_each_run_is_read(store, name):
    run = lab.storage.read_run(f"{store}#{CALLS.index(name) + 1}")
    assert facts(run.traces) == EXPECTED["results"][name]
    for trace in run.traces:
        # One number stood for both: the thinking left as much as the answer could have.
        assert trace.budget is None or trace.budget.answer_room == trace.budget.answer_tokens
    budgets = {trace.budget for trace in run.traces if trace.budget}
    assert {b.answer_tokens for b in budgets} == {"readme": {32}, "direct": set()}.get(name, {1024})


def test_the_saved_run_is_read_with_its_verdicts():
    run = lab.storage.read_run(FIXTURE / "run.jsonl")
    assert facts(run.traces) == EXPECTED["results"]["evaluate"]
    assert [t.correct for t in run.traces] == EXPECTED["verdicts"]
    assert {t.budget for t in run.traces} == {lab.Budget(waits=1, **OLD)}
    assert run.made["semantics"] == "exact" and run.made["versions"]["s1lab"] == "0.1.0"


def test_a_run_of_01_is_saved_and_read_again(tmp_path):
    run = lab.storage.read_run(FIXTURE / "run.jsonl")
    again = lab.storage.read_run(run.save(tmp_path / "again.jsonl"))
    assert again.traces == run.traces
    assert lab.storage.Run.from_dataset(run.to_dataset()).traces == run.traces


def test_a_run_of_01_is_compared_with_itself(store):
    found = lab.diff(FIXTURE / "run.jsonl", f"{store}#8")
    assert found.same == 4 and not found.partings


QUESTIONS = EXPECTED["questions"]
REPLAYED: dict[str, Callable[[lab.Engine], list[lab.Trace]]] = {
    "force": lambda e: lab.force(e, QUESTIONS, lab.Budget(max_tokens=40, waits=1), **OLD),
    "direct": lambda e: lab.direct(e, QUESTIONS, prefix="Answer:", answer_tokens=16),
    "ladder": lambda e: [
        trace
        for one in lab.ladder(e, QUESTIONS[:2], (16, 32), (0, 1), **OLD)
        for trace in one.traces
    ],
    "sampled": lambda e: lab.force(
        e, QUESTIONS[:2], lab.Budget(), temperature=0.7, top_p=0.9, seed=3, **OLD
    ),
    "vote": lambda e: [
        t for vote in lab.vote(e, QUESTIONS[:2], samples=2, **OLD) for t in vote.traces
    ],
    "evaluate": lambda e: (
        lab.evaluate(e, lab.tiny.problems(4, seed=0), lab.Budget(waits=1), **OLD).traces
    ),
    # The numbers may also be the budget's own.
    "force by its budget": lambda e: lab.force(
        e, QUESTIONS, lab.Budget(max_tokens=40, waits=1, **OLD)
    ),
}


@pytest.mark.parametrize("name", list(REPLAYED))
def test_the_same_call_gives_the_same_results_out_of_the_store(store, name):
    with lab.replay(store) as engine:
        traces = REPLAYED[name](engine)
    assert [t.error for t in traces] == [None] * len(traces)
    assert facts(traces) == EXPECTED["results"][name.removesuffix(" by its budget")]


def test_the_verdicts_are_those_of_01(store):
    with lab.replay(store) as engine:
        results = lab.evaluate(engine, lab.tiny.problems(4, seed=0), lab.Budget(waits=1), **OLD)
    assert results.verdicts == EXPECTED["verdicts"]


def test_the_new_default_asks_what_the_old_store_does_not_hold(store):
    """As CHANGELOG says: an answer may be longer now, so another completion is asked for."""
    with lab.replay(store) as engine:
        traces = lab.force(engine, QUESTIONS, lab.Budget(max_tokens=40, waits=1))
    assert all("does not hold this completion" in t.error for t in traces)


def test_a_call_with_the_old_numbers_goes_on_in_the_old_store(store, tiny):
    """Nothing is asked again that 0.1 asked, where the weights are still those of 0.1."""
    from s1lab.storage.sqlite import open_to_read

    known = open_to_read(store).execute("SELECT fingerprint FROM models").fetchone()[0]
    if known != tiny.fingerprint:
        pytest.skip("the embedded model was trained anew since")
    lab.force(tiny, QUESTIONS, lab.Budget(max_tokens=40, waits=1), store=store, **OLD)
    last = lab.runs(store).iloc[-1]
    assert last["completions"] == 0 and last["reused"] > 0
