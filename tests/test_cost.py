"""What a trace cost: its parts add up to what the engine counts, whatever the method."""

from __future__ import annotations

import time

import pytest

import s1lab as lab
from s1lab.engine import Completion, Request, Usage
from s1lab.engines.reply import Streamed, usage_of
from s1lab.engines.vllm_flight import Flight
from s1lab.forcing import Sampling, reply
from s1lab.questions import force_loop, open_trace
from s1lab.trace import Source
from tests.helpers.scripted import thinker

QUESTIONS = list(lab.tiny.problems(12, seed=51, split="dev")["question"])


@pytest.fixture(scope="module")
def engine():
    with lab.load("s1-tiny", max_batch=8) as made:
        yield made


def ladders(engine):
    return [
        trace
        for rungs in lab.ladder(engine, QUESTIONS, (16, 64), (0, 1, 2), progress=False)
        for trace in rungs.traces
    ]


def votes(engine):
    votes = lab.vote(engine, QUESTIONS[:4], 3, lab.Budget(max_tokens=48), progress=False)
    return [trace for vote in votes for trace in vote.traces]


CALLS = {
    "force": lambda engine: lab.force(
        engine, QUESTIONS, lab.Budget(max_tokens=96, waits=2), progress=False
    ),
    "README's loop": lambda engine: lab.force(
        engine, QUESTIONS, lab.Budget(max_tokens=96, waits=1, compat="readme"), progress=False
    ),
    "direct": lambda engine: lab.direct(engine, QUESTIONS, prefix="Answer:", progress=False),
    "ladder": ladders,
    "vote": votes,
    "rejection": lambda engine: lab.methods.reject(
        engine, QUESTIONS, 24, 4, temperature=0.7, progress=False
    ),
    "steps": lambda engine: lab.methods.step_conditional(
        engine, QUESTIONS, 3, force=True, progress=False
    ),
    "steps as original": lambda engine: lab.methods.step_conditional(
        engine, QUESTIONS, 3, force=True, as_original=True, progress=False
    ),
}


def counted(engine, call):
    """What a call gives, and what the engine counts meanwhile."""
    before = dict(engine.counts)
    given = call(engine)
    return given, {name: engine.counts[name] - before[name] for name in before}


def check(used: Usage, counts) -> None:
    found = (used.prefilled, used.cached, used.decoded)
    assert found == (counts["fed"], counts["reused"], counts["decoded"])


@pytest.mark.filterwarnings("ignore:.*was not trained for")
@pytest.mark.parametrize("name", CALLS)
def test_traces_add_up_to_what_the_engine_did(engine, name):
    began = time.perf_counter()
    traces, counts = counted(engine, CALLS[name])
    took = time.perf_counter() - began
    used = lab.methods.usage(*traces)
    check(used, counts)
    assert 0 < used.seconds < engine.width * took
    # What was written is in a trace or was dropped; a stop is neither.
    sampled = {id(u): u.decoded for t in traces for u in t.usage}
    assert counts["sampled"] <= sum(sampled.values())
    for trace in traces:
        cost = trace.cost
        assert not trace.error
        assert (cost.sampled, cost.forced) == (trace.sampled_tokens, trace.forced_tokens)
        assert cost.decoded >= trace.dropped + (cost.sampled if name != "ladder" else 0)
        assert cost.probes == cost.cancelled == 0


def test_a_round_after_a_wait_reads_its_question_from_the_cache(engine):
    trace = lab.force(engine, QUESTIONS[0], lab.Budget(max_tokens=200, waits=1))
    first, second, *_ = trace.usage
    assert trace.waits == 1 and second.cached >= first.cached + first.prefilled
    assert second.prefilled + second.cached == trace.source.index(Source.CONTINUATION) + len(
        trace.of(Source.CONTINUATION)
    )


def test_a_ladder_counts_its_shared_pass_once(engine):
    traces, counts = counted(engine, ladders)
    assert sum(trace.cost.decoded for trace in traces) > counts["decoded"]
    check(lab.methods.usage(*traces), counts)


def test_a_tree_counts_its_pruned_branches(engine):
    def grown(engine):
        return lab.rebase(
            engine, QUESTIONS[:3], 4, lambda t: sum(t.ids) % 7, lab.Budget(max_tokens=64),
            step_tokens=8, temperature=1.3, progress=False,
        )  # fmt: skip

    trees, counts = counted(engine, grown)
    check(sum((tree.used for tree in trees), Usage()), counts)
    kept = lab.methods.usage(*(trace for tree in trees for trace in tree.traces))
    assert kept.decoded < counts["decoded"]


def test_what_comes_from_a_store_took_nothing(engine, tmp_path):
    asked = {"budget": lab.Budget(max_tokens=64, waits=1), "store": tmp_path / "x.db"}
    twice = [*QUESTIONS[:3], *QUESTIONS[:3]]  # greedy: each request goes to the engine once
    traces, counts = counted(engine, lambda e: lab.force(e, twice, progress=False, **asked))
    check(lab.methods.usage(*traces), counts)
    again, counts = counted(engine, lambda e: lab.force(e, twice, progress=False, **asked))
    assert not any(counts.values()) and [t.ids for t in again] == [t.ids for t in traces]
    assert lab.methods.usage(*again) == Usage()
    replayed = lab.force(lab.replay(asked["store"]), twice[0], asked["budget"])
    assert replayed.cost.decoded == 0 and replayed.cost.sampled == traces[0].cost.sampled


