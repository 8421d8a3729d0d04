"""``make plan PROFILE=...``: estimate the cost of a profile before a download or a GPU hour.

The estimate covers tokens, memory, time and price.

Tokens come from `tools.estimates`. Time comes from the profile's ``tokens_per_second``, which is an
assumption until it is measured. ``measure`` measures it with an engine.
"""

from __future__ import annotations

import ast
import json
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from s1lab.cli import options
from s1lab.cli.shell import tell, work
from s1lab.engine import Engine
from s1lab.sft.memory import BYTES, GB, QUANTIZED
from s1lab.sft.memory import plan as plan_sft
from s1lab.sft.recipes import QWEN_05B, QWEN_7B, QWEN_32B, Shape
from tools import ROOT
from tools.estimates import ESTIMATES, recipe_of
from tools.profiles import Profile, read_profile

FINE_PRINT = (
    "an estimate: tokens from measured averages, time from the speed above. Prompts, loading "
    "models, and batches that few questions do not fill come on top; where notebooks run side by "
    "side the whole ends sooner"
)
USABLE = 0.9  # share of a GPU's memory, vLLM's own default


@dataclass(frozen=True)
class Step:
    """One notebook of a plan.

    Attributes:
        notebook: Its name.
        what: What it does.
        tokens: Tokens that models write for it.
        hours: Hours of the whole machine; None if no speed is given.
    """

    notebook: str
    what: str
    tokens: float
    hours: float | None


