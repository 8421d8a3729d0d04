"""The form of an answer: lists, tuples, intervals, equations, units and bases, compared part by part.

Two answers are taken apart until numbers, words or formulas are left. Numbers and words are compared here, exactly.
Formulas go to the function ``equal`` that the caller gives: math-verify, in a process of its own. So the rules that
mathematics alone would get wrong are in one place: 40 in base 9 is not 40, 5 hours are not 5 minutes, and (-2, 1) is
not "-2 and 1".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from s1lab.grade.quantities import Quantity, number_in_words, quantity, split_unit
from s1lab.grade.spelling import clean, closing

Equal = Callable[[str, str], bool]
MOST = 64  # parts of a list that are compared

_OR = re.compile(r"(?<![A-Za-z\\])or(?![A-Za-z])|\\text\{\s*or\s*\}|\\(?:lor|vee)(?![A-Za-z])")
_AND = re.compile(r",|;|(?<![A-Za-z\\])and(?![A-Za-z])|&|\\text\{\s*(?:,?\s*and|,)\s*\}|\\(?:land|wedge)(?![A-Za-z])")
_SEMICOLON = re.compile(r";")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_CUP = re.compile(r"\\cup(?![A-Za-z])")
_RELATION = re.compile(r"(?<![<>!=\\:])=(?!=)|\\approx(?![A-Za-z])|\\equiv(?![A-Za-z])")
_ORDER = re.compile(r"\\le(?![A-Za-z])|\\ge(?![A-Za-z])|<|>")
_MEMBER = re.compile(r"^(?:\\text\{[^{}]*\}|[A-Za-z]|\\[a-z]+|\s|_\{?\w+\}?)+\\in(?![A-Za-z])\s*")
_SYMBOL = re.compile(r"(?:[A-Za-z]|\\(?!frac|sqrt|pi|infty|text)[a-z]+)(?:_\{?[\w, ]+\}?|')*")
_NAMES = re.compile(  # (p, q), V_1:V_2, |AB|
    r"\(\s*[A-Za-z](?:_\{?\w+\}?)?(?:\s*,\s*[A-Za-z](?:_\{?\w+\}?)?)*\s*\)|\|[A-Z]{2,3}\|"
    r"|[A-Za-z](?:_\{?\w+\}?)?(?:\s*:\s*[A-Za-z](?:_\{?\w+\}?)?)+"
    r"|m?\s*\\(?:angle|triangle|overline|vec|overrightarrow)\s*\{?[A-Z]{1,3}\}?|\\frac\{d\w*\}\{d\w\}"
)
_SUM_OF_NAMES = re.compile(r"[A-Za-z](?:_\{?\w+\}?)?(?:\s*(?:[+-]|\\cdot)?\s*[A-Za-z](?:_\{?\w+\}?)?)*")  # m + n, xy
_LABEL = re.compile(r"(?:[A-Za-z]{1,2}|\\[a-z]+)(?:_\{?[\w, ]+\}?|'|\^\{?-1\}?)*\s*\(\s*[A-Za-z0-9, ]*\s*\)")  # f(x)
_BASED = re.compile(r"(?P<digits>-?[0-9A-Fa-f]+(?:\.[0-9A-Fa-f]+)?)\s*_\s*\{?\s*\(?(?:\\text\{)?\s*(?P<base>\w+)\s*\}?\)?\s*\}?")
_BASES = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "sixteen": 16}
_DENIES = re.compile(r"\bnot\b|n't\b|\bcannot\b|\bnever\b", re.IGNORECASE)
_COMMAND = re.compile(r"\\(?:begin|end)\{\w+\}(?:\{[clr|]+\})?|\\(?!text)[A-Za-z]+")
_RATIO = re.compile(r"\d+(?:\.\d+)?(?:\s*:\s*\d+(?:\.\d+)?){2,}")
_MATRIX = re.compile(r"\\begin\{([pbvB]?(?:matrix|array))\}(?:\{[^{}]*\})?(.*)\\end\{\1\}", re.DOTALL)
_PLUS_MINUS = re.compile(r"\\(?:pm|mp)(?![A-Za-z])")
_PAIRS = {"(": ")", "[": "]", "\\{": "\\}", "\\langle": "\\rangle"}


@dataclass
class Form:
    """An answer taken apart. kind: "one", "list" (no order), "row" (in order), "union" or "or".
    edges: a row's brackets. name: the unknown of an inequality that was read as an interval.
    """

    kind: str
    text: str
    parts: Sequence[Form] = ()
    edges: str = ""
    name: str = ""


class Comparison:
    """Compares two answers; ``reason`` says afterwards what decided.

    equal: decides on two formulas, as LaTeX. It may raise; the exception goes on to the caller.
    """

    def __init__(self, equal: Equal) -> None:
        self._equal, self.reason = equal, ""

    def same(self, given: str, gold: str) -> bool:
        """Whether two answers are the same one. The order matters: the reference says what must be named."""
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
            return self._matched(*pieces) or (len(pieces[0]) != len(pieces[1]) and self._by_formula(a, b))
        a, b = _as_row(a), _as_row(b)
        if "list" in (a.kind, b.kind):
            return self._lists(a, b)
        if a.kind == b.kind == "row":
            if a.name and b.name and a.name != b.name:
                self.reason = "another unknown"
                return False
            if len(a.parts) != len(b.parts) or (a.edges != b.edges and (len(a.parts) == 2 or ":" in a.edges + b.edges)):
                self.reason = "other brackets, or another number of parts"
                return False
            return all(self._forms(x, y) for x, y in zip(a.parts, b.parts, strict=True))
        if "row" in (a.kind, b.kind):
            return self._row_and_one(a, b)
        return self._ones(a.text, b.text)

    def _alternatives(self, a: Form, b: Form) -> bool:
        """Alternatives: "3 or 5" answers a reference that names both, and none that names one number."""
        first, second = (_pieces(f) if f.kind == "or" else list(f.parts) if f.kind in ("list", "union") else [f] for f in (a, b))
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
            return self._forms(listed.parts[0], b) if listed is a else self._forms(a, listed.parts[0])
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
        """Whether two lists hold the same answers, in any order. One that is named twice counts once."""
        first, second = _flat(first), _flat(second)
        if len(first) != len(second):
            first, second = (list({plain(f.text): f for f in forms}.values()) for forms in (first, second))
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
        """Two answers without parts: bases, numbers, equations, words, and at last formulas."""
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
            self.reason = f"a number of {a.unit.measures}, where the reference is of {b.unit.measures}"
        return a.same(b)

    def _bases(self, a: str, b: str) -> bool | None:
        """A number with its base below. None where neither is one.

        The digits decide where the response leaves the base out, as in the original's judge; a base that the reference
        leaves out makes it the value that decides.
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
        """Equations: "x = 5" names a value, and so does "2 + 3 = 5"; "x^2 = 4" states something. None for no equation."""
        first, second = _sides(a), _sides(b)
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
        names = [s[0].strip() if _is_name(s[0]) else None for s in (first, second)]
        if all(names) and not (_is_name(first[-1]) or _is_name(second[-1])):
            if plain(str(names[0])) != plain(str(names[1])) and not all(_LABEL.fullmatch(str(n)) for n in names):
                self.reason = "another unknown"
                return False
            return self._forms(read(first[-1]), read(second[-1]))
        return self._formulas(a, b)

    def _words(self, a: str, b: str) -> bool:
        self.reason = "another text"
        if words(a) == words(b):
            self.reason = "the same words"
            return True
        if is_words(a) and not is_words(b) and (side := concluded(a)) != a and not _DENIES.search(a):  # \boxed{The area is 5}
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


