"""Numbers of the paper "s1: Simple test-time scaling" (arXiv 2501.19393 v3), as data.

They are the paper's numbers, never ours. Each name says its table or figure. Points of figures were
read off the published vector graphics (Figure 4 off its pixels, with about 0.3 % error in tokens).
Comments mark derived numbers, and numbers that contradict each other in the paper.
"""

from __future__ import annotations

from s1lab.paper.entries import Method, Point, Sweep

QUESTIONS = {"AIME24": 30, "MATH500": 500, "GPQA-Diamond": 198}
"""The number of questions in each benchmark."""


def exact(accuracy: float, benchmark: str) -> float:
    """An accuracy before it was rounded to one decimal.

    Args:
        accuracy: The printed accuracy, in percent.
        benchmark: The benchmark's name. The result is a whole number of right answers of it.

    Returns:
        The accuracy, in percent.

    Example:
        >>> lab.paper.exact(56.7, "AIME24")
        56.666666666666664
    """
    n = QUESTIONS[benchmark]
    return 100 * round(accuracy * n / 100) / n


TABLE_1: dict[str, dict[str, float | None]] = {
    "o1-preview": {"AIME24": 44.6, "MATH500": 85.5, "GPQA-Diamond": 73.3},
    "o1-mini": {"AIME24": 70.0, "MATH500": 90.0, "GPQA-Diamond": 60.0},
    "o1": {"AIME24": 74.4, "MATH500": 94.8, "GPQA-Diamond": 77.3},
    "Gemini 2.0 Flash Thinking": {"AIME24": 60.0, "MATH500": None, "GPQA-Diamond": None},
    "Qwen2.5-32B-Instruct": {"AIME24": 26.7, "MATH500": 84.0, "GPQA-Diamond": 49.0},
    "QwQ-32B": {"AIME24": 50.0, "MATH500": 90.6, "GPQA-Diamond": 54.5},
    "r1": {"AIME24": 79.8, "MATH500": 97.3, "GPQA-Diamond": 71.5},
    "r1-distill": {"AIME24": 72.6, "MATH500": 94.3, "GPQA-Diamond": 62.1},
    "Sky-T1": {"AIME24": 43.3, "MATH500": 82.4, "GPQA-Diamond": 56.8},
    "Bespoke-32B": {"AIME24": 63.3, "MATH500": 93.0, "GPQA-Diamond": 58.1},
    "s1 w/o BF": {"AIME24": 50.0, "MATH500": 92.6, "GPQA-Diamond": 56.6},
    "s1-32B": {"AIME24": 56.7, "MATH500": 93.0, "GPQA-Diamond": 59.6},
}
"""Table 1, pass@1 in percent, greedy; None if the paper has no number. The row with budget forcing
mixes settings: 4 Waits on AIME24, 2 on the other two. QwQ's GPQA-Diamond is 65.2 in version 2."""

EXAMPLES: dict[str, int] = {
    "s1 w/o BF": 1_000,
    "s1-32B": 1_000,
    "Sky-T1": 17_000,
    "Bespoke-32B": 17_000,
    "r1-distill": 800_000,
}
"""Table 1 and Figure 2 right: the number of examples each model was fine-tuned on. r1 itself had
far more than 800,000. The paper gives none for the others."""

TABLE_2: dict[str, dict[str, tuple[float, tuple[float, float] | None]]] = {
    "1K-random": {
        "AIME24": (36.7, (-26.7, -3.3)),
        "MATH500": (90.6, (-4.8, 0.0)),
        "GPQA-Diamond": (52.0, (-12.6, 2.5)),
    },
    "1K-diverse": {
        "AIME24": (26.7, (-40.0, -10.0)),
        "MATH500": (91.2, (-4.0, 0.2)),
        "GPQA-Diamond": (54.6, (-10.1, 5.1)),
    },
    "1K-longest": {
        "AIME24": (33.3, (-36.7, 0.0)),
        "MATH500": (90.4, (-5.0, -0.2)),
        "GPQA-Diamond": (59.6, (-5.1, 10.1)),
    },
    "59K-full": {
        "AIME24": (53.3, (-13.3, 20.0)),
        "MATH500": (92.8, (-2.6, 2.2)),
        "GPQA-Diamond": (58.1, (-6.6, 8.6)),
    },
    "s1K": {"AIME24": (50.0, None), "MATH500": (93.0, None), "GPQA-Diamond": (57.6, None)},
}
"""Table 2, all under a cap of about 30,000 thinking tokens: accuracy, and the paired bootstrap
interval of its difference to s1K (None for s1K itself), in percent."""

