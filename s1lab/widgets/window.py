"""The tokens around the one that is looked at.

A window shows them in a trace of any length, and words beside its frame describe that token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import ipywidgets as ipw

from s1lab.figures.trace_view import tokens_html
from s1lab.widgets.panel import NARROW, button, html, partners, row, sentence
from s1lab.widgets.rows import Shown
from s1lab.widgets.tokens import Decode, Part, read

WINDOW = 4_000  # tokens of a trace that are made and sent at once, in a still picture too
# tokens, and ends of lines, that are shown before the token that is looked at
BEFORE, LINES = 40, 5


def around(at: int, start: int, end: int, most: int = WINDOW) -> tuple[int, int]:
    """Return at most ``most`` positions of ``start`` to before ``end``.

    ``at`` is in their middle, as far as the edges allow.
    """
    first = max(start, min(at - most // 2, end - most))
    return first, min(end, first + most)


def before(trace: Shown, decode: Decode, at: int, start: int = 0) -> int:
    """Return a position shortly before ``at``, from which ``at`` is visible without scrolling.

    It is not before ``start``.
    """
    first = max(start, at - BEFORE)
    while first < at and decode(trace.ids[first:at]).count("\n") > LINES:
        first += 1
    return first


@dataclass(frozen=True)
class Sight:
    """The visible stretch of a part of a trace.

    Attributes:
        part: The part.
        start: First visible position.
        end: Position after the last visible one.
        tokens: The tokens' HTML.
        where: Says which tokens are visible and how many are not.
        words: Describes the token that is looked at.
    """

    part: Part
    start: int
    end: int
    tokens: str
    where: str
    words: str


def see(
    trace: Shown,
    decode: Decode,
    at: int,
    part: Part | None = None,
    differs: int | None = None,
    *,
    top: bool = True,
    stay: tuple[int, int] | None = None,
) -> Sight:
    """Show the window of a part around position ``at``, which is framed.

    Args:
        trace: The trace.
        decode: Turns ids into text.
        at: The position.
        part: The part. None is the whole trace.
        differs: Position of the first id that another trace does not have.
        top: The window begins a little before the position, so that it is among the first lines in
            a box of any size. False puts it in the middle, as far as the edges allow.
        stay: Start and end of a window that is shown already. It stays if it has the position.

    Returns:
        The window.
    """
    part = part or Part("the whole trace", 0, len(trace.ids))
    start, end = around(at, part.start, part.end)
    if stay and stay[0] <= at < stay[1]:
        start, end = stay
    elif top and part.start < at < part.end:
        start = before(trace, decode, at, part.start)
        end = min(part.end, start + WINDOW)
    found = read(trace.ids, trace.source, decode, start, end)
    token = next((t for t in found if t.at <= at < t.end), None)
    words = (
        str(token)
        if token
        else f"there is no token at position {at} of what is shown"
        if found
        else ""
    )
    tries = sum(start < s <= end for s in trace.stops)
    stopped = f", {tries} {'try' if tries == 1 else 'tries'} to stop" if tries else ""
    unseen = (
        f"; not shown: {start:,} before and {len(trace.ids) - end:,} after"
        if end - start < len(trace.ids)
        else ""
    )
    where = (
        f"positions {start:,} to {end - 1:,}: {end - start:,} of {len(trace.ids):,} "
        f"tokens{stopped}{unseen}"
        if found
        else ""
    )
    drawn = tokens_html(found, stops=trace.stops, cut=trace.cut, differs=differs, at=at)
    return Sight(
        part, start, end, drawn, f'<div style="opacity:.8;font-size:90%">{where}</div>', words
    )


class Window:
    """Controls over the position that is looked at.

    ``box`` shows them. ``moved`` is called with another position.
    """

    def __init__(self, moved: Callable[[int], None]) -> None:
        self._moved, self._setting, self._clicking = moved, False, False
        self.sights: list[Sight] = []
        self.field = ipw.IntText(
            description="Token",
            tooltip=(
                "a position; Enter says which token is there, frames it and shows what is "
                "around it; a click on a token does the same"
            ),
            continuous_update=False,
            style=NARROW,
            layout=ipw.Layout(width="140px"),
        )
        self.earlier = button(
            "◀ tokens", "tokens before those that are shown", lambda: self.step(-1)
        )
        self.later = button("tokens ▶", "tokens after those that are shown", lambda: self.step(1))
        partners(self.earlier, self.later)
        # the page's script writes the position of a clicked token here
        self.clicked = ipw.IntText(
            -1, description="Clicked token", layout=ipw.Layout(display="none")
        )
        self.clicked.add_class("s1lab-clicked")
        self.clicked.observe(self._pressed, "value")
        self.said = html()
        self.field.observe(
            lambda change: None if self._setting else self._moved(change["new"]), "value"
        )
        self.box = row(self.field, self.earlier, self.later, self.said, self.clicked)
        self.off()

    def look(self, at: int) -> None:
        """Put a position into the field without calling ``moved``."""
        self._setting = True
        self.field.value = at
        self._setting = False

    def staying(self, side: int = 0) -> tuple[int, int] | None:
        """Return the edges of a side's window that is to stay, because its token was clicked."""
        sights = self.sights if self._clicking else []
        return (sights[side].start, sights[side].end) if side < len(sights) else None

    def _pressed(self, change: dict[str, int]) -> None:
        if change["new"] < 0:
            return
        self._clicking = True
        try:
            self.look(change["new"])
            self._moved(change["new"])
        finally:
            self._clicking = False
            self.clicked.value = -1  # the same token can be clicked again

    def step(self, by: int) -> None:
        """Show the next tokens, or those before.

        It looks at the first token after the window, or at a token so far before the window that
        the new window ends where the old one begins.
        """
        ahead = [s.end for s in self.sights if s.end < s.part.end]
        behind = [
            max(s.part.start, s.start - WINDOW + BEFORE)
            for s in self.sights
            if s.start > s.part.start
        ]
        # of two traces, the nearer one, so that no token of the other is left out
        if ahead if by > 0 else behind:
            at = min(ahead) if by > 0 else max(behind)
            self.look(at)
            self._moved(at)

    def show(self, sights: Mapping[str, Sight]) -> None:
        """Say which token is looked at, in each trace by name, and where there are more."""
        self.sights = list(sights.values())
        self.field.disabled = self.clicked.disabled = False
        self.earlier.disabled = all(s.start == s.part.start for s in self.sights)
        self.later.disabled = all(s.end == s.part.end for s in self.sights)
        self.said.value = "".join(
            sentence(f"{name}: {s.words}") for name, s in sights.items() if s.words
        )

    def off(self) -> None:
        """Show that nothing is looked at."""
        self.sights, self.said.value = [], ""
        self.field.disabled = self.clicked.disabled = True
        self.earlier.disabled = self.later.disabled = True
