"""Questions that others made: twelve tasks of the package reasoning-gym, with its own scorers.

The package draws questions from a seed and scores answers from 0 to 1. This file knows three things
about each task: which of the package's rows are wrong, how an answer in a response is put into the
form that the scorer reads, and what the scorer must know beside the right answer. The last is made
from the right answer. So a row needs ``question``, ``answer`` and ``kind`` only.

The package is imported when it is used. `scored` runs in a worker process with limits, see
`s1lab.evaluation.grade.sandbox`: one of the scorers hands the answer to a parser that evaluates it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from difflib import get_close_matches
from functools import cache
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

from s1lab.evaluation.arguments import shown, whole

if TYPE_CHECKING:
    from datasets import Dataset

PACKAGE, VERSION = "reasoning-gym", "0.1.25"
PREFIX = "reasoning-gym/"
INSTALL = f"pip install {PACKAGE}=={VERSION}"
# The package seeds row i with seed + i. So its seeds must lie further apart than a draw is long.
SPACING = 1_000_000
MOST = 40_000  # questions of one draw
QUESTIONS = 100  # where the caller does not say how many
LAST_SEED = 10**9
LONGEST = 1_000  # characters of an answer that are scored

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_WEEKDAY = re.compile(rf"\b(?:{'|'.join(WEEKDAYS)})\b", re.IGNORECASE)
_YES_NO = re.compile(r"\b(?:yes|no)\b", re.IGNORECASE)
_WHOLE = re.compile(r"(?<![\w.])-?\d+(?!\w|\.\d)")
_SPAN = re.compile(r"-?\d+ days?(?:, ?\d+:\d\d(?::\d\d)?)?|-?\d+:\d\d(?::\d\d(?:\.\d+)?)?")
_EXPRESSION = re.compile(r"[0-9+\-*/() ]*")
_IN_TEXT = re.compile(r"\\(?:text|textbf|textit|texttt|mathrm|mathbf)\s*\{([^{}]*)\}")
_SIGNS = (
    (r"\\times|\\cdot|×|·", "*"),
    (r"\\div|÷", "/"),
    (r"\\left|\\right|\\[,;! ]|[{}]", ""),
    ("[−–]", "-"),
)


@dataclass(frozen=True)
class Task:
    """What s1lab knows about a task.

    Attributes:
        asks: What is asked, in a few words.
        number: Whether every answer is a number.
        tidy: Puts an extracted answer into the form that the scorer reads.
        knows: What the scorer must know beside the right answer, made from the right answer.
        wrong: Whether the question or the answer of one of the package's rows is wrong.
    """

    asks: str
    number: bool = False
    tidy: Callable[[str], str] = str.strip
    knows: Callable[[str], dict[str, Any]] = lambda gold: {}
    wrong: Callable[[dict[str, Any]], bool] = lambda entry: False


def _bare(text: str) -> str:
    """A text without LaTeX's commands for text, dollars, quotes and a final stop."""
    return _IN_TEXT.sub(r"\1", text).strip(" \t\n$`\"'*.#")


def _only(text: str, *patterns: re.Pattern[str]) -> str:
    """What the first pattern that occurs finds, if it finds one thing; else the whole text."""
    text = _bare(text.rpartition("=")[2])
    for pattern in patterns:
        if found := {found[0] for found in pattern.finditer(text)}:
            return found.pop() if len(found) == 1 else text
    return text


def _last_word(text: str) -> str:
    return _bare((_bare(text).split() or [""])[-1])


def _list(text: str) -> str:
    return _bare(text).rpartition(":")[2].strip(" []")


def _expression(text: str) -> str:
    """The expression at the end of a text, in the signs of a program; else the whole text."""
    text = _bare(text)
    for pattern, sign in _SIGNS:
        text = re.sub(pattern, sign, text)
    end = re.search(r"(?<![\w.])(?:-(?=[\d(]))?[(\d][\d+\-*/() ]*$", text.strip())
    return end[0] if end and not end[0].strip().isdigit() else text.strip()


def _date_task(gold: str) -> dict[str, Any]:
    if gold in WEEKDAYS:
        return {"task": "weekday_of_date"}
    return {"task": "is_leap_year" if gold in ("Yes", "No") else "count_days"}


def _span_task(gold: str) -> dict[str, Any]:
    return {"task_type": "datetime" if "," in gold else "date" if "day" in gold else "time"}


def _numbers(gold: str) -> dict[str, Any]:
    from sympy.parsing.sympy_parser import parse_expr

    if not is_expression(gold):
        raise ValueError(f"the right answer {shown(gold)} is not an expression of numbers")
    return {
        "numbers": [int(n) for n in re.findall(r"\d+", gold)],
        "target": float(parse_expr(gold)),
    }


