"""Saved runs: files of JSON lines, written and read. A store's runs are read in the same way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s1lab.storage.run import FORMAT, Run, packed, unpacked, write_rows
from s1lab.storage.sqlite import MAGIC
from s1lab.storage.stored_run import read_stored_run
from s1lab.trace import Trace


def write_run(
    path: str | Path,
    traces: Sequence[Trace],
    made: dict[str, Any],
    correct: Sequence[bool | None] | None = None,
) -> Path:
    """Write traces as JSON lines, whole or not at all.

    Args:
        path: The new file.
        traces: The traces.
        made: The settings that are stored with the run.
        correct: Whether each trace is right; None if not known.

    Returns:
        The path.

    Raises:
        FileExistsError: The file exists. It is not overwritten.

    Example:
        trace = lab.force(lab.load("s1-tiny"), "How many r in raspberry?")
        write_run("run.jsonl", [trace], {"model": "s1-tiny"})
    """
    verdicts: Sequence[bool | None] = correct or [None] * len(traces)
    return write_rows(path, made, (packed(t, c) for t, c in zip(traces, verdicts, strict=True)))


def read_run(path: str | Path) -> Run:
    """Read a run from JSON lines or from a store.

    Args:
        path: A file of `write_run`, or a store: "runs/x.db" (its last run) or "runs/x.db#3"
            (its run 3).

    Returns:
        The run.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a stored run of this version. The message names the file and the
            line.

    Example:
        import s1lab as lab

        lab.force(lab.load("s1-tiny"), "How many r in raspberry?", store="runs/x.db")
        print(lab.storage.read_run("runs/x.db").traces[0].answer)
    """
    name, _, number = str(path).rpartition("#")
    if name and number.isdigit() and not Path(path).exists():
        return read_stored_run(name, int(number))
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no stored run is at {path}: lab.evaluate(...).save writes one, and s1lab evaluate "
            "--save"
        )
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
        raise ValueError(
            f"{path} is no stored run of this version: line {line_number}: {why}"
        ) from None
    if made is None:
        raise ValueError(f"{path} is no stored run: it is empty")
    return Run(path, made, traces)
