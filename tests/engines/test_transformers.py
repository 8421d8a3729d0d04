"""The transformers engine: the tokens of ``model.generate``, whatever shares the batch, however
rows come and go.
"""

from __future__ import annotations

import collections
import math
import socket
from weakref import WeakKeyDictionary

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

import s1lab as lab
from s1lab.driver import run
from s1lab.engine import Request
from s1lab.engines import torch_threads
from s1lab.engines.model_names import hub_silence
from s1lab.engines.torch_threads import SMALL
from s1lab.engines.transformers import TransformersEngine
from s1lab.tiny.tokenizer import build


def random_model(vocabulary: int | None = None, **changes) -> Qwen2ForCausalLM:
    torch.manual_seed(3)
    tokenizer = build()
    shape = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
    }
    config = Qwen2Config(
        vocab_size=vocabulary or len(tokenizer),
        max_position_embeddings=512,
        eos_token_id=tokenizer.eos_token_id,
        **(shape | changes),
    )
    config.initializer_range = 0.4  # far apart logits: no ties for float32 to break
    return Qwen2ForCausalLM(config).float()


def engine_of(model: Qwen2ForCausalLM, **options) -> TransformersEngine:
    return TransformersEngine(model, tokenizer=build(), device="cpu", **options)


def complete(engine, requests):
    def one(request):
        return (yield request)

    return run(engine, [one(r) for r in requests])


def prompts(engine, n: int) -> list[tuple[int, ...]]:
    return [tuple(engine.template.prompt(q)) for q in lab.tiny.problems(n, seed=5)["question"]]


def generated(model, ids, n, stop):
    with torch.inference_mode():
        out = model.generate(
            torch.tensor([ids]),
            max_new_tokens=n,
            do_sample=False,
            eos_token_id=sorted(stop),
            pad_token_id=0,
        )
    new = out[0, len(ids) :].tolist()
    return tuple(new[:-1] if new[-1] in stop else new)


@pytest.mark.parametrize("max_batch", [1, 3, 64])
def test_greedy_tokens_are_those_of_generate(max_batch):
    model = random_model()
    engine = engine_of(model, max_batch=max_batch)
    stop = frozenset({5, 9, 40, 77, 130, 200})
    requests = [Request(ids, 5 + 7 * i % 40, stop) for i, ids in enumerate(prompts(engine, 12))]
    for request, done in zip(requests, complete(engine, requests), strict=True):
        assert done.ids == generated(model, request.ids, request.max_tokens, request.stop)
        assert (done.stop_id is None) == (len(done.ids) == request.max_tokens)
        assert done.stop_id is None or done.stop_id in stop


def test_a_sampled_row_is_the_same_alone_and_in_any_batch(tiny):
    ids = prompts(tiny, 6)
    requests = [
        Request(p, 60, tiny.template.think_stop, temperature=0.9, top_p=0.95, seed=i)
        for i, p in enumerate(ids)
    ]
    together = complete(tiny, requests)
    alone = [complete(tiny, [r])[0] for r in requests]
    crowd = complete(tiny, requests[::-1] + [Request(p, 30, frozenset()) for p in ids])[
        : len(requests)
    ][::-1]
    assert together == alone == crowd
    other = complete(
        tiny,
        [
            Request(r.ids, 60, r.stop, temperature=0.9, top_p=0.95, seed=99 + i)
            for i, r in enumerate(requests)
        ],
    )
    assert other != together


def test_sampling_follows_the_softmax_and_top_p_its_nucleus():
    model = random_model()
    engine = engine_of(model)
    ids = prompts(engine, 1)[0]
    with torch.inference_mode():
        expected = (model(torch.tensor([ids])).logits[0, -1] / 2.0).softmax(-1)
    n = 3000
    drawn = complete(
        engine, [Request(ids, 1, frozenset(), temperature=2.0, seed=s) for s in range(n)]
    )
    counts = collections.Counter(d.ids[0] for d in drawn)
    for token in expected.topk(5).indices.tolist():
        p = float(expected[token])
        assert abs(counts[token] / n - p) < 5 * math.sqrt(p * (1 - p) / n)
    ordered = expected.sort(descending=True)
    nucleus = set(ordered.indices[: int((ordered.values.cumsum(0) < 0.5).sum()) + 1].tolist())
    drawn = complete(
        engine,
        [Request(ids, 1, frozenset(), temperature=2.0, top_p=0.5, seed=s) for s in range(300)],
    )
    assert {d.ids[0] for d in drawn} <= nucleus and len(nucleus) > 1


def test_min_tokens_holds_every_stop_back(tiny):
    ids = prompts(tiny, 4)
    stop = tiny.template.think_stop
    free = complete(tiny, [Request(p, 200, stop) for p in ids])
    held = complete(
        tiny,
        [Request(p, 200, stop, min_tokens=len(f.ids) + 5) for p, f in zip(ids, free, strict=True)],
    )
    for short, long in zip(free, held, strict=True):
        assert short.finish == "stop" and long.ids[: len(short.ids)] == short.ids
        assert len(long.ids) >= len(short.ids) + 5 and not set(long.ids) & stop