def plain(text: str) -> str:
    """A text without spaces and case."""
    return re.sub(r"\s+", "", text).casefold()


def words(text: str) -> str:
    """The words of an answer, without case, marks, brackets around one letter, and articles."""
    text = re.sub(r"\\text\{([^{}]*)\}", r" \1 ", text)
    text = re.sub(r"[^\w\s+\-\u0080-\U0010ffff]", " ", text).casefold()
    return " ".join(word for word in text.split() if word not in ("the", "a", "an"))


def is_words(text: str) -> bool:
    r"""Whether an answer is made of words: ``\text{...}`` with letters, or plain words of four letters or more."""
    expression, _, _, _ = split_unit(text)
    if re.search(r"\\text\{[^{}]*[A-Za-z]{2}", expression):
        return True
    bare = _COMMAND.sub(" ", re.sub(r"_\{[^{}]*\}|_\w", " ", expression))
    return bool(re.search(r"[A-Za-z]{4}", bare)) or len(re.findall(r"[A-Za-z]{2,}", bare)) > 2 or not bare.isascii()


def concluded(text: str) -> str:
    """What a sentence says at its end: what stands behind its last "is", "are" or "equals"."""
    return re.split(r"(?<![A-Za-z])(?:is|are|equals|was|be)(?![A-Za-z])(?:\\?\s|:)*", text)[-1]


