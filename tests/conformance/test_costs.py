"""What traces cost adds up, over a run, to what the engine itself reports."""

from __future__ import annotations

import re
import time

import httpx
import pytest

import s1lab as lab
from s1lab.engine import Request, Usage
from s1lab.forcing import Sampling
from s1lab.questions import force_loop, open_trace
from tests.conformance.serving import KEY

BUDGET = lab.Budget(max_tokens=64, waits=2)


class Reports:
    """What an engine has done so far by its own account: ids read, ids cached, ids written."""

    def __init__(self, engine, monkeypatch):
        self.engine, self.seen = engine, [0, 0, 0]
        if engine.name == "vllm":
            processor = engine.llm.output_processor
            process = processor.process_outputs

            def counted(outputs, *args, **kwargs):
                for output in outputs:
                    self.seen[2] += len(output.new_token_ids)
                    if stats := output.prefill_stats:  # once for each request
                        self.seen[0] += stats.num_computed_tokens
                        self.seen[1] += stats.num_cached_tokens
                return process(outputs, *args, **kwargs)

            monkeypatch.setattr(processor, "process_outputs", counted)
        self.began = self.now()

    def now(self):
        if self.engine.name == "vllm":
            return tuple(self.seen)
        if self.engine.name == "transformers":
            return tuple(self.engine.counts[name] for name in ("fed", "reused", "decoded"))
        address = self.engine.address.removesuffix("/v1") + "/metrics"
        said = httpx.get(address, headers={"Authorization": f"Bearer {KEY}"}).text

        def total(name):
            found = re.findall(rf"^vllm:{name}_total\{{.*?\}} ([\d.e+]+)$", said, re.MULTILINE)
            return sum(int(float(value)) for value in found)

        cached = total("prompt_tokens_cached")
        return total("prompt_tokens") - cached, cached, total("generation_tokens")

    def new(self):
        return tuple(b - a for a, b in zip(self.began, self.now(), strict=True))


@pytest.fixture
def reports(engine, monkeypatch):
    return Reports(engine, monkeypatch)


def check(reports: Reports, used: Usage) -> None:
    found, until = (used.prefilled, used.cached, used.decoded), time.monotonic() + 5
    while reports.new() != found and time.monotonic() < until:
        time.sleep(0.1)  # a server writes its metrics a moment later
    assert reports.new() == found


def test_a_run_adds_up_to_what_the_engine_reports(engine, questions, reports):
    began = time.perf_counter()
    traces = lab.force(engine, questions[:24], BUDGET, progress=False)
    took = time.perf_counter() - began
    used = lab.methods.usage(*traces)
    check(reports, used)
    assert used.cached > 0  # later rounds find their question
    assert 0 < used.seconds < 24 * took
    for trace in traces:
        assert trace.cost.decoded >= trace.cost.sampled + len(trace.stops)
        assert trace.cost.seconds < took


def test_a_streamed_run_adds_up_too(engine, questions, reports):
    traces = [open_trace(engine, question, BUDGET, 0, None) for question in questions[24:32]]
    with lab.Driver(engine) as driver:
        handles = [
            driver.submit(
                force_loop(trace, BUDGET, Sampling(), engine.context), trace=trace, watch=True
            )
            for trace in traces
        ]
        for handle in handles:
            handle.result(120)
    check(reports, lab.methods.usage(*traces))


def test_a_ladder_and_a_tree_add_up(engine, questions, reports):
    rungs = lab.ladder(engine, questions[32:40], (16, 48), (0, 1), progress=False)
    tree = lab.rebase(engine, questions[40], 4, lambda t: sum(t.ids) % 7, lab.Budget(max_tokens=48))
    used = lab.methods.usage(*(trace for ladder in rungs for trace in ladder.traces))
    check(reports, used + tree.used)


def test_a_cancelled_tail_is_in_the_cost(engine, questions):
    trace = open_trace(engine, questions[0], lab.Budget(), 0, None)

    def long():
        stop = engine.template.think_stop
        return (yield Request(tuple(trace.ids), 3000, stop, min_tokens=3000))

    with lab.Driver(engine) as driver:
        handle = driver.submit(long(), trace=trace, watch=True)
        for event in handle.events():
            if event.sampled_tokens >= 5:
                break
        handle.cancel()
    cost = trace.cost
    assert cost.cancelled == cost.dropped >= 5 and cost.decoded >= cost.cancelled
    if engine.name == "server":  # it has no last word on a request whose connection was closed
        assert cost.prefilled is cost.cached is cost.seconds is None
    else:
        assert cost.prefilled + cost.cached == len(trace.ids) and cost.seconds > 0


def test_deterministic_is_refused_in_a_sentence_where_there_is_no_such_mode(engine):
    if engine.name != "vllm" or engine.device != "cpu":
        pytest.skip("only vLLM has the mode, and not on a CPU")
    with pytest.raises(ValueError, match="no batch-invariant mode on 'cpu'"):
        lab.load("s1-tiny", engine="vllm", deterministic=True)
    assert lab.force(engine, "What is 2 + 3?", lab.Budget(max_tokens=8)).error is None
