"""The server engine against a real server that is killed, late, broken or unwilling."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import s1lab as lab
from s1lab.forcing import Sampling, force
from s1lab.questions import open_trace
from tests.conformance.proxy import Proxy
from tests.conformance.serving import KEY, free_port

pytestmark = pytest.mark.xdist_group("server")

BUDGET = lab.Budget(waits=2)


@pytest.fixture(scope="module")
def many():
    return list(lab.tiny.problems(200, 32, "dev")["question"])


@pytest.fixture(scope="module")
def undisturbed(server, many):
    with lab.load(server.address, api_key=KEY) as engine:
        return [t.ids for t in lab.force(engine, many, BUDGET)]


def test_errors_delays_drops_and_half_answers_change_no_result_and_ask_nothing_twice(
    server, many, undisturbed
):
    kinds = ["pass", "500", "pass", "drop", "half", "pass", "429", "pass", "pass", "pass"]

    def mischief(n: int) -> str | float:
        return "pass" if not 5 < n < 405 else 8.0 if n % 40 == 7 else kinds[n % 10]

    with (
        Proxy(server.address, mischief) as proxy,
        lab.load(proxy.address, api_key=KEY, timeout=6.0, concurrency=24) as engine,
    ):
        traces = lab.force(engine, many, BUDGET)
        assert engine.retried >= 160  # 4 in 10 of 400, and the late ones
    assert [t.error for t in traces] == [None] * len(many)
    assert [t.ids for t in traces] == undisturbed
    assert proxy.repeats == 0


def test_a_server_killed_and_started_again_in_mid_run(server, many, undisturbed):
    with (
        Proxy(server.address, lambda _: "pass") as proxy,
        lab.load(proxy.address, api_key=KEY, retries=20, patience=300, concurrency=64) as engine,
    ):
        finished = 0

        def program_done(_: int, __: object) -> None:
            nonlocal finished
            finished += 1
            if finished == 40:
                server.kill()
                server.start()

        traces = [open_trace(engine, q, BUDGET, 0, None) for q in many]
        lab.run(
            engine, [force(t, BUDGET, Sampling(), engine.context) for t in traces], program_done
        )
        assert engine.retried > 0 and finished == len(many)
    assert proxy.repeats == 0
    assert [t.error for t in traces] == [None] * len(many)
    assert [t.ids for t in traces] == undisturbed


def test_a_server_that_stays_away_fails_what_is_left_and_keeps_what_is_done(server, many):
    """All after the 30th answer is dropped; nobody waits for each question's own patience."""
    with (
        Proxy(server.address, lambda n: "pass" if n < 90 else "drop") as proxy,
        lab.load(proxy.address, api_key=KEY, concurrency=8, retries=30, patience=2.0) as engine,
    ):
        traces = lab.force(engine, many, lab.Budget())
    done = [t for t in traces if t.error is None]
    assert 20 < len(done) < 90
    assert all("gave no answer" in t.error and proxy.address in t.error for t in traces if t.error)


def test_time_that_passed_idle_does_not_count_against_the_server(server, many):
    with (
        Proxy(server.address, lambda n: "500" if n == 1 else "pass") as proxy,
        lab.load(proxy.address, api_key=KEY, patience=0.5) as engine,
    ):
        time.sleep(1.0)
        assert lab.force(engine, many[0], lab.Budget(max_tokens=5)).error is None
        assert engine.retried == 1


def test_a_long_answer_that_is_lost_is_asked_again_and_an_outage_is_forgotten_by_the_next_run(
    server, many
):
    """Patience counts from the first failure, not from when the lost answer was begun; and not from
    one run to the next.
    """
    weather = ["slow"]

    def mischief(n: int) -> str:
        now = weather[0]
        if n and now in ("slow", "shaky"):
            weather[0] = "fair"
            if now == "slow":
                time.sleep(1.5)  # it was long at work when its connection broke
        return "drop" if n and now in ("slow", "down") else "500" if now == "shaky" else "pass"

    budget = lab.Budget(max_tokens=5)
    with (
        Proxy(server.address, mischief) as proxy,
        lab.load(proxy.address, api_key=KEY, patience=1.0, retries=2) as engine,
    ):
        assert lab.force(engine, many[0], budget).error is None and engine.retried == 1
        weather[0] = "down"
        assert "gave no answer" in lab.force(engine, many[1], budget).error
        weather[0] = "shaky"
        before = engine.retried
        assert lab.force(engine, many[2], budget).error is None and engine.retried == before + 1


