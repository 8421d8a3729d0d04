"""The two numbers of an answer: how long it may be, and what the thinking leaves for it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import replace

import pytest
from datasets import Dataset
from typer.testing import CliRunner

import s1lab as lab
from s1lab.cli import app
from s1lab.evaluation.evaluate import AnswersCut
from s1lab.trace import Source
from tests.helpers.scripted import Scripted

QUESTION = "How many r in raspberry?"
PROBLEMS = Dataset.from_list([{"question": QUESTION, "answer": "3", "kind": "integer"}])
ANSWER = "<|im_start|>answer\n"


def model(answer: str, thought: str = "1 r 1\n") -> Callable[[str], str]:
    """Thinks ``thought``, then answers; without an opened thinking it answers at once."""
    whole = thought + ANSWER + answer + "<|im_end|>"

    def say(text: str) -> str:
        _, opened, written = text.partition("<|im_start|>think")
        if not opened or "<|im_start|>answer" in written:
            return answer + "<|im_end|>"
        written = written.removeprefix("\n")
        return whole[len(written) :] if whole.startswith(written) else whole

    return say


LONG = model("1 r 2 r " * 300 + "\\boxed{3}")  # some 2,400 tokens, the box at the end


def test_a_long_answer_keeps_its_box(scripted):
    """One of the paper's printed answers has 1,055 tokens; 0.1 cut answers at 1,024."""
    engine = scripted(LONG)
    for trace in (
        lab.force(engine, QUESTION),
        lab.force(engine, QUESTION, lab.Budget(max_tokens=4)),
        lab.force(engine, QUESTION, lab.Budget(compat="readme")),
        lab.force(engine, QUESTION, lab.Budget(compat="harness")),
        lab.direct(engine, QUESTION),
        lab.ladder(engine, QUESTION, (4,), (0,)).at(waits=0),
        lab.methods.token_conditional(engine, QUESTION),
        lab.methods.class_conditional(engine, QUESTION),
        lab.methods.step_conditional(engine, QUESTION, 2, lab.Budget(max_tokens=9)),
        lab.methods.reject(engine, QUESTION, 50),
        *lab.vote(engine, QUESTION, 2).traces,
    ):
        assert (
            len(trace.of(Source.ANSWER)) > 1055
            and trace.answer.endswith("\\boxed{3}")
            and not trace.answer_cut
        )


CALLS: dict[str, Callable[..., list[lab.Trace]]] = {
    "force": lambda e, **o: [lab.force(e, QUESTION, **o)],
    "force with a budget": lambda e, **o: [
        lab.force(e, QUESTION, lab.Budget(answer_tokens=20, answer_room=20), **o)
    ],
    "force with budgets": lambda e, **o: lab.force(
        e, [QUESTION] * 2, [lab.Budget(), lab.Budget(waits=1)], **o
    ),
    "direct": lambda e, **o: [lab.direct(e, QUESTION, **o)],
    "ladder": lambda e, **o: lab.ladder(e, QUESTION, (4,), (0, 1), **o).traces,
    "evaluate": lambda e, **o: lab.evaluate(e, PROBLEMS, **o).traces,
    "evaluate without thinking": lambda e, **o: (
        lab.evaluate(e, PROBLEMS, thinking=False, **o).traces
    ),
    "sweep": lambda e, **o: [
        t for r in lab.sweep(e, PROBLEMS, (4,), (0,), **o).values() for t in r.traces
    ],
    "token_conditional": lambda e, **o: [lab.methods.token_conditional(e, QUESTION, **o)],
    "class_conditional": lambda e, **o: [lab.methods.class_conditional(e, QUESTION, "short", **o)],
    "step_conditional": lambda e, **o: [lab.methods.step_conditional(e, QUESTION, 2, **o)],
    "reject": lambda e, **o: [lab.methods.reject(e, QUESTION, 50, **o)],
    "vote": lambda e, **o: lab.vote(e, QUESTION, 2, **o).traces,
    "vote without thinking": lambda e, **o: lab.vote(e, QUESTION, 2, thinking=False, **o).traces,
    "best_of": lambda e, **o: lab.methods.best_of(e, QUESTION, 2, lambda t: 0.0, **o).traces,
    "mixture": lambda e, **o: [
        t for v in lab.methods.mixture(e, QUESTION, 2, (4,), (1,), **o).values() for t in v.traces
    ],
    "rebase": lambda e, **o: (
        lab.rebase(e, QUESTION, 2, lambda t: 0.0, lab.Budget(max_tokens=20), **o).traces
    ),
}


@pytest.mark.filterwarnings("ignore::s1lab.evaluation.evaluate.AnswersCut")
@pytest.mark.parametrize("name", list(CALLS))
def test_every_call_takes_both_numbers_and_they_override_the_budgets(scripted, name):
    traces = CALLS[name](scripted(LONG), answer_tokens=7, answer_room=5)
    for trace in traces:
        assert trace.error is None and trace.answer_cut and len(trace.of(Source.ANSWER)) == 7
        assert trace.budget is None or (trace.budget.answer_tokens, trace.budget.answer_room) == (
            7,
            5,
        )
    assert len(traces) >= 1


