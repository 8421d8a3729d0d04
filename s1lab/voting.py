"""Many traces of one question, one answer: majority, the best by a score, a tree's weighted vote.

No engine is needed here. One set of n samples gives the result for every k up to n: the expectation
over all subsets of k samples, which is the unbiased estimate of what k samples give (as pass@k is
usually estimated). Nothing is drawn, so nothing varies. What the original's evaluator counts
instead, the first k samples alone, is there by name: :meth:`Vote.first`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from numbers import Real
from typing import Any

import numpy as np
from scipy import stats

from s1lab import grade
from s1lab.arguments import real, shown, text, whole
from s1lab.cost import Cost, cost
from s1lab.metrics import Interval, paired_bootstrap
from s1lab.trace import Counted, Trace


class Reward:
    """A function from a (partial) trace to a number that would rather see several at once; any other callable does as well."""

    def __call__(self, trace: Trace) -> float:
        return self.many([trace])[0]

    def many(self, traces: Sequence[Trace]) -> list[float]:
        """A number for each trace, in order; a subclass says how."""
        raise NotImplementedError


Score = Callable[[Trace], float]  # a Reward among them


GOLD = "the right answer as text, such as '3'"
VOTES = ("weighted", "majority")  # how a tree's traces vote


@dataclass(frozen=True)
class Samples:
    """What the methods share: the traces of a question and the answers in them.

    Args:
        question: The question that was asked.
        traces: Its traces, one or more.
        kind: How an answer is taken out of a trace and compared, as in :mod:`s1lab.grade`.

    Raises:
        ValueError: For no traces, something else among them, or an unknown kind.
    """

    question: str
    traces: list[Trace] = field(repr=False)
    kind: str = "math"

    def __post_init__(self) -> None:
        if not isinstance(self.traces, (list, tuple)) or not self.traces:
            raise ValueError(f"traces={shown(self.traces)} holds no trace: give a list of one or more")
        if wrong := [t for t in self.traces if not isinstance(t, Counted)]:
            raise ValueError(f"traces hold {shown(wrong[0])}, which is no trace: give traces alone")
        if self.kind not in grade.KINDS:
            raise ValueError(f"kind={shown(self.kind)} is unknown: choose from {list(grade.KINDS)}")

    @cached_property
    def answers(self) -> list[str | None]:
        """The answer that each trace gives; None where it gives none, or has an error."""
        return [None if t.error else grade.extract(t.answer, self.kind) for t in self.traces]

    @cached_property
    def classes(self) -> list[list[int]]:
        """The traces, by number, that give the same answer.

        A list an answer, in the order in which they first came. Which answers are one class does not
        depend on that order, though "5 hours" and "5 minutes" may both equal "5": the answer that most
        samples give picks first, and a class only takes an answer that equals all it has.
        """
        return [sorted(i for _, members in forms for i in members) for forms in self._forms]

    @cached_property
    def _forms(self) -> list[list[tuple[str, list[int]]]]:
        """Each class as its forms: an answer as text, and the traces that write it in that form.

        The first form of a class is the one that stands for it. The classes are in the order in which
        they first came; what is in them is not a matter of order.
        """
        forms: dict[str, list[int]] = {}
        for i, answer in enumerate(self.answers):
            if answer is not None:
                forms.setdefault(grade.normal(answer, self.kind), []).append(i)
        # The order of samples decides nothing here: forms of equal votes are sorted as texts, and of
        # the texts of one form the shortest is compared.
        listed = [(min(map(self._given, m), key=lambda a: (len(a), a)), m) for m in forms.values()]
        listed.sort(key=lambda form: (-len(form[1]), form[0]))
        found: list[list[tuple[str, list[int]]]] = []
        for form in listed:
            like = next((c for c in found if all(self._same(form[0], other) for other, _ in c)), None)
            if like is None:
                found.append([form])
            else:
                like.append(form)
        return sorted(found, key=lambda forms: min(members[0] for _, members in forms))

    def _same(self, a: str, b: str) -> bool:
        """Whether two answers are one. They are always compared the same way round."""
        first, second = sorted((a, b))
        return grade.same(first, second, self.kind)

    def right(self, gold: str) -> list[bool]:
        """Whether each class is the right answer, by the answer that stands for it.

        Raises ValueError for a gold answer that is no text, or not of this kind.
        """
        self._checked(gold)
        return [self._is_right(forms[0][1], gold) for forms in self._forms]

    def _is_right(self, members: Iterable[int], gold: str) -> bool:
        """Grade one response of those that give an answer in the same form: the shortest."""
        responses = (self.traces[i].answer for i in members)
        return grade.is_correct(min(responses, key=lambda r: (len(r), r)), gold, self.kind)

    def _checked(self, gold: str) -> None:
        """ValueError for a gold answer that can't be used, also where no trace answers."""
        grade.is_correct("", text("gold", gold, GOLD), self.kind)

    @property
    def error(self) -> str | None:
        """The first trace's error, if any has one."""
        return next((t.error for t in self.traces if t.error), None)

    @property
    def cost(self) -> Cost:
        """Of all traces."""
        return cost(*self.traces)

    def tokens(self, k: int | None = None) -> float:
        """Tokens that ``k`` of them cost, in the mean over all subsets; None is all of them.

        Raises ValueError for a k that is no whole number from 1 to n.
        """
        return self.cost.total * self._k(k) / len(self.traces)

    def _given(self, i: int) -> str:
        given = self.answers[i]
        assert given is not None
        return given

    def _k(self, k: int | None) -> int:
        """How many samples are meant."""
        n = len(self.traces)
        if k is None:
            return n
        if whole("k", k, -(10**18)) not in range(1, n + 1):
            raise ValueError(f"k={k} of n={n} samples: k is at least 1 and at most n; take more samples for it")
        return int(k)


