"""Rewards of traces, and the best of several samples by them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from s1lab.evaluation import grade
from s1lab.evaluation.arguments import real, shown
from s1lab.methods.samples import Samples
from s1lab.tokenization.conversation import headline
from s1lab.trace import Trace


class Reward:
    """A function from a (partial) trace to a number that scores several traces at once.

    Any other callable works too. A subclass defines `many`.

    Example:
        import s1lab as lab

        class Shorter(lab.methods.Reward):
            def many(self, traces):
                return [-len(t.ids) / 100 for t in traces]
    """

    def __call__(self, trace: Trace) -> float:
        return self.many([trace])[0]

    def many(self, traces: Sequence[Trace]) -> list[float]:
        """Score several traces; a subclass defines it.

        Args:
            traces: The traces.

        Returns:
            A number for each trace, in order.
        """
        raise NotImplementedError


Score = Callable[[Trace], float]  # a Reward is one too


@dataclass(frozen=True, repr=False)
class Best(Samples):
    """Best-of-n: the answer of the sample with the highest score; tied samples share evenly.

    Attributes:
        question: The question.
        traces: The n samples.
        kind: How an answer is taken out of a trace and compared, as in
            `s1lab.evaluation.grade`.
        scores: A number for each trace. A trace with an error has no score, and is never the best
            while another has no error.

    Raises:
        ValueError: There is not a finite number for every trace.

    Example:
        engine = lab.load("s1-tiny")
        best = lab.methods.best_of(engine, "What is 2 + 3?", 4, lambda t: -t.thinking_tokens)
        print(best.answer, best.scores)
    """

    scores: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers("scores", self.scores, self.traces)

    @property
    def trace(self) -> Trace:
        """The best trace; of tied ones the first."""
        return self.traces[self._top]

    @property
    def answer(self) -> str | None:
        """The answer of the best trace; None if it gives none."""
        return self.answers[self._top]

    def accuracy(self, gold: str, k: int | None = None) -> float:
        """The probability that the best of ``k`` of the samples is right, over all subsets of k.

        Args:
            gold: The right answer.
            k: How many samples there are to choose from; None for all.

        Returns:
            A number from 0 to 1.

        Raises:
            ValueError: k is not a whole number from 1 to n, or the gold answer can't be used.
        """
        k, n = self._k(k), len(self.traces)
        self._checked(gold)
        verdicts = [
            a is not None and grade.is_correct(t.answer, gold, self.kind)
            for a, t in zip(self.answers, self.traces, strict=True)
        ]
        ranked: dict[tuple[bool, float], list[bool]] = {}
        for i, verdict in enumerate(verdicts):
            ranked.setdefault(self._rank(i), []).append(verdict)
        subsets, below, chance = math.comb(n, k), 0, 0.0
        upto = 0  # subsets of k samples whose best has one of the ranks so far
        for rank in sorted(ranked):
            tied = ranked[rank]
            below += len(tied)
            before, upto = upto, math.comb(below, k)
            chance += (upto - before) / subsets * sum(tied) / len(tied)
        return chance

    @property
    def _top(self) -> int:
        return max(range(len(self.traces)), key=self._rank)

    def _rank(self, i: int) -> tuple[bool, float]:
        return self.traces[i].error is None, self.scores[i]


def check_score(name: str, score: Any) -> None:
    """Check that a score or reward can be called. ValueError otherwise."""
    if not callable(score):
        raise ValueError(
            f"{name}={shown(score)} can't be called: give a function from a trace to a number"
        )


def rated(score: Score, traces: Sequence[Trace], what: str) -> list[float]:
    """Score traces, and check the numbers.

    Args:
        score: The score or reward.
        traces: The traces of one question.
        what: The word for the score in a message.

    Returns:
        A finite number for each trace.

    Raises:
        ValueError: The score raises, or gives anything else. The message names the score and the
            question.
    """
    if not traces:
        return []
    name = getattr(score, "__name__", type(score).__name__)
    question = headline(traces[0].question)[:80]
    try:
        values: Sequence[Any] = (
            score.many(traces) if isinstance(score, Reward) else [score(t) for t in traces]
        )
        numbers = [float(value) for value in values]
    except Exception as why:
        said = " ".join(f"{type(why).__name__}: {why}".split())
        raise ValueError(
            f"the {what} {name!r} failed on the question {question!r}: {said}"
        ) from why
    if len(numbers) != len(traces):
        raise ValueError(
            f"the {what} {name!r} gave {len(numbers)} numbers for {len(traces)} traces of "
            f"{question!r}: give one a trace"
        )
    if (bad := next((x for x in numbers if not math.isfinite(x)), None)) is not None:
        raise ValueError(
            f"the {what} {name!r} gave {bad} on the question {question!r}: "
            "let it give a finite number for every trace"
        )
    return numbers


def check_numbers(name: str, values: Sequence[float], traces: Sequence[Trace]) -> None:
    """Check that there is a finite number for every trace. ValueError otherwise."""
    wanted = "a finite number a trace"
    if not isinstance(values, (list, tuple)) or len(values) != len(traces):
        raise ValueError(f"{name}={shown(values)} for {len(traces)} traces: give {wanted}")
    for i, value in enumerate(values):
        real(f"{name}[{i}]", value, wanted)
