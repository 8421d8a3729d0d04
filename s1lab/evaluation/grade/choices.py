"""Which option of a multiple-choice question a text names: a letter from A to J.

A letter counts only if it is used as an option. It does not count in "2.5 C", "ΔH > 0" and "I
believe". A text that names two options and rules out neither is hedged: it names both, which
equals no single letter.
"""

from __future__ import annotations

import re

NONE = "none"  # the result for "none of the above"
_WRAPPED = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|bf|rm|boxed|fbox)\s*\{([^{}]*)\}"
)
# "option B", "(B)", "[B]", "B)", "B." before a word, "**B**"
_STRONG = re.compile(
    r"(?:\b(?:option|choice|answer|letter)s?\s+[(\[\"'“*]*(?P<named>[A-Ja-j])(?![A-Za-z'’]))"
    r"|[(\[](?P<bracketed>[A-Ja-j])[)\]]|(?<![\w(\\])(?P<closed>[A-Ja-j])\)(?!\w)"
    r"|\*\*(?P<bold>[A-J])\*\*",
    re.IGNORECASE,
)
_WEAK = re.compile(
    r"(?<![A-Za-z0-9_\\'’$^_(\[.-])(?<!\d )(?<!circ )(?P<letter>[A-J])(?![\w'’^_(+]"
    r"|\s*[=<>^_+*/-]\s*[\w\\]|-\w)"
)
_NAMED_BY = re.compile(  # "vitamin D", "team C"
    r"\b(?:vitamin|hepatitis|type|class|team|group|points?|war|grade|plan|figure|statements?"
    r"|polymerase|schedule|angle|vector|set"
    r"|event|company|country|city|person|student|box|bag)\s+$",
    re.IGNORECASE,
)
_WORD_AFTER = re.compile(r"\s+([a-z]+)")
_GOES_ON = frozenset(
    "is because since as and or but not follows was here for while due with given it".split()
)
_WRONG = re.compile(
    r"^[)\]*\s]*(?:[,\s]*(?:and|or|,|nor)\s*[(\[]?[A-J][)\]]?(?![A-Za-z]))*[)\]*\s]*"
    r"(?:isn't|aren't|doesn't|is|are|was|were|can\s?not|can't|can|could|may|might|must|should"
    r"|does|do|would)?"
    r"\s*(?:both\s+|all\s+|clearly\s+|also\s+|definitely\s+)?"
    r"(?:isn't|aren't|doesn't|can't|won't|wrong|incorrect|false|less\s+likely|ruled\s+out"
    r"|eliminated|excluded|out\b(?!\s+of)|not\b|violates?\b|fails?\b"
    r"|be\s+(?:wrong|ruled|excluded|eliminated|rejected|discarded|dismissed)|a\s+distractor)",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"(?:\bnot|n't|\bnever|\bcannot|\banything\s+but|\bdoubt\s+that"
    r"|\b(?:neither|nor|rule[sd]?\s+out|eliminat\w+|exclud\w+|except|than|unlike"
    r"|reject\w*))\s+(?:be\s+)?(?:the\s+)?"
    r"(?:(?:options?|choices?|answers?)\s+)?(?:[(\[]?[A-J][)\]]?\s*(?:,|and|or|nor)\s*)*[(\[]?$",
    re.IGNORECASE,
)
_HEDGE = re.compile(
    r"^[)\]*\"'\s]*[(\[]?(?:,|,?\s*(?:and|or|/|&)(?:/or)?)\s*(?:and\s+|or\s+)?(?:maybe\s+"
    r"|possibly\s+|perhaps\s+)?(?:options?\s+|choices?\s+)?[(\[*]*"
    r"(?P<next>[A-J])(?![A-Za-z'’])[)\]*]*(?!\s+(?:is|are|was|were|has|have|does|fails?"
    r"|violates?)\b)"
)
# The "A or" before "D is correct".
_OTHER_BEFORE = re.compile(
    r"(?<![\w'’])(?P<other>[A-J])[)\]*]*,?\s*(?:\b(?:and|or)|/|&)\s*"
    r"(?:maybe\s+|possibly\s+|perhaps\s+)?(?:options?\s+|choices?\s+)?[(\[*\"']*$"
)
_IS_RIGHT = re.compile(
    r"[(\[*\"']*(?P<letter>[A-Ja-j])[)\]*\"']*(?:[.:)]\s*[^\n.]{0,80}?)?\s+(?:is|as|are)\s+"
    r"(?:therefore\s+|thus\s+|indeed\s+|also\s+|both\s+|all\s+|most\s+likely\s+)?"
    r"(?:the\s+|our\s+|my\s+)?(?:only\s+|most\s+)?"
    r"(?:correct|right|best|answer|true|appropriate|final)\b",
    re.IGNORECASE,
)
_SAYS_SO = re.compile(
    r"\b(?:it\s+is|it's|it\s+must\s+be|must\s+be|i\s+(?:choose|pick|select|go\s+with|say)"
    r"|(?:choice|option|answer|select(?:ion|ed)?|correct)(?:\s+is|\s+would\s+be|\s+must\s+be)?"
    r"|answer,)\s*:?\s*"
    r"(?:therefore\s+)?(?:(?:option|choice|letter)\s+)?[(\[*\"']*(?P<letter>[A-J])(?![\w'’])",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"[\s*_\"'“:$]*"
    r"(?:(?:the\s+)?(?:correct\s+|right\s+|best\s+)?(?:options?|choices?|letter"
    r"|answer)\b\s*(?:is\b)?[\s:*\"'“]*)?"
    r"(?P<opens>[(\[{*\"'“]*)(?P<letter>[A-Ja-j])(?P<closes>[)\]}*.:\"'”]*)(?![\w'’+])",
    re.IGNORECASE,
)
# "(B) is false". But "(B) false" and "(D) cannot be determined" repeat the option's own text.
_IS_WRONG = re.compile(
    r"[)\]*\s]*\s(?:is|was)\s+"
    r"(?:not\s+(?:the\s+)?(?:correct|right|answer)|wrong|incorrect|false)\b",
    re.IGNORECASE,
)
# Such as "(B) 5 m/s".
_RESTATED = re.compile(
    r"\W{0,4}([A-Ja-j])[).:](?=\W)|\W{0,4}\(([A-J])\)|\W{0,4}([A-J])(?:[.:]|\s+[-–]\s)"
)


