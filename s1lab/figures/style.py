"""The one style of all figures: colours, fonts, axes, and labels at points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from s1lab.evaluation.intervals import Interval

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Okabe and Ito: told apart by colour-blind readers too. The markers differ in shape besides.
BLUE, ORANGE, GREEN, RED, PURPLE = "#0072B2", "#D98E00", "#009E73", "#D55E00", "#B0578D"
INK, CLEAR = "#333333", "rgba(0,0,0,0)"


def styled(figure: go.Figure, width: int, height: int) -> None:
    """Size in pixels, fonts and margins: what every figure ends with."""
    figure.update_annotations(font_color=INK, selector={"yref": "paper"})
    figure.update_layout(
        template="plotly_white",
        font={"family": "Arial, Liberation Sans, sans-serif", "size": 13, "color": INK},
        width=width,
        height=height,
        margin={"l": 60, "r": 25, "t": 45, "b": 55},
        showlegend=False,
    )


def whiskers(intervals: Sequence[Interval], color: str, thickness: float = 1.5) -> dict[str, Any]:
    """The intervals beside their values, as plotly's error bars."""
    above, below = [i.high - i.value for i in intervals], [i.value - i.low for i in intervals]
    return {
        "type": "data", "symmetric": False, "array": above, "arrayminus": below,
        "color": color, "thickness": thickness, "width": 3,
    }  # fmt: skip


def faint(color: str) -> str:
    """A colour of six digits, half seen through."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.5)"


def accuracy_title(figure: go.Figure, rows: int = 1) -> None:
    """What the y axes count, at the left of each row of panels."""
    for row in range(1, rows + 1):
        figure.update_yaxes(title_text="accuracy, %", row=row, col=1)


def accuracy_axes(figure: go.Figure, rows: int = 1, top: float = 103) -> None:
    """All of 0 to 100 % on every y axis, with room for labels up to ``top``."""
    figure.update_yaxes(range=[-3, top], tickvals=list(range(0, 101, 20)), ticksuffix=" ", zeroline=False)
    accuracy_title(figure, rows)


def log_axis(
    figure: go.Figure,
    column: int,
    tokens: Sequence[float],
    row: int = 1,
    *,
    title: str = "thinking tokens a question, log scale",
    beyond: float = 1.6,
) -> None:
    """A log2 axis of tokens: each tick is twice the one before, in one way of writing numbers.

    Ticks are 1, 2, 4 and on; where there are many tokens, as many thousands ("64K" is 64,000) or millions ("0.5M"). At least
    three are in sight. beyond: room for labels behind the last point, as a factor.
    """
    low, high = min(tokens) / 1.25, max(tokens) * min(beyond, 1.6)
    unit, suffix = (10**6, "M") if high > 4e6 else (1000, "K") if high > 4e4 else (1, "")
    first, last = math.ceil(math.log2(low / unit)), math.floor(math.log2(high / unit))
    while last - first < 2:
        first, last = (first - 1, last) if low / (unit * 2 ** (first - 1)) < unit * 2 ** (last + 1) / high else (first, last + 1)
    ticks = [2.0**k for k in range(first, last + 1)]
    edges = min(low, 0.95 * unit * ticks[0]), max(max(tokens) * beyond, 1.05 * unit * ticks[-1])
    figure.update_xaxes(
        type="log",
        title_text=title,
        tickvals=[unit * t for t in ticks],
        ticktext=[f"{t:,.6g}{suffix}" for t in ticks],
        tickangle=0,
        range=[math.log10(edge) for edge in edges],
        row=row,
        col=column,
    )


# Where a text stands by its point: its anchor and how far it is moved, across and along, in pixels.
PLACES = {
    "top": ("center", 0, "bottom", 6),
    "top left": ("right", 12, "bottom", 6),
    "top right": ("left", 6, "bottom", 4),
    "bottom": ("center", 0, "top", -6),
    "bottom left": ("right", 12, "top", -6),
    "bottom right": ("left", 8, "top", -6),
    "left": ("right", -10, "middle", 0),
    "right": ("left", 10, "middle", 0),
}


def label(figure: go.Figure, column: int, x: float, y: float, text: str, color: str, place: str, row: int = 1) -> None:
    """Text at a point of a log axis. place: a key of :data:`PLACES`."""
    across, by, along, up = PLACES[place]
    figure.add_annotation(
        x=math.log10(x),  # annotations on a log axis are placed by the exponent of ten
        y=y,
        text=text,
        showarrow=False,
        font={"color": color, "size": 12},
        xanchor=across,
        xshift=by,
        yanchor=along,
        yshift=up,
        row=row,
        col=column,
    )


def apart(places: Mapping[str, float], least: float) -> dict[str, float]:
    """Heights of labels, in their order, at least so far apart: neighbours that stand closer give way by half each."""
    moved = dict(sorted(places.items(), key=lambda pair: pair[1]))
    for _ in range(100):
        for below, above in pairwise(moved):
            if (short := least - (moved[above] - moved[below])) > 1e-9:
                moved[below] -= short / 2
                moved[above] += short / 2
    return moved
