"""The ladder slider: move the budget along stored rungs; no model runs."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import ipywidgets as ipw

from s1lab.evaluation.evaluate import Results
from s1lab.figures.style import BLUE, ORANGE
from s1lab.figures.trace_view import legend_html, trace_box
from s1lab.methods.ladder import Ladder, named_rung
from s1lab.trace import Trace
from s1lab.widgets.panel import NARROW, Panel, button, html, partners, row, sentence
from s1lab.widgets.rows import asked_html, short, summary, word
from s1lab.widgets.window import Window, see

HEIGHT = "20em"
WIDE, HIGH = 460, 200  # size of the curve, in pixels
LEFT, RIGHT, TOP, BOTTOM = 45, 15, 20, 35  # free margins outside its axes, in pixels
CELL = "text-align:left;padding:.1em .6em"


@dataclass(frozen=True)
class Rungs:
    """Stored rungs.

    Attributes:
        names: Name of each rung.
        traces: For each rung its trace of every question.
        measured: For a sweep, the Results of each rung.
    """

    names: list[str]
    traces: list[list[Trace]]  # [rung][question]
    measured: list[Results] | None = None

    def verdict(self, rung: int, question: int) -> bool | None:
        return self.measured[rung].verdicts[question] if self.measured else None


def rungs_of(given: Any) -> Rungs:
    """Read rungs from a Ladder, a list of Ladders with the same rungs, or a sweep.

    Args:
        given: One of these.

    Returns:
        The rungs.

    Raises:
        TypeError: If it is anything else.
        ValueError: If the rungs differ, or were asked different questions.
    """
    if isinstance(given, Mapping) and given and all(isinstance(r, Results) for r in given.values()):
        results = list(given.values())
        asked = [[t.question for t in r.traces] for r in results]
        if any(questions != asked[0] for questions in asked):
            raise ValueError(
                "the rungs were not asked the same questions: give what one lab.sweep returned"
            )
        return Rungs([str(name) for name in given], [r.traces for r in results], results)
    ladders = [given] if isinstance(given, Ladder) else given
    if (
        not isinstance(ladders, Sequence)
        or not ladders
        or not all(isinstance(found, Ladder) for found in ladders)
    ):
        raise TypeError(
            f"a {type(given).__name__} is no ladder: give what lab.ladder or lab.sweep returned"
        )
    names = [name for name, _ in ladders[0].items()]
    if any([name for name, _ in found.items()] != names for found in ladders):
        raise ValueError("the ladders have different rungs: give those of one lab.ladder call")
    return Rungs(names, [[found.traces[i] for found in ladders] for i in range(len(names))])


class LadderSlider(Panel):
    """The widget that `ladder` makes.

    ``budget`` is the slider over the rungs, ``number`` the number of the question.
    """

    def __init__(self, rungs: Rungs) -> None:
        self.rungs = rungs
        questions = len(rungs.traces[0])
        self.budget = ipw.SelectionSlider(
            options=[(name, i) for i, name in enumerate(rungs.names)], description="Budget",
            style=NARROW, layout=ipw.Layout(width="460px"), tooltip="the rungs in order",
        )  # fmt: skip
        self.number = ipw.BoundedIntText(
            0,
            0,
            questions - 1,
            description=f"Question, 0 to {questions - 1}",
            style=NARROW,
            layout=ipw.Layout(width="210px"),
        )
        self.back = button("◀ rung", "the rung before", lambda: self.step(-1))
        self.on = button("rung ▶", "the next rung", lambda: self.step(1))
        partners(self.back, self.on)
        self.head, self.curve, self.view = html(), html(), html()
        self.window = Window(self._draw)
        for control in (self.budget, self.number):
            control.observe(lambda _: self.look(), "value")
        controls = row(self.budget, self.back, self.on, *([self.number] if questions > 1 else []))
        super().__init__([controls, self.head, self.curve, self.window.box, self.view])
        self.look()

    def step(self, by: int) -> None:
        """Go to the next rung or the one before, as an arrow key does on the slider."""
        self.budget.value = min(max(self.budget.value + by, 0), len(self.rungs.names) - 1)

    def look(self) -> None:
        """Show the chosen rung and question."""
        rung, question = self.budget.value, self.number.value
        self.back.disabled, self.on.disabled = rung == 0, rung == len(self.rungs.names) - 1
        trace = self.rungs.traces[rung][question]
        correct = self.rungs.verdict(rung, question)
        overall = ""
        if self.rungs.measured:
            found = self.rungs.measured[rung]
            overall = (
                f"all {len(found.rows):,} questions: accuracy {found.interval} %, "
                f"{found.thinking_tokens:.0f} thinking tokens"
            )
        answer = trace.error or trace.answer
        self.head.value = (
            asked_html(trace.question)
            + sentence(f"{self.rungs.names[rung]}: {summary(trace, correct)}")
            + f"<div>answer: <b>{escape(short(answer, 200))}</b></div>"
            + (f"<div>{escape(overall)}</div>" if overall else "")
        )
        self.curve.value = self._overview(self._drawn())
        self.window.look(0)
        self._draw(0)

    def _drawn(self) -> str:
        measured = self.rungs.measured
        return curve_svg(self.rungs.names, measured, self.budget.value) if measured else ""

    def _overview(self, drawn: str) -> str:
        """Return the curve, if there is one, beside the table of the rungs."""
        return (
            '<div style="display:flex;flex-wrap:wrap;gap:1.5em;align-items:flex-start">'
            f'{drawn}<div style="overflow-x:auto;max-width:100%">{self._table()}</div></div>'
        )

    def _draw(self, at: int) -> None:
        trace = self.rungs.traces[self.budget.value][self.number.value]
        sight = see(trace, trace.template.decode, at, stay=self.window.staying())
        self.window.show({"trace": sight})
        box = trace_box(sight.tokens, f"tokens under {self.rungs.names[self.budget.value]}", HEIGHT)
        self.view.value = legend_html(trace.source) + sight.where + box

    def _table(self) -> str:
        """Return every rung with this question's answer, with a mark at the chosen one."""
        lines = []
        for i, name in enumerate(self.rungs.names):
            trace, correct = (
                self.rungs.traces[i][self.number.value],
                self.rungs.verdict(i, self.number.value),
            )
            cells = [
                "▶" if i == self.budget.value else "", name, f"{trace.thinking_tokens:,}",
                short(trace.error or trace.answer, 40),
                *([word(correct), f"{self.rungs.measured[i].interval} %"]
                  if self.rungs.measured else []),
            ]  # fmt: skip
            chosen = i == self.budget.value
            shown = [f"<b>{escape(c)}</b>" if chosen else escape(c) for c in cells]
            lines.append(
                "<tr>" + "".join(f'<td style="{CELL}">{cell}</td>' for cell in shown) + "</tr>"
            )
        heads = [
            "",
            "budget",
            "thinking tokens",
            "answer",
            *(["verdict", "accuracy of all questions"] if self.rungs.measured else []),
        ]
        head = "".join(f'<th scope="col" style="{CELL}">{h}</th>' for h in heads)
        return (
            f'<table style="border-collapse:collapse;line-height:1.45"><tr>{head}</tr>'
            f"{''.join(lines)}</table>"
        )

    def static_html(self) -> str:
        # Where an SVG is removed, the numbers of its axes would be left as text. An image goes as a
        # whole, or leaves its description.
        overview = self._overview(as_image(self._drawn()))
        return f"{self.head.value}{overview}{self.view.value}"