@dataclass(frozen=True)
class Plan:
    """The cost of a profile.

    Attributes:
        profile: The profile.
        steps: Its notebooks.
        memory: What a GPU holds, in sentences.
    """

    profile: Profile
    steps: list[Step]
    memory: list[str]

    @property
    def tokens(self) -> float:
        """Tokens of all notebooks."""
        return sum(step.tokens for step in self.steps)

    @property
    def hours(self) -> float | None:
        """Hours of the machine; None if no speed is given."""
        known = [step.hours for step in self.steps]
        return None if None in known else sum(h for h in known if h is not None)

    @property
    def price(self) -> float | None:
        """The price in US dollars, for all GPUs together."""
        return (
            None
            if self.hours is None
            else self.hours * self.profile.machine.gpus * self.profile.machine.price
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as plain data: profile, machine, memory, steps, tokens, hours, price."""
        steps = [vars(step) for step in self.steps]
        return {
            "profile": self.profile.name,
            "machine": vars(self.profile.machine),
            "memory": self.memory,
            "steps": steps,
            "tokens": self.tokens,
            "hours": self.hours,
            "price": self.price,
        }

    def __str__(self) -> str:
        machine = self.profile.machine
        where, speed = "no GPU", "speed not given"
        if machine.gpus:
            where = f"{machine.gpus} x {machine.gpu or 'GPU'} of {machine.memory_gb:.0f} GB"
            where += f", {machine.price:.2f} $ a GPU-hour (assumed)"
        if machine.tokens_per_second:
            speed = f"{machine.tokens_per_second:,.0f} tokens a second in full batches"
        wide = max(len(step.what) for step in self.steps)
        lines = [f"{self.profile.name}: {where}; {speed}", *self.memory, ""]
        priced = "price, $" if machine.gpus else ""
        lines.append(
            f"{'notebook':<20}{'what':<{wide + 2}}{'tokens':>10}{'time':>10}{priced:>10}".rstrip()
        )
        for step in (*self.steps, Step("in all", "", self.tokens, self.hours)):
            price = (
                ""
                if step.hours is None or not machine.gpus
                else f"{step.hours * machine.gpus * machine.price:,.2f}"
            )
            numbers = f"{_short(step.tokens):>10}{_time(step.hours):>10}{price:>10}"
            lines.append(f"{step.notebook:<20}{step.what:<{wide + 2}}{numbers}".rstrip())
        if left := sorted(set(ESTIMATES) - {step.notebook for step in self.steps}):
            lines.append(f"not in this profile: {', '.join(left)}")
        return "\n".join([*lines, "", FINE_PRINT])


def _short(tokens: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "K")):
        if tokens >= size:
            return f"{tokens / size:.1f} {letter}"
    return f"{tokens:.0f}"


def _time(hours: float | None) -> str:
    if hours is None:
        return "?"
    return (
        f"{hours:.1f} h"
        if hours >= 1
        else f"{60 * hours:.1f} min"
        if hours >= 1 / 60
        else f"{3600 * hours:.0f} s"
    )


def plan(profile: str | Profile, engine: Engine | None = None, root: Path = ROOT) -> Plan:
    """Estimate the cost of a profile before it is run. Nothing is downloaded.

    Args:
        profile: The profile, or its name.
        engine: Measure the speed with it first (`measure`), in place of the profile's
            assumption.
        root: Folder of the repository.

    Returns:
        The plan.

    Raises:
        ValueError: As in `tools.profiles.read_profile`, and if the engine has another model
            than the profile.

    Example:
        print(plan("s1-32b"))
    """
    chosen = read_profile(profile, root) if isinstance(profile, str) else profile
    if engine is not None:
        if others := [
            model
            for model, *_ in _models(chosen)
            if model != engine.model and not model.startswith("s1-tiny")
        ]:
            raise ValueError(
                f"the profile {chosen.name} runs {others[0]}, and the speed of {engine.model} is "
                "another"
            )
        chosen = replace(chosen, machine=replace(chosen.machine, tokens_per_second=measure(engine)))
    speed = chosen.machine.tokens_per_second
    steps = []
    for notebook, given in chosen.notebooks.items():
        parameters = _defaults(root / "notebooks" / f"{notebook}.ipynb") | given
        estimate = ESTIMATES.get(notebook, lambda *_: ("not known", 0.0, None))
        what, tokens, training = estimate(parameters, chosen)
        writing = tokens / speed / 3600 if speed else None
        hours = None if writing is None or training is None else writing + training
        steps.append(Step(notebook, what, tokens, hours))
    return Plan(chosen, steps, _memory(chosen))


def measure(engine: Engine, questions: int = 64, seed: int = 7) -> float:
    """Measure the tokens per second that an engine writes here.

    Args:
        engine: The engine.
        questions: Questions of the embedded world, asked all at once.
        seed: Seed of the questions.

    Returns:
        Tokens per second.
    """
    from s1lab.api import force
    from s1lab.budget import Budget
    from s1lab.tiny import problems

    asked = list(problems(questions, seed=seed)["question"])
    force(engine, asked[:4], Budget(max_tokens=16), progress=False)  # the first call warms up
    began = time.perf_counter()
    traces = force(engine, asked, Budget(max_tokens=256, waits=2), progress=False)
    written: int = sum(trace.sampled_tokens for trace in traces)
    return written / (time.perf_counter() - began)


def _defaults(notebook: Path) -> dict[str, Any]:
    """Return a notebook's own parameters. It is read, not run."""
    import papermill

    return {
        name: ast.literal_eval(p["default"])
        for name, p in papermill.inspect_notebook(str(notebook)).items()
    }


def shape_of(model: str) -> Shape | None:
    """Return the sizes of a Qwen2 model.

    They come from its files if they are at hand, or from the size in its name. None if neither is
    there.
    """
    from s1lab.engines.model_names import EMBEDDED as NAMES
    from s1lab.engines.model_names import locate

    folder = Path(locate(model) if model in NAMES else model)
    if (folder / "config.json").is_file():
        c = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        names = (
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "num_key_value_heads",
            "intermediate_size",
            "vocab_size",
        )
        if any(name not in c for name in names):
            return None
        hidden, layers, heads, kv_heads, intermediate, vocabulary = (int(c[name]) for name in names)
        return Shape(
            hidden,
            layers,
            heads,
            kv_heads,
            intermediate,
            vocabulary,
            bool(c.get("tie_word_embeddings", False)),
        )
    size = re.search(r"(?<![\d.])(0\.5|7|32)[bB](?![a-z])", model)
    return {"0.5": QWEN_05B, "7": QWEN_7B, "32": QWEN_32B}[size[1]] if size else None


def parameters_of(shape: Shape) -> int:
    """Count the weights of a Qwen2 model of these sizes."""
    kv = shape.hidden * shape.kv_heads // shape.heads
    attention = 2 * shape.hidden * shape.hidden + 2 * shape.hidden * kv + shape.hidden + 2 * kv
    layer = attention + 3 * shape.hidden * shape.intermediate + 2 * shape.hidden
    return shape.layers * layer + shape.hidden * (1 + shape.vocabulary * (1 if shape.tied else 2))


def _models(profile: Profile) -> list[tuple[str, int, dict[str, Any]]]:
    """Return the models that a profile loads on its own machine, each once.

    Each comes with the number of GPUs it is spread over, and its options.
    """
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for given in profile.notebooks.values():
        options = given.get("engine_options", {})
        spread = 1
        for name in ("tensor_parallel_size", "pipeline_parallel_size"):
            size = options.get(name, 1)
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise ValueError(
                    f"the profile {profile.name}: {name} is {size!r}: give a whole number from 1"
                )
            spread *= size
        for model in [given[k] for k in ("base", "model", "label_with") if given.get(k)] + list(
            given.get("models", [])
        ):
            # a server's, or one that the profile trains itself
            if not model.startswith("http") and "02_sft-" not in model:
                found.setdefault((model, spread), options)
    return [(model, spread, options) for (model, spread), options in found.items()]


def _memory(profile: Profile) -> list[str]:
    """Write a sentence for each model loaded here, and one for the training.

    The models of a server are not counted.
    """
    machine = profile.machine
    lines = [
        _holds(model, spread, options, machine.gpus, machine.memory_gb)
        for model, spread, options in _models(profile)
    ]
    if "02_sft" in profile.notebooks and machine.gpus:
        training = plan_sft(
            recipe_of(profile.notebooks["02_sft"], profile), machine.gpus, machine.memory_gb
        )
        fits = (
            "fits"
            if training.fits
            else f"does NOT fit: {'; '.join(training.ways()) or 'take more GPUs'}"
        )
        needed = f"{training.total:.1f} of {machine.memory_gb:.0f} GB a GPU on {training.gpus}"
        lines.append(f"training {training.recipe.name}: {needed}, {fits}")
    return lines


def _holds(model: str, spread: int, options: dict[str, Any], gpus: int, memory_gb: float) -> str:
    shape = shape_of(model)
    if shape is None:
        return (
            f"{model}: its size is in neither its name nor a file here, so its memory is not known"
        )
    width = BYTES.get(options.get("dtype", "auto" if gpus else "float32"), 2)
    weights = (
        parameters_of(shape) * QUANTIZED.get(str(options.get("quantization")), width) / spread / GB
    )
    token = 2 * shape.layers * shape.kv_heads * (shape.hidden // shape.heads) * width / spread
    if not gpus:
        return f"{model}: {1000 * weights:.1f} MB of weights"
    left = USABLE * memory_gb - weights
    says = f"{model}: {weights:.1f} GB of weights on each of {spread}"
    if left <= 0:
        return (
            f"{says}, which does NOT fit into {memory_gb:.0f} GB: more GPUs "
            "(tensor_parallel_size), bfloat16, or quantization"
        )
    return f"{says}, {left:.0f} GB left for {left * GB / token:,.0f} tokens of keys and values"


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def main(
    profile: Annotated[
        str, typer.Argument(help="A name from notebooks/profiles, or a .yaml file.")
    ] = "tiny",
    measured: Annotated[
        bool,
        typer.Option(
            "--measure", help="Take the speed of the embedded model here, for a profile of it."
        ),
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Estimate a profile: tokens, memory, time and price.

    Nothing is downloaded and no model is asked. Only --measure takes some seconds to measure how
    fast this machine is.

    \b
    Example:
      python -m tools.plan s1-32b
    """
    with work():
        if measured:
            from s1lab.loader import load

            with load("s1-tiny") as engine:
                found = plan(profile, engine)
        else:
            found = plan(profile)
    tell(found.as_dict(), str(found), as_json)


if __name__ == "__main__":
    app(prog_name="python -m tools.plan")
