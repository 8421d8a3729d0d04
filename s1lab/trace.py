"""One run on one question: every token id, where each id came from, and what the run cost."""

from __future__ import annotations

import html
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING

from s1lab.arguments import shown, whole

if TYPE_CHECKING:
    from s1lab.budget import Budget
    from s1lab.tokenization.bound_template import BoundTemplate


class Source(StrEnum):
    """Where an id came from.

    The model wrote SAMPLED and ANSWER. The program forced CONTINUATION, CLOSE and PREFIX.

    Example:
        trace = lab.force(lab.load("s1-tiny"), "How many r in raspberry?", lab.Budget(waits=1))
        print(trace.source.count(lab.Source.CONTINUATION))
    """

    PROMPT = "prompt"
    SAMPLED = "sampled"
    CONTINUATION = "continuation"
    CLOSE = "close"
    PREFIX = "answer prefix"
    ANSWER = "answer"


THINKING = (Source.SAMPLED, Source.CONTINUATION)
FORCED = (Source.CONTINUATION, Source.CLOSE, Source.PREFIX)
GENERATED = (Source.SAMPLED, Source.ANSWER)

# The colours of Okabe and Ito, so faint that text stays readable on a white and on a black page.
# Guillemets, slant and the kind of underline say the same without colour. The styles are inline,
# because code hosts remove style sheets.
LOOKS = {
    Source.PROMPT: "opacity:.72;font-style:italic",
    Source.SAMPLED: "",
    Source.CONTINUATION: "background:#E69F0055;font-weight:bold;border-bottom:3px double #E69F00",
    Source.CLOSE: "background:#CC79A744;border-bottom:2px dotted #CC79A7",
    Source.PREFIX: "background:#D55E0044;font-weight:bold;border-bottom:2px dashed #D55E00",
    Source.ANSWER: "background:#009E7333;border-bottom:2px solid #009E73",
}
MARKS = {
    Source.PROMPT: "slanted",
    Source.SAMPLED: "plain",
    Source.CONTINUATION: "«bold», double line",
    Source.CLOSE: "«», dotted line",
    Source.PREFIX: "«bold», dashed line",
    Source.ANSWER: "line",
}
_ANSI = {
    Source.PROMPT: "2",
    Source.SAMPLED: "0",
    Source.CONTINUATION: "1;33",
    Source.CLOSE: "35",
    Source.PREFIX: "1;31",
    Source.ANSWER: "32",
}


def closed(text: str, closing: str) -> str:
    """Add a closing mark to a text, before the newline that ends the text."""
    return f"{text[:-1]}{closing}\n" if closing and text.endswith("\n") else text + closing


class Counted:
    """Counts of a trace's tokens, and how it ended. A stored trace has the same."""

    source: list[Source]
    waits: int
    cut: bool
    answer_cut: bool
    error: str | None

    @property
    def thinking_tokens(self) -> int:
        """Ids between the opening and the end of the thinking, forced ids included."""
        return sum(s in THINKING for s in self.source)

    @property
    def sampled_tokens(self) -> int:
        """Ids that the model wrote: thinking and answer."""
        return sum(s in GENERATED for s in self.source)

    @property
    def forced_tokens(self) -> int:
        """Ids that the program put in: continuations, the close, and the answer prefix."""
        return sum(s in FORCED for s in self.source)

    @property
    def ending(self) -> str:
        """How the thinking ended: "error", "cut" or "own stop"; "no thinking" if there was none."""
        return (
            "error"
            if self.error
            else "cut"
            if self.cut
            else "own stop"
            if self.thinking_tokens
            else "no thinking"
        )

    def summary(self) -> str:
        """One line: thinking and forced tokens, Waits, how the thinking ended, a cut answer."""
        waits = f", {self.waits} wait{'s' if self.waits != 1 else ''}" if self.waits else ""
        answer = ", answer cut" if self.answer_cut else ""
        return f"{self.thinking_tokens} thinking tokens, {self.forced_tokens} forced{waits}, {self.ending}{answer}"


