"""Figures in one style: log2 token axes, intervals as bands, the paper's points as open markers."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from s1lab.metrics import Interval, frontier
from s1lab.paper import Point
from s1lab.style import (
    BLUE,
    CLEAR,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    RED,
    accuracy_axes,
    accuracy_title,
    apart,
    label,
    log_axis,
    styled,
    tokens_axis,
    whiskers,
)

_COLORS = (BLUE, ORANGE, RED, PURPLE, GREEN, INK)
_SYMBOLS = ("circle", "diamond", "triangle-up", "square", "cross", "star")


@dataclass(frozen=True)
class Rung:
    """One measured point: its label, mean thinking tokens, accuracy in percent with its interval."""

    label: str
    tokens: float
    accuracy: Interval

    def as_dict(self) -> dict[str, Any]:
        """label, tokens, accuracy, low, high."""
        interval = asdict(self.accuracy)
        return {"label": self.label, "tokens": self.tokens, "accuracy": interval.pop("value"), **interval}


def scaling(
    caps: Sequence[Rung],
    waits: Sequence[Rung],
    paper: Mapping[str, Sequence[Point]] | None = None,
    *,
    title: str = "the embedded model s1-tiny",
    paper_title: str = "the paper's Figure 1",
) -> go.Figure:
    """Accuracy over thinking tokens (paper Figures 1 and 4): measured on the left, the paper's beside it where given.

    caps: capped rungs, shortest first, the own stop last. waits: what suppressing that stop adds.
    paper: points of published curves by benchmark, drawn with open markers.
    """
    columns = 2 if paper else 1
    titles = [f"<b>measured</b>: {title}", f"<b>{paper_title}</b>: s1-32B"][:columns]
    figure = make_subplots(1, columns, subplot_titles=titles, horizontal_spacing=0.09)
    _curve(figure, caps, BLUE, "circle")
    _curve(figure, [caps[-1], *waits], ORANGE, "diamond", skip_first=True)
    labelled = 0.0
    for rung in caps[:-1]:
        if rung.tokens > 1.15 * labelled:  # closer ones would write over each other
            _named(figure, rung, BLUE, "bottom right")
            labelled = rung.tokens
    _named(figure, caps[-1], BLUE, "top left")
    if waits:
        _named(figure, waits[-1], ORANGE, "bottom")
        best = max(waits, key=lambda r: r.accuracy.value)
        if best is not waits[-1]:
            _named(figure, best, ORANGE, "top")
    tokens_axis(figure, 1, [r.tokens for r in [*caps, *waits]])
    for (name, points), color, symbol in zip(
        (paper or {}).items(), (GREEN, PURPLE, RED), ("square", "circle", "diamond"), strict=False
    ):
        _published(figure, points, color, symbol, f"{name}, the paper's", row=1, column=2)
        place = "top left" if points[-1].accuracy >= points[-2].accuracy else "bottom left"
        label(figure, 2, points[-1].tokens, points[-1].accuracy, name, color, place)
    if paper:
        tokens_axis(figure, 2, [p.tokens for points in paper.values() for p in points])
    accuracy_axes(figure)
    styled(figure, 500 * columns, 430)
    return figure


def rivals(
    methods: Mapping[str, Sequence[Rung]], paper: Mapping[str, Mapping[str, Sequence[Point]]], units: Mapping[str, str]
) -> go.Figure:
    """Accuracy over all tokens of several methods (paper Figures 4 right and 7): measured above, the paper's below, open.

    methods: for each its points, cheapest first; tokens are everything that was sampled, forced or thrown away. The grey steps
    are the frontier: the best that any method has at so many tokens. paper: published figures, each a mapping from method to
    points; a method that is measured too, or whose name begins alike, has its colour. units: what each of their axes counts.
    """
    titles = [
        "<b>measured</b>: the embedded model s1-tiny; grey: the frontier",
        *(f"<b>the paper's</b> {name}" for name in paper),
    ]
    columns = len(paper)
    figure = make_subplots(
        2, columns, specs=[[{"colspan": columns}, *[None] * (columns - 1)], [{}] * columns], subplot_titles=titles,
        row_heights=[0.6, 0.4], horizontal_spacing=0.1, vertical_spacing=0.14,
    )  # fmt: skip
    looks = dict(zip(methods, zip(_COLORS, _SYMBOLS, strict=True), strict=False))
    points = [rung for rungs in methods.values() for rung in rungs]
    most = max(r.tokens for r in points)
    _frontier(figure, points, most)
    for name, rungs in methods.items():
        _curve(figure, rungs, *looks[name], opacity=0.1)
    ends = {name: (rungs[-1].tokens, rungs[-1].accuracy.value) for name, rungs in methods.items()}
    for name in [n for n, (x, _) in ends.items() if x < most / 3]:  # it would stand in the others' way
        peak = max(methods[name], key=lambda r: r.accuracy.value)
        label(figure, 1, peak.tokens, peak.accuracy.value, name, looks[name][0], "top")
        del ends[name]
    low = min(r.accuracy.low for r in points)
    for name, y in apart({name: y for name, (_, y) in ends.items()}, (100 - low) / 22).items():
        label(figure, 1, ends[name][0], y, name, looks[name][0], "right")
    log_axis(figure, [r.tokens for r in points], "tokens a question: sampled, forced and thrown away, log scale", 1, 1, 1.9)
    figure.update_yaxes(range=[max(0, low - 3), 100], row=1, col=1)
    for column, (title, published) in enumerate(paper.items(), 1):
        every = [p for dots in published.values() for p in dots]
        for name, dots in published.items():
            like = next((m for m in methods if name.lower().startswith(m.split()[0].lower())), next(iter(methods)))
            color, symbol = looks[like]
            _published(figure, dots, color, symbol, f"{name}, the paper's", row=2, column=column, tokens="%{x:,} tokens")
            top = max(dots, key=lambda p: p.accuracy)
            label(figure, column, top.tokens, top.accuracy, name, color, "top" if len(dots) > 1 else "left", row=2)
        log_axis(figure, [p.tokens for p in every], units[title], 2, column, 2.2)
        accuracy = [p.accuracy for p in every]
        figure.update_yaxes(range=[min(accuracy) - 4, max(accuracy) + 6], row=2, col=column)
    figure.update_yaxes(ticksuffix=" ", zeroline=False)
    accuracy_title(figure, rows=2)
    styled(figure, 1000, 820)
    return figure


def panels(groups: Mapping[str, Sequence[Rung]], paper: Mapping[str, Sequence[Point]]) -> go.Figure:
    """A panel a group of questions, measured, above a panel a benchmark of the paper's (its Figure 1, open markers)."""
    titles = [f"<b>measured</b>: {name}" for name in groups] + [f"<b>the paper's</b>: {name}" for name in paper]
    columns = max(len(groups), len(paper))
    titles[len(groups) : len(groups)] = [""] * (columns - len(groups))
    figure = make_subplots(2, columns, subplot_titles=titles, horizontal_spacing=0.06, vertical_spacing=0.2)
    for column, rungs in enumerate(groups.values(), 1):
        _curve(figure, rungs, BLUE, "circle", column=column)
        for rung in (rungs[0], max(rungs, key=lambda r: r.accuracy.value)):
            _named(figure, rung, BLUE, "bottom right" if rung is rungs[0] else "top", column)
        tokens_axis(figure, column, [r.tokens for r in rungs])
    for column, points in enumerate(paper.values(), 1):
        _published(figure, points, GREEN, "square", "the paper's", row=2, column=column)
        for point, place in ((points[0], "bottom right" if points[0].accuracy > 8 else "top"), (points[-1], "top left")):
            label(figure, column, point.tokens, point.accuracy, point.how, GREEN, place, row=2)
        tokens_axis(figure, column, [p.tokens for p in points], row=2)
    accuracy_axes(figure, rows=2, top=109)
    styled(figure, 1000, 640)
    return figure


