"""``make bench``: compare each kind of work with the way it would be done without s1lab.

A machine's speed changes from minute to minute, so no result is a time. Our runs and the rival's
alternate, and a row is the ratio of their medians, above 1 if ours is faster.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from tqdm.auto import tqdm

import s1lab as lab
from s1lab.cli import options, shell
from s1lab.storage.files import write_whole
from tools import bench_smollm2
from tools.bench_rows import (
    Row,
    against_generate,
    barrier,
    decontaminate,
    finetune,
    ladder,
    one_by_one,
    plain,
    streamed,
    with_logprobs,
)

# The design's minimum of each row. A row below it is marked.
LEAST = {
    "force-vs-one-by-one": 8.0,
    "force-vs-barrier": 1.0,
    "force-vs-plain": 0.85,
    "transformers-vs-generate": 0.9,
    "ladder-vs-rungs": 3.0,
    "stream-vs-whole": 0.95,
    "logprobs-vs-none": 0.95,
    "logprobs-vs-none-x20": 0.85,
    "decontaminate-vs-sets": 5.0,
    "decontaminate-vs-sets-x10": 5.0,
    "sft-vs-padded": 1.3,
    "smollm2-vs-generate": 1.2,
    "smollm2-probes-vs-decoding": 1 / 1.3,
    "smollm2-ladder-vs-vllm": 0.5,
}


def bench(
    repeats: int = 5,
    only: Sequence[str] = (),
    done: Callable[[Row], None] | None = None,
    progress: bool = False,
) -> list[Row]:
    """Run the rows.

    Args:
        repeats: Turns of each side.
        only: Names of the rows to run. None named means all.
        done: Called with each row as soon as it is measured.
        progress: Whether to show a progress bar.

    Returns:
        The rows.

    Raises:
        ValueError: If a name is unknown, or a value is out of range.
    """
    if repeats < 1:
        raise ValueError(f"repeats={repeats}: give at least 1")
    unknown = set(only) - set(LEAST)
    if unknown:
        raise ValueError(f"no row is called {sorted(unknown)[0]!r}: choose from {list(LEAST)}")
    wanted = [n for n in LEAST if not only or n in only]
    alone: dict[str, Callable[[int], Row]] = {
        "transformers-vs-generate": against_generate,
        "stream-vs-whole": streamed,
        "logprobs-vs-none": lambda repeats: with_logprobs(repeats, 1),
        "logprobs-vs-none-x20": lambda repeats: with_logprobs(repeats, 20),
        "decontaminate-vs-sets": lambda repeats: decontaminate(repeats, 1),
        "decontaminate-vs-sets-x10": lambda repeats: decontaminate(repeats, 10),
        "sft-vs-padded": finetune,
        "smollm2-vs-generate": bench_smollm2.against_generate,
        "smollm2-probes-vs-decoding": bench_smollm2.probes,
        "smollm2-ladder-vs-vllm": bench_smollm2.ladder,
    }
    bar = tqdm(
        total=len(wanted), desc="bench", unit="row", disable=None if progress else True, leave=False
    )

    def measured(row: Row) -> Row:
        bar.update()
        if done:
            done(row)
        return row

    rows = [measured(row(repeats)) for name, row in alone.items() if name in wanted]
    on_vllm = {
        "force-vs-one-by-one": one_by_one,
        "force-vs-barrier": barrier,
        "force-vs-plain": plain,
        "ladder-vs-rungs": ladder,
    }
    if any(n in on_vllm for n in wanted):
        with lab.load("s1-tiny", engine="vllm") as engine:
            rows += [
                measured(row(engine, repeats)) for name, row in on_vllm.items() if name in wanted
            ]
    bar.close()
    return rows


def table(rows: Sequence[Row]) -> str:
    """Write the rows as a table."""
    lines = [
        f"{'row':26}{'ours':>9}{'rival':>9}  {'unit':10}{'ratio':>7}  {'spread':16}{'at least':>8}"
    ]
    for r in rows:
        least = LEAST.get(r["name"], math.nan)
        spread = f"{r['spread'][0]:.2f} to {r['spread'][1]:.2f}"
        mark = "" if r["ratio"] >= least else "  below"
        speeds = f"{r['ours']:>9,}{r['rival']:>9,}  {r['unit']:10}"
        lines.append(f"{r['name']:26}{speeds}{r['ratio']:>7.2f}  {spread:16}{least:>8.2f}{mark}")
    return "\n".join(lines)


def write(rows: Sequence[Row], path: Path) -> None:
    """Write rows to ``path`` as JSON. Rows of other names in that file stay."""
    there = {r["name"]: r for r in json.loads(path.read_text())} if path.exists() else {}
    there |= {r["name"]: r for r in rows}
    write_whole(path, [(json.dumps(list(there.values()), indent=1) + "\n").encode()])


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def main(
    rows: Annotated[
        list[str] | None, typer.Argument(help="Rows to run; without any, all of them.")
    ] = None,
    repeats: Annotated[
        int, typer.Option(min=1, help="Turns of each side, after one to warm up.")
    ] = 5,
    out: Annotated[Path, typer.Option(help="Where the rows are written as JSON.")] = Path(
        "runs/bench.json"
    ),
    as_json: options.AsJson = False,
) -> None:
    """Time each kind of work against its rival.

    The rival does the same work without s1lab. Both take turns, and the ratios are printed. Rows
    named "force-" and "ladder-" need vLLM, rows named "sft-" need trl, and rows named "smollm2-"
    need the package of that model; the last of them needs vLLM too.

    \b
    Example:
      python -m tools.bench transformers-vs-generate --repeats 3
    """
    finished: list[str] = []

    def keep(row: Row) -> None:
        write([row], out)
        finished.append(row["name"])

    def kept_so_far() -> str:
        if not finished:
            return "no row was finished"
        return f"{', '.join(finished)} {'is' if len(finished) == 1 else 'are'} in {out}"

    with shell.work(kept_so_far):
        measured = bench(repeats, rows or (), done=keep, progress=shell.told_by_terminal())
        facts = {
            "rows": [row | {"at_least": LEAST[row["name"]]} for row in measured],
            "out": str(out),
        }
    shell.tell(facts, f"{table(measured)}\nwrote {out}", as_json)


if __name__ == "__main__":
    app(prog_name="python -m tools.bench")
