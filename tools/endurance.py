"""Turn bits, kill processes and fill disks, and count what held.

python -m tools.endurance [--share 1.0] [--seed 0] [--only WORD]

Each try damages something at a random place or moment, and then uses it as a user would. It holds
if every result is the right one, or a sentence names the file. It does not hold if a result is
silently another one, if an exception of a library comes out, or if later calls are refused for
good.

Full disks are small file systems in memory (tmpfs). Where those can't be mounted, a limit on the
size of files stands for them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pickle
import random
import resource
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from datasets import disable_progress_bars
from typer.testing import CliRunner

import s1lab as lab
from s1lab.storage import StoreError, read_run
from s1lab.storage.files import write_whole

BUDGET = lab.Budget(max_tokens=60, waits=1)
SAMPLED: dict[str, Any] = {"temperature": 0.3, "seed": 5}


class Work:
    """What is damaged: a store, a saved run, and the right results of both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engine = lab.load("s1-tiny", max_batch=4)
        self.problems = lab.tiny.problems(6, seed=12, split="dev")
        self.questions = list(self.problems["question"])
        self.store = folder / "whole.db"
        results = lab.evaluate(self.engine, self.problems, BUDGET, store=self.store, progress=False)
        lab.force(
            self.engine, self.questions[:2], BUDGET, store=self.store, logprobs=2, progress=False
        )
        self.saved = results.save(folder / "whole.jsonl")
        self.results = results
        self.ids = [trace.ids for trace in results.traces]
        self.runs = [read_run(f"{self.store}#{number}") for number in (1, 2)]
        self.table = lab.runs(self.store)

    @cached_property
    def many(self) -> list[str]:
        return list(lab.tiny.problems(24, seed=13, split="dev")["question"])

    @cached_property
    def sampled(self) -> tuple[list[list[int]], int]:
        """The right ids of a longer run, and how many of them its engine wrote."""
        store = self.folder / "sampled.db"
        traces = lab.force(self.engine, self.many, BUDGET, store=store, progress=False, **SAMPLED)
        return [trace.ids for trace in traces], int(lab.runs(store).tokens.sum())

    @cached_property
    def seconds(self) -> float:
        """How long that run takes in a process of its own."""
        _, began = self.sampled, time.monotonic()
        store = self.folder / "timed.db"
        forked(
            lambda: lab.force(
                self.engine, self.many, BUDGET, store=store, progress=False, **SAMPLED
            )
        )
        return time.monotonic() - began

    @cached_property
    def rows(self) -> Any:
        problems = lab.tiny.problems(24, seed=3, split="train")
        return lab.curate.traces(lab.tiny.Teacher(3), problems)[0]

    @cached_property
    def trained(self) -> list[float]:
        """The right losses of a training."""
        return _train(self, self.folder / "trained")


Kind = Callable[[Work, Path, random.Random], str | None]  # what did not hold, or None


def turned(content: bytes, rng: random.Random, front: int = 0) -> bytes:
    """The same bytes with one bit turned, every other time in the first ``front`` bytes."""
    place = rng.randrange(front if front and rng.random() < 0.5 else len(content))
    changed = bytearray(content)
    changed[place] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _same(work: Work, path: Path) -> str | None:
    """Read all of a store in every way."""
    for number, right in enumerate(work.runs, 1):
        with contextlib.suppress(StoreError):
            run = read_run(f"{path}#{number}")
            if (run.made, run.traces) != (right.made, right.traces):
                return f"run {number} is another one"
    with contextlib.suppress(StoreError):
        if not lab.runs(path).equals(work.table):
            return "the table of runs is another one"
    with contextlib.suppress(StoreError), lab.replay(path, 1) as engine:
        for trace, right_ids in zip(
            lab.force(engine, work.questions, BUDGET, progress=False), work.ids, strict=True
        ):
            if not trace.error and trace.ids != right_ids:
                return "a replay gives other ids"
    return None