def curve_svg(names: Sequence[str], measured: Sequence[Results], chosen: int) -> str:
    """Draw accuracy over thinking tokens, with one mark for each rung.

    Caps are round, the others square. The chosen rung has a ring and its name.

    Args:
        names: Name of each rung.
        measured: Results of each rung.
        chosen: Number of the chosen rung.

    Returns:
        The SVG.
    """
    tokens = [max(1.0, r.thinking_tokens) for r in measured]
    low, high = math.log2(min(tokens)) - 0.3, math.log2(max(tokens)) + 0.3

    def x(value: float) -> float:
        return LEFT + (WIDE - LEFT - RIGHT) * (math.log2(max(1.0, value)) - low) / (high - low)

    def y(percent: float) -> float:
        return HIGH - BOTTOM - (HIGH - TOP - BOTTOM) * percent / 100

    parts = _axes(low, high, x, y)
    for i, (name, r) in enumerate(zip(names, measured, strict=True)):
        rung = named_rung(name)
        capped = rung is not None and rung[0] is not None
        at, up, color = x(r.thinking_tokens), y(r.accuracy), BLUE if capped else ORANGE
        parts.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{y(r.interval.low):.1f}" '
            f'y2="{y(r.interval.high):.1f}" stroke="{color}"/>'
        )
        title = (
            f"<title>{escape(f'{name}: {r.interval} %, {r.thinking_tokens:.0f} tokens')}</title>"
        )
        if capped:
            parts.append(
                f'<circle cx="{at:.1f}" cy="{up:.1f}" r="4.5" fill="{color}">{title}</circle>'
            )
        else:
            parts.append(
                f'<rect x="{at - 4:.1f}" y="{up - 4:.1f}" width="8" height="8" fill="{color}">'
                f"{title}</rect>"
            )
        if i == chosen:  # a ring and the name
            parts.append(
                f'<circle cx="{at:.1f}" cy="{up:.1f}" r="9" fill="none" stroke="currentColor" '
                'stroke-width="2"/>'
            )
            side = "end" if at > WIDE / 2 else "start"
            shift = -14 if side == "end" else 14
            parts.append(
                f'<text x="{at + shift:.1f}" y="{up - 8:.1f}" text-anchor="{side}" '
                f'font-weight="bold">{escape(name)}</text>'
            )
    label = (
        f"accuracy over thinking tokens; chosen: {names[chosen]}, {measured[chosen].interval} "
        "percent"
    )
    return (
        f'<svg width="{WIDE}" height="{HIGH}" viewBox="0 0 {WIDE} {HIGH}" role="img" '
        f'aria-label="{escape(label)}" fill="currentColor" style="font:11px sans-serif;'
        'max-width:100%;color:var(--jp-content-font-color1,inherit)">'
        f"{''.join(parts)}"
        f'<text x="{WIDE / 2}" y="{HIGH - 3}" text-anchor="middle">thinking tokens a question, log '
        'scale</text><text x="6" y="12">accuracy, %</text></svg>'
    )