def test_the_cache_of_a_round_is_used_by_the_next_and_changes_no_token(tiny):
    question = lab.tiny.problems(3, seed=8)["question"]
    with_cache = lab.load("s1-tiny")
    without = lab.load("s1-tiny", keep_bytes=0)
    budget = lab.Budget(max_tokens=150, waits=3)
    kept = lab.force(with_cache, question, budget, progress=False)
    fresh = lab.force(without, question, budget, progress=False)
    assert [t.ids for t in kept] == [t.ids for t in fresh]
    assert with_cache.counts["reused"] > 0 == without.counts["reused"]
    # All that later rounds feed are the forced ids, and the last id of a round that was cut.
    prompts_fed = sum(t.source.count("prompt") for t in kept)
    forced = sum(t.forced_tokens + t.cut for t in kept)
    assert with_cache.counts["fed"] <= prompts_fed + forced


def test_ids_past_the_tokenizer_are_never_sampled():
    """Qwen's embedding has rows for ids that its tokenizer does not know; here they are made the
    likeliest.
    """
    model = random_model(vocabulary=600)
    known = len(build())
    with torch.no_grad():
        model.lm_head.weight[known:] *= 30
    engine = engine_of(model)
    for temperature in (0.0, 1.0):
        for done in complete(
            engine,
            [Request(p, 40, frozenset(), temperature=temperature) for p in prompts(engine, 4)],
        ):
            assert max(done.ids) < known


def test_a_request_past_the_context_is_an_error_and_the_others_go_on():
    engine = engine_of(random_model(), max_model_len=100)
    good = Request(prompts(engine, 1)[0], 5, frozenset())
    bad = Request((1,) * 99, 2, frozenset())
    first, second, third = complete(engine, [good, bad, good])
    assert first == third and first.finish == "length"
    assert second.error is not None and "100" in second.error


def test_a_prompt_of_one_token_less_than_the_context_is_served():
    engine = engine_of(random_model(), max_model_len=100)
    assert len(complete(engine, [Request((7,) * 99, 1, frozenset())])[0].ids) == 1


def test_many_more_questions_than_slots_come_back_in_order():
    model = random_model()
    engine = engine_of(model, max_batch=4)
    requests = [Request(p, 1 + i % 9, frozenset()) for i, p in enumerate(prompts(engine, 40))]
    assert [len(d.ids) for d in complete(engine, requests)] == [r.max_tokens for r in requests]


def test_after_an_interrupt_the_engine_serves_again(tiny):
    question = list(lab.tiny.problems(5, seed=9)["question"])

    def interrupted():
        yield Request(tuple(tiny.template.prompt(question[0])), 5, frozenset())
        raise KeyboardInterrupt

    def patient():
        yield Request(tuple(tiny.template.prompt(question[1])), 500, frozenset())

    with pytest.raises(KeyboardInterrupt):
        run(tiny, [patient(), interrupted()])
    assert lab.force(tiny, question[0], lab.Budget()).error is None


@pytest.fixture
def unreachable(monkeypatch, tmp_path):
    """A hub that takes connections and never answers."""
    from huggingface_hub import constants

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(20)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr("s1lab.engines.model_names.PATIENCE", 0.2)
        yield address


def test_a_hub_that_does_not_answer_is_named_in_one_sentence(unreachable, monkeypatch):
    for engine in ("auto", "transformers", "vllm"):
        with pytest.raises(ConnectionError, match="'owner/name' is not on this machine") as refused:
            lab.load("owner/name", engine=engine)
        assert unreachable in str(refused.value) and "\n" not in str(refused.value)
    with pytest.raises(FileNotFoundError, match=f"the hub {unreachable} can't be reached"):
        lab.benchmarks.load("aime24")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert hub_silence() is None  # nobody is asked


def test_a_small_model_on_a_cpu_takes_one_torch_thread_unless_the_user_chose(tiny, monkeypatch):
    seen = []
    forward = type(tiny.network).forward

    def counted(*args, **kwargs):
        seen.append(torch.get_num_threads())
        return forward(*args, **kwargs)

    monkeypatch.setattr(type(tiny.network), "forward", counted)
    before = torch.get_num_threads()
    try:
        for variables, set_to, small, expected in (
            ({}, 2, SMALL, 1),
            ({"OMP_NUM_THREADS": "2"}, 2, SMALL, 2),
            ({"MKL_NUM_THREADS": "2"}, 2, SMALL, 2),
            ({}, 3, SMALL, 3),  # torch.set_num_threads
            ({}, 2, 1000, 2),  # a model that is not small
        ):
            with monkeypatch.context() as patched:
                for name in torch_threads.VARIABLES:
                    patched.delenv(name, raising=False)
                for name, value in variables.items():
                    patched.setenv(name, value)
                patched.setattr(torch_threads, "USUAL", {1, 2})
                patched.setattr(torch_threads, "SMALL", small)
                patched.setattr(torch_threads, "_small", WeakKeyDictionary())
                torch.set_num_threads(set_to)
                seen.clear()
                lab.force(tiny, "How many r in raspberry?", lab.Budget(max_tokens=3))
                assert set(seen) == {expected} and torch.get_num_threads() == set_to
    finally:
        torch.set_num_threads(before)
