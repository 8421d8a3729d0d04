"""Numbers as people write them: with separators, fractions, powers of ten, words and units.

A text is a number as a whole or not at all. Anything that this module can't read exactly (roots,
symbols) is left to `s1lab.evaluation.grade.forms`, which asks math-verify.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from s1lab.evaluation.grade.arithmetic import LARGE, LONGEST, NUMBER_WORDS, Reader, number_in_words
from s1lab.evaluation.grade.spelling import clean, closing
from s1lab.evaluation.grade.units import ONE_LETTER, UNITS, Unit, named

TOLERANCE = Fraction(1, 10**6)  # relative, for decimals

NOISE = Fraction(1, 10**9)  # relative: the rounding of floating point


@dataclass(frozen=True)
class Quantity:
    """A number with its unit.

    Attributes:
        value: The exact value, as written. For a percentage it is without the sign: 35 for 35 %.
        exact: False for a decimal, which may be rounded.
        unit: None if no unit is written, or an unknown one ("apples").
        percent: Whether a percent sign follows the number.
    """

    value: Fraction
    exact: bool = True
    unit: Unit | None = None
    percent: bool = False

    def same(self, other: Quantity) -> bool:
        """Whether two are the same amount. A unit that only one of them has counts for both."""
        if self.percent != other.percent:
            whole, part = (other, self) if self.percent else (self, other)
            if whole.unit is None and close(part.value / 100, whole.value, part.exact, whole.exact):
                return True  # 50 % and 0.5
        mine, others = self.value, other.value
        if self.unit and other.unit:
            if self.unit.measures != other.unit.measures:
                return False
            mine, others = mine * self.unit.size, others * other.unit.size
        elif (self.percent and other.unit) or (other.percent and self.unit):
            return False
        return close(mine, others, self.exact, other.exact)


def close(a: Fraction, b: Fraction, a_exact: bool, b_exact: bool) -> bool:
    """Whether two numbers are equal as far as they are written.

    Exact numbers must be equal. Two decimals may differ by one part in a million. A decimal
    compared with an exact number must also be that number rounded or cut off: its last digit is off
    by less than one. Zero equals only zero.

    Args:
        a: One number.
        b: The other number.
        a_exact: False if the first is written as a decimal.
        b_exact: False if the second is written as a decimal.
    """
    if a == b:
        return True
    if (a_exact and b_exact) or not a or not b:
        return False
    off = abs(a - b) / max(abs(a), abs(b))
    if a_exact == b_exact:
        return off <= TOLERANCE
    decimal = b if a_exact else a
    return (
        off <= NOISE
        if _digits(decimal) >= 12
        else off <= TOLERANCE and abs(a - b) < last_place(decimal)
    )


def _digits(value: Fraction) -> int:
    return len(str(abs((value / last_place(value)).numerator)))


def last_place(value: Fraction) -> Fraction:
    """The value of one unit in a decimal's last digit."""
    places, rest = 0, value.denominator
    while rest % 10 == 0:
        rest, places = rest // 10, places + 1
    for prime in (2, 5):
        extra = 0
        while rest % prime == 0:
            rest, extra = rest // prime, extra + 1
        places += extra
    return Fraction(1, 10**places)


_WORDS_BEFORE = re.compile(
    r"^(?:(?:(?:approximately|about|around|nearly|roughly|exactly|only|just|almost|a total of"
    r"|total of|still|over|up to|another|an|additional|the|at least|at most)(?![A-Za-z])"
    r"|\\approx|\\sim|\+|:|=)\s*)+",
    re.IGNORECASE,
)

_MONEY = re.compile(
    r"(-?)\s*(\\?\$|£|€|₹|USD|US\$|Rs\.?|\\text\{\s*\\?\$\s*\}|\\pounds?)\s*(?=-?\s*[\d.])"
)

_MODULO = re.compile(r"\s*(?:,?\s*\(?\s*\\?p?b?mod\b.*|\\pmod\s*\{.*)$", re.DOTALL)

_TRAILING = re.compile(
    r"(?:(?<![\\A-Za-z])|(?=\\text))(?:\\text\{[^{}]*\}|[A-Za-z°%¢€£'./\s-]|\\%|\^\\circ"
    r"|\\cdot)+(?:\^\{?[23]\}?)?\s*$"
)

