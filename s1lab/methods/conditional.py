"""Conditional control (paper section 3.2, appendix E.1): the question says how much to think.

Token- and step-conditional control need a model that was trained for them
(`s1lab.sft.formats`). Class-conditional control is plain prompting. Each can have budget
forcing on top. All give ordinary traces, so the same ledger counts the cost of each method.
``as_original=True`` runs a method as the original does, where s1lab differs.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal, get_args

from s1lab.api import one_or_many
from s1lab.budget import Budget
from s1lab.engine import Engine, Program, Sampling
from s1lab.methods.original_steps import counted_harness, original_steps
from s1lab.methods.steps import step_mark, stepped
from s1lab.questions import Budgets, Options, Question, Questions, Storing, force_loop
from s1lab.trace import Trace

Length = Literal["short", "long"]
# The two sentences of the paper's Table 14.
SENTENCES: dict[Length, str] = {
    "short": "Answer after a short amount of thinking. "
    "Do not spend excessive time double-checking your work.",
    "long": "Answer after a long amount of thinking. If you feel like you are finished early, "
    "spend the extra time trying to double-check your work until you are absolutely sure that "
    "you have the correct answer.",
}
# Class-conditional control is plain prompting, so it is not among the trained kinds.
KINDS = {"tcc": "token-conditional", "scc": "step-conditional"}
AS_ORIGINAL = {"as_original": True, "semantics": "harness"}  # stored with such a run


def asking_tokens(question: str, tokens: int) -> str:
    """Add the instruction of token-conditional control, after an empty line as in the original."""
    return f"{question}\n\nThink for up to {tokens} tokens."


def asking_steps(question: str, steps: int) -> str:
    """Add the instruction of step-conditional control, after an empty line as in the original."""
    return f"{question}\n\nThink for up to {steps} steps."


def asking_class(question: str, length: Length | None) -> str:
    """Add one of the paper's two sentences after an empty line; None adds nothing."""
    return question if length is None else f"{question}\n\n{SENTENCES[length]}"


@one_or_many(Trace, list[Trace])
def token_conditional(
    engine: Engine,
    questions: Question | Iterable[Question],
    tokens: int = 256,
    budget: Budgets | None = None,
    *,
    force: bool = False,
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
    system: str | None = None,
    store: Storing = None,
    progress: bool = True,
) -> Trace | list[Trace]:
    """Ask the model to think for up to ``tokens`` tokens (TCC, paper appendix E.1).

    The question gets "Think for up to 256 tokens." after an empty line. The model may or may not
    comply. A model that was not trained for it gets one warning.
    ``budget=lab.Budget(compat="harness")`` runs it in the original's loop.

    Args:
        engine: The engine that runs the model, from `s1lab.load`.
        questions: One question, or many.
        tokens: The number of tokens in the instruction.
        budget: As in `s1lab.force`.
        force: True is TCC + BF: budget forcing with ``tokens`` as the cap, or with the budget's cap
            if that is lower.
        temperature: As in `s1lab.force`.
        top_p: As in `s1lab.force`.
        top_k: As in `s1lab.force`.
        min_p: As in `s1lab.force`.
        repetition_penalty: As in `s1lab.force`.
        presence_penalty: As in `s1lab.force`.
        frequency_penalty: As in `s1lab.force`.
        seed: As in `s1lab.force`.
        answer_tokens: As in `s1lab.force`.
        answer_room: As in `s1lab.force`.
        system: As in `s1lab.force`.
        store: As in `s1lab.force`.
        progress: As in `s1lab.force`.

    Returns:
        A Trace for a single question, else a list of traces in the order of the questions.

    Raises:
        ValueError: ``tokens`` is below 1, or another argument can't be used.

    Example:
        import s1lab as lab

        engine = lab.load("s1-tiny-tcc")
        trace = lab.methods.token_conditional(engine, "How many r in raspberry?", 64, force=True)
    """
    check_whole("tokens", tokens)
    options = Options(
        Sampling(
            temperature, top_p, seed, top_k, min_p, repetition_penalty, presence_penalty,
            frequency_penalty,
        ),
        answer_tokens, answer_room, system, store, progress,
    )  # fmt: skip
    asked = Questions(engine, questions, budget, options)
    if force:
        asked.budgets = [
            replace(b, max_tokens=min(tokens, b.max_tokens or tokens)) for b in asked.budgets
        ]
    _warn_untrained(engine, "tcc")
    asked.open(instruct=lambda question: asking_tokens(question, tokens))
    made: dict[str, Any] = {"call": "token_conditional", "tokens": tokens, "forced": force}
    return asked.run_traces(force_loop, what="asking", made=made | asked.settings())


