"""Verdicts with their reasons: one by one, or many at once in worker processes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from s1lab.evaluation import gym
from s1lab.evaluation.grade import sandbox as pool
from s1lab.evaluation.grade.extract import check_kind, find, normal, reference, spelled, whole
from s1lab.evaluation.grade.forms import Comparison
from s1lab.evaluation.grade.reading import is_words, words
from s1lab.evaluation.grade.spelling import clean

if TYPE_CHECKING:
    from s1lab.engine import Engine

Item: TypeAlias = tuple[str, str, str]  # given, gold and kind, for a worker process
LONGEST = 1_000  # characters read as mathematics at most; MATH-500's longest answer has 159


@dataclass(frozen=True)
class Verdict:
    """Whether a response is right, and why.

    Attributes:
        correct: Whether the response is right. It is False if grading failed.
        given: The answer that was found in the response; None if there is none.
        reason: The rule that decided, in words.
        error: One sentence if grading failed or the gold answer can't be used; else None.
        score: The score from 0 to 1 of a task of reasoning-gym, of which only 1 is right; None for
            other kinds.
    """

    correct: bool
    given: str | None
    reason: str
    error: str | None = None
    score: float | None = None

    @property
    def mark(self) -> bool | None:
        """The stored form: whether the trace is right, or None if that is not known."""
        return None if self.error else self.correct


def is_correct(response: str, gold: str, kind: str = "math") -> bool:
    r"""Whether a response gives the gold answer.

    It is also False if grading failed. `verdict` shows that.

    Args:
        response: The text that a model wrote.
        gold: The right answer.
        kind: "integer" compares whole numbers, "choice" compares letters, and "exact" compares text
            without spaces and case. "math" uses math-verify in a process with limits of its own
            (the answer is never run as code), and first the distinctions of
            `s1lab.evaluation.grade.forms`. A task such as "reasoning-gym/gcd" uses the scorer of
            reasoning-gym in such a process: a score of 1 is right.

    Returns:
        Whether the response is right.

    Raises:
        ValueError: The gold answer is not of its kind, or the kind is unknown.

    Example:
        >>> lab.grade.is_correct(r"The answer is $\frac{1}{2}$.", "0.5")
        True
    """
    found = verdict(response, gold, kind)
    if found.error and found.error.startswith("the gold answer"):
        raise ValueError(found.error)
    return found.correct


def same(given: str, wanted: str, kind: str = "math") -> bool:
    r"""Whether two answers are equal. It is also False if comparing failed.

    Args:
        given: An answer, as `extract` gives it.
        wanted: The answer to compare it with, in the same form.
        kind: As in `is_correct`.

    Example:
        >>> lab.grade.same(r"\frac{1}{2}", "0.5")
        True
    """
    found = _compared(given, wanted, kind)
    return found.correct if isinstance(found, Verdict) else _decided([found], None)[0].correct


def verdict(response: str, gold: str, kind: str = "math") -> Verdict:
    """The verdict on one response: `is_correct` with its reason.

    If something goes wrong, the verdict's ``error`` says so.

    Args:
        response: The text that a model wrote.
        gold: The right answer.
        kind: As in `is_correct`.

    Returns:
        The verdict.

    Raises:
        ValueError: The kind is unknown.

    Example:
        >>> lab.grade.verdict("The answer is 12.", "13", "integer").reason
        'whole numbers compared'
    """
    return verdicts([response], [gold], [kind])[0]


def verdicts(
    responses: Sequence[str],
    golds: Sequence[str],
    kinds: str | Sequence[str] = "math",
    *,
    workers: int | None = None,
) -> list[Verdict]:
    """Verdicts on many responses, in order.

    An item costs at most a few seconds and 400 MB, whatever it contains. Equal items are decided
    once.

    Args:
        responses: The texts that a model wrote.
        golds: The right answers, one a response.
        kinds: As in `is_correct`: one kind for all, or one a response.
        workers: The number of processes for the items that need math-verify; None is one a core.
            Items that text or digits decide need no process.

    Returns:
        One verdict a response.

    Raises:
        ValueError: The lists have different lengths, or a kind is unknown.

    Example:
        >>> found = lab.grade.verdicts(["It is 12.", "So 7."], ["12", "8"], "integer")
        >>> [verdict.correct for verdict in found]
        [True, False]
    """
    for name, given in (("responses", responses), ("golds", golds)):
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise ValueError(
                f"{name} is a {type(given).__name__}, not a list of texts: {given!r:.80}"
            )
    if not isinstance(kinds, (str, Sequence)):
        check_kind(kinds)
    listed = [kinds] * len(responses) if isinstance(kinds, str) else list(kinds)
    if not len(responses) == len(golds) == len(listed):
        raise ValueError(
            f"{len(responses)} responses, {len(golds)} gold answers and {len(listed)} kinds do not "
            "pair up"
        )
    found = [_by_rule(*row) for row in zip(responses, golds, listed, strict=True)]
    hard = list(dict.fromkeys(row for row in found if not isinstance(row, Verdict)))
    decided = dict(zip(hard, _decided(hard, workers), strict=True))
    return [row if isinstance(row, Verdict) else decided[row] for row in found]


def _by_rule(response: str, gold: str, kind: str) -> Verdict | Item:
    """A verdict if text or digits decide; else what a worker process must decide."""
    check_kind(kind)
    for name, text in (("response", response), ("gold answer", gold)):
        if not isinstance(text, str):
            return Verdict(
                False,
                None,
                "not graded",
                f"the {name} is a {type(text).__name__}, not text: {text!r:.80}",
            )
    wanted = reference(gold, kind)
    if wanted is None:
        what = {"integer": "no whole number", "choice": "no letter A to J"}.get(kind, "empty")
        return Verdict(
            False,
            None,
            "not graded",
            f"the gold answer {gold!r:.80} is {what}: use another kind, or mend the row",
        )
    found = find(response, kind)
    task = gym.is_kind(kind)
    if found is None:
        return Verdict(
            False, None, f"no answer of kind {kind!r} was found", score=0.0 if task else None
        )
    if task:
        return found.text, wanted, kind
    if kind == "math" and spelled(wanted) in (spelled(found.text), spelled(found.whole)):
        return Verdict(True, found.text, "the same text")
    if (
        kind == "math"
        and len(wanted) <= LONGEST
        and is_words(worded := clean(wanted))
        and words(worded) == words(clean(found.whole))
    ):
        return Verdict(True, found.text, "the same words")
    return _compared(found.text, wanted, kind)


def _compared(given: str, wanted: str, kind: str) -> Verdict | Item:
    """`_by_rule` for two answers that were already extracted."""
    if normal(given, kind) == normal(wanted, kind):
        return Verdict(
            True,
            given,
            {"integer": "whole numbers compared", "choice": "letters compared"}.get(
                kind, "the same text"
            ),
        )
    if kind in ("integer", "choice"):
        return Verdict(
            False, given, "whole numbers compared" if kind == "integer" else "letters compared"
        )
    if kind == "exact" or gym.is_kind(kind):
        return Verdict(False, given, "another text")
    if _is_integer(given) and _is_integer(wanted):
        return Verdict(whole(given) == whole(wanted), given, "whole numbers compared")
    if len(given) > LONGEST:
        return Verdict(
            False,
            given,
            f"another text, of more than the {LONGEST} characters that are read as mathematics",
        )
    comparison = Comparison(_later)
    try:
        return Verdict(comparison.same(given, wanted), given, comparison.reason)
    except _FormulaAsked:
        return given, wanted, kind
    except RecursionError:
        return Verdict(False, given, "another text, nested too deeply to be read as mathematics")


class _FormulaAsked(Exception):
    """Two formulas must be compared. That happens in another process."""


def _later(given: str, gold: str) -> bool:
    raise _FormulaAsked


def _is_integer(text: str) -> bool:
    return (
        text.lstrip("+-").isascii()
        and text.lstrip("+-").isdigit()
        and len(text) - len(text.lstrip("+-")) <= 1
    )


def _decided(items: Sequence[Item], workers: int | None) -> list[Verdict]:
    """The verdicts of the worker processes."""
    if any(gym.is_kind(kind) for _, _, kind in items):
        gym.installed()  # one sentence if it is missing
    asked = [
        {"given": given, "gold": gold}
        | ({"task": kind.removeprefix(gym.PREFIX)} if gym.is_kind(kind) else {})
        for given, gold, kind in items
    ]
    return [_from_worker(*row) for row in zip(items, pool.ask_all(asked, workers), strict=True)]


def _from_worker(item: Item, answer: dict[str, Any]) -> Verdict:
    given, gold, kind = item
    score = answer.get("score", 0.0) if gym.is_kind(kind) else None
    if error := answer.get("error"):
        said = f"comparing {given!r:.80} with {gold!r:.80} {error}"
        return Verdict(False, given, "not graded", said, score)
    if score is None:
        return Verdict(bool(answer.get("same")), given, str(answer.get("how")))
    said = f"{score:.3g}" if score == 1 or abs(score - 1) > 0.001 else repr(score)
    reason = f"scored {said} by {gym.PACKAGE} {answer['version']}"
    return Verdict(score == 1, given, reason, None, score)


ASKED = """Question: {question}

