"""Saved runs: files of JSON lines, written and read. A store's runs are read in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s1lab.storage.files import local
from s1lab.storage.run import Run, packed, read_rows, write_rows
from s1lab.storage.sqlite import is_store
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
    rows = (packed(t, c) for t, c in zip(traces, verdicts, strict=True))
    return write_rows(path, made, rows, len(traces))


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
    path = local(path)
    name, mark, number = str(path).rpartition("#")
    if mark and not path.exists() and Path(name).is_file():
        return read_stored_run(name, _number(Path(name), number))
    if not path.is_file():
        raise FileNotFoundError(
            f"no stored run is at {path}: lab.evaluate(...).save writes one, and s1lab evaluate "
            "--save"
        )
    return read_stored_run(path) if is_store(path) else read_rows(path)


def _number(path: Path, text: str) -> int:
    """The number of a run, as it is behind the "#" of runs/x.db#3."""
    if not is_store(path):
        raise ValueError(f"{path} is no store, but one saved run: leave out #{text}")
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10):
        raise ValueError(
            f"{path}#{text}: behind the # is the number of a run, as s1lab runs lists them: give "
            f"one such as {path}#1, or leave it out for the last run"
        )
    return int(text)
