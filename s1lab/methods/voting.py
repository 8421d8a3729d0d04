"""Votes (the paper's Figures 4 right and 7): many samples of a question.

They are counted by majority, by the best of them, and over mixtures of budgets. The samples are
independent of each other. `mixture` also lets each of them think on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from s1lab import forcing
from s1lab.api import one_or_many
from s1lab.budget import Budget, check_text
from s1lab.engine import Engine, Program, Sampling
from s1lab.evaluation import grade
from s1lab.evaluation.arguments import shown, text
from s1lab.methods.fan_out import together
from s1lab.methods.majority import elected
from s1lab.methods.rewards import Best, Score, check_score, rated
from s1lab.methods.samples import Samples, check_samples, kinds_of, unread
from s1lab.questions import Budgets, Options, Question, Questions, Storing, force_loop
from s1lab.trace import Trace


@dataclass(frozen=True, repr=False)
class Vote(Samples):
    """Majority voting over n samples: the answer that most of them give.

    A tie is split evenly among the tied answers. A sample without an answer has no vote. If there
    is no vote, nothing is elected. `first` has the original's rules.

    Attributes:
        question: The question.
        traces: The n samples.
        kind: How an answer is taken out of a trace and compared, as in
            `s1lab.evaluation.grade`.

    Example:
        voted = lab.vote(lab.load("s1-tiny"), "How many r in raspberry?", 8)
        print(voted.answer, voted.maj(4))
    """

    @property
    def answer(self) -> str | None:
        """The answer that all n elect; None without a vote.

        Of tied answers it is the one that was given first.
        """
        return self._given(max(self.classes, key=len)[0]) if self.classes else None

    def maj(self, k: int | None = None) -> dict[str, float]:
        """maj@k: the probability that ``k`` of the samples elect each answer.

        Args:
            k: How many samples vote; None for all. The mean is over all subsets of k.

        Returns:
            A probability for each answer, in the order in which the answers first came.

        Raises:
            ValueError: k is not a whole number from 1 to n.
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
                `first`. The result is then 0 or 1.
            unanswered: With ``as_original``, the answer that a sample without one counts as.

        Returns:
            A number from 0 to 1.

        Raises:
            ValueError: k is not a whole number from 1 to n, or the gold answer can't be used.
        """
        if as_original:
            right, elected = self.right(gold), self._first(k, unanswered)
            if isinstance(elected, int):
                return float(right[elected])
            return float(unanswered is not None and grade.same(unanswered, gold, self.kind))
        if unanswered is not None:
            raise ValueError(
                f"unanswered={shown(unanswered)} is the original's rule: add as_original=True"
            )
        right = self.right(gold)
        return float(min(1.0, sum(p for p, good in zip(self._wins(k), right, strict=True) if good)))

    def first(self, k: int | None = None, *, unanswered: str | None = None) -> str | None:
        """The answer that the first ``k`` samples elect, counted as in the original's evaluator.

        The evaluator looks at no other subset. Of tied answers it elects the one that was given
        first. A sample without an answer has a vote too, for its whole text (``process_results`` in
        its ``tasks/aime/utils.py`` and ``tasks/openai_math/utils.py``:
        ``Counter(...).most_common(1)``). There k is a power of two.

        Args:
            k: How many samples vote; None for all.
            unanswered: The answer that a sample without one counts as; None for its own text. For
                GPQA-Diamond the original takes "A" (``tasks/gpqa/openai/utils.py``).

        Returns:
            The answer; None if a text without an answer is elected.

        Raises:
            ValueError: k is not a whole number from 1 to n.
        """
        elected = self._first(k, unanswered)
        return self._given(self.classes[elected][0]) if isinstance(elected, int) else unanswered

    def _first(self, k: int | None, unanswered: str | None) -> int | str:
        """The winner of the first k: a class's number, or the text of samples without an answer."""
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
        return Counter(votes).most_common(1)[0][0]  # a tie goes to the one that was counted first

    def best(self, score: Score) -> Best:
        """Best-of-n on the same samples.

        Args:
            score: A function from a whole Trace to a number.

        Returns:
            The best.

        Raises:
            ValueError: The score gives no number. The message names the score and the question.
        """
        whole = [t for t in self.traces if not t.error]
        given = iter(rated(score, whole, "score"))
        return Best(
            self.question,
            self.traces,
            self.kind,
            tuple(0.0 if t.error else next(given) for t in self.traces),
        )

    def _wins(self, k: int | None) -> list[float]:
        counts = tuple(len(c) for c in self.classes)
        row = elected(counts, len(self.traces) - sum(counts), self._k(k))
        return [float(p) for p in row]


