"""One list of cases, every engine: the same requests give the same ids, and the rules of budget
forcing hold on each.
"""

from __future__ import annotations

import contextlib
import random
import warnings

import pytest
import torch

import s1lab as lab
from s1lab.driver import run
from s1lab.engine import Request
from s1lab.trace import GENERATED, Source

pytestmark = pytest.mark.xdist_group("server")

CASES = {
    "own stop": lab.Budget(),
    "cap reached": lab.Budget(max_tokens=24),
    "cap of one": lab.Budget(max_tokens=1),
    "floor": lab.Budget(min_tokens=90, max_tokens=200),
    "one wait": lab.Budget(waits=1),
    "three waits": lab.Budget(waits=3),
    "cap after a wait": lab.Budget(max_tokens=70, waits=2),
    "cap within a wait": lab.Budget(
        max_tokens=75, waits=2, wait="Hmm, let me look at it again, line by line"
    ),
    "wait of several tokens": lab.Budget(waits=2, wait="Hmm, let me look again"),
    "no wait text": lab.Budget(waits=1, wait=None),
    "own cut text": lab.Budget(max_tokens=40, on_cut="Answer:"),
    "no cut text": lab.Budget(max_tokens=40, on_cut=None),
    "short answer": lab.Budget(answer_tokens=2),
}


def ask(engine: lab.Engine, *requests: Request):
    """Completions of bare requests."""

    def program(request):
        return (yield request)

    return run(engine, [program(r) for r in requests])


@pytest.fixture(scope="module")
def expected(reference, questions):
    return {name: lab.force(reference, questions[:12], budget) for name, budget in CASES.items()}


@pytest.mark.parametrize("case", CASES)
def test_each_kind_of_budget_gives_the_reference_ids(engine, expected, questions, case):
    budget = CASES[case]
    traces = lab.force(engine, questions[:12], budget)
    for trace, want in zip(traces, expected[case], strict=True):
        assert trace.error is None
        assert (trace.ids, trace.source, trace.waits, trace.cut) == (
            want.ids,
            want.source,
            want.waits,
            want.cut,
        )
        assert len(trace.ids) == len(trace.source)
        assert trace.sampled_tokens + trace.forced_tokens + len(trace.of(Source.PROMPT)) == len(
            trace.ids
        )
        assert budget.max_tokens is None or trace.thinking_tokens <= budget.max_tokens
        assert trace.cut or trace.thinking_tokens >= budget.min_tokens


def test_over_a_hundred_questions_with_a_budget_each_part_at_ties_only(
    engine, reference, questions
):
    """Greedy, float32: the same ids; where a trace parts, the two best logits lie within 1e-3, and
    that is one in a hundred.
    """
    rng = random.Random(5)
    budgets = [
        lab.Budget(
            max_tokens=rng.choice([None, 16, 64, 100, 200]),
            waits=rng.choice([0, 1, 2, 4]),
            wait=rng.choice(["Wait", "Hmm", None]),
        )
        for _ in questions
    ]
    mine, want = (lab.force(e, questions, budgets) for e in (engine, reference))
    parted = [(a, b) for a, b in zip(mine, want, strict=True) if a.ids != b.ids]
    for a, b in parted:
        at = next(i for i, (x, y) in enumerate(zip(a.ids, b.ids, strict=False)) if x != y)
        assert b.source[at] in GENERATED
        with torch.inference_mode():
            best = reference.network(torch.tensor([b.ids[:at]])).logits[0, -1].topk(2).values
        warnings.warn(
            f"parts at id {at} of {b.question!r}: best logits {best.tolist()}", stacklevel=1
        )
        assert best[0] - best[1] < 1e-3
    assert len(parted) <= len(questions) // 100


