"""Plan a fine-tuning before a GPU is rented: its memory and time, and which changes make it fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from s1lab.sft.recipes import Recipe, Shape
from s1lab.sft.recipes import recipe as recipe_of

# Bytes of a weight, by its dtype and by its quantization.
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
QUANTIZED = {"fp8": 1.0, "int8": 1.0, "bitsandbytes": 0.5, "awq": 0.5, "gptq": 0.5, "mxfp4": 0.5}
GB = 1e9
# Dense bfloat16 speed of GPUs by their data sheets, in operations a second.
FLOPS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12}
H100_FLOPS = FLOPS["H100"]
# Mean tokens of a row: s1K's traces have 4,693 (Table 6), to which questions and answers are added.
TOKENS_A_ROW = 5_300
# The share of an H100's speed that the paper's run reached: 26 minutes on 16 of them (section 4.1).
UTILISATION = 0.28
UNBLOCKED = 32_768  # tokens of the longest row if a recipe has no block: Qwen2.5's context
CONTEXT_GB = 2.0  # CUDA's context, the allocator's gaps, communication buffers


@dataclass(frozen=True)
class Plan:
    """The memory of one GPU in GB (10^9 bytes), and the duration of a run.

    Attributes:
        recipe: The recipe that is planned.
        gpus: Number of GPUs.
        memory_gb: Memory of each GPU, in GB.
        parameters: Weights of the model.
        trained: Weights that are trained.
        weights: GB of this GPU's shard of the weights.
        gradients: GB of this GPU's shard of the gradients.
        optimiser: GB of this GPU's shard of the optimiser's moments.
        gathered: GB of the layers that sharding gathers while they work.
        activations: GB of the activations of the longest row that the block allows.
        hours: Duration on all GPUs together, computed from the arithmetic alone.
    """

    recipe: Recipe
    gpus: int
    memory_gb: float
    parameters: int
    trained: int
    weights: float
    gradients: float
    optimiser: float
    gathered: float
    activations: float
    hours: float

    @property
    def static(self) -> float:
        """GB that are held from beginning to end: weights, gradients, moments."""
        return self.weights + self.gradients + self.optimiser

    @property
    def total(self) -> float:
        """The highest use of one GPU, in GB."""
        return self.static + self.gathered + self.activations + CONTEXT_GB

    @property
    def fits(self) -> bool:
        """Whether the total is within the GPU's memory."""
        return self.total <= self.memory_gb

    def __str__(self) -> str:
        parts = {
            "weights": self.weights, "gradients": self.gradients, "optimiser": self.optimiser,
            "gathered layers": self.gathered, "activations": self.activations,
            "context": CONTEXT_GB,
        }  # fmt: skip
        lines = [
            f"{self.recipe.name}: {self.parameters / 1e9:.2f} B weights, {self.gpus} "
            f"GPU{'s' * (self.gpus > 1)}, GB on each:"
        ]
        lines += [f"  {name:<16}{gb:>8.1f}" for name, gb in parts.items()]
        lines += [
            f"  {'in all':<16}{self.total:>8.1f}  of {self.memory_gb:.0f}: "
            f"{'fits' if self.fits else 'does NOT fit'}"
        ]
        lines += [f"  about {60 * self.hours:.0f} minutes ({self.gpus * self.hours:.1f} GPU-hours)"]
        return "\n".join(
            lines + ([] if self.fits else [f"  would fit: {way}" for way in self.ways()])
        )

    def ways(self) -> list[str]:
        """Single changes that would make it fit, the mildest first.

        If the list is empty, more than one change may be needed.
        """
        block = self.recipe.block or UNBLOCKED
        changes: dict[str, tuple[dict[str, Any], int]] = {
            "checkpointing=True": ({"checkpointing": True}, self.gpus),
            "per_device=1": ({"per_device": 1}, self.gpus),
            **{f"gpus={self.gpus * k}": ({}, self.gpus * k) for k in (2, 4, 8)},
            **{
                f"block={block // k:,}, if no row is longer": ({"block": block // k}, self.gpus)
                for k in (2, 4)
            },
            "weights='bfloat16' (coarser updates)": ({"weights": "bfloat16"}, self.gpus),
        }
        return [
            way
            for way, (change, gpus) in changes.items()
            if self.recipe.batch % gpus == 0
            and plan(replace(self.recipe, **change), gpus, self.memory_gb).fits
        ][:4]


def plan(
    recipe: str | Recipe,
    gpus: int = 1,
    memory_gb: float = 80.0,
    *,
    rows: int = 1000,
    model: Any = None,
) -> Plan:
    """Plan a recipe on several GPUs, fully sharded over them (FSDP2).

    Args:
        recipe: The recipe, or its name.
        gpus: Number of GPUs.
        memory_gb: Memory of each GPU, in GB.
        rows: Rows to train on, for the time.
        model: A transformers model or config to plan for. None takes the recipe's shape.

    Returns:
        The memory and time that the recipe needs, and whether it fits.

    Raises:
        ValueError: If there is less than one GPU, or more GPUs than can share a batch.

    Example:
        print(lab.sft.plan("s1-32b", gpus=16))
    """
    chosen = recipe_of(recipe)
    if gpus < 1:
        raise ValueError(f"gpus={gpus}: give at least one")
    chosen = replace(chosen, per_device=chosen.shared(gpus)[0])
    network = _skeleton(chosen, model)
    shape = _shape(network.config)
    if model is not None:
        # so that Plan.ways plans for this model, not for the recipe's
        chosen = replace(chosen, shape=shape)
    total = network.num_parameters()
    trained = (
        total if chosen.lora is None else _adapters(network, chosen.lora.rank, chosen.lora.modules)
    )
    keep, work = BYTES[chosen.weights], BYTES[chosen.dtype]
    # Trained weights are float32 for adapters (peft makes them so) and for shards (accelerate does
    # so under mixed precision).
    learned = 4 if chosen.lora or (gpus > 1 and chosen.dtype != "float32") else keep
    layer = sum(p.numel() for p in network.model.layers[0].parameters())
    ends = network.get_input_embeddings().weight.numel()
    gathered = 0.0 if gpus == 1 else work * (2 * layer + ends)
    flops = (8 if chosen.checkpointing else 6) * total * TOKENS_A_ROW * rows * chosen.epochs
    return Plan(
        chosen,
        gpus,
        memory_gb,
        total,
        trained,
        weights=(keep * (total if chosen.lora else 0) + learned * trained) / gpus / GB,
        gradients=learned * trained / gpus / GB,
        optimiser=2 * learned * trained / gpus / GB,
        gathered=gathered / GB,
        activations=_activations(shape, chosen, work) / GB,
        hours=flops / (H100_FLOPS * UTILISATION * gpus) / 3600,
    )


def _activations(shape: Shape, recipe: Recipe, work: int) -> float:
    """Count the bytes that rows of a whole block keep for the backward pass.

    They are each layer's inputs to its products, norms and gates. Attention is counted as flash
    attention keeps it, without its matrix; the loss as trl's fused head does, without all logits.
    """
    tokens = (recipe.block or UNBLOCKED) * recipe.per_device
    attention = 4 * shape.hidden + 2 * shape.hidden * shape.kv_heads // shape.heads
    # norms work in float32
    layer = work * (attention + 4 * shape.intermediate) + (4 + work) * 2 * shape.hidden
    edge = work * shape.hidden
    held = shape.layers * edge + layer if recipe.checkpointing else shape.layers * layer
    return float(tokens * (held + 4 * edge))


def _skeleton(recipe: Recipe, model: Any) -> Any:
    """Build the model without its weights: its tensors have sizes and no content."""
    import torch
    from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

    if isinstance(model, PreTrainedModel):
        return model
    config = _config(recipe) if model is None else model
    if not isinstance(config, PretrainedConfig):
        raise TypeError(
            f"model is a {type(model).__name__}: give a transformers model or its config"
        )
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, trust_remote_code=False)


def _config(recipe: Recipe) -> Any:
    from transformers import AutoConfig, Qwen2Config

    if recipe.shape is None:
        from s1lab.engines.model_files import reading, ready
        from s1lab.engines.model_names import gguf_of, locate, split

        if gguf_of(recipe.model) or split(recipe.model)[1] is not None:
            ready(recipe.model)
        with reading(recipe.model, "config.json"):
            return AutoConfig.from_pretrained(locate(recipe.model), trust_remote_code=False)
    s = recipe.shape
    return Qwen2Config(
        hidden_size=s.hidden, num_hidden_layers=s.layers, num_attention_heads=s.heads,
        num_key_value_heads=s.kv_heads, intermediate_size=s.intermediate, vocab_size=s.vocabulary,
        tie_word_embeddings=s.tied,
    )  # fmt: skip


def _shape(config: Any) -> Shape:
    return Shape(
        config.hidden_size, config.num_hidden_layers, config.num_attention_heads,
        config.num_key_value_heads, config.intermediate_size, config.vocab_size,
        config.tie_word_embeddings,
    )  # fmt: skip


def _adapters(network: Any, rank: int, modules: tuple[str, ...]) -> int:
    """Count the weights of low-rank adapters on these modules."""
    return sum(
        rank * sum(m.weight.shape)
        for name, m in network.named_modules()
        if name.rsplit(".", 1)[-1] in modules
    )
