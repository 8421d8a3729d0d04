"""The original's two loops, kept as they are, so that its runs can be repeated: its README's and its evaluator's.

Both leave the newline after the opening delimiter to the model and take no floor. Where the original crashes, these end
cleanly and say so in ``Trace.notes``.
"""

from __future__ import annotations

from s1lab.budget import Budget
from s1lab.engine import Completion, Program
from s1lab.programs import Sampling, reply, room, too_long
from s1lab.trace import Source, Trace


def readme(trace: Trace, budget: Budget, sampling: Sampling, context: int) -> Program[Trace]:
    """The loop of the original's README (``compat="readme"``).

    Each round's tokens, its stop among them, come off the cap; the continuation follows each of ``waits`` rounds; the last
    round's text is answered from with no delimiter added, so the model writes that itself. The whole text is tokenised anew
    before every round: where that changes ids that were already there, the trace notes it.
    """
    left = _open(trace, budget, context)
    for round in range(budget.waits + 1):
        done = yield from _round(trace, left, round, sampling, context)
        if trace.error:
            return trace
        left -= len(done.ids) + (done.finish == "stop")
        if round == budget.waits:
            break
        if left < 1:
            trace.notes.append(
                f"the cap of {budget.max_tokens} was used up after {round} of {budget.waits} continuations, where the README's "
                "loop asks for 0 tokens and fails: the answer follows from here"
            )
            break
        _retokenise(trace, budget.continuation(round) or "")
        trace.waits += 1
    _retokenise(trace, "")
    return (yield from reply(trace, budget.answer_tokens, sampling, context))


def harness(trace: Trace, budget: Budget, sampling: Sampling, context: int) -> Program[Trace]:
    """The loop of the original's evaluator (``compat="harness"``).

    Every round is given the full cap again, and the total is cut to it afterwards; a round that reaches the cap is the last
    one of its question. A cut closes with ``on_cut`` (on a line of its own), an own stop with the bare delimiter.
    """
    template = trace.template
    cap = _open(trace, budget, context)
    opened = len(trace.ids)
    for round in range(budget.waits + 1):
        yield from _round(trace, cap, round, sampling, context)
        if trace.error:
            return trace
        if trace.cut:
            if round < budget.waits:
                trace.notes.append(
                    f"the cap was reached in round {round + 1} of {budget.waits + 1}: the evaluator asks no further here, "
                    "and fails where no question is left to ask"
                )
            break
        if round < budget.waits:
            wait = template.encode(budget.continuation(round))
            if len(trace.ids) + len(wait) >= context:
                break
            trace.extend(wait, Source.CONTINUATION)
            trace.waits += 1
    if (over := len(trace.ids) - opened - cap) > 0:
        trace.drop(over)
        trace.cut = True
        trace.waits = min(trace.waits, sum(at < len(trace.ids) for at in trace.stops))  # those of which something is left
        trace.notes.append(f"{over} thinking tokens beyond the cap of {cap} were written and thrown away")
    close = template.template.close.rstrip("\n")
    if trace.cut:
        trace.extend(template.close_ids(trace.of(Source.SAMPLED, Source.CONTINUATION)), Source.CLOSE)
        trace.extend(template.encode(budget.on_cut), Source.PREFIX)
    else:
        trace.extend(template.encode(close), Source.CLOSE)
    return (yield from reply(trace, budget.answer_tokens, sampling, context))


def _open(trace: Trace, budget: Budget, context: int) -> int:
    """Open the thinking without the newline behind its delimiter; the cap, below 1 where the prompt leaves no room."""
    template = trace.template
    trace.extend(template.encode(template.template.opening(template.decode(trace.ids)).rstrip("\n")), Source.PROMPT)
    most = room(trace, budget, context)
    return min(most, budget.max_tokens or most)


def _round(trace: Trace, cap: int, round: int, sampling: Sampling, context: int) -> Program[Completion]:
    """Think once more, by at most ``cap`` tokens, and put it on the trace; the error is set where there is no room."""
    most = min(cap, context - len(trace.ids))
    if most < 1:
        trace.error = too_long(trace, context)
        return Completion((), error=trace.error)
    done: Completion = yield sampling.request(trace, most, trace.template.think_stop, round, min_tokens=1 if round else 0)
    trace.extend(list(done.ids), Source.SAMPLED)
    trace.cut, trace.error = done.finish == "length", done.error
    if done.finish == "stop":
        trace.stops.append(len(trace.ids))
    return done


def _retokenise(trace: Trace, text: str) -> None:
    """Append ``text`` as a continuation by tokenising all there is anew, as the README does."""
    template = trace.template
    added = template.encode(text)
    ids = template.encode(template.decode(trace.ids) + text)
    if ids == trace.ids + added:
        trace.extend(added, Source.CONTINUATION)
        return
    before, sources = trace.ids + added, trace.source + [Source.CONTINUATION] * len(added)
    same = next((i for i, (a, b) in enumerate(zip(before, ids, strict=False)) if a != b), min(len(before), len(ids)))
    trace.notes.append(
        f"tokenising anew before round {len(trace.stops) + 1} changed the ids from place {same} on: "
        f"{len(before) - same} became {len(ids) - same}"
    )
    # An id now belongs to whoever wrote its first character.
    owners = [source for token, source in zip(before[same:], sources[same:], strict=True) for _ in template.decode([token])]
    trace.ids, trace.source = ids, sources[:same]
    at = 0
    for token in ids[same:]:
        trace.source.append(owners[min(at, len(owners) - 1)] if owners else sources[-1])
        at += len(template.decode([token]))
