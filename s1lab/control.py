"""The rivals of budget forcing (paper section 3.2, appendix E): control by what is asked, and by sampling until it fits.

Token-, step- and class-conditional control write into the question how much is to be thought, and need a model that was trained
so (:mod:`s1lab.sft.formats`); each can have budget forcing on top. Rejection sampling draws whole thoughts until one is short
enough. All give ordinary traces: the same ledger counts what each method costs, what was thrown away in ``Trace.dropped``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count
from typing import Any, Literal, Unpack, get_args, overload

from s1lab import api
from s1lab.budget import Budget
from s1lab.engine import Completion, Engine, Program
from s1lab.programs import Sampling, answer, cut_short, open_thinking, thinking
from s1lab.programs import force as force_program
from s1lab.template import ThinkTemplate
from s1lab.trace import Source, Trace

Length = Literal["short", "long"]
# Table 14's two sentences, as the paper has them.
SENTENCES: dict[Length, str] = {
    "short": "Answer after a short amount of thinking. Do not spend excessive time double-checking your work.",
    "long": "Answer after a long amount of thinking. If you feel like you are finished early, spend the extra time trying to "
    "double-check your work until you are absolutely sure that you have the correct answer.",
}
KINDS = {"tcc": "token-conditional", "scc": "step-conditional", "ccc": "class-conditional"}


def asking_tokens(question: str, tokens: int) -> str:
    """The question with the instruction of token-conditional control, on a line of its own."""
    return f"{question}\nThink for up to {tokens} tokens."


def asking_steps(question: str, steps: int) -> str:
    """The question with the instruction of step-conditional control, on a line of its own."""
    return f"{question}\nThink for up to {steps} steps."


def asking_class(question: str, length: Length | None) -> str:
    """The question with one of the paper's two sentences after an empty line; None leaves it as it is."""
    return question if length is None else f"{question}\n\n{SENTENCES[length]}"


def step_header(template: ThinkTemplate, left: int) -> str:
    """What stands before each step: ``<|im_start|>16 steps left`` and a newline. ValueError for a template without such turns."""
    return f"{step_mark(template)}{left} steps left\n"


def step_mark(template: ThinkTemplate) -> str:
    """The delimiter that opens a step and, before another word, the answer: ``<|im_start|>`` in the preset "s1"."""
    mark = next((end for end in template.ends if template.close.startswith(end) and template.close != end), None)
    if mark is None or not template.close[len(mark) :].strip():
        raise ValueError(
            f"the template {template.name!r} can't count steps: its close {template.close!r} is no delimiter with a word behind "
            'it, as in "<|im_start|>answer"; load the model with template="s1", or use token_conditional'
        )
    return mark


def stepped(trace: Trace, steps: int, forced: bool, budget: Budget, sampling: Sampling, context: int) -> Program[Trace]:
    """Think step by step, each below a header that counts down (paper appendix E.1), then answer.

    The first header is given, the next ones are the model's: after its delimiter one token is asked for, and only the answer's
    first word ends the thinking; anything else begins another step. ``forced`` closes the thinking when the model begins one step
    more than ``steps``, without ``on_cut``, since the last step is whole. Else it may go on past zero, as far as the budget and
    the context let it.

    ``counts``: "steps" used, and "delimiter_tokens", those of the headers among the thinking tokens. The paper's figures for this
    method leave them out; ``thinking_tokens`` has them.
    """
    template = trace.template
    mark = step_mark(template.template)
    answering = template.piece(template.template.close)[len(template.piece(mark))]
    free = open_thinking(trace, template.piece(step_header(template.template, steps)), budget, context)
    if free < 1:
        return trace
    cap = min(free, budget.max_tokens or context)
    trace.counts |= {"steps": 1, "delimiter_tokens": 0}
    heading: list[int] = []  # the delimiter and the first word of a header whose rest is to come
    rounds = count()

    while True:
        done = yield from thinking(trace, cap - trace.thinking_tokens, sampling, next(rounds))
        if heading:
            trace.counts["delimiter_tokens"] += len(heading) + _rest_of_line(trace, heading[-1], done.ids)
        trace.extend(list(done.ids), Source.SAMPLED)
        if done.error:
            trace.error = done.error
            return trace
        if not done.mark:
            cut_short(trace)
            break
        # An end of sequence, or no room for another step.
        if done.end != mark or trace.thinking_tokens + len(done.mark) + 1 >= cap:
            break
        word: Completion = yield sampling.request(trace, 1, template.think_stop, next(rounds), after=done.mark)
        if word.error:
            trace.error = word.error
            return trace
        if not word.ids or word.ids[0] == answering or (forced and trace.counts["steps"] >= steps):
            trace.dropped += len(word.ids)
            if word.ids and word.ids[0] != answering:
                trace.cut, budget = True, replace(budget, on_cut=None)
            break
        heading = [*done.mark, *word.ids]
        trace.extend(heading, Source.SAMPLED)
        trace.counts["steps"] += 1
    if not trace.cut:
        trace.stops.append(len(trace.ids))
    return (yield from answer(trace, budget, sampling, context))


