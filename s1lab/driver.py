"""Programs on one engine: they join and leave it while it runs, from any thread.

Every caller of an engine is a member of the engine's desk. One member at a time polls the engine,
for all of them. Each takes its own completions and moves its own programs on, in its own thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import queue
import signal
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any, Generic, TypeVar

from s1lab.engine import Completion, Engine, Program, Progress, Request, Usage
from s1lab.trace import Source, Trace

T = TypeVar("T")
LOG = logging.getLogger(__name__)
MOMENT = 0.05  # seconds that a member waits while another one polls

_DOOR = threading.Lock()  # guards _DESKS, and who is a member of which desk
_DESKS: dict[int, _Desk] = {}  # id of an engine -> its desk, as long as it has members


class _Desk:
    """What all members have in flight on one engine.

    The engine's keys are counted from 0 on each new desk, and a desk ends with its last member. An
    engine can tell a new run by that.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.working = threading.Lock()  # whoever holds it may use the engine
        self.changed = threading.Condition()  # guards everything below, and the members' lists
        self.keys = itertools.count()
        self.members: deque[Member] = deque()  # the first one's request goes next
        self.owners: dict[int, Member] = {}  # key of a request that the engine has -> whose it is

    def work(self) -> None:
        """Hand over waiting requests and poll once. The caller holds ``working``.

        A Ctrl-C waits: what the engine gives must reach its members first.
        """
        with interrupt_later():
            while admitted := self._next():
                member, key, request = admitted
                try:
                    self.engine.submit(key, request)
                except BaseException as why:
                    del self.owners[key]
                    if not isinstance(why, Exception):
                        raise
                    member.fault = member.fault or why
            told = self.engine.poll()
            with self.changed:
                for key, what in told:
                    self.owners[key].arrived.append((key, what))
                    if isinstance(what, Completion):
                        del self.owners[key]
                self.changed.notify_all()

    def _next(self) -> tuple[Member, int, Request] | None:
        """The request that goes to the engine next; None if it has as many as it works on together.

        Members take turns. So a long run keeps another member's question waiting only until one
        request of its own has finished.
        """
        with self.changed:
            if len(self.owners) >= self.engine.width:
                return None
            for _ in range(len(self.members)):
                member = self.members[0]
                self.members.rotate(-1)
                if member.waiting:
                    key, request = member.waiting.popleft()
                    self.owners[key] = member
                    return member, key, request
        return None


