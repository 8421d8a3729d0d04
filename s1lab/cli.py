"""The command line: what the library does, from a shell."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def s1lab() -> None:
    """Simple test-time scaling: ask a model under a thinking budget."""


@app.command()
def run(
    question: Annotated[str, typer.Argument(help="what to ask")],
    model: Annotated[str, typer.Option(help="s1-tiny, s1-tiny-base, a folder or a hub id")] = "s1-tiny",
    max_tokens: Annotated[int | None, typer.Option(help="cap: at most so many thinking tokens")] = None,
    min_tokens: Annotated[int, typer.Option(help="floor: at least so many thinking tokens")] = 0,
    waits: Annotated[int, typer.Option(help="how many stops to suppress")] = 0,
    wait: Annotated[str, typer.Option(help="the text appended for a suppressed stop")] = "Wait",
    temperature: Annotated[float, typer.Option(help="0 is greedy")] = 0.0,
    seed: Annotated[int, typer.Option(help="for a temperature above 0")] = 0,
    store: Annotated[Path | None, typer.Option(help="a file that keeps what was written")] = None,
) -> None:
    """Ask one question and print the trace, forced text in «guillemets».

    Example: s1lab run "How many r in raspberry" --waits 1
    """
    import s1lab as lab

    try:
        budget = lab.Budget(max_tokens, min_tokens, waits, wait)
        trace = lab.force(lab.load(model), question, budget, temperature=temperature, seed=seed, store=store)
    except (ValueError, OSError) as why:
        typer.echo(f"s1lab: {why}", err=True)
        raise typer.Exit(2) from None
    typer.echo(trace.show(color=sys.stdout.isatty()))
    if trace.error:
        raise typer.Exit(1)


@app.command()
def ladder(
    question: Annotated[str, typer.Argument(help="what to ask")],
    caps: Annotated[str, typer.Option(help="caps, rising, with commas between them")] = "16,32,64,128,256",
    waits: Annotated[str, typer.Option(help="numbers of Waits, likewise; 0 is the model's own stop")] = "0,1,2,4",
    model: Annotated[str, typer.Option(help="s1-tiny, s1-tiny-base, a folder or a hub id")] = "s1-tiny",
    wait: Annotated[str, typer.Option(help="the text appended for a suppressed stop")] = "Wait",
    temperature: Annotated[float, typer.Option(help="0 is greedy")] = 0.0,
    seed: Annotated[int, typer.Option(help="for a temperature above 0")] = 0,
    store: Annotated[Path | None, typer.Option(help="a file that keeps what was written")] = None,
) -> None:
    """Ask one question at many budgets from one thinking pass, and print each rung's answer.

    Example: s1lab ladder "How many r in raspberry" --caps 8,16,32 --waits 0,1
    """
    import s1lab as lab

    try:
        rungs = [_numbers("caps", caps), _numbers("waits", waits)]
        found = lab.ladder(
            lab.load(model), question, *rungs, budget=lab.Budget(wait=wait), temperature=temperature, seed=seed, store=store
        )
    except (ValueError, OSError) as why:
        typer.echo(f"s1lab: {why}", err=True)
        raise typer.Exit(2) from None
    typer.echo(found)
    typer.echo(f"{found.written} tokens written for all rungs, {found.alone} one by one")
    if found.error:
        raise typer.Exit(1)


def _numbers(name: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError(f"--{name} {text!r} is no list of whole numbers: give one such as 16,64,256") from None


@app.command()
def runs(store: Annotated[Path, typer.Argument(help="a store, as a call with store= writes it")]) -> None:
    """List the runs of a store."""
    import s1lab as lab

    try:
        table = lab.runs(store)
    except (ValueError, OSError) as why:
        typer.echo(f"s1lab: {why}", err=True)
        raise typer.Exit(2) from None
    shown = ["run", "started", "status", "call", "model", "engine", "finished", "questions", "completions", "tokens", "wall_s"]
    typer.echo(table[shown].to_string(index=False))


@app.command()
def diff(
    a: Annotated[Path, typer.Argument(help="a stored run: a file of Results.save, or a store: runs/x.db, or runs/x.db#3")],
    b: Annotated[Path, typer.Argument(help="another one")],
    most: Annotated[int, typer.Option(help="show at most so many traces that part")] = 10,
) -> None:
    """Compare two stored runs: which traces are the same, and where the others part."""
    import s1lab as lab

    try:
        typer.echo(lab.diff(a, b).show(most))
    except (ValueError, OSError) as why:
        typer.echo(f"s1lab: {why}", err=True)
        raise typer.Exit(2) from None


@app.command()
def bench(
    rows: Annotated[list[str] | None, typer.Argument(help="rows to run, all where none is named")] = None,
    repeats: Annotated[int, typer.Option(help="turns of each side, after one to warm up")] = 5,
    out: Annotated[Path, typer.Option(help="where the rows are written as JSON")] = Path("runs/bench.json"),
) -> None:
    """Time each kind of work against the way it would be done without s1lab, in turns, and print the ratios."""
    from s1lab import bench as benchmark

    try:
        measured = benchmark.bench(repeats, rows or ())
    except (ValueError, OSError, ImportError) as why:
        typer.echo(f"s1lab: {why}", err=True)
        raise typer.Exit(2) from None
    benchmark.write(measured, out)
    typer.echo(benchmark.table(measured))
    typer.echo(f"wrote {out}")
