"""Numbers with their base written below them: 40_9, 1A_{16}, 101_{two}."""

from __future__ import annotations

import re
from fractions import Fraction

from s1lab.evaluation.grade.reading import value_side

_BASED = re.compile(
    r"(?P<digits>-?[0-9A-Fa-f]+(?:\.[0-9A-Fa-f]+)?)"
    r"\s*_\s*\{?\s*\(?(?:\\text\{)?\s*(?P<base>\w+)\s*\}?\)?\s*\}?"
)

# "221 (base 3)", "221_{base 3}", "221 in base three"
_BASE_IN_WORDS = re.compile(
    r"(?:_\s*\{?\s*|(?<=[\w)])\s*\(?\s*(?:in\s+)?)base[\s-]*(\w+)\s*[)}]?\s*$", re.IGNORECASE
)

_BASES = {
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "sixteen": 16,
}


def based(text: str) -> tuple[str, int] | None:
    """The digits and the base of a number; None if a text is anything else."""
    text = re.sub(r"\\text\s*\{([^{}]*)\}", r" \1 ", text)
    text = _BASE_IN_WORDS.sub(r"_{\1}", text)
    text = re.sub(r"^\((-?\w+)\)(?=\s*_)", r"\1", value_side(text).replace(",", "").strip())
    found = _BASED.fullmatch(text)
    if found is None:
        return None
    base = int(found["base"]) if found["base"].isdigit() else _BASES.get(found["base"].lower(), 0)
    return (
        (found["digits"], base)
        if 2 <= base <= 36 and worth(found["digits"], base) is not None
        else None
    )


def worth(digits: str, base: int) -> Fraction | None:
    """The value of digits in a base; None if one of them is not a digit of that base."""
    whole, _, behind = digits.partition(".")
    try:
        return Fraction(int(whole + behind, base), base ** len(behind))
    except ValueError:
        return None
