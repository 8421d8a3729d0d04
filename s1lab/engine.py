"""What an engine is, how programs run on it, and how programs run side by side."""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
from collections.abc import Callable, Container, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from s1lab.tokenization.bound_template import BoundTemplate

T = TypeVar("T")
LOG = logging.getLogger(__name__)


MOST_LOGPROBS = 20  # the most likely ids that can be asked for at each place: vLLM's own limit


@dataclass(frozen=True)
class Request:
    """A request to continue ``ids`` until an id of ``stop`` is sampled.

    The penalties work as in vLLM: on the logits, before the temperature. ``repetition_penalty``
    looks at all ids, the prompt's included; the other two count the ids that this request has
    written.

    Attributes:
        ids: The ids to continue.
        max_tokens: The most ids to write.
        stop: The ids that end the completion.
        min_tokens: How many ids are written before one of ``stop`` is allowed.
        temperature: 0 is greedy.
        top_p: Nucleus sampling; 1 keeps every token.
        seed: Above temperature 0 it alone (with ids and the sampling numbers) decides what is
            sampled. The batch never does.
        top_k: Keep this many of the most likely ids; 0 keeps all.
        min_p: Drop ids that are less likely than this share of the most likely one; 0 keeps all.
        repetition_penalty: Above 1, ids that were there before become less likely; 1 is none.
        presence_penalty: Is taken off the logit of each id that was written; 0 is none.
        frequency_penalty: Is taken off as often as the id was written; 0 is none.
        banned: Ids that can't be sampled.
        logprobs: How many of the most likely ids to return at each place, up to 20, with their
            log-probabilities and that of the sampled id. None returns none.
        partial: Whether ``poll`` reports what has been written before the request is finished.

    Example:
        >>> lab.Request(ids=(1, 2, 3), max_tokens=8, stop=frozenset({0})).temperature
        0.0
    """

    ids: tuple[int, ...]
    max_tokens: int
    stop: frozenset[int]
    min_tokens: int = 0
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    banned: frozenset[int] = frozenset()
    logprobs: int | None = None
    partial: bool = False

    @property
    def penalised(self) -> bool:
        """Whether any of the three penalties is on."""
        return (self.repetition_penalty, self.presence_penalty, self.frequency_penalty) != (1, 0, 0)


@dataclass(frozen=True, eq=False)
class Logprobs:
    """Natural log-probabilities, a row for each written id, and one for the stop if there is one.

    They are the model's own: over all rows of its output layer, before temperature, penalties and
    masks.

    Attributes:
        sampled: float32 [rows], of the ids that were sampled.
        ids: int32 [rows, k], the k most likely ids, the most likely first.
        top: float32 [rows, k], of these ids.
    """

    sampled: NDArray[np.float32]
    ids: NDArray[np.int32]
    top: NDArray[np.float32]

    @classmethod
    def of(cls, rows: Sequence[tuple[float, Sequence[int], Sequence[float]]], k: int) -> Logprobs:
        """Put rows of (the sampled id's, the most likely ids, theirs) together."""
        return cls(
            np.array([row[0] for row in rows], dtype=np.float32),
            np.array([row[1] for row in rows], dtype=np.int32).reshape(len(rows), k),
            np.array([row[2] for row in rows], dtype=np.float32).reshape(len(rows), k),
        )

    def __len__(self) -> int:
        return len(self.sampled)

    def __getitem__(self, rows: slice) -> Logprobs:
        return Logprobs(self.sampled[rows], self.ids[rows], self.top[rows])


@dataclass(frozen=True)
class Progress:
    """What a request with ``partial`` has written since the last report.

    Attributes:
        ids: The new ids. All reports of a request, one after the other, are the beginning of its
            completion.
        logprobs: Their log-probabilities, if the request asked for them.
    """

    ids: tuple[int, ...]
    logprobs: Logprobs | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Completion:
    """The ids that an engine wrote for a request.

    Attributes:
        ids: The ids, without the stop.
        stop_id: The stop that was sampled; None if ``max_tokens`` was reached first.
        error: A sentence if the request could not be served. The ids are then those written so far.
        cancelled: Whether the request was cancelled. The ids are then those written until then.
        logprobs: The log-probabilities, if the request asked for them.

    Example:
        >>> lab.Completion(ids=(40, 41), stop_id=2).finish
        'stop'
    """

    ids: tuple[int, ...]
    stop_id: int | None = None
    error: str | None = None
    cancelled: bool = False
    logprobs: Logprobs | None = field(default=None, compare=False, repr=False)

    @property
    def finish(self) -> Literal["stop", "length", "error", "cancelled"]:
        """How it ended: at a stop, at ``max_tokens``, by an error, or because it was cancelled."""
        if self.error or self.cancelled:
            return "error" if self.error else "cancelled"
        return "length" if self.stop_id is None else "stop"


