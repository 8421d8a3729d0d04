"""Budget forcing (paper section 3.1): think, answer and force, each written once as a generator over one question."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from s1lab.budget import Budget
from s1lab.engine import Completion, Program, Request
from s1lab.trace import Source, Trace


@dataclass(frozen=True)
class Sampling:
    """How ids are chosen: temperature 0 is greedy; ``seed`` is the run's."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise ValueError(f"temperature={self.temperature} is negative: use 0 for greedy, 0.7 or so to sample")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p={self.top_p} is outside (0, 1]: use 1 to keep every token")

    def seed_of(self, trace: Trace, round: int | str) -> int:
        """A seed for (run, question, sample, round), so that no result depends on what shares its batch."""
        text = f"{self.seed}\x1f{trace.sample}\x1f{round}\x1f{trace.question}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

    def request(
        self, trace: Trace, most: int, stop: frozenset[int], round: int | str, *, min_tokens: int = 0, after: Sequence[int] = ()
    ) -> Request:
        """Continue a trace by ``most`` ids under the seed of a round; ``after`` are ids that the request alone has behind it."""
        return Request((*trace.ids, *after), most, stop, min_tokens, self.temperature, self.top_p, self.seed_of(trace, round))


@dataclass(frozen=True)
class Round:
    """How far a round of thinking came.

    ids: what the model thought. mark: the ids that ended it, a delimiter's or an end of sequence; () where none did.
    end: that delimiter as text. stepped: whether an id of ``also`` ended it, which is the last of ``ids``.
    error: why it could not go on.
    """

    ids: tuple[int, ...]
    mark: tuple[int, ...] = ()
    end: str = ""
    stepped: bool = False
    error: str | None = None


def thinking(
    trace: Trace, most: int, sampling: Sampling, round: int | str, *, least: int = 0, also: frozenset[int] = frozenset(),
    room: int | None = None,
) -> Program[Round]:  # fmt: skip
    """Think on from a trace, by one request or several, until the model ends its thinking. The trace is left as it is.

    A delimiter of one token ends a request, and the round with it. Of a delimiter of several tokens the last one ends a request.
    Where that token is ordinary text, the round goes on behind it, in another request under a seed of its own. So a longer
    ``most`` only goes further: a shorter one is its beginning, which is what ladders build on.

    Args:
        trace: The trace so far.
        most: The most ids that may be written, a delimiter's own among them.
        sampling: How ids are chosen.
        round: The round's name, for its seed.
        least: At least so many ids are written before a stop.
        also: Ids that end a round without ending the thinking, such as the end of a line.
        room: A round that would end within a delimiter goes on, up to so many ids in all, until the delimiter is complete or
            turns out to be ordinary text. None ends it at ``most``.

    Returns:
        What was thought, and what ended it.

    """
    template = trace.template
    stop, written, piece = template.think_stop | also, list[int](), 0
    while True:
        name = round if not piece else f"{round}/{piece}"
        piece += 1
        early = max(0, least - len(written))
        if early and not written and template.delimiters:
            # Of a delimiter of several tokens the first one must not be written either, or it would begin at once.
            done: Completion = yield sampling.request(trace, 1, stop | template.first_ids, name, min_tokens=1)
        else:
            done = yield sampling.request(trace, most - len(written), stop, name, min_tokens=early, after=written)
        written += done.ids
        if done.error:
            return Round(tuple(written), error=done.error)
        stepped = False
        if done.stop_id is not None:
            if done.stop_id in template.think_stop and (found := template.stopped(written, done.stop_id)):
                if found.tool:
                    return Round(tuple(written), error=_called(found.tool))
                at = len(written) - found.before
                return Round(tuple(written[:at]), (*written[at:], done.stop_id), found.end)
            written.append(done.stop_id)
            stepped = done.stop_id in also
        if stepped or len(written) >= most:
            if room is None or len(written) >= room or not template.begun(written):
                return Round(tuple(written), stepped=stepped)
            most = len(written) + 1


def _called(tool: str) -> str:
    return f"the model called a tool in its thinking ({tool}): s1lab runs no tools; ask without tools"


def cut_short(trace: Trace) -> None:
    """Mark the thinking as cut. The beginning of a delimiter that the cut left at its end is taken off: it is no thinking.

    Like a whole delimiter, it is neither in the ledger nor in ``dropped``.
    """
    trace.cut = True
    since = trace.stops[-1] if trace.stops else 0
    tail = len(trace.ids)
    while tail > since and trace.source[tail - 1] is Source.SAMPLED:
        tail -= 1
    if n := trace.template.begun(trace.ids[tail:]):
        del trace.ids[-n:], trace.source[-n:]