def bit_of_a_store(work: Work, folder: Path, rng: random.Random) -> str | None:
    path = folder / "x.db"
    path.write_bytes(turned(work.store.read_bytes(), rng, front=6 * 4096))
    if fault := _same(work, path):
        return fault
    with contextlib.suppress(StoreError):
        found = lab.evaluate(work.engine, work.problems, BUDGET, store=path, progress=False)
        if [t.ids for t in found.traces] != work.ids or found.verdicts != work.results.verdicts:
            return "a run that goes on gives another result"
    return None


def bit_of_a_saved_run(work: Work, folder: Path, rng: random.Random) -> str | None:
    path = folder / "x.jsonl"
    path.write_bytes(turned(work.saved.read_bytes(), rng))
    try:
        run = read_run(path)
    except ValueError:
        return None
    right = read_run(work.saved)
    return None if (run.made, run.traces) == (right.made, right.traces) else "another run"


def bit_of_a_log(work: Work, folder: Path, rng: random.Random) -> str | None:
    """A bit of the file that holds the newest part of a run that was killed."""
    path = folder / "x.db"
    _killed_after(work, path, rng, full=True)
    log = Path(f"{path}-wal")
    if not log.exists() or not log.stat().st_size:
        return None
    log.write_bytes(turned(log.read_bytes(), rng))
    return _goes_on(work, path, once=False)


def kill_of_a_run(work: Work, folder: Path, rng: random.Random) -> str | None:
    """Kill a run twice. Read and copy what is there, and go on."""
    path, before = folder / "x.db", 0
    for _ in range(2):
        _killed_after(work, path, rng)
        if not path.exists():
            continue
        copy = Path(shutil.copy(path, folder / "copy.db"))
        alone = _held(copy)
        now = _held(path)
        if now is not None and now < before:
            return "what was stored is lost"
        if alone is not None and now is not None and alone < now:
            return "a copy without its log is read, and it is older"
        before = now or before
    return _goes_on(work, path, once=True)


def _held(path: Path) -> int | None:
    """How many completions a store has; None if it is refused."""
    try:
        return int(lab.runs(path).completions.sum())
    except StoreError:
        return None


def _killed_after(work: Work, path: Path, rng: random.Random, full: bool = False) -> None:
    """Kill a run at a random moment. ``full``: after all is done, before the store is closed."""

    def run() -> None:
        if full:
            lab.storage.store.Store.close = (  # type: ignore[method-assign]
                lambda *_: os.kill(os.getpid(), signal.SIGKILL)
            )
        lab.force(work.engine, work.many, BUDGET, store=path, progress=False, **SAMPLED)

    forked(run, None if full else rng.uniform(0, 1) * work.seconds)


def _goes_on(work: Work, path: Path, once: bool) -> str | None:
    """Whether a call that goes on gives the right ids; ``once``: and asked for nothing twice."""
    ids, written = work.sampled
    for _ in range(2):
        try:
            found = lab.force(work.engine, work.many, BUDGET, store=path, progress=False, **SAMPLED)
        except StoreError as why:
            if once:
                return f"it is refused: {why}"
            return None  # a log that was changed may be refused
        if [trace.ids for trace in found] != ids:
            return "other ids"
    tokens = int(lab.runs(path).tokens.sum())
    return (
        f"{tokens} ids were written in place of {written}" if once and tokens != written else None
    )


def kill_of_a_writer(work: Work, folder: Path, rng: random.Random) -> str | None:
    """Kill a process that writes a file of two megabytes again and again."""
    path, old, new = folder / "x", b"o" * 2_000_000, b"n" * 2_000_000
    write_whole(path, [old])

    def write() -> None:
        while True:
            for content in (old, new):
                write_whole(path, [content[at : at + 9_999] for at in range(0, len(new), 9_999)])

    forked(write, rng.uniform(0, 0.05))
    if path.read_bytes() not in (old, new):
        return "half a file"
    write_whole(path, [new])
    return None if os.listdir(folder) == ["x"] else "leftovers"


def kill_of_a_training(work: Work, folder: Path, rng: random.Random) -> str | None:
    right = work.trained
    for _ in range(3):
        forked(lambda: _train(work, folder / "run"), rng.uniform(0, 4))
    return _trained_right(forked(lambda: _train(work, folder / "run")), right, folder / "run")