class Member:
    """One caller of an engine, which others may use too.

    Args:
        engine: The engine.
    """

    def __init__(self, engine: Engine) -> None:
        self.waiting: deque[tuple[int, Request]] = deque()
        self.arrived: list[tuple[int, Completion | Progress]] = []
        self.fault: Exception | None = None  # what the engine raised at a request of this member
        with _DOOR:
            self.desk = _DESKS.setdefault(id(engine), _Desk(engine))
            with self.desk.changed:
                self.desk.members.appendleft(self)

    def submit(self, request: Request, *, first: bool = False) -> int:
        """Ask for a request; with ``first`` before those of this member that wait.

        Returns:
            The key of the request.
        """
        with self.desk.changed:
            key = next(self.desk.keys)
            (self.waiting.appendleft if first else self.waiting.append)((key, request))
        return key

    def collect(self) -> list[tuple[int, Completion | Progress]]:
        """Wait a moment for what comes of this member's requests.

        Returns:
            (key, Completion or Progress) pairs, perhaps none.
        """
        desk = self.desk
        if not self.arrived and desk.working.acquire(blocking=False):
            try:
                desk.work()
            finally:
                desk.working.release()
        with desk.changed:
            if not self.arrived and desk.working.locked():
                desk.changed.wait(MOMENT)
            told, self.arrived = self.arrived, []
        if self.fault:
            fault, self.fault = self.fault, None
            raise fault
        return told

    def cancel(self, keys: Iterable[int] | None = None) -> dict[int, Completion]:
        """Drop requests of this member, all if ``keys`` is None; see `s1lab.Engine`'s."""
        desk, gone = self.desk, None if keys is None else set(keys)
        with desk.working:
            with desk.changed:
                flying = [k for k, owner in desk.owners.items() if owner is self]
                flying = [k for k in flying if gone is None or k in gone]
                for key in flying:
                    del desk.owners[key]
                out = {k for k, _ in [*self.waiting, *self.arrived] if gone is None or k in gone}
                unasked = Completion((), cancelled=True, usage=Usage())
                dropped = {k: unasked for k, _ in self.waiting if k in out}
                dropped |= {
                    k: done for k, done in self.arrived if k in out and isinstance(done, Completion)
                }
                self.waiting = deque(pair for pair in self.waiting if pair[0] not in out)
                self.arrived = [pair for pair in self.arrived if pair[0] not in {*out, *flying}]
            return dropped | (desk.engine.cancel(flying) if flying else {})

    def leave(self) -> None:
        """Drop what is in flight, and leave the desk."""
        try:
            self.cancel()
        finally:
            with _DOOR, self.desk.changed:
                self.desk.members.remove(self)
                if not self.desk.members:
                    _DESKS.pop(id(self.desk.engine), None)

    def __enter__(self) -> Member:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()


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
class Programs(Generic[T]):
    """Programs that run on the requests of one member.

    ``done`` is called with the result of a program that ended, ``failed`` with its exception, and
    ``heard`` with what the requests of a watched program have written.
    """

    member: Member
    done: Callable[[int, T], None]
    failed: Callable[[int, Exception], None]
    heard: Callable[[int, Request, Progress], None] = lambda *_: None
    watched: set[int] = field(default_factory=set)
    live: dict[int, Program[T]] = field(default_factory=dict)
    fans: dict[int, _FanOut] = field(default_factory=dict)
    places: dict[int, tuple[int, int]] = field(default_factory=dict)  # key -> (program, place)

    def start(self, index: int, program: Program[T]) -> None:
        """Let a program make its first requests."""
        self.live[index] = program
        self._advance(index, None)

    def step(self) -> None:
        """Wait a moment, and move on the programs whose completions have come."""
        for key, what in self.member.collect():
            if key not in self.places:
                continue  # the program was dropped by one that came before it in this list
            if isinstance(what, Progress):
                index, place = self.places[key]
                self.heard(index, self.fans[index].requests[place], what)
                continue
            index, place = self.places.pop(key)
            fan = self.fans[index]
            fan.completions[place] = what
            if (value := fan.value()) is not None:
                self._advance(index, value)

    def drop(self, index: int) -> list[Completion]:
        """End a program before its time; return what its open requests have written."""
        keys = [key for key, (owner, _) in self.places.items() if owner == index]
        written = self.member.cancel(keys)
        for key in keys:
            del self.places[key]
        self.fans.pop(index, None)
        self.live.pop(index).close()
        return [*written.values()]

    def _advance(self, index: int, value: Any) -> None:
        """Move a program on to its next requests, or to its end."""
        later = value is not None
        while True:
            try:
                fan = _FanOut(self.live[index].send(value))
            except StopIteration as stop:
                del self.live[index]
                return self.done(index, stop.value)
            except Exception as why:
                LOG.debug("program %d failed", index, exc_info=True)
                self.live.pop(index).close()
                return self.failed(index, why)
            if fan.requests:
                break
            value = []  # an empty fan-out needs no engine, so the answer is an empty list
        self.fans[index] = fan
        # A later round goes before new questions: its cache is still there, and questions that
        # were started are finished first.
        numbered = [*enumerate(fan.requests)]
        for place, request in reversed(numbered) if later else numbered:
            if index in self.watched:
                request = replace(request, partial=True)
            self.places[self.member.submit(request, first=later)] = (index, place)


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

    Other runs may use the engine meanwhile: in other threads, or within a program of this one. A
    reward that uses its own engine does so.

    Args:
        engine: The engine.
        programs: The programs.
        done: A function that is called with (index, result) when a program ends.
        failed: A function that turns an exception of one program into that program's result. It is
            called with (index, exception), and the other programs go on. None lets the exception
            end the run.

    Returns:
        The results, in the order of the programs.

    Raises:
        BaseException: Whatever the engine or a program raises, Ctrl-C included. Requests of this
            run that are in flight are cancelled. Results that ``done`` received are finished.
    """
    results: dict[int, T] = {}

    def finish(index: int, result: T) -> None:
        results[index] = result
        if done:
            done(index, result)

    def give_up(index: int, why: Exception) -> None:
        if failed is None:
            raise why
        finish(index, failed(index, why))

    upcoming = enumerate(programs)
    with Member(engine) as member:
        running = Programs[T](member, finish, give_up)
        try:
            while True:
                while len(running.live) < engine.width and (following := next(upcoming, None)):
                    running.start(*following)
                if not running.live:
                    return [results[i] for i in range(len(results))]
                running.step()
        finally:
            for program in running.live.values():
                program.close()


class Growth:
    """A trace, and what the request that is under way has written beyond it.

    Args:
        trace: The trace that a program extends when its requests are finished.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._open: Request | None = None
        self._fresh: list[int] = []

    def begin(self, request: Request) -> bool:
        """Note which request is under way; return whether it is another one than before."""
        if request is self._open:
            return False
        # A round may take several requests. What the earlier ones wrote is in this one's ids.
        self._open, self._fresh = request, [*request.ids[len(self.trace.ids) :]]
        return True

    def add(self, request: Request, new: Progress) -> None:
        """Add what a request has written since the last report."""
        self.begin(request)
        self._fresh += new.ids

    def __len__(self) -> int:
        return len(self.trace.ids) + len(self._fresh)

    def copy(self) -> Trace:
        """The trace so far, as one of its own: the new ids are its answer once it is closed."""
        assert self.trace.budget is not None
        copy = self.trace.fork(None, self.trace.budget)
        answering = Source.CLOSE in copy.source
        copy.extend(self._fresh, Source.ANSWER if answering else Source.SAMPLED)
        return copy