@one_or_many(Vote, list[Vote])
def vote(
    engine: Engine,
    questions: Question | Iterable[Question],
    samples: int,
    budget: Budgets | None = None,
    *,
    kind: str | Sequence[str] = "math",
    thinking: bool = True,
    prefix: str | None = None,
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    min_p: float = 0.0,
    repetition_penalty: float = 1.0,
    presence_penalty: float = 0.0,
    frequency_penalty: float = 0.0,
    seed: int = 0,
    answer_tokens: int | None = None,
    answer_room: int | None = None,
    system: str | None = None,
    store: Storing = None,
    progress: bool = True,
) -> Vote | list[Vote]:
    """Majority voting: many traces for each question under a budget.

    A Vote has maj@k for every k up to ``samples``. The traces are those of `s1lab.force`: sample i
    is what it gives for the question's repeat i.

    Args:
        engine: The engine that runs the model, from `s1lab.load`.
        questions: One question, or many.
        samples: The number of samples of each question.
        budget: As in `s1lab.force`.
        kind: How answers are taken out and compared ("math", "choice", "integer", "exact"). One for
            all questions, or one for each.
        thinking: False votes on answers without thinking, and takes no budget.
        prefix: The first words of an answer without thinking, as in `s1lab.direct`.
        temperature: 1 as in the paper's Figure 4. At 0 all samples would be the same.
        top_p: As in `s1lab.force`.
        top_k: As in `s1lab.force`.
        min_p: As in `s1lab.force`.
        repetition_penalty: As in `s1lab.force`.
        presence_penalty: As in `s1lab.force`.
        frequency_penalty: As in `s1lab.force`.
        seed: As in `s1lab.force`.
        answer_tokens: As in `s1lab.force`.
        answer_room: As in `s1lab.force`.
        system: As in `s1lab.force`.
        store: As in `s1lab.force`.
        progress: As in `s1lab.force`.

    Returns:
        A Vote for a single question, else a list of votes in the order of the questions.

    Raises:
        ValueError: An argument can't be used. The message names it.

    Example:
        import s1lab as lab

        engine = lab.load("s1-tiny")
        voted = lab.vote(engine, "How many r in raspberry?", 8)
        print(voted.answer, voted.maj(4))
    """
    check_thinking(thinking, budget, prefix)
    options = Options(
        Sampling(
            temperature, top_p, seed, top_k, min_p, repetition_penalty, presence_penalty,
            frequency_penalty,
        ),
        answer_tokens, answer_room, system, store, progress,
    )  # fmt: skip
    asked = Questions(engine, questions, budget, options, thinking)
    kinds = kinds_of(kind, len(asked.questions))
    check_samples("samples", samples, temperature)
    asked.open(samples)

    def sample(trace: Trace, budget: Budget) -> Program[Trace]:
        if thinking:
            return force_loop(trace, budget, asked.sampling, engine.context)
        return forcing.direct(trace, prefix, answer_tokens, asked.sampling, engine.context)

    def program(i: int) -> Program[Vote]:
        done = yield from together([sample(t, asked.budgets[i]) for t in asked.traces[i]])
        return Vote(asked.questions[i], done, kinds[i])

    def unfinished(i: int) -> Vote:
        return Vote(asked.questions[i], asked.traces[i], kinds[i])

    made: dict[str, Any] = {"call": "vote", "samples": samples}
    made |= {} if thinking else {"prefix": prefix, "answer_tokens": answer_tokens}
    made |= asked.settings()
    found = asked.run(program, unfinished, lambda voted: voted.traces, what="voting", made=made)
    return asked.given(found)


