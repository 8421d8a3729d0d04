"""Read an answer in LaTeX or plain text into a form that can be compared."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from s1lab.evaluation.grade.arithmetic import number_in_words
from s1lab.evaluation.grade.quantities import last_place, quantity, split_unit
from s1lab.evaluation.grade.spelling import closing

_OR = re.compile(r"(?<![A-Za-z\\])or(?![A-Za-z])|\\text\{\s*or\s*\}|\\(?:lor|vee)(?![A-Za-z])")
_AND = re.compile(
    r",|;|(?<![A-Za-z\\])and(?![A-Za-z])|&|\\text\{\s*(?:,?\s*and|,)\s*\}|\\(?:land"
    r"|wedge)(?![A-Za-z])"
)
_SEMICOLON = re.compile(r";")
_CUP = re.compile(r"\\cup(?![A-Za-z])")
RELATION = re.compile(r"(?<![<>!=\\:])=(?!=)|\\approx(?![A-Za-z])|\\equiv(?![A-Za-z])")
SYMBOL = re.compile(r"(?:[A-Za-z]|\\(?!frac|sqrt|pi|infty|text)[a-z]+)(?:_\{?[\w, ]+\}?|')*")
_NAMES = re.compile(  # (p, q), V_1:V_2, |AB|
    r"\(\s*[A-Za-z](?:_\{?\w+\}?)?(?:\s*,\s*[A-Za-z](?:_\{?\w+\}?)?)*\s*\)|\|[A-Z]{2,3}\|"
    r"|[A-Za-z](?:_\{?\w+\}?)?(?:\s*:\s*[A-Za-z](?:_\{?\w+\}?)?)+"
    r"|m?\s*\\(?:angle|triangle|overline|vec|overrightarrow)\s*\{?[A-Z]{1,3}\}?"
    r"|\\frac\{d\w*\}\{d\w\}"
)
# Such as m + n or xy.
_SUM_OF_NAMES = re.compile(
    r"[A-Za-z](?:_\{?\w+\}?)?(?:\s*(?:[+-]|\\cdot)?\s*[A-Za-z](?:_\{?\w+\}?)?)*"
)
# Such as f(x).
LABEL = re.compile(
    r"(?:[A-Za-z]{1,2}|\\[a-z]+)(?:_\{?[\w, ]+\}?|'|\^\{?-1\}?)*\s*\(\s*[A-Za-z0-9, ]*\s*\)"
)
_COMMAND = re.compile(r"\\(?:begin|end)\{\w+\}(?:\{[clr|]+\})?|\\(?!text)[A-Za-z]+")
_RATIO = re.compile(r"\d+(?:\.\d+)?(?:\s*:\s*\d+(?:\.\d+)?){2,}")
_MATRIX = re.compile(
    r"\\begin\{([pbvB]?(?:matrix|array))\}(?:\{[^{}]*\})?(.*)\\end\{\1\}", re.DOTALL
)
_PLUS_MINUS = re.compile(r"\\(?:pm|mp)(?![A-Za-z])")
_PAIRS = {"(": ")", "[": "]", "\\{": "\\}", "\\langle": "\\rangle"}


@dataclass
class Form:
    """An answer taken apart.

    Attributes:
        kind: "one", "list" (no order), "row" (in order), "union" or "or".
        text: The text that was read.
        parts: The forms of its parts.
        edges: A row's brackets.
        name: The unknown of an inequality that was read as an interval.
    """

    kind: str
    text: str
    parts: Sequence[Form] = ()
    edges: str = ""
    name: str = ""


def plain(text: str) -> str:
    """A text without case and spaces. Only a space between two digits stays: 1 1/2 is not 11/2."""
    return re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", text).casefold()


def words(text: str) -> str:
    """The words of an answer without case, marks, brackets around one letter, and articles."""
    text = re.sub(r"\\text\{([^{}]*)\}", r" \1 ", text)
    text = re.sub(r"[^\w\s+\-\u0080-\U0010ffff]", " ", text).casefold()
    return " ".join(word for word in text.split() if word not in ("the", "a", "an"))


def is_words(text: str) -> bool:
    r"""Whether an answer is words: ``\text{...}`` with letters, or words of 4 letters or more."""
    expression, _, _, _ = split_unit(text)
    if re.search(r"\\text\{[^{}]*[A-Za-z]{2}", expression):
        return True
    bare = _COMMAND.sub(" ", re.sub(r"_\{[^{}]*\}|_\w", " ", expression))
    return (
        bool(re.search(r"[A-Za-z]{4}", bare))
        or len(re.findall(r"[A-Za-z]{2,}", bare)) > 2
        or not bare.isascii()
    )


def concluded(text: str) -> str:
    """The conclusion of a sentence: the text after its last "is", "are" or "equals"."""
    return re.split(r"(?<![A-Za-z])(?:is|are|equals|was|be)(?![A-Za-z])(?:\\?\s|:)*", text)[-1]


def read(text: str) -> Form:
    """Take a cleaned answer apart."""
    text = _unwrapped(text)
    if len(parts := split_outside(text, _OR)) > 1:
        return Form("or", text, [read(p) for p in parts])
    if len(parts := split_outside(text, _CUP)) > 1:
        return Form("union", text, [read(p) for p in parts])
    if (
        is_grouped(text)
        or number_in_words(text) is not None
        or (" and " in text and quantity(text) is not None)
    ):
        return Form("one", text)
    text = re.sub(r"^[A-Z]\s*(?=\([^()]*,[^()]*\)$)", "", text)  # the point P(3, 4)
    if len(parts := split_outside(text, _SEMICOLON)) > 1:  # "p = 5, q = 2; p = 7, q = 2"
        return Form("list", text, [read(p) for p in parts])
    enclosed = next(
        (
            row
            for o, c in _PAIRS.items()
            if text.startswith(o) and (row := _enclosed(text, o, c)) is not None
        ),
        None,
    )
    if enclosed is not None:
        return enclosed
    if len(parts := split_outside(text, _AND)) > 1:
        return Form("list", text, [read(p) for p in parts])
    if _RATIO.fullmatch(text):
        first, *rest = text.split(":")
        # 2:4:6 is 1:2:3.
        return Form("row", text, [Form("one", f"({part})/({first})") for part in rest], ":")
    if matrix := _MATRIX.fullmatch(text):
        rows = [r for r in re.split(r"\\\\", matrix[2]) if r.strip()]
        cells = [c for r in rows for c in r.split("&")]
        if min(len(rows), len(cells) // max(1, len(rows))) == 1 and len(cells) > 1:
            return Form("row", text, [read(c.strip()) for c in cells], "()")
    if len(signs := _PLUS_MINUS.findall(text)) == 1 and not RELATION.search(
        text.partition(signs[0])[2]
    ):
        before, _, behind = text.partition(signs[0])
        return Form("list", text, [read(f"{before} {sign} {behind}".strip()) for sign in "+-"])
    return Form("one", text)


def is_grouped(text: str) -> bool:
    """Whether a text is one number with commas between its thousands, perhaps with a unit."""
    return bool(re.match(r"^-?\\?\$?\s*\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])(?!.*[,;])", text))


def _unwrapped(text: str) -> str:
    """Remove braces or round brackets that enclose all of the text."""
    text = text.strip()
    for _ in range(4):
        if text[:1] not in ("{", "(") or closing(text, 0) != len(text) - 1:
            break
        inside = text[1:-1].strip()
        if text[0] == "(" and len(split_outside(inside, _AND)) > 1:
            break
        text = inside
    return text


def _enclosed(text: str, opens: str, closes: str) -> Form | None:
    """A row or a set in brackets.

    None if the brackets do not enclose all of the text, or contain one part of something else.
    """
    for end in [closes] if opens.startswith("\\") else [")", "]"]:
        if not text.endswith(end) or len(text) < len(opens) + len(end):
            continue
        inside = text[len(opens) : len(text) - len(end)]
        if not _balanced(inside):
            continue
        parts = split_outside(inside, _AND)
        if opens == "\\{":
            return (
                None
                if re.search(r"\||(?<!\\):|\\mid", inside)
                else Form("list", text, [read(p) for p in parts])
            )
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


def split_outside(text: str, pattern: re.Pattern[str]) -> list[str]:
    """Split at matches outside of all brackets and environments. Empty parts are left out."""
    depths, depth = [], 0
    marks = {
        m.start(): 1 if m[0].startswith("\\begin") else -1
        for m in re.finditer(r"\\(?:begin|end)(?=\{)", text)
    }
    for place, character in enumerate(text):
        depth += marks.get(place, 0) + (character in "([{") - (character in ")]}")
        depths.append(depth - (character in "([{"))
    parts, begin = [], 0
    for found in pattern.finditer(text):
        if depths[found.start()] == 0:
            parts.append(text[begin : found.start()])
            begin = found.end()
    return [p.strip() for p in [*parts, text[begin:]] if p.strip()]


def sides_of(text: str) -> list[str]:
    return split_outside(text, RELATION) or [text]


def values(text: str) -> list[str]:
    """The sides of an equation that may be the answer.

    There are none for an equation that states something, such as x^2 + y^2 = 4. A name on one side
    ("x", "f(x)", "m + n", words) names the other side. The value of a calculation is its last side.
    Its first side has the same value, and is the only exact one if the last is rounded. It does not
    count if the calculation is wrong, as in "300 - 280 = 80".
    """
    sides = sides_of(text)
    named = [side for side in sides if not (is_name(side) or _SUM_OF_NAMES.fullmatch(side))]
    if len(named) == len(sides) and any(
        _has_unknown(side) and quantity(side) is None for side in sides
    ):
        return []
    if not named:
        named = sides[-1:]
    if re.search(r"\\approx", text):
        return list(dict.fromkeys([named[0], named[-1]]))
    if len(named) < len(sides) or _miscalculated(named[0], named[-1]):
        return named[-1:]
    return list(dict.fromkeys([named[-1], named[0]]))


def _miscalculated(first: str, last: str) -> bool:
    """Whether a calculation gives another number than it should, rounding apart."""
    a, b = quantity(first), quantity(last)
    if a is None or b is None or a.percent or b.percent or (a.unit and b.unit):
        return False
    return abs(a.value - b.value) >= last_place(b.value)


def is_name(side: str) -> bool:
    """Whether a side of an equation is a name: x, f(x), A_n, or words."""
    return bool(
        SYMBOL.fullmatch(side) or LABEL.fullmatch(side) or _NAMES.fullmatch(side)
    ) or is_words(side)


def _has_unknown(side: str) -> bool:
    """Whether a side has a letter that is neither a function nor a constant."""
    bare = _COMMAND.sub(" ", re.sub(r"\\text\{[^{}]*\}", " ", side))
    return bool(
        re.search(r"[A-Za-df-hj-z]", bare)
        or re.search(r"\\(?:theta|alpha|beta|lambda|mu|phi)(?![a-z])", side)
    )


def value_side(text: str) -> str:
    """The value of an assignment; a text without one unchanged."""
    found = values(text) if len(sides_of(text)) > 1 else []
    return found[0] if found else text
