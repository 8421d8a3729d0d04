"""The table of a store's runs, which `s1lab.runs` returns."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from s1lab.storage.completion_row import unsealed
from s1lab.storage.files import local
from s1lab.storage.sqlite import ChangedRow, StoreError, faults, open_to_read, snapshot, version_of

if TYPE_CHECKING:
    import pandas

FIX = ": put back a copy of the store"
NAMED = (
    "call", "model", "engine", "dtype", "device", "semantics", "temperature", "top_p", "seed",
    "commit",
)  # fmt: skip
COLUMNS = (
    "run", "started", "status", "questions", "finished", "completions", "tokens", "reused",
    "wall_s", *NAMED, "versions",
)  # fmt: skip


class RunRow(NamedTuple):
    """A row of the table of runs. ``made`` is JSON text, ``traces`` the number of stored traces."""

    id: int
    started: str
    made: str
    semantics: str
    questions: int
    wall_s: float
    reused: int
    status: str
    tokens: int
    completions: int
    traces: int


# Schema 1 has no counts: they are counted.
QUERIES = {
    1: "SELECT id, started, made, semantics, questions, wall_s, reused, status, "
    "(SELECT coalesce(sum(length(ids)) / 4, 0) FROM completions WHERE run = runs.id), "
    "(SELECT count(*) FROM completions WHERE run = runs.id), "
    "(SELECT count(*) FROM traces WHERE run = runs.id) FROM runs ORDER BY id",
    2: f"SELECT {', '.join(RunRow._fields)}, digest FROM runs ORDER BY id",
}


def run_rows(db: sqlite3.Connection, path: Path) -> list[RunRow]:
    """The runs of an open store, in order. To be called within a `snapshot`.

    Raises:
        ChangedRow: A row was changed on disk, or traces are missing that were there.
    """
    version = version_of(db)
    found = db.execute(QUERIES[version]).fetchall()
    if version == 1:
        return [RunRow(*row) for row in found]
    rows = [RunRow(*unsealed(path, f"the row of run {row[0]}", row, FIX)) for row in found]
    counted = dict(db.execute("SELECT run, count(*) FROM traces GROUP BY run"))
    if counted != {row.id: row.traces for row in rows if row.traces}:
        raise ChangedRow(f"{path}: its traces are not those that were written{FIX}")
    return rows


def settings(path: Path, run: RunRow) -> dict[str, Any]:
    """The settings of a run. StoreError if they can't be read."""
    try:
        made = json.loads(run.made)
    except (TypeError, ValueError, RecursionError) as why:
        raise StoreError(
            f"{path} is broken: the settings of run {run.id} can't be read ({why})"
        ) from None
    if not isinstance(made, dict):
        raise StoreError(f"{path} is broken: the settings of run {run.id} are no object")
    return made


def runs(store: str | Path) -> pandas.DataFrame:
    """The runs of a store as a table.

    Args:
        store: The store's file.

    Returns:
        A DataFrame with a row for each run: when it started, its call, engine and settings, its
        progress, its time and its tokens. "finished" is the number of questions that have a trace.
        "completions" and "tokens" count what the model wrote for this run; the tokens are also
        those of requests that were cancelled. "reused" counts completions that were already there.
        "status" is finished, interrupted, failed, imported, or unfinished (in progress, or killed).
        A store without runs gives a table without rows.

    Raises:
        StoreError: The file is not a store, can't be read, is a copy without the newest part of
            a run that had not ended, or a run was changed on disk.

    Example:
        import s1lab as lab

        lab.force(lab.load("s1-tiny"), "How many r in raspberry?", store="runs/x.db")
        print(lab.runs("runs/x.db")[["run", "status", "tokens"]])
    """
    import pandas

    path = local(store)
    db = open_to_read(path)
    with faults(path), contextlib.closing(db), snapshot(db):
        listed = run_rows(db, path)
        finished = dict(db.execute("SELECT run, count(DISTINCT place) FROM traces GROUP BY run"))
    table = []
    for run in listed:
        made = settings(path, run)
        row = {
            "run": run.id,
            "started": run.started,
            "status": run.status,
            "questions": run.questions,
            "finished": finished.get(run.id, 0),
            "completions": run.completions,
            "tokens": run.tokens,
            "reused": run.reused,
            "wall_s": round(run.wall_s, 1),
        }
        versions = made.pop("versions", {})
        row |= {name: made.get(name) for name in NAMED} | {
            "versions": ", ".join(f"{k} {v}" for k, v in versions.items())
        }
        table.append(row)
    return pandas.DataFrame(table, columns=list(COLUMNS))
