"""The ledger in three numbers: what a method costs, counted in the same tokens for all of them."""

from __future__ import annotations

from dataclasses import dataclass

from s1lab.arguments import shown, whole
from s1lab.trace import Counted, Trace


@dataclass(frozen=True)
class Cost:
    """Tokens of a method on a question.

    sampled: written by the model, and in what came back. forced: put in by the program (continuations, closes, answer prefixes).
    thrown_away: written by the model, and in nothing that came back. The prompt is not counted, nor is a stop, which stands in no
    trace. A token that several traces share (a beginning that a tree forked) was written once and is counted once.
    """

    sampled: int = 0
    forced: int = 0
    thrown_away: int = 0

    def __post_init__(self) -> None:
        for name in ("sampled", "forced", "thrown_away"):
            whole(name, getattr(self, name), 0)

    @property
    def total(self) -> int:
        """All three together: the axis on which methods are compared."""
        return self.sampled + self.forced + self.thrown_away

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.sampled + other.sampled, self.forced + other.forced, self.thrown_away + other.thrown_away)

    def __str__(self) -> str:
        return f"{self.total:,} tokens: {self.sampled:,} sampled, {self.forced:,} forced, {self.thrown_away:,} thrown away"


def cost(*traces: Trace) -> Cost:
    """What traces cost that share nothing but their prompts.

    Args:
        traces: The traces, one argument each: ``cost(*traces)`` for a list.

    Returns:
        Their tokens, added up.

    Raises:
        ValueError: For an argument that is no trace.
    """
    for place, trace in enumerate(traces):
        if not isinstance(trace, Counted):
            raise ValueError(f"traces[{place}]={shown(trace)} is no trace: give traces, cost(*traces) for a list")
    return Cost(
        sum(t.sampled_tokens for t in traces),
        sum(t.forced_tokens for t in traces),
        sum(t.dropped for t in traces),
    )