@one_or_many(Trace, list[Trace])
def class_conditional(
    engine: Engine,
    questions: Question | Iterable[Question],
    length: Length | None = None,
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
    system: str | None = None,
    store: Storing = None,
    progress: bool = True,
) -> Trace | list[Trace]:
    """Ask the model for a short or a long amount of thinking (CCC, paper appendix E.1).

    The two sentences are those of the paper's Table 14. This is plain prompting, as in the
    original: a sentence follows the question, and nothing else changes. The paper uses s1-32B
    itself, which was never trained for it. A model of the embedded world needs the training
    (``s1-tiny-ccc``).

    Args:
        engine: The engine that runs the model, from `s1lab.load`.
        questions: One question, or many.
        length: "short", "long", or None for the question alone.
        budget: As in `s1lab.force`. A cap puts budget forcing on top.
            ``lab.Budget(compat="harness")`` runs it in the original's loop.
        temperature: As in `s1lab.force`.
        top_p: As in `s1lab.force`.
        top_k: As in `s1lab.force`.
        min_p: As in `s1lab.force`.
        repetition_penalty: As in `s1lab.force`.
        presence_penalty: As in `s1lab.force`.
        frequency_penalty: As in `s1lab.force`.
        seed: As in `s1lab.force`.
        answer_tokens: As in `s1lab.force`.
        answer_room: As in `s1lab.force`.
        system: As in `s1lab.force`.
        store: As in `s1lab.force`.
        progress: As in `s1lab.force`.

    Returns:
        A Trace for a single question, else a list of traces in the order of the questions.

    Raises:
        ValueError: The length is unknown, or another argument can't be used.

    Example:
        import s1lab as lab

        engine = lab.load("s1-tiny-ccc")
        trace = lab.methods.class_conditional(engine, "How many r in raspberry?", "short")
    """
    if length is not None and length not in SENTENCES:
        raise ValueError(
            f"length={length!r} is not known: choose from {list(get_args(Length))}, "
            "or None for no instruction"
        )
    options = Options(
        Sampling(
            temperature, top_p, seed, top_k, min_p, repetition_penalty, presence_penalty,
            frequency_penalty,
        ),
        answer_tokens, answer_room, system, store, progress,
    )  # fmt: skip
    asked = Questions(engine, questions, budget, options)
    asked.open(instruct=lambda question: asking_class(question, length))
    made: dict[str, Any] = {"call": "class_conditional", "length": length}
    return asked.run_traces(force_loop, what="asking", made=made | asked.settings())


