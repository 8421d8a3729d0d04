"""The loss and the learning rate of a fine-tuning, also while it runs."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from s1lab.figures.export import MEASURED, alive, bundle, described
from s1lab.figures.style import BLUE, INK, ORANGE, plain_number, styled


def training(log: Sequence[Mapping[str, float]], steps: int) -> go.Figure:
    """Draw the log of a fine-tuning: its loss and its learning rate side by side.

    The loss of each step is a dot. The line is the mean of the last 15 steps.

    Args:
        log: The log's entries, as ``Trained.log`` holds them.
        steps: Steps of the whole training.

    Returns:
        The figure.

    Example:
        log = [{"step": 1, "loss": 2.0, "rate": 1e-4}, {"step": 2, "loss": 1.5, "rate": 5e-5}]
        figure = lab.figures.training(log, steps=2)
    """
    titles = [
        "<b>loss</b>, log scale. Dots: each step. Line: mean of the last 15",
        "<b>learning rate</b>",
    ]
    figure = make_subplots(
        1, 2, subplot_titles=titles, column_widths=[0.66, 0.34], horizontal_spacing=0.1
    )
    at, loss = [e["step"] for e in log], [e["loss"] for e in log]
    mean = [fmean(loss[max(0, i - 14) : i + 1]) for i in range(len(loss))]
    rate = [e["rate"] for e in log]
    dots = {"mode": "markers", "marker": {"color": BLUE, "size": 4, "opacity": 0.45}}
    drawn = (
        ("loss", loss, dots, 1),
        ("mean of the last 15 steps", mean, {"mode": "lines", "line_color": INK}, 1),
        ("learning rate", rate, {"mode": "lines", "line_color": ORANGE}, 2),
    )
    for name, values, look, column in drawn:
        figure.add_scatter(
            x=at, y=values, **look,
            name=name, meta=MEASURED, hovertemplate="step %{x}<br>%{y:.4g}<extra></extra>",
            row=1, col=column,
        )  # fmt: skip
    figure.update_xaxes(title_text="step", range=[0, steps])
    figure.update_yaxes(type="log", dtick=1, row=1, col=1)
    most = max(rate, default=0.0)
    ticks = [share * most for share in (0, 0.25, 0.5, 0.75, 1)] if most else [0]
    figure.update_yaxes(
        rangemode="tozero", tickvals=ticks, ticktext=[plain_number(t) for t in ticks], row=1, col=2
    )
    styled(figure, 340)
    figure.update_annotations(font_size=13)
    return figure


class Live:
    """The log of a fine-tuning as a figure that grows.

    In a notebook it is drawn again about once in ``seconds``, in place. End it with `close`.

    Args:
        steps: Steps of the whole training.
        seconds: Seconds between two drawings.

    Example:
        rows, _ = lab.curate.traces(lab.tiny.Teacher(), lab.tiny.problems(40, split="train"))
        live = lab.figures.Live(steps=13)
        trained = lab.sft.train("s1-tiny-base", rows, "tiny", watch=live)
        figure = live.close()
    """

    def __init__(self, steps: int, seconds: float = 1.0) -> None:
        self.steps, self.seconds = steps, seconds
        self.log: list[Mapping[str, float]] = []
        self._handle: Any = None
        # the first entry is always drawn, even soon after the machine was started
        self._drawn = -math.inf

    def __call__(self, entry: Mapping[str, float]) -> None:
        self.log.append(entry)
        if time.monotonic() - self._drawn >= self.seconds:
            self._draw(alive(training(self.log, self.steps)))

    def close(self, alt: str = "The loss falls as the training goes on.") -> go.Figure:
        """Draw all entries, as a picture if possible (`s1lab.figures.show`).

        Args:
            alt: What is seen, in a sentence, for readers who can't see it.

        Returns:
            The figure, to save it.
        """
        figure = training(self.log, self.steps)
        self._draw(bundle(figure), alt)
        return figure

    def _draw(self, bundle: dict[str, Any], alt: str = "") -> None:
        from IPython.display import display

        told = described(alt)
        if self._handle is None:
            self._handle = display(bundle, metadata=told, raw=True, display_id=True)
        elif self._handle:
            self._handle.update(bundle, metadata=told, raw=True)
        self._drawn = time.monotonic()
