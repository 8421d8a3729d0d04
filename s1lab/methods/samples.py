"""Several samples of a question, and their answers: the base of votes, best-of-n and trees."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from s1lab.evaluation import grade
from s1lab.evaluation.arguments import shown, text, whole
from s1lab.evaluation.grade.extract import choose_from
from s1lab.methods.costs import Cost, cost
from s1lab.tokenization.conversation import Conversation
from s1lab.trace import Counted, Trace

GOLD = "the right answer as text, such as '3'"
MOST = 10_000  # most samples for one question: grouping and voting on more would take minutes
VOTES = ("weighted", "majority")  # the ways in which a tree's traces vote


@dataclass(frozen=True, repr=False)
class Samples:
    """The traces of a question and their answers, which several methods share.

    Attributes:
        question: The question, a text or a conversation.
        traces: Its traces, one or more.
        kind: How an answer is taken out of a trace and compared, as in
            `s1lab.evaluation.grade`.

    Raises:
        ValueError: There are no traces, an entry is not a trace, or the kind is unknown.
    """

    question: str | Conversation
    traces: list[Trace] = field(repr=False)
    kind: str = "math"

    def __post_init__(self) -> None:
        if not isinstance(self.traces, (list, tuple)) or not self.traces:
            raise ValueError(
                f"traces={shown(self.traces)} holds no trace: give a list of one or more"
            )
        if wrong := [t for t in self.traces if not isinstance(t, Counted)]:
            raise ValueError(f"traces hold {shown(wrong[0])}, which is no trace: give traces alone")
        if not grade.is_kind(self.kind):
            raise ValueError(f"kind={shown(self.kind)} is unknown: {choose_from(self.kind)}")

    @cached_property
    def answers(self) -> list[str | None]:
        """The answer of each trace; None if it gives none or has an error."""
        return [None if t.error else grade.extract(t.answer, self.kind) for t in self.traces]

    @cached_property
    def classes(self) -> list[list[int]]:
        """The numbers of the traces, grouped by their answer.

        There is a list for each answer, in the order in which the answers first came. Which answers
        are one class does not depend on that order, though "5 hours" and "5 minutes" may both equal
        "5". The answer that most samples give picks first, and a class only takes an answer that
        equals all it has.
        """
        return [sorted(i for _, members in forms for i in members) for forms in self._forms]

    @cached_property
    def _forms(self) -> list[list[tuple[str, list[int]]]]:
        """Each class as its forms: an answer as text, and the traces that write it in that form.

        The first form of a class represents it. The classes are in the order in which they first
        came. Their contents do not depend on the order.
        """
        forms: dict[str, list[int]] = {}
        for i, answer in enumerate(self.answers):
            if answer is not None:
                forms.setdefault(grade.normal(answer, self.kind), []).append(i)
        # The order of samples must decide nothing here. So forms with equally many votes are sorted
        # as texts, and the shortest text of a form is compared.
        listed = [(min(map(self._given, m), key=lambda a: (len(a), a)), m) for m in forms.values()]
        listed.sort(key=lambda form: (-len(form[1]), form[0]))
        found: list[list[tuple[str, list[int]]]] = []
        for form in listed:
            like = next(
                (c for c in found if all(self._same(form[0], other) for other, _ in c)), None
            )
            if like is None:
                found.append([form])
            else:
                like.append(form)
        return sorted(found, key=lambda forms: min(members[0] for _, members in forms))

    def _same(self, a: str, b: str) -> bool:
        """Whether two answers are the same. They are always compared in the same order."""
        first, second = sorted((a, b))
        return grade.same(first, second, self.kind)

    def right(self, gold: str) -> list[bool]:
        """Whether each class is the right answer, judged by the form that represents it.

        Args:
            gold: The right answer.

        Returns:
            A verdict for each class, in order.

        Raises:
            ValueError: The gold answer is not a text, or not of this kind.
        """
        self._checked(gold)
        return [self._is_right(forms[0][1], gold) for forms in self._forms]

    def _is_right(self, members: Iterable[int], gold: str) -> bool:
        """Grade one of the responses that give an answer in the same form: the shortest."""
        responses = (self.traces[i].answer for i in members)
        return grade.is_correct(min(responses, key=lambda r: (len(r), r)), gold, self.kind)

    def _checked(self, gold: str) -> None:
        """Check the gold answer, even if no trace answers. ValueError if it can't be used."""
        grade.is_correct("", text("gold", gold, GOLD), self.kind)

    @property
    def error(self) -> str | None:
        """The first trace's error, if any has one."""
        return next((t.error for t in self.traces if t.error), None)

    @property
    def cost(self) -> Cost:
        """The cost of all traces."""
        return cost(*self.traces)

    def __repr__(self) -> str:
        said = (
            f"error={self.error!r}" if self.error else f"answer={getattr(self, 'answer', None)!r}"
        )
        asked = f"{self.question!r:.60}, {len(self.traces)} traces"
        return f"{type(self).__name__}({asked}, {said:.80}, {self.cost})"

    def tokens(self, k: int | None = None) -> float:
        """The tokens that ``k`` of the samples cost, on average over all subsets.

        Args:
            k: How many samples count; None for all.

        Returns:
            The mean number of tokens.

        Raises:
            ValueError: k is not a whole number from 1 to n.
        """
        return self.cost.total * self._k(k) / len(self.traces)

    def _given(self, i: int) -> str:
        given = self.answers[i]
        assert given is not None
        return given

    def _k(self, k: int | None) -> int:
        """The number of samples that a call means."""
        n = len(self.traces)
        if k is None:
            return n
        if whole("k", k, None) not in range(1, n + 1):
            raise ValueError(
                f"k={k} of n={n} samples: k is at least 1 and at most n; take more samples for it"
            )
        return int(k)


def unread(answer: str | None, kind: str) -> bool:
    """Whether a response has no answer for the original. For a choice, only A to D are answers."""
    return answer is None or (kind == "choice" and answer not in ("A", "B", "C", "D"))


def check_samples(name: str, n: int, temperature: float) -> None:
    """Check the number of samples of a method that needs several. ValueError otherwise."""
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(
            f"{name}={shown(n)} is no number of samples: give a whole number of at least 1"
        )
    if n > MOST:
        raise ValueError(
            f"{name}={n} are more samples a question than the {MOST:,} that can be voted on: take "
            "fewer"
        )
    if n > 1 and temperature == 0:
        raise ValueError(
            f"{name}={n} at temperature 0: all samples would be the same; raise the temperature, "
            "or take one"
        )


def kinds_of(kind: str | Sequence[str], questions: int) -> list[str]:
    """Turn the kinds of a call into one kind for each question."""
    if not isinstance(kind, (str, Sequence)):
        raise ValueError(f"kind={shown(kind)} is unknown: {choose_from(kind)}")
    kinds = [kind] * questions if isinstance(kind, str) else list(kind)
    if len(kinds) != questions:
        raise ValueError(
            f"{len(kinds)} kinds for {questions} questions: give one for all, or one a question"
        )
    if unknown := [k for k in kinds if not grade.is_kind(k)]:
        raise ValueError(f"no kind of answer is called {unknown[0]!r}: {choose_from(unknown[0])}")
    return kinds