Reference answer: {gold}

Given answer: {response}

Does the given answer agree with the reference answer? Write one word, yes or no."""

Grader = Callable[[Sequence[str], Sequence[str], Sequence[str]], list[Verdict]]


def by_model(engine: Engine, *, prompt: str = ASKED, answer_tokens: int = 8) -> Grader:
    """Use a model as the grader, for ``lab.evaluate(..., grader=...)``. It is never the default.

    The model decodes greedily, without thinking. It is asked whether the response (its last 2,000
    characters) agrees with the reference. Its first "yes" or "no" counts; if there is neither, the
    verdict has an ``error``. The reason names the model. A response can persuade the model to say
    yes, so prefer rules.

    Args:
        engine: The model that grades.
        prompt: The text to ask, with the fields {question}, {gold} and {response}.
        answer_tokens: The most tokens that the model may write.

    Returns:
        A function from questions, responses and gold answers to verdicts.

    Example:
        judge = lab.load("s1-tiny")
        found = lab.evaluate(judge, lab.tiny.problems(4), grader=lab.grade.by_model(judge))
    """
    from s1lab.api import direct
    from s1lab.engines.description import check_engine

    check_engine(engine)

    def grade(
        questions: Sequence[str], responses: Sequence[str], golds: Sequence[str]
    ) -> list[Verdict]:
        rows = zip(questions, responses, golds, strict=True)
        asked = [prompt.format(question=q, response=r[-2_000:], gold=g) for q, r, g in rows]
        traces = direct(engine, asked, answer_tokens=answer_tokens, progress=False)
        assert isinstance(traces, list)
        found = []
        for trace, response in zip(traces, responses, strict=True):
            said = re.search(r"\b(yes|no)\b", trace.answer, re.IGNORECASE)
            error = trace.error or (
                None if said else f"{engine.model} said neither yes nor no: {trace.answer!r:.80}"
            )
            yes = said is not None and said[1].lower() == "yes" and not error
            found.append(Verdict(yes, response[-200:], f"asked {engine.model}", error))
        return found

    return grade
