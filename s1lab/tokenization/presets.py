"""The templates of known models, and which of them a tokenizer knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s1lab.template import ThinkTemplate
from s1lab.tokenization.chat_template import mentions
from s1lab.tokenization.delimiters import single_id

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

S1 = ThinkTemplate(
    "<|im_start|>think\n", ("<|im_start|>", "<|im_end|>"), "<|im_start|>answer\n", "s1"
)
THINK_TAGS = ThinkTemplate("<think>\n", ("</think>",), "</think>\n\n", "think-tags")
# DeepSeek's chat template opens and closes with the bare tags, and so does the model.
DEEPSEEK = ThinkTemplate("<think>", ("</think>",), "</think>", "deepseek-v3.1", newline=False)
MAGISTRAL = ThinkTemplate("[THINK]", ("[/THINK]",), "[/THINK]", "magistral", newline=False)
_FINAL = "<|end|><|start|>assistant<|channel|>final<|message|>"
HARMONY = ThinkTemplate(
    "<|start|>assistant<|channel|>analysis<|message|>", (_FINAL,), _FINAL, "harmony", newline=False
)
PRESETS = {t.name: t for t in (S1, THINK_TAGS, DEEPSEEK, MAGISTRAL, HARMONY)}
# In the order of the search. A tokenizer must have each of these texts as one token.
KNOWN_BY = (
    (DEEPSEEK, (*DEEPSEEK.ends, "<｜Assistant｜>")),
    (THINK_TAGS, THINK_TAGS.ends),
    (MAGISTRAL, MAGISTRAL.ends),
    (HARMONY, ("<|channel|>", "<|start|>", "<|message|>", "<|end|>")),
    (S1, S1.ends),
)


def preset(
    template: str | ThinkTemplate | None, tokenizer: PreTrainedTokenizerBase
) -> ThinkTemplate:
    """The template itself, a preset by name, or the preset whose delimiters the tokenizer knows.

    A tokenizer with ``</think>`` as one token gets "think-tags" (or "deepseek-v3.1", depending on
    its chat template). One with ``[/THINK]`` gets "magistral", one with the tokens of gpt-oss
    "harmony", and one with ChatML's ``<|im_start|>`` "s1".

    Args:
        template: A ThinkTemplate, a preset's name, or None for the tokenizer's preset.
        tokenizer: The tokenizer.

    Raises:
        ValueError: No preset has that name, or the tokenizer knows the delimiters of none.
    """
    if isinstance(template, ThinkTemplate):
        return template
    if template is not None:
        if template not in PRESETS:
            raise ValueError(
                f"no template preset is called {template!r}: "
                f"choose from {list(PRESETS)} or pass a ThinkTemplate"
            )
        return PRESETS[template]
    for candidate, texts in KNOWN_BY:
        # R1 has the same tokens, but no switch.
        switched = candidate is not DEEPSEEK or mentions(tokenizer, "thinking")
        if switched and all(single_id(text, tokenizer) is not None for text in texts):
            return candidate
    raise ValueError(
        "the tokenizer knows the delimiters of no preset as single tokens "
        f"({', '.join(dict.fromkeys(repr(texts[0]) for _, texts in KNOWN_BY))}): "
        "name the preset that the model was trained on, "
        "or pass template=ThinkTemplate(...)"
    )
