"""Rewrite a store of an older schema as one of this version."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from s1lab.driver import interrupt_later
from s1lab.storage.completion_row import digest
from s1lab.storage.files import local
from s1lab.storage.run_table import RunRow
from s1lab.storage.sqlite import (
    ADDED,
    CLOSED,
    OPEN,
    VERSION,
    checkpoint,
    claim,
    connect,
    faults,
    log_of,
    open_to_read,
    state_of,
    version_of,
)

STEPS = (
    *ADDED,
    "ALTER TABLE models ADD COLUMN digest BLOB",
    "ALTER TABLE runs ADD COLUMN tokens INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE completions ADD COLUMN digest BLOB",
    "ALTER TABLE traces ADD COLUMN logprobs BLOB",
    "ALTER TABLE traces ADD COLUMN digest BLOB",
    "UPDATE models SET digest = digest(fingerprint, name, template, tokenizer)",
    "ALTER TABLE runs ADD COLUMN completions INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE runs ADD COLUMN traces INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE runs ADD COLUMN digest BLOB",
    "UPDATE runs SET tokens = (SELECT coalesce(sum(length(ids)) / 4, 0) FROM completions "
    "WHERE completions.run = runs.id), completions = (SELECT count(*) FROM completions "
    "WHERE completions.run = runs.id), traces = (SELECT count(*) FROM traces "
    "WHERE traces.run = runs.id)",
    f"UPDATE runs SET digest = digest({', '.join(RunRow._fields)})",
    "UPDATE completions SET digest = digest(key, run, ids, stop, NULL)",
    "UPDATE traces SET digest = digest(run, place, rung, correct, row, logprobs)",
    f"PRAGMA user_version = {VERSION}",
)


def upgrade(store: str | Path) -> str:
    """Rewrite a store of version 0.1 with this version's schema, whole or not at all.

    The rows stay as they are, and get a digest each. One transaction does it: if it fails, or the
    process is killed, the store is the old one. Version 0.1 can't read the new one. A store does
    not need it: this version reads and continues old ones as they are.

    Args:
        store: The store's file.

    Returns:
        A sentence that says what was done.

    Raises:
        StoreError: The file is not a store, is broken, or is being written by a run.

    Example:
        lab.force(lab.load("s1-tiny"), "How many r in raspberry?", store="runs/x.db")
        print(lab.storage.upgrade("runs/x.db"))
    """
    path = local(store)
    open_to_read(path, partial=True).close()
    with faults(path), contextlib.closing(claim(path)):
        logged = log_of(path).exists()
        with contextlib.closing(connect(path, write=True, partial=True)) as db:
            return _upgraded(path, db, logged)


def _upgraded(path: Path, db: sqlite3.Connection, logged: bool) -> str:
    """Rewrite an open store, and say what was done."""
    old = version_of(db)
    if old == VERSION and state_of(db, path) == CLOSED:
        return f"{path} has schema {VERSION} already: nothing was done"
    if old == VERSION:
        db.execute("UPDATE state SET log = ? WHERE log = ?", (CLOSED, OPEN))
        checkpoint(db)
        return f"{path} has schema {VERSION} already, from a run that had not ended: " + (
            "all of it is in one file now"
            if logged
            else f"what is here is kept, without the newest part, which was in {log_of(path).name}"
        )
    before = _rewritten(path, db)
    counts = [
        f"{db.execute(f'SELECT count(*) FROM {table}').fetchone()[0]:,} {table}"
        for table in ("runs", "completions", "traces")
    ]
    return (
        f"{path} had schema {old} and now has schema {VERSION}: {', '.join(counts)}, each "
        f"with a digest; {before:,} bytes before, {path.stat().st_size:,} now"
    )


def _rewritten(path: Path, db: sqlite3.Connection) -> int:
    """Rewrite a store of schema 1. Returns its size before."""
    if (fault := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise sqlite3.DatabaseError(fault)
    checkpoint(db)
    before = path.stat().st_size
    db.create_function("digest", -1, digest, deterministic=True)
    with interrupt_later():
        _rewrite(db)
    checkpoint(db)
    return before


def _rewrite(db: sqlite3.Connection) -> None:
    """Run all steps in one transaction."""
    db.execute("BEGIN IMMEDIATE")
    try:
        for step in STEPS:
            db.execute(step)
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
