"""Is this answer right? Rules, offline and deterministic."""

from __future__ import annotations

import re
import unicodedata

KINDS = ("math", "choice", "integer", "exact")

_MARK = re.compile(r"(?:final\s+answer|answer)\s*(?:is)?\s*:?\s*", re.IGNORECASE)
_CHOICE = re.compile(r"(?<![A-Za-z])\(?([A-J])\)?(?![A-Za-z])")
_INTEGER = re.compile(r"(?<![\d.,])[-+]?\d{1,3}(?:,\d{3})+(?![\d,]|\.\d)|(?<![\d.])[-+]?\d+(?!\.?\d)")


def extract(response: str, kind: str = "math") -> str | None:
    """The answer that a response gives, as text; None where there is none.

    The last ``\\boxed{...}`` is taken first, else what follows the last "Final Answer:" or "Answer:" on its line, else the
    whole response. Out of that: "math" and "exact" take all of it, "choice" its last single letter A to J, "integer" its
    last whole number.
    """
    if kind not in KINDS:
        raise ValueError(f"no kind of answer is called {kind!r}: choose from {list(KINDS)}")
    span = _boxed(response)
    if span is None:
        marks = list(_MARK.finditer(response))
        span = response[marks[-1].end() :].strip().split("\n")[0] if marks else response
    span = span.strip()
    if kind == "choice":
        found = _CHOICE.findall(span)
    elif kind == "integer":
        found = _INTEGER.findall(span)
    else:
        found = [span.rstrip(".").strip()] if span else []
    return found[-1].strip() if found and found[-1].strip() else None


def is_correct(response: str, gold: str, kind: str = "math") -> bool:
    """Whether a response gives the gold answer.

    kind: "integer" compares whole numbers, "choice" letters, "exact" text without spaces and case, "math" what
    math-verify holds to be equal (with a time limit of its own; never evaluated as code).
    """
    given = extract(response, kind)
    if given is None:
        return False
    if kind == "integer" and extract(gold, kind) is None:
        raise ValueError(f"the gold answer {gold!r} is no whole number: use kind='math'")
    wanted = extract(gold, kind) or gold if kind in ("integer", "choice") else gold
    return same(given, wanted, kind)


def same(given: str, wanted: str, kind: str = "math") -> bool:
    """Whether two answers, as :func:`extract` gives them, are one: what :func:`is_correct` compares."""
    if normal(given, kind) == normal(wanted, kind):
        return True
    return kind == "math" and _same_math(given, wanted)


def normal(answer: str, kind: str = "math") -> str:
    """An answer without what its kind doesn't tell apart: sign and zeros, case, spaces. Equal ones are equal answers."""
    if kind == "integer":
        return _whole(answer)
    return answer.strip().upper() if kind == "choice" else _plain(answer)


def _plain(text: str) -> str:
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text)).casefold()


def _whole(text: str) -> str:
    """Digits with sign and without leading zeros: compared as text, so that a hostile length costs nothing."""
    text = text.replace(",", "")
    sign = "-" if text.startswith("-") else ""
    digits = text.lstrip("+-").lstrip("0") or "0"
    return digits if digits == "0" else sign + digits


def _boxed(text: str) -> str | None:
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth, begin = 0, start + len("\\boxed{")
    for at in range(begin - 1, len(text)):
        depth += (text[at] == "{") - (text[at] == "}")
        if not depth:
            return text[begin:at]
    return None


def _same_math(given: str, gold: str) -> bool:
    if max(len(given), len(gold)) > 400 or re.search(r"\d{30}|\^[^0-9a-zA-Z]*\d.*\^|\^\{?\d{4}", given):
        return False  # towers of powers and endless digits: nothing a benchmark asks for, and dear to compute
    from math_verify import parse, verify

    return bool(verify(parse(f"${gold}$"), parse(f"${given}$")))
