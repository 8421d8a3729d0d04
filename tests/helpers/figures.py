"""Every kind of figure that the notebooks draw, from small data."""

from __future__ import annotations

import plotly.graph_objects as go

import s1lab as lab
from s1lab import figures
from s1lab.evaluation.intervals import Interval


def rung(name: str, tokens: float, accuracy: float) -> figures.Rung:
    """A measured point, 4 points of interval on each side."""
    return figures.Rung(name, tokens, Interval(accuracy, accuracy - 4, accuracy + 4))


def kinds() -> dict[str, go.Figure]:
    """A figure of each kind, by the name of its function."""
    caps = [rung("cap 16", 16, 15), rung("cap 32", 30, 30), rung("own stop", 65, 62)]
    waits = [rung("1 Wait", 105, 78), rung("2 Waits", 140, 80)]
    methods = ["forcing", "majority", "best-of-n", "REBASE", "majority + 1 Wait", "REBASE + 1 Wait"]
    old = {"Figure 4, right": lab.paper.FIGURE_4_RIGHT, "Figure 7": lab.paper.FIGURE_7}
    dot = caps[0].accuracy
    return {
        "scaling": figures.scaling(caps, waits, lab.paper.FIGURE_1, title="the embedded model"),
        "scaling alone": figures.scaling(caps, waits, title="the embedded model s1-tiny"),
        "panels": figures.panels(
            {name: [*caps, *waits] for name in ("letters", "sums", "numbers")}, lab.paper.FIGURE_1
        ),
        "rivals": figures.rivals(
            {name: [rung("1", 60, 50 + 5 * i), rung("4", 240, 55 + 5 * i)]
             for i, name in enumerate(methods)},
            old, dict.fromkeys(old, "tokens, log scale"), title="the embedded model s1-tiny",
        ),
        "controls": figures.controls(
            dict.fromkeys(("BF", "TCC", "TCC + BF", "SCC", "CCC", "RS"), caps),
            lab.paper.TABLE_3_RUNS,
        ),
        "differences": figures.differences(
            {"1K-random": [dot] * 4, "1K-longest": [dot]}, {"1K-random": dot, "1K-longest": dot}
        ),
        "standings": figures.standings(
            {name: {"o1-preview": dot, "s1-32B": dot} for name in ("AIME24", "MATH500", "GPQA")}
        ),
        "histogram": figures.histogram(
            {"traces": [60, 70, 90], "its own": [50, 60, 65], "with 2 Waits": [120, 130, 150]},
            "thinking tokens",
        ),
        "training": figures.training(
            [{"step": k, "loss": 2 / k, "rate": 1e-5 * (40 - k)} for k in range(1, 41)], 40
        ),
        "funnel": figures.funnel({"collected": 59_029, "chosen": 1000}, {"collected": 59_029}),
        "bars": figures.bars(
            {"measured": {"pair, small": 70, "gcd": 60}, "the paper's": {"Geometry": 109}},
            "questions", paper=["the paper's"],
        ),
    }  # fmt: skip
