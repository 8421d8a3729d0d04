"""Is this answer right? Verdicts with their reasons, one by one or many at once in worker processes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from s1lab.evaluation.grade import sandbox as pool
from s1lab.evaluation.grade.extract import KINDS, find, normal, reference, spelled, whole
from s1lab.evaluation.grade.forms import Comparison
from s1lab.evaluation.grade.reading import is_words, words
from s1lab.evaluation.grade.spelling import clean

if TYPE_CHECKING:
    from s1lab.engine import Engine

LONGEST = 1_000  # characters of an answer that are read as mathematics; MATH-500's longest has 159


@dataclass(frozen=True)
class Verdict:
    """Whether a response is right, and why.

    given: the answer that was found in it; None for none. reason: the rule that decided, in words.
    error: a sentence where grading itself failed, or the gold answer can't be used: ``correct`` is False for want of a verdict.
    """

    correct: bool
    given: str | None
    reason: str
    error: str | None = None

    @property
    def mark(self) -> bool | None:
        """What is stored beside a trace: whether it is right, and None where that is not known."""
        return None if self.error else self.correct


def is_correct(response: str, gold: str, kind: str = "math") -> bool:
    """Whether a response gives the gold answer.

    kind: "integer" compares whole numbers, "choice" letters, "exact" text without spaces and case, "math" what math-verify holds
    to be equal, in a process with bounds of its own (never evaluated as code), but for what
    :mod:`s1lab.evaluation.grade.forms` tells apart.
    False also where grading failed: :func:`verdict` tells.
    Raises ValueError for a gold answer that is not of its kind.
    """
    found = verdict(response, gold, kind)
    if found.error and found.error.startswith("the gold answer"):
        raise ValueError(found.error)
    return found.correct


def same(given: str, wanted: str, kind: str = "math") -> bool:
    """Whether two answers, as :func:`extract` gives them, are one answer; False also where that could not be found out."""
    found = _compared(given, wanted, kind)
    if not isinstance(found, Verdict):
        found = _by_mathematics(found, pool.ask_all([{"given": given, "gold": wanted}], None)[0])
    return found.correct


def verdict(response: str, gold: str, kind: str = "math") -> Verdict:
    """:func:`is_correct` with its reason. What goes wrong is the verdict's ``error``. ValueError for an unknown kind."""
    return verdicts([response], [gold], [kind])[0]


def verdicts(
    responses: Sequence[str], golds: Sequence[str], kinds: str | Sequence[str] = "math", *, workers: int | None = None
) -> list[Verdict]:
    """Verdicts on many responses, in order; row i of each list belongs together.

    kinds: one for all, or one a response. workers: processes for what math-verify must decide; None is one a core. What text or
    digits decide needs none. An item costs at most some seconds and 400 MB, whatever stands in it; equal items are decided once.
    """
    listed = [kinds] * len(responses) if isinstance(kinds, str) else list(kinds)
    if not len(responses) == len(golds) == len(listed):
        raise ValueError(f"{len(responses)} responses, {len(golds)} gold answers and {len(listed)} kinds do not pair up")
    found: list[Verdict | tuple[str, str]] = [_by_rule(*row) for row in zip(responses, golds, listed, strict=True)]
    hard = list(dict.fromkeys(row for row in found if not isinstance(row, Verdict)))
    decided = dict(zip(hard, pool.ask_all([{"given": a, "gold": b} for a, b in hard], workers), strict=True))
    return [row if isinstance(row, Verdict) else _by_mathematics(row, decided[row]) for row in found]


def _by_rule(response: str, gold: str, kind: str) -> Verdict | tuple[str, str]:
    """A verdict where text or digits decide; else the two answers that are to be compared as mathematics."""
    if kind not in KINDS:
        raise ValueError(f"no kind of answer is called {kind!r}: choose from {list(KINDS)}")
    for name, text in (("response", response), ("gold answer", gold)):
        if not isinstance(text, str):
            return Verdict(False, None, "not graded", f"the {name} is a {type(text).__name__}, not text: {text!r:.80}")
    wanted = reference(gold, kind)
    if wanted is None:
        what = {"integer": "no whole number", "choice": "no letter A to J"}.get(kind, "empty")
        return Verdict(False, None, "not graded", f"the gold answer {gold!r:.80} is {what}: use another kind, or mend the row")
    found = find(response, kind)
    if found is None:
        return Verdict(False, None, f"no answer of kind {kind!r} was found")
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


