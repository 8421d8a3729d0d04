"""Diagrams of parallel methods, comparisons and controls."""

from __future__ import annotations

from tools.diagrams.svg import MARGIN, WIDTH, Drawing

RIGHT = WIDTH - MARGIN
# The tree's rewards after steps 1 and 2, and how many branches each gets (balance 0.2).
STEP_1, SHARES_1 = [0.9, 0.8, 0.5, 0.3], [2, 2, 0, 0]
STEP_2, SHARES_2 = [0.9, 0.8, 0.4], [2, 1, 0]


def vote() -> str:
    """Samples and a majority."""
    d = Drawing("", "")
    return d.svg(300)


def tree() -> str:
    """REBASE's tree."""
    d = Drawing(
        "REBASE: a reward decides which branches grow",
        "A tree of width 4. The question has four branches. After step 1 their rewards are 0.9, "
        "0.8, 0.5 and 0.3: the first two get two branches each, the others are dropped. After "
        "step 2 one branch has finished; of the open ones, rewards 0.9, 0.8 and 0.4, the first "
        "gets two branches, the second one, the third is dropped. Four traces finish and answer "
        "3, 3, 2 and 3. The answers are voted on with the rewards as weights: 3.",
    )
    columns = [MARGIN + 144 * n for n in range(4)]
    centres = [x + 60 for x in columns]
    tops = (120, 212, 304)

    def node(level: int, column: int, reward: float, share: int | None) -> None:
        x, y = columns[column], tops[level]
        words = {None: "finished", 0: "dropped"}.get(share, f"grows {share}")
        kind = {None: "blue", 0: "gone"}.get(share, "sampled")
        d.box(x, y, 120, 48, kind, f"reward {reward}\n{words}")

    def grow(level: int, column: int, to: int) -> None:
        start = (300, 92) if not level else (centres[column], tops[level - 1] + 49)
        d.arrow(start, (centres[to], tops[level] - 2))

    d.box(208, 58, 184, 32, "prompt", "the question, width 4")
    for level, top in enumerate(tops, 1):
        d.text(MARGIN, top - 13, f"step {level}", "m")
    for n, (reward, share) in enumerate(zip(STEP_1, SHARES_1, strict=True)):
        grow(0, 0, n)
        node(0, n, reward, share)
    for n in range(4):
        grow(1, n // 2, n)
        node(1, n, (*STEP_2, 0.7)[n], (*SHARES_2, None)[n])
    for n, parent in enumerate((0, 0, 1, 3)):
        grow(2, parent, n)
        found, reward = (3, 3, 2, 3)[n], (0.9, 0.8, 0.5, 0.7)[n]
        d.box(columns[n], tops[2], 120, 48, "answer", f"Answer: {found}\nweight {reward}")
        d.arrow((centres[n], tops[2] + 49), (centres[n], 374), head=False)
    d.arrow((centres[0], 374), (centres[3], 374), head=False)
    d.arrow((300, 374), (300, 392))
    d.box(160, 394, 280, 32, "answer", "weighted vote: 3 (2.4 against 0.5)", "b")
    d.text(MARGIN, 454, "Branches are shared by exp(reward / 0.2), in whole numbers.", "m")
    return d.svg(476)


def paired() -> str:
    """Paired questions, and flips each way."""
    d = Drawing("", "")
    return d.svg(300)


def controls() -> str:
    """Four ways to control the length."""
    d = Drawing("", "")
    return d.svg(300)
