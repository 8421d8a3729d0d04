"""Training rows and their order as the original has them: texts, ids and labels spelled out as
data.

The original makes its texts in data/tokenization.py and trains on them with train/sft.py, which
train/sft.sh starts.
"""

from __future__ import annotations

import copy

import pytest
import torch
from accelerate.data_loader import SeedableRandomSampler
from datasets import Dataset
from transformers import TrainingArguments, set_seed
from trl import SFTConfig

import s1lab as lab
from s1lab import sft
from s1lab.sft.encode import IGNORED
from s1lab.sft.trainer import _Order
from s1lab.tokenization.bound_template import BoundTemplate, bind

# What Qwen2.5's chat template writes, as its tokenizer_config.json has it: its own system turn
# where there is none, and a newline behind the end of every turn.
QWEN = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\n"
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n{% endif %}"
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + "
    "message['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SYSTEM = (
    "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant."
    "<|im_end|>\n"
)


@pytest.fixture(scope="module")
def qwen(template) -> BoundTemplate:
    tokenizer = copy.deepcopy(template.tokenizer)
    tokenizer.chat_template = QWEN
    return bind("s1", tokenizer, {tokenizer.eos_token_id})


# question, trace, attempt; then the text behind the system turn. In process_cot_example:
# answer = "Answer: " + answer if "Answer:" not in answer else answer, and then the assistant's
# content is "<|im_start|>think\n" + "\n".join(trajectories).strip() + "\n<|im_start|>answer\n" +
# answer.strip().
ASKED = "<|im_start|>user\nQ?<|im_end|>\n<|im_start|>assistant\n"
TEXTS = {
    "a plain row": (
        ("Q?", "a b", "4"),
        ASKED + "<|im_start|>think\na b\n<|im_start|>answer\nAnswer: 4<|im_end|>\n",
    ),
    "the trace is stripped on both sides": (
        ("Q?", " \n\n a b\n\n c \n\n", "4"),
        ASKED + "<|im_start|>think\na b\n\n c\n<|im_start|>answer\nAnswer: 4<|im_end|>\n",
    ),
    "the answer is stripped behind its prefix": (
        ("Q?", "a", "\n\n4 \n"),
        ASKED + "<|im_start|>think\na\n<|im_start|>answer\nAnswer: \n\n4<|im_end|>\n",
    ),
    "an answer that has the prefix somewhere gets none": (
        ("Q?", "a", "\n\nSo it is.\n\nAnswer: 4\n"),
        ASKED + "<|im_start|>think\na\n<|im_start|>answer\nSo it is.\n\nAnswer: 4<|im_end|>\n",
    ),
    "another spelling of it does not count": (
        ("Q?", "a", "**Answer**: 4"),
        ASKED + "<|im_start|>think\na\n<|im_start|>answer\nAnswer: **Answer**: 4<|im_end|>\n",
    ),
    # QUERY_TEMPLATE_NOANSWER is "{Question}": the strip in that line is of the template, the
    # question stays as it is.
    "the question is not stripped": (
        (" Q?\n", "a", "4"),
        "<|im_start|>user\n Q?\n<|im_end|>\n<|im_start|>assistant\n"
        "<|im_start|>think\na\n<|im_start|>answer\nAnswer: 4<|im_end|>\n",
    ),
}


def rows_of(question: str, thinking: str, attempt: str) -> Dataset:
    return Dataset.from_list([{"question": question, "thinking": thinking, "attempt": attempt}])


@pytest.mark.parametrize("recipe", ["s1-32b", "s1.1-32b", "qwen-7b-lora", "qwen-0.5b"])
@pytest.mark.parametrize("name", TEXTS)
def test_a_row_is_the_text_of_the_originals_tokenisation(qwen, name, recipe):
    given, text = TEXTS[name]
    (row,) = sft.encode(rows_of(*given), qwen, sft.recipe(recipe))
    assert qwen.decode(row["input_ids"]) == SYSTEM + text
    # SFTTrainer tokenises that text as a whole, and DataCollatorForCompletionOnlyLM masks all up to
    # the response template "<|im_start|>assistant\n" and nothing behind it, the newline behind the
    # last <|im_end|> included.
    assert row["input_ids"] == qwen.encode(SYSTEM + text)
    asked = len(qwen.encode(SYSTEM + text[: text.index("assistant\n") + len("assistant\n")]))
    assert row["labels"] == [IGNORED] * asked + row["input_ids"][asked:]


# The first row above, id for id, without the system turn: Q is 48, a newline 198, <|im_start|> 257,
# <|im_end|> 258.
IDS = [
    257,
    261,
    198,
    48,
    30,
    258,
    198,
    257,
    262,
    198,
    257,
    263,
    198,
    64,
    220,
    65,
    198,
    257,
    264,
    198,
    265,
    25,
    220,
    19,
    258,
    198,
]
LABELS = [-100] * 10 + [257, 263, 198, 64, 220, 65, 198, 257, 264, 198, 265, 25, 220, 19, 258, 198]


def test_a_row_id_for_id(template):
    (row,) = sft.encode(rows_of("Q?", "a b", "4"), template, sft.recipe("s1-32b"))
    assert (row["input_ids"], row["labels"]) == (IDS, LABELS)
    (row,) = sft.encode(rows_of("Q?", " a b\n", " 4"), template, sft.recipe("tiny"))
    as_they_are = [
        64,
        220,
        65,
        198,
        257,
        264,
        198,
        265,
        25,
        220,
        220,
        19,
        258,
    ]  # " 4" keeps its space, and no newline ends the turn
    assert row["input_ids"] == [*IDS[:13], 220, *as_they_are]
    assert row["labels"] == [*LABELS[:13], 220, *as_they_are]


def test_a_turn_ends_as_the_chat_template_ends_it(template):
    for end, written in (
        ("<|im_end|>\n", "<|im_end|>\n"),
        ("<|im_end|>", "<|im_end|>"),
        ("\n", "<|im_end|>"),
    ):
        tokenizer = copy.deepcopy(template.tokenizer)
        tokenizer.chat_template = (
            "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + "
            + repr(end)
            + " }}{% endfor %}"
        )
        (row,) = lab.curate.to_sft(rows_of("Q?", "a", "4"), "s1", tokenizer)
        assert row["completion"].endswith("Answer: 4" + written), end
    tokenizer.chat_template = "{{ messages[0]['content'] }}"  # shows no turn of the assistant's
    assert lab.curate.to_sft(rows_of("Q?", "a", "4"), "s1", tokenizer)[0]["completion"].endswith(
        "Answer: 4<|im_end|>"
    )


def test_the_seed_is_the_one_that_holds_where_none_is_named(tmp_path):
    """train/sft.sh gives no --seed, and train/sft.py parses trl.SFTConfig, a
    transformers.TrainingArguments.
    """
    assert SFTConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False).seed == 42
    assert TrainingArguments(output_dir=str(tmp_path), use_cpu=True).seed == 42
    assert {sft.recipe(name).seed for name in sft.RECIPES if name != "tiny"} == {42}


@pytest.mark.parametrize("rows", [1000, 24, 1])
def test_the_order_of_rows_is_accelerates_for_that_seed(rows):
    """transformers hands its random sampler to accelerate, which makes it a SeedableRandomSampler
    of the run's seed.
    """
    set_seed(42)
    theirs = SeedableRandomSampler(range(rows), generator=torch.Generator())
    ours = _Order(Dataset.from_dict({"row": list(range(rows))}), sft.recipe("s1-32b").seed)
    for epoch in range(5):
        theirs.set_epoch(epoch)
        ours.set_epoch(epoch)
        assert list(ours) == list(theirs)
