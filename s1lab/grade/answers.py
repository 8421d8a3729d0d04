"""Which answer does a response give? Rules in a fixed order, each in time linear in the text.

The places where an answer may stand are tried from the most explicit one on:

1. the last ``\\boxed{...}``;
2. what is marked as the answer: ``<answer>...</answer>``, ``"answer": ...`` in JSON, ``#### ...``, "Final Answer", "the answer is";
3. the last sentence that holds anything of the kind.

A place that holds an answer of another kind decides too: a response whose last box holds 12.5 gives no whole number,
whatever stands around the box.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from s1lab.grade.choices import NONE, hedged, option, unmarked_option
from s1lab.grade.quantities import NUMBER_WORDS, Quantity, number_in_words, quantity
from s1lab.grade.spelling import clean, signs

KINDS = ("math", "choice", "integer", "exact")
TAIL = 100_000  # characters: an answer stands at the end, and only so much of the end is searched
MARKS = 20  # marks that are tried, from the last
SENTENCES = 12  # sentences that are tried, from the last
LONGEST = 2_000  # characters of a place that are read as an answer

_BOX = re.compile(
    r"\\(?:boxed|fbox|framebox)\s*(?P<open>\{)|\\boxed\s+(?P<bare>-?\d[\d.,]*|[A-Za-z](?![A-Za-z]))|\\.|[{}]", re.DOTALL
)
_VERB = r"(?:it's|is|are|was|were|will\s+be|would\s+be|should\s+be|must\s+be|equals?|becomes?)"
_SEPARATOR = rf"(?:[:：=]+|{_VERB}\b|\([^()\n]{{0,40}}\)\s*(?:{_VERB}\b|[:：])|(?:to|for|of|in|that)\b[^\n.:=]{{0,80}}?\b{_VERB}\b)[\s:：*_]{{0,20}}"
_MARK = re.compile(
    rf"\b(?:final\s+answers?|answers?|correct\s+(?:option|choice)|selected|correct)\b[*_\"'\s]{{0,9}}{_SEPARATOR}"
    r"|(?:^|\n)[#*_ \t]{0,9}final\s+answers?[*_ \t]{0,9}(?:\n\s{0,20}|$)"
    r"|(?:最终)?答案(?:是|为|：|:)+\s{0,9}|(?:^|\n)A:[ \t]"
    r"|(?:^|\s)####[ \t]*(?=[-+\d$\\(A-Z.])(?![A-Za-z]{2})"
    r"|\"(?:final_?\s?)?answer\"\s*:\s*|<answer>",
    re.IGNORECASE,
)
_MATH = re.compile(  # a formula's length is bounded, so that many that never close cost little
    r"(?<!\\)\$\$(.{1,1500}?)(?<!\\)\$\$|(?<![\\\w])\$(?=\S)((?:\\.|[^$\\\n]){1,1500}?)(?<![\s\\])\$(?![\d])|(?<![\\\w])\$\s((?:\\.|[^$\\\n])"
    r"{1,200}?)\s\$(?![\s\d]*\d)|\\\[(.{1,1500}?)\\\]|\\\((.{1,1500}?)\\\)",
    re.DOTALL,
)
_SENTENCE = re.compile(r"(?<=[.!?])[\"')*]*\s+(?=[A-Z\"'(\\$*\[\d])|(?<=[。！？])|\n+")
_JOINED = re.compile(r"\s*(?:,|;|,?\s*and|,?\s*or)\s*")
_CONCLUDES = re.compile(r"^\W*(?:therefore|thus|hence|so|consequently|in conclusion|in total|altogether)\b", re.IGNORECASE)
_SAID = re.compile(
    r"(?:[A-Za-z' ]+,\s)?(.+?)\s+is\s(?:the|our|my)\s[\w ]{0,40}?\b(?:answer|result|solution|value)\b", re.IGNORECASE
)
_SAYS = re.compile(rf"\b{_VERB}\b:?\s+|(?<=[A-Za-z)]):\s+|(?<=[A-Za-z)]):$", re.IGNORECASE)
_CONDITION = re.compile(
    r"[,;]?\s+(?:for\s+(?:some|all|any|every|each)|where|when|if|with(?=\s+\S+\s*=)|provided|such\s+that|because|since|as\s+wanted|which|so\s+that|in\s+order\s+to|to\s+make\s+sure"
    r"|note\s+that)\b.*$",
    re.IGNORECASE | re.DOTALL,
)
_STEP = re.compile(r"\s*(?:step\b|\d+[.)]\s|[-•*]\s)|[^=]*[A-Za-z][^=]*=", re.IGNORECASE)  # a line of a calculation
_CLOSING_WORDS = re.compile(r"(?:i hope (?:it|this)|hope this|done\b|let me know|<\|)[^\n]*$", re.IGNORECASE)
_SPECIAL = re.compile(r"<\|(?:im_end|im_start|endoftext|eot_id|end_of_text)\|>(?:\s*(?:user|assistant|system))?\s*$")
_PROSE = re.compile(
    r"(?P<sign>(?<![\w)}$])-)?(?P<money>\\?\$|£|€|₹)?\s?(?<![\d.,\w^_{])(?P<minus>-)?"
    r"(?P<number>\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+)"
    r"(?:\s?/\s?(?P<below>\d+)(?![\d/]))?(?![\d^_]|\.\d|,\d{3})(?P<percent>\s?(?:\\?%|percent\b))?(?P<unit>\s?[A-Za-z°¢]+)?"
)
_ADJUNCT = re.compile(
    r"\b(?:in|after|for|from|with|at|per|over|within|during|than|every|each|of|before|between|on|out\s+of|among|until|by\s+\w+ing)"
    r"\s+(?:(?:the|an?|about|only|all|these|those|her|his|their|its|my|our|another|first|last|next)\s+){0,2}$",
    re.IGNORECASE,
)
_KNOWN = re.compile(r"\b(?:the\s+(?:first|last|other|remaining|same)?|to\s+[a-z]+)\s*$", re.IGNORECASE)  # "the 15 eggs", "to save $80"
_TOTAL = re.compile(r"(?<!make )(?<!ing )\b(?:a|the)\s+total\s+(?:of|is|was)\s+$", re.IGNORECASE)
_ONE_LETTER = re.compile(r"\\?[A-Za-z]+(?:_\{?\w+\}?)?'*")


@dataclass(frozen=True)
class _Place:
    """A stretch of a response where an answer may stand. sure: a box or a tag, which holds the answer and nothing else."""

    text: str
    marked: bool
    sure: bool = False


@dataclass(frozen=True)
class Found:
    """An answer as it was found. whole: the sentence around it, for references that are words; else the same text."""

    text: str
    whole: str


def extract(response: str, kind: str = "math") -> str | None:
    r"""The answer that a response gives, as text; None where it gives none of the kind.

    Places are tried in the order that :mod:`s1lab.grade.answers` lists. Boxes joined by "and" or a comma are one list. Boxes
    joined by "or", and other hedges ("74 or 73", "(A) or (D)"), come back with their "or": they equal no single answer.

    Args:
        response: what a model wrote. Its last 100,000 characters are searched.
        kind: "math" takes a number, a formula, or words; out of a sentence it takes its number. "integer" takes a whole
            number. "choice" takes a letter from A to J. "exact" takes the text as it stands.

    Raises:
        ValueError: for an unknown kind.

    Example:
        >>> extract("So there are 12 of them. The answer is $x = 5$.")
        'x = 5'
    """
    found = find(response, kind)
    return found.text if found else None


def find(response: str, kind: str) -> Found | None:
    """:func:`extract`, with the sentence that the answer stands in."""
    if kind not in KINDS:
        raise ValueError(f"no kind of answer is called {kind!r}: choose from {list(KINDS)}")
    taker = {"math": _math, "integer": _integer, "choice": _choice, "exact": _exact}[kind]
    for place in _places(response[-TAIL:], kind):
        found = taker(place)
        if isinstance(found, Found):
            return found
        if found is _OTHER:
            return None
    return None


def reference(gold: str, kind: str) -> str | None:
    """The gold answer as :func:`extract` would give it: a benchmark's answer column holds the answer alone, or a box with it."""
    if "\\boxed" in gold:
        return extract(gold, kind)
    if kind == "math":
        return _bare(gold)
    if kind == "integer" and not re.match(r"\s*(?:\\?\$|\\\(|[-+\d])", signs(gold)):
        return None
    found = {"integer": _integer, "choice": _choice, "exact": _exact}[kind](_Place(gold.strip(), True, True))
    return found.text if isinstance(found, Found) else None


