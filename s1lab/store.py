"""Completions and traces that survive a crash: one SQLite file, filled while a run goes on, from which it goes on later.

Programs are deterministic given their completions, so a store of completions restores any run: it is run again, and what it
asks that was answered before comes out of the file. A completion is known by its content: the model's fingerprint, the
engine's semantics, the ids it continues, its limits and stops, and (when sampled) temperature, top_p and seed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import sqlite3
import tempfile
import time
import warnings
import zipfile
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s1lab.engine import Completion, Engine, Request
from s1lab.engines.interrupts import interrupt_later
from s1lab.records import Run, as_json, packed, unpacked
from s1lab.template import BoundTemplate, ThinkTemplate, bind
from s1lab.trace import Trace

if TYPE_CHECKING:
    import pandas

MAGIC = b"SQLite format 3\0"
APPLICATION, VERSION = 0x73316C62, 1  # "s1lb" in the file's header
WRITING = 1 / 100  # the share of its time that a run may spend on writing to its store
LATEST = 2.0  # seconds after which a completion is written, however long the last writing took
LARGEST_TOKENIZER = 1024**3  # bytes unpacked
CHECKED_BYTES = 64 * 1024**2  # a larger file is not read whole when it is opened
SCHEMA = """
CREATE TABLE models (fingerprint TEXT PRIMARY KEY, name TEXT NOT NULL, template TEXT NOT NULL, tokenizer BLOB NOT NULL);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, started TEXT NOT NULL, made TEXT NOT NULL, semantics TEXT NOT NULL, questions INTEGER NOT NULL,
    wall_s REAL NOT NULL DEFAULT 0, reused INTEGER NOT NULL DEFAULT 0, status TEXT NOT NULL DEFAULT 'unfinished');
CREATE TABLE completions (key BLOB PRIMARY KEY, run INTEGER NOT NULL, ids BLOB NOT NULL, stop INTEGER) WITHOUT ROWID;
CREATE TABLE traces (
    run INTEGER NOT NULL, place INTEGER NOT NULL, rung INTEGER NOT NULL, correct INTEGER, row TEXT NOT NULL,
    PRIMARY KEY (run, place, rung)) WITHOUT ROWID;
