"""Read a table from a local file: parquet, JSON lines or CSV. Text stays text.

The usual readers guess what a text means: "2012-12-12" becomes a date, "007" becomes 7, the option
"None" a missing value, and 123456789012345678901234567890 a rounded number. Questions and answers
must not change, so JSON and CSV are read here, with no guesses.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import (
    Dataset,
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)
from datasets.utils import logging

# Columns that hold text, in lower case. A number in them keeps the digits that the file has.
TEXTS = frozenset(
    "question problem prompt completion answer solution attempt thinking source source_type "
    "domain".split()
) | {
    "correct answer", "incorrect answer 1", "incorrect answer 2", "incorrect answer 3",
    "deepseek_attempt", "gemini_attempt", "deepseek_thinking_trajectory",
    "gemini_thinking_trajectory",
}  # fmt: skip
NUMBERS = ("thinking_tokens",)  # columns of numbers that our own steps need
TRUTHS = ("correct", "cut")  # columns of True and False, likewise
# Limits of a JSON file. pyarrow's own reader, and the readers of what we would hand it, have none:
# the process dies in them.
MOST_DEEP, MOST_COLUMNS = 32, 1_000
_LONGEST_CELL = 2**31 - 1  # characters; the csv module's own limit is 131,072, less than a trace
_HALF = re.compile("[\ud800-\udfff]")
_SPACES = re.compile(r"\s*")
_WHOLE = re.compile("-?[0-9]{1,18}")
_DIGITS = 19  # no whole number of 64 bits has more


def opened(path: Path) -> Dataset:
    """Read a local table without renaming its columns.

    In JSON, a text is text and a number is a number. A number in a column of texts, such as the
    answer, becomes text with the digits that the file has. So does a column with a whole number
    that does not fit into 64 bits. In CSV every cell is text, and an empty one is missing; only
    columns that our own steps need as numbers are numbers. JSON and CSV are held in memory: for
    many gigabytes parquet is better.

    Args:
        path: A file of parquet, JSON lines (or a JSON list of objects), or CSV.

    Returns:
        The rows.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is of another kind, is empty or is broken. The error names the file.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"no file is at {path}: name one that was written here, or get it, as with `hf "
            "download --repo-type dataset`"
        )
    readers: dict[str, Callable[[Path], Dataset]] = {
        ".parquet": lambda path: Dataset.from_parquet(str(path)),
        ".jsonl": _json,
        ".json": _json,
        ".csv": _csv,
    }
    if path.suffix not in readers:
        raise ValueError(
            f"{path} ends in {path.suffix!r}: give a parquet file, JSON lines or CSV "
            f"({', '.join(readers)})"
        )
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty")
    try:
        with _quietly():
            return readers[path.suffix](path)
    # A broken file may raise any of the exceptions of pyarrow, json, csv and datasets.
    except Exception as why:
        cause = " ".join(str(why.__cause__ or why).split())[:200]
        raise ValueError(f"{path} can't be read as {path.suffix[1:]}: {cause}") from None


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Hide the progress bar and the log of datasets while one file is read.

    The bar would come the first time only, and stay in a notebook's output. datasets would log a
    broken file before it raises, although our own error says the same.
    """
    shown, level = not are_progress_bars_disabled(), logging.get_verbosity()
    disable_progress_bars()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            enable_progress_bars()


class _Number(str):
    """A number of a JSON file, as it is written there."""

    __slots__ = ()

    @property
    def value(self) -> int | float | str:
        """The number. A whole number that does not fit into 64 bits stays as it is written."""
        digits = self.lstrip("-")
        if not digits.isdigit():
            return float(self)
        if len(digits) <= _DIGITS and -(2**63) <= (number := int(self)) < 2**63:
            return number
        return str(self)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. json itself would keep the last of two values under one name."""
    found = dict(pairs)
    if len(found) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the name {twice!r:.60} comes twice in one object")
    return found


_DECODER = json.JSONDecoder(
    parse_int=_Number, parse_float=_Number, parse_constant=_Number, object_pairs_hook=_object
)


def _json(path: Path) -> Dataset:
    columns: dict[str, list[Any]] = {}
    for n, (place, row) in enumerate(_objects(path)):
        if not isinstance(row, dict):
            raise ValueError(
                f'{place} is {json.dumps(row)[:40]}, not an object such as {{"question": "…"}}'
            )
        for name, value in row.items():
            if name not in columns:
                if len(columns) == MOST_COLUMNS:
                    raise ValueError(f"{place} has one column more than {MOST_COLUMNS:,}")
                columns[name] = [None] * n
            _check_depth(value, place)
            columns[name].append(value)
        for values in columns.values():
            if len(values) <= n:
                values.append(None)
    return _table({name: _column(name, columns.pop(name)) for name in [*columns]}, path)


