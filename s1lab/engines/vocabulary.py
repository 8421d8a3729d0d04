"""Ids past the vocabulary.

Some models have more rows than their tokenizer has tokens, and some tokenizers have more tokens
than the model has rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from transformers import AutoConfig

from s1lab.engines.model_names import locate
from s1lab.engines.weights import ModelFilesError, listed

if TYPE_CHECKING:
    from s1lab.tokenization.bound_template import BoundTemplate


def rows_of(model: str) -> int | None:
    """How many ids the model's output has, including those past its tokenizer's vocabulary.

    None if its files don't say.
    """
    try:
        return int(AutoConfig.from_pretrained(locate(model), trust_remote_code=False).vocab_size)
    except Exception:  # no config, or one that transformers does not know
        return None


def outside(tokens: int, rows: int | None) -> frozenset[int]:
    """The ids past the vocabulary that a model can choose.

    Qwen's models have such rows and sometimes choose one. It can't be decoded. So an engine makes
    these ids stops, and continues from there with all of them masked.

    Args:
        tokens: How many tokens the tokenizer has.
        rows: How many ids the model's output has; None if that is not known.
    """
    return frozenset(range(tokens, rows or 0))


def check_embeddings(model: str, template: BoundTemplate, rows: int) -> None:
    """Compare a tokenizer with the rows of the model's embeddings.

    It warns of control tokens without a row.

    Args:
        model: The name to show.
        template: The template in the ids of the tokenizer.
        rows: How many ids the model's embeddings have a row for.

    Raises:
        ModelFilesError: Ordinary tokens, or tokens that every question needs, have no row.
    """
    tokenizer, marks = template.tokenizer, template.template
    try:
        shown = tokenizer.apply_chat_template(
            [{"role": "user", "content": "Go"}], tokenize=False, add_generation_prompt=True
        )
    # A template may require more than one user turn. Each question then has its own error.
    except Exception:
        shown = ""
    needed = set(template.think_stop | template.answer_stop)
    for text in (str(shown), marks.open, marks.close, *marks.ends):
        needed |= set(tokenizer.encode(text, add_special_tokens=False)) if text else set()
    if note := check_tokens(model, tokenizer, needed, rows):
        warnings.warn(note, stacklevel=4)


def beyond(ids: Mapping[str, int], rows: int) -> dict[str, int]:
    """The tokens whose ids have no row in embeddings with this many rows."""
    return {token: number for token, number in ids.items() if number >= rows}


def check_tokens(model: str, tokenizer: Any, needed: Collection[int], rows: int) -> str | None:
    """Compare a tokenizer with the number of embedding rows.

    Args:
        model: The name to show.
        tokenizer: The model's tokenizer.
        needed: Ids that every question needs: of the chat template, the delimiters, the ends.
        rows: How many ids the model's embeddings have a row for.

    Returns:
        A note if the only tokens without a row are control tokens that no question needs, such as a
        ``[PAD]`` that was added without resizing the embeddings; else None.

    Raises:
        ModelFilesError: Ordinary tokens, or needed ones, have no row.
    """
    if len(tokenizer) <= rows and max(needed, default=0) < rows:
        return None
    without = beyond(tokenizer.get_vocab(), rows)
    if not without:
        return None
    control = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    fix = (
        "resize the embeddings (model.resize_token_embeddings) and train, or use the tokenizer "
        "that belongs to the model"
    )
    ordinary = [token for token, number in without.items() if number not in control]
    if ordinary or set(without.values()) & set(needed):
        raise ModelFilesError(
            f"the tokenizer of {model!r} has the tokens {listed(ordinary or without)} past the "
            f"{rows:,} rows of the model's embeddings: {fix}"
        )
    return (
        f"the tokenizer of {model!r} has {listed(without)} past the {rows:,} rows of the model's "
        "embeddings: a question that holds one of them is an error"
    )
