"""One run on one question: every token id, for each id where it came from, and what it costs."""

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
    """Where an id came from. The model wrote SAMPLED and ANSWER; the program forced CONTINUATION, CLOSE and PREFIX."""

    PROMPT = "prompt"
    SAMPLED = "sampled"
    CONTINUATION = "continuation"
    CLOSE = "close"
    PREFIX = "answer prefix"
    ANSWER = "answer"


THINKING = (Source.SAMPLED, Source.CONTINUATION)
FORCED = (Source.CONTINUATION, Source.CLOSE, Source.PREFIX)
GENERATED = (Source.SAMPLED, Source.ANSWER)

# The colours of Okabe and Ito with so little ink that text stays readable on a white and on a black page. Guillemets, slant and
# the kind of line below say the same without colour. They stand in the elements, because code hosts take style sheets away.
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
    """A text with its closing mark, on the line that it closes."""
    return f"{text[:-1]}{closing}\n" if closing and text.endswith("\n") else text + closing


class Counted:
    """What a trace says of its own tokens and end; a stored one says the same."""

    source: list[Source]
    waits: int
    cut: bool
    answer_cut: bool
    error: str | None

    @property
    def thinking_tokens(self) -> int:
        """Ids between the opening and the end of thinking, forced ones counted."""
        return sum(s in THINKING for s in self.source)

    @property
    def sampled_tokens(self) -> int:
        """Ids the model wrote: thinking and answer."""
        return sum(s in GENERATED for s in self.source)

    @property
    def forced_tokens(self) -> int:
        """Ids the program put in: continuations, the close, the answer prefix."""
        return sum(s in FORCED for s in self.source)

    @property
    def ending(self) -> str:
        """How the thinking ended: "error", "cut", "own stop", or "no thinking" where there is none."""
        return "error" if self.error else "cut" if self.cut else "own stop" if self.thinking_tokens else "no thinking"

    def summary(self) -> str:
        """One line: tokens thought, forced, how the thinking ended, and whether the answer was cut."""
        waits = f", {self.waits} wait{'s' if self.waits != 1 else ''}" if self.waits else ""
        answer = ", answer cut" if self.answer_cut else ""
        return f"{self.thinking_tokens} thinking tokens, {self.forced_tokens} forced{waits}, {self.ending}{answer}"


@dataclass
class Trace(Counted):
    """A run on one question: ``ids`` are exactly what the engine was fed and gave, ``source`` says whose each one is.

    ids, source: equal in length, the prompt first. A stop that was sampled is not among them: it is replaced by what was
        forced in its place, and its position is kept in ``stops``. (``compat="harness"`` keeps an end of sequence that is no
        delimiter, as the original does.)
    waits: suppressed stops. cut: whether the thinking was closed by force. answer_cut: whether the answer was cut before its end.
    dropped: ids the model wrote that were thrown away (tries that did not fit; what ``compat="harness"`` cuts afterwards); they
        are not in ``ids``.
    counts: what a program counts besides, by name, such as "tries" or "steps".
    notes: what a reader must know of this run, a sentence each, such as where the original's loop would have crashed.
    error: a sentence where this question could not be run to its end, else None; what was finished is kept.
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
        """Append ids that all came from one source."""
        self.ids += ids
        self.source += [source] * len(ids)

    def fork(self, length: int | None, budget: Budget) -> Trace:
        """A copy that ends after ``length`` ids (None: all of them), under another budget."""
        copy = replace(self, budget=budget, ids=self.ids[:length], source=self.source[:length], notes=[*self.notes])
        copy.counts = dict(self.counts)
        copy.stops = [at for at in self.stops if at <= len(copy.ids)]
        return copy

    def drop(self, n: int) -> None:
        """Throw away the last ``n`` ids; those the model wrote are counted in ``dropped``."""
        self.dropped += sum(s in GENERATED for s in self.source[-n:])
        del self.ids[-n:], self.source[-n:]
        self.stops = [at for at in self.stops if at <= len(self.ids)]

    def of(self, *sources: Source) -> list[int]:
        """The ids that came from these sources, in order."""
        return [i for i, s in zip(self.ids, self.source, strict=True) if s in sources]

    @property
    def text(self) -> str:
        """All of it, the prompt included, special tokens shown."""
        return self.template.decode_whole(self.ids)

    @property
    def thinking(self) -> str:
        """The thinking as text, what was forced into it included, its delimiters not."""
        return self.template.decode(self.of(*THINKING))

    @property
    def answer(self) -> str:
        """What follows the end of thinking, the forced answer prefix included."""
        text = self.template.decode(self.of(Source.PREFIX, Source.ANSWER))
        if self.budget is not None and self.budget.compat == "readme":  # the model itself writes the delimiter there
            text = text.rpartition(self.template.template.close.strip())[2]
        return text.strip()

    def segments(self) -> list[tuple[Source, str]]:
        """The text in runs of one source, in order."""
        runs = groupby(zip(self.source, self.ids, strict=True), key=lambda pair: pair[0])
        texts, decode = list[tuple[Source, str]](), self.template.decode_whole
        for source, run in runs:
            texts.append((source, decode([i for _, i in run])))
            decode = self.template.decode  # all but the first run follow other text
        return texts

    def show(self, color: bool = False) -> str:
        """The trace for a terminal: forced text in «guillemets» (in colour too, where asked)."""
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
            spans.append(f'<span title="{s}: {self.source.count(s)} tokens" style="{LOOKS[s]}">{shown}</span>')
        legend = " · ".join(
            f'<span style="{LOOKS[s]}">{s}</span> {self.source.count(s)} ({MARKS[s]})' for s in Source if s in self.source
        )
        note = "".join(f"<div>{html.escape(line)}</div>" for line in self.notes)
        note += f'<div style="color:#D55E00">{html.escape(self.error)}</div>' if self.error else ""
        return (
            f'<div style="font-size:90%"><b>{html.escape(self.summary())}</b><div style="line-height:1.8">{legend}</div></div>'
            f'<pre style="white-space:pre-wrap;line-height:1.35;margin:.4em 0">{"".join(spans)}</pre>{note}'
        )


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
