"""Quality: drop rows that have a fault (paper section 2.2, and the authors' notebook).

The paper names missing features and API errors (from 59,029 to 54,116 rows), then formatting (to
51,581): drawings in characters, pictures that are missing, numbers of a sheet's other questions.
The patterns are those of the authors' notebook, which kept 51,607. The rule for repetition is ours:
a model that trains on a trace that runs in a circle learns to do the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from datasets import Dataset
from tqdm.auto import tqdm

from s1lab.curate.overlap import split_words
from s1lab.curate.report import Report, account, needs

FEATURES = ("question", "answer", "thinking", "attempt")
BATCH = 1_000

_API_ERROR = re.compile(
    r"(?:error|status|http)\W{0,3}(?:code)?\W{0,3}(?:4\d\d|5\d\d)\b|\b(?:429|50[0-4]) [A-Z]"
    r"|resource.?(?:has been )?exhausted|rate.?limit|quota|internal server error"
    r"|service unavailable|bad gateway|timed? ?out\b|deadline exceeded"
    r"|finish_reason|response was blocked|overloaded",
    re.IGNORECASE,
)
_PART_NUMBER = re.compile(r"p[1-9][0-9]{0,2}\.")
# characters; a longer text is a trace that speaks of errors, not an error itself
ERROR_LONGEST = 400
# A trace runs in a circle if it has at least LOOP_WORDS stretches of LOOP_GRAM words and less than
# LOOP_SHARE of them are different. In a script without spaces each character counts as a word.
LOOP_WORDS, LOOP_GRAM, LOOP_SHARE = 50, 8, 0.2


def _missing(name: str) -> Callable[[Mapping[str, Any]], str | None]:
    return lambda row: None if (row.get(name, "?") or "").strip() else f"{name} is empty"


def _api_error(row: Mapping[str, Any]) -> str | None:
    for name in ("thinking", "attempt"):
        text = row.get(name)
        if text and len(text) < ERROR_LONGEST and (found := _API_ERROR.search(text)):
            return f"{name} is an error message: {found[0]!r}"
    return None


def _figure_code(row: Mapping[str, Any]) -> str | None:
    if "[asy]" in row["question"] and "AIME" not in (row.get("source") or ""):
        return "a drawing in Asymptote code, '[asy]'"
    return None


def _image_link(row: Mapping[str, Any]) -> str | None:
    return "a link to a picture, '![Image]'" if "![Image]" in row["question"] else None


def _part_number(row: Mapping[str, Any]) -> str | None:
    found = _PART_NUMBER.search(row["question"])
    return f"a number of a sheet's questions, {found[0]!r}" if found else None


def _bold_number(row: Mapping[str, Any]) -> str | None:
    r"""Find bold text without spaces whose opening is followed by a digit.

    This is the notebook's ``\*\*(?=.*\d)[^\s\]]*\*\*``, in linear time.
    """
    question = row["question"]
    if question.count("**") < 2:
        return None
    for line in question.split("\n"):
        digits = [at for at, c in enumerate(line) if c.isdecimal()]
        if digits:
            for run in re.finditer(r"[^\s\]]+", line):
                first, last = run[0].find("**"), run[0].rfind("**")
                if 0 <= first <= last - 2 and digits[-1] >= run.start() + first + 2:
                    return f"a bold number, {run[0][first : last + 2][:40]!r}"
    return None


def _repetition(row: Mapping[str, Any]) -> str | None:
    words = split_words(row.get("thinking") or "")
    total = len(words) - LOOP_GRAM + 1
    # There are at most as many different words as different grams plus the last gram's other words.
    # So most traces are decided without their grams.
    if total < LOOP_WORDS or len(set(words)) - LOOP_GRAM >= LOOP_SHARE * total:
        return None
    different = len({tuple(words[at : at + LOOP_GRAM]) for at in range(total)})
    if different >= LOOP_SHARE * total:
        return None
    return (
        f"the trace runs in a circle: {different} different stretches of {LOOP_GRAM} words among "
        f"{total}"
    )


# By name, in the order in which they are tried. Each returns the fault of a row, or None.
RULES: dict[str, Callable[[Mapping[str, Any]], str | None]] = {
    **{f"missing {name}": _missing(name) for name in FEATURES},
    "API error": _api_error,
    "figure code": _figure_code,
    "image link": _image_link,
    "part number": _part_number,
    "bold number": _bold_number,
    "repetition": _repetition,
}


# The paper's two steps: from 59,029 to 54,116 rows, and then to 51,581.
MISSING = tuple(name for name in RULES if name.startswith("missing") or name == "API error")
FORMATTING = ("figure code", "image link", "part number", "bold number")


def quality(
    pool: Dataset,
    rules: Sequence[str] | None = None,
    *,
    words: Sequence[int | None] = (None, None),
    progress: bool = True,
) -> tuple[Dataset, Report]:
    """Drop rows with a fault.

    Each drop has the first rule that the row broke, and the text that was found. Memory holds one
    batch of rows.

    Args:
        pool: A Dataset with question, and any of answer, thinking, attempt and source. A rule looks
            only at columns that exist.
        rules: Names of `RULES`, in the order to try them. None is all. The paper counts in
            two steps, `MISSING` and then `FORMATTING`.
        words: The least and the most words of a trace, None for no limit. The paper sets none. They
            are the rules "short" and "long", which are tried last. In a script without spaces each
            character counts as a word.
        progress: Whether to show a progress bar.

    Returns:
        The rows without a fault, and the report.

    Raises:
        ValueError: If a rule is unknown, a column is missing or the pool is empty.
        TypeError: If a column is not text.

    Example:
        pool, faults = lab.curate.quality(lab.tiny.pool(200))
        print(faults.counts)
    """
    names = list(RULES if rules is None else rules)
    unknown = [name for name in names if name not in RULES]
    if unknown:
        raise ValueError(f"no rule is called {unknown[0]!r}: choose from {list(RULES)}")
    columns = [
        c
        for c in (*FEATURES, "source")
        if c in getattr(pool, "column_names", ()) or c == "question"
    ]
    needs(pool, "the pool", **dict.fromkeys(columns, "text"))
    if tuple(words) != (None, None):
        needs(pool, "the pool", thinking="text")
    looked = pool.select_columns(columns)
    drops: dict[int, tuple[str, str]] = {}
    with tqdm(
        total=len(pool), desc="quality", unit="row", disable=None if progress else True, leave=False
    ) as bar:
        for start in range(0, len(pool), BATCH):
            batch = looked[start : start + BATCH]
            for at in range(len(batch["question"])):
                row = {name: values[at] for name, values in batch.items()}
                if fault := _fault(row, names, words):
                    drops[start + at] = fault
            bar.update(len(batch["question"]))
    return account("quality", pool, drops, order=[*names, "short", "long"])


def _fault(
    row: dict[str, Any], names: list[str], words: Sequence[int | None]
) -> tuple[str, str] | None:
    row["question"] = row["question"] or ""
    for name in names:
        if why := RULES[name](row):
            return name, why
    if tuple(words) != (None, None):
        written = len(split_words(row["thinking"] or ""))
        if words[0] is not None and written < words[0]:
            return "short", f"the trace has {written} words, fewer than {words[0]}"
        if words[1] is not None and written > words[1]:
            return "long", f"the trace has {written} words, more than {words[1]}"
    return None
