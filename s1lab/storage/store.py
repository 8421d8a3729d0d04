"""A SQLite cache of completions and traces. Running the same call again resumes from it.

Programs are deterministic given their completions, so a store of completions restores any run. The
run starts again, and the file answers every request that was answered before. A completion is known
by its content: the model's fingerprint, the engine's semantics, the ids it continues, its limits
and stops, and (when sampled) temperature, top_p and seed.

New stores have schema 2: rows with digests, log-probabilities, and the beginnings of completions
that were cancelled. A store of version 0.1 (schema 1) is continued with the rows that it knows.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
import warnings
from array import array
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from s1lab.driver import interrupt_later
from s1lab.engine import Completion, Engine, Request
from s1lab.storage.completion_row import digest, key_of, logprobs_bytes, look_up
from s1lab.storage.files import local
from s1lab.storage.run import Run, as_json, packed
from s1lab.storage.sqlite import (
    CLOSED,
    FAULTS,
    OPEN,
    ChangedRow,
    StoreError,
    checkpoint,
    claim,
    connect,
    fault_of,
    log_of,
    version_of,
)
from s1lab.storage.stored_run import stored_model
from s1lab.storage.tokenizers import template_text, tokenizer_bytes
from s1lab.trace import Trace

WRITING = 1 / 100  # the share of a run's time that it may spend on writing to its store
AT = "WHERE run = ? AND place = ? AND rung = ?"
LATEST = 2.0  # seconds after which a completion is written, however long the last flush took


class Store:
    """A store that is open for one writer. Others may read it meanwhile.

    Any call makes one from a path: ``store="runs/x.db"``. Everything that `flush` has written
    survives a SIGKILL.

    Attributes:
        path: The store's file.
        run: The number of the open run; 0 before `begin`.
        reused: How many completions this run took from the store.
        tokens: How many ids the engine wrote for this run.
        version: The schema of the file. A store of version 0.1 keeps its own, 1: its rows have no
            digest, and it holds no log-probabilities and no prefixes.

    Raises:
        StoreError: The file is not a store, is broken, has another version, belongs to another
            model, or is being written by another run.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = local(path)
        self._claim = claim(self.path)
        try:
            self._db = connect(self.path, write=True)
            self.version = version_of(self._db)
        except BaseException:
            self._claim.close()
            raise
        self._pending: list[tuple[str, tuple[Any, ...]]] = []
        # Pending completions, and pending prefixes of completions: they are not in the file yet.
        self._unwritten: dict[bytes, Completion] = {}
        self._begun: dict[bytes, Completion] = {}
        self.run, self.reused, self._began = 0, 0, 0.0
        self.tokens, self._completions = 0, 0
        self._traces: set[tuple[int, int]] = set()  # the place and the rung of each stored one
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
            known = stored_model(self._db, self.path)
        if known and known[0] != fingerprint:
            raise StoreError(
                f"{self.path} holds completions of another model ({known[1]}, fingerprint "
                f"{known[0][:12]}) than {engine.model} ({fingerprint[:12]}): give this run a store "
                "of its own"
            )
        self._started = datetime.now(UTC).isoformat(timespec="seconds")
        self._made, self._questions = json.dumps(made), questions
        self._prefix = f"{fingerprint}\n{self._semantics}\n".encode()
        with self._transaction():
            if not known:
                template = engine.template
                columns = (template_text(template), tokenizer_bytes(template))
                self._db.execute(*self._insert("models", fingerprint, engine.model, *columns))
            number, self._began = self._next_run(), time.monotonic()
            self._db.execute(*self._run_row(number, 0.0, "unfinished"))
            self._set_state(OPEN)
        self.run = number
        checkpoint(self._db)  # a copy of the file alone shows that this run was not finished

    def key(self, request: Request) -> bytes:
        """The key of a completion. If it is greedy, temperature, top_p and seed do not count.

        Raises:
            StoreError: The request asks for log-probabilities, and this store can't hold them.
        """
        if self.version == 1 and request.logprobs is not None:
            raise self._too_old()
        return key_of(self._prefix, request)

    def get(self, key: bytes) -> Completion | None:
        """Look up a completion; None if the store does not have it.

        A completion that was changed on disk is named in a warning. It is None, so it is asked for
        again.
        """
        found = self._unwritten.get(key) or self._stored(key, "completions")
        self.reused += found is not None
        return found

    def begun(self, key: bytes) -> Completion | None:
        """What a cancelled request had written; None if the store has nothing of it."""
        if self.version == 1:
            return None
        return self._begun.get(key) or self._stored(key, "prefixes")

    def put(self, key: bytes, completion: Completion, known: int = 0) -> None:
        """Add a completion; written with the next flush.

        A cancelled one is what the request had written until then. The store keeps it apart, for a
        run that asks for the rest.

        Args:
            key: The key of its request.
            completion: The completion.
            known: How many of its first ids this store had already.
        """
        if completion.cancelled and (self.version == 1 or len(completion.ids) <= known):
            return
        columns: tuple[Any, ...] = (key, self.run, array("I", completion.ids).tobytes())
        table, waiting = "prefixes", self._begun
        if not completion.cancelled:
            table, waiting, columns = "completions", self._unwritten, (*columns, completion.stop_id)
        waiting[key] = completion
        if self.version > 1:
            likely = logprobs_bytes(completion.logprobs)
            columns = (*columns, digest(*columns, likely))
            if likely is not None:
                self._pending.append(_replace("logprobs", key, likely))
        self._pending.append(_replace(table, *columns))
        if known and not completion.cancelled:
            self._begun.pop(key, None)
            self._pending.append(("DELETE FROM prefixes WHERE key = ?", (key,)))
        self.tokens += len(completion.ids) - known
        self._completions += not completion.cancelled

    def add(self, place: int, traces: Sequence[Trace]) -> None:
        """Add a question's trace, or those of its rungs; written with the next flush."""
        for rung, trace in enumerate(traces):
            self._pending.append(self._trace_row(self.run, place, rung, None, packed(trace)))
            self._traces.add((place, rung))

    def _trace_row(
        self, run: int, place: int, rung: int, correct: int | None, row: dict[str, Any]
    ) -> tuple[str, tuple[Any, ...]]:
        """The statement that adds a trace, from the data of `packed`."""
        logprobs = row.pop("logprobs", None)
        if self.version == 1:
            if logprobs:
                raise self._too_old()
            return self._insert("traces", run, place, rung, correct, as_json(row))
        likely = np.array(logprobs, "<f4").tobytes() if logprobs else None  # None becomes NaN
        return self._insert("traces", run, place, rung, correct, as_json(row), likely)

    def _insert(self, table: str, *columns: Any) -> tuple[str, tuple[Any, ...]]:
        """The statement that writes a row, with its digest if the store has them."""
        return _replace(table, *columns, *([digest(*columns)] if self.version > 1 else []))

    def _stored(self, key: bytes, table: str) -> Completion | None:
        """Look up a completion, or the beginning of one, in the file."""
        try:
            with self._named():
                return look_up(self._db, self.path, self.version, key, table)
        except ChangedRow as why:
            warnings.warn(f"{why}: it is asked for again", stacklevel=2)
            if table == "prefixes":
                self._pending.append(("DELETE FROM prefixes WHERE key = ?", (key,)))
            return None

    def _too_old(self) -> StoreError:
        return StoreError(
            f"{self.path} is a store of version 0.1, which can't hold log-probabilities: rewrite "
            f"it with s1lab runs --upgrade {self.path}, or name another file"
        )

    def flush(self) -> None:
        """Write what was put and added, so that it survives this process. Ctrl-C waits for it."""
        if not self._pending:
            return
        began = time.monotonic()
        with interrupt_later():
            with self._transaction():
                for statement, values in self._pending:
                    self._db.execute(statement, values)
                self._progress("unfinished")
            self._pending.clear()
            self._unwritten.clear()
            self._begun.clear()
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
        with self._transaction():
            places = self._db.execute(
                "SELECT place, rung FROM traces WHERE run = ? ORDER BY place, rung", (self.run,)
            ).fetchall()
            for verdict, (place, rung) in zip(verdicts, places, strict=True):
                at = (self.run, place, rung)
                values: list[Any] = [None if verdict is None else int(verdict)]
                if self.version > 1:
                    rest = self._db.execute(f"SELECT row, logprobs FROM traces {AT}", at).fetchone()
                    values.append(digest(*at, *values, *rest))
                names = ("correct = ?", "digest = ?")[: len(values)]
                self._db.execute(f"UPDATE traces SET {', '.join(names)} {AT}", (*values, *at))

    def import_run(self, run: Run) -> int:
        """Add a run that was made elsewhere.

        Its completions are not known, so the run can't be continued.

        Args:
            run: The run.

        Returns:
            Its number in this store.
        """
        with self._transaction():
            self._set_state(OPEN)
        checkpoint(self._db)
        with self._transaction():
            number = self._next_run()
            self._traces = {(place, 0) for place in range(len(run.traces))}
            self._started = datetime.now(UTC).isoformat(timespec="seconds")
            self._made, self._semantics = json.dumps(run.made), "imported"
            self._questions = len(run.traces)
            self._db.execute(*self._run_row(number, 0.0, "imported"))
            for place, trace in enumerate(run.traces):
                row = packed(trace)
                correct, row["correct"] = row["correct"], None
                verdict = None if correct is None else int(correct)
                self._db.execute(*self._trace_row(number, place, 0, verdict, row))
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
                    with self._transaction():
                        self._progress(status)
        finally:
            with interrupt_later():
                whole = self._end_log()
                self._db.close()
                if not whole:  # an empty log says that nothing is missing
                    with contextlib.suppress(OSError):
                        log_of(self.path).touch()
                self._claim.close()

    def _end_log(self) -> bool:
        """Make the store one file, and say in it that it is. False if that can't be written."""
        for _ in range(2):
            with contextlib.suppress(StoreError):
                with self._transaction():
                    self._set_state(CLOSED)
                checkpoint(self._db)  # after a run, the store is one file
                return True
            checkpoint(self._db)  # on a full disk this makes the room for another try
        return False

    def _set_state(self, state: str) -> None:
        """Write whether the newest part of the store may be in its log."""
        if self.version > 1:
            self._db.execute("UPDATE state SET log = ? WHERE log != ?", (state, state))

    def _next_run(self) -> int:
        return int(self._db.execute("SELECT coalesce(max(id), 0) + 1 FROM runs").fetchone()[0])

    def _progress(self, status: str) -> None:
        seconds = time.monotonic() - self._began
        self._db.execute(*self._run_row(self.run, seconds, status))

    def _run_row(self, run: int, seconds: float, status: str) -> tuple[str, tuple[Any, ...]]:
        """The statement that writes a run's row. Schema 1 has neither its counts nor a digest."""
        columns: tuple[Any, ...] = (
            run, self._started, self._made, self._semantics, self._questions, seconds,
            self.reused, status,
        )  # fmt: skip
        if self.version > 1:
            columns = (*columns, self.tokens, self._completions, len(self._traces))
        return self._insert("runs", *columns)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Write all of it or nothing, and turn SQLite's errors into a sentence."""
        with self._named():
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Turn SQLite's errors into a sentence. Uncommitted work is undone; the rest stays."""
        try:
            yield
        except BaseException as why:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            if isinstance(why, FAULTS):
                raise StoreError(fault_of(self.path, why)) from None
            raise


def _replace(table: str, *columns: Any) -> tuple[str, tuple[Any, ...]]:
    """The statement that writes a row, and its values."""
    return f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(columns))})", columns


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