def _rest_of_line(trace: Trace, before: int, ids: tuple[int, ...]) -> int:
    """How many of the ids end the line that a header stands on; none where it has ended or does not end."""
    if "\n" in trace.template.decode([before]):
        return 0
    return next((n for n, i in enumerate(ids, 1) if "\n" in trace.template.decode([i])), 0)


def rejected(trace: Trace, limit: int, tries: int, budget: Budget, sampling: Sampling, context: int) -> Program[Trace]:
    """Sample whole thoughts until one ends by itself within ``limit`` tokens, then answer it (paper section 3.2, appendix E.2).

    A try is given up when it has written one token more than the limit; what it wrote is counted in ``dropped``. Where none of
    ``tries`` fits, the last one is cut at the limit and answered as by budget forcing, with a note: every question has an answer,
    and no more than ``limit`` thinking tokens.

    ``counts``: "tries" that were made, and "fits", 1 or 0.
    """
    free = open_thinking(trace, trace.template.open_ids(trace.ids), budget, context)
    if free < 1:
        return trace
    cap = min(limit, free)
    # One token more than the limit: a thought of exactly the limit fits, and the next token is its stop. A stop of several tokens
    # has as many more, as the context allows.
    most = min(cap + trace.template.longest_end, context - len(trace.ids))
    for number in range(tries):
        done = yield from thinking(trace, most, sampling, number)
        fits = bool(done.mark) and len(done.ids) <= cap
        trace.counts |= {"tries": number + 1, "fits": int(fits)}
        if fits or done.error:
            trace.extend(list(done.ids), Source.SAMPLED)
            break
        if number < tries - 1:
            trace.dropped += len(done.ids)
        else:
            trace.extend(list(done.ids), Source.SAMPLED)
            trace.drop(len(done.ids) - cap)
            cut_short(trace)
            trace.notes.append(f"none of {tries} tries ended within {cap} thinking tokens: the last one is cut there")
    if done.error:
        trace.error = done.error
        return trace
    if not trace.cut:
        trace.stops.append(len(trace.ids))
    return (yield from answer(trace, budget, sampling, context))


@overload
def token_conditional(  # type: ignore[overload-overlap]
    engine: Engine, questions: str, tokens: int = ..., budget: Budget | None = ..., *, force: bool = ...,
    **options: Unpack[api.Options],
) -> Trace: ...  # fmt: skip
@overload
def token_conditional(
    engine: Engine, questions: Iterable[str], tokens: int = ..., budget: api.Budgets | None = ..., *, force: bool = ...,
    **options: Unpack[api.Options],
) -> list[Trace]: ...  # fmt: skip
def token_conditional(
    engine: Engine,
    questions: str | Iterable[str],
    tokens: int = 256,
    budget: api.Budgets | None = None,
    *,
    force: bool = False,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    answer_tokens: int | None = None,
    answer_room: int | None = None,
    system: str | None = None,
    store: api.Storing = None,
    progress: bool = True,
) -> Trace | list[Trace]:
    """Ask the model to think for up to so many tokens (TCC, paper appendix E.1); whether it does is its own affair.

    The question gets "Think for up to 256 tokens." on a line of its own. force=True is TCC + BF: budget forcing with that cap, or
    the budget's where it is lower. The rest is as in :func:`s1lab.force`. Warns once of a model not trained for it.
    """
    _whole("tokens", tokens)
    single, asked = api.questions_of(questions)
    budgets = api.budgets_of(budget, len(asked), single, answer_tokens, answer_room)
    if force:
        budgets = [replace(b, max_tokens=min(tokens, b.max_tokens or tokens)) for b in budgets]
    _warn_untrained(engine, "tcc")
    made = {"call": "token_conditional", "tokens": tokens, "forced": force}
    return _conditional(
        engine, asked, single, lambda question: asking_tokens(question, tokens), budgets, made,
        Sampling(temperature, top_p, seed), system, store, progress,
    )  # fmt: skip


