"""Ask questions and get traces: the programs over an engine, with a progress bar and a store."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, TypedDict, Unpack, overload

from s1lab.arguments import shown
from s1lab.budget import Budget, check_answer
from s1lab.driving import Storing as Storing
from s1lab.driving import drive_traces, fault
from s1lab.engine import Engine, Program
from s1lab.forcing import Sampling
from s1lab.forcing import direct as direct_program
from s1lab.forcing import force as exact_loop
from s1lab.trace import Source, Trace

Budgets = Budget | Sequence[Budget]
LOG = logging.getLogger(__name__)


class Options(TypedDict, total=False):
    """The options that every call on questions takes; see :func:`s1lab.force`."""

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
def force(
    engine: Engine,
    questions: Iterable[str],
    budget: Budgets | None = ...,
    **options: Unpack[Options],
) -> list[Trace]: ...


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
    """Think within a budget, then answer: budget forcing (paper section 3.1).

    A question that can't be run comes back as a Trace with its ``error``. It does not affect the
    other questions.

    Args:
        engine: The engine that runs the model, from :func:`s1lab.load`.
        questions: One question, or many.
        budget: One budget for all questions, or a list with one for each. None is ``Budget()``: the
            model thinks until it stops by itself.
        temperature: 0 is greedy. Above 0 each (seed, question) has its own random numbers, whatever
            else is in the batch. A question that is in the list twice is sampled twice.
        top_p: Nucleus sampling, above 0 and at most 1. 1 keeps every token.
        seed: The seed of the run.
        answer_tokens: The most tokens of an answer. It overrides the budgets. None keeps what the
            budget says; by default an answer may use all that is left of the context.
        answer_room: How many tokens the thinking must leave for the answer. It overrides the
            budgets. None keeps what the budget says, which is 100 by default.
        system: The system turn; None for none.
        store: A file, such as "runs/x.db", that keeps every completion and every trace as it comes.
            The same call on the same file resumes a run that was killed, and repeats no request
            that the file holds. :func:`s1lab.runs` lists the runs in a file.
        progress: Whether to show a progress bar. A single question shows none.

    Returns:
        A Trace for a single question, else a list of traces in the order of the questions.

    Raises:
        ValueError: The list or a question is empty, or the budgets do not pair up with the
            questions. Nothing has run yet.
        StoreError: The store can't be used.
        Interrupted: Ctrl-C. The exception holds the traces so far.

    Example:
        import s1lab as lab

        engine = lab.load("s1-tiny")
        trace = lab.force(engine, "How many r in raspberry?", lab.Budget(waits=1))
        print(trace.answer)
    """
    single, asked = questions_of(questions)
    budgets = budgets_of(budget, len(asked), single, answer_tokens, answer_room)
    sampling = Sampling(temperature, top_p, seed)

    traces = open_traces(engine, asked, budgets, system)

    def program(i: int) -> Program[Trace]:
        return force_loop(traces[i], budgets[i], sampling, engine.context)

    made = {"call": "force"} | settings(sampling, system, budgets)
    return drive_traces(
        engine, traces, program, single, what="forcing", progress=progress, store=store, made=made
    )


def force_loop(trace: Trace, budget: Budget, sampling: Sampling, context: int) -> Program[Trace]:
    """Choose the program of a budget: the paper's loop, or one of the original's for ``compat``."""
    if budget.compat == "exact":
        return exact_loop(trace, budget, sampling, context)
    from s1lab.methods.original_loops import harness, readme

    return (readme if budget.compat == "readme" else harness)(trace, budget, sampling, context)


@overload
def direct(  # type: ignore[overload-overlap]
    engine: Engine, questions: str, *, prefix: str | None = ..., **options: Unpack[Options]
) -> Trace: ...


@overload
def direct(
    engine: Engine,
    questions: Iterable[str],
    *,
    prefix: str | None = ...,
    **options: Unpack[Options],
) -> list[Trace]: ...


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
    """Answer without thinking: the baseline.

    No thinking is opened. The other options are as in :func:`s1lab.force`.

    Args:
        engine: The engine that runs the model, from :func:`s1lab.load`.
        questions: One question, or many.
        prefix: The first words of the answer. ``"Answer:"`` leaves no room for thought before the
            answer. None adds nothing.
        temperature: As in :func:`s1lab.force`.
        top_p: As in :func:`s1lab.force`.
        seed: As in :func:`s1lab.force`.
        answer_tokens: The most tokens of an answer. None is all that is left of the context.
        answer_room: Has no effect here, since there is no thinking.
        system: As in :func:`s1lab.force`.
        store: As in :func:`s1lab.force`.
        progress: As in :func:`s1lab.force`.

    Returns:
        A Trace for a single question, else a list of traces in the order of the questions.

    Raises:
        ValueError: The list or a question is empty, or a number is out of range.
        StoreError: The store can't be used.
        Interrupted: Ctrl-C. The exception holds the traces so far.

    Example:
        import s1lab as lab

        engine = lab.load("s1-tiny")
        trace = lab.direct(engine, "How many r in raspberry?", prefix="Answer:")
        print(trace.answer)
    """
    single, asked = questions_of(questions)
    check_answer(answer_tokens, answer_room)
    sampling = Sampling(temperature, top_p, seed)
    traces = open_traces(engine, asked, [None] * len(asked), system)

    def program(i: int) -> Program[Trace]:
        return direct_program(traces[i], prefix, answer_tokens, sampling, engine.context)

    made = {"call": "direct", "prefix": prefix, "answer_tokens": answer_tokens} | settings(
        sampling, system, []
    )
    return drive_traces(
        engine, traces, program, single, what="answering", progress=progress, store=store, made=made
    )


def questions_of(questions: str | Iterable[str]) -> tuple[bool, list[str]]:
    """Check the questions of a call.

    Args:
        questions: One question, or many.

    Returns:
        Whether it is a single question, and the questions as a list.

    Raises:
        ValueError: The list is empty, or a question is empty or is not text.
    """
    single = isinstance(questions, str)
    if not isinstance(questions, Iterable):
        raise ValueError(f"questions={shown(questions)} is no text: give one, or a list of them")
    asked = [questions] if isinstance(questions, str) else list(questions)
    if not asked:
        raise ValueError("the list of questions is empty: give at least one")
    for place, question in enumerate(asked):
        if not isinstance(question, str):
            raise ValueError(
                f"question {place} is a {type(question).__name__}, not text: {question!r}"
            )
        if not question.strip():
            raise ValueError(
                f"question {place} is empty: write something to ask"
                if not single
                else "the question is empty: write something to ask"
            )
    return single, asked


def budgets_of(
    budget: Budgets | None,
    n: int,
    single: bool,
    answer_tokens: int | None = None,
    answer_room: int | None = None,
) -> list[Budget]:
    """Turn the budgets of a call into one budget for each question.

    Args:
        budget: One budget for all questions, a list with one for each, or None for ``Budget()``.
        n: The number of questions.
        single: Whether the call has a single question, which takes no list of budgets.
        answer_tokens: The call's own number. It overrides that of every budget. None keeps the
            numbers of the budgets.
        answer_room: Likewise.

    Returns:
        As many budgets as there are questions.

    Raises:
        ValueError: The budgets do not pair up with the questions, or a number is out of range.
    """
    if budget is None or isinstance(budget, Budget):
        return [with_answer(budget, answer_tokens, answer_room)] * n
    if isinstance(budget, str) or not isinstance(budget, Iterable):
        raise ValueError(
            f"budget={shown(budget)} is no Budget: give one, or a list with one a question"
        )
    budgets = list(budget)
    if single or len(budgets) != n or not all(isinstance(b, Budget) for b in budgets):
        raise ValueError(
            f"{len(budgets)} budgets for {n} question{'s' * (n != 1)}: give one Budget for all, or a list with one a question"
        )
    return [with_answer(b, answer_tokens, answer_room) for b in budgets]


def with_answer(
    budget: Budget | None, answer_tokens: int | None, answer_room: int | None
) -> Budget:
    """Put a call's own answer numbers into a budget; None keeps what the budget says."""
    given = {"answer_tokens": answer_tokens, "answer_room": answer_room}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return replace(budget or Budget(), **changes)


