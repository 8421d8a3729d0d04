"""Step-conditional control as the commands of the original run it."""

from __future__ import annotations

from itertools import count

from s1lab.budget import Budget
from s1lab.engine import Program, Sampling
from s1lab.forcing import ask, open_thinking, reply, thinking
from s1lab.methods.original_loops import harness
from s1lab.methods.steps import step_mark
from s1lab.tokenization.bound_template import BoundTemplate
from s1lab.trace import Source, Trace

# A header that begins so ends the steps in the original's commands: until_thinking=<|im_start|>0.
LAST_STEP = "0"


def _mark_id(template: BoundTemplate) -> int:
    """The one token that begins a step's header in the original's own step control."""
    ids = template.encode(step_mark(template.template))
    if len(ids) > 1:
        raise ValueError(
            "as_original=True needs a delimiter of one token, "
            f"and {step_mark(template.template)!r} has {len(ids)} "
            "in this tokenizer: leave as_original out"
        )
    return ids[0]


def original_steps(
    trace: Trace, budget: Budget, sampling: Sampling, context: int
) -> Program[Trace]:
    """Step control with budget forcing as in the original's commands: the model counts, "0" closes.

    Its eval/commands.sh gives its evaluator three texts for this: ``thinking_start=<|im_start|>``,
    ``until_thinking=<|im_start|>0`` and ``thinking_end=<|im_start|>answer``. So the bare delimiter
    opens the thinking, and the model writes the first number itself. A header that begins with a 0
    closes the thinking, and so does an end of sequence or the cap. Nothing compares the model's
    numbers with those in the question. An answer that the model begins by itself does not end the
    thinking either: it stays in the thinking, and the close follows it.

    Args:
        trace: The trace, up to where the model begins.
        budget: The budget: a cap, and what concerns the answer.
        sampling: How ids are chosen.
        context: The most ids of a prompt and its completion together.

    Returns:
        The trace, answered. Its ``counts`` has "steps" and "delimiter_tokens" as its
        eval/compute_sample_stats.py counts them: a step for each " steps left" that ends its line,
        and as delimiters all tokens on the first line after each delimiter.
    """
    template = trace.template
    mark = _mark_id(template)
    free = open_thinking(trace, [mark], budget, context)
    if free < 1:
        return trace
    cap = min(free, budget.max_tokens or context)
    # Whether the last id is a delimiter that the model wrote. The given one is in the prompt.
    behind_mark = False
    rounds = count()

    while True:
        left = cap - trace.thinking_tokens
        if left < 1:
            trace.cut = True
            break
        # Look at one token after a delimiter. Another delimiter is an ordinary token there. The
        # original does this in one request, since its engine compares the text with the end text.
        if behind_mark:
            request = sampling.request(trace, 1, template.answer_stop, next(rounds))
            word = yield from ask(trace, request)
            if not word.error and template.decode(list(word.ids)).startswith(LAST_STEP):
                # The original removes the end text by its ids. So a token that holds more than the
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
        trace.notes.append(
            "the model began its answer within its thinking: "
            "the original's command does not look for that"
        )
    if not trace.cut:
        trace.stops.append(len(trace.ids))
    return (yield from answer_as_original(trace, budget, sampling, context))


def _count_steps(trace: Trace, mark: int) -> None:
    """Count steps and the tokens of their first lines, as eval/compute_sample_stats.py does."""
    trace.counts |= {"steps": trace.thinking.count(" steps left\n"), "delimiter_tokens": 0}
    heading = True
    for token in trace.of(Source.SAMPLED):
        heading = heading or token == mark
        trace.counts["delimiter_tokens"] += heading
        if heading and token != mark and "\n" in trace.template.decode([token]):
            heading = False


def answer_as_original(
    trace: Trace, budget: Budget, sampling: Sampling, context: int
) -> Program[Trace]:
    """Close as the original's evaluator does, then answer.

    After the model's own stop the close is bare. After a cut it is on a line of its own, with
    ``on_cut``.

    Args:
        trace: The trace, with its thinking ended.
        budget: The budget of the answer.
        sampling: How ids are chosen.
        context: The most ids of a prompt and its completion together.

    Returns:
        The trace, answered, or with an ``error``.
    """
    template = trace.template
    if trace.cut:
        trace.extend(template.close_ids(trace.of(Source.SAMPLED)), Source.CLOSE)
        trace.extend(template.foreign(budget.on_cut), Source.PREFIX)
    else:
        trace.extend(template.piece(template.template.close.rstrip("\n")), Source.CLOSE)
    return (yield from reply(trace, budget.answer_tokens, sampling, context))


def counted_harness(
    trace: Trace, budget: Budget, sampling: Sampling, context: int
) -> Program[Trace]:
    """Step control without budget forcing as in the original's commands.

    It is the evaluator's loop, and the steps are counted afterwards.

    Args:
        trace: The trace, up to where the model begins.
        budget: The budget, with ``compat="harness"``.
        sampling: How ids are chosen.
        context: The most ids of a prompt and its completion together.

    Returns:
        The trace, answered, with "steps" and "delimiter_tokens" in its ``counts``.
    """
    trace = yield from harness(trace, budget, sampling, context)
    _count_steps(trace, _mark_id(trace.template))
    return trace
