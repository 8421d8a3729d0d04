"""How nbval compares the committed notebooks."""

from __future__ import annotations

from typing import Any


def pytest_collectstart(collector: Any) -> None:
    """Skip plotly's viewer: it is in an output only where no browser could draw the picture.

    The figure's data is in the output in any case, and is compared.
    """
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("application/vnd.plotly.v1+json",)
