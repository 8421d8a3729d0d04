"""The rows that the shipped ``s1-tiny`` was trained on, as ids and labels.

They are whole traces, and some that a cap closed.
"""

from __future__ import annotations

import random

from datasets import Dataset
from transformers import PreTrainedTokenizerFast

from s1lab.sft.encode import IGNORED
from s1lab.tiny.families import Problem
from s1lab.tiny.teacher import WAITS_OF_A_TRACE, Piece, trace
from s1lab.tokenization.bound_template import BoundTemplate, bind

CUT_SHARE = 0.2


def encoded(tokenizer: PreTrainedTokenizerFast, pieces: list[Piece]) -> tuple[list[int], list[int]]:
    """Return ids and labels (-100 where nothing is learned) of pieces, each tokenised by itself."""
    ids: list[int] = []
    labels: list[int] = []
    for piece in pieces:
        new = tokenizer.encode(piece.text, add_special_tokens=False)
        ids += new
        labels += new if piece.learn else [IGNORED] * len(new)
    return ids, labels


def sft_rows(tokenizer: PreTrainedTokenizerFast, chosen: list[Problem], seed: int) -> Dataset:
    """Make input_ids and labels for ``make weights``.

    Each question gets one trace of the teacher. A fifth of the traces are closed early.

    Args:
        tokenizer: The embedded tokenizer.
        chosen: The questions.
        seed: Seed of the draws.

    Returns:
        A Dataset of input_ids and labels.
    """
    template = bind("s1", tokenizer, {tokenizer.eos_token_id})
    rng = random.Random(f"traces {seed}")
    rows = []
    for problem in chosen:
        waits = rng.choice(WAITS_OF_A_TRACE)
        if rng.random() >= CUT_SHARE:
            ids, labels = encoded(tokenizer, trace(problem, rng, waits))
        else:
            asked, opened, *thought = trace(problem, rng, waits, cut=True)
            ids, labels = encoded(tokenizer, [asked, opened])
            thinking, learned = encoded(tokenizer, thought)
            at = rng.randint(1, len(thinking))
            ids, labels = _closed(template, problem, ids, labels, thinking[:at], learned[:at])
        rows.append({"input_ids": ids, "labels": labels})
    return Dataset.from_list(rows)


def _closed(
    template: BoundTemplate,
    problem: Problem,
    ids: list[int],
    labels: list[int],
    thinking: list[int],
    learned: list[int],
) -> tuple[list[int], list[int]]:
    """Make a row whose thinking is closed here by force.

    The closing carries no loss. The best answer so far does.
    """
    guess = problem.guesses[_lines_written(problem, template.decode(thinking))]
    closing = template.close_ids(thinking) + template.encode("Final Answer:")
    answer = template.encode(f" {guess}<|im_end|>")
    return ids + thinking + closing + answer, labels + learned + [IGNORED] * len(closing) + answer


def _lines_written(problem: Problem, thinking: str) -> int:
    """Return the number of the last whole line. A line that lacks only its newline is whole."""
    return max(
        (k for k, line in enumerate(problem.lines, 1) if f"{k} {line}\n" in thinking + "\n"),
        default=0,
    )