def test_a_cancelled_tail_is_in_the_cost(engine):
    budget = lab.Budget(min_tokens=3000, max_tokens=3000)
    trace = open_trace(engine, QUESTIONS[0], budget, 0, None)
    program = force_loop(trace, budget, Sampling(), engine.context)

    def cancelled(engine):
        with lab.Driver(engine) as driver:
            handle = driver.submit(program, trace=trace, watch=True)
            for event in handle.events():
                if event.sampled_tokens >= 5:
                    break
            assert handle.cancel()
        return trace

    _, counts = counted(engine, cancelled)
    check(trace.cost, counts)
    assert trace.cost.cancelled == trace.cost.dropped == trace.cost.decoded >= 5
    assert trace.cost.sampled == 0 and trace.cost.seconds > 0


def test_a_probe_is_in_the_cost_and_not_in_the_trace(scripted):
    engine = scripted(lambda _: " 3<|im_end|>")
    trace = open_trace(engine, "What is 1 + 2?", lab.Budget(), 0, None)

    def probed():
        copy = trace.fork(None, trace.budget)
        yield from reply(copy, 8, Sampling(), engine.context)
        trace.add_probe(copy)
        return copy

    (copy,) = lab.driver.run(engine, [probed()])
    wrote = len(copy.of(Source.ANSWER)) + 1  # and the stop
    assert trace.cost.probes == trace.cost.decoded == wrote and trace.cost.sampled == 0
    assert lab.methods.usage(trace).probes == wrote


def test_an_engine_that_tells_nothing_leaves_it_unknown(scripted):
    engine = scripted(thinker("1 r 1\n", "1 r 2\n"))
    trace = lab.force(engine, "How many r?", lab.Budget(waits=1))
    cost = trace.cost
    assert cost.prefilled is cost.cached is cost.seconds is None
    assert cost.decoded == cost.sampled + len(trace.usage)  # each request ended in a stop


def test_an_unknown_number_makes_its_sum_unknown():
    known, unknown = Usage(3, 4, 5, 0.5), Usage(None, 1, 2, None, 1, 1)
    assert known + unknown == unknown + known == Usage(None, 5, 7, None, 1, 1)
    assert known + Usage() == known


def test_stored_traces_are_refused(engine, tmp_path):
    lab.force(engine, QUESTIONS[0], lab.Budget(max_tokens=8), store=tmp_path / "x.db")
    stored = lab.storage.read_run(tmp_path / "x.db").traces[0]
    with pytest.raises(ValueError, match=r"traces\[0\].* is no trace of this process"):
        lab.methods.usage(stored)


def test_equal_traces_took_different_times(engine):
    a, b = (lab.force(engine, QUESTIONS[0], lab.Budget(max_tokens=16)) for _ in "ab")
    assert a == b and a.cost != b.cost


def test_a_vllm_request_in_several_launches_adds_them_up():
    """An id past the vocabulary ends a launch: the next one continues all ids so far."""
    flight = Flight(0, Request(tuple(range(40)), 20, frozenset({1})))
    flight.launched, flight.began = 0, 10.0
    flight.written += [5, 6, 999]
    flight.spend(40, 0, 11.0)
    flight.written.pop()
    flight.launched = len(flight.written)
    flight.written += [7, 1]
    flight.spend(42, 32, 12.5)
    assert flight.completion(1).usage == Usage(50, 32, 5, 2.5)
    flight.spend(None, None, 13.0)
    assert flight.completion().usage.prefilled is None


REPLY = {
    "usage": {
        "prompt_tokens": 40,
        "completion_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 32},
    },
    "metrics": {"generation_time_ms": 250},
}
CHOICE = {"token_ids": [7, 8, 1]}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, Usage(8, 32, 3, 0.25)),
        ({"metrics": None}, Usage(8, 32, 3, None)),
        ({"metrics": {"generation_time_ms": float("nan")}}, Usage(8, 32, 3, None)),
        ({"metrics": {"generation_time_ms": True}}, Usage(8, 32, 3, None)),
        ({"metrics": [1]}, Usage(8, 32, 3, None)),
        ({"usage": {"prompt_tokens": 40, "completion_tokens": 4}}, Usage(None, None, 4, 0.25)),
        ({"usage": "many"}, Usage(None, None, 3, 0.25)),
        ({"usage": {"completion_tokens": -1}}, Usage(None, None, 3, 0.25)),
        (
            {"usage": {"prompt_tokens": 4, "prompt_tokens_details": {"cached_tokens": 5}}},
            Usage(None, None, 3, 0.25),
        ),
        (
            {"usage": {"prompt_tokens": 4, "prompt_tokens_details": {"cached_tokens": "4"}}},
            Usage(None, None, 3, 0.25),
        ),
    ],
)
def test_what_a_server_says_is_read_or_unknown(changes, found):
    assert usage_of(REPLY | changes, CHOICE) == found


def test_the_last_event_of_a_stream_has_the_usage():
    streamed = Streamed()
    streamed.add({"choices": [{"token_ids": [7, 8, 1], "finish_reason": "stop"}], "usage": None})
    streamed.add({"choices": [], **REPLY})
    assert usage_of(streamed.said, streamed.choice) == Usage(8, 32, 3, 0.25)


def test_completions_are_equal_whatever_they_took():
    done = [Completion((1, 2), 3, usage=used) for used in (None, Usage(1, 2, 3, 4.0))]
    assert done[0] == done[1]
