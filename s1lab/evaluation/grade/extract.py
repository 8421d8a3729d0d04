"""Which answer does a response give? Rules in a fixed order, each in time linear in the text.

The places where an answer may stand are tried from the most explicit one on:

1. the last ``\\boxed{...}``;
2. what is marked as the answer: ``<answer>...</answer>``, ``"answer": ...`` in JSON, ``#### ...``, "Final Answer",
   "the answer is";
3. the last sentence that holds anything of the kind.

A place that holds an answer of another kind decides too: a response whose last box holds 12.5 gives no whole number,
whatever stands around the box.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

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
TAIL = 100_000  # characters: an answer stands at the end, and only so much of the end is searched


@dataclass(frozen=True)
class Found:
    """An answer as it was found. whole: the sentence around it, for references that are words; else the same text."""

    text: str
    whole: str


def extract(response: str, kind: str = "math") -> str | None:
    r"""The answer that a response gives, as text; None where it gives none of the kind.

    The last box decides, else what is marked as the answer, else the last sentence that holds one. Boxes joined by "and" or
    a comma are one list. Boxes joined by "or", and other hedges ("74 or 73", "(A) or (D)"), come back with their "or":
    they equal no single answer.

    Args:
        response: what a model wrote. Its last 100,000 characters are searched.
        kind: "math" takes a number, a formula, or words; out of a sentence it takes its number. "integer" takes a whole
            number. "choice" takes a letter from A to J. "exact" takes the text as it stands.

    Raises:
        ValueError: for an unknown kind.

    Example:
        >>> extract("So there are 12 of them. The answer is $x = 5$.")
        'x = 5'
    """
    found = find(response, kind)
    return found.text if found else None


def find(response: str, kind: str) -> Found | None:
    """:func:`extract`, with the sentence that the answer stands in."""
    if kind not in KINDS:
        raise ValueError(f"no kind of answer is called {kind!r}: choose from {list(KINDS)}")
    taker = {"math": _math, "integer": _integer, "choice": _choice, "exact": _exact}[kind]
    for place in places(response[-TAIL:], kind):
        found = taker(place)
        if isinstance(found, Found):
            return found
        if found is _OTHER:
            return None
    return None


def reference(gold: str, kind: str) -> str | None:
    """The gold answer as :func:`extract` would give it: a benchmark's answer column holds the answer alone, or a box with it."""
    if "\\boxed" in gold:
        return extract(gold, kind)
    if kind == "math":
        return bare(gold)
    if kind == "integer" and not re.match(r"\s*(?:\\?\$|\\\(|[-+\d])", signs(gold)):
        return None
    found = {"integer": _integer, "choice": _choice, "exact": _exact}[kind](Place(gold.strip(), True, True))
    return found.text if isinstance(found, Found) else None


def normal(answer: str, kind: str = "math") -> str:
    """An answer without what its kind doesn't tell apart: sign and zeros, case, spaces. Equal ones are equal answers."""
    return whole(answer) if kind == "integer" else answer.strip().upper() if kind == "choice" else spelled(answer)


def plain(text: str) -> str:
    """A text without spaces, case, and the differences that Unicode's NFKC levels."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text)).casefold()


def spelled(text: str) -> str:
    """:func:`plain` in one spelling of signs: "5²" is not "52"."""
    return plain(signs(text))


def whole(text: str) -> str:
    """Digits with sign and without leading zeros: compared as text, so that a hostile length costs nothing."""
    text = text.replace(",", "")
    sign = "-" if text.startswith("-") else ""
    digits = text.lstrip("+-").lstrip("0") or "0"
    return digits if digits == "0" else sign + digits


class _Other:
    """An answer is there, and it is not of the kind that is asked for."""


_OTHER = _Other()
_Taken = Found | _Other | None


def _exact(place: Place) -> _Taken:
    text = place.text if place.sure or not place.marked else _cut(place.text)
    text = text.strip("*").strip().rstrip(".").strip()
    return Found(text, text) if text else None


def _cut(text: str) -> str:
    """The end of the sentence that a mark opens."""
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


def _whole_in(text: str) -> str | _Other | None:
    """The whole number that an answer is, as digits; _OTHER for another number, None for no number."""
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
