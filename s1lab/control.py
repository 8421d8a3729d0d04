"""The rivals of budget forcing (paper section 3.2, appendix E): control by what is asked, and by sampling until it fits.

Token-, step- and class-conditional control write into the question how much is to be thought. The first two need a model that was
trained so (:mod:`s1lab.sft.formats`), the third is plain prompting; each can have budget forcing on top. Rejection sampling draws
whole thoughts until one is short enough. All give ordinary traces: the same ledger counts what each method costs, what was thrown
away in ``Trace.dropped``. ``as_original=True`` runs a method as the original does, where ours differs.
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
from s1lab.programs import Sampling, answer, cut_short, open_thinking, reply, thinking
from s1lab.programs import force as force_program
from s1lab.template import BoundTemplate, ThinkTemplate
from s1lab.trace import Source, Trace

Length = Literal["short", "long"]
# Table 14's two sentences, as the paper has them.
SENTENCES: dict[Length, str] = {
    "short": "Answer after a short amount of thinking. Do not spend excessive time double-checking your work.",
    "long": "Answer after a long amount of thinking. If you feel like you are finished early, spend the extra time trying to "
    "double-check your work until you are absolutely sure that you have the correct answer.",
}
KINDS = {"tcc": "token-conditional", "scc": "step-conditional"}  # class-conditional control is plain prompting

LAST_STEP = "0"  # how a header begins that ends the steps in the original's commands: until_thinking=<|im_start|>0
_AS_ORIGINAL = {"as_original": True, "semantics": "harness"}  # what is written beside such a run


def asking_tokens(question: str, tokens: int) -> str:
    """The question with the instruction of token-conditional control, after an empty line as in the original's task."""
    return f"{question}\n\nThink for up to {tokens} tokens."


def asking_steps(question: str, steps: int) -> str:
    """The question with the instruction of step-conditional control, after an empty line as in the original's task."""
    return f"{question}\n\nThink for up to {steps} steps."


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


def _mark_id(template: BoundTemplate) -> int:
    """The one token that begins a step's header in the original's own step control."""
    ids = template.encode(step_mark(template.template))
    if len(ids) > 1:
        raise ValueError(
            f"as_original=True needs a delimiter of one token, and {step_mark(template.template)!r} has {len(ids)} "
            "in this tokenizer: leave as_original out"
        )
    return ids[0]


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


def original_steps(trace: Trace, budget: Budget, sampling: Sampling, context: int) -> Program[Trace]:
    """Step control with budget forcing as the original's commands run it: the model counts, and "0" closes.

    Its eval/commands.sh gives its evaluator three texts for this: ``thinking_start=<|im_start|>``,
    ``until_thinking=<|im_start|>0`` and ``thinking_end=<|im_start|>answer``. So the bare delimiter opens the
    thinking, and the model writes the first number itself. What closes it is a header that begins with a 0,
    an end of sequence, or the cap. Nobody compares the model's numbers with those that were asked for, and
    an answer that the model begins by itself is no end either: it stays in the thinking, and the close
    follows it.

    ``counts``: "steps" and "delimiter_tokens" as its eval/compute_sample_stats.py counts them: a step for
    each " steps left" that ends its line, and as delimiters all tokens on the first line behind each one.
    """
    template = trace.template
    mark = _mark_id(template)
    free = open_thinking(trace, [mark], budget, context)
    if free < 1:
        return trace
    cap = min(free, budget.max_tokens or context)
    behind_mark = False  # whether the last id is a delimiter that the model wrote: the given one is in the prompt
    rounds = count()

    while True:
        left = cap - trace.thinking_tokens
        if left < 1:
            trace.cut = True
            break
        # Behind a delimiter one token is looked at, and another delimiter is an ordinary one there. The original
        # does the same in one request, since its engine compares the text with what is to end it.
        if behind_mark:
            word: Completion = yield sampling.request(trace, 1, template.answer_stop, next(rounds))
            if not word.error and template.decode(list(word.ids)).startswith(LAST_STEP):
                # The text that ends the thinking is taken off by its ids, so that a token with more in it than the
                # digit stays.
                if list(word.ids) == template.piece(LAST_STEP):
                    trace.drop(1)
                    trace.dropped += 1
                else:
                    trace.extend(list(word.ids), Source.SAMPLED)
                break
            trace.extend(list(word.ids), Source.SAMPLED)
            trace.error = word.error
            if trace.error or not word.ids:  # an end of sequence
                break
            behind_mark = word.ids[-1] == mark
            continue
        done = yield from thinking(trace, left, sampling, next(rounds))
        trace.extend(list(done.ids), Source.SAMPLED)
        trace.error, trace.cut = done.error, not done.mark and not done.error
        if done.mark != (mark,):
            break
        trace.extend([mark], Source.SAMPLED)
        behind_mark = True
    _count_steps(trace, mark)
    if trace.error:
        return trace
    if template.template.close.rstrip("\n") in trace.thinking:
        trace.notes.append("the model began its answer within its thinking: the original's command does not look for that")
    if not trace.cut:
        trace.stops.append(len(trace.ids))
    return (yield from _answer_as_original(trace, budget, sampling, context))