@one_or_many(Trace, list[Trace])
def step_conditional(
    engine: Engine,
    questions: Question | Iterable[Question],
    steps: int = 16,
    budget: Budgets | None = None,
    *,
    force: bool = False,
    as_original: bool = False,
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
    system: str | None = None,
    store: Storing = None,
    progress: bool = True,
) -> Trace | list[Trace]:
    """Ask the model to think for up to ``steps`` counted steps (SCC, paper appendix E.1).

    The question gets "Think for up to 16 steps." after an empty line. Each step has a header,
    ``<|im_start|>16 steps left``, which the model counts down itself. The first header is given, so
    the model always begins at the number in the question. A header counts whatever number it shows.
    The answer's first word ends the thinking. A model that was not trained for it gets one warning.

    Args:
        engine: The engine that runs the model, from `s1lab.load`.
        questions: One question, or many.
        steps: The number of steps in the instruction.
        budget: A cap, and what concerns the answer. It takes no minimum and no Waits. The cap
            counts the headers' tokens too.
        force: True is SCC + BF: the thinking is closed when the steps are used up. Without it a
            model may go on past zero.
        as_original: Run it as the two commands of the original's eval/commands.sh do. With
            ``force`` the bare ``<|im_start|>`` opens, the model writes every number itself, and a
            header that begins with a 0 closes
            (`s1lab.methods.original_steps.original_steps`). Without ``force`` the ordinary
            opening is given, and the first delimiter ends the thinking, whatever follows it: its
            evaluator's loop (``compat="harness"``) on the question.
        temperature: As in `s1lab.force`.
        top_p: As in `s1lab.force`.
        top_k: As in `s1lab.force`.
        min_p: As in `s1lab.force`.
        repetition_penalty: As in `s1lab.force`.
        presence_penalty: As in `s1lab.force`.
        frequency_penalty: As in `s1lab.force`.
        seed: As in `s1lab.force`.
        answer_tokens: As in `s1lab.force`.
        answer_room: As in `s1lab.force`.
        system: As in `s1lab.force`.
        store: As in `s1lab.force`.
        progress: As in `s1lab.force`.

    Returns:
        A Trace for a single question, else a list of traces in the order of the questions.
        ``Trace.counts`` has "steps" and "delimiter_tokens", see
        `s1lab.methods.steps.stepped`.

    Raises:
        ValueError: ``steps`` is below 1, the budget has a minimum, Waits or another ``compat``, or
            the template can't count steps.

    Example:
        import s1lab as lab

        engine = lab.load("s1-tiny-scc")
        trace = lab.methods.step_conditional(engine, "How many r in raspberry?", 4, force=True)
        print(trace.counts["steps"])
    """
    check_whole("steps", steps)
    options = Options(
        Sampling(
            temperature, top_p, seed, top_k, min_p, repetition_penalty, presence_penalty,
            frequency_penalty,
        ),
        answer_tokens, answer_room, system, store, progress,
    )  # fmt: skip
    asked = Questions(engine, questions, budget, options)
    asked.budgets = [check_capped_only(b, "step_conditional") for b in asked.budgets]
    step_mark(engine.template.template)
    _warn_untrained(engine, "scc")
    asked.open(instruct=lambda question: asking_steps(question, steps))
    made: dict[str, Any] = {"call": "step_conditional", "steps": steps, "forced": force}
    made |= asked.settings() | (AS_ORIGINAL if as_original else {})

    def loop(trace: Trace, budget: Budget, sampling: Sampling, context: int) -> Program[Trace]:
        if as_original and force:
            return original_steps(trace, budget, sampling, context)
        if as_original:
            return counted_harness(trace, replace(budget, compat="harness"), sampling, context)
        return stepped(trace, steps, force, budget, sampling, context)

    return asked.run_traces(loop, what="stepping", made=made)


def check_whole(name: str, value: int) -> None:
    """Check a whole number of at least 1. ValueError otherwise."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name}={value!r} is no whole number of at least 1")


def check_capped_only(budget: Budget, call: str) -> Budget:
    """Check that a budget has no minimum, Waits or other ``compat``. ValueError otherwise."""
    for name, plain in (("compat", "exact"), ("waits", 0), ("min_tokens", 0)):
        if getattr(budget, name) != plain:
            raise ValueError(
                f"{call} knows no {name}={getattr(budget, name)!r}: leave it out, or use lab.force"
            )
    return budget


_warned: set[tuple[str, str]] = set()


def _warn_untrained(engine: Engine, kind: str) -> None:
    """Warn once about a model that was never trained for this kind of control.

    If the model's files are not available, nothing is known, and there is no warning.
    """
    from s1lab.engines.model_files import formats_of  # imports torch, which takes seconds

    network = getattr(engine, "network", None)
    formats = (
        formats_of(engine.model)
        if network is None
        else tuple(getattr(network.config, "s1lab_formats", None) or ())
    )
    if formats is None or kind in formats or (engine.model, kind) in _warned:
        return
    _warned.add((engine.model, kind))
    warnings.warn(
        f"{engine.model} was not trained for {KINDS[kind]} control "
        f"({kind!r} is not among the s1lab_formats of its config): "
        f"use the embedded 's1-tiny-{kind}', or train it on rows of s1lab.sft.formats",
        stacklevel=4,
    )
