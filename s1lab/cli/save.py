"""The files of ``s1lab evaluate --save``: their names, and those that are there already."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import s1lab as lab
from s1lab.cli.shell import new_file
from s1lab.storage.files import local


def rung_file(save: Path | None, rung: str) -> Path | None:
    """Return the file of a rung: runs/x-cap-16.jsonl for "cap 16" and runs/x.jsonl."""
    return (
        save.with_name(f"{save.stem}-{rung.replace(' ', '-')}{save.suffix}")
        if save and rung
        else save
    )


def check_file(file: Path | None, expected: dict[str, Any], budget: lab.Budget | None) -> None:
    """Refuse a file that exists, unless it holds a run of the same command.

    That run is repeated, from the store if there is one, and the file is written again.

    Args:
        file: The file; None for none.
        expected: Settings that the file of the same command has.
        budget: The budget of its traces; None without thinking.

    Raises:
        FileExistsError: The file holds something else.
    """
    if file is None:
        return
    if not os.path.exists(local(file)):
        new_file("--save", file)
        return
    try:
        run = lab.storage.read_run(file)
    except (OSError, ValueError):
        new_file("--save", file)
        return
    others = [name for name, value in expected.items() if not _equal(run.made.get(name), value)]
    others += ["budget"] if any(trace.budget != budget for trace in run.traces) else []
    if others:
        raise FileExistsError(
            f"--save {file} is there already, and holds another run (other: {', '.join(others)}): "
            "choose another name, or remove it first"
        )


def _equal(found: Any, expected: Any) -> bool:
    """Return whether a stored value is the expected one; a mapping may say more."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return all(found.get(name) == value for name, value in expected.items())
    return bool(found == expected)


def save(results: lab.Results, file: Path) -> None:
    """Write a run to its file; a file of the same run is replaced when the new one is whole."""
    file = local(file)
    if not file.exists():
        results.save(file)
        return
    fresh = file.with_name(f".{file.name}.again")
    fresh.unlink(missing_ok=True)
    results.save(fresh)
    fresh.replace(file)
