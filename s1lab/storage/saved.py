"""Runs as data that travels: traces below what made them, as JSON lines, as a Dataset, or out of a store."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from datasets import Dataset

from s1lab.budget import Budget
from s1lab.trace import Counted, Source, Trace

FORMAT = {"format": "s1lab run", "version": 1}
_SURROGATE = re.compile("[\ud800-\udfff]")
AS_JSON = ("source", "budget", "counts")  # what a Dataset holds as JSON text
# Fields that the first runs were written without, and what they are where a trace is written without them.
LATER: dict[str, Any] = {"stops": [], "answer_cut": False, "dropped": 0, "counts": {}}


@dataclass(frozen=True)
class StoredTrace(Counted):
    """A trace as it was written: the fields of :class:`s1lab.Trace`, with its answer as text and its verdict."""

    question: str
    sample: int
    ids: list[int]
    source: list[Source]
    budget: Budget | None
    answer: str
    waits: int
    cut: bool
    notes: list[str]
    error: str | None
    correct: bool | None
    stops: list[int] = field(default_factory=list)
    answer_cut: bool = False
    dropped: int = 0
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A stored run: ``made`` says with what, ``traces`` are its rows, ``path`` is where it was read."""

    path: Path
    made: dict[str, Any]
    traces: list[StoredTrace]

    def __repr__(self) -> str:
        named = " ".join(str(self.made[name]) for name in ("call", "model", "engine") if name in self.made)
        return f"Run({named}, {len(self.traces)} traces, {self.path})"

    def to_dataset(self) -> Dataset:
        """A row a trace, with the columns of :class:`StoredTrace`; source, budget, counts and made are JSON text."""
        columns: dict[str, list[Any]] = {name: [] for name in (*StoredTrace.__dataclass_fields__, "made")}
        made = json.dumps(self.made)
        for trace in self.traces:
            row = LATER | packed(trace) | {"made": made}
            for name, value in row.items():
                shown = _whole(value) if isinstance(value, str) else value
                columns[name].append(json.dumps(value) if name in AS_JSON else shown)
        return Dataset.from_dict(columns)

    @classmethod
    def from_dataset(cls, rows: Dataset, path: str | Path = "a dataset") -> Run:
        """What :meth:`to_dataset` made, wherever it has been since. ValueError for a Dataset of another kind."""
        there = rows.column_names
        fields = [name for name in StoredTrace.__dataclass_fields__ if name in there or name not in LATER]
        missing = [c for c in (*fields, "made") if c not in there]
        if missing or not len(rows):
            raise ValueError(f"this Dataset is no run: {f'column {missing[0]!r} is missing' if missing else 'it has no rows'}")
        traces = []
        for row in rows:
            made = json.loads(row.pop("made"))
            traces.append(unpacked({name: json.loads(row[name]) if name in AS_JSON else row[name] for name in fields}))
        return cls(Path(path), made, traces)

    def save(self, path: str | Path) -> Path:
        """Write the run as JSON lines to a new file."""
        return _write(path, self.made, map(packed, self.traces))


def _whole(text: str) -> str:
    """A text that a Dataset can hold: half of a surrogate pair as its escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def as_json(row: Any) -> str:
    """A row as JSON that UTF-8 can hold. Half of a surrogate pair, as a cut question may have, is escaped."""
    text = json.dumps(row, ensure_ascii=False)
    return text if not _SURROGATE.search(text) else json.dumps(row)


def packed(trace: Trace | StoredTrace, correct: bool | None = None) -> dict[str, Any]:
    """A trace as plain data, its sources as runs of [source, how many]."""
    later = {name: value for name in LATER if (value := getattr(trace, name))}
    return later | {
        "question": trace.question,
        "sample": trace.sample,
        "ids": trace.ids,
        "source": [[source, len(list(run))] for source, run in groupby(trace.source)],
        "budget": asdict(trace.budget) if trace.budget else None,
        "answer": trace.answer,
        "waits": trace.waits,
        "cut": trace.cut,
        "notes": trace.notes,
        "error": trace.error,
        "correct": trace.correct if isinstance(trace, StoredTrace) else correct,
    }


def unpacked(row: dict[str, Any]) -> StoredTrace:
    """What :func:`packed` made. ValueError, KeyError or TypeError for anything else."""
    source = [Source(name) for name, count in row["source"] for _ in range(count)]
    if len(source) != len(row["ids"]):
        raise ValueError("ids and sources differ in number")
    return StoredTrace(**row | {"source": source, "budget": _budget(row["budget"]) if row["budget"] else None})


def _budget(fields: dict[str, Any]) -> Budget:
    """A stored budget. Version 0.1 had one number for both: what the answer could have was what the thinking left for it."""
    return Budget(**{"answer_room": fields["answer_tokens"]} | fields)


def write_run(
    path: str | Path, traces: Sequence[Trace], made: dict[str, Any], correct: Sequence[bool | None] | None = None
) -> Path:
    """Write traces to ``path`` as JSON lines, whole or not at all. An existing file is not overwritten: FileExistsError."""
    verdicts: Sequence[bool | None] = correct or [None] * len(traces)
    return _write(path, made, (packed(t, c) for t, c in zip(traces, verdicts, strict=True)))


def _write(path: str | Path, made: dict[str, Any], rows: Iterable[dict[str, Any]]) -> Path:
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} is there already: choose another name, or remove it first")
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".part")
    with half.open("w", encoding="utf-8") as file:
        for row in ({**FORMAT, "made": made}, *rows):
            print(as_json(row), file=file)
    os.replace(half, path)
    return path


def read_run(path: str | Path) -> Run:
    """Read a run: JSON lines of :func:`write_run`, or a store, "runs/x.db" (its last run) or "runs/x.db#3" (its run 3).

    FileNotFoundError or ValueError, naming the file (and line), for anything else.
    """
    from s1lab.storage.sqlite import MAGIC
    from s1lab.storage.store import read_stored_run

    name, _, number = str(path).rpartition("#")
    if name and number.isdigit() and not Path(path).exists():
        return read_stored_run(name, int(number))
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no stored run is at {path}: lab.evaluate(...).save writes one, and s1lab evaluate --save")
    with path.open("rb") as file:
        if file.read(len(MAGIC)) == MAGIC:
            return read_stored_run(path)
    made, traces, line_number = None, [], 0
    try:
        for line_number, line in enumerate(path.open(encoding="utf-8"), 1):
            row = json.loads(line)
            if line_number == 1:
                if {k: row.get(k) for k in FORMAT} != FORMAT:
                    raise ValueError("no header of this version")
                made = row["made"]
                continue
            traces.append(unpacked(row))
    except (ValueError, KeyError, TypeError, AttributeError) as why:
        raise ValueError(f"{path} is no stored run of this version: line {line_number}: {why}") from None
    if made is None:
        raise ValueError(f"{path} is no stored run: it is empty")
    return Run(path, made, traces)