def unread(answer: str | None, kind: str) -> bool:
    """Whether the original takes a response as one without an answer: for a choice, all but A to D."""
    return answer is None or (kind == "choice" and answer not in ("A", "B", "C", "D"))


@dataclass(frozen=True)
class Vote(Samples):
    """Majority voting over n samples: the answer that most of them give.

    A tie is split evenly among the tied answers. A sample without an answer has no vote; where nobody
    votes, nothing is elected. :meth:`first` has the original's rules.
    """

    @property
    def answer(self) -> str | None:
        """What all n elect; of tied answers the one that was given first. None without a vote."""
        return self._given(max(self.classes, key=len)[0]) if self.classes else None

    def maj(self, k: int | None = None) -> dict[str, float]:
        """maj@k: the probability of each answer to be elected by ``k`` of the samples.

        Args:
            k: How many samples vote; None for all. The mean is over all subsets of k.

        Returns:
            A probability for each answer, in the order in which they first came.

        Raises:
            ValueError: For a k that is no whole number from 1 to n.
        """
        return dict(zip((self._given(c[0]) for c in self.classes), self._wins(k), strict=True))

    def accuracy(
        self,
        gold: str,
        k: int | None = None,
        *,
        as_original: bool = False,
        unanswered: str | None = None,
    ) -> float:
        """The probability that ``k`` of the samples elect the right answer.

        Args:
            gold: The right answer.
            k: How many samples vote; None for all, and 1 is pass@1.
            as_original: Count as the original's evaluator does: the first k samples, see
                :meth:`first`. The result is then 0 or 1.
            unanswered: With ``as_original``, what a sample without an answer counts as.

        Returns:
            A number from 0 to 1.

        Raises:
            ValueError: For a k that is no whole number from 1 to n, or a gold answer that can't be
                used.
        """
        if as_original:
            right, elected = self.right(gold), self._first(k, unanswered)
            if isinstance(elected, int):
                return float(right[elected])
            return float(unanswered is not None and grade.same(unanswered, gold, self.kind))
        if unanswered is not None:
            raise ValueError(f"unanswered={shown(unanswered)} is the original's rule: add as_original=True")
        right = self.right(gold)
        return float(min(1.0, sum(p for p, good in zip(self._wins(k), right, strict=True) if good)))

    def first(self, k: int | None = None, *, unanswered: str | None = None) -> str | None:
        """What the first ``k`` samples elect, counted as the original's evaluator counts.

        It looks at no other subset; of tied answers the one that was given first is elected; and a
        sample without an answer has a vote too, for its whole text (``process_results`` in its
        ``tasks/aime/utils.py`` and ``tasks/openai_math/utils.py``: ``Counter(...).most_common(1)``).
        There k is a power of two.

        Args:
            k: How many samples vote; None for all.
            unanswered: What a sample without an answer counts as; None for its own text. For
                GPQA-Diamond the original takes "A" (``tasks/gpqa/openai/utils.py``).

        Returns:
            The answer; None where a text without an answer is elected.

        Raises:
            ValueError: For a k that is no whole number from 1 to n.
        """
        elected = self._first(k, unanswered)
        return self._given(self.classes[elected][0]) if isinstance(elected, int) else unanswered

    def _first(self, k: int | None, unanswered: str | None) -> int | str:
        """What the first k elect: a class by its number, or the text of samples without an answer."""
        k = self._k(k)
        class_of: dict[int, int] = {i: number for number, c in enumerate(self.classes) for i in c}
        votes: list[int | str]
        if unanswered is None:
            votes = [class_of.get(i, self.traces[i].answer) for i in range(k)]
        else:
            text("unanswered", unanswered, "an answer as text, such as 'A', or None")
            same = [self._same(self._given(c[0]), unanswered) for c in self.classes]
            silent: int | str = same.index(True) if True in same else unanswered
            given = [not unread(answer, self.kind) for answer in self.answers]
            votes = [class_of[i] if given[i] else silent for i in range(k)]
        return Counter(votes).most_common(1)[0][0]  # of equal ones the one that was counted first

    def best(self, score: Score) -> Best:
        """Best-of-n on the same samples. ValueError, naming score and question, where it gives no number."""
        whole = [t for t in self.traces if not t.error]
        given = iter(rated(score, whole, "score"))
        return Best(self.question, self.traces, self.kind, tuple(0.0 if t.error else next(given) for t in self.traces))

    def _wins(self, k: int | None) -> list[float]:
        counts = tuple(len(c) for c in self.classes)
        row = elected(counts, len(self.traces) - sum(counts), self._k(k))
        return [float(p) for p in row]


