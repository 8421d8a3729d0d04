"""The algorithms, each written once as a generator over one question, in the order in which the paper tells them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from s1lab.budget import Budget
from s1lab.engine import Completion, Program, Request
from s1lab.trace import Source, Trace

T = TypeVar("T")


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


def think(trace: Trace, budget: Budget, sampling: Sampling, context: int) -> Program[Trace]:
    """Think within a budget: cap, floor and Waits (budget forcing, paper section 3.1).

    The trace comes in opened and goes out with its thinking ended, ``cut`` saying how; nothing closes it yet.
    A Wait that leaves no room for a token after it is not appended: the model's own stop stands.
    """
    cap = min(room(trace, budget, context), budget.max_tokens or context)
    while True:
        round = len(trace.stops)
        # After a suppression at least one token: else it could stop for ever.
        done: Completion = yield sampling.request(
            trace, cap - trace.thinking_tokens, trace.template.think_stop, round, min_tokens=1 if round else 0
        )
        trace.extend(list(done.ids), Source.SAMPLED)
        if done.error:
            trace.error = done.error
            return trace
        if done.finish == "length":
            trace.cut = True
            return trace
        trace.stops.append(len(trace.ids))
        wait_ids = trace.template.encode(budget.continuation(trace.waits))
        if not budget.wants_more(trace.thinking_tokens, trace.waits) or trace.thinking_tokens + len(wait_ids) >= cap:
            return trace
        trace.extend(wait_ids, Source.CONTINUATION)
        trace.waits += 1


def answer(trace: Trace, budget: Budget, sampling: Sampling, context: int) -> Program[Trace]:
    """Close the thinking and answer: after a cut with ``budget.on_cut`` as the first words, after an own stop without."""
    trace.extend(trace.template.close_ids(trace.of(Source.SAMPLED, Source.CONTINUATION)), Source.CLOSE)
    if trace.cut:
        trace.extend(trace.template.encode(budget.on_cut), Source.PREFIX)
    return (yield from reply(trace, budget.answer_tokens, sampling, context))


def force(trace: Trace, budget: Budget, sampling: Sampling, context: int) -> Program[Trace]:
    """Budget forcing, the whole of it: open the thinking, think within the budget, close, answer."""
    if budget.compat != "exact":
        from s1lab import compat  # which is written on top of this file

        original = compat.readme if budget.compat == "readme" else compat.harness
        return (yield from original(trace, budget, sampling, context))
    if open_thinking(trace, trace.template.open_ids(trace.ids), budget, context) < 1:
        return trace
    trace = yield from think(trace, budget, sampling, context)
    return trace if trace.error else (yield from answer(trace, budget, sampling, context))


def ladder(trace: Trace, rungs: Sequence[Budget], sampling: Sampling, context: int) -> Program[list[Trace]]:
    """Every rung from one thinking pass: as long as a rung thinks, its ids are those of all longer ones.

    rungs: exact budgets that differ in ``max_tokens`` and ``waits`` only. One trace goes up; at each rung's end a copy of it is
    left behind, which closes and answers. Rungs that end at the same place in the same way are answered once. A rung's trace is
    the one that :func:`force` gives for its budget: each request of the pass continues the same ids under the same seed, and
    only asks for more.
    """
    free = open_thinking(trace, trace.template.open_ids(trace.ids), rungs[0], context)
    if free < 1:
        return [trace.fork(len(trace.ids), rung) for rung in rungs]
    caps = [min(free, rung.max_tokens or context) for rung in rungs]
    beginning, ended = len(trace.ids), dict[int, Trace]()
    going = list(range(len(rungs)))

    def leave(leaving: list[int], cut: bool) -> list[int]:
        for i in leaving:
            ended[i] = trace.fork(beginning + caps[i] if cut else len(trace.ids), rungs[i])
            ended[i].cut = cut
        return [i for i in going if i not in leaving]

    while going:
        round, most = len(trace.stops), max(caps[i] for i in going) - trace.thinking_tokens
        done: Completion = yield sampling.request(trace, most, trace.template.think_stop, round, min_tokens=1 if round else 0)
        trace.extend(list(done.ids), Source.SAMPLED)
        thought = trace.thinking_tokens
        going = leave([i for i in going if caps[i] <= thought], cut=True)
        if done.error:
            trace.error = done.error
            going = leave(going, cut=False)
        if not going:
            break
        trace.stops.append(len(trace.ids))
        wait_ids = trace.template.encode(rungs[0].continuation(trace.waits))
        going = leave(
            [i for i in going if not rungs[i].wants_more(thought, trace.waits) or thought + len(wait_ids) >= caps[i]], cut=False
        )
        if going:
            trace.extend(wait_ids, Source.CONTINUATION)
            trace.waits += 1
    places = {i: (len(t.ids), t.cut) for i, t in ended.items() if not t.error}
    distinct = {place: ended[i] for i, place in places.items()}
    answered = yield from together([answer(t, rungs[0], sampling, context) for t in distinct.values()])
    shared = dict(zip(distinct, answered, strict=True))
    return [shared[places[i]].fork(None, rung) if i in places else ended[i] for i, rung in enumerate(rungs)]


def together(programs: Sequence[Program[T]]) -> Program[list[T]]:
    """Programs side by side within one: what each asks next goes out as one fan-out."""
    results: dict[int, T] = {}
    asked: dict[int, Request | list[Request]] = {}
    told: dict[int, Any] = dict.fromkeys(range(len(programs)))
    while told:
        for i, value in told.items():
            try:
                asked[i] = programs[i].send(value)
            except StopIteration as end:
                results[i] = end.value
        if not asked:
            break
        requests = [r for a in asked.values() for r in ([a] if isinstance(a, Request) else a)]
        done = iter((yield requests))
        told = {i: next(done) if isinstance(a, Request) else [next(done) for _ in a] for i, a in asked.items()}
        asked.clear()
    return [results[i] for i in range(len(programs))]


def direct(trace: Trace, prefix: str | None, answer_tokens: int | None, sampling: Sampling, context: int) -> Program[Trace]:
    """Answer without opening any thinking: the baseline. ``prefix`` puts the first words of the answer in its mouth."""
    trace.extend(trace.template.encode(prefix), Source.PREFIX)
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
    closing = len(template.encode("\n" + template.template.close)) + len(template.encode(budget.on_cut))
    free = context - trace.source.count(Source.PROMPT) - closing
    return free - min(budget.room, (free + 1) // 2)


def too_long(trace: Trace, context: int) -> str:
    return (
        f"the prompt of {trace.source.count(Source.PROMPT)} tokens leaves no room to think and answer in the "
        f"context of {context}: shorten the question or load the model with a longer context"
    )
