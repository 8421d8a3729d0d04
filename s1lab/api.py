"""Questions in, traces out: the programs over an engine, for one question or many, with progress and a store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypedDict, TypeVar, Unpack, overload

from tqdm.auto import tqdm

from s1lab.budget import Budget, check_answer
from s1lab.engine import Engine, Program, driving, run
from s1lab.programs import Sampling
from s1lab.programs import direct as direct_program
from s1lab.programs import force as force_program
from s1lab.recording import Recording, recording
from s1lab.trace import Source, Trace

T = TypeVar("T")
Budgets = Budget | Sequence[Budget]
Storing = str | Path | Recording | None
LOG = logging.getLogger(__name__)
MOST_WORDS = 300  # of an exception, in a question's error
UNFINISHED = "interrupted before it was finished"


class Options(TypedDict, total=False):
    """What every call on questions takes besides; see :func:`s1lab.force`."""

    temperature: float
    top_p: float
    seed: int
    answer_tokens: int | None
    answer_room: int | None
    system: str | None
    store: Storing
    progress: bool


@overload
def force(  # type: ignore[overload-overlap]
    engine: Engine, questions: str, budget: Budget | None = ..., **options: Unpack[Options]
) -> Trace: ...
@overload
def force(engine: Engine, questions: Iterable[str], budget: Budgets | None = ..., **options: Unpack[Options]) -> list[Trace]: ...
def force(
    engine: Engine,
    questions: str | Iterable[str],
    budget: Budgets | None = None,
    *,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    answer_tokens: int | None = None,
    answer_room: int | None = None,
    system: str | None = None,
    store: Storing = None,
    progress: bool = True,
) -> Trace | list[Trace]:
    """Budget forcing: think within the budget, then answer (paper section 3.1).

    questions: one question, or many; a single question in, a single Trace out.
    budget: one for all, or a list with one a question. None is ``Budget()``: think until the model stops by itself.
    temperature: 0 is greedy. Above it each (seed, question) has its own random numbers, whatever shares its batch; a
        question that stands twice in the list is sampled twice.
    answer_tokens: the most tokens of an answer, whatever the budgets say. None: as the budget says, which by default lets an
        answer have all that the context has left.
    answer_room: how many tokens the thinking must leave for the answer, likewise; a budget says 100 by default.
    system: the system turn; None for none.
    store: a file, such as "runs/x.db", in which every completion and every trace is kept as it comes. The same call on the same
        file goes on where it was killed, and asks nothing again that is there. :func:`s1lab.runs` lists what a file holds.

    A question that can't be run comes back as a Trace with its ``error``; the others are not touched by it.
    Raises ValueError before anything runs for an empty list, an empty question or budgets that do not pair up, and
    :class:`s1lab.StoreError` for a store that can't be used.
    """
    single, asked = questions_of(questions)
    budgets = budgets_of(budget, len(asked), single, answer_tokens, answer_room)
    sampling = Sampling(temperature, top_p, seed)

    traces = open_traces(engine, asked, budgets, system)

    def program(i: int) -> Program[Trace]:
        return force_program(traces[i], budgets[i], sampling, engine.context)

    made = {"call": "force"} | settings(sampling, system, budgets)
    return drive_traces(engine, traces, program, single, what="forcing", progress=progress, store=store, made=made)


@overload
def direct(  # type: ignore[overload-overlap]
    engine: Engine, questions: str, *, prefix: str | None = ..., **options: Unpack[Options]
) -> Trace: ...
@overload
def direct(engine: Engine, questions: Iterable[str], *, prefix: str | None = ..., **options: Unpack[Options]) -> list[Trace]: ...
def direct(
    engine: Engine,
    questions: str | Iterable[str],
    *,
    prefix: str | None = None,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    answer_tokens: int | None = None,
    answer_room: int | None = None,
    system: str | None = None,
    store: Storing = None,
    progress: bool = True,
) -> Trace | list[Trace]:
    """Ask without opening any thinking: the baseline. ``prefix="Answer:"`` leaves no room for thought before the answer.

    answer_tokens: the most tokens of an answer; None is all that the context has left. ``answer_room`` changes nothing here,
        since nothing is thought. The rest is as in :func:`s1lab.force`.
    """
    single, asked = questions_of(questions)
    check_answer(answer_tokens, answer_room)
    sampling = Sampling(temperature, top_p, seed)
    traces = open_traces(engine, asked, [None] * len(asked), system)

    def program(i: int) -> Program[Trace]:
        return direct_program(traces[i], prefix, answer_tokens, sampling, engine.context)

    made = {"call": "direct", "prefix": prefix, "answer_tokens": answer_tokens} | settings(sampling, system, [])
    return drive_traces(engine, traces, program, single, what="answering", progress=progress, store=store, made=made)


def questions_of(questions: str | Iterable[str]) -> tuple[bool, list[str]]:
    single = isinstance(questions, str)
    asked = [questions] if isinstance(questions, str) else list(questions)
    if not asked:
        raise ValueError("the list of questions is empty: give at least one")
    for place, question in enumerate(asked):
        if not isinstance(question, str):
            raise ValueError(f"question {place} is a {type(question).__name__}, not text: {question!r}")
        if not question.strip():
            raise ValueError(
                f"question {place} is empty: write something to ask"
                if not single
                else "the question is empty: write something to ask"
            )
    return single, asked


def budgets_of(
    budget: Budgets | None, n: int, single: bool, answer_tokens: int | None = None, answer_room: int | None = None
) -> list[Budget]:
    """Resolve what a call was given into one budget a question.

    Args:
        budget: One budget for all questions, a list with one a question, or None for ``Budget()``.
        n: The number of questions.
        single: Whether the call was given one question by itself, which takes no list of budgets.
        answer_tokens: The call's own number; it overrides that of every budget. None leaves the budgets' own.
        answer_room: Likewise.

    Returns:
        As many budgets as there are questions.

    Raises:
        ValueError: The budgets do not pair up with the questions, or a number is out of range.

    """
    if budget is None or isinstance(budget, Budget):
        return [with_answer(budget, answer_tokens, answer_room)] * n
    budgets = list(budget)
    if single or len(budgets) != n or not all(isinstance(b, Budget) for b in budgets):
        raise ValueError(
            f"{len(budgets)} budgets for {n} question{'s' * (n != 1)}: give one Budget for all, or a list with one a question"
        )
    return [with_answer(b, answer_tokens, answer_room) for b in budgets]


def with_answer(budget: Budget | None, answer_tokens: int | None, answer_room: int | None) -> Budget:
    """A budget under a call's own numbers for the answer; None leaves what the budget says."""
    given = {"answer_tokens": answer_tokens, "answer_room": answer_room}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return replace(budget or Budget(), **changes)


