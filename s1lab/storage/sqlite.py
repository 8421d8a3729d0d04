"""The SQLite file of a store: its schema, how it is opened, and its error messages."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

MAGIC = b"SQLite format 3\0"
APPLICATION = 0x73316C62  # "s1lb" in the file's header
VERSION, READABLE = 2, (1, 2)  # new stores have schema 2; version 0.1 wrote schema 1
CHECKED_BYTES = 64 * 1024**2  # a larger file is not checked whole when it is opened
# Schema 1 lacks the digests, the tokens of runs, and the tables of ADDED. The new columns are the
# last ones, so that an upgrade can add them. Log-probabilities have a table of their own, in the
# order in which they are written: within the completions they would make each look-up slow.
ADDED = (
    """CREATE TABLE prefixes (
    key BLOB PRIMARY KEY, run INTEGER NOT NULL, ids BLOB NOT NULL, digest BLOB) WITHOUT ROWID""",
    "CREATE TABLE logprobs (key BLOB PRIMARY KEY, packed BLOB NOT NULL)",
)
SCHEMA = f"""
CREATE TABLE models (
    fingerprint TEXT PRIMARY KEY, name TEXT NOT NULL, template TEXT NOT NULL,
    tokenizer BLOB NOT NULL, digest BLOB);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, started TEXT NOT NULL, made TEXT NOT NULL, semantics TEXT NOT NULL,
    questions INTEGER NOT NULL, wall_s REAL NOT NULL DEFAULT 0, reused INTEGER NOT NULL DEFAULT 0,
    status TEXT NOT NULL DEFAULT 'unfinished', tokens INTEGER NOT NULL DEFAULT 0);
CREATE TABLE completions (
    key BLOB PRIMARY KEY, run INTEGER NOT NULL, ids BLOB NOT NULL, stop INTEGER, digest BLOB)
    WITHOUT ROWID;
CREATE TABLE traces (
    run INTEGER NOT NULL, place INTEGER NOT NULL, rung INTEGER NOT NULL, correct INTEGER,
    row TEXT NOT NULL, logprobs BLOB, digest BLOB, PRIMARY KEY (run, place, rung)) WITHOUT ROWID;
{"; ".join(ADDED)};
"""


class StoreError(OSError):
    """A fault of a store, and the fix, in one sentence.

    Example:
        try:
            lab.runs("runs/none.db")
        except lab.storage.StoreError as why:
            print(why)
    """


def claim(path: Path) -> sqlite3.Connection:
    """Become the one writer of a store, until the connection that is returned is closed.

    Raises:
        StoreError: Another run writes to the store, or its folder can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        claimed = sqlite3.connect(f"{path}.writer", isolation_level=None, timeout=0)
    except (OSError, sqlite3.Error) as why:
        raise StoreError(
            f"no store can be made at {path} ({why}): name a file in a folder that can be written"
        ) from None
    try:
        # The system releases this lock when its holder dies, however it dies.
        claimed.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as why:
        claimed.close()
        if "locked" not in str(why):
            raise StoreError(fault_of(path, why)) from None
        raise StoreError(
            f"{path} is being written by another run: wait until it ends, or give this "
            "one a store of its own"
        ) from None
    return claimed


def version_of(db: sqlite3.Connection) -> int:
    """The schema of an open store."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def checkpoint(db: sqlite3.Connection) -> None:
    """Move what is in the write-ahead log into the store's file, as far as its readers allow."""
    with contextlib.suppress(sqlite3.Error):  # what could not be moved stays in the log
        db.execute("PRAGMA busy_timeout = 1000")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.execute("PRAGMA busy_timeout = 30000")


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open an existing store to read it. StoreError if there is none."""
    if not path.is_file():
        raise StoreError(f"no store is at {path}: a call with store={str(path)!r} makes one")
    return connect(path, write=False)


def connect(path: Path, write: bool) -> sqlite3.Connection:
    """Open a store, and check that it is whole and of this version. A new file gets the schema.

    Args:
        path: The file.
        write: Whether to open it for writing. This creates a file that is missing.

    Returns:
        The connection.

    Raises:
        StoreError: The file is not a store of this version, or can't be used.
    """
    with faults(path):
        if path.is_dir():
            raise StoreError(f"{path} is a folder: name a file, such as {path / 'store.db'}")
        size = path.stat().st_size if path.exists() else 0
        if size:
            with path.open("rb") as file:
                if file.read(len(MAGIC)) != MAGIC:
                    raise StoreError(
                        f"{path} is no store of s1lab, or its beginning is broken: name another "
                        "file; it is left as it is"
                    )
        mode = "rwc" if write else "ro"
        if not write and not os.access(path.absolute().parent, os.W_OK):
            mode += "&immutable=1"  # else a reader of a WAL store would create two files beside it
            newest = path.with_name(f"{path.name}-wal")
            if newest.exists() and newest.stat().st_size:
                raise StoreError(
                    f"{newest} holds the newest part of {path.name}, and can't be read in a folder "
                    "that can't be written: copy both files to another folder"
                )
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=30
        )
        try:
            asked = (
                "PRAGMA application_id",
                "PRAGMA user_version",
                "SELECT count(*) FROM sqlite_master",
            )
            application, version, tables = (db.execute(sql).fetchone()[0] for sql in asked)
            if tables and application != APPLICATION:
                raise StoreError(
                    f"{path} is a SQLite file of another program: name another file; it is left as "
                    "it is"
                )
            if tables and version not in READABLE:
                raise StoreError(
                    f"{path} is a store of version {version}, and this s1lab reads versions "
                    f"{READABLE[0]} to {VERSION}: use the s1lab that wrote it, or name another "
                    "file; it is left as it is"
                )
            if (
                tables
                and size <= CHECKED_BYTES
                and (fault := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok"
            ):
                raise sqlite3.DatabaseError(fault)
            if write:
                db.execute("PRAGMA journal_mode = WAL")
                # Commits survive the process, and none of them waits for the disk.
                db.execute("PRAGMA synchronous = NORMAL")
                if not tables:
                    db.executescript(
                        f"BEGIN; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = "
                        f"{VERSION}; {SCHEMA} COMMIT;"
                    )
            elif not tables:
                raise StoreError(f"{path} is an empty store: nothing was written to it yet")
        except BaseException:
            db.close()
            raise
    return db


@contextlib.contextmanager
def faults(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into a StoreError of one sentence."""
    try:
        yield
    except sqlite3.Error as why:
        raise StoreError(fault_of(path, why)) from None


def fault_of(path: Path, why: sqlite3.Error) -> str:
    """The sentence for an error of SQLite."""
    words = " ".join(str(why).split())
    if "full" in words or "disk I/O" in words:
        return (
            f"{path} can't be written any more ({words}): make room on its disk and run again; "
            "what was stored stays readable"
        )
    if "locked" in words:
        return (
            f"{path} is being written by another program: wait until it ends, or name another file"
        )
    if isinstance(why, sqlite3.OperationalError):
        return f"{path} can't be used: {words}"
    return (
        f"{path} is broken ({words}): name another file, or put back a copy of it; it is left as "
        "it is"
    )