def _train(work: Work, folder: Path) -> list[float]:
    recipe = lab.sft.recipe("tiny").but(epochs=2, batch=8, per_device=8, save_every=2)
    return lab.sft.train("s1-tiny-base", work.rows, recipe, out=folder, progress=False).loss


def _trained_right(found: Any, right: list[float], folder: Path) -> str | None:
    if isinstance(found, BaseException) or found is None:
        return f"refused: {found!r}"
    if any(abs(a - b) > 1e-5 for a, b in zip(found, right, strict=True)):
        return "other losses"
    left = [p.name for p in folder.iterdir() if p.name.startswith((".", "saving", "checkpoint"))]
    return f"leftovers: {left}" if left else None


def full_disk_under_a_run(work: Work, folder: Path, rng: random.Random) -> str | None:
    with Disk(folder, rng.randrange(40, 700)) as disk:
        path = disk.folder / "x.db"

        def run() -> None:
            lab.force(work.engine, work.many, BUDGET, store=path, progress=False, **SAMPLED)

        told = disk.run(run)
        if told is not None and not isinstance(told, StoreError):
            return f"{told!r}"
        if told is not None and str(path) not in str(told):
            return f"the file is not named: {told}"
        disk.grow()
        if path.exists() and path.stat().st_size:
            with contextlib.suppress(StoreError):
                lab.runs(path)
        return _goes_on(work, path, once=False)


def full_disk_under_a_file(work: Work, folder: Path, rng: random.Random) -> str | None:
    """Figures, saved runs, a curated pool and the harness' files, over old ones."""
    figure = lab.figures.histogram({"all": [10, 20, 40, 60] * 50}, "tokens")
    # A browser takes seconds to draw. What it would draw is bytes here.
    lab.figures.export._drawn = lambda *_: b"drawn" * 2_000
    with Disk(folder, rng.randrange(12, 60)) as disk:
        at = disk.folder

        def pool() -> Any:
            return lab.curate.write(lab.tiny.pool(60), at / "pool.jsonl")

        writers: dict[str, Callable[[], Any]] = {
            "x.json": lambda: lab.figures.save(figure, at, "x"),
            "pool.jsonl": pool,
            "run.jsonl": lambda: work.results.save(at / "run.jsonl"),
            "harness": lambda: work.results.save_harness(at / "harness"),
        }
        for name in ("x.json", "pool.jsonl"):
            (at / name).write_bytes(b"old")
        for name, write in writers.items():
            told = disk.run(write)
            if isinstance(told, BaseException):
                if not isinstance(told, OSError) or "can't be written" not in str(told):
                    return f"{name}: {told!r}"
                if name in ("x.json", "pool.jsonl") and (at / name).read_bytes() != b"old":
                    return f"{name}: the old file is gone"
        if left := list(at.rglob(".s1lab*")):
            return f"leftovers: {left}"
        disk.grow()
        if (at / "run.jsonl").exists():
            (at / "run.jsonl").unlink()
        for name, write in writers.items():
            if isinstance(told := disk.run(write), BaseException):
                return f"{name}, with room: {told!r}"
    return None


def full_disk_under_a_command(work: Work, folder: Path, rng: random.Random) -> str | None:
    """``s1lab evaluate --save``: its results are printed, and the file is named."""
    from s1lab.cli import app

    with Disk(folder, rng.randrange(4, 12)) as disk:
        path = disk.folder / "run.jsonl"

        def command() -> tuple[int, str, str]:
            shown = CliRunner().invoke(app, ["evaluate", "--n", "20", "--save", str(path)])
            return shown.exit_code, shown.stdout, shown.stderr

        found = disk.run(command)
        if isinstance(found, BaseException):
            return repr(found)
        code, out, err = found
        if "accuracy" not in out or (code != 0 and str(path) not in err) or "Traceback" in err:
            return f"code {code}: {out} {err}"
        return "half a file" if code != 0 and path.exists() else None


def full_disk_under_a_training(work: Work, folder: Path, rng: random.Random) -> str | None:
    right = work.trained
    with Disk(folder, rng.choice([2, 8, rng.randrange(100, 45_000)])) as disk:
        for _ in range(2):
            told = disk.run(lambda: _train(work, disk.folder / "run"))
            if isinstance(told, BaseException) and not isinstance(told, OSError):
                return repr(told)
        disk.grow()
        found = disk.run(lambda: _train(work, disk.folder / "run"))
        return _trained_right(found, right, disk.folder / "run")


