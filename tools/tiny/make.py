"""``make weights``: train both embedded models from nothing, and write their cards.

It is seeded, and takes less than an hour on two cores. Pre-training teaches the base model to write
any line of any search, but never a long search. Fine-tuning on 1,000 chosen traces (trl, the
paper's recipe scaled down) teaches it to think at length, to stop too early, and to go on after
"Wait".
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM, set_seed

from s1lab import sft
from s1lab.api import direct
from s1lab.engines.description import describe
from s1lab.engines.transformers import TransformersEngine
from s1lab.evaluation.grade import is_correct
from s1lab.sft import RECIPES
from s1lab.tiny.families import Problem
from s1lab.tiny.teacher import dialogue, drill
from s1lab.tiny.tokenizer import build
from s1lab.tiny.world import BENCHMARK, BENCHMARK_SEED, stream
from tools.tiny import FOLDER, bars
from tools.tiny.card import card
from tools.tiny.rows import encoded, sft_rows

SEED = 0
MODELS = ("s1-tiny", "s1-tiny-base")
PRETRAIN: dict[str, Any] = {
    "steps": 3000,
    "rows": 16,
    "tokens_a_row": 320,
    "muon_rate": 5e-3,
    "adamw_rate": 2e-3,
    "warmup_steps": 50,
    "drills": 0.25,
    "looks_back": (1, 2, 3, 5),
}
TRACES = 1000
# Padded batches: the recipe's packed ones have the same losses except for rounding, and so other
# last bits.
SFT = RECIPES["tiny"].but(batches="padded", seed=SEED)


def pretraining_problems() -> Iterator[Problem]:
    """Yield training questions without end; small worlds repeat theirs from a new seed."""
    for seed in itertools.count(SEED):
        yield from itertools.islice(stream(seed, "train"), 18_000)


def pretrain(
    tokenizer: PreTrainedTokenizerFast, steps: int
) -> tuple[Qwen2ForCausalLM, list[float]]:
    """Train the base model.

    Muon trains the matrices: it needs half the tokens of AdamW here.

    Args:
        tokenizer: The embedded tokenizer.
        steps: Optimiser steps.

    Returns:
        The base model, and its loss every 50 steps.
    """
    set_seed(SEED)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        intermediate_size=384,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Qwen2ForCausalLM(config).float()
    # Words start far apart: names and letters all have the same role, and the model would long take
    # them for one word.
    torch.nn.init.normal_(model.model.embed_tokens.weight, std=0.5)
    _look_back(model, PRETRAIN["looks_back"])
    matrices = [p for n, p in model.model.layers.named_parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if not any(p is m for m in matrices)]
    optimizers = [
        torch.optim.Muon(
            matrices, lr=PRETRAIN["muon_rate"], weight_decay=0.01, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(others, lr=PRETRAIN["adamw_rate"], betas=(0.9, 0.95), weight_decay=0.0),
    ]

    def rate(step: int) -> float:
        return float(
            min(1.0, (step + 1) / PRETRAIN["warmup_steps"])
            * 0.5
            * (1 + math.cos(math.pi * step / steps))
        )

    schedules = [torch.optim.lr_scheduler.LambdaLR(o, rate) for o in optimizers]
    batches = _packed(tokenizer, random.Random(f"pretrain {SEED}"))
    losses, since = [], []
    for step in (bar := tqdm(range(steps), desc="pre-training", unit="step", mininterval=5)):
        ids, labels, positions = next(batches)
        loss = model(input_ids=ids, labels=labels, position_ids=positions, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        since.append(loss.item())
        if step % 50 == 49 or step == steps - 1:
            losses.append(sum(since) / len(since))
            since = []
            bar.set_postfix(loss=f"{losses[-1]:.3f}")
    return model, losses


def _look_back(model: Qwen2ForCausalLM, offsets: tuple[int, ...]) -> None:
    """Start the first layer's heads looking so many tokens back, one offset for each head.

    Copying from the question needs a head that knows the token just before. A model this small
    finds such a head late by itself. Query and key biases that differ by ``offset`` turns of the
    fast rotary frequencies put the attention there.
    """
    attention = model.model.layers[0].self_attn
    width, fast, strength = attention.head_dim, 5, 5.0
    turn = 10_000.0 ** (-2 * torch.arange(fast) / width)
    with torch.no_grad():
        for head, offset in enumerate(offsets):
            at = head * width
            attention.q_proj.bias[at : at + fast] = strength
            attention.k_proj.bias[at : at + fast] = strength * torch.cos(offset * turn)
            attention.k_proj.bias[at + width // 2 : at + width // 2 + fast] = strength * torch.sin(
                offset * turn
            )


def _packed(tokenizer: PreTrainedTokenizerFast, rng: random.Random) -> Iterator[list[torch.Tensor]]:
    """Yield batches of [ids, labels, positions], each [rows, tokens of a row].

    Documents are end to end, and cut where a row ends. Positions start over with each document,
    which tells transformers to keep their attention apart.
    """
    size = PRETRAIN["rows"], PRETRAIN["tokens_a_row"]
    batch = size[0] * size[1]
    columns: list[list[int]] = [[], [], []]
    for problem in pretraining_problems():
        document = drill if rng.random() < PRETRAIN["drills"] else dialogue
        ids, labels = encoded(tokenizer, document(problem, rng))
        for column, new in zip(columns, (ids, labels, range(len(ids))), strict=True):
            column += new
        while len(columns[0]) >= batch:
            yield [torch.tensor(column[:batch]).view(size) for column in columns]
            columns = [column[batch:] for column in columns]


def curated(base: TransformersEngine) -> list[Problem]:
    """Choose 1,000 training questions.

    The base model does not answer them at once (difficulty), and they come from every family and
    size in turn (diversity).
    """
    pool = list(itertools.islice(stream(SEED + 1000, "train"), 5 * TRACES))
    answers = direct(base, [p.question for p in pool], prefix="Answer:", answer_tokens=32)
    assert isinstance(answers, list)
    hard = [
        p for p, t in zip(pool, answers, strict=True) if not is_correct(t.answer, p.answer, p.kind)
    ]
    rng = random.Random(f"select {SEED}")
    cells: dict[tuple[str, str], list[Problem]] = {}
    for problem in hard:
        cells.setdefault((problem.family, problem.size), []).append(problem)
    for cell in cells.values():
        rng.shuffle(cell)
    taken = [p for turn in itertools.zip_longest(*cells.values()) for p in turn if p is not None][
        :TRACES
    ]
    rng.shuffle(taken)
    return taken


def save(model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def train(out: Path, steps: int, base: Path | None = None) -> dict[str, Any]:
    """Train both models into ``out``.

    Args:
        out: The folder.
        steps: Steps of pre-training.
        base: Folder of a trained base model to use.

    Returns:
        The record: recipes, losses, minutes.
    """
    torch.set_num_threads(2)
    began = time.time()
    tokenizer = build()
    losses: list[float] = []
    if base:
        model = Qwen2ForCausalLM.from_pretrained(base, dtype=torch.float32)
    else:
        model, losses = pretrain(tokenizer, steps)
        save(model, tokenizer, out / "s1-tiny-base")
    pretrained = time.time()
    chosen = curated(TransformersEngine(model, tokenizer=tokenizer, device="cpu"))
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    with tempfile.TemporaryDirectory() as scratch:
        tuned = sft.train(
            model.train(), sft_rows(tokenizer, chosen, SEED), SFT, out=scratch, tokenizer=tokenizer
        )
    save(model, tokenizer, out / "s1-tiny")
    tokens = steps * PRETRAIN["rows"] * PRETRAIN["tokens_a_row"]
    return {
        "weights": model.num_parameters(),
        "pretrain": {
            **PRETRAIN,
            "steps": steps,
            "tokens": tokens,
            "loss": [round(x, 4) for x in losses],
            "minutes": round((pretrained - began) / 60, 1),
        },
        "sft": {
            "traces": TRACES,
            "epochs": SFT.epochs,
            "batch": SFT.batch,
            "rate": SFT.rate,
            "loss": [
                round(sum(tuned.loss[at : at + 15]) / 15, 4) for at in range(0, len(tuned.loss), 15)
            ],
            "minutes": round((time.time() - pretrained) / 60, 1),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, default=FOLDER, help="folder for s1-tiny-base/, s1-tiny/ and made.json"
    )
    parser.add_argument("--steps", type=int, default=PRETRAIN["steps"], help="pre-training steps")
    parser.add_argument(
        "--base", type=Path, help="fine-tune this base model instead of pre-training one"
    )
    parser.add_argument(
        "--measure", action="store_true", help="train nothing: measure the models in --out again"
    )
    parser.add_argument(
        "--split",
        default="test",
        choices=["dev", "test"],
        help="which questions the bars are measured on",
    )
    options = parser.parse_args()
    out, record = options.out, options.out / "made.json"
    trained = (
        json.loads(record.read_text())["trained"]
        if options.measure
        else train(out, options.steps, options.base)
    )
    record.write_text(json.dumps({"trained": trained}, indent=1) + "\n")
    base = TransformersEngine(str(options.base or out / "s1-tiny-base"), device="cpu")
    tuned = TransformersEngine(str(out / "s1-tiny"), device="cpu")
    alone, rungs = bars.base(base, options.split), bars.measure(tuned, options.split)
    made = {
        "trained": trained,
        "measured": {
            **describe(tuned),
            "model": "s1-tiny",
            "tokenizer": "s1-tiny",
            "questions": BENCHMARK,
            "seed": BENCHMARK_SEED,
            "split": options.split,
            "base_without_thinking": alone,
            "rungs": rungs,
            "bars": bars.verdicts(alone, rungs),
        },
    }
    record.write_text(json.dumps(made, indent=1) + "\n")
    for name in MODELS:
        if (out / name).is_dir():
            (out / name / "README.md").write_text(card(name, made), encoding="utf-8")
    for bar, verdict in made["measured"]["bars"].items():
        print(f"{'holds ' if verdict['holds'] else 'FAILS '} {bar}: {verdict['measured']}")
    if not all(v["holds"] for v in made["measured"]["bars"].values()):
        sys.exit("not every bar holds: these weights must not ship")


if __name__ == "__main__":
    main()
