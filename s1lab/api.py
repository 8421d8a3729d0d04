"""Ask questions and get traces: ``lab.force`` and ``lab.direct``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeAlias, TypeVar, overload

from s1lab import forcing
from s1lab.budget import Budget, check_text
from s1lab.engine import Engine, Program, Sampling
from s1lab.questions import Budgets, Options, Question, Questions, Storing, force_loop
from s1lab.trace import Trace

Asked: TypeAlias = Question | Iterable[Question]
P = ParamSpec("P")
One = TypeVar("One", covariant=True)
Many = TypeVar("Many", covariant=True)


class Call(Protocol[P, One, Many]):
    """The type of a call on one question or many."""

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, engine: Engine, questions: Question, *args: P.args, **kwargs: P.kwargs
    ) -> One: ...
    @overload
    def __call__(
        self, engine: Engine, questions: Iterable[Question], *args: P.args, **kwargs: P.kwargs
    ) -> Many: ...


def one_or_many(
    one: type[One], many: type[Many]
) -> Callable[[Callable[Concatenate[Engine, Asked, P], One | Many]], Call[P, One, Many]]:
    """Tell type checkers what a call gives: ``one`` for a question, ``many`` for several.

    The call's arguments are put right, or refused, before the function itself runs.
    """

    def decorated(call: Callable[Concatenate[Engine, Asked, P], One | Many]) -> Any:
        from s1lab.evaluation.calls import checked

        return checked(call)

    return decorated


@one_or_many(Trace, list[Trace])
def force(
    engine: Engine,
    questions: Question | Iterable[Question],
    budget: Budgets | None = None,
    *,
    temperature: float = 0.0,
    top_p: float = 1.0,
    top_k: int = 0,
    min_p: float = 0.0,
    repetition_penalty: float = 1.0,
    presence_penalty: float = 0.0,
    frequency_penalty: float = 0.0,
    seed: int = 0,
    answer_tokens: int | None = None,
    answer_room: int | None = None,
    logprobs: int | None = None,
    system: str | None = None,
    store: Storing = None,
    progress: bool = True,
) -> Trace | list[Trace]:
    """Think within a budget, then answer: budget forcing (paper section 3.1).

    A question that can't be run comes back as a Trace with its ``error``. It does not affect the
    other questions.

    Args:
        engine: The engine that runs the model, from `s1lab.load`.
        questions: One question, or many. A question is a text, or a conversation: a list of
            messages, each ``{"role": "system" | "user" | "assistant", "content": "…"}``, the
            user's last. The chat template decides what the model sees of earlier turns; most
            leave their thinking out, and the trace has a note then. ``Trace.question`` holds the
            messages as a tuple.
        budget: One budget for all questions, or a list with one for each. None is ``Budget()``: the
            model thinks until it stops by itself.
        temperature: 0 is greedy. Above 0 each (seed, question) has its own random numbers, whatever
            else is in the batch. A question that is in the list twice is sampled twice.
        top_p: Nucleus sampling, above 0 and at most 1. 1 keeps every token.
        top_k: Sample from this many of the most likely tokens. 0 keeps all.
        min_p: Drop tokens less likely than this share of the most likely one, 0 to 1.
        repetition_penalty: Above 1, tokens that were there before, the prompt's included, become
            less likely. 1 is none. All three penalties work as in vLLM, also on greedy decoding.
        presence_penalty: Is taken off the logit of each token that the round has written, -2 to 2.
        frequency_penalty: Is taken off as often as the round has written the token, -2 to 2.
        seed: The seed of the run.
        answer_tokens: The most tokens of an answer. It overrides the budgets. None keeps what the
            budget says; by default an answer may use all that is left of the context.
        answer_room: How many tokens the thinking must leave for the answer. It overrides the
            budgets. None keeps what the budget says, which is 100 by default.
        logprobs: Ask for log-probabilities: `Trace.logprobs` then has each id's own. With k above 0
            the engine is asked for the k most likely ids at each place too, up to 20; a store
            keeps them. None asks for none.
        system: The system turn; None for none. It comes before the messages of a conversation,
            which then have none of their own.
        store: A file, such as "runs/x.db", that keeps every completion and every trace as it comes.
            The same call on the same file resumes a run that was killed, and repeats no request
            that the file holds. `s1lab.runs` lists the runs in a file.
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
    sampling = Sampling(
        temperature, top_p, seed, top_k, min_p, repetition_penalty, presence_penalty,
        frequency_penalty, logprobs,
    )  # fmt: skip
    options = Options(sampling, answer_tokens, answer_room, system, store, progress)
    asked = Questions(engine, questions, budget, options)
    asked.open()
    made = {"call": "force"} | asked.settings()
    return asked.run_traces(force_loop, what="forcing", made=made)


@one_or_many(Trace, list[Trace])
def direct(
    engine: Engine,
    questions: Question | Iterable[Question],
    *,
    prefix: str | None = None,
    temperature: float = 0.0,
    top_p: float = 1.0,
    top_k: int = 0,
    min_p: float = 0.0,
    repetition_penalty: float = 1.0,
    presence_penalty: float = 0.0,
    frequency_penalty: float = 0.0,
    seed: int = 0,
    answer_tokens: int | None = None,
    answer_room: int | None = None,
    logprobs: int | None = None,
    system: str | None = None,
    store: Storing = None,
    progress: bool = True,
) -> Trace | list[Trace]:
    """Answer without thinking: the baseline.

    No thinking is opened. The other options are as in `s1lab.force`.

    Args:
        engine: The engine that runs the model, from `s1lab.load`.
        questions: One question, or many.
        prefix: The first words of the answer. ``"Answer:"`` leaves no room for thought before the
            answer. None adds nothing.
        temperature: As in `s1lab.force`.
        top_p: As in `s1lab.force`.
        top_k: As in `s1lab.force`.
        min_p: As in `s1lab.force`.
        repetition_penalty: As in `s1lab.force`.
        presence_penalty: As in `s1lab.force`.
        frequency_penalty: As in `s1lab.force`.
        seed: As in `s1lab.force`.
        answer_tokens: The most tokens of an answer. None is all that is left of the context.
        answer_room: Has no effect here, since there is no thinking.
        logprobs: As in `s1lab.force`.
        system: As in `s1lab.force`.
        store: As in `s1lab.force`.
        progress: As in `s1lab.force`.

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
    sampling = Sampling(
        temperature, top_p, seed, top_k, min_p, repetition_penalty, presence_penalty,
        frequency_penalty, logprobs,
    )  # fmt: skip
    options = Options(sampling, answer_tokens, answer_room, system, store, progress)
    check_text("prefix", prefix)
    asked = Questions(engine, questions, None, options, thinking=False)
    asked.open()

    def loop(trace: Trace, own: Budget, sampling: Sampling, context: int) -> Program[Trace]:
        return forcing.direct(trace, prefix, own.answer_tokens, sampling, context)

    made = {"call": "direct", "prefix": prefix, "answer_tokens": answer_tokens} | asked.settings()
    return asked.run_traces(loop, what="answering", made=made)
