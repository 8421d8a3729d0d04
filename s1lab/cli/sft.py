"""``s1lab sft``, and ``python -m s1lab.sft`` under a launcher: fine-tune by a recipe or plan it."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from s1lab.cli import options as given
from s1lab.cli.shell import tell, told_by_terminal, work
from s1lab.storage.files import local


def sft(
    recipe: Annotated[
        str, typer.Option(help="tiny, qwen-0.5b, qwen-7b-lora, s1-32b or s1.1-32b.")
    ] = "tiny",
    data: Annotated[
        Path | None, typer.Option(help="Rows to train on: parquet, JSON lines or CSV.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="What is trained, if not the recipe's model.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the model, its log and card. [default: runs/sft/RECIPE]"),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the rows, if not the recipe's.")
    ] = None,
    block: Annotated[
        int | None, typer.Option(help="Most tokens of a row, if not the recipe's.")
    ] = None,
    per_device: Annotated[
        int | None, typer.Option(help="Rows a GPU takes at a time, if not the recipe's.")
    ] = None,
    cut: Annotated[
        bool, typer.Option("--cut", help="Cut rows at the block instead of refusing them.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what the recipe needs, and whether it fits.")
    ] = False,
    gpus: Annotated[
        int | None, typer.Option(help="Plan for so many GPUs; implies --plan. [default: 1]")
    ] = None,
    memory: Annotated[float, typer.Option(help="Memory of a GPU in GB, for a plan.")] = 80.0,
    as_json: given.AsJson = False,
) -> None:
    """Fine-tune by a recipe, or plan it with --plan.

    For several GPUs, launch python -m s1lab.sft with the same options.

    \b
    Example:
      s1lab curate --pool-size 2000 --chosen 40 --out runs/forty.jsonl
      s1lab sft --recipe tiny --data runs/forty.jsonl --epochs 1 \\
          --out runs/sft/forty
      s1lab sft --plan --recipe s1-32b --gpus 16
    """
    folder = local(out) if out else Path(f"runs/sft/{recipe}")
    kept = (
        f"the same command goes on from the last whole checkpoint in {folder}, or from the start "
        "where there is none"
    )
    planning = plan or gpus is not None
    with work("nothing was begun" if planning else kept):
        if not planning:  # checked before trl is imported, which takes seconds in each process
            if model is not None:
                given.check_model(model)
            if data is None:
                raise ValueError("there is nothing to train on: give --data, or --plan for a plan")
            if not data.exists():
                raise FileNotFoundError(f"--data {data}: there is no such file: name the rows")
        from s1lab import sft as tuning

        changes = {"epochs": epochs, "block": block, "per_device": per_device}
        chosen = tuning.recipe(recipe).but(
            **{name: value for name, value in changes.items() if value is not None}
        )
        facts: dict[str, Any]
        if planning:
            planned = tuning.plan(chosen, 1 if gpus is None else gpus, memory)
            facts = asdict(planned) | {"total": planned.total, "fits": planned.fits}
            facts |= {"would_fit": [] if planned.fits else planned.ways()}
            text = str(planned)
        else:
            from s1lab.curate import read

            assert data is not None
            trained = tuning.train(
                model or chosen.model,
                read(data, ()),
                chosen,
                out=out,
                cut=cut,
                progress=told_by_terminal(),
            )
            facts = {
                "path": str(trained.path),
                "steps": len(trained.log),
                "loss": trained.loss,
                "made": trained.made,
            }
            text = (
                f"loss {trained.loss[0]:.3f} to {trained.loss[-1]:.3f} in {len(trained.log)} "
                "steps; "
            )
            text += f"the model is in {trained.path}"
    if int(os.environ.get("RANK", "0")) == 0:  # of several processes only the first one prints
        tell(facts, text, as_json)
