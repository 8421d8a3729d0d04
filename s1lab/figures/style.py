"""The one style of all figures: colours, fonts, axes, and labels at points."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from s1lab.evaluation.intervals import Interval

if TYPE_CHECKING:
    import plotly.graph_objects as go

# The hues of Okabe and Ito, which colour-blind readers can tell apart, dark enough for text: each
# has a contrast of at least 4.5 to white. In grey they are alike, so marks also differ in shape.
BLUE, ORANGE, GREEN, RED, PURPLE = "#0072B2", "#A05F00", "#00754F", "#B84A00", "#A34C82"
# Each mark as a letter, filled and open, for labels.
MARKS = {
    "circle": "●○", "diamond": "◆◇", "triangle-up": "▲△",
    "square": "■□", "cross": "✚✛", "star": "★☆",
}  # fmt: skip
_LINK = re.compile(r"<(?=\s*/?\s*a\b)", re.IGNORECASE)
_LISTS = (list, tuple, np.ndarray)
INK, CLEAR = "#333333", "rgba(0,0,0,0)"


def styled(figure: go.Figure, height: int) -> None:
    """Set height in pixels, fonts and margins. Every figure ends with this.

    There is no width: plotly's viewer then takes the width of the page, and nothing is cut off.
    Pictures have their own (`s1lab.figures.export.WIDTH`).
    """
    escape_links(figure)
    figure.update_annotations(font_color=INK, selector={"yref": "paper"})
    figure.update_layout(
        template="plotly_white",
        font={"family": "Arial, Liberation Sans, sans-serif", "size": 13, "color": INK},
        height=height,
        margin={"l": 60, "r": 25, "t": 45, "b": 55},
        showlegend=False,
    )


def escape_links(figure: go.Figure) -> None:
    """Show a link in a text as it is written, so that no figure leads anywhere.

    Plotly reads its texts as HTML, and a name may come from a file of results.
    """
    for part in (*figure.data, figure.layout):
        made = part.to_plotly_json()
        if _LINK.search(json.dumps(made, default=np.ndarray.tolist)):
            part.update(_without_links(made), overwrite=True)


def _without_links(value: Any) -> Any:
    """Return a value with every ``<a`` in its texts escaped."""
    if isinstance(value, str):
        return _LINK.sub("&lt;", value)
    if isinstance(value, Mapping):
        return {key: _without_links(one) for key, one in value.items()}
    if isinstance(value, np.ndarray) and value.dtype.kind not in "OUT":
        return value  # numbers
    return [_without_links(one) for one in value] if isinstance(value, _LISTS) else value


def whiskers(intervals: Sequence[Interval], color: str, thickness: float = 1.5) -> dict[str, Any]:
    """Return the intervals around their values as plotly's error bars."""
    above, below = [i.high - i.value for i in intervals], [i.value - i.low for i in intervals]
    return {
        "type": "data", "symmetric": False, "array": above, "arrayminus": below,
        "color": color, "thickness": thickness, "width": 3,
    }  # fmt: skip


def faint(color: str) -> str:
    """Return a colour of six digits, half transparent."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.5)"


def accuracy_title(figure: go.Figure, rows: int = 1) -> None:
    """Write what the y axes count, at the left of each row of panels."""
    for row in range(1, rows + 1):
        figure.update_yaxes(title_text="accuracy, %", row=row, col=1)


def accuracy_axes(figure: go.Figure, rows: int = 1, top: float = 103) -> None:
    """Show 0 to 100 % on every y axis, with room for labels up to ``top``."""
    figure.update_yaxes(
        range=[-3, top], tickvals=list(range(0, 101, 20)), ticksuffix=" ", zeroline=False
    )
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
    """Draw a log2 axis of tokens: each tick is twice the one before, all in one unit.

    Ticks are 1, 2, 4 and so on. If there are many tokens, they are in thousands ("64K" is 64,000)
    or millions ("0.5M"). At least three are visible.

    Args:
        figure: The figure.
        column: Column of the panel.
        tokens: The tokens of all points in the panel.
        row: Row of the panel.
        title: Title of the axis.
        beyond: Room for labels after the last point, as a factor.
    """
    low, high = min(tokens) / 1.25, max(tokens) * min(beyond, 1.6)
    unit, suffix = (10**6, "M") if high > 4e6 else (1000, "K") if high > 4e4 else (1, "")
    first, last = math.ceil(math.log2(low / unit)), math.floor(math.log2(high / unit))
    while last - first < 2:
        first, last = (
            (first - 1, last)
            if low / (unit * 2 ** (first - 1)) < unit * 2 ** (last + 1) / high
            else (first, last + 1)
        )
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


# Places of a text by its point: its anchor, and its offset across and along, in pixels.
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


def label(
    figure: go.Figure,
    column: int,
    x: float,
    y: float,
    text: str,
    color: str,
    place: str,
    row: int = 1,
) -> None:
    """Write text at a point of a log axis.

    Args:
        figure: The figure.
        column: Column of the panel.
        x: The point's x, in tokens.
        y: The point's y.
        text: The text.
        color: Colour of the text.
        place: A key of `PLACES`.
        row: Row of the panel.
    """
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


def marked(text: str, symbol: str, *, published: bool = False) -> str:
    """Put a line's mark before its label, so that the two belong together without colours.

    Args:
        text: The label.
        symbol: A key of `MARKS`.
        published: The line has open marks.
    """
    return f"{MARKS[symbol][published]} {text}"


def plain_number(value: float) -> str:
    """Write a small number as a reader would: 0, 0.0005, or 5·10 to the minus 6."""
    if not value or abs(value) >= 1e-4:
        return f"{value:g}"
    digits, _, power = f"{value:.1e}".partition("e")
    return f"{float(digits):g}·10<sup>−{-int(power)}</sup>"


def apart(places: Mapping[str, float], least: float) -> dict[str, float]:
    """Move the heights of labels, in their order, at least ``least`` apart.

    Neighbours that are closer give way by half each.
    """
    moved = dict(sorted(places.items(), key=lambda pair: pair[1]))
    for _ in range(100):
        for below, above in pairwise(moved):
            if (short := least - (moved[above] - moved[below])) > 1e-9:
                moved[below] -= short / 2
                moved[above] += short / 2
    return moved
