"""Diagrams of the data and of training: the funnel, Algorithm 1, the loss mask, and the models."""

from __future__ import annotations

from s1lab.paper.numbers import FUNNEL
from tools.diagrams.svg import MARGIN, WIDTH, Drawing, chip_width

RIGHT = WIDTH - MARGIN
LEFT = MARGIN + 31  # beside a step's number


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
        "the paper's numbers",
    )
    rows = [
        (collected, "", "collected", "from 16 sources"),
        (whole, "quality", "complete", "no API error, nothing missing"),
        (formatted, "quality", "well formatted", "no picture or numbering faults"),
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
    d.text(MARGIN, y + 4, "The paper, section 2. The widths are to scale.", "m")
    return d.svg(y + 24)


def algorithm_1() -> str:
    """A domain at random, then a question by the length of its trace."""
    sure = FUNNEL["taken at once as high quality"][0]
    d = Drawing(
        "Algorithm 1: a domain, then a long trace",
        "Step 1: questions of AIME and GPQA that the teacher answered rightly are taken at once, "
        f"and those of MATH with more than 5,600 thinking tokens; the paper has {sure} of them. "
        "Step 2: a domain is drawn, each with the same chance. Step 3: a question of it is drawn; "
        "the longest trace has weight 1, the next 1/2, then 1/4 and 1/8, so of four questions "
        "their chances are 53, 27, 13 and 7 percent. Step 4: it is added and leaves its domain. "
        "Steps 2 to 4 are repeated until there are 1,000.",
        "an example",
    )
    d.step(72, 1, "Take at once what the teacher answered rightly:")
    x, _ = d.chips(LEFT, 88, ["AIME", "GPQA", "MATH, over 5,600 tokens"], "answer")
    d.text(x + 6, 107, f"{sure} in the paper", "m")
    d.step(152, 2, "Draw a domain: all have the same chance.")
    x, _ = d.chips(LEFT, 168, ["Geometry"], "sampled")
    drawn = x + chip_width("Number theory") / 2
    x, _ = d.chips(x, 168, ["Number theory"], "blue")
    x, _ = d.chips(x, 168, ["Biology", "…"], "sampled")
    d.arrow((drawn, 198), (drawn, 215))
    d.step(236, 3, "Draw a question of it: long traces are likelier.")
    d.text(LEFT, 264, "its traces, the longest first", "m")
    d.text(400, 264, "weight", "m", "middle")
    d.text(490, 264, "chance", "m", "middle")
    weights = [1, 1 / 2, 1 / 4, 1 / 8]
    for n, weight in enumerate(weights):
        y = 274 + 28 * n
        d.box(LEFT, y, (300, 240, 170, 90)[n], 22, "blue" if n == 1 else "sampled")
        d.text(400, y + 16, ("1", "1/2", "1/4", "1/8")[n], "b", "middle")
        d.text(490, y + 16, f"{100 * weight / sum(weights):.0f} %", "t", "middle")
    d.text(LEFT + 252, 318, "drawn", "b")
    d.step(414, 4, "Add it, and remove it from its domain.")
    d.arrow((384, 409), (560, 409), (560, 147), (400, 147))
    d.text(LEFT, 438, "Repeat 2 to 4 until there are 1,000.", "b")
    return d.svg(462)


def loss_mask() -> str:
    """Which tokens carry loss."""
    d = Drawing(
        "What is learned: the loss mask",
        "One training row. The question, up to the assistant's mark, carries no loss: each of its "
        "labels is -100. The thinking, its delimiters, the answer and the end of the turn carry "
        "loss: each label is the token itself. In the toy's recipe the word Wait carries none.",
        "s1-tiny",
    )
    read, learned = "prompt", "blue"
    rows = [
        ("question", [("<|im_start|>user", read), ("How many r in raspberry?", read)]),
        ("", [("<|im_end|>", read), ("<|im_start|>assistant", read)]),
        ("thinking", [("<|im_start|>think", learned), ("1 r 1", learned), ("…", learned),
                      ("7 ber 2", learned), ("stop", learned)]),
        ("", [("Wait", read), ("8 err 3", learned), ("9 rry 3 yes", learned)]),
        ("answer", [("<|im_start|>answer", learned), ("Answer: 3", learned),
                    ("<|im_end|>", learned)]),
    ]  # fmt: skip
    y = 58
    for name, chips in rows:
        d.text(MARGIN, y + 19, name)
        x = 116.0
        for text, kind in chips:
            after, middle = d.chips(x, y, [text], kind)
            if text != "…":
                d.text(middle, y + 46, "−100" if kind == read else "loss", "m", "middle")
            x = after
        if ("Wait", read) in chips:
            d.text(x + 8, y + 19, "−100 only in the toy's recipe", "m")
        y += 63
    d.box(MARGIN, y + 8, 22, 22, learned)
    d.text(MARGIN + 31, y + 24, "loss: the label is the token itself")
    d.box(MARGIN, y + 38, 22, 22, read)
    d.text(MARGIN + 31, y + 54, "no loss: the label is −100, the token is only read")
    return d.svg(y + 80)


def split() -> str:
    """The base, the rows, and the fine-tuned model."""
    d = Drawing(
        "Fine-tuning: base, rows, model",
        "The base model and 1,000 rows go into the fine-tuning of 5 epochs, 315 steps. Out comes "
        "the fine-tuned model. Asked how many r in raspberry, the base writes three lines and "
        "the answer 1, with no mark between them. The fine-tuned model writes seven lines, ends "
        "its thinking with a delimiter and answers 2. Budget forcing needs that delimiter.",
        "s1-tiny",
    )
    d.box(MARGIN, 60, 166, 44, "sampled", "base model")
    d.box(MARGIN, 116, 166, 70, "sampled", "1,000 rows:\nquestion,\nthinking, answer")
    d.arrow((192, 82), (230, 100))
    d.arrow((192, 151), (230, 138))
    d.box(234, 84, 144, 70, "open", "fine-tuning\n5 epochs\n315 steps")
    d.arrow((380, 119), (420, 119))
    d.box(424, 92, 152, 54, "blue", "fine-tuned\nmodel")
    d.text(MARGIN, 226, "How many r in raspberry?", "b")
    d.text(MARGIN, 256, "The base: a few lines, and no mark before the answer.")
    x, _ = d.chips(MARGIN, 268, ["1 r 1", "2 ra 1", "3 ras 1"], "sampled")
    d.chips(x, 268, ["Answer: 1"], "answer")
    d.text(MARGIN, 330, "Fine-tuned: longer, and a delimiter ends the thinking.")
    x, _ = d.chips(MARGIN, 342, ["1 r 1", "…", "7 ber 2", "stop"], "sampled")
    x, _ = d.chips(x, 342, ["<|im_start|>answer"], "close")
    d.chips(x, 342, ["Answer: 2"], "answer")
    d.text(MARGIN, 400, "Budget forcing needs that delimiter: it can append it, or drop it.", "m")
    return d.svg(422)
