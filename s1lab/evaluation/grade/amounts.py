"""The number that a sentence gives: 34 in "There are 34 apples in 3 bags."."""

from __future__ import annotations

import re
from itertools import pairwise

from s1lab.evaluation.grade.arithmetic import NUMBER_WORDS, number_in_words
from s1lab.evaluation.grade.quantities import PARTS, quantity
from s1lab.evaluation.grade.spelling import signs

# A number inside a calculation is not an amount by itself: "the square root of 3", "2π/3".
_OPERATED = re.compile(
    r"^\(|^\s?(?:\\?pi\b|\\?sqrt|√|\\times|\\cdot|/\s?[A-Za-z]|!|choose\b|factorial\b|squared\b"
    r"|cubed\b"
    r"|(?:times|plus|minus|divided\s+by|multiplied\s+by)\s+(?:\d|[b-hj-z]\b)"
    r"|(?:less|more)\s+than\s+[b-hj-z]\b|to\s+the\s+\w+\s+power)"
)

_OPERATES = re.compile(
    r"(?:/|[A-Za-z]\(|\^|\*|\b(?:root|log(?:arithm)?|half|third|quarter|sine|cosine|tangent"
    r"|percent|%)\s+of|\btwice|\bthrice|\bdouble"
    r"|\bchoose|\btimes|\bplus|\bminus)\s*$",
    re.IGNORECASE,
)

_CLAUSE = re.compile(
    r"[,;]?\s+(?:so|therefore|thus|hence|leaving|giving|gives(?:\s+us)?|which\s+gives|making"
    r"|which\s+makes|which\s+is)\b",
    re.IGNORECASE,
)

_LEADING = re.compile(
    r"^(?:if|when|after|since|because|given|with|for|as|once)\b[^,]{1,200},\s", re.IGNORECASE
)

_BOUND = re.compile(
    r"\b(?:greater|less|more|fewer|larger|smaller|bigger|higher|lower)\s+than\s*$|\b(?:between"
    r"|at\s+least|at\s+most)\s*$",
    re.IGNORECASE,
)

_DENIED = re.compile(
    r"(?:\bnot|n't|\bcannot|\bnever)\s+(?:be\s+|equal\s+)?(?:to\s+)?$", re.IGNORECASE
)

_EITHER = re.compile(r"[\s,($]*\bor\b[^.;\d]{0,25}$", re.IGNORECASE)

_NUMBER = re.compile(
    r"(?P<sign>(?<![\w)}$])-)?(?P<money>\\?\$|£|€|₹)?\s?(?<![\d.,\w^_{])(?P<minus>-)?"
    r"(?P<number>\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+)"
    r"(?:\s?/\s?(?P<below>\d+)(?![\d/]))?(?![\d^_]|\.\d|,\d{3})"
    r"(?P<percent>\s?(?:\\?%|percent\b))?(?P<unit>\s?[A-Za-z°¢]+)?"
)

# Words before a number that is not the point of its sentence: "in 3 bags", "to save $80".
_CIRCUMSTANCE = re.compile(
    r"\b(?:in|after|for|from|with|at|per|over|within|during|than|every|each|of|before|between|on"
    r"|out\s+of|among|until"
    r"|by\s+\w+ing)\s+(?:(?:the|an?|about|only|all|these|those|her|his|their|its|my|our|another"
    r"|first|last|next)\s+)"
    r"{0,2}$",
    re.IGNORECASE,
)

_KNOWN = re.compile(
    r"\b(?:the\s+(?:first|last|other|remaining|same)?|to\s+[a-z]+)\s*$", re.IGNORECASE
)

_TOTAL = re.compile(r"(?<!make )(?<!ing )\b(?:a|the)\s+total\s+(?:of|is|was)\s+$", re.IGNORECASE)

_IN_TOTAL = re.compile(r"\s*(?:[a-z]+\s+){0,2}(?:in total|altogether|in all)\b", re.IGNORECASE)

_MEASURED = re.compile(r"\b(?:speed|rate|pace)\s+of\s+$", re.IGNORECASE)

_COUNTED = re.compile(
    r"\b(?:step|part|question|problem|case|day|figure|table|equation)\s+$", re.IGNORECASE
)


