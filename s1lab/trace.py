"""One run on one question: every token id, where each id came from, and the counts of both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING

from s1lab.engine import Completion, Usage

if TYPE_CHECKING:
    from s1lab.budget import Budget
    from s1lab.tokenization.bound_template import BoundTemplate
    from s1lab.tokenization.conversation import Conversation


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
        if self.error:
            return "error"
        if self.cut:
            return "cut"
        return "own stop" if self.thinking_tokens else "no thinking"

    def summary(self) -> str:
        """One line: thinking and forced tokens, Waits, how the thinking ended, a cut answer."""
        waits = f", {self.waits} wait{'s' if self.waits != 1 else ''}" if self.waits else ""
        answer = ", answer cut" if self.answer_cut else ""
        counts = f"{self.thinking_tokens} thinking tokens, {self.forced_tokens} forced"
        return f"{counts}{waits}, {self.ending}{answer}"


@dataclass(frozen=True)
class TraceCost(Usage):
    """What a trace cost: its tokens, and what its requests took from the engine.

    Attributes:
        prefilled: As in `s1lab.engine.Usage`, like all up to ``cancelled``.
        sampled: Ids in the trace that the model wrote.
        forced: Ids in the trace that the program put in.
        dropped: Ids that the model wrote and that were thrown away, those of cancelled requests
            among them.

    Example:
        import s1lab as lab

        trace = lab.force(lab.load("s1-tiny"), "How many r in raspberry?", lab.Budget(waits=1))
        print(trace.cost.sampled, trace.cost.prefilled, trace.cost.cached)
    """

    sampled: int = 0
    forced: int = 0
    dropped: int = 0


@dataclass
class Trace(Counted):
    """A run on one question.

    ``ids`` are exactly the ids that the engine was given and wrote. ``source`` says for each id
    where it came from.

    Attributes:
        question: The question: a text, or the messages of a conversation as a tuple.
        template: The think template, bound to the model's tokenizer.
        budget: The budget; None without thinking.
        sample: The sample number of the question, from 0.
        ids: Every id, the prompt first. A sampled stop is not among them: the forced ids replace
            it, and ``stops`` keeps its position. (``compat="harness"`` keeps an end of sequence
            that is not a delimiter, as the original does.)
        source: The source of each id, a list as long as ``ids``.
        logprobs: The natural log-probability of each id, as the model gave it before temperature
            and masks; NaN for an id that was forced. Empty if they were not asked for.
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
        usage: What each request took from the engine. A copy shares the entries it began with.

    Example:
        import s1lab as lab

        trace = lab.force(lab.load("s1-tiny"), "How many r in raspberry?", lab.Budget(waits=1))
        print(trace.thinking_tokens, trace.answer)
        print(trace.show())
    """

    question: str | Conversation
    template: BoundTemplate = field(repr=False)
    budget: Budget | None = None
    sample: int = 0
    ids: list[int] = field(default_factory=list, repr=False)
    source: list[Source] = field(default_factory=list, repr=False)
    logprobs: list[float] = field(default_factory=list, repr=False)
    waits: int = 0
    cut: bool = False
    answer_cut: bool = False
    stops: list[int] = field(default_factory=list, repr=False)
    dropped: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    error: str | None = None
    usage: list[Usage] = field(default_factory=list, repr=False, compare=False)

    def extend(
        self, ids: list[int], source: Source, logprobs: Sequence[float] | None = None
    ) -> None:
        """Append ids that all come from one source, with their log-probabilities if there are any.

        An id that was forced has none: it gets NaN where others have theirs.
        """
        if logprobs is not None or self.logprobs:
            self.logprobs += [math.nan] * (len(self.ids) - len(self.logprobs))
            self.logprobs += [math.nan] * len(ids) if logprobs is None else logprobs
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
            logprobs=self.logprobs[:length],
            notes=[*self.notes],
            usage=[*self.usage],
        )
        copy.counts = dict(self.counts)
        copy.stops = [at for at in self.stops if at <= len(copy.ids)]
        return copy

    def drop(self, n: int) -> None:
        """Throw away the last ``n`` ids. Ids that the model wrote are counted in ``dropped``."""
        self.dropped += sum(s in GENERATED for s in self.source[-n:])
        self.shorten(n)
        self.stops = [at for at in self.stops if at <= len(self.ids)]

    def shorten(self, n: int) -> None:
        """Remove the last ``n`` ids, at least one, without counting them."""
        del self.ids[-n:], self.source[-n:]
        del self.logprobs[len(self.ids) :]

    def spend(self, done: Completion) -> None:
        """Note what a request of this trace took from the engine."""
        wrote = len(done.ids)
        used = done.usage or Usage(None, None, wrote + (done.stop_id is not None), None)
        self.usage.append(replace(used, cancelled=wrote if done.cancelled else 0))

    def add_probe(self, probe: Trace) -> None:
        """Note what a probe took: an answer that was written on a copy of this trace."""
        new = probe.usage[len(self.usage) :]
        self.usage += [replace(used, probes=used.decoded) for used in new]

    @property
    def cost(self) -> TraceCost:
        """What the trace cost: tokens, and the engine's work as far as the engine tells it.

        A trace of a ladder or a tree has the whole cost of its requests, also of those that it
        shares with others. `s1lab.methods.usage` adds up traces and counts those once.
        """
        used = vars(sum(self.usage, Usage()))
        own = {"sampled": self.sampled_tokens, "forced": self.forced_tokens}
        return TraceCost(**used, **own, dropped=self.dropped)

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
        from s1lab.figures.trace_view import terminal

        return terminal(self, color)

    def __repr__(self) -> str:
        said = f"error={self.error!r}" if self.error else f"answer={self.answer!r:.80}"
        return f"Trace({self.question!r:.60}, {said}, {self.summary()})"

    def __str__(self) -> str:
        return self.show()

    def _repr_html_(self) -> str:
        from s1lab.figures.trace_view import trace_html

        return trace_html(self)