def _objects(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield each value of a file with its place: one a line, one after another, or one list."""
    with path.open(encoding="utf-8-sig") as file:
        read = False
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                value = _decoded(line, f"line {number}")
            except ValueError:
                if read:
                    raise
                break
            read = True
            if isinstance(value, list):
                yield from ((f"row {place}", row) for place, row in enumerate(value))
            else:
                yield f"line {number}", value
        else:
            return
    # The first line is no value: the file is broken, or its values go over several lines.
    text = path.read_text(encoding="utf-8-sig").strip()
    if text[:1] == "[":
        yield from ((f"row {place}", row) for place, row in enumerate(_decoded(text, "the list")))
        return
    at = place = 0
    while at < len(text):
        value, at = _next(text, at, f"object {place}")
        yield f"object {place}", value
        at += len(_SPACES.match(text, at)[0])  # type: ignore[index]
        place += 1


def _decoded(text: str, place: str) -> Any:
    value, end = _next(text.strip(), 0, place)
    if end < len(text.strip()):
        raise ValueError(f"{place} goes on after its end, at character {end}")
    return value


def _next(text: str, at: int, place: str) -> tuple[Any, int]:
    """The JSON value that begins at a character, and where it ends. ValueError with the place."""
    try:
        return _DECODER.raw_decode(text, at)
    except RecursionError:
        raise ValueError(f"{place} has more than {MOST_DEEP} values inside each other") from None
    except ValueError as why:
        raise ValueError(f"{place}: {why}") from None


def _check_depth(value: Any, place: str) -> None:
    """Refuse a value that is nested deeper than what reads it can hold."""
    level, deep = [value], 0
    while level := [
        inner
        for outer in level
        if isinstance(outer, list | dict)
        for inner in (outer.values() if isinstance(outer, dict) else outer)
    ]:
        deep += 1
        if deep > MOST_DEEP:
            raise ValueError(f"{place} has more than {MOST_DEEP} values inside each other")


def _column(name: str, values: list[Any]) -> pa.Array:
    """A column of JSON values as Arrow, with no guesses about what a text means."""
    kinds = {type(value) for value in values if value is not None}
    if name.lower() in TEXTS and kinds and not kinds & {list, dict}:
        # NaN is how some writers say that a number is missing.
        return _texts(name, [None if _is_nan(v) or v is None else str(v) for v in values])
    if kinds == {_Number}:
        plain = [None if v is None else v.value for v in values]
        if any(isinstance(v, str) for v in plain):
            return _texts(name, [None if v is None else str(v) for v in values])
        if any(isinstance(v, float) for v in plain):
            plain = [None if v is None else float(v) for v in plain]
        return pa.array(plain)
    if kinds == {str}:
        return _texts(name, values)
    plain = [_plain(value) for value in values]
    names = {inner for value in plain if isinstance(value, dict) for inner in value}
    try:
        if len(names) <= MOST_COLUMNS:
            return pa.array(plain)
    except (pa.ArrowException, UnicodeEncodeError):  # such as a text in one row, a list in another
        pass
    return pa.array([None if v is None else json.dumps(v) for v in plain], pa.json_())


def _is_nan(value: Any) -> bool:
    return isinstance(value, _Number) and value == "NaN"


def _texts(name: str, values: Sequence[str | None]) -> pa.Array:
    try:
        # 2 GB of text in a column are too much for Arrow's plain strings.
        return pa.array(values, pa.large_string() if sum(map(len, filter(None, values))) > 2**29
                        else pa.string())  # fmt: skip
    except UnicodeEncodeError:
        place = next(at for at, text in enumerate(values) if text and _HALF.search(text))
        raise ValueError(f"the {name} of row {place} has half of a surrogate pair") from None


def _plain(value: Any) -> Any:
    """A JSON value with numbers in place of what the file wrote."""
    if isinstance(value, _Number):
        return value.value
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return value


def _csv(path: Path) -> Dataset:
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            # An index that pandas writes has no name; this is the name that pandas reads it by.
            names = [name or f"Unnamed: {at}" for at, name in enumerate(next(reader, []))]
            if len(set(names)) < len(names):
                ((twice, _),) = Counter(names).most_common(1)
                raise ValueError(f"two columns are called {twice!r:.60}")
            columns: list[list[str | None]] = [[] for _ in names]
            for cells in reader:
                if not cells:  # an empty line
                    continue
                if len(cells) > len(names):
                    raise ValueError(
                        f"the row that ends in line {reader.line_num} has {len(cells)} cells, and "
                        f"the header {len(names)}: put text with a comma into quotes"
                    )
                cells += [""] * (len(names) - len(cells))
                for column, cell in zip(columns, cells, strict=True):
                    column.append(cell or None)
    finally:
        csv.field_size_limit(before)
    return _table({n: _cells(n, c) for n, c in zip(names, columns, strict=True)}, path)


def _cells(name: str, cells: list[str | None]) -> pa.Array:
    """A column of a CSV file: text, unless our own steps need it as numbers or as truths."""
    truths = {"true": True, "false": False}
    if name in NUMBERS and all(c is None or _WHOLE.fullmatch(c) for c in cells):
        return pa.array([None if c is None else int(c) for c in cells], pa.int64())
    if name in TRUTHS and all(c is None or c.lower() in truths for c in cells):
        return pa.array([None if c is None else truths[c.lower()] for c in cells], pa.bool_())
    return _texts(name, cells)


def _table(columns: dict[str, pa.Array], path: Path) -> Dataset:
    table = pa.table(columns)
    if not len(table):
        raise ValueError("it has no rows")
    with path.open("rb") as file:
        found = Dataset(table, fingerprint=hashlib.file_digest(file, "sha256").hexdigest()[:16])
    # The name that datasets gives such a file; runs store it as the name of their benchmark.
    found.info.dataset_name = "csv" if path.suffix == ".csv" else "json"
    return found
