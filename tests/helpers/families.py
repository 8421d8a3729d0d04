"""The embedded tokenizer and model in the formats of today's families: their tokens, and chat
templates in their form.

The models' new rows are random, so what they write has no sense. What is tested on them is the
bookkeeping.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from s1lab.tiny.tokenizer import build
from s1lab.tokenization.bound_template import BoundTemplate, bind
from tests.helpers import TINY

if TYPE_CHECKING:
    import torch


CHATML = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
)
# Qwen3's form: the thinking of earlier turns is left out, with the newlines behind it.
QWEN3 = CHATML.replace(
    "m['content'] +",
    "(m['content'].split('</think>')[-1].lstrip('\n') if m['role'] == 'assistant' "
    "else m['content']) +",
)
# R1's leaves it out too, but not the newlines.
DEEPSEEK = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ m['content'] }}"
    "{% elif m['role'] == 'assistant' %}"
    "{{ '<｜Assistant｜>' + m['content'].split('</think>')[-1] + '<|im_end|>' }}{% else %}"
    "{{ '<｜User｜>' + m['content'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜>' }}"
)


@dataclass(frozen=True)
class Family:
    """A family's form.

    tokens: added to the embedded ones; those that are not special have no mark. eos: what ends an
    answer.
    preset: the template that must be found. prompt: what a prompt ends in. opening: what s1lab adds
    to open the thinking.
    skipped: what a prompt without thinking ends in, and forced: how much of it s1lab adds by
    itself.
    """

    chat: str
    tokens: tuple[str, ...]
    preset: str
    prompt: str
    opening: str
    skipped: str
    forced: str = ""
    plain_tokens: tuple[str, ...] = ()
    eos: str = "<|im_end|>"
    notes: tuple[str, ...] = ()
    tool: str | None = None

    def tokenizer(self) -> PreTrainedTokenizerFast:
        made = build()
        made.add_tokens(
            [AddedToken(t, special=True, normalized=False) for t in self.tokens],
            special_tokens=True,
        )
        made.add_tokens([AddedToken(t, special=False, normalized=False) for t in self.plain_tokens])
        made.chat_template, made.eos_token = self.chat, self.eos
        return made

    def bound(self, **options: object) -> BoundTemplate:
        tokenizer = self.tokenizer()
        return bind(None, tokenizer, {tokenizer.eos_token_id}, **options)  # type: ignore[arg-type]


FAMILIES = {
    "qwen3": Family(
        QWEN3 + "{% if enable_thinking is defined and enable_thinking is false %}"
        "{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}",
        (),
        "think-tags",
        prompt="<|im_start|>assistant\n",
        opening="<think>\n",
        skipped="<|im_start|>assistant\n<think>\n\n</think>\n\n",
        plain_tokens=("<think>", "</think>", "<tool_call>", "</tool_call>"),
        tool="<tool_call>",
    ),
    "qwen3-thinking": Family(
        QWEN3 + "{{ '<think>\n' }}{% endif %}",
        (),
        "think-tags",
        prompt="<|im_start|>assistant\n<think>\n",
        opening="",
        skipped="<|im_start|>assistant\n<think>\n\n</think>\n\n",
        forced="\n</think>\n\n",
        plain_tokens=("<think>", "</think>", "<tool_call>", "</tool_call>"),
        tool="<tool_call>",
    ),
    "r1-distill": Family(
        DEEPSEEK + "{{ '<think>\n' }}{% endif %}",
        ("<｜User｜>", "<｜Assistant｜>"),
        "think-tags",
        prompt="<｜Assistant｜><think>\n",
        opening="",
        skipped="<｜Assistant｜><think>\n\n</think>\n\n",
        forced="\n</think>\n\n",
        plain_tokens=("<think>", "</think>", "<｜tool▁calls▁begin｜>"),
        tool="<｜tool▁calls▁begin｜>",
    ),
    "deepseek-v3.1": Family(
        DEEPSEEK + "{% if thinking is defined and thinking %}{{ '<think>' }}"
        "{% else %}{{ '</think>' }}{% endif %}{% endif %}",
        ("<｜User｜>", "<｜Assistant｜>"),
        "deepseek-v3.1",
        prompt="<｜Assistant｜><think>",
        opening="",
        skipped="<｜Assistant｜></think>",
        plain_tokens=("<think>", "</think>", "<｜tool▁calls▁begin｜>"),
        notes=("thinking=True",),
        tool="<｜tool▁calls▁begin｜>",
    ),
    "magistral": Family(
        "{% if messages[0]['role'] == 'system' %}"
        "{% set system = messages[0]['content'] %}{% set rest = messages[1:] %}"
        "{% else %}{% set system = 'First draft your thinking.' %}"
        "{% set rest = messages %}{% endif %}"
        "{{ '[SYSTEM_PROMPT]' + system + '[/SYSTEM_PROMPT]' }}"
        "{% for m in rest %}{% if m['role'] == 'assistant' %}{{ m['content'] + '<|im_end|>' }}"
        "{% else %}{{ '[INST]' + m['content'] + '[/INST]' }}{% endif %}{% endfor %}",
        (
            "[SYSTEM_PROMPT]",
            "[/SYSTEM_PROMPT]",
            "[INST]",
            "[/INST]",
            "[THINK]",
            "[/THINK]",
            "[TOOL_CALLS]",
        ),
        "magistral",
        prompt="[/INST]",
        opening="[THINK]",
        skipped="[/INST]",
        tool="[TOOL_CALLS]",
    ),
    "gpt-oss": Family(
        "{{ '<|start|>system<|message|>Current date: ' + strftime_now('%Y-%m-%d') + '<|end|>' }}"
        "{% for m in messages %}{% if m['role'] == 'system' %}"
        "{{ '<|start|>developer<|message|># Instructions\n\n' + m['content'] + '<|end|>' }}"
        "{% elif m['role'] == 'assistant' %}"
        "{% if '<|channel|>analysis<|message|>' in m['content'] %}"
        "{{ raise_exception('thinking goes into another field') }}{% endif %}"
        "{{ '<|start|>assistant<|channel|>final<|message|>' + m['content'] + '<|end|>' }}"
        "{% else %}{{ '<|start|>' + m['role'] + '<|message|>' + m['content'] + '<|end|>' }}"
        "{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}",
        (
            "<|start|>",
            "<|end|>",
            "<|message|>",
            "<|channel|>",
            "<|constrain|>",
            "<|return|>",
            "<|call|>",
        ),
        "harmony",
        prompt="<|start|>assistant",
        opening="<|channel|>analysis<|message|>",
        skipped="<|start|>assistant<|channel|>final<|message|>",
        forced="<|channel|>final<|message|>",
        eos="<|return|>",
        notes=("the day",),
        tool="<|call|>",
    ),
}


def save(
    family: Family, folder: Path, change: Callable[[torch.nn.Module], None] | None = None
) -> Path:
    """The embedded model with a family's tokens and chat template, as a folder."""
    import torch

    shutil.copytree(TINY, folder)
    tokenizer = family.tokenizer()
    network = AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32)
    torch.manual_seed(0)
    network.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    network.generation_config.eos_token_id = tokenizer.eos_token_id
    network.config.eos_token_id = tokenizer.eos_token_id
    if change:
        change(network)
    network.save_pretrained(folder)
    for file in folder.glob("*token*"):
        file.unlink()
    for file in folder.glob("chat_template*"):
        file.unlink()
    tokenizer.save_pretrained(folder)
    return folder


