"""Budget forcing against a scripted model: each clause of its semantics, and the invariants that
hold for any model.
"""

from __future__ import annotations

import copy
import json
import random
from dataclasses import replace

import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

import s1lab as lab
from s1lab.storage.run import packed, unpacked
from s1lab.tokenization.bound_template import bind
from s1lab.trace import FORCED, GENERATED, THINKING, Source
from tests.helpers.scripted import ANSWER, THINK, Scripted, kinds, thinker


def test_own_stop_appends_the_close_alone(scripted):
    trace = lab.force(scripted(thinker("1 r 1\n")), "How many r in raspberry?", lab.Budget())
    assert not trace.cut and trace.waits == 0 and trace.error is None
    assert kinds(trace) == ["prompt", "sampled", "close", "answer"]
    assert trace.text.endswith(THINK + "1 r 1\n" + ANSWER + "Answer: 3")
    assert trace.answer == "Answer: 3"


def test_cap_reached_closes_on_a_new_line_and_opens_the_answer(scripted):
    trace = lab.force(
        scripted(thinker("1 r 1\n2 a 1\n3 s 1\n")),
        "How many r in raspberry?",
        lab.Budget(max_tokens=8),
    )
    assert trace.cut and trace.thinking_tokens == 8
    assert kinds(trace) == ["prompt", "sampled", "close", "answer prefix", "answer"]
    assert trace.text.endswith(THINK + "1 r 1\n2 \n" + ANSWER + "Final Answer: 3")
    assert trace.answer == "Final Answer: 3"


def test_a_cut_behind_a_newline_adds_no_second_one(scripted, template):
    n = len(template.encode("1 r 1\n"))
    trace = lab.force(
        scripted(thinker("1 r 1\n2 a 1\n")), "How many r in raspberry?", lab.Budget(max_tokens=n)
    )
    assert trace.text.endswith(THINK + "1 r 1\n" + ANSWER + "Final Answer: 3")


def test_a_cut_without_text_puts_no_words_in_the_answer(scripted):
    trace = lab.force(
        scripted(thinker("1 r 1\n2 a 1\n")), "How many r?", lab.Budget(max_tokens=3, on_cut=None)
    )
    assert trace.cut and "answer prefix" not in kinds(trace)
    assert trace.answer == "Answer: 3"


def test_waits_suppress_that_many_stops(scripted):
    engine = scripted(thinker("1 r 1\nstop\n", "\n2 a 1\nstop\n", "\n3 s 1\n"))
    trace = lab.force(engine, "How many r?", lab.Budget(waits=2))
    assert trace.waits == 2 and not trace.cut
    assert trace.thinking == "1 r 1\nstop\nWait\n2 a 1\nstop\nWait\n3 s 1\n"
    assert [r.min_tokens for r in engine.requests] == [0, 1, 1, 0]


def test_a_wait_of_several_tokens_is_counted_and_marked(scripted, template):
    text = "Wait, let me see"
    trace = lab.force(
        scripted(lambda t: "a<|im_start|>" if ANSWER not in t else "3<|im_end|>"),
        "Q?",
        lab.Budget(waits=1, wait=text),
    )
    assert trace.of(Source.CONTINUATION) == template.encode(text)
    assert trace.thinking_tokens == 2 + len(template.encode(text))


@pytest.mark.parametrize("wait", [None, ""])
def test_a_suppression_without_text_still_makes_progress(scripted, wait):
    trace = lab.force(
        scripted(lambda t: "a<|im_start|>" if ANSWER not in t else "3<|im_end|>"),
        "Q?",
        lab.Budget(waits=3, wait=wait),
    )
    assert trace.waits == 3 and trace.thinking == "aaaa" and not trace.of(Source.CONTINUATION)


def test_texts_that_take_turns(scripted):
    """A different text each time, from the first again after the last; a list is kept as a tuple,
    and survives a store's JSON.
    """
    budget = lab.Budget(waits=5, wait=["Wait", None, "Hmm"])
    assert budget.wait == ("Wait", None, "Hmm") and [budget.continuation(n) for n in range(4)] == [
        "Wait",
        None,
        "Hmm",
        "Wait",
    ]
    engine = scripted(lambda t: "a<|im_start|>" if ANSWER not in t else "3<|im_end|>")
    trace = lab.force(engine, "Q?", budget)
    assert trace.thinking == "aWaitaaHmmaWaitaa" and trace.waits == 5
    assert unpacked(json.loads(json.dumps(packed(trace)))).budget == budget
    found = lab.ladder(engine, "Q?", caps=(4,), waits=(1, 3), budget=budget)
    for rung, alone in (
        ({"cap": 4}, replace(budget, max_tokens=4)),
        ({"waits": 3}, replace(budget, waits=3)),
    ):
        assert found.at(**rung).ids == lab.force(engine, "Q?", alone).ids


