"""The rows of a benchmark as a call takes them, and what is wrong with single ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from datasets import Dataset

from s1lab.evaluation import grade, gym
from s1lab.evaluation.arguments import dataset_fix, shown, whole
from s1lab.evaluation.catalog import EMBEDDED, known
from s1lab.evaluation.grade.extract import choose_from
from s1lab.tokenization.conversation import Unaskable, conversation

# What a call takes as its problems. "Any" is a DataFrame, of pandas or polars.
Problems: TypeAlias = "Dataset | Sequence[Mapping[str, Any]] | Any"
GRADED = ("question", "answer", "kind")  # columns that a call's results have in a form of their own
USED = (*GRADED, "unanswered")


def taken(problems: Any) -> tuple[Dataset, dict[str, list[Any]]]:
    """Take the problems of a call: a Dataset, a list of dicts or a DataFrame.

    Args:
        problems: What the caller gave.

    Returns:
        A Dataset of the other columns at least, and the columns that a call reads, each a list of
        Python values.

    Raises:
        ValueError: It is none of the three, has no rows, or lacks a column.
    """
    if isinstance(problems, str | Path):
        raise ValueError(_of_a_name(str(problems)))
    if isinstance(problems, Dataset):
        table = problems.with_format(None)  # plain values: not tensors
        names = table.column_names
        columns = {name: list(table[name]) for name in USED if name in names}
    else:
        rows = _rows(problems)
        names = list(dict.fromkeys(str(name) for row in rows for name in row))
        columns = {name: [row.get(name) for row in rows] for name in USED if name in names}
        table = _table([{n: row.get(n) for n in names if n not in GRADED} for row in rows])
    missing = [name for name in ("question", "answer") if name not in names]
    if missing and (names or len(problems)):
        raise ValueError(
            f"the benchmark has no column {missing[0]!r}, only {names}: rename the one that holds "
            "it"
        )
    if not columns or not columns["question"]:
        raise ValueError("the benchmark has no rows: give at least one question")
    return table, columns


def checked_columns(
    columns: dict[str, list[Any]], samples: int, temperature: float
) -> dict[str, list[Any]]:
    """Check the columns of a benchmark, row by row.

    A row that can't be asked or graded does not stop the others. It gets a ``fault``, one sentence,
    which becomes the error of its traces and of its row, and it counts as wrong.

    Args:
        columns: From `taken`.
        samples: The samples of a question.
        temperature: The temperature of the call.

    Returns:
        The columns with ``question`` (text, Conversation, or None if it is neither), ``answer`` as
        text, ``kind``, ``fault``, ``asked`` (what is put to the engine), and ``unanswered`` if
        there is one.

    Raises:
        ValueError: A kind is unknown, no row can be used, or samples would all be the same.
        ImportError: The package that grades a kind is missing.
    """
    whole("samples", samples)
    if samples > 1 and temperature == 0:
        raise ValueError(
            f"samples={samples} at temperature 0 are all the same: raise the temperature, or leave "
            "samples out"
        )
    rows = len(columns["question"])
    kinds = columns.get("kind", ["math"] * rows)
    for place, kind in enumerate(kinds):
        if not grade.is_kind(kind):
            raise ValueError(
                f"row {place} of the benchmark is of kind {shown(kind)}: {choose_from(kind)}"
            )
    if any(gym.is_kind(kind) for kind in kinds):
        gym.installed()  # what grades them is missing: said before anything is asked
    found: dict[str, list[Any]] = {"question": [], "answer": [], "fault": [], "asked": []}
    for place, cells in enumerate(zip(columns["question"], columns["answer"], strict=True)):
        question, unasked = _question(cells[0], place)
        answer, ungraded = _answer(cells[1], place)
        fault = unasked or ungraded
        found["question"].append(question)
        found["answer"].append(answer)
        found["fault"].append(fault)
        text = str(question) if question is not None else shown(cells[0])
        found["asked"].append(question if fault is None else Unaskable(text, fault))
    if all(found["fault"]):
        raise ValueError(found["fault"][0])
    other = {"unanswered": columns["unanswered"]} if "unanswered" in columns else {}
    return {**found, "kind": kinds, **other}


def _question(cell: Any, place: int) -> tuple[Any, str | None]:
    """The question in a cell, or None and what is wrong with it."""
    where = f"the question of row {place} of the benchmark"
    if isinstance(cell, str):
        fault = None if cell.strip() else f"{where} is empty: write something to ask"
        return (cell, None) if fault is None else (None, fault)
    if isinstance(cell, list | tuple):
        try:
            return conversation(cell, f"the question of row {place}"), None
        except ValueError as why:
            return None, str(why)
    if _is_missing(cell):
        return None, f"row {place} of the benchmark has no question: fill it in or drop the row"
    kind = type(cell).__name__
    return None, f"{where} is a {kind}: give a text, or a list of messages"


def _answer(cell: Any, place: int) -> tuple[str, str | None]:
    """The answer in a cell as text, or an empty text and what is wrong with it."""
    if _is_missing(cell) or (isinstance(cell, str) and not cell.strip()):
        return "", f"row {place} of the benchmark has no answer: fill it in or drop the row"
    if isinstance(cell, np.generic):
        cell = cell.item()
    # pandas makes 3 a 3.0 where another row of the column is missing.
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell)), None
    if isinstance(cell, str | Real):
        return str(cell), None
    kind = type(cell).__name__
    return "", f"the answer of row {place} of the benchmark is a {kind}: give a text or a number"


def _is_missing(cell: Any) -> bool:
    """Whether a cell holds nothing: None, NaN, or pandas' own NA and NaT."""
    return (
        cell is None
        or (isinstance(cell, Real) and math.isnan(float(cell)))
        or type(cell).__name__ in ("NAType", "NaTType")
    )