def check_thinking(thinking: bool, budget: Budgets | None, prefix: str | None) -> None:
    """Check that a call without thinking has no budget, and that only such a call has a prefix.

    Raises:
        ValueError: It is not so. The message says what to leave out.

    """
    if not thinking and budget is not None:
        raise ValueError(
            "thinking=False leaves nothing to budget: leave the budget out; answer_tokens= is an option of the call itself"
        )
    if thinking and prefix is not None:
        raise ValueError(
            f"prefix={prefix!r} opens an answer that no thinking comes before: give thinking=False too, or the budget's on_cut"
        )


def _repeats(asked: list[str]) -> list[int]:
    """For each question how often it stood in the list before: its sample number."""
    seen: dict[str, int] = {}
    numbers = []
    for question in asked:
        numbers.append(seen.get(question, 0))
        seen[question] = numbers[-1] + 1
    return numbers


def open_trace(engine: Engine, question: str, budget: Budget | None, sample: int, system: str | None) -> Trace:
    """Open a trace: the prompt, up to where the model begins. Without a budget nothing is to be thought.

    A question that can't be opened gets a trace with an ``error``. Half of a surrogate pair has no ids,
    and a chat template may refuse a question (``raise_exception``).

    Raises:
        ValueError: The chat template takes no system text, which concerns every question of the call.

    """
    if system is not None and (unusable := engine.template.chat.system_fault):
        raise ValueError(unusable)
    trace = Trace(question, engine.template, budget, sample)
    texts = {"question": question, "system_text": system}
    if budget is not None:
        waits = budget.wait if isinstance(budget.wait, tuple) else (budget.wait,)
        texts |= {"wait": "\n".join(filter(None, waits)), "on_cut": budget.on_cut}
    try:
        trace.extend(engine.template.prompt(question, system, thinking=budget is not None), Source.PROMPT)
        trace.notes += engine.template.foreign_notes(**texts)
    except Exception as why:  # the chat template and the tokenizer raise anything here
        LOG.debug("a question can't be opened", exc_info=True)
        trace.error = _unopened(question, system, why)
    return trace


