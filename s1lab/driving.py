"""Questions run together: opened, driven with a bar and a store, and kept when Ctrl-C comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

from tqdm.auto import tqdm

from s1lab.engine import Engine, Program, driving, run
from s1lab.trace import Trace

if TYPE_CHECKING:
    from pathlib import Path

    from s1lab.storage.replay import Recording

T = TypeVar("T")
Storing: TypeAlias = "str | Path | Recording | None"
MOST_WORDS = 300  # characters of an exception that a question's error shows
UNFINISHED = "interrupted before it was finished"


def fault(why: Exception) -> str:
    """An exception as a question's ``error`` shows it: its type and words, on one bounded line."""
    words = " ".join(str(why).split())
    return (
        f"{type(why).__name__}: {words}"
        if len(words) <= MOST_WORDS
        else f"{type(why).__name__}: {words[: MOST_WORDS - 1]}…"
    )


def drive(
    engine: Engine,
    program: Callable[[int], Program[T]],
    unfinished: Callable[[int], T],
    n: int,
    single: bool,
    *,
    what: str,
    progress: bool,
    store: Storing,
    made: dict[str, Any],
    opened: Callable[[int], list[Trace]],
    traces_of: Callable[[Any], list[Trace]] = lambda trace: [trace],
) -> Any:
    """Run ``program(0)`` to ``program(n - 1)`` with a progress bar and a store.

    A program that raises ends only its own question. The result is then that of an unfinished
    question, with the exception in its ``error``. A question that could not be opened is treated in
    the same way. The other questions go on.

    Args:
        engine: The engine.
        program: Makes the program of a question.
        unfinished: Makes the result of a question that Ctrl-C came before.
        n: The number of questions.
        single: Whether the call has a single question.
        what: The text of the progress bar.
        progress: Whether to show a progress bar.
        store: Where to keep the run.
        made: The settings that are stored with the run.
        opened: The traces that a question's program starts from.
        traces_of: The traces in a result.

    Returns:
        The results in order, or the only one.

    Raises:
        Interrupted: Ctrl-C.
    """
    from s1lab.storage.replay import recording  # inside, so that the core imports no storage

    results: dict[int, T] = {}
    # For tqdm, disable=None shows the bar on a terminal only.
    with (
        driving(engine),
        recording(store, engine, made, n) as record,
        tqdm(
            total=n,
            desc=what,
            unit="question",
            disable=None if progress and not single else True,
            leave=False,
        ) as bar,
    ):

        def done(index: int, result: T) -> None:
            results[index] = result
            record.add(index, traces_of(result))
            bar.update()

        def with_error(index: int, error: str) -> T:
            result = unfinished(index)
            for trace in traces_of(result):
                trace.error = error
            return result

        def failed(index: int, why: Exception) -> T:
            return with_error(index, f"the question's own run failed: {fault(why)}")

        def started(index: int) -> Program[T]:
            if error := next((trace.error for trace in opened(index) if trace.error), None):
                return with_error(index, error)
            return (yield from program(index))

        try:
            run(record.engine, (started(i) for i in range(n)), done, failed)
        except KeyboardInterrupt:
            finished = len(results)
            raise Interrupted(
                [results[i] if i in results else unfinished(i) for i in range(n)], finished
            ) from None
    return results[0] if single else [results[i] for i in range(n)]


def drive_traces(
    engine: Engine, traces: list[Trace], program: Callable[[int], Program[Trace]], single: bool, *, what: str, progress: bool,
    store: Storing, made: dict[str, Any],
) -> Trace | list[Trace]:  # fmt: skip
    """Run `drive` for programs that end in the traces they were given."""

    def unfinished(i: int) -> Trace:
        traces[i].error = UNFINISHED
        return traces[i]

    found: Trace | list[Trace] = drive(
        engine, program, unfinished, len(traces), single, what=what, progress=progress, store=store, made=made,
        opened=lambda i: [traces[i]],
    )  # fmt: skip
    return found


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in the middle of a run.

    Attributes:
        traces: All traces of the run: the finished ones are whole, the others have an ``error``. A
            run of ladders has Ladders here.
        finished: How many are whole.
        last: The traces of the last interrupted run of this process.

    Example:
        engine = lab.load("s1-tiny")
        try:
            traces = lab.force(engine, ["How many r in raspberry?", "What is 2 + 3?"])
        except lab.Interrupted as stopped:
            traces = stopped.traces
    """

    last: ClassVar[list[Any]] = []

    def __init__(self, traces: list[Any], finished: int) -> None:
        super().__init__(
            f"{finished} of {len(traces)} questions were finished: lab.interrupted() has them"
        )
        self.traces, self.finished = traces, finished
        Interrupted.last = traces


def interrupted() -> list[Any]:
    """The traces of the last interrupted run of this process.

    Returns:
        The traces in order: the finished ones are whole, the others have an ``error``. The list is
        empty if no run was interrupted.

    Example:
        try:
            lab.force(lab.load("s1-tiny"), ["How many r in raspberry?", "What is 2 + 3?"])
        except lab.Interrupted:
            traces = lab.interrupted()
    """
    return Interrupted.last