Program = Generator[Request | list[Request], Any, T]


class Engine(Protocol):
    """The protocol of an engine: ``submit`` takes requests, and ``poll`` collects completions.

    Attributes:
        name: The engine's name.
        model: The model's name.
        template: The think template, bound to the model's tokenizer.
        context: The most ids of prompt and completion together.
        width: The most requests that the engine works on together.

    Example:
        import s1lab as lab

        with lab.load("s1-tiny") as engine:
            trace = lab.force(engine, "How many r in raspberry?")
    """

    name: str
    model: str
    template: BoundTemplate
    context: int
    width: int

    @property
    def fingerprint(self) -> str:
        """Tells the model's weights and tokenizer from any other's. A store knows a model by it."""
        ...

    @property
    def semantics(self) -> str:
        """All else that decides a request's ids: engine, number format, spread of the model."""
        ...

    def submit(self, key: int, request: Request) -> None:
        """Take a request and return at once. No two requests in flight have the same key."""
        ...

    def poll(self) -> list[tuple[int, Completion | Progress]]:
        """Work for a moment, and return what there is to tell, as (key, what) pairs.

        A Completion for each request that finished, and Progress for those with ``partial`` that
        have written since the last poll. It never blocks when nothing is in flight.
        """
        ...

    def cancel(self, keys: Iterable[int] | None = None) -> dict[int, Completion]:
        """Drop requests; the others in the batch do not change by a token.

        Args:
            keys: The keys of the requests. Those that are not in flight are left out. None drops
                everything.

        Returns:
            What each dropped request had written, by key: the beginning of what it would have
            become. A request that was finished, but not polled yet, is whole.
        """
        ...

    def close(self) -> None:
        """Free the model. Leaving a ``with`` block does so too."""
        ...

    def __enter__(self) -> Engine: ...

    def __exit__(self, *_: object) -> None: ...


class _Desk:
    """Everything that the runs on one engine have in flight.

    With it, a run within a run takes only its own completions. A reward may use the engine that its
    own tree grows on. Its run starts and ends in the middle of the outer run. Meanwhile the engine
    also finishes requests of the outer run.
    """

    def __init__(self) -> None:
        self.flying: dict[int, Request] = {}
        self.arrived: dict[int, Completion] = {}


# The keys of each active run. All runs share one counter, so that no two of them use the same key.
# The counter starts again with a run that is alone. An engine can tell a new run by that.
_KEYS: list[Iterator[int]] = []
_DESKS: dict[int, _Desk] = {}  # id of an engine -> its desk, while something is in flight


def submit(engine: Engine, key: int, request: Request) -> None:
    """Hand a request to an engine that other runs may also use; see `collect`."""
    _DESKS.setdefault(id(engine), _Desk()).flying[key] = request
    engine.submit(key, request)


def collect(engine: Engine, mine: Container[int]) -> list[tuple[int, Completion]]:
    """Poll an engine for the completions of some keys.

    Args:
        engine: The engine.
        mine: The keys of this run.

    Returns:
        The (key, completion) pairs of these keys that have finished. Completions of other runs are
        kept for those runs.
    """
    desk = _DESKS.setdefault(id(engine), _Desk())
    done = [(key, desk.arrived.pop(key)) for key in [k for k in desk.arrived if k in mine]]
    for key, completion in [] if done else engine.poll():
        if isinstance(completion, Progress):
            continue
        desk.flying.pop(key, None)
        if key in mine:
            done.append((key, completion))
        else:
            desk.arrived[key] = completion
    _tidy(engine, desk)
    return done


def withdraw(engine: Engine, mine: Iterable[int]) -> None:
    """Cancel the requests of some keys.

    What other runs have in flight is requested again.

    Args:
        engine: The engine.
        mine: The keys to cancel.
    """
    desk = _DESKS.get(id(engine), _Desk())
    for key in mine:
        desk.flying.pop(key, None)
        desk.arrived.pop(key, None)
    engine.cancel()
    for key, request in desk.flying.items():
        engine.submit(key, request)
    _tidy(engine, desk)


def _tidy(engine: Engine, desk: _Desk) -> None:
    if not desk.flying and not desk.arrived:
        _DESKS.pop(id(engine), None)