# "Quarters" are not among them, since they are also coins, and "seconds" are time.
PARTS = {
    "halves": 2,
    "thirds": 3,
    "fourths": 4,
    "fifths": 5,
    "sixths": 6,
    "sevenths": 7,
    "eighths": 8,
    "ninths": 9,
    "tenths": 10,
    "hundredths": 100,
    "thousandths": 1000,
}

_PARTS = re.compile(
    rf"(-?\d+|(?:{NUMBER_WORDS.pattern}))[\s-]*(?:\\text\{{\s*)?({'|'.join(PARTS)})\b",
    re.IGNORECASE,
)

_OPERATION = re.compile(  # words after a number that change it, or make it no number
    r"(?:factorial|choose|squared|cubed|more than|less than|fewer than|times|plus|minus|divided"
    r"|multiplied|over|to the|or)\b",
    re.IGNORECASE,
)


def quantity(text: str) -> Quantity | None:
    r"""The number that a text is as a whole; None if it is anything else.

    Example:
        >>> quantity("\\$18.00").value, quantity("3 apples").value, quantity("x")
        (Fraction(18, 1), Fraction(3, 1), None)
        >>> quantity("2+2")
        Quantity(value=Fraction(4, 1), exact=True, unit=None, percent=False)
    """
    text = _WORDS_BEFORE.sub("", _whole_text(clean(text))) if len(text) <= 4 * LONGEST else ""
    if not text:
        return None
    if parts := _PARTS.match(text):
        return _divided(parts[1], parts[2], text[parts.end() :])
    expression, unit, percent, known = split_unit(text)
    if not known:
        return None
    found = _value(_MODULO.sub("", expression))
    if found is None:
        return _magnified(text) or _compound(text)
    return Quantity(found[0], found[1], unit, percent)


def _magnified(text: str) -> Quantity | None:
    """A number times a word: "3 million", "5 dozen eggs"."""
    text = re.sub(r"\\text\{([^{}]*)\}", r" \1", text)
    found = re.fullmatch(
        r"(.*\d)\s*(hundred|thousand|million|billion|trillion|dozen)\b\s*(.*)", text, re.IGNORECASE
    )
    if found is None or (amount := quantity(f"{found[1]} {found[3]}")) is None or amount.percent:
        return None
    times = {"hundred": 100, "trillion": 10**12, "dozen": 12, **LARGE}[found[2].lower()]
    return Quantity(amount.value * times, amount.exact, amount.unit)


def _divided(count: str, part: str, behind: str) -> Quantity | None:
    """A fraction in words: "3 tenths", "two thirds cups"; None if more than a unit follows."""
    amount = quantity(f"{count} {behind}".strip(" }"))
    if amount is None or amount.percent or re.match(r"\s*(?:of|[a-z]+ of)\b", behind):
        return None
    return Quantity(amount.value / PARTS[part.lower()], amount.exact, amount.unit)


def _compound(text: str) -> Quantity | None:
    """An amount in two units of one measure: "5 feet 6 inches", "2 hours and 15 minutes"."""
    text = re.sub(r"\\text\{([^{}]*)\}", r" \1 ", text)
    found = re.fullmatch(
        r"(-?[\d.]+\s*[A-Za-z$]+)[,\s]\s*(?:and\s+)?([\d.]+\s*[A-Za-z]+)", text.strip()
    )
    parts = [quantity(part) for part in found.groups()] if found else []
    units = [part.unit for part in parts if part and part.unit]
    if len(units) != 2 or units[0].measures != units[1].measures or units[0].size <= units[1].size:
        return None
    first, second = (part for part in parts if part)
    return Quantity(
        first.value + second.value * units[1].size / units[0].size,
        first.exact and second.exact,
        units[0],
    )


def _whole_text(text: str) -> str:
    r"""``\text{204 minutes}`` as "204 minutes", if the command is around all of it."""
    inside = re.fullmatch(r"\\text\{([^{}]*)\}", text)
    return inside[1].strip() if inside else text


