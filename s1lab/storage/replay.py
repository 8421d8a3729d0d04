"""A run beside its store: what the engine writes goes in, what was written before comes out; and a store alone as an engine."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from s1lab.engine import Completion, Engine, Request, collect, submit, withdraw
from s1lab.load import describe
from s1lab.storage.sqlite import StoreError, faults, open_to_read
from s1lab.storage.store import Store, completion_of, key_of
from s1lab.storage.tokenizers import bound
from s1lab.tokenization.bound_template import BoundTemplate
from s1lab.trace import Trace


class Recorded:
    """An engine whose completions go into a store, and come out of it where they are there already.

    Requests with the same content that are in flight together are asked once.
    """

    def __init__(self, engine: Engine, store: Store) -> None:
        self.engine, self.store = engine, store
        self.name, self.model, self.template = engine.name, engine.model, engine.template
        self.context, self.width = engine.context, engine.width
        self.fingerprint, self.semantics = engine.fingerprint, engine.semantics
        self._asked: dict[bytes, list[int]] = {}
        self._contents: dict[int, bytes] = {}
        self._ready: list[tuple[int, Completion]] = []

    def submit(self, key: int, request: Request) -> None:
        content = self.store.key(request)
        if content in self._asked:
            self._asked[content].append(key)
        elif stored := self.store.get(content):
            self._ready.append((key, stored))
        else:
            self._asked[content] = [key]
            self._contents[key] = content
            submit(self.engine, key, request)

    def poll(self) -> list[tuple[int, Completion]]:
        if self._ready:
            done, self._ready = self._ready, []
            return done
        done = []
        for key, completion in collect(self.engine, self._contents):
            content = self._contents.pop(key)
            if not completion.error:  # it may have been the server's bad day
                self.store.put(content, completion)
            done += [(same, completion) for same in self._asked.pop(content)]
        self.store.flush_when_due()
        return done

    def cancel(self) -> None:
        withdraw(self.engine, self._contents)
        self._asked.clear()
        self._contents.clear()
        self._ready.clear()

    def close(self) -> None:
        self.cancel()

    def __enter__(self) -> Recorded:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Recording:
    """A run on its way into a store, or into none: ``engine`` is what to run on."""

    def __init__(self, engine: Engine, store: Store | None) -> None:
        self.store = store
        self.engine: Engine = Recorded(engine, store) if store else engine

    def add(self, place: int, traces: Sequence[Trace]) -> None:
        if self.store:
            self.store.add(place, traces)

    def grade(self, verdicts: Sequence[bool | None]) -> None:
        if self.store:
            self.store.grade(verdicts)


@contextlib.contextmanager
def recording(store: str | Path | Recording | None, engine: Engine, made: dict[str, Any], questions: int) -> Iterator[Recording]:
    """Open the store a call names, as one run of it, and close it when the call ends, however it ends.

    A Recording, as one call passes it to another, is used as it is; None records nothing.
    """
    if isinstance(store, Recording):
        yield store
        return
    if store is None:
        yield Recording(engine, None)
        return
    opened, status = Store(store), "failed"
    try:
        opened.begin(engine, {**describe(engine), "commit": _commit(), **made}, questions)
        yield Recording(engine, opened)
        status = "finished"
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    finally:
        opened.close(status)


class Replay:
    """An engine that answers from a store alone: no model is loaded. Made by :func:`replay`."""

    name, device, width = "store", "none", 64

    def __init__(self, path: str | Path, run: int | None = None) -> None:
        self.path = Path(path)
        self._db = open_to_read(self.path)
        try:
            made, self.semantics, self.fingerprint, self.model, self.template = self._recall(run)
        except BaseException:
            self._db.close()
            raise
        self.context, self.dtype = int(made["context"]), made["dtype"]
        self._prefix = f"{self.fingerprint}\n{self.semantics}\n".encode()
        self._ready: list[tuple[int, Completion]] = []

    def submit(self, key: int, request: Request) -> None:
        with faults(self.path):
            content = (key_of(self._prefix, request),)
            found = self._db.execute("SELECT ids, stop FROM completions WHERE key = ?", content).fetchone()
        missing = Completion((), error=f"{self.path} does not hold this completion: run it with the model {self.model!r}")
        self._ready.append((key, completion_of(*found) if found else missing))

    def poll(self) -> list[tuple[int, Completion]]:
        done, self._ready = self._ready, []
        return done

    def cancel(self) -> None:
        self._ready.clear()

    def close(self) -> None:
        self._db.close()

    def __repr__(self) -> str:
        return f"store engine: {self.model}, out of {self.path}, context {self.context}"

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _recall(self, run: int | None) -> tuple[dict[str, Any], str, str, str, BoundTemplate]:
        with faults(self.path):
            rows = self._db.execute("SELECT id, made, semantics FROM runs WHERE semantics != 'imported'").fetchall()
            model = self._db.execute("SELECT fingerprint, name, template, tokenizer FROM models").fetchone()
        chosen = next((r for r in reversed(rows) if run in (None, r[0])), None)
        if chosen is None or model is None:
            raise StoreError(f"{self.path} has no run{'' if run is None else f' {run}'} to replay: it has {[r[0] for r in rows]}")
        return json.loads(chosen[1]), chosen[2], model[0], model[1], bound(model[2], model[3])


def replay(store: str | Path, run: int | None = None) -> Replay:
    """An engine out of a store, for ``lab.force`` and all others: the same calls give the same results with no model loaded.

    run: whose engine to stand in for, where several have written to the store; None is the last. What the store does not hold
    comes back as a trace with its ``error``. StoreError for a path that is no store.
    """
    return Replay(store, run)


def _commit() -> str | None:
    """The commit of the repository this process works in, "+" behind it where files differ from it; None where there is none."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None
