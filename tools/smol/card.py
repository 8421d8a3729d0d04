"""The cards of the adapters. Every figure is of ``s1lab/smol/measured.json``."""

from __future__ import annotations

import math
from typing import Any

import s1lab as lab
from tools.smol.data import ASKED, PATIENCE
from tools.smol.measure import CAPS, OTHERS, WAITS, bars, percent

_HEAD = """---
license: apache-2.0
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
library_name: peft
pipeline_tag: text-generation
tags: [s1lab, test-time-scaling, budget-forcing, lora]
---

# {name}

"""
_TASKS = """Seven families of reasoning-gym's questions, each at three levels: chains of sums, legs of animals, letters of a text, greatest common divisors, sorting of words, countdown with + and -,
and grade-school word problems (gsm_symbolic). Where a guess is often right, the package's questions are not all asked: divisors are above 5, a counted letter comes at least once in
four words, and countdown never adds all numbers. An eighth family, spelling a word backward, is in no training row.
"""
_LIMITS = """Anything but these families. Within them it makes slips: a wrong digit, a letter left out of a word, a wrong number taken over from the question. It rarely notices one, so its
answers are confident and often wrong. What is measured here holds for a model of 135 million weights on made-up questions. It proves nothing about a larger model.
"""


def card(name: str) -> str:
    """Write the card of "s1-smol" or "s1-smol-waits" as Markdown."""
    known = lab.smol.measured()
    found = known[name]
    asked = lab.smol.benchmark()
    trained = [place for place, family in enumerate(asked["trained"]) if family]
    text = _HEAD.format(name=name)
    text += _what(name) + "\n## What it can do\n\n" + _TASKS + "\n"
    text += _curve(found["rungs"], trained, len(asked)) + "\n" + _families(found["rungs"], asked)
    if name == "s1-smol":
        text += "\n" + _bars(found["rungs"])
    text += "\n## What a Wait does\n\n" + _waits(found["rungs"], trained)
    text += "\n## What it cannot do\n\n" + _LIMITS
    return text + "\n## How it was made\n\n" + _made(name, known)


def _what(name: str) -> str:
    if name == "s1-smol":
        return """A LoRA adapter for SmolLM2-135M-Instruct, fine-tuned on 1,000 traces. `lab.load("s1-smol")` loads both. No row teaches it to stop early, and no row has "Wait" or another
text that suppresses a stop. So what a cap and a Wait do to it was not taught.
"""
    return f"""The adapter that s1-smol is compared with: the same base, the same questions and as many tokens of thinking, but taught as the embedded toy is. Its traces stop after every
{PATIENCE} lines, and go on behind a "Wait".
"""


def _curve(rungs: dict[str, Any], places: list[int], every: int) -> str:
    rest = [place for place in range(every) if place not in set(places)]
    lines = [
        f"Measured on {len(places)} questions of the trained families and {len(rest)} of the one kept out, greedy. Accuracy in percent with its 95 % interval (Wilson's):",
        "",
        "| budget | thinking tokens | trained families | kept out |",
        "| --- | --- | --- | --- |",
    ]
    for rung, kept in rungs.items():
        tokens = _of(kept["thinking_tokens"], places)
        shown = [_interval(_of(kept["correct"], part)) for part in (places, rest)]
        lines.append(f"| {rung} | {sum(tokens) / len(tokens):.0f} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def _families(rungs: dict[str, Any], asked: Any) -> str:
    shown = ("at once", f"cap {CAPS[1]}", f"cap {CAPS[3]}", "own stop", "1 Wait")
    lines = [
        "By family and level, right answers of those asked:",
        "",
        f"| family | level | {' | '.join(shown)} |",
        f"| --- | --- | {' | '.join('---' for _ in shown)} |",
    ]
    cells = list(zip(asked["family"], asked["level"], strict=True))
    for cell in sorted(set(cells), key=lambda cell: (list(lab.smol.FAMILIES).index(cell[0]), cell)):
        places = [place for place, other in enumerate(cells) if other == cell]
        counts = [
            f"{_of(rungs[rung]['correct'], places).count('1')} of {len(places)}" for rung in shown
        ]
        lines.append(f"| {cell[0]} | {cell[1]} | {' | '.join(counts)} |")
    return "\n".join(lines) + "\n"


def _bars(rungs: dict[str, Any]) -> str:
    lines = ["| bar | measured | |", "| --- | --- | --- |"]
    lines += [
        f"| {bar} | {kept['measured']:.1f} | {'holds' if kept['holds'] else 'fails'} |"
        for bar, kept in bars(rungs).items()
    ]
    return "\n".join(["The bars that were set before:", "", *lines]) + "\n"


def _waits(rungs: dict[str, Any], places: list[int]) -> str:
    before = _of(rungs["own stop"]["correct"], places)
    lines = [
        "Against the own stop, on the trained families, in points with the paired 95 % interval:",
        "",
        "| | points | wrong to right | right to wrong |",
        "| --- | --- | --- | --- |",
    ]
    names = [f"{n} Wait{'s' * (n > 1)}" for n in WAITS] + [text for text in OTHERS if text in rungs]
    for name in names:
        after = _of(rungs[name]["correct"], places)
        change = lab.metrics.paired_bootstrap(_digits(after), _digits(before))
        turned = lab.metrics.flips(
            list(map(bool, _digits(before))), list(map(bool, _digits(after)))
        )
        lines.append(f"| {name} | {change} | {turned.wrong_to_right} | {turned.right_to_wrong} |")
    return "\n".join(lines) + "\n"


def _made(name: str, known: dict[str, Any]) -> str:
    trained = known[name]["trained"]
    recipe = lab.sft.recipe("smol")
    assert recipe.lora is not None
    loss, last = trained["loss"], trained["loss"][-15:]
    command = "make smol" if name == "s1-smol" else "make smol ARGS=--compare"
    text = f"""`{command}`, seed {trained["seed"]}, {math.ceil(trained["seconds"] / 60)} minutes of training on two cores. Recipe `smol`: LoRA of rank {recipe.lora.rank} on all projections, {recipe.epochs} epochs over {trained["rows"]:,} rows
({trained["tokens"]:,} tokens an epoch), {trained["steps"]} steps of {recipe.batch} rows, learning rate {recipe.rate:g}, float32. Loss {loss[0]:.2f} at first, {sum(last) / len(last):.3f} over the last {len(last)} steps. The adapter ships as bfloat16.

"""
    steps = {step["stage"].partition(" ")[0]: step for step in known["s1-smol"]["curation"]}
    return text + (
        f"The rows are of a pool of {steps['quality']['before']:,} questions (`lab.smol.pool`), whose thinking was written by a small program for each family. Left after tests of quality: {steps['quality']['after']:,}; after those that ask the same\n"
        f"as a test question: {steps['decontaminate']['after']:,}. Of the first {ASKED:,}, the base solves {steps['difficulty']['before'] - steps['difficulty']['after']}. From the others, Algorithm 1 of the paper chose {steps['select']['after']:,}.\n"
    )


def _of(values: Any, places: list[int]) -> Any:
    found = [values[place] for place in places]
    return "".join(found) if isinstance(values, str) else found


def _digits(outcomes: str) -> list[int]:
    return [int(digit) for digit in outcomes]


def _interval(outcomes: str) -> str:
    return f"{lab.metrics.share_interval(percent(outcomes), len(outcomes))}"
