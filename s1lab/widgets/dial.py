"""A number that is dragged or typed: a field for any number, and beside it a slider over the usual ones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

import ipywidgets as ipw

from s1lab.widgets.panel import NARROW


def dial(field: ipw.ValueWidget, stops: Sequence[float]) -> ipw.HBox:
    """The field, and a slider over its usual values: each follows the other, in the kernel.

    stops: what the slider can say, in order. A number between two of them, or beyond the last, stays in the field as it was
        typed; the slider shows the nearest.
    """
    slider = ipw.SelectionSlider(
        options=[(f"{stop:,}", stop) for stop in stops], readout=False, description=f"{field.description} slider", style=NARROW,
        layout=ipw.Layout(width="220px"), tooltip=f"drag it, or type any number beside it: {field.tooltip}",
    )  # fmt: skip

    def nearest() -> float:
        return min(stops, key=lambda stop: abs(stop - field.value))

    def typed(_: object) -> None:
        slider.value = nearest()

    def dragged(_: object) -> None:
        if slider.value != nearest():  # it moved by itself, and not behind the field
            field.value = slider.value

    slider.value = nearest()
    field.observe(typed, "value")
    slider.observe(dragged, "value")
    return ipw.HBox([field, slider], layout=ipw.Layout(align_items="center", margin="0 1em 0 0"))


def lengths(most: int) -> list[int]:
    """0, then 8 and on by halves and doubles up to ``most``: 8, 12, 16, 24, 32 and so on, for a model of any size."""
    doubling = (size for power in range(3, 40) for size in (2**power, 3 * 2 ** (power - 1)))
    return [0, *takewhile(lambda size: size <= most, doubling)]
