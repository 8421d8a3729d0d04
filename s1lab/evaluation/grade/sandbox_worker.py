"""The process that reads or scores answers: JSON lines in, JSON lines out, within limits.

It is run by its path (``python -P sandbox_worker.py SECONDS BYTES SORT``), so that it imports only
what its sort needs. For "math" that is math-verify and s1lab's comparison. A line holds ``given``
and ``gold``. The reply to it is ``{"same": true or false, "how": ...}`` or ``{"error": ...}``. For
"gym" it is reasoning-gym. A line then also holds ``task``, and the reply is
``{"score": ..., "version": ...}`` or ``{"error": ...}``. Python is interrupted after SECONDS
of processor time on one line. If it is too deep in one big number to notice, the system ends the
process a second later.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any


class TimeUp(BaseException):
    """Not an Exception, so that handlers in the interrupted code do not catch it."""


def bound_memory(size: int) -> None:
    """Limit this process to ``size`` bytes. Linux enforces it; other systems may not."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (size, size))


@contextlib.contextmanager
def bounded_time(seconds: float) -> Iterator[None]:
    """Raise TimeUp after this much processor time. End the process a second later if need be."""
    if not hasattr(signal, "setitimer"):  # Windows: the parent process ends this one
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
    """Whether two answers are the same, and what decided."""
    from s1lab.evaluation.grade.forms import Comparison

    comparison = Comparison(equal)
    return {"same": comparison.same(given, gold), "how": comparison.reason}


def equal(given: str, gold: str) -> bool:
    """Whether two formulas are equal. One that can't be read as a whole equals no other."""
    mine, wanted = _parsed(given), _parsed(gold)
    if mine is None or wanted is None:
        return False
    numbers = _number(mine), _number(wanted)
    if numbers[0] is not None and numbers[1] is not None:
        return _close(*numbers[0], *numbers[1])
    from math_verify import verify

    return bool(verify(wanted, mine, timeout_seconds=None))


def _number(formula: Any) -> tuple[Any, bool] | None:
    """The value of a formula without unknowns.

    Returns:
        The value to 50 digits, and whether it was written exactly; None for any other formula.
    """
    from sympy import Basic, Float, zoo

    if (
        not isinstance(formula, Basic)
        or formula.free_symbols
        or not getattr(formula, "is_number", False)
    ):
        return None
    value = formula.doit().evalf(50)
    if not value.is_number or not value.is_finite or value is zoo:
        return None
    return value, not formula.atoms(Float)


def _close(a: Any, a_exact: bool, b: Any, b_exact: bool) -> bool:
    """Whether two values agree to 30 digits, or to one part in a million if one is a decimal.

    Zero equals only zero.
    """
    from sympy import Abs

    size = max(Abs(a), Abs(b))
    if not size:
        return True
    off = Abs(a - b) / size
    return bool(off < (1e-30 if a_exact and b_exact else 1.000001e-6))


@functools.lru_cache(1_000)  # one gold answer is compared with many responses
def _parsed(text: str) -> Any:
    """A formula as sympy reads it, as a whole; None if it can't be read."""
    from latex2sympy2_extended import NormalizationConfig, latex2sympy
    from math_verify.grader import should_treat_as_complex
    from sympy import I

    whole = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=False, nits=True, boxed="none"
    )
    try:
        # As in sin 30 degrees.
        text = re.sub(r"(\d+)\s*\^\s*\\circ", r"(\1 \\cdot \\pi / 180)", text)
        real = not should_treat_as_complex(text)
        formula = latex2sympy(text, is_real=real, convert_degrees=False, normalization_config=whole)
        imaginary = [
            symbol for symbol in getattr(formula, "free_symbols", ()) if symbol.name == "i"
        ]
        return formula.subs(imaginary[0], I) if imaginary else formula
    except (MemoryError, RecursionError):
        raise
    except Exception:  # the parser raises many kinds
        return None


def answer(line: str, seconds: float, decide: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """The verdict on one line. Any failure becomes an error with its name."""
    try:
        item = json.loads(line)
        with bounded_time(seconds):
            return decide(**item)
    except TimeUp:
        return {"error": f"took more than {seconds:g} s"}
    except MemoryError:
        return {"error": "took too much memory"}
    except RecursionError:
        return {"error": "is nested too deeply"}
    except Exception as why:
        return {"error": f"{type(why).__name__}: {str(why)[:200]}"}


def peak_memory() -> int:
    """The most bytes this process has held; 0 if the system does not say.

    getrusage is not used: it also counts what the parent process held.
    """
    with (
        contextlib.suppress(OSError, ValueError),
        open("/proc/self/status", encoding="ascii", errors="replace") as status,
    ):
        return next(
            (1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM:")), 0
        )
    return 0


def alone() -> None:
    """Allow imports of the modules beside this file without s1lab, which is slow to import."""
    import types

    here = os.path.dirname(os.path.abspath(__file__))
    above = os.path.dirname(here)
    for name, folder in (
        ("s1lab", os.path.dirname(above)),
        ("s1lab.evaluation", above),
        ("s1lab.evaluation.grade", here),
    ):
        package = types.ModuleType(name)
        package.__path__ = [folder]
        sys.modules[name] = package


def _time_up(*_: object) -> None:
    raise TimeUp


def decider(sort: str) -> Callable[..., dict[str, Any]]:
    """What decides on an item, with the packages that it needs imported."""
    if sort == "math":
        import math_verify  # noqa: F401

        return same
    from s1lab.evaluation.gym import scored

    scored("gcd", "1", "1")
    return scored


def main() -> None:
    seconds, size, sort = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    # Text that imported modules print must not come between the lines.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent process
    if hasattr(signal, "SIGVTALRM"):
        signal.signal(signal.SIGVTALRM, _time_up)
    import logging

    alone()
    decide = decider(sort)  # before memory is bounded, and before the first line is timed
    logging.disable(logging.CRITICAL)
    bound_memory(size)
    for line in sys.stdin:
        found = answer(line, seconds, decide)
        # sympy turns a MemoryError into "not equal". Near the limit that is not a verdict.
        if peak_memory() > size / 2:
            right = found.get("same") or found.get("score") == 1
            found = {"spent": True, **(found if right else {"error": "took too much memory"})}
        print(json.dumps(found), file=out, flush=True)


if __name__ == "__main__":
    main()
