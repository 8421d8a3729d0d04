"""A stored run as data: its traces and settings, as plain data or as rows of a Dataset."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from s1lab.budget import Budget
from s1lab.storage.files import local, write_whole
from s1lab.tokenization.conversation import Conversation, conversation, of_text, to_text
from s1lab.trace import Counted, Source, Trace

FORMAT = {"format": "s1lab run", "version": 2}
FORMAT_01 = {"format": "s1lab run", "version": 1}  # of version 0.1: no line has a digest
SEAL = ', "digest": "'  # what begins the last field of a line
_SURROGATE = re.compile("[\ud800-\udfff]")
AS_JSON = ("source", "budget", "counts")  # the columns that a Dataset holds as JSON text
# Fields that the first stored runs lack. A trace that is stored without one has this value.
LATER: dict[str, Any] = {
    "stops": [],
    "answer_cut": False,
    "dropped": 0,
    "counts": {},
    "logprobs": [],
}


@dataclass(frozen=True)
class StoredTrace(Counted):
    """A trace as it was written.

    It has the fields of `s1lab.Trace`, with its answer as text.

    Attributes:
        question: The question: a text, or the messages of a conversation as a tuple.
        sample: The sample number of the question.
        ids: Every id, the prompt first.
        source: The source of each id.
        budget: The budget; None without thinking.
        answer: The answer as text.
        waits: How many stops were suppressed.
        cut: Whether the thinking was closed by force.
        notes: Sentences that a reader of this run must know.
        error: A sentence if the question could not be run to its end, else None.
        correct: Whether the answer is right; None if not known.
        stops: The positions in ``ids`` at which the model stopped.
        answer_cut: Whether the answer was cut before its end.
        dropped: How many ids the model wrote that were thrown away.
        counts: Further counts of a program, by name.
        logprobs: The log-probability of each id, with the precision of float32; NaN for an id that
            was forced. Empty if they were not asked for.
    """

    question: str | Conversation
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
    logprobs: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Run:
    """A stored run.

    Attributes:
        path: The file it was read from.
        made: The settings it was made with.
        traces: Its traces.

    Example:
        lab.force(lab.load("s1-tiny"), "How many r in raspberry?", store="runs/x.db")
        run = lab.storage.read_run("runs/x.db")
        print(run.to_dataset()[0])
    """

    path: Path
    made: dict[str, Any]
    traces: list[StoredTrace]

    def __repr__(self) -> str:
        named = " ".join(
            str(self.made[name]) for name in ("call", "model", "engine") if name in self.made
        )
        return f"Run({named}, {len(self.traces)} traces, {self.path})"

    def to_dataset(self) -> Dataset:
        """Turn the run into a Dataset with a row for each trace.

        Returns:
            The Dataset, with the columns of `StoredTrace` and "made". The columns "source",
            "budget", "counts" and "made" are JSON text, and so is the question of a conversation.
        """
        columns: dict[str, list[Any]] = {
            name: [] for name in (*StoredTrace.__dataclass_fields__, "made")
        }
        made = json.dumps(self.made)
        for trace in self.traces:
            row = LATER | packed(trace) | {"made": made, "question": to_text(trace.question)}
            for name, value in row.items():
                shown = _whole(value) if isinstance(value, str) else value
                columns[name].append(json.dumps(value) if name in AS_JSON else shown)
        return Dataset.from_dict(columns)

    @classmethod
    def from_dataset(cls, rows: Dataset, path: str | Path = "a dataset") -> Run:
        """Read a run from a Dataset that `to_dataset` made.

        Args:
            rows: The Dataset.
            path: The run's path, for messages.

        Returns:
            The run.

        Raises:
            ValueError: The Dataset is of another kind.
        """
        there = rows.column_names
        fields = [
            name for name in StoredTrace.__dataclass_fields__ if name in there or name not in LATER
        ]
        missing = [c for c in (*fields, "made") if c not in there]
        if missing or not len(rows):
            raise ValueError(
                "this Dataset is no run: "
                f"{f'column {missing[0]!r} is missing' if missing else 'it has no rows'}"
            )
        traces = []
        for row in rows:
            made = json.loads(row.pop("made"))
            row["question"] = of_text(row["question"])
            traces.append(
                unpacked(
                    {
                        name: json.loads(row[name]) if name in AS_JSON else row[name]
                        for name in fields
                    }
                )
            )
        return cls(Path(path), made, traces)

    def save(self, path: str | Path) -> Path:
        """Write the run as JSON lines to a new file.

        Args:
            path: The new file.

        Returns:
            The path.

        Raises:
            FileExistsError: The file exists. It is not overwritten.
        """
        return write_rows(path, self.made, map(packed, self.traces), len(self.traces))


def _whole(text: str) -> str:
    """A text that a Dataset can hold: half of a surrogate pair becomes its escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def as_json(row: Any) -> str:
    """A row as JSON that UTF-8 can hold.

    Half of a surrogate pair is escaped. A cut question may have one.
    """
    text = json.dumps(row, ensure_ascii=False)
    return text if not _SURROGATE.search(text) else json.dumps(row)


