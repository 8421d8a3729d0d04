"""The lines, marks and labels that curves are drawn with.

A line goes through points, which are ours (`Rung`) or the paper's. Ours are filled marks
with an interval, the paper's are open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import plotly.graph_objects as go

from s1lab.evaluation.intervals import Interval
from s1lab.evaluation.metrics import frontier
from s1lab.figures.export import MEASURED, PAPERS
from s1lab.figures.style import BLUE, ORANGE, faint, label, whiskers
from s1lab.paper.entries import Point


@dataclass(frozen=True)
class Rung:
    """One measured point.

    Attributes:
        label: What was done to get it, such as "cap 64".
        tokens: Mean thinking tokens.
        accuracy: Accuracy in percent, with its interval.

    Example:
        rung = lab.figures.Rung("cap 64", 60.2, lab.metrics.share_interval(70.0, 120))
    """

    label: str
    tokens: float
    accuracy: Interval

    def as_dict(self) -> dict[str, Any]:
        """Return label, tokens, accuracy, low, high."""
        interval = asdict(self.accuracy)
        return {
            "label": self.label,
            "tokens": self.tokens,
            "accuracy": interval.pop("value"),
            **interval,
        }


def height(dot: Rung | Point) -> float:
    """Return a point's accuracy, in percent."""
    return dot.accuracy.value if isinstance(dot, Rung) else dot.accuracy


def told(dot: Rung | Point) -> str:
    """Return a point's label."""
    return dot.label if isinstance(dot, Rung) else dot.how


def parted(dots: Sequence[Rung | Point]) -> tuple[list[Rung | Point], list[Rung | Point]]:
    """Split points into caps with the own stop, and Waits."""
    waits = [d for d in dots if "Wait" in told(d)]
    return [d for d in dots if d not in waits], waits


def draw_forced(
    figure: go.Figure,
    caps: Sequence[Rung | Point],
    waits: Sequence[Rung | Point],
    *,
    row: int,
    column: int,
) -> None:
    """Draw caps up to the own stop in one colour, and the Waits from there on in another."""
    if caps:
        draw_line(figure, caps, BLUE, "circle", "caps", row=row, column=column)
    if waits:
        # The own stop ends one line and begins the other. Its mark is drawn once.
        own = caps[-1:]
        draw_line(
            figure, [*own, *waits], ORANGE, "diamond", "Waits", row=row, column=column,
            hidden=len(own),
        )  # fmt: skip


def draw_labels(
    figure: go.Figure, caps: Sequence[Rung | Point], waits: Sequence[Rung | Point], *, column: int
) -> None:
    """Label the marks of `draw_forced`, except those that are too close to each other."""
    if caps and height(caps[-1]) < height(caps[0]):  # a falling line has room on both sides
        for i, dot in enumerate(caps):
            draw_label(figure, dot, BLUE, ("top right", "bottom left")[i % 2], 1, column)
        return
    labelled = 0.0
    for dot in caps[:-1]:
        if dot.tokens > 1.15 * labelled:  # closer ones would cover each other
            draw_label(figure, dot, BLUE, "bottom right", 1, column)
            labelled = dot.tokens
    if caps:
        draw_label(figure, caps[-1], BLUE, "top left", 1, column)
    if waits:
        draw_label(figure, waits[-1], ORANGE, "bottom", 1, column)
        best = max(waits, key=height)
        if best is not waits[-1]:
            draw_label(figure, best, ORANGE, "top", 1, column)


def draw_label(
    figure: go.Figure, dot: Rung | Point, color: str, place: str, row: int, column: int
) -> None:
    """Draw a label at a mark."""
    label(figure, column, dot.tokens, height(dot), told(dot), color, place, row)


def draw_line(
    figure: go.Figure,
    dots: Sequence[Rung | Point],
    color: str,
    symbol: str,
    name: str,
    *,
    row: int = 1,
    column: int = 1,
    band: bool = True,
    hidden: int = 0,
) -> None:
    """Draw a line through marks.

    Measured points have their intervals. The paper's line is dotted and has open marks.

    Args:
        figure: The figure.
        dots: The points.
        color: Colour of line and marks.
        symbol: Form of the marks.
        name: Name in the legend.
        row: Row of the panel.
        column: Column of the panel.
        band: Draw intervals as a band. False draws whiskers, for lines that cross each other.
        hidden: Number of marks at the start to leave out, since another line has them.
    """
    place = {"row": row, "col": column}
    rungs = [d for d in dots if isinstance(d, Rung)]
    tokens = [d.tokens for d in dots]
    published = not rungs
    if rungs and band:
        figure.add_scatter(
            x=[*tokens, *tokens[::-1]],
            y=[r.accuracy.high for r in rungs] + [r.accuracy.low for r in rungs[::-1]],
            fill="toself",
            fillcolor=color,
            opacity=0.16,
            mode="none",
            hoverinfo="skip",
            **place,
        )
    source = PAPERS if published else MEASURED
    figure.add_scatter(
        x=tokens,
        y=[height(d) for d in dots],
        mode="lines+markers",
        line={
            "color": color,
            "width": 2 if published else 2.5,
            "dash": "dot" if published else "solid",
        },
        marker={
            "size": 9,
            "symbol": f"{symbol}-open" if published else symbol,
            "line_width": 2 if published else 0,
            "opacity": [float(i >= hidden) for i in range(len(dots))],
        },
        error_y=whiskers([r.accuracy for r in rungs], faint(color)) if rungs and not band else None,
        name=name,
        meta=source,
        customdata=[[told(d), str(d.accuracy)] for d in dots],
        hovertemplate="%{customdata[0]}<br>%{x:,.0f} tokens<br>%{customdata[1]} %"
        f"<extra>{name}, {source}</extra>",
        **place,
    )


def draw_frontier(figure: go.Figure, rungs: Sequence[Rung], most: float) -> None:
    """Draw grey steps up to ``most`` tokens: the best accuracy of any rung at so many tokens."""
    best = [
        rungs[i] for i in frontier([r.tokens for r in rungs], [r.accuracy.value for r in rungs])
    ]
    figure.add_scatter(
        x=[*(r.tokens for r in best), most],
        y=[*(r.accuracy.value for r in best), best[-1].accuracy.value],
        mode="lines", line={"color": "#999999", "width": 7, "shape": "hv"}, opacity=0.35,
        hoverinfo="skip", name="frontier", meta=MEASURED, row=1, col=1,
    )  # fmt: skip