@one_or_many(Best, list[Best])
def best_of(
    engine: Engine,
    questions: Question | Iterable[Question],
    samples: int,
    score: Score,
    budget: Budgets | None = None,
    *,
    kind: str | Sequence[str] = "math",
    thinking: bool = True,
    prefix: str | None = None,
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    min_p: float = 0.0,
    repetition_penalty: float = 1.0,
    presence_penalty: float = 0.0,
    frequency_penalty: float = 0.0,
    seed: int = 0,
    answer_tokens: int | None = None,
    answer_room: int | None = None,
    system: str | None = None,
    store: Storing = None,
    progress: bool = True,
) -> Best | list[Best]:
    """Best-of-n: the answer of the trace with the highest score.

    The ``samples`` samples are those of `vote`. If the score raises or gives no finite number, that
    question has an ``error`` that names the score. The other questions are not affected. The store
    has the samples by then.

    Args:
        engine: The engine that runs the model, from `s1lab.load`.
        questions: One question, or many.
        samples: The number of samples of each question.
        score: A function from a whole Trace to a number. It gets no right answer, unless you put
            one into it.
        budget: As in `vote`.
        kind: As in `vote`.
        thinking: As in `vote`.
        prefix: As in `vote`.
        temperature: As in `vote`.
        top_p: As in `vote`.
        top_k: As in `vote`.
        min_p: As in `vote`.
        repetition_penalty: As in `vote`.
        presence_penalty: As in `vote`.
        frequency_penalty: As in `vote`.
        seed: As in `vote`.
        answer_tokens: As in `vote`.
        answer_room: As in `vote`.
        system: As in `vote`.
        store: As in `vote`.
        progress: As in `vote`.

    Returns:
        A Best for a single question, else a list of bests in the order of the questions.

    Raises:
        ValueError: An argument can't be used. The message names it.

    Example:
        import s1lab as lab

        engine = lab.load("s1-tiny")
        question = "How many r in raspberry?"
        best = lab.methods.best_of(engine, question, 4, lambda t: -t.thinking_tokens)
        print(best.answer)
    """
    check_score("score", score)
    voted: Vote | list[Vote] = vote(
        engine, questions, samples, budget, kind=kind, thinking=thinking, prefix=prefix,
        temperature=temperature, top_p=top_p, seed=seed, top_k=top_k, min_p=min_p,
                repetition_penalty=repetition_penalty, presence_penalty=presence_penalty,
                frequency_penalty=frequency_penalty, answer_tokens=answer_tokens,
        answer_room=answer_room, system=system, store=store, progress=progress,
    )  # fmt: skip
    return _chosen(voted, score) if isinstance(voted, Vote) else [_chosen(v, score) for v in voted]


def _chosen(voted: Vote, score: Score) -> Best:
    """The best of a question's samples. If the score fails, it has an error and no answer."""
    try:
        return voted.best(score)
    except ValueError as why:
        for trace in voted.traces:
            trace.error = trace.error or str(why)
        return Best(voted.question, voted.traces, voted.kind, (0.0,) * len(voted.traces))


def check_thinking(thinking: bool, budget: Budgets | None, prefix: str | None) -> None:
    """Check that a call without thinking has no budget, and that only such a call has a prefix.

    Args:
        thinking: Whether the call thinks.
        budget: The call's budget or budgets.
        prefix: The call's first words of the answer.

    Raises:
        ValueError: One of the two rules is broken, or the prefix is no text. The message says what
            to leave out.
    """
    check_text("prefix", prefix)
    if not thinking and budget is not None:
        raise ValueError(
            "thinking=False leaves nothing to budget: leave the budget out; "
            "answer_tokens= is an option of the call itself"
        )
    if thinking and prefix is not None:
        raise ValueError(
            f"prefix={prefix!r} opens an answer that no thinking comes before: "
            "give thinking=False too, or the budget's on_cut"
        )
