"""The outcome of a method on a set of questions: its tokens and its accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Real

import numpy as np

from s1lab.evaluation.arguments import shown
from s1lab.evaluation.intervals import Interval, accuracy_interval
from s1lab.methods.rewards import Best
from s1lab.methods.samples import GOLD, Samples
from s1lab.methods.tree import Tree
from s1lab.methods.voting import Vote


@dataclass(frozen=True)
class Outcome:
    """A method on a benchmark.

    Attributes:
        correct: The chance that each question is right, 0 to 1, for paired tests.
        tokens: The tokens of each question.
        accuracy: The mean in percent, with its 95 % interval (Wilson's, see
            `s1lab.metrics.accuracy_interval`).

    Example:
        found = lab.vote(lab.load("s1-tiny"), ["How many r in raspberry?", "What is 2 + 3?"], 4)
        print(lab.methods.outcome(found, ["3", "5"]).accuracy)
    """

    correct: list[float] = field(repr=False)
    tokens: list[float] = field(repr=False)
    accuracy: Interval

    @property
    def mean_tokens(self) -> float:
        """Tokens per question, with those thrown away."""
        return float(np.mean(self.tokens))

    def __str__(self) -> str:
        return f"{self.accuracy} % at {self.mean_tokens:,.0f} tokens a question"


def outcome(
    found: Sequence[Vote | Best | Tree],
    golds: Sequence[str],
    k: int | None = None,
    *,
    as_original: bool = False,
    unanswered: str | None = None,
) -> Outcome:
    """Grade a method over a benchmark.

    Args:
        found: The votes, bests or trees of the questions, in order.
        golds: The right answer of each question.
        k: How many samples of each question count, at most n. None is all of them.
        as_original: Count votes as the original's evaluator does, see `Vote.first`.
        unanswered: With ``as_original``, the answer that a sample without one counts as.

    Returns:
        The chance that each question is right, its tokens, and the accuracy with its interval.

    Raises:
        ValueError: The lists don't pair, an entry is not a result or an answer, or k is not a whole
            number from 1 to n.

    Example:
        import s1lab as lab

        engine = lab.load("s1-tiny")
        found = lab.vote(engine, ["How many r in raspberry?", "What is 2 + 3?"], 4)
        print(lab.methods.outcome(found, ["3", "5"]))
    """
    if (
        isinstance(found, (Samples, str))
        or isinstance(golds, str)
        or not all(hasattr(given, "__len__") for given in (found, golds))
    ):
        raise ValueError(
            "found and golds are lists, a result and an answer for every question: "
            "give outcome([vote], ['3'])"
        )
    listed = list(golds)
    if len(found) != len(listed) or not listed:
        raise ValueError(
            f"{len(found)} results for {len(listed)} answers: give one of each for every question"
        )
    for i, (one, gold) in enumerate(zip(found, listed, strict=True)):
        if not isinstance(one, Samples):
            raise ValueError(f"found[{i}]={shown(one)} is no result: give a Vote, a Best or a Tree")
        if isinstance(gold, bool) or not isinstance(gold, (str, Real)):
            raise ValueError(f"golds[{i}]={shown(gold)} is no answer: give {GOLD}")
    if as_original or unanswered is not None:
        if wrong := next((one for one in found if not isinstance(one, Vote)), None):
            raise ValueError(
                f"as_original=True counts votes, and found holds a {type(wrong).__name__}: "
                "leave as_original and unanswered out"
            )
        correct = [
            one.accuracy(str(gold), k, as_original=as_original, unanswered=unanswered)
            for one, gold in zip(found, listed, strict=True)
            if isinstance(one, Vote)
        ]
    else:
        correct = [one.accuracy(str(gold), k) for one, gold in zip(found, listed, strict=True)]
    tokens = [one.tokens(k) for one in found]
    # The mean over all subsets of k of n samples varies at most as much as that of n / k votes that
    # share no sample (Hoeffding 1948, section 5). The original's rule looks at one subset only.
    votes = [1 if as_original or k is None else len(one.traces) // k for one in found]
    return Outcome(correct, tokens, accuracy_interval(correct, samples=votes))
