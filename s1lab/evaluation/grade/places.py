"""The places of a response where the answer may be: boxes, tags, marks, and the whole text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from s1lab.evaluation.grade.choices import option
from s1lab.evaluation.grade.prose import FORMULA, LONGEST, VERB, reads
from s1lab.evaluation.grade.quantities import quantity

MARKS = 20  # the most marks that are tried, the last one first

_BOX = re.compile(
    r"\\(?:boxed|fbox|framebox)\s*(?P<open>\{)"
    r"|\\boxed\s+(?P<bare>-?\d[\d.,]*|[A-Za-z](?![A-Za-z]))|\\.|[{}]",
    re.DOTALL,
)
_SEPARATOR = (
    rf"(?:[:：=]+|{VERB}\b|\([^()\n]{{0,40}}\)\s*(?:{VERB}\b|[:：])"
    rf"|(?:to|for|of|in|that)\b[^\n.:=]{{0,80}}?\b{VERB}\b)[\s:：*_]{{0,20}}"
)
_MARK = re.compile(
    r"\b(?:final\s+answers?|answers?|correct\s+(?:option|choice)|selected"
    rf"|correct)\b[*_\"'\s]{{0,9}}{_SEPARATOR}"
    r"|(?:^|\n)[#*_ \t]{0,9}final\s+answers?[*_ \t]{0,9}(?:\n\s{0,20}|$)"
    r"|(?:最终)?答案(?:是|为|：|:)+\s{0,9}|(?:^|\n)A:[ \t]"
    r"|(?:^|\s)####[ \t]*(?=[-+\d$\\(A-Z.])(?![A-Za-z]{2})"
    r"|(?P<quote>[\"'])(?:final_?\s?)?answer(?P=quote)\s*:\s*|<answer>",
    re.IGNORECASE,
)
# "The answer is correct" and "I hope the answer is clear" give no answer.
_JUDGES = re.compile(
    r"(?:(?:very|quite|indeed|now|also|fully|definitely)\s+)?"
    r"(?:correct|right|wrong|incorrect|clear|unclear|helpful|useful|final|verified|confirmed"
    r"|complete|reasonable|consistent|plausible|as\s+(?:expected|required|follows)"
    r"|what\s+(?:you|was|is)\b[^.!?\n]{0,40})\s{0,9}(?:[.!?,;]|$|\n|(?:and|since|because|as)\b)",
    re.IGNORECASE,
)
_WISHES = re.compile(r"\bhope\b[^.!?\n]{0,60}$", re.IGNORECASE)
_END_OF_TURN = re.compile(
    r"(?:\s{0,9}(?:<\|[^|<>\n]{1,30}\|>(?:\s*(?:user|assistant|system))?|</s>|<eos>|<pad>"
    r"|<end_of_turn>|<EOS_TOKEN>|\[/INST\]))+$"
)
_THOUGHT = re.compile(
    r"</think(?:ing)?>|\[/THINK\]|<\|im_start\|>answer|<\|channel\|>final<\|message\|>"
)
_CALCULATES = re.compile(r"\s*(?:step\b|\d+[.)]\s|[-•*]\s)|[^=]*[A-Za-z][^=]*=", re.IGNORECASE)
_ATTACHED = re.compile(
    r"\s?(?:\^\{?\w+\}?|_\{?\w+\}?|\\?%|\\(?:times|cdot)\s*[\w^{}.]+|\\pi|\\sqrt\{[^{}]*\}"
    r"|[a-z](?![A-Za-z]))"
)
_WORDS_BETWEEN = re.compile(r"\\(?:text|mathrm|textbf)\s*\{([^{}]*)\}")
_SIGNS_BETWEEN = re.compile(r"\\[()\[\],;:!]|\\(?:quad|qquad|left|right)(?![a-z])|[$}~*]|\\ ")
_NAMES = r"(?:[A-Za-z]{1,2}(?:_\{?\w+\}?|\([a-z]\))?\s*=)?"  # "x =" before the next box
_AND_BETWEEN = re.compile(
    rf"(?:[A-Za-z]{{1,12}}\s+){{0,3}}(?:\([a-z]\)\s*)?[,;&]?\s*(?:and)?\s*{_NAMES}", re.IGNORECASE
)
_OR_BETWEEN = re.compile(
    rf"(?:[A-Za-z]{{1,12}}\s+){{0,2}},?\s*or"
    rf"(?:\s+(?:perhaps|maybe|possibly|it|is|it's|could|might|may|be|even|else|rather))*"
    rf"\s*{_NAMES}",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Place:
    """A stretch of a response where the answer may be.

    Attributes:
        text: The stretch.
        marked: Whether something says that it is the answer.
        sure: Whether it is only the answer, as in a box.
    """

    text: str
    marked: bool
    sure: bool = False


def places(text: str, kind: str) -> Iterator[Place]:
    """The places of a response, the most explicit one first.

    The last box decides, and nothing else is tried. There is one exception, for a choice: if a
    formula is in the box and an explicit "Answer: D" follows, the latter names the option.
    """
    text = _END_OF_TURN.sub("", text.replace("−", "-").rstrip())
    if thoughts := list(_THOUGHT.finditer(text)):  # a thought is not the answer if one follows
        text = text[thoughts[-1].end() :] if text[thoughts[-1].end() :].strip() else text
    if "\\\\boxed" in text:  # escaped backslashes, as in a program's string
        text = re.sub(r"\\\\(?=[A-Za-z(\[])", lambda _: "\\", text)
    if boxes := _boxes(text):
        content, end = _last_boxes(text, boxes)
        content += _attached(text[end:])
        if (
            re.search(r"(?:^|[$=(\s])-$", text[: boxes[-1][0]][-2:])
            and content == text[boxes[-1][1] : boxes[-1][2]].strip()
        ):
            content = f"-{content}"
        if kind == "choice" and option(content, sure=True) is None:
            behind = [*_marked(text[end:], kind)]
            if named := re.search(r"\bwhich\s+is\s+(?=(?:option|choice|answer)\b)", text[end:]):
                behind.append(Place(text[end + named.end() :], True))
            yield from (
                place for place in behind if option(place.text, sure=place.sure) is not None
            )
        yield Place(content, True, True)
        return
    yield from _marked(text, kind)
    yield Place(text, False)


def _attached(behind: str) -> str:
    """The text outside a box that belongs to it: its power, its base, a factor, a known unit."""
    behind = behind.removeprefix("}")
    formula = _ATTACHED.match(behind)
    if formula:
        return formula[0]
    worded = re.match(r"[\s$]*(?:\\[,; ])?\s*(?:\\text\s*\{\s*)?([A-Za-z]+)", behind)
    if (
        worded
        and len(worded[1]) > 1
        and (amount := quantity(f"1 {worded[1]}"))
        and (amount.unit or amount.value != 1)
    ):
        return f" {worded[1]}"
    return ""


def _marked(text: str, kind: str) -> Iterator[Place]:
    """The text after each mark, the last one first."""
    marks = list(_MARK.finditer(text))[-MARKS:]
    if re.search(r"[}\]][\s`]*$", text):  # JSON: its key comes before what its texts say
        marks.sort(key=lambda mark: mark["quote"] is not None)
    for mark in reversed(marks):
        behind = text[mark.end() : mark.end() + 3 * LONGEST]
        said = mark[0].strip().lower()
        if re.search(rf"{VERB}[\s*_]*$", said) and (
            _JUDGES.match(behind) or _WISHES.search(text[: mark.start()][-80:])
        ):
            continue
        if said == "<answer>":
            yield Place(re.split(r"</answer|<", behind, maxsplit=1)[0].strip(), True, True)
        elif mark["quote"]:
            yield Place(_json_value(behind), True, True)
        elif said == "####":
            yield Place(behind.partition("\n")[0].strip(), True, True)
        elif said.startswith("a:") and kind == "choice":  # an option of the question, repeated
            continue
        elif kind in ("math", "integer") and (block := _block(mark[0], behind)) is not None:
            yield Place(block, False)
        else:
            yield Place(_line(behind), True)


def _line(text: str) -> str:
    """The rest of a mark's line. A formula that begins there is kept whole."""
    text = text.lstrip()
    formula = FORMULA.match(text)
    end = text.find("\n", formula.end() if formula else 0)
    line = text[:end] if end >= 0 else text
    if quoted := re.fullmatch(r'"([^"]*)"[.,]?\s*', line):
        return quoted[1]
    return line