def normal(answer: str, kind: str = "math") -> str:
    """An answer without what its kind doesn't tell apart: sign and zeros, case, spaces. Equal ones are equal answers."""
    return whole(answer) if kind == "integer" else answer.strip().upper() if kind == "choice" else spelled(answer)


def plain(text: str) -> str:
    """A text without spaces, case, and the differences that Unicode's NFKC levels."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text)).casefold()


def spelled(text: str) -> str:
    """:func:`plain` in one spelling of signs: "5²" is not "52"."""
    return plain(signs(text))


def whole(text: str) -> str:
    """Digits with sign and without leading zeros: compared as text, so that a hostile length costs nothing."""
    text = text.replace(",", "")
    sign = "-" if text.startswith("-") else ""
    digits = text.lstrip("+-").lstrip("0") or "0"
    return digits if digits == "0" else sign + digits


class _Other:
    """An answer is there, and it is not of the kind that is asked for."""


_OTHER = _Other()
_Taken = Found | _Other | None


def _places(text: str, kind: str) -> Iterator[_Place]:
    text = _SPECIAL.sub("", text.translate({0x2212: "-"}))
    if "\\\\boxed" in text:  # its backslashes are escaped, as in a program's string
        text = re.sub(r"\\\\(?=[A-Za-z(\[])", lambda _: "\\", text)
    boxes = _boxes(text)
    if boxes:
        content, end = _joined_boxes(text, boxes)
        if kind == "choice" and option(content, sure=True) is None:
            yield from (p for p in _marked(text[end:], kind) if _names_an_option(p))
        yield _Place(content, True, True)
        return
    yield from _marked(text, kind)
    yield _Place(text, False)


def _names_an_option(place: _Place) -> bool:
    return option(place.text, sure=place.sure) is not None


def _marked(text: str, kind: str) -> Iterator[_Place]:
    """What stands behind each mark, the last one first."""
    for mark in reversed(list(_MARK.finditer(text))[-MARKS:]):
        behind = text[mark.end() : mark.end() + 3 * LONGEST]
        said = mark[0].strip().lower()
        if said == "<answer>":
            yield _Place(re.split(r"</answer|<", behind, maxsplit=1)[0].strip(), True, True)
        elif said.startswith('"'):
            yield _Place(_json_value(behind), True, True)
        elif said.startswith("a:") and kind == "choice":
            continue
        elif said == "####":
            yield _Place(behind.partition("\n")[0].strip(), True, True)
        elif kind in ("math", "integer") and (block := _block(mark[0], behind)) is not None:
            yield _Place(block, False)
        else:
            yield _Place(_line(behind), True)


def _block(mark: str, below: str) -> str | None:
    """What stands below a mark that is alone on its line, where its first line is no answer by itself; else None."""
    lines = [line for line in below.splitlines() if line.strip()]
    if not re.search(r"\n\s*[*_]*\s*$", mark) or len(lines) < 2 or (_reads(lines[0]) and not _STEP.match(lines[0])):
        return None
    return below


def _json_value(text: str) -> str:
    """The value at the beginning of a text, as JSON writes it; LaTeX whose backslashes are not escaped, as it stands."""
    try:
        if re.match(r'"(?:[^"\\]|\\[^A-Za-z])*\\[A-Za-z]{2}', text):
            raise ValueError("LaTeX")
        value, _ = json.JSONDecoder().raw_decode(text)
    except ValueError:
        quoted = re.match(r'"((?:\\.|[^"\\])*)"', text, re.DOTALL)
        return quoted[1] if quoted else re.split(r"[,}\n]", text, maxsplit=1)[0].strip()
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _boxes(text: str) -> list[tuple[int, int, int]]:
    """(where its command begins, where its content begins and ends) of each box whose braces close, outermost ones, in order."""
    found: list[tuple[int, int, int]] = []
    opened: list[tuple[int, int]] = []  # of each open brace: where its command and its content begin; (-1, 0) for no box
    for token in _BOX.finditer(text):
        if token["open"]:
            opened.append((token.start(), token.end()))
        elif token["bare"]:
            found.append((token.start(), *token.span("bare")))
        elif token[0] == "{":
            opened.append((-1, 0))
        elif token[0] == "}" and opened:
            command, begin = opened.pop()
            if command >= 0 and text[begin : token.start()].strip():
                while found and found[-1][0] > command:  # a box inside this one
                    found.pop()
                found.append((command, begin, token.start()))
    return found


def _joined_boxes(text: str, boxes: list[tuple[int, int, int]]) -> tuple[str, int]:
    """The content of the last box, with those that are joined to it, and where it ends."""
    contents = [text[boxes[-1][1] : boxes[-1][2]].strip()]
    for (_, begin, end), (following, _, _) in zip(reversed(boxes[:-1]), reversed(boxes[1:]), strict=True):
        joint = _joint(text[end:following])
        if joint is None or len(contents) > 30:
            break
        contents[0:0] = [text[begin:end].strip(), joint]
    if len(contents) > 1 and " or " not in contents and len(set(map(plain, contents[::2]))) == 1:
        contents = contents[:1]  # the same box twice
    return "".join(contents), boxes[-1][2]


_GLUE = re.compile(r"\\(?:text|mathrm|textbf)\s*\{([^{}]*)\}")
_GLUE_NOISE = re.compile(r"\\[()\[\],;:!]|\\(?:quad|qquad|left|right)(?![a-z])|[$}~*]|\\ ")
_GLUE_AND = re.compile(
    r"(?:[A-Za-z]{1,12}\s+){0,3}(?:\([a-z]\)\s*)?[,;&]?\s*(?:and)?\s*(?:[A-Za-z]{1,2}(?:_\{?\w+\}?|\([a-z]\))?\s*=)?", re.IGNORECASE
)


def _joint(between: str) -> str | None:
    """How two boxes are joined by what stands between them: ", ", " or ", or None for not at all."""
    if len(between) > 90 or "\n\n" in between:
        return None
    between = _GLUE.sub(r" \1 ", between)
    between = " ".join(_GLUE_NOISE.sub(" ", between).split())
    if re.fullmatch(r"(?:[A-Za-z]{1,12}\s+){0,2},?\s*or(?:\s+(?:perhaps|maybe|possibly))?(?:\s+[A-Za-z]{1,2}\s*=)?", between, re.IGNORECASE):
        return " or "
    if not re.search(r"[,;&]|\band\b", between, re.IGNORECASE):
        return ", " if not between else None
    return ", " if _GLUE_AND.fullmatch(between) else None


def _line(text: str) -> str:
    """From a mark on, the end of its line; a formula that begins there is kept whole."""
    text = text.lstrip()
    formula = _MATH.match(text)
    begin = formula.end() if formula else 0
    end = text.find("\n", begin)
    return text[:end] if end >= 0 else text


def _sentences(text: str) -> list[str]:
    return [s.strip() for s in _SENTENCE.split(text) if s and s.strip()]


def _first_sentence(text: str) -> str:
    """A marked line's first sentence, or the one in it that concludes: "There are 5 and 4. So it is 1." """
    sentences = _sentences(_protected(text))
    if not sentences:
        return text
    concluding = [s for s in sentences[1:] if _CONCLUDES.match(s) and re.search(r"\d", s)]
    chosen = concluding[-1] if concluding and not _reads(sentences[0]) else sentences[0]
    return _unprotected(chosen)


