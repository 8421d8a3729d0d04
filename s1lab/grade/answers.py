"""Which answer does a response give? Rules, in a fixed order, each in time linear in the text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

KINDS = ("math", "choice", "integer", "exact")
TAIL = 100_000  # characters: an answer stands at the end, and only so much of the end is searched
MARKS = 20  # "Answer:" and the like that are tried, from the last

_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*(?P<open>\{)|\\boxed\s+(?P<bare>[^\s{}$\\]+)|\\.|[{}]", re.DOTALL)
_SEPARATOR = r"(?:[:=]|(?:is|are)\b|to\b[^\n.:=]{0,80}\b(?:is|are)\b)[\s:*_]*"
_MARK = re.compile(rf"\b(?:final\s+answers?\b[*_\s]*(?:{_SEPARATOR})?|answers?\b[*_\s]*{_SEPARATOR})", re.IGNORECASE)
_SENTENCE = re.compile(r"\.\s+(?=[A-Z])|\n")
_MATH = re.compile(  # a formula's length is bounded, so that many that never close cost little
    r"(?<!\\)\$\$(.{1,1500}?)(?<!\\)\$\$|(?<!\\)\$((?:\\.|[^$\\\n]){1,1500})\$|\\\[(.{1,1500}?)\\\]|\\\((.{1,1500}?)\\\)",
    re.DOTALL,
)
_JOINED = re.compile(r"\s*(?:,|;|,?\s*and|,?\s*or)\s*")
_SAYS = re.compile(r"\b(?:is|are|equals?)\b:?\s+|(?<=[A-Za-z]):\s+")
_SAID = re.compile(
    r"(?:[A-Za-z' ]+,\s)?(.+?)\s+is\s(?:the|our|my)\s[\w ]{0,40}?\b(?:answer|result|solution|value)\b", re.IGNORECASE
)
_WRAPPED = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox|bf|rm)\s*\{([^{}]*)\}")
_LETTER = re.compile(r"(?<![A-Za-z\\])([A-J])(?![A-Za-z'’])")
_OPTION = re.compile(
    r"(?:option|choice)s?(?:\s+is)?:?\s{0,9}\(?([A-J])(?![A-Za-z])|\(([A-J])\)|^[^\w\n]{0,9}([A-J])[^\w\n]{0,9}$", re.MULTILINE
)
_INTEGER = re.compile(
    r"(?<![\d.,^/_{])[-+]?\d{1,3}(?:,\d{3})+(?![\d,]|\.\d|\s*[\^/]|\})|(?<![\d.^/_{])[-+]?\d+(?!\d|\.\d|\s*[\^/]|\})"
)


def extract(response: str, kind: str = "math") -> str | None:
    r"""The answer that a response gives, as text; None where there is none.

    Looked for in this order, and the first place that holds an answer of the kind gives it:

    1. the last ``\boxed{...}`` (or ``\fbox``, ``\framebox``) whose braces close;
    2. what follows the last "Final Answer", "Answer:" or "answer is", to the end of its sentence or line; then the mark before;
    3. the whole response: for "math" its last formula between dollars or brackets, else its last line, from "is" on.

    Out of such a place, "exact" takes the text as it stands and "math" its formula (several, where commas or "and" join them).
    "choice" takes a letter A to J: the first after a mark or in a box, the last one elsewhere. "integer" takes the last whole
    number that is no part of a decimal, a fraction, a power or an index. Only the last 100,000 characters are searched.
    """
    if kind not in KINDS:
        raise ValueError(f"no kind of answer is called {kind!r}: choose from {list(KINDS)}")
    for text, marked in _places(response[-TAIL:], kind):
        if found := _TAKE[kind](text.strip(), marked):
            return found
    return None


def reference(gold: str, kind: str) -> str | None:
    """The gold answer as :func:`extract` would give it: a benchmark's answer column holds the answer alone, or a box with it."""
    if "\\boxed" in gold:
        return extract(gold, kind)
    return _TAKE[kind](gold.strip(), True)


def normal(answer: str, kind: str = "math") -> str:
    """An answer without what its kind doesn't tell apart: sign and zeros, case, spaces. Equal ones are equal answers."""
    return whole(answer) if kind == "integer" else answer.strip().upper() if kind == "choice" else plain(answer)


