"""Bad input gets one sentence that names the thing and the fix, before anything runs or as one
trace's error.
"""

from __future__ import annotations

import shutil

import pytest
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoTokenizer, PreTrainedTokenizerFast

import s1lab as lab
from s1lab.tokenization.bound_template import bind
from tests.helpers import TINY


def says(error: pytest.ExceptionInfo, *words: str) -> None:
    text = str(error.value)
    assert all(w in text for w in words), text
    assert "\n" not in text and len(text) < 400


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"max_tokens": 0}, ["max_tokens=0", "at least 1"]),
        ({"max_tokens": -5}, ["max_tokens=-5", "at least 1"]),
        ({"max_tokens": 10, "min_tokens": 11}, ["min_tokens=11", "max_tokens=10", "raise the cap"]),
        ({"min_tokens": -1}, ["min_tokens=-1", "0 for no minimum"]),
        ({"waits": -1}, ["waits=-1", "give 0"]),
        ({"max_tokens": 1.5}, ["max_tokens=1.5", "whole number"]),
        ({"waits": True}, ["waits=True", "whole number"]),
        ({"wait": 3}, ["wait=3", "no text"]),
        ({"wait": ()}, ["wait=()", "no text"]),
        ({"wait": ("Wait", 3)}, ["wait=('Wait', 3)", "no text"]),
        ({"answer_tokens": 0}, ["answer_tokens=0", "at least 1"]),
        ({"answer_room": 0}, ["answer_room=0", "at least 1"]),
        ({"waits": -1, "compat": "harness"}, ["waits=-1", "give 0"]),
        ({"waits": 1.5, "compat": "harness"}, ["waits=1.5", "whole number"]),
        (
            {"min_tokens": 5, "waits": 1, "compat": "harness"},
            ["min_tokens=5", "waits=1", "leave one of them out"],
        ),
        ({"min_tokens": 5, "compat": "readme"}, ["min_tokens=5", "README"]),
        ({"max_tokens": 4, "min_tokens": 5, "compat": "harness"}, ["min_tokens=5", "max_tokens=4"]),
        ({"compat": "loose"}, ["compat='loose'", "exact"]),
    ],
)
def test_a_budget_that_cannot_be_kept(fields, words):
    with pytest.raises(ValueError) as error:
        lab.Budget(**fields)
    says(error, *words)


@pytest.mark.parametrize(
    ("questions", "budget", "words"),
    [
        ([], None, ["empty", "at least one"]),
        ("", None, ["question is empty"]),
        (["a", "  "], None, ["question 1 is empty"]),
        (["a", 3], None, ["question 1", "int"]),
        (["a", "b"], [lab.Budget()], ["1 budgets for 2 questions"]),
        ("a", [lab.Budget()], ["one Budget"]),
    ],
)
def test_questions_that_cannot_be_asked(scripted, questions, budget, words):
    engine = scripted(lambda _: "<|im_end|>")
    with pytest.raises(ValueError) as error:
        lab.force(engine, questions, budget)
    says(error, *words)
    assert not engine.requests


@pytest.mark.parametrize("options", [{"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.5}])
def test_sampling_that_makes_no_sense(scripted, options):
    with pytest.raises(ValueError) as error:
        lab.force(scripted(lambda _: ""), "a", **options)
    says(error, next(iter(options)))


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/model", "s1-tiney"])
def test_a_missing_model(name):
    with pytest.raises(FileNotFoundError) as error:
        lab.load(name)
    says(error, name, "s1-tiny")


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        lab.load(str(tmp_path))
    says(error, str(tmp_path), "folder")


def test_an_unknown_engine():
    with pytest.raises(ValueError) as error:
        lab.load("s1-tiny", engine="abacus")
    says(error, "abacus", "transformers")


def test_a_model_without_a_chat_template(tmp_path):
    copy = shutil.copytree(TINY, tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(copy)
    tokenizer.chat_template = None
    for file in copy.glob("chat_template*"):
        file.unlink()
    tokenizer.save_pretrained(copy)
    with pytest.raises(ValueError) as error:
        lab.load(str(copy))
    says(error, "chat template")


def test_a_tokenizer_that_cannot_write_the_delimiter():
    """It knows the letter a, and nothing else."""
    words = Tokenizer(WordLevel({"a": 0, "<unk>": 1, "</s>": 2}, unk_token="<unk>"))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", eos_token="</s>", chat_template="x"
    )
    with pytest.raises(ValueError) as error:
        bind("think-tags", tokenizer, {2})
    says(error, "'</think>'", "special token")


def test_a_tokenizer_that_knows_no_preset():
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({"a": 0}, unk_token="a")), chat_template="x"
    )
    with pytest.raises(ValueError) as error:
        bind(None, tokenizer, {0})
    says(error, "'</think>'", "'<|channel|>'", "template=ThinkTemplate(...)")


def test_a_template_preset_with_an_unknown_name():
    with pytest.raises(ValueError) as error:
        lab.load("s1-tiny", template="s2")
    says(error, "'s2'", "s1", "think-tags")


@pytest.mark.parametrize(
    "options", [{"max_model_len": 0}, {"max_model_len": 10**6}, {"max_batch": 0}]
)
def test_engine_options_out_of_range(options):
    with pytest.raises(ValueError) as error:
        lab.load("s1-tiny", **options)
    says(error, next(iter(options)))


def test_a_prompt_that_does_not_fit_the_context_is_one_traces_error():
    engine = lab.load("s1-tiny", max_model_len=64)
    short, long = lab.force(
        engine,
        ["How many r in raspberry?", "How many r in " + "raspberry" * 20 + "?"],
        progress=False,
    )
    assert short.error is None
    assert "64" in long.error and "shorten the question" in long.error


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({"question": ["a"]}, ["no column 'answer'", "question"]),
        ({"question": [], "answer": []}, ["no rows"]),
        ({"question": ["a", "b"], "answer": ["1", None]}, ["row 1", "no answer"]),
        ({"question": ["a"], "answer": ["1"], "kind": ["poem"]}, ["row 0", "'poem'"]),
    ],
)
def test_a_benchmark_that_cannot_be_graded(scripted, rows, words):
    with pytest.raises(ValueError) as error:
        lab.evaluate(scripted(lambda _: ""), Dataset.from_dict(rows))
    says(error, *words)


def test_samples_that_would_all_be_the_same(scripted):
    with pytest.raises(ValueError) as error:
        lab.evaluate(scripted(lambda _: ""), lab.tiny.problems(1), samples=4)
    says(error, "samples=4", "temperature")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"n": 0}, "n is 0"),
        ({"n": 3, "split": "exam"}, "'exam'"),
        ({"n": 3, "families": ["chess"]}, "chess"),
    ],
)
def test_problems_that_do_not_exist(arguments, word):
    with pytest.raises(ValueError) as error:
        lab.tiny.problems(**arguments)
    says(error, word)
