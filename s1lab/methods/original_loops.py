"""The two loops of the original, its README's and its evaluator's, to repeat its runs.

Both leave the newline after the opening delimiter to the model. Where the original ends in an error
and the whole run fails, these end the one question cleanly and say so in ``Trace.notes``.
"""

from __future__ import annotations

from collections.abc import Sequence

from s1lab.budget import Budget
from s1lab.engine import Program, Sampling
from s1lab.forcing import Round, reply, room, thinking, too_long
from s1lab.tokenization.bound_template import BoundTemplate
from s1lab.tokenization.conversation import messages_of
from s1lab.trace import Source, Trace


def readme(trace: Trace, budget: Budget, sampling: Sampling, context: int) -> Program[Trace]:
    """The loop of the original's README (``compat="readme"``), as of June 2025.

    ``max_tokens`` is its MAX_TOKENS_THINKING, and ``waits`` is its NUM_IGNORE. Each round's tokens
    count against the cap, its stop among them. The continuations do not. A continuation follows
    each of the first ``waits`` rounds, as long as some of the cap is left; else the answer follows.
    The answer continues the last round's text with no delimiter added: the model writes that
    itself. The whole text is tokenised again before every round. If that changes existing ids, the
    trace notes it.

    Args:
        trace: The question's trace, up to where the assistant's turn begins.
        budget: The budget; ``max_tokens=None`` leaves the answer its room.
        sampling: How ids are chosen.
        context: The most ids of a request and its completion together.

    Returns:
        The trace, answered.
    """
    _open(trace)
    waits, waited = budget.waits or 0, list[int]()
    cap = left = budget.max_tokens or room(trace, budget, context)
    for round in range(waits + 1):
        # The README asks for at least one token from the second round on. The first has no minimum.
        done = yield from _round(trace, left, round, min(1, round), sampling, context)
        if trace.error:
            return trace
        _leave_out_half_a_character(trace, done)
        if done.mark:
            trace.stops.append(len(trace.ids))
        left -= len(done.ids) + len(done.mark)
        if round == waits:
            break
        if left < 1:
            trace.notes.append(
                f"the cap of {cap} was used up after {round} of {waits} continuations: "
                "as in the README's loop, no further round "
                "is asked for, and the answer follows from here"
            )
            break
        wait = budget.continuation(trace.waits) or ""
        if len(trace.ids) + len(trace.template.foreign(wait)) >= context:
            trace.notes.append(_full("the README's loop", round, waits, context))
            break
        waited.append(len(trace.ids))
        _retokenise(trace, wait)
        trace.waits += 1
    _retokenise(trace, "")
    if len(trace.ids) >= context:
        _make_room(trace, waited, "the README's loop", budget, context)
    return (yield from reply(trace, budget.answer_tokens, sampling, context))