def think(trace: Trace, budget: Budget, sampling: Sampling, context: int) -> Program[Trace]:
    """Think within a budget: cap, floor and Waits (budget forcing, paper section 3.1).

    The trace comes in opened and goes out with its thinking ended, ``cut`` saying how; nothing closes it yet.
    A Wait that leaves no room for a token after it is not appended: the model's own stop stands.
    """
    cap = min(room(trace, budget, context), budget.max_tokens or context)
    while True:
        round = len(trace.stops)
        # After a suppression at least one token: else it could stop for ever.
        done = yield from thinking(trace, cap - trace.thinking_tokens, sampling, round, least=1 if round else 0)
        trace.extend(list(done.ids), Source.SAMPLED)
        if done.error:
            trace.error = done.error
            return trace
        if not done.mark:
            cut_short(trace)
            return trace
        trace.stops.append(len(trace.ids))
        wait_ids = trace.template.foreign(budget.continuation(trace.waits))
        if not goes_on(trace, wait_ids, len(done.ids), budget, cap):
            return trace
        trace.extend(wait_ids, Source.CONTINUATION)
        trace.waits += 1


def goes_on(trace: Trace, wait_ids: list[int], wrote: int, budget: Budget, cap: int) -> bool:
    """Whether a stop is suppressed, in a round that wrote so many ids: the budget wants more, and a token fits behind the Wait.

    A round that wrote nothing after a suppression without text would only repeat itself: its stop is kept.
    """
    if not budget.wants_more(trace.thinking_tokens, trace.waits) or trace.thinking_tokens + len(wait_ids) >= cap:
        return False
    return bool(wait_ids or wrote or not trace.waits)


def answer(trace: Trace, budget: Budget, sampling: Sampling, context: int) -> Program[Trace]:
    """Close the thinking and answer: after a cut with ``budget.on_cut`` as the first words, after an own stop without."""
    trace.extend(trace.template.close_ids(trace.of(Source.SAMPLED, Source.CONTINUATION)), Source.CLOSE)
    if trace.cut:
        trace.extend(trace.template.foreign(budget.on_cut), Source.PREFIX)
    return (yield from reply(trace, budget.answer_tokens, sampling, context))


def force(trace: Trace, budget: Budget, sampling: Sampling, context: int) -> Program[Trace]:
    """Budget forcing, the whole of it: open the thinking, think within the budget, close, answer."""
    if budget.compat != "exact":
        raise ValueError(
            f"this is the loop of compat='exact', not of {budget.compat!r}: take s1lab.api.force_loop, which knows all"
        )
    if open_thinking(trace, trace.template.open_ids(trace.ids), budget, context) < 1:
        return trace
    trace = yield from think(trace, budget, sampling, context)
    return trace if trace.error else (yield from answer(trace, budget, sampling, context))


def direct(trace: Trace, prefix: str | None, answer_tokens: int | None, sampling: Sampling, context: int) -> Program[Trace]:
    """Answer without opening any thinking: the baseline. ``prefix`` puts the first words of the answer in its mouth.

    Thinking that the chat template opens is closed at once, by ids of the ledger's CLOSE.
    """
    trace.extend(trace.template.skip_ids(trace.ids), Source.CLOSE)
    trace.extend(trace.template.foreign(prefix), Source.PREFIX)
    trace.notes += trace.template.foreign_notes(prefix=prefix)
    trace = yield from reply(trace, answer_tokens, sampling, context)
    template = trace.template.template
    if any(mark.strip() in trace.answer for mark in (template.open, template.close)):
        trace.notes.append(
            "the model thought by itself, in its answer, uncounted: a prefix, such as 'Answer:', leaves no room for it"
        )
    return trace


def reply(trace: Trace, answer_tokens: int | None, sampling: Sampling, context: int) -> Program[Trace]:
    """Write the answer after what stands there, until the model ends its turn.

    It has at most ``answer_tokens``, and never more than the context has left; None is all that is left.
    """
    free = context - len(trace.ids)
    left = free if answer_tokens is None else min(answer_tokens, free)
    if left < 1:
        trace.error = too_long(trace, context)
        return trace
    done: Completion = yield sampling.request(trace, left, trace.template.answer_stop, -1)
    trace.extend(list(done.ids), Source.ANSWER)
    trace.answer_cut, trace.error = done.finish == "length", done.error
    return trace


def open_thinking(trace: Trace, opening: list[int], budget: Budget, context: int) -> int:
    """Open the thinking: thinking tokens that fit behind it. Where none do, the trace has its error."""
    trace.extend(opening, Source.PROMPT)
    free = room(trace, budget, context)
    if free < 1:
        trace.error = too_long(trace, context)
    return free


def room(trace: Trace, budget: Budget, context: int) -> int:
    """Thinking tokens that the context holds beside the prompt, the close and the answer.

    The answer keeps ``budget.room``, or half of what is free where that is less. It is a minimum for the answer: how long the
    answer may be is another number, ``budget.answer_tokens``.
    """
    template = trace.template
    closing = len(template.piece(template.template.closing(""))) + len(template.foreign(budget.on_cut))
    free = context - trace.source.count(Source.PROMPT) - closing
    return free - min(budget.room, (free + 1) // 2)


def too_long(trace: Trace, context: int) -> str:
    return (
        f"the prompt of {trace.source.count(Source.PROMPT)} tokens leaves no room to think and answer in the "
        f"context of {context}: shorten the question or load the model with a longer context"
    )