def number_in(text: str) -> str | None:
    """The number that a sentence gives, with its unit if that is known; None without numbers.

    It is the number that the sentence calculates, its total, or its first number that is not a
    circumstance.

    Example:
        >>> number_in("In 3 days he reads 14 pages for $2."), number_in("7 + $6 = $13")
        ('14', '13 dollars')
    """
    text = signs(text)
    if "=" in text and (number := _NUMBER.match(text.rpartition("=")[2].strip())):
        return _with_unit(number)
    clauses = _CLAUSE.split(text)
    if len(clauses) > 1 and (told := number_in(clauses[-1])) is not None:
        return told
    leading = _LEADING.match(text)
    if leading and (told := number_in(text[leading.end() :])) is not None:
        return told
    found = [m for m in _NUMBER.finditer(text) if not _is_label(text, m)]
    if not found:
        return _number_word(text)
    if any(_BOUND.search(_before(text, m)) for m in found) and len(found) <= 2:
        return None  # "greater than 3", "between 3 and 5" give no number
    for first, second in pairwise(found):
        end = max(first.end("number"), first.end("below"))
        between = text[end : second.start("number")]
        rounded = first["below"] and re.search(r"\b(?:about|approximately|roughly)\b", between)
        if _EITHER.fullmatch(between) and not rounded:
            return f"{_with_unit(first)} or {_with_unit(second)}"
    if (compound := _compound(text, found)) is not None:
        return compound
    totals = [
        m
        for m in found
        if _TOTAL.search(_before(text, m)) or _IN_TOTAL.match(text[m.end("number") :])
    ]
    if len(totals) == 1:
        return _with_unit(totals[0])
    asides = [_aside(_before(text, m)) for m in found]
    best = [m for m, aside in zip(found, asides, strict=True) if aside == min(asides)]
    money = [m for m in best if m["money"]]
    if len(money) == 1 and min(asides) == 0:
        return _with_unit(money[0])
    return _with_unit(best[-1] if min(asides) == 2 else best[0])


def _compound(text: str, found: list[re.Match[str]]) -> str | None:
    """An amount in two units, as one: "2 hours and 15 minutes"; None if there is none."""
    if len(found) != 2:
        return None
    both = text[found[0].start("number") : found[1].end()]
    amount = quantity(both) if len(both) < 60 else None
    return both if amount is not None and amount.unit is not None else None


def _number_word(text: str) -> str | None:
    """The first number in words. "one" counts only at the beginning; elsewhere it is a pronoun."""
    for found in NUMBER_WORDS.finditer(text):
        number = number_in_words(found[0])
        if number is not None and (number != 1 or found.start() == 0):
            return str(number)
    return None


def _before(text: str, number: re.Match[str]) -> str:
    """The text before a number and its currency sign."""
    begin = number.start("money") if number["money"] else number.start("number")
    return text[max(0, begin - 60) : begin]


def _aside(before: str) -> int:
    """How far a number is from the point of its sentence: 0 is the point, 2 a circumstance."""
    if _MEASURED.search(before):
        return 0
    return 2 if _CIRCUMSTANCE.search(before) else 1 if _KNOWN.search(before) else 0


def _is_label(text: str, number: re.Match[str]) -> bool:
    """Whether a number is not an amount.

    It may count lines ("3. ...", "Step 2:"), be denied, or be inside a calculation.
    """
    if number.start("number") == 0 and re.match(r"\s*[.)]\s", text[number.end("number") :]):
        return True
    before, behind = _before(text, number), text[number.end("number") :]
    if _COUNTED.search(before) or _DENIED.search(before):
        return True
    if re.match(r"\s?(?:%|percent)\s+of\s+\d", behind):
        return True
    return bool(not number["below"] and (_OPERATED.match(behind) or _OPERATES.search(before)))


def _with_unit(number: re.Match[str]) -> str:
    text = number["number"] + (f"/{number['below']}" if number["below"] else "")
    text = ("-" if number["sign"] or number["minus"] else "") + text
    if number["percent"]:
        return text + "%"
    if number["money"]:
        return f"{text} dollars" if "$" in number["money"] else text
    unit = (number["unit"] or "").strip()
    if unit.lower() in ("hundred", "thousand", "million", "billion", "trillion", "dozen", *PARTS):
        return f"{text} {unit}"
    amount = quantity(f"{text} {unit}") if len(unit) > 1 else None
    return f"{text} {unit}" if amount and amount.unit else text
