"""Worker processes that read or score answers, within hard limits of time and memory.

They are plain subprocesses that exchange JSON lines, not `multiprocessing`. So they start from
a thread, a notebook and a daemonic child process alike, and import none of s1lab. They end with the
process that started them, because their input ends. Memory is limited only where the system
supports it (Linux); elsewhere only time is.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# Processor time for one item, in seconds. An item of MATH-500 takes some hundredths.
SECONDS = 2.0
PATIENCE = 1.5  # further seconds of processor time before a worker is killed
# Processor time in which a worker must start, in seconds: sympy's import on a cold disk is slow.
START = 120.0
# Seconds on the clock after which a worker that got no processor time is replaced. Its item is
# tried again.
STARVED = 300.0
UNWATCHED = 30.0  # the same if the system does not report processor time
TRIES = 3
# Bytes of address space of a worker; sympy takes 60 MB of them, and reasoning-gym 210 MB.
MEMORY = 400 * 1024**2

# For each sort of worker: the item that it is asked when it starts, what must be in the answer, and
# the package that it needs.
SORTS: dict[str, tuple[dict[str, str], dict[str, Any], str]] = {
    "math": (
        {"given": "x", "gold": "2 x"},
        {"same": False, "how": "not equal by math-verify"},
        "math-verify",
    ),
    "gym": ({"given": "1", "gold": "1", "task": "gcd"}, {"score": 1.0}, "reasoning-gym"),
}


class Worker:
    """One process, which answers one item at a time.

    After an overrun the process is ended, and the next item starts another.

    Args:
        sort: "math" compares two answers. "gym" scores an answer to a task of reasoning-gym.
    """

    def __init__(self, sort: str = "math") -> None:
        self.sort = sort
        self._process: subprocess.Popen[bytes] | None = None
        self._was_starved = False

    def ask(self, item: dict[str, str]) -> dict[str, Any]:
        """Send an item, and wait for its answer or the end of its time.

        Processor time decides, never the clock: other load must not change a verdict.
        A worker that got no processor time is replaced, and the item is tried again.

        Args:
            item: The two answers, ``given`` and ``gold``; for a worker of sort "gym" also ``task``.

        Returns:
            {"same", "how"}, {"score", "version"} or {"error"}.
        """
        for _ in range(TRIES):
            if self._process is None and (error := self._start()):
                return {"error": error}
            answer = self._exchange(item, SECONDS + PATIENCE)
            if answer is None or answer.pop("spent", False):
                self.close()
            if answer or not self._was_starved:
                return answer or {
                    "error": f"took more than {SECONDS:g} s or {MEMORY // 1024**2} MB"
                }
        return {
            "error": f"got no processor time in {TRIES} times {STARVED:g} s: the machine is too "
            "busy to grade"
        }

    def _start(self) -> str | None:
        """Start the process. Returns a sentence if that fails."""
        first, wanted, package = SORTS[self.sort]
        try:
            self._process = _started(self.sort)
        except OSError as why:
            return f"the grading process can't be started: {why}"
        for _ in range(TRIES):
            answer = self._exchange(first, START, 2 * START)
            if answer is not None and wanted.items() <= answer.items():
                return None
            self.close()
            if not self._was_starved:
                break
            self._process = _started(self.sort)
        self.close()
        return f"the grading process did not start: is {package} installed beside s1lab?"

    def _exchange(
        self, item: dict[str, str], seconds: float, patience: float | None = None
    ) -> dict[str, Any] | None:
        """Send an item and read the answer.

        Args:
            item: The item to send.
            seconds: The limit of processor time.
            patience: The limit on the clock, in seconds; None is STARVED.

        Returns:
            The answer; None if the process ended, or had to be ended, before it answered.
        """
        process = self._process
        assert process is not None and process.stdin and process.stdout
        self._was_starved = False
        answered = threading.Event()
        watch = threading.Thread(
            target=self._watch, args=(process, seconds, patience or STARVED, answered), daemon=True
        )
        watch.start()
        try:
            rest = memoryview(json.dumps(item).encode() + b"\n")
            while rest:
                rest = rest[process.stdin.write(rest) :]
            line = process.stdout.readline()
            return dict(json.loads(line)) if line else None
        except (OSError, ValueError):
            return None
        except BaseException:  # Ctrl-C: a late answer would be read as the next item's
            self.close()
            raise
        finally:
            answered.set()

    def _watch(
        self,
        process: subprocess.Popen[bytes],
        seconds: float,
        patience: float,
        answered: threading.Event,
    ) -> None:
        """End a process that has used all its processor time, or got none for very long."""
        before, began = _processor_time(process.pid), time.monotonic()
        patience = patience if before is not None else UNWATCHED
        while not answered.wait(0.2):
            now = _processor_time(process.pid)
            if before is not None and now is not None and now - before > seconds:
                process.kill()
            elif time.monotonic() - began > patience:
                self._was_starved = True
                process.kill()

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def forget(self) -> None:
        """Leave the process alone in a forked child, which holds copies of its parent's pipes."""
        process, self._process = self._process, None
        if process is not None:
            process.returncode = 0  # not a child of this process: nothing to wait for
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()


def _processor_time(pid: int) -> float | None:
    """The seconds of processor time that a process has used; None if the system does not say."""
    try:
        fields = (
            Path(f"/proc/{pid}/stat")
            .read_text(encoding="ascii", errors="replace")
            .rpartition(")")[2]
            .split()
        )
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def _started(sort: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        # If sympy uses numpy, OpenBLAS would take memory for each core.
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [
        sys.executable,
        "-P",
        str(Path(__file__).with_name("sandbox_worker.py")),
        str(SECONDS),
        str(MEMORY),
        sort,
    ]
    # Without buffers, a forked child's copies of the pipes contain nothing that it could write.
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        bufsize=0, env=environment,
    )  # fmt: skip


def _none_idle() -> dict[str, queue.LifoQueue[Worker]]:
    return {sort: queue.LifoQueue() for sort in SORTS}


_idle = _none_idle()
_all: list[Worker] = []


def ask(item: dict[str, str]) -> dict[str, Any]:
    """Ask an idle worker, or a new one if all are busy. Any thread may call this."""
    sort = "gym" if "task" in item else "math"
    idle = _idle[sort]
    try:
        worker = idle.get_nowait()
    except queue.Empty:
        worker = Worker(sort)
        _all.append(worker)
    try:
        return worker.ask(item)
    finally:
        idle.put(worker)


def ask_all(items: Sequence[dict[str, str]], workers: int | None = None) -> list[dict[str, Any]]:
    """Ask many items at once.

    Args:
        items: The items, as in `Worker.ask`.
        workers: The number of processes; None is one a core.

    Returns:
        The answers, in order.
    """
    count = min(len(items), workers or cores())
    if count <= 1:
        return [ask(item) for item in items]
    with ThreadPoolExecutor(count, thread_name_prefix="grading") as threads:
        try:
            return list(threads.map(ask, items))
        except BaseException:  # Ctrl-C: do not wait for items that have not begun
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def cores() -> int:
    """The number of cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@atexit.register
def close() -> None:
    """End all workers. The next item starts new ones."""
    global _idle
    _idle = _none_idle()
    while _all:
        _all.pop().close()


def _forked() -> None:
    """Reset the state in a forked child.

    It leaves its parent's workers alone, and the locks that another thread may have held.
    """
    global _idle
    _idle = _none_idle()
    while _all:
        _all.pop().forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
