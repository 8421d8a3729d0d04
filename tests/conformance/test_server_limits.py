"""A real vLLM server that writes 16 ids at most, whatever it is asked for: its generation config
says so.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator

import httpx
import pytest

import s1lab as lab
from tests.conformance.serving import KEY, Server
from tests.helpers import TINY

pytestmark = pytest.mark.xdist_group("limits")

BUDGETS = {
    "8": lab.Budget(max_tokens=8),
    "16": lab.Budget(max_tokens=16),
    "17": lab.Budget(max_tokens=17),
    "40": lab.Budget(max_tokens=40),
    "own stop": lab.Budget(),
    "floor": lab.Budget(min_tokens=90, max_tokens=200),
    "two waits": lab.Budget(waits=2),
    "answer of 16": lab.Budget(max_tokens=40, answer_tokens=16),
}


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("limited") / "log"
    more = ["--override-generation-config", json.dumps({"max_new_tokens": 16})]
    server = Server(TINY, log, more=more)
    try:
        yield server.start().wait()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def engine(limited: Server) -> Iterator[lab.Engine]:
    with lab.load(limited.address, api_key=KEY) as engine:
        yield engine


def test_the_server_really_has_the_limit(limited: Server, engine: lab.Engine) -> None:
    """Else the tests below would show nothing."""
    body = {"model": "s1-tiny", "prompt": engine.template.prompt("?"), "max_tokens": 40}
    body |= {"ignore_eos": True, "return_token_ids": True, "temperature": 0}
    key = {"Authorization": f"Bearer {KEY}"}
    said = httpx.post(f"{limited.address}/completions", json=body, headers=key, timeout=60)
    choice = said.json()["choices"][0]
    assert (len(choice["token_ids"]), choice["finish_reason"]) == (16, "length")
    assert choice["prompt_token_ids"] == body["prompt"]


@pytest.mark.parametrize("name", BUDGETS)
def test_a_budget_gives_the_reference_ids_past_the_servers_limit(
    engine, reference, questions, name
):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the first run says that the server has a limit
        traces = lab.force(engine, questions[:12], BUDGETS[name])
    expected = lab.force(reference, questions[:12], BUDGETS[name])
    for trace, want in zip(traces, expected, strict=True):
        assert trace.error is None
        assert (trace.ids, trace.source, trace.cut) == (want.ids, want.source, want.cut)


def test_rungs_of_a_ladder_are_their_own_runs(engine, questions):
    caps = (8, 16, 40)
    for ladder in lab.ladder(engine, questions[:8], caps=caps):
        for rung in ladder.traces:
            alone = lab.force(engine, rung.question, rung.budget)
            assert (rung.ids, rung.source) == (alone.ids, alone.source)


def test_a_sampled_run_is_the_same_twice(engine, questions):
    """Its pieces are another stream than one whole answer, and they are always the same pieces."""
    twice = [
        lab.force(engine, questions[:8], lab.Budget(max_tokens=40), temperature=0.8)
        for _ in range(2)
    ]
    assert [t.ids for t in twice[0]] == [t.ids for t in twice[1]]
    assert all(t.error is None for t in twice[0]) and any(t.thinking_tokens > 16 for t in twice[0])


def test_the_limit_is_told_once(limited, questions):
    with lab.load(limited.address, api_key=KEY) as fresh:
        with pytest.warns(UserWarning, match="by itself after 16 ids.*--generation-config vllm"):
            lab.force(fresh, questions[0], lab.Budget(max_tokens=40))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            lab.force(fresh, questions[1], lab.Budget(max_tokens=40))
