"""Fine-tuning in processes of its own, one a GPU, started from a notebook or a script."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from s1lab.sft.recipes import Recipe
from s1lab.sft.recipes import recipe as recipe_of

CONFIGS = Path(__file__).parent / "accelerate"
PASSED = ("epochs", "block", "per_device")  # the fields of a recipe that the command line can change


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
    """``accelerate launch -m s1lab.sft`` and its end: the folder with the model, which :func:`s1lab.sft.train` then finds done.

    config: a file of ``s1lab/sft/accelerate`` by its name: "cpu" (two processes), "gpu", "node" or "nodes"; nothing else is run.
    model, data: what is trained, and a file of rows on a disk that every process sees.
    first, rank, port: of "nodes": the first node's address, this one's number from 0, and a port that is free on the first. The
        same call is made on each; it returns when all have ended.
    The same call goes on from the last whole checkpoint. ValueError for another config, or a recipe with changes that the
    command line does not know; RuntimeError, with the last line that was said, where it fails.
    """
    path = CONFIGS / f"{config}.yaml"
    if config not in (known := sorted(p.stem for p in CONFIGS.glob("*.yaml"))):
        raise ValueError(f"no configuration is called {config!r}: choose from {known}")
    chosen = recipe_of(recipe)
    named = recipe_of(chosen.name)
    changes = {name: getattr(chosen, name) for name in PASSED if getattr(chosen, name) != getattr(named, name)}
    if named.but(**changes) != chosen:
        raise ValueError(f"of a recipe only {', '.join(PASSED)} can be changed here: for the rest, add a recipe to RECIPES")
    if (config == "nodes") != bool(first):
        raise ValueError(f"{config!r} {'wants' if config == 'nodes' else 'takes no'} first=, the address of the first node")
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(path)]
    if first:
        command += ["--main_process_ip", first, "--main_process_port", str(port), "--machine_rank", str(rank)]
    command += ["-m", "s1lab.sft"]
    options = {"recipe": chosen.name, "model": model, "data": str(data), "out": str(out), **changes}
    command += [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        said = [line for line in (ran.stderr + ran.stdout).splitlines() if line.startswith("s1lab: ")] or ran.stderr.splitlines()
        raise RuntimeError(f"the training under {path.name} ended with code {ran.returncode}: {said[-1] if said else ''}")
    return Path(out)