@overload
def class_conditional(  # type: ignore[overload-overlap]
    engine: Engine, questions: str, length: Length | None = ..., budget: Budget | None = ..., **options: Unpack[api.Options]
) -> Trace: ...
@overload
def class_conditional(
    engine: Engine, questions: Iterable[str], length: Length | None = ..., budget: api.Budgets | None = ...,
    **options: Unpack[api.Options],
) -> list[Trace]: ...  # fmt: skip
def class_conditional(
    engine: Engine,
    questions: str | Iterable[str],
    length: Length | None = None,
    budget: api.Budgets | None = None,
    *,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    answer_tokens: int | None = None,
    answer_room: int | None = None,
    system: str | None = None,
    store: api.Storing = None,
    progress: bool = True,
) -> Trace | list[Trace]:
    """Ask the model for a short or a long amount of thinking (CCC, paper appendix E.1), in the two sentences of its Table 14.

    length: "short", "long", or None for the question alone. A ``budget`` with a cap puts budget forcing on top. The rest is as in
    :func:`s1lab.force`. Warns once of a model not trained for it.
    """
    if length is not None and length not in SENTENCES:
        raise ValueError(f"length={length!r} is not known: choose from {list(get_args(Length))}, or None for no instruction")
    single, asked = api.questions_of(questions)
    _warn_untrained(engine, "ccc")
    return _conditional(
        engine, asked, single, lambda question: asking_class(question, length),
        api.budgets_of(budget, len(asked), single, answer_tokens, answer_room), {"call": "class_conditional", "length": length},
        Sampling(temperature, top_p, seed), system, store, progress,
    )  # fmt: skip


@overload
def step_conditional(  # type: ignore[overload-overlap]
    engine: Engine, questions: str, steps: int = ..., budget: Budget | None = ..., *, force: bool = ...,
    **options: Unpack[api.Options],
) -> Trace: ...  # fmt: skip
@overload
def step_conditional(
    engine: Engine, questions: Iterable[str], steps: int = ..., budget: api.Budgets | None = ..., *, force: bool = ...,
    **options: Unpack[api.Options],
) -> list[Trace]: ...  # fmt: skip
def step_conditional(
    engine: Engine,
    questions: str | Iterable[str],
    steps: int = 16,
    budget: api.Budgets | None = None,
    *,
    force: bool = False,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    answer_tokens: int | None = None,
    answer_room: int | None = None,
    system: str | None = None,
    store: api.Storing = None,
    progress: bool = True,
) -> Trace | list[Trace]:
    """Ask the model to think for up to so many steps, which it counts down itself (SCC, paper appendix E.1).

    The question gets "Think for up to 16 steps." on a line of its own, and each step a header, ``<|im_start|>16 steps left``.
    force=True is SCC + BF: the thinking is closed when the steps are used up. Without it a model may go on past zero.
    budget: a cap and the answer's length; it knows no floor and no Waits. The cap counts the headers' tokens too.
    ``Trace.counts`` holds "steps" and "delimiter_tokens", see :func:`stepped`. The rest is as in :func:`s1lab.force`.
    Warns once of a model not trained for it.
    """
    _whole("steps", steps)
    single, asked = api.questions_of(questions)
    budgets = [
        _capped_only(b, "step_conditional") for b in api.budgets_of(budget, len(asked), single, answer_tokens, answer_room)
    ]
    step_mark(engine.template.template)
    _warn_untrained(engine, "scc")
    sampling = Sampling(temperature, top_p, seed)
    traces = _open(engine, asked, lambda question: asking_steps(question, steps), budgets, system)
    made = {"call": "step_conditional", "steps": steps, "forced": force} | api.settings(sampling, system, budgets)

    def program(i: int) -> Program[Trace]:
        return stepped(traces[i], steps, force, budgets[i], sampling, engine.context)

    return api.drive_traces(engine, traces, program, single, what="stepping", progress=progress, store=store, made=made)


