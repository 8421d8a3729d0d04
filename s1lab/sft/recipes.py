"""Recipes: every setting of a fine-tuning, as data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from s1lab.curate.io import Rows

Batches = Literal["padded", "packed", "flat"]


@dataclass(frozen=True)
class Shape:
    """The sizes of a Qwen2 model, for planning without its weights."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    tied: bool = False


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters (peft), trained in place of all weights.

    Example:
        recipe = lab.sft.recipe("tiny").but(lora=lab.sft.Lora(rank=8, alpha=16))
    """

    rank: int = 64
    alpha: int = 128
    dropout: float = 0.0
    modules: tuple[str, ...] = (
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    )


@dataclass(frozen=True)
class Recipe:
    """One fine-tuning.

    Attributes:
        name: The recipe's name.
        model: The model that is trained: a name that `s1lab.load` knows, a folder or a hub
            id.
        epochs: Passes over the rows.
        batch: Rows of one optimiser step, over all GPUs.
        rate: Highest learning rate of AdamW.
        warmup: Share of the steps with a linear warm-up. A cosine to 0 follows it.
        betas: AdamW's betas.
        decay: AdamW's weight decay.
        dtype: Number type of the arithmetic.
        weights: Number type of the weights and of the optimiser's moments.
        block: The most tokens of a row, None for no limit. Longer rows are refused, not cut.
        template: Name of a preset that says how thinking is marked.
        pad_token: The token that fills up a batch. None takes the tokenizer's own.
        batches: "padded" fills rows up to the longest, which costs nothing if a GPU takes one row
            at a time. "packed" puts a batch's rows end to end on as few lines as possible, with
            attention kept apart by a mask. "flat" puts all on one line, for flash attention on a
            GPU.
        per_device: Rows that a GPU takes at a time. Gradients are accumulated up to ``batch``.
        checkpointing: Recompute activations in the backward pass.
        lora: Adapters to train in place of all weights.
        unlearned: Words of a trace, each alone on a line, that carry no loss. Forcing will append
            them, and the model must not learn to write them itself. The paper's recipe has none.
        rows: How a trace becomes a row, as in `s1lab.curate.to_sft`. "original" is the text
            of the authors' data/tokenization.py: stripped, and with the newline after the end of
            the turn, which is learned. "plain" is the texts unchanged, up to the end token; the
            embedded models were trained on it. Rows that come as prompt and completion, or as ids,
            are not changed.
        save_every: Steps between checkpoints. None saves once each epoch.
        seed: Seed of the order of the rows. The original's train/sft.sh sets none, so transformers'
            default, 42, applies.
        shape: The model's sizes, for planning.

    Example:
        print(lab.sft.recipe("s1-32b").rate)
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
        """Return the same recipe with other values.

        Args:
            changes: The fields to change.

        Returns:
            The changed recipe.

        Raises:
            TypeError: If a field does not exist.

        Example:
            longer = sft.recipe("tiny").but(epochs=3)
        """
        return replace(self, **changes)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        if self.batches not in get_args(Batches):
            raise ValueError(
                f"batches={self.batches!r} is not known: choose from {list(get_args(Batches))}"
            )
        if self.rows not in get_args(Rows):
            raise ValueError(f"rows={self.rows!r} is not known: choose from {list(get_args(Rows))}")
        for name in ("epochs", "batch", "per_device"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: give at least 1")

    def shared(self, gpus: int) -> tuple[int, int]:
        """Share a batch over GPUs.

        Args:
            gpus: Number of GPUs.

        Returns:
            Rows that a GPU takes at a time, and how many times it does so for one step.

        Raises:
            ValueError: If the batch can't be shared.
        """
        per_device = min(self.per_device, max(1, self.batch // gpus))
        if self.batch % (per_device * gpus):
            rows = f"{per_device} row{'s' * (per_device > 1)} at a time"
            raise ValueError(
                f"a batch of {self.batch} can't be shared by {gpus} GPUs or processes with {rows}: "
                "change one of them"
            )
        return per_device, self.batch // (per_device * gpus)

    def steps(self, rows: int) -> int:
        """Return the optimiser steps over so many rows: 315 for the paper's 1,000.

        The last batch of an epoch may be short, as in the paper.
        """
        return self.epochs * -(-rows // self.batch)

    def warmup_steps(self, rows: int) -> int:
        """Return the steps of linear warm-up: 16 of the paper's 315."""
        return -(-round(1e9 * self.warmup) * self.steps(rows) // 1_000_000_000)


QWEN_05B = Shape(896, 24, 14, 2, 4_864, 151_936, tied=True)
QWEN_7B = Shape(3_584, 28, 28, 4, 18_944, 152_064)
QWEN_32B = Shape(5_120, 64, 40, 8, 27_648, 152_064)

RECIPES: dict[str, Recipe] = {
    r.name: r
    for r in (
        # The paper's recipe at the embedded size, with the rate of a model of a million weights.
        # The embedded models were trained with these rows and this seed. Only s1-tiny's ids were
        # made elsewhere (tools/tiny/rows.py).
        Recipe(
            "tiny", "s1-tiny-base", rate=1e-3, dtype="float32", block=2_048, pad_token=None,
            batches="packed", per_device=16, checkpointing=False,
            unlearned=("Wait", "Hmm", "Alternatively"), rows="plain", seed=0,
        ),
        # A real model of 135 million weights, on a CPU (tools/smol). There it is fastest to put two
        # rows end to end on one line, without padding.
        Recipe(
            "smol", "smollm2", epochs=3, rate=1e-3, dtype="float32", block=1_024, pad_token=None,
            batches="flat", per_device=2, checkpointing=False, lora=Lora(rank=8, alpha=32),
            rows="plain", save_every=21, seed=0,
        ),
        Recipe("qwen-0.5b", "Qwen/Qwen2.5-0.5B-Instruct", shape=QWEN_05B),
        Recipe(
            "qwen-7b-lora", "Qwen/Qwen2.5-7B-Instruct", rate=1e-4, weights="bfloat16", lora=Lora(),
            shape=QWEN_7B,
        ),
        # Section 4.1 and appendix D. s1.1 trains on r1's longer traces with a shorter block, "to
        # avoid OOM".
        Recipe("s1-32b", "Qwen/Qwen2.5-32B-Instruct", shape=QWEN_32B),
        Recipe("s1.1-32b", "Qwen/Qwen2.5-32B-Instruct", block=20_000, shape=QWEN_32B),
    )
}  # fmt: skip


def recipe(name: str | Recipe) -> Recipe:
    """Return a recipe by its name; a Recipe is returned unchanged.

    Args:
        name: The name of a recipe, or a Recipe.

    Returns:
        The recipe.

    Raises:
        ValueError: If the name is unknown.

    Example:
        longer = lab.sft.recipe("tiny").but(epochs=3)
    """
    if isinstance(name, Recipe):
        return name
    if name not in RECIPES:
        raise ValueError(
            f"no recipe is called {name!r}: choose from {list(RECIPES)}, or change one: "
            "sft.recipe('tiny').but(epochs=3)"
        )
    return RECIPES[name]
