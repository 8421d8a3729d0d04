"""The driver: programs move on alone, fan out, fail without harm to the engine."""

from __future__ import annotations

import asyncio
import random
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

import s1lab as lab
from s1lab.driver import _DESKS, Member, Programs, run
from s1lab.engine import Request
from s1lab.forcing import Sampling
from s1lab.questions import force_loop, open_trace
from tests.helpers.scripted import ctrl_c_at

END = "<|im_end|>"


def ask(template, text: str) -> Request:
    return Request(tuple(template.encode(text)), 20, template.answer_stop)


def test_a_fan_out_gives_its_completions_in_order(scripted, template):
    engine = scripted(lambda text: text.upper() + END)

    def program():
        first = yield ask(template, "a")
        many = yield [ask(template, "b"), ask(template, "c")]
        none = yield []
        one = yield [ask(template, "d")]
        return [template.decode(list(c.ids)) for c in (first, *many, *none, *one)]

    assert run(engine, [program()] * 1) == [["A", "B", "C", "D"]]


def test_nobody_waits_for_another_round(scripted, template):
    """A program of one round ends while one of many is under way."""
    order = []

    def rounds(n):
        for _ in range(n):
            yield ask(template, "x")
        return n

    run(
        scripted(lambda _: "y" + END),
        [rounds(5), rounds(1), rounds(3)],
        lambda _, n: order.append(n),
    )
    assert order == [1, 3, 5]


def test_programs_that_ask_nothing_and_none_at_all(scripted):
    def silent():
        return 7
        yield

    assert run(scripted(lambda _: END), [silent(), silent()]) == [7, 7]
    assert run(scripted(lambda _: END), []) == []


def test_an_exception_cancels_what_is_in_flight_and_tells_what_was_done(scripted, template):
    engine, done = scripted(lambda _: "y" + END), []

    def good():
        yield ask(template, "x")
        return "good"

    def bad():
        yield ask(template, "x")
        raise KeyError("bad")

    def late():
        yield ask(template, "x")
        yield ask(template, "x")

    with pytest.raises(KeyError):
        run(engine, [good(), bad(), late()], lambda _, result: done.append(result))
    assert done == ["good"] and engine.cancelled


def test_as_many_are_under_way_as_the_engine_works_on_and_the_next_starts_when_one_ends(
    scripted, template
):
    engine, under_way, most = scripted(lambda _: "y" + END), set(), []
    engine.width = 3

    def program(n):
        under_way.add(n)
        most.append(len(under_way))
        yield ask(template, "x")
        yield ask(template, "x")
        under_way.discard(n)
        return n

    assert run(engine, (program(n) for n in range(10))) == list(range(10))
    assert max(most) == 3


def test_an_interrupt_keeps_what_was_finished(scripted):
    def model(text: str) -> str:
        return "1 r 1\n<|im_start|>" if text.endswith("think\n") else "Answer: 3<|im_end|>"

    engine = scripted(ctrl_c_at(9, model))
    engine.width = 2
    with pytest.raises(lab.Interrupted) as stopped:
        lab.force(engine, [f"question {n}?" for n in range(20)])
    traces = stopped.value.traces
    finished = [t for t in traces if t.error is None]
    assert traces is lab.interrupted() and len(traces) == 20 and engine.cancelled
    assert 2 <= len(finished) <= 4 and all(t.answer == "Answer: 3" for t in finished)
    assert {t.error for t in traces} == {None, "interrupted before it was finished"}
    assert f"{len(finished)} of 20" in str(stopped.value)


# Several callers ----------------------------------------------------------------------------------


def test_threads_share_an_engine_and_get_what_they_get_alone(tiny):
    asked = [list(lab.tiny.problems(6, seed, "dev")["question"]) for seed in (1, 2, 3)]
    heat = {"temperature": 0.8, "seed": 5, "progress": False}
    alone = [[t.ids for t in lab.force(tiny, questions, **heat)] for questions in asked]
    with ThreadPoolExecutor(3) as pool:
        together = pool.map(lambda questions: lab.force(tiny, questions, **heat), asked)
        assert [[t.ids for t in traces] for traces in together] == alone


