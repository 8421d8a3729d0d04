"""Rejection sampling: sample whole thoughts until one fits the limit.

See the paper's section 3.2 and appendix E.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from s1lab.api import one_or_many
from s1lab.budget import Budget
from s1lab.engine import Engine, Program, Sampling
from s1lab.forcing import answer, cut_short, open_thinking, thinking
from s1lab.methods.conditional import AS_ORIGINAL, check_capped_only, check_whole
from s1lab.methods.original_steps import answer_as_original
from s1lab.questions import Budgets, Options, Question, Questions, Storing
from s1lab.trace import Source, Trace


def rejected(
    trace: Trace, limit: int, tries: int, budget: Budget, sampling: Sampling, context: int
) -> Program[Trace]:
    """Sample whole thoughts until one ends by itself within a limit, then answer it.

    See the paper's section 3.2 and appendix E.2. A try is given up when it has written one token
    more than the limit. ``dropped`` counts what it wrote. If no try fits, the last one is cut at
    the limit and answered as in budget forcing, with a note. So every question has an answer, and
    no more than ``limit`` thinking tokens.

    Args:
        trace: The trace, up to where the model begins.
        limit: The most thinking tokens of a thought that is accepted.
        tries: The most tries.
        budget: The budget of the answer.
        sampling: How ids are chosen.
        context: The most ids of a prompt and its completion together.

    Returns:
        The trace, answered. Its ``counts`` has "tries", the tries that were made, and "fits", 1 or
        0.
    """
    free = open_thinking(trace, trace.template.open_ids(trace.ids), budget, context)
    if free < 1:
        return trace
    cap = min(limit, free)
    # Request one token more than the limit: a thought of exactly the limit fits, and the next token
    # is its stop. A stop of several tokens needs that many more, as the context allows.
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
            trace.notes.append(
                f"none of {tries} tries ended within {cap} thinking tokens: "
                "the last one is cut there"
            )
    if done.error:
        trace.error = done.error
        return trace
    if not trace.cut:
        trace.stops.append(len(trace.ids))
    return (yield from answer(trace, budget, sampling, context))


def rejected_as_original(
    trace: Trace, limit: int, most_tokens: int, budget: Budget, sampling: Sampling, context: int
) -> Program[Trace]:
    """Rejection sampling as in the original's evaluator (``rejection_sample=true``), with an end.

    The evaluator requests one token more than the limit, and accepts a try whose ``len(token_ids)``
    is at most the limit. The stop is one of those ids, so a thought of L tokens is accepted at a
    limit of L + 1, and not at L. The evaluator has no number of tries: it goes on until every
    question has its thought. Here a question ends without an answer, and with an error, once
    another whole try could exceed ``most_tokens``. A cut thought in its place would be a result
    that the original never has. With a store nothing is lost: the same call with a higher
    ``most_tokens`` continues after the last try.

    Args:
        trace: The trace, up to where the model begins.
        limit: The most tokens of an accepted thought, its stop included.
        most_tokens: The most thinking tokens of all tries together.
        budget: The budget of the answer.
        sampling: How ids are chosen.
        context: The most ids of a prompt and its completion together.

    Returns:
        The trace, answered, or with an ``error``. Its ``counts`` has "tries", the tries that were
        made, and "fits", 1 or 0.
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
                f"{number} tries wrote {trace.dropped:,} thinking tokens, "
                f"and none ended within {limit - 1} tokens and its stop: "
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