def test_a_refusal_is_reported_at_once_in_the_servers_words(server, many):
    with (
        Proxy(server.address, lambda n: "400" if n == 1 else "pass") as proxy,
        lab.load(proxy.address, api_key=KEY) as engine,
    ):
        bad, good = lab.force(engine, many[:2], [lab.Budget(max_tokens=3)] * 2)
        if good.error:
            bad, good = good, bad
        assert "made up by the proxy" in bad.error and "400" in bad.error and good.error is None
        assert engine.retried == 0


def test_the_key_shows_nowhere(server, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(PermissionError) as refused:
        lab.load(server.address, api_key="wrong-" + KEY)
    assert KEY not in str(refused.value) and "api_key=" in str(refused.value)
    with lab.load(server.address.replace("//", f"//user:{KEY}@"), api_key=KEY) as engine:
        trace = lab.force(engine, "How many r in raspberry", lab.Budget(max_tokens=5))
        shown = (
            repr(engine)
            + json.dumps(lab.describe(engine))
            + repr(trace)
            + str(trace)
            + trace._repr_html_()
        )
    captured = capfd.readouterr()
    assert KEY not in shown + caplog.text + captured.out + captured.err


def test_addresses_and_models_that_are_wrong(server):
    with pytest.raises(ConnectionError, match="no server answers"):
        lab.load(f"http://127.0.0.1:{free_port()}/v1")
    with pytest.raises(ValueError, match="/v1"):
        lab.load(server.address.removesuffix("/v1") + "/nowhere", api_key=KEY)
    with pytest.raises(ValueError, match="s1-tiny"):
        lab.load(server.address, model="another", api_key=KEY)
    with pytest.raises(FileNotFoundError, match="tokenizer="):
        lab.load(server.address, api_key=KEY, tokenizer="./nowhere")
    with pytest.raises(ValueError, match="address"):
        lab.load(server.address, engine="vllm")
    with pytest.raises(ValueError, match="http"):
        lab.load("s1-tiny", engine="server")
    for address in ("http://host:port/v1", "http:///v1"):
        with pytest.raises(ValueError, match="is no address"):
            lab.load(address)
    for key in ("schlüssel", "key\n"):
        with pytest.raises(ValueError, match="api_key") as refused:
            lab.load(server.address, api_key=key)
        assert key not in str(refused.value)


def test_a_closed_or_forgotten_client_leaves_no_thread(server):
    def clients():
        return [t for t in threading.enumerate() if t.name == "s1lab server engine"]

    before = len(clients())
    engine = lab.load(server.address, api_key=KEY)
    assert len(clients()) == before + 1 and engine.versions["server"].startswith("vllm ")
    made = lab.describe(engine)["versions"]
    assert "torch" not in made and made["server"] == engine.versions["server"]
    engine.close()
    engine.close()
    with pytest.raises(RuntimeError, match="load it again"):
        lab.force(engine, "How many r in raspberry")
    forgotten = lab.load(server.address, api_key=KEY)
    del engine, forgotten
    gc.collect()
    assert len(clients()) == before


def test_an_endpoint_without_token_ids_is_refused_with_what_to_turn_on():
    class Plain(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def answer(self, said: dict) -> None:
            content = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self.answer({"data": [{"id": "s1-tiny", "max_model_len": 4096}]})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.answer({"choices": [{"text": " 3", "finish_reason": "stop"}]})

    http = ThreadingHTTPServer(("127.0.0.1", 0), Plain)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        with pytest.raises(ValueError, match="return_token_ids"):
            lab.load(f"http://127.0.0.1:{http.server_address[1]}/v1", tokenizer="s1-tiny")
    finally:
        http.shutdown()


def test_it_works_inside_a_running_event_loop(server, many):
    async def notebook_cell():
        with lab.load(server.address, api_key=KEY) as engine:
            return lab.force(engine, many[0], lab.Budget(max_tokens=20))

    assert asyncio.run(notebook_cell()).thinking_tokens == 20
