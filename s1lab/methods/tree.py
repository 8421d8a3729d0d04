"""A tree of thoughts, as REBASE grows it: its traces, its weights and its elected answer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from s1lab.engine import Usage
from s1lab.evaluation.arguments import shown, whole
from s1lab.methods.costs import Cost
from s1lab.methods.rewards import check_numbers
from s1lab.methods.samples import VOTES, Samples


@dataclass(frozen=True, repr=False)
class Tree(Samples):
    """The finished traces of a tree search, and a vote among them.

    A tree has one size, so there is no k.

    Attributes:
        question: The question.
        traces: The finished traces.
        kind: How an answer is taken out of a trace and compared, as in
            `s1lab.evaluation.grade`.
        rewards: The reward of each trace at the end of its thinking. A reward below 0 has no
            weight. If no reward has any weight, each trace counts as one.
        spent: The tree's cost: a shared beginning once, and pruned branches as thrown away.
        scored: How many (partial) traces the reward read.
        depth: The number of steps of the longest path.
        vote: "weighted" weighs the votes with the rewards, and splits a tie evenly. "majority"
            counts as the original does by default (``majority_vote`` in its
            ``inference_scaling/math_evaluate.py``): each trace has a vote, a tie goes to the answer
            that came to that many votes first, and all traces without an answer are one answer,
            which can win.
        used: What the whole tree took from the engine, its pruned branches included.

    Raises:
        ValueError: There is not a finite reward for every trace, or the vote is unknown.

    Example:
        tree = lab.rebase(lab.load("s1-tiny"), "What is 2 + 3?", 4, lambda t: -len(t.ids) / 100)
        print(tree.answer, tree.cost)
    """

    rewards: tuple[float, ...] = ()
    spent: Cost = field(default_factory=Cost)
    scored: int = 0
    depth: int = 0
    vote: str = "weighted"
    used: Usage = field(default_factory=Usage, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers("rewards", self.rewards, self.traces)
        if self.vote not in VOTES:
            raise ValueError(f"vote={shown(self.vote)} is unknown: choose from {list(VOTES)}")

    @property
    def cost(self) -> Cost:
        """The cost of the whole tree, with pruned branches."""
        return self.spent

    @property
    def weights(self) -> tuple[float, ...]:
        """The weight of each trace's vote: its reward, never below 0. In a majority all are 1."""
        if self.vote == "majority":
            return (1.0,) * len(self.traces)
        weights = tuple(max(0.0, reward) for reward in self.rewards)
        return weights if any(weights) else (1.0,) * len(self.traces)

    def maj(self) -> dict[str, float]:
        """The share of the weight of all answers that each answer has."""
        sums = self._sums()
        return {
            self._given(c[0]): s / (sum(sums) or 1.0)
            for c, s in zip(self.classes, sums, strict=True)
        }

    @property
    def answer(self) -> str | None:
        """The answer with the most weight; of tied answers the one that was given first.

        None if there is no answer. With ``vote="majority"`` it is elected as described there.
        """
        if self.vote == "majority":
            elected = self._majority()
            return None if elected is None else self._given(self.classes[elected][0])
        sums = self._sums()
        return self._given(self.classes[sums.index(max(sums))][0]) if sums else None

    def accuracy(self, gold: str, k: int | None = None) -> float:
        """1 if the answer with the most weight is right, else 0; a tie of weights is split evenly.

        Args:
            gold: The right answer.
            k: None, or the number of traces: a tree has one size.

        Returns:
            A number from 0 to 1.

        Raises:
            ValueError: k is another number, or the gold answer can't be used.
        """
        self._k(k)
        right = self.right(gold)
        if self.vote == "majority":
            elected = self._majority()
            return float(elected is not None and right[elected])
        sums = self._sums()
        won = [s >= max(sums) * (1 - 1e-12) for s in sums]
        return sum(w and r for w, r in zip(won, right, strict=True)) / max(1, sum(won))

    def _majority(self) -> int | None:
        """The class that the original's count elects; None for the traces without an answer."""
        class_of = {i: number for number, c in enumerate(self.classes) for i in c}
        votes: Counter[int | None] = Counter()
        best: int | None = None
        for i in range(len(self.traces)):
            votes[found := class_of.get(i)] += 1
            if i == 0 or votes[found] > votes[best]:
                best = found
        return best

    def _k(self, k: int | None) -> int:
        if k is not None and whole("k", k, None) != len(self.traces):
            raise ValueError(
                f"k={k}: a tree has one size, its {len(self.traces)} leaves; "
                "search again with another width"
            )
        return len(self.traces)

    def _sums(self) -> list[float]:
        return [sum(self.weights[i] for i in c) for c in self.classes]
