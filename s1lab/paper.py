"""Numbers of the paper, "s1: Simple test-time scaling" (arXiv 2501.19393 v3), as data: marked as the paper's, never ours."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """One dot of a published figure: mean thinking tokens, accuracy in percent, and what was done to get it."""

    tokens: int
    accuracy: float
    how: str


# Figure 1, read off the coordinates of the published vector figure; budgets from the authors' command list. The AIME24 dot at
# 5,300 tokens is one of the caps 8,000 and 16,000 or no cap (the caption does not say). MATH500 at 3,200 tokens stands 0.2
# above the paper's own tables.
FIGURE_1: dict[str, tuple[Point, ...]] = {
    "MATH500": (
        Point(499, 64.0, "cap 500"),
        Point(984, 80.0, "cap 1000"),
        Point(1814, 85.6, "cap 2000"),
        Point(2868, 90.6, "cap 4000"),
        Point(3200, 93.2, "own stop"),
    ),
    "AIME24": (
        Point(500, 0.0, "cap 500"),
        Point(1000, 13.3, "cap 1000"),
        Point(2000, 30.0, "cap 2000"),
        Point(3933, 43.3, "cap 4000"),
        Point(5300, 50.0, "own stop"),
        Point(6657, 53.3, "2 Waits"),
        Point(7320, 56.7, "4 Waits"),
    ),
    "GPQA-Diamond": (
        Point(500, 37.9, "cap 500"),
        Point(985, 49.5, "cap 1000"),
        Point(1742, 51.0, "cap 2000"),
        Point(3231, 57.6, "own stop"),
        Point(4649, 59.6, "2 Waits"),
    ),
}

# Questions in each benchmark.
QUESTIONS = {"AIME24": 30, "MATH500": 500, "GPQA-Diamond": 198}

# Table 1, pass@1 in percent, greedy: without budget forcing and with it. The row with it mixes settings: 4 Waits on AIME24,
# 2 on the other two.
TABLE_1: dict[str, dict[str, float]] = {
    "o1-preview": {"AIME24": 44.6, "MATH500": 85.5, "GPQA-Diamond": 73.3},
    "Qwen2.5-32B-Instruct": {"AIME24": 26.7, "MATH500": 84.0, "GPQA-Diamond": 49.0},
    "s1 w/o BF": {"AIME24": 50.0, "MATH500": 92.6, "GPQA-Diamond": 56.6},
    "s1-32B": {"AIME24": 56.7, "MATH500": 93.0, "GPQA-Diamond": 59.6},
}