@dataclass(frozen=True)
class Best(Samples):
    """Best-of-n: the answer of the sample with the highest score; tied samples share evenly.

    scores: a number a trace; one with an error isn't scored, and is never the best while another has none.
    """

    scores: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        _a_number_each("scores", self.scores, self.traces)

    @property
    def trace(self) -> Trace:
        """The best of all; of tied ones the first."""
        return self.traces[self._top]

    @property
    def answer(self) -> str | None:
        """The answer of the best of all; None where it gives none."""
        return self.answers[self._top]

    def accuracy(self, gold: str, k: int | None = None) -> float:
        """The probability that the best of ``k`` of the samples is right, over all subsets of k.

        Args:
            gold: The right answer.
            k: How many samples there are to choose from; None for all.

        Returns:
            A number from 0 to 1.

        Raises:
            ValueError: For a k that is no whole number from 1 to n, or a gold answer that can't be
                used.
        """
        k, n = self._k(k), len(self.traces)
        self._checked(gold)
        verdicts = [
            a is not None and grade.is_correct(t.answer, gold, self.kind) for a, t in zip(self.answers, self.traces, strict=True)
        ]
        ranked: dict[tuple[bool, float], list[bool]] = {}
        for i, verdict in enumerate(verdicts):
            ranked.setdefault(self._rank(i), []).append(verdict)
        subsets, below, chance = math.comb(n, k), 0, 0.0
        upto = 0  # subsets of k samples whose best is of a rank so far
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


