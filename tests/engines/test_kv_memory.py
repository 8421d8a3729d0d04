"""The memory of keys and values: bounded, shared by forks, and without effect on a token."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import s1lab as lab
from s1lab.engine import Request
from s1lab.engines.grouped_attention import attention
from s1lab.engines.kv_cache import Slab
from s1lab.engines.prefix_cache import Kept, Shelf
from s1lab.engines.transformers import TransformersEngine
from s1lab.tiny.tokenizer import build
from tests.engines.test_transformers import complete

EACH = 4 * 2 * 4 * 32 * 4  # bytes of an id: layers, keys and values, heads, width, float32


def measured(engine) -> int:
    """The bytes of all tensors that hold keys and values."""
    slabs = [t for t in (*engine._slab.keys, *engine._slab.values) if t is not None]
    return sum(t.numel() * t.element_size() for t in slabs) + engine._shelf.bytes


def watched(engine) -> list[int]:
    """Note the memory after each poll."""
    seen, poll = [], engine.poll

    def polled():
        told = poll()
        seen.append(measured(engine))
        return told

    engine.poll = polled
    return seen


@pytest.mark.parametrize("rows", [1, 3, 20])
def test_a_bound_holds_and_changes_no_token(rows: int):
    """A bound of a few rows: others wait, and rows that outgrow it begin again."""
    questions = list(lab.tiny.problems(24, seed=3)["question"])
    free = lab.load("s1-tiny", engine="transformers")
    bound = rows * 260 * EACH
    tight = lab.load("s1-tiny", engine="transformers", kv_bytes=bound, keep_bytes=bound // 5)
    seen = watched(tight)
    budget = lab.Budget(max_tokens=120, waits=2)
    options = {"temperature": 0.7, "seed": 4, "answer_tokens": 24, "progress": False}
    assert [t.ids for t in lab.force(tight, questions, budget, **options)] == [
        t.ids for t in lab.force(free, questions, budget, **options)
    ]
    assert max(seen) <= bound
    assert all(row.wanted == 0 for row in tight._shelf._rows.values())
    assert tight.counts["sampled"] == free.counts["sampled"]
    if rows == 3:
        assert tight.counts["steps"] > 2 * free.counts["steps"]  # fewer rows at a time


def test_rows_that_outgrow_the_bound_begin_again_and_report_each_id_once():
    """Short prompts and long completions: all are let in, and there is no room for all to grow."""
    free = lab.load("s1-tiny", engine="transformers")
    tight = lab.load("s1-tiny", engine="transformers", kv_bytes=700 * EACH, keep_bytes=0)
    requests = [
        Request((7 + i, 8, 9), 300, frozenset(), temperature=1.0, seed=i, logprobs=2, partial=True)
        for i in range(6)
    ]
    found = []
    for engine in (free, tight):
        for i, request in enumerate(requests):
            engine.submit(i, request)
        parts: dict[int, list[int]] = {i: [] for i in range(6)}
        done = {}
        while len(done) < 6:
            for key, said in engine.poll():
                if isinstance(said, lab.Completion):
                    done[key] = said
                else:
                    parts[key] += said.ids
        for key, ids in parts.items():
            assert done[key].ids[: len(ids)] == tuple(ids) and len(done[key].logprobs) == 300
        found.append([done[i].ids for i in range(6)])
    assert found[0] == found[1]
    assert tight.counts["fed"] > free.counts["fed"]  # some were fed again
    assert measured(tight) <= 700 * EACH


def test_a_row_that_alone_is_more_than_the_bound_is_an_error_and_the_others_go_on():
    engine = lab.load("s1-tiny", engine="transformers", kv_bytes=400 * EACH, keep_bytes=0)
    long, short, grows = complete(
        engine,
        [
            Request((7,) * 500, 5, frozenset()),
            Request((7,) * 20, 5, frozenset()),
            Request((7,) * 20, 600, frozenset()),
        ],
    )
    for bad in (long, grows):
        assert bad.error and "kv_bytes=" in bad.error and "keep_bytes=0" in bad.error
    assert short.finish == "length" and len(grows.ids) > 100


def test_a_row_that_begins_again_and_is_cancelled_tells_what_it_took():
    engine = lab.load(
        "s1-tiny", engine="transformers", kv_bytes=1_000 * EACH, keep_bytes=400 * EACH
    )
    start = tuple(range(3, 103))
    complete(engine, [Request(start, 20, frozenset())])
    requests = [Request((*start, 7 + i), 300, frozenset(), seed=i) for i in range(5)]
    for key, request in enumerate(requests):
        engine.submit(key, request)
    while not engine._queue:
        engine.poll()
    found = engine.cancel()
    again = [row.usage for row in found.values() if row.usage.prefilled + row.usage.cached == 0]
    assert again and all(row.usage.prefilled >= 0 for row in found.values())


def test_a_row_that_is_refused_leaves_no_claim_on_the_cache():
    engine = lab.load("s1-tiny", engine="transformers", max_model_len=120)
    start = tuple(range(3, 83))
    first, refused = Request(start, 20, frozenset()), Request((*start, 5), 90, frozenset())
    complete(engine, [first])
    assert complete(engine, [refused])[0].error
    assert [row.wanted for row in engine._shelf._rows.values()] == [0]


def test_the_bound_is_told_before_a_run():
    assert "keys and values up to 2.0 GB" in repr(
        lab.load("s1-tiny", engine="transformers", kv_bytes=2 * 10**9)
    )


def test_a_ladder_feeds_no_thinking_again_though_all_traces_end_together():
    """All traces reach the last cap in one step, and each has many answers to come."""
    questions = list(lab.tiny.problems(40, seed=5)["question"])
    caps = (8, 16, 24, 32, 40, 48)
    budget = lab.Budget(min_tokens=8)
    room = 40 * 160 * EACH  # of the traces, not of the answers too
    engine = lab.load("s1-tiny", engine="transformers", kv_bytes=4 * room, keep_bytes=room)
    ladders = lab.ladder(engine, questions, caps, budget=budget, progress=False)
    prompts = sum(ladder.traces[0].source.count("prompt") for ladder in ladders)
    forced = sum(t.forced_tokens + 1 for ladder in ladders for t in ladder.traces)
    assert engine.counts["fed"] <= prompts + forced


def kept(*ids: int) -> Kept:
    return Kept(list(ids), [(torch.zeros(1, len(ids), 1), torch.zeros(1, len(ids), 1))])


def test_a_row_that_others_wait_for_is_dropped_last():
    first, second = kept(*range(32)), kept(*range(100, 132))
    shelf = Shelf(first.bytes + second.bytes)
    shelf.put(first)
    shelf.put(second)
    first.wanted = 1
    shelf.put(kept(*range(200, 232)))
    assert shelf.best([*range(32), 5]) is first and shelf.best([*range(100, 132), 5]) is None
    second.wanted = 1
    first.wanted = 0
    shelf.put(kept(*range(300, 332)))
    assert shelf.best([*range(32), 5]) is None and not first.layers
    assert shelf.bytes == sum(row.bytes for row in shelf._rows.values()) <= shelf.most_bytes


def test_a_row_that_goes_on_takes_the_place_of_its_beginning_and_forks_go_first():
    trace, rounds, rung = kept(*range(32)), kept(*range(48)), kept(*range(32), *range(100, 116))
    shelf = Shelf(trace.bytes + rung.bytes)
    shelf.put(trace)
    shelf.put(rounds, trace)
    assert len(shelf) == 1 and not trace.layers and shelf.best([*range(32), 7]) is rounds
    shelf.put(rung, rounds)
    assert rung.fork and not rounds.fork
    shelf.put(kept(*range(200, 216)))
    assert not rung.layers and rounds.layers and shelf.best([*range(48), 1]) is rounds
    assert shelf.bytes == sum(row.bytes for row in shelf._rows.values()) <= shelf.most_bytes


def test_a_slab_near_its_bound_gives_up_slots_and_ids_and_keeps_what_is_written():
    slab = Slab(1, most_bytes=100 * 8)
    assert slab.reserve(2, 10)
    positions = torch.arange(10).expand(2, -1)
    slab.aim(0, 2, positions, 10)
    new = torch.arange(20.0).reshape(2, 1, 10, 1)
    slab.update(new, new, 0)
    assert slab.bytes_per_id == 8
    assert slab.reserve(2, 40) and slab.slots * slab.capacity <= 100
    assert slab.reserve(1, 90) and (slab.slots, slab.capacity) == (1, 90)
    assert slab.keys[0][0, 0, :10, 0].tolist() == list(range(10))
    assert not slab.reserve(2, 60) and not slab.reserve(1, 101)


@pytest.mark.parametrize("new", [1, 5])
@pytest.mark.parametrize("heads", [(9, 3), (8, 1), (4, 4)])
def test_grouped_attention_is_attention_written_out(heads: tuple[int, int], new: int):
    """Against the formula, a query head at a time, in float64."""
    torch.manual_seed(0)
    rows, length, width = 3, 12, 16
    query = torch.randn(rows, heads[0], new, width, dtype=torch.float64)
    key, value = torch.randn(2, rows, heads[1], length, width, dtype=torch.float64)
    starts = torch.tensor([2, 5, 7])
    mask = torch.arange(length) <= (starts[:, None] + torch.arange(new))[:, None, :, None]
    module = torch.nn.Module()
    module.num_key_value_groups = heads[0] // heads[1]
    found, _ = attention(module, query, key, value, mask)
    for row in range(rows):
        for head in range(heads[0]):
            shared = head // (heads[0] // heads[1])
            scores = query[row, head] @ key[row, shared].T / width**0.5
            weights = scores.masked_fill(~mask[row, 0], -torch.inf).softmax(-1)
            torch.testing.assert_close(found[row, :, head], weights @ value[row, shared])


def test_a_loaded_network_keeps_its_own_attention():
    config = LlamaConfig(
        vocab_size=600, hidden_size=32, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
        eos_token_id=build().eos_token_id, pad_token_id=build().pad_token_id,
        bos_token_id=None,
    )  # fmt: skip
    torch.manual_seed(1)
    network = LlamaForCausalLM(config).eval()
    engine = TransformersEngine(network, tokenizer=build(), device="cpu")
    found = complete(engine, [Request((5, 6, 7, 8), 12, frozenset())])[0]
    assert network.config._attn_implementation == "sdpa"
    ids = [5, 6, 7, 8]
    with torch.inference_mode():
        for _ in range(12):
            ids.append(int(network(torch.tensor([ids])).logits[0, -1, : len(build())].argmax()))
    assert list(found.ids) == ids[4:]
