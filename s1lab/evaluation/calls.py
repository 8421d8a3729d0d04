"""The arguments of the calls on an engine: put right, or refused in one sentence."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import fields
from difflib import get_close_matches
from functools import wraps
from itertools import pairwise
from numbers import Real
from typing import Any, TypeVar

from s1lab.budget import Budget, plain, shown
from s1lab.engines.description import check_engine, is_engine

F = TypeVar("F", bound=Callable[..., Any])
BUDGET = [field.name for field in fields(Budget)]
LOADED = ("device", "dtype", "engine", "max_batch", "max_model_len", "model", "template")
# Names that other libraries use, and ours.
ELSEWHERE = {
    "data": "problems",
    "dataset": "problems",
    "max_new_tokens": "answer_tokens",
    "num_samples": "samples",
    "prompt": "questions",
    "prompts": "questions",
    "question": "questions",
    "system_prompt": "system",
}
USUAL = ("Wait", "", None)  # the texts after a suppressed stop that tell nothing of an intention
OLD = {"n": "samples"}  # names of version 0.1
SAMPLED = {"seed": 0, "top_p": 1.0, "top_k": 0, "min_p": 0.0}  # without effect at temperature 0
_within: ContextVar[bool] = ContextVar("whether another call of ours is running", default=False)


class OptionUnused(UserWarning):
    """An option of a call changes nothing, beside the other options."""


def checked(call: F) -> F:
    """Put the arguments of a call right before it runs, or refuse them in one sentence.

    Numbers of NumPy, pandas and torch become Python's, rungs become tuples, and a name of version
    0.1 becomes today's, with a warning. Refused are arguments in the wrong place, and names that
    the call does not have. Options that change nothing are noted.

    Args:
        call: A function whose first argument is an engine.

    Returns:
        The function, with the same name and signature.
    """
    parameters = inspect.signature(call).parameters

    @wraps(call)
    def right(*args: Any, **kwargs: Any) -> Any:
        given = _bound(call.__name__, parameters, args, kwargs)
        if not _within.get():  # a call that makes another passes its own options on
            for note in _unused(parameters, given):
                warnings.warn(note, OptionUnused, stacklevel=2)
        before = _within.set(True)
        try:
            return call(**given)
        finally:
            _within.reset(before)

    return right  # type: ignore[return-value]


def _bound(
    call: str, parameters: Mapping[str, inspect.Parameter], args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """The arguments of a call by their names. TypeError or ValueError if one can't be used."""
    places = [n for n, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    order = f"{call}({', '.join(places)})"
    if len(args) > len(places):
        raise TypeError(
            f"{call}() has {len(args)} arguments without a name, and takes {order}: name the "
            f"others, such as seed=0"
        )
    given = dict(zip(places, args, strict=False))
    for name, value in kwargs.items():
        new = name if name in parameters else OLD.get(name, name)
        if new not in parameters:
            raise TypeError(_unknown(call, name, value, [*parameters]))
        if new != name:
            warnings.warn(
                f"{name}= of {call}() is {new}= now: the old name goes with the next version",
                DeprecationWarning,
                stacklevel=3,
            )
        if new in given:
            raise TypeError(f"{call}() has {new} twice: give it once, the order is {order}")
        given[new] = value
    needed = [n for n, p in parameters.items() if p.default is p.empty and n not in given]
    if needed:
        raise TypeError(f"{call}() lacks {needed[0]}: give it, the order is {order}")
    given = {name: plain(value) for name, value in given.items()}
    _check_places(given, order)
    for name in {"caps", "waits"} & given.keys():
        given[name] = rising(name, given[name])
    return given


def _check_places(given: Mapping[str, Any], order: str) -> None:
    """Check that the engine, the budgets and the store are what they should be."""
    first, engine = next(iter(given.items()))
    for name, value in given.items():
        if name != first and is_engine(value):
            raise ValueError(f"{name}={shown(value)} is an engine: the order is {order}")
        if name != "budget" and isinstance(value, Budget):
            raise ValueError(
                f"{name}={shown(value)} is a budget: give it as budget=, the order is {order}"
            )
    check_engine(engine)
    budget = given.get("budget")
    if isinstance(budget, Real):
        such = f"lab.Budget(max_tokens={budget})"
        raise ValueError(f"budget={shown(budget)} is a number, not a Budget: write {such}")
    if isinstance(budget, Mapping):
        such = ", ".join(f"{name}={value!r}" for name, value in budget.items())
        raise ValueError(f"budget={shown(budget)} is no Budget: write lab.Budget({such:.80})")
    numbered = (
        [n for n in budget if isinstance(n, Real)] if isinstance(budget, list | tuple) else []
    )
    if numbered:
        raise ValueError(
            f"budget={shown(budget)} is a list of numbers: give a list of lab.Budget, or ask for "
            f"many caps at once, lab.ladder(engine, questions, caps={shown(budget)})"
        )
    _check_letters(given)
    store = given.get("store")
    if isinstance(store, bytes | Real | Mapping | Sequence) and not isinstance(store, str):
        raise ValueError(
            f"store={shown(store)} is no file: give its path, such as store='runs/x.db', or None"
        )
    if isinstance(store, str) and not store.strip():
        raise ValueError("store is an empty text: give a path, such as 'runs/x.db', or None")


def _check_letters(given: Mapping[str, Any]) -> None:
    """Refuse texts of a budget, and an answer's first words, that no tokenizer can take."""
    budget = given.get("budget")
    texts = [("prefix", given.get("prefix"))]
    listed = budget if isinstance(budget, list | tuple) else [budget]
    for own in listed:
        if isinstance(own, Budget):
            waits = own.wait if isinstance(own.wait, tuple) else (own.wait,)
            texts += [("on_cut", own.on_cut), *(("wait", text) for text in waits)]
    for name, text in texts:
        if isinstance(text, str) and any("\ud800" <= letter <= "\udfff" for letter in text):
            raise ValueError(
                f"{name}={shown(text)} holds half of a surrogate pair, which no tokenizer takes: "
                "decode it again from its source"
            )


def _unknown(call: str, name: str, value: Any, names: Sequence[str]) -> str:
    """A sentence on a name that a call does not have, with what was probably meant."""
    near = ELSEWHERE.get(name, "")
    if near not in names:
        near = next(iter(get_close_matches(name, [*names, *BUDGET], 1)), "")
    if name in BUDGET and "budget" in names:
        fix = f"write budget=lab.Budget({name}={shown(value)})"
    elif name in LOADED:
        fix = f"it is an option of lab.load, where the engine is made: lab.load(…, {name}=…)"
    elif name in (*OLD, *OLD.values()):
        fix = "each question is asked once here, and lab.vote and lab.evaluate take samples="
    elif near in BUDGET and near not in names and "budget" in names:
        fix = f"did you mean budget=lab.Budget({near}=…)?"
    else:
        fix = f"did you mean {near}=?" if near else f"it has {', '.join(names)}"
    return f"{call}() has no option {name}=: {fix}"


def _unused(parameters: Mapping[str, inspect.Parameter], given: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each option that changes nothing."""
    if "temperature" in parameters and not given.get(
        "temperature", parameters["temperature"].default
    ):
        for name, plainly in SAMPLED.items():
            value = given.get(name, plainly)
            if isinstance(value, Real) and value != plainly:
                yield (
                    f"{name}={shown(value)} has no effect at temperature 0, which is greedy: "
                    "give a temperature, or leave it out"
                )
    budget = given.get("budget")
    budgets = [budget] if isinstance(budget, Budget) else budget
    if given.get("waits") or not isinstance(budgets, list | tuple):
        return
    idle = [
        b.wait
        for b in budgets
        if isinstance(b, Budget) and not (b.waits or b.min_tokens) and b.wait not in USUAL
    ]
    if idle and len(idle) == len(budgets):
        yield (
            f"wait={shown(idle[0])} has no effect, since the budget suppresses no stop: give "
            "waits=1 or min_tokens too, or leave it out"
        )


def rising(name: str, values: Any) -> tuple[int, ...]:
    """Check the rungs of a ladder.

    Args:
        name: "caps" or "waits".
        values: Whole numbers, each above the one before. None is no rung.

    Returns:
        The rungs as a tuple of ints.

    Raises:
        ValueError: It is no such list. The message names the argument and the first wrong rung.
    """
    if isinstance(values, str):
        parts = values.strip("[]()").replace(",", " ").split()
        rungs = tuple(map(int, parts)) if parts and all(map(str.isdecimal, parts)) else (16, 64)
        raise ValueError(f"{name}={shown(values)} is a text: give numbers, such as {name}={rungs}")
    if values is not None and not isinstance(values, Iterable):
        such = f"{name}=({values!r:.20},)" if isinstance(values, Real) else f"{name}=(1, 2)"
        raise ValueError(f"{name}={shown(values)} is no list of rungs: give one, such as {such}")
    listed = () if values is None else tuple(map(plain, values))
    for rung in listed:
        if isinstance(rung, bool) or not isinstance(rung, int):
            raise ValueError(
                f"{name}={shown(listed)}: {shown(rung)} is no whole number; leave it out, or ask "
                "for it alone with lab.force"
            )
    for before, after in pairwise(listed):
        if not before < after:
            fault = "stands twice" if before == after else f"comes after {before}"
            raise ValueError(
                f"{name}={shown(listed)}: {after} {fault}; give each rung once, in rising order"
            )
    return listed