class Disk:
    """A small disk. ``run`` works on it in another process, ``grow`` gives it room."""

    def __init__(self, folder: Path, kilobytes: int) -> None:
        self.folder, self.kilobytes = folder / "disk", kilobytes
        self.limited = self.mounted = False

    def __enter__(self) -> Disk:
        self.folder.mkdir()
        self.mounted = self._mount(f"size={self.kilobytes}k")
        self.limited = not self.mounted
        return self

    def __exit__(self, *_: object) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)

    def grow(self) -> None:
        self.limited = False
        if self.mounted and not self._mount("remount,size=400m"):
            raise OSError(f"{self.folder} can't be made larger")

    def _mount(self, options: str) -> bool:
        words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)]
        try:
            return subprocess.run(words, capture_output=True).returncode == 0
        except OSError:
            return False

    def run(self, work: Callable[[], Any]) -> Any:
        def limited() -> Any:
            if self.limited:
                most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
                resource.setrlimit(resource.RLIMIT_FSIZE, (self.kilobytes * 1024, most))
            return work()

        return forked(limited)


def forked(work: Callable[[], Any], seconds: float | None = None) -> Any:
    """Run a function in a process of its own, and kill it after some seconds.

    Returns:
        What it returned or raised; None if it was killed, or if that can't be sent.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            try:
                found = work()
            except BaseException as why:
                found = why
            with os.fdopen(write, "wb") as out, contextlib.suppress(Exception):
                out.write(pickle.dumps(found))
        finally:
            os._exit(0)
    os.close(write)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(read, "rb") as told:
        sent = told.read()
    os.waitpid(child, 0)
    try:
        return pickle.loads(sent) if sent else None
    except Exception:  # half of it, or of a class that can't be made again
        return None


@dataclass(frozen=True)
class Line:
    """A kind of damage, and how often it is tried."""

    name: str
    tries: int
    kind: Kind


LINES = (
    Line("a turned bit in a store", 400, bit_of_a_store),
    Line("a turned bit in a saved run", 2_000, bit_of_a_saved_run),
    Line("a turned bit in the log of a killed run", 20, bit_of_a_log),
    Line("a run killed twice, read, copied and continued", 25, kill_of_a_run),
    Line("a process killed while it writes a file", 200, kill_of_a_writer),
    Line("a training killed three times, and continued", 4, kill_of_a_training),
    Line("a full disk under a run with a store", 20, full_disk_under_a_run),
    Line("a full disk under figures, saved runs and other files", 25, full_disk_under_a_file),
    Line("a full disk under `s1lab evaluate --save`", 10, full_disk_under_a_command),
    Line("a full disk under a training, twice", 6, full_disk_under_a_training),
)


def attempts(line: Line, work: Work, tries: int, seed: int) -> Iterator[str | None]:
    """Try a kind so often. Yields what did not hold, or None."""
    for number in range(tries):
        rng = random.Random(f"{seed} {line.name} {number}")
        with tempfile.TemporaryDirectory(dir=work.folder) as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a writer warns of what it asks for again
            try:
                yield line.kind(work, Path(folder), rng)
            except Exception as why:
                yield f"{type(why).__name__}: {why}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the tries of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kinds whose name has this word")
    given = parser.parse_args()
    torch.set_num_threads(1)  # a process that forks must have no threads of torch
    disable_progress_bars()
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        work = Work(Path(folder))
        print("| kind | tried | held | seconds |\n| --- | --- | --- | --- |", flush=True)
        for line in LINES:
            if given.only not in line.name:
                continue
            began, tries = time.monotonic(), max(1, round(line.tries * given.share))
            found = [fault for fault in attempts(line, work, tries, given.seed) if fault]
            seconds = time.monotonic() - began
            print(
                f"| {line.name} | {tries:,} | {tries - len(found):,} | {seconds:.0f} |", flush=True
            )
            faults += [f"{line.name}: {fault}" for fault in found]
    for fault in faults:
        print(fault)
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