def option(text: str, *, sure: bool = False) -> str | None:
    """The option that a marked text names.

    Args:
        text: The text after "the answer is", or in a box or a tag.
        sure: Whether the text is only an answer, as in a box.

    Returns:
        The option, such as "B"; "B or D" if the text hedges; None if it names none.
    """
    text = _unwrapped(text)
    if re.match(
        r"\W*(?:none|neither|all)\s+of\s+(?:the|these|them)\b", text, re.IGNORECASE
    ) and not _STRONG.search(text):
        return NONE
    if alone := re.fullmatch(r"[\W_]*([A-Ja-j])[\W_]*", text):
        return str(alone[1].upper())
    if several := _several(text):
        return several
    opening = _OPENING.match(text)
    if opening and _stands(text, opening):
        return _with_others(text, opening["letter"].upper(), opening.end())
    if sure and not re.search(r"\b(?:option|choice|answer)\b|\([A-J]\)", text, re.IGNORECASE):
        return None  # a formula, or words
    sentence = re.split(r"(?<=[.!?])\s+(?=[A-Z(])|\n", text, maxsplit=1)[0]
    return _last_of(sentence) or (None if sure else _last_of(text[:400]))


def unmarked_option(text: str) -> str | None:
    """The option that a whole response names without a mark.

    It is the option of the response's last statement, or else the last option in it.
    """
    text = _unwrapped(text)
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if not lines:
        return None
    if alone := re.fullmatch(r"[\W_]*([A-Ja-j])[\W_]*", lines[-1]):
        return alone[1].upper()
    if several := _several(text):
        return several
    restated = _RESTATED.match(lines[0]) if len(lines) == 1 else None
    if (
        restated
        and len(re.findall(r"\([A-J]\)|\b[A-J]\)", text)) <= 1
        and not _IS_WRONG.match(lines[0][restated.end(restated.lastindex or 0) :])
    ):
        return str(next(filter(None, restated.groups()))).upper()
    for pattern in (_IS_RIGHT, _SAYS_SO):
        said = [
            m
            for m in pattern.finditer(text)
            if _stands(text, m) and not _denied(text, m.start("letter"), m.end("letter"))
        ]
        if said:
            letter, begin = said[-1]["letter"].upper(), said[-1].start("letter")
            joined = _OTHER_BEFORE.search(text[max(0, begin - 60) : begin])
            found = _with_others(text, letter, said[-1].end("letter"))
            if joined and joined["other"] != letter:
                return f"{joined['other']} or {found}"
            return found
    return _last_of(text[-4_000:], whole=text)


