"""Votes (the paper's Figures 4 right and 7): many samples of a question, their majority, the best of them, mixtures of budgets.

The samples know nothing of each other. :func:`mixture` lets each of them think on as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Unpack, overload

from s1lab import api
from s1lab.arguments import shown, text
from s1lab.budget import Budget
from s1lab.engine import Engine, Program, together
from s1lab.evaluation import grade
from s1lab.forcing import direct
from s1lab.methods.ladder import ladder_program, names, rungs_of
from s1lab.methods.majority import elected
from s1lab.methods.rebase import kinds_of, sampling_of, with_error
from s1lab.methods.rewards import Best, Score, rated
from s1lab.methods.samples import Samples, unread
from s1lab.trace import Trace


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


@overload
def vote(  # type: ignore[overload-overlap]
    engine: Engine, questions: str, n: int, budget: Budget | None = ..., *, kind: str = ..., thinking: bool = ...,
    prefix: str | None = ..., **options: Unpack[api.Options],
) -> Vote: ...  # fmt: skip


@overload
def vote(
    engine: Engine, questions: Iterable[str], n: int, budget: api.Budgets | None = ..., *, kind: str | Sequence[str] = ...,
    thinking: bool = ..., prefix: str | None = ..., **options: Unpack[api.Options],
) -> list[Vote]: ...  # fmt: skip


def vote(
    engine: Engine,
    questions: str | Iterable[str],
    n: int,
    budget: api.Budgets | None = None,
    *,
    kind: str | Sequence[str] = "math",
    thinking: bool = True,
    prefix: str | None = None,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    answer_tokens: int | None = None,
    answer_room: int | None = None,
    system: str | None = None,
    store: api.Storing = None,
    progress: bool = True,
) -> Vote | list[Vote]:
    """Majority voting: ``n`` traces a question under a budget; a Vote has maj@k for every k up to n.

    kind: how answers are taken out and compared ("math", "choice", "integer", "exact"), one for all, or one a question.
    thinking=False votes on answers that no thinking comes before (``prefix`` as in :func:`s1lab.direct`); it takes no budget.
    temperature: 1 as in the paper's Figure 4; at 0 all samples would be the same.
    The rest is as in :func:`s1lab.force`, whose traces these are: sample i is what it gives for the question's repeat i.
    """
    single, asked = api.questions_of(questions)
    api.check_thinking(thinking, budget, prefix)
    budgets = api.budgets_of(budget, len(asked), single, answer_tokens, answer_room)
    kinds = kinds_of(kind, len(asked))
    sampling = sampling_of(n, temperature, top_p, seed)
    traces = _samples(engine, asked, budgets if thinking else [None] * len(asked), n, system)

    def sample(trace: Trace, budget: Budget) -> Program[Trace]:
        if thinking:
            return api.force_loop(trace, budget, sampling, engine.context)
        return direct(trace, prefix, answer_tokens, sampling, engine.context)

    def program(i: int) -> Program[Vote]:
        done = yield from together([sample(t, budgets[i]) for t in traces[i]])
        return Vote(asked[i], done, kinds[i])

    def unfinished(i: int) -> Vote:
        return Vote(asked[i], with_error(traces[i]), kinds[i])

    made = {"call": "vote", "samples": n} | ({} if thinking else {"prefix": prefix, "answer_tokens": answer_tokens})
    made |= api.settings(sampling, system, budgets if thinking else [])
    found: Vote | list[Vote] = api.drive(
        engine, program, unfinished, len(asked), single, what="voting", progress=progress, store=store, made=made,
        opened=lambda i: traces[i], traces_of=lambda voted: voted.traces,
    )  # fmt: skip
    return found


@overload
def best_of(  # type: ignore[overload-overlap]
    engine: Engine, questions: str, n: int, score: Score, budget: Budget | None = ..., *, kind: str = ...,
    thinking: bool = ..., prefix: str | None = ..., **options: Unpack[api.Options],
) -> Best: ...  # fmt: skip


@overload
def best_of(
    engine: Engine, questions: Iterable[str], n: int, score: Score, budget: api.Budgets | None = ..., *,
    kind: str | Sequence[str] = ..., thinking: bool = ..., prefix: str | None = ..., **options: Unpack[api.Options],
) -> list[Best]: ...  # fmt: skip


def best_of(
    engine: Engine,
    questions: str | Iterable[str],
    n: int,
    score: Score,
    budget: api.Budgets | None = None,
    *,
    kind: str | Sequence[str] = "math",
    thinking: bool = True,
    prefix: str | None = None,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    answer_tokens: int | None = None,
    answer_room: int | None = None,
    system: str | None = None,
    store: api.Storing = None,
    progress: bool = True,
) -> Best | list[Best]:
    """Best-of-n: the answer of the trace with the highest score, of the same ``n`` samples as :func:`vote` has.

    score: a function from a whole Trace to a number. It gets no right answer, unless you put one into it.
    The rest is as in :func:`vote`. Where the score raises or gives no finite number, that question has an ``error`` that names
    the score, and the others are chosen from as usual; what was sampled is in the store by then.
    """
    voted: Vote | list[Vote] = vote(
        engine, questions, n, budget, kind=kind, thinking=thinking, prefix=prefix, temperature=temperature, top_p=top_p,
        seed=seed, answer_tokens=answer_tokens, answer_room=answer_room, system=system, store=store, progress=progress,
    )  # fmt: skip
    return _chosen(voted, score) if isinstance(voted, Vote) else [_chosen(v, score) for v in voted]


def _chosen(voted: Vote, score: Score) -> Best:
    """The best of a question's samples; with an error and without an answer where the score fails on it."""
    try:
        return voted.best(score)
    except ValueError as why:
        for trace in voted.traces:
            trace.error = trace.error or str(why)
        return Best(voted.question, voted.traces, voted.kind, (0.0,) * len(voted.traces))


