"""Step-conditional control as a program: headers count the steps down (paper appendix E.1)."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from s1lab.budget import Budget
from s1lab.engine import Program, Sampling
from s1lab.forcing import answer, ask, cut_short, open_thinking, thinking
from s1lab.template import ThinkTemplate
from s1lab.trace import Source, Trace


def step_header(template: ThinkTemplate, left: int) -> str:
    """The header of a step: ``<|im_start|>16 steps left`` and a newline.

    Args:
        template: The think template.
        left: The number of steps left.

    Returns:
        The header.

    Raises:
        ValueError: The template has no such turns.
    """
    return f"{step_mark(template)}{left} steps left\n"


def step_mark(template: ThinkTemplate) -> str:
    """The delimiter of a step and, before another word, of the answer.

    It is ``<|im_start|>`` in the preset "s1".

    Args:
        template: The think template.

    Returns:
        The delimiter.

    Raises:
        ValueError: The template can't count steps.
    """
    mark = next(
        (end for end in template.ends if template.close.startswith(end) and template.close != end),
        None,
    )
    if mark is None or not template.close[len(mark) :].strip():
        raise ValueError(
            f"the template {template.name!r} can't count steps: "
            f"its close {template.close!r} is no delimiter with a word behind it, "
            'as in "<|im_start|>answer"; '
            'load the model with template="s1", or use token_conditional'
        )
    return mark


def stepped(
    trace: Trace, steps: int, forced: bool, budget: Budget, sampling: Sampling, context: int
) -> Program[Trace]:
    """Think step by step, each step under a header that counts down, then answer.

    See the paper's appendix E.1. The first header is given, the model writes the next ones. After
    its delimiter one token is requested. Only the answer's first word ends the thinking; anything
    else begins another step.

    Args:
        trace: The trace, up to where the model begins.
        steps: The number of steps in the first header.
        forced: Whether to close the thinking when the model begins one step more than ``steps``.
            There is then no ``on_cut``, since the last step is whole. Without it the model may go
            on past zero, as far as the budget and the context allow.
        budget: The budget: a cap, and what concerns the answer.
        sampling: How ids are chosen.
        context: The most ids of a prompt and its completion together.

    Returns:
        The trace, answered. Its ``counts`` has "steps", those used, and "delimiter_tokens", the
        header tokens among the thinking tokens. The paper's figures for this method leave them out;
        ``thinking_tokens`` includes them.
    """
    template = trace.template
    mark = step_mark(template.template)
    answering = template.piece(template.template.close)[len(template.piece(mark))]
    free = open_thinking(
        trace, template.piece(step_header(template.template, steps)), budget, context
    )
    if free < 1:
        return trace
    cap = min(free, budget.max_tokens or context)
    trace.counts |= {"steps": 1, "delimiter_tokens": 0}
    heading: list[int] = []  # the delimiter and first word of a header, before the rest of it
    rounds = count()

    while True:
        done = yield from thinking(trace, cap - trace.thinking_tokens, sampling, next(rounds))
        if heading:
            trace.counts["delimiter_tokens"] += len(heading) + _rest_of_line(
                trace, heading[-1], done.ids
            )
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
        word = yield from ask(
            trace, sampling.request(trace, 1, template.think_stop, next(rounds), after=done.mark)
        )
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
    """How many ids end the header's line; 0 if the line has ended or does not end."""
    if "\n" in trace.template.decode([before]):
        return 0
    return next((n for n, i in enumerate(ids, 1) if "\n" in trace.template.decode([i])), 0)