TABLE_3: dict[str, Method] = {
    "BF": Method(100, 15, 56.7, 5),
    "TCC": Method(40, -24, 40.0, 5),
    "TCC + BF": Method(100, 13, 40.0, 5),
    "SCC": Method(60, 3, 36.7, 5),
    "SCC + BF": Method(100, 6, 36.7, 5),
    "CCC": Method(50, 25, 36.7, 2),
    "RS": Method(100, -35, 40.0, 5),
}
"""Table 3, AIME24. The row of RS contradicts itself: no five runs with a Scaling of -35 include the
run with its Performance of 40.0."""

TABLE_4: dict[str, dict[str, float]] = {
    "no extrapolation": {"AIME24": 50.0, "MATH500": 93.0, "GPQA-Diamond": 57.6},
    "2x without string": {"AIME24": 50.0, "MATH500": 90.2, "GPQA-Diamond": 55.1},
    '2x "Alternatively"': {"AIME24": 50.0, "MATH500": 92.2, "GPQA-Diamond": 59.6},
    '2x "Hmm"': {"AIME24": 50.0, "MATH500": 93.0, "GPQA-Diamond": 59.6},
    '2x "Wait"': {"AIME24": 53.3, "MATH500": 93.0, "GPQA-Diamond": 59.6},
}
"""Table 4: accuracy in percent, by the text that replaces the suppressed delimiter."""

TABLE_5: dict[str, dict[str, float]] = {
    "o3-mini-low": {"MATH500": 95.8, "GPQA-Diamond": 70.6, "AIME24": 56.3, "AIME25": 42.1},
    "o3-mini-medium": {"MATH500": 97.3, "GPQA-Diamond": 76.8, "AIME24": 75.8, "AIME25": 70.4},
    "o3-mini-high": {"MATH500": 97.9, "GPQA-Diamond": 79.7, "AIME24": 83.8, "AIME25": 80.9},
    "QwQ-32B": {"MATH500": 90.6, "GPQA-Diamond": 54.5, "AIME24": 46.7, "AIME25": 32.7},
    "r1": {"MATH500": 97.3, "GPQA-Diamond": 71.5, "AIME24": 79.8, "AIME25": 70.0},
    "r1-distill-Llama-70B": {"MATH500": 94.5, "GPQA-Diamond": 65.2, "AIME24": 57.1, "AIME25": 56.3},
    "r1-distill-Qwen-14B": {"MATH500": 93.9, "GPQA-Diamond": 59.1, "AIME24": 61.7, "AIME25": 48.0},
    "r1-distill-Qwen-32B": {"MATH500": 94.3, "GPQA-Diamond": 62.1, "AIME24": 58.3, "AIME25": 49.6},
    "LIMO": {"MATH500": 94.8, "GPQA-Diamond": 66.7, "AIME24": 56.3, "AIME25": 44.6},
    "s1 w/o BF": {"MATH500": 92.6, "GPQA-Diamond": 56.6, "AIME24": 50.0, "AIME25": 26.7},
    "s1 Wait 1x": {"MATH500": 92.8, "GPQA-Diamond": 59.6, "AIME24": 53.3, "AIME25": 30.0},
    "s1 Wait 2x": {"MATH500": 93.0, "GPQA-Diamond": 59.6, "AIME24": 53.3, "AIME25": 33.3},
    "s1 Wait 4x": {"MATH500": 92.2, "GPQA-Diamond": 58.6, "AIME24": 56.7, "AIME25": 36.7},
    "s1.1 w/o BF": {"MATH500": 94.4, "GPQA-Diamond": 60.6, "AIME24": 56.7, "AIME25": 50.0},
    "s1.1 Wait 1x": {"MATH500": 95.4, "GPQA-Diamond": 62.6, "AIME24": 56.7, "AIME25": 50.0},
    "s1.1 Wait 2x": {"MATH500": 95.4, "GPQA-Diamond": 63.6, "AIME24": 56.7, "AIME25": 50.0},
}
"""Table 5 (s1.1, 1,000 traces of r1), in percent. r1's MATH500 is printed as "07.3" there and 97.3
in Table 1; QwQ's AIME24 is 46.7 here and 50.0 there. The model card, "up to four Waits", gives
s1.1 56.7 on AIME24, 60.0 on the first half of AIME25, 95.4 on MATH500 and 63.6 on GPQA-Diamond, and
s1 56.7, 26.7, 93.0 and 59.6."""

