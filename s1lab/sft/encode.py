"""Rows of training: the tokens that a model sees, and those that it learns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from datasets import Dataset

from s1lab.curate.io import stop_texts, to_sft, with_newlines
from s1lab.engines.end_of_sequence import end_ids
from s1lab.engines.model_files import load_tokenizer
from s1lab.evaluation.arguments import dataset_fix
from s1lab.sft.recipes import Recipe
from s1lab.tokenization.bound_template import BoundTemplate, bind
from s1lab.tokenization.conversation import conversation

IGNORED = -100  # the label of a token without loss


def template(model: str, recipe: Recipe) -> BoundTemplate:
    """Bind the recipe's thinking delimiters to the ids of a model's tokenizer.

    The model's weights are not loaded.

    Args:
        model: A name that `s1lab.load` knows, a folder or a hub id.
        recipe: The recipe, which names the template.

    Returns:
        The bound template.

    Example:
        template = lab.sft.template("s1-tiny-base", lab.sft.recipe("tiny"))
    """
    tokenizer = load_tokenizer(model)
    return bind(recipe.template, tokenizer, end_ids(model, tokenizer))


def encode(
    dataset: Dataset, template: BoundTemplate, recipe: Recipe, *, cut: bool = False
) -> Dataset:
    """Make token ids and labels: the question without loss, reasoning and answer with it.

    This is the paper's masking (appendix D).

    Args:
        dataset: One of three kinds: question, thinking and attempt, as curation gives them, which
            are made into rows as ``recipe.rows`` says; prompt and completion, as
            `s1lab.curate.to_sft` makes them, or as messages, which the chat template writes; or
            input_ids and labels. The last two are used unchanged, but for Windows line ends
            (CRLF) in a text, which become newlines with a warning.
        template: The model's template, from `template`.
        recipe: The recipe.
        cut: Cut rows that are longer than the recipe's block. The default refuses them, since cut
            rows teach a model to think without end: in the paper's Table 8, 74 % cut rows gave
            20,721 thinking tokens and 30.0 on AIME24 instead of 50.0.

    Returns:
        A Dataset with input_ids, labels and row (the row's number).

    Raises:
        ValueError: If the dataset is of another kind, a trace or an answer is empty or holds a
            stop of the model, an id or a label is none of the tokenizer's, or rows are longer than
            the block. The error names the row and the place.

    Example:
        rows, _ = lab.curate.traces(lab.tiny.Teacher(), lab.tiny.problems(4, split="train"))
        recipe = lab.sft.recipe("tiny")
        encoded = lab.sft.encode(rows, lab.sft.template("s1-tiny-base", recipe), recipe)
    """
    if not isinstance(dataset, Dataset):
        raise ValueError(
            f"the rows are a {type(dataset).__name__}, not a Dataset: {dataset_fix(dataset)}"
        )
    if not len(dataset):
        raise ValueError("the dataset has no rows: give at least one")
    columns = set(dataset.column_names)
    if {"input_ids", "labels"} <= columns:
        rows = [
            _numbers(place, r["input_ids"], r["labels"], len(template.tokenizer))
            for place, r in enumerate(dataset.select_columns(["input_ids", "labels"]))
        ]
    elif {"prompt", "completion"} <= columns:
        pairs = dataset.select_columns(["prompt", "completion"])
        texts = [_texts(template, place, r) for place, r in enumerate(pairs)]
        rows = [
            _encoded(template, recipe, r["prompt"], r["completion"])
            for r in with_newlines(texts, ("completion",))
        ]
    elif {"question", "thinking", "attempt"} <= columns:
        rows = [
            _encoded(template, recipe, r["prompt"], r["completion"])
            for r in to_sft(dataset, template, rows=recipe.rows)
        ]
    else:
        raise ValueError(
            f"the dataset has no traces, only {dataset.column_names}: it needs question, thinking "
            "and attempt (as curate.select gives them), or prompt and completion (curate.to_sft)"
        )
    _fit(rows, recipe, cut)
    if recipe.block is not None:
        rows = [(ids[: recipe.block], labels[: recipe.block]) for ids, labels in rows]
    # The first token of a row follows nothing, so a label on it teaches nothing.
    without = next(
        (
            place
            for place, (_, labels) in enumerate(rows)
            if all(label == IGNORED for label in labels[1:])
        ),
        None,
    )
    if without is not None:
        raise ValueError(f"row {without} has nothing to learn: every token of it is masked")
    return Dataset.from_dict(
        {
            "input_ids": [ids for ids, _ in rows],
            "labels": [labels for _, labels in rows],
            "row": list(range(len(rows))),
        }
    )


def _numbers(place: int, ids: Any, labels: Any, vocabulary: int) -> tuple[list[int], list[int]]:
    """Check a row that comes as numbers: each is an id of the tokenizer, or a label without loss.

    Some losses take a label of -1, or one beyond the vocabulary, without an error.
    """
    for name, values in (("input_ids", ids), ("labels", labels)):
        if not isinstance(values, list | tuple | np.ndarray):
            kind = type(values).__name__
            raise ValueError(f"the {name} of row {place} are a {kind}: give a list of ids")
        odd = next((at for at, value in enumerate(values) if not _is_whole(value)), None)
        if odd is not None:
            raise ValueError(
                f"row {place} has {values[odd]!r:.40} at place {odd} of its {name}: give whole "
                "numbers, the ids of tokens"
            )
    if len(ids) != len(labels):
        raise ValueError(
            f"row {place} has {len(ids)} ids and {len(labels)} labels: give one label an id"
        )
    for name, values, fix in (
        ("id", ids, "encode it anew"),
        ("label", labels, f"give an id, or {IGNORED} for a token without loss"),
    ):
        for at, value in enumerate(values):
            if not 0 <= value < vocabulary and not (name == "label" and value == IGNORED):
                raise ValueError(
                    f"row {place} has the {name} {value} at place {at}, beyond the tokenizer's "
                    f"{vocabulary}: {fix}"
                )
    return [int(i) for i in ids], [int(label) for label in labels]


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _texts(template: BoundTemplate, place: int, row: dict[str, Any]) -> dict[str, str]:
    """A row of prompt and completion as two texts, checked."""
    prompt, completion = row["prompt"], row["completion"]
    if isinstance(prompt, list) and isinstance(completion, list):
        prompt, completion = _written(template, place, prompt, completion)
    for name, text in (("prompt", prompt), ("completion", completion)):
        if not isinstance(text, str):
            raise ValueError(
                f"the {name} of row {place} is a {type(text).__name__}: give a text, or lists of "
                "messages as prompt and as completion"
            )
    _check_stops(template, place, completion)
    return {"prompt": prompt, "completion": completion}


def _written(
    template: BoundTemplate, place: int, prompt: list[Any], completion: list[Any]
) -> tuple[str, str]:
    """Messages as the chat template writes them: the prompt, and what the answer adds to it."""
    asked = conversation(prompt, f"the prompt of row {place}")
    answered = completion[0] if len(completion) == 1 else None
    if not (
        isinstance(answered, Mapping)
        and answered.get("role") == "assistant"
        and isinstance(answered.get("content"), str)
    ):
        raise ValueError(
            f"the completion of row {place} is not one message of the assistant with its text: "
            'give [{"role": "assistant", "content": "…"}]'
        )
    before, whole = template.chat.render(asked), template.chat.answered(asked, answered["content"])
    if not whole.startswith(before):
        raise ValueError(
            f"the chat template writes the prompt of row {place} differently once the answer is "
            "behind it: give question, thinking and attempt, or prompt and completion as texts"
        )
    return before, whole[len(before) :]


def _check_stops(template: BoundTemplate, place: int, completion: str) -> None:
    """Refuse a completion in which a stop comes before the end of the turn."""
    think, end = template.template, template.tokenizer.eos_token
    for stop in stop_texts(template):
        at = completion.find(stop)
        while at >= 0:
            rest = completion[at + len(stop) :].lstrip()
            # The end of a turn may be followed by the next turn, or by the end of the text.
            turn = stop == end and any(
                rest.startswith(c) for c in template.encoder.controls_in(rest[:100])
            )
            if rest and (not turn or rest.startswith((think.open.strip(), think.close.strip()))):
                raise ValueError(
                    f"the completion of row {place} goes on behind {stop!r}, at which the model "
                    "stops: it would learn to stop there; take it out"
                )
            at = completion.find(stop, at + len(stop))


def _fit(rows: list[tuple[list[int], list[int]]], recipe: Recipe, cut: bool) -> None:
    long = [
        place
        for place, (ids, _) in enumerate(rows)
        if recipe.block is not None and len(ids) > recipe.block
    ]
    if long and not cut:
        longest = max(long, key=lambda place: len(rows[place][0]))
        raise ValueError(
            f"{len(long):,} of {len(rows):,} rows are longer than the block of {recipe.block:,} "
            f"tokens (the longest, row {longest}, has {len(rows[longest][0]):,}): raise block, "
            "drop them, or pass cut=True, which taught the paper's model to ramble"
        )


def _encoded(
    template: BoundTemplate, recipe: Recipe, prompt: str, completion: str
) -> tuple[list[int], list[int]]:
    ids = template.encode(prompt)
    labels = [IGNORED] * len(ids)
    for text, learn in _pieces(completion, recipe):
        new = template.encode(text)
        ids += new
        labels += new if learn else [IGNORED] * len(new)
    return ids, labels


def _pieces(completion: str, recipe: Recipe) -> list[tuple[str, bool]]:
    """Split the completion into (text, whether it is learned).

    If no words are left out, it is one piece, tokenised whole.
    """
    if not recipe.unlearned:
        return [(completion, True)]
    words = "|".join(map(re.escape, recipe.unlearned))
    parts: list[Any] = re.split(rf"(?m)^({words})$", completion)
    return [(text, at % 2 == 0) for at, text in enumerate(parts) if text]