"""


class StoreError(OSError):
    """What is wrong with a store, and the fix, in one sentence."""


class Store:
    """A store open for one writer; others may read it meanwhile. Made by naming its path: ``store="runs/x.db"`` on any call.

    What has been handed to :meth:`flush` outlives a SIGKILL. StoreError for a file that is no store, is broken, is of another
    version, belongs to another model, or is being written by another run.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._claim = sqlite3.connect(f"{self.path}.writer", isolation_level=None, timeout=0)
        except (OSError, sqlite3.Error) as why:
            raise StoreError(
                f"no store can be made at {self.path} ({why}): name a file in a folder that can be written"
            ) from None
        try:
            # A lock that the system takes back when its holder dies, however it dies.
            self._claim.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as why:
            self._claim.close()
            if "locked" not in str(why):
                raise StoreError(fault_of(self.path, why)) from None
            raise StoreError(
                f"{self.path} is being written by another run: wait until it ends, or give this one a store of its own"
            ) from None
        try:
            self._db = _connect(self.path, write=True)
        except BaseException:
            self._claim.close()
            raise
        self._pending: list[tuple[str, tuple[Any, ...]]] = []
        self._unwritten: dict[bytes, Completion] = {}  # those among them, which a look into the file does not find yet
        self.run, self.reused, self._began = 0, 0, 0.0
        self._flushed, self._cost = 0.0, 0.0  # when the last flush ended, and how long it took

    def begin(self, engine: Engine, made: dict[str, Any], questions: int) -> None:
        """Open a run in the store, for what follows."""
        fingerprint, self._semantics = engine.fingerprint, engine.semantics
        with self._named():
            known = self._db.execute("SELECT fingerprint, name FROM models").fetchone()
        if known and known[0] != fingerprint:
            raise StoreError(
                f"{self.path} holds completions of another model ({known[1]}, fingerprint {known[0][:12]}) than {engine.model} "
                f"({fingerprint[:12]}): give this run a store of its own"
            )
        if not known:
            with self._named():
                self._db.execute(
                    "INSERT INTO models VALUES (?, ?, ?, ?)",
                    (fingerprint, engine.model, template_text(engine.template), tokenizer_bytes(engine.template)),
                )
        started = datetime.now(UTC).isoformat(timespec="seconds")
        self._prefix = f"{fingerprint}\n{self._semantics}\n".encode()
        with self._named():
            cursor = self._db.execute(
                "INSERT INTO runs (started, made, semantics, questions) VALUES (?, ?, ?, ?)",
                (started, json.dumps(made), self._semantics, questions),
            )
        self.run, self._began = int(cursor.lastrowid or 0), time.monotonic()

    def key(self, request: Request) -> bytes:
        """What a completion is known by. Greedy requests differ in nothing but what decides their ids."""
        return key_of(self._prefix, request)

    def get(self, key: bytes) -> Completion | None:
        if waiting := self._unwritten.get(key):
            self.reused += 1
            return waiting
        with self._named():
            found = self._db.execute("SELECT ids, stop FROM completions WHERE key = ?", (key,)).fetchone()
        if found is None:
            return None
        self.reused += 1
        return completion_of(*found)

    def put(self, key: bytes, completion: Completion) -> None:
        self._unwritten[key] = completion
        ids = array("I", completion.ids).tobytes()
        self._pending.append(("INSERT OR IGNORE INTO completions VALUES (?, ?, ?, ?)", (key, self.run, ids, completion.stop_id)))

    def add(self, place: int, traces: Sequence[Trace]) -> None:
        """A question's trace, or those of its rungs; written with the next flush."""
        for rung, trace in enumerate(traces):
            row = as_json(packed(trace))
            self._pending.append(("INSERT OR REPLACE INTO traces VALUES (?, ?, ?, NULL, ?)", (self.run, place, rung, row)))

    def flush(self) -> None:
        """Make what was put and added outlive this process. Ctrl-C waits until it is done."""
        if not self._pending:
            return
        began = time.monotonic()
        with interrupt_later(), self._named():
            self._db.execute("BEGIN IMMEDIATE")
            for statement, values in self._pending:
                self._db.execute(statement, values)
            self._progress("unfinished")
            self._db.execute("COMMIT")
            self._pending.clear()
            self._unwritten.clear()
        self._flushed = time.monotonic()
        self._cost = self._flushed - began

    def flush_when_due(self) -> None:
        """Flush, unless the last time was so short ago that writing would take more than its share of the run.

        A completion every few milliseconds then shares its transaction with others; a slower one is on disk at once, and each
        within two seconds.
        """
        if time.monotonic() - self._flushed >= min(self._cost / WRITING, LATEST):
            self.flush()

    def grade(self, verdicts: Sequence[bool | None]) -> None:
        """Write whether each trace of this run is right (None: not known), in the order of (place, rung)."""
        self.flush()
        with self._named():
            self._db.execute("BEGIN IMMEDIATE")
            places = self._db.execute("SELECT place, rung FROM traces WHERE run = ? ORDER BY place, rung", (self.run,)).fetchall()
            self._db.executemany(
                "UPDATE traces SET correct = ? WHERE run = ? AND place = ? AND rung = ?",
                [(v if v is None else int(v), self.run, *at) for v, at in zip(verdicts, places, strict=True)],
            )
            self._db.execute("COMMIT")

    def import_run(self, run: Run) -> int:
        """Add a run that was made elsewhere; its number here. Its completions are not known, so it can't be continued."""
        with self._named():
            self._db.execute("BEGIN IMMEDIATE")
            started = datetime.now(UTC).isoformat(timespec="seconds")
            cursor = self._db.execute(
                "INSERT INTO runs (started, made, semantics, questions, status) VALUES (?, ?, 'imported', ?, 'imported')",
                (started, json.dumps(run.made), len(run.traces)),
            )
            number = int(cursor.lastrowid or 0)
            for place, trace in enumerate(run.traces):
                row = packed(trace)
                correct = row.pop("correct")
                self._db.execute(
                    "INSERT INTO traces VALUES (?, ?, 0, ?, ?)", (number, place, correct, json.dumps(row | {"correct": None}))
                )
            self._db.execute("COMMIT")
        return number

    def close(self, status: str | None = None) -> None:
        """End the run, with how it ended, and let others write."""
        try:
            with contextlib.suppress(StoreError) if status != "finished" else contextlib.nullcontext():
                if status and self.run:
                    self.flush()
                    with self._named():
                        self._progress(status)
        finally:
            self._db.close()
            self._claim.close()

    def _progress(self, status: str) -> None:
        self._db.execute(
            "UPDATE runs SET wall_s = ?, reused = ?, status = ? WHERE id = ?",
            (time.monotonic() - self._began, self.reused, status, self.run),
        )

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Turn SQLite's errors into a sentence; what is not committed is taken back, what is committed stays."""
        try:
            yield
        except BaseException as why:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            if isinstance(why, sqlite3.Error):
                raise StoreError(fault_of(self.path, why)) from None
            raise


