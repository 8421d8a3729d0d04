"""``make variants``: train the embedded models for conditional control, one for each format.

Each is trained by the recipe ``tiny`` from the same base on the same 1,000 traces, in its format
(`s1lab.sft.formats`). The teacher's patience, 7 lines for ``s1-tiny``, is drawn for each
trace, so that a length can be asked for. Nothing goes on after a stop. The weights ship as float16
and are loaded as float32. All figures (``variants.json``, the cards) were measured on the shipped
weights.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from datasets import Dataset
from safetensors.torch import load_file
from safetensors.torch import save as serialized

from s1lab import sft
from s1lab.budget import Budget
from s1lab.engine import Engine
from s1lab.engines.description import describe
from s1lab.engines.model_files import load_tokenizer
from s1lab.engines.model_names import locate
from s1lab.engines.transformers import TransformersEngine
from s1lab.evaluation.evaluate import Results
from s1lab.methods import conditional as control
from s1lab.tiny.teacher import patient
from s1lab.tiny.world import BENCHMARK_SEED, problems, stream
from s1lab.tokenization.bound_template import BoundTemplate, bind
from tools.tiny import FOLDER
from tools.tiny.card import variant_card
from tools.tiny.make import SEED, TRACES

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
PATIENCE = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)  # lines
RECIPE = sft.RECIPES["tiny"].but(seed=SEED, save_every=500)
QUESTIONS = 200  # the first of the benchmark
# limit while measuring: ten times the usual length, so that an endless trace ends
CAP = Budget(max_tokens=1024)
# The requests of the measurement. The paper asks for five numbers of tokens and of steps, and for
# two classes.
ASKED: dict[str, tuple[Any, ...]] = {
    "tcc": (16, 32, 64, 128, 256),
    "scc": (2, 4, 8, 16, 32),
    "ccc": ("short", None, "long"),
}


def traces() -> Dataset:
    """Make 1,000 training questions with traces, every family and size alike.

    The patience of each trace is drawn.
    """
    rng = random.Random(f"variants {SEED}")
    rows = []
    for problem in itertools.islice(stream(SEED + 2000, "train"), TRACES):
        thinking, attempt = patient(problem, rng.choice(PATIENCE))
        rows.append({"question": problem.question, "thinking": thinking, "attempt": attempt})
    return Dataset.from_list(rows)


def rows_of(kind: str, chosen: Dataset, template: BoundTemplate) -> Dataset:
    """Return the same traces in the format "tcc", "scc" or "ccc". A step is a line."""
    if kind == "scc":
        return sft.formats.step_conditional(chosen, template, separator="\n", rows=RECIPE.rows)
    made = sft.formats.token_conditional if kind == "tcc" else sft.formats.class_conditional
    return made(chosen, template, rows=RECIPE.rows)


def train(kind: str, chosen: Dataset, out: Path) -> dict[str, Any]:
    """Train one into ``out`` / s1-tiny-KIND.

    Args:
        kind: "tcc", "scc" or "ccc".
        chosen: The traces.
        out: The folder.

    Returns:
        The record of the training.
    """
    tokenizer = load_tokenizer("s1-tiny-base")
    rows = rows_of(kind, chosen, bind("s1", tokenizer, {tokenizer.eos_token_id}))
    folder = out / f"s1-tiny-{kind}"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        tuned = sft.train("s1-tiny-base", rows, RECIPE, out=Path(scratch) / "run")
        weights = load_file(tuned.path / "model.safetensors")
        # the file says float32, since the weights are to be loaded so
        copied = [tuned.path / "config.json"]
        copied += [
            Path(locate("s1-tiny-base")) / name for name in ("generation_config.json", *TOKENIZER)
        ]
        for path in copied:
            (folder / path.name).write_bytes(path.read_bytes())
    half = {name: weight.half() for name, weight in weights.items()}
    (folder / "model.safetensors").write_bytes(serialized(half, {"format": "pt"}))
    kept = ("rows", "tokens", "steps", "data", "seconds")
    return {name: tuned.made[name] for name in kept} | {
        "loss": round(sum(tuned.loss[-15:]) / 15, 4)
    }


def measure(kind: str, engine: Engine, asked: Dataset) -> list[dict[str, Any]]:
    """Measure each request, with nothing forced below ``CAP``.

    Args:
        kind: "tcc", "scc" or "ccc".
        engine: The engine of the model.
        asked: The questions.

    Returns:
        A row for each request: accuracy, mean thinking tokens, outcomes, and the number of steps.
    """
    questions = list(asked["question"])
    found = []
    for much in ASKED[kind]:
        if kind == "tcc":
            traces = control.token_conditional(engine, questions, much, CAP, progress=False)
        elif kind == "scc":
            traces = control.step_conditional(engine, questions, much, CAP, progress=False)
        else:
            traces = control.class_conditional(engine, questions, much, CAP, progress=False)
        assert isinstance(traces, list)
        result = Results.of(asked, traces)
        row = {
            "asked": much,
            "accuracy": result.accuracy,
            "thinking_tokens": round(result.thinking_tokens, 1),
        }
        for name in ("steps", "delimiter_tokens") if kind == "scc" else ():
            row[name] = round(sum(t.counts[name] for t in traces) / len(traces), 1)
        found.append(row | {"correct": "".join(str(int(c)) for c in result.correct)})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, default=FOLDER, help="folder for the models and variants.json"
    )
    parser.add_argument(
        "--kinds", nargs="+", default=list(ASKED), choices=list(ASKED), help="which to train"
    )
    parser.add_argument(
        "--measure", action="store_true", help="train nothing: measure the models in --out again"
    )
    parser.add_argument(
        "--split",
        default="test",
        choices=["dev", "test"],
        help="which questions they are measured on",
    )
    options = parser.parse_args()
    record = options.out / "variants.json"
    made: dict[str, Any] = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    chosen = None if options.measure else traces()
    asked = problems(QUESTIONS, BENCHMARK_SEED, options.split)
    for kind in options.kinds:
        trained = made[kind]["trained"] if chosen is None else train(kind, chosen, options.out)
        with TransformersEngine(str(options.out / f"s1-tiny-{kind}"), device="cpu") as engine:
            name = f"s1-tiny-{kind}"
            about = {
                **describe(engine),
                "model": name,
                "tokenizer": name,
                "questions": len(asked),
                "seed": BENCHMARK_SEED,
            }
            made[kind] = {
                "trained": trained,
                "measured": {**about, "split": options.split, "runs": measure(kind, engine, asked)},
            }
        record.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
        (options.out / f"s1-tiny-{kind}" / "README.md").write_text(
            variant_card(kind, made[kind]), encoding="utf-8"
        )
        for row in made[kind]["measured"]["runs"]:
            shown = {name: value for name, value in row.items() if name != "correct"}
            sys.stdout.write(f"s1-tiny-{kind} {shown}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
