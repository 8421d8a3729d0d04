r"""Fine-tuning on trl and accelerate by the paper's recipe (its appendix D).

It trains anything from the embedded model to 32B on a cluster:

    from s1lab import sft
    trained = sft.train("s1-tiny-base", rows, "tiny", out="runs/sft/tiny")
    print(sft.plan("s1-32b", gpus=16))

A recipe is data (`s1lab.sft.recipes`), and the trainer is trl's. From a shell, on one GPU, one
node or several nodes:

    python -m s1lab.sft --recipe tiny --data runs/tiny/s1-tiny-1k.rows.jsonl
    accelerate launch --config_file s1lab/sft/accelerate/node.yaml -m s1lab.sft \
        --recipe s1-32b --data s1K.parquet
"""

from typing import TYPE_CHECKING, Any

from s1lab.sft import formats
from s1lab.sft.encode import encode, template
from s1lab.sft.launch import launch
from s1lab.sft.memory import Plan, plan
from s1lab.sft.recipes import RECIPES, Lora, Recipe, Shape, recipe

if TYPE_CHECKING:
    from s1lab.sft.checkpoints import Trained
    from s1lab.sft.trainer import train


def __getattr__(name: str) -> Any:
    """Import ``train`` when it is first used: it needs trl, and a plan does not."""
    if name not in ("Trained", "train"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from s1lab.sft import trainer
    except ModuleNotFoundError as why:
        raise ImportError(
            f"fine-tuning needs {why.name}, which is not installed: pip install 's1lab[sft]'"
        ) from None
    return getattr(trainer, name)


__all__ = [
    "RECIPES", "Lora", "Plan", "Recipe", "Shape", "Trained", "encode", "formats", "launch", "plan",
    "recipe", "template", "train",
]  # fmt: skip