def _count_steps(trace: Trace, mark: int) -> None:
    """Steps and the tokens of their first lines, as eval/compute_sample_stats.py has them."""
    trace.counts |= {"steps": trace.thinking.count(" steps left\n"), "delimiter_tokens": 0}
    heading = True
    for token in trace.of(Source.SAMPLED):
        heading = heading or token == mark
        trace.counts["delimiter_tokens"] += heading
        if heading and token != mark and "\n" in trace.template.decode([token]):
            heading = False


def _answer_as_original(trace: Trace, budget: Budget, sampling: Sampling, context: int) -> Program[Trace]:
    """Close as the original's evaluator does: bare after an own stop; after a cut on a line of its own and with ``on_cut``."""
    template = trace.template
    if trace.cut:
        trace.extend(template.close_ids(trace.of(Source.SAMPLED)), Source.CLOSE)
        trace.extend(template.foreign(budget.on_cut), Source.PREFIX)
    else:
        trace.extend(template.piece(template.template.close.rstrip("\n")), Source.CLOSE)
    return (yield from reply(trace, budget.answer_tokens, sampling, context))


def _counted_harness(trace: Trace, budget: Budget, sampling: Sampling, context: int) -> Program[Trace]:
    """Step control without budget forcing as the original's commands run it: its evaluator's loop, steps counted after it."""
    trace = yield from force_program(trace, budget, sampling, context)
    _count_steps(trace, _mark_id(trace.template))
    return trace


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