def harness(trace: Trace, budget: Budget, sampling: Sampling, context: int) -> Program[Trace]:
    """The loop of the original's evaluator (``compat="harness"``).

    ``max_tokens`` is its max_tokens_thinking, and None is its "auto". ``waits`` is its
    thinking_n_ignore, and None leaves that out. ``wait`` is its thinking_n_ignore_str.
    ``min_tokens`` is its min_tokens_thinking.

    Every round gets the full cap again, and the total is cut to it afterwards. A round that reaches
    the cap is the last one of its question. The end of the last round decides how the thinking is
    closed, whatever was cut. After a stop it is closed with the bare delimiter. At the cap it is
    closed with the delimiter on a line of its own and ``on_cut``. Whether a newline is missing
    before it is decided on the text as it was before the total was cut.

    Args:
        trace: The question's trace, up to where the assistant's turn begins.
        budget: The budget.
        sampling: How ids are chosen.
        context: The most ids of a request and its completion together.

    Returns:
        The trace, answered.
    """
    template = trace.template
    _open(trace)
    opened = len(trace.ids)
    cap = budget.max_tokens or _auto(trace, budget, context)
    waits, waited = budget.waits or 0, list[int]()
    # If thinking_n_ignore is given, even as 0, every round must write one token before it may stop,
    # the first round included.
    least = budget.min_tokens if budget.waits is None else 1
    text = ""  # the text of all rounds and continuations, uncut
    for round in range(waits + 1):
        done = yield from _round(trace, cap, round, least, sampling, context)
        if trace.error:
            return trace
        text += template.decode(_whole(template, done.ids))
        if done.mark:
            if not done.end and done.mark[-1] not in _stripped(template):
                # The evaluator keeps an end of sequence among the ids of the thinking if it does
                # not know it as a stop.
                trace.extend(list(done.mark), Source.SAMPLED)
            trace.stops.append(len(trace.ids))
        if not done.mark or round == waits:
            break
        wait = budget.continuation(trace.waits) or ""
        wait_ids = template.foreign(wait)
        if len(trace.ids) + len(wait_ids) >= context:
            trace.notes.append(_full("the evaluator", round, waits, context))
            break
        waited.append(len(trace.ids))
        trace.extend(wait_ids, Source.CONTINUATION)
        text += wait
        trace.waits += 1
    cut = trace.cut = not done.mark
    if cut and round < waits:
        trace.notes.append(
            f"the cap was reached in round {round + 1} of {waits + 1}: "
            "the evaluator asks no further here, "
            "and fails where no question is left to ask"
        )
    if (over := len(trace.ids) - opened - cap) > 0:
        _throw_away(trace, waited, over)
        trace.notes.append(
            f"{over} thinking tokens beyond the cap of {cap} were written and thrown away"
        )
        for end in _stripped(template):  # a continuation that is cut after a delimiter loses it
            if trace.ids[-1] == end:
                _throw_away(trace, waited, 1)
    closing = (
        _closing(trace, budget, text) if cut else ([], template.piece(_thinking_end(template)), [])
    )
    if len(trace.ids) + sum(map(len, closing)) >= context:
        _make_room(trace, waited, "the evaluator", budget, context)
        closing = _closing(trace, budget, template.decode(trace.ids[opened:]))
    elif cut and not text:
        trace.notes.append(
            "nothing of the thinking can be shown as text, and the evaluator fails: "
            "the answer follows from here"
        )
    newline, close, prefix = closing
    trace.extend(newline + close, Source.CLOSE)
    trace.extend(prefix, Source.PREFIX)
    return (yield from reply(trace, budget.answer_tokens, sampling, context))


def _open(trace: Trace) -> None:
    """Open the thinking without the newline after its delimiter."""
    template = trace.template
    opening = template.template.opening(template.decode(trace.ids)).rstrip("\n")
    trace.extend(template.piece(opening), Source.PROMPT)


def _auto(trace: Trace, budget: Budget, context: int) -> int:
    """The evaluator's "auto": the context less the prompt, the longest close and 100 tokens.

    The evaluator takes the longest prompt of the batch for all questions. Here each question has
    its own. The 100 tokens are ``answer_room``, whatever ``answer_tokens`` says.
    """
    longest = trace.template.piece(_thinking_end(trace.template) + "\n" + (budget.on_cut or ""))
    cap = context - len(trace.ids) - len(longest) - budget.answer_room
    if cap >= 1:
        return cap
    trace.notes.append(
        f'"auto" leaves {cap} thinking tokens in the context of {context}, '
        "where the evaluator fails: half of what is free is thought here"
    )
    return room(trace, budget, context)


def _round(
    trace: Trace, cap: int, round: int, least: int, sampling: Sampling, context: int
) -> Program[Round]:
    """Think once more, by at most ``cap`` tokens. If there is no room, the trace gets its error.

    The context ends a round as the cap does: vLLM says "length" for both.
    """
    most = min(cap, context - len(trace.ids))
    if most < 1:
        trace.error = too_long(trace, context)
        return Round((), error=trace.error)
    done = yield from thinking(trace, most, sampling, round, least=min(least, most))
    trace.extend(list(done.ids), Source.SAMPLED)
    trace.cut, trace.error = not done.mark and not done.error, done.error
    return done


def _thinking_end(template: BoundTemplate) -> str:
    """The evaluator's thinking_end: the close without the newline that only a cut adds."""
    return template.template.close.rstrip("\n")


def _stripped(template: BoundTemplate) -> list[int]:
    """The stops that the evaluator removes from the ids of a round, in its order: until_thinking.

    These are the template's delimiters and the tokenizer's own end of sequence. Another end of
    sequence, such as the ``<|endoftext|>`` of Qwen's generation config, stops vLLM too, but the
    evaluator does not look for it.
    """
    ends = [ids[0] for end in template.template.ends if len(ids := template.encode(end)) == 1]
    eos = template.tokenizer.eos_token_id
    return ends if eos is None or eos in ends else [*ends, eos]