def _unopened(question: str, system: str | None, why: Exception) -> str:
    for name, text in (("question", question), ("system text", system or "")):
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            return f"the {name} holds half of a surrogate pair, which no tokenizer takes: decode it again from its source"
    return f"the question can't be put into the chat template: {fault(why)}"


def fault(why: Exception) -> str:
    """An exception as a question's ``error`` shows it: its type and its words, on one line of bounded length."""
    words = " ".join(str(why).split())
    return f"{type(why).__name__}: {words}" if len(words) <= MOST_WORDS else f"{type(why).__name__}: {words[: MOST_WORDS - 1]}…"


def open_traces(engine: Engine, asked: list[str], budgets: Sequence[Budget | None], system: str | None) -> list[Trace]:
    """A trace a question, up to where the model begins."""
    rows = zip(asked, budgets, _repeats(asked), strict=True)
    return [open_trace(engine, question, budget, sample, system) for question, budget, sample in rows]


def settings(sampling: Sampling, system: str | None, budgets: Sequence[Budget]) -> dict[str, Any]:
    """What to write beside a run besides its engine."""
    semantics = "+".join(sorted({b.compat for b in budgets})) or "no thinking"
    return {
        "semantics": semantics,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "system": system,
    }


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
    """Run ``program(0)`` to ``program(n - 1)`` with a bar and a store.

    A program that raises ends its own question: the result is that of an unfinished one, with the
    exception in its ``error``, and the others go on. So does a question that could not be opened.

    Args:
        engine: The engine.
        program: Makes the program of a question.
        unfinished: Makes the result of a question that was not finished, or that could not be run.
        n: How many questions there are.
        single: Whether the call was given one question by itself.
        what: What the bar says.
        progress: Whether there is a bar.
        store: Where the run is kept.
        made: What is written beside it.
        opened: The traces that a question's program starts from.
        traces_of: The traces in a result.

    Returns:
        The results in order, or the only one.

    Raises:
        Interrupted: Ctrl-C.

    """
    results: dict[int, T] = {}
    with (
        driving(engine),
        recording(store, engine, made, n) as record,
        tqdm(total=n, desc=what, unit="question", disable=None if progress and not single else True, leave=False) as bar,
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
            raise Interrupted([results[i] if i in results else unfinished(i) for i in range(n)], finished) from None
    return results[0] if single else [results[i] for i in range(n)]


def drive_traces(
    engine: Engine, traces: list[Trace], program: Callable[[int], Program[Trace]], single: bool, *, what: str, progress: bool,
    store: Storing, made: dict[str, Any],
) -> Trace | list[Trace]:  # fmt: skip
    """:func:`drive` for programs that end in the traces they were given."""

    def unfinished(i: int) -> Trace:
        traces[i].error = UNFINISHED
        return traces[i]

    found: Trace | list[Trace] = drive(
        engine, program, unfinished, len(traces), single, what=what, progress=progress, store=store, made=made,
        opened=lambda i: [traces[i]],
    )  # fmt: skip
    return found


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in the middle of a run. ``traces`` are all of it: the finished ones whole, the others with an ``error``.

    Of a run of ladders they are Ladders. ``finished``: how many are whole.
    """

    last: ClassVar[list[Any]] = []

    def __init__(self, traces: list[Any], finished: int) -> None:
        super().__init__(f"{finished} of {len(traces)} questions were finished: lab.interrupted() has them")
        self.traces, self.finished = traces, finished
        Interrupted.last = traces


def interrupted() -> list[Any]:
    """The traces of the last run that was interrupted in this process: the finished ones whole, the others with an ``error``."""
    return Interrupted.last
