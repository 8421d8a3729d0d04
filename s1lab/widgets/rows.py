"""The rows of a run, one for each trace, with verdicts if it was graded, and filters over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from s1lab.evaluation.evaluate import Results
from s1lab.methods.ladder import Ladder, rung_name
from s1lab.storage.diff import decoder
from s1lab.storage.run import Run, StoredTrace
from s1lab.tokenization.conversation import Conversation, headline
from s1lab.trace import Trace
from s1lab.widgets.tokens import Decode

Shown = Trace | StoredTrace


@dataclass(frozen=True)
class Rows:
    """A run's rows.

    Attributes:
        traces: The traces.
        correct: Their verdicts; None is not graded.
        decode: Turns ids into text.
    """

    traces: Sequence[Shown]
    correct: Sequence[bool | None]
    decode: Decode = field(repr=False)

    def __len__(self) -> int:
        return len(self.traces)

    @property
    def graded(self) -> bool:
        return any(c is not None for c in self.correct)


def rows_of(given: Any) -> Rows:
    """Read rows from a Trace, a list of them, a Ladder, Results, or a stored Run.

    Args:
        given: One of these.

    Returns:
        The rows.

    Raises:
        TypeError: If it is anything else.
        ValueError: If it holds no traces to show.
    """
    if isinstance(given, Results):
        return Rows(given.traces, given.verdicts, given.traces[0].template.decode)
    if isinstance(given, Run):
        if not given.traces:
            raise ValueError(f"the run {given.path} has no traces to show")
        return Rows(given.traces, [t.correct for t in given.traces], decoder(given))
    traces = (
        [given]
        if isinstance(given, Trace)
        else given.traces
        if isinstance(given, Ladder)
        else given
    )
    if (
        not isinstance(traces, Sequence)
        or isinstance(traces, str)
        or not all(isinstance(t, Trace) for t in traces)
    ):
        raise TypeError(
            f"{_kind(given)} can't be explored: give a Trace, a list of them, a Ladder, the "
            "Results of lab.evaluate, or a run of lab.storage.read_run"
        )
    if not traces:
        raise ValueError("the list of traces is empty: give at least one")
    return Rows(traces, [None] * len(traces), traces[0].template.decode)


def _kind(given: Any) -> str:
    if isinstance(given, list | tuple):
        odd = next((type(t).__name__ for t in given if not isinstance(t, Trace)), "")
        return f"a {type(given).__name__} that holds a {odd}"
    return f"a {type(given).__name__}"


def paired(rows: Rows, other: Rows) -> list[int | None]:
    """Pair the rows of two runs by question and sample.

    Two runs with as many traces over the same questions in the same order are paired by their
    places, whatever their samples. Two single traces are a pair.

    Args:
        rows: The rows of a run.
        other: The rows of the other run.

    Returns:
        For each row its row in the other run, or None.
    """
    if len(rows) == len(other) and (
        len(rows) == 1 or all(map(_same_question, rows.traces, other.traces))
    ):
        return list(range(len(rows)))
    places = {(t.question, t.sample): i for i, t in enumerate(other.traces)}
    return [places.get((t.question, t.sample)) for t in rows.traces]


def _same_question(a: Shown, b: Shown) -> bool:
    return a.question == b.question


def filters(
    rows: Rows, other: Rows | None = None, pairs: Sequence[int | None] = ()
) -> dict[str, list[int]]:
    """Return the rows of each filter, by name.

    Filters about unknown facts are left out, for example "right" of a run that was not graded.

    Args:
        rows: The rows of a run.
        other: The rows of another run.
        pairs: Their pairs, from `paired`.

    Returns:
        The numbers of the rows that each filter keeps.
    """
    found = {"all": list(range(len(rows)))}
    if rows.graded:
        found |= {"right": _where(rows.correct, True), "wrong": _where(rows.correct, False)}
    found["cut"] = [i for i, t in enumerate(rows.traces) if t.cut]
    found["error"] = [i for i, t in enumerate(rows.traces) if t.error]
    if other is None:
        return found
    both = [(i, j) for i, j in enumerate(pairs) if j is not None]
    if rows.graded and other.graded:
        flips = [(i, rows.correct[i], other.correct[j]) for i, j in both]
        found["right only here"] = [i for i, a, b in flips if a is True and b is False]
        found["right only in the other"] = [i for i, a, b in flips if a is False and b is True]
    found["ids differ"] = [i for i, j in both if rows.traces[i].ids != other.traces[j].ids]
    found["not in the other"] = [i for i, j in enumerate(pairs) if j is None]
    return found


def _where(values: Sequence[bool | None], wanted: bool) -> list[int]:
    return [i for i, value in enumerate(values) if value is wanted]


def word(correct: bool | None) -> str:
    return "not graded" if correct is None else "right" if correct else "wrong"


def summary(trace: Shown, correct: bool | None) -> str:
    """Return the trace's own line after its verdict."""
    return trace.summary() if correct is None else f"{word(correct)}, {trace.summary()}"


def line(rows: Rows, i: int) -> str:
    """Return a row of a list: number, verdict, tokens, end, question.

    Columns are aligned with spaces that HTML does not fold.
    """
    trace = rows.traces[i]
    verdict = f"{word(rows.correct[i]):<6}" if rows.graded else ""
    waits = rung_name(waits=trace.waits) if trace.waits else ""
    columns = f"{i:>5}  {verdict}{trace.thinking_tokens:>6} tokens  {trace.ending:<11}{waits:<8}"
    return f"{columns} {short(headline(trace.question), 90)}".replace(" ", "\u00a0")


def asked_html(question: str | Conversation) -> str:
    """Write a question in bold, a line for each message of a conversation."""
    if isinstance(question, str):
        return f"<b>{escape(question)}</b>"
    return "<br>".join(f"{m['role']}: <b>{escape(m['content'])}</b>" for m in question)


def short(text: str | None, most: int) -> str:
    """Shorten a text to one line of at most so many characters."""
    text = " ".join((text or "").split())
    return text if len(text) <= most else text[: most - 1] + "…"