def _block(mark: str, below: str) -> str | None:
    """The text below a mark that is alone on its line.

    None if the first line below it is an answer by itself.
    """
    lines = [line for line in below.splitlines() if line.strip()]
    if (
        not re.search(r"\n\s*[*_]*\s*$", mark)
        or len(lines) < 2
        or (reads(lines[0]) and not _CALCULATES.match(lines[0]))
    ):
        return None
    return below


def _json_value(text: str) -> str:
    """The value at the beginning of a text, read as JSON.

    LaTeX whose backslashes are not escaped is returned unchanged.
    """
    if single := re.match(r"'((?:\\.|[^'\\])*)'", text, re.DOTALL):  # a dictionary of Python's
        return single[1]
    if re.match(r'"(?:[^"\\]|\\[^A-Za-z])*\\[A-Za-z]{2}', text):
        quoted = re.match(r'"((?:\\.|[^"\\])*)"', text, re.DOTALL)
        return quoted[1] if quoted else text
    try:
        value, _ = json.JSONDecoder().raw_decode(text)
    except ValueError:
        return re.split(r"[,}\n]", text, maxsplit=1)[0].strip(' "')
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _boxes(text: str) -> list[tuple[int, int, int]]:
    """The place of each box whose braces close, in order.

    One pass, with the open braces on a stack. For a box within a box the outer one counts.

    Returns:
        (start of the command, start of the content, end of the content) of each box.
    """
    found: list[tuple[int, int, int]] = []
    # For each open brace: the start of its command and of its content; (-1, 0) for no box.
    opened: list[tuple[int, int]] = []
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
                while found and found[-1][0] > command:
                    found.pop()
                found.append((command, begin, token.start()))
    return found