def controls(measured: Mapping[str, Sequence[Rung]], paper: Mapping[str, Sequence[Point]]) -> go.Figure:
    """Accuracy over thinking tokens, a line a method: measured on the left, the paper's runs, open, on the right.

    A method has the colour of its name up to " + "; what has budget forcing on top (" + BF") is drawn with a broken line.
    """
    titles = ["<b>measured</b>: the embedded models", "<b>the paper's Table 3</b>: 32B, AIME24"]
    figure = make_subplots(1, 2, subplot_titles=titles, horizontal_spacing=0.09)
    bases = list(dict.fromkeys(name.partition(" + ")[0] for name in [*measured, *paper]))
    looks = dict(zip(bases, ((BLUE, "circle"), (ORANGE, "diamond"), (GREEN, "square"), (PURPLE, "cross"), (RED, "triangle-up"))))  # noqa: B905
    sides: tuple[tuple[Mapping[str, Sequence[Rung | Point]], str], ...] = ((measured, ""), (paper, "-open"))
    for column, (side, suffix) in enumerate(sides, 1):
        every: list[float] = []
        for name, runs in side.items():
            color, symbol = looks[name.partition(" + ")[0]]
            dots = [(r.tokens, r.accuracy.value, r.label) if isinstance(r, Rung) else (r.tokens, r.accuracy, r.how) for r in runs]
            dots.sort()
            tokens, accuracy, labels = (list(values) for values in zip(*dots, strict=True))
            every += tokens
            figure.add_scatter(
                x=tokens,
                y=accuracy,
                mode="lines+markers",
                line={"color": color, "width": 2, "dash": "dot" if " + " in name else "solid"},
                marker={"size": 9, "symbol": symbol + suffix, "line_width": 2 if suffix else 0},
                name=name,
                legendgroup=name,
                showlegend=column == 1,
                customdata=labels,
                hovertemplate="%{customdata}<br>%{x:.0f} thinking tokens<br>%{y:.1f} %<extra>" + name + "</extra>",
                row=1,
                col=column,
            )
        tokens_axis(figure, column, every)
    accuracy_axes(figure)
    styled(figure, 1000, 470)
    figure.update_layout(showlegend=True, legend={"orientation": "h", "x": 0.5, "xanchor": "center", "y": -0.2, "yanchor": "top"})
    return figure