class Handle(Generic[T]):
    """A program that a `Driver` runs."""

    def __init__(self, driver: Driver, trace: Trace | None) -> None:
        self._driver, self.trace = driver, trace
        self.future: Future[T] = Future()
        self._events: queue.SimpleQueue[Trace | Progress | None] = queue.SimpleQueue()
        self._growth = Growth(trace) if trace and trace.budget else None

    def result(self, timeout: float | None = None) -> T:
        """Wait for the program's end.

        Args:
            timeout: The most seconds to wait. None waits for ever.

        Returns:
            The program's result.

        Raises:
            TimeoutError: It is not there in time.
            CancelledError: The program was cancelled.
            Exception: Whatever the program raised.
        """
        return self.future.result(timeout)

    def __await__(self) -> Generator[Any, None, T]:
        return asyncio.wrap_future(self.future).__await__()

    def cancel(self) -> bool:
        """End the program now. Others on the engine go on.

        What its open request has written is thrown away, and counted in the trace's ``dropped``.

        Returns:
            False if the program had ended already.
        """
        return self._driver._cancel(self)

    def events(self) -> Iterator[Trace | Progress]:
        """The trace as it grows, up to its end; without a trace, what was written since the last.

        Each event is a copy, with the ids of the request that is under way. Only a program that was
        submitted with ``watch=True`` has events.
        """
        while (event := self._events.get()) is not None:
            yield event

    async def aevents(self) -> AsyncIterator[Trace | Progress]:
        """`events`, for asyncio."""
        while (event := await asyncio.to_thread(self._events.get)) is not None:
            yield event

    def _heard(self, request: Request, new: Progress) -> None:
        if self._growth is None:
            self._events.put(new)
        else:
            self._growth.add(request, new)
            self._events.put(self._growth.copy())


