"""The ids that end an answer: those in the model's files, and the chat template's end of turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from s1lab.engines.model_files import reading, settings_of


def end_ids(model: str, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """The ids that end an answer of a model with files, the same for every engine.

    See `ends_of`.
    """
    with reading(model):
        return ends_of(
            tokenizer,
            settings_of(model, "generation_config.json"),
            settings_of(model, "config.json"),
        )


def end_ids_of(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """The ids that end an answer of a model in memory that has no files."""
    return ends_of(
        tokenizer, network.generation_config.to_dict() if network.generation_config else {}, {}
    )


def ends_of(
    tokenizer: PreTrainedTokenizerBase, generation: Mapping[str, Any], config: Mapping[str, Any]
) -> set[int]:
    """The ids that end an answer: all ids in the model's files, and the template's end of turn.

    Any of them may be the only right one. Some published fine-tuned models have a generation config
    with ``<|endoftext|>``, but all turns that they learnt end in ``<|im_end|>``.

    Args:
        tokenizer: The model's tokenizer, with its chat template.
        generation: The generation config, as written.
        config: The model's config, as written.

    Returns:
        Ids within the tokenizer's vocabulary.
    """
    named = _eos(generation) | _eos({"eos_token_id": tokenizer.eos_token_id}) | turn_ends(tokenizer)
    own = _eos(config) | _eos(config.get("text_config") or {})
    known = range(_size(tokenizer))
    named, own = {i for i in named if i in known}, {i for i in own if i in known}
    # A config often keeps the end of another model's vocabulary. If there are other ends, an
    # ordinary token there is not an end.
    return named | {i for i in own if not named or i in tokenizer.added_tokens_decoder}


def _eos(settings: Mapping[str, Any]) -> set[int]:
    named = settings.get("eos_token_id")
    return {
        i
        for i in (named if isinstance(named, list) else [named])
        if isinstance(i, int) and not isinstance(i, bool)
    }


def _size(tokenizer: PreTrainedTokenizerBase) -> int:
    """The largest id plus one. It is more than ``len`` if a vocabulary has gaps."""
    return max(len(tokenizer), max(tokenizer.added_tokens_decoder, default=0) + 1)


def turn_ends(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """The control token that the chat template puts right after the assistant's text.

    The set is empty if it puts none.
    """
    text = "s1lab looks for the end of this turn"
    turns = [{"role": "user", "content": "Go"}, {"role": "assistant", "content": text}]
    try:
        shown = (
            tokenizer.apply_chat_template(turns, tokenize=False) if tokenizer.chat_template else ""
        )
    except Exception:  # a template without such turns has no end
        return set()
    behind = str(shown).rpartition(text)[2].lstrip()
    found = {
        str(token): number
        for number, token in tokenizer.added_tokens_decoder.items()
        # Some models have ChatML's tokens as ordinary tokens. Other added tokens may be words.
        if behind.startswith(str(token))
        and (token.special or (str(token)[:1] == "<" and str(token)[-1:] == ">"))
    }
    return {found[max(found, key=len)]} if found else set()
