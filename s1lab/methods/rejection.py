"""Rejection sampling: whole thoughts are sampled until one fits the limit (paper section 3.2, appendix E.2)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Unpack, overload

from s1lab import api
from s1lab.budget import Budget
from s1lab.engine import Engine, Program
from s1lab.forcing import Sampling, answer, cut_short, open_thinking, thinking
from s1lab.methods.conditional import AS_ORIGINAL, check_capped_only, check_whole
from s1lab.methods.original_steps import answer_as_original
from s1lab.trace import Source, Trace


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
    return (yield from answer_as_original(trace, budget, sampling, context))


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
            (:func:`s1lab.methods.rejection.rejected_as_original`).
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
    check_whole("limit", limit)
    if as_original:
        if tries is not None:
            raise ValueError(f"tries={tries}: as_original=True never gives up after tries; bound it by most_tokens")
        if most_tokens is None:
            raise ValueError(
                "as_original=True samples without end: give most_tokens=, the most thinking tokens that all tries of a question "
                f"may come to, such as {100 * (limit + 1)}"
            )
        check_whole("most_tokens", most_tokens)
        if most_tokens <= limit:
            raise ValueError(
                f"most_tokens={most_tokens} leaves no room for one try, which takes up to {limit + 1} tokens: raise it"
            )
    elif most_tokens is not None:
        raise ValueError(f"most_tokens={most_tokens} bounds as_original=True: add that, or bound the run by tries")
    tries = 64 if tries is None else tries
    check_whole("tries", tries)
    if not temperature > 0:
        raise ValueError(f"temperature={temperature} makes every try the same: give one above 0, the paper's is 1")
    single, asked = api.questions_of(questions)
    budgets = [check_capped_only(b, "reject") for b in api.budgets_of(budget, len(asked), single, answer_tokens, answer_room)]
    if any(b.max_tokens is not None for b in budgets):
        raise ValueError("reject takes its limit as the cap: leave the budget's max_tokens out")
    sampling = Sampling(temperature, top_p, seed)
    traces = api.open_traces(engine, asked, budgets, system)
    made = {"call": "reject", "limit": limit} | api.settings(sampling, system, budgets)
    made |= {"tries": tries} if most_tokens is None else {"most_tokens": most_tokens} | AS_ORIGINAL

    def program(i: int) -> Program[Trace]:
        if most_tokens is not None:
            return rejected_as_original(traces[i], limit, most_tokens, budgets[i], sampling, engine.context)
        return rejected(traces[i], limit, tries, budgets[i], sampling, engine.context)

    return api.drive_traces(engine, traces, program, single, what="rejecting", progress=progress, store=store, made=made)