FUNNEL: dict[str, tuple[int, int]] = {
    "collected": (59_029, 59_029),
    "without missing features and API errors": (54_116, 54_116),
    "without formatting faults": (51_581, 51_607),
    "not solved by either model": (24_496, 24_517),
    "taken at once as high quality": (384, 393),
    "chosen": (1_000, 1_000),
}
"""Section 2: questions after each step, in the paper and in the authors' notebook."""

CORRECT = {"s1K": 53.6, "s1K-1.1": 63.0}
"""Right traces of the chosen thousand, in percent, graded by a model: 46.4 % of s1K's are wrong,
and are kept. s1K-1.1 has r1's traces."""

TABLE_6: dict[str, tuple[int, float]] = {
    "Geometry": (109, 560.2),
    "Number theory": (98, 522.5),
    "Combinatorics": (75, 384.7),
    "Real functions": (43, 234.8),
    "Biology": (41, 120.9),
    "Complex functions": (32, 170.2),
    "Quantum theory": (32, 127.9),
    "Field theory": (28, 150.1),
    "Calculus of variations": (28, 155.5),
    "Difference equations": (24, 132.5),
    "Electromagnetic theory": (23, 95.8),
    "Group theory": (22, 100.0),
    "Linear algebra": (22, 128.3),
    "Probability theory": (20, 114.6),
    "Algebraic systems": (19, 109.9),
    "Mechanics": (19, 103.6),
    "Thermodynamics": (19, 74.2),
    "Differential equations": (18, 89.6),
    "Computer science": (18, 34.2),
    "Numerical analysis": (18, 76.5),
    "Calculus": (17, 96.3),
    "Algebraic structures": (17, 90.4),
    "Astronomy": (16, 37.7),
    "27 more": (242, 982.2),
}
"""Table 6: questions of each domain of the chosen thousand, and the tokens of their traces in
thousands. The text says 50 domains, the table's last row 51."""

TABLE_7: dict[str, tuple[int, float]] = {
    "NuminaMATH": (30_660, 4.1),
    "MATH": (11_999, 2.9),
    "OlympicArena": (4_250, 3.2),
    "OmniMath": (4_238, 4.4),
    "AGIEval": (2_385, 1.2),
    "xword": (999, 0.7),
    "OlympiadBench": (896, 3.9),
    "AIME 1983-2021": (890, 4.7),
    "TheoremQA": (747, 2.1),
    "USACO": (519, 3.6),
    "JEEBench": (515, 2.9),
    "GPQA (non-diamond)": (348, 2.9),
    "SciEval": (227, 0.7),
    "s1-prob": (182, 4.0),
    "LiveCodeBench": (151, 3.5),
    "s1-teasers": (23, 4.1),
}
"""Table 7: questions of each source of the 59,029, and their mean thinking tokens in thousands."""

TABLE_8_CUT = {4_096: 74, 32_768: 0}
"""Table 8: the share of rows, in percent, that a training block of this many tokens cuts."""

