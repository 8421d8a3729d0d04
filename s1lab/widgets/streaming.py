"""Show one question while it is answered.

The program is that of `s1lab.force`, and each request is made in pieces. A greedy request is
continued: the next piece follows the ids that are there. A sampled request can't be continued,
because a seed counts from the beginning of its request. So it is made again from the beginning,
each time for twice as many ids, and begins with the ids that are known. A ladder's rungs are
answered in the same way, and it works on every engine. The trace is the one that
`s1lab.force` gives. The price is one request for each piece, and up to three times the tokens
of a sampled round.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace

from s1lab.budget import Budget
from s1lab.engine import Completion, Engine, Request, driving
from s1lab.engines.limits import misfit
from s1lab.forcing import Sampling
from s1lab.questions import UNFINISHED, Options, Questions, force_loop
from s1lab.trace import Source, Trace

EVERY = 16  # tokens of a piece


class Stopped(Exception):
    """The reader pressed stop."""


def stream(
    engine: Engine,
    question: str,
    budget: Budget | None = None,
    *,
    temperature: float = 0.0,
    seed: int = 0,
    every: int = EVERY,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Trace]:
    """Yield the trace as it grows.

    The engine belongs to this call until it ends. Another thread that uses it meanwhile gets a
    RuntimeError. Leaving the iterator early cancels the requests in flight.

    Args:
        engine: The engine.
        question: The question.
        budget: As in `s1lab.force`.
        temperature: As in `s1lab.force`.
        seed: As in `s1lab.force`.
        every: Tokens of a piece.
        stopped: Called between the engine's steps. Once it returns True, the last trace is the one
            that was written until then, with an ``error`` that says so.

    Yields:
        The trace after every piece. The last one is the result of ``lab.force`` with the same
        arguments.

    Raises:
        ValueError: Before anything runs, for an empty question, values that no budget can hold, a
            negative temperature, or a budget of the original's loops.

    Example:
        for trace in lab.widgets.stream(lab.load("s1-tiny"), "How many r in raspberry"):
            print(trace.thinking_tokens)
    """
    asked = Questions(engine, question, budget, Options(temperature, seed=seed))
    (budget,) = asked.budgets
    if budget.compat != "exact":
        raise ValueError(f"compat={budget.compat!r} can't be streamed: use lab.force")
    if every < 1:
        raise ValueError(f"every={every}: give at least 1 token a piece")
    asked.open()
    return _driven(engine, asked.traces[0][0], budget, asked.sampling, every, stopped)


def _driven(
    engine: Engine,
    trace: Trace,
    budget: Budget,
    sampling: Sampling,
    every: int,
    stopped: Callable[[], bool],
) -> Iterator[Trace]:
    with driving(engine):
        try:
            yield from _stream(engine, trace, budget, sampling, every, stopped)
        finally:
            engine.cancel()


def _stream(
    engine: Engine,
    trace: Trace,
    budget: Budget,
    sampling: Sampling,
    every: int,
    stopped: Callable[[], bool],
) -> Iterator[Trace]:
    if trace.error:  # it could not be opened
        yield trace
        return
    program = force_loop(trace, budget, sampling, engine.context)
    done: Completion | None = None
    so_far: tuple[int, ...] = ()
    try:
        while True:
            try:
                request = program.send(done)
            except StopIteration as end:
                yield end.value
                return
            assert isinstance(request, Request)  # exact budget forcing makes one request at a time
            # A round of thinking may take several requests. The output of the earlier ones is not
            # in the trace yet.
            behind = request.ids[len(trace.ids) :]
            so_far = behind
            yield _with(trace, behind) if behind else trace
            pieces = _pieces(engine, request, every, stopped)
            while True:
                try:
                    so_far = behind + next(pieces)
                except StopIteration as end:
                    done = end.value
                    break
                yield _with(trace, so_far)
    except Stopped:
        trace = _with(trace, so_far)
        trace.error = UNFINISHED
        yield trace
    finally:
        program.close()


def _pieces(
    engine: Engine, request: Request, every: int, stopped: Callable[[], bool]
) -> Generator[tuple[int, ...], None, Completion]:
    """Yield the ids that a request has written, at every piece; return the whole completion."""
    # the first piece might fit, but the whole request is refused, as it would be alone
    if misfit(request, engine.context):
        return _ask(engine, request, stopped)
    written: tuple[int, ...] = ()
    size = min(every, request.max_tokens)
    while True:
        if request.temperature > 0:
            part = _ask(engine, replace(request, max_tokens=size), stopped)
            whole, size = part, min(2 * size, request.max_tokens)
        else:
            size = min(every, request.max_tokens - len(written))
            least = min(size, max(0, request.min_tokens - len(written)))
            part = _ask(
                engine,
                replace(request, ids=request.ids + written, max_tokens=size, min_tokens=least),
                stopped,
            )
            whole = replace(part, ids=written + part.ids)
        written = whole.ids
        if part.finish != "length" or len(written) >= request.max_tokens:
            return whole
        yield written


_KEYS = itertools.count(2**62)  # run of s1lab.engine counts from 0


def _ask(engine: Engine, request: Request, stopped: Callable[[], bool]) -> Completion:
    key = next(_KEYS)
    engine.submit(key, request)
    while True:
        if stopped():
            raise Stopped
        for got, completion in engine.poll():
            if got == key:
                return completion


def _with(trace: Trace, written: tuple[int, ...]) -> Trace:
    """Copy the trace with the ids that are being written: its answer if the thinking is closed."""
    assert trace.budget is not None
    copy = trace.fork(None, trace.budget)
    copy.extend(list(written), Source.ANSWER if Source.CLOSE in trace.source else Source.SAMPLED)
    return copy
