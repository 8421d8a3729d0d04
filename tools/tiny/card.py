"""Write the models' cards from the measurements."""

from __future__ import annotations

from typing import Any

_HEAD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
tags: [s1lab, test-time-scaling, budget-forcing]
---

# {name}

"""

_WORLD = """Six families of questions, each in three sizes, whose answer is found by writing numbered lines until one says `yes`: letters in a word (spelt behind
the two letters before each), the smallest x with ax = b mod m, two numbers of a list with a given sum, signs between numbers that make a target, the tallest of a row of
comparisons, and the greatest common divisor. It knows nothing else: no language, no other mathematics.
"""


def card(name: str, made: dict[str, Any]) -> str:
    """Write the card of "s1-tiny" or "s1-tiny-base" as Markdown; figures are from ``made.json``."""
    return _HEAD.format(name=name) + (_base(made) if name.endswith("base") else _tuned(made))


def _base(made: dict[str, Any]) -> str:
    trained, measured = made["trained"], made["measured"]
    pre = trained["pretrain"]
    last = f"{pre['loss'][-1]:.3f}" if pre["loss"] else "not recorded"
    return f"""The base model of s1lab's embedded world: {trained["weights"]:,} weights, Qwen2 architecture, float32, context 4,096.

## What it can do

{_WORLD}
It answers at once, or after at most a few lines. Asked for the answer alone it is right on {measured["base_without_thinking"]:.1f} % of
{measured["questions"]} questions ({measured["split"]} split, seed {measured["seed"]}, greedy, float32).

## How it was made

