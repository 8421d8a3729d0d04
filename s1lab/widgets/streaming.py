"""Show one question while it is answered.

The program and its requests are those of `s1lab.force`. The engine reports what it has written so
far. So the trace is the one that `s1lab.force` gives, at the same cost, on every engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from s1lab.budget import Budget
from s1lab.driver import Member, Programs
from s1lab.engine import Engine, Progress, Request, Sampling
from s1lab.engines.background import Growth
from s1lab.questions import UNFINISHED, Options, Question, Questions, force_loop
from s1lab.trace import Trace

EVERY = 16  # new tokens after which the trace is shown again


def stream(
    engine: Engine,
    question: Question,
    budget: Budget | None = None,
    *,
    temperature: float = 0.0,
    seed: int = 0,
    every: int = EVERY,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Trace]:
    """Yield the trace as it grows.

    Other calls may use the engine meanwhile. Leaving the iterator early cancels the request in
    flight.

    Args:
        engine: The engine.
        question: The question, a text or a list of messages, as in `s1lab.force`.
        budget: As in `s1lab.force`.
        temperature: As in `s1lab.force`.
        seed: As in `s1lab.force`.
        every: New tokens after which the trace is yielded again.
        stopped: Called between the engine's steps. Once it returns True, the last trace is the one
            that was written until then, with an ``error`` that says so.

    Yields:
        The trace at the start of each request, and after every few tokens. The last one is the
        result of ``lab.force`` with the same arguments.

    Raises:
        ValueError: Before anything runs, for an empty question, values that no budget can hold, a
            negative temperature, or a budget of the original's loops.

    Example:
        for trace in lab.widgets.stream(lab.load("s1-tiny"), "How many r in raspberry"):
            print(trace.thinking_tokens)
    """
    asked = Questions(engine, question, budget, Options(Sampling(temperature, seed=seed)))
    (budget,) = asked.budgets
    if budget.compat != "exact":
        raise ValueError(f"compat={budget.compat!r} can't be streamed: use lab.force")
    if every < 1:
        raise ValueError(f"every={every}: give at least 1 token a piece")
    asked.open()
    return _grown(engine, asked, every, stopped)


def _grown(
    engine: Engine, asked: Questions, every: int, stopped: Callable[[], bool]
) -> Iterator[Trace]:
    trace = asked.traces[0][0]
    if trace.error:  # it could not be opened
        yield trace
        return
    growth, faults, shown = Growth(trace), list[Exception](), 0

    def heard(_: int, request: Request, new: Progress) -> None:
        growth.add(request, new)

    def failed(_: int, why: Exception) -> None:
        faults.append(why)

    with Member(engine) as member:
        running = Programs[Trace](member, lambda *_: None, failed, heard, watched={0})
        running.start(0, force_loop(trace, asked.budgets[0], asked.sampling, engine.context))
        while running.live:
            begun = growth.begin(running.fans[0].requests[0])
            if begun or len(growth) - shown >= every:
                shown = len(growth)
                yield growth.copy()
            if stopped():
                unfinished = growth.copy()
                for done in running.drop(0):
                    unfinished.spend(done)
                unfinished.error = UNFINISHED
                yield unfinished
                return
            running.step()
    if faults:
        raise faults[0]
    yield trace
