"""``make exactness MODEL=...``: how many traces differ where, by rights, none should.

The promises of this package are proved in float32 on a CPU. On another machine a sum may come out
differently in its last bit, depending on what else is in the batch, on the engine, or on the
precision. Where two ids are almost equally likely, that bit decides, and the trace goes on from
another id. This tool counts such traces on the machine at hand.
"""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import typer

import s1lab as lab
from s1lab.cli import options, shell
from s1lab.evaluation.intervals import accuracy_interval
from s1lab.storage.files import write_whole
from s1lab.trace import Source

Written = list[list[int]]  # for each question, the ids behind its prompt
Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One loaded model: what must be the same for all traces that it writes.

    Attributes:
        model: As in `s1lab.load`.
        engine: "transformers" or "vllm".
        dtype: "float32" or "bfloat16".
        deterministic: Whether vLLM's batch-invariant mode is on.
    """

    model: str
    engine: str
    dtype: str
    deterministic: bool = False

    @property
    def name(self) -> str:
        return f"{self.engine} {self.dtype}{' deterministic' * self.deterministic}"


@dataclass(frozen=True)
class Work:
    """What each job writes: the questions, at most so many tokens each, and the batch sizes."""

    questions: tuple[str, ...]
    tokens: int
    batches: tuple[int, ...]
    temperature: float = 0.0


def write(job: Job, work: Work) -> tuple[dict[int, Written], dict[str, Any]]:
    """Load a model and write the traces once for each batch size.

    The caches of prefixes are off. Else a question would find keys and values there that another
    batch size has computed.

    Args:
        job: The model and how it is loaded.
        work: What is written.

    Returns:
        The ids by batch size, and a description of the engine.

    Raises:
        ValueError: The model can't be loaded so, or a question fails.
    """
    more: dict[str, Any] = {"keep_bytes": 0}
    if job.engine == "vllm":
        more = {"enable_prefix_caching": False, "deterministic": job.deterministic}
    budget = lab.Budget(max_tokens=work.tokens, answer_tokens=32)
    found: dict[int, Written] = {}
    with lab.load(job.model, engine=job.engine, dtype=job.dtype, **more) as engine:
        for batch in work.batches:
            found[batch] = []
            for at in range(0, len(work.questions), batch):
                asked = list(work.questions[at : at + batch])
                heat = work.temperature
                traces = lab.force(engine, asked, budget, temperature=heat, progress=False)
                if error := next((trace.error for trace in traces if trace.error), None):
                    raise ValueError(f"a question failed: {error}")
                found[batch] += [t.ids[t.source.count(Source.PROMPT) :] for t in traces]
        return found, lab.describe(engine)


def in_a_process(job: Job, work: Work) -> tuple[dict[int, Written], dict[str, Any]]:
    """Call `write` in a process of its own, so that each model has the machine to itself."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(write, job, work).result()


def compared(what: str, a: str, b: str, first: Written, second: Written) -> Row:
    """Compare two lists of traces.

    Args:
        what: What the two differ in.
        a: The first one's name.
        b: The second one's name.
        first: The first one's ids, question by question.
        second: The second one's ids.

    Returns:
        The row: how many differ, the percentage with its 95 % interval, and the place of the first
        id that differs, as the median over those that do.
    """
    places = []
    for ours, theirs in zip(first, second, strict=True):
        if ours != theirs:
            pairs = enumerate(zip(ours, theirs, strict=False))
            end = min(len(ours), len(theirs))
            places.append(next((at for at, (x, y) in pairs if x != y), end))
    share = accuracy_interval([len(places) > i for i in range(len(first))])
    return {
        "what": what, "a": a, "b": b, "differ": len(places), "of": len(first),
        "percent": round(share.value, 2),
        "interval": [round(share.low, 2), round(share.high, 2)],
        "first_at": statistics.median(places) if places else None,
    }  # fmt: skip


