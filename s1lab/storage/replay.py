"""Run an engine with a store beside it, or replay a store without any model.

The store keeps what the engine writes, and answers requests that were answered before.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from s1lab.driver import Member
from s1lab.engine import Completion, Engine, Progress, Request, Usage
from s1lab.engines.description import describe
from s1lab.storage.completion_row import joined, key_of, look_up, resumable
from s1lab.storage.files import local
from s1lab.storage.run_table import run_rows, settings
from s1lab.storage.sqlite import ChangedRow, StoreError, faults, open_to_read, snapshot, version_of
from s1lab.storage.store import Store
from s1lab.storage.stored_run import stored_model
from s1lab.storage.tokenizers import bound
from s1lab.tokenization.bound_template import BoundTemplate
from s1lab.trace import Trace

NOTHING = Usage()  # what a completion from a store takes from an engine


class Recorded:
    """An engine with a store: completions go into the store, or come from it if they are there.

    Requests with the same content that are in flight together go to the engine once. Reports of
    what has been written go to the first of them. What a cancelled request had written is stored
    too: where the same request can go on after it, the engine is asked for the rest.
    """

    def __init__(self, engine: Engine, store: Store) -> None:
        self.engine, self.store = engine, store
        self.name, self.model, self.template = engine.name, engine.model, engine.template
        self.context, self.width = engine.context, engine.width
        self.fingerprint, self.semantics = engine.fingerprint, engine.semantics
        self._member = Member(engine)
        self._asked: dict[bytes, list[int]] = {}  # content -> the keys of those who ask for it
        self._contents: dict[int, bytes] = {}  # key of the engine's request -> its content
        self._requests: dict[bytes, Request] = {}
        self._before: dict[bytes, Completion] = {}  # content -> what an earlier run had written
        self._ready: list[tuple[int, Completion | Progress]] = []

    def submit(self, key: int, request: Request) -> None:
        content = self.store.key(request)
        if content in self._asked:
            self._asked[content].append(key)
        elif stored := self.store.get(content):
            self._ready.append((key, replace(stored, usage=NOTHING)))
        else:
            self._asked[content], self._requests[content] = [key], request
            before = self._beginning(content, request)
            if before:
                self._before[content] = before
                if request.partial:
                    self._ready.append((key, Progress(before.ids, before.logprobs)))
                n = len(before.ids)
                request = replace(
                    request,
                    ids=request.ids + before.ids,
                    max_tokens=request.max_tokens - n,
                    min_tokens=max(0, request.min_tokens - n),
                )
            self._contents[self._member.submit(request)] = content

    def _beginning(self, content: bytes, request: Request) -> Completion | None:
        """What the store has of a completion that was cancelled, if the request can go on there."""
        found = self.store.begun(content) if resumable(request) else None
        if found is None:
            return None
        # The engine writes at least one id: it says how the completion ended.
        ids = found.ids[: request.max_tokens - 1]
        likely = found.logprobs[: len(ids)] if found.logprobs is not None else None
        if not ids or (likely is None) != (request.logprobs is None):
            return None
        return Completion(ids, cancelled=True, logprobs=likely)

    def _whole(self, content: bytes, rest: Completion) -> Completion:
        """Put a completion together, and into the store if it can be used again."""
        request, before = self._requests.pop(content), self._before.pop(content, None)
        whole = joined(before, rest) if before else rest
        # An error may be temporary, and the beginning of a sampled completion is of no use.
        if whole.error or (whole.cancelled and not resumable(request)):
            self.store.tokens += len(rest.ids)
        else:
            self.store.put(content, whole, len(before.ids) if before else 0)
        return whole

    def poll(self) -> list[tuple[int, Completion | Progress]]:
        told: list[tuple[int, Completion | Progress]] = [*self._ready]
        self._ready.clear()
        if told:
            return told
        for key, what in self._member.collect():
            content = self._contents[key]
            if isinstance(what, Progress):
                told.append((self._asked[content][0], what))
                continue
            del self._contents[key]
            whole = self._whole(content, what)
            first, *others = self._asked.pop(content)  # the engine worked for the first one alone
            told += [(first, whole), *((key, replace(whole, usage=NOTHING)) for key in others)]
        self.store.flush_when_due()
        return told

    def cancel(self, keys: Iterable[int] | None = None) -> dict[int, Completion]:
        gone = None if keys is None else set(keys)
        out = {key: what for key, what in self._ready if gone is None or key in gone}
        self._ready = [pair for pair in self._ready if pair[0] not in out]
        dropped = {key: what for key, what in out.items() if isinstance(what, Completion)}
        for inner, content in [*self._contents.items()]:
            left = [key for key in self._asked[content] if gone is not None and key not in gone]
            mine = [key for key in self._asked[content] if key not in left]
            if not mine:
                continue
            # Others go on with the same request.
            written = Completion((), cancelled=True, usage=NOTHING)
            if not left:
                written = self._whole(content, self._member.cancel([inner]).get(inner, written))
                del self._contents[inner], self._asked[content]
            else:
                self._asked[content] = left
            dropped |= dict.fromkeys(mine, replace(written, usage=NOTHING))
            dropped[mine[0]] = written
        return dropped

    def close(self) -> None:
        self.cancel()
        self._member.leave()

    def __enter__(self) -> Recorded:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Recording:
    """A run that is written to a store, or to none. Programs run on its ``engine``."""

    def __init__(self, engine: Engine, store: Store | None) -> None:
        self.store = store
        self.engine: Engine = Recorded(engine, store) if store else engine

    def add(self, place: int, traces: Sequence[Trace]) -> None:
        """Add a question's traces to the store, if there is one."""
        if self.store:
            self.store.add(place, traces)

    def grade(self, verdicts: Sequence[bool | None]) -> None:
        """Store whether each trace is right, if there is a store."""
        if self.store:
            self.store.grade(verdicts)


