"""Accuracy over thinking tokens, on log2 axes.

Intervals are bands, and the paper's points are open markers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from s1lab.figures.lines import (
    Rung,
    draw_forced,
    draw_frontier,
    draw_label,
    draw_labels,
    draw_line,
    height,
    parted,
)
from s1lab.figures.style import (
    BLUE,
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
    marked,
    styled,
)
from s1lab.paper.entries import Point

_COLORS = (BLUE, ORANGE, RED, PURPLE, GREEN, INK)
# What the rivals of budget forcing are told or do, below their names in a figure.
_MEANT = {
    "TCC": "told a number of tokens",
    "SCC": "told a number of steps",
    "CCC": "told short or long",
    "RS": "sampled until it is short",
}
_SYMBOLS = ("circle", "diamond", "triangle-up", "square", "cross", "star")


def called(model: str) -> str:
    """Name the measured model for a figure. The name of an embedded model says that it is one.

    Example:
        >>> lab.figures.called("s1-tiny")
        'the embedded model s1-tiny'
    """
    return f"the embedded model {model}" if model.startswith("s1-tiny") else Path(model).name


def scaling(
    caps: Sequence[Rung],
    waits: Sequence[Rung],
    paper: Mapping[str, Sequence[Point]] | None = None,
    *,
    title: str,
    paper_title: str = "the paper's Figure 1",
) -> go.Figure:
    """Draw accuracy over thinking tokens (paper Figures 1 and 4).

    Measured points are on the left, the paper's beside them if given.

    Args:
        caps: Capped rungs, shortest first, the own stop last.
        waits: Rungs that suppress the own stop.
        paper: Points of published curves by benchmark, drawn with open markers. The points of a
            single curve are named.
        title: What was measured, see `called`.
        paper_title: Title of the paper's panel.

    Returns:
        The figure.

    Example:
        results = lab.sweep(lab.load("s1-tiny"), lab.tiny.problems(8), caps=(16, 64), waits=(1,))
        rungs = [lab.figures.Rung(k, r.thinking_tokens, r.interval) for k, r in results.items()]
        figure = lab.figures.scaling(rungs[:2], rungs[2:], title=lab.figures.called("s1-tiny"))
    """
    columns = 2 if paper else 1
    alone = f", {next(iter(paper))}" if paper and len(paper) == 1 else ""
    titles = [f"<b>measured</b>: {title}", f"<b>{paper_title}</b>: s1-32B{alone}"][:columns]
    figure = make_subplots(1, columns, subplot_titles=titles, horizontal_spacing=0.09)
    draw_forced(figure, caps, waits, row=1, column=1)
    draw_labels(figure, caps, waits, column=1)
    log_axis(figure, 1, [r.tokens for r in [*caps, *waits]])
    if paper and alone:
        (points,) = paper.values()
        parts = parted(points)
        draw_forced(figure, *parts, row=1, column=2)
        draw_labels(figure, *parts, column=2)
    elif paper:
        farthest = max(points[-1].tokens for points in paper.values())
        for (name, points), color, symbol in zip(
            paper.items(), (GREEN, PURPLE, RED), ("square", "circle", "diamond"), strict=False
        ):
            draw_line(figure, points, color, symbol, name, row=1, column=2)
            place = "top left" if points[-1].accuracy >= points[-2].accuracy else "bottom left"
            if points[-1].tokens == farthest:  # to its left are the others' lines
                place = "right"
            text = marked(name, symbol, published=True)
            label(figure, 2, points[-1].tokens, points[-1].accuracy, text, color, place)
    if paper:
        log_axis(figure, 2, [p.tokens for points in paper.values() for p in points])
    accuracy_axes(figure)
    styled(figure, 430)
    return figure


def rivals(
    methods: Mapping[str, Sequence[Rung]],
    paper: Mapping[str, Mapping[str, Sequence[Point]]],
    units: Mapping[str, str],
    *,
    title: str,
) -> go.Figure:
    """Draw accuracy over all tokens of several methods (paper Figures 4 right and 7).

    Measured methods are above, the paper's below, open. The grey steps are the frontier: the best
    accuracy of any method at so many tokens.

    Args:
        methods: For each method its points, cheapest first. Tokens are all that were sampled,
            forced or thrown away.
        paper: Published figures, each a mapping from method to points. A method that is measured
            too, or whose name begins with the same words, has the same colour.
        units: What the axis of each published figure counts.
        title: What was measured, see `called`.

    Returns:
        The figure.

    Example:
        rung = lab.figures.Rung("4 votes", 240.0, lab.metrics.share_interval(70.0, 120))
        paper, units = {"Figure 7": lab.paper.FIGURE_7}, {"Figure 7": "tokens"}
        figure = lab.figures.rivals({"majority": [rung]}, paper, units, title="s1-tiny")
    """
    titles = [
        f"<b>measured</b>: {title}; grey: the frontier",
        *(f"<b>the paper's</b> {name}" for name in paper),
    ]
    columns = len(paper)
    figure = make_subplots(
        2, columns, specs=[[{"colspan": columns}, *[None] * (columns - 1)], [{}] * columns],
        subplot_titles=titles, row_heights=[0.6, 0.4],
        horizontal_spacing=0.1, vertical_spacing=0.14,
    )  # fmt: skip
    looks = dict(zip(methods, zip(_COLORS, _SYMBOLS, strict=True), strict=False))
    points = [rung for rungs in methods.values() for rung in rungs]
    most = max(r.tokens for r in points)
    draw_frontier(figure, points, most)
    for name, rungs in methods.items():
        draw_line(figure, rungs, *looks[name], name, band=False)
    ends = {name: (rungs[-1].tokens, rungs[-1].accuracy.value) for name, rungs in methods.items()}
    # it would cover the other labels
    for name in [n for n, (x, _) in ends.items() if x < most / 3]:
        peak = max(methods[name], key=lambda r: r.accuracy.value)
        color, symbol = looks[name]
        text = marked(name, symbol)
        label(figure, 1, peak.tokens, peak.accuracy.value, text, color, "left")
        del ends[name]
    low = min(r.accuracy.low for r in points)
    for name, y in apart({name: y for name, (_, y) in ends.items()}, (100 - low) / 22).items():
        color, symbol = looks[name]
        label(figure, 1, ends[name][0], y, marked(name, symbol), color, "right")
    counted = "tokens a question: sampled, forced and thrown away, log scale"
    log_axis(figure, 1, [r.tokens for r in points], title=counted, beyond=1.9)
    figure.update_yaxes(range=[max(0, low - 3), 100], row=1, col=1)
    for column, (theirs, published) in enumerate(paper.items(), 1):
        every = [p for dots in published.values() for p in dots]
        for name, dots in published.items():
            like = next(
                (m for m in methods if name.lower().startswith(m.split()[0].lower())),
                next(iter(methods)),
            )
            color, symbol = looks[like]
            draw_line(figure, dots, color, symbol, name, row=2, column=column)
            top = max(dots, key=lambda p: p.accuracy)
            label(
                figure,
                column,
                top.tokens,
                top.accuracy,
                marked(name, symbol, published=True),
                color,
                "top" if len(dots) > 1 else "left",
                row=2,
            )
        log_axis(figure, column, [p.tokens for p in every], 2, title=units[theirs], beyond=2.2)
        accuracy = [p.accuracy for p in every]
        figure.update_yaxes(range=[min(accuracy) - 4, max(accuracy) + 6], row=2, col=column)
    figure.update_yaxes(ticksuffix=" ", zeroline=False)
    accuracy_title(figure, rows=2)
    styled(figure, 820)
    return figure


def panels(groups: Mapping[str, Sequence[Rung]], paper: Mapping[str, Sequence[Point]]) -> go.Figure:
    """Draw one panel for each group of questions, above one for each benchmark of the paper.

    The paper's points are those of its Figure 1, with open markers.

    Args:
        groups: For each group its rungs: the caps, the own stop, and the Waits. A rung is a Wait if
            its label has "Wait" in it.
        paper: The paper's points by benchmark.

    Returns:
        The figure.

    Example:
        rung = lab.figures.Rung("cap 64", 60.2, lab.metrics.share_interval(70.0, 120))
        figure = lab.figures.panels({"letters": [rung]}, {"AIME24": lab.paper.FIGURE_1["AIME24"]})
    """
    titles = [f"<b>measured</b>: {name}" for name in groups] + [
        f"<b>the paper's</b>: {name}" for name in paper
    ]
    columns = max(len(groups), len(paper))
    titles[len(groups) : len(groups)] = [""] * (columns - len(groups))
    figure = make_subplots(
        2, columns, subplot_titles=titles, horizontal_spacing=0.06, vertical_spacing=0.2
    )
    sides: tuple[Mapping[str, Sequence[Rung | Point]], ...] = (groups, paper)
    for row, side in enumerate(sides, 1):
        for column, dots in enumerate(side.values(), 1):
            caps, waits = parted(dots)
            draw_forced(figure, caps, waits, row=row, column=column)
            draw_label(
                figure, caps[0], BLUE, "bottom right" if height(caps[0]) > 8 else "top", row, column
            )
            draw_label(figure, caps[-1], BLUE, "bottom right" if waits else "top left", row, column)
            if waits:
                draw_label(figure, max(waits, key=height), ORANGE, "top", row, column)
            log_axis(figure, column, [d.tokens for d in dots], row)
    accuracy_axes(figure, rows=2, top=109)
    styled(figure, 640)
    return figure


def controls(
    measured: Mapping[str, Sequence[Rung]], paper: Mapping[str, Sequence[Point]]
) -> go.Figure:
    """Draw accuracy over thinking tokens, one panel for each rival of budget forcing.

    Measured runs are above, the paper's below, open.

    Args:
        measured: Rungs by method. The first method is drawn into every panel, for comparison. A
            name with " + BF" at its end is the same rival with budget forcing on top, in the same
            panel.
        paper: The paper's points by method.

    Returns:
        The figure.

    Example:
        rung = lab.figures.Rung("cap 64", 60.2, lab.metrics.share_interval(70.0, 120))
        figure = lab.figures.controls({"BF": [rung], "TCC": [rung]}, lab.paper.TABLE_3_RUNS)
    """
    first, *rest = dict.fromkeys([*measured, *paper])
    names = list(dict.fromkeys(name.partition(" + ")[0] for name in rest))
    titles = [
        f"<b>{start}</b>: {name}" + (f"<br>{_MEANT[name]}" if name in _MEANT else "")
        for start in ("measured", "the paper's")
        for name in names
    ]
    figure = make_subplots(
        2,
        len(names),
        subplot_titles=titles,
        shared_yaxes=True,
        horizontal_spacing=0.025,
        vertical_spacing=0.2,
    )
    sides: tuple[Mapping[str, Sequence[Rung | Point]], ...] = (measured, paper)
    for row, side in enumerate(sides, 1):
        every = [d.tokens for dots in side.values() for d in dots]
        for column, name in enumerate(names, 1):
            lines = {
                n: sorted(side[n], key=lambda d: d.tokens)
                for n in side
                if n == first or n.partition(" + ")[0] == name
            }
            looks = {n: (GREEN, "square") if " + " in n else (ORANGE, "diamond") for n in lines} | {
                first: (BLUE, "circle")
            }
            for line, dots in lines.items():
                draw_line(
                    figure, dots, *looks[line], line, row=row, column=column, band=line == first
                )
            ends = {line: (dots[-1].tokens, height(dots[-1])) for line, dots in lines.items()}
            if len(ends) > 2:  # in a column, or they would cover each other's lines
                most = max(x for x, _ in ends.values())
                ends = {
                    line: (most, y)
                    for line, y in apart({line: y for line, (_, y) in ends.items()}, 8).items()
                }
            for line, (x, y) in ends.items():
                place = "right" if line == first or len(ends) > 2 else "bottom right"
                color, symbol = looks[line]
                text = marked(line, symbol, published=row == 2)
                label(figure, column, x, y, text, color, place, row)
            log_axis(figure, column, every, row, title="thinking tokens, log scale", beyond=3)
    accuracy_axes(figure, rows=2)
    figure.update_xaxes(tickfont_size=10, title_font_size=12)  # four panels are narrow
    figure.update_annotations(font_size=13, selector={"yref": "paper"})
    styled(figure, 680)
    figure.update_layout(margin={"t": 85})
    if first == "BF":
        figure.add_annotation(
            x=0, y=1, xref="paper", yref="paper", xanchor="left", yanchor="bottom", yshift=44,
            text="<b>BF</b>: budget forcing, in every panel for comparison", showarrow=False,
            font_color=BLUE,
        )  # fmt: skip
    return figure