def packed(trace: Trace | StoredTrace, correct: bool | None = None) -> dict[str, Any]:
    """A trace as plain data, its sources as pairs [source, how many]."""
    later = {name: value for name in LATER if (value := getattr(trace, name))}
    if trace.logprobs:
        later["logprobs"] = [None if math.isnan(p) else shortest(p) for p in trace.logprobs]
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
    """The trace of `packed`'s data. ValueError, KeyError or TypeError for anything else."""
    asked, ids = row["question"], row["ids"]
    if not all(type(i) is int and 0 <= i < 2**32 for i in ids):
        raise ValueError("ids are not whole numbers")
    source: list[Source] = []
    for name, count in row["source"]:
        # The count is checked before the list is made: a file may say 10,000,000,000.
        if type(count) is not int or not 0 < count <= len(ids) - len(source):
            raise ValueError("ids and sources differ in number")
        source += [Source(name)] * count
    if len(source) != len(ids):
        raise ValueError("ids and sources differ in number")
    logprobs = [
        # One NaN for all: lists with it in the same places are equal.
        math.nan if p is None or math.isnan(p) else float(np.float32(p))
        for p in row.get("logprobs", [])
    ]
    if len(logprobs) not in (0, len(source)):
        raise ValueError("ids and log-probabilities differ in number")
    row = row | {"logprobs": logprobs}
    return StoredTrace(
        **row
        | {
            "question": asked if isinstance(asked, str) else conversation(asked),
            "source": source,
            "budget": _budget(row["budget"]) if row["budget"] else None,
        }
    )


def shortest(value: float) -> float:
    """The number with the fewest digits that is the same in float32."""
    return float(str(np.float32(value)))


def _budget(fields: dict[str, Any]) -> Budget:
    """A stored budget. Version 0.1 had one number for ``answer_tokens`` and ``answer_room``."""
    return Budget(**{"answer_room": fields["answer_tokens"]} | fields)


def write_rows(
    path: str | Path, made: dict[str, Any], rows: Iterable[dict[str, Any]], count: int
) -> Path:
    """Write a run as JSON lines, whole or not at all. FileExistsError if the file exists."""
    path = local(path)
    header: dict[str, Any] = {**FORMAT, "made": made, "traces": count}
    write_whole(path, map(_sealed, chain([header], rows)), new=True)
    return path


def _sealed(row: dict[str, Any]) -> bytes:
    """A line of a saved run: JSON with a digest of what is before it."""
    text = as_json(row)[:-1].encode()
    return text + f'{SEAL}{_digest(text)}"}}\n'.encode()


def _digest(text: bytes) -> str:
    return hashlib.blake2b(text, digest_size=8).hexdigest()


def read_rows(path: Path) -> Run:
    """Read a run from JSON lines.

    Raises:
        ValueError: The file is no saved run, or was changed. The message names the line.
    """
    traces: list[StoredTrace] = []
    header: dict[str, Any] = {}
    number = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                row = json.loads(line)
                if number == 1:
                    header = row
                    kind = {name: row.get(name) for name in FORMAT}
                    if kind not in (FORMAT, FORMAT_01):
                        raise ValueError("no header of this version")
                if header["version"] != FORMAT_01["version"]:
                    _check_seal(line)
                    del row["digest"]
                if number > 1:
                    traces.append(unpacked(row))
        made = header["made"] if header else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as why:
        raise ValueError(f"{path} is no stored run of this version: line {number}: {why}") from None
    if not isinstance(made, dict):
        raise ValueError(f"{path} is no stored run: it is empty, or has no settings")
    if header.get("traces", len(traces)) != len(traces):
        raise ValueError(
            f"{path} has {len(traces)} traces of the {header['traces']} that were saved: put back "
            "a copy of the file"
        )
    return Run(path, made, traces)


def _check_seal(line: bytes) -> None:
    text, _, digest = line.rstrip(b"\r\n").rpartition(SEAL.encode())
    if digest != f'{_digest(text)}"}}'.encode():
        raise ValueError("it was changed on disk (its digest differs): put back a copy of the file")
