"""The budget of a run: how much it may think, and which texts extend or cut its thinking."""

from __future__ import annotations

import math
import operator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, get_args

Compat = Literal["exact", "readme", "harness"]


def shown(value: object) -> str:
    """Quote a value in a sentence: on one line, and short."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def plain(value: Any) -> Any:
    """A single number or text of NumPy, pandas or torch as Python's own; all else as it is."""
    return value.item() if getattr(value, "shape", None) == () else value


def whole(name: str, value: Any, least: float = -math.inf, such: int = 0) -> int:
    """Check a whole number, and return it as an int.

    Args:
        name: The name of the argument.
        value: The value that was passed. True and 2.0 are not whole numbers here.
        least: The least that the example may be.
        such: The example, where the value does not tell which number was meant.

    Raises:
        ValueError: It is no whole number. The message has one to write in its place.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(plain(value))
    except TypeError:
        with suppress(TypeError, ValueError, OverflowError):  # what the value may mean
            such = math.ceil(max(least, float(value)))
        said = f"{name}={shown(value)} is no whole number: give one, such as {name}={such}"
        raise ValueError(said) from None


def check_text(name: str, value: object) -> None:
    """Check a text that may be left out. ValueError if it is anything else."""
    if not (value is None or isinstance(value, str)):
        raise ValueError(f"{name}={shown(value)} is no text: give one, or None for none")


# A number of a budget: the least it may be, an example, and what is wrong with a lower one.
NO_ROOM = "leaves no room to answer: give at least 1"
NUMBERS = {
    "max_tokens": (1, 512, "leaves no room to think: give at least 1, or ask with lab.direct"),
    "min_tokens": (0, 64, "is negative: give 0 for no minimum"),
    "waits": (0, 1, "is negative: give 0 to let the model stop by itself"),
    "answer_tokens": (1, 512, NO_ROOM),
    "answer_room": (1, 100, NO_ROOM),
}


@dataclass(frozen=True)
class Budget:
    """The budget of one question (budget forcing, paper section 3.1).

    After a suppressed stop the model must write at least one token before it may stop again, as in
    the authors' evaluator.

    With ``compat="harness"``, ``waits`` is the evaluator's thinking_n_ignore. If it is left out (or
    None), the evaluator gets no such number, and the model may stop at once. ``waits=0`` is "ignore
    0 times". It has one round too, but that round must write a token before it may stop, as every
    round must once the number is given. The evaluator then ignores ``min_tokens``, so this class
    refuses ``min_tokens`` together with a number of Waits.

    Attributes:
        max_tokens: The most thinking tokens, over all rounds, forced tokens included. Thinking that
            reaches it is cut. None is as many as the context holds beside the answer.
        min_tokens: The minimum of thinking tokens. A model that tries to stop below it must go on,
            as often as it takes.
        waits: How many times a stop is suppressed whatever the length: the number of "Wait"s in the
            paper. Left out it is 0. Only ``compat="harness"`` treats the two differently, see
            above.
        wait: The text that replaces a suppressed stop. Several texts take turns: the first
            suppression appends the first text, and after the last text the first comes again. A
            list is kept as a tuple. None or "" suppresses the stop without text: only the next
            token may not be a stop (its logit is masked before the choice), so the model's second
            choice takes its place.
        on_cut: The text that opens the answer after a cut. None or "" is no text. Nothing is added
            after the model's own stop.
        answer_tokens: The most tokens that an answer may have. None is all that is left of the
            context.
        compat: The semantics. "exact": the sum of all thinking tokens never exceeds ``max_tokens``.
            "readme" and "harness" repeat the original's two loops, see
            `s1lab.methods.original_loops`. "readme" has no ``min_tokens`` and no ``on_cut``.
            "harness" has both: its ``min_tokens`` masks the stops until that many tokens are
            written, and appends no text.
        answer_room: How many tokens the thinking must leave for the answer, as the context allows.
            The original leaves 100. A longer answer is possible where the thinking left more.

    Raises:
        ValueError: The budget cannot be kept. The message names the field.

    Example:
        import s1lab as lab

        engine = lab.load("s1-tiny")
        budget = lab.Budget(max_tokens=512, waits=2, wait=("Wait", "Hmm"))
        trace = lab.force(engine, "How many r in raspberry?", budget)
    """

    max_tokens: int | None = None
    min_tokens: int = 0
    waits: int | None = None
    wait: str | tuple[str | None, ...] | None = "Wait"
    on_cut: str | None = "Final Answer:"
    answer_tokens: int | None = None
    compat: Compat = "exact"
    answer_room: int = 100

    def __post_init__(self) -> None:
        if self.waits is None and self.compat != "harness":
            object.__setattr__(self, "waits", 0)
        for name, (least, such, fault) in NUMBERS.items():
            value = getattr(self, name)
            if value is None and name in ("max_tokens", "answer_tokens", "waits"):
                continue
            if (number := whole(name, value, least, such)) < least:
                raise ValueError(f"{name}={shown(number)} {fault}")
            object.__setattr__(self, name, number)
        if self.max_tokens is not None and self.min_tokens > self.max_tokens:
            raise ValueError(
                f"min_tokens={self.min_tokens} is above max_tokens={self.max_tokens}: "
                "lower the minimum or raise the cap"
            )
        if isinstance(self.wait, list):
            object.__setattr__(self, "wait", tuple(self.wait))
        texts = self.wait if isinstance(self.wait, tuple) else (self.wait,)
        if not texts or not all(text is None or isinstance(text, str) for text in texts):
            raise ValueError(
                f"wait={shown(self.wait)} is no text to append: give one, several as a tuple, "
                "or None for none"
            )
        check_text("on_cut", self.on_cut)
        if self.compat not in get_args(Compat):
            raise ValueError(
                f"compat={shown(self.compat)} is not known: choose from {list(get_args(Compat))}"
            )
        if self.compat == "readme" and self.min_tokens:
            raise ValueError(
                f"min_tokens={self.min_tokens} is unknown to the README's loop: "
                'leave it out, or use compat="exact" or "harness"'
            )
        if self.compat == "harness" and self.min_tokens and self.waits is not None:
            raise ValueError(
                f"min_tokens={self.min_tokens} has no effect in the evaluator's loop "
                f"beside waits={self.waits}: leave one of them out"
            )

    @property
    def room(self) -> int:
        """Tokens that the thinking leaves for the answer: never more than the answer may have."""
        return min(self.answer_room, self.answer_tokens or self.answer_room)

    def continuation(self, waits: int) -> str | None:
        """The text that the next suppression appends, after ``waits`` Waits so far."""
        return self.wait[waits % len(self.wait)] if isinstance(self.wait, tuple) else self.wait

    def wants_more(self, thinking_tokens: int, waits: int) -> bool:
        """Whether a model that tries to stop must go on.

        Args:
            thinking_tokens: The thinking tokens so far.
            waits: The Waits so far.

        Returns:
            True if the budget has Waits left, or if the thinking is below the minimum.
        """
        return waits < (self.waits or 0) or thinking_tokens < self.min_tokens