class Driver:
    """Runs programs on an engine, in a thread of its own. They come and go while it runs.

    Args:
        engine: The engine. Other drivers and calls may use it meanwhile.

    Example:
        engine = lab.load("s1-tiny")
        trace = lab.questions.open_trace(engine, "What is 2 + 3?", lab.Budget(), 0, None)
        program = lab.questions.force_loop(trace, lab.Budget(), lab.forcing.Sampling(), 4096)
        with lab.Driver(engine) as driver:
            print(driver.submit(program).result().answer)
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._orders: queue.SimpleQueue[Callable[[Programs[Any]], None] | None] = (
            queue.SimpleQueue()
        )
        self._handles: dict[int, Handle[Any]] = {}
        self._numbers = itertools.count()
        self._closed = threading.Lock()  # held once the driver takes no more programs
        self._thread = threading.Thread(target=self._work, name="s1lab driver", daemon=True)
        self._thread.start()

    def submit(
        self, program: Program[T], *, trace: Trace | None = None, watch: bool = False
    ) -> Handle[T]:
        """Start a program.

        Args:
            program: The program.
            trace: The trace that the program extends, for the handle's events.
            watch: Whether the handle has events. It costs the engine a report at each step.

        Returns:
            A handle, which any thread may use.

        Raises:
            RuntimeError: The driver is closed.
        """
        if self._closed.locked():
            raise RuntimeError("this driver is closed: make another one")
        handle: Handle[T] = Handle(self, trace)

        def start(running: Programs[Any]) -> None:
            number = next(self._numbers)
            self._handles[number] = handle
            if watch:
                running.watched.add(number)
            running.start(number, program)

        self._orders.put(start)
        return handle

    def close(self, wait: bool = True) -> None:
        """Take no more programs.

        Args:
            wait: Whether those that run are waited for. False cancels them.
        """
        if self._closed.acquire(blocking=False):
            if not wait:
                self._orders.put(
                    lambda running: [self._drop(running, n) for n in [*running.live]] and None
                )
            self._orders.put(None)
        self._thread.join()

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(wait=kind is None)

    def _cancel(self, handle: Handle[Any]) -> bool:
        done: Future[bool] = Future()

        def stop(running: Programs[Any]) -> None:
            number = next((n for n, mine in self._handles.items() if mine is handle), None)
            if number is not None:
                self._drop(running, number)
            done.set_result(number is not None)

        if not self._thread.is_alive() or handle.future.done():
            return False
        self._orders.put(stop)
        return done.result()

    def _drop(self, running: Programs[Any], number: int) -> None:
        handle = self._handles.pop(number)
        written = running.drop(number)
        if handle.trace is not None:
            for one in written:
                handle.trace.spend(one)
                handle.trace.dropped += len(one.ids)
            handle.trace.error = "cancelled before it was finished"
        handle.future.cancel()
        handle._events.put(None)

    def _work(self) -> None:
        """The thread: start, cancel and move on programs until the driver is closed."""

        def done(number: int, result: Any) -> None:
            handle = self._handles.pop(number)
            if handle.trace is not None and number in running.watched:
                handle._events.put(handle.trace)
            handle.future.set_result(result)
            handle._events.put(None)

        def failed(number: int, why: Exception) -> None:
            handle = self._handles.pop(number)
            handle.future.set_exception(why)
            handle._events.put(None)

        def heard(number: int, request: Request, new: Progress) -> None:
            self._handles[number]._heard(request, new)

        with Member(self.engine) as member:
            running = Programs[Any](member, done, failed, heard)
            open_ = True
            while open_ or running.live:
                with contextlib.suppress(queue.Empty):
                    while True:
                        order = self._orders.get(block=not running.live)
                        if order is None:
                            open_ = False
                            break
                        order(running)
                if running.live:
                    try:
                        running.step()
                    except Exception as why:  # the engine failed: so do all programs on it
                        for number in [*running.live]:
                            running.drop(number)
                            failed(number, why)


@contextlib.contextmanager
def interrupt_later() -> Iterator[None]:
    """Delay Ctrl-C until a step is over, so that nothing is left half done.

    A second Ctrl-C does not wait.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    pressed: list[tuple[int, FrameType | None]] = []

    def note(number: int, frame: FrameType | None) -> None:
        pressed.append((number, frame))
        if len(pressed) > 1:
            before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        before(*pressed[0])
