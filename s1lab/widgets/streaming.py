"""One question while it is answered: the program of :func:`s1lab.force`, its requests asked a piece at a time.

A greedy request is continued: the next piece follows the ids that are there. A sampled one is not, because a seed counts from
the beginning of its request; so it is asked again from there, each time for twice as many ids, and what had been written comes
first again. That is how a ladder's rungs are answered too, and holds on every engine. The trace is the one that
:func:`s1lab.force` gives; the price is a request a piece, and for a sampled round up to three times its tokens.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace

from s1lab import api
from s1lab.budget import Budget
from s1lab.engine import Completion, Engine, Request, driving, misfit
from s1lab.forcing import Sampling
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
    """The trace as it grows, at every piece; the last one is what ``lab.force`` gives with the same arguments.

    every: tokens of a piece. stopped: asked between the engine's steps; once it says True, the last trace is what was written
        until then, with an ``error`` that says so. Leaving the iterator early cancels what is in flight.
    The engine is this call's until it ends: another thread that uses it meanwhile is refused with a RuntimeError. ValueError,
    before anything runs, for an empty question, what no budget can hold, a negative temperature, or a budget of the original's
    loops.
    """
    api.questions_of(question)
    budget = budget or Budget()
    if budget.compat != "exact":
        raise ValueError(f"compat={budget.compat!r} can't be streamed: use lab.force")
    if every < 1:
        raise ValueError(f"every={every}: give at least 1 token a piece")
    sampling = Sampling(temperature, 1.0, seed)
    return _driven(engine, api.open_traces(engine, [question], [budget], None)[0], budget, sampling, every, stopped)


def _driven(
    engine: Engine, trace: Trace, budget: Budget, sampling: Sampling, every: int, stopped: Callable[[], bool]
) -> Iterator[Trace]:
    with driving(engine):
        try:
            yield from _stream(engine, trace, budget, sampling, every, stopped)
        finally:
            engine.cancel()


def _stream(
    engine: Engine, trace: Trace, budget: Budget, sampling: Sampling, every: int, stopped: Callable[[], bool]
) -> Iterator[Trace]:
    if trace.error:  # it could not be opened
        yield trace
        return
    program = api.force_loop(trace, budget, sampling, engine.context)
    done: Completion | None = None
    so_far: tuple[int, ...] = ()
    try:
        while True:
            try:
                request = program.send(done)
            except StopIteration as end:
                yield end.value
                return
            assert isinstance(request, Request)  # exact budget forcing asks for one thing at a time
            # A round of thinking may take several requests; what the earlier ones wrote is in no trace yet.
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
        trace.error = api.UNFINISHED
        yield trace
    finally:
        program.close()


def _pieces(
    engine: Engine, request: Request, every: int, stopped: Callable[[], bool]
) -> Generator[tuple[int, ...], None, Completion]:
    """What a request has written, at every piece; the completion of the whole at the end."""
    if misfit(request, engine.context):  # the first piece of it might fit: the whole is refused, as it would be alone
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
            part = _ask(engine, replace(request, ids=request.ids + written, max_tokens=size, min_tokens=least), stopped)
            whole = replace(part, ids=written + part.ids)
        written = whole.ids
        if part.finish != "length" or len(written) >= request.max_tokens:
            return whole
        yield written


_KEYS = itertools.count(2**62)  # lab.run counts from 0


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
    """A copy of the trace with what is being written: its answer where the thinking is closed."""
    assert trace.budget is not None
    copy = trace.fork(None, trace.budget)
    copy.extend(list(written), Source.ANSWER if Source.CLOSE in trace.source else Source.SAMPLED)
    return copy
