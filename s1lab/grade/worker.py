"""The process in which answers are read as mathematics: JSON lines in, JSON lines out, within bounds of its own.

Run by its path, so that it imports math-verify and nothing of s1lab: ``python -P worker.py SECONDS BYTES``. A line holds
``given`` and ``gold``; the answer to it is ``{"same": true or false, "how": ...}`` or ``{"error": ...}``. Python is interrupted
after SECONDS of processor time on one line; where it is too deep in one big number to notice, the system ends the process a
second later.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any


class TimeUp(BaseException):
    """Past the handlers of Exception in what is interrupted."""


def bound_memory(size: int) -> None:
    """Let this process grow no further than ``size`` bytes: Linux holds to it, others may not."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (size, size))


@contextlib.contextmanager
def bounded_time(seconds: float) -> Iterator[None]:
    """Raise TimeUp after so much processor time; end the process a second later where that was not heard."""
    if not hasattr(signal, "setitimer"):  # Windows: whoever started this process ends it
        yield
        return
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, 0.1)
    signal.setitimer(signal.ITIMER_PROF, seconds + 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)


def same(given: str, gold: str) -> dict[str, Any]:
    """Whether two answers are the same mathematics, and how they were read."""
    wanted, read = _parsed(gold), _parsed(given)
    if not wanted or not read:
        return {"same": False, "how": f"{'the reference' if not wanted else 'it'} can't be read as mathematics"}
    from math_verify import verify

    if any(map(_statement, read)) and not any(map(_equation, wanted)):
        return {"same": False, "how": "it is an equation, and the reference none"}
    return {"same": bool(verify(wanted, read, timeout_seconds=None)), "how": "math-verify"}


def _equation(part: Any) -> bool:
    from math_verify.grader import is_equation

    return bool(is_equation(part))


def _statement(part: Any) -> bool:
    """An equation that says something of its symbols, such as 5x + 4 = 0, where math-verify would compare the 0.

    "x = 5", "m + n = 204" and "2 + 2 = 4" name a value.
    """
    from math_verify.grader import is_assignment_relation, take_first_relation

    return _equation(part) and not is_assignment_relation(part) and bool(take_first_relation(part).lhs.free_symbols)


@functools.lru_cache(1_000)  # one gold answer is compared with many responses
def _parsed(text: str) -> list[Any]:
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

    latex: list[Any] = parse(f"${text}$", [LatexExtractionConfig()], parsing_timeout=None)
    if any(not isinstance(part, str) for part in latex):
        return latex
    anything: list[Any] = parse(text, [LatexExtractionConfig(), ExprExtractionConfig()], parsing_timeout=None)
    return anything or latex


def answer(line: str, seconds: float) -> dict[str, Any]:
    """One line's verdict; whatever goes wrong is an error by name."""
    try:
        item = json.loads(line)
        with bounded_time(seconds):
            return same(item["given"], item["gold"])
    except TimeUp:
        return {"error": f"took more than {seconds:g} s"}
    except MemoryError:
        return {"error": "took too much memory"}
    except RecursionError:
        return {"error": "is nested too deeply"}
    except Exception as why:
        return {"error": f"{type(why).__name__}: {str(why)[:200]}"}


def peak_memory() -> int:
    """The most bytes this process has held; 0 where the system does not tell. (getrusage counts what its parent held, too.)"""
    with contextlib.suppress(OSError, ValueError), open("/proc/self/status", encoding="ascii", errors="replace") as status:
        return next((1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM:")), 0)
    return 0


def _time_up(*_: object) -> None:
    raise TimeUp


def main() -> None:
    seconds, size = float(sys.argv[1]), int(sys.argv[2])
    # What is printed by what is imported must not come between the lines.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who started this process
    if hasattr(signal, "SIGVTALRM"):
        signal.signal(signal.SIGVTALRM, _time_up)
    import logging

    import math_verify  # noqa: F401  (before memory is bounded, and before the first line is timed)

    logging.disable(logging.CRITICAL)
    bound_memory(size)
    for line in sys.stdin:
        found = answer(line, seconds)
        if peak_memory() > size / 2:  # sympy takes a MemoryError for "not equal": near the limit that is no verdict
            found = {"spent": True, **(found if found.get("same") else {"error": "took too much memory"})}
        print(json.dumps(found), file=out, flush=True)


if __name__ == "__main__":
    main()