def rejected_as_original(
    trace: Trace, limit: int, most_tokens: int, budget: Budget, sampling: Sampling, context: int
) -> Program[Trace]:
    """Rejection sampling as the original's evaluator has it, but with an end (``rejection_sample=true``).

    It asks for one token more than the limit and accepts a try where ``len(token_ids)`` is at most the limit.
    The stop is one of those ids, so a thought of L tokens is accepted at a limit of L + 1, and not at L. It
    has no number of tries: it asks until every question has its thought. Here a question ends without an
    answer, and with an error, where its tries have written so much that another whole one could exceed
    ``most_tokens``. A cut thought in its place would be a result that the original never has. Nothing is
    lost with a store: the same call with a higher ``most_tokens`` goes on behind the last try.

    ``counts``: "tries" that were made, and "fits", 1 or 0.
    """
    template = trace.template
    opening = template.template.opening(template.decode(trace.ids)).rstrip("\n")
    free = open_thinking(trace, template.piece(opening), budget, context)
    if free < 1:
        return trace
    cap = min(limit, free)
    for number in count():
        if trace.dropped + cap + 1 > most_tokens:
            trace.error = (
                f"{number} tries wrote {trace.dropped:,} thinking tokens, and none ended within {limit - 1} tokens and its stop: "
                f"another may exceed most_tokens={most_tokens:,}, so raise that or the limit"
            )
            return trace
        done = yield from thinking(trace, cap + 1, sampling, number)
        fits = bool(done.mark) and len(done.ids) + len(done.mark) <= limit
        trace.counts |= {"tries": number + 1, "fits": int(fits)}
        if done.error or fits:
            trace.extend(list(done.ids), Source.SAMPLED)
            trace.error = done.error
            break
        trace.dropped += len(done.ids)
    if trace.error:
        return trace
    trace.stops.append(len(trace.ids))
    return (yield from _answer_as_original(trace, budget, sampling, context))


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

    The question gets "Think for up to 256 tokens." after an empty line. force=True is TCC + BF: budget forcing with that cap, or
    the budget's where it is lower. The rest is as in :func:`s1lab.force`. Warns once of a model not trained for it.
    ``budget=lab.Budget(compat="harness")`` runs it in the original's loop.
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

    This is plain prompting, as in the original: a sentence goes behind the question, and nothing else changes. The paper asks
    s1-32B itself, which was never trained for it. A model of the embedded world has to be (``s1-tiny-ccc``).

    length: "short", "long", or None for the question alone. A ``budget`` with a cap puts budget forcing on top, and
    ``budget=lab.Budget(compat="harness")`` runs it in the original's loop. The rest is as in :func:`s1lab.force`.
    """
    if length is not None and length not in SENTENCES:
        raise ValueError(f"length={length!r} is not known: choose from {list(get_args(Length))}, or None for no instruction")
    single, asked = api.questions_of(questions)
    return _conditional(
        engine, asked, single, lambda question: asking_class(question, length),
        api.budgets_of(budget, len(asked), single, answer_tokens, answer_room), {"call": "class_conditional", "length": length},
        Sampling(temperature, top_p, seed), system, store, progress,
    )  # fmt: skip


@overload
def step_conditional(  # type: ignore[overload-overlap]
    engine: Engine, questions: str, steps: int = ..., budget: Budget | None = ..., *, force: bool = ...,
    as_original: bool = ..., **options: Unpack[api.Options],
) -> Trace: ...  # fmt: skip
@overload
def step_conditional(
    engine: Engine, questions: Iterable[str], steps: int = ..., budget: api.Budgets | None = ..., *, force: bool = ...,
    as_original: bool = ..., **options: Unpack[api.Options],
) -> list[Trace]: ...  # fmt: skip
def step_conditional(
    engine: Engine,
    questions: str | Iterable[str],
    steps: int = 16,
    budget: api.Budgets | None = None,
    *,
    force: bool = False,
    as_original: bool = False,
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

    The question gets "Think for up to 16 steps." after an empty line, and each step a header, ``<|im_start|>16 steps left``.
    The first header is given, so that a model always begins at the number that was asked for. Headers are counted whatever
    number they show, and the answer's first word ends the thinking. Warns once of a model not trained for it.

    Args:
        engine: What runs the model, see :func:`s1lab.load`.
        questions: One question, or many.
        steps: How many steps are asked for.
        budget: A cap, and what belongs to the answer; it knows no minimum and no Waits. The cap counts the headers' tokens too.
        force: SCC + BF: the thinking is closed when the steps are used up. Without it a model may go on past zero.
        as_original: As the two commands of the original's eval/commands.sh do it. With ``force`` the bare ``<|im_start|>``
            opens, the model writes every number itself, and a header that begins with a 0 closes
            (:func:`s1lab.control.original_steps`). Without it the ordinary opening is given and the first delimiter ends
            the thinking, whatever follows it: its evaluator's loop (``compat="harness"``) on the question.
        temperature: As in :func:`s1lab.force`, like the rest.
        top_p: As there.
        seed: As there.
        answer_tokens: As there.
        answer_room: As there.
        system: As there.
        store: As there.
        progress: As there.

    Returns:
        A Trace, or one for each question, with "steps" and "delimiter_tokens" in ``Trace.counts``, see
        :func:`s1lab.control.stepped`.

    Raises:
        ValueError: For steps below 1, a budget with a minimum, Waits or another ``compat``, and a template that can't count
            steps.

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
    made: dict[str, Any] = {"call": "step_conditional", "steps": steps, "forced": force}
    made |= api.settings(sampling, system, budgets) | (_AS_ORIGINAL if as_original else {})

    def program(i: int) -> Program[Trace]:
        if as_original and force:
            return original_steps(traces[i], budgets[i], sampling, engine.context)
        if as_original:
            return _counted_harness(traces[i], replace(budgets[i], compat="harness"), sampling, engine.context)
        return stepped(traces[i], steps, force, budgets[i], sampling, engine.context)

    return api.drive_traces(engine, traces, program, single, what="stepping", progress=progress, store=store, made=made)


@overload
def reject(  # type: ignore[overload-overlap]
    engine: Engine, questions: str, limit: int, tries: int | None = ..., budget: Budget | None = ..., *,
    as_original: bool = ..., most_tokens: int | None = ..., **options: Unpack[api.Options],
) -> Trace: ...  # fmt: skip
@overload
def reject(
    engine: Engine, questions: Iterable[str], limit: int, tries: int | None = ..., budget: api.Budgets | None = ..., *,
    as_original: bool = ..., most_tokens: int | None = ..., **options: Unpack[api.Options],
) -> list[Trace]: ...  # fmt: skip
def reject(
    engine: Engine,
    questions: str | Iterable[str],
    limit: int,
    tries: int | None = None,
    budget: api.Budgets | None = None,
    *,
    as_original: bool = False,
    most_tokens: int | None = None,
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

    Args:
        engine: What runs the model, see :func:`s1lab.load`.
        questions: One question, or many.
        limit: The most thinking tokens of a thought that is taken.
        tries: The most tries of a question; None stands for 64. Where none fits, the last one is cut at the limit.
        budget: What belongs to the answer, and the text after a cut. The limit is the cap; there is no minimum and no Wait.
        as_original: The original's rule: the stop counts, so a thought of L tokens fits a limit of L + 1; it never gives up, so
            there is no number of tries; delimiters stand as its evaluator writes them
            (:func:`s1lab.control.rejected_as_original`).
        most_tokens: With ``as_original``, and required there: how many thinking tokens all tries of a question may come to. A
            question that needs more ends with an ``error`` and without an answer.
        temperature: Above 0, since tries would be the same; the paper's is 1.
        top_p: As in :func:`s1lab.force`, like the rest.
        seed: As there; each try gets one of its own, from (seed, question, sample, try).
        answer_tokens: As in :func:`s1lab.force`.
        answer_room: As there.
        system: As there.
        store: As there.
        progress: As there.

    Returns:
        A Trace, or one for each question, with "tries" and "fits" in ``Trace.counts`` and what the failed tries wrote in
        ``Trace.dropped``.

    Raises:
        ValueError: For a limit or a number of tries below 1, temperature 0, a budget with a cap, a minimum or Waits,
            ``as_original`` without ``most_tokens`` or with ``tries``, or ``most_tokens`` without ``as_original``.

    """
    _whole("limit", limit)
    if as_original:
        if tries is not None:
            raise ValueError(f"tries={tries}: as_original=True never gives up after tries; bound it by most_tokens")
        if most_tokens is None:
            raise ValueError(
                "as_original=True samples without end: give most_tokens=, the most thinking tokens that all tries of a question "
                f"may come to, such as {100 * (limit + 1)}"
            )
        _whole("most_tokens", most_tokens)
        if most_tokens <= limit:
            raise ValueError(
                f"most_tokens={most_tokens} leaves no room for one try, which takes up to {limit + 1} tokens: raise it"
            )
    elif most_tokens is not None:
        raise ValueError(f"most_tokens={most_tokens} bounds as_original=True: add that, or bound the run by tries")
    tries = 64 if tries is None else tries
    _whole("tries", tries)
    if not temperature > 0:
        raise ValueError(f"temperature={temperature} makes every try the same: give one above 0, the paper's is 1")
    single, asked = api.questions_of(questions)
    budgets = [_capped_only(b, "reject") for b in api.budgets_of(budget, len(asked), single, answer_tokens, answer_room)]
    if any(b.max_tokens is not None for b in budgets):
        raise ValueError("reject takes its limit as the cap: leave the budget's max_tokens out")
    sampling = Sampling(temperature, top_p, seed)
    traces = api.open_traces(engine, asked, budgets, system)
    made = {"call": "reject", "limit": limit} | api.settings(sampling, system, budgets)
    made |= {"tries": tries} if most_tokens is None else {"most_tokens": most_tokens} | _AS_ORIGINAL

    def program(i: int) -> Program[Trace]:
        if most_tokens is not None:
            return rejected_as_original(traces[i], limit, most_tokens, budgets[i], sampling, engine.context)
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