def test_sampled_rows_are_the_same_alone_and_in_any_batch(engine, questions):
    options = {"temperature": 0.8, "top_p": 0.9, "seed": 4}
    budget = lab.Budget(max_tokens=60, waits=1)
    together = lab.force(engine, questions[:16], budget, **options)
    again = lab.force(engine, questions[15::-1], budget, **options)[::-1]
    assert [t.ids for t in together] == [t.ids for t in again]
    for trace in together[:3]:
        assert lab.force(engine, trace.question, budget, **options).ids == trace.ids
    assert [t.ids for t in together] != [
        t.ids for t in lab.force(engine, questions[:16], budget, **options | {"seed": 5})
    ]
    assert (
        len(
            {
                tuple(t.ids)
                for t in lab.force(
                    engine, [questions[0]] * 4, budget, **options | {"temperature": 2.0}
                )
            }
        )
        > 1
    )


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_the_rungs_of_a_ladder_are_their_own_runs(engine, reference, questions, temperature):
    """Greedy ones are the reference's too."""
    options = {"temperature": temperature, "top_p": 0.95, "seed": 9}
    ladders = lab.ladder(engine, questions[:8], (16, 64, 128), (0, 2), **options)
    rungs = [({"cap": c}, lab.Budget(max_tokens=c)) for c in (16, 64, 128)] + [
        ({"waits": n}, lab.Budget(waits=n)) for n in (0, 2)
    ]
    for rung, budget in rungs:
        for runner in (engine, reference) if temperature == 0 else (engine,):
            alone = lab.force(runner, questions[:8], budget, **options)
            assert [x.at(**rung).ids for x in ladders] == [t.ids for t in alone]
            assert [x.at(**rung).source for x in ladders] == [t.source for t in alone]


@pytest.mark.filterwarnings("ignore:.*was not trained")
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_stream_ends_in_the_trace_of_force(engine, questions, temperature):
    from s1lab.widgets.streaming import stream

    budget = lab.Budget(max_tokens=90, waits=1)
    for question in questions[:3]:
        whole = lab.force(engine, question, budget, temperature=temperature, seed=2)
        *growing, last = stream(engine, question, budget, temperature=temperature, seed=2, every=8)
        # One at the start of each request at least. A server's events come in lumps.
        assert whole.error is None and len(growing) > (2 if engine.name == "server" else 4)
        assert (last.ids, last.source, last.waits, last.cut) == (
            whole.ids,
            whole.source,
            whole.waits,
            whole.cut,
        )


def test_a_number_of_tokens_that_is_asked_for_and_forced_gives_the_reference_ids(
    engine, reference, questions
):
    asked = [
        lab.methods.token_conditional(e, questions[:8], 32, force=True, progress=False)
        for e in (engine, reference)
    ]
    assert [(t.ids, t.source, t.cut) for t in asked[0]] == [
        (t.ids, t.source, t.cut) for t in asked[1]
    ]
    assert all(t.error is None and t.thinking_tokens <= 32 for t in asked[0])


@pytest.mark.filterwarnings("ignore:.*was not trained")
def test_steps_go_on_behind_their_delimiters_on_each_engine(engine, questions):
    """The model was not trained for steps: the bookkeeping holds whatever it writes."""
    options = {"force": True, "progress": False}
    traces = lab.methods.step_conditional(
        engine, questions[:6], 3, lab.Budget(max_tokens=60), **options
    )
    again = lab.methods.step_conditional(
        engine, questions[5::-1], 3, lab.Budget(max_tokens=60), **options
    )[::-1]
    assert [t.ids for t in traces] == [t.ids for t in again]
    for trace in traces:
        assert (
            trace.error is None and trace.thinking_tokens <= 60 and 1 <= trace.counts["steps"] <= 3
        )
        assert (
            trace.of(Source.SAMPLED).count(engine.template.encode("<|im_start|>")[0])
            == trace.counts["steps"] - 1
        )
        assert trace.sampled_tokens + trace.forced_tokens + len(trace.of(Source.PROMPT)) == len(
            trace.ids
        )


def test_a_rejection_is_bounded_and_the_same_alone_and_in_any_batch(engine, questions):
    options = {"limit": 40, "tries": 3, "seed": 6, "progress": False}
    traces = lab.methods.reject(engine, questions[:10], **options)
    again = lab.methods.reject(engine, questions[9::-1], **options)[::-1]
    assert [(t.ids, t.dropped, t.counts) for t in traces] == [
        (t.ids, t.dropped, t.counts) for t in again
    ]
    assert lab.methods.reject(engine, questions[0], **options).ids == traces[0].ids
    for trace in traces:
        assert (
            trace.error is None and trace.thinking_tokens <= 40 and 1 <= trace.counts["tries"] <= 3
        )
        assert trace.cut is not bool(trace.counts["fits"])
        failed = trace.counts["tries"] - trace.counts["fits"]
        assert trace.dropped + (40 if trace.cut else 0) == failed * 41
    assert len({t.counts["tries"] for t in traces}) > 1