@dataclass(frozen=True)
class Tree(Samples):
    """A tree search's finished traces, and a vote among them. It has one size, so there is no k.

    Args:
        rewards: Of each trace at the end of its thinking. A reward below 0 weighs nothing; where none
            weighs anything, each counts as one.
        spent: The tree's cost: a shared beginning once, and what was pruned as thrown away.
        scored: (Partial) traces that the reward read.
        depth: Steps of the longest path.
        vote: "weighted" weighs the votes with the rewards, and splits a tie evenly. "majority" counts
            as the original does by default (``majority_vote`` in its ``inference_scaling/
            math_evaluate.py``): a vote a trace, of tied answers the one that came to so many votes
            first, and all traces without an answer are one answer, which can win.
    """

    rewards: tuple[float, ...] = ()
    spent: Cost = field(default_factory=Cost)
    scored: int = 0
    depth: int = 0
    vote: str = "weighted"

    def __post_init__(self) -> None:
        super().__post_init__()
        _a_number_each("rewards", self.rewards, self.traces)
        if self.vote not in VOTES:
            raise ValueError(f"vote={shown(self.vote)} is unknown: choose from {list(VOTES)}")

    @property
    def cost(self) -> Cost:
        """Of the whole tree, what was pruned included."""
        return self.spent

    @property
    def weights(self) -> tuple[float, ...]:
        """What each trace's vote weighs: its reward, never below 0; all the same in a majority."""
        if self.vote == "majority":
            return (1.0,) * len(self.traces)
        weights = tuple(max(0.0, reward) for reward in self.rewards)
        return weights if any(weights) else (1.0,) * len(self.traces)

    def maj(self) -> dict[str, float]:
        """The share of the weight of all answers that each answer has."""
        sums = self._sums()
        return {self._given(c[0]): s / (sum(sums) or 1.0) for c, s in zip(self.classes, sums, strict=True)}

    @property
    def answer(self) -> str | None:
        """The answer of most weight; of tied answers the one that was given first.

        None where none was given. With ``vote="majority"`` as said there.
        """
        if self.vote == "majority":
            elected = self._majority()
            return None if elected is None else self._given(self.classes[elected][0])
        sums = self._sums()
        return self._given(self.classes[sums.index(max(sums))][0]) if sums else None

    def accuracy(self, gold: str, k: int | None = None) -> float:
        """1 where the answer of most weight is right, else 0; a tie of weights is split evenly.

        Args:
            gold: The right answer.
            k: None, or the number of traces: a tree has one size.

        Returns:
            A number from 0 to 1.

        Raises:
            ValueError: For another k, or a gold answer that can't be used.
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
        if k is not None and whole("k", k, -(10**18)) != len(self.traces):
            raise ValueError(f"k={k}: a tree has one size, its {len(self.traces)} leaves; search again with another width")
        return len(self.traces)

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


def _a_number_each(name: str, values: Sequence[float], traces: Sequence[Trace]) -> None:
    """ValueError where there is not a finite number for every trace."""
    wanted = "a finite number a trace"
    if not isinstance(values, (list, tuple)) or len(values) != len(traces):
        raise ValueError(f"{name}={shown(values)} for {len(traces)} traces: give {wanted}")
    for i, value in enumerate(values):
        real(f"{name}[{i}]", value, wanted)


TABLE = 256  # samples up to which the result for every k is computed at once, and kept


def elected(counts: Sequence[int], silent: int, k: int | None = None) -> Any:
    """Who wins a vote of k samples drawn without putting back.

    Args:
        counts: Samples of each answer.
        silent: Samples without an answer.
        k: How many are drawn; None for every k from 0 to all of them.

    Returns:
        The probability of each answer, an array [answer]; for k=None [k, answer]. It is right to
        12 digits after the point for thousands of samples.

    Raises:
        ValueError: For numbers that are no such counts.

    Example:
        >>> elected([2, 1], 0, 1).round(3).tolist()
        [0.667, 0.333]
    """
    if isinstance(counts, (str, bytes)) or not isinstance(counts, Sequence | np.ndarray):
        raise ValueError(f"counts={shown(counts)} is no list: give the samples of each answer")
    sizes = tuple(whole(f"counts[{i}]", count, 0) for i, count in enumerate(counts))
    silent = whole("silent", silent, 0)
    n = sum(sizes) + silent
    if k is not None:
        k = whole("k", k, 0, n)
    if n <= TABLE:
        return _table(sizes, silent) if k is None else _table(sizes, silent)[k]
    if k is None:
        return np.array([_row(sizes, silent, k) for k in range(n + 1)]).reshape(n + 1, len(sizes))
    return _row(sizes, silent, k)


@lru_cache(4096)
def _table(counts: tuple[int, ...], silent: int) -> Any:
    """All k at once, by a table over the answers instead of over the subsets.

    An answer wins with t votes against s others that have t too in so many ways, and then has a
    share of 1 / (s + 1). The ways are counted in floats, which overflow beyond 1,000 samples.
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
            shares = (ways / (1 + np.arange(ways.shape[1]))).sum(1)
            won[votes:] += math.comb(own, votes) * shares[: n + 1 - votes]
        table[:, [count == own for count in counts]] = (won / subsets)[:, None]
    table.setflags(write=False)
    return table


