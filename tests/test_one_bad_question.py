"""A question that fails has its error, and the others are what they would be without it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

import s1lab as lab
from s1lab import driver
from s1lab.driver import run
from s1lab.engine import Request
from s1lab.questions import MOST_WORDS, Options, Questions
from s1lab.trace import Source

GOOD = ["How many r in raspberry", "Make 12 from 2, 3 and 4", "Smallest prime factor of 91"]
REFUSAL = (
    "{% if 'BAD' in messages[-1].content %}{{ raise_exception('no BAD\nquestions') }}{% endif %}"
)
BAD = {
    "half of a pair": ("How many r in \ud83d raspberry", ["surrogate", "decode it again"]),
    "the other half": ("\udfff", ["surrogate"]),
    "a pair the wrong way round": ("a \ude00\ud83d b", ["surrogate"]),
    "the template raises": ("BAD How many", ["chat template", "no BAD questions"]),
}
CAP = lab.Budget(max_tokens=9, answer_tokens=4)
HOT = {"temperature": 1.0, "seed": 3}


@pytest.fixture(scope="module")
def engine(one_layer, tmp_path_factory):
    """A model of one layer, whose chat template refuses one kind of question."""
    folder = Path(shutil.copytree(one_layer, tmp_path_factory.mktemp("picky") / "model"))
    chat = folder / "chat_template.jinja"
    chat.write_text(REFUSAL + chat.read_text())
    with lab.load(str(folder)) as loaded:
        yield loaded


def length(trace: lab.Trace) -> float:
    return float(sum(trace.ids) % 7)


def asked(
    call: str, engine: lab.Engine, questions: list[str], **options: Any
) -> list[list[lab.Trace]]:
    """The traces of each question, of every public call that asks questions."""
    options = {"progress": False, "answer_tokens": 4} | options
    if call == "force":
        return [[t] for t in lab.force(engine, questions, CAP, **options)]
    if call == "force hot":
        return [
            [t]
            for t in lab.force(
                engine, questions, lab.Budget(max_tokens=9, waits=1), **HOT, **options
            )
        ]
    if call in ("readme", "harness"):
        return [
            [t]
            for t in lab.force(engine, questions, lab.Budget(max_tokens=9, compat=call), **options)
        ]
    if call == "direct":
        return [[t] for t in lab.direct(engine, questions, **options)]
    if call == "ladder":
        return [
            found.traces for found in lab.ladder(engine, questions, (4, 8), budget=CAP, **options)
        ]
    if call == "vote":
        return [found.traces for found in lab.vote(engine, questions, 3, CAP, **HOT, **options)]
    if call == "vote without thinking":
        return [
            found.traces
            for found in lab.vote(engine, questions, 3, thinking=False, **HOT, **options)
        ]
    if call == "best_of":
        return [
            found.traces
            for found in lab.methods.best_of(engine, questions, 3, length, CAP, **HOT, **options)
        ]
    if call == "mixture":
        rungs = lab.methods.mixture(engine, questions, 2, (4, 8), budget=CAP, **HOT, **options)
        return [
            [t for votes in rungs.values() for t in votes[i].traces] for i in range(len(questions))
        ]
    if call == "rebase":
        return [
            found.traces
            for found in lab.rebase(engine, questions, 3, length, CAP, **HOT, **options)
        ]
    if call == "token_conditional":
        return [[t] for t in lab.methods.token_conditional(engine, questions, 16, CAP, **options)]
    if call == "step_conditional":
        return [[t] for t in lab.methods.step_conditional(engine, questions, 2, CAP, **options)]
    if call == "class_conditional":
        return [
            [t] for t in lab.methods.class_conditional(engine, questions, "short", CAP, **options)
        ]
    assert call == "reject"
    return [
        [t]
        for t in lab.methods.reject(
            engine, questions, 5, 3, lab.Budget(answer_tokens=4), **HOT, **options
        )
    ]


CALLS = (
    "force", "force hot", "readme", "harness", "direct", "ladder", "vote", "vote without thinking",
    "best_of", "mixture",
    "rebase", "token_conditional", "step_conditional", "class_conditional", "reject",
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*was not trained for")
@pytest.mark.parametrize("call", CALLS)
def test_the_other_questions_are_what_they_are_without_the_bad_ones(engine, call, tmp_path):
    bad = [question for question, _ in BAD.values()]
    mixed = [bad[0], GOOD[0], bad[1], bad[2], GOOD[1], GOOD[2], bad[3]]
    store = tmp_path / "run.db"
    found = asked(call, engine, mixed, store=store)
    want = asked(call, engine, GOOD)
    assert [[t.ids for t in found[i]] for i in (1, 4, 5)] == [
        [t.ids for t in traces] for traces in want
    ]
    assert all(t.error is None for i in (1, 4, 5) for t in found[i])
    for question, place in zip(bad, (0, 2, 3, 6), strict=True):
        words = next(words for q, words in BAD.values() if q == question)
        assert found[place] and all(t.question == question for t in found[place])
        for trace in found[place]:
            assert all(word in trace.error for word in words), trace.error
            assert "\n" not in trace.error and len(trace.error) < MOST_WORDS + 100
            assert trace.answer == "" and not trace.of(Source.SAMPLED)
    # What was stored is read, replayed and continued; the bad ones are bad again.
    assert [t.error for t in lab.storage.read_run(store).traces] == [
        t.error for traces in found for t in traces
    ]
    with lab.replay(store) as replayed:
        again = asked(call, replayed, mixed)
    assert [[(t.ids, t.error) for t in traces] for traces in again] == [
        [(t.ids, t.error) for t in traces] for traces in found
    ]


@pytest.mark.parametrize("way", BAD)
def test_a_single_bad_question_comes_back_with_its_error(engine, way):
    question, words = BAD[way]
    trace = lab.force(engine, question, CAP)
    assert all(word in trace.error for word in words) and trace.question == question
    assert lab.force(engine, GOOD[0], CAP).error is None


def test_evaluate_counts_it_as_wrong_and_says_so(engine):
    rows = [
        {"question": q, "answer": "3", "kind": "integer"} for q in (GOOD[0], "BAD one", GOOD[1])
    ]
    found = lab.evaluate(engine, Dataset.from_list(rows), CAP, progress=False)
    want = lab.evaluate(engine, Dataset.from_list(rows[::2]), CAP, progress=False)
    assert (
        found.failed == 1
        and "no BAD questions" in found.rows["error"][1]
        and not found.rows["correct"][1]
    )
    assert [t.ids for t in found.traces[::2]] == [t.ids for t in want.traces]
    short = lab.Budget(answer_tokens=4)
    swept = lab.sweep(engine, Dataset.from_list(rows), (4, 9), budget=short, progress=False)
    assert [one.failed for one in swept.values()] == [1, 1]
    assert [t.ids for t in swept["cap 9"].traces[::2]] == [t.ids for t in want.traces]


def test_a_system_text_that_is_no_text_is_an_error_of_each_question(engine):
    for trace in lab.force(engine, GOOD[:2], CAP, system="be \ud83d brief", progress=False):
        assert "system" in trace.error and "surrogate" in trace.error


def test_half_a_pair_is_kept_in_files(engine, tmp_path):
    question = BAD["half of a pair"][0]
    lab.force(engine, [question, GOOD[0]], CAP, store=tmp_path / "run.db", progress=False)
    stored = lab.storage.read_run(tmp_path / "run.db")
    saved = lab.storage.read_run(stored.save(tmp_path / "run.jsonl"))
    assert [t.question for t in saved.traces] == [question, GOOD[0]]
    (tmp_path / "run.jsonl").read_text(encoding="utf-8")
    assert saved.to_dataset()["question"] == ["How many r in \\ud83d raspberry", GOOD[0]]
    number = lab.storage.import_run(saved, tmp_path / "other.db")
    assert number and [t.question for t in lab.storage.read_run(tmp_path / "other.db").traces] == [
        question,
        GOOD[0],
    ]


# Programs.


def good(engine: lab.Engine, n: int = 2):
    for _ in range(n):
        yield Request(tuple(engine.template.encode("How many r")), 3, engine.template.answer_stop)
    return "good"


def yields(*asked: Any):
    yield from asked
    return "never"


def raises(why: Exception, engine: lab.Engine):
    yield from good(engine, 1)
    raise why


ODD = {
    "a number": lambda e: yields(3),
    "nothing": lambda e: yields(None),
    "a text": lambda e: yields("How many"),
    "ids": lambda e: yields([1, 2, 3]),
    "a request and a number": lambda e: yields([Request((1,), 1, frozenset()), 3]),
    "a dictionary": lambda e: yields({"ids": [1]}),
    "KeyError": lambda e: raises(KeyError("x"), e),
    "two lines": lambda e: raises(ValueError("one\n  two"), e),
    "endless words": lambda e: raises(ValueError("x" * 10**6), e),
    "no memory": lambda e: raises(MemoryError(), e),
    "too deep": lambda e: raises(RecursionError("maximum recursion depth exceeded"), e),
    "an end that is none": lambda e: raises(StopIteration(7), e),
}


@pytest.mark.parametrize("way", ODD)
def test_a_program_that_fails_ends_its_own_question(engine, way):
    asked = Questions(engine, GOOD, None, Options(progress=False))
    asked.open()
    traces = [trace for (trace,) in asked.traces]

    def program(trace, *_):
        if trace is traces[1]:
            return (yield from ODD[way](engine))
        yield from good(engine)
        return trace

    found = asked.run_traces(program, what="testing", made={"call": "a test"})
    assert [t.error for t in found[::2]] == [None, None]
    assert found[1] is traces[1] and "failed" in found[1].error
    assert "\n" not in found[1].error and len(found[1].error) < MOST_WORDS + 100
    assert driver._DESKS == {}


@pytest.mark.parametrize("way", ODD)
def test_without_a_place_for_errors_the_run_ends_and_the_engine_works_on(engine, way):
    with pytest.raises((TypeError, KeyError, ValueError, MemoryError, RuntimeError)) as error:
        run(engine, [good(engine), ODD[way](engine), good(engine)])
    if way in ("a number", "nothing", "a text", "ids", "a request and a number"):
        assert isinstance(error.value, TypeError)
    assert driver._DESKS == {} and engine.poll() == []
    assert run(engine, [good(engine)]) == ["good"]


def test_what_a_program_cleans_up_it_cleans_up_once(engine):
    closed = []

    def program(name: str):
        try:
            yield from good(engine, 1)
            if name == "bad":
                yield 3
        finally:
            closed.append(name)
        return name

    assert run(
        engine,
        [program("a"), program("bad"), program("b")],
        None,
        lambda i, why: f"{i} {type(why).__name__}",
    ) == ["a", "1 TypeError", "b"]
    assert sorted(closed) == ["a", "b", "bad"]


# A reward that asks its own engine: a run within a run.


def asking(engine: lab.Engine, **options: Any):
    """A reward that lets the same model judge, and one that knows the verdicts already."""
    known: dict[tuple[int, ...], float] = {}

    def judged(trace: lab.Trace) -> float:
        verdict = lab.force(
            engine, f"{len(trace.ids)} {trace.question}", CAP, progress=False, **options
        )
        return known.setdefault(tuple(trace.ids), sum(verdict.ids) % 5 / 4)

    return judged, lambda trace: known[tuple(trace.ids)]


@pytest.mark.parametrize("stored", ["none", "outside", "inside", "both"])
def test_a_reward_that_asks_its_own_engine_grows_the_tree_of_its_numbers(engine, tmp_path, stored):
    judged, knows = asking(
        engine, **({"store": tmp_path / "in.db"} if stored in ("inside", "both") else {})
    )
    options = {"budget": CAP, "temperature": 1.0, "seed": 5, "progress": False}
    outside = {"store": tmp_path / "out.db"} if stored in ("outside", "both") else {}
    found = lab.rebase(engine, GOOD, 4, judged, **options, **outside)
    want = lab.rebase(engine, GOOD, 4, knows, **options)
    assert all(tree.error is None for tree in found)
    assert [[t.ids for t in tree.traces] for tree in found] == [
        [t.ids for t in tree.traces] for tree in want
    ]
    assert [tree.rewards for tree in found] == [tree.rewards for tree in want]
    assert driver._DESKS == {} and engine.poll() == []


def test_a_run_within_a_run_within_a_run(engine):
    def deeper(trace: lab.Trace) -> float:
        return float(
            lab.rebase(engine, GOOD[1], 2, length, CAP, **HOT, progress=False).traces[0].ids[-1] % 3
        )

    def score(trace: lab.Trace) -> float:
        return lab.rebase(engine, GOOD[0], 2, deeper, CAP, **HOT, progress=False).rewards[0]

    constant = score(None)
    found = lab.rebase(engine, GOOD[2], 2, score, CAP, **HOT, progress=False)
    want = lab.rebase(engine, GOOD[2], 2, lambda _: constant, CAP, **HOT, progress=False)
    assert [t.ids for t in found.traces] == [t.ids for t in want.traces] and found.error is None


@pytest.mark.parametrize("kind", [ValueError, KeyError, ZeroDivisionError])
def test_a_reward_that_fails_in_its_own_run_leaves_the_other_trees(engine, kind):
    """What the outer trees had in flight when the inner run was dropped is asked again."""

    def ends_in_the_middle(trace: lab.Trace) -> float:
        if trace.question == GOOD[1]:
            run(engine, [good(engine), raises(kind("inner"), engine)])
        return length(trace)

    found = lab.rebase(engine, GOOD, 4, ends_in_the_middle, CAP, **HOT, progress=False)
    want = lab.rebase(engine, GOOD, 4, length, CAP, **HOT, progress=False)
    for i in (0, 2):
        assert [t.ids for t in found[i].traces] == [t.ids for t in want[i].traces] and found[
            i
        ].error is None
    assert kind.__name__ in found[1].error and GOOD[1] in found[1].error
    assert driver._DESKS == {}


def test_ctrl_c_within_a_reward_ends_all_and_leaves_the_engine(engine):
    def interrupted(trace: lab.Trace) -> float:
        if trace.question == GOOD[2]:
            raise KeyboardInterrupt
        return lab.force(engine, GOOD[0], CAP, progress=False).thinking_tokens

    with pytest.raises(lab.Interrupted):
        lab.rebase(engine, GOOD, 3, interrupted, CAP, **HOT, progress=False)
    assert driver._DESKS == {} and engine.poll() == []
    assert lab.force(engine, GOOD[0], CAP).error is None


def test_a_score_that_fails_on_one_question_leaves_the_others(engine):
    def picky(trace: lab.Trace) -> float:
        return 1 / 0 if trace.question == GOOD[1] else length(trace)

    found = lab.methods.best_of(engine, GOOD, 3, picky, CAP, **HOT, progress=False)
    want = lab.methods.best_of(engine, GOOD, 3, length, CAP, **HOT, progress=False)
    assert [found[i].scores for i in (0, 2)] == [want[i].scores for i in (0, 2)]
    assert [found[i].answer for i in (0, 2)] == [want[i].answer for i in (0, 2)]
    assert (
        "ZeroDivisionError" in found[1].error
        and "picky" in found[1].error
        and found[1].answer is None
    )
    assert [t.ids for t in found[1].traces] == [
        t.ids for t in want[1].traces
    ]  # what was sampled is there


def test_every_question_of_a_run_may_be_bad(engine, tmp_path):
    bad = [question for question, _ in BAD.values()]
    found = lab.force(engine, bad, CAP, store=tmp_path / "run.db", progress=False)
    assert all(t.error for t in found) and json.dumps([t.error for t in found])
