"""Worker processes that read answers as mathematics, each item within hard bounds of time and memory.

They are plain subprocesses that speak JSON lines, not :mod:`multiprocessing`: so they start from a thread, a notebook and a
daemonic child process alike, import none of s1lab, and end with whoever started them, because their input ends. Memory is
bounded where the system holds to it (Linux); elsewhere time alone is.
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

SECONDS = 2.0  # of processor time for one item; MATH-500 takes some hundredths
PATIENCE = 1.5  # seconds of processor time beyond that, for a worker that no longer listens
START = 120.0  # seconds of processor time in which a worker must have started: sympy's import on a cold disk
STARVED = 300.0  # seconds on the clock after which a worker that got no processor time is given up, and the item tried again
UNWATCHED = 30.0  # the same where the system does not tell how much a process has used
TRIES = 3
MEMORY = 400 * 1024**2  # bytes of address space for a worker; 60 MB of them are sympy


class Worker:
    """One process; :meth:`ask` asks it one thing. After an overrun it is gone, and the next question starts another."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._was_starved = False

    def ask(self, item: dict[str, str]) -> dict[str, Any]:
        """Send an item, and wait for its answer or for its time to be up: {"same", "how"} or {"error"}.

        Processor time decides, never the clock: a verdict must not depend on what else the machine does. A worker that was
        starved by others is replaced, and the item is tried again.
        """
        for _ in range(TRIES):
            if self._process is None and (error := self._start()):
                return {"error": error}
            answer = self._exchange(item, SECONDS + PATIENCE)
            if answer is None or answer.pop("spent", False):
                self.close()
            if answer or not self._was_starved:
                return answer or {"error": f"took more than {SECONDS:g} s or {MEMORY // 1024**2} MB"}
        return {"error": f"got no processor time in {TRIES} times {STARVED:g} s: the machine is too busy to grade"}

    def _start(self) -> str | None:
        """Start the process; a sentence where that fails."""
        try:
            self._process = _started()
        except OSError as why:
            return f"the grading process can't be started: {why}"
        for _ in range(TRIES):
            if self._exchange({"given": "x", "gold": "2 x"}, START, 2 * START) == {
                "same": False,
                "how": "not equal by math-verify",
            }:
                return None
            self.close()
            if not self._was_starved:
                break
            self._process = _started()
        self.close()
        return "the grading process did not start: is math-verify installed beside s1lab?"

    def _exchange(self, item: dict[str, str], seconds: float, patience: float | None = None) -> dict[str, Any] | None:
        """None where the process ended, or had to be ended, before it answered.

        seconds: of processor time. patience: seconds on the clock; None is STARVED.
        """
        process = self._process
        assert process is not None and process.stdin and process.stdout
        self._was_starved = False
        answered = threading.Event()
        watch = threading.Thread(target=self._watch, args=(process, seconds, patience or STARVED, answered), daemon=True)
        watch.start()
        try:
            rest = memoryview(json.dumps(item).encode() + b"\n")
            while rest:
                rest = rest[process.stdin.write(rest) :]
            line = process.stdout.readline()
            return dict(json.loads(line)) if line else None
        except (OSError, ValueError):
            return None
        except BaseException:  # Ctrl-C: its answer is still to come, and would be taken for that to the next question
            self.close()
            raise
        finally:
            answered.set()

    def _watch(self, process: subprocess.Popen[bytes], seconds: float, patience: float, answered: threading.Event) -> None:
        """End a process that has used up its processor time, or got none for very long."""
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
        """Leave the process to the one who started it: in a child that was forked, whose copies of the pipes these are."""
        process, self._process = self._process, None
        if process is not None:
            process.returncode = 0  # it is no child of this process: there is nothing to wait for
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()


def _processor_time(pid: int) -> float | None:
    """Seconds of processor time that a process has used; None where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def _started() -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "OPENBLAS_NUM_THREADS": "1",  # numpy, where sympy asks for it, would take memory for each core
    }
    command = [sys.executable, "-P", str(Path(__file__).with_name("sandbox_worker.py")), str(SECONDS), str(MEMORY)]
    # Without buffers, so that a forked child's copies of the pipes hold nothing that it could write.
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0, env=environment
    )  # fmt: skip


_idle: queue.LifoQueue[Worker] = queue.LifoQueue()
_all: list[Worker] = []


def ask(item: dict[str, str]) -> dict[str, Any]:
    """Ask an idle worker, or a new one where all are busy. From any thread."""
    try:
        worker = _idle.get_nowait()
    except queue.Empty:
        worker = Worker()
        _all.append(worker)
    try:
        return worker.ask(item)
    finally:
        _idle.put(worker)


def ask_all(items: Sequence[dict[str, str]], workers: int | None = None) -> list[dict[str, Any]]:
    """Ask many at once, the answers in order. workers: how many processes; None is one a core."""
    count = min(len(items), workers or cores())
    if count <= 1:
        return [ask(item) for item in items]
    with ThreadPoolExecutor(count, thread_name_prefix="grading") as threads:
        try:
            return list(threads.map(ask, items))
        except BaseException:  # Ctrl-C: what has not begun is not waited for
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def cores() -> int:
    """The cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@atexit.register
def close() -> None:
    """End all workers; the next question starts new ones."""
    global _idle
    _idle = queue.LifoQueue()
    while _all:
        _all.pop().close()


def _forked() -> None:
    """In a child that was forked: its parent's workers, and locks that another thread may have held, are left alone."""
    global _idle
    _idle = queue.LifoQueue()
    while _all:
        _all.pop().forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
