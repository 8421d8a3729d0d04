"""The answer in a sentence: 34 in "The largest $n$ is 34."."""

from __future__ import annotations

import re
from itertools import pairwise

from s1lab.evaluation.grade.amounts import number_in
from s1lab.evaluation.grade.arithmetic import NUMBER_WORDS, number_in_words
from s1lab.evaluation.grade.quantities import quantity, split_unit
from s1lab.evaluation.grade.spelling import clean

LONGEST = 2_000  # the most characters of a text that is read as an answer
SENTENCES = 12  # the most sentences of a text that are tried, the last one first

VERB = (
    r"(?:it's|is\s+equal\s+to|is|are|was|were|will\s+be|would\s+be|should\s+be|must\s+be"
    r"|equal\s+to|equals?|becomes?)(?:\s+at\b)?"
)
# A dollar opens a formula if no space follows it. It closes one if no space comes before it and no
# digit after it. All others are money. The length of a formula is bounded: unclosed ones cost
# little.
FORMULA = re.compile(
    r"(?<!\\)\$\$(.{1,1500}?)(?<!\\)\$\$"
    r"|(?<![\\\w])\$(?=\S)((?:\\.|[^$\\\n]){1,1500}?)(?<![\s\\])\$(?![\d])"
    r"|(?<![\\\w])\$\s((?:\\.|[^$\\\n]){1,200}?)\s\$(?![\s\d]*\d)"
    r"|\\\[(.{1,1500}?)\\\]|\\\((.{1,1500}?)\\\)",
    re.DOTALL,
)
_SENTENCE = re.compile(r"(?<=[.!?])(?<!\\!)[\"')*]*\s+(?=[A-Z\"'(\\$*\[\d])|(?<=[。！？])|\n+")
_JOINED = re.compile(r"\s*(?:,|;|,?\s*and|,?\s*or)\s*")
_CONCLUDES = re.compile(
    r"^\W*(?:therefore|thus|hence|so|consequently|in conclusion|in total|altogether)\b",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"^(?:so|thus|then|hence|therefore|and|now)\b[,\s]+(?!many|much|far|long)", re.IGNORECASE
)
_CLOSING_WORDS = re.compile(
    r"(?:i hope (?:it|this)|hope this|done\b|let me know|<\|)[^\n]*$", re.IGNORECASE
)
_SAID = re.compile(
    r"(?:[A-Za-z' ]+,\s)?(.+?)\s+is\s(?:the|our|my)\s[\w ]{0,40}?\b(?:answer|result|solution"
    r"|value)\b",
    re.IGNORECASE,
)
_SAYS = re.compile(rf"\b{VERB}\b:?\s+|(?<=[A-Za-z)]):\s+|(?<=[A-Za-z)]):$", re.IGNORECASE)
_CONDITION = re.compile(
    r"[,;]?\s+(?:for\s+(?:some|all|any|every|each)|where|when|if|with(?=\s+\S+\s*=)|provided"
    r"|such\s+that|because|since"
    r"|as\s+wanted|which|so\s+that|in\s+order\s+to|to\s+make\s+sure|note\s+that)\b.*$",
    re.IGNORECASE | re.DOTALL,
)
_ONE_LETTER = re.compile(r"\\?[A-Za-z]+(?:_\{?\w+\}?)?'*")
_WORDED = (  # the calculations in words that are understood
    (re.compile(r"\b(?:negative|minus)\s+(?=\d)", re.IGNORECASE), "-"),
    (re.compile(r"\b(\d+)\s+(?:out\s+of|over)\s+(\d+)\b", re.IGNORECASE), r"\1/\2"),
    (re.compile(r"\bthe\s+square\s+root\s+of\s+(\d+)\b", re.IGNORECASE), r"\\sqrt{\1}"),
    (re.compile(r"\b(\d+)\s+choose\s+(\d+)\b", re.IGNORECASE), r"\\binom{\1}{\2}"),
    (re.compile(r"^(?:a|one)\s+dozen\b", re.IGNORECASE), "12"),
    (re.compile(r"\b(\d+)\s+squared\b", re.IGNORECASE), r"\1^2"),
    (re.compile(r"\b(\d+)\s+cubed\b", re.IGNORECASE), r"\1^3"),
)
_BASE = re.compile(  # "221 in base 3", "221 (base three)"
    r"\b(\w+)\s*[,(]?\s*(?:in\s+)?"
    r"base[\s-]*(\d+|two|three|four|five|six|seven|eight|nine|ten|twelve|sixteen)\)?",
    re.IGNORECASE,
)
_PART_NAMES = {
    "half": 2,
    "third": 3,
    "fourth": 4,
    "quarter": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "eighth": 8,
    "ninth": 9,
    "tenth": 10,
}
_PART = re.compile(
    rf"\b([a-z]+)[\s-](half|{'|'.join(p for p in _PART_NAMES if p != 'half')})s?\b(?!\s+of\b)",
    re.IGNORECASE,
)
_SIGNED = re.compile(rf"\b(?:negative|minus)\s+({NUMBER_WORDS.pattern})", re.IGNORECASE)
_PLAIN_WORDS = re.compile(
    r"\\text\s*\{[^{}]*\}|\\[A-Za-z]+"
    r"|(?<![A-Za-z])(?:and|or|sqrt|pi|sin|cos|tan|log|ln|in|infinity)(?![A-Za-z])"
)


