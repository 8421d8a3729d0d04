"""Many traces of one question, one answer: majority, the best by a score, a tree's weighted vote; no engine is needed here.

From one set of n samples comes the result for every k up to n, exactly: the expectation over all subsets of k samples, which is
the unbiased estimate of what k samples give (as pass@k is usually estimated). Nothing is drawn, so nothing varies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from s1lab import grade
from s1lab.cost import Cost, cost
from s1lab.metrics import Interval, paired_bootstrap
from s1lab.trace import Trace


class Reward:
    """A function from a (partial) trace to a number that would rather see several at once; any other callable does as well."""

    def __call__(self, trace: Trace) -> float:
        return self.many([trace])[0]

    def many(self, traces: Sequence[Trace]) -> list[float]:
        """A number for each trace, in order; a subclass says how."""
        raise NotImplementedError


Score = Callable[[Trace], float]  # a Reward among them


@dataclass(frozen=True)
class Samples:
    """What the methods share: the traces of a question and the answers in them.

    kind: how an answer is taken out of a trace and compared, as in :mod:`s1lab.grade`.
    """

    question: str
    traces: list[Trace] = field(repr=False)
    kind: str = "math"

    @cached_property
    def answers(self) -> list[str | None]:
        """The answer that each trace gives; None where it gives none, or has an error."""
        return [None if t.error else grade.extract(t.answer, self.kind) for t in self.traces]

    @cached_property
    def classes(self) -> list[list[int]]:
        """The traces, by number, that give the same answer: a list an answer, in the order in which they first came."""
        found: dict[str, list[int]] = {}
        for i, answer in enumerate(self.answers):
            if answer is not None:
                found.setdefault(grade.normal(answer, self.kind), []).append(i)
        merged: list[list[int]] = []
        for members in found.values():
            like = next((c for c in merged if grade.same(self._given(members[0]), self._given(c[0]), self.kind)), None)
            merged.append(members) if like is None else like.extend(members)
        return [sorted(members) for members in merged]

    def right(self, gold: str) -> list[bool]:
        """Whether each class is the right answer."""
        return [grade.is_correct(self.traces[c[0]].answer, gold, self.kind) for c in self.classes]

    @property
    def error(self) -> str | None:
        """The first trace's error, if any has one."""
        return next((t.error for t in self.traces if t.error), None)

    @property
    def cost(self) -> Cost:
        """Of all traces."""
        return cost(*self.traces)

    def tokens(self, k: int | None = None) -> float:
        """Tokens that ``k`` of them cost, in the mean over all subsets; None is all of them."""
        return self.cost.total * self._k(k) / len(self.traces)

    def _given(self, i: int) -> str:
        given = self.answers[i]
        assert given is not None
        return given

    def _k(self, k: int | None) -> int:
        if k is None:
            return len(self.traces)
        if not 1 <= k <= len(self.traces):
            raise ValueError(f"k={k} of n={len(self.traces)} samples: k is at least 1 and at most n; take more samples for it")
        return k


@dataclass(frozen=True)
class Vote(Samples):
    """Majority voting over n samples: the answer that most of them give.

    A tie is split evenly among the tied answers. A sample without an answer has no vote; where nobody votes, nothing is elected.
    """

    @property
    def answer(self) -> str | None:
        """What all n elect; of tied answers the one that was given first. None without a vote."""
        return self._given(max(self.classes, key=len)[0]) if self.classes else None

    def maj(self, k: int | None = None) -> dict[str, float]:
        """maj@k: for each answer the probability that it is elected by ``k`` of the samples, over all subsets of k."""
        return dict(zip((self._given(c[0]) for c in self.classes), self._wins(k), strict=True))

    def accuracy(self, gold: str, k: int | None = None) -> float:
        """The probability, 0 to 1, that ``k`` of the samples elect the right answer; k=1 is pass@1."""
        return float(sum(p for p, right in zip(self._wins(k), self.right(gold), strict=True) if right))

    def best(self, score: Score) -> Best:
        """Best-of-n on the same samples. ValueError, naming score and question, where it gives no number."""
        whole = [t for t in self.traces if not t.error]
        given = iter(rated(score, whole, "score"))
        return Best(self.question, self.traces, self.kind, tuple(0.0 if t.error else next(given) for t in self.traces))

    def _wins(self, k: int | None) -> list[float]:
        counts = tuple(len(c) for c in self.classes)
        row = elected(counts, len(self.traces) - sum(counts))[self._k(k)]
        return [float(p) for p in row]


