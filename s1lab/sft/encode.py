"""Rows of training: which tokens a model sees, and which of them it is to learn."""

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
    """How the recipe marks thinking, in the ids of a model's tokenizer; its weights are not loaded."""
    tokenizer = load_tokenizer(model)
    return bind(recipe.template, tokenizer, end_ids(model, tokenizer))


def encode(dataset: Dataset, template: BoundTemplate, recipe: Recipe, *, cut: bool = False) -> Dataset:
    """input_ids, labels and row (its number): the question without loss, reasoning and answer with it (paper, appendix D).

    dataset: question, thinking and attempt, as curation gives them, made into rows as ``recipe.rows`` says; or prompt and
        completion, as :func:`s1lab.curate.to_sft` makes them; or input_ids and labels. The last two are taken as they are.
    cut: rows longer than the recipe's block are cut at it. The default refuses them, since training on cut rows teaches to
        think without end: in the paper's Table 8, 74 % cut rows gave 20,721 thinking tokens and 30.0 on AIME24 instead of 50.0.
    Raises ValueError for another kind of dataset, an empty trace or answer, and rows that exceed the block.
    """
    if not isinstance(dataset, Dataset):
        raise ValueError(f"the rows are a {type(dataset).__name__}: give a Dataset, such as Dataset.from_list makes of rows")
    if not len(dataset):
        raise ValueError("the dataset has no rows: give at least one")
    columns = set(dataset.column_names)
    if {"input_ids", "labels"} <= columns:
        rows = [(list(r["input_ids"]), list(r["labels"])) for r in dataset.select_columns(["input_ids", "labels"])]
    elif {"prompt", "completion"} <= columns:
        rows = [_encoded(template, recipe, r["prompt"], r["completion"]) for r in dataset]
    elif {"question", "thinking", "attempt"} <= columns:
        rows = [_encoded(template, recipe, r["prompt"], r["completion"]) for r in to_sft(dataset, template, rows=recipe.rows)]
    else:
        raise ValueError(
            f"the dataset has no traces, only {dataset.column_names}: it needs question, thinking and attempt (as curate.select "
            "gives them), or prompt and completion (curate.to_sft)"
        )
    _fit(rows, recipe, cut)
    if recipe.block is not None:
        rows = [(ids[: recipe.block], labels[: recipe.block]) for ids, labels in rows]
    for place, (ids, labels) in enumerate(rows):
        if len(ids) != len(labels):
            raise ValueError(f"row {place} has {len(ids)} ids and {len(labels)} labels: give one label an id")
        if ids and max(ids) >= len(template.tokenizer):
            raise ValueError(
                f"row {place} has the id {max(ids)}, beyond the tokenizer's {len(template.tokenizer)}: encode it anew"
            )
    # The first token of a row is nobody's successor: a label on it teaches nothing.
    without = next((place for place, (_, labels) in enumerate(rows) if all(label == IGNORED for label in labels[1:])), None)
    if without is not None:
        raise ValueError(f"row {without} has nothing to learn: every token of it is masked")
    return Dataset.from_dict(
        {"input_ids": [ids for ids, _ in rows], "labels": [labels for _, labels in rows], "row": list(range(len(rows)))}
    )


def _fit(rows: list[tuple[list[int], list[int]]], recipe: Recipe, cut: bool) -> None:
    long = [place for place, (ids, _) in enumerate(rows) if recipe.block is not None and len(ids) > recipe.block]
    if long and not cut:
        longest = max(long, key=lambda place: len(rows[place][0]))
        raise ValueError(
            f"{len(long):,} of {len(rows):,} rows are longer than the block of {recipe.block:,} tokens (the longest, "
            f"row {longest}, has {len(rows[longest][0]):,}): raise block, drop them, or pass cut=True, "
            "which taught the paper's model to ramble"
        )


def _encoded(template: BoundTemplate, recipe: Recipe, prompt: str, completion: str) -> tuple[list[int], list[int]]:
    ids = template.encode(prompt)
    labels = [IGNORED] * len(ids)
    for text, learn in _pieces(completion, recipe):
        new = template.encode(text)
        ids += new
        labels += new if learn else [IGNORED] * len(new)
    return ids, labels


def _pieces(completion: str, recipe: Recipe) -> list[tuple[str, bool]]:
    """The completion in pieces, with whether each is learned. Without words to leave out it is one piece, tokenised whole."""
    if not recipe.unlearned:
        return [(completion, True)]
    words = "|".join(map(re.escape, recipe.unlearned))
    parts: list[Any] = re.split(rf"(?m)^({words})$", completion)
    return [(text, at % 2 == 0) for at, text in enumerate(parts) if text]