TABLE_8: dict[int, dict[str, tuple[float, int]]] = {
    4_096: {"AIME24": (30.0, 20_721), "MATH500": (90.0, 5_324), "GPQA-Diamond": (52.5, 6_841)},
    32_768: {"AIME24": (50.0, 6_984), "MATH500": (91.0, 3_268), "GPQA-Diamond": (53.0, 3_568)},
}
"""Table 8, by the length of the training block: (accuracy in percent, mean thinking tokens)."""

TABLE_12: dict[str, Sweep] = {
    "TCC": Sweep(
        (1024, 2048, 4096, 8192, 16384), (1024, 2048, 4096, 8192, 16384),
        (7939, 7158, 8263, 7108, 7500), (689, 669, 659, 722, 724), (26.7, 30.0, 33.3, 33.3, 40.0),
    ),
    "TCC + BF": Sweep(
        (1024, 2048, 4096, 8192, 16384), (1024, 2048, 4096, 8192, 16384),
        (1024, 2048, 4031, 5664, 6330), (15, 15, 142, 722, 691), (3.3, 30.0, 33.3, 33.3, 40.0),
    ),
}  # fmt: skip
"""Table 12, AIME24: token-conditional control."""

TABLE_13: dict[str, Sweep] = {
    "SCC": Sweep(
        (16, 32, 64, 128, 256), (1600, 3200, 6400, 12800, 25600),
        (7252, 6277, 5396, 5552, 7551), (665, 653, 735, 777, 754), (33.3, 23.3, 33.3, 36.7, 33.3),
        (123, 90, 80, 82, 136), (60, 70, 69, 66, 56),
    ),
    "SCC + BF": Sweep(
        (16, 32, 64, 128, 256), (1600, 3200, 6400, 12800, 25600),
        (1517, 2963, 4636, 5409, 7551), (1111, 788, 799, 794, 754), (23.3, 23.3, 33.3, 36.7, 33.3),
        (16, 32, 59, 78, 136), (96, 94, 80, 70, 56),
    ),
}  # fmt: skip
"""Table 13, AIME24: step-conditional control."""

TABLE_14: dict[str, dict[str, tuple[float, int]]] = {
    "short": {"AIME24": (30.0, 8_033), "MATH500": (90.4, 2_537), "GPQA-Diamond": (56.6, 4_177)},
    "long": {"AIME24": (36.7, 9_651), "MATH500": (91.4, 3_875), "GPQA-Diamond": (51.0, 4_827)},
    "none": {"AIME24": (50.0, 6_109), "MATH500": (93.0, 3_298), "GPQA-Diamond": (57.6, 3_510)},
}
"""Table 14, class-conditional: (accuracy in percent, mean thinking tokens). On AIME24 the short
prompt should stay below the 6,109 tokens of no prompt, and does not. The long one exceeds
them: a Control of 1 in 2."""

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
"""Figure 1, read off the coordinates of the published vector figure. The figure does not name the
budget of a dot: the names are derived from the authors' command list (caps of 500, 1,000, 2,000,
4,000 and more, then 1, 2, 4 and 6 Waits). The AIME24 dot at 5,300 tokens is one of the caps 8,000
and 16,000 or no cap (the caption does not say; Table 14 has 6,109 tokens for the same accuracy).
MATH500 at 3,200 tokens is 0.2 above the paper's own tables."""

FIGURE_4_LEFT = (
    Point(1000, 13.3, "cap 1000"), Point(2003, 30.0, "cap 2048"), Point(3935, 43.3, "cap 4096"),
    Point(5304, 50.0, "own stop"),
    Point(6642, 53.3, "2 Waits"), Point(7305, 56.7, "4 Waits"), Point(8459, 56.7, "6 Waits"),
)  # fmt: skip
"""Figure 4 left, AIME24: caps, the own stop, Waits. It flattens at six. Its labels say "forcing
2048" and "forcing 4096", where the command list and Figure 1 have 2,000 and 4,000."""

