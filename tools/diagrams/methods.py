"""Diagrams of parallel methods, comparisons and controls."""

from __future__ import annotations

from tools.diagrams.svg import MARGIN, WIDTH, Drawing

RIGHT = WIDTH - MARGIN
# The tree's rewards after steps 1 and 2, and how many branches each gets (balance 0.2).
STEP_1, SHARES_1 = [0.9, 0.8, 0.5, 0.3], [2, 2, 0, 0]
STEP_2, SHARES_2 = [0.9, 0.8, 0.4], [2, 1, 0]

# Whether ten questions are answered rightly under two budgets: an example.
OWN_STOP, ONE_WAIT = [1, 0, 1, 0, 1, 0, 1, 1, 0, 0], [1, 1, 1, 1, 1, 0, 0, 1, 1, 0]


def vote() -> str:
    """Samples and a majority."""
    right, other = "15-5+1-8", "15-5-1+1"
    answers = [right, right, other, right, right]
    d = Drawing(
        "A vote: many samples, the most frequent answer",
        "The question: put + or - between 15 5 1 8 to make 3. Five samples at temperature 1 think "
        "and answer, each by itself. Four answer 15-5+1-8, one answers 15-5-1+1. The first has "
        "four votes and is elected. It costs five times the tokens of one sample.",
        "s1-tiny",
    )
    d.box(100, 58, 400, 34, "prompt", "Put + or - between 15 5 1 8 to make 3.")
    for n, found in enumerate(answers):
        x = MARGIN + 112 * n
        d.arrow((300, 94), (x + 52, 126))
        d.box(x, 128, 104, 50, "sampled", f"sample {n + 1}\nthinks")
        d.arrow((x + 52, 180), (x + 52, 200))
        d.box(x, 202, 104, 30, "answer" if found == right else "gone", found, "c")
    d.gather([MARGIN + 112 * n + 52 for n in range(5)], 235, 263)
    votes = answers.count(right)
    d.text(MARGIN, 291, right, "c")
    d.box(124, 272, 80 * votes, 28, "answer", f"{votes} votes: elected", "b")
    d.text(MARGIN, 327, other, "c")
    d.box(124, 308, 80, 28, "gone", "1 vote")
    d.text(MARGIN, 366, "Five samples cost about five times the tokens of one.", "m")
    return d.svg(388)


def tree() -> str:
    """REBASE's tree."""
    d = Drawing(
        "REBASE: a reward decides which branches grow",
        "A tree of width 4. The question has four branches. After step 1 their rewards are 0.9, "
        "0.8, 0.5 and 0.3: the first two get two branches each, the others are dropped. After "
        "step 2 one branch has finished; of the open ones, rewards 0.9, 0.8 and 0.4, the first "
        "gets two branches, the second one, the third is dropped. Four traces finish and answer "
        "3, 3, 2 and 3. The answers are voted on with the rewards as weights: 3.",
        "an example",
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
    d.gather(centres, tops[2] + 49, 392)
    d.box(145, 394, 310, 32, "answer", "weighted vote: 3 (2.4 against 0.5)", "b")
    d.text(MARGIN, 454, "Branches are shared by exp(reward / 0.2), in whole numbers.", "m")
    return d.svg(476)


def paired() -> str:
    """Paired questions, and flips each way."""
    d = Drawing(
        "Paired: the same questions, asked twice",
        "Ten questions, each answered at the own stop and with one Wait. Five are right at the own "
        "stop, seven with one Wait. Three go from wrong to right, one from right to wrong, six "
        "stay as they are. The difference is (3 - 1) / 10 = 20 points.",
        "an example",
    )
    before, after = OWN_STOP, ONE_WAIT
    y = {"question": 76, "own stop": 92, "1 Wait": 132, "flip": 198}
    for name, top in y.items():
        d.text(MARGIN, top if name in ("question", "flip") else top + 20, name)
    for n, pair in enumerate(zip(before, after, strict=True)):
        x = 124 + 45.2 * n
        d.text(x + 19, 76, str(n + 1), "m", "middle")
        for correct, name in zip(pair, ("own stop", "1 Wait"), strict=True):
            kind, mark = ("answer", "✓") if correct else ("gone", "✗")
            d.box(x, y[name], 38, 30, kind, mark, "b")
        if pair[0] != pair[1]:
            up = pair[1] > pair[0]
            d.box(x, 178, 38, 30, "blue" if up else "prompt", "+1" if up else "−1", "b")
    ups = sum(b > a for a, b in zip(before, after, strict=True))
    downs = sum(b < a for a, b in zip(before, after, strict=True))
    points = 100 * (ups - downs) // len(before)
    d.box(MARGIN, 230, 22, 22, "blue")
    d.text(MARGIN + 31, 246, f"wrong to right: {ups}")
    d.box(240, 230, 22, 22, "prompt")
    d.text(271, 246, f"right to wrong: {downs}")
    d.text(MARGIN, 280, f"Difference: ({ups} − {downs}) / {len(before)} = {points} points", "b")
    d.text(MARGIN, 304, "Only the flips count. How sure is it? Draw the ten columns again", "m")
    d.text(MARGIN, 324, "and again, with both marks of each: the paired bootstrap.", "m")
    d.text(MARGIN, 350, "✓ right,  ✗ wrong", "m")
    return d.svg(372)


def controls() -> str:
    """Four ways to control the length."""
    d = Drawing(
        "Four other ways to control the length",
        "TCC, token-conditional: the prompt says think for up to 32 tokens. SCC, "
        "step-conditional: the prompt says think for up to 4 steps, and the model counts them "
        "down. CCC, class-conditional: the prompt says answer after a short amount of thinking. "
        "RS, rejection sampling: thoughts are drawn until one is short enough; the others are "
        "thrown away.",
    )
    rows = [
        ("TCC", "token-conditional: the prompt names tokens",
         [("Think for up to 32 tokens.", "prompt"), ("1 r 1", "sampled"), ("…", "sampled"),
          ("stop", "sampled")]),
        ("SCC", "step-conditional: the model counts steps down",
         [("Think for up to 4 steps.", "prompt"), ("4 steps left", "sampled"),
          ("1 r 1", "sampled"), ("3 steps left", "sampled"), ("…", "sampled")]),
        ("CCC", "class-conditional: the prompt says short or long",
         [("Answer after a short amount of thinking.", "prompt"), ("1 r 1", "sampled"),
          ("…", "sampled"), ("stop", "sampled")]),
        ("RS", "rejection sampling: draw until a thought is short",
         [("try 1: too long", "gone"), ("try 2: too long", "gone"), ("try 3: fits", "sampled")]),
    ]  # fmt: skip
    y = 70
    for name, words, chips in rows:
        d.text(MARGIN, y, name, "b")
        d.text(MARGIN + 44, y, words)
        x = float(MARGIN)
        for text, kind in chips:
            x, _ = d.chips(x, y + 12, [text], kind)
        y += 74
    d.text(MARGIN, y, "TCC, SCC and CCC only ask. RS pays for the tries that it throws away.", "m")
    return d.svg(y + 24)
