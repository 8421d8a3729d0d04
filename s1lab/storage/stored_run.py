"""Read what a store holds: its runs, and its model's template and tokenizer."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np

from s1lab.storage.completion_row import unsealed
from s1lab.storage.files import local
from s1lab.storage.run import Run, StoredTrace, unpacked
from s1lab.storage.run_table import FIX, run_rows, settings
from s1lab.storage.sqlite import StoreError, faults, is_store, open_to_read, snapshot, version_of
from s1lab.storage.tokenizers import bound
from s1lab.tokenization.bound_template import BoundTemplate


def read_stored_run(store: str | Path, run: int | None = None) -> Run:
    """Read one run of a store. The rungs of a ladder follow one another.

    Args:
        store: The store's file.
        run: The number of the run. None is the last one with a trace.

    Returns:
        The run.

    Raises:
        StoreError: The store has no traces of such a run, or can't be read.
    """
    path = local(store)
    db = open_to_read(path)
    with faults(path), contextlib.closing(db), snapshot(db):
        listed = [row for row in run_rows(db, path) if row.traces]
        chosen = next((row for row in reversed(listed) if run in (None, row.id)), None)
        rest = ", logprobs, digest" if version_of(db) > 1 else ""
        rows = db.execute(
            f"SELECT run, place, rung, correct, CAST(row AS BLOB){rest} FROM traces WHERE run = ? "
            "ORDER BY place, rung",
            (chosen.id if chosen else 0,),
        ).fetchall()
    if chosen is None:
        raise StoreError(
            f"{path} has no traces"
            + (f" of a run {run}" if run is not None else "")
            + f": it has those of runs {[row.id for row in listed]}"
        )
    made = settings(path, chosen)
    return Run(path, made, [_stored_trace(path, *row) for row in rows])


def _stored_trace(
    path: Path, run: int, place: int, rung: int, correct: int | None, row: bytes, *rest: Any
) -> StoredTrace:
    """A trace from its columns. ``rest`` is empty in a store of version 0.1."""
    what = f"the trace {place}.{rung} of run {run}"
    try:
        text = row.decode()
        if rest:
            unsealed(path, what, (run, place, rung, correct, text, *rest), FIX)
        fields = json.loads(text) | {"correct": None if correct is None else bool(correct)}
        if rest and rest[0]:
            fields["logprobs"] = np.frombuffer(rest[0], "<f4").tolist()
        return unpacked(fields)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as why:
        raise StoreError(
            f"{path} is broken: {what} can't be read ({why}); put back a copy of it"
        ) from None


def stored_model(db: sqlite3.Connection, path: Path) -> tuple[str, str, str, bytes] | None:
    """The fingerprint, name, template and tokenizer that a store keeps; None if it has none.

    Raises:
        ChangedRow: They were changed on disk.
    """
    rest = ", digest" if version_of(db) > 1 else ""
    found = db.execute(f"SELECT fingerprint, name, template, tokenizer{rest} FROM models")
    columns: tuple[str, str, str, bytes] | None = found.fetchone()
    if columns is None or not rest:
        return columns
    fingerprint, name, template, tokenizer = unsealed(
        path, "the model's row, with its tokenizer,", columns, FIX
    )
    return fingerprint, name, template, tokenizer


def stored_template(path: Path) -> BoundTemplate | None:
    """The template and tokenizer that a store keeps.

    Args:
        path: The file.

    Returns:
        The template, bound to the tokenizer. None for another kind of file, or a store that has
        only imported runs.
    """
    if not is_store(path):
        return None
    db = open_to_read(path)
    with faults(path), contextlib.closing(db):
        found = stored_model(db, path)
    return bound(*found[2:]) if found else None
