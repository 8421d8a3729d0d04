"""Recipes: everything that decides what a fine-tuning does, as data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from s1lab.curate.io import Rows

Batches = Literal["padded", "packed", "flat"]


@dataclass(frozen=True)
class Shape:
    """The sizes of a Qwen2, for planning where its weights are not at hand."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    tied: bool = False


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters (peft) in place of all weights."""

    rank: int = 64
    alpha: int = 128
    dropout: float = 0.0
    modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Recipe:
    """One fine-tuning.

    model: what is trained: a name that :func:`s1lab.load` knows, a folder or a hub id.
    epochs, batch: passes over the rows, and rows of one optimiser step over all GPUs.
    rate, warmup, betas, decay: AdamW with a linear warm-up over this share of the steps, then a cosine to 0.
    dtype: of the arithmetic; weights: in which the weights and the optimiser's moments are kept.
    block: the most tokens of a row, None for no limit; longer ones are refused, not cut.
    template: how thinking is marked, a preset's name. pad_token: what fills up a batch; None takes the tokenizer's own.
    batches: "padded" to the longest row, which costs nothing where a GPU takes one row at a time; "packed": a batch's rows end to
        end in as few lines as hold them, attention kept apart by a mask; "flat": all in one line, for flash attention on a GPU.
    per_device: rows a GPU takes at a time; what lacks to ``batch`` is accumulated. checkpointing: recompute activations.
    unlearned: words of a trace, each alone on a line, that carry no loss: what forcing will append is not to be written by the
        model itself. The paper's recipe has none.
    rows: how a trace becomes a row, as in :func:`s1lab.curate.to_sft`. "original": the text of the authors' data/tokenization.py,
        stripped, and with the newline behind the end of the turn, which is learned. "plain": the texts as they are, up to the
        end token, which the embedded models were trained on. Rows that come as prompt and completion, or as ids, stay as
        they are.
    save_every: steps between checkpoints, None for one an epoch.
    seed: of the order of the rows. The original's train/sft.sh names none, so that transformers' default, 42, holds.
    """

    name: str
    model: str
    epochs: int = 5
    batch: int = 16
    rate: float = 1e-5
    warmup: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    decay: float = 1e-4
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    weights: Literal["bfloat16", "float32"] = "float32"
    block: int | None = 32_768
    template: str = "s1"
    pad_token: str | None = "<|fim_pad|>"
    batches: Batches = "padded"
    per_device: int = 1
    checkpointing: bool = True
    lora: Lora | None = None
    unlearned: tuple[str, ...] = ()
    rows: Rows = "original"
    save_every: int | None = None
    seed: int = 42
    shape: Shape | None = None

    def but(self, **changes: object) -> Recipe:
        """The same with other fields. TypeError for a field that there is not."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        if self.batches not in get_args(Batches):
            raise ValueError(f"batches={self.batches!r} is not known: choose from {list(get_args(Batches))}")
        if self.rows not in get_args(Rows):
            raise ValueError(f"rows={self.rows!r} is not known: choose from {list(get_args(Rows))}")
        for name in ("epochs", "batch", "per_device"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: give at least 1")

    def shared(self, gpus: int) -> tuple[int, int]:
        """How a batch is shared: rows a GPU takes at a time, and how often before a step. ValueError where it can't be."""
        per_device = min(self.per_device, max(1, self.batch // gpus))
        if self.batch % (per_device * gpus):
            rows = f"{per_device} row{'s' * (per_device > 1)} at a time"
            raise ValueError(
                f"a batch of {self.batch} can't be shared by {gpus} GPUs or processes with {rows}: change one of them"
            )
        return per_device, self.batch // (per_device * gpus)

    def steps(self, rows: int) -> int:
        """Optimiser steps over so many rows; the last batch of an epoch may be short, as in the paper: 315 for 1,000."""
        return self.epochs * -(-rows // self.batch)

    def warmup_steps(self, rows: int) -> int:
        """Steps of linear warm-up: 16 of the paper's 315."""
        return -(-round(1e9 * self.warmup) * self.steps(rows) // 1_000_000_000)


QWEN_05B = Shape(896, 24, 14, 2, 4_864, 151_936, tied=True)
QWEN_7B = Shape(3_584, 28, 28, 4, 18_944, 152_064)
QWEN_32B = Shape(5_120, 64, 40, 8, 27_648, 152_064)

RECIPES: dict[str, Recipe] = {
    r.name: r
    for r in (
        # The paper's, at the embedded size: the rate is that of a model of a million weights. Rows and seed are those that the
        # embedded models were trained with; only s1-tiny's pre-made ids came from elsewhere (tools/tiny/rows.py).
        Recipe(
            "tiny", "s1-tiny-base", rate=1e-3, dtype="float32", block=2_048, pad_token=None, batches="packed", per_device=16,
            checkpointing=False, unlearned=("Wait", "Hmm", "Alternatively"), rows="plain", seed=0,
        ),
        Recipe("qwen-0.5b", "Qwen/Qwen2.5-0.5B-Instruct", shape=QWEN_05B),
        Recipe("qwen-7b-lora", "Qwen/Qwen2.5-7B-Instruct", rate=1e-4, weights="bfloat16", lora=Lora(), shape=QWEN_7B),
        # Section 4.1 and appendix D; s1.1 trains on r1's longer traces with a shorter block, "to avoid OOM".
        Recipe("s1-32b", "Qwen/Qwen2.5-32B-Instruct", shape=QWEN_32B),
        Recipe("s1.1-32b", "Qwen/Qwen2.5-32B-Instruct", block=20_000, shape=QWEN_32B),
    )
}  # fmt: skip


def recipe(name: str | Recipe) -> Recipe:
    """A recipe by name; a Recipe is itself. ValueError for an unknown name."""
    if isinstance(name, Recipe):
        return name
    if name not in RECIPES:
        raise ValueError(
            f"no recipe is called {name!r}: choose from {list(RECIPES)}, or change one: sft.recipe('tiny').but(epochs=3)"
        )
    return RECIPES[name]
