"""Figures in one style: log2 token axes, intervals as bands, the paper's points as open markers."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from s1lab.metrics import Interval
from s1lab.paper import Point

# Okabe and Ito: told apart by colour-blind readers too.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
GREY = "#555555"


@dataclass(frozen=True)
class Rung:
    """One measured point: mean thinking tokens, accuracy in percent with its interval, and its label."""

    label: str
    tokens: float
    accuracy: Interval


def scaling(caps: Sequence[Rung], waits: Sequence[Rung], title: str) -> go.Figure:
    """Accuracy over thinking tokens: capped rungs up to the own stop (the last of ``caps``), then Waits going on from it."""
    figure = go.Figure()
    for rungs, color, name in ((caps, BLUE, "capped"), ([caps[-1], *waits], ORANGE, "Waits")):
        tokens = [r.tokens for r in rungs]
        figure.add_scatter(
            x=[*tokens, *tokens[::-1]],
            y=[r.accuracy.high for r in rungs] + [r.accuracy.low for r in rungs[::-1]],
            fill="toself",
            fillcolor=color,
            opacity=0.15,
            line_width=0,
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(
            x=tokens,
            y=[r.accuracy.value for r in rungs],
            mode="lines+markers",
            line_color=color,
            marker_size=9,
            name=name,
            customdata=[[r.label, str(r.accuracy)] for r in rungs],
            hovertemplate="%{customdata[0]}<br>%{x:.0f} thinking tokens<br>%{customdata[1]} %<extra></extra>",
        )
    for rung in caps:
        _label(figure, rung, BLUE, below=True)
    for rung in waits:
        _label(figure, rung, ORANGE, below=False)
    return _axes(figure, title, [r.tokens for r in [*caps, *waits]])


def published(points: Sequence[Point], title: str) -> go.Figure:
    """Points of a published figure, open markers: the paper's numbers, not ours."""
    figure = go.Figure()
    figure.add_scatter(
        x=[p.tokens for p in points],
        y=[p.accuracy for p in points],
        mode="lines+markers",
        line={"color": GREY, "dash": "dot"},
        marker={"size": 10, "symbol": "circle-open", "line_width": 2},
        customdata=[p.how for p in points],
        hovertemplate="%{customdata}<br>%{x} thinking tokens<br>%{y:.1f} %<extra>the paper</extra>",
    )
    for p in points:
        _label(figure, Rung(p.how, p.tokens, Interval(p.accuracy, p.accuracy, p.accuracy)), GREY, below=True)
    return _axes(figure, title, [p.tokens for p in points])


def _label(figure: go.Figure, rung: Rung, color: str, below: bool) -> None:
    figure.add_annotation(
        x=math.log10(rung.tokens),  # plotly wants base-10 exponents on any log axis, whatever its ticks
        y=rung.accuracy.value,
        text=rung.label,
        showarrow=False,
        font={"color": color, "size": 12},
        xanchor="left" if below else "right",
        yanchor="top" if below else "bottom",
        xshift=7 if below else -4,
        yshift=-3 if below else 4,
    )


def _axes(figure: go.Figure, title: str, tokens: Sequence[float]) -> go.Figure:
    low, high = min(tokens), max(tokens)
    ticks = [2**k for k in range(3, 16) if low / 1.6 <= 2**k <= high * 1.9]
    figure.update_layout(
        title={"text": title, "x": 0.02, "font_size": 16},
        template="plotly_white",
        font={"family": "Arial, Liberation Sans, sans-serif", "size": 13},
        width=640,
        height=420,
        margin={"l": 60, "r": 30, "t": 60, "b": 55},
        showlegend=False,
    )
    figure.update_xaxes(
        type="log",
        title="thinking tokens, mean a question (log scale)",
        tickvals=ticks,
        ticktext=[f"{t:,}" for t in ticks],
        range=[math.log10(low / 1.4), math.log10(high * 1.9)],
    )
    figure.update_yaxes(title="accuracy, %", range=[0, 101], tickvals=list(range(0, 101, 20)))
    return figure


def save(figure: go.Figure, folder: str | Path, name: str, data: Any) -> list[Path]:
    """Write a figure as NAME.png and NAME.svg, and what it shows as NAME.json; the paths that were written.

    The two pictures need a Chrome or Chromium on the machine (kaleido draws with it); without one only the data is written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / f"{name}.json"]
    written[0].write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    with contextlib.suppress(RuntimeError, ValueError, ImportError):
        for kind in ("png", "svg"):
            picture = figure.to_image(format=kind, scale=2 if kind == "png" else 1)
            written.append(folder / f"{name}.{kind}")
            written[-1].write_bytes(picture)
    return written
