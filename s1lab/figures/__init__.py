"""Figures in one style: log2 token axes, intervals as bands, the paper's points as open markers.

curves: accuracy over thinking tokens. charts: everything else. style: what all share.
export: files of a figure, and what it shows as data.
"""

from s1lab.figures.charts import Live, bars, differences, funnel, histogram, standings, training
from s1lab.figures.curves import Rung, called, controls, panels, rivals, scaling
from s1lab.figures.export import can_draw, save, show, shown

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