def funnel(measured: Mapping[str, int], paper: Mapping[str, int]) -> go.Figure:
    """Rows left after each step of a curation: measured in full bars, the paper's in open ones below them.

    Steps by name, in order; the paper's need not have all of them.
    """
    figure = go.Figure()
    for name, counts, color, look in (
        ("the paper's", paper, GREEN, {"color": CLEAR, "line": {"color": GREEN, "width": 2}}),
        ("measured", measured, BLUE, {"color": BLUE}),  # the later trace is drawn above
    ):
        figure.add_bar(
            y=list(counts),
            x=list(counts.values()),
            orientation="h",
            marker=look,
            text=[f"{count:,}" for count in counts.values()],
            textposition="outside",
            textfont={"color": color},
            hovertemplate="%{y}<br>%{x:,} questions<extra>" + name + "</extra>",
        )
    most = max([*measured.values(), *paper.values()])
    figure.update_xaxes(range=[0, 1.12 * most], tickformat=",", title_text="questions left")
    steps = [*measured, *(n for n in paper if n not in measured)]
    figure.update_yaxes(categoryorder="array", categoryarray=steps[::-1], automargin=True)
    styled(figure, 900, 90 + 58 * len(measured))
    figure.update_layout(barmode="group", bargap=0.25, bargroupgap=0.06, margin={"l": 10, "t": 60})
    for y, text, color in ((1.06, "<b>measured</b>: the embedded pool", BLUE), (1.0, "<b>the paper's</b> (open bars)", GREEN)):
        figure.add_annotation(
            x=1, y=y, xref="paper", yref="paper", xanchor="right", yanchor="bottom", text=text, showarrow=False, font_color=color
        )
    return figure


def bars(groups: Mapping[str, Mapping[str, float]], unit: str, paper: Sequence[str] = ()) -> go.Figure:
    """Shares or means by name, a panel a group, longest first; the groups named in ``paper`` are drawn open."""
    figure = make_subplots(1, len(groups), subplot_titles=[f"<b>{name}</b>" for name in groups], horizontal_spacing=0.2)
    for column, (name, values) in enumerate(groups.items(), 1):
        shown = dict(sorted(values.items(), key=lambda pair: -pair[1]))
        theirs = name in paper
        figure.add_bar(
            y=list(shown),
            x=list(shown.values()),
            orientation="h",
            marker={"color": CLEAR if theirs else BLUE, "line": {"color": GREEN if theirs else BLUE, "width": 1.5}},
            hovertemplate="%{y}<br>%{x:,.4~g} " + unit + "<extra>" + name + "</extra>",
            row=1,
            col=column,
        )
        figure.update_yaxes(autorange="reversed", automargin=True, tickfont_size=11, dtick=1, row=1, col=column)
        figure.update_xaxes(title_text=unit, rangemode="tozero", row=1, col=column)
    styled(figure, 1000, 110 + 19 * max(map(len, groups.values())))
    return figure