def runs(store: str | Path) -> pandas.DataFrame:
    """The runs of a store as a table, a row each: when, what, on which engine, with what, how far, how long, how many tokens.

    finished: questions that have a trace.
    completions and tokens: what the model wrote for this run.
    reused: completions that were there before.
    status: finished, interrupted, failed, imported, or unfinished (under way, or killed).
    """
    import pandas

    path = Path(store)
    db = open_to_read(path)
    with faults(path), contextlib.closing(db):
        listed = db.execute("SELECT id, started, made, questions, wall_s, reused, status FROM runs ORDER BY id").fetchall()
        finished = dict(db.execute("SELECT run, count(DISTINCT place) FROM traces GROUP BY run"))
        wrote = {
            r: (n, size // 4) for r, n, size in db.execute("SELECT run, count(*), sum(length(ids)) FROM completions GROUP BY run")
        }
    table = []
    for number, started, text, questions, wall_s, reused, status in listed:
        made = json.loads(text)
        completions, tokens = wrote.get(number, (0, 0))
        row = {"run": number, "started": started, "status": status, "questions": questions, "finished": finished.get(number, 0)}
        row |= {"completions": completions, "tokens": tokens, "reused": reused, "wall_s": round(wall_s, 1)}
        versions = made.pop("versions", {})
        named = ("call", "model", "engine", "dtype", "device", "semantics", "temperature", "top_p", "seed", "commit")
        row |= {name: made.get(name) for name in named} | {"versions": ", ".join(f"{k} {v}" for k, v in versions.items())}
        table.append(row)
    return pandas.DataFrame(table)


def read_stored_run(store: str | Path, run: int | None = None) -> Run:
    """One run of a store, the last one with a trace where ``run`` is None; rungs of a ladder follow one another."""
    path = Path(store)
    db = open_to_read(path)
    with faults(path), contextlib.closing(db):
        number = run if run is not None else db.execute("SELECT max(run) FROM traces").fetchone()[0]
        found = db.execute("SELECT made FROM runs WHERE id = ?", (number,)).fetchone()
        rows = db.execute("SELECT correct, row FROM traces WHERE run = ? ORDER BY place, rung", (number,)).fetchall()
    if not found or not rows:
        raise StoreError(f"{path} has no traces" + (f" of a run {run}" if run is not None else "") + ": see lab.runs of it")
    try:
        traces = [unpacked(json.loads(row) | {"correct": None if c is None else bool(c)}) for c, row in rows]
    except (ValueError, KeyError, TypeError) as why:
        raise StoreError(f"{path} is broken: a trace of run {number} can't be read ({why}); put back a copy of it") from None
    return Run(path, json.loads(found[0]), traces)


def stored_template(path: Path) -> BoundTemplate | None:
    """The template and tokenizer that a store keeps; None for another kind of file, or a store of imported runs alone."""
    if not path.is_file() or path.open("rb").read(len(MAGIC)) != MAGIC:
        return None
    db = open_to_read(path)
    with faults(path), contextlib.closing(db):
        found = db.execute("SELECT template, tokenizer FROM models").fetchone()
    return bound(*found) if found else None


def import_run(run: Run, store: str | Path) -> int:
    """Put a run that came as JSON lines or as a Dataset into a store; its number there."""
    opened = Store(store)
    try:
        return opened.import_run(run)
    finally:
        opened.close()


def key_of(prefix: bytes, request: Request) -> bytes:
    fixed = (request.max_tokens, request.min_tokens, *sorted(request.stop))
    drawn = (float(request.temperature), float(request.top_p), request.seed) if request.temperature > 0 else ()
    content = hashlib.blake2b(prefix, digest_size=16)
    content.update(repr((fixed, drawn)).encode())
    content.update(array("I", request.ids).tobytes())
    return content.digest()


def completion_of(ids: bytes, stop: int | None) -> Completion:
    return Completion(tuple(array("I", ids)), stop)


def open_to_read(path: Path) -> sqlite3.Connection:
    """A store that is there, for reading."""
    if not path.is_file():
        raise StoreError(f"no store is at {path}: a call with store={str(path)!r} makes one")
    return _connect(path, write=False)


def _connect(path: Path, write: bool) -> sqlite3.Connection:
    """Open a file and look whether it is a store of this version, whole; a new one is laid out."""
    with faults(path):
        if path.is_dir():
            raise StoreError(f"{path} is a folder: name a file, such as {path / 'store.db'}")
        size = path.stat().st_size if path.exists() else 0
        if size:
            with path.open("rb") as file:
                if file.read(len(MAGIC)) != MAGIC:
                    raise StoreError(
                        f"{path} is no store of s1lab, or its beginning is broken: name another file; it is left as it is"
                    )
        mode = "rwc" if write else "ro"
        if not write and not os.access(path.absolute().parent, os.W_OK):
            mode += "&immutable=1"  # a reader of a WAL store would put two files beside it
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=30)
        try:
            asked = ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
            application, version, tables = (db.execute(sql).fetchone()[0] for sql in asked)
            if tables and application != APPLICATION:
                raise StoreError(f"{path} is a SQLite file of another program: name another file; it is left as it is")
            if tables and version != VERSION:
                raise StoreError(
                    f"{path} is a store of version {version}, and this s1lab reads version {VERSION}: use the s1lab that wrote "
                    "it, or name another file; it is left as it is"
                )
            if tables and size <= CHECKED_BYTES and (fault := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(fault)
            if write:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = NORMAL")  # outlives the process without waiting for the disk at each commit
                if not tables:
                    db.executescript(
                        f"BEGIN; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; {SCHEMA} COMMIT;"
                    )
            elif not tables:
                raise StoreError(f"{path} is an empty store: nothing was written to it yet")
        except BaseException:
            db.close()
            raise
    return db


@contextlib.contextmanager
def faults(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as why:
        raise StoreError(fault_of(path, why)) from None


def fault_of(path: Path, why: sqlite3.Error) -> str:
    words = " ".join(str(why).split())
    if "full" in words or "disk I/O" in words:
        return f"{path} can't be written any more ({words}): make room on its disk and run again; what was stored stays readable"
    if "locked" in words:
        return f"{path} is being written by another program: wait until it ends, or name another file"
    if isinstance(why, sqlite3.OperationalError):
        return f"{path} can't be used: {words}"
    return f"{path} is broken ({words}): name another file, or put back a copy of it; it is left as it is"


def template_text(template: BoundTemplate) -> str:
    return json.dumps(
        {
            "template": asdict(template.template),
            "eos": sorted(template.answer_stop),
            "chat_template_kwargs": dict(template.chat.kwargs),
            "allow_special": template.allow_special,
        }
    )


def tokenizer_bytes(template: BoundTemplate) -> bytes:
    """The tokenizer's files, zipped, below the name of its class: what a replay needs besides the completions."""
    out = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        template.tokenizer.save_pretrained(folder)
        archive.writestr("class", type(template.tokenizer).__name__)
        for file in sorted(Path(folder).rglob("*")):
            if file.is_file():
                archive.write(file, f"files/{file.relative_to(folder).as_posix()}")
    return out.getvalue()


def bound(template: str, tokenizer: bytes) -> BoundTemplate:
    """Load the template and the tokenizer of a store, which may come from anywhere: none of its code runs.

    Args:
        template: As :func:`template_text` writes it.
        tokenizer: As :func:`tokenizer_bytes` writes it.

    Returns:
        The template, bound to the tokenizer.

    Raises:
        StoreError: They can't be read, or the tokenizer can't be loaded without code of its own.

    """
    from s1lab.engines.checkpoint import one_line

    try:
        return _bound(template, tokenizer)
    except Exception as why:  # zipfile, transformers and tokenizers raise anything here
        words = f"{type(why).__name__}: {one_line(why)}"
        if "trust_remote_code" in str(why):
            words = "it can only be loaded by running code that comes with it, which is never done"
        raise StoreError(
            f"the tokenizer that the store keeps can't be loaded ({words}): take a store that s1lab wrote, unchanged"
        ) from why


def _bound(template: str, tokenizer: bytes) -> BoundTemplate:
    import transformers

    stored = json.loads(template)
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(io.BytesIO(tokenizer)) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
        if size > LARGEST_TOKENIZER:
            raise ValueError(f"unpacked it has {size:,} bytes")
        archive.extractall(folder)
        kind: Any = getattr(transformers, archive.read("class").decode(), None)
        if not (isinstance(kind, type) and issubclass(kind, transformers.PreTrainedTokenizerBase)):
            kind = transformers.AutoTokenizer
        loaded = kind.from_pretrained(f"{folder}/files", trust_remote_code=False)
    fields = stored["template"] | {"ends": tuple(stored["template"]["ends"])}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its notes were given when the model was loaded
        return bind(
            ThinkTemplate(**fields),
            loaded,
            set(stored["eos"]),
            chat_template_kwargs=stored.get("chat_template_kwargs"),
            allow_special=stored.get("allow_special", True),
            as_of_01="allow_special" not in stored,
        )