def test_ctrl_c_in_one_caller_leaves_the_others(scripted, template):
    """The exception of one run drops its own requests, while another thread's go on."""
    engine, both = scripted(lambda _: "y" * 9 + END), threading.Barrier(2)

    def patient():
        both.wait(10)
        for _ in range(50):
            yield ask(template, "x")
        return "whole"

    def hasty():
        both.wait(10)
        yield ask(template, "x")
        raise KeyboardInterrupt

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(run, engine, [patient()]), pool.submit(run, engine, [hasty()])
        assert first.result(30) == ["whole"]
        assert isinstance(second.exception(30), KeyboardInterrupt)
    assert _DESKS == {} and engine._done == []


def test_a_long_run_does_not_keep_a_single_question_waiting(scripted, template):
    """It gets a slot when the next request of the long run is finished."""
    engine, order = scripted(lambda _: "y" + END), []
    engine.width = 4

    def rounds(n, name):
        for _ in range(n):
            yield [ask(template, "x"), ask(template, "y"), ask(template, "z")]
            order.append(name)

    long, single = Member(engine), Member(engine)
    with long, single:
        crowd = Programs(long, lambda *_: None, lambda *_: None)
        for n in range(20):
            crowd.start(n, rounds(30, "long"))
        for _ in range(40):
            crowd.step()
        late = Programs(single, lambda *_: order.append("ended"), lambda *_: None)
        before = len(order)
        late.start(0, rounds(1, "single"))
        while late.live:
            crowd.step()
            late.step()
    # Three requests of its own, each of which waited for at most one of the crowd's.
    assert order.index("single") - before <= 4


def test_a_driver_gives_results_and_exceptions_to_any_thread(scripted, template):
    def good(n):
        for _ in range(n):
            yield ask(template, "x")
        return n

    def bad():
        yield ask(template, "x")
        raise KeyError("bad")

    with lab.Driver(scripted(lambda _: "y" + END)) as driver:
        handles = [driver.submit(good(n)) for n in range(5)]
        broken = driver.submit(bad())
        assert [handle.result(10) for handle in handles] == list(range(5))
        with pytest.raises(KeyError):
            broken.result(10)
        assert driver.submit(good(2)).result(10) == 2  # and it goes on
    with pytest.raises(RuntimeError, match="closed"):
        driver.submit(good(1))


def forced(engine, question, budget):
    trace = open_trace(engine, question, budget, 0, None)
    return trace, force_loop(trace, budget, Sampling(), engine.context)


def test_a_watched_trace_grows_up_to_the_one_that_force_gives(tiny):
    question, budget = "How many r in raspberry", lab.Budget(waits=1)
    alone = lab.force(tiny, question, budget)
    with lab.Driver(tiny) as driver:
        trace, program = forced(tiny, question, budget)
        events = [*driver.submit(program, trace=trace, watch=True).events()]
    assert events[-1].ids == alone.ids and events[-1].source == alone.source
    assert len(events) > alone.sampled_tokens / 2
    for event in events:
        assert event.ids == alone.ids[: len(event.ids)]
        assert event.source == alone.source[: len(event.ids)]
    lengths = [len(event.ids) for event in events]
    assert lengths == sorted(lengths)


def test_a_cancelled_program_counts_its_tail_and_leaves_the_others(tiny):
    budget = lab.Budget(min_tokens=300, max_tokens=400)
    questions = list(lab.tiny.problems(3, 4, "dev")["question"])
    alone = lab.force(tiny, questions[0], budget)
    with lab.Driver(tiny) as driver:
        first = driver.submit(forced(tiny, questions[0], budget)[1])
        gone, program = forced(tiny, questions[1], budget)
        second = driver.submit(program, trace=gone, watch=True)
        next(second.events())
        assert second.cancel() and not second.cancel()
        with pytest.raises(CancelledError):
            second.result(10)
        assert first.result(60).ids == alone.ids
    assert gone.dropped > 0 and gone.error == "cancelled before it was finished"


