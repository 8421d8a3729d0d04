"""Budget forcing (paper section 3.1): think, answer and force.

Each is written once, as a generator over one question.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from s1lab.budget import Budget
from s1lab.engine import Completion, Program, Request, Sampling
from s1lab.trace import Source, Trace

TOOL_CALLED = "the model called a tool in its thinking ({}): s1lab runs no tools; ask without tools"


def ask(trace: Trace, request: Request) -> Program[Completion]:
    """Ask the engine for a completion, and note in the trace what it took.

    Args:
        trace: The trace that the request belongs to.
        request: The request.

    Returns:
        The completion.
    """
    done: Completion = yield request
    trace.spend(done)
    return done


@dataclass(frozen=True)
class Round:
    """How far a round of thinking came.

    Attributes:
        ids: The ids that the model thought.
        logprobs: Their log-probabilities; None if they were not asked for.
        mark: The ids that ended the thinking, of a delimiter or an end of sequence; () if none did.
        end: That delimiter as text.
        stepped: Whether an id of ``also`` ended the round. It is then the last of ``ids``.
        error: Why the round could not go on.
    """

    ids: tuple[int, ...]
    mark: tuple[int, ...] = ()
    end: str = ""
    stepped: bool = False
    error: str | None = None
    logprobs: list[float] | None = None


def thinking(
    trace: Trace, most: int, sampling: Sampling, round: int | str, *,
    least: int = 0, also: frozenset[int] = frozenset(), room: int | None = None,
) -> Program[Round]:  # fmt: skip
    """Continue the thinking of a trace until the model ends it.

    The trace gets no ids here. Only what the requests took is noted in it.
    It takes one request or several. A delimiter of one token ends a request, and the round with it.
    A delimiter of several tokens ends a request with its last token. Where that token is ordinary
    text, the round goes on after it, in another request with its own seed. So a longer ``most``
    only goes further: the shorter round is its beginning. Ladders build on this.

    Args:
        trace: The trace so far.
        most: The most ids that may be written, with those of a delimiter.
        sampling: How ids are chosen.
        round: The round's name, for its seed.
        least: How many ids are written before a stop is allowed.
        also: Ids that end a round without ending the thinking, such as the end of a line.
        room: A round that would end within a delimiter goes on, up to this many ids in all, until
            the delimiter is complete or turns out to be ordinary text. None ends it at ``most``.

    Returns:
        The ids of the thinking, and what ended it.
    """
    template = trace.template
    stop, written, piece = template.think_stop | also, list[int](), 0
    likely: list[float] | None = None if sampling.logprobs is None else []

    def ended(length: int, **how: Any) -> Round:
        mine = None if likely is None else likely[:length]
        return Round(tuple(written[:length]), logprobs=mine, **how)

    while True:
        name = round if not piece else f"{round}/{piece}"
        piece += 1
        early = max(0, least - len(written))
        n, ends = most - len(written), stop
        if early and not written and template.delimiters:
            # A delimiter of several tokens must not begin at once, so its first id is a stop too.
            n, ends, early = 1, stop | template.first_ids, 1
        request = sampling.request(trace, n, ends, name, min_tokens=early, after=written)
        done = yield from ask(trace, request)
        written += done.ids
        if likely is not None and done.logprobs is not None:
            likely += done.logprobs.sampled.tolist()  # the stop's own too, if there is one
        if done.error:
            return ended(len(written), error=done.error)
        stepped = False
        if done.stop_id is not None:
            if done.stop_id in template.think_stop and (
                found := template.stopped(written, done.stop_id)
            ):
                if found.tool:
                    return ended(len(written), error=TOOL_CALLED.format(found.tool))
                at = len(written) - found.before
                return ended(at, mark=(*written[at:], done.stop_id), end=found.end)
            written.append(done.stop_id)
            stepped = done.stop_id in also
        if stepped or len(written) >= most:
            if room is None or len(written) >= room or not template.begun(written):
                return ended(len(written), stepped=stepped)
            most = len(written) + 1


def cut_short(trace: Trace) -> None:
    """Mark the thinking as cut, and remove the beginning of a delimiter at its end.

    The cut may leave such a beginning, and it is not thinking. Like a whole delimiter, it is
    neither in the ledger nor in ``dropped``.

    Args:
        trace: The trace to change.
    """
    trace.cut = True
    since = trace.stops[-1] if trace.stops else 0
    tail = len(trace.ids)
    while tail > since and trace.source[tail - 1] is Source.SAMPLED:
        tail -= 1
    if n := trace.template.begun(trace.ids[tail:]):
        trace.shorten(n)


def think(trace: Trace, budget: Budget, sampling: Sampling, context: int) -> Program[Trace]:
    """Think within a budget: cap, minimum and Waits (budget forcing, paper section 3.1).

    A Wait that leaves no room for a token after it is not appended: the model's own stop is kept.

    Args:
        trace: The trace, opened.
        budget: The budget.
        sampling: How ids are chosen.
        context: The most ids of a prompt and its completion together.

    Returns:
        The trace with its thinking ended. ``cut`` says how. The thinking is not closed yet.
    """
    cap = min(room(trace, budget, context), budget.max_tokens or context)
    while True:
        round = len(trace.stops)
        # Ask for at least one token after a suppression. Else the model could stop forever.
        done = yield from thinking(
            trace, cap - trace.thinking_tokens, sampling, round, least=1 if round else 0
        )
        trace.extend(list(done.ids), Source.SAMPLED, done.logprobs)
        if done.error:
            trace.error = done.error
            return trace
        if not done.mark:  # no stop came before the cap
            cut_short(trace)
            return trace
        trace.stops.append(len(trace.ids))
        if not suppress(trace, len(done.ids), budget, cap):
            return trace


def suppress(trace: Trace, wrote: int, budget: Budget, cap: int) -> bool:
    """The model stopped. If the budget wants more, append the Wait in place of the stop.

    This is the one place where a Wait is appended: for `think`, ladders and trees. The
    original's two loops have rules of their own (`s1lab.methods.original_loops`).

    Args:
        trace: The trace, up to the stop.
        wrote: How many ids the round wrote.
        budget: The budget.
        cap: The most thinking tokens.

    Returns:
        True if the thinking goes on, after the Wait. False if the stop is kept.
    """
    wait_ids = trace.template.foreign(budget.continuation(trace.waits))
    if not goes_on(trace, wait_ids, wrote, budget, cap):
        return False
    trace.extend(wait_ids, Source.CONTINUATION)
    trace.waits += 1
    return True


def goes_on(trace: Trace, wait_ids: list[int], wrote: int, budget: Budget, cap: int) -> bool:
    """Whether a stop is suppressed: the budget wants more, and a token fits after the Wait.

    A round that wrote nothing after a suppression without text would only repeat itself. Its stop
    is kept. The arguments are those of `suppress`, and ``wait_ids``, the ids of the Wait.
    """
    thought = trace.thinking_tokens
    if not budget.wants_more(thought, trace.waits) or thought + len(wait_ids) >= cap:
        return False
    return bool(wait_ids or wrote or not trace.waits)


def answer(trace: Trace, budget: Budget, sampling: Sampling, context: int) -> Program[Trace]:
    """Close the thinking and answer.

    After a cut the answer begins with ``budget.on_cut``. After the model's own stop it does not.

    Args:
        trace: The trace, with its thinking ended.
        budget: The budget.
        sampling: How ids are chosen.
        context: The most ids of a prompt and its completion together.

    Returns:
        The trace, answered.
    """
    trace.extend(
        trace.template.close_ids(trace.of(Source.SAMPLED, Source.CONTINUATION)), Source.CLOSE
    )
    if trace.cut:
        trace.extend(trace.template.foreign(budget.on_cut), Source.PREFIX)
    return (yield from reply(trace, budget.answer_tokens, sampling, context))


def force(trace: Trace, budget: Budget, sampling: Sampling, context: int) -> Program[Trace]:
    """The whole of budget forcing: open the thinking, think within the budget, close, answer.

    Args:
        trace: The trace, up to where the model begins.
        budget: The budget, with ``compat="exact"``.
        sampling: How ids are chosen.
        context: The most ids of a prompt and its completion together.

    Returns:
        The trace, answered, or with an ``error``.

    Raises:
        ValueError: The budget has another ``compat``.
    """
    if budget.compat != "exact":
        raise ValueError(
            f"this is the loop of compat='exact', not of {budget.compat!r}: "
            "take s1lab.questions.force_loop, which knows all"
        )
    if open_thinking(trace, trace.template.open_ids(trace.ids), budget, context) < 1:
        return trace
    trace = yield from think(trace, budget, sampling, context)
    return trace if trace.error else (yield from answer(trace, budget, sampling, context))


def direct(
    trace: Trace, prefix: str | None, answer_tokens: int | None, sampling: Sampling, context: int
) -> Program[Trace]:
    """Answer without thinking: the baseline.

    If the chat template opens the thinking, it is closed at once. The ledger counts those ids as
    CLOSE.

    Args:
        trace: The trace, up to where the model begins.
        prefix: The first words of the answer; None for none.
        answer_tokens: The most tokens of the answer. None is all that is left of the context.
        sampling: How ids are chosen.
        context: The most ids of a prompt and its completion together.

    Returns:
        The trace, answered, or with an ``error``.
    """
    trace.extend(trace.template.skip_ids(trace.ids), Source.CLOSE)
    trace.extend(trace.template.foreign(prefix), Source.PREFIX)
    trace.notes += trace.template.foreign_notes(prefix=prefix)
    trace = yield from reply(trace, answer_tokens, sampling, context)
    template = trace.template.template
    if any(mark.strip() in trace.answer for mark in (template.open, template.close)):
        trace.notes.append(
            "the model thought by itself, in its answer, uncounted: a prefix, "
            "such as 'Answer:', leaves no room for it"
        )
    return trace


def reply(
    trace: Trace, answer_tokens: int | None, sampling: Sampling, context: int
) -> Program[Trace]:
    """Write the answer after the trace so far, until the model ends its turn.

    Args:
        trace: The trace so far.
        answer_tokens: The most tokens of the answer. None is all that is left of the context, and
            the answer never has more than that.
        sampling: How ids are chosen.
        context: The most ids of a prompt and its completion together.

    Returns:
        The trace, answered, or with an ``error``.
    """
    free = context - len(trace.ids)
    left = free if answer_tokens is None else min(answer_tokens, free)
    if left < 1:
        trace.error = too_long(trace, context)
        return trace
    done = yield from ask(trace, sampling.request(trace, left, trace.template.answer_stop, -1))
    likely = done.logprobs.sampled[: len(done.ids)].tolist() if done.logprobs else None
    trace.extend(list(done.ids), Source.ANSWER, likely)
    trace.answer_cut, trace.error = done.finish == "length", done.error
    return trace


def open_thinking(trace: Trace, opening: list[int], budget: Budget, context: int) -> int:
    """Open the thinking.

    Args:
        trace: The trace, up to where the model begins.
        opening: The ids that open the thinking.
        budget: The budget.
        context: The most ids of a prompt and its completion together.

    Returns:
        How many thinking tokens fit after the opening. If it is below 1, the trace has its error.
    """
    trace.extend(opening, Source.PROMPT)
    free = room(trace, budget, context)
    if free < 1:
        trace.error = too_long(trace, context)
    return free


def room(trace: Trace, budget: Budget, context: int) -> int:
    """How many thinking tokens the context holds beside the prompt, the close and the answer.

    The answer keeps ``budget.room``, or half of what is free if that is less. This is a minimum for
    the answer. Its maximum is another number, ``budget.answer_tokens``.

    Args:
        trace: The trace, with its prompt.
        budget: The budget.
        context: The most ids of a prompt and its completion together.

    Returns:
        The number of thinking tokens.
    """
    template = trace.template
    closing = len(template.piece(template.template.closing(""))) + len(
        template.foreign(budget.on_cut)
    )
    free = context - trace.source.count(Source.PROMPT) - closing
    return free - min(budget.room, (free + 1) // 2)


def too_long(trace: Trace, context: int) -> str:
    """The error of a trace whose prompt leaves no room to think and answer."""
    return (
        f"the prompt of {trace.source.count(Source.PROMPT)} tokens leaves no room to think "
        f"and answer in the context of {context}: "
        "shorten the question or load the model with a longer context"
    )
