"""``make smol``: from nothing to s1-smol, measured and described.

It curates 1,000 traces, trains a LoRA adapter for SmolLM2 on them, and measures it on 500 questions
that were fixed before. Everything is seeded. If it is stopped, the same command goes on from there.

``make smol ARGS=--compare`` trains what s1-smol is compared with: on traces that teach early stops
and "Wait", on 250 chosen traces, and on 1,000 drawn at random. With ``--seeds 3`` each is trained
three times. That takes hours.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from s1lab import sft
from s1lab.engines.adapter_files import BASE as BASE_FILE
from s1lab.engines.adapter_files import CONFIG, WEIGHTS
from s1lab.smol.record import measured
from s1lab.storage.files import write_whole
from tools.smol import BASE, FOLDER, RUNS, SEED
from tools.smol.card import card
from tools.smol.data import TAUGHT, sets, steps_of
from tools.smol.measure import bars, measure, record

# The name of a model, by the set it is trained on. The first two ship with the package.
MODELS = {
    "chosen": "s1-smol", TAUGHT: "s1-smol-waits", "few": "250 chosen", "random": "1,000 at random",
}  # fmt: skip
SHIPPED = ("chosen", TAUGHT)


def train(name: str, seed: int = SEED, progress: bool = True) -> sft.Trained:
    """Train an adapter on a set, or return the finished run.

    Args:
        name: The name of the set.
        seed: Seed of the choice of traces and of their order.
        progress: Whether to show progress bars.

    Returns:
        The run.
    """
    recipe = sft.recipe("smol").but(seed=seed)
    if name == TAUGHT:
        recipe = recipe.but(unlearned=("Wait",))
    rows = sets(seed, progress)[name]
    return sft.train(BASE, rows, recipe, out=RUNS / f"trained-{name}-{seed}", progress=progress)


def ship(trained: sft.Trained, name: str) -> Path:
    """Write an adapter of a run where the package has it, as bfloat16.

    Args:
        trained: The run.
        name: The name of the model.

    Returns:
        The folder.
    """
    source, folder = trained.path / "adapter", FOLDER / name
    folder.mkdir(exist_ok=True)
    weights = {key: weight.bfloat16() for key, weight in load_file(source / WEIGHTS).items()}
    save_file(weights, folder / WEIGHTS, {"format": "pt"})
    settings = json.loads((source / CONFIG).read_text(encoding="utf-8"))
    settings["base_model_name_or_path"] = BASE
    write_whole(folder / CONFIG, [json.dumps(settings, indent=1, sort_keys=True).encode() + b"\n"])
    shutil.copyfile(source / BASE_FILE, folder / BASE_FILE)
    return folder


def made(name: str, seed: int = SEED) -> dict[str, Any]:
    """Train and measure one model, and write it into the record.

    Args:
        name: The name of the set.
        seed: Seed of the choice of traces and of their order.

    Returns:
        What the record has of it.
    """
    trained = train(name, seed)
    model = MODELS[name] if seed == SEED else f"{MODELS[name]}, seed {seed}"
    loads = str(trained.path)
    if name in SHIPPED and seed == SEED:
        ship(trained, model)
        loads = model
    found = measure(loads, f"{name}-{seed}", others=name in SHIPPED)
    kept = ("rows", "tokens", "steps", "seconds", "data", "versions")
    found["trained"] = {key: trained.made[key] for key in kept} | {
        "seed": seed,
        "loss": [round(loss, 4) for loss in trained.loss],
    }
    if name == "chosen":
        found["curation"] = json.loads(steps_of(seed).read_text(encoding="utf-8"))
    record(model, found)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="make smol", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--compare", action="store_true", help="train what s1-smol is compared with too"
    )
    parser.add_argument("--seeds", type=int, default=1, help="how many times each is trained")
    options = parser.parse_args(arguments)
    if not 1 <= options.seeds <= 100:
        parser.error(f"--seeds {options.seeds}: give 1 to 100")
    for name in MODELS if options.compare else ("chosen",):
        for seed in range(SEED, SEED + options.seeds):
            found = made(name, seed)
            print(
                MODELS[name], {bar: kept["measured"] for bar, kept in bars(found["rungs"]).items()}
            )
    for name in SHIPPED:
        if (FOLDER / MODELS[name]).is_dir():
            write_whole(FOLDER / MODELS[name] / "README.md", [card(MODELS[name]).encode()])
    failed = [
        bar for bar, kept in bars(measured()["s1-smol"]["rungs"]).items() if not kept["holds"]
    ]
    print(*(f"FAILS: {bar}" for bar in failed) if failed else ["every bar holds"], sep="\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