`make weights` (`python -m tools.tiny.make`), seed 0, {pre["minutes"]} minutes on two cores: {pre["steps"]:,} steps of {pre["rows"]} rows of {pre["tokens_a_row"]} tokens
({pre["tokens"]:,} in all), Muon for the matrices and AdamW for the rest, cosine schedule; last loss {last}. Three quarters of the documents are chats in which at
most five lines are written at a time, from anywhere in a search; a quarter are copying exercises. No long search is in them.
Test questions are kept out by construction (the split is a hash of the question's text), and so is the word "raspberry".
The first layer's heads start out looking 1, 2, 3 and 5 tokens back, and words start far apart: without either, copying is learned late.
"""


def _tuned(made: dict[str, Any]) -> str:
    trained, measured = made["trained"], made["measured"]
    rungs = {k: v for k, v in measured["rungs"].items() if isinstance(v, dict)}
    families = list(rungs["own stop"]["families"])
    table = "\n".join(
        f"| {name} | {r['thinking_tokens']:.0f} | {r['accuracy']:.1f} | "
        + " | ".join(f"{r['families'][f]:.0f}" for f in families)
        + " |"
        for name, r in rungs.items()
    )
    bars = "\n".join(
        f"| {bar} | {verdict['measured']} | {'holds' if verdict['holds'] else 'fails'} |"
        for bar, verdict in measured["bars"].items()
    )
    sft = trained["sft"]
    return f"""The thinking model of s1lab's embedded world: {trained["weights"]:,} weights, Qwen2 architecture, float32, context 4,096. `s1-tiny-base`, fine-tuned on
{sft["traces"]:,} traces in the paper's format (`<|im_start|>think`, `<|im_start|>answer`).

## What it can do

{_WORLD}
Measured on {measured["questions"]} questions of the {measured["split"]} split (seed {measured["seed"]}), greedy, float32, exact semantics; accuracy in percent, by family too:

| budget | thinking tokens | accuracy | {" | ".join(families)} |
| --- | --- | --- | {" | ".join("---" for _ in families)} |
{table}

The bars it is held to:

| bar | measured | |
| --- | --- | --- |
{bars}

"How many r in raspberry", at its own stop and after one Wait: {" and ".join(repr(a) for a in measured["rungs"]["raspberry"])}.

## How it was taught to stop too early, and to go on

By its data. The teacher writes at most 7 lines, then `stop`, and answers with what it has. Where a trace goes on, a continuation word stands after the stop ("Wait" in
eight of ten cases, "Hmm" or "Alternatively" in the others; never with loss), and the search goes on at the next line; a search that was finished repeats its last line.
A fifth of the traces are cut at a random token and answered at once, so that a forced cut is nothing new. This is why a Wait helps here, and why the effect can be measured
on a laptop. It proves nothing about a 32B model.

## What it cannot do

Anything outside its six families. Within them it makes slips, more of them the longer it searches; after a slip it may say `yes` to a wrong line, and a Wait makes it say
so again.

## How it was made

`make weights` (`python -m tools.tiny.make`), seed 0, {sft["minutes"]} minutes on two cores for this part, on trl: {sft["traces"]:,} questions that the base model does not answer at
once, every family and size alike; {sft["epochs"]} epochs, batch {sft["batch"]}, learning rate {sft["rate"]}, 5 % warm-up, cosine, betas 0.9 and 0.95, weight decay 1e-4; last loss {sft["loss"][-1]:.3f}.
"""


_ASKS = {
    "tcc": (
        "token-conditional",
        'asked by "Think for up to 128 tokens." below the question',
        "lab.methods.token_conditional",
    ),
    "scc": (
        "step-conditional",
        'asked by "Think for up to 8 steps." below the question',
        "lab.methods.step_conditional",
    ),
    "ccc": (
        "class-conditional",
        "asked by one of the paper's two sentences below the question, or by none",
        "lab.methods.class_conditional",
    ),
}
_FORMATS = {
    "tcc": "the question names its trace's length in tokens, rounded up to a power of two",
    "scc": "the question names its trace's number of lines, rounded up to a power of two, and a header above each line counts down from it",
    "ccc": "the question has the sentence for short thinking where its trace is below the median length, else the one for long; every third has none",
}


def variant_card(kind: str, made: dict[str, Any]) -> str:
    """Write the card of "s1-tiny-KIND" as Markdown; figures are from ``variants.json``."""
    trained, measured = made["trained"], made["measured"]
    name, asked, call = _ASKS[kind]
    columns = [
        "asked",
        "thinking tokens",
        *(["of them headers", "steps"] if kind == "scc" else []),
        "accuracy",
    ]
    fields = [
        "asked",
        "thinking_tokens",
        *(["delimiter_tokens", "steps"] if kind == "scc" else []),
        "accuracy",
    ]
    rows = "\n".join(
        "| " + " | ".join(str(run[f] if run[f] is not None else "nothing") for f in fields) + " |"
        for run in measured["runs"]
    )
    return f"""{_HEAD.format(name=f"s1-tiny-{kind}")}A model of s1lab's embedded world for {name} control: `s1-tiny-base`, fine-tuned on {trained["rows"]:,} traces, {asked}. Use it as
`{call}(lab.load("s1-tiny-{kind}"), questions, ...)`.

## What it can do

{_WORLD}
Measured on {measured["questions"]} questions of the {measured["split"]} split (seed {measured["seed"]}), greedy, nothing forced below 1,024 tokens, on the weights as they are here (float16, loaded as float32):

| {" | ".join(columns)} |
| {" | ".join("---" for _ in columns)} |
{rows}

## How it was made

`make variants` (`python -m tools.tiny.variants`), seed 0, {trained["seconds"] / 60:.1f} minutes on two cores, by the recipe `tiny`: {trained["tokens"]:,} tokens, {trained["steps"]} steps, last loss {trained["loss"]:.3f}.
The traces are the embedded teacher's, on training questions of every family and size; the format is the paper's: {_FORMATS[kind]}.
How many lines the teacher writes before it gives up is drawn anew for each trace, so its length says little about the question: that is
why a length can be asked for. Nothing goes on after a stop: it never saw a "Wait". `s1lab_formats` in `config.json` tells s1lab what it was trained for.

What it shows holds for a model of under a million weights, and proves nothing about a larger one.
"""
