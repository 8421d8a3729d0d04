"""The driver: programs move on alone, fan out, fail without harm to the engine."""

from __future__ import annotations

import pytest

import s1lab as lab
from s1lab.engine import Request, run
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
