"""A driver in a thread of its own: programs come and go while it runs, each with a handle.

`s1lab.force` and the other calls need none of this. It is for callers that ask while others do: a
server, a page, a rule that decides when to stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import queue
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any, Generic, TypeAlias, TypeVar

from s1lab.budget import Budget, shown
from s1lab.driver import Member, Programs
from s1lab.engine import Engine, Program, Progress, Request, Sampling
from s1lab.engines.description import check_engine
from s1lab.questions import Options, Question, Questions, force_loop
from s1lab.trace import Source, Trace

T = TypeVar("T")
Order: TypeAlias = Callable[[Programs[Any]], None]  # what another thread wants done


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
        self.future.set_running_or_notify_cancel()  # only the driver ends it
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
        return self._wait().__await__()

    async def _wait(self) -> T:
        try:
            return await asyncio.wrap_future(self.future)
        except asyncio.CancelledError:  # whoever waited gave up, for instance after a time limit
            self._driver._cancel(self)
            raise

    def cancel(self) -> bool:
        """End the program now. Others on the engine go on.

        What its open request has written is thrown away, and counted in the trace's ``dropped``.

        Returns:
            False if the program had ended already.
        """
        return self._driver._cancel(self).result()

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
        with lab.Driver(lab.load("s1-tiny")) as driver:
            handle = driver.force("How many r in raspberry?", lab.Budget(waits=1), watch=True)
            for trace in handle.events():
                print(trace.thinking_tokens)
            print(handle.result().answer)
    """

    def __init__(self, engine: Engine) -> None:
        check_engine(engine)
        self.engine = engine
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._handles: dict[int, Handle[Any]] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()  # guards the two below: no order is put that nobody takes
        self._open = True  # whether it takes programs
        self._ended = False  # whether its thread takes orders no more
        self._thread = threading.Thread(target=self._work, name="s1lab driver", daemon=True)
        self._thread.start()

    def force(
        self,
        question: Question,
        budget: Budget | None = None,
        *,
        watch: bool = False,
        answer_tokens: int | None = None,
        answer_room: int | None = None,
        system: str | None = None,
        **sampling: Any,
    ) -> Handle[Trace]:
        """Start a question under a budget. The trace is the one that `s1lab.force` gives.

        Args:
            question: A text, or a conversation.
            budget: The budget; None is ``Budget()``.
            watch: Whether the handle has events.
            answer_tokens: As in `s1lab.force`.
            answer_room: As in `s1lab.force`.
            system: As in `s1lab.force`.
            **sampling: Numbers of `s1lab.forcing.Sampling`, such as ``temperature=0.7, seed=3``.

        Returns:
            A handle; its result is the trace.

        Raises:
            ValueError: The question is empty, or an option is out of range.
            RuntimeError: The driver is closed.
        """
        known = vars(Sampling())
        if odd := next((name for name in sampling if name not in known), None):
            fix = f"it has watch, system, answer_tokens, answer_room, {', '.join(known)}"
            if odd in vars(Budget()):
                fix = f"write budget=lab.Budget({odd}={shown(sampling[odd])})"
            raise TypeError(f"force() of a driver has no option {odd}=: {fix}")
        options = Options(Sampling(**sampling), answer_tokens, answer_room, system)
        asked = Questions(self.engine, [question], budget, options)
        asked.open()
        trace, context = asked.traces[0][0], self.engine.context

        def program() -> Program[Trace]:
            if trace.error:  # it could not be opened
                return trace
            return (yield from force_loop(trace, asked.budgets[0], asked.sampling, context))

        return self.submit(program(), trace=trace, watch=watch)

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
        handle: Handle[T] = Handle(self, trace)

        def start(running: Programs[Any]) -> None:
            number = next(self._numbers)
            self._handles[number] = handle
            if watch:
                running.watched.add(number)
            running.start(number, program)

        with self._lock:
            if not self._open:
                raise RuntimeError("this driver is closed: make another one")
            self._orders.put(start)
        return handle

    def close(self, wait: bool = True) -> None:
        """Take no more programs.

        Args:
            wait: Whether those that run are waited for. False cancels them.
        """

        def drop_all(running: Programs[Any]) -> None:
            for number in [*running.live]:
                self._drop(running, number)

        with self._lock:
            self._open = False
            self._orders.put(None if wait else drop_all)
        self._thread.join()

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(wait=kind is None)

    def _cancel(self, handle: Handle[Any]) -> Future[bool]:
        """Order a program's end. The future says whether it had not ended before."""
        done: Future[bool] = Future()

        def stop(running: Programs[Any]) -> None:
            number = next((n for n, mine in self._handles.items() if mine is handle), None)
            try:
                if number is not None:
                    self._drop(running, number)
            finally:
                done.set_result(number is not None)

        with self._lock:
            if self._ended:
                done.set_result(False)
            else:
                self._orders.put(stop)
        return done

    def _drop(self, running: Programs[Any], number: int) -> None:
        handle = self._handles.pop(number)
        written = running.drop(number)
        if handle.trace is not None:
            for one in written:
                handle.trace.spend(one)
                handle.trace.dropped += len(one.ids)
            handle.trace.error = "cancelled before it was finished"
        handle.future.set_exception(CancelledError())
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
            while not self._over(running):
                try:
                    with contextlib.suppress(queue.Empty):
                        while order := self._orders.get(block=self._open and not running.live):
                            order(running)
                    if running.live:
                        running.step()
                except Exception as why:  # the engine failed: so do all programs on it
                    for number in [*running.live]:
                        with contextlib.suppress(Exception):
                            running.drop(number)
                        failed(number, why)

    def _over(self, running: Programs[Any]) -> bool:
        """Whether the driver is closed and has nothing left to do."""
        with self._lock:
            self._ended = not (self._open or running.live) and self._orders.empty()
            return self._ended