@pytest.mark.parametrize("name", list(CALLS))
@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"answer_tokens": 0}, "answer_tokens=0 leaves no room to answer"),
        ({"answer_room": 0}, "answer_room=0 leaves no room to answer"),
        ({"answer_tokens": 1.5}, "answer_tokens=1.5 is no whole number"),
        ({"answer_room": True}, "answer_room=True is no whole number"),
        ({"answer_room": "100"}, "answer_room='100' is no whole number"),
    ],
)
def test_every_call_refuses_bad_numbers_in_a_sentence(scripted, name, option, words):
    engine = scripted(LONG)
    with pytest.raises(ValueError, match=words):
        CALLS[name](engine, **option)
    assert not engine.requests


@pytest.mark.parametrize(
    ("fields", "room"),
    [
        ({}, 100),
        ({"answer_room": 30}, 30),
        ({"answer_tokens": 20}, 20),  # more than the answer may have is never left for it
        ({"answer_tokens": 20, "answer_room": 10}, 10),
        ({"answer_tokens": 1024}, 100),
        ({"answer_tokens": 1024, "answer_room": 1024}, 1024),  # what version 0.1 did
        ({"answer_room": 9000}, None),  # never more than half of what is free
    ],
)
def test_the_room_that_the_thinking_leaves(scripted, template, fields, room):
    engine = scripted(model("3", "a" * 5000))
    trace = lab.force(engine, QUESTION, lab.Budget(**fields))
    prompt = len(trace.of(Source.PROMPT))
    free = (
        engine.context
        - prompt
        - len(template.encode("\n" + ANSWER))
        - len(template.encode("Final Answer:"))
    )
    assert trace.cut and trace.thinking_tokens == free - (room or (free + 1) // 2)


def test_the_answer_may_have_more_than_its_room(scripted):
    engine = scripted(LONG)
    lab.force(engine, QUESTION, lab.Budget(answer_room=1))
    asked = engine.requests[-1]
    assert asked.max_tokens == engine.context - len(asked.ids)


def test_answers_that_were_cut_are_a_column_a_count_and_a_warning(scripted):
    rows = Dataset.from_list(
        [{"question": q, "answer": "3"} for q in ("short one?", "long one?", "long two?")]
    )
    engine = scripted(lambda text: (LONG if "long" in text else model("3"))(text))
    with pytest.warns(AnswersCut) as said:
        results = lab.evaluate(engine, rows, answer_tokens=50, progress=False)
    assert len(said) == 1 and said[0].filename == __file__
    text = str(said[0].message)
    assert (
        text.startswith("2 of 3 answers were cut")
        and "raise answer_tokens" in text
        and "\n" not in text
    )
    assert results.rows["answer_cut"] == [False, True, True] and results.answers_cut == 2
    assert "2 answers cut" in repr(results)


def test_no_answer_cut_says_nothing(scripted):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = lab.evaluate(scripted(LONG), PROBLEMS, progress=False)
    assert (
        results.answers_cut == 0
        and "cut" not in repr(results)
        and results.rows["answer_cut"] == [False]
    )


def test_a_sweep_warns_once_for_all_its_rungs(scripted):
    with pytest.warns(AnswersCut) as said:
        found = lab.sweep(scripted(LONG), PROBLEMS, (2, 4), (0,), answer_tokens=9, progress=False)
    assert len(said) == 1 and str(said[0].message).startswith("3 of 3 answers were cut")
    assert [results.answers_cut for results in found.values()] == [1, 1, 1]


def test_an_answer_that_fills_the_context_is_told_another_fix(scripted):
    engine = scripted(model("3" * 500), context=200)
    with pytest.warns(AnswersCut) as said:
        lab.evaluate(engine, PROBLEMS, lab.Budget(max_tokens=4), progress=False)
    text = str(said[0].message)
    assert (
        "the context of 200" in text and "answer_room" in text and "raise answer_tokens" not in text
    )


def test_with_several_samples_the_column_is_a_mean(scripted):
    seeds: set[int] = set()

    class Odd(Scripted):
        """Every second sample answers at length."""

        def submit(self, key, request):
            if request.stop == self.template.answer_stop:
                seeds.add(request.seed)
                self.say = LONG if len(seeds) % 2 else model("3")
            super().submit(key, request)

    template = scripted(LONG).template
    with pytest.warns(AnswersCut):
        results = lab.evaluate(
            Odd(template, LONG),
            PROBLEMS,
            samples=4,
            temperature=1.0,
            answer_tokens=9,
            progress=False,
        )
    assert results.rows["answer_cut"] == [0.5] and results.answers_cut == 2


def test_votes_without_thinking(scripted):
    """As the base model's votes in the paper's Figure 4; each sample has its own seed."""
    engine = scripted(model("Answer: 3"))
    vote = lab.vote(engine, QUESTION, 4, thinking=False, prefix="So ")
    assert vote.answer == "3" and all(
        t.thinking_tokens == 0 and t.answer == "So Answer: 3" for t in vote.traces
    )
    assert len({r.seed for r in engine.requests}) == 4 and all(
        t.budget is None for t in vote.traces
    )
    alone = lab.direct(engine, [QUESTION] * 4, prefix="So ", temperature=1.0)
    assert [t.ids for t in alone] == [t.ids for t in vote.traces]
    best = lab.methods.best_of(
        engine, QUESTION, 4, lambda t: float(len(t.ids)), thinking=False, prefix="So "
    )
    assert best.answer == "3" and best.traces[0].ids == vote.traces[0].ids


@pytest.mark.parametrize(
    "call",
    [
        lambda e, **o: lab.vote(e, QUESTION, 2, **o),
        lambda e, **o: lab.methods.best_of(e, QUESTION, 2, lambda t: 0.0, **o),
        lambda e, **o: lab.evaluate(e, PROBLEMS, **o),
    ],
)
def test_a_budget_without_thinking_and_a_prefix_with_it_are_refused(scripted, call):
    with pytest.raises(ValueError, match="leaves nothing to budget"):
        call(scripted(LONG), thinking=False, budget=lab.Budget())
    with pytest.raises(ValueError, match="prefix='Answer:'"):
        call(scripted(LONG), prefix="Answer:")


def test_the_command_line_takes_both_numbers_with_and_without_thinking(tiny, monkeypatch):
    import contextlib

    monkeypatch.setattr(lab, "load", lambda model, **options: contextlib.nullcontext(tiny))

    def facts(*arguments: str) -> dict:
        ran = CliRunner().invoke(app, [*arguments, "--json"])
        assert ran.exit_code == 0, (ran.stdout, ran.stderr, ran.exception)
        assert "Warning" not in ran.stderr  # the report says it
        return json.loads(ran.stdout)

    whole = facts("evaluate", "--n", "3")
    assert (
        whole["answers_cut"] == 0
        and whole["budget"]["answer_tokens"] is None
        and whole["budget"]["answer_room"] == 100
    )
    cut = facts("evaluate", "--n", "3", "--answer-tokens", "1", "--answer-room", "7")
    assert cut["answers_cut"] == 3 and cut["budget"]["answer_room"] == 7
    plain = facts(
        "evaluate", "--n", "3", "--no-thinking", "--answer-tokens", "1", "--answer-room", "7"
    )
    assert plain["answers_cut"] == 3 and plain["budget"] is None and plain["thinking_tokens"] == 0
    sampled = (
        "--samples",
        "2",
        "--temperature",
        "1",
        "--prefix",
        "Answer:",
        "--answer-tokens",
        "16",
    )
    assert facts("evaluate", "--n", "2", "--no-thinking", *sampled)["samples"] == 2
    swept = facts("evaluate", "--n", "2", "--sweep-caps", "8", "--answer-tokens", "1")
    assert swept["rungs"]["cap 8"]["answers_cut"] == 2
    assert facts("run", QUESTION, "--answer-tokens", "2")["answer_cut"] is True
    assert facts("run", QUESTION)["answer_cut"] is False
    assert (
        facts("ladder", QUESTION, "--caps", "8", "--waits", "0", "--answer-tokens", "2")["rungs"][
            0
        ]["answer_cut"]
        is True
    )
    text = CliRunner().invoke(app, ["evaluate", "--n", "3", "--answer-tokens", "1"]).stdout
    assert "3 of 3 answers were CUT" in text and "--answer-tokens" in text
    refused = CliRunner().invoke(
        app, ["evaluate", "--no-thinking", "--max-tokens", "9", "--answer-tokens", "1"]
    )
    assert refused.exit_code != 0 and "nothing to budget" in refused.stderr


def test_a_trace_says_that_its_answer_was_cut(scripted):
    assert (
        lab.force(scripted(LONG), QUESTION, answer_tokens=9)
        .summary()
        .endswith(", own stop, answer cut")
    )
    assert lab.force(scripted(LONG), QUESTION).summary().endswith(", own stop")


def test_a_budget_says_which_number_is_wrong():
    for name in ("answer_tokens", "answer_room"):
        for value in (0, -3, 1.5, True, "9"):
            with pytest.raises(ValueError, match=f"^{name}="):
                lab.Budget(**{name: value})
    with pytest.raises(ValueError, match=r"^answer_room=None"):
        lab.Budget(answer_room=None)  # type: ignore[arg-type]
    assert replace(lab.Budget(answer_tokens=5), answer_tokens=None) == lab.Budget()
