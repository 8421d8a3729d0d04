"""Recorded cases of the original's loops on real vLLM, and what the recording took vLLM to do."""

from __future__ import annotations

from itertools import groupby

import pytest

import s1lab as lab
from s1lab.trace import Source
from tests.helpers.original_loops import budget, recorded

vllm = pytest.importorskip("vllm")

pytestmark = pytest.mark.xdist_group("original loops")

CASES = [case for case in recorded() if case.get("model") == "s1-tiny"]
START, END = 257, 258  # <|im_start|> and <|im_end|> in the embedded tokenizer


@pytest.fixture(scope="module")
def engine():
    with lab.load("s1-tiny", engine="vllm") as made:
        if CASES[0]["fingerprint"] != made.fingerprint:
            pytest.skip("the embedded model was trained anew since the cases were recorded")
        yield made


def settings(case):
    return (case["loop"], case["cap"] or 0, -1 if case["ignores"] is None else case["ignores"])


@pytest.mark.parametrize(
    "cases",
    [list(group) for _, group in groupby(sorted(CASES, key=settings), key=settings)],
    ids=lambda cases: "{}, cap {}, ignores {}".format(*settings(cases[0])),
)
def test_a_recorded_case_of_the_embedded_model_on_real_vllm(engine, cases):
    """The rounds that the model wrote for the original are what vLLM writes in our programs."""
    assert {case["context"] for case in cases} == {engine.context}
    asked = [case["questions"][0] for case in cases]
    traces = lab.force(
        engine, [q["question"] for q in asked], [budget(case) for case in cases], progress=False
    )
    for trace, question in zip(traces, asked, strict=True):
        assert trace.error is None and not trace.answer_cut
        assert trace.ids == question["fed"] + question["answer"]["ids"]
        assert trace.of(Source.ANSWER) == question["answer"]["ids"]


def test_the_settings_of_these_cases_differ_in_what_comes_of_them():
    ends = {case["questions"][0]["rounds"][-1]["stop"] is None for case in CASES}
    assert ends == {True, False} and len(CASES) > 100
    assert {case["ignores"] for case in CASES} == {None, 0, 1, 2}


def generate(engine, ids, **options):
    """What ``LLM.generate`` gives for these ids, on the engine's own vLLM."""
    options = {"temperature": 0.0, "skip_special_tokens": False} | options
    engine.llm.add_request("loop", {"prompt_token_ids": ids}, vllm.SamplingParams(**options))
    while True:
        for output in engine.llm.step():
            if output.finished:
                return output.outputs[0]


@pytest.fixture(scope="module")
def stopped():
    """A first round that stopped by itself: the ids before it, and what was written."""
    question = next(
        c["questions"][0] for c in CASES if c["questions"][0]["rounds"][0]["stop"] == START
    )
    return question["rounds"][0]["prompt"], question["rounds"][0]["ids"]


def test_a_stop_is_among_the_ids_and_not_in_the_text(engine, stopped):
    prompt, written = stopped
    for stops in ({"stop_token_ids": [START, END]}, {"stop": ["<|im_start|>", "<|im_end|>"]}):
        out = generate(engine, prompt, max_tokens=500, **stops)
        assert list(out.token_ids) == [*written, START] and out.finish_reason == "stop"
        assert out.text == engine.template.decode(written)


def test_a_stop_is_looked_for_before_the_limit(engine, stopped):
    prompt, written = stopped
    out = generate(engine, prompt, max_tokens=len(written) + 1, stop_token_ids=[START, END])
    assert (list(out.token_ids), out.finish_reason) == ([*written, START], "stop")
    out = generate(engine, prompt, max_tokens=len(written), stop_token_ids=[START, END])
    assert (list(out.token_ids), out.finish_reason) == (written, "length")


def test_a_minimum_holds_back_the_stops_and_the_end_of_sequence(engine, stopped):
    prompt, written = stopped
    out = generate(engine, [*prompt, *written], max_tokens=5, stop_token_ids=[START, END])
    assert list(out.token_ids) == [START]
    out = generate(
        engine, [*prompt, *written], max_tokens=1, min_tokens=1, stop_token_ids=[START, END]
    )
    assert out.token_ids[0] not in (START, END) and out.finish_reason == "length"


def test_the_context_ends_a_round_as_its_limit_does(engine, stopped):
    prompt, _ = stopped
    filler = [prompt[0]] * (engine.context - len(prompt) - 3)
    out = generate(engine, filler + prompt, max_tokens=50, stop_token_ids=[])
    assert len(out.token_ids) <= 3 and (out.finish_reason == "length" or out.token_ids[-1] == END)


def test_what_vllm_refuses(engine, stopped):
    """Where the original asks so, its run ends. The kind of error depends on the release."""
    prompt, _ = stopped
    for wrong, words in (
        ({"max_tokens": 0}, "max_tokens must be"),
        ({"max_tokens": 2, "min_tokens": 3}, "min_tokens must be"),
    ):
        with pytest.raises(Exception, match=words):
            vllm.SamplingParams(**wrong)
    with pytest.raises(Exception, match="maximum"):
        generate(engine, [prompt[0]] * engine.context, max_tokens=5)