def _same_words(sentence: str, wanted: str) -> bool:
    """Whether a reference is words, and a sentence the same ones: its number alone ("June 20") would not be."""
    if max(len(sentence), len(wanted)) > LONGEST:
        return False
    wanted = clean(wanted)
    return is_words(wanted) and words(wanted) == words(clean(sentence))


def _compared(given: str, wanted: str, kind: str) -> Verdict | tuple[str, str]:
    """The same for two answers that were extracted already."""
    if normal(given, kind) == normal(wanted, kind):
        return Verdict(
            True, given, {"integer": "whole numbers compared", "choice": "letters compared"}.get(kind, "the same text")
        )
    if kind in ("integer", "choice"):
        return Verdict(False, given, "whole numbers compared" if kind == "integer" else "letters compared")
    if kind == "exact":
        return Verdict(False, given, "another text")
    if _is_integer(given) and _is_integer(wanted):
        return Verdict(whole(given) == whole(wanted), given, "whole numbers compared")
    if len(given) > LONGEST:
        return Verdict(False, given, f"another text, of more than the {LONGEST} characters that are read as mathematics")
    comparison = Comparison(_later)
    try:
        return Verdict(comparison.same(given, wanted), given, comparison.reason)
    except _FormulaAsked:
        return given, wanted
    except RecursionError:
        return Verdict(False, given, "another text, nested too deeply to be read as mathematics")


class _FormulaAsked(Exception):
    """Two formulas must be compared, which happens in a process of its own."""


def _later(given: str, gold: str) -> bool:
    raise _FormulaAsked


def _is_integer(text: str) -> bool:
    return text.lstrip("+-").isascii() and text.lstrip("+-").isdigit() and len(text) - len(text.lstrip("+-")) <= 1


def _by_mathematics(pair: tuple[str, str], answer: dict[str, object]) -> Verdict:
    if error := answer.get("error"):
        return Verdict(False, pair[0], "not graded", f"comparing {pair[0]!r:.80} with {pair[1]!r:.80} {error}")
    return Verdict(bool(answer.get("same")), pair[0], str(answer.get("how")))


ASKED = """Question: {question}

Reference answer: {gold}

Given answer: {response}

Does the given answer agree with the reference answer? Write one word, yes or no."""

Grader = Callable[[Sequence[str], Sequence[str], Sequence[str]], list[Verdict]]  # questions, responses, golds


def by_model(engine: Engine, *, prompt: str = ASKED, answer_tokens: int = 8) -> Grader:
    """A model as grader, for ``lab.evaluate(..., grader=...)``; never the default.

    It is asked greedily, without thinking, whether the response (its last 2,000 characters) agrees with the reference, and its
    first "yes" or "no" is taken; neither is the verdict's ``error``. Its name stands in the reason. A response can talk it into a
    yes: prefer rules.
    """
    from s1lab.api import direct

    def grade(questions: Sequence[str], responses: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
        rows = zip(questions, responses, golds, strict=True)
        asked = [prompt.format(question=q, response=r[-2_000:], gold=g) for q, r, g in rows]
        traces = direct(engine, asked, answer_tokens=answer_tokens, progress=False)
        assert isinstance(traces, list)
        found = []
        for trace, response in zip(traces, responses, strict=True):
            said = re.search(r"\b(yes|no)\b", trace.answer, re.IGNORECASE)
            error = trace.error or (None if said else f"{engine.model} said neither yes nor no: {trace.answer!r:.80}")
            yes = said is not None and said[1].lower() == "yes" and not error
            found.append(Verdict(yes, response[-200:], f"asked {engine.model}", error))
        return found

    return grade
