"""A number that is dragged or typed: a field for any number, and a slider over the usual ones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

import ipywidgets as ipw

from s1lab.widgets.panel import NARROW


def dial(field: ipw.ValueWidget, stops: Sequence[float], *more: ipw.Widget) -> ipw.HBox:
    """Put a slider over usual values beside a field. Each follows the other, in the kernel.

    Args:
        field: A field for any number.
        stops: The values of the slider, in order. A number between two of them, or beyond the last,
            stays in the field as it was typed. The slider shows the nearest value.
        more: What belongs beside them.

    Returns:
        The field and its slider.
    """
    slider = ipw.SelectionSlider(
        options=[(f"{stop:,}", stop) for stop in stops], readout=False,
        description=f"{field.description} slider", style=NARROW, layout=ipw.Layout(width="220px"),
        tooltip=f"drag it, or type any number beside it: {field.tooltip}",
    )  # fmt: skip

    def nearest() -> float:
        return min(stops, key=lambda stop: abs(stop - field.value))

    def typed(_: object) -> None:
        slider.value = nearest()

    def dragged(_: object) -> None:
        if slider.value != nearest():  # the user moved it, it did not follow the field
            field.value = slider.value

    slider.value = nearest()
    field.observe(typed, "value")
    slider.observe(dragged, "value")
    slider.disabled = field.disabled
    field.observe(lambda change: setattr(slider, "disabled", change["new"]), "disabled")
    look = ipw.Layout(align_items="center", margin="0 1em 0 0", flex_flow="row wrap")
    return ipw.HBox([field, slider, *more], layout=look)


def lengths(most: int) -> list[int]:
    """Return 0, then 8, 12, 16, 24, 32 and so on up to ``most``, for a model of any size."""
    doubling = (size for power in range(3, 40) for size in (2**power, 3 * 2 ** (power - 1)))
    return [0, *takewhile(lambda size: size <= most, doubling)]
