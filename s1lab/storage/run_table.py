"""The table of a store's runs, which `s1lab.runs` returns."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from s1lab.storage.sqlite import faults, open_to_read, version_of

if TYPE_CHECKING:
    import pandas


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

    Raises:
        StoreError: The file is not a store, or can't be read.

    Example:
        import s1lab as lab

        lab.force(lab.load("s1-tiny"), "How many r in raspberry?", store="runs/x.db")
        print(lab.runs("runs/x.db")[["run", "status", "tokens"]])
    """
    import pandas

    path = Path(store)
    db = open_to_read(path)
    with faults(path), contextlib.closing(db):
        listed = db.execute(
            "SELECT id, started, made, questions, wall_s, reused, status FROM runs ORDER BY id"
        ).fetchall()
        finished = dict(db.execute("SELECT run, count(DISTINCT place) FROM traces GROUP BY run"))
        wrote = dict(db.execute("SELECT run, count(*) FROM completions GROUP BY run"))
        counted = (
            "SELECT id, tokens FROM runs"
            if version_of(db) > 1
            else "SELECT run, sum(length(ids)) / 4 FROM completions GROUP BY run"
        )
        written = dict(db.execute(counted))
    table = []
    for number, started, text, questions, wall_s, reused, status in listed:
        made = json.loads(text)
        row = {
            "run": number,
            "started": started,
            "status": status,
            "questions": questions,
            "finished": finished.get(number, 0),
        }
        row |= {
            "completions": wrote.get(number, 0),
            "tokens": written.get(number, 0),
            "reused": reused,
            "wall_s": round(wall_s, 1),
        }
        versions = made.pop("versions", {})
        named = (
            "call",
            "model",
            "engine",
            "dtype",
            "device",
            "semantics",
            "temperature",
            "top_p",
            "seed",
            "commit",
        )
        row |= {name: made.get(name) for name in named} | {
            "versions": ", ".join(f"{k} {v}" for k, v in versions.items())
        }
        table.append(row)
    return pandas.DataFrame(table)
