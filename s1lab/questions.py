"""The questions of a call: checked, opened, and run side by side with a bar and a store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

from tqdm.auto import tqdm

from s1lab.budget import Budget, check_text, shown
from s1lab.driver import run
from s1lab.engine import Engine, Program, Sampling
from s1lab.forcing import force as exact_loop
from s1lab.trace import Source, Trace

if TYPE_CHECKING:
    from pathlib import Path

    from s1lab.storage.replay import Recording
    from s1lab.tokenization.conversation import Conversation

T = TypeVar("T")
# A text, or a conversation: a list of messages, the user's last.
Question: TypeAlias = str | Sequence[Mapping[str, str]]
Budgets: TypeAlias = Budget | Sequence[Budget]
Storing: TypeAlias = "str | Path | Recording | None"
Loop: TypeAlias = Callable[[Trace, Budget, Sampling, int], Program[Trace]]
MOST_WORDS = 300  # characters of an exception that a question's error shows
UNFINISHED = "interrupted before it was finished"
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """The options that every call on questions takes; `s1lab.force` describes them."""

    sampling: Sampling = field(default_factory=Sampling)
    answer_tokens: int | None = None
    answer_room: int | None = None
    system: str | None = None
    store: Storing = None
    progress: bool = True

    def __post_init__(self) -> None:
        check_text("system", self.system)

    def budgets(self, budget: Budgets | None, n: int, single: bool = False) -> list[Budget]:
        """A budget for each of n questions, with the call's own answer numbers."""
        if budget is None or isinstance(budget, Budget):
            return [self.answering(budget)] * n
        if isinstance(budget, str | Mapping) or not isinstance(budget, Iterable):
            such = "lab.Budget(max_tokens=512), or a list with one a question"
            raise ValueError(f"budget={shown(budget)} is no Budget: give one, such as {such}")
        budgets = list(budget)
        if single or len(budgets) != n or not all(isinstance(b, Budget) for b in budgets):
            raise ValueError(
                f"{len(budgets)} budgets for {n} question{'s' * (n != 1)}: "
                "give one Budget for all, or a list with one a question"
            )
        return [self.answering(b) for b in budgets]

    def answering(self, budget: Budget | None) -> Budget:
        """Put the call's own answer numbers into a budget; None keeps what the budget says."""
        numbers = {"answer_tokens": self.answer_tokens, "answer_room": self.answer_room}
        given: dict[str, Any] = {name: n for name, n in numbers.items() if n is not None}
        return replace(budget or Budget(), **given)

    def settings(self, budgets: Sequence[Budget]) -> dict[str, Any]:
        """The settings that are stored with a run, besides its engine; no budget: no thinking."""
        return {
            "semantics": "+".join(sorted({b.compat for b in budgets})) or "no thinking",
            "temperature": self.sampling.temperature,
            "top_p": self.sampling.top_p,
            "seed": self.sampling.seed,
            "system": self.system,
            **self.sampling.later(),
        }


