"""Forms of the paper's entries: a dot of a figure, a row of Table 3, a sweep of budgets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """One dot of a published figure.

    Attributes:
        tokens: Mean thinking tokens.
        accuracy: Accuracy, in percent.
        how: The budget that gave it.
    """

    tokens: int
    accuracy: float
    how: str


@dataclass(frozen=True)
class Method:
    """A row of Table 3, on AIME24.

    Attributes:
        control: Control, in percent.
        scaling: Scaling, in percentage points for each doubling of the tokens (a derived unit).
        performance: Performance, in percent.
        runs: The number of runs.
    """

    control: int
    scaling: int
    performance: float
    runs: int


@dataclass(frozen=True)
class Sweep:
    """Runs of one method on AIME24 (Tables 12 and 13), one number a run.

    Attributes:
        asked: The requested limits: tokens in Table 12, steps in Table 13.
        limits: The most thinking tokens that the instruction allows; for steps, 100 tokens each.
        thinking_tokens: Mean thinking tokens.
        answer_tokens: Mean answer tokens.
        accuracy: Accuracy, in percent.
        steps: The steps that were used; for step-conditional control only.
        tokens_a_step: The tokens of each step, without the delimiters, which take about 6 tokens a
            step; for step-conditional control only.
    """

    asked: tuple[int, ...]
    limits: tuple[int, ...]
    thinking_tokens: tuple[int, ...]
    answer_tokens: tuple[int, ...]
    accuracy: tuple[float, ...]
    steps: tuple[int, ...] = ()
    tokens_a_step: tuple[int, ...] = ()