def _protected(text: str) -> str:
    """Formulas with their sentence ends hidden, so that no sentence ends within one."""
    return _MATH.sub(lambda m: re.sub(r"\s", "\x00", m[0]), text)


def _unprotected(text: str) -> str:
    return text.replace("\x00", " ")


def _exact(place: _Place) -> _Taken:
    text = place.text if place.sure or not place.marked else _cut(place.text)
    text = text.strip("*").strip().rstrip(".").strip()
    return Found(text, text) if text else None


def _cut(text: str) -> str:
    """The end of the sentence that a mark opens."""
    formula = _MATH.match(text)
    end = re.compile(r"\.\s+(?=[A-Z])").search(text, formula.end() if formula else 0)
    return text[: end.start()] if end else text


def _choice(place: _Place) -> _Taken:
    text = signs(place.text)
    found = option(text, sure=place.sure) if place.marked else unmarked_option(text)
    if found == NONE:
        return _OTHER
    if found:
        return Found(found, found)
    return _OTHER if place.sure and text else None


def _math(place: _Place) -> _Taken:
    if place.marked:
        text = place.text.strip() if place.sure else _first_sentence(place.text)
        if not text.strip("*_`'\"., \t\n"):
            return None
        if len(text) > LONGEST:
            return Found(text, text)
        taken = text if place.sure else _taken(text) or _bare(text)
        if place.sure and is_sentence(text):
            taken = _taken(text) or _bare(text)
        bare = _bare(taken or "")
        return Found(bare, _bare(text) or bare) if bare else None
    sentences = [s for s in _sentences(_protected(place.text[-8 * LONGEST :])) if not _CLOSING_WORDS.match(s)]
    for sentence in reversed(sentences[-SENTENCES:]):
        sentence = _unprotected(sentence)
        if len(sentence) <= LONGEST and (taken := _taken(sentence, last=True)) and (bare := _bare(taken)):
            return Found(bare, _bare(sentence) or bare)
    if not sentences:
        return None
    last = _bare(_said(_unprotected(sentences[-1])[-LONGEST:]))
    return Found(last, last) if last else None