@dataclass(frozen=True)
class Best(Samples):
    """Best-of-n: the answer of the sample with the highest score; tied samples share evenly.

    scores: a number a trace; one with an error isn't scored, and is never the best while another has none.
    """

    scores: tuple[float, ...] = ()

    @property
    def trace(self) -> Trace:
        """The best of all; of tied ones the first."""
        return self.traces[self._top]

    @property
    def answer(self) -> str | None:
        """The answer of the best of all; None where it gives none."""
        return self.answers[self._top]

    def accuracy(self, gold: str, k: int | None = None) -> float:
        """The probability, 0 to 1, that the best of ``k`` of the samples is right, over all subsets of k."""
        k, n = self._k(k), len(self.traces)
        verdicts = [
            a is not None and grade.is_correct(t.answer, gold, self.kind) for a, t in zip(self.answers, self.traces, strict=True)
        ]
        chance, below = 0.0, 0
        for rank in sorted({self._rank(i) for i in range(n)}):
            tied = [verdicts[i] for i in range(n) if self._rank(i) == rank]
            wins = (math.comb(below + len(tied), k) - math.comb(below, k)) / math.comb(n, k)
            chance += wins * sum(tied) / len(tied)
            below += len(tied)
        return chance

    @property
    def _top(self) -> int:
        return max(range(len(self.traces)), key=self._rank)

    def _rank(self, i: int) -> tuple[bool, float]:
        return self.traces[i].error is None, self.scores[i]


@dataclass(frozen=True)
class Tree(Samples):
    """A tree search's finished traces, and a vote among them weighted by their rewards.

    rewards: of each at the end of its thinking. A reward below 0 weighs nothing; where none weighs anything, each counts as one.
    spent: its cost, a shared beginning once and what was pruned as thrown away. scored: (partial) traces that the reward read.
    depth: steps of the longest path. The tree has one size, so there is no k.
    """

    rewards: tuple[float, ...] = ()
    spent: Cost = field(default_factory=Cost)
    scored: int = 0
    depth: int = 0

    @property
    def cost(self) -> Cost:
        """Of the whole tree, what was pruned included."""
        return self.spent

    @property
    def weights(self) -> tuple[float, ...]:
        """What each trace's vote weighs: its reward, never below 0."""
        weights = tuple(max(0.0, reward) for reward in self.rewards)
        return weights if any(weights) else (1.0,) * len(self.traces)

    def maj(self) -> dict[str, float]:
        """The share of the weight that each answer has."""
        sums = self._sums()
        return {self._given(c[0]): s / (sum(sums) or 1.0) for c, s in zip(self.classes, sums, strict=True)}

    @property
    def answer(self) -> str | None:
        """The answer of most weight; of tied answers the one that was given first. None where none was given."""
        sums = self._sums()
        return self._given(self.classes[sums.index(max(sums))][0]) if sums else None

    def accuracy(self, gold: str, k: int | None = None) -> float:
        """1 where the answer of most weight is right, else 0; a tie is split evenly."""
        if k not in (None, len(self.traces)):
            raise ValueError(f"k={k}: a tree has one size, its {len(self.traces)} leaves; search again with another width")
        sums = self._sums()
        won = [s >= max(sums) * (1 - 1e-12) for s in sums]
        return sum(w and r for w, r in zip(won, self.right(gold), strict=True)) / max(1, sum(won))

    def _sums(self) -> list[float]:
        return [sum(self.weights[i] for i in c) for c in self.classes]


