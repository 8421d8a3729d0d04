"""Draw the diagrams of the notebooks: `python -m tools.diagrams` writes notebooks/diagrams/.

Each is a function that returns the text of an SVG file. It is one picture for a light and for a
dark page.
"""

from __future__ import annotations

from collections.abc import Callable

from tools.diagrams import budgets, data, methods

DIAGRAMS: dict[str, Callable[[], str]] = {
    drawn.__name__: drawn
    for drawn in (
        budgets.trace,
        budgets.cut,
        budgets.wait,
        budgets.ladder,
        budgets.program,
        budgets.probes,
        data.funnel,
        data.algorithm_1,
        data.loss_mask,
        data.split,
        methods.vote,
        methods.tree,
        methods.paired,
        methods.controls,
    )
}
