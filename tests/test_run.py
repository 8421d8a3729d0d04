"""The driver: programs move on alone, fan out, fail without harm to the engine."""

from __future__ import annotations

import pytest

from s1lab.engine import Request, run

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

    run(scripted(lambda _: "y" + END), [rounds(5), rounds(1), rounds(3)], lambda _, n: order.append(n))
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
