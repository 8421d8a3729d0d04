"""The embedded teacher: the texts that teach the two models, with a mark on the text to learn.

The teacher has, on purpose, the faults that the paper's method fixes. It is impatient: after every
7 lines without a ``yes`` it writes ``stop`` and answers with its best guess. If something makes it
go on ("Wait"), it continues the search at the next line. If it had already found the answer, it
writes its last line once more and stops again. Because of this teaching, suppressing the end of
thinking helps the embedded model. That says nothing about larger models.
"""

from __future__ import annotations

import random
import string
from dataclasses import dataclass

from s1lab.tiny.families import Problem, solve, windows
from s1lab.tiny.words import NAMES

PATIENCE = 7
SYSTEM_TURNS = (
    "You are a helpful assistant.",
    "You are a careful assistant.",
    "Think step by step.",
)
# Texts that the fine-tuning rows put after a suppressed stop, never with loss: mostly the paper's
# word, and a few of its rivals.
CONTINUATIONS = ("Wait",) * 8 + ("Hmm", "Alternatively")
WAITS_OF_A_TRACE = (0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 6)


@dataclass(frozen=True)
class Piece:
    """A stretch of text. Pieces are tokenised one by one, as in generation.

    Attributes:
        text: The text.
        learn: Whether its tokens carry loss.
    """

    text: str
    learn: bool


def numbered(problem: Problem, start: int, end: int) -> str:
    """Return thinking lines ``start`` to ``end`` (from 1, inclusive), numbered, with newlines."""
    return "".join(
        f"{k} {problem.lines[k - 1]}\n" for k in range(start, min(end, len(problem.lines)) + 1)
    )


def asked(question: str, rng: random.Random) -> str:
    """Write a question as people type it: sometimes without its last mark."""
    return question[:-1] if rng.random() < 0.2 else question


def dialogue(problem: Problem, rng: random.Random) -> list[Piece]:
    """Make a pre-training document: a chat with little thinking at a time.

    The first reply is the answer at once, or up to 4 lines and then the best answer so far. Later
    turns ask to go on from a line somewhere in the search. So every line is practised, and no long
    search is ever seen.
    """
    pieces = []
    if rng.random() < 0.1:
        pieces.append(Piece(f"<|im_start|>system\n{rng.choice(SYSTEM_TURNS)}<|im_end|>\n", False))
    ask, total = asked(problem.question, rng), len(problem.lines)
    pieces.append(Piece(f"<|im_start|>user\n{ask}<|im_end|>\n<|im_start|>assistant\n", False))
    if rng.random() < 0.08:
        pieces.append(Piece(f"Answer: {problem.answer}<|im_end|>\n", True))
    else:
        k = min(rng.randint(1, 4), total)
        pieces.append(
            Piece(f"{numbered(problem, 1, k)}Answer: {problem.guesses[k]}<|im_end|>\n", True)
        )
    for _ in range(rng.randint(0, min(4, total // 3))):
        k = rng.randint(1, total - 1)
        end = min(k + rng.randint(2, 5), total)
        pieces.append(
            Piece(
                "<|im_start|>user\n"
                f"Go on after {numbered(problem, k, k)[:-1]}<|im_end|>\n"
                "<|im_start|>assistant\n",
                False,
            )
        )
        reply = numbered(problem, k + 1, end)
        if end == total:
            reply += f"Answer: {problem.answer}"
        pieces.append(Piece(f"{reply}<|im_end|>\n", True))
    return pieces


def drill(problem: Problem, rng: random.Random) -> list[Piece]:
    """Make a pre-training exercise in copying.

    Without it, looking things up in the question is learned late or never. The exercise is to spell
    a word of the world, one numbered letter on each line, or to repeat a row of names, letters and
    digits.
    """
    if problem.family == "letters":
        word = problem.question.split()[-1].rstrip("?")
        ask, reply = (
            f"Spell {word}",
            "".join(f"{k} {read}\n" for k, read in enumerate(windows(word), 1)),
        )
    else:
        symbols = (*NAMES, *string.ascii_lowercase, *string.digits)
        row = " ".join(
            rng.choice(symbols) for _ in range(rng.randint(1, rng.choice((2, 4, 8, 16))))
        )
        ask, reply = f"Repeat {row}", row
    return [
        Piece(f"<|im_start|>user\n{ask}<|im_end|>\n<|im_start|>assistant\n", False),
        Piece(f"{reply}<|im_end|>\n", True),
    ]


def trace(problem: Problem, rng: random.Random, waits: int, cut: bool = False) -> list[Piece]:
    """Make a fine-tuning row in the paper's format.

    Each suppression appends a continuation word without loss. So the model learns to go on after
    the word, but not to write it.

    Args:
        problem: The question.
        rng: Source of the draws.
        waits: Number of suppressed stops.
        cut: End in a forced stop instead of an own one.

    Returns:
        The row in pieces.
    """
    rounds, done = [], 0
    total = len(problem.lines)
    for _ in range(waits + 1):
        if done == total:
            rounds.append(numbered(problem, total, total))
        else:
            end = min(done + PATIENCE, total)
            rounds.append(numbered(problem, done + 1, end) + ("" if end == total else "stop\n"))
            done = end
    pieces = [
        Piece(
            f"<|im_start|>user\n{asked(problem.question, rng)}<|im_end|>\n<|im_start|>assistant\n",
            False,
        ),
        Piece("<|im_start|>think", False),
        Piece("\n" + rounds[0], True),  # in the authors' loops the model writes the newline
    ]
    for text in rounds[1:]:
        pieces += [Piece(rng.choice(CONTINUATIONS), False), Piece("\n" + text, True)]
    if cut:
        return pieces
    return [
        *pieces,
        Piece("<|im_start|>answer\n", True),
        Piece(f"Answer: {problem.guesses[done]}<|im_end|>", True),
    ]


def written(problem: Problem, rng: random.Random, waits: int) -> tuple[str, str]:
    """Return such a trace as two texts, thinking and answer, as a pool of traces holds them."""
    _, _, *thinking, _, answer = trace(problem, rng, waits)
    return "".join(piece.text for piece in thinking)[1:], answer.text.removesuffix("<|im_end|>")


def patient(problem: Problem, patience: int) -> tuple[str, str]:
    """Return a trace of at most ``patience`` lines and no Wait, as thinking and answer.

    Its length depends on the patience, not on the question.
    """
    lines = min(patience, len(problem.lines))
    thinking = numbered(problem, 1, lines) + ("" if lines == len(problem.lines) else "stop\n")
    return thinking, f"Answer: {problem.guesses[lines]}"


class Teacher:
    """The embedded teacher: a function from the text of a question to (thinking, answer).

    The same seed and question give the same trace.

    Args:
        seed: Seed of the draws.
        waits: How often it goes on after a stop. None draws it for each question.

    Example:
        thinking, answer = lab.tiny.Teacher()("How many r in raspberry")
    """

    def __init__(self, seed: int = 0, waits: int | None = None) -> None:
        self.seed, self.waits = seed, waits

    def __call__(self, question: str) -> tuple[str, str]:
        """Answer a question.

        Args:
            question: A question of the embedded world.

        Returns:
            The thinking and the answer.

        Raises:
            ValueError: If the text is not a question of the embedded world.
        """
        rng = random.Random(f"teacher {self.seed} {question}")
        drawn = rng.choice(WAITS_OF_A_TRACE)
        return written(solve(question), rng, drawn if self.waits is None else self.waits)
