"""Diagrams of budget forcing: a trace, a cut, a Wait, a ladder, a program, and probes.

The texts and numbers are those of `s1-tiny` on "How many r in raspberry?".
"""

from __future__ import annotations

from tools.diagrams.svg import MARGIN, WIDTH, Drawing, chip_width

QUESTION = "How many r in raspberry?"
LINES = ["1 r 1", "2 ra 1", "3 ras 1", "4 asp 1", "5 spb 1", "6 pbe 1", "7 ber 2"]
MORE = ["8 err 3", "9 rry 3 yes"]
CLOSE = "<|im_start|>answer"
RIGHT = WIDTH - MARGIN
# The rungs of the ladder: where the thinking ends, and what the model then answers.
RUNGS = [("cap 16", 16, 1), ("cap 24", 24, 1), ("own stop", 55, 2), ("1 Wait", 74, 3)]
PROBES = [(16, 1), (32, 1), (48, 1)]


def trace() -> str:
    """A trace and its ledger."""
    d = Drawing(
        "A trace: every token, and where it came from",
        "Six rows of text from one trace with one Wait. Prompt: the question, 29 tokens. Sampled: "
        "lines 1 to 7 and the word stop, 55 tokens. Continuation: Wait, 1 token. Sampled: lines "
        "8 and 9, 18 tokens. Close: the delimiter, 3 tokens. Answer: 3, 4 tokens. The thinking "
        "is 55 + 1 + 18 = 74 tokens. The model wrote 77 tokens, and 4 were forced.",
        "s1-tiny",
    )
    d.text(MARGIN, 68, "text", "m")
    d.text(330, 68, "origin", "m")
    d.text(440, 68, "from", "m")
    d.text(RIGHT, 68, "tokens", "m", "end")
    y = 80
    rows = [
        ([QUESTION], "prompt", "prompt", "the program", 29),
        (["1 r 1", "…", "7 ber 2", "stop"], "sampled", "sampled", "the model", 55),
        (["Wait"], "continuation", "continuation", "the program", 1),
        (["8 err 3", "9 rry 3 yes"], "sampled", "sampled", "the model", 18),
        ([CLOSE], "close", "close", "the program", 3),
        (["Answer: 3"], "answer", "answer", "the model", 4),
    ]
    for texts, kind, origin, who, count in rows:
        d.chips(MARGIN, y, texts, kind)
        d.text(330, y + 19, origin, "b")
        d.text(440, y + 19, who)
        d.text(RIGHT, y + 19, str(count), "b", "end")
        y += 40
    # the thinking: rows 2 to 4
    d.arrow((312, 120), (318, 120), (318, 228), (312, 228), head=False)
    d.text(MARGIN, y + 20, "Thinking: 55 + 1 + 18 = 74 tokens (the bracket).")
    d.text(MARGIN, y + 42, "Forced: 1 + 3 = 4 tokens.  The model wrote 55 + 18 + 4 = 77.")
    d.text(MARGIN, y + 68, "“7 ber 2”: line 7, the last letters are b e r, two r so far", "m")
    return d.svg(y + 88)


def cut() -> str:
    """A cap cuts the thinking."""
    d = Drawing(
        "A cap cuts the thinking",
        "The model writes 24 thinking tokens, up to the middle of line 4. There the cap is "
        "reached. The program appends the end-of-thinking delimiter and the words Final Answer. "
        "The model answers 1, which is wrong: it had no time to find the other two r.",
        "s1-tiny",
    )
    d.step(72, 1, "The model thinks, until 24 tokens are used up.")
    x, _ = d.chips(MARGIN + 31, 92, [*LINES[:3], "4 a"], "sampled")
    d.arrow((x + 4, 84), (x + 4, 128), kind="limit", head=False)
    end, _ = d.chips(x + 15, 92, ["sp 1", "…"], "gone")
    d.text(x + 4, 145, "cap: 24 tokens", "b", "middle")
    d.text(end + 8, 111, "never written", "m")
    d.step(182, 2, "The program closes the thinking and opens the answer.")
    x, _ = d.chips(MARGIN + 31, 200, [CLOSE], "close")
    x, _ = d.chips(x, 200, ["Final Answer:"], "prefix")
    d.text(x + 8, 219, "forced", "m")
    d.step(264, 3, "The model answers with what it has.")
    x, _ = d.chips(MARGIN + 31, 282, ["1"], "answer")
    d.text(x + 8, 301, "wrong: two r were still to come", "m")
    return d.svg(334)