@one_or_many(Trace, list[Trace])
def reject(
    engine: Engine,
    questions: Question | Iterable[Question],
    limit: int,
    tries: int | None = None,
    budget: Budgets | None = None,
    *,
    as_original: bool = False,
    most_tokens: int | None = None,
    temperature: float = 1.0,
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
    """Sample until the thinking ends by itself within ``limit`` tokens (RS, paper section 3.2).

    Args:
        engine: The engine that runs the model, from `s1lab.load`.
        questions: One question, or many.
        limit: The most thinking tokens of a thought that is accepted.
        tries: The most tries of a question; None is 64. If none fits, the last one is cut at the
            limit.
        budget: What concerns the answer, and the text after a cut. The limit is the cap. There is
            no minimum and no Wait.
        as_original: Use the original's rule. The stop counts, so a thought of L tokens fits a limit
            of L + 1. It never gives up, so there is no number of tries. Delimiters are those that
            its evaluator writes (`s1lab.methods.rejection.rejected_as_original`).
        most_tokens: The most thinking tokens of all tries of a question. ``as_original`` requires
            it, and only ``as_original`` takes it. A question that needs more ends with an ``error``
            and without an answer.
        temperature: Above 0, since all tries would be the same at 0. The paper's is 1.
        top_p: As in `s1lab.force`.
        top_k: As in `s1lab.force`.
        min_p: As in `s1lab.force`.
        repetition_penalty: As in `s1lab.force`.
        presence_penalty: As in `s1lab.force`.
        frequency_penalty: As in `s1lab.force`.
        seed: As in `s1lab.force`. Each try has its own seed, from (seed, question, sample,
            try).
        answer_tokens: As in `s1lab.force`.
        answer_room: As in `s1lab.force`.
        system: As in `s1lab.force`.
        store: As in `s1lab.force`.
        progress: As in `s1lab.force`.

    Returns:
        A Trace for a single question, else a list of traces in the order of the questions.
        ``Trace.counts`` has "tries" and "fits". ``Trace.dropped`` counts what the failed tries
        wrote.

    Raises:
        ValueError: The limit or the number of tries is below 1, the temperature is 0, the budget
            has a cap, a minimum or Waits, ``as_original`` comes without ``most_tokens`` or with
            ``tries``, or ``most_tokens`` comes without ``as_original``.

    Example:
        import s1lab as lab

        engine = lab.load("s1-tiny")
        trace = lab.methods.reject(engine, "How many r in raspberry?", 128, tries=8)
        print(trace.counts["tries"], trace.dropped)
    """
    check_whole("limit", limit)
    if as_original:
        if tries is not None:
            raise ValueError(
                f"tries={tries}: as_original=True never gives up after tries; "
                "bound it by most_tokens"
            )
        if most_tokens is None:
            raise ValueError(
                "as_original=True samples without end: give most_tokens=, "
                "the most thinking tokens that all tries of a question "
                f"may come to, such as {100 * (limit + 1)}"
            )
        check_whole("most_tokens", most_tokens)
        if most_tokens <= limit:
            raise ValueError(
                f"most_tokens={most_tokens} leaves no room for one try, "
                f"which takes up to {limit + 1} tokens: raise it"
            )
    elif most_tokens is not None:
        raise ValueError(
            f"most_tokens={most_tokens} bounds as_original=True: add that, "
            "or bound the run by tries"
        )
    tries = 64 if tries is None else tries
    check_whole("tries", tries)
    if not temperature > 0:
        raise ValueError(
            f"temperature={temperature} makes every try the same: give one above 0, "
            "the paper's is 1"
        )
    options = Options(
        Sampling(
            temperature, top_p, seed, top_k, min_p, repetition_penalty, presence_penalty,
            frequency_penalty,
        ),
        answer_tokens, answer_room, system, store, progress,
    )  # fmt: skip
    asked = Questions(engine, questions, budget, options)
    asked.budgets = [check_capped_only(b, "reject") for b in asked.budgets]
    if any(b.max_tokens is not None for b in asked.budgets):
        raise ValueError("reject takes its limit as the cap: leave the budget's max_tokens out")
    asked.open()
    made = {"call": "reject", "limit": limit} | asked.settings()
    made |= {"tries": tries} if most_tokens is None else {"most_tokens": most_tokens} | AS_ORIGINAL

    def loop(trace: Trace, budget: Budget, sampling: Sampling, context: int) -> Program[Trace]:
        if most_tokens is not None:
            return rejected_as_original(trace, limit, most_tokens, budget, sampling, context)
        return rejected(trace, limit, tries, budget, sampling, context)

    return asked.run_traces(loop, what="rejecting", made=made)
