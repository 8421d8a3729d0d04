"""The SQLite file of a store: its schema, how it is opened, and its error messages."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from s1lab.storage.files import local

MAGIC = b"SQLite format 3\0"
APPLICATION = 0x73316C62  # "s1lb" in the file's header
VERSION, READABLE = 2, (1, 2)  # new stores have schema 2; version 0.1 wrote schema 1
CHECKED_BYTES = 64 * 1024**2  # a larger file is not checked whole when it is opened
# Schema 1 lacks the digests, the counts of runs, and the tables of ADDED. The new columns are the
# last ones, so that an upgrade can add them. Log-probabilities have a table of their own, in the
# order in which they are written: within the completions they would make each look-up slow.
# The state says whether a run is open. Its newest part is then in the log, a second file.
OPEN, CLOSED = "open", "closed"  # no turned bit makes one of the other
ADDED = (
    """CREATE TABLE prefixes (
    key BLOB PRIMARY KEY, run INTEGER NOT NULL, ids BLOB NOT NULL, digest BLOB) WITHOUT ROWID""",
    "CREATE TABLE logprobs (key BLOB PRIMARY KEY, packed BLOB NOT NULL)",
    "CREATE TABLE state (log TEXT NOT NULL)",
    f"INSERT INTO state VALUES ('{CLOSED}')",
)
SCHEMA = f"""
CREATE TABLE models (
    fingerprint TEXT PRIMARY KEY, name TEXT NOT NULL, template TEXT NOT NULL,
    tokenizer BLOB NOT NULL, digest BLOB);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, started TEXT NOT NULL, made TEXT NOT NULL, semantics TEXT NOT NULL,
    questions INTEGER NOT NULL, wall_s REAL NOT NULL DEFAULT 0, reused INTEGER NOT NULL DEFAULT 0,
    status TEXT NOT NULL DEFAULT 'unfinished', tokens INTEGER NOT NULL DEFAULT 0,
    completions INTEGER NOT NULL DEFAULT 0, traces INTEGER NOT NULL DEFAULT 0, digest BLOB);
CREATE TABLE completions (
    key BLOB PRIMARY KEY, run INTEGER NOT NULL, ids BLOB NOT NULL, stop INTEGER, digest BLOB)
    WITHOUT ROWID;
CREATE TABLE traces (
    run INTEGER NOT NULL, place INTEGER NOT NULL, rung INTEGER NOT NULL, correct INTEGER,
    row TEXT NOT NULL, logprobs BLOB, digest BLOB, PRIMARY KEY (run, place, rung)) WITHOUT ROWID;
{"; ".join(ADDED)};
"""


# A broken file may break the words of SQLite's own error, and then Python can't read them.
FAULTS = (sqlite3.Error, UnicodeDecodeError)


class StoreError(OSError):
    """A fault of a store, and the fix, in one sentence.

    Example:
        try:
            lab.runs("runs/none.db")
        except lab.storage.StoreError as why:
            print(why)
    """


class ChangedRow(StoreError):
    """A row of a store is not what was written."""


class Reader(sqlite3.Connection):
    """A connection that only reads, and leaves no file behind when it is closed."""

    made: Path | None = None  # the store, if this connection made the two files of a log beside it

    def close(self) -> None:
        super().close()
        if self.made is None:
            return
        with contextlib.suppress(OSError, *FAULTS):
            # SQLite removes the files when the last connection that may write is closed. A log that
            # is not empty now is another process' work.
            if log_of(self.made).stat().st_size == 0:
                uri = f"{self.made.as_uri()}?mode=rw"
                with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=0)) as last:
                    last.execute("SELECT count(*) FROM sqlite_master").fetchone()


def log_of(path: Path) -> Path:
    """SQLite's write-ahead log of a file, which may be a link."""
    real = Path(os.path.realpath(path))
    return real.with_name(f"{real.name}-wal")


def claim(path: Path) -> sqlite3.Connection:
    """Become the one writer of a store, until the connection that is returned is closed.

    The lock belongs to the file that a link leads to.

    Raises:
        StoreError: Another run writes to the store, its folder can't be written, or it has a second
            name.
    """
    real = Path(os.path.realpath(path))
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        if real.is_file() and real.stat().st_nlink > 1:
            # Each name would have a lock and a log of its own, and two logs break the file.
            raise StoreError(
                f"{path} has a second name (a hard link), and a store that is written must have "
                "one only: copy it to another file, and name that one"
            )
        claimed = sqlite3.connect(f"{real}.writer", isolation_level=None, timeout=0)
    except StoreError:
        raise
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


