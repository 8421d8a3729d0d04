"""Figures of a curation and of a comparison.

Figures of accuracy over tokens are in `s1lab.figures.curves`, those of a fine-tuning in
`s1lab.figures.loss_curve`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from s1lab.evaluation.intervals import Interval
from s1lab.figures.export import MEASURED, PAPERS
from s1lab.figures.style import BLUE, CLEAR, GREEN, INK, escape_links, marked, styled, whiskers


def funnel(
    measured: Mapping[str, int], paper: Mapping[str, int], *, title: str = "the embedded pool"
) -> go.Figure:
    """Draw the rows left after each step of a curation.

    Measured rows are full bars, the paper's are open bars below them.

    Args:
        measured: Rows by the name of the step, in order.
        paper: The paper's rows by the name of the step. It need not have all steps.
        title: Name of the measured pool.

    Returns:
        The figure.

    Example:
        measured = {"pool": 200, "quality": 160}
        figure = lab.figures.funnel(measured, {"pool": 59_029, "quality": 51_581})
    """
    figure = go.Figure()
    for name, counts, color, look in (
        (PAPERS, paper, GREEN, {"color": CLEAR, "line": {"color": GREEN, "width": 2}}),
        (MEASURED, measured, BLUE, {"color": BLUE}),  # the later trace is drawn on top
    ):
        figure.add_bar(
            y=list(counts),
            x=list(counts.values()),
            orientation="h",
            marker=look,
            text=[f"{count:,}" for count in counts.values()],
            textposition="outside",
            textfont={"color": color},
            name="questions left",
            meta=name,
            hovertemplate="%{y}<br>%{x:,} questions<extra>" + name + "</extra>",
        )
    most = max([*measured.values(), *paper.values()])
    figure.update_xaxes(range=[0, 1.12 * most], tickformat=",", title_text="questions left")
    steps = [*measured, *(n for n in paper if n not in measured)]
    figure.update_yaxes(categoryorder="array", categoryarray=steps[::-1], automargin=True)
    styled(figure, 90 + 58 * len(measured))
    figure.update_layout(barmode="group", bargap=0.25, bargroupgap=0.06, margin={"l": 10, "t": 60})
    for y, text, color in (
        (1.06, f"<b>measured</b>: {title}", BLUE),
        (1.0, "<b>the paper's</b> (open bars)", GREEN),
    ):
        figure.add_annotation(
            x=1,
            y=y,
            xref="paper",
            yref="paper",
            xanchor="right",
            yanchor="bottom",
            text=text,
            showarrow=False,
            font_color=color,
        )
    escape_links(figure)
    return figure


def bars(
    groups: Mapping[str, Mapping[str, float]], unit: str, paper: Sequence[str] = ()
) -> go.Figure:
    """Draw shares or means by name: one panel for each group, the longest bar first.

    Args:
        groups: For each group its values by name.
        unit: What the values count.
        paper: Groups that are drawn open.

    Returns:
        The figure.

    Example:
        figure = lab.figures.bars({"chosen": {"Geometry": 12, "Algebra": 9}}, "questions")
    """
    figure = make_subplots(
        1, len(groups), subplot_titles=[f"<b>{name}</b>" for name in groups], horizontal_spacing=0.2
    )
    for column, (name, values) in enumerate(groups.items(), 1):
        shown = dict(sorted(values.items(), key=lambda pair: -pair[1]))
        theirs = name in paper
        figure.add_bar(
            y=list(shown),
            x=list(shown.values()),
            orientation="h",
            marker={
                "color": CLEAR if theirs else BLUE,
                "line": {"color": GREEN if theirs else BLUE, "width": 1.5},
            },
            name=unit,
            meta=PAPERS if theirs else MEASURED,
            hovertemplate="%{y}<br>%{x:,.4~g} " + unit + "<extra>" + name + "</extra>",
            row=1,
            col=column,
        )
        figure.update_yaxes(
            autorange="reversed", automargin=True, tickfont_size=11, dtick=1, row=1, col=column
        )
        figure.update_xaxes(title_text=unit, rangemode="tozero", row=1, col=column)
    styled(figure, 110 + 19 * max(map(len, groups.values())))
    return figure


def differences(
    measured: Mapping[str, Sequence[Interval]],
    paper: Mapping[str, Interval],
    unit: str = "points",
    *,
    title: str = "the embedded model",
    paper_title: str = "the paper's",
) -> go.Figure:
    """Draw differences with their intervals: measured on the left, the paper's on the right, open.

    0 means no difference. Both panels have the same scale, and each point its value.

    Args:
        measured: For each name the interval over all seeds, then one for each seed. The middles of
            the latter are drawn as upright strokes.
        paper: The paper's interval of each name.
        unit: What the differences count.
        title: Title of the measured panel.
        paper_title: Title of the paper's panel.

    Returns:
        The figure.

    Example:
        found = lab.metrics.Interval(-3.0, -9.0, 3.0)
        figure = lab.figures.differences({"1K-random": [found]}, {"1K-random": found})
    """
    seeds = [(name, seed.value) for name, found in measured.items() for seed in found[1:]]
    titles = [
        f"<b>measured</b>: {title}" + ("; strokes: each seed" if seeds else ""),
        f"<b>{paper_title}</b>",
    ]
    figure = make_subplots(
        1, 2, subplot_titles=titles, shared_yaxes=True, shared_xaxes="all", horizontal_spacing=0.06
    )
    sides = (
        ({name: found[0] for name, found in measured.items()}, BLUE, "circle", MEASURED),
        (paper, GREEN, "circle-open", PAPERS),
    )
    for column, (side, color, symbol, source) in enumerate(sides, 1):
        figure.add_scatter(
            x=[i.value for i in side.values()],
            y=list(side),
            mode="markers",
            marker={"color": color, "symbol": symbol, "size": 11},
            error_x=whiskers(list(side.values()), color),
            name="all seeds" if seeds and source == MEASURED else "difference",
            meta=source,
            hovertemplate="%{y}<br>%{x:.1f} " + unit + "<extra></extra>",
            row=1,
            col=column,
        )
        for name, found in side.items():
            figure.add_annotation(
                x=found.value, y=name, text=f"{found.value:+.1f}".replace("-", "−"), yshift=17,
                showarrow=False, font={"color": color, "size": 12}, row=1, col=column,
            )  # fmt: skip
        figure.update_xaxes(title_text=unit, zeroline=False, showticklabels=True, row=1, col=column)
    figure.add_scatter(
        x=[value for _, value in seeds],
        y=[name for name, _ in seeds],
        mode="markers",
        marker={"color": BLUE, "symbol": "line-ns-open", "size": 16, "line_width": 1.5},
        name="each seed",
        meta=MEASURED,
        hovertemplate="%{y}, one seed<br>%{x:.1f} " + unit + "<extra></extra>",
        row=1,
        col=1,
    )
    # This comes last: plotly draws no line into a panel without a trace.
    figure.add_vline(x=0, line={"color": INK, "width": 1.5, "dash": "dot"}, layer="below")
    figure.update_yaxes(autorange="reversed", automargin=True)
    styled(figure, 150 + 46 * len(measured))
    return figure


def standings(
    columns: Mapping[str, Mapping[str, Interval]],
    ours: Sequence[str] = (),
    *,
    paper: str = "the paper's Table 1",
) -> go.Figure:
    """Draw accuracies with their intervals (paper Table 1).

    Each benchmark has a column, each model a line. A line above says whose the points are.

    Args:
        columns: For each benchmark the models' accuracies.
        ours: Models that were measured, drawn filled. The others are the paper's, and open.
        paper: Where the open points are from.

    Returns:
        The figure.

    Example:
        accuracy = lab.metrics.share_interval(56.7, 30)
        figure = lab.figures.standings({"AIME24": {"s1-32B": accuracy}}, ours=["s1-32B"])
    """
    figure = make_subplots(
        1,
        len(columns),
        subplot_titles=[f"<b>{name}</b>" for name in columns],
        shared_yaxes=True,
        horizontal_spacing=0.03,
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
                name="accuracy",
                meta=MEASURED if mine else PAPERS,
                hovertemplate="%{y}<br>%{x:.1f} %<extra></extra>",
                row=1,
                col=place,
            )
        figure.update_xaxes(title_text="accuracy, %", range=[-3, 103], dtick=25, row=1, col=place)
    figure.update_yaxes(
        categoryorder="array", categoryarray=lines[::-1], automargin=True, tickfont_size=12
    )
    whose = [
        (BLUE, f"{marked('<b>measured</b>', 'circle')}", any(name in ours for name in lines)),
        (
            GREEN,
            f"{marked(f'<b>{paper}</b>', 'circle', published=True)}, as published",
            any(name not in ours for name in lines),
        ),
    ]
    said = [f'<span style="color:{color}">{text}</span>' for color, text, there in whose if there]
    styled(figure, 155 + 24 * len(lines))
    figure.update_layout(margin={"t": 75})
    figure.add_annotation(
        x=0, y=1, xref="paper", yref="paper", xanchor="left", yanchor="bottom", yshift=30,
        text=" &nbsp; ".join(said) + "; bars: 95 % intervals", showarrow=False, font_color=INK,
    )  # fmt: skip
    escape_links(figure)
    return figure


def histogram(groups: Mapping[str, Sequence[float]], unit: str, bins: int = 30) -> go.Figure:
    """Draw the distributions of several lists of numbers below each other, as shares.

    All have the same axes, and a dotted line at their mean.

    Args:
        groups: The numbers of each list, by name.
        unit: What the numbers count.
        bins: Number of bars.

    Returns:
        The figure.

    Example:
        figure = lab.figures.histogram({"all": [10, 20, 40, 60], "chosen": [40, 60]}, "tokens")
    """
    top = max(max(values) for values in groups.values())
    means = {name: float(sum(values)) / len(values) for name, values in groups.items()}
    figure = make_subplots(
        len(groups), 1, shared_xaxes="all",
        subplot_titles=[f"<b>{name}</b>: mean {mean:,.0f}" for name, mean in means.items()],
        vertical_spacing=0.22 / len(groups),
    )  # fmt: skip
    for row, (name, values) in enumerate(groups.items(), 1):
        figure.add_histogram(
            x=list(values),
            name=name,
            histnorm="percent",
            xbins={"start": 0, "end": top, "size": top / bins},
            marker={"color": BLUE, "line": {"color": "white", "width": 1}},
            hovertemplate="%{x} " + unit + "<br>%{y:.1f} %<extra>" + name + "</extra>",
            row=row,
            col=1,
        )
        figure.add_vline(x=means[name], line={"color": INK, "width": 2, "dash": "dot"}, row=row)
    figure.update_xaxes(title_text=unit, row=len(groups))
    figure.update_yaxes(title_text="share, %", matches="y")
    styled(figure, 110 + 130 * len(groups))
    return figure
