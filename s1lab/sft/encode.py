"""Rows of training: the tokens that a model sees, and those that it learns."""

from __future__ import annotations

import re
from typing import Any

from datasets import Dataset

from s1lab.curate.io import to_sft
from s1lab.engines.end_of_sequence import end_ids
from s1lab.engines.model_files import load_tokenizer
from s1lab.sft.recipes import Recipe
from s1lab.tokenization.bound_template import BoundTemplate, bind

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
            `s1lab.curate.to_sft` makes them; or input_ids and labels. The last two are used
            unchanged.
        template: The model's template, from `template`.
        recipe: The recipe.
        cut: Cut rows that are longer than the recipe's block. The default refuses them, since cut
            rows teach a model to think without end: in the paper's Table 8, 74 % cut rows gave
            20,721 thinking tokens and 30.0 on AIME24 instead of 50.0.

    Returns:
        A Dataset with input_ids, labels and row (the row's number).

    Raises:
        ValueError: If the dataset is of another kind, a trace or an answer is empty, or rows are
            longer than the block.

    Example:
        rows, _ = lab.curate.traces(lab.tiny.Teacher(), lab.tiny.problems(4, split="train"))
        recipe = lab.sft.recipe("tiny")
        encoded = lab.sft.encode(rows, lab.sft.template("s1-tiny-base", recipe), recipe)
    """
    if not isinstance(dataset, Dataset):
        raise ValueError(
            f"the rows are a {type(dataset).__name__}: give a Dataset, such as Dataset.from_list "
            "makes of rows"
        )
    if not len(dataset):
        raise ValueError("the dataset has no rows: give at least one")
    columns = set(dataset.column_names)
    if {"input_ids", "labels"} <= columns:
        rows = [
            (list(r["input_ids"]), list(r["labels"]))
            for r in dataset.select_columns(["input_ids", "labels"])
        ]
    elif {"prompt", "completion"} <= columns:
        rows = [_encoded(template, recipe, r["prompt"], r["completion"]) for r in dataset]
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
    for place, (ids, labels) in enumerate(rows):
        if len(ids) != len(labels):
            raise ValueError(
                f"row {place} has {len(ids)} ids and {len(labels)} labels: give one label an id"
            )
        if ids and max(ids) >= len(template.tokenizer):
            raise ValueError(
                f"row {place} has the id {max(ids)}, beyond the tokenizer's "
                f"{len(template.tokenizer)}: encode it anew"
            )
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