@contextlib.contextmanager
def snapshot(db: sqlite3.Connection) -> Iterator[None]:
    """Read several tables as they were at one moment, while another process may write."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("ROLLBACK")


def is_store(path: Path) -> bool:
    """Whether a file is a SQLite file.

    SQLite itself looks. A file that this process opened and closed would lose the locks that SQLite
    holds on it, for a run of this process too.
    """
    if not path.is_file() or not path.stat().st_size:
        return False
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
            db.execute("PRAGMA application_id").fetchone()
    except FAULTS as why:
        return "not a database" not in str(why)
    return True


def open_to_read(path: Path, partial: bool = False) -> sqlite3.Connection:
    """Open an existing store to read it.

    Args:
        path: The file.
        partial: Whether to open it without the newest part of a run that was killed too.

    Returns:
        The connection. Closing it leaves no files behind.

    Raises:
        StoreError: There is no store, or it can't be read.
    """
    path = local(path)
    if not path.is_file():
        raise StoreError(f"no store is at {path}: a call with store={str(path)!r} makes one")
    for wait in (0.05, 0.2, None):
        try:
            return connect(path, write=False, partial=partial)
        except MissingLog:
            if wait is None:
                raise
            time.sleep(wait)  # a run may have begun between two looks
    raise AssertionError


class MissingLog(StoreError):
    """The newest part of a run that was killed is in a file that is not there."""


def connect(path: Path, write: bool, partial: bool = False) -> sqlite3.Connection:
    """Open a store, and check that it is whole and of this version. A new file gets the schema.

    Args:
        path: The file.
        write: Whether to open it for writing. This creates a file that is missing.
        partial: As in `open_to_read`. A writer warns if the newest part is missing, and goes on.

    Returns:
        The connection.

    Raises:
        StoreError: The file is not a store of this version, or can't be used.
    """
    path, log = local(path), log_of(path)
    with faults(path):
        if path.is_dir():
            raise StoreError(f"{path} is a folder: name a file, such as {path / 'store.db'}")
        size = path.stat().st_size if path.exists() else 0
        logged = log.exists()
        mode = "rwc" if write else "ro"
        folder = os.access(log.parent, os.W_OK)
        if not write and (not folder or not (logged or os.access(path, os.W_OK))):
            mode += "&immutable=1"  # else a reader of a WAL store would leave two files beside it
            if logged and log.stat().st_size:
                raise StoreError(
                    f"{log} holds the newest part of {path.name}, and can't be read in a folder "
                    "that can't be written: copy both files to another folder"
                )
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=30,
            factory=sqlite3.Connection if write else Reader,
        )
        if isinstance(db, Reader) and not logged and "immutable" not in mode:
            db.made = Path(os.path.realpath(path))
        try:
            _check(db, path, size)
            if write:
                db.execute("PRAGMA journal_mode = WAL")
                # Commits survive the process, and none of them waits for the disk.
                db.execute("PRAGMA synchronous = NORMAL")
                if not _tables(db):
                    db.executescript(
                        f"BEGIN; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = "
                        f"{VERSION}; {SCHEMA} COMMIT;"
                    )
            elif not _tables(db):
                raise StoreError(f"{path} is an empty store: nothing was written to it yet")
            if version_of(db) > 1 and state_of(db, path) == OPEN and not logged and not partial:
                if not write:
                    raise MissingLog(
                        f"{path} is only a part: it was copied from a run that had not ended, and "
                        f"{log.name}, with the newest part, is not beside it: copy both files, or "
                        f"keep what is here with s1lab runs {path} --upgrade"
                    )
                warnings.warn(
                    f"{path} is only a part: {log.name}, with the newest part of a run that had "
                    "not ended, is not beside it. What is missing is asked for again",
                    stacklevel=2,
                )
        except BaseException:
            db.close()
            raise
    return db


def _tables(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def _check(db: sqlite3.Connection, path: Path, size: int) -> None:
    """Refuse what is no store, or a broken one."""
    application, version = (
        db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    if not _tables(db):
        return
    if application != APPLICATION:
        raise StoreError(
            f"{path} is a SQLite file of another program: name another file; it is left as it is"
        )
    if version not in READABLE:
        raise StoreError(
            f"{path} is a store of version {version}, and this s1lab reads versions "
            f"{READABLE[0]} to {VERSION}: use the s1lab that wrote it, or name another "
            "file; it is left as it is"
        )
    # A view or a trigger would run the queries of whoever sent this file, without a limit.
    kinds = {kind for (kind,) in db.execute("SELECT type FROM sqlite_master")}
    if foreign := sorted(kinds - {"table", "index"}):
        raise StoreError(f"{path} holds a {foreign[0]}, which no store has: name another file")
    if (
        size <= CHECKED_BYTES
        and (fault := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok"
    ):
        raise sqlite3.DatabaseError(fault)


def state_of(db: sqlite3.Connection, path: Path) -> str:
    """Whether a run was open when this was written: OPEN or CLOSED. ChangedRow for anything else.

    A store of version 0.1 doesn't say.
    """
    rows = db.execute("SELECT log FROM state").fetchall()
    if rows not in ([(OPEN,)], [(CLOSED,)]):
        raise ChangedRow(f"{path}: its state was changed on disk: put back a copy of the store")
    return str(rows[0][0])


@contextlib.contextmanager
def faults(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into a StoreError of one sentence."""
    try:
        yield
    except FAULTS as why:
        raise StoreError(fault_of(path, why)) from None


def fault_of(path: Path, why: sqlite3.Error | UnicodeDecodeError) -> str:
    """The sentence for an error of SQLite."""
    words = " ".join(str(why).split())
    if "full" in words or "disk I/O" in words:
        return (
            f"{path} can't be written any more ({words}): make room on its disk and run again; "
            "what was stored stays readable"
        )
    if "not a database" in words:
        return (
            f"{path} is no store of s1lab, or its beginning is broken: name another file; it is "
            "left as it is"
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
