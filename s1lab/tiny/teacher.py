"""The embedded teacher: how the two models are taught, as text with a mark on the parts that are to be learned.

The teacher is made to have the faults that the paper's method mends. It is impatient: after every 7 lines without a
``yes`` it writes ``stop`` and answers with what it has. When something makes it go on ("Wait"), it takes up the search
at the next line; when it had already found the answer, it writes its last line once more and stops again. That teaching
is why suppressing the end of thinking helps the embedded model; it says nothing about larger ones.
"""

from __future__ import annotations

import random
import string
from dataclasses import dataclass

from s1lab.tiny.words import NAMES
from s1lab.tiny.world import Problem, solve, windows

PATIENCE = 7
SYSTEM_TURNS = ("You are a helpful assistant.", "You are a careful assistant.", "Think step by step.")
# What the fine-tuning rows put after a suppressed stop, never with loss. Mostly the paper's word; a few of its rivals.
CONTINUATIONS = ("Wait",) * 8 + ("Hmm", "Alternatively")
WAITS_OF_A_TRACE = (0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 6)


@dataclass(frozen=True)
class Piece:
    """A stretch of text; ``learn`` is whether its tokens carry loss. Pieces are tokenised one by one, as in generation."""

    text: str
    learn: bool


def numbered(problem: Problem, start: int, end: int) -> str:
    """Thinking lines ``start`` to ``end`` (1-based, inclusive), each with its number and a newline."""
    return "".join(f"{k} {problem.lines[k - 1]}\n" for k in range(start, min(end, len(problem.lines)) + 1))


def asked(question: str, rng: random.Random) -> str:
    """A question as people type it: sometimes without its last mark."""
    return question[:-1] if rng.random() < 0.2 else question


def dialogue(problem: Problem, rng: random.Random) -> list[Piece]:
    """A pre-training document: a chat in which little is thought at a time.

    The first reply is the answer at once, or up to 4 lines and then the best answer so far. Later turns ask to go on from
    a line somewhere in the search, so that every line is practised and no long search is ever seen.
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
        pieces.append(Piece(f"{numbered(problem, 1, k)}Answer: {problem.guesses[k]}<|im_end|>\n", True))
    for _ in range(rng.randint(0, min(4, total // 3))):
        k = rng.randint(1, total - 1)
        end = min(k + rng.randint(2, 5), total)
        pieces.append(
            Piece(f"<|im_start|>user\nGo on after {numbered(problem, k, k)[:-1]}<|im_end|>\n<|im_start|>assistant\n", False)
        )
        reply = numbered(problem, k + 1, end)
        if end == total:
            reply += f"Answer: {problem.answer}"
        pieces.append(Piece(f"{reply}<|im_end|>\n", True))
    return pieces


def drill(problem: Problem, rng: random.Random) -> list[Piece]:
    """A pre-training exercise in copying, without which looking things up in the question is learned late or never.

    Spell a word of the world a numbered letter a line, or write a row of names, letters and digits once more.
    """
    if problem.family == "letters":
        word = problem.question.split()[-1].rstrip("?")
        ask, reply = f"Spell {word}", "".join(f"{k} {read}\n" for k, read in enumerate(windows(word), 1))
    else:
        symbols = (*NAMES, *string.ascii_lowercase, *string.digits)
        row = " ".join(rng.choice(symbols) for _ in range(rng.randint(1, rng.choice((2, 4, 8, 16)))))
        ask, reply = f"Repeat {row}", row
    return [Piece(f"<|im_start|>user\n{ask}<|im_end|>\n<|im_start|>assistant\n", False), Piece(f"{reply}<|im_end|>\n", True)]


def trace(problem: Problem, rng: random.Random, waits: int, cut: bool = False) -> list[Piece]:
    """A fine-tuning row in the paper's format: ``waits`` suppressed stops, then an own stop or (``cut``) a forced one.

    Each suppression appends a continuation word without loss: the model learns to go on after it, not to write it.
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
        Piece(f"<|im_start|>user\n{asked(problem.question, rng)}<|im_end|>\n<|im_start|>assistant\n", False),
        Piece("<|im_start|>think", False),
        Piece("\n" + rounds[0], True),  # the authors' loops leave the newline to the model
    ]
    for text in rounds[1:]:
        pieces += [Piece(rng.choice(CONTINUATIONS), False), Piece("\n" + text, True)]
    if cut:
        return pieces
    return [*pieces, Piece("<|im_start|>answer\n", True), Piece(f"Answer: {problem.guesses[done]}<|im_end|>", True)]


def written(problem: Problem, rng: random.Random, waits: int) -> tuple[str, str]:
    """The same trace as two texts, as a pool of traces holds them: the thinking and the answer."""
    _, _, *thinking, _, answer = trace(problem, rng, waits)
    return "".join(piece.text for piece in thinking)[1:], answer.text.removesuffix("<|im_end|>")


def patient(problem: Problem, patience: int) -> tuple[str, str]:
    """A trace of at most so many lines and no Wait, as thinking and answer: its length is the patience's, not the question's."""
    lines = min(patience, len(problem.lines))
    thinking = numbered(problem, 1, lines) + ("" if lines == len(problem.lines) else "stop\n")
    return thinking, f"Answer: {problem.guesses[lines]}"


class Teacher:
    """The embedded teacher as a function from the text of a question to (thinking, answer).

    waits: how often it goes on after a stop; None draws it for each question. The same seed and question give the same trace.
    """

    def __init__(self, seed: int = 0, waits: int | None = None) -> None:
        self.seed, self.waits = seed, waits

    def __call__(self, question: str) -> tuple[str, str]:
        """ValueError for a text that is no question of the embedded world."""
        rng = random.Random(f"teacher {self.seed} {question}")
        drawn = rng.choice(WAITS_OF_A_TRACE)
        return written(solve(question), rng, drawn if self.waits is None else self.waits)
