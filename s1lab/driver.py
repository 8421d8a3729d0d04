"""Programs on one engine: they join and leave it while it runs, from any thread.

Every caller of an engine is a member of the engine's desk. One member at a time polls the engine,
for all of them. Each takes its own completions and moves its own programs on, in its own thread.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from s1lab.engine import Completion, Engine, Program, Progress, Request, Usage

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

    Example:
        def written(ids, n):
            completion = yield lab.Request(ids, max_tokens=n, stop=frozenset())
            return completion.ids

        engine = lab.load("s1-tiny")
        prompt = tuple(engine.template.prompt("How many r in raspberry?"))
        print(lab.driver.run(engine, [written(prompt, 4), written(prompt, 8)]))
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


@contextlib.contextmanager
def interrupt_later() -> Iterator[None]:
    """Delay Ctrl-C until a step is over, so that nothing is left half done.

    A second Ctrl-C does not wait.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    pressed: list[Any] = []

    def note(number: int, frame: Any) -> None:
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