def run(
    engine: Engine,
    programs: Iterable[Program[T]],
    done: Callable[[int, T], None] | None = None,
    failed: Callable[[int, Exception], T] | None = None,
) -> list[T]:
    """Drive programs to their ends on one engine.

    Each program moves on as soon as its own completions are there. It never waits for another
    program's round. As many programs are under way as the engine works on together, and the next
    one starts when one ends. So results come from the beginning of the list, an interrupted run has
    finished what it began, and a question's next round finds its cache still warm.

    Args:
        engine: The engine. A program may run other programs on it in between. A reward that uses
            its own engine does so.
        programs: The programs.
        done: A function that is called with (index, result) when a program ends.
        failed: A function that turns an exception of one program into that program's result. It is
            called with (index, exception), and the other programs go on. None lets the exception
            end the run.

    Returns:
        The results, in the order of the programs.

    Raises:
        BaseException: Whatever the engine or a program raises, Ctrl-C included. Requests in flight
            are cancelled. Results that ``done`` received are finished.

    Example:
        def written(ids, n):
            completion = yield lab.Request(ids, max_tokens=n, stop=frozenset())
            return completion.ids

        engine = lab.load("s1-tiny")
        prompt = tuple(engine.template.prompt("How many r in raspberry?"))
        print(lab.run(engine, [written(prompt, 4), written(prompt, 8)]))
    """
    keys = _KEYS[0] if _KEYS else itertools.count()
    _KEYS.append(keys)
    driver = _Driver(engine, enumerate(programs), keys, done, failed)
    try:
        return driver.drive()
    except BaseException:
        driver.stop()
        raise
    finally:
        _KEYS.remove(keys)


class _FanOut:
    """The requests that a program waits for, and the completions that have come for them."""

    def __init__(self, asked: Any) -> None:
        self.alone = isinstance(asked, Request)
        self.requests = [asked] if self.alone else list(asked)
        if odd := [type(r).__name__ for r in self.requests if not isinstance(r, Request)]:
            raise TypeError(f"a program asks with a Request or a list of them, not with {odd[0]}")
        self.completions: dict[int, Completion] = {}  # by place in the list of requests

    def value(self) -> Completion | list[Completion] | None:
        """What the program receives; None as long as a completion is missing."""
        if len(self.completions) < len(self.requests):
            return None
        found = [self.completions[place] for place in range(len(self.requests))]
        return found[0] if self.alone else found


@dataclass
class _Driver(Generic[T]):
    """The state of one `run`."""

    engine: Engine
    upcoming: Iterator[tuple[int, Program[T]]]
    keys: Iterator[int]
    done: Callable[[int, T], None] | None
    failed: Callable[[int, Exception], T] | None
    live: dict[int, Program[T]] = field(default_factory=dict)
    fans: dict[int, _FanOut] = field(default_factory=dict)
    waiting: dict[int, tuple[int, int]] = field(default_factory=dict)  # key -> (program, place)
    results: dict[int, T] = field(default_factory=dict)

    def drive(self) -> list[T]:
        """Run all programs to their ends, and return their results in order."""
        self.fill()
        while self.live:
            for key, completion in collect(self.engine, self.waiting):
                index, place = self.waiting.pop(key)
                fan = self.fans[index]
                fan.completions[place] = completion
                if (value := fan.value()) is not None:
                    self.advance(index, value)
            self.fill()
        return [self.results[i] for i in range(len(self.results))]

    def fill(self) -> None:
        """Start programs, up to as many as the engine works on together."""
        while len(self.live) < self.engine.width and (following := next(self.upcoming, None)):
            index, self.live[index] = following
            self.advance(index, None)

    def advance(self, index: int, value: Any) -> None:
        """Move a program on to its next requests, or to its end."""
        while True:
            try:
                fan = _FanOut(self.live[index].send(value))
            except StopIteration as stop:
                return self.finish(index, stop.value)
            except Exception as why:
                if self.failed is None:
                    raise
                LOG.debug("program %d failed", index, exc_info=True)
                self.live[index].close()
                return self.finish(index, self.failed(index, why))
            if fan.requests:
                break
            value = []  # an empty fan-out needs no engine, so the answer is an empty list
        self.fans[index] = fan
        for place, request in enumerate(fan.requests):
            key = next(self.keys)
            self.waiting[key] = (index, place)
            submit(self.engine, key, request)

    def finish(self, index: int, result: T) -> None:
        """Keep the result of a program that has ended."""
        del self.live[index]
        self.results[index] = result
        if self.done:
            self.done(index, result)

    def stop(self) -> None:
        """Cancel the requests in flight, and let the programs clean up."""
        withdraw(self.engine, self.waiting)
        for program in self.live.values():
            program.close()


_DRIVERS: dict[int, int] = {}  # id of an engine -> the thread that drives it


@contextlib.contextmanager
def driving(engine: Engine) -> Iterator[None]:
    """Drive an engine from this thread.

    Args:
        engine: The engine.

    Yields:
        Nothing. The engine belongs to this thread until the block ends.

    Raises:
        RuntimeError: Another thread drives the engine. Each would take the other's completions.
    """
    here, nested = threading.get_ident(), id(engine) in _DRIVERS
    if _DRIVERS.setdefault(id(engine), here) != here:
        raise RuntimeError(
            "the engine is at work in another thread, such as a playground's: stop that, "
            "or wait for its end"
        )
    try:
        yield
    finally:
        if not nested:
            del _DRIVERS[id(engine)]