@contextlib.contextmanager
def recording(
    store: str | Path | Recording | None, engine: Engine, made: dict[str, Any], questions: int
) -> Iterator[Recording]:
    """Open a call's store as one run of it, and close it however the call ends.

    Args:
        store: The store's file. A Recording, which one call may pass to another, is used as it is.
            None records nothing.
        engine: The engine to run on.
        made: The settings that are stored with the run.
        questions: The number of questions.

    Yields:
        The Recording.

    Raises:
        StoreError: The store can't be used.
    """
    if isinstance(store, Recording):
        yield store
        return
    if store is None:
        yield Recording(engine, None)
        return
    opened, status = Store(store), "failed"
    record = None
    try:
        opened.begin(engine, {**describe(engine), "commit": _commit(), **made}, questions)
        record = Recording(engine, opened)
        yield record
        status = "finished"
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    finally:
        if record:
            record.engine.close()
        opened.close(status)


class Replay:
    """An engine that answers from a store alone; no model is loaded. `replay` makes it."""

    name, device, width = "store", "none", 64

    def __init__(self, path: str | Path, run: int | None = None) -> None:
        self.path = local(path)
        self._db = open_to_read(self.path)
        try:
            self._version = version_of(self._db)
            made, self.semantics, self.fingerprint, self.model, self.template = self._recall(run)
        except BaseException:
            self._db.close()
            raise
        self.context, self.dtype = int(made["context"]), made["dtype"]
        self._prefix = f"{self.fingerprint}\n{self.semantics}\n".encode()
        self._ready: list[tuple[int, Completion]] = []

    def submit(self, key: int, request: Request) -> None:
        why = f"{self.path} does not hold this completion"
        found = None
        with faults(self.path):
            try:
                content = key_of(self._prefix, request)
                found = look_up(self._db, self.path, self._version, content)
            except ChangedRow as changed:
                why = str(changed)
        done = found or Completion((), error=f"{why}: run it with the model {self.model!r}")
        self._ready.append((key, replace(done, usage=NOTHING)))

    def poll(self) -> list[tuple[int, Completion | Progress]]:
        done, self._ready = self._ready, []
        return [*done]

    def cancel(self, keys: Iterable[int] | None = None) -> dict[int, Completion]:
        gone = None if keys is None else set(keys)
        dropped = {key: done for key, done in self._ready if gone is None or key in gone}
        self._ready = [pair for pair in self._ready if pair[0] not in dropped]
        return dropped

    def close(self) -> None:
        self._db.close()

    def __repr__(self) -> str:
        return f"store engine: {self.model}, out of {self.path}, context {self.context}"

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _recall(self, run: int | None) -> tuple[dict[str, Any], str, str, str, BoundTemplate]:
        with faults(self.path), snapshot(self._db):
            rows = [r for r in run_rows(self._db, self.path) if r.semantics != "imported"]
            model = stored_model(self._db, self.path)
        chosen = next((r for r in reversed(rows) if run in (None, r.id)), None)
        if chosen is None or model is None:
            raise StoreError(
                f"{self.path} has no run{'' if run is None else f' {run}'} to replay: it has "
                f"{[r.id for r in rows]}"
            )
        made = settings(self.path, chosen)
        return made, chosen.semantics, model[0], model[1], bound(model[2], model[3])


def replay(store: str | Path, run: int | None = None) -> Replay:
    """Make an engine from a store, for ``lab.force`` and all other calls.

    The same calls give the same results, and no model is loaded. A question whose completion is not
    in the store comes back as a trace with its ``error``.

    Args:
        store: The store's file.
        run: The number of the run whose engine to replace, if several have written to the store.
            None is the last one.

    Returns:
        The engine.

    Raises:
        StoreError: The path is not a store, or the store has no such run.

    Example:
        import s1lab as lab

        lab.force(lab.load("s1-tiny"), "How many r in raspberry?", store="runs/x.db")
        trace = lab.force(lab.replay("runs/x.db"), "How many r in raspberry?")
    """
    return Replay(store, run)


def _commit() -> str | None:
    """The commit of the repository that this process works in; None if there is none.

    A "+" follows it if files differ from it.
    """

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + (
            "+" if git("status", "--porcelain", "--untracked-files=no") else ""
        )
    except (OSError, subprocess.SubprocessError):
        return None
