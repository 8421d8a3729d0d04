"""Differences that math-verify lets pass and that make another answer: the base of a number, the kind of unit, an order."""

from __future__ import annotations

import re

_BASED = re.compile(r"[\dA-Za-z.]+_\{?(?:\\(?:text|mathrm)\{)?\s*(\w+)\s*\}{0,2}")
_UNITS = {
    "degrees": re.compile(r"\^\{?\\circ\}?|\\degree|°|\\(?:text|mbox|mathrm)\s*\{\s*degrees?\s*\}"),
    "money": re.compile(r"^\s*\\?\$|\\text\{\\\$\}|\\(?:text|mbox|mathrm)\s*\{\s*(?:dollars?|cents?)\s*\}"),
    "a measure": re.compile(r"\d\s*(?:\\[,; ]\s*)?\\(?:text|mbox|mathrm)\s*\{\s*[A-Za-z][^{}]*\}(?:\^\{?\d\}?)?\s*$"),
}


def difference(given: str, gold: str) -> str | None:
    """Why two answers differ in form, in words; None where mathematics must decide.

    A base that only one has, or another base: 40_9 is 36, not 40. Units of two kinds: 36 degrees are not 36 dollars; one without
    a unit may be meant in the other's. An ordered pair or an interval against a plain list: (-2,1) is not "-2 and 1".
    """
    bases = [found[1] if (found := _BASED.fullmatch(text.strip())) else None for text in (given, gold)]
    if bases[0] != bases[1] and any(_digits(text) for text in (given, gold)):
        return "another base"
    kinds = [_unit(text) for text in (given, gold)]
    if all(kinds) and kinds[0] != kinds[1]:
        return f"{kinds[0]}, where the reference is {kinds[1]}"
    if {_shape(given), _shape(gold)} == {"ordered", "list"}:
        return "one is ordered or an interval, the other a list"
    return None


def _digits(text: str) -> bool:
    """Whether a text is digits with a base below them, or digits alone."""
    return bool(re.fullmatch(r"\s*[\dA-F.]+\s*(?:_.*)?", text, re.DOTALL))


def _unit(text: str) -> str | None:
    return next((name for name, pattern in _UNITS.items() if pattern.search(text)), None)


def _shape(text: str) -> str | None:
    """Several parts in round or square brackets are "ordered", several in none are a "list"; anything else is None."""
    text = re.sub(r",\\!\s*", "", text)  # between thousands
    text = re.sub(r"\\(?:left|right|bigl?|bigr|Bigl?|Bigr|[,!;: ])", "", text).strip()
    depth, parts, closes_early = 0, False, False
    for place, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        parts |= character in ",;" and depth <= 1 and not re.match(r",\d{3}(?!\d)", text[place : place + 5])
        closes_early |= depth == 0 and place < len(text) - 1
    if not parts:
        return None
    if text[:1] in "([" and text[-1:] in ")]" and not closes_early:
        return "ordered"
    bare = re.sub(r"\([^()]*\)|\{[^{}]*\}|\[[^\[\]]*\]", "", text)
    return "list" if "," in bare and "{" not in text[:2] else None