def sentencepiece(form: str) -> PreTrainedTokenizerFast:
    """A small tokenizer that puts a space before any text, as SentencePiece does.

    form: "first" and "always" are the schemes of Metaspace; "llama" is the normaliser of Llama 2
    and Mistral; "unigram" is another kind of model under "first".
    """
    characters = ["<unk>", "▁", *(chr(i) for i in range(33, 127)), "\n"]
    joined = [
        "▁W",
        "ai",
        "ait",
        "▁Wait",
        "Wait",
        "W",
        "▁F",
        "in",
        "al",
        "Final",
        "▁Final",
        "▁the",
        "th",
        "he",
        "the",
        "an",
        "▁an",
    ]
    vocabulary = list(dict.fromkeys([*characters, *joined]))
    if form == "unigram":
        scores = [
            (word, -1.0 - 0.01 * i if word in joined else -5.0 - 0.01 * i)
            for i, word in enumerate(vocabulary)
        ]
        tokenizer = Tokenizer(models.Unigram(scores, unk_id=0, byte_fallback=False))
    else:
        merges = [
            ("a", "i"),
            ("ai", "t"),
            ("W", "ait"),
            ("▁", "Wait"),
            ("t", "h"),
            ("th", "e"),
            ("▁", "the"),
            ("a", "n"),
            ("▁", "an"),
        ]
        numbers = {word: i for i, word in enumerate(vocabulary)}
        tokenizer = Tokenizer(models.BPE(numbers, merges, unk_token="<unk>", fuse_unk=True))
    if form == "llama":
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
        steps = [decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        tokenizer.decoder = decoders.Sequence(steps)
    else:
        scheme = "first" if form == "unigram" else form
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
        tokenizer.decoder = decoders.Metaspace(prepend_scheme=scheme, split=False)
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    made.add_tokens(
        [
            AddedToken(t, special=True, normalized=False)
            for t in ("[THINK]", "[/THINK]", "[INST]", "[/INST]")
        ]
    )
    made.chat_template = (
        "{{ bos_token }}{% for m in messages %}"
        "{{ '[INST] ' + m['content'] + ' [/INST]' }}{% endfor %}"
    )
    return made
