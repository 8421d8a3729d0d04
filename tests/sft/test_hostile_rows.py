"""Rows that would teach a model something wrong are refused with their place, or put right with a
count.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas
import pytest
from datasets import Dataset, DatasetDict

import s1lab as lab
from s1lab import curate, sft
from s1lab.sft.encode import IGNORED
from s1lab.tokenization.bound_template import bind

TINY = sft.recipe("tiny")
PAPER = sft.recipe("s1-32b").but(pad_token=None)


def trace(**changes: object) -> Dataset:
    row = {"question": "Q?", "thinking": "1 a no\nWait\n2 b yes\n", "attempt": "Answer: b"}
    return Dataset.from_list([row, row | changes])


def refused(rows: object, template, *words: str, recipe: sft.Recipe = TINY) -> None:
    with pytest.raises(ValueError) as error:
        sft.encode(rows, template, recipe)
    said = str(error.value)
    assert all(word in said for word in words) and "\n" not in said, said


# ids and labels


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (-1, "the label -1 at place 2"),
        (-99, "the label -99 at place 2"),
        (-101, "the label -101 at place 2"),
        (99_999, "the label 99999 at place 2"),
        (2**40, "the label 1099511627776 at place 2"),
    ],
)
def test_a_label_that_is_no_id_is_refused_with_its_row_and_place(tiny, label, words):
    rows = Dataset.from_dict(
        {"input_ids": [[1, 2, 3], [4, 5, 6]], "labels": [[IGNORED, 2, 3], [IGNORED, 5, label]]}
    )
    refused(rows, tiny.template, "row 1", words, str(len(tiny.template.tokenizer)), "-100")


def test_every_label_of_the_vocabulary_is_taken_and_the_one_behind_it_is_not(tiny):
    last = len(tiny.template.tokenizer) - 1
    for format in (None, "numpy"):
        rows = Dataset.from_dict({"input_ids": [[0, last]], "labels": [[IGNORED, last]]})
        found = sft.encode(rows.with_format(format), tiny.template, TINY)[0]
        assert found["labels"] == [IGNORED, last] and found["input_ids"] == [0, last]
    for name in ("input_ids", "labels"):
        columns = {"input_ids": [[0, last]], "labels": [[0, last]]}
        rows = Dataset.from_dict(columns | {name: [[0, last + 1]]})
        refused(rows, tiny.template, "row 0", f" {last + 1} at place 1")
    refused(
        Dataset.from_dict({"input_ids": [[-1, 2]], "labels": [[-100, 2]]}),
        tiny.template, "the id -1 at place 0",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1.0, 2.0], "1.0 at place 0"), ([1, None], "None at place 1"), (None, "are a NoneType"),
        (["1", "2"], "'1' at place 0"), ([[1], [2]], "[1] at place 0"), ("12", "are a str"),
        ([True, False], "True at place 0"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["input_ids", "labels"])
def test_what_is_no_list_of_ids_is_refused_with_its_place(tiny, name, values, words):
    rows = Dataset.from_dict({"input_ids": [[1, 2]], "labels": [[1, 2]]} | {name: [values]})
    refused(rows, tiny.template, words, name, "row 0")


# stops


def stopping(tiny):
    """The tiny model's template with one more end, as Qwen has <|endoftext|> beside <|im_end|>."""
    tokenizer = tiny.template.tokenizer
    other = next(
        i for i, token in tokenizer.added_tokens_decoder.items()
        if token.special and i != tokenizer.eos_token_id and "im_" not in token.content
    )  # fmt: skip
    return bind("s1", tokenizer, {tokenizer.eos_token_id, other}), tokenizer.decode([other])


@pytest.mark.parametrize("name", ["question", "thinking", "attempt"])
def test_another_stop_of_the_model_within_a_trace_is_refused(tiny, name):
    template, stop = stopping(tiny)
    rows = trace(**{name: f"a {stop} b"})
    for make in (
        lambda: curate.to_sft(rows, template),
        lambda: sft.encode(rows, template, TINY),
        lambda: sft.formats.token_conditional(rows, template),
    ):
        with pytest.raises(ValueError, match="at which the model stops") as error:
            make()
        assert f"the {name} of row 1 holds {stop!r}" in str(error.value)
    assert len(curate.to_sft(trace(), template)) == 2