def _closing(trace: Trace, budget: Budget, text: str) -> tuple[list[int], list[int], list[int]]:
    """The ids that close a cut, in three parts.

    Args:
        trace: The trace; only its template is used.
        budget: The budget, with ``on_cut``.
        text: The thinking as text. If it does not end in a newline, one is added.

    Returns:
        The newline or nothing; the delimiter and its newline; ``on_cut``.
    """
    template = trace.template
    newline = (
        template.template.newline
        and not text.endswith("\n")
        and not template.template.open.startswith("\n")
    )
    close = template.piece(_thinking_end(template) + "\n")
    # The evaluator tokenises the delimiter and the words after it together.
    together = not template.foreign_notes(on_cut=budget.on_cut)
    whole = (
        template.piece(_thinking_end(template) + "\n" + (budget.on_cut or ""))
        if together
        else close + template.foreign(budget.on_cut)
    )
    shared = 0
    while shared < min(len(close), len(whole)) and close[shared] == whole[shared]:
        shared += 1
    return template.piece("\n") if newline else [], whole[:shared], whole[shared:]


def _whole(template: BoundTemplate, ids: Sequence[int]) -> list[int]:
    """The ids that vLLM shows as text. It leaves out an incomplete character at the end."""
    shown = list(ids)
    while shown and template.decode(shown).endswith("\N{REPLACEMENT CHARACTER}"):
        shown.pop()
    return shown


def _leave_out_half_a_character(trace: Trace, done: Round) -> None:
    """Remove the ids that the README's loop loses, since it goes on from the text of a round."""
    if lost := len(done.ids) - len(_whole(trace.template, done.ids)):
        trace.drop(lost)
        trace.notes.append(
            f"{lost} tokens at the end of a round are part of a character: "
            "the README's loop loses them with it"
        )


def _throw_away(trace: Trace, waited: list[int], n: int) -> None:
    """Drop ids of the thinking. A Wait counts as long as an id after its place is left."""
    trace.drop(n)
    trace.cut = True
    trace.waits = sum(at < len(trace.ids) for at in waited)


def _make_room(trace: Trace, waited: list[int], loop: str, budget: Budget, context: int) -> None:
    """Cut the thinking back so that the answer has its room, where the original fails."""
    over = trace.thinking_tokens - max(0, room(trace, budget, context))
    trace.notes.append(
        f"the thinking fills the context of {context}, and {loop} fails: "
        f"here {over} tokens are thrown away, to leave room to answer"
    )
    _throw_away(trace, waited, over)


def _full(loop: str, round: int, waits: int, context: int) -> str:
    """The note of a run whose context is full before its last continuation."""
    return (
        f"the context of {context} is full after {round} of {waits} continuations, "
        f"and {loop} fails: the answer follows from here"
    )


def _retokenise(trace: Trace, text: str) -> None:
    """Append ``text`` as a continuation by tokenising the whole text again, as the README does."""
    template = trace.template
    added = template.foreign(text)
    asked = {str(place): m["content"] for place, m in enumerate(messages_of(trace.question))}
    if template.foreign_notes(wait=text, **asked):
        # The caller's texts hold control tokens as plain text. Tokenising again would turn them
        # into real control tokens.
        trace.extend(added, Source.CONTINUATION)
        return
    ids = template.encode(template.decode_whole(trace.ids) + text)
    if ids == trace.ids + added:
        trace.extend(added, Source.CONTINUATION)
        return
    before, sources = trace.ids + added, trace.source + [Source.CONTINUATION] * len(added)
    same = next(
        (i for i, (a, b) in enumerate(zip(before, ids, strict=False)) if a != b),
        min(len(before), len(ids)),
    )
    trace.notes.append(
        f"tokenising anew before round {len(trace.stops) + 1} changed the ids from place {same} "
        "on: "
        f"{len(before) - same} became {len(ids) - same}"
    )
    # An id now belongs to whoever wrote its first character.
    owners = [
        source
        for token, source in zip(before[same:], sources[same:], strict=True)
        for _ in template.decode([token])
    ]
    trace.ids, trace.source = ids, sources[:same]
    at = 0
    for token in ids[same:]:
        trace.source.append(owners[min(at, len(owners) - 1)] if owners else sources[-1])
        at += len(template.decode([token]))
