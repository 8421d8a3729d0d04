"""The trace explorer: a run's rows behind filters, and the tokens of one trace.

If another run is given, its trace is shown beside it.
"""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as ipw

from s1lab.figures.trace_view import legend_html, trace_box
from s1lab.storage.diff import first_difference
from s1lab.widgets.panel import PLAIN, Pages, Panel, button, choices, html, partners, row, sentence
from s1lab.widgets.rows import Rows, asked_html, filters, line, paired, rows_of, summary
from s1lab.widgets.tokens import Part, parts
from s1lab.widgets.window import Sight, Window, before, see

HEIGHT = "26em"
WHOLE = "the whole trace"
DIFFERENCE = "from the first difference"


class Explorer(Panel):
    """The trace explorer that `explore` makes.

    ``current`` is the row that is shown. ``part`` is the part of it that is shown.
    """

    def __init__(self, rows: Rows, other: Rows | None = None) -> None:
        self.runs, self.other = rows, other
        self.pairs = paired(rows, other) if other else []
        self.kept = filters(rows, other, self.pairs)
        self.current, self.part = 0, WHOLE
        self.filter = choices(
            "Show", [(f"{name} ({len(found):,})", name) for name, found in self.kept.items()]
        )
        self.pages = Pages(lambda shown: [line(rows, i) for i in shown], self.choose)
        self.back = button(
            "◀ round",
            "the round before, and before the first the whole trace",
            lambda: self.step(-1),
        )
        self.on = button(
            "round ▶",
            "the next round: the prompt, each stretch of thinking, the answer",
            lambda: self.step(1),
        )
        self.all = button("whole", "the whole trace", lambda: self.look(WHOLE))
        self.apart = button(
            "first difference",
            "where the two traces begin to differ",
            lambda: self.look(DIFFERENCE),
        )
        partners(self.back, self.on)
        self.where, self.head, self.legend = html(), html(), html()
        self.window = Window(self.point)
        # Two traces have their heads in one row of a grid and their boxes in the next, so that
        # equal tokens are at equal heights.
        self.heads, self.views = ([html() for _ in range(2 if other else 1)] for _ in range(2))
        sides = ipw.Box(
            [part for pair in zip(self.heads, self.views, strict=True) for part in pair]
        )
        sides.layout.display = "grid"
        sides.add_class("s1lab-sides" if other else "s1lab-side")
        self.filter.observe(lambda change: self.keep(change["new"]), "value")
        stepping = row(self.back, self.on, self.all, *([self.apart] if other else []), self.where)
        listed = [row(self.filter), self.pages.box] if len(rows) > 1 else []
        super().__init__([*listed, self.head, stepping, self.window.box, self.legend, sides])
        self.pages.show(self.kept["all"], "all")

    def keep(self, name: str) -> None:
        """List the rows of a filter. If it keeps none, no trace is shown."""
        for view in (self.head, self.where, self.legend, *self.heads, *self.views):
            view.value = ""
        for control in (self.back, self.on, self.all, self.apart):
            control.disabled = True
        self.window.off()
        self.pages.show(self.kept[name], name)

    def choose(self, number: int) -> None:
        """Show the whole trace of a row."""
        self.current = number
        self.look(WHOLE)

    def step(self, by: int) -> None:
        """Show the next part, or the one before. The whole trace comes before the first part."""
        names = self._names()
        at = names.index(self.part) if self.part in names else 0
        self.look(names[min(max(at + by, 0), len(names) - 1)])

    def look(self, part: str, at: int | None = None) -> None:
        """Show a part of the current trace, and the same part of the other run's.

        If the filter keeps no row, nothing is shown.

        Args:
            part: Name of the part.
            at: The position to look at. None is the part's first, or the first difference.
        """
        if not self.pages.rows:
            return
        self.part = part
        self.pages.settle()
        names = self._names()
        self.back.disabled, self.on.disabled = part in (WHOLE, DIFFERENCE), part == names[-1]
        self.all.disabled, self.apart.disabled = (
            part == WHOLE,
            self.differs is None or part == DIFFERENCE,
        )
        self.where.value = sentence(f"shown: {part}; {len(names) - 1} parts")
        asked = asked_html(self.runs.traces[self.current].question)
        self.head.value = f"{asked}{self._parting()}"
        first = self.differs if part == DIFFERENCE else self._shown(0).start
        self.window.look(first or 0 if at is None else at)
        sights = {self._name(side): self._sight(side) for side in range(len(self.views))}
        self.window.show({name: sight for name, sight in sights.items() if sight})
        for side, sight in enumerate(sights.values()):
            self.heads[side].value, self.views[side].value = self._view(side, sight)
        sources = [found[0].traces[found[1]].source for s in (0, 1) if (found := self._side(s))]
        self.legend.value = legend_html(*sources)

    def point(self, at: int) -> None:
        """Look at the token of a position, in the shown part if it is there, else in the trace."""
        stretches = [self._shown(side) for side in range(len(self.views))]
        self.look(self.part if any(s.start <= at < s.end for s in stretches) else WHOLE, at)

    @property
    def differs(self) -> int | None:
        """The position at which the current trace and its counterpart first differ."""
        found = self._side(1)
        return (
            first_difference(self.runs.traces[self.current].ids, found[0].traces[found[1]].ids)
            if found
            else None
        )

    def _side(self, side: int) -> tuple[Rows, int] | None:
        """Return the run of a side and its trace's number.

        It is None if the other run has no such trace, or if there is no other run.
        """
        if side == 0:
            return self.runs, self.current
        pair = self.pairs[self.current] if self.other else None
        return (self.other, pair) if self.other and pair is not None else None

    def _names(self) -> list[str]:
        """Return the names to step through: the whole trace, then each of its parts."""
        return [WHOLE, *(p.name for p in self._parts(0))]

    def _parts(self, side: int) -> list[Part]:
        found = self._side(side)
        if found is None:
            return []
        trace = found[0].traces[found[1]]
        return parts(trace.source, trace.stops)

    def _parting(self) -> str:
        if self.other is None:
            return ""
        if self.pairs[self.current] is None:
            return sentence("the other run has no trace of this question and sample")
        if self.differs is None:
            return sentence("the two traces are the same, id for id")
        return sentence(
            f"the two traces are the same up to position {self.differs:,}, where the first "
            "difference is marked"
        )

    def _shown(self, side: int) -> Part:
        """Return the stretch of a side's trace that is shown.

        A trace with fewer rounds shows nothing beside the other's later rounds.
        """
        found = self._side(side)
        length = len(found[0].traces[found[1]].ids) if found else 0
        if found and self.part == DIFFERENCE and (at := self.differs) is not None:
            return Part(DIFFERENCE, before(found[0].traces[found[1]], found[0].decode, at), length)
        if self.part == WHOLE:
            return Part(WHOLE, 0, length)
        return next((p for p in self._parts(side) if p.name == self.part), Part(self.part, 0, 0))

    def _name(self, side: int) -> str:
        return "trace" if self.other is None else "first run" if side == 0 else "other run"

    def _sight(self, side: int) -> Sight | None:
        found = self._side(side)
        if found is None:
            return None
        rows, number = found
        return see(
            rows.traces[number],
            rows.decode,
            self.window.field.value,
            self._shown(side),
            self.differs,
            stay=self.window.staying(side),
        )

    def _view(self, side: int, sight: Sight | None) -> tuple[str, str]:
        """Return what is above a side's box, and the box."""
        found = self._side(side)
        if found is None or sight is None:
            return "", trace_box("", "no trace of this question")
        rows, number = found
        trace, name = rows.traces[number], self._name(side)
        said = "".join(map(sentence, trace.notes)) + (
            sentence(trace.error, error=True) if trace.error else ""
        )
        head = f"<div><b>{name}</b>: {escape(summary(trace, rows.correct[number]))}</div>{said}"
        label = f"tokens of the {name}, {self.part}"
        if not sight.tokens:
            nothing = f"<i>nothing here: {escape(self.part)} is not in this trace</i>"
            return head, trace_box(nothing, label)
        return head + sight.where, trace_box(sight.tokens, label, HEIGHT)

    def static_html(self) -> str:
        listed = ""
        if len(self.runs) > 1:
            lines = "\n".join(escape(text) for text, _ in self.pages.list.options)
            counts = ", ".join(f"{name} {len(found):,}" for name, found in self.kept.items())
            listed = f"<div>{escape(counts)}</div>{PLAIN}{lines}</pre>"
        sides = "".join(
            f'<div style="flex:1 1 18em;min-width:0">{head.value}{view.value}</div>'
            for head, view in zip(self.heads, self.views, strict=True)
        )
        return (
            f"{listed}<div>{self.head.value}</div>{self.legend.value}"
            f'<div style="display:flex;flex-wrap:wrap;gap:0 1em">{sides}</div>'
        )


def explore(traces: Any, other: Any = None) -> Explorer:
    """Look at traces token by token.

    A whole run is listed behind filters. Under the pointer, each token shows its id, position and
    origin. Only visible content is made: a page of rows, and some 4,000 tokens of the shown trace
    around the position that is looked at. The field Token shows and takes that position.

    Args:
        traces: A Trace, a list of them, a Ladder, the Results of `s1lab.evaluate`, or a
            stored run of `s1lab.storage.read_run`.
        other: The same of another run, to show beside it. Traces of one question are paired, and
            their first difference is marked. With two Results over the same questions, such as
            without and with a Wait, the filters find the answers that flipped.

    Returns:
        The widget.

    Raises:
        TypeError: If a value is of another kind.
        ValueError: If a value holds no traces.

    Example:
        results = lab.evaluate(lab.load("s1-tiny"), lab.tiny.problems(4))
        lab.widgets.explore(results)
    """
    return Explorer(rows_of(traces), None if other is None else rows_of(other))