def differences(measured: Mapping[str, Sequence[Interval]], paper: Mapping[str, Interval], unit: str = "points") -> go.Figure:
    """Differences with their intervals by name, measured on the left and the paper's, open, on the right; 0 is no difference.

    measured: for each name the interval over all runs first, then one a run, whose middles are drawn as small marks.
    """
    figure = make_subplots(
        1, 2, subplot_titles=["<b>measured</b>", "<b>the paper's</b>"], shared_yaxes=True, horizontal_spacing=0.06
    )
    sides = (({name: found[0] for name, found in measured.items()}, BLUE, "circle"), (paper, GREEN, "circle-open"))
    for column, (side, color, symbol) in enumerate(sides, 1):
        figure.add_vline(x=0, line={"color": INK, "width": 1, "dash": "dot"}, row=1, col=column)
        figure.add_scatter(
            x=[i.value for i in side.values()],
            y=list(side),
            mode="markers",
            marker={"color": color, "symbol": symbol, "size": 11},
            error_x=whiskers(list(side.values()), color),
            hovertemplate="%{y}<br>%{x:.1f} " + unit + "<extra></extra>",
            row=1,
            col=column,
        )
        figure.update_xaxes(title_text=unit, row=1, col=column)
    runs = [(name, run.value) for name, found in measured.items() for run in found[1:]]
    figure.add_scatter(
        x=[value for _, value in runs],
        y=[name for name, _ in runs],
        mode="markers",
        marker={"color": BLUE, "symbol": "line-ns-open", "size": 11, "opacity": 0.6},
        hovertemplate="%{y}, one run<br>%{x:.1f} " + unit + "<extra></extra>",
        row=1,
        col=1,
    )
    figure.update_yaxes(autorange="reversed", automargin=True)
    styled(figure, 1000, 150 + 38 * len(measured))
    return figure


def standings(columns: Mapping[str, Mapping[str, Interval]], ours: Sequence[str] = ()) -> go.Figure:
    """Accuracies with their intervals, a column a benchmark, a line a model (paper Table 1): ``ours`` filled, the rest open."""
    figure = make_subplots(
        1, len(columns), subplot_titles=[f"<b>{name}</b>" for name in columns], shared_yaxes=True, horizontal_spacing=0.03
    )
    lines = list(dict.fromkeys(name for column in columns.values() for name in column))
    for place, column in enumerate(columns.values(), 1):
        for mine, color, symbol in ((False, GREEN, "circle-open"), (True, BLUE, "circle")):
            dots = {name: dot for name, dot in column.items() if (name in ours) == mine}
            figure.add_scatter(
                x=[dot.value for dot in dots.values()],
                y=list(dots),
                mode="markers",
                marker={"color": color, "symbol": symbol, "size": 10},
                error_x=whiskers(list(dots.values()), color),
                hovertemplate="%{y}<br>%{x:.1f} %<extra></extra>",
                row=1,
                col=place,
            )
        figure.update_xaxes(title_text="accuracy, %", range=[-3, 103], dtick=25, row=1, col=place)
    figure.update_yaxes(categoryorder="array", categoryarray=lines[::-1], automargin=True, tickfont_size=12)
    styled(figure, 1000, 130 + 24 * len(lines))
    return figure