def _rows(problems: Any) -> list[dict[str, Any]]:
    """The rows of a list of dicts or a DataFrame."""
    if type(problems).__name__ == "DataFrame" and hasattr(problems, "to_dict"):
        polars = "polars" in type(problems).__module__
        return list(problems.to_dicts() if polars else problems.to_dict("records"))
    listed = isinstance(problems, list | tuple)
    odd = (
        next((i for i, r in enumerate(problems) if not isinstance(r, Mapping)), None)
        if (listed)
        else None
    )
    if not listed or odd is not None:
        held = "" if odd is None else f", and row {odd} is a {type(problems[odd]).__name__}"
        raise ValueError(
            f"problems={shown(problems)} is a {type(problems).__name__}{held}: "
            + ("give a dict with question and answer for each" if listed else dataset_fix(problems))
        )
    return [dict(row) for row in problems]


def _table(rows: list[dict[str, Any]]) -> Dataset:
    """The columns that a call does not read itself, as a Dataset."""
    if not rows or not rows[0]:
        return Dataset.from_dict({})
    columns = {}
    for name in rows[0]:
        try:
            columns[name] = Dataset.from_dict({name: [row[name] for row in rows]})[name]
        except Exception as why:  # pyarrow and datasets raise many kinds
            raise ValueError(
                f"column {name!r} of the problems mixes values that no Dataset holds "
                f"({' '.join(str(why).split())[:100]}): leave it out, or make texts of it"
            ) from None
    return Dataset.from_dict({name: list(values) for name, values in columns.items()})


def _of_a_name(name: str) -> str:
    """The sentence on a name in place of problems."""
    if known(name)[1] is not None or name == EMBEDDED or gym.is_named(name):
        return (
            f"problems={name!r} is the name of a benchmark: load it first, "
            f"lab.benchmarks.load({name!r})"
        )
    return f"problems={name!r:.60} is a text: {dataset_fix(name)}, or lab.benchmarks.load(name)"