@pytest.mark.parametrize("compat", ["readme", "harness"])
def test_texts_that_take_turns_in_the_originals_loops(scripted, compat):
    engine = scripted(lambda _: "a<|im_start|>answer\n3<|im_end|>")
    trace = lab.force(
        engine, "Q?", lab.Budget(max_tokens=90, waits=3, wait=("Wait", "Hmm"), compat=compat)
    )
    assert "aWaitaHmmaWaita" in trace.text and trace.waits == 3


def test_without_text_the_stop_is_struck_out_and_the_second_choice_taken(tiny):
    """The token after a suppression without text is the likeliest one that is no stop."""
    question = lab.tiny.problems(1, 5, "dev")["question"][0]
    trace = lab.force(tiny, question, lab.Budget(waits=1, wait=None))
    with torch.inference_mode():
        logits = (
            tiny.network(torch.tensor([trace.ids[: trace.stops[0]]]))
            .logits[0, -1, : tiny.vocabulary]
            .clone()
        )
        assert int(logits.argmax()) in trace.template.think_stop
        logits[list(trace.template.think_stop)] = -torch.inf
    assert (
        trace.ids[trace.stops[0]] == int(logits.argmax())
        and trace.source[trace.stops[0]] is Source.SAMPLED
    )


def test_end_of_sequence_inside_thinking_is_an_attempt_to_stop(scripted):
    trace = lab.force(
        scripted(thinker("1 r 1\n", "\n2 a 1\n", end="<|im_end|>")),
        "How many r?",
        lab.Budget(waits=1),
    )
    assert trace.waits == 1 and not trace.cut and trace.thinking == "1 r 1\nWait\n2 a 1\n"


def test_the_floor_keeps_extending_until_so_many_tokens_are_thought(scripted):
    trace = lab.force(
        scripted(lambda t: "ab<|im_start|>" if ANSWER not in t else "3<|im_end|>"),
        "Q?",
        lab.Budget(min_tokens=10),
    )
    before_last = trace.thinking_tokens - 2
    assert (
        trace.thinking_tokens
        >= 10
        > before_last - len(trace.of(Source.CONTINUATION)) // trace.waits
    )
    assert not trace.cut


def test_the_cap_holds_over_all_rounds_and_forced_tokens(scripted):
    trace = lab.force(
        scripted(lambda t: "abcd<|im_start|>" if ANSWER not in t else "3<|im_end|>"),
        "Q?",
        lab.Budget(max_tokens=13, waits=99),
    )
    assert trace.thinking_tokens == 13 and trace.cut


def test_a_wait_that_leaves_no_room_to_think_is_not_appended(scripted):
    """Stopped at 4 of 5: "Wait" would fill the cap, so the model's own stop stands."""
    trace = lab.force(
        scripted(lambda t: "abcd<|im_start|>" if ANSWER not in t else "3<|im_end|>"),
        "Q?",
        lab.Budget(max_tokens=5, waits=1),
    )
    assert trace.thinking == "abcd" and trace.waits == 0 and not trace.cut


def test_budgets_a_row(scripted):
    engine = scripted(thinker("1 r 1\n2 a 1\n", "\n3 s 1\n"))
    budgets = [lab.Budget(max_tokens=4), lab.Budget(), lab.Budget(waits=1)]
    cut, own, waited = lab.force(engine, ["Q?"] * 3, budgets, progress=False)
    assert (cut.thinking_tokens, own.waits, waited.waits) == (4, 0, 1)
    assert [t.budget for t in (cut, own, waited)] == budgets


def test_no_cap_thinks_as_far_as_the_context_and_leaves_room_for_the_answer(scripted):
    engine = scripted(lambda t: "a" * 500 if ANSWER not in t else " 3" * 500, context=100)
    trace = lab.force(engine, "Q?", lab.Budget(answer_tokens=10))
    assert trace.cut and trace.answer_cut and len(trace.ids) <= 100
    assert len(trace.of(Source.ANSWER)) >= 10 or len(trace.ids) == 100