def _wrong_date(entry: dict[str, Any]) -> bool:
    """An end in the next year, which the question calls this year; or a year of unknown length."""
    known = entry["metadata"]
    if known["task"] == "weekday_of_date_from_first_date":
        return int(known["delta_days"]) > 58  # after February a leap year gives another weekday
    return "end_date" in known and known["end_date"][:4] != known["start_date"][:4]


def _wrong_span(entry: dict[str, Any]) -> bool:
    """A time that the package dropped, an end before the start, or a millisecond too few."""
    known = entry["metadata"]
    if "(%A) %H" in known["format"]:  # the package reads only what is before the weekday
        return True
    start, end = (datetime.fromisoformat(known[name]) for name in ("start_time", "end_time"))
    if end < start:
        return True
    ms = (end - start) // timedelta(milliseconds=1)
    clock = f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"
    return bool(known["task_type"] == "time_ms" and entry["answer"] != clock)


def _wrong_solution(entry: dict[str, Any]) -> bool:
    """A worked solution that ends in another number than the answer."""
    end = entry["metadata"]["answer_cot"].rpartition("####")[2]
    return float(end.replace(",", "")) != float(entry["answer"])


TASKS: dict[str, Task] = {
    "chain_sum": Task("add and subtract several numbers", number=True),
    "products": Task("multiply two numbers", number=True),
    "gcd": Task("find the greatest common divisor", number=True),
    "leg_counting": Task("count the legs of many animals", number=True),
    "letter_counting": Task("count a letter in a text", number=True),
    "spell_backward": Task("spell a word backward", tidy=_last_word),
    "word_sorting": Task(
        "sort words", tidy=_list, knows=lambda gold: {"sorted_words": gold.split(", ")}
    ),
    "calendar_arithmetic": Task(
        "find weekdays, count days, know leap years",
        tidy=lambda text: _only(text, _WEEKDAY, _YES_NO, _WHOLE),
        knows=_date_task,
        wrong=_wrong_date,
    ),
    "time_intervals": Task(
        "find the time between two times or dates",
        tidy=lambda text: _only(text, _SPAN),
        knows=_span_task,
        wrong=_wrong_span,
    ),
    "knights_knaves": Task("find out who lies (a long chain of thought)", tidy=_bare),
    "gsm_symbolic": Task(
        "school word problems, with a worked solution", number=True, wrong=_wrong_solution
    ),
    "countdown": Task(
        "reach a number with given numbers (a long search)", tidy=_expression, knows=_numbers
    ),
}


def is_kind(kind: object) -> bool:
    """Whether a kind of answer is one of the tasks, such as "reasoning-gym/gcd"."""
    return isinstance(kind, str) and kind.startswith(PREFIX) and kind[len(PREFIX) :] in TASKS


def task_of(kind: str) -> Task | None:
    """The task of a kind; None for a kind of another sort."""
    return TASKS[kind[len(PREFIX) :]] if is_kind(kind) else None


def is_named(name: str) -> bool:
    """Whether the name of a benchmark means a task of the package, a known one or not."""
    return name.lower().replace("_", "-").split("/")[0] == PACKAGE


def normal(answer: str) -> str:
    """An answer that is no number, without differences in its spaces."""
    return re.sub(r"\s*([,+*/()-])\s*", r"\1", " ".join(answer.split()))


def is_expression(text: str) -> bool:
    """Whether a text is safe to evaluate: numbers, + - * / ( ) and spaces, no power, not long."""
    return len(text) <= LONGEST and "**" not in text and bool(_EXPRESSION.fullmatch(text))


def installed() -> str:
    """The version of the package. ImportError if it is missing."""
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        raise ImportError(
            f"the tasks of {PACKAGE} need that package, which is not installed: "
            f"pip install 's1lab[gym]', or {INSTALL}"
        ) from None


def scored(task: str, given: Any, gold: str) -> dict[str, Any]:
    """Score an answer with the package's own scorer.

    This runs in a worker process. A text that is too long, or is not an expression where one is
    evaluated, gets the score of an empty answer.

    Args:
        task: The name of the task, such as "countdown".
        given: The answer, as `s1lab.evaluation.grade.extract` gives it.
        gold: The right answer, as the package gives it.

    Returns:
        {"score", "version"}: a number from 0 to 1, and the version of the package.
    """
    usable = isinstance(given, str) and len(given) <= LONGEST
    if usable and task == "countdown":
        usable = is_expression(given)
    entry = {"question": "", "answer": gold, "metadata": TASKS[task].knows(gold)}
    score = float(_scorer(task).score_answer(given if usable else "", entry))
    return {"score": score, "version": metadata.version(PACKAGE)}