def _several(text: str) -> str | None:
    """The options of a text that is only two letters or more, such as "C/D"; None for any other."""
    if len(text) > 60 or not re.fullmatch(r"\W*[A-J](?:\W+[A-J])+\W*", text):
        return None
    return " or ".join(dict.fromkeys(re.findall(r"[A-J]", text)))


def hedged(text: str) -> bool:
    """Whether a text joins several answers with "or"."""
    return bool(re.search(r"(?<![A-Za-z\\])or(?![A-Za-z])", text))


def _stands(text: str, found: re.Match[str]) -> bool:
    """Whether a letter is an option, not a word or a symbol ("A distractor", "I think")."""
    if _NAMED_BY.search(text[max(0, found.start("letter") - 30) : found.start("letter")]):
        return False
    groups = found.groupdict()
    letter, end = found["letter"], found.end("letter")
    if groups.get("opens") and groups["opens"][-1:] in "([" and groups.get("closes"):
        return True
    if (groups.get("closes") or "")[:1] in tuple(").:*]"):
        return True
    if letter in "AI" or letter.islower():
        after = _WORD_AFTER.match(text, end)
        if after and after[1] not in _GOES_ON:
            return False
        if letter.islower() and letter in "ai" and after:
            return False
    # Roman numerals.
    if letter == "I" and re.match(r"\s*(?:,|and|or)\s+(?:I{2,3}|IV)\b", text[end:]):
        return False
    return not re.match(r"\s*(?:[=<>^_+*]|\\[a-z])", text[end:])


def _denied(text: str, begin: int, end: int) -> bool:
    return bool(
        _WRONG.match(text[end : end + 80]) or _DENIED.search(text[max(0, begin - 60) : begin])
    )


def _last_of(text: str, whole: str | None = None) -> str | None:
    """The last option of a text that is not ruled out. Strong forms win over bare letters."""
    for pattern in (_STRONG, _WEAK):
        kept = []
        for found in pattern.finditer(text):
            name = next(n for n, v in found.groupdict().items() if v)
            letter, begin, end = found[name], *found.span(name)
            named = pattern is _WEAK and _NAMED_BY.search(text[max(0, begin - 30) : begin])
            if (
                not named
                and not _denied(text, begin, end)
                and not _is_word(text, letter, end, name)
            ):
                kept.append((letter.upper(), end))
        if kept:
            if whole is None and len(kept) > 1 and _HEDGE.match(text[kept[0][1] :]):
                return _with_others(text, *kept[0])
            return _with_others(text, kept[-1][0], kept[-1][1], before=kept)
    return None


def _is_word(text: str, letter: str, end: int, name: str) -> bool:
    """Whether a letter is a word of its sentence: "I think", "option a cat likes"."""
    after = _WORD_AFTER.match(text, end)
    if name == "letter":
        return letter in "AI" and after is not None and after[1] not in _GOES_ON
    if name == "named" and letter.islower():
        return not re.match(r"[\s.,;:)\"']|$", text[end : end + 1]) or (
            letter in "ai" and after is not None
        )
    return False


def _with_others(
    text: str, letter: str, end: int, before: list[tuple[str, int]] | None = None
) -> str:
    """The letter, with the letters that it is joined to: "B or D"."""
    letters = [letter]
    while (joined := _HEDGE.match(text[end:])) and len(letters) < 10:
        if _denied(text, end + joined.start("next"), end + joined.end("next")):
            break
        if (
            joined["next"] in "AI"
            and (after := _WORD_AFTER.match(text, end + joined.end("next")))
            and after[1] not in _GOES_ON
        ):
            break
        letters.append(joined["next"].upper())
        end += joined.end("next")
    if before and len(before) > 1:  # the last of several that are joined
        previous = before[-2]
        joined = _HEDGE.match(text[previous[1] :])
        if joined and previous[1] + joined.end("next") == before[-1][1]:
            letters.insert(0, previous[0])
    return " or ".join(dict.fromkeys(letters))


def _unwrapped(text: str) -> str:
    for _ in range(3):
        text = _WRAPPED.sub(r" \1 ", text)
    return re.sub(r"\\(?:rm|bf|,|;|!|quad|\(|\)|\[|\])(?![A-Za-z])", " ", text).replace("$", " ")