class Questions:
    """The questions of a call, with their budgets, the call's options, and their traces.

    A call makes one, calls `open`, and then `run` or `run_traces`. What it gives
    for one question or many is decided in `given`.

    Args:
        engine: The engine.
        questions: One question, or many.
        budget: One budget for all questions, a list with one for each, or None for ``Budget()``.
        options: The options of the call.
        thinking: Whether the questions are answered with thinking.

    Attributes:
        questions: The questions, each a text or a conversation.
        single: Whether the call has a single question, not a list.
        budgets: A budget for each question.
        sampling: How ids are chosen.
        traces: The traces of each question, one for each of its samples.

    Raises:
        ValueError: The list or a question is empty, the budgets do not pair up with the questions,
            or an option is out of range.
    """

    def __init__(
        self,
        engine: Engine,
        questions: Question | Iterable[Question],
        budget: Budgets | None,
        options: Options,
        thinking: bool = True,
    ) -> None:
        self.engine, self.options, self.thinking = engine, options, thinking
        self.single, self.questions = engine.template.questions(questions, options.system)
        self.budgets = options.budgets(budget, len(self.questions), self.single)
        self.sampling = options.sampling
        self.traces: list[list[Trace]] = []

    def open(self, samples: int = 1, instruct: Callable[[str], str] = str) -> None:
        """Open the traces, each up to where the model begins.

        Args:
            samples: The number of traces of each question.
            instruct: Adds an instruction to a question's text, that of the last message in a
                conversation. The prompt has it, ``Trace.question`` not.

        Raises:
            ValueError: The chat template takes no system text.
        """
        seen: dict[str, int] = {}  # how often a question came earlier: its sample number
        for question, budget in zip(self.questions, self.budgets, strict=True):
            own, text = budget if self.thinking else None, str(question)
            asked: str | Conversation
            asked = instruct(question) if isinstance(question, str) else question.ending(instruct)
            opened = []
            for _ in range(samples):
                sample = seen[text] = seen.get(text, -1) + 1
                trace = open_trace(self.engine, asked, own, sample, self.options.system)
                trace.question = question
                opened.append(trace)
            self.traces.append(opened)

    def settings(self) -> dict[str, Any]:
        """The settings that are stored with the run, besides its engine and its call."""
        return self.options.settings(self.budgets if self.thinking else [])

    def run_traces(self, loop: Loop, *, what: str, made: dict[str, Any]) -> Trace | list[Trace]:
        """`run` for a program that ends in the one trace of its question.

        Args:
            loop: Makes the program from (trace, budget, sampling, context).
            what: As in `run`.
            made: As in `run`.
        """

        def program(i: int) -> Program[Trace]:
            return loop(self.traces[i][0], self.budgets[i], self.sampling, self.engine.context)

        def unfinished(i: int) -> Trace:
            return self.traces[i][0]

        return self.given(self.run(program, unfinished, lambda t: [t], what=what, made=made))

    def given(self, results: list[T]) -> T | list[T]:
        """What the call gives: the result of a single question alone, a list for many."""
        return results[0] if self.single else results

    def run(
        self,
        program: Callable[[int], Program[T]],
        unfinished: Callable[[int], T],
        traces_of: Callable[[T], list[Trace]],
        *,
        what: str,
        made: dict[str, Any],
    ) -> list[T]:
        """Run a program for each question, with a progress bar and a store.

        A program that raises ends only its own question. The result is then that of an unfinished
        question, with the exception in the ``error`` of its traces. A question that could not be
        opened is treated in the same way. The other questions go on.

        Args:
            program: Makes the program of a question, from its place in the list.
            unfinished: Makes the result of a question that did not get to its end, from its traces.
            traces_of: The traces in a result.
            what: The text of the progress bar.
            made: The settings that are stored with the run.

        Returns:
            The results in the order of the questions.

        Raises:
            Interrupted: Ctrl-C.
        """
        from s1lab.storage.replay import recording

        n, hidden = len(self.questions), self.single or not self.options.progress
        results: dict[int, T] = {}

        def ended(i: int, error: str) -> T:
            for trace in self.traces[i]:
                trace.error = error
            return unfinished(i)

        def failed(i: int, why: Exception) -> T:
            return ended(i, f"the question's own run failed: {fault(why)}")

        def started(i: int) -> Program[T]:
            if error := next((trace.error for trace in self.traces[i] if trace.error), None):
                return ended(i, error)
            return (yield from program(i))

        with (
            recording(self.options.store, self.engine, made, n) as record,
            # For tqdm, disable=None shows the bar on a terminal only.
            tqdm(total=n, desc=what, unit="question", disable=hidden or None, leave=False) as bar,
        ):

            def done(i: int, result: T) -> None:
                results[i] = result
                record.add(i, traces_of(result))
                bar.update()

            try:
                return run(record.engine, map(started, range(n)), done, failed)
            except KeyboardInterrupt:
                left = [results[i] if i in results else ended(i, UNFINISHED) for i in range(n)]
                raise Interrupted(left, len(results)) from None


def open_trace(
    engine: Engine, question: str | Conversation, budget: Budget | None, sample: int,
    system: str | None,
) -> Trace:  # fmt: skip
    """Open a trace: the prompt, up to where the model begins.

    A question that can't be opened gets a trace with an ``error``. Half of a surrogate pair has no
    ids, and a chat template may refuse a question (``raise_exception``).

    Args:
        engine: The engine, for its template.
        question: The question, a text or a conversation.
        budget: Its budget. None opens no thinking.
        sample: The sample number of the question.
        system: The system turn; None for none.

    Returns:
        The opened trace.

    Raises:
        ValueError: The chat template takes no system text. This concerns every question of the
            call.
    """
    template = engine.template
    if system is not None and (unusable := template.chat.system_fault):
        raise ValueError(unusable)
    trace = Trace(question, template, budget, sample)
    thinking = budget is not None
    try:
        trace.extend(template.prompt(question, system, thinking=thinking), Source.PROMPT)
        trace.notes += template.prompt_notes(question, system, thinking=thinking)
        if budget is not None:
            waits = budget.wait if isinstance(budget.wait, tuple) else (budget.wait,)
            wait = "\n".join(filter(None, waits))
            trace.notes += template.foreign_notes(wait=wait, on_cut=budget.on_cut)
    except Exception as why:  # the chat template and the tokenizer may raise anything here
        LOG.debug("a question can't be opened", exc_info=True)
        said = f"the question can't be put into the chat template: {fault(why)}"
        trace.error = template.undecoded(question, system) or said
    return trace


def fault(why: Exception) -> str:
    """An exception as a question's ``error`` shows it: its type and words, on one bounded line."""
    words = " ".join(str(why).split())
    shown = words if len(words) <= MOST_WORDS else words[: MOST_WORDS - 1] + "…"
    return f"{type(why).__name__}: {shown}"


def force_loop(trace: Trace, budget: Budget, sampling: Sampling, context: int) -> Program[Trace]:
    """Choose the program of a budget: the paper's loop, or one of the original's for ``compat``."""
    if budget.compat == "exact":
        return exact_loop(trace, budget, sampling, context)
    from s1lab.methods.original_loops import harness, readme

    return (readme if budget.compat == "readme" else harness)(trace, budget, sampling, context)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in the middle of a run.

    Attributes:
        traces: All traces of the run: the finished ones are whole, the others have an ``error``. A
            run of ladders has Ladders here.
        finished: How many are whole.
        last: The traces of the last interrupted run of this process.
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
        import s1lab as lab

        traces = lab.interrupted()
    """
    return Interrupted.last
