"""Compare the form of two answers: lists, tuples, intervals, equations, units and bases.

Two answers are taken apart until numbers, words or formulas are left. Numbers and words are
compared here, exactly. Formulas go to the caller's function ``equal``: math-verify, in a process of
its own. So this module holds all the rules that mathematics alone would get wrong: 40 in base 9 is
not 40, 5 hours are not 5 minutes, and (-2, 1) is not "-2 and 1".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction

from s1lab.evaluation.grade.quantities import Quantity, quantity, split_unit
from s1lab.evaluation.grade.reading import (
    LABEL,
    SYMBOL,
    Form,
    concluded,
    is_grouped,
    is_name,
    is_words,
    plain,
    read,
    sides_of,
    values,
    words,
)
from s1lab.evaluation.grade.spelling import clean

Equal = Callable[[str, str], bool]


MOST = 64  # the most parts of a list that are compared


_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


_ORDER = re.compile(r"\\le(?![A-Za-z])|\\ge(?![A-Za-z])|<|>")


_MEMBER = re.compile(r"^(?:\\text\{[^{}]*\}|[A-Za-z]|\\[a-z]+|\s|_\{?\w+\}?)+\\in(?![A-Za-z])\s*")


_BASED = re.compile(
    r"(?P<digits>-?[0-9A-Fa-f]+(?:\.[0-9A-Fa-f]+)?)\s*_\s*\{?\s*\(?(?:\\text\{)?\s*(?P<base>\w+)\s*\}?\)?\s*\}?"
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


_DENIES = re.compile(r"\bnot\b|n't\b|\bcannot\b|\bnever\b", re.IGNORECASE)


class Comparison:
    """Compares two answers. Afterwards ``reason`` says what decided.

    Args:
        equal: Decides on two formulas, given as LaTeX. If it raises, the exception goes on to the
            caller.
    """

    def __init__(self, equal: Equal) -> None:
        self._equal, self.reason = equal, ""

    def same(self, given: str, gold: str) -> bool:
        """Whether two answers are the same. The order matters: the second is the reference."""
        mine, wanted = clean(given), clean(gold)
        if plain(mine) == plain(wanted):
            self.reason = "the same text"
            return True
        if not mine or not wanted:
            self.reason = "another text"
            return False
        self.reason = "the same parts"
        return any(self._forms(read(a), read(b)) for a, b in _readings(mine, wanted))

    def _forms(self, a: Form, b: Form) -> bool:
        if plain(a.text) == plain(b.text):
            return True
        if a.kind == "or" or b.kind == "or":
            return self._alternatives(a, b)
        if a.kind == "union" or b.kind == "union":
            pieces = [_pieces(a), _pieces(b)]
            return self._matched(*pieces) or (
                len(pieces[0]) != len(pieces[1]) and self._by_formula(a, b)
            )
        a, b = _as_row(a), _as_row(b)
        if "list" in (a.kind, b.kind):
            return self._lists(a, b)
        if a.kind == b.kind == "row":
            if a.name and b.name and a.name != b.name:
                self.reason = "another unknown"
                return False
            if len(a.parts) != len(b.parts) or (
                a.edges != b.edges and (len(a.parts) == 2 or ":" in a.edges + b.edges)
            ):
                self.reason = "other brackets, or another number of parts"
                return False
            return all(self._forms(x, y) for x, y in zip(a.parts, b.parts, strict=True))
        if "row" in (a.kind, b.kind):
            return self._row_and_one(a, b)
        return self._ones(a.text, b.text)

    def _alternatives(self, a: Form, b: Form) -> bool:
        """Compare alternatives.

        "3 or 5" equals a reference that names both, and no reference that names one number.
        """
        first, second = (
            _pieces(f) if f.kind == "or" else list(f.parts) if f.kind in ("list", "union") else [f]
            for f in (a, b)
        )
        if b.kind != "one" and b.kind != "row":
            return self._matched(first, second)
        self.reason = "more than one answer is given"
        return all(self._forms(x, b) for x in first)

    def _lists(self, a: Form, b: Form) -> bool:
        if a.kind == b.kind == "list":
            return self._matched(list(a.parts), list(b.parts))
        listed, other = (a, b) if a.kind == "list" else (b, a)
        if other.kind == "row":
            values = _assigned(listed)
            if values is not None and len(values) == len(other.parts) and other.edges == "()":
                return all(self._forms(x, y) for x, y in zip(values, other.parts, strict=True))
            if len(other.parts) > 2 and other.edges == "[]":  # [1, 2, 3], as programs print a list
                return self._matched(list(a.parts), list(b.parts))
            self.reason = "one is ordered or an interval, the other a list"
            return False
        if len(listed.parts) == 1:
            return (
                self._forms(listed.parts[0], b) if listed is a else self._forms(a, listed.parts[0])
            )
        side = _value_side(other.text)  # S = {1, 2}
        if side != other.text and (inner := read(side)).kind == "list":
            return self._matched(list(listed.parts), list(inner.parts))
        self.reason = "one is a list, the other a single answer"
        return False

    def _row_and_one(self, a: Form, b: Form) -> bool:
        one, row = (a, b) if a.kind == "one" else (b, a)
        side = _value_side(one.text)
        if side != one.text and (inner := _as_row(read(side))).kind == "row":
            return self._forms(inner, row) if one is a else self._forms(row, inner)
        self.reason = "one has several parts in order, the other one"
        return False

    def _matched(self, first: list[Form], second: list[Form]) -> bool:
        """Whether two lists contain the same answers in any order. Repeats count once."""
        first, second = _flat(first), _flat(second)
        if len(first) != len(second):
            first, second = (
                list({plain(f.text): f for f in forms}.values()) for forms in (first, second)
            )
        if len(first) != len(second) or len(first) > MOST:
            self.reason = "another number of answers"
            return False
        left = list(second)
        for part in first:
            found = next((i for i, other in enumerate(left) if self._forms(part, other)), None)
            if found is None:
                return False
            del left[found]
        return True

    def _ones(self, a: str, b: str) -> bool:
        """Compare two answers without parts: bases, numbers, equations, words, then formulas."""
        if (based := self._bases(a, b)) is not None:
            return based
        numbers = quantity(a), quantity(b)
        if numbers[0] is not None and numbers[1] is not None:
            return self._numbers(numbers[0], numbers[1])
        if (related := self._related(a, b)) is not None:
            return related
        if is_words(a) or is_words(b):
            return self._words(a, b)
        if bool(_ORDER.search(a)) != bool(_ORDER.search(b)):
            self.reason = "one is an inequality, the other none"
            return False
        return self._formulas(a, b)

    def _numbers(self, a: Quantity, b: Quantity) -> bool:
        self.reason = "numbers compared"
        if a.unit and b.unit and a.unit.measures != b.unit.measures:
            self.reason = (
                f"a number of {a.unit.measures}, where the reference is of {b.unit.measures}"
            )
        return a.same(b)

    def _bases(self, a: str, b: str) -> bool | None:
        """Compare numbers with a base written below them; None if neither is one.

        If the response leaves the base out, the digits decide, as in the original's judge. If the
        reference leaves the base out, the value decides.
        """
        mine, wanted = _based(a), _based(b)
        if mine is None and wanted is None:
            return None
        self.reason = "numbers with their bases compared"
        if wanted is None:
            assert mine is not None
            number = quantity(b)
            return number is not None and _worth(*mine) == number.value and number.unit is None
        if mine is None:
            bare = re.sub(r"[\s,]", "", _value_side(a)).lower()
            return bare.lstrip("+0") == wanted[0].lower().lstrip("0")
        return mine[1] == wanted[1] and mine[0].lower().lstrip("0") == wanted[0].lower().lstrip("0")

    def _related(self, a: str, b: str) -> bool | None:
        """Compare equations; None if neither is one.

        "x = 5" names a value, and so does "2 + 3 = 5". "x^2 = 4" states something.
        """
        first, second = sides_of(a), sides_of(b)
        if len(first) == 1 and len(second) == 1:
            return None
        if len(second) == 1:
            if not (sides := values(a)):
                self.reason = "it is an equation, and the reference none"
            return any(self._forms(read(side), read(b)) for side in sides)
        if len(first) == 1:
            if not (sides := values(b)):
                self.reason = "the reference is an equation, and it is none"
            return any(self._forms(read(a), read(side)) for side in sides)
        names = [s[0].strip() if is_name(s[0]) else None for s in (first, second)]
        if all(names) and not (is_name(first[-1]) or is_name(second[-1])):
            if plain(str(names[0])) != plain(str(names[1])) and not all(
                LABEL.fullmatch(str(n)) for n in names
            ):
                self.reason = "another unknown"
                return False
            return self._forms(read(first[-1]), read(second[-1]))
        return self._formulas(a, b)

    def _words(self, a: str, b: str) -> bool:
        self.reason = "another text"
        if words(a) == words(b):
            self.reason = "the same words"
            return True
        # Such as \boxed{The area is 5}.
        if (
            is_words(a)
            and not is_words(b)
            and (side := concluded(a)) != a
            and not _DENIES.search(a)
        ):
            return self._forms(read(clean(side)), read(b))
        return False

    def _formulas(self, a: str, b: str) -> bool:
        (left, unit, percent, _), (right, other, of_hundred, _) = split_unit(a), split_unit(b)
        if unit and other and unit != other:
            self.reason = f"of {unit.measures}, where the reference is of {other.measures}"
            return False
        if unit or percent:
            a = left
        if other or of_hundred:
            b = right
        if not unit and "\\text" in a[len(left) :]:
            a = left
        if not other and "\\text" in b[len(right) :]:
            b = right
        dots = [bool(re.search(r"\\[lc]?dots|\.\.\.", text)) for text in (a, b)]
        found = dots[0] == dots[1] and self._equal(a, b)
        self.reason = f"{'equal' if found else 'not equal'} by math-verify"
        return found

    def _by_formula(self, a: Form, b: Form) -> bool:
        found = self._equal(a.text, b.text)
        self.reason = f"{'equal' if found else 'not equal'} by math-verify"
        return found


def _readings(given: str, gold: str) -> list[tuple[str, str]]:
    """The ways to read two answers: commas between thousands may also separate list items."""
    joined = given, gold = _joined(given), _joined(gold)
    if is_grouped(given) == is_grouped(gold):
        return [joined]
    return [joined, (_THOUSANDS.sub(", ", given), _THOUSANDS.sub(", ", gold))]


def _joined(text: str) -> str:
    """A calculation without the commas between its thousands: "14,507 + 213 = 14,720"."""
    if re.search(r"[+=*/]|\\cdot|\\times", text) and not re.search(
        r",\s|,(?!\d{3}(?!\d))|[(\[{;]", text
    ):
        return _THOUSANDS.sub("", text)
    return text


def _as_row(form: Form) -> Form:
    r"""An inequality as its interval, ``x \in S`` as S, anything else unchanged."""
    if form.kind != "one":
        return form
    if member := _MEMBER.match(form.text):
        return _as_row(read(form.text[member.end() :]))
    return _interval(form.text) or form


def _interval(text: str) -> Form | None:
    """An inequality as an interval; None for anything else.

    "x < 3" becomes (-infinity, 3), and "1 <= x < 2" becomes [1, 2).
    """
    signs = _ORDER.findall(text)
    sides = [s.strip() for s in _ORDER.split(text)]
    if not signs or len(signs) > 2 or not all(sides):
        return None
    if all(sign in (">", "\\ge") for sign in signs):
        signs, sides = [{">": "<", "\\ge": "\\le"}[s] for s in reversed(signs)], sides[::-1]
    if any(sign in (">", "\\ge") for sign in signs):
        return None
    names = [bool(SYMBOL.fullmatch(side)) for side in sides]
    if len(sides) == 3 and names[1]:
        ends, open_ends = [sides[0], sides[2]], [signs[0] == "<", signs[1] == "<"]
    elif len(sides) == 2 and names[0] and not names[1]:
        ends, open_ends = ["-\\infty", sides[1]], [True, signs[0] == "<"]
    elif len(sides) == 2 and names[1] and not names[0]:
        ends, open_ends = [sides[0], "\\infty"], [signs[0] == "<", True]
    else:
        return None
    edges = ("(" if open_ends[0] else "[") + (")" if open_ends[1] else "]")
    name = sides[1] if len(sides) == 3 or names[1] else sides[0]
    return Form("row", text, [Form("one", e) for e in ends], edges, name)


def _pieces(form: Form) -> list[Form]:
    r"""The parts of a union, or of "x < 1 or x > 2", as intervals, without a leading "x \in"."""
    parts = list(form.parts) if form.kind in ("or", "union") else [form]
    return [
        piece
        for part in map(_as_row, parts)
        for piece in ([part] if part.kind != "union" else _pieces(part))
    ]


def _flat(forms: Sequence[Form]) -> list[Form]:
    """The answers of lists within a list, such as the two of a plus-or-minus sign.

    "x = 1, y = 2" stays together.
    """
    flat: list[Form] = []
    for form in forms:
        flat += (
            _flat(form.parts) if form.kind in ("list", "or") and _assigned(form) is None else [form]
        )
    return flat


def _assigned(form: Form) -> list[Form] | None:
    """The values of "x = 1, y = 2" in the order of the names.

    None if the parts are not assignments of different names.
    """
    pairs = [sides_of(part.text) for part in form.parts]
    if not all(len(p) == 2 and SYMBOL.fullmatch(p[0]) for p in pairs) or len(
        {p[0] for p in pairs}
    ) != len(pairs):
        return None
    return [read(value) for _, value in sorted(pairs, key=lambda p: p[0])]


def _value_side(text: str) -> str:
    """The value of an assignment; a text without one unchanged."""
    found = values(text) if len(sides_of(text)) > 1 else []
    return found[0] if found else text


def _based(text: str) -> tuple[str, int] | None:
    text = re.sub(r"\\text\s*\{([^{}]*)\}", r" \1 ", text)
    text = _BASE_IN_WORDS.sub(r"_{\1}", text)
    text = re.sub(r"^\((-?\w+)\)(?=\s*_)", r"\1", _value_side(text).replace(",", "").strip())
    found = _BASED.fullmatch(text)
    if found is None:
        return None
    base = int(found["base"]) if found["base"].isdigit() else _BASES.get(found["base"].lower(), 0)
    return (
        (found["digits"], base)
        if 2 <= base <= 36 and _worth(found["digits"], base) is not None
        else None
    )


def _worth(digits: str, base: int) -> Fraction | None:
    """The value of digits in a base; None if one of them is not a digit of that base."""
    whole, _, behind = digits.partition(".")
    try:
        return Fraction(int(whole + behind, base), base ** len(behind))
    except ValueError:
        return None