def histogram(groups: Mapping[str, Sequence[float]], unit: str, bins: int = 30) -> go.Figure:
    """How several lists of numbers are spread, over one another, as shares of each."""
    top = max(max(values) for values in groups.values())
    figure = go.Figure()
    for (name, values), color in zip(groups.items(), (BLUE, ORANGE, GREEN), strict=False):
        figure.add_histogram(
            x=list(values),
            name=name,
            histnorm="percent",
            xbins={"start": 0, "end": top, "size": top / bins},
            marker_color=color,
            opacity=0.55,
            hovertemplate="%{x} " + unit + "<br>%{y:.1f} %<extra>" + name + "</extra>",
        )
    figure.update_layout(barmode="overlay")
    figure.update_xaxes(title_text=unit)
    figure.update_yaxes(title_text="share, %")
    styled(figure, 760, 340)
    figure.update_layout(showlegend=True, legend={"x": 0.99, "xanchor": "right", "y": 0.98})
    return figure


def training(log: Sequence[Mapping[str, float]], steps: int) -> go.Figure:
    """The log of a fine-tuning: its loss, with the mean of the last 15 steps, and the learning rate beside it."""
    titles = ["<b>loss</b>", "<b>learning rate</b>"]
    figure = make_subplots(1, 2, subplot_titles=titles, column_widths=[0.66, 0.34], horizontal_spacing=0.1)
    at, loss = [e["step"] for e in log], [e["loss"] for e in log]
    mean = [fmean(loss[max(0, i - 14) : i + 1]) for i in range(len(loss))]
    lines = ((loss, BLUE, 0.35, 1), (mean, BLUE, 1.0, 1), ([e["rate"] for e in log], ORANGE, 1.0, 2))
    for values, color, opacity, column in lines:
        figure.add_scatter(
            x=at, y=values, mode="lines", line={"color": color, "width": 2 if opacity == 1 else 1}, opacity=opacity,
            hovertemplate="step %{x}<br>%{y:.4g}<extra></extra>", row=1, col=column,
        )  # fmt: skip
    figure.update_xaxes(title_text="step", range=[0, steps])
    figure.update_yaxes(type="log", dtick=1, row=1, col=1)
    figure.update_yaxes(rangemode="tozero", tickformat=".0e", row=1, col=2)
    styled(figure, 1000, 320)
    return figure


class Live:
    """A fine-tuning's log as a figure that grows: pass it as ``watch=`` of :func:`s1lab.sft.train`, and end with :meth:`close`.

    In a notebook it is drawn again about once in ``seconds``, in place.
    """

    def __init__(self, steps: int, seconds: float = 1.0) -> None:
        self.steps, self.seconds = steps, seconds
        self.log: list[Mapping[str, float]] = []
        self._handle: Any = None
        self._drawn = 0.0

    def __call__(self, entry: Mapping[str, float]) -> None:
        self.log.append(entry)
        if time.monotonic() - self._drawn >= self.seconds:
            self._draw({"application/vnd.plotly.v1+json": json.loads(training(self.log, self.steps).to_json())})

    def close(self) -> go.Figure:
        """Draw the whole of it, with a picture for readers without plotly's viewer; the figure, to save it."""
        figure = training(self.log, self.steps)
        self._draw(_bundle(figure))
        return figure

    def _draw(self, bundle: dict[str, Any]) -> None:
        from IPython.display import display

        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        elif self._handle:
            self._handle.update(bundle, raw=True)
        self._drawn = time.monotonic()


def _curve(
    figure: go.Figure,
    rungs: Sequence[Rung],
    color: str,
    symbol: str,
    skip_first: bool = False,
    column: int = 1,
    opacity: float = 0.16,
) -> None:
    """Measured rungs: a line through their marks, on a band of their intervals."""
    tokens = [r.tokens for r in rungs]
    figure.add_scatter(
        x=[*tokens, *tokens[::-1]],
        y=[r.accuracy.high for r in rungs] + [r.accuracy.low for r in rungs[::-1]],
        fill="toself",
        fillcolor=color,
        opacity=opacity,
        mode="none",
        hoverinfo="skip",
        row=1,
        col=column,
    )
    figure.add_scatter(
        x=tokens,
        y=[r.accuracy.value for r in rungs],
        mode="lines+markers",
        line={"color": color, "width": 2.5},
        marker={"size": [0 if skip_first and i == 0 else 9 for i in range(len(rungs))], "symbol": symbol},
        customdata=[[r.label, str(r.accuracy)] for r in rungs],
        hovertemplate="%{customdata[0]}<br>%{x:.0f} thinking tokens<br>%{customdata[1]} %<extra>measured</extra>",
        row=1,
        col=column,
    )


