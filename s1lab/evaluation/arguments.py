"""Checks of arguments. Each raises a ValueError of one sentence with the argument and the fix."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from s1lab.budget import shown

__all__ = ["numbers", "outcomes", "percentage", "real", "share", "shown", "text", "whole"]

SHARE = "a share between 0 and 1, such as 0.95"
OUTCOMES = "one outcome a question, True or False (1 or 0)"
PERCENT = "one accuracy a run, in percent from 0 to 100"


def whole(name: str, value: Any, least: int | None = 1, most: int | None = None) -> int:
    """Check a whole number in a range.

    Args:
        name: The caller's name for the argument.
        value: The value that was passed. True and 2.0 are not whole numbers here.
        least: The smallest number that is allowed; None for no limit at either end.
        most: The largest one; None for no limit.

    Returns:
        The number as an int.

    Raises:
        ValueError: It is not such a number.
    """
    wanted = "a whole number, " + (
        f"at least {least}" if most is None else f"from {least} to {most:,}"
    )
    if least is None:
        wanted = "a whole number, such as 1"
    try:
        if _is_bool(value):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name}={shown(value)} is no whole number: give {wanted}") from None
    if least is not None and (number < least or (most is not None and number > most)):
        raise ValueError(f"{name}={shown(number)} is out of range: give {wanted}")
    return number


def real(
    name: str, value: Any, wanted: str, low: float = -math.inf, high: float = math.inf
) -> float:
    """Check a finite number in a range.

    Args:
        name: The caller's name for the argument.
        value: The value that was passed.
        wanted: The right value, in words, for the message.
        low: The smallest number that is allowed.
        high: The largest one.

    Returns:
        The number as a float.

    Raises:
        ValueError: It is not such a number.
    """
    if _is_bool(value) or not isinstance(value, Real):
        raise ValueError(f"{name}={shown(value)} is no number: give {wanted}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name}={shown(value)} is not finite: give {wanted}")
    if not low <= number <= high:
        raise ValueError(f"{name}={shown(value)} is out of range: give {wanted}")
    return number


def percentage(name: str, value: Any, n: int, wanted: str) -> float:
    """Check a percentage of n questions, 0 to 100. ValueError otherwise, and for a share.

    A share such as 0.567 is a percentage too, but of no whole number of questions. Nobody publishes
    such a small one.
    """
    number = real(name, value, wanted, 0, 100)
    right = number * n / 100
    if 0 < number <= 1 and abs(right - round(right)) > 1e-6:
        raise ValueError(
            f"{name}={shown(value)} looks like a share, and is {number:g} %: give {wanted}, such "
            f"as {100 * number:g}"
        )
    return number


def share(name: str, value: Any, wanted: str = SHARE) -> float:
    """Check a number above 0 and below 1, such as a level or a power. ValueError otherwise."""
    number = real(name, value, wanted)
    if not 0 < number < 1:
        raise ValueError(f"{name}={shown(value)} is out of range: give {wanted}")
    return number


def text(name: str, value: Any, wanted: str) -> str:
    """Check a text that is not blank. ValueError, which names ``wanted``, otherwise."""
    if not isinstance(value, str):
        raise ValueError(f"{name}={shown(value)} is no text: give {wanted}")
    if not value.strip():
        raise ValueError(f"{name}={value!r:.60} is empty: give {wanted}")
    return value


def dataset_fix(value: Any) -> str:
    """What to give in place of a value that is no Dataset, for the end of a sentence."""
    if isinstance(value, Mapping) and all(hasattr(v, "column_names") for v in value.values()):
        splits = [str(name) for name in value]
        first = repr(splits[0]) if splits else "'train'"
        return f"choose one of its splits {splits}, as in splits[{first}]"
    kind = type(value)
    if kind.__name__ == "IterableDataset":
        return (
            "it is read as it streams, so take rows of it: Dataset.from_list(list(it.take(1000)))"
        )
    if kind.__name__ == "DataFrame":
        call = "from_polars(it)" if "polars" in kind.__module__ else "from_pandas(it)"
        return f"make a Dataset of it, Dataset.{call}"
    if isinstance(value, Mapping):
        return "make a Dataset of its columns, Dataset.from_dict(it)"
    if isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
        return "make a Dataset of it, Dataset.from_list(it)"
    if isinstance(value, str) or hasattr(value, "__fspath__"):
        return "read the file first, lab.curate.read(path)"
    return "give a datasets.Dataset, such as lab.curate.read returns"


def numbers(
    name: str,
    values: Any,
    wanted: str,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    booleans: bool = False,
    dimensions: int = 1,
) -> Any:
    """Turn a list of finite numbers into a NumPy array.

    Args:
        name: The caller's name for the argument.
        values: A list, a tuple, an array, or anything else that has a length and an order.
        wanted: The right value, in words, for the message.
        low: The smallest number that is allowed.
        high: The largest one.
        booleans: Whether True and False count as 1 and 0.
        dimensions: 1 for a list, 2 for a list of lists of one length.

    Returns:
        A float64 array with that many dimensions, never empty.

    Raises:
        ValueError: An entry can't be used. The message names the argument and the place of the
            first such entry.
    """
    array = _array(name, values, wanted)
    if array.ndim != dimensions:
        raise ValueError(
            f"{name} has {array.ndim} dimension{'s' * (array.ndim != 1)}, not {dimensions}: "
            f"give {wanted}"
        )
    if not array.size:
        raise ValueError(f"{name} is empty: give {wanted}")
    # NumPy turns a list that mixes booleans with numbers into numbers. So look at the entries.
    mixed = array.dtype.kind not in "iuf" or (
        not booleans and dimensions == 1 and isinstance(values, (list, tuple))
    )
    if array.dtype.kind == "b" and booleans:
        return array.astype(float)
    if mixed:
        entries = np.empty(array.shape, dtype=object)
        if dimensions == 1:
            entries[:] = list(values)
        else:
            entries[:] = [list(row) for row in values]
        for place, entry in np.ndenumerate(entries):
            if (_is_bool(entry) and not booleans) or not isinstance(entry, Real | np.bool_):
                raise ValueError(f"{_at(name, place)}={shown(entry)} is no number: give {wanted}")
        array = entries
    try:
        found = array.astype(float)
    except OverflowError:
        raise ValueError(f"{name} holds a number that is too large: give {wanted}") from None
    for wrong, what in (
        (~np.isfinite(found), "not finite"),
        ((found < low) | (found > high), "out of range"),
    ):
        if wrong.any():
            place = tuple(int(i) for i in np.argwhere(wrong)[0])
            value = found[place]
            raise ValueError(f"{_at(name, place)}={value:g} is {what}: give {wanted}")
    return found


def outcomes(name: str, values: Any, wanted: str = OUTCOMES) -> Any:
    """Turn right or wrong outcomes into an array of booleans. ValueError for any other entry."""
    found = numbers(name, values, wanted, booleans=True)
    between = ~np.isin(found, (0, 1))
    if between.any():
        place = int(np.argmax(between))
        raise ValueError(
            f"{name}[{place}]={found[place]:g} is neither right nor wrong: give {wanted}; "
            "means over samples go to paired_bootstrap, or to accuracy_interval with samples="
        )
    return found.astype(bool)


def _array(name: str, values: Any, wanted: str) -> Any:
    """Turn a value into an array. A text, a mapping or a set is refused: it has no order."""
    listed = (
        isinstance(values, Sequence) or hasattr(values, "__array__") or hasattr(values, "__len__")
    )
    if isinstance(values, (str, bytes, Mapping, set, frozenset)) or not listed:
        raise ValueError(f"{name}={shown(values)} is no list: give {wanted}")
    try:
        return np.asarray(values)
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"{name} has rows of different lengths: give {wanted}") from None


def _at(name: str, place: tuple[int, ...]) -> str:
    return name + "".join(f"[{i}]" for i in place)


def _is_bool(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))