def split_unit(text: str) -> tuple[str, Unit | None, bool, bool]:
    """Split a cleaned text at its unit.

    Returns:
        The text before the unit, the unit or None, whether it is a percentage, and whether all of
        the text was understood.
    """
    unit: Unit | None = None
    if money := _MONEY.match(text):
        unit, text = UNITS[_currency(money[2])], money[1] + text[money.end() :]
    text = _aside(text)
    tail = _TRAILING.search(text)
    if tail is None or not tail[0].strip() or not text[: tail.start()].strip():
        counted = NUMBER_WORDS.match(text)
        known = UNITS.get(text[counted.end() :].strip().lower()) if counted else None
        return (text[: counted.end()], known, False, True) if counted else (text, unit, False, True)
    before, behind = text[: tail.start()], tail[0]
    if re.match(
        r"(?:hundred|thousand|million|billion|trillion|dozen)\b",
        re.sub(r"\\text\{|\}", " ", behind).strip(),
        re.IGNORECASE,
    ):
        return text, unit, False, True
    if _OPERATION.match(re.sub(r"\\text\{|\}", " ", behind).strip()):
        return text, unit, False, False
    if (
        not re.search(r"[\d})\]!]$|\\pi\s*$|\^\\circ\s*$", before.rstrip())
        and "\\text" not in behind
    ):
        return text, unit, False, True
    if "\\text" not in behind and _is_formula(before, behind):
        return text, unit, False, True
    words = re.sub(r"\\text\{([^{}]*)\}", r" \1 ", behind).replace("\\%", "%").strip(" .-")
    if re.match(r"(?:%|percent(?:age)?\b|pct\b|percentage points?\b)", words, re.IGNORECASE):
        return before.strip(), unit, True, True
    found = named(words)
    if found and unit and found.measures != unit.measures:
        return text, unit, False, True
    return before.strip(), found or unit, False, True


def _currency(sign: str) -> str:
    sign = re.sub(r"\\text|[\\{}.\s]", "", sign).lower()
    return {"us$": "$", "pound": "£", "pounds": "£"}.get(sign, sign)


def _aside(text: str) -> str:
    """Remove a remark in brackets after the number: ``73 (25 + 48)``, ``73 (mod 1000)``."""
    if (
        not text.endswith(")")
        or (begin := text.rfind(" (")) < 1
        or closing(text, begin + 1) != len(text) - 1
    ):
        return text
    inside, before = text[begin + 2 : -1], text[:begin].rstrip()
    if re.match(r"\s*\\?(?:p|b)?mod\b", inside) or re.fullmatch(
        r"(?:\\text\{[^{}]*\}|[A-Za-z ,.'$]{3,60})", inside
    ):
        return before
    value = _value(before)
    return before if value is not None and _value(inside.lstrip("= ")) == value else text


def _is_formula(before: str, behind: str) -> bool:
    """Whether letters after a number are symbols of a formula (``3x``, ``2 ab``), not a unit."""
    letters = behind.strip()
    if letters.startswith(("%", "'", "°", "¢", "€", "£", "^\\circ", "\\%")) or re.fullmatch(
        r"[cdk]?m\^\{?[23]\}?", letters
    ):
        return False
    first = re.match(r"[A-Za-z]+", letters)
    if first is None:
        return True
    word, spaced = first[0], behind[:1].isspace()
    if word.lower() in UNITS and (len(word) > 1 or (spaced and letters == word)):
        return False
    if len(word) == 1:
        return not (spaced and word in ONE_LETTER and len(letters) > 1 and letters[1] in "/.^")
    if len(word) == 2:
        return not spaced or " " not in letters
    return (not spaced and len(word) < 4) or not re.search(r"[aeiouy]", word.lower())


def _value(text: str) -> tuple[Fraction, bool] | None:
    """Calculate arithmetic on written numbers exactly.

    Returns:
        The value, and whether it was written exactly; None for anything else.
    """
    text = text.strip()
    if not text or len(text) > 2 * LONGEST:
        return None
    if (words := number_in_words(text)) is not None:
        return Fraction(words), True
    if mixed := re.fullmatch(
        r"([-+]?)\s*(\d+)\s*(?:\\frac\s*\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}"
        r"|\s(?:and\s+)?(\d+)\s*/\s*(\d+))",
        text,
    ):
        above, below = int(mixed[3] or mixed[5]), int(mixed[4] or mixed[6])
        if below and above < below:
            value = int(mixed[2]) + Fraction(above, below)
            return (-value if mixed[1] == "-" else value), True
    reader = Reader(text)
    try:
        value = reader.sum()
    except (ValueError, ZeroDivisionError, OverflowError, RecursionError):
        return None
    return (value, reader.exact) if reader.rest() == "" else None
