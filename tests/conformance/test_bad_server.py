"""Two hundred questions against every kind of bad server: right, or one sentence that says what it
did.
"""

from __future__ import annotations

import functools
import re
import time
import tracemalloc

import pytest

import s1lab as lab
from s1lab.engines import retries
from s1lab.engines import server as module
from s1lab.engines.end_of_sequence import end_ids
from s1lab.engines.model_files import load_tokenizer
from s1lab.engines.vocabulary import rows_of
from tests.conformance.bad_server import KEY, MODES, QUESTIONS, ToyEngine

SECONDS = 20.0  # for a mode's 200 questions, on a machine that does other things besides


@pytest.fixture
def bad(bad_server):
    return bad_server


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Short pauses, and a tokenizer that is read once."""
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(retries, "LONGEST_PAUSE", 0.05)
    for function in (load_tokenizer, end_ids_once, rows_of):
        monkeypatch.setattr(module, function.__name__.removesuffix("_once"), _cached(function))
    monkeypatch.delenv("S1LAB_API_KEY", raising=False)


def end_ids_once(model, tokenizer):
    return end_ids(model, tokenizer)


@functools.cache
def _cached(function):
    return functools.cache(function)


def budget_of(waits=0):
    return lab.Budget(max_tokens=24, waits=waits, answer_tokens=6)


@pytest.fixture(scope="module")
def right(bad_server):
    engine = ToyEngine(bad_server.toy, bad_server.template)

    @functools.cache
    def traces(waits):
        return lab.force(engine, QUESTIONS, budget_of(waits), progress=False)

    return traces


@pytest.mark.parametrize("name", MODES)
def test_every_question_is_right_or_says_what_the_server_did(name, bad, right, recwarn):
    mode = MODES[name]
    options = dict(mode.options)
    waits = options.pop("waits", 0)
    bad.behave()
    given = {"timeout": 15.0, "patience": 15.0, "concurrency": 64, "api_key": KEY} | options
    with lab.load(bad.address, **given) as engine:
        bad.behave(mode.act)
        before = time.monotonic()
        traces = lab.force(engine, QUESTIONS, budget_of(waits), progress=False)
        assert time.monotonic() - before < SECONDS
        bad.behave()  # and the same engine works on once the server does
        assert lab.force(engine, QUESTIONS[0], budget_of()).ids == right(0)[0].ids
    expected = right(waits)
    wrong = {i: trace.error for i, trace in enumerate(traces) if trace.error}
    may = {i: says for i in range(len(QUESTIONS)) if (says := mode.says(i)) is not None}
    assert set(wrong) <= set(may), {i: wrong[i] for i in set(wrong) - set(may)}
    assert len(wrong) >= mode.least * len(may), f"{len(wrong)} of {len(may)} had an error"
    for i, trace in enumerate(traces):
        if i not in wrong:
            assert (trace.ids, trace.source) == (expected[i].ids, expected[i].source)
            continue
        # The ids that were checked before the server went wrong are kept, and they are right.
        assert trace.ids == expected[i].ids[: len(trace.ids)]
        said = wrong[i]
        assert said.isprintable() and 20 < len(said) < 900 and KEY not in said
        if "was not asked any more" not in said:  # that names the last failure of all
            assert re.search(may[i], said), said


@pytest.mark.parametrize("name", ["sends_without_end", "announces_gigabytes", "sends_a_gzip_bomb"])
def test_a_reply_without_end_takes_bounded_memory(name, bad):
    bad.behave()
    with lab.load(bad.address) as engine:
        bad.behave(MODES[name].act)
        tracemalloc.start()
        try:
            trace = lab.force(engine, QUESTIONS[0], budget_of())
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            bad.behave()
    assert "more than" in trace.error and peak < 8 * 2**20  # the bomb alone has 32 MiB


def test_a_run_on_a_silent_server_ends_when_its_patience_and_one_timeout_are_over(bad):
    """However many questions wait: without that end, each eight of the 200 would take a timeout
    more.
    """
    bad.behave()
    with lab.load(bad.address, timeout=1.0, patience=1.0, retries=3, concurrency=8) as engine:
        bad.behave(MODES["never_answers"].act)
        before = time.monotonic()
        traces = lab.force(engine, QUESTIONS, budget_of(), progress=False)
        took = time.monotonic() - before
        bad.behave()
    # The first failure comes after one timeout; from then on there is the patience and one more.
    assert took < 3.0 + 3.0 and all("no whole answer" in trace.error for trace in traces)
    assert sum("was not asked any more" in trace.error for trace in traces) > 150


def test_a_wait_that_is_asked_for_is_bounded_by_the_patience(bad, monkeypatch):
    monkeypatch.setattr(retries, "LONGEST_PAUSE", 30.0)
    bad.behave()
    with lab.load(bad.address, patience=1.0, retries=50) as engine:
        bad.behave(MODES["is_busy_for_ever_and_asks_to_wait_long"].act)
        before = time.monotonic()
        error = lab.force(engine, QUESTIONS[0], budget_of()).error
        took = time.monotonic() - before
        bad.behave()
    assert 1.0 <= took < 4.0 and "429" in error


def test_a_hundred_kinds_of_misbehaviour_are_tried():
    assert len(MODES) >= 40 and sum(len(mode.kinds) for mode in MODES.values()) >= 100
