"""The original's requests for its rivals, made to the same vLLM with its own parameters: texts to
stop at, not ids.

What vLLM itself does with a text that ends a request (which ids it returns, what the text holds)
decides both rules: the ids with the stop that rejection sampling counts, and where "<|im_start|>0"
ends the steps.
"""

from __future__ import annotations

import pytest

import s1lab as lab
from s1lab.forcing import Sampling
from s1lab.methods import original_steps
from s1lab.methods.conditional import asking_steps
from s1lab.trace import Source

vllm = pytest.importorskip("vllm")

pytestmark = pytest.mark.xdist_group("rivals")

OPENED = "<|im_start|>think"
ENDS = [
    "<|im_start|>",
    "<|im_end|>",
]  # until_thinking, and the end of sequence that generate_until adds to it


@pytest.fixture(scope="module")
def engine():
    with lab.load("s1-tiny-scc", engine="vllm") as made:
        yield made


def generate(engine, ids, **options):
    """One request of the original's: ``LLM.generate(prompt_token_ids=...,
    sampling_params=...)[0].outputs[0]``.
    """
    engine.llm.add_request(
        "one", {"prompt_token_ids": ids}, vllm.SamplingParams(skip_special_tokens=False, **options)
    )
    while True:
        for output in engine.llm.step():
            if output.finished:
                return output.outputs[0]


def without_stop(ids, texts, encode):
    for text in texts:
        end = encode(text)
        if ids[-len(end) :] == end:
            ids = ids[: -len(end)]
    return ids


# The embedded model never writes a 0 there, since its training rows count down to 1 at the lowest.
# So the digit that ends its steps is 1 or 2 here too, and what is compared is how vLLM reads a
# delimiter with a digit behind it.
@pytest.mark.parametrize("last", ["0", "1", "2"])
@pytest.mark.parametrize(
    ("steps", "cap"), [(2, 200), (4, 200), (8, 200), (16, 200), (4, 9), (4, 30)]
)
def test_steps_end_where_the_originals_command_ends_them(engine, monkeypatch, steps, cap, last):
    encode, decode = engine.template.encode, engine.template.decode
    ends = [f"<|im_start|>{last}", "<|im_end|>"]
    monkeypatch.setattr(original_steps, "LAST_STEP", last)
    questions = list(lab.tiny.problems(8, 5, "dev")["question"])
    budget = lab.Budget(max_tokens=cap, answer_tokens=40)
    ours = lab.methods.step_conditional(
        engine, questions, steps, budget, force=True, as_original=True, progress=False
    )
    for trace, question in zip(ours, questions, strict=True):
        ids = engine.template.prompt(asking_steps(question, steps)) + encode("<|im_start|>")
        thought = generate(engine, ids, temperature=0.0, max_tokens=cap, stop=ends)
        ids = ids + without_stop(list(thought.token_ids), ends, encode)
        if thought.finish_reason == "length":
            ids += encode(
                ("" if thought.text[-1] == "\n" else "\n") + "<|im_start|>answer\nFinal Answer:"
            )
        else:
            ids += encode("<|im_start|>answer")
        answer = generate(engine, ids, temperature=0.0, max_tokens=40, stop=["<|im_end|>"])
        assert trace.cut is (thought.finish_reason == "length")
        assert trace.ids == ids + without_stop(list(answer.token_ids), ["<|im_end|>"], encode), (
            decode(trace.ids)
        )
    if (cap, last) == (200, "1") and steps in (2, 4):
        assert sum(trace.dropped == 2 for trace in ours) >= 2  # some of them did end by their digit


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 30])
def test_a_try_counts_the_ids_that_vllm_returns(engine, limit):
    """Each of our tries again with the original's max_tokens and stop, at the same seed: it takes
    the one that we took.
    """
    encode = engine.template.encode
    questions = list(lab.tiny.problems(6, 5, "dev")["question"])
    most = 12 * (limit + 1)
    traces = lab.methods.reject(
        engine,
        questions,
        limit,
        budget=lab.Budget(answer_tokens=5),
        as_original=True,
        most_tokens=most,
        seed=3,
        progress=False,
    )
    sampling = Sampling(1.0, 1.0, 3)
    for trace, question in zip(traces, questions, strict=True):
        ids = engine.template.prompt(question) + encode(OPENED)
        for number in range(trace.counts["tries"]):
            seed = sampling.seed_of(trace, number)
            done = generate(
                engine, ids, temperature=1.0, seed=seed, max_tokens=limit + 1, stop=ENDS
            )
            taken = len(done.token_ids) <= limit  # the original's line
            last = number == trace.counts["tries"] - 1
            assert taken is (last and bool(trace.counts["fits"])), (number, len(done.token_ids))
        if trace.counts["fits"]:
            assert trace.of(Source.SAMPLED) == without_stop(list(done.token_ids), ENDS, encode)
