"""Figures in one style: log2 token axes, intervals as bands, the paper's points as open markers.

`s1lab.figures.curves` draws accuracy over thinking tokens, with the marks of
`s1lab.figures.lines`. `s1lab.figures.loss_curve` draws a fine-tuning, also while it
runs. `s1lab.figures.charts` draws everything else. `s1lab.figures.style`
holds their common style. `s1lab.figures.export` writes the files of a figure, and its content as
data. `s1lab.figures.trace_view` shows a trace in a terminal, a notebook or a widget.
"""

from s1lab.figures.charts import bars, differences, funnel, histogram, standings
from s1lab.figures.curves import called, controls, panels, rivals, scaling
from s1lab.figures.export import can_draw, save, show, shown
from s1lab.figures.lines import Rung
from s1lab.figures.loss_curve import Live, training

__all__ = [
    "Live",
    "Rung",
    "bars",
    "called",
    "can_draw",
    "controls",
    "differences",
    "funnel",
    "histogram",
    "panels",
    "rivals",
    "save",
    "scaling",
    "show",
    "shown",
    "standings",
    "training",
]
