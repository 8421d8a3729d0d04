"""A ladder's rungs are the runs of their budgets, token for token, from one thinking pass; what
can't be one is refused.
"""

from __future__ import annotations

import random

import pytest
from datasets import Dataset

import s1lab as lab
from s1lab.engine import Completion, Request
from s1lab.methods.fan_out import together
from s1lab.methods.ladder import named_rung, names, rung_name, rungs_of
from tests.helpers.scripted import ANSWER, THINK, ctrl_c_at, same, thinker


def test_a_rungs_name_is_read_back_and_so_are_the_names_of_version_0_1():
    for rung in ((16, 0), (None, 0), (None, 1), (None, 2), (None, 12)):
        assert named_rung(rung_name(cap=rung[0], waits=rung[1])) == rung
    assert names((16,), (0, 1, 2)) == ["cap 16", "own stop", "1 Wait", "2 Waits"]
    assert named_rung("waits 2") == (None, 2)
    assert all(named_rung(other) is None for other in ("raspberry", "cap", "cap 16 tokens", ""))


def test_each_rung_is_its_own_run_for_any_budgets(scripted):
    rng = random.Random(4)

    def model(text: str) -> str:
        """Two lines a round, numbered on from whatever stands there, a Wait or not."""
        if ANSWER in text:
            return " 3 or so<|im_end|>"
        n = text.split(THINK)[1].count("\n")
        return f"{n} r {n}\n{n + 1} a 1\n<|im_start|>"

    for _ in range(60):
        shared = lab.Budget(
            max_tokens=rng.choice([None, 12, 40]),
            min_tokens=rng.choice([0, 0, 10]),
            waits=rng.choice([0, 1]),
            wait=rng.choice(["Wait", "Wait", None]),
            on_cut=rng.choice(["Final Answer:", None]),
            answer_tokens=rng.choice([2, 50]),
        )
        caps = sorted(rng.sample(range(10, 60), rng.randint(0, 5)))
        waits = sorted(rng.sample(range(7), rng.randint(not caps, 4)))
        found = lab.ladder(scripted(model), "How many r in raspberry?", caps, waits, budget=shared)
        for cap in caps:
            alone = lab.force(scripted(model), found.question, rungs_of(shared, [cap], [])[0])
            assert same(found.at(cap=cap), alone)
        for n in waits:
            alone = lab.force(scripted(model), found.question, rungs_of(shared, [], [n])[0])
            assert same(found.at(waits=n), alone)


def test_one_pass_thinks_and_rungs_that_coincide_are_answered_once(scripted):
    engine = scripted(thinker("1 r 1\n2 a 1\n"))
    found = lab.ladder(engine, "How many r in raspberry?", caps=(4, 100, 200), waits=(0,))
    thinking = [r for r in engine.requests if r.stop == engine.template.think_stop]
    assert (
        len(thinking) == 1 and len(engine.requests) == 3
    )  # one pass, the cut at 4, and the own stop for all others
    assert found.at(cap=100).ids == found.at(waits=0).ids and found.at(cap=100) is not found.at(
        cap=200
    )
    assert found.at(cap=4).cut and found.at(cap=4).thinking_tokens == 4
    assert found.written < found.alone == sum(t.sampled_tokens for t in found.traces)
    assert "cap 4" in str(found) and "own stop" in str(found)


def test_sampled_rungs_are_their_own_runs_too(tiny):
    questions = list(lab.tiny.problems(12, 8, "dev")["question"])
    options = {"temperature": 0.9, "top_p": 0.95, "seed": 7, "progress": False}
    found = lab.ladder(tiny, questions, (8, 30), (0, 2), **options)
    for budget, rung in (
        (lab.Budget(max_tokens=30), {"cap": 30}),
        (lab.Budget(waits=2), {"waits": 2}),
    ):
        alone = lab.force(tiny, questions, budget, **options)
        assert all(same(a, f.at(**rung)) for a, f in zip(alone, found, strict=True))


def test_a_question_that_fails_fails_on_all_rungs_and_leaves_the_others(scripted):
    engine = scripted(thinker("1 r 1\n"), context=200)
    bad, good = lab.ladder(engine, ["x " * 300, "How many r in raspberry?"], (4,), (0,))
    assert bad.error and all(t.error for t in bad.traces) and "200" in bad.error
    assert good.error is None and good.at(waits=0).answer == "Answer: 3"