def is_sentence(text: str) -> bool:
    """Whether a text is prose with a number in it, rather than an answer: three plain words or more."""
    bare = re.sub(r"\\(?:text|mathrm|textbf|mbox)\s*\{([^{}]*)\}", r"\1", text)
    return not _reads(text) and len(re.findall(r"(?<![\\A-Za-z])[A-Za-z]{2,}", re.sub(r"\\[A-Za-z]+|\\ ", " ", bare))) >= 3


def _taken(sentence: str, *, last: bool = False) -> str | None:
    """The answer in a sentence: all of it, what it says at its end, its formula, or its number; None for words alone."""
    sentence = _emphasis(sentence)
    if _reads(sentence):
        return sentence
    cut = _CONDITION.sub("", sentence)
    return _told(cut, last) or (_told(sentence, last) if cut != sentence else None)


def _told(cut: str, last: bool) -> str | None:
    """:func:`_taken`, for a sentence without the condition at its end."""
    if (said := _SAID.match(cut)) and len(cut) <= 500 and _reads(said[1]):
        return said[1]
    ends = [m.end() for m in _SAYS.finditer(cut)]
    for end in reversed(ends):
        if (behind := cut[end:].strip()) and _reads(behind):
            return behind
    formulas = list(_MATH.finditer(cut))
    if formulas:
        group = _formula_group(cut, formulas, ends, last)
        if group is not None:
            return group
    return _number_in(cut)


