"""``s1lab bench``: speed, each row against the way it would be done without s1lab."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from s1lab.cli import options as given
from s1lab.cli.shell import tell, told_by_terminal, work


def bench(
    rows: Annotated[list[str] | None, typer.Argument(help="Rows to run, all where none is named.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Turns of each side, after one to warm up.")] = 5,
    out: Annotated[Path, typer.Option(help="Where the rows are written as JSON.")] = Path("runs/bench.json"),
    as_json: given.AsJson = False,
) -> None:
    """Time each kind of work against its rival.

    The rival is the way it would be done without s1lab; both take turns, and the ratios are printed. Rows that are named
    "force-" and "ladder-" need vLLM, "sft-" needs trl.

    \b
    Example:
      s1lab bench transformers-vs-generate --repeats 3
    """
    from tools import bench as benchmark

    written: list[str] = []

    def keep(row: benchmark.Row) -> None:
        benchmark.write([row], out)
        written.append(row["name"])

    def kept() -> str:
        return f"{', '.join(written)} {'stands' if len(written) == 1 else 'stand'} in {out}" if written else "no row was finished"

    with work(kept):
        measured = benchmark.bench(repeats, rows or (), done=keep, progress=told_by_terminal())
        facts = {"rows": [row | {"at_least": benchmark.LEAST[row["name"]]} for row in measured], "out": str(out)}
    tell(facts, f"{benchmark.table(measured)}\nwrote {out}", as_json)