def _ways(others: list[int], silent: int, votes: int, n: int) -> Any:
    """[chosen, tied]: ways to choose so many of the others' samples, none with more than ``votes``.

    tied: how many of the others have exactly as many votes.
    """
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


NEVER = 1e-18  # a probability that is left out of a sum


@lru_cache(4096)
def _row(counts: tuple[int, ...], silent: int, k: int) -> Any:
    """One k, for any number of samples, without a number that could overflow.

    Drawing k of n is the same as keeping each sample with probability k / n, given that k are kept.
    So the counts are independent binomials, given their sum. For a winner with v votes the others'
    sum is a product of polynomials of which one coefficient is wanted. A discrete Fourier transform
    gives it: the polynomials are multiplied at the roots of unity, and averaged. A share 1 / (s + 1)
    of a tie with s others is the integral of y^s from 0 to 1, by Gauss and Legendre's rule.
    """
    n, found = sum(counts) + silent, dict.fromkeys(counts, 0.0)
    most = max(counts, default=0)
    if not most or k == 0:
        return _fixed([0.0] * len(counts))
    if k == 1:
        return _fixed([count / n for count in counts])
    if k == n:
        return _fixed([(count == most) / counts.count(most) for count in counts])
    kept = k / n
    sizes = Counter(count for count in counts if count)
    some = {c: stats.binom.pmf(np.arange(c + 1), c, kept) for c in sizes}
    at_most = {c: np.cumsum(some[c]) for c in sizes}
    at_least = {c: np.cumsum(some[c][::-1])[::-1] for c in sizes}
    total = float(stats.binom.pmf(k, n, kept))
    # So many roots that a coefficient of any weight is mixed with none but those of no weight.
    points = min(n + 1, math.ceil(40 * math.sqrt(n * kept * (1 - kept))) + 80)
    roots = np.exp(2j * np.pi * np.arange(points // 2 + 1) / points)
    # The other half of the roots are these ones' conjugates.
    weight = np.full(roots.size, 2.0 / points)
    weight[0] = 1 / points
    if points % 2 == 0:
        weight[-1] = 1 / points
    quiet = (1 - kept + kept * roots) ** silent
    fewer = {c: np.zeros_like(roots) for c in sizes}  # each size's polynomial, below v votes
    for v in range(1, min(most, k) + 1):
        for c in sizes:
            if v - 1 <= c:
                fewer[c] = fewer[c] + some[c][v - 1] * roots ** (v - 1)
        beaten = {c: at_most[c][min(v, c)] > total * NEVER for c in sizes}
        owns = [
            own
            for own, many in sizes.items()
            if own >= v and at_least[own][v] > total * NEVER and all(beaten[c] for c in sizes if c != own or many > 1)
        ]
        if not owns:
            continue
        tied = min(sum(many for c, many in sizes.items() if c >= v) - 1, (k - v) // v)
        y, share = _legendre(min(tied // 2 + 1, math.ceil(4.5 * math.sqrt(tied)) + 4))
        # Each size's factor; with one of its answers left out; and products from both sides, so
        # that all others' product is there for every size.
        factors = [fewer[c] + (y[:, None] * (some[c][v] * roots**v) if v <= c else 0.0) for c in sizes]
        left = [np.broadcast_to(quiet, (y.size, roots.size))]
        for factor, many in zip(factors, sizes.values(), strict=True):
            left.append(left[-1] * factor**many)
        right = np.ones_like(left[0])
        for place, (own, many) in reversed(list(enumerate(sizes.items()))):
            if own in owns:
                others = share @ (left[place] * factors[place] ** (many - 1) * right)
                coefficient = (weight * (others * roots.conj() ** (k - v)).real).sum()
                found[own] += float(some[own][v] * coefficient) / total
            right = right * factors[place] ** many
    return _fixed([min(1.0, max(0.0, found[count])) for count in counts])


@lru_cache(1024)
def _legendre(n: int) -> tuple[Any, Any]:
    """Places and weights that integrate polynomials from 0 to 1."""
    places, weights = np.polynomial.legendre.leggauss(n)
    return (places + 1) / 2, weights / 2


def _fixed(values: list[float]) -> Any:
    """An array that can be kept, because nobody can change it."""
    array = np.asarray(values, dtype=float)
    array.setflags(write=False)
    return array


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
        found: Votes, bests or trees of its questions, in order.
        golds: The right answer of each question.
        k: The samples a question, at most n; None for all of them.
        as_original: Count votes as the original's evaluator does, see :meth:`Vote.first`.
        unanswered: With ``as_original``, what a sample without an answer counts as.

    Returns:
        The chance that each question is right, its tokens, and the accuracy with its interval.

    Raises:
        ValueError: For lists that don't pair, entries that are no results or answers, or a k that is
            no whole number from 1 to n.
    """
    if (
        isinstance(found, (Samples, str))
        or isinstance(golds, str)
        or not all(hasattr(given, "__len__") for given in (found, golds))
    ):
        raise ValueError("found and golds are lists, a result and an answer for every question: give outcome([vote], ['3'])")
    listed = list(golds)
    if len(found) != len(listed) or not listed:
        raise ValueError(f"{len(found)} results for {len(listed)} answers: give one of each for every question")
    for i, (one, gold) in enumerate(zip(found, listed, strict=True)):
        if not isinstance(one, Samples):
            raise ValueError(f"found[{i}]={shown(one)} is no result: give a Vote, a Best or a Tree")
        if isinstance(gold, bool) or not isinstance(gold, (str, Real)):
            raise ValueError(f"golds[{i}]={shown(gold)} is no answer: give {GOLD}")
    if as_original or unanswered is not None:
        if wrong := next((one for one in found if not isinstance(one, Vote)), None):
            raise ValueError(
                f"as_original=True counts votes, and found holds a {type(wrong).__name__}: leave as_original and unanswered out"
            )
        correct = [
            one.accuracy(str(gold), k, as_original=as_original, unanswered=unanswered)
            for one, gold in zip(found, listed, strict=True)
            if isinstance(one, Vote)
        ]
    else:
        correct = [one.accuracy(str(gold), k) for one, gold in zip(found, listed, strict=True)]
    tokens = [one.tokens(k) for one in found]
    return Outcome(correct, tokens, paired_bootstrap(correct, [0.0] * len(correct)))