def _formula_group(text: str, formulas: list[re.Match[str]], ends: list[int], last: bool) -> str | None:
    """The formulas that answer, joined where commas or "and" join them; None where all are names of one letter."""
    starts = [i for i, f in enumerate(formulas) if f.start() == 0 or any(not text[e : f.start()].strip(" :*") for e in ends)]
    telling = [i for i, f in enumerate(formulas) if not _ONE_LETTER.fullmatch(_inside(f).strip())]
    first = formulas[0].start() == 0 and not last
    begin = 0 if first and 0 in telling else next((i for i in reversed(starts) if i in telling), None)
    if begin is None:
        if not telling:
            return None
        if _number_in(re.sub(_MATH, " ", text)) is not None and last is False:
            return None
        return _inside(formulas[telling[-1]])
    joined = [formulas[begin]]
    for formula in formulas[begin + 1 :]:
        between = text[joined[-1].end() : formula.start()]
        if len(between) > 20 or not _JOINED.fullmatch(between):
            break
        joined.append(formula)
    separator = " or " if any(" or " in text[a.end() : b.start()] for a, b in zip(joined, joined[1:], strict=False)) else ", "
    return separator.join(_inside(formula).strip() for formula in joined)


def _number_in(text: str) -> str | None:
    """The number that a sentence tells, with its unit where that is a known one; None for a sentence without numbers."""
    text = signs(text)
    if "=" in text and (side := text.rpartition("=")[2].strip()) and (number := _PROSE.match(side)):
        return _with_unit(number)
    found = [m for m in _PROSE.finditer(text) if not _numbering(text, m) and not re.search(r"\bnot\s+$", _before(text, m))]
    if not found:
        for worded in NUMBER_WORDS.finditer(text):
            number = number_in_words(worded[0])
            if number is not None and (number != 1 or worded.start() == 0):
                return str(number)
        return None
    if len(found) == 2 and re.fullmatch(r"\s*,?\s*or\s+", text[found[0].end("number") : found[1].start()]):
        return f"{_with_unit(found[0])} or {_with_unit(found[1])}"
    totals = [m for m in found if _TOTAL.search(_before(text, m))]
    if len(totals) == 1:
        return _with_unit(totals[0])
    ranked = [_aside(_before(text, m)) for m in found]
    best = [m for m, rank in zip(found, ranked, strict=True) if rank == min(ranked)]
    money = [m for m in best if m["money"]]
    if len(money) == 1 and min(ranked) == 0:
        return _with_unit(money[0])
    return _with_unit(best[-1] if min(ranked) == 2 else best[0])