def wait() -> str:
    """A stop is suppressed, and Wait appended."""
    d = Drawing(
        "A stop is suppressed: Wait",
        "The model writes seven lines and the word stop, and then the end-of-thinking delimiter. "
        "The program drops the delimiter and appends Wait. The model goes on with lines 8 and 9 "
        "and finds the third r. It stops again. The program closes the thinking, and the model "
        "answers 3, after 74 thinking tokens. Without the Wait it answers 2, after 55.",
        "s1-tiny",
    )
    left = MARGIN + 31
    d.step(72, 1, "The model thinks, and wants to stop after 55 tokens.")
    x, _ = d.chips(left, 90, ["1 r 1", "…", *LINES[5:], "stop"], "sampled")
    w = chip_width("<|im_start|>")
    d.chips(x, 90, ["<|im_start|>"], "gone")
    d.arrow((x + w / 2, 134), (x + w / 2, 121))
    d.text(x + w / 2, 149, "the delimiter", "m", "middle")
    d.step(182, 2, "The program drops the delimiter and appends Wait.")
    x, _ = d.chips(left, 200, ["1 r 1", "…", *LINES[5:], "stop"], "sampled")
    x, _ = d.chips(x, 200, ["Wait"], "continuation")
    d.text(x + 8, 219, "forced", "m")
    d.step(264, 3, "The model thinks on, and finds the third r.")
    x, _ = d.chips(left, 282, ["…", "stop"], "sampled")
    x, _ = d.chips(x, 282, ["Wait"], "continuation")
    x, _ = d.chips(x, 282, MORE, "sampled")
    d.step(346, 4, "It stops again. The program closes, and the model answers.")
    x, _ = d.chips(left, 364, [CLOSE], "close")
    d.chips(x, 364, ["Answer: 3"], "answer")
    d.text(left, 422, "Own stop: 55 thinking tokens, answer 2.   One Wait: 74, answer 3.", "m")
    return d.svg(444)


def ladder() -> str:
    """One pass, with an answer at every rung."""
    d = Drawing(
        "A ladder: one pass, an answer at every rung",
        "One thinking of 74 tokens: lines 1 to 7, Wait, lines 8 and 9. On its way it passes four "
        "rungs: the caps of 16 and 24 tokens, the own stop at 55, and the end after one Wait at "
        "74. At each rung a copy is closed and answered: 1, 1, 2 and 3. One by one the rungs "
        "think 16 + 24 + 55 + 74 = 169 tokens; the ladder thinks 74.",
        "s1-tiny",
    )
    d.text(MARGIN, 76, "the thinking, once: 74 tokens", "m")
    texts = ["1 r 1", "…", "3 ras 1", "4 asp 1", "…", "7 ber 2", "stop", "Wait", "8 err 3", "…"]
    x, starts = float(MARGIN), []
    for text in texts:
        starts.append(x)
        x, _ = d.chips(x, 86, [text], "continuation" if text == "Wait" else "sampled", 4)
    line = chip_width(LINES[2])  # lines 3 and 4: 16 is the third of 8 tokens, 24 the third too
    ends = [starts[2] + line * 3 / 8, starts[3] + line * 3 / 8, starts[7] - 2, x - 4]
    for n, (name, tokens, found) in enumerate(RUNGS):
        left, up = (58, 184, 316, 445)[n], 118
        d.arrow((ends[n], up), (ends[n], 158))
        side = -6 if n in (0, 3) else 6
        d.text(ends[n] + side, 143, str(tokens), "m", "end" if side < 0 else "start")
        d.box(left, 160, 104, 28, "blue", name, "b")
        d.box(left, 192, 104, 28, "answer", f"Answer: {found}", "c")
    d.text(MARGIN, 258, "thinking tokens that are written", "m")
    x = 124.0
    for _, tokens, _ in RUNGS:
        d.box(x, 270, 2.2 * tokens, 26, "sampled", str(tokens), "m")
        x += 2.2 * tokens
    d.text(MARGIN, 288, "one by one")
    d.text(x + 10, 288, "169", "b")
    d.text(MARGIN, 322, "ladder")
    d.box(124, 304, 2.2 * 74, 26, "sampled", "74", "m")
    d.text(124 + 2.2 * 74 + 10, 322, "74", "b")
    return d.svg(350)