@cache
def _scorer(task: str) -> Any:
    return import_module("reasoning_gym").create_dataset(task, seed=0, size=1)


def draw(
    name: str, n: int | None, seed: int | None, check: bool, settings: Mapping[str, Any]
) -> Dataset:
    """Draw questions of a task: `s1lab.evaluation.benchmarks.load` for "reasoning-gym/...".

    Args:
        name: The name of the task, with "reasoning-gym/" before it.
        n: How many questions; None for 100.
        seed: The seed of the draw; None for 0. Different seeds share no row of the package.
        check: Whether the package must be of the known version, and whether rows that are wrong
            or repeat a question are replaced by the next ones.
        settings: The task's own settings, such as ``max_animals``.

    Returns:
        A Dataset with ``question``, ``answer``, ``kind`` and ``row``, the package's number of the
        row; for gsm_symbolic also ``solution``.

    Raises:
        ValueError: The task, a setting, n or the seed can't be used; or there are too few different
            questions.
        ImportError: The package is missing.
    """
    from datasets import Dataset

    task = _named(name)
    n = whole("n", QUESTIONS if n is None else n, 1, MOST)
    seed = whole("seed", 0 if seed is None else seed, 0, LAST_SEED)
    rows = 20 * n + 1000  # at most; fewer are made
    made = _made(task, seed * SPACING, rows, check, settings)
    found: dict[str, dict[str, Any]] = {}
    for row in range(rows if check else n):
        entry = _entry(made, task, row)
        question, answer = entry["question"], entry["answer"]
        if check:
            wrong = question in found or TASKS[task].wrong(entry)
            if wrong or made.score_answer(answer, entry) != 1:
                continue
        kept = {"question": question, "answer": answer, "kind": PREFIX + task, "row": row}
        if "answer_cot" in entry["metadata"]:
            kept["solution"] = entry["metadata"]["answer_cot"]
        found[question if check else str(row)] = kept
        if len(found) == n:
            return Dataset.from_list(list(found.values()))
    raise ValueError(
        f"{PREFIX}{task} has only {len(found)} different questions among {rows:,} rows: give "
        f"n={len(found) or 1}, or settings that allow more"
    )


def nearest(name: str) -> str | None:
    """The task whose name is nearest to a name; None if none is near."""
    return next(iter(get_close_matches(name.lower().replace("-", "_"), TASKS, 1)), None)


def _named(name: str) -> str:
    """The task of a benchmark's name. ValueError with the nearest one if there is none."""
    written = name.partition("/")[2].strip().lower().replace("-", "_")
    if written in TASKS:
        return written
    near = nearest(written)
    raise ValueError(
        f"no task is called {name!r:.60}: "
        + (f"do you mean {PREFIX + near!r}? " if near else "")
        + f"choose from {PREFIX} and one of {list(TASKS)}"
    )


def _made(task: str, seed: int, rows: int, check: bool, settings: Mapping[str, Any]) -> Any:
    """The package's data set with the caller's settings, or one sentence on what is wrong."""
    found = installed()
    if check and found != VERSION:
        raise ValueError(
            f"{PACKAGE} {found} is installed, and its rows may differ from those of {VERSION}: "
            f"{INSTALL}, or pass check=False to take the rows of {found} as they are"
        )
    package = import_module("reasoning_gym")

    known = [f.name for f in fields(package.factory.DATASETS[task][1])]
    known = [name for name in known if name not in ("seed", "size")]
    for name, value in settings.items():
        if name not in known:
            near = get_close_matches("n" if name == "size" else name, ["n", *known], 1)
            raise ValueError(
                f"{PREFIX}{task} has no setting {name!r:.60}: "
                + (f"do you mean {near[0]!r}? " if near else "")
                + f"its settings are {known}"
            )
        # With 0 the package looks for some dates without end.
        if isinstance(value, int | float) and not isinstance(value, bool) and not value >= 1:
            raise ValueError(f"{name}={shown(value)} is out of range: give a number of at least 1")
    try:
        return package.create_dataset(task, seed=seed, size=rows, **settings)
    except Exception as why:  # assertions, mostly
        raise ValueError(
            f"{PACKAGE} does not take {shown(dict(settings))} for {task}: {_said(why)}"
        ) from None


def _entry(made: Any, task: str, row: int) -> dict[str, Any]:
    try:
        return dict(made[row])
    except Exception as why:  # of settings that the package does not check
        raise ValueError(
            f"{PACKAGE} can't make row {row} of {task} with these settings: {_said(why)}"
        ) from None


def _said(why: Exception) -> str:
    return " ".join(f"{type(why).__name__}: {why}".split())[:160]
