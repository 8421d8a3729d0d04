"""``make smol``: from nothing to s1-smol, measured and described.

It curates 1,000 traces, trains a LoRA adapter for SmolLM2 on them, and measures it on 500 questions
that were fixed before. Everything is seeded. If it is stopped, run the same command again to
resume.

``make smol ARGS=--compare`` also trains three models for comparison: one on traces that teach early
stops and "Wait", one on 250 chosen traces, and one on 1,000 random traces. With ``--seeds 3`` each
is trained three times. That takes hours.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from s1lab import sft
from s1lab.engines.adapter_files import BASE as BASE_FILE
from s1lab.engines.adapter_files import CONFIG, WEIGHTS
from s1lab.engines.folder_digest import digest_at
from s1lab.smol.record import RECORD
from s1lab.storage.files import write_whole
from tools.smol import BASE, FOLDER, RUNS, SEED
from tools.smol.card import card
from tools.smol.data import TAUGHT, TRACES, sets, steps_of
from tools.smol.measure import bars, measure, outcomes, own_stop

# The name of a model, by the set it is trained on. The first two ship with the package.
MODELS = {
    "chosen": "s1-smol", TAUGHT: "s1-smol-waits", "few": "250 chosen", "random": "1,000 at random",
}  # fmt: skip
SHIPPED = ("chosen", TAUGHT)


def train(name: str, seed: int = SEED, progress: bool = True) -> sft.Trained:
    """Train an adapter on a set, or return the finished run.

    The rows of the taught set are more and shorter. A batch of them has as many more rows, so that
    the steps and their tokens are those of the chosen set.

    Args:
        name: The name of the set.
        seed: Seed of the choice of traces and of their order.
        progress: Whether to show progress bars.

    Returns:
        The run.
    """
    rows = sets(seed, progress)[name]
    recipe = sft.recipe("smol").but(seed=seed)
    if name == TAUGHT:
        batch = 2 * round(recipe.batch * len(rows) / TRACES / 2)
        recipe = recipe.but(batch=batch, unlearned=sft.recipe("tiny").unlearned)
    return sft.train(BASE, rows, recipe, out=RUNS / f"trained-{name}-{seed}", progress=progress)


def rounded(trained: sft.Trained, folder: Path) -> Path:
    """Write the adapter of a run as bfloat16, without names of this machine.

    Args:
        trained: The run.
        folder: The folder of the adapter. It is made anew.

    Returns:
        The folder.
    """
    source = trained.path / "adapter"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    weights = {key: weight.bfloat16() for key, weight in load_file(source / WEIGHTS).items()}
    save_file(weights, folder / WEIGHTS, {"format": "pt"})
    settings = json.loads((source / CONFIG).read_text(encoding="utf-8"))
    settings["base_model_name_or_path"] = BASE
    settings["target_modules"].sort()  # peft writes them in any order
    write_whole(folder / CONFIG, [json.dumps(settings, indent=1, sort_keys=True).encode() + b"\n"])
    shutil.copyfile(source / BASE_FILE, folder / BASE_FILE)
    return folder


def make(name: str, seed: int = SEED) -> dict[str, Any]:
    """Train and measure one model, or return what the record has of it.

    Args:
        name: The name of the set.
        seed: Seed of the choice of traces and of their order.

    Returns:
        What the record has of it.
    """
    model = MODELS[name] if seed == SEED else f"{MODELS[name]}, seed {seed}"
    trained = train(name, seed)
    # The folder has the name of the model, which traces and stores show.
    adapter = rounded(trained, RUNS / f"adapter-{name}-{seed}" / model)
    digest = digest_at(str(adapter))
    known = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    if known.get(model, {}).get("adapter") == digest:
        found: dict[str, Any] = known[model]
    else:
        stores = RUNS / f"measured-{name}-{seed}-{digest[:8]}"
        ships = name in SHIPPED and seed == SEED
        rungs, engine = measure(BASE, stores, others=ships, adapter=str(adapter))
        kept = ("rows", "tokens", "steps", "seconds", "data", "recipe", "versions")
        found = {
            "adapter": digest,
            "rungs": rungs,
            "measured": engine | {"date": datetime.date.today().isoformat()},
            "trained": {key: trained.made[key] for key in kept}
            | {"cores": os.cpu_count(), "loss": [round(loss, 4) for loss in trained.loss]},
        }
        if name == "chosen":
            found["curation"] = json.loads(steps_of(seed).read_text(encoding="utf-8"))
            # The weights as they were trained, to say what bfloat16 costs.
            found["float32"] = outcomes(own_stop(str(trained.path), stores / "float32.db"))
        lines = json.dumps(known | {model: found}, separators=(",", ":")).encode()
        write_whole(RECORD, [lines + b"\n"])
    if name in SHIPPED and seed == SEED:
        ship(adapter, model)
    return found


def ship(adapter: Path, model: str) -> None:
    """Put a measured adapter and its card where the package has them."""
    shutil.rmtree(FOLDER / model, ignore_errors=True)
    shutil.copytree(adapter, FOLDER / model)
    write_whole(FOLDER / model / "README.md", [card(model).encode()])


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="make smol", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--compare", action="store_true", help="also train the models it is compared with"
    )
    parser.add_argument("--seeds", type=int, default=1, help="how many times each is trained")
    options = parser.parse_args(arguments)
    if not 1 <= options.seeds <= 100:
        parser.error(f"--seeds {options.seeds}: give 1 to 100")
    failed: list[str] = []
    for name in MODELS if options.compare else ("chosen",):
        for seed in range(SEED, SEED + options.seeds):
            held = bars(make(name, seed)["rungs"])
            print(f"{MODELS[name]}, seed {seed}")
            print(*(f"  {bar}: {kept['measured']:.1f}" for bar, kept in held.items()), sep="\n")
            if (name, seed) == ("chosen", SEED):
                failed = [bar for bar, kept in held.items() if not kept["holds"]]
    print(*[f"FAILS: {bar}" for bar in failed] or ["every target of s1-smol holds"], sep="\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
