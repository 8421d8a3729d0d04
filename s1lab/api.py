"""Questions in, traces out: the programs over an engine, for one question or many, with progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, overload

from tqdm.auto import tqdm

from s1lab.budget import Budget
from s1lab.engine import Engine, Program, run
from s1lab.programs import Sampling
from s1lab.programs import direct as direct_program
from s1lab.programs import force as force_program
from s1lab.trace import Source, Trace

Budgets = Budget | Sequence[Budget]


@overload
def force(  # type: ignore[overload-overlap]
    engine: Engine,
    questions: str,
    budget: Budget | None = ...,
    *,
    temperature: float = ...,
    top_p: float = ...,
    seed: int = ...,
    system: str | None = ...,
    progress: bool = ...,
) -> Trace: ...
@overload
def force(
    engine: Engine,
    questions: Iterable[str],
    budget: Budgets | None = ...,
    *,
    temperature: float = ...,
    top_p: float = ...,
    seed: int = ...,
    system: str | None = ...,
    progress: bool = ...,
) -> list[Trace]: ...
def force(
    engine: Engine,
    questions: str | Iterable[str],
    budget: Budgets | None = None,
    *,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    system: str | None = None,
    progress: bool = True,
) -> Trace | list[Trace]:
    """Budget forcing: think within the budget, then answer (paper section 3.1).

    questions: one question, or many; a single question in, a single Trace out.
    budget: one for all, or a list with one a question. None is ``Budget()``: think until the model stops by itself.
    temperature: 0 is greedy. Above it each (seed, question) has its own random numbers, whatever shares its batch; a
        question that stands twice in the list is sampled twice.
    system: the system turn; None for none.

    A question that can't be run comes back as a Trace with its ``error``; the others are not touched by it.
    Raises ValueError before anything runs for an empty list, an empty question or budgets that do not pair up.
    """
    single, asked = _asked(questions)
    budgets = _budgets(budget, len(asked), single)
    sampling = Sampling(temperature, top_p, seed)

    def program(trace: Trace) -> Program[Trace]:
        assert trace.budget is not None
        return force_program(trace, trace.budget, sampling, engine.context)

    traces = [
        open_trace(engine, q, b, n, system) for (q, b), n in zip(zip(asked, budgets, strict=True), _repeats(asked), strict=True)
    ]
    return _run(engine, traces, program, single, progress, "forcing")


def direct(
    engine: Engine,
    questions: str | Iterable[str],
    *,
    prefix: str | None = None,
    answer_tokens: int = 1024,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    system: str | None = None,
    progress: bool = True,
) -> Trace | list[Trace]:
    """Ask without opening any thinking: the baseline. ``prefix="Answer:"`` leaves no room for thought before the answer."""
    single, asked = _asked(questions)
    sampling = Sampling(temperature, top_p, seed)
    traces = [open_trace(engine, q, None, n, system) for q, n in zip(asked, _repeats(asked), strict=True)]

    def program(trace: Trace) -> Program[Trace]:
        return direct_program(trace, prefix, answer_tokens, sampling, engine.context)

    return _run(engine, traces, program, single, progress, "answering")


def _asked(questions: str | Iterable[str]) -> tuple[bool, list[str]]:
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


def _budgets(budget: Budgets | None, n: int, single: bool) -> list[Budget]:
    if budget is None:
        return [Budget()] * n
    if isinstance(budget, Budget):
        return [budget] * n
    budgets = list(budget)
    if single or len(budgets) != n or not all(isinstance(b, Budget) for b in budgets):
        raise ValueError(
            f"{len(budgets)} budgets for {n} question{'s' * (n != 1)}: give one Budget for all, or a list with one a question"
        )
    return budgets


def _repeats(asked: list[str]) -> list[int]:
    """For each question how often it stood in the list before: its sample number."""
    seen: dict[str, int] = {}
    numbers = []
    for question in asked:
        numbers.append(seen.get(question, 0))
        seen[question] = numbers[-1] + 1
    return numbers


def open_trace(engine: Engine, question: str, budget: Budget | None, sample: int, system: str | None) -> Trace:
    trace = Trace(question, engine.template, budget, sample)
    trace.extend(engine.template.prompt(question, system), Source.PROMPT)
    return trace


def _run(
    engine: Engine, traces: list[Trace], program: Callable[[Trace], Program[Trace]], single: bool, progress: bool, what: str
) -> Trace | list[Trace]:
    unfinished = set(range(len(traces)))
    with tqdm(
        total=len(traces), desc=what, unit="question", disable=None if progress and not single else True, leave=False
    ) as bar:

        def done(index: int, _: Trace) -> None:
            unfinished.discard(index)
            bar.update()

        try:
            finished = run(engine, (program(t) for t in traces), done)
        except KeyboardInterrupt:
            for index in unfinished:
                traces[index].error = "interrupted before it was finished"
            raise Interrupted(traces, len(traces) - len(unfinished)) from None
    return finished[0] if single else finished


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in the middle of a run. ``traces`` are all of it: the finished ones whole, the others with an ``error``."""

    last: ClassVar[list[Trace]] = []

    def __init__(self, traces: list[Trace], finished: int) -> None:
        super().__init__(f"{finished} of {len(traces)} questions were finished: lab.interrupted() has them")
        self.traces = traces
        Interrupted.last = traces


def interrupted() -> list[Trace]:
    """The traces of the last run that was interrupted in this process: the finished ones whole, the others with an ``error``."""
    return Interrupted.last