def plain(text: str) -> str:
    """A text without spaces, case, and the differences that Unicode's NFKC levels."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text)).casefold()


def whole(text: str) -> str:
    """Digits with sign and without leading zeros: compared as text, so that a hostile length costs nothing."""
    text = text.replace(",", "")
    sign = "-" if text.startswith("-") else ""
    digits = text.lstrip("+-").lstrip("0") or "0"
    return digits if digits == "0" else sign + digits


def _places(text: str, kind: str) -> Iterator[tuple[str, bool]]:
    """Where an answer may stand, best first, each with whether it was marked as the answer."""
    text = text.replace("−", "-")
    if (box := _boxed(text)) is not None:
        yield box, True
    for mark in reversed(list(_MARK.finditer(text))[-MARKS:]):
        yield _follows(text[mark.end() :]), True
    yield text, False


def _boxed(text: str) -> str | None:
    """The content of the last box whose braces close. One pass, with the open braces on a stack."""
    last: tuple[int, int] | None = None
    opened: list[int] = []  # where each open brace's content begins; 0 for braces that are no box
    for token in _BOX.finditer(text):
        if token["open"]:
            opened.append(token.end())
        elif token["bare"]:
            last = max(last or (0, 0), token.span("bare"))
        elif token[0] == "{":
            opened.append(0)
        elif token[0] == "}" and opened and (begin := opened.pop()):
            last = max(last or (0, 0), (begin, token.start()))
    return text[last[0] : last[1]] if last else None


def _follows(text: str) -> str:
    """From a mark on, the end of the sentence or line; a formula that begins there is kept whole."""
    text = text.lstrip()
    formula = _MATH.match(text)
    begin = formula.end() if formula else 0
    end = _SENTENCE.search(text, begin)
    return text[: end.start() if end else None]


def _math(text: str, marked: bool) -> str | None:
    found = list(_MATH.finditer(text))
    if not found:
        return _bare(text if marked else _concluded(text.strip().rpartition("\n")[2]))
    if not marked:
        return _bare(_inside(found[-1]))
    joined = [found[0]]
    for formula in found[1:]:
        between = text[joined[-1].end() : formula.start()]
        if len(between) > 20 or not _JOINED.fullmatch(between):
            break
        joined.append(formula)
    return _bare(", ".join(_inside(formula).strip() for formula in joined))


def _concluded(line: str) -> str:
    """Out of a last line without formula or mark: before "is the answer", else from its last "is" or colon on."""
    said = _SAID.match(line) if len(line) <= 500 else None
    return said[1] if said else _SAYS.split(line)[-1]


def _inside(formula: re.Match[str]) -> str:
    return next((group for group in formula.groups() if group), "")


def _bare(text: str) -> str | None:
    """Without emphasis, a lone dollar and the full stop around it."""
    text = text.strip().strip("*").strip()
    text = text.rstrip(".").strip() if not text.endswith("\\.") else text
    if text.startswith("$") and text.count("$") == 1:
        text = text[1:].strip()
    return text or None


def _exact(text: str, marked: bool) -> str | None:
    return text.strip("*").strip().rstrip(".").strip() or None


def _choice(text: str, marked: bool) -> str | None:
    text = _unwrapped(text)
    if marked:
        if alone := re.fullmatch(r"\W*([A-Ja-j])\W*", text):
            return alone[1].upper()
        found = _LETTER.search(text)
        return found[1] if found else None
    options: list[str] = [next(filter(None, groups)) for groups in _OPTION.findall(text)]
    if options:
        return options[-1]
    # "I" and "A" before a word of small letters are words.
    letters = [
        m[1] for m in _LETTER.finditer(text) if m[1] not in "AI" or not re.match(r"\s+[a-z]", text[m.end() : m.end() + 20])
    ]
    return letters[-1] if letters else None


def _integer(text: str, marked: bool) -> str | None:
    text = re.sub(r"\^\s*\{?\s*\\circ\s*\}?", " ", _unwrapped(text))  # degrees are no power
    found: list[str] = _INTEGER.findall(text.replace("{,}", ",").replace(",\\!", ",").replace("\\,", ""))
    return found[-1] if found else None


def _unwrapped(text: str) -> str:
    return _WRAPPED.sub(r" \1 ", text)


_TAKE = {"math": _math, "exact": _exact, "choice": _choice, "integer": _integer}
