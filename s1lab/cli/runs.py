"""``s1lab runs`` and ``s1lab diff``: list stored runs, and compare two of them."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import s1lab as lab
from s1lab.cli import options as given
from s1lab.cli.shell import FAILED, on_terminal, tell, work

if TYPE_CHECKING:
    import pandas

SHOWN = [
    "run",
    "started",
    "status",
    "call",
    "model",
    "engine",
    "finished",
    "questions",
    "completions",
    "tokens",
    "wall_s",
]
LESS = ("started", "engine", "completions", "finished")  # in this order; --json has them all


def runs(
    store: Annotated[Path, typer.Argument(help="A store, as --store or store= writes it.")],
    upgrade: Annotated[
        bool,
        typer.Option(
            help="Rewrite a store of version 0.1 with this version's schema, whole or not at all."
        ),
    ] = False,
    as_json: given.AsJson = False,
) -> None:
    """List the runs of a store.

    \b
    Example:
      s1lab run "How many r in raspberry" --store runs/x.db
      s1lab runs runs/x.db
      s1lab runs runs/x.db --upgrade
    """
    if upgrade:
        with work("the store is as it was"):
            done = lab.storage.upgrade(store)
        tell({"store": str(store), "upgrade": done}, done, as_json)
        return
    with work():
        table = lab.runs(store)
        facts = json.loads(table.to_json(orient="records"))
    width = shutil.get_terminal_size().columns
    tell(facts, _fitting(table, width) if len(table) else f"{store} has no runs yet", as_json)


def _fitting(table: pandas.DataFrame, width: int) -> str:
    """Return the runs as text. On a terminal, columns are left out until the lines fit."""
    shown = [*SHOWN]
    for name in ("", *LESS):
        shown = [column for column in shown if column != name]
        text = str(table[shown].to_string(index=False))
        if not on_terminal() or max(map(len, text.splitlines())) <= width:
            break
    return text


def diff(
    a: Annotated[
        Path,
        typer.Argument(
            help="A stored run: a file of --save, or a store, runs/x.db, or runs/x.db#3 for run 3."
        ),
    ],
    b: Annotated[Path, typer.Argument(help="Another one.")],
    most: Annotated[int, typer.Option(help="Show at most so many traces that differ.")] = 10,
    as_json: given.AsJson = False,
) -> None:
    """Compare two stored runs.

    Says which traces are the same, and where the others begin to differ. Each question is
    compared with itself, in a sweep at the same budget. The exit code is 1 if the runs differ.

    \b
    Example:
      s1lab evaluate --n 12 --save runs/a.jsonl
      s1lab evaluate --n 12 --waits 1 --save runs/b.jsonl
      s1lab diff runs/a.jsonl runs/b.jsonl
    """
    with work():
        found = lab.diff(a, b)
        facts = {
            "a": str(a),
            "b": str(b),
            "made": {name: [x, y] for name, x, y in found.made()},
            "same": found.same,
            "part": len(found.partings),
            "only": found.only,
            "flipped": found.flipped,
            "partings": [asdict(parting) for parting in found.partings[:most]],
        }
    tell(facts, found.show(most), as_json)
    if found.partings or any(found.only):
        raise typer.Exit(FAILED)