def test_asyncio_awaits_a_handle_and_its_events(tiny):
    question, budget = "How many r in raspberry", lab.Budget()

    async def ask_both():
        with lab.Driver(tiny) as driver:
            trace, program = forced(tiny, question, budget)
            watched = driver.submit(program, trace=trace, watch=True)
            other = driver.submit(forced(tiny, "How many e in beer", budget)[1])
            events = [event async for event in watched.aevents()]
            return events, await watched, await other

    events, first, second = asyncio.run(ask_both())
    assert events[-1].ids == first.ids == lab.force(tiny, question, budget).ids
    assert second.ids == lab.force(tiny, "How many e in beer", budget).ids


def test_whoever_stops_waiting_ends_his_own_program_only(tiny):
    long, question = lab.Budget(min_tokens=400, max_tokens=500), "How many r in raspberry"
    given_up, program = forced(tiny, question, long)

    async def wait():
        with lab.Driver(tiny) as driver:
            other = driver.submit(forced(tiny, "How many e in beer", long)[1])
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(driver.submit(program, trace=given_up), 0.05)
            return await other

    assert asyncio.run(wait()).ids == lab.force(tiny, "How many e in beer", long).ids
    assert given_up.error == "cancelled before it was finished"


def test_a_driver_asks_as_force_does(tiny):
    hot = {"temperature": 0.8, "seed": 3, "top_k": 20}
    with lab.Driver(tiny) as driver:
        found = driver.force("How many e in beer", lab.Budget(waits=1), answer_tokens=4, **hot)
        odd = driver.force("How many \ud83d in beer")
        with pytest.raises(ValueError, match="empty"):
            driver.force(" ")
        with pytest.raises(ValueError, match="temperature"):
            driver.force("How many e in beer", temperature=-1)
        assert "surrogate" in odd.result(10).error
        want = lab.force(tiny, "How many e in beer", lab.Budget(waits=1), answer_tokens=4, **hot)
        assert found.result(10) == want


def test_a_driver_closes_at_once_where_it_is_told_not_to_wait(tiny):
    driver = lab.Driver(tiny)
    handles = [driver.submit(forced(tiny, f"What is {n} + 2", lab.Budget())[1]) for n in range(40)]
    driver.close(wait=False)
    ends = [handle.future.exception(1) for handle in handles]
    assert any(isinstance(end, CancelledError) for end in ends)
    assert all(end is None or isinstance(end, CancelledError) for end in ends)
    assert not handles[0].cancel()  # an order that nobody would take
    driver.close()


def test_an_engine_that_fails_fails_what_runs_on_it_and_the_driver_goes_on(scripted, template):
    engine = scripted(lambda text: 1 / 0 if "bad" in text else "y" + END)

    def program(text):
        yield ask(template, text)
        return text

    with lab.Driver(engine) as driver:
        assert isinstance(driver.submit(program("bad")).future.exception(10), ZeroDivisionError)
        assert driver.submit(program("good")).result(10) == "good"


@pytest.mark.parametrize("seed", range(10))
def test_a_hundred_random_schedules_lose_nothing(scripted, template, seed):
    """Programs join, are watched, cancelled and awaited in any order, from several threads."""
    rng = random.Random(seed)

    def program(n, rounds):
        written = []
        for _ in range(rounds):
            found = yield [ask(template, str(n))] * rng.randint(1, 2)
            written += [template.decode(list(c.ids)) for c in found]
        return n, written

    for _ in range(100):
        engine = scripted(lambda text: f"{text}." + END)
        engine.width = rng.randint(1, 4)
        with lab.Driver(engine) as one, lab.Driver(engine) as other:
            handles = {}
            for n in range(rng.randint(1, 8)):
                driver = rng.choice((one, other))
                handles[n] = driver.submit(program(n, rng.randint(0, 4)), watch=rng.random() < 0.3)
            gone = {n for n in handles if rng.random() < 0.3 and handles[n].cancel()}
            for n, handle in handles.items():
                if n in gone:
                    assert isinstance(handle.future.exception(), CancelledError)
                    continue
                number, written = handle.result(30)
                assert number == n and set(written) <= {f"{n}."}
        assert _DESKS == {} and engine._done == []