@overload
def mixture(  # type: ignore[overload-overlap]
    engine: Engine, questions: str, n: int, caps: Sequence[int] = ..., waits: Sequence[int] = ..., budget: Budget | None = ..., *,
    kind: str = ..., **options: Unpack[api.Options],
) -> dict[str, Vote]: ...  # fmt: skip


@overload
def mixture(
    engine: Engine, questions: Iterable[str], n: int, caps: Sequence[int] = ..., waits: Sequence[int] = ...,
    budget: Budget | None = ..., *, kind: str | Sequence[str] = ..., **options: Unpack[api.Options],
) -> dict[str, list[Vote]]: ...  # fmt: skip


def mixture(
    engine: Engine,
    questions: str | Iterable[str],
    n: int,
    caps: Sequence[int] = (),
    waits: Sequence[int] = (),
    budget: Budget | None = None,
    *,
    kind: str | Sequence[str] = "math",
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    answer_tokens: int | None = None,
    answer_room: int | None = None,
    system: str | None = None,
    store: api.Storing = None,
    progress: bool = True,
) -> dict[str, Vote] | dict[str, list[Vote]]:
    """Sequential and parallel together: ``n`` samples a question, each thinking to every rung, and a vote at each rung.

    caps, waits, budget: the rungs and what they share, as in :func:`s1lab.ladder`. The result is a dictionary by the rung's name
    ("cap 16", "own stop", "2 Waits"): each rung's votes are those that :func:`vote` gives for its budget, sample by sample, and
    cost what they would cost alone, though one ladder a sample wrote them.
    """
    single, asked = api.questions_of(questions)
    kinds, shared = kinds_of(kind, len(asked)), api.with_answer(budget, answer_tokens, answer_room)
    rungs, labels = rungs_of(shared, caps, waits), names(tuple(caps), tuple(waits))
    sampling = sampling_of(n, temperature, top_p, seed)
    traces = _samples(engine, asked, [shared] * len(asked), n, system)

    def program(i: int) -> Program[list[Vote]]:
        climbed = yield from together([ladder_program(t, rungs, sampling, engine.context) for t in traces[i]])
        return [Vote(asked[i], [of_sample[r] for of_sample in climbed], kinds[i]) for r in range(len(rungs))]

    def unfinished(i: int) -> list[Vote]:
        return [Vote(asked[i], [t.fork(None, rung) for t in with_error(traces[i])], kinds[i]) for rung in rungs]

    made = {"call": "mixture", "samples": n, "rungs": labels} | api.settings(sampling, system, [shared])
    found: list[list[Vote]] = api.drive(
        engine, program, unfinished, len(asked), False, what="voting on ladders", progress=progress and not single, store=store,
        made=made, opened=lambda i: traces[i], traces_of=lambda voted: [t for v in voted for t in v.traces],
    )  # fmt: skip
    if single:
        return dict(zip(labels, found[0], strict=True))
    return {label: [of_question[r] for of_question in found] for r, label in enumerate(labels)}


def _samples(engine: Engine, asked: list[str], budgets: Sequence[Budget | None], n: int, system: str | None) -> list[list[Trace]]:
    """For each question its n traces, up to where the model begins."""
    traces = api.open_traces(engine, [q for q in asked for _ in range(n)], [b for b in budgets for _ in range(n)], system)
    return [traces[i * n : (i + 1) * n] for i in range(len(asked))]