def program() -> str:
    """A program asks, the driver carries, the engine answers."""
    d = Drawing(
        "Programs ask, the engine answers",
        "Left, three programs, one for each question. In the middle the driver, right the engine, "
        "which runs the model. Requests go from the programs over the driver to the engine, and "
        "completions come back. Below, the three requests of one question with one Wait: "
        "continue the prompt, get lines 1 to 7; continue after Wait, get lines 8 and 9; "
        "continue after the close, get Answer: 3.",
        "s1-tiny",
    )
    for n in range(3):
        y = 60 + 46 * n
        d.box(MARGIN, y, 122, 36, "blue", f"question {n + 1}")
        d.arrow((150, y + 12), (242, y + 12))
        d.arrow((242, y + 24), (150, y + 24))
    d.box(246, 60, 108, 128, "blue", "driver\nkeeps all\nquestions\nmoving")
    d.arrow((358, 112), (450, 112))
    d.arrow((450, 136), (358, 136))
    d.text(404, 103, "Requests", "m", "middle")
    d.text(404, 156, "Completions", "m", "middle")
    d.box(454, 60, 122, 128, "blue", "engine\nruns the\nmodel, many\nat once")
    d.text(MARGIN + 61, 210, "programs", "m", "middle")
    d.text(MARGIN, 246, "One question with one Wait", "b")
    d.text(MARGIN + 31, 272, "the program asks: continue …", "m")
    d.text(332, 272, "the engine writes", "m")
    rows = [
        ([("the prompt", "prompt")], ["1 r 1", "…", "7 ber 2", "stop"], "sampled"),
        ([("…", "sampled"), ("stop", "sampled"), ("Wait", "continuation")], MORE, "sampled"),
        ([("…", "sampled"), (CLOSE, "close")], ["Answer: 3"], "answer"),
    ]
    for n, (asked, written, kind) in enumerate(rows):
        y = 284 + 42 * n
        d.box(MARGIN, y + 4, 21, 21, "blue", str(n + 1), "b")
        x = MARGIN + 31.0
        for text, origin in asked:
            x, _ = d.chips(x, y, [text], origin)
        d.arrow((x + 4, y + 14), (322, y + 14))
        d.chips(332, y, written, kind)
    d.text(MARGIN, 430, "Then the program returns the trace.", "m")
    return d.svg(452)


def probes() -> str:
    """A fork of probes from one trace."""
    d = Drawing(
        "Probes: an answer asked for in the middle",
        "One thinking runs from left to right, with lines 1 to 7 and a stop. After 16, 32 and 48 "
        "tokens it forks: a copy is closed by force and answers, each time 1. The copy is thrown "
        "away and the thinking goes on. After its own stop at 55 tokens the trace answers 2. A "
        "stopping rule reads the answers so far and decides: answer now, or think on.",
        "s1-tiny",
    )
    scale = 8.6
    sizes, at = [6, 7, 8, 8, 8, 8, 10], 0
    d.text(MARGIN, 76, "the thinking goes on, untouched", "m")
    for size, text in zip(sizes, LINES, strict=True):
        d.box(MARGIN + scale * at, 86, scale * size, 30, "sampled", text, "c")
        at += size
    d.arrow((MARGIN + scale * 55 + 4, 101), (RIGHT - 32, 101), (RIGHT - 32, 158))
    for n, (tokens, found) in enumerate(PROBES):
        x, left = MARGIN + scale * tokens, 100 + 138 * n
        d.arrow((x, 118), (x, 158), kind="dashed")
        d.text(x + 7, 143, str(tokens), "m")
        d.box(left, 160, 124, 88, "gone")
        d.text(left + 62, 180, "a copy", "m", "middle")
        d.box(left + 7, 187, 110, 26, "prefix", "Final Answer:", "c")
        d.box(left + 44, 217, 36, 26, "answer", str(found), "c")
    d.box(RIGHT - 64, 160, 64, 88, "answer", "own\nstop:\n2", "t")
    d.gather([100 + 138 * n + 62 for n in range(3)], 250, 278)
    question = "a stopping rule reads the answers so far:\nanswer now, or think on?"
    d.box(110, 280, 380, 52, "blue", question)
    return d.svg(356)