def test_a_completion_that_goes_on_behind_a_stop_is_refused(tiny):
    template, stop = stopping(tiny)
    end = template.tokenizer.eos_token

    def rows(completion: str) -> Dataset:
        return Dataset.from_list([{"prompt": "Q", "completion": completion}])

    for bad in (
        f"a {stop} b{end}", f"{stop}b", f"a{end}b", f"a{end}\n{end}b{end}",
        f"a{stop}<|im_start|>answer\nb{end}", f"a{end}<|im_start|>answer\nb{end}",
    ):  # fmt: skip
        refused(rows(bad), template, "row 0", "the model stops")
    for good in (
        f"a{end}", f"a{end}\n", f"a{end}{stop}", f"a{stop}\n", "a",
        f"a{end}\n<|im_start|>user\nb{end}\n<|im_start|>assistant\nc{end}",
    ):  # fmt: skip
        assert sft.encode(rows(good), template, TINY)


# line ends


@pytest.mark.parametrize("recipe", [TINY, PAPER], ids=["tiny", "paper"])
@pytest.mark.parametrize("ends", ["\r\n", "\r"])
def test_windows_line_ends_become_newlines_are_counted_and_waits_stay_unlearned(tiny, recipe, ends):
    recipe = recipe.but(unlearned=("Wait",))
    clean = trace()
    changed = trace(thinking=clean["thinking"][1].replace("\n", ends))
    with pytest.warns(UserWarning, match="1 of 2 rows") as said:
        found = sft.encode(changed, tiny.template, recipe)
    assert len(said) == 1 and found.to_list() == sft.encode(clean, tiny.template, recipe).to_list()
    text = tiny.template.decode([i for i in found[1]["labels"] if i != IGNORED])
    assert "Wait" not in text and "\r" not in text
    texts = curate.to_sft(clean, tiny.template)
    completions = [text.replace("\n", ends) for text in texts["completion"]]
    given = Dataset.from_dict({"prompt": texts["prompt"], "completion": completions})
    with pytest.warns(UserWarning, match="2 of 2 rows"):
        assert (
            sft.encode(given, tiny.template, recipe).to_list()
            == sft.encode(texts, tiny.template, recipe).to_list()
        )


def test_steps_and_lengths_of_conditional_rows_do_not_see_windows_line_ends(tiny):
    clean = trace(thinking="one\n\ntwo\n\nthree", question="Q?")
    changed = trace(thinking="one\r\n\r\ntwo\r\n\r\nthree", question="Q?")
    for make in (
        sft.formats.token_conditional, sft.formats.step_conditional, sft.formats.class_conditional
    ):  # fmt: skip
        with pytest.warns(UserWarning, match="Windows"):
            found = make(changed, tiny.template)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert found.to_list() == make(clean, tiny.template).to_list()


# messages, and what is no Dataset


def talk(answer: object = "b", **changes: object) -> dict[str, object]:
    row = {
        "prompt": [{"role": "user", "content": "Q?"}],
        "completion": [{"role": "assistant", "content": answer}],
    }
    return row | changes


def test_prompts_and_completions_of_messages_are_what_the_chat_template_writes(tiny):
    tokenizer = tiny.template.tokenizer
    rows = [talk("so it is b"), talk("c")]
    rows[1]["prompt"] = [
        {"role": "user", "content": "P?"}, {"role": "assistant", "content": "a"},
        {"role": "user", "content": "Q?"},
    ]  # fmt: skip
    found = sft.encode(Dataset.from_list(rows), tiny.template, TINY)
    for row, encoded in zip(rows, found, strict=True):
        prompt = tokenizer.apply_chat_template(
            row["prompt"], tokenize=False, add_generation_prompt=True
        )
        whole = tokenizer.apply_chat_template(row["prompt"] + row["completion"], tokenize=False)
        assert tiny.template.decode_whole(encoded["input_ids"]) == whole
        learned = [label for label in encoded["labels"] if label != IGNORED]
        assert tiny.template.decode(learned) == whole.removeprefix(prompt)
        assert whole.startswith(prompt) and learned