def exactness(
    model: str,
    work: Work,
    engines: Sequence[str] = ("transformers", "vllm"),
    writer: Callable[[Job, Work], tuple[dict[int, Written], dict[str, Any]]] = in_a_process,
) -> dict[str, Any]:
    """Measure how many traces differ between batch sizes, engines and precisions.

    Args:
        model: As in `s1lab.load`.
        work: What is written.
        engines: The engines to measure.
        writer: Writes a job's traces.

    Returns:
        The rows, what could not be measured and why, and what it was measured on.

    Raises:
        ValueError: There are no questions, or a batch size is below 1.
    """
    if not work.questions or not work.batches or min(work.batches) < 1:
        raise ValueError("give at least one question, and batch sizes of at least 1")
    jobs = [Job(model, engine, dtype) for engine in engines for dtype in ("float32", "bfloat16")]
    if "vllm" in engines:
        jobs += [Job(model, "vllm", dtype, True) for dtype in ("float32", "bfloat16")]
    found: dict[Job, dict[int, Written]] = {}
    described: dict[str, dict[str, Any]] = {}
    missing: dict[str, str] = {}
    for job in jobs:
        try:
            found[job], described[job.name] = writer(job, work)
        except (ValueError, ImportError, OSError, BrokenExecutor) as why:
            missing[job.name] = f"{why}"
    most = max(work.batches)
    rows = [
        compared("batch size", f"{job.name}, {batch} at once", f"{most} at once",
                 written[batch], written[most])
        for job, written in found.items() for batch in work.batches if batch != most
    ]  # fmt: skip
    for what, ours, theirs in [
        *(("engine", Job(model, engines[0], dtype), Job(model, other, dtype))
          for other in engines[1:] for dtype in ("float32", "bfloat16")),
        *(("precision", Job(model, engine, "float32"), Job(model, engine, "bfloat16"))
          for engine in engines),
    ]:  # fmt: skip
        if ours in found and theirs in found:
            pair = (found[ours][most], found[theirs][most])
            rows.append(compared(what, ours.name, theirs.name, *pair))
    return {
        "model": model,
        "machine": f"{platform.system()} {platform.machine()}",
        "questions": len(work.questions),
        "tokens": work.tokens,
        "temperature": work.temperature,
        "rows": rows,
        "missing": missing,
        "engines": described,
    }


def table(measured: dict[str, Any]) -> str:
    """Write what was measured as a table in Markdown."""
    lines = [
        f"{measured['model']}: {measured['questions']} questions, at most {measured['tokens']} "
        f"thinking tokens, temperature {measured['temperature']:g}",
        "",
        "| differs in | a | b | traces that differ | 95 % interval | first at token |",
        "| --- | --- | --- | --: | --: | --: |",
    ]
    for row in measured["rows"]:
        low, high = row["interval"]
        first = "" if row["first_at"] is None else f"{row['first_at']:g}"
        lines.append(
            f"| {row['what']} | {row['a']} | {row['b']} | {row['differ']} of {row['of']} "
            f"({row['percent']:g} %) | {low:g} to {high:g} % | {first} |"
        )
    if measured["missing"]:
        lines.append("")
    lines += [f"Not measured: {name}. {why}" for name, why in measured["missing"].items()]
    return "\n".join(lines)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def main(
    model: Annotated[str, typer.Argument(help="An embedded name, a folder or a hub id.")],
    questions: Annotated[int, typer.Option(min=1, help="How many questions.")] = 64,
    tokens: Annotated[int, typer.Option(min=1, help="The cap of the thinking.")] = 256,
    batches: Annotated[str, typer.Option(help="Batch sizes, as in 1,8,64.")] = "1,8,64",
    engine: Annotated[
        list[str] | None, typer.Option(help="An engine, once for each; both without it.")
    ] = None,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
    out: Annotated[Path, typer.Option(help="The table as JSON; beside it as Markdown.")] = Path(
        "runs/exactness.json"
    ),
    as_json: options.AsJson = False,
) -> None:
    """Count the traces that differ between batch sizes, engines and precisions on this machine.

    \b
    Example:
      python -m tools.exactness s1-tiny --engine transformers --questions 32
    """
    with shell.work():
        asked = tuple(lab.tiny.problems(questions, seed=47, split="dev")["question"])
        sizes = tuple(sorted(set(shell.numbers("--batches", batches))))
        work = Work(asked, tokens, sizes, temperature)
        measured = exactness(model, work, tuple(engine or ("transformers", "vllm")))
        write_whole(out, [(json.dumps(measured, indent=1) + "\n").encode()])
        write_whole(out.with_suffix(".md"), [(table(measured) + "\n").encode()])
    shell.tell(measured, f"{table(measured)}\n\nwrote {out}", as_json)


if __name__ == "__main__":
    app(prog_name="python -m tools.exactness")
