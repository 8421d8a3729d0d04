"""Numbers written as arithmetic or in words."""

from __future__ import annotations

import math
import re
from fractions import Fraction

LONGEST = 400  # the most digits of a number, and the largest power of ten
_NUMBER = re.compile(
    r"(?P<repeating>\d*\.(?P<head>\d*)(?:\\overline\s*\{(?P<bar>\d+)\}|\\dot\s*\{?(?P<dot>\d)\}?))"
    r"|(?P<decimal>(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
    r"|\.\d+)(?:[eE](?P<exponent>[+-]?\d{1,4})(?![\dA-Za-z]))?"
)


class Reader:
    """A left-to-right parser of arithmetic: sums, products, powers, fractions and brackets."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.exact, self.depth = text, 0, True, 0

    def rest(self) -> str:
        return self.text[self.at :].strip()

    def take(self, *signs: str) -> str | None:
        self.at += len(self.text[self.at :]) - len(self.text[self.at :].lstrip())
        for sign in signs:
            if self.text.startswith(sign, self.at):
                self.at += len(sign)
                return sign
        return None

    def sum(self) -> Fraction:
        self.depth += 1
        if self.depth > 30:
            raise ValueError("nested too deeply")
        sign = self.take("-", "+")
        value = -self.product() if sign == "-" else self.product()
        while sign := self.take("+", "-"):
            value = value + self.product() if sign == "+" else value - self.product()
        self.depth -= 1
        return value

    def product(self) -> Fraction:
        value = self.power()
        while True:
            if self.take("\\cdot", "\\times", "*"):
                value *= self.power()
            elif self.take("/", "\\div"):
                value /= self.power()
            elif self.text[self.at : self.at + 1] == "(":
                value *= self.power()  # 3(4) is a product; "3 4" and "3 (4)" are not read
            else:
                break
        if max(abs(value.numerator), value.denominator).bit_length() > 8 * LONGEST:
            raise ValueError("too long")
        return value

    def power(self) -> Fraction:
        value = self.number()
        if self.take("!"):
            if (
                value.denominator != 1
                or not 0 <= value <= 100
                or self.text[self.at : self.at + 1] == "!"
            ):
                raise ValueError("no factorial, or too large")
            value = Fraction(math.factorial(int(value)))
        if self.take("^"):
            raised = self.number() if self.text[self.at : self.at + 1] != "-" else -self._negative()
            if raised.denominator != 1 or abs(raised) > LONGEST:
                raise ValueError("no whole power, or too large")
            if (
                max(abs(value.numerator), value.denominator).bit_length() * abs(raised)
                > 8 * LONGEST
            ):
                raise ValueError("too long")
            value = value ** int(raised)
        return value

    def _negative(self) -> Fraction:
        self.take("-")
        return self.number()

    def number(self) -> Fraction:
        if self.take("\\binom"):
            above, below = self._group(), self._group()
            if (
                above.denominator != 1
                or below.denominator != 1
                or not 0 <= below <= above <= LONGEST
            ):
                raise ValueError("no binomial, or too large")
            return Fraction(math.comb(int(above), int(below)))
        if self.take("\\sqrt"):
            return self._root(self._group())
        if self.take("\\frac"):
            above = self._group()
            below = self._group()
            return above / below
        if self.take("-"):
            return -self.number()
        if self.take("(", "{", "["):
            value = self.sum()
            if not self.take(")", "}", "]"):
                raise ValueError("an open bracket")
            return value
        self.take("")
        found = _NUMBER.match(self.text, self.at)
        if found is None or len(found[0]) > LONGEST:
            raise ValueError("no number")
        self.at = found.end()
        if found["repeating"]:
            whole, _, _ = found[0].partition(".")
            head, period = found["head"], found["bar"] or found["dot"]
            value = Fraction(int(whole + head or 0), 10 ** len(head))
            return value + Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(head))
        exponent = int(found["exponent"] or 0)
        if abs(exponent) > LONGEST:
            raise ValueError("too large")
        written = found["decimal"].replace(",", "")
        value = Fraction(written) * Fraction(10) ** exponent
        self.exact &= "." not in written or value.denominator == 1
        return value

    @staticmethod
    def _root(value: Fraction) -> Fraction:
        """The root of a square. Other roots are left to the comparison of formulas."""
        root = Fraction(math.isqrt(max(0, value.numerator)), math.isqrt(value.denominator))
        if value < 0 or root * root != value:
            raise ValueError("no square")
        return root

    def _group(self) -> Fraction:
        if not self.take("{"):
            raise ValueError("no group")
        value = self.sum()
        if not self.take("}"):
            raise ValueError("an open group")
        return value


_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen"
    " nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORTH = {word: n for n, word in enumerate(_SMALL.split())} | {
    word: 20 + 10 * n for n, word in enumerate(_TENS.split())
}
LARGE = {"thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
NUMBER_WORDS = re.compile(
    r"(?<![A-Za-z-])(?:" + "|".join([*_WORTH, "hundred", *LARGE]) + r")(?:[\s-]+(?:and\s+)?(?:"
    + "|".join([*_WORTH, "hundred", *LARGE]) + r"))*(?![A-Za-z-])", re.IGNORECASE,
)  # fmt: skip


def number_in_words(text: str) -> int | None:
    """A whole number in English words, such as "one hundred and five"; None for anything else."""
    if not NUMBER_WORDS.fullmatch(text.strip()):
        return None
    total = group = 0
    for word in re.findall(r"[a-z]+", text.lower()):
        if word == "hundred":
            group = (group or 1) * 100
        elif word in LARGE:
            total, group = total + (group or 1) * LARGE[word], 0
        elif word != "and":
            group += _WORTH[word]
    return total + group
