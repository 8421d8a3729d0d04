"""How a model marks its thinking: the opening, the delimiters that end it, the text that closes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class ThinkTemplate:
    """Delimiters as text.

    open: appended to the chat prompt, unless its template has done so; what follows is thinking.
    ends: delimiters that the model samples to end its thinking; each must be one token of the tokenizer.
    close: what the program appends to end the thinking, by itself or cut; the answer follows. It starts on a new line.
    """

    open: str
    ends: tuple[str, ...]
    close: str
    name: str = "custom"

    def opening(self, prompt: str) -> str:
        """What opens the thinking behind a prompt: ``open``, or what lacks of it where the chat template opens it (QwQ, R1)."""
        mark = self.open.strip()
        if not mark or not prompt.rstrip().endswith(mark):
            return self.open
        return "" if prompt[-1].isspace() else self.open[len(self.open.rstrip()) :]


S1 = ThinkTemplate("<|im_start|>think\n", ("<|im_start|>", "<|im_end|>"), "<|im_start|>answer\n", "s1")
THINK_TAGS = ThinkTemplate("<think>\n", ("</think>",), "</think>\n\n", "think-tags")
PRESETS = {t.name: t for t in (S1, THINK_TAGS)}
MARK_IDS = 32  # the most ids that an opening delimiter is looked for in


@dataclass(frozen=True)
class BoundTemplate:
    """A ThinkTemplate in the ids of one tokenizer: what programs and engines use. Made by :func:`bind`."""

    template: ThinkTemplate
    tokenizer: PreTrainedTokenizerBase = field(repr=False)
    think_stop: frozenset[int]  # ids that end the thinking, an end of sequence included
    answer_stop: frozenset[int]  # ids that end the answer

    def encode(self, text: str | None) -> list[int]:
        """Ids of a text, nothing added around it."""
        return list(self.tokenizer.encode(text, add_special_tokens=False)) if text else []

    def decode(self, ids: list[int]) -> str:
        """Text of ids, special tokens shown, spaces as they are."""
        text = self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        assert isinstance(text, str)
        return text

    def prompt(self, question: str, system: str | None = None) -> list[int]:
        """Ids of the chat prompt up to where the assistant's turn begins."""
        turns = [{"role": "system", "content": system}] if system is not None else []
        turns.append({"role": "user", "content": question})
        text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        assert isinstance(text, str)
        return self.encode(text)

    def open_ids(self, after: Sequence[int] = ()) -> list[int]:
        """Ids of the opening delimiter behind these ids, which may have it already."""
        return self.encode(self.template.opening(self.decode(list(after[-MARK_IDS:]))))

    def close_ids(self, after: list[int]) -> list[int]:
        """The close, on a line of its own: a newline comes first where the thinking does not end in one."""
        newline = not after or not self.decode(after[-1:]).endswith("\n")
        return self.encode("\n" + self.template.close if newline else self.template.close)


def preset(template: str | ThinkTemplate | None, tokenizer: PreTrainedTokenizerBase) -> ThinkTemplate:
    """The template itself, a preset by name, or (None) the preset whose delimiters the tokenizer knows.

    A tokenizer with ``</think>`` as one token gets ``think-tags``, one with ChatML's ``<|im_start|>`` gets ``s1``.
    """
    if isinstance(template, ThinkTemplate):
        return template
    if template is not None:
        if template not in PRESETS:
            raise ValueError(f"no template preset is called {template!r}: choose from {list(PRESETS)} or pass a ThinkTemplate")
        return PRESETS[template]
    for candidate in (THINK_TAGS, S1):
        if all(_single(end, tokenizer) is not None for end in candidate.ends):
            return candidate
    raise ValueError(
        "the tokenizer splits the end-of-thinking delimiters of every preset "
        f"({', '.join(repr(e) for t in PRESETS.values() for e in t.ends)}) into several tokens: pass template=ThinkTemplate(...) "
        "with delimiters that are single tokens of this model"
    )


def bind(template: str | ThinkTemplate | None, tokenizer: PreTrainedTokenizerBase, eos_ids: set[int]) -> BoundTemplate:
    """Check a template against a tokenizer and turn it into ids.

    eos_ids: the ids that end a sequence for this model (its generation config's and its tokenizer's).
    Raises ValueError for a tokenizer without a chat template or one that splits an end delimiter.
    """
    if not tokenizer.chat_template:
        raise ValueError(
            "the tokenizer has no chat template: use an instruction-tuned model, or set tokenizer.chat_template and save it"
        )
    chosen = preset(template, tokenizer)
    ends = set()
    for end in chosen.ends:
        single = _single(end, tokenizer)
        if single is None:
            pieces = tokenizer.tokenize(end)
            raise ValueError(
                f"the tokenizer splits the end-of-thinking delimiter {end!r} into {len(pieces)} tokens {pieces}, so it can't be "
                "told from ordinary text: add it to the tokenizer as a special token, or pass a template with other delimiters"
            )
        ends.add(single)
    if not eos_ids:
        raise ValueError("the model names no end-of-sequence token: set eos_token_id in its generation config")
    return BoundTemplate(chosen, tokenizer, frozenset(ends | eos_ids), frozenset(eos_ids))


def _single(text: str, tokenizer: PreTrainedTokenizerBase) -> int | None:
    ids = tokenizer.encode(text, add_special_tokens=False)
    return ids[0] if len(ids) == 1 else None
