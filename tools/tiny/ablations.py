"""``make ablations``: how the training data changes a model of the embedded world.

It repeats the paper's Table 2, and the cut rows of its Table 8. Each set is drawn and trained with
each seed by the recipe ``tiny``, and every model answers the same test questions. The results are
in ``s1lab/tiny/ablations.json``, one outcome for each question, so that any interval can be
computed from it. A run that exists is not repeated, unless the base model or the questions have
changed since.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from datasets import Dataset

from s1lab import curate
from s1lab.engines.fingerprint import fingerprint
from s1lab.evaluation.evaluate import sweep
from s1lab.loader import load
from s1lab.storage.files import write_whole
from s1lab.tiny.ablations import RECORD
from s1lab.tiny.pool import pool as whole_pool
from s1lab.tiny.world import BENCHMARK, BENCHMARK_SEED, benchmark

# The whole pool comes last, since it takes longest.
SETS = ("s1K", "1K-random", "1K-diverse", "1K-longest", "s1K, 74 % cut", "full")
SEEDS = (0, 1, 2)
ROWS = 1000
# One pass over the whole pool costs as much as ten runs on a thousand rows. The paper's cost 56
# times its thousand's.
FULL_EPOCHS = 1
CUT_SHARE = 0.74  # of the rows, as in the paper's Table 8 A
CAPS, WAITS = (64, 256), (0, 2)


def filtered() -> Dataset:
    """Return the embedded pool after the filters of notebook 01 that come before difficulty."""
    pool, _ = curate.quality(
        whole_pool(),
        [*curate.MISSING, *curate.FORMATTING, "repetition"],
        words=[4, 180],
        progress=False,
    )
    pool, _ = curate.decontaminate(pool, [benchmark()], 13)
    pool, _ = curate.deduplicate(pool, 13)
    return curate.count_tokens(pool, load("s1-tiny").template.tokenizer)


def harder(pool: Dataset, results: Path) -> Dataset:
    """Return the questions that neither embedded model solves at once, as in notebook 01."""
    results.mkdir(parents=True, exist_ok=True)
    store = results / "01_difficulty.db"
    return curate.difficulty(
        pool, ["s1-tiny-base", "s1-tiny"], prefix="Answer:", store=store, progress=True
    )[0]


def draw(name: str, pool: Dataset, seed: int) -> Dataset:
    """Draw a set of Table 2 with a seed.

    The longest and the full set are the same for each seed. "s1K" is drawn from the harder
    questions.
    """
    if name == "s1K":
        return curate.select(pool, ROWS, seed, long_tokens=400)[0]
    if name == "1K-random":
        return curate.random(pool, ROWS, seed)[0]
    if name == "1K-diverse":
        return curate.diverse(pool, ROWS, seed)[0]
    return curate.longest(pool, ROWS)[0] if name == "1K-longest" else curate.full(pool)[0]


def one(name: str, rows: Dataset, seed: int, out: Path) -> dict[str, Any]:
    """Train on one set with one seed, and ask the test questions."""
    from s1lab import sft

    chosen = sft.recipe("tiny").but(seed=seed, save_every=500)
    cut = False
    if name == "s1K, 74 % cut":
        lengths = sorted(
            map(len, sft.encode(rows, load(chosen.model).template, chosen)["input_ids"])
        )
        chosen, cut = chosen.but(block=lengths[round((1 - CUT_SHARE) * len(lengths)) - 1]), True
    if name == "full":
        chosen = chosen.but(epochs=FULL_EPOCHS)
    trained = sft.train(
        chosen.model,
        rows,
        chosen,
        out=out / f"{name.replace(' ', '-').replace(',', '')}-{seed}",
        cut=cut,
    )
    with load(str(trained.path)) as engine:
        rungs = sweep(engine, benchmark(), CAPS, WAITS, progress=False)
    return {
        "set": name,
        "seed": seed,
        "rows": len(rows),
        "tokens": trained.made["tokens"],
        "steps": trained.made["steps"],
        "block": chosen.block,
        "loss": round(sum(trained.loss[-15:]) / 15, 4),
        "seconds": trained.made["seconds"],
        "correct": {
            rung: "".join(str(int(c)) for c in found.correct) for rung, found in rungs.items()
        },
        "thinking_tokens": {rung: round(found.thinking_tokens, 1) for rung, found in rungs.items()},
    }


def kept(path: Path, made: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the existing runs that were made with the same base and the same questions."""
    if not path.exists():
        return []
    found = json.loads(path.read_text(encoding="utf-8"))
    runs: list[dict[str, Any]] = found["runs"]
    return runs if {name: found.get(name) for name in made} == made else []


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs/ablations"), help="folder for the models"
    )
    parser.add_argument("--write", type=Path, default=RECORD, help="where the outcomes go")
    options = parser.parse_args()
    made = {"base": fingerprint("s1-tiny-base"), "seed": BENCHMARK_SEED, "questions": BENCHMARK}
    runs = kept(options.write, made)
    there = {(run["set"], run["seed"]) for run in runs}
    missing = [(name, seed) for name in SETS for seed in SEEDS if (name, seed) not in there]
    pool = filtered() if missing else None
    hard = harder(pool, options.out) if any(name.startswith("s1K") for name, _ in missing) else None
    for name, seed in missing:
        began = time.time()
        drawn = name.partition(",")[0]
        runs.append(
            one(name, draw(drawn, hard if drawn == "s1K" else pool, seed), seed, options.out)
        )
        write_whole(options.write, [(json.dumps({**made, "runs": runs}, indent=1) + "\n").encode()])
        right = {
            rung: 100 * bits.count("1") / len(bits) for rung, bits in runs[-1]["correct"].items()
        }
        sys.stdout.write(f"{name}, seed {seed}: {right}, {time.time() - began:.0f} s\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