def _aside(before: str) -> int:
    """How little of a sentence's point a number is, by what stands before it: 0 the point, 2 a circumstance ("in 3 bags")."""
    if re.search(r"\b(?:speed|rate|pace)\s+of\s+$", before, re.IGNORECASE):
        return 0
    return 2 if _ADJUNCT.search(before) else 1 if _KNOWN.search(before) else 0


def _before(text: str, number: re.Match[str]) -> str:
    """What stands before a number and its currency sign."""
    begin = number.start("money") if number["money"] else number.start("number")
    return text[max(0, begin - 60) : begin]


def _numbering(text: str, number: re.Match[str]) -> bool:
    """Whether a number counts the lines or steps: "3. ..." at the beginning, "Step 2:"."""
    if number.start("number") == 0 and re.match(r"\s*[.)]\s", text[number.end("number") :]):
        return True
    counted = r"\b(?:step|part|question|problem|case|day|figure|table|equation)\s+$"
    return bool(re.search(counted, _before(text, number), re.IGNORECASE))


def _with_unit(number: re.Match[str]) -> str:
    text = number["number"] + (f"/{number['below']}" if number["below"] else "")
    text = ("-" if number["sign"] or number["minus"] else "") + text
    if number["percent"]:
        return text + "%"
    if number["money"]:
        return f"{text} dollars" if "$" in number["money"] else text
    unit = (number["unit"] or "").strip()
    quantified = quantity(f"{text} {unit}") if len(unit) > 1 else None
    return f"{text} {unit}" if quantified and quantified.unit else text