def sentences(text: str) -> list[str]:
    """A text's sentences and lines. None of them ends within a formula."""
    hidden = FORMULA.sub(lambda m: re.sub(r"\s", "\x00", m[0]), text)
    return [s.strip().replace("\x00", " ") for s in _SENTENCE.split(hidden) if s and s.strip()]


def first_sentence(text: str) -> str:
    """A marked line's first sentence, or its last that concludes ("There are 5. So it is 1.")."""
    found = sentences(text)
    if not found:
        return text
    concluding = [s for s in found[1:] if _CONCLUDES.match(s) and re.search(r"\d", s)]
    return concluding[-1] if concluding and not reads(found[0]) else found[0]


def answered(sentence: str, *, last: bool = False) -> str | None:
    """The answer in a sentence; None if it has only words.

    It is the whole sentence, the end of the sentence, its formula, or its number.

    Args:
        sentence: The sentence, with its formulas between dollars or brackets.
        last: Whether its last formula is the answer, as in a sentence without a mark. Otherwise the
            first formula is.
    """
    sentence = worded(_OPENING.sub("", _emphasis(sentence)))
    if reads(sentence):
        return sentence
    main = without_condition(sentence)
    return _told(main, last) or (_told(sentence, last) if main != sentence else None)


def worded(sentence: str) -> str:
    """A sentence with calculations in words written in signs: "minus 5", "17 in base 8"."""
    if "\\" in sentence or "$" in sentence:
        return sentence
    sentence = _SIGNED.sub(lambda m: f"-{number_in_words(m[1])}", sentence)
    sentence = _PART.sub(_part, sentence)
    for pattern, written in _WORDED:
        sentence = pattern.sub(written, sentence)
    return _BASE.sub(_in_base, sentence)


def _in_base(found: re.Match[str]) -> str:
    base = found[2] if found[2].isdigit() else number_in_words(found[2])
    return f"{found[1]}_{{{base}}}"


def _part(found: re.Match[str]) -> str:
    above = 1 if found[1].lower() in ("a", "one") else number_in_words(found[1])
    return f"{above}/{_PART_NAMES[found[2].lower()]}" if above is not None else found[0]


def last_answered(text: str) -> tuple[str, str] | None:
    """(answer, sentence) of the last sentence with an answer in it, else the text's last words."""
    found = [s for s in sentences(text[-8 * LONGEST :]) if not _CLOSING_WORDS.match(s)]
    for sentence in reversed(found[-SENTENCES:]):
        if (
            len(sentence) <= LONGEST
            and (told := answered(sentence, last=True))
            and (answer := bare(told))
        ):
            return answer, bare(sentence) or answer
    if not found:
        return None
    line = found[-1][-LONGEST:]
    said = _SAID.match(line) if len(line) <= 500 else None
    words = bare(said[1] if said else _SAYS.split(line)[-1])
    return (words, words) if words else None


def reads(text: str) -> bool:
    """Whether a whole text is an answer.

    That is a number with its unit, a formula, or several joined by commas or "and".
    """
    text = _emphasis(text)
    if not text or len(text) > LONGEST or re.search(r"\b(?:so|thus|hence)\b", text):
        return False
    if FORMULA.search(text):
        return _formulas_alone(text)
    if quantity(text) is not None:
        return True
    expression, unit, percent, _ = split_unit(clean(text))
    left = _PLAIN_WORDS.sub(" ", expression if unit or percent else text)
    return (
        not re.search(r"[A-Za-z]{3}|[A-Za-z]{2,}\s+[A-Za-z]{2,}|[^\x00-\x7f]{3}", left)
        and bool(re.search(r"\d|\\[A-Za-z]", text))
        and not re.search(r"[?!]\s", text)
    )