FIGURE_4_RIGHT: dict[str, tuple[Point, ...]] = {
    "majority voting, base": (
        Point(128_000, 45.5, "first"), Point(507_000, 48.5, "4x"), Point(1_020_000, 50.5, "8x"),
        Point(2_040_000, 50.0, "16x"), Point(4_070_000, 51.5, "32x"), Point(8_130_000, 51.0, "64x"),
    ),
    "s1 with forcing": (
        Point(345_000, 51.0, "cap 2000"), Point(641_000, 57.6, "own stop"),
        Point(921_000, 59.6, "2 Waits"),
    ),
}  # fmt: skip
"""Figure 4 right, GPQA-Diamond; tokens are summed over all 198 questions. The first dot of voting
is at the cost of one sample, though the caption counts from 2. The forced dots are those of Figure
1 with as many tokens, with its names (derived)."""

FIGURE_6 = (
    Point(2974, 40.0, "up to 3500"),
    Point(3703, 36.7, "up to 4000"),
    Point(4344, 33.3, "up to 5000"),
    Point(4734, 30.0, "up to 6000"),
    Point(5193, 26.7, "up to 8000"),
    Point(5293, 23.3, "up to 16000"),
)
"""Figure 6, rejection sampling on AIME24 at temperature 1. The figure's tick labels are cut (22 is
22.5). These are the accuracies that fit Table 3 and 30 questions (derived). The caption names five
limits, but the figure has six dots: the caption omits 6,000."""

FIGURE_6_TRIES = {3_500: 655, 4_000: 97, 5_000: 8, 6_000: 3, 8_000: 2, 16_000: 1}
"""Tries a question. The caption gives six numbers for its five limits. They fit the six dots
(derived). Section E.2 has an older model that needed 199 for up to 4,000."""

FIGURE_7: dict[str, tuple[Point, ...]] = {
    "sequential": (
        Point(2862, 30.0, "32 steps"), Point(4979, 36.7, "64 steps"),
        Point(14_318, 50.0, "256 steps"), Point(23_220, 33.3, "512 steps"),
    ),
    "majority": (Point(229_085, 53.3, "16 of 256 steps"),),
    "REBASE": (Point(229_085, 56.7, "16 of 256 steps"),),
}  # fmt: skip
"""Figure 7, AIME24, a step-conditional model on older data: steps in sequence, and 16 trajectories
side by side. At 512 steps 12 of the 30 questions exceed the context. REBASE's tokens leave out its
reward model's."""

TABLE_3_RS_RUNS = FIGURE_6[1:]
"""The five longest runs of rejection sampling, which give its Scaling of -35 (derived). Its
Performance is the sixth run's."""

TABLE_3_BF_RUNS = FIGURE_4_LEFT[1:6]
"""The five runs of budget forcing that give Table 3's first row (derived, not the paper's)."""


def _points(sweep: Sweep, unit: str) -> tuple[Point, ...]:
    asked = zip(sweep.asked, sweep.thinking_tokens, sweep.accuracy, strict=True)
    return tuple(Point(tokens, accuracy, f"{n:,} {unit} asked") for n, tokens, accuracy in asked)


TABLE_3_RUNS: dict[str, tuple[Point, ...]] = {
    "BF": TABLE_3_BF_RUNS,
    "TCC": _points(TABLE_12["TCC"], "tokens"),
    "TCC + BF": _points(TABLE_12["TCC + BF"], "tokens"),
    "SCC": _points(TABLE_13["SCC"], "steps"),
    "SCC + BF": _points(TABLE_13["SCC + BF"], "steps"),
    "CCC": tuple(
        Point(TABLE_14[name]["AIME24"][1], TABLE_14[name]["AIME24"][0], f"asked for {name}")
        for name in ("short", "long")
    ),
    "RS": FIGURE_6,
}
"""The published runs of each row of Table 3: Tables 12 to 14 and Figures 4 and 6. They give its
Scaling, except for RS, which needs the five longest runs (derived, see TABLE_3_RS_RUNS)."""
