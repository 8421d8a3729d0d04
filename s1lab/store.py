"""What a run leaves behind: its traces, a line each, below a line that says what made them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from s1lab.budget import Budget
from s1lab.trace import Source, Trace

FORMAT = {"format": "s1lab run", "version": 1}


@dataclass(frozen=True)
class StoredTrace:
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


@dataclass(frozen=True)
class Run:
    """A stored run: ``made`` says with what, ``traces`` are its rows."""

    path: Path
    made: dict[str, Any]
    traces: list[StoredTrace]


def write_run(path: str | Path, traces: Sequence[Trace], made: dict[str, Any], correct: Sequence[bool] | None = None) -> Path:
    """Write traces to ``path`` as JSON lines, whole or not at all. An existing file is not overwritten: FileExistsError."""
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} is there already: choose another name, or remove it first")
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".part")
    with half.open("w", encoding="utf-8") as file:
        print(json.dumps({**FORMAT, "made": made}), file=file)
        for i, trace in enumerate(traces):
            row = {
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
                "correct": None if correct is None else correct[i],
            }
            print(json.dumps(row, ensure_ascii=False), file=file)
    os.replace(half, path)
    return path


def read_run(path: str | Path) -> Run:
    """Read what :func:`write_run` wrote. ValueError, naming file and line, for anything else."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no stored run is at {path}: write one with lab.evaluate(...).save({str(path)!r})")
    made, traces = None, []
    try:
        for number, line in enumerate(path.open(encoding="utf-8"), 1):
            row = json.loads(line)
            if number == 1:
                if {k: row.get(k) for k in FORMAT} != FORMAT:
                    raise ValueError("no header of this version")
                made = row["made"]
                continue
            row["source"] = [Source(name) for name, count in row["source"] for _ in range(count)]
            row["budget"] = Budget(**row["budget"]) if row["budget"] else None
            if len(row["source"]) != len(row["ids"]):
                raise ValueError("ids and sources differ in number")
            traces.append(StoredTrace(**row))
    except (ValueError, KeyError, TypeError, AttributeError) as why:
        raise ValueError(f"{path} is no stored run of this version: line {number}: {why}") from None
    if made is None:
        raise ValueError(f"{path} is no stored run: it is empty")
    return Run(path, made, traces)