def as_image(svg: str) -> str:
    """Put a drawn curve into an image on white, with the drawing's label as its description."""
    if not svg:
        return ""
    label = svg.partition('aria-label="')[2].partition('"')[0]
    colored = svg.replace("currentColor", "#222222").replace(
        "<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1
    )
    ground = colored.replace(">", '><rect width="100%" height="100%" fill="white"/>', 1)
    coded = b64encode(ground.encode()).decode()
    source = f"data:image/svg+xml;base64,{coded}"
    return f'<img alt="{label}" width="{WIDE}" style="max-width:100%" src="{source}">'


def _axes(
    low: float, high: float, x: Callable[[float], float], y: Callable[[float], float]
) -> list[str]:
    """Draw the ticks of both axes. ``low`` and ``high`` are powers of 2 of the tokens."""
    ticks = [2**k for k in range(math.ceil(low), math.floor(high) + 1)]
    marks = [
        f'<line x1="{x(t):.1f}" x2="{x(t):.1f}" y1="{y(0)}" y2="{y(0) + 4}" stroke="currentColor"/>'
        f'<text x="{x(t):.1f}" y="{y(0) + 16}" text-anchor="middle">{t:,}</text>'
        for t in ticks
    ]
    marks += [
        f'<line x1="{LEFT}" x2="{WIDE - RIGHT}" y1="{y(p):.1f}" y2="{y(p):.1f}" '
        f'stroke="currentColor" opacity="{0.2 if p else 0.6}"/><text x="{LEFT - 5}" '
        f'y="{y(p) + 4:.1f}" text-anchor="end">{p}</text>'
        for p in (0, 20, 40, 60, 80, 100)
    ]
    return marks


def ladder(rungs: Any) -> LadderSlider:
    """Drag the budget along a stored ladder; no model runs.

    Thinking and answer move with it and, for a sweep, accuracy.

    Args:
        rungs: The result of `s1lab.ladder` (one Ladder, or a list of them), or the Results by
            rung of `s1lab.sweep`.

    Returns:
        The widget.

    Raises:
        TypeError: If the value is anything else.
        ValueError: If the rungs differ, or were asked different questions.

    Example:
        rungs = lab.ladder(lab.load("s1-tiny"), "How many r in raspberry", caps=(16, 64))
        lab.widgets.ladder(rungs)
    """
    return LadderSlider(rungs_of(rungs))
