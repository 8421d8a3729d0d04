"""``python -m s1lab.sft``: a recipe from a shell, alone or under ``accelerate launch`` and ``torchrun``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def main(
    recipe: Annotated[str, typer.Option(help="tiny, qwen-0.5b, qwen-7b-lora, s1-32b or s1.1-32b")] = "tiny",
    data: Annotated[Path | None, typer.Option(help="rows to train on: parquet or JSON lines")] = None,
    model: Annotated[str | None, typer.Option(help="what is trained, if not the recipe's model")] = None,
    out: Annotated[Path | None, typer.Option(help="folder for the model, its log and card [default: runs/sft/RECIPE]")] = None,
    epochs: Annotated[int | None, typer.Option(help="passes over the rows, if not the recipe's")] = None,
    block: Annotated[int | None, typer.Option(help="most tokens of a row, if not the recipe's")] = None,
    per_device: Annotated[int | None, typer.Option(help="rows a GPU takes at a time, if not the recipe's")] = None,
    cut: Annotated[bool, typer.Option(help="cut rows at the block instead of refusing them")] = False,
    gpus: Annotated[int, typer.Option(help="only say what the recipe needs on so many GPUs, and whether it fits")] = 0,
    memory: Annotated[float, typer.Option(help="memory of a GPU in GB, for --gpus")] = 80.0,
) -> None:
    """Fine-tune by a recipe, or plan it with --gpus."""
    from s1lab import sft
    from s1lab.curate import read

    try:
        changes = {"epochs": epochs, "block": block, "per_device": per_device}
        chosen = sft.recipe(recipe).but(**{name: value for name, value in changes.items() if value is not None})
        if gpus:
            typer.echo(sft.plan(chosen, gpus, memory))
            return
        if data is None:
            raise ValueError("there is nothing to train on: give --data, or --gpus for a plan")
        trained = sft.train(model or chosen.model, read(data, ()), chosen, out=out, cut=cut)
    except (ValueError, OSError, FloatingPointError, ImportError) as why:
        typer.echo(f"s1lab: {why}", err=True)
        raise typer.Exit(2) from None
    if int(os.environ.get("RANK", "0")):
        return  # one of several processes: the first one tells
    typer.echo(
        f"loss {trained.loss[0]:.3f} to {trained.loss[-1]:.3f} in {len(trained.log)} steps; the model is in {trained.path}"
    )


if __name__ == "__main__":
    typer.run(main)