def _named(figure: go.Figure, rung: Rung, color: str, place: str, column: int = 1) -> None:
    """A measured rung's label at its mark."""
    label(figure, column, rung.tokens, rung.accuracy.value, rung.label, color, place)


def _frontier(figure: go.Figure, rungs: Sequence[Rung], most: float) -> None:
    """Grey steps up to ``most`` tokens: the best accuracy that any of the rungs has at so many."""
    best = [rungs[i] for i in frontier([r.tokens for r in rungs], [r.accuracy.value for r in rungs])]
    figure.add_scatter(
        x=[*(r.tokens for r in best), most], y=[*(r.accuracy.value for r in best), best[-1].accuracy.value], mode="lines",
        line={"color": "#999999", "width": 7, "shape": "hv"}, opacity=0.35, hoverinfo="skip", row=1, col=1,
    )  # fmt: skip


def _published(
    figure: go.Figure,
    points: Sequence[Point],
    color: str,
    symbol: str,
    name: str,
    *,
    row: int,
    column: int,
    tokens: str = "%{x} thinking tokens",
) -> None:
    """Points of the paper's: a dotted line through open marks."""
    figure.add_scatter(
        x=[p.tokens for p in points],
        y=[p.accuracy for p in points],
        mode="lines+markers",
        line={"color": color, "dash": "dot", "width": 2},
        marker={"size": 9, "symbol": f"{symbol}-open", "line_width": 2},
        name=name,
        customdata=[p.how for p in points],
        hovertemplate="%{customdata}<br>" + tokens + "<br>%{y:.1f} %<extra>" + name + "</extra>",
        row=row,
        col=column,
    )


def save(figure: go.Figure, folder: str | Path, name: str, data: Any) -> list[Path]:
    """Write what a figure shows as NAME.json, and the figure as NAME.png and NAME.svg; the paths that were written.

    The pictures are drawn by a Chrome or Chromium (through kaleido); on a machine without one only the data is written.
    The same figure gives the same bytes on the same machine, so that what is committed changes only when what it shows does.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.json"]
    paths[0].write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    for kind in ("png", "svg"):
        picture = _drawn(figure, kind)
        if picture is not None:
            paths.append(folder / f"{name}.{kind}")
            paths[-1].write_bytes(_with_steady_ids(picture, name) if kind == "svg" else picture)
    return paths


def _with_steady_ids(svg: bytes, name: str) -> bytes:
    """An SVG with ids made of its name and a count, in place of those that plotly draws by chance."""
    for count, drawn in enumerate(dict.fromkeys(re.findall(rb"\b(?:defs-|trace)([0-9a-f]{6})\b", svg))):
        svg = svg.replace(drawn, f"{name}-{count}".encode())
    return svg


def show(figure: go.Figure) -> Any:
    """A figure for a notebook: alive where plotly's viewer is, a picture elsewhere (a code host, an exported page)."""
    from IPython.display import display

    display(_bundle(figure), raw=True)


def _bundle(figure: go.Figure) -> dict[str, Any]:
    """A figure as notebooks hold it: for plotly's viewer, and as a picture where a browser is there to draw it."""
    bundle = {"application/vnd.plotly.v1+json": json.loads(figure.to_json())}
    picture = _drawn(figure, "png")
    if picture is not None:
        bundle["image/png"] = base64.b64encode(picture).decode()
    return bundle


def can_draw() -> bool:
    """Whether pictures can be written on this machine: whether a Chrome or Chromium answers."""
    return _drawn(go.Figure(), "png") is not None


def _drawn(figure: go.Figure, kind: str) -> bytes | None:
    """The figure as a picture; None where no browser is there to draw it."""
    import logging

    for name in ("kaleido", "choreographer"):  # what goes wrong for good comes as an exception; the rest is noise in a notebook
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        return bytes(figure.to_image(format=kind, scale=2 if kind == "png" else 1))
    except (RuntimeError, ValueError, ImportError, OSError):
        return None
    except Exception as why:  # kaleido's "no Chrome" errors share no base class but Exception
        if "chrom" in f"{type(why).__name__} {why}".lower():
            return None
        raise
