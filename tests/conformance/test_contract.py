"""The contract of an engine: sampling, log-probabilities, partial output, and single cancels."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import CancelledError
from dataclasses import replace

import numpy as np
import pytest
import torch

import s1lab as lab
from s1lab.engine import Completion, Progress, Request


@pytest.fixture(scope="module")
def network(engine, padded, reference):
    """The weights that the engine has: vLLM and the server hold the padded model."""
    if engine.name == "transformers":
        yield reference.network
        return
    with lab.load(str(padded)) as loaded:
        yield loaded.network


@pytest.fixture(scope="module")
def requests(engine, questions):
    """Greedy ones and sampled ones, of 40 ids each at most."""
    template = engine.template
    made = []
    for place, question in enumerate(questions[:12]):
        prompt = template.prompt(question)
        ids = (*prompt, *template.open_ids(prompt))
        heat = 0.8 if place % 2 else 0.0
        made.append(Request(ids, 40, template.think_stop, temperature=heat, seed=place))
    return made


def drive(engine, requests, cancel_after=None, gone=()):
    """Completions and joined reports by key; some requests are cancelled after a few polls."""
    done: dict[int, Completion] = {}
    reports: dict[int, list[int]] = {}
    for key, request in enumerate(requests):
        engine.submit(key, request)
    for polls in range(1, 100_000):
        for key, what in engine.poll():
            assert key not in done
            if isinstance(what, Progress):
                reports.setdefault(key, []).extend(what.ids)
            else:
                assert what.error is None
                done[key] = what
        if polls == cancel_after:
            dropped = engine.cancel(gone)
            assert not dropped.keys() & done.keys()
            done |= dropped
        if len(done) == len(requests):
            return done, reports
    raise AssertionError("requests were lost")


@pytest.fixture(scope="module")
def whole(engine, requests):
    return drive(engine, requests)[0]


def test_reports_are_the_beginning_of_the_completion_and_change_nothing(engine, requests, whole):
    done, reports = drive(engine, [replace(r, partial=True) for r in requests])
    assert done == whole
    assert set(reports) == set(done)
    for key, ids in reports.items():
        assert tuple(ids) == done[key].ids[: len(ids)]
    assert sum(map(len, reports.values())) > sum(len(c.ids) for c in done.values()) / 2


def test_a_request_that_asks_for_no_report_gets_none(engine, requests):
    assert drive(engine, requests[:2])[1] == {}


@pytest.mark.parametrize("partial", [False, True])
def test_a_cancelled_request_gives_a_beginning_and_the_others_their_whole(
    engine, requests, whole, partial
):
    gone = (1, 2, 5)
    asked = [replace(r, partial=partial) for r in requests]
    for key in gone:  # long ones, so that they are under way when they are cancelled
        asked[key] = replace(asked[key], max_tokens=1000, min_tokens=1000)
    alone, _ = drive(engine, [asked[key] for key in gone])
    want = whole | {key: alone[place] for place, key in enumerate(gone)}
    done, reports = drive(engine, asked, cancel_after=1, gone={*gone, 999})
    for key, completion in done.items():
        if not completion.cancelled:
            assert completion == want[key]
        else:
            assert key in {1, 2, 5} and completion.finish == "cancelled"
            assert completion.ids == want[key].ids[: len(completion.ids)]
            assert len(completion.ids) >= len(reports.get(key, []))
    assert any(c.cancelled for c in done.values())
    assert drive(engine, requests[:3])[0] == {k: whole[k] for k in range(3)}  # and it works on


def test_cancelling_everything_leaves_nothing(engine, requests):
    for key, request in enumerate(requests):
        engine.submit(key, request)
    assert set(engine.cancel()) == set(range(len(requests)))
    assert engine.cancel() == {} and engine.poll() == []


def test_log_probabilities_are_the_models_own(engine, network, requests):
    """Before temperature, penalties and masks, over all rows of the output layer."""
    odd = {"temperature": 0.8, "top_k": 5, "repetition_penalty": 1.3, "min_tokens": 12}
    asked = [replace(r, logprobs=k, **o) for r in requests[:3] for k, o in ((0, {}), (20, odd))]
    done, _ = drive(engine, asked)
    for key, completion in done.items():
        request, found = asked[key], completion.logprobs
        ids = [*request.ids, *completion.ids]
        with torch.inference_mode():
            logits = network(torch.tensor([ids])).logits[0, len(request.ids) - 1 :].float()
        right = logits.log_softmax(-1)
        written = [*completion.ids, *([completion.stop_id] if completion.stop_id else [])]
        assert len(found) == len(written) and found.top.shape == (len(written), request.logprobs)
        mine = right[range(len(written)), written].numpy()
        np.testing.assert_allclose(found.sampled, mine, atol=1e-4)
        best = right[: len(written)].topk(request.logprobs).values.numpy()
        np.testing.assert_allclose(found.top, best, atol=1e-4)
        for row, named in enumerate(found.ids):
            np.testing.assert_allclose(found.top[row], right[row, named.tolist()], atol=1e-4)


def test_log_probabilities_change_no_id(engine, requests, whole):
    asked = [replace(r, logprobs=2) for r in requests]
    assert drive(engine, asked)[0] == whole


def test_partial_reports_carry_their_log_probabilities(engine, requests):
    if engine.name == "server":
        pytest.skip("a server's are checked when its reply is whole")
    asked = [replace(r, logprobs=3, partial=True) for r in requests[:2]]
    for key, request in enumerate(asked):
        engine.submit(key, request)
    done, reports = {}, {0: [], 1: []}
    while len(done) < 2:
        for key, what in engine.poll():
            if isinstance(what, Progress):
                assert len(what.logprobs) == len(what.ids)
                reports[key] += what.logprobs.sampled.tolist()
            else:
                done[key] = what
    for key, values in reports.items():
        assert values == done[key].logprobs.sampled.tolist()[: len(values)]


def test_banned_ids_are_never_written(engine, requests, whole):
    common = [i for i, _ in Counter(whole[0].ids + whole[1].ids).most_common(3)]
    for completion in drive(engine, [replace(r, banned=frozenset(common)) for r in requests])[
        0
    ].values():
        assert not set(common) & {*completion.ids, completion.stop_id}


@pytest.mark.parametrize(
    "options",
    [{"top_k": 1}, {"min_p": 1.0}, {"top_p": 1e-6}],
    ids=["top_k of one", "min_p of one", "top_p of almost none"],
)
def test_a_choice_of_one_id_is_greedy(engine, requests, options):
    hot = [replace(r, temperature=1.5, **options) for r in requests[:6]]
    cold = [replace(r, temperature=0.0) for r in requests[:6]]
    assert drive(engine, hot)[0] == drive(engine, cold)[0]


PENALTIES = [
    {"repetition_penalty": 1.4},
    {"presence_penalty": 1.5},
    {"frequency_penalty": 0.7},
    {"repetition_penalty": 0.8, "presence_penalty": -0.5, "frequency_penalty": 0.2},
]


@pytest.mark.parametrize("options", PENALTIES, ids=lambda o: " ".join(o))
def test_penalties_give_the_ids_of_their_formula(engine, network, requests, options):
    """Computed here id by id: the repetition penalty sees the prompt, the others what is new."""
    request = replace(requests[0], temperature=0.0, max_tokens=12, stop=frozenset(), **options)
    completion = drive(engine, [request])[0][0]
    known, ids = len(engine.template.tokenizer), [*request.ids]
    for token in completion.ids:
        with torch.inference_mode():
            logits = network(torch.tensor([ids])).logits[0, -1, :known]
        logits = logits.double().clone()
        for seen in set(ids):
            factor = request.repetition_penalty
            logits[seen] = logits[seen] / factor if logits[seen] > 0 else logits[seen] * factor
        for new, times in Counter(ids[len(request.ids) :]).items():
            logits[new] -= request.presence_penalty + times * request.frequency_penalty
        best = logits.topk(2)
        assert token == best.indices[0] or best.values[0] - logits[token] < 1e-3
        ids.append(token)


@pytest.mark.parametrize(
    "options",
    [{"top_k": 3}, {"min_p": 0.15}, {"top_k": 6, "top_p": 0.8}, {"min_p": 0.05, "top_p": 0.9}],
    ids=lambda o: " ".join(o),
)
def test_samples_follow_the_distribution_that_was_asked_for(engine, network, requests, options):
    """600 first ids against the exact shares; 5 standard errors, so that chance does not fail."""
    n, heat, request = 600, 1.5, requests[2]
    with torch.inference_mode():
        known = len(engine.template.tokenizer)
        logits = network(torch.tensor([request.ids])).logits[0, -1, :known]
    rare = int(logits.argmin())
    shares = (logits.double().clone() / heat).softmax(-1)
    shares[rare] = 0
    if least := options.get("min_p"):
        shares[shares < least * shares.max()] = 0
    if k := options.get("top_k"):
        shares[shares < shares.topk(k).values[-1]] = 0
    shares /= shares.sum()
    if (most := options.get("top_p", 1)) < 1:
        ordered, order = shares.sort(descending=True)
        shares[order[ordered.cumsum(-1) - ordered >= most]] = 0
        shares /= shares.sum()
    # A banned id makes the engines mask the rows past the vocabulary at once, as this test does.
    one = replace(request, max_tokens=1, temperature=heat, stop=frozenset(), **options)
    one = replace(one, banned=frozenset({rare}))
    done, _ = drive(engine, [replace(one, seed=seed) for seed in range(n)])
    counts = Counter(c.ids[0] for c in done.values())
    for token, share in enumerate(shares.tolist()):
        assert abs(counts[token] / n - share) <= 5 * (share * (1 - share) / n) ** 0.5 + 1e-9


def test_random_schedules_lose_double_and_change_nothing(engine, requests, whole):
    """Submitted, reported and cancelled in any order, a completion is whole or a beginning."""
    rng = random.Random(11)
    for _ in range(100):
        keys, living, left = 0, {}, rng.sample(range(len(requests)), rng.randint(1, 6))
        ended = []
        while left or living:
            if left and rng.random() < 0.6:
                which = left.pop()
                most = rng.randint(1, 12)
                request = replace(requests[which], max_tokens=most, partial=rng.random() < 0.5)
                living[keys] = (which, most, [])
                engine.submit(keys, request)
                keys += 1
            found: list[tuple[int, Completion | Progress]] = engine.poll()
            if living and rng.random() < 0.15:
                gone = rng.sample(sorted(living), 1)
                gone = [key for key in gone if key not in {k for k, w in found if w is not None}]
                found += [*engine.cancel(gone).items()]
            for key, what in found:
                which, most, told = living[key]
                if isinstance(what, Progress):
                    told += what.ids
                    continue
                del living[key]
                ended.append(key)
                right = whole[which].ids[:most]
                assert what.ids == right[: len(what.ids)] and what.error is None
                assert what.cancelled or what.ids == right
                assert tuple(told) == what.ids[: len(told)]
        assert sorted(ended) == list(range(keys))
    assert engine.poll() == []


def test_a_conversation_gives_the_ids_of_the_reference(engine, reference):
    talk = [
        {"role": "user", "content": "How many r in raspberry?"},
        {"role": "assistant", "content": "3"},
        {"role": "user", "content": "How many e in beer?"},
    ]
    budget = lab.Budget(max_tokens=60, waits=1)
    found, want = (lab.force(e, talk, budget, progress=False) for e in (engine, reference))
    assert found.error is None and "raspberry" in found.text
    assert (found.ids, found.source) == (want.ids, want.source)


def test_programs_join_and_leave_a_driver_and_the_others_keep_their_ids(engine, questions):
    """Two drivers on one engine: some questions are watched, some dropped, some come later."""
    rng, budget = random.Random(5), lab.Budget(max_tokens=40, waits=1)
    asked = questions[:12]
    heat = {"temperature": 0.8, "seed": 4}
    alone = lab.force(engine, asked, budget, progress=False, **heat)
    with lab.Driver(engine) as one, lab.Driver(engine) as other:
        handles = []
        for question in asked:
            driver = rng.choice((one, other))
            handles.append(driver.force(question, budget, watch=rng.random() < 0.5, **heat))
            if rng.random() < 0.3:
                handles[rng.randrange(len(handles))].cancel()
            elif rng.random() < 0.3:
                handles[-1].result(300)
        ends = [handle.future.exception(300) for handle in handles]
    for handle, end, want in zip(handles, ends, alone, strict=True):
        if end is None:
            assert handle.result() == want
        else:
            assert isinstance(end, CancelledError)
            assert handle.trace.ids == want.ids[: len(handle.trace.ids)]
    assert None in ends and engine.poll() == []