def test_an_engine_that_fails_in_the_pass_keeps_the_rungs_below(scripted, template):
    class Failing(type(scripted(thinker("1 r 1\n")))):
        def submit(self, key: int, request: Request) -> None:
            super().submit(key, request)
            if request.min_tokens:  # the round after the first Wait
                self._done[-1] = (key, Completion((), error="made up"))

    found = lab.ladder(Failing(template, thinker("1 r 1\n2 a 1\n")), "How many r?", (4,), (0, 1))
    assert (
        found.at(cap=4).answer
        and found.at(waits=0).answer == "Answer: 3"
        and found.at(waits=1).error == "made up"
    )


@pytest.mark.parametrize(
    ("caps", "waits", "words"),
    [
        ((), (), "empty"),
        ((64, 16), (), "16 comes after 64"),
        ((16, 16), (), "16 stands twice"),
        ((), (1, 0), "0 comes after 1"),
        ((), (2, 2), "2 stands twice"),
        ((), (-1, 0), "waits=-1 is negative"),
        ((0, 4), (), "max_tokens=0"),
        (16, (), "caps=16 is no list of rungs"),
        ((16, None), (), "None is no whole number"),
        ((), (0, 1.5), "1.5 is no whole number"),
    ],
)
def test_rungs_that_make_no_sense_are_refused_before_anything_runs(scripted, caps, waits, words):
    engine = scripted(thinker("1 r 1\n"))
    with pytest.raises(ValueError, match=words) as error:
        lab.ladder(engine, "How many r?", caps, waits)
    assert "\n" not in str(error.value) and not engine.requests


def test_the_originals_loops_are_refused_and_so_is_a_rung_nobody_asked_for(scripted):
    engine = scripted(thinker("1 r 1\n"))
    with pytest.raises(ValueError, match="compat='readme' can't be laddered"):
        lab.ladder(engine, "How many r?", (4,), budget=lab.Budget(compat="readme"))
    found = lab.ladder(engine, "How many r?", (4,))
    with pytest.raises(KeyError, match="cap=5 is no rung"):
        found.at(cap=5)
    with pytest.raises(TypeError, match="name one rung"):
        found.at()


def test_a_sweep_is_the_evaluation_of_each_rung(scripted):
    problems = Dataset.from_list(
        [{"question": f"{c}?", "answer": "3", "kind": "integer"} for c in "abc"]
    )
    model = thinker("1 r 1\n2 a 1\n")
    found = lab.sweep(scripted(model), problems, (4,), (0, 1), progress=False)
    assert list(found) == ["cap 4", "own stop", "1 Wait"]
    for budget, rung in ((lab.Budget(max_tokens=4), "cap 4"), (lab.Budget(waits=1), "1 Wait")):
        alone = lab.evaluate(scripted(model), problems, budget, progress=False)
        assert found[rung].rows.to_list() == alone.rows.to_list() and str(found[rung]) == str(alone)


def test_an_interrupted_run_of_ladders_has_ladders(scripted):
    engine = scripted(ctrl_c_at(12, thinker("1 r 1\n")))
    engine.width = 1
    with pytest.raises(lab.Interrupted) as stopped:
        lab.ladder(engine, [f"question {n}?" for n in range(9)], (4,), (0,))
    finished = [x for x in stopped.value.traces if x.error is None]
    assert len(stopped.value.traces) == 9 and 0 < len(finished) < 9
    assert all(x.at(waits=0).answer == "Answer: 3" for x in finished)


def test_programs_side_by_side_move_together_and_may_ask_for_several():
    def ask(n):
        return Request((n,), 1, frozenset())

    def program(n):
        first = yield ask(n)
        two = yield [ask(10 * n), ask(10 * n + 1)]
        return [first, *two]

    def silent():
        return ["none"]
        yield

    driven = together([program(1), silent(), program(2)])
    asked = next(driven)
    assert [r.ids for r in asked] == [(1,), (2,)]
    asked = driven.send(["a", "b"])
    assert [r.ids for r in asked] == [(10,), (11,), (20,), (21,)]
    with pytest.raises(StopIteration) as end:
        driven.send(["c", "d", "e", "f"])
    assert end.value.value == [["a", "c", "d"], ["none"], ["b", "e", "f"]]