def _last_boxes(text: str, boxes: list[tuple[int, int, int]]) -> tuple[str, int]:
    """The content of the last box and the boxes joined to it, and the end of the last box."""
    contents = [text[boxes[-1][1] : boxes[-1][2]].strip()]
    joints: list[str] = []
    for (_, begin, end), (following, _, _) in zip(
        reversed(boxes[:-1]), reversed(boxes[1:]), strict=True
    ):
        joint = _joint(text[end:following])
        if joint is None or len(contents) > 30:
            break
        contents.insert(0, text[begin:end].strip())
        joints.insert(0, joint)
    if len(set(contents)) == 1:  # the same box twice
        return contents[0], boxes[-1][2]
    joined = contents[0] + "".join(
        joint + content for joint, content in zip(joints, contents[1:], strict=True)
    )
    return joined, boxes[-1][2]


def _joint(between: str) -> str | None:
    """How the text between two boxes joins them: ", " or " or "; None if it does not."""
    if len(between) > 90 or "\n\n" in between:
        return None
    between = " ".join(_SIGNS_BETWEEN.sub(" ", _WORDS_BETWEEN.sub(r" \1 ", between)).split()).strip(
        "( "
    )
    if between in ("/", "or"):
        return " or "
    if re.match(r"(?:if|when)\b.*,$", between):  # one answer for each case
        return ", "
    if _OR_BETWEEN.fullmatch(between):
        return " or "
    if not between or (
        re.search(r"[,;&]|\band\b", between, re.IGNORECASE) and _AND_BETWEEN.fullmatch(between)
    ):
        return ", "
    return None