@dataclass
class Trace(Counted):
    """A run on one question.

    ``ids`` are exactly the ids that the engine was given and wrote. ``source`` says for each id
    where it came from.

    Attributes:
        question: The question.
        template: The think template, bound to the model's tokenizer.
        budget: The budget; None without thinking.
        sample: The sample number of the question, from 0.
        ids: Every id, the prompt first. A sampled stop is not among them: the forced ids replace
            it, and ``stops`` keeps its position. (``compat="harness"`` keeps an end of sequence
            that is not a delimiter, as the original does.)
        source: The source of each id, a list as long as ``ids``.
        waits: How many stops were suppressed.
        cut: Whether the thinking was closed by force.
        answer_cut: Whether the answer was cut before its end.
        stops: The positions in ``ids`` at which the model stopped.
        dropped: How many ids the model wrote that were thrown away: tries that did not fit, and ids
            that ``compat="harness"`` cuts afterwards. They are not in ``ids``.
        counts: Further counts of a program, by name, such as "tries" or "steps".
        notes: Sentences that a reader of this run must know, such as where the original's loop
            would have crashed.
        error: A sentence if this question could not be run to its end, else None. The finished part
            is kept.

    Example:
        import s1lab as lab

        trace = lab.force(lab.load("s1-tiny"), "How many r in raspberry?", lab.Budget(waits=1))
        print(trace.thinking_tokens, trace.answer)
        print(trace.show())
    """

    question: str
    template: BoundTemplate = field(repr=False)
    budget: Budget | None = None
    sample: int = 0
    ids: list[int] = field(default_factory=list, repr=False)
    source: list[Source] = field(default_factory=list, repr=False)
    waits: int = 0
    cut: bool = False
    answer_cut: bool = False
    stops: list[int] = field(default_factory=list, repr=False)
    dropped: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    error: str | None = None

    def extend(self, ids: list[int], source: Source) -> None:
        """Append ids that all come from one source."""
        self.ids += ids
        self.source += [source] * len(ids)

    def fork(self, length: int | None, budget: Budget) -> Trace:
        """Copy the trace up to a length, under another budget.

        Args:
            length: How many ids to keep; None keeps all.
            budget: The budget of the copy.

        Returns:
            The copy.
        """
        copy = replace(
            self,
            budget=budget,
            ids=self.ids[:length],
            source=self.source[:length],
            notes=[*self.notes],
        )
        copy.counts = dict(self.counts)
        copy.stops = [at for at in self.stops if at <= len(copy.ids)]
        return copy

    def drop(self, n: int) -> None:
        """Throw away the last ``n`` ids. Ids that the model wrote are counted in ``dropped``."""
        self.dropped += sum(s in GENERATED for s in self.source[-n:])
        del self.ids[-n:], self.source[-n:]
        self.stops = [at for at in self.stops if at <= len(self.ids)]

    def of(self, *sources: Source) -> list[int]:
        """The ids that came from these sources, in order."""
        return [i for i, s in zip(self.ids, self.source, strict=True) if s in sources]

    @property
    def text(self) -> str:
        """The whole text, with the prompt and with special tokens shown."""
        return self.template.decode_whole(self.ids)

    @property
    def thinking(self) -> str:
        """The thinking as text, with forced text and without the delimiters."""
        return self.template.decode(self.of(*THINKING))

    @property
    def answer(self) -> str:
        """The text after the thinking, with the forced answer prefix."""
        text = self.template.decode(self.of(Source.PREFIX, Source.ANSWER))
        # In the README's loop the model itself writes the delimiter.
        if self.budget is not None and self.budget.compat == "readme":
            text = text.rpartition(self.template.template.close.strip())[2]
        return text.strip()

    def segments(self) -> list[tuple[Source, str]]:
        """The text in segments of one source, in order.

        Returns:
            A list of (source, text) pairs.
        """
        runs = groupby(zip(self.source, self.ids, strict=True), key=lambda pair: pair[0])
        texts, decode = list[tuple[Source, str]](), self.template.decode_whole
        for source, run in runs:
            texts.append((source, decode([i for _, i in run])))
            decode = self.template.decode  # only the first run starts the text
        return texts

    def show(self, color: bool = False) -> str:
        """The trace as text for a terminal. Forced text is in «guillemets».

        Args:
            color: Whether to add colours.

        Returns:
            The text, with the notes and the summary at the end.
        """
        out = []
        for source, text in self.segments():
            text = f"«{text}»" if source in FORCED else text
            out.append(f"\x1b[{_ANSI[source]}m{text}\x1b[0m" if color else text)
        tail = "".join(f"\n[{line}]" for line in (*self.notes, self.error) if line)
        return "".join(out) + f"{tail}\n[{self.summary()}]"

    def __str__(self) -> str:
        return self.show()

    def _repr_html_(self) -> str:
        spans = []
        for s, text in self.segments():
            shown = "«" + closed(html.escape(text), "»") if s in FORCED else html.escape(text)
            spans.append(
                f'<span title="{s}: {self.source.count(s)} tokens" style="{LOOKS[s]}">{shown}</span>'
            )
        legend = " · ".join(
            f'<span style="{LOOKS[s]}">{s}</span> {self.source.count(s)} ({MARKS[s]})'
            for s in Source
            if s in self.source
        )
        note = "".join(f"<div>{html.escape(line)}</div>" for line in self.notes)
        note += f'<div style="color:#D55E00">{html.escape(self.error)}</div>' if self.error else ""
        return (
            f'<div style="font-size:90%"><b>{html.escape(self.summary())}</b><div style="line-height:1.8">{legend}</div></div>'
            f'<pre style="white-space:pre-wrap;line-height:1.35;margin:.4em 0">{"".join(spans)}</pre>{note}'
        )


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

        print(lab.Cost(sampled=120, forced=8) + lab.Cost(thrown_away=40))
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
        return f"{self.total:,} tokens: {self.sampled:,} sampled, {self.forced:,} forced, {self.thrown_away:,} thrown away"


def cost(*traces: Trace) -> Cost:
    """Add up the cost of traces that share nothing but their prompts.

    Args:
        *traces: The traces, one argument each: ``cost(*traces)`` for a list.

    Returns:
        The sum of their tokens.

    Raises:
        ValueError: An argument is not a trace.

    Example:
        import s1lab as lab

        traces = lab.force(lab.load("s1-tiny"), ["How many r in raspberry?", "What is 2 + 3?"])
        print(lab.cost(*traces))
    """
    for place, trace in enumerate(traces):
        if not isinstance(trace, Counted):
            raise ValueError(
                f"traces[{place}]={shown(trace)} is no trace: give traces, cost(*traces) for a list"
            )
    return Cost(
        sum(t.sampled_tokens for t in traces),
        sum(t.forced_tokens for t in traces),
        sum(t.dropped for t in traces),
    )
