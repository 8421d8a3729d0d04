"""What an engine is: requests in, completions out."""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import numpy as np

from s1lab.budget import plain, shown, whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from s1lab.tokenization.bound_template import BoundTemplate
    from s1lab.trace import Trace

T = TypeVar("T")
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
class Usage:
    """What requests took from an engine. None is a number that the engine does not tell.

    Attributes:
        prefilled: Ids that the engine read itself, because no cache had them.
        cached: Ids that it took from its prefix cache. Both together are the ids of the requests.
        decoded: Ids that it wrote, the stops included.
        seconds: From the first to the last id of each request, added up. Requests that run at the
            same time all count in full.
        probes: How many of the decoded ids were written for probes. They are in no trace.
        cancelled: How many of them requests had written that were cancelled.

    Example:
        from s1lab.engine import Usage

        print(Usage(prefilled=20, decoded=8) + Usage(cached=20, decoded=4))
    """

    prefilled: int | None = 0
    cached: int | None = 0
    decoded: int = 0
    seconds: float | None = 0.0
    probes: int = 0
    cancelled: int = 0

    def __add__(self, other: Usage) -> Usage:
        a, b, names = vars(self), vars(other), vars(Usage())
        both: dict[str, Any] = {n: None if None in (a[n], b[n]) else a[n] + b[n] for n in names}
        return Usage(**both)


@dataclass(frozen=True)
class Completion:
    """The ids that an engine wrote for a request.

    Attributes:
        ids: The ids, without the stop.
        stop_id: The stop that was sampled; None if ``max_tokens`` was reached first.
        error: A sentence if the request could not be served. The ids are then those written so far.
        cancelled: Whether the request was cancelled. The ids are then those written until then.
        logprobs: The log-probabilities, if the request asked for them.
        usage: What the request took from the engine; None if the engine tells nothing of it.

    Example:
        >>> lab.Completion(ids=(40, 41), stop_id=2).finish
        'stop'
    """

    ids: tuple[int, ...]
    stop_id: int | None = None
    error: str | None = None
    cancelled: bool = False
    logprobs: Logprobs | None = field(default=None, compare=False, repr=False)
    usage: Usage | None = field(default=None, compare=False, repr=False)

    @property
    def finish(self) -> Literal["stop", "length", "error", "cancelled"]:
        """How it ended: at a stop, at ``max_tokens``, by an error, or because it was cancelled."""
        if self.error or self.cancelled:
            return "error" if self.error else "cancelled"
        return "length" if self.stop_id is None else "stop"


# The numbers of `Sampling`: the least and the most that each may be, and what to give.
BOUNDS = (
    ("temperature", 0.0, sys.float_info.max, "0 for greedy, or 0.7 or so to sample"),
    ("top_p", sys.float_info.min, 1.0, "a number above 0 and at most 1, which keeps every token"),
    ("seed", -math.inf, math.inf, "a whole number"),
    ("top_k", 0, math.inf, "0 to keep every token, or how many to keep"),
    ("min_p", 0.0, 1.0, "a number from 0, which is none, to 1"),
    ("repetition_penalty", 0.01, 100.0, "a number from 0.01 to 100; 1 is none"),
    ("presence_penalty", -2.0, 2.0, "a number from -2 to 2; 0 is none"),
    ("frequency_penalty", -2.0, 2.0, "a number from -2 to 2; 0 is none"),
    ("logprobs", 0, MOST_LOGPROBS, f"a whole number up to {MOST_LOGPROBS}, or None"),
)
WHOLE = ("seed", "top_k", "logprobs")  # those of them that are whole numbers


@dataclass(frozen=True)
class Sampling:
    """How ids are chosen.

    Attributes:
        temperature: 0 is greedy.
        top_p: Nucleus sampling, above 0 and at most 1.
        seed: The seed of the run.
        top_k: Sample from this many of the most likely ids; 0 for all.
        min_p: Drop ids less likely than this share of the most likely one.
        repetition_penalty: 1 is none; see `s1lab.Request` for the penalties.
        presence_penalty: 0 is none.
        frequency_penalty: 0 is none.
        logprobs: How many log-probabilities to return at each place; see `s1lab.Request`.

    Raises:
        ValueError: A number is out of range.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logprobs: int | None = None

    def __post_init__(self) -> None:
        for name, low, high, wanted in BOUNDS:
            value = plain(getattr(self, name))
            if name == "logprobs" and value is None:
                continue
            if name in WHOLE:
                value = whole(name, value, low)
            real = isinstance(value, Real) and not isinstance(value, bool)
            if not (real and low <= value <= high):
                raise ValueError(f"{name}={shown(value)} can't be used: give {wanted}")
            object.__setattr__(self, name, value)

    def later(self) -> dict[str, Any]:
        """The numbers that version 0.1 did not have, where they are used."""
        names = [name for name, *_ in BOUNDS[3:]]
        return {n: getattr(self, n) for n in names if getattr(self, n) != getattr(Sampling, n)}

    def seed_of(self, trace: Trace, round: int | str) -> int:
        """A seed for (run, question, sample, round), independent of the rest of the batch."""
        text = f"{self.seed}\x1f{trace.sample}\x1f{round}\x1f{trace.question}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

    def request(
        self,
        trace: Trace,
        most: int,
        stop: frozenset[int],
        round: int | str,
        *,
        min_tokens: int = 0,
        after: Sequence[int] = (),
    ) -> Request:
        """Make the request that continues a trace.

        Args:
            trace: The trace so far.
            most: The most ids to write.
            stop: The ids that end the completion.
            round: The round's name, for its seed.
            min_tokens: How many ids are written before a stop is allowed.
            after: Ids that follow the trace in this request only.

        Returns:
            The request.
        """
        ids, seed = (*trace.ids, *after), self.seed_of(trace, round)
        return Request(
            ids, most, stop, min_tokens, self.temperature, self.top_p, seed, **self.later()
        )


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