def test_messages_that_can_not_be_learned_from_are_named(tiny):
    user = [{"role": "user", "content": "Q?"}]
    for row, words in (
        (talk(completion=user), "the completion of row 0 is not one message of the assistant"),
        (talk(completion=talk()["completion"] * 2), "the completion of row 0"),
        (talk(completion=[]), "the completion of row 0"),
        (talk(None), "the completion of row 0"),
        (talk(completion="text"), "the prompt of row 0 is a list"),
        (talk(prompt="text"), "the completion of row 0 is a list"),
        (talk(prompt=None), "the prompt of row 0 is a NoneType"),
        (talk(prompt=talk()["completion"]), "message 0 of the prompt of row 0"),
        (talk("a<|im_end|>b"), "the model stops"),
    ):
        refused(Dataset.from_list([row]), tiny.template, words)


def not_datasets() -> list[tuple[object, str]]:
    rows = trace()
    return [
        (DatasetDict({"train": rows, "test": rows}), "['train', 'test']"),
        (rows.to_iterable_dataset(), "take(1000)"),
        (rows.to_list(), "Dataset.from_list"),
        (rows.to_pandas(), "Dataset.from_pandas"),
        (rows.to_dict(), "Dataset.from_dict"),
        ("runs/rows.jsonl", "lab.curate.read"),
        (None, "give a datasets.Dataset"),
        (np.zeros(3), "give a datasets.Dataset"),
    ]


@pytest.mark.parametrize("at", range(8))
def test_what_is_no_dataset_is_told_what_to_make_of_it(tiny, at, tmp_path):
    value, words = not_datasets()[at]
    refused(value, tiny.template, words, type(value).__name__)
    for call in (
        curate.quality, curate.deduplicate, curate.select, curate.random, curate.full,
        lambda pool: curate.decontaminate(pool, [trace()]),
        lambda pool: curate.decontaminate(trace(), pool if at != 2 else [pool]),
        lambda pool: curate.to_sft(pool, tiny.template),
        lambda pool: curate.count_tokens(pool, tiny.template.tokenizer),
        lambda pool: curate.difficulty(pool, [tiny]),
        lambda pool: curate.domains(tiny, pool),
        lambda pool: sft.formats.class_conditional(pool, tiny.template),
    ):  # fmt: skip
        with pytest.raises(TypeError) as error:
            call(value)
        said = str(error.value)
        assert words in said and type(value).__name__ in said and "\n" not in said, said


def test_only_rows_are_written_and_hashed(tmp_path):
    rows = trace()
    for value in (
        DatasetDict({"train": rows}), rows.to_pandas(), rows.to_dict(), iter(rows), "rows",
        pandas.Series([1]),
    ):  # fmt: skip
        for call in (curate.digest, lambda value: curate.write(value, tmp_path / "x.jsonl")):
            with pytest.raises(TypeError, match="the rows are a"):
                call(value)
    assert not (tmp_path / "x.jsonl").exists()
    assert curate.digest(rows.to_list()) == curate.write(rows, tmp_path / "x.jsonl")
    assert lab.curate.read(tmp_path / "x.jsonl").to_list() == rows.to_list()


@pytest.mark.parametrize("at", [0, 1, 2, 3, 4, 5, 6])
def test_a_teacher_is_not_asked_the_names_of_columns_and_splits(at):
    """Not those of a DatasetDict, a DataFrame or a dict, which are texts too."""
    value, _ = not_datasets()[at]
    with pytest.raises(TypeError) as error:
        curate.traces(lambda question: ("a", "b"), value)
    assert "\n" not in str(error.value) and ("Dataset" in str(error.value) or at == 5)
    kept, _ = curate.traces(lambda question: ("a", "b"), iter(["P?", "Q?"]))
    assert kept["question"] == ["P?", "Q?"]
