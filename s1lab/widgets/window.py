"""The tokens around one that is looked at: a window of a trace however long it is, and the one in words beside its frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import ipywidgets as ipw

from s1lab.widgets.panel import NARROW, button, html, row, sentence
from s1lab.widgets.rows import Shown
from s1lab.widgets.tokens import Decode, Part, read, tokens_html

WINDOW = 4_000  # tokens of a trace that are made and sent at once, in a still picture too
BEFORE, LINES = 40, 5  # tokens, and ends of lines, that are shown before a token that was asked for


def around(at: int, start: int, end: int, most: int = WINDOW) -> tuple[int, int]:
    """At most ``most`` positions of ``start`` to before ``end``, with ``at`` in their middle as far as the edges allow."""
    first = max(start, min(at - most // 2, end - most))
    return first, min(end, first + most)


def before(trace: Shown, decode: Decode, at: int, start: int = 0) -> int:
    """The position from which on ``at`` is seen without scrolling: so little stands before it, and nothing before ``start``."""
    first = max(start, at - BEFORE)
    while first < at and decode(trace.ids[first:at]).count("\n") > LINES:
        first += 1
    return first


@dataclass(frozen=True)
class Sight:
    """What is seen of a part of a trace. ``where`` says which tokens and how many are not; ``words`` says the one looked at."""

    part: Part
    start: int
    end: int
    tokens: str
    where: str
    words: str


def see(
    trace: Shown, decode: Decode, at: int, part: Part | None = None, differs: int | None = None, *, top: bool = True
) -> Sight:
    """The window of a part (None: of the whole trace) on position ``at``, which is framed.

    top: the window begins a little before it, so that it is among the first lines, whatever fits into the box; otherwise it is
        in the middle, as far as the edges allow.
    """
    part = part or Part("the whole trace", 0, len(trace.ids))
    start, end = around(at, part.start, part.end)
    if top and part.start < at < part.end:
        start = before(trace, decode, at, part.start)
        end = min(part.end, start + WINDOW)
    found = read(trace.ids, trace.source, decode, start, end)
    token = next((t for t in found if t.at <= at < t.end), None)
    words = str(token) if token else f"no token stands at position {at} of what is shown" if found else ""
    tries = sum(start < s <= end for s in trace.stops)
    stopped = f", {tries} {'try' if tries == 1 else 'tries'} to stop" if tries else ""
    unseen = f"; not shown: {start:,} before and {len(trace.ids) - end:,} after" if end - start < len(trace.ids) else ""
    where = f"positions {start:,} to {end - 1:,}: {end - start:,} of {len(trace.ids):,} tokens{stopped}{unseen}" if found else ""
    drawn = tokens_html(found, stops=trace.stops, cut=trace.cut, differs=differs, at=at)
    return Sight(part, start, end, drawn, f'<div style="opacity:.8;font-size:90%">{where}</div>', words)


class Window:
    """Controls over the position that is looked at: ``box`` shows them; ``moved`` is called with another position."""

    def __init__(self, moved: Callable[[int], None]) -> None:
        self._moved, self._setting = moved, False
        self.sights: list[Sight] = []
        self.field = ipw.IntText(
            description="Token", tooltip="a position; Enter says which token stands there, frames it and shows what is around it",
            continuous_update=False, style=NARROW, layout=ipw.Layout(width="140px"),
        )  # fmt: skip
        self.earlier = button("◀ tokens", "tokens before those that are shown", lambda: self.step(-1))
        self.later = button("tokens ▶", "tokens after those that are shown", lambda: self.step(1))
        self.said = html()
        self.field.observe(lambda change: None if self._setting else self._moved(change["new"]), "value")
        self.box = row(self.field, self.earlier, self.later, self.said)
        self.off()

    def look(self, at: int) -> None:
        """Put a position into the field, which nobody is told of."""
        self._setting = True
        self.field.value = at
        self._setting = False

    def step(self, by: int) -> None:
        """Look at the first token behind those that are shown, or one so far before them that they follow."""
        ahead = [s.end for s in self.sights if s.end < s.part.end]
        behind = [max(s.part.start, s.start - WINDOW + BEFORE) for s in self.sights if s.start > s.part.start]
        if ahead if by > 0 else behind:  # of two traces the one that is nearer, so that no token of the other is left out
            at = min(ahead) if by > 0 else max(behind)
            self.look(at)
            self._moved(at)

    def show(self, sights: Mapping[str, Sight]) -> None:
        """Say which token is looked at, in each trace by name, and which way there are more."""
        self.sights = list(sights.values())
        self.field.disabled = False
        self.earlier.disabled = all(s.start == s.part.start for s in self.sights)
        self.later.disabled = all(s.end == s.part.end for s in self.sights)
        self.said.value = "".join(sentence(f"{name}: {s.words}") for name, s in sights.items() if s.words)

    def off(self) -> None:
        """Nothing to look at."""
        self.sights, self.said.value = [], ""
        self.field.disabled = self.earlier.disabled = self.later.disabled = True
