"""A SQLite cache of completions and traces. Running the same call again resumes from it.

Programs are deterministic given their completions, so a store of completions restores any run. The
run starts again, and the file answers every request that was answered before. A completion is known
by its content: the model's fingerprint, the engine's semantics, the ids it continues, its limits
and stops, and (when sampled) temperature, top_p and seed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import time
from array import array
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s1lab.driver import interrupt_later
from s1lab.engine import Completion, Engine, Request
from s1lab.storage.run import Run, as_json, packed, unpacked
from s1lab.storage.sqlite import MAGIC, StoreError, connect, fault_of, faults, open_to_read
from s1lab.storage.tokenizers import bound, template_text, tokenizer_bytes
from s1lab.tokenization.bound_template import BoundTemplate
from s1lab.trace import Trace

if TYPE_CHECKING:
    pass

WRITING = 1 / 100  # the share of a run's time that it may spend on writing to its store


LATEST = 2.0  # seconds after which a completion is written, however long the last flush took


class Store:
    """A store that is open for one writer. Others may read it meanwhile.

    Any call makes one from a path: ``store="runs/x.db"``. Everything that `flush` has written
    survives a SIGKILL.

    Attributes:
        path: The store's file.
        run: The number of the open run; 0 before `begin`.
        reused: How many completions this run took from the store.

    Raises:
        StoreError: The file is not a store, is broken, has another version, belongs to another
            model, or is being written by another run.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._claim = sqlite3.connect(f"{self.path}.writer", isolation_level=None, timeout=0)
        except (OSError, sqlite3.Error) as why:
            raise StoreError(
                f"no store can be made at {self.path} ({why}): name a file in a folder that can be "
                "written"
            ) from None
        try:
            # The system releases this lock when its holder dies, however it dies.
            self._claim.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as why:
            self._claim.close()
            if "locked" not in str(why):
                raise StoreError(fault_of(self.path, why)) from None
            raise StoreError(
                f"{self.path} is being written by another run: wait until it ends, or give this "
                "one a store of its own"
            ) from None
        try:
            self._db = connect(self.path, write=True)
        except BaseException:
            self._claim.close()
            raise
        self._pending: list[tuple[str, tuple[Any, ...]]] = []
        self._unwritten: dict[bytes, Completion] = {}  # pending completions, not in the file yet
        self.run, self.reused, self._began = 0, 0, 0.0
        self._flushed, self._cost = 0.0, 0.0  # the end of the last flush, and how long it took

    def begin(self, engine: Engine, made: dict[str, Any], questions: int) -> None:
        """Open a run in the store. Everything that follows belongs to it.

        Args:
            engine: The engine that writes the completions.
            made: The settings that are stored with the run.
            questions: The number of questions.

        Raises:
            StoreError: The store belongs to another model.
        """
        fingerprint, self._semantics = engine.fingerprint, engine.semantics
        with self._named():
            known = self._db.execute("SELECT fingerprint, name FROM models").fetchone()
        if known and known[0] != fingerprint:
            raise StoreError(
                f"{self.path} holds completions of another model ({known[1]}, fingerprint "
                f"{known[0][:12]}) than {engine.model} ({fingerprint[:12]}): give this run a store "
                "of its own"
            )
        if not known:
            with self._named():
                self._db.execute(
                    "INSERT INTO models VALUES (?, ?, ?, ?)",
                    (
                        fingerprint,
                        engine.model,
                        template_text(engine.template),
                        tokenizer_bytes(engine.template),
                    ),
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
        """The key of a completion. If it is greedy, temperature, top_p and seed do not count."""
        return key_of(self._prefix, request)

    def get(self, key: bytes) -> Completion | None:
        """Look up a completion; None if the store does not have it."""
        if waiting := self._unwritten.get(key):
            self.reused += 1
            return waiting
        with self._named():
            found = self._db.execute(
                "SELECT ids, stop FROM completions WHERE key = ?", (key,)
            ).fetchone()
        if found is None:
            return None
        self.reused += 1
        return completion_of(*found)

    def put(self, key: bytes, completion: Completion) -> None:
        """Add a completion; written with the next flush."""
        self._unwritten[key] = completion
        ids = array("I", completion.ids).tobytes()
        self._pending.append(
            (
                "INSERT OR IGNORE INTO completions VALUES (?, ?, ?, ?)",
                (key, self.run, ids, completion.stop_id),
            )
        )

    def add(self, place: int, traces: Sequence[Trace]) -> None:
        """Add a question's trace, or those of its rungs; written with the next flush."""
        for rung, trace in enumerate(traces):
            row = as_json(packed(trace))
            self._pending.append(
                (
                    "INSERT OR REPLACE INTO traces VALUES (?, ?, ?, NULL, ?)",
                    (self.run, place, rung, row),
                )
            )

    def flush(self) -> None:
        """Write what was put and added, so that it survives this process. Ctrl-C waits for it."""
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
        """Flush, unless writing would take more than its share of the run's time.

        The last flush may have been too recent for that. Completions that come every few
        milliseconds then share a transaction. A slower one is on disk at once, and every one within
        two seconds.
        """
        if time.monotonic() - self._flushed >= min(self._cost / WRITING, LATEST):
            self.flush()

    def grade(self, verdicts: Sequence[bool | None]) -> None:
        """Store whether each trace of this run is right.

        Args:
            verdicts: True, False, or None if not known, in the order of (place, rung).
        """
        self.flush()
        with self._named():
            self._db.execute("BEGIN IMMEDIATE")
            places = self._db.execute(
                "SELECT place, rung FROM traces WHERE run = ? ORDER BY place, rung", (self.run,)
            ).fetchall()
            self._db.executemany(
                "UPDATE traces SET correct = ? WHERE run = ? AND place = ? AND rung = ?",
                [
                    (v if v is None else int(v), self.run, *at)
                    for v, at in zip(verdicts, places, strict=True)
                ],
            )
            self._db.execute("COMMIT")

    def import_run(self, run: Run) -> int:
        """Add a run that was made elsewhere.

        Its completions are not known, so the run can't be continued.

        Args:
            run: The run.

        Returns:
            Its number in this store.
        """
        with self._named():
            self._db.execute("BEGIN IMMEDIATE")
            started = datetime.now(UTC).isoformat(timespec="seconds")
            cursor = self._db.execute(
                "INSERT INTO runs (started, made, semantics, questions, status) VALUES (?, ?, "
                "'imported', ?, 'imported')",
                (started, json.dumps(run.made), len(run.traces)),
            )
            number = int(cursor.lastrowid or 0)
            for place, trace in enumerate(run.traces):
                row = packed(trace)
                correct = row.pop("correct")
                self._db.execute(
                    "INSERT INTO traces VALUES (?, ?, 0, ?, ?)",
                    (number, place, correct, json.dumps(row | {"correct": None})),
                )
            self._db.execute("COMMIT")
        return number

    def close(self, status: str | None = None) -> None:
        """End the run and let others write.

        Args:
            status: How the run ended. None records nothing.
        """
        try:
            with (
                contextlib.suppress(StoreError)
                if status != "finished"
                else contextlib.nullcontext()
            ):
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
        """Turn SQLite's errors into a sentence. Uncommitted work is undone; the rest stays."""
        try:
            yield
        except BaseException as why:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            if isinstance(why, sqlite3.Error):
                raise StoreError(fault_of(self.path, why)) from None
            raise


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
    path = Path(store)
    db = open_to_read(path)
    with faults(path), contextlib.closing(db):
        number = run if run is not None else db.execute("SELECT max(run) FROM traces").fetchone()[0]
        found = db.execute("SELECT made FROM runs WHERE id = ?", (number,)).fetchone()
        rows = db.execute(
            "SELECT correct, row FROM traces WHERE run = ? ORDER BY place, rung", (number,)
        ).fetchall()
    if not found or not rows:
        raise StoreError(
            f"{path} has no traces"
            + (f" of a run {run}" if run is not None else "")
            + ": see lab.runs of it"
        )
    try:
        traces = [
            unpacked(json.loads(row) | {"correct": None if c is None else bool(c)})
            for c, row in rows
        ]
    except (ValueError, KeyError, TypeError) as why:
        raise StoreError(
            f"{path} is broken: a trace of run {number} can't be read ({why}); put back a copy of "
            "it"
        ) from None
    return Run(path, json.loads(found[0]), traces)


def stored_template(path: Path) -> BoundTemplate | None:
    """The template and tokenizer that a store keeps.

    Args:
        path: The file.

    Returns:
        The template, bound to the tokenizer. None for another kind of file, or a store that has
        only imported runs.
    """
    if not path.is_file() or path.open("rb").read(len(MAGIC)) != MAGIC:
        return None
    db = open_to_read(path)
    with faults(path), contextlib.closing(db):
        found = db.execute("SELECT template, tokenizer FROM models").fetchone()
    return bound(*found) if found else None


def import_run(run: Run, store: str | Path) -> int:
    """Put a run that came as JSON lines or as a Dataset into a store.

    Args:
        run: The run, from `s1lab.storage.read_run` or ``Run.from_dataset``.
        store: The store's file.

    Returns:
        The run's number in the store.

    Raises:
        StoreError: The store can't be used.

    Example:
        lab.evaluate(lab.load("s1-tiny"), lab.tiny.problems(4)).save("run.jsonl")
        number = lab.storage.import_run(lab.storage.read_run("run.jsonl"), "runs/x.db")
    """
    opened = Store(store)
    try:
        return opened.import_run(run)
    finally:
        opened.close()


# The fields of a request that version 0.1 did not have, and those that a greedy one does not use.
LATER = (
    "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty", "banned",
    "logprobs",
)  # fmt: skip
DRAWN = ("top_k", "min_p")
PLAIN = Request((), 0, frozenset())


def key_of(prefix: bytes, request: Request) -> bytes:
    """The key of a request. Temperature, top_p and seed only count if it is sampled.

    What version 0.1 did not have counts only where it is used, so its stores go on as they are.
    """
    fixed = (request.max_tokens, request.min_tokens, *sorted(request.stop))
    drawn = (
        (float(request.temperature), float(request.top_p), request.seed)
        if request.temperature > 0
        else ()
    )
    content = hashlib.blake2b(prefix, digest_size=16)
    content.update(repr((fixed, drawn)).encode())
    content.update(array("I", request.ids).tobytes())
    used = []
    for name in LATER:
        value = getattr(request, name)
        if value != getattr(PLAIN, name) and (request.temperature > 0 or name not in DRAWN):
            used.append((name, sorted(value) if isinstance(value, frozenset) else value))
    if used:
        content.update(repr(used).encode())
    return content.digest()


def completion_of(ids: bytes, stop: int | None) -> Completion:
    """A completion from the columns of its row."""
    return Completion(tuple(array("I", ids)), stop)