def test_a_store_answers_for_an_engine_and_its_own_runs_only(engine, questions, tmp_path):
    store = tmp_path / "x.db"
    want = lab.force(engine, questions[:6], lab.Budget(waits=1), store=store)
    again = lab.force(engine, questions[:6], lab.Budget(waits=1), store=store)
    with lab.replay(store) as replayed:
        out_of_it = lab.force(replayed, questions[:6], lab.Budget(waits=1))
    assert [t.ids for t in want] == [t.ids for t in again] == [t.ids for t in out_of_it]
    assert list(lab.runs(store).completions) == [lab.runs(store).completions[0], 0]


def test_an_end_of_sequence_inside_thinking_is_an_attempt_to_stop(engine, template):
    """After a finished answer the model samples its end of sequence, which the thinking's stops
    hold as well.
    """
    ids = tuple(
        template.encode(
            "<|im_start|>user\nHow many r in raspberries?<|im_end|>\n"
            "<|im_start|>assistant\nAnswer: 3"
        )
    )
    (done,) = ask(engine, Request(ids, 20, template.think_stop))
    assert (done.ids, done.stop_id) == ((), template.tokenizer.eos_token_id)
    (more,) = ask(engine, Request(ids, 20, template.think_stop, min_tokens=3))
    assert len(more.ids) >= 3 and not set(more.ids[:3]) & template.think_stop


def test_a_prompt_of_one_token_less_than_the_context(engine, template):
    filler = template.encode("1 ") * engine.context
    longest = tuple(filler[: engine.context - 1])
    one, whole, two = ask(
        engine,
        Request(longest, 1, frozenset()),
        Request(tuple(filler[: engine.context]), 1, frozenset()),
        Request(longest, 2, frozenset()),
    )
    assert len(one.ids) == 1 and one.finish == "length"
    assert whole.error and two.error and str(engine.context) in two.error


def test_an_answer_cut_by_the_context(engine, reference):
    """Questions so long that the answer has only what the context leaves it: with five tokens or
    fewer it breaks off.
    """
    budget, cut = lab.Budget(max_tokens=3, answer_tokens=4000, on_cut=None), 0
    frame = len(engine.template.prompt("") + engine.template.open_ids())
    for left in range(10, 22):
        question = engine.template.decode(
            engine.template.encode("1 " * engine.context)[: engine.context - frame - left]
        )
        trace, want = (lab.force(e, question, budget) for e in (engine, reference))
        assert (trace.ids, trace.answer_cut, trace.error) == (want.ids, want.answer_cut, want.error)
        assert len(trace.ids) <= engine.context
        cut += trace.answer_cut and len(trace.ids) == engine.context
    assert cut > 2


def test_a_question_that_does_not_fit_leaves_the_others_alone(engine, questions):
    long = "1 " * engine.context
    bad, good = lab.force(engine, [long, questions[0]], lab.Budget(max_tokens=30))
    assert bad.error and str(engine.context) in bad.error
    assert (
        good.error is None
        and good.ids == lab.force(engine, questions[0], lab.Budget(max_tokens=30)).ids
    )


def test_ids_outside_the_vocabulary_are_never_sampled(engine, reference, padded, questions):
    """vLLM and the server have the padded model already. An outside id would win at each 9 of the
    thinking.
    """
    wide = (
        lab.load(str(padded)) if engine.name == "transformers" else contextlib.nullcontext(engine)
    )
    want = lab.force(reference, questions[:12], lab.Budget(waits=1))
    assert sum("9" in t.thinking for t in want) > 3
    with wide as loaded:
        mine = lab.force(loaded, questions[:12], lab.Budget(waits=1))
        assert [t.ids for t in mine] == [t.ids for t in want]
        hot = lab.force(loaded, questions[:12], lab.Budget(max_tokens=60), temperature=1.5, seed=2)
    assert max(max(t.ids) for t in hot) < len(reference.template.tokenizer)


def test_nothing_is_polled_for_ever_and_a_cancelled_run_leaves_the_engine_usable(engine, questions):
    assert engine.poll() == []
    want = lab.force(engine, questions[:4], lab.Budget(waits=1))

    failed = []

    # whichever answer comes first (a server may hold both back), this one is under way when the
    # other fails
    def endless():
        while True:
            yield Request(tuple(engine.template.prompt(questions[0])), 3000, frozenset())
            assert not failed

    def fails():
        yield Request(tuple(engine.template.prompt(questions[1])), 5, frozenset())
        failed.append(True)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(engine, [endless(), fails()])
    assert engine.poll() == []
    assert [t.ids for t in lab.force(engine, questions[:4], lab.Budget(waits=1))] == [
        t.ids for t in want
    ]