@overload
def reject(  # type: ignore[overload-overlap]
    engine: Engine, questions: str, limit: int, tries: int = ..., budget: Budget | None = ..., **options: Unpack[api.Options]
) -> Trace: ...
@overload
def reject(
    engine: Engine, questions: Iterable[str], limit: int, tries: int = ..., budget: api.Budgets | None = ...,
    **options: Unpack[api.Options],
) -> list[Trace]: ...  # fmt: skip
def reject(
    engine: Engine,
    questions: str | Iterable[str],
    limit: int,
    tries: int = 64,
    budget: api.Budgets | None = None,
    *,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    answer_tokens: int | None = None,
    answer_room: int | None = None,
    system: str | None = None,
    store: api.Storing = None,
    progress: bool = True,
) -> Trace | list[Trace]:
    """Sample until the thinking ends by itself within ``limit`` tokens (RS, paper section 3.2), at most ``tries`` times.

    budget: the answer's length and the text after a cut; the limit is the cap, and there is no floor and no Wait.
    ``Trace.counts`` holds "tries" and "fits", ``Trace.dropped`` what the failed tries wrote, see :func:`rejected`. Each try has a
    seed of its own, from (seed, question, sample, try). The rest is as in :func:`s1lab.force`.
    """
    _whole("limit", limit)
    _whole("tries", tries)
    if not temperature > 0:
        raise ValueError(f"temperature={temperature} makes every try the same: give one above 0, the paper's is 1")
    single, asked = api.questions_of(questions)
    budgets = [_capped_only(b, "reject") for b in api.budgets_of(budget, len(asked), single, answer_tokens, answer_room)]
    if any(b.max_tokens is not None for b in budgets):
        raise ValueError("reject takes its limit as the cap: leave the budget's max_tokens out")
    sampling = Sampling(temperature, top_p, seed)
    traces = api.open_traces(engine, asked, budgets, system)
    made = {"call": "reject", "limit": limit, "tries": tries} | api.settings(sampling, system, budgets)

    def program(i: int) -> Program[Trace]:
        return rejected(traces[i], limit, tries, budgets[i], sampling, engine.context)

    return api.drive_traces(engine, traces, program, single, what="rejecting", progress=progress, store=store, made=made)


def _conditional(
    engine: Engine, asked: list[str], single: bool, ask: Callable[[str], str], budgets: list[Budget],
    made: dict[str, Any], sampling: Sampling, system: str | None, store: api.Storing, progress: bool,
) -> Trace | list[Trace]:  # fmt: skip
    """Budget forcing on questions that say how much is to be thought."""
    traces = _open(engine, asked, ask, budgets, system)

    def program(i: int) -> Program[Trace]:
        return force_program(traces[i], budgets[i], sampling, engine.context)

    made |= api.settings(sampling, system, budgets)
    return api.drive_traces(engine, traces, program, single, what="asking", progress=progress, store=store, made=made)


def _open(engine: Engine, asked: list[str], ask: Callable[[str], str], budgets: list[Budget], system: str | None) -> list[Trace]:
    """A trace a question, its prompt with the instruction; the trace is known by the question without it."""
    traces = api.open_traces(engine, [ask(question) for question in asked], budgets, system)
    for trace, question in zip(traces, asked, strict=True):
        trace.question = question
    return traces


def _whole(name: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name}={value!r} is no whole number of at least 1")


def _capped_only(budget: Budget, call: str) -> Budget:
    for name, plain in (("compat", "exact"), ("waits", 0), ("min_tokens", 0)):
        if getattr(budget, name) != plain:
            raise ValueError(f"{call} knows no {name}={getattr(budget, name)!r}: leave it out, or use lab.force")
    return budget


_warned: set[tuple[str, str]] = set()


def _warn_untrained(engine: Engine, kind: str) -> None:
    """Say once for a model that it was never trained for what it is asked. Where its files are not at hand nothing is known."""
    from s1lab.engines.pretrained import formats_of  # torch and transformers, which take seconds

    network = getattr(engine, "network", None)
    formats = formats_of(engine.model) if network is None else tuple(getattr(network.config, "s1lab_formats", None) or ())
    if formats is None or kind in formats or (engine.model, kind) in _warned:
        return
    _warned.add((engine.model, kind))
    warnings.warn(
        f"{engine.model} was not trained for {KINDS[kind]} control ({kind!r} is not among the s1lab_formats of its config): "
        f"use the embedded 's1-tiny-{kind}', or train it on rows of s1lab.sft.formats",
        stacklevel=3,
    )