def read(text: str) -> Form:
    """Take a cleaned answer apart."""
    text = _unwrapped(text)
    if len(parts := _split(text, _OR)) > 1:
        return Form("or", text, [read(p) for p in parts])
    if len(parts := _split(text, _CUP)) > 1:
        return Form("union", text, [read(p) for p in parts])
    if _is_grouped(text) or number_in_words(text) is not None or (" and " in text and quantity(text) is not None):
        return Form("one", text)
    text = re.sub(r"^[A-Z]\s*(?=\([^()]*,[^()]*\)$)", "", text)  # the point P(3, 4)
    if len(parts := _split(text, _SEMICOLON)) > 1:  # "p = 5, q = 2; p = 7, q = 2"
        return Form("list", text, [read(p) for p in parts])
    enclosed = next((row for o, c in _PAIRS.items() if text.startswith(o) and (row := _enclosed(text, o, c)) is not None), None)
    if enclosed is not None:
        return enclosed
    if len(parts := _split(text, _AND)) > 1:
        return Form("list", text, [read(p) for p in parts])
    if _RATIO.fullmatch(text):
        first, *rest = text.split(":")
        return Form("row", text, [Form("one", f"({part})/({first})") for part in rest], ":")  # 2:4:6 is 1:2:3
    if matrix := _MATRIX.fullmatch(text):
        rows = [r for r in re.split(r"\\\\", matrix[2]) if r.strip()]
        cells = [c for r in rows for c in r.split("&")]
        if min(len(rows), len(cells) // max(1, len(rows))) == 1 and len(cells) > 1:
            return Form("row", text, [read(c.strip()) for c in cells], "()")
    if len(signs := _PLUS_MINUS.findall(text)) == 1 and not _RELATION.search(text.partition(signs[0])[2]):
        before, _, behind = text.partition(signs[0])
        return Form("list", text, [read(f"{before} {sign} {behind}".strip()) for sign in "+-"])
    return Form("one", text)


def _readings(given: str, gold: str) -> list[tuple[str, str]]:
    """The ways to read two answers: commas between thousands may be those of a list of numbers too."""
    joined = given, gold = _joined(given), _joined(gold)
    if _is_grouped(given) == _is_grouped(gold):
        return [joined]
    return [joined, (_THOUSANDS.sub(", ", given), _THOUSANDS.sub(", ", gold))]


def _joined(text: str) -> str:
    """A calculation with the commas between its thousands left out: "14,507 + 213 = 14,720"."""
    if re.search(r"[+=*/]|\\cdot|\\times", text) and not re.search(r",\s|,(?!\d{3}(?!\d))|[(\[{;]", text):
        return _THOUSANDS.sub("", text)
    return text


def _is_grouped(text: str) -> bool:
    """Whether a text is one number with commas between its thousands, and perhaps a unit."""
    return bool(re.match(r"^-?\\?\$?\s*\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])(?!.*[,;])", text))


def _unwrapped(text: str) -> str:
    """Without braces, or round brackets, around all of it."""
    text = text.strip()
    for _ in range(4):
        if text[:1] not in ("{", "(") or closing(text, 0) != len(text) - 1:
            break
        inside = text[1:-1].strip()
        if text[0] == "(" and len(_split(inside, _AND)) > 1:
            break
        text = inside
    return text


def _enclosed(text: str, opens: str, closes: str) -> Form | None:
    """A row or a set in brackets; None where the brackets are not around all of it, or hold one part of something else."""
    for end in [closes] if opens.startswith("\\") else [")", "]"]:
        if not text.endswith(end) or len(text) < len(opens) + len(end):
            continue
        inside = text[len(opens) : len(text) - len(end)]
        if not _balanced(inside):
            continue
        parts = _split(inside, _AND)
        if opens == "\\{":
            return None if re.search(r"\||(?<!\\):|\\mid", inside) else Form("list", text, [read(p) for p in parts])
        if len(parts) > 1:
            edges = "()" if opens == "\\langle" else opens + end
            return Form("row", text, [read(p) for p in parts], edges)
    return None


def _balanced(text: str) -> bool:
    depth = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if depth < 0:
            return False
    return depth == 0


def _split(text: str, pattern: re.Pattern[str]) -> list[str]:
    """The parts between matches that stand outside of all brackets and environments; empty ones are left out."""
    depths, depth = [], 0
    marks = {m.start(): 1 if m[0].startswith("\\begin") else -1 for m in re.finditer(r"\\(?:begin|end)(?=\{)", text)}
    for place, character in enumerate(text):
        depth += marks.get(place, 0) + (character in "([{") - (character in ")]}")
        depths.append(depth - (character in "([{"))
    parts, begin = [], 0
    for found in pattern.finditer(text):
        if depths[found.start()] == 0:
            parts.append(text[begin : found.start()])
            begin = found.end()
    return [p.strip() for p in [*parts, text[begin:]] if p.strip()]


def _as_row(form: Form) -> Form:
    """An inequality as the interval that it says, ``x \\in S`` as S; anything else as it is."""
    if form.kind != "one":
        return form
    if member := _MEMBER.match(form.text):
        return _as_row(read(form.text[member.end() :]))
    return _interval(form.text) or form


def _interval(text: str) -> Form | None:
    """An inequality as an interval: "x < 3" as (-infinity, 3), "1 <= x < 2" as [1, 2); None for anything else."""
    signs = _ORDER.findall(text)
    sides = [s.strip() for s in _ORDER.split(text)]
    if not signs or len(signs) > 2 or not all(sides):
        return None
    if all(sign in (">", "\\ge") for sign in signs):
        signs, sides = [{">": "<", "\\ge": "\\le"}[s] for s in reversed(signs)], sides[::-1]
    if any(sign in (">", "\\ge") for sign in signs):
        return None
    names = [bool(_SYMBOL.fullmatch(side)) for side in sides]
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
    """The parts of a union, or of "x < 1 or x > 2", as intervals; "x \\in" before the first is left out."""
    parts = list(form.parts) if form.kind in ("or", "union") else [form]
    return [piece for part in map(_as_row, parts) for piece in ([part] if part.kind != "union" else _pieces(part))]


def _flat(forms: Sequence[Form]) -> list[Form]:
    """Answers out of lists within a list, such as the two of a plus-or-minus sign; "x = 1, y = 2" stays together."""
    flat: list[Form] = []
    for form in forms:
        flat += _flat(form.parts) if form.kind in ("list", "or") and _assigned(form) is None else [form]
    return flat


def _assigned(form: Form) -> list[Form] | None:
    """The values of "x = 1, y = 2" in the order of the names; None where the parts are no assignments of different names."""
    pairs = [_sides(part.text) for part in form.parts]
    if not all(len(p) == 2 and _SYMBOL.fullmatch(p[0]) for p in pairs) or len({p[0] for p in pairs}) != len(pairs):
        return None
    return [read(value) for _, value in sorted(pairs, key=lambda p: p[0])]


def _sides(text: str) -> list[str]:
    return _split(text, _RELATION) or [text]


def _value_side(text: str) -> str:
    """What an assignment assigns; a text without one as it is."""
    found = values(text) if len(_sides(text)) > 1 else []
    return found[0] if found else text


def values(text: str) -> list[str]:
    """The sides of an equation that may be the answer; none for one that states something, such as x^2 + y^2 = 4.

    A name on one side ("x", "f(x)", "m + n", words) names the other. A calculation ends with its value, which is the first
    side too, and the only exact one before a rounded one.
    """
    sides = _sides(text)
    named = [side for side in sides if not (_is_name(side) or _SUM_OF_NAMES.fullmatch(side))]
    if len(named) == len(sides) and any(_has_unknown(side) for side in sides):
        return []
    if not named:
        named = sides[-1:]
    if re.search(r"\\approx", text):
        return list(dict.fromkeys([named[0], named[-1]]))
    return list(dict.fromkeys([named[-1], named[0]] if len(named) == len(sides) else named[-1:]))


def _is_name(side: str) -> bool:
    """Whether a side of an equation is a name: x, f(x), A_n, or words."""
    return bool(_SYMBOL.fullmatch(side) or _LABEL.fullmatch(side) or _NAMES.fullmatch(side)) or is_words(side)


def _has_unknown(side: str) -> bool:
    """Whether a side has a letter that is no function and no constant."""
    bare = _COMMAND.sub(" ", re.sub(r"\\text\{[^{}]*\}", " ", side))
    return bool(re.search(r"[A-Za-df-hj-z]", bare) or re.search(r"\\(?:theta|alpha|beta|lambda|mu|phi)(?![a-z])", side))


def _based(text: str) -> tuple[str, int] | None:
    text = re.sub(r"^\((-?\w+)\)(?=\s*_)", r"\1", _value_side(text).replace(",", "").strip())
    found = _BASED.fullmatch(text)
    if found is None:
        return None
    base = int(found["base"]) if found["base"].isdigit() else _BASES.get(found["base"].lower(), 0)
    return (found["digits"], base) if 2 <= base <= 36 and _worth(found["digits"], base) is not None else None


def _worth(digits: str, base: int) -> Fraction | None:
    """The value of digits in a base; None where one of them is no digit of it."""
    whole, _, behind = digits.partition(".")
    try:
        return Fraction(int(whole + behind, base), base ** len(behind))
    except ValueError:
        return None
