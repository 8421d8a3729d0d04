r"""Extract the answer that a response gives, by rules in a fixed order, in linear time.

The possible places of an answer are tried, the most explicit first:

1. the last ``\boxed{...}``;
2. a text marked as the answer: ``<answer>...</answer>``, ``"answer": ...`` in JSON, ``#### ...``,
   "Final Answer", "the answer is";
3. the last sentence that contains an answer of the kind.

A place with an answer of another kind decides too. A response whose last box contains 12.5 gives
no whole number, whatever text is around the box.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from s1lab.evaluation import gym
from s1lab.evaluation.grade.choices import NONE, hedged, option, unmarked_option
from s1lab.evaluation.grade.places import Place, places
from s1lab.evaluation.grade.prose import (
    FORMULA,
    LONGEST,
    answered,
    bare,
    first_sentence,
    is_sentence,
    last_answered,
    without_condition,
)
from s1lab.evaluation.grade.quantities import quantity
from s1lab.evaluation.grade.reading import values
from s1lab.evaluation.grade.spelling import clean, signs

KINDS = ("math", "choice", "integer", "exact")
TAIL = 100_000  # characters that are searched; an answer is at the end of a response


@dataclass(frozen=True)
class Found:
    """An answer as it was found.

    Attributes:
        text: The answer.
        whole: The sentence around it, for references that are words; else the same text.
    """

    text: str
    whole: str


def extract(response: str, kind: str = "math") -> str | None:
    """The answer that a response gives, as text; None if it gives none of the kind.

    The last box decides, else a text marked as the answer, else the last sentence that contains
    one. Boxes joined by "and" or a comma are one list. Boxes joined by "or" and other hedges ("74
    or 73", "(A) or (D)") are returned with their "or"; they equal no single answer.

    Args:
        response: The text that a model wrote. Its last 100,000 characters are searched.
        kind: "math" extracts a number, a formula or words; from a sentence it extracts the number.
            "integer" extracts a whole number. "choice" extracts a letter from A to J. "exact"
            extracts the unchanged text. A task of reasoning-gym, such as "reasoning-gym/gcd",
            extracts a number or text in the form that the task's scorer reads.

    Returns:
        The answer, or None.

    Raises:
        ValueError: The kind is unknown.

    Example:
        >>> lab.grade.extract("So there are 12 of them. The answer is $x = 5$.")
        'x = 5'
    """
    found = find(response, kind)
    return found.text if found else None


def check_kind(kind: str) -> None:
    """Check the name of a kind. ValueError if it is unknown."""
    if not is_kind(kind):
        raise ValueError(f"no kind of answer is called {kind!r}: {choose_from(kind)}")


def is_kind(kind: object) -> bool:
    """Whether a kind of answer is known: one of `KINDS`, or a task such as "reasoning-gym/gcd".

    Example:
        >>> lab.grade.is_kind("integer"), lab.grade.is_kind("poem")
        (True, False)
    """
    return kind in KINDS or gym.is_kind(kind)


def choose_from(kind: object) -> str:
    """The end of a sentence on an unknown kind: the kinds that there are, and the nearest task."""
    near = gym.nearest(str(kind).rpartition("/")[2]) or "gcd"
    return f"choose from {list(KINDS)}, or a task such as {gym.PREFIX + near!r}"


def find(response: str, kind: str) -> Found | None:
    """`extract`, with the sentence around the answer."""
    check_kind(kind)
    if not isinstance(response, str):
        raise ValueError(f"the response is a {type(response).__name__}, not text: {response!r:.80}")
    task = gym.task_of(kind)
    if task:
        kind = "integer" if task.number else "exact"
    taker = {"math": _math, "integer": _integer, "choice": _choice, "exact": _exact}[kind]
    if task:
        taker = _number if task.number else _last_line
    for place in places(response[-TAIL:], kind):
        found = taker(place)
        if isinstance(found, Found):
            if task is None:
                return found
            # A longer text is not scored, and patterns could take long to read it.
            text = task.tidy(found.text) if len(found.text) <= gym.LONGEST else found.text
            return Found(text, found.whole) if text else None
        if found is _OTHER:
            return None
    return None


def reference(gold: str, kind: str) -> str | None:
    """The gold answer in the form that `extract` gives.

    A benchmark's answer column holds the answer alone, or a box with it.
    """
    if gym.is_kind(kind):
        return gold if gold.strip() else None
    if "\\boxed" in gold:
        return extract(gold, kind)
    if kind == "math":
        return bare(gold)
    if kind == "integer" and not re.match(r"\s*(?:\\?\$|\\\(|[-+\d])", signs(gold)):
        return None
    found = {"integer": _integer, "choice": _choice, "exact": _exact}[kind](
        Place(gold.strip(), True, True)
    )
    return found.text if isinstance(found, Found) else None


def normal(answer: str, kind: str = "math") -> str:
    """An answer without differences that its kind ignores: sign and zeros, case, spaces.

    Answers are equal if their normal forms are equal.

    Args:
        answer: An answer, as `extract` gives it.
        kind: As in `extract`.

    Raises:
        ValueError: The answer is not text, or the kind is unknown.

    Example:
        >>> lab.grade.normal("+007", "integer")
        '7'
    """
    check_kind(kind)
    if not isinstance(answer, str):
        raise ValueError(f"the answer is a {type(answer).__name__}, not text: {answer!r:.80}")
    task = gym.task_of(kind)
    if task and not task.number:
        return gym.normal(answer)
    if task and "." in (written := whole(answer)):
        return written.rstrip("0").rstrip(".")
    return (
        whole(answer)
        if kind == "integer" or task
        else answer.strip().upper()
        if kind == "choice"
        else spelled(answer)
        if kind == "math"
        else plain(signs(answer))
    )


def plain(text: str) -> str:
    """A text without spaces, case, and the differences that Unicode's NFKC removes."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text)).casefold()


def spelled(text: str) -> str:
    """`plain` with one spelling of signs, so that "5²" is not "52".

    A space between two digits stays, so that "1 1/2" is not "11/2".
    """
    return plain(re.sub(r"(?<=\d)\s+(?=\d)", "_", signs(text)))


def whole(text: str) -> str:
    """Digits with a sign and without leading zeros.

    They are compared as text, so that a hostile length costs nothing.
    """
    text = text.replace(",", "")
    sign = "-" if text.startswith("-") else ""
    digits = text.lstrip("+-").lstrip("0") or "0"
    return digits if digits == "0" else sign + digits


class _Other:
    """The marker for an answer of another kind than the requested one."""


_OTHER = _Other()
_Taken = Found | _Other | None


def _exact(place: Place) -> _Taken:
    text = place.text if place.sure or not place.marked else _cut(place.text)
    text = text.strip("*").strip().rstrip(".").strip()
    return Found(text, text) if text else None


def _last_line(place: Place) -> _Taken:
    """The text of a place; of a text without a mark, its last line."""
    found = _exact(place)
    if place.marked or not isinstance(found, Found):
        return found
    return _exact(Place(found.text.splitlines()[-1], False))


def _cut(text: str) -> str:
    """The end of the sentence that a mark begins."""
    formula = FORMULA.match(text)
    end = re.compile(r"\.\s+(?=[A-Z])").search(text, formula.end() if formula else 0)
    return text[: end.start()] if end else text


def _choice(place: Place) -> _Taken:
    text = signs(place.text)
    found = option(text, sure=place.sure) if place.marked else unmarked_option(text)
    if found and found != NONE:
        return Found(found, found)
    return _OTHER if found == NONE or (place.sure and text) else None


def _math(place: Place) -> _Taken:
    if not place.marked:
        last = last_answered(place.text)
        return Found(*last) if last else None
    text = place.text.strip() if place.sure else first_sentence(place.text)
    if not text.strip("*_`'\"., \t\n"):
        return None
    if len(text) > LONGEST:
        return Found(text, text)
    told = text if place.sure and not is_sentence(text) else answered(text) or text
    answer = bare(told)
    return Found(answer, bare(text) or answer) if answer else None


def _integer(place: Place) -> _Taken:
    found = _math(place)
    if not isinstance(found, Found):
        return found
    amount = _whole_in(found.text)
    if isinstance(amount, str):
        return Found(amount, found.whole)
    if amount is _OTHER or place.sure or (place.marked and re.search(r"\d", found.text)):
        return _OTHER
    return None


def _number(place: Place) -> _Taken:
    """A whole number, or a number written with decimals, without separators."""
    found = _integer(place)
    if found is _OTHER:
        formula = _math(place)
        text = clean(formula.text[:LONGEST]) if isinstance(formula, Found) else ""
        decimal = re.fullmatch(r"[^\w-]*(-?\d[\d,]*\.\d+)\D*", text)
        found = Found(decimal[1], text) if decimal else found
    if isinstance(found, Found):
        return Found(found.text.replace(",", ""), found.whole)
    return found


def _whole_in(text: str) -> str | _Other | None:
    """The whole number in an answer, as digits; _OTHER for another number, None for no number."""
    if re.fullmatch(r"[-+]?(?:\d+|\d{1,3}(?:,\d{3})+)", text.strip(), re.ASCII):
        return text.strip()
    text = re.sub(r"^\\\{([^{},]*)\\\}$", r"\1", clean(text))
    if hedged(text):
        return _OTHER
    readings = [text]
    if re.search(r"=|\\equiv|\\approx", text):
        if not (sides := values(text.rpartition(":")[2])):
            return _OTHER  # it states something, such as x^2 = 16
        readings += [*sides, without_condition(sides[0])]
    amount = next((q for reading in readings if (q := quantity(reading)) is not None), None)
    if amount is None:
        return None
    return str(amount.value.numerator) if amount.value.denominator == 1 else _OTHER
