"""What a method costs: the tokens that its traces took, and the engine's work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from s1lab.engine import Usage
from s1lab.evaluation.arguments import shown, whole
from s1lab.trace import FORCED, GENERATED, Counted, Trace


@dataclass(frozen=True)
class Cost:
    """The tokens of a method on a question.

    The prompt is not counted. A stop is not counted either, since it is not in the trace. A token
    that several traces share (a beginning that a tree forked) was written once and is counted once.

    Attributes:
        sampled: Tokens that the model wrote and that are in a result.
        forced: Tokens that the program put in: continuations, closes, and answer prefixes.
        thrown_away: Tokens that the model wrote and that are in no result.

    Example:
        import s1lab as lab

        print(lab.methods.Cost(sampled=120, forced=8) + lab.methods.Cost(thrown_away=40))
    """

    sampled: int = 0
    forced: int = 0
    thrown_away: int = 0

    def __post_init__(self) -> None:
        for name in ("sampled", "forced", "thrown_away"):
            whole(name, getattr(self, name), 0)

    @property
    def total(self) -> int:
        """The sum of all three. Methods are compared on it."""
        return self.sampled + self.forced + self.thrown_away

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.sampled + other.sampled,
            self.forced + other.forced,
            self.thrown_away + other.thrown_away,
        )

    def __str__(self) -> str:
        return (
            f"{self.total:,} tokens: {self.sampled:,} sampled, {self.forced:,} forced, "
            f"{self.thrown_away:,} thrown away"
        )


class Costly(Protocol):
    """Results with a cost of their own: of votes, trees, ladders, runs on a benchmark, sweeps."""

    @property
    def cost(self) -> Cost: ...


def cost(*traces: Trace | Costly) -> Cost:
    """Add up the cost of traces that share nothing but their prompts, or of whole results.

    Args:
        *traces: The traces, one argument each: ``cost(*traces)`` for a list. Or results: what
            `s1lab.vote`, `s1lab.rebase`, `s1lab.ladder`, `s1lab.evaluate` or `s1lab.sweep` gives.
            Tokens that the traces of one result share are counted once.

    Returns:
        The sum of their tokens.

    Raises:
        ValueError: An argument is neither a trace nor such a result.

    Example:
        import s1lab as lab

        traces = lab.force(lab.load("s1-tiny"), ["How many r in raspberry?", "What is 2 + 3?"])
        print(lab.cost(*traces))
    """
    total = Cost()
    for place, one in enumerate(traces):
        if isinstance(one, Counted):
            total += Cost(one.sampled_tokens, one.forced_tokens, one.dropped)
        elif isinstance(own := getattr(one, "cost", None), Cost):
            total += own
        else:
            raise ValueError(
                f"traces[{place}]={shown(one)} is no trace and no result with a cost: give traces, "
                "cost(*traces) for a list"
            )
    return total


def shared_cost(traces: Iterable[Trace]) -> Cost:
    """The cost of traces of one question, such as a ladder's. A shared beginning counts once."""
    total, before, dropped = Cost(), list[int](), 0
    for trace in sorted(traces, key=lambda trace: trace.ids):
        most = min(len(before), len(trace.ids))
        shared = next((i for i in range(most) if before[i] != trace.ids[i]), most)
        new = trace.source[shared:]
        total += Cost(sum(s in GENERATED for s in new), sum(s in FORCED for s in new))
        before, dropped = trace.ids, max(dropped, trace.dropped)
    return total + Cost(thrown_away=dropped)


def usage(*traces: Trace) -> Usage:
    """Add up what traces took from the engine. A request that several of them share counts once.

    The traces of a ladder share its thinking pass, and those of a tree the beginnings that it
    forked. `Trace.cost` of each has it all, so their sum would count it several times. For a tree,
    `Tree.used` also has the branches that were pruned.

    Args:
        *traces: The traces, one argument each: ``usage(*traces)`` for a list.

    Returns:
        The sum, with None for what an engine did not tell.

    Raises:
        ValueError: An argument is not a trace of this process. Stored traces have no usage.

    Example:
        import s1lab as lab

        rungs = lab.ladder(lab.load("s1-tiny"), "What is 2 + 3?", caps=(16, 64))
        print(lab.methods.usage(*rungs.traces))
    """
    for place, trace in enumerate(traces):
        if not isinstance(trace, Trace):
            raise ValueError(
                f"traces[{place}]={shown(trace)} is no trace of this process, and only such a "
                "trace has its usage: give traces, usage(*traces) for a list"
            )
    once = {id(used): used for trace in traces for used in trace.usage}
    return sum(once.values(), Usage())