def _integer(place: _Place) -> _Taken:
    found = _math(place)
    if not isinstance(found, Found):
        return found
    amount = _whole_in(found.text)
    if isinstance(amount, str):
        return Found(amount, found.whole)
    if amount is _OTHER or place.sure or (place.marked and re.search(r"\d", found.text)):
        return _OTHER
    return None


def _whole_in(text: str) -> str | _Other | None:
    """The whole number that an answer is, as digits; _OTHER for another number, None for no number."""
    if re.fullmatch(r"[-+]?(?:\d+|\d{1,3}(?:,\d{3})+)", text.strip()):
        return text.strip()
    spelled = clean(text)
    if hedged(spelled):
        return _OTHER
    candidates = [spelled]
    for separator in ("=", ":", "\\equiv"):
        if separator in spelled:
            before, _, behind = spelled.rpartition(separator)
            candidates += [behind, before.split(separator)[0], _CONDITION.sub("", behind)]
    amounts = [q for c in candidates if (q := quantity(c)) is not None]
    if not amounts:
        return None
    return _digits(amounts[0])


def _digits(amount: Quantity) -> str | _Other:
    return str(amount.value.numerator) if amount.value.denominator == 1 else _OTHER


def _emphasis(text: str) -> str:
    return re.sub(r"\*\*|__|`", "", text).strip().rstrip(".").strip()


def _reads(text: str) -> bool:
    """Whether a text is an answer as a whole: a number with its unit, a formula, or several joined by commas or "and"."""
    text = _emphasis(text)
    if not text or len(text) > LONGEST:
        return False
    formulas = list(_MATH.finditer(text))
    if formulas:
        rest = _MATH.sub(" ", text)
        return not re.sub(r"\b(?:and|or)\b|[,;.\s]|\\text\{\s*\w*\s*\}", "", rest)
    if quantity(text) is not None:
        return True
    bare = re.sub(r"\\text\s*\{[^{}]*\}|\\[A-Za-z]+|(?<![A-Za-z])(?:and|or|sqrt|pi|sin|cos|tan|log|ln|in|infinity)(?![A-Za-z])", " ", text)
    return not re.search(r"[A-Za-z]{3}|[A-Za-z]{2,}\s+[A-Za-z]{2,}|[^\x00-\x7f]{3}", bare) and bool(
        re.search(r"\d|\\[A-Za-z]", text)
    ) and not re.search(r"[?!]\s", text)


def _said(line: str) -> str:
    """Out of a last line without formula or number: before "is the answer", else from its last "is" or colon on."""
    said = _SAID.match(line) if len(line) <= 500 else None
    return said[1] if said else _SAYS.split(line)[-1]


def _inside(formula: re.Match[str]) -> str:
    return next((group for group in formula.groups() if group), "")


def _bare(text: str) -> str | None:
    """Without emphasis, the dollars around a formula, a lone dollar, and the full stop."""
    text = text.strip().strip("*`").strip()
    text = text.rstrip(".").strip() if not text.endswith("\\.") else text
    text = text.strip("*`").strip()
    formulas = list(_MATH.finditer(text))
    if formulas and not re.sub(r"\b(?:and|or)\b|[,;\s]", "", _MATH.sub(" ", text)):
        joined = [_inside(f).strip() for f in formulas]
        gaps = [text[a.end() : b.start()] for a, b in zip(formulas, formulas[1:], strict=False)]
        return (" or " if any("or" in gap for gap in gaps) else ", ").join(joined) or None
    if text.startswith("$") and text.count("$") == 1:
        text = text[1:].strip()
    return text or None