def test_a_prompt_that_does_not_fit_comes_back_with_its_error_and_takes_no_other_along(scripted):
    engine = scripted(thinker("1 r 1\n"), context=60)
    short, long = lab.force(
        engine, ["How many r?", "How many r in " + "x" * 80 + "?"], progress=False
    )
    assert short.error is None and short.answer == "Answer: 3"
    assert long.error is not None and "60" in long.error and "shorten" in long.error


@pytest.mark.parametrize(
    ("ending", "added"), [("<think>\n", ""), ("<think>", "\n"), ("", "<think>\n")]
)
def test_a_chat_template_that_opens_the_thinking_itself_has_it_opened_once(template, ending, added):
    """As those of R1's distillations and of QwQ do."""
    tokenizer = copy.deepcopy(template.tokenizer)
    tokenizer.chat_template += (
        "{% if add_generation_prompt %}{{ '" + ending.replace("\n", "\\n") + "' }}{% endif %}"
    )
    tags = bind(
        lab.ThinkTemplate("<think>\n", ("<|im_start|>",), "</think>\n\n"),
        tokenizer,
        {tokenizer.eos_token_id},
    )
    prompt = tags.prompt("Q?")
    assert tags.open_ids(prompt) == tags.encode(added)
    engine = Scripted(
        tags, lambda text: " 4<|im_end|>" if "1 r 1" in text else "1 r 1\n<|im_start|>"
    )
    for budget in lab.Budget(), lab.Budget(compat="readme"), lab.Budget(compat="harness"):
        assert lab.force(engine, "Q?", budget).text.count("<think>") == 1
    (row,) = lab.curate.to_sft(
        Dataset.from_list([{"question": "Q?", "thinking": "a", "attempt": "4"}]), tags
    )
    assert (row["prompt"] + row["completion"]).count("<think>\n") == 1 and row[
        "prompt"
    ] == tags.decode(prompt)


def test_a_model_that_thinks_where_it_was_asked_not_to_is_told_on(scripted):
    asked, thinks = "How many r?", "1 r 1\n<|im_start|>answer\nAnswer: 1<|im_end|>"
    (note,) = lab.direct(scripted(lambda t: thinks), asked).notes
    assert "thought by itself" in note and "prefix" in note
    assert not lab.direct(scripted(lambda t: "Answer: 1<|im_end|>"), asked).notes


def test_direct_opens_no_thinking(scripted):
    trace = lab.direct(scripted(lambda t: " 3<|im_end|>"), "How many r?", prefix="Answer:")
    assert trace.answer == "Answer: 3" and trace.thinking_tokens == 0 and "think" not in trace.text


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    cap=st.one_of(st.none(), st.integers(1, 60)),
    floor=st.integers(0, 60),
    waits=st.integers(0, 4),
    wait=st.sampled_from(["Wait", "Hmm, Wait a bit", None]),
    on_cut=st.sampled_from(["Final Answer:", None]),
)
def test_invariants_of_the_ledger(template, seed, cap, floor, waits, wait, on_cut):
    from tests.helpers.scripted import Scripted

    rng = random.Random(seed)

    def say(text: str) -> str:
        return (
            "".join(rng.choice("abc 12\n") for _ in range(rng.randint(0, 20)))
            + "z" * (rng.random() < 0.5)
            + "<|im_start|>a<|im_end|>"
        )

    engine = Scripted(template, say, context=200)
    budget = lab.Budget(cap, min(floor, cap or 60), waits, wait, on_cut, answer_tokens=20)
    trace = lab.force(engine, "How many r?", budget)
    assert trace.error is None
    assert len(trace.ids) == len(trace.source)
    generated = len(trace.ids) - trace.source.count(Source.PROMPT)
    assert trace.sampled_tokens + trace.forced_tokens == generated
    assert set(THINKING + FORCED + GENERATED) | {Source.PROMPT} == set(Source)
    assert len(trace.ids) <= 200
    if cap is not None:  # up to 60, which the context always holds
        assert trace.thinking_tokens == cap if trace.cut else trace.thinking_tokens <= cap
    if not trace.cut:
        waited_enough = trace.waits >= waits and trace.thinking_tokens >= budget.min_tokens
        assert waited_enough or trace.thinking_tokens + len(template.encode(wait)) >= (cap or 100)
    # What was fed is what is recorded: each request is a beginning of the trace.
    for request in engine.requests:
        assert list(request.ids) == trace.ids[: len(request.ids)]
    assert trace.waits == sum(
        1 for a, b in zip(engine.requests, engine.requests[1:], strict=False) if b.min_tokens == 1
    )
