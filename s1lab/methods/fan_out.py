"""Programs side by side within one program: the samples of a vote, the branches of a tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from s1lab.engine import Program, Request

T = TypeVar("T")


def together(programs: Sequence[Program[T]]) -> Program[list[T]]:
    """Run programs side by side within one program.

    Args:
        programs: The programs. Their next requests go out together, as one list.

    Returns:
        A program that ends in the results, in the order of the programs.
    """
    results: dict[int, T] = {}
    asked: dict[int, Request | list[Request]] = {}
    told: dict[int, Any] = dict.fromkeys(range(len(programs)))
    while told:
        for i, value in told.items():
            try:
                asked[i] = programs[i].send(value)
            except StopIteration as end:
                results[i] = end.value
        if not asked:
            break
        requests = [r for a in asked.values() for r in ([a] if isinstance(a, Request) else a)]
        done = iter((yield requests))
        told = {
            i: next(done) if isinstance(a, Request) else [next(done) for _ in a]
            for i, a in asked.items()
        }
        asked.clear()
    return [results[i] for i in range(len(programs))]
