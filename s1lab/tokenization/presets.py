"""Which preset a tokenizer belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s1lab.template import DEEPSEEK, HARMONY, MAGISTRAL, PRESETS, S1, THINK_TAGS, ThinkTemplate
from s1lab.tokenization.chat_template import mentions
from s1lab.tokenization.delimiters import single_id

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# In the order in which they are looked for: a tokenizer must know these texts as one token each.
KNOWN_BY = (
    (DEEPSEEK, (*DEEPSEEK.ends, "<｜Assistant｜>")),
    (THINK_TAGS, THINK_TAGS.ends),
    (MAGISTRAL, MAGISTRAL.ends),
    (HARMONY, ("<|channel|>", "<|start|>", "<|message|>", "<|end|>")),
    (S1, S1.ends),
)


def preset(template: str | ThinkTemplate | None, tokenizer: PreTrainedTokenizerBase) -> ThinkTemplate:
    """The template itself, a preset by name, or (None) the preset whose delimiters the tokenizer knows.

    A tokenizer with ``</think>`` as one token gets "think-tags" (or "deepseek-v3.1", by its chat template), one with
    ``[/THINK]`` "magistral", one with the tokens of gpt-oss "harmony", and one with ChatML's ``<|im_start|>`` "s1".
    """
    if isinstance(template, ThinkTemplate):
        return template
    if template is not None:
        if template not in PRESETS:
            raise ValueError(f"no template preset is called {template!r}: choose from {list(PRESETS)} or pass a ThinkTemplate")
        return PRESETS[template]
    for candidate, texts in KNOWN_BY:
        switched = candidate is not DEEPSEEK or mentions(tokenizer, "thinking")  # R1 has the same tokens, and no switch
        if switched and all(single_id(text, tokenizer) is not None for text in texts):
            return candidate
    raise ValueError(
        "the tokenizer knows the delimiters of no preset as single tokens "
        f"({', '.join(dict.fromkeys(repr(texts[0]) for _, texts in KNOWN_BY))}): name the preset that the model was trained on, "
        "or pass template=ThinkTemplate(...)"
    )
