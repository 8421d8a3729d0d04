"""Fine-tuning in separate processes, one for each GPU, started from a notebook or a script."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from s1lab.engines.model_names import locate
from s1lab.sft.recipes import Recipe
from s1lab.sft.recipes import recipe as recipe_of
from s1lab.storage.files import local

CONFIGS = Path(__file__).parent / "accelerate"
PASSED = ("epochs", "block", "per_device")  # fields of a recipe that the command line can change


def launch(
    config: str,
    model: str,
    data: str | Path,
    recipe: str | Recipe,
    *,
    out: str | Path,
    first: str = "",
    rank: int = 0,
    port: int = 29500,
) -> Path:
    """Run ``accelerate launch -m s1lab.sft`` and wait until it ends.

    The same call resumes from the last whole checkpoint. For "nodes" the same call is made on each
    node, and it returns when all have ended.

    Args:
        config: Name of a file of ``s1lab/sft/accelerate``: "cpu" (two processes), "gpu", "node" or
            "nodes". Nothing else is run.
        model: The model to train.
        data: A file of rows, on a disk that every process sees.
        recipe: The recipe, or its name.
        out: The folder for the model.
        first: For "nodes": address of the first node.
        rank: For "nodes": number of this node, from 0.
        port: For "nodes": a port that is free on the first node.

    Returns:
        The folder with the model. `s1lab.sft.train` then finds the run finished.

    Raises:
        ValueError: If the config is unknown, or the recipe has changes that the command line does
            not know.
        FileNotFoundError: If the rows or the model are not there. Nothing has been started.
        RuntimeError: If the command fails. The error gives the last line of its output.

    Example:
        lab.sft.launch("cpu", "s1-tiny-base", "runs/rows.jsonl", "tiny", out="runs/sft/tiny")
    """
    path = CONFIGS / f"{config}.yaml"
    if config not in (known := sorted(p.stem for p in CONFIGS.glob("*.yaml"))):
        raise ValueError(f"no configuration is called {config!r}: choose from {known}")
    chosen = recipe_of(recipe)
    named = recipe_of(chosen.name)
    changes = {
        name: getattr(chosen, name)
        for name in PASSED
        if getattr(chosen, name) != getattr(named, name)
    }
    if named.but(**changes) != chosen:
        raise ValueError(
            f"of a recipe only {', '.join(PASSED)} can be changed here: for the rest, add a recipe "
            "to RECIPES"
        )
    if (config == "nodes") != bool(first):
        raise ValueError(
            f"{config!r} {'wants' if config == 'nodes' else 'takes no'} first=, the address of the "
            "first node"
        )
    # Checked here: otherwise every process would first import trl, and then say so.
    if not Path(data).expanduser().exists():
        raise FileNotFoundError(f"there are no rows at {data}: give the file of rows to train on")
    locate(model)
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(path)]
    if first:
        command += [
            "--main_process_ip",
            first,
            "--main_process_port",
            str(port),
            "--machine_rank",
            str(rank),
        ]
    command += ["-m", "s1lab.sft"]
    options = {
        "recipe": chosen.name,
        "model": model,
        "data": str(local(data)),
        "out": str(local(out)),
        **changes,
    }
    command += [
        word
        for name, value in options.items()
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        said = [
            line for line in (ran.stderr + ran.stdout).splitlines() if line.startswith("s1lab: ")
        ] or ran.stderr.splitlines()
        raise RuntimeError(
            f"the training under {path.name} ended with code {ran.returncode}: "
            f"{said[-1] if said else ''}"
        )
    return local(out)