def is_sentence(text: str) -> bool:
    """Whether a text is prose, not an answer: three plain words or more."""
    opened = re.sub(r"\\(?:text|mathrm|textbf|mbox)\s*\{([^{}]*)\}", r"\1", text)
    found = re.findall(r"(?<![\\A-Za-z])[A-Za-z]{2,}", re.sub(r"\\[A-Za-z]+|\\ ", " ", opened))
    return len(found) >= 3 and not reads(text)


def without_condition(text: str) -> str:
    """A sentence without the part after "for all", "where", "because" and the like."""
    return _CONDITION.sub("", text)


def bare(text: str) -> str | None:
    """An answer without emphasis, formula dollars, a lone dollar and the full stop, or None."""
    text = text.strip().strip("*`").strip()
    text = text.rstrip(".。").strip() if not text.endswith("\\.") else text
    text = text.strip("*`").strip()
    if FORMULA.search(text) and _formulas_alone(text):
        return _joined(text, list(FORMULA.finditer(text)))
    if text.startswith("$") and text.count("$") == 1:
        text = text[1:].strip()
    return text or None


def _told(text: str, last: bool) -> str | None:
    """`answered` for a sentence that is not an answer as a whole."""
    if (said := _SAID.match(text)) and len(text) <= 500 and reads(said[1]):
        return said[1]
    ends = [m.end() for m in _SAYS.finditer(text)]
    for end in reversed(ends):
        if (behind := text[end:].strip()) and reads(behind):
            return behind
    return _formula_in(text, ends, last) or number_in(text)


def _formula_in(text: str, ends: list[int], last: bool) -> str | None:
    """The formulas that answer, joined if commas or "and" join them.

    None if all of them are one-letter names, or if the sentence also gives a number.
    """
    formulas = list(FORMULA.finditer(text))
    telling = [i for i, f in enumerate(formulas) if not _ONE_LETTER.fullmatch(_inside(f).strip())]
    if not telling:
        return None
    said = [
        i
        for i in telling
        if any(not text[end : formulas[i].start()].strip(" :*") for end in [0, *ends])
    ]
    if not said:
        other = None if last else number_in(FORMULA.sub(" ", text))
        return None if other is not None else _inside(formulas[telling[-1]])
    begin = 0 if formulas[0].start() == 0 and not last and 0 in telling else said[-1]
    behind = re.match(r"\s*([A-Za-z]+)", text[formulas[begin].end() :])
    if behind and quantity(_inside(formulas[begin])) is not None:
        amount = quantity(f"{_inside(formulas[begin])} {behind[1]}")
        if len(behind[1]) > 1 and amount is not None and amount.unit is not None:
            return f"{_inside(formulas[begin]).strip()} {behind[1]}"
    while begin and re.fullmatch(
        r",?\s*or\s*", text[formulas[begin - 1].end() : formulas[begin].start()]
    ):
        begin -= 1
    group = [formulas[begin]]
    for formula in formulas[begin + 1 :]:
        between = text[group[-1].end() : formula.start()]
        if len(between) > 20 or not _JOINED.fullmatch(between):
            break
        group.append(formula)
    return _joined(text, group)


def _formulas_alone(text: str) -> bool:
    """Whether a text is only formulas with "and", "or" and commas between them."""
    rest = FORMULA.sub(" ", text)
    return not re.sub(r"\b(?:and|or)\b|[,;.\s]|\\text\{\s*\w*\s*\}", "", rest)


def _joined(text: str, formulas: list[re.Match[str]]) -> str | None:
    """Formulas as one answer: a list, or alternatives if an "or" is between them."""
    gaps = [text[a.end() : b.start()] for a, b in pairwise(formulas)]
    either = any(re.search(r"\bor\b", gap) for gap in gaps)
    return (" or " if either else ", ").join(_inside(f).strip() for f in formulas) or None


def _inside(formula: re.Match[str]) -> str:
    return next((group for group in formula.groups() if group), "")


def _emphasis(text: str) -> str:
    return re.sub(r"(?<=\*\*)!(?=\s|$)|\*\*|__|`", "", text).strip().rstrip(".。").strip()