def check_thinking(thinking: bool, budget: Budgets | None, prefix: str | None) -> None:
    """Check that a call without thinking has no budget, and that only such a call has a prefix.

    Args:
        thinking: Whether the call thinks.
        budget: The call's budget or budgets.
        prefix: The call's first words of the answer.

    Raises:
        ValueError: One of the two rules is broken. The message says what to leave out.
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
    """For each question, how often it came earlier in the list: its sample number."""
    seen: dict[str, int] = {}
    numbers = []
    for question in asked:
        numbers.append(seen.get(question, 0))
        seen[question] = numbers[-1] + 1
    return numbers


def open_trace(
    engine: Engine, question: str, budget: Budget | None, sample: int, system: str | None
) -> Trace:
    """Open a trace: the prompt, up to where the model begins.

    A question that can't be opened gets a trace with an ``error``. Half of a surrogate pair has no
    ids, and a chat template may refuse a question (``raise_exception``).

    Args:
        engine: The engine, for its template.
        question: The question.
        budget: Its budget. None opens no thinking.
        sample: The sample number of the question.
        system: The system turn; None for none.

    Returns:
        The opened trace.

    Raises:
        ValueError: The chat template takes no system text. This concerns every question of the
            call.
    """
    if system is not None and not isinstance(system, str):
        raise ValueError(f"system={shown(system)} is no text: give one, or None for no system turn")
    if system is not None and (unusable := engine.template.chat.system_fault):
        raise ValueError(unusable)
    trace = Trace(question, engine.template, budget, sample)
    texts = {"question": question, "system_text": system}
    if budget is not None:
        waits = budget.wait if isinstance(budget.wait, tuple) else (budget.wait,)
        texts |= {"wait": "\n".join(filter(None, waits)), "on_cut": budget.on_cut}
    try:
        trace.extend(
            engine.template.prompt(question, system, thinking=budget is not None), Source.PROMPT
        )
        trace.notes += engine.template.foreign_notes(**texts)
    except Exception as why:  # the chat template and the tokenizer may raise anything here
        LOG.debug("a question can't be opened", exc_info=True)
        trace.error = _unopened(question, system, why)
    return trace


def _unopened(question: str, system: str | None, why: Exception) -> str:
    for name, text in (("question", question), ("system text", system or "")):
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            return f"the {name} holds half of a surrogate pair, which no tokenizer takes: decode it again from its source"
    return f"the question can't be put into the chat template: {fault(why)}"


def open_traces(
    engine: Engine, asked: list[str], budgets: Sequence[Budget | None], system: str | None
) -> list[Trace]:
    """Open one trace for each question, up to where the model begins."""
    rows = zip(asked, budgets, _repeats(asked), strict=True)
    return [
        open_trace(engine, question, budget, sample, system) for question, budget, sample in rows
    ]


def settings(sampling: Sampling, system: str | None, budgets: Sequence[Budget]) -> dict[str, Any]:
    """The settings that are stored with a run, besides its engine."""
    semantics = "+".join(sorted({b.compat for b in budgets})) or "no thinking"
    return {
        "semantics": semantics,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "system": system,
    }