def rated(score: Score, traces: Sequence[Trace], what: str) -> list[float]:
    """A finite number a trace. ValueError, naming the score and the question, where it raises or gives anything else."""
    if not traces:
        return []
    name, question = getattr(score, "__name__", type(score).__name__), traces[0].question[:80]
    try:
        values: Sequence[Any] = score.many(traces) if isinstance(score, Reward) else [score(t) for t in traces]
        numbers = [float(value) for value in values]
    except Exception as why:
        said = " ".join(f"{type(why).__name__}: {why}".split())
        raise ValueError(f"the {what} {name!r} failed on the question {question!r}: {said}") from why
    if len(numbers) != len(traces):
        raise ValueError(
            f"the {what} {name!r} gave {len(numbers)} numbers for {len(traces)} traces of {question!r}: give one a trace"
        )
    if (bad := next((x for x in numbers if not math.isfinite(x)), None)) is not None:
        raise ValueError(
            f"the {what} {name!r} gave {bad} on the question {question!r}: let it give a finite number for every trace"
        )
    return numbers


@lru_cache(8192)
def elected(counts: tuple[int, ...], silent: int) -> Any:
    """Who wins a vote of k samples drawn from ``sum(counts) + silent`` without putting back: probabilities [k, class], k from 0.

    counts: samples of each answer. silent: samples without one. Exact, by a table over the classes instead of over the subsets:
    an answer wins with t votes against s others that have t too in so many ways, and then has a share of 1 / (s + 1).
    """
    n = sum(counts) + silent
    table = np.zeros((n + 1, len(counts)))
    subsets = np.asarray([float(math.comb(n, k)) for k in range(n + 1)])
    for own in set(counts):
        others = list(counts)
        others.remove(own)
        won = np.zeros(n + 1)
        for votes in range(1, own + 1):
            ways = _ways(others, silent, votes, n)
            won[votes:] += math.comb(own, votes) * (ways / (1 + np.arange(ways.shape[1]))).sum(1)[: n + 1 - votes]
        table[:, [count == own for count in counts]] = (won / subsets)[:, None]
    table.setflags(write=False)
    return table


def _ways(others: list[int], silent: int, votes: int, n: int) -> Any:
    """[chosen, tied]: ways to choose so many of the others' samples that so many others have ``votes`` and none has more."""
    ways = np.zeros((n + 1, min(len(others), n // votes) + 1))
    ways[: silent + 1, 0] = [math.comb(silent, c) for c in range(silent + 1)]
    for size in others:
        before, ways = ways, np.zeros_like(ways)
        for taken in range(min(size, votes) + 1):
            added = math.comb(size, taken) * before[: n + 1 - taken]
            if taken < votes:
                ways[taken:] += added
            else:
                ways[taken:, 1:] += added[:, :-1]
    return ways


@dataclass(frozen=True)
class Outcome:
    """A method on a benchmark. correct: the chance that each question is right, 0 to 1, for paired tests. tokens: of each.

    accuracy: the mean in percent, with its 95 % bootstrap interval over questions.
    """

    correct: list[float] = field(repr=False)
    tokens: list[float] = field(repr=False)
    accuracy: Interval

    @property
    def mean_tokens(self) -> float:
        """Tokens a question, thrown away ones counted."""
        return float(np.mean(self.tokens))

    def __str__(self) -> str:
        return f"{self.accuracy} % at {self.mean_tokens:,.0f} tokens a question"


def outcome(found: Sequence[Vote | Best | Tree], golds: Sequence[str], k: int | None = None) -> Outcome:
    """Grade a method over a benchmark: votes, bests or trees of its questions in order, against its answers.

    k: the samples a question, at most n; None is all of them.
    """
    if isinstance(found, Samples) or isinstance(golds, str):
        raise ValueError("give a list of results and a list of answers, one of each for every question: outcome([vote], ['3'])")
    golds = [str(gold) for gold in golds]
    if len(found) != len(golds) or not golds:
        raise ValueError(f"{len(found)} results for {len(golds)} answers: give one of each for every question")
    correct = [one.accuracy(gold, k) for one, gold in zip(found, golds, strict=True)]
    tokens = [one.tokens(k) for one in found]
    return Outcome(correct, tokens, paired_bootstrap(correct, [0.0] * len(correct)))
