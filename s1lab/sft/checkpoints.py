"""Checkpoints that are written whole or not at all, and how a run resumes from the last one."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from s1lab.storage.files import is_leftover, write_whole

WHOLE = "whole"  # a checkpoint gets this file when all of it is on the disk
SAVING = "saving"  # the folder in which the model is written, until all of it is there
Watch = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Trained:
    """A fine-tuned model.

    Attributes:
        path: The model's folder; ``lab.load(path)`` loads it.
        log: One entry for each step: step, epoch, loss, rate, norm, seconds.
        made: The record of the run: recipe, model, fingerprint, data, rows, tokens, steps, versions
            and, after training, seconds and the first and last loss.
    """

    path: Path
    log: list[dict[str, Any]]
    made: dict[str, Any]

    @property
    def loss(self) -> list[float]:
        """The loss of each step."""
        return [entry["loss"] for entry in self.log]


class Keeper(TrainerCallback):
    """Writes the log as JSON lines while training runs, and marks checkpoints that are whole."""

    def __init__(self, folder: Path, watch: Watch | None) -> None:
        self.folder, self.watch = folder, watch
        self.log: list[dict[str, Any]] = []
        self.seconds, self._since = 0.0, 0.0

    def go_back_to(self, step: int) -> None:
        """Remove the entries that a killed run logged after its last whole checkpoint."""
        path = self.folder / "log.jsonl"
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()
            self.log = [entry for entry in map(_entry, lines) if entry and entry["step"] <= step]
        self.seconds = self.log[-1]["seconds"] if self.log else 0.0
        if int(os.environ.get("RANK", "0")) == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(path, [f"{json.dumps(entry)}\n".encode() for entry in self.log])

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._since = self._since or time.monotonic()

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        if not logs or "loss" not in logs or not state.is_world_process_zero:
            return
        now = time.monotonic()
        self.seconds, self._since = self.seconds + now - self._since, now
        entry = {
            "step": state.global_step,
            "epoch": round(float(logs["epoch"]), 4),
            "loss": float(logs["loss"]),
            "rate": float(logs["learning_rate"]),
            "norm": float(logs.get("grad_norm", 0.0)),
            "seconds": round(self.seconds, 2),
        }
        self.log.append(entry)
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            print(json.dumps(entry), file=file)
        if self.watch:
            self.watch(entry)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / WHOLE).touch()


def record(folder: Path, made: dict[str, Any]) -> None:
    """Write the record of a run to its folder."""
    write_whole(folder / "run.json", [(json.dumps(made, indent=1) + "\n").encode()])


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Read the entries of a run's log."""
    return [
        json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    ]


def _entry(line: str) -> dict[str, Any] | None:
    """Read an entry of the log; None for a line that a kill cut short."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "step" in entry else None


def finished_run(folder: Path, made: dict[str, Any]) -> Trained | None:
    """Find the finished run in a folder.

    Args:
        folder: The folder of the run. It is made if it does not exist.
        made: The record of the run that is asked for.

    Returns:
        The finished run, or None if the run has to begin or to resume.

    Raises:
        ValueError: If the folder holds another run, or files of another kind.
    """
    path = folder / "run.json"
    if not path.exists():
        if folder.is_dir() and not all(map(is_leftover, folder.iterdir())):
            raise ValueError(
                f"{folder} holds files that are no fine-tuning of s1lab: choose another out="
            )
        folder.mkdir(parents=True, exist_ok=True)
        if int(os.environ.get("RANK", "0")) == 0:
            record(folder, made)
        return None
    held = json.loads(path.read_text(encoding="utf-8"))
    plain = json.loads(json.dumps(made))
    if isinstance(held.get("recipe"), dict):
        # version 0.1 had only these rows, and did not record it
        held["recipe"].setdefault("rows", "plain")
    for name in ("model", "fingerprint", "data", "recipe", "cut"):
        if held.get(name) != plain[name]:
            raise ValueError(
                f"{folder} holds a run of another {name}: choose another out=, or remove the folder"
            )
    if "seconds" not in held:
        if int(os.environ.get("RANK", "0")) == 0:
            remove_broken(folder)  # a run that was killed had no time to
        return None
    return Trained(folder, read_log(folder), held)


def last_whole(folder: Path) -> Path | None:
    """Return the last checkpoint that is whole, or None."""
    found = [path.parent for path in folder.glob(f"checkpoint-*/{WHOLE}")]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def remove_broken(folder: Path) -> None:
    """Remove what is not whole: checkpoints, and a model that was being written."""
    shutil.rmtree(folder / SAVING, ignore_errors=True)
    for path in folder.glob("checkpoint-*"):
        if not (path / WHOLE).exists():
            shutil.rmtree(path, ignore_errors=True)


def move_in(folder: Path) -> None:
    """Move the files of a model that was written whole from ``SAVING`` to their places."""
    for path in sorted((folder / SAVING).iterdir()):
        place = folder / path.name
        if place.is_dir():
            shutil.rmtree(place)
        path.replace(place)
    (folder / SAVING).rmdir()
