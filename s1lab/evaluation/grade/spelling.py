"""One spelling for Unicode signs, plain-text functions, and LaTeX that changes nothing.

All functions here keep the whole answer. A sign that can't be translated stays, so that no answer
is read as a part of itself: ``5²`` becomes ``5^{2}`` and never 52.
"""

from __future__ import annotations

import re
import unicodedata

_SUPER = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n", strict=True))
_SUB = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+-", strict=True))
_RAISED = re.compile(f"[{''.join(_SUPER)}]+")
_LOWERED = re.compile(f"[{''.join(_SUB)}]+")
_SIGNS = str.maketrans(
    {
        "−": "-", "–": "-", "‐": "-", "‑": "-", "⁄": "/", "∕": "/", "’": "'", "‘": "'", "“": '"',
        "”": '"', "×": "\\times ", "·": "\\cdot ", "⋅": "\\cdot ", "∙": "\\cdot ", "÷": "/",
        "±": "\\pm ", "∓": "\\mp ", "≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ", "≈": "\\approx ",
        "≡": "\\equiv ", "∞": "\\infty ", "∈": "\\in ", "∪": "\\cup ", "∩": "\\cap ",
        "∅": "\\emptyset ", "ℝ": "\\mathbb{R}", "ℤ": "\\mathbb{Z}", "ℕ": "\\mathbb{N}",
        "ℚ": "\\mathbb{Q}", "π": "\\pi ", "θ": "\\theta ", "α": "\\alpha ", "β": "\\beta ",
        "γ": "\\gamma ", "λ": "\\lambda ", "μ": "\\mu ", "φ": "\\phi ", "ω": "\\omega ",
        "°": "^\\circ ", "⟨": "\\langle ", "⟩": "\\rangle ", "\u00a0": " ", "\u2009": " ",
        "\u202f": " ", "\u2007": " ", "\u200b": "",
    }
)  # fmt: skip
_ROOT = re.compile(r"√\s*(\d+(?:\.\d+)?|[A-Za-z]|\{[^{}]*\})?")
_CUBE_ROOT = re.compile(r"∛\s*(\d+|[A-Za-z])")
_HALVES = re.compile(r"(\d?)([¼-¾⅐-⅞])")
# Commands that change how a formula looks, not its meaning.
_LOOKS = re.compile(
    r"\\(?:displaystyle|textstyle|scriptstyle|limits|nolimits|left(?![a-z])|right(?![a-z])"
    r"|[bB]igg?[lrm]?(?![a-z])"
    r"|hfill|phantom\{[^{}]*\}|vphantom\{[^{}]*\}|tiny|small|large|Large|bf|rm|it|sf"
    r"|tt)(?![A-Za-z])\s*\.?(?=\W|$|[A-Za-z0-9])"
)
_LEFT_DOT = re.compile(r"\\(?:left|right)\s*\.")
_SPACES = re.compile(r"(?<!\\)\\(?:[,;:!> ]|quad|qquad|enspace|thinspace|hspace\*?\{[^{}]*\})|~")
_GROUPED = re.compile(r"(?<=\d)(?:\{,\}|,\\!|\\[,;:! ]|~|,\\ | )\s*(?=\d{3}(?!\d))")
_WRAPPER = re.compile(
    r"\\(?:text|textbf|textit|textrm|textnormal|texttt|textsf|mathrm|mathbf|mathit|mathsf|mathtt"
    r"|mathnormal|boldsymbol|bm"
    r"|mbox|hbox|emph|underline|operatorname\*?)\s*\{([^{}]*)\}"
)
# Upright letters that are units behind a number. The others are symbols, such as e and i. Words
# are in \text{}, so there only the commonest symbols are taken as such.
_UNIT_LETTERS = frozenset("msghlLJNWVAKCFTHPR")
_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*\{")
_SHORT = re.compile(r"\\(frac|dfrac|tfrac|cfrac)\s*([0-9A-Za-z])\s*([0-9A-Za-z])")
_HALF_SHORT = re.compile(r"\\(?:frac|dfrac|tfrac|cfrac)\s*(\d)\s*(\{)")
_CLOSED_SHORT = re.compile(r"(\\frac\s*\{[^{}]*\})\s*(\d)")
_FUNCTIONS = (
    "sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|sinh|cosh|tanh|ln|log|exp|max|min|gcd|lcm"
)
_PLAIN_FUNCTION = re.compile(
    rf"(?<![A-Za-z\\])({_FUNCTIONS})(?=\s*[(\d\\{{^_]|\s+[A-Za-z](?![A-Za-z]))"
)
_PLAIN_ROOT = re.compile(r"(?<![A-Za-z\\])sqrt\s*(?=[({\d])")
_PLAIN_NAMES = (
    (re.compile(r"(?<![A-Za-z\\])pi(?![A-Za-z])"), r"\\pi "),
    (re.compile(r"(?<![A-Za-z\\])(?:infinity|infty|inf|oo)(?![A-Za-z])"), r"\\infty "),
    (re.compile(r"(?<![A-Za-z\\])theta(?![A-Za-z])"), r"\\theta "),
    (re.compile(r"\\lt(?![A-Za-z])"), "<"),
    (re.compile(r"\\gt(?![A-Za-z])"), ">"),
    (re.compile(r"<=|=<"), r"\\le "),
    (re.compile(r">="), r"\\ge "),
    (re.compile(r"!="), r"\\ne "),
    (re.compile(r"\*\*(?=[\s({]*-?[\dA-Za-z])"), "^"),
    (re.compile(r"\\(?:leqslant|leqq|leq)(?![A-Za-z])"), r"\\le "),
    (re.compile(r"\\(?:geqslant|geqq|geq)(?![A-Za-z])"), r"\\ge "),
    (re.compile(r"\\(?:neq)(?![A-Za-z])"), r"\\ne "),
    (re.compile(r"\\(?:dfrac|tfrac|cfrac)(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\\(?:lvert|rvert|vert|mid)(?![A-Za-z])"), "|"),
    (re.compile(r"\{?\s*(\w+)\s*\\choose\s*(\w+)\s*\}?"), r"\\binom{\1}{\2}"),
    (re.compile(r"\\varnothing(?![A-Za-z])"), r"\\emptyset "),
    (re.compile(r"\\mathbb\{?R\}?(?![A-Za-z^])"), r"(-\\infty,\\infty)"),
    (re.compile(r"\\(?:lbrace|rbrace)(?![A-Za-z])"), lambda m: "\\{" if m[0][1] == "l" else "\\}"),
    (re.compile(r"\\(?:simeq|thickapprox)(?![A-Za-z])|~="), r"\\approx "),
    (re.compile(r"\\degree(?![A-Za-z])|\^\{?\s*\\circ\s*\}?"), r"^\\circ "),
)


def signs(text: str) -> str:
    """Unicode signs as LaTeX or ASCII. Raised and lowered digits stay so: ``x²`` is ``x^{2}``."""
    text = _RAISED.sub(lambda m: "^{" + "".join(map(_SUPER.__getitem__, m[0])) + "}", text)
    text = _LOWERED.sub(lambda m: "_{" + "".join(map(_SUB.__getitem__, m[0])) + "}", text)
    text = _HALVES.sub(_vulgar, text)
    text = _CUBE_ROOT.sub(r"\\sqrt[3]{\1}", text)
    text = _ROOT.sub(
        lambda m: f"\\sqrt{{{m[1].strip('{}')}}}" if m[1] else "\\sqrt ", text.translate(_SIGNS)
    )
    return unicodedata.normalize("NFKC", text).translate(_SIGNS)


def _vulgar(match: re.Match[str]) -> str:
    above, _, below = unicodedata.normalize("NFKC", match[2]).partition("⁄")
    return f"{match[1]}\\frac{{{above}}}{{{below}}}"


def clean(text: str) -> str:
    r"""An answer in one spelling, ready to be compared; words in ``\text{...}`` keep that mark.

    Example:
        >>> clean("$ \\dfrac12 \\,√3 $")
        '\\frac{1}{2} \\sqrt{3}'
    """
    text = signs(text).strip()
    text = re.sub(r"^\*\*(.*)\*\*\.?$", r"\1", text, flags=re.DOTALL)
    text = unboxed(text)
    text = re.sub(r"\\\\(?=[A-Za-z])", r"\\", text) if "\\begin" not in text else text
    text = _GROUPED.sub("", text)
    text = _LEFT_DOT.sub("", text)
    text = _LOOKS.sub("", text)
    text = _SPACES.sub(" ", text)
    text = re.sub(r"\\\(|\\\)|\\\[|\\\]|(?<!\\)\$\$?(?!\s*\d)|(?<!\\)\$(?=[^$]*\$)", " ", text)
    text = re.sub(r"[_^]?\{\s*\}", "", text)
    text = re.sub(r"(?<=\d)\s*[xX]\s*(?=10\s*\^)", r"\\times ", text)
    text = re.sub(r"(?<=\d)\s+[xX]\s+(?=\\?\$?\d)", r" \\times ", text)
    text = text.replace("\\cdotp", "\\cdot").replace("\\colon", ":")
    for _ in range(3):  # wrappers inside wrappers
        text = _WRAPPER.sub(_unwrapped, text)
    text = _SHORT.sub(r"\\frac{\2}{\3}", text)
    text = _HALF_SHORT.sub(r"\\frac{\1}\2", text)
    for pattern, replacement in _PLAIN_NAMES:
        text = pattern.sub(replacement, text)
    text = _CLOSED_SHORT.sub(r"\1{\2}", text)
    text = re.sub(r"\\sqrt\s*(\d|[A-Za-z](?![A-Za-z]))", r"\\sqrt{\1}", text)
    text = braced(_PLAIN_ROOT.sub(r"\\sqrt", text), "\\sqrt")
    text = braced(text, "^")
    text = _PLAIN_FUNCTION.sub(r"\\\1", text)
    text = re.sub(r"(?<=[\d)}A-Za-z])\s*\*\s*(?=[-\d(\\A-Za-z])", r" \\cdot ", text)
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(r"(?<!\\)[.,;:]+$", "", text).strip()


def unboxed(text: str) -> str:
    r"""A text without the ``\boxed{}`` around its content."""
    for _ in range(4):
        if not (box := _BOX.search(text)) or (end := closing(text, box.end() - 1)) is None:
            break
        text = f"{text[: box.start()]}{text[box.end() : end]}{text[end + 1 :]}"
    return text


def braced(text: str, command: str) -> str:
    """``command(...)`` as ``command{...}``, with any nesting. An unclosed one stays unchanged."""
    at = 0
    while (at := text.find(command, at)) >= 0:
        at += len(command)
        begin = at + len(text[at:]) - len(text[at:].lstrip())
        if text[begin : begin + 1] == "(" and (end := closing(text, begin)) is not None:
            text = f"{text[:at]}{{{text[begin + 1 : end]}}}{text[end + 1 :]}"
    return text


def closing(text: str, at: int) -> int | None:
    """The position of the bracket that closes the one at ``at``; None if it stays open."""
    opens = text[at]
    closes = {"(": ")", "{": "}", "[": "]"}[opens]
    depth = 0
    for place in range(at, len(text)):
        if text[place] == opens and text[place - 1 : place] != "\\":
            depth += 1
        elif text[place] == closes and text[place - 1 : place] != "\\":
            depth -= 1
            if not depth:
                return place
    return None


def _unwrapped(match: re.Match[str]) -> str:
    r"""The content of ``\text{...}``: words keep the command, a number or one letter loses it."""
    inside = match[1].strip()
    if not inside:
        return " "
    if re.fullmatch(r"\(?[A-Za-z]\)?", inside):
        before = match.string[: match.start()].rstrip()
        symbol = inside in "eixn" if match[0].startswith("\\text{") else inside not in _UNIT_LETTERS
        unit = not symbol and before[-1:].isdigit()
        return f"\\text{{ {inside}}}" if unit else f" {inside} "
    if inside in ("pi", "\\pi"):
        return " \\pi "
    if re.fullmatch(r"(?:and|or|,|;|&)", inside):
        return f" {inside} "
    if not re.search(r"[A-Za-z]{2}", inside):
        return f" {inside} "
    return f"\\text{{{match[1]}}}"
