"""Bad input gets one sentence that names the thing and the fix, before anything runs or as one
trace's error.
"""

from __future__ import annotations

import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoTokenizer, PreTrainedTokenizerFast

import s1lab as lab
from s1lab.engines.limits import dtype_of
from s1lab.evaluation.calls import OptionUnused
from s1lab.tokenization.bound_template import bind
from tests.helpers import TINY
from tests.helpers.scripted import Scripted, same, thinker

QUESTION = "How many r in raspberry?"
SHORT = lab.Budget(max_tokens=8)


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
        ({"question": ["a", "b"], "answer": [None, None]}, ["row 0", "no answer"]),
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


def think(scripted) -> Scripted:
    """An engine on a model that thinks two lines and answers."""
    return scripted(thinker("1 r 1\n2 a 1\n"))


def equal(trace: lab.Trace) -> float:
    return 1.0


@pytest.mark.parametrize(
    ("whole", "real"),
    [(np.int64, np.float64), (np.uint8, np.float16), (np.array, np.array),
     (torch.tensor, torch.tensor), (lambda n: pd.Series([n])[0], lambda n: pd.Series([n])[0])],
    ids=["numpy", "small numpy", "an array without dimensions", "torch", "pandas"],
)  # fmt: skip
def test_numbers_of_other_libraries_are_pythons_with_a_store_too(scripted, tmp_path, whole, real):
    numbers = {"seed": 3, "top_k": 5, "answer_tokens": 4, "answer_room": 20, "logprobs": None}
    shares = {"temperature": 0.5, "top_p": 0.75, "min_p": 0.25}
    plain, typed = think(scripted), think(scripted)
    known = lab.force(
        plain, QUESTION, lab.Budget(12, 2, 1), store=tmp_path / "a.db", **numbers, **shares
    )
    asked = {name: n if n is None else whole(n) for name, n in numbers.items()}
    asked |= {name: real(x) for name, x in shares.items()}
    budget = lab.Budget(whole(12), whole(2), whole(1))
    assert same(known, lab.force(typed, QUESTION, budget, store=tmp_path / "b.db", **asked))
    assert repr(plain.requests) == repr(typed.requests)
    # A store of one knows the requests of the other.
    typed.requests.clear()
    assert same(known, lab.force(typed, QUESTION, budget, store=tmp_path / "a.db", **asked))
    assert not typed.requests
    settings = [lab.storage.read_run(tmp_path / name).made["seed"] for name in ("a.db", "b.db")]
    assert settings == [3, 3]


def test_rungs_samples_and_limits_may_be_numpys_with_a_store_too(scripted, tmp_path):
    engine, two = think(scripted), np.int64(2)
    store = tmp_path / "x.db"
    rungs = lab.ladder(engine, QUESTION, np.array([4, 8]), pd.Series([0, 1]), store=store)
    assert rungs.caps == (4, 8) and rungs.waits == (0, 1) and type(rungs.caps[0]) is int
    assert lab.ladder(engine, QUESTION, (cap for cap in (4, 8))).caps == (4, 8)
    assert len(lab.vote(engine, QUESTION, two, store=store).traces) == 2
    assert len(lab.rebase(engine, QUESTION, two, equal, step=None, store=store).traces) == 2
    assert lab.methods.reject(engine, QUESTION, np.int32(40), two, store=store).answer
    swept = lab.sweep(
        engine, lab.tiny.problems(2), caps=np.array([4, 8]), samples=two,
        temperature=np.float32(1), store=store, progress=False,
    )  # fmt: skip
    assert list(swept) == ["cap 4", "cap 8"] and len(swept["cap 4"].traces) == 4


PROBLEMS = lab.tiny.problems(1)
TABLE = pd.DataFrame({"question": [QUESTION], "answer": ["3"]})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        # In the wrong place, or not loaded.
        (lambda e: lab.force("s1-tiny", QUESTION), ["lab.load('s1-tiny')"]),
        (lambda e: lab.force(QUESTION, e), ["is an engine", "force(engine, questions, budget)"]),
        (lambda e: lab.force(QUESTION, QUESTION), ["is no engine", "lab.load('s1-tiny')"]),
        (lambda e: lab.force(e, SHORT, QUESTION), ["questions=Budget", "the order is"]),
        (lambda e: lab.vote(e, QUESTION, SHORT), ["samples=Budget", "budget="]),
        (lambda e: lab.sweep(e, PROBLEMS, SHORT), ["caps=Budget", "budget="]),
        # Something else than a budget.
        (lambda e: lab.force(e, QUESTION, 512), ["write lab.Budget(max_tokens=512)"]),
        (lambda e: lab.force(e, QUESTION, np.int64(8)), ["write lab.Budget(max_tokens=8)"]),
        (lambda e: lab.force(e, QUESTION, {"waits": 1}), ["write lab.Budget(waits=1)"]),
        (lambda e: lab.force(e, QUESTION, [16, 64]), ["caps=[16, 64]", "lab.ladder"]),
        (lambda e: lab.force(e, QUESTION, "long"), ["budget='long'", "lab.Budget("]),
        (lambda e: lab.evaluate(e, PROBLEMS, 512), ["write lab.Budget(max_tokens=512)"]),
        # Something else than questions.
        (lambda e: lab.force(e, TABLE), ["DataFrame", "list(table['question'])"]),
        (lambda e: lab.force(e, PROBLEMS), ["Dataset", "lab.evaluate"]),
        (lambda e: lab.force(e, PROBLEMS.to_list()), ["row of a table", "row['question']"]),
        (lambda e: lab.vote(e, TABLE, 2), ["DataFrame", "list(table['question'])"]),
        (lambda e: lab.force(e, QUESTION.encode()), ["bytes", "decode()"]),
        # Names that a call does not have.
        (lambda e: lab.force(e, QUESTION, waits=1), ["budget=lab.Budget(waits=1)"]),
        (lambda e: lab.vote(e, QUESTION, 2, max_tokens=9), ["budget=lab.Budget(max_tokens=9)"]),
        (lambda e: lab.force(e, QUESTION, device="cpu"), ["option of lab.load"]),
        (lambda e: lab.force(e, QUESTION, n=4), ["lab.vote", "samples="]),
        (lambda e: lab.force(e, QUESTION, max_new_tokens=4), ["did you mean answer_tokens=?"]),
        (lambda e: lab.force(e, QUESTION, temprature=1), ["did you mean temperature=?"]),
        (lambda e: lab.force(e, QUESTION, max_token=1), ["budget=lab.Budget(max_tokens=…)"]),
        (lambda e: lab.force(e, QUESTION, banana=1), ["banana=", "it has engine, questions"]),
        (lambda e: lab.force(e, QUESTION, None, 0.7), ["4 arguments", "force(engine, questions"]),
        (lambda e: lab.force(e), ["lacks questions", "force(engine, questions, budget)"]),
        (lambda e: lab.force(e, QUESTION, SHORT, budget=SHORT), ["budget twice"]),
        (lambda e: lab.vote(e, QUESTION, 2, samples=2), ["samples twice"]),
        # Numbers and texts that mean nothing, or something else than they seem.
        (lambda e: lab.force(e, QUESTION, seed="3"), ["seed='3'", "such as seed=3"]),
        (lambda e: lab.force(e, QUESTION, seed=3.0), ["seed=3.0", "such as seed=3"]),
        (lambda e: lab.force(e, QUESTION, seed=None), ["seed=None", "such as seed=0"]),
        (lambda e: lab.force(e, QUESTION, seed=object()), ["seed=<object", "such as seed=0"]),
        (lambda e: lab.force(e, QUESTION, temperature=None), ["temperature=None", "0 for greedy"]),
        (lambda e: lab.force(e, QUESTION, top_k=2.5), ["top_k=2.5", "such as top_k=3"]),
        (lambda e: lab.force(e, QUESTION, logprobs=21), ["logprobs=21", "up to 20"]),
        (lambda e: lab.Budget(waits=1.5), ["waits=1.5", "such as waits=2"]),
        (lambda e: lab.Budget(waits="x"), ["waits='x'", "such as waits=1"]),
        (lambda e: lab.Budget(max_tokens="512"), ["such as max_tokens=512"]),
        (lambda e: lab.Budget(max_tokens=pd.NA), ["max_tokens=<NA>", "such as max_tokens=512"]),
        (lambda e: lab.Budget(min_tokens=TABLE), ["min_tokens=", "such as min_tokens=64"]),
        (lambda e: lab.Budget(max_tokens=0), ["lab.direct"]),
        (lambda e: lab.Budget(on_cut=5), ["on_cut=5", "None for none"]),
        (lambda e: lab.Budget(on_cut=b"x"), ["on_cut=b'x'", "None for none"]),
        (lambda e: lab.Budget(on_cut=["x"]), ["on_cut=['x']", "None for none"]),
        (lambda e: lab.force(e, QUESTION, lab.Budget(on_cut="\ud800")), ["on_cut=", "surrogate"]),
        (lambda e: lab.force(e, QUESTION, lab.Budget(wait="\udfff")), ["wait=", "surrogate"]),
        (lambda e: lab.direct(e, QUESTION, prefix="\ud800"), ["prefix=", "surrogate"]),
        (lambda e: lab.sweep(e, PROBLEMS, caps="16,64"), ["caps='16,64'", "caps=(16, 64)"]),
        (lambda e: lab.sweep(e, PROBLEMS, caps="many"), ["caps='many'", "caps=(16, 64)"]),
        (lambda e: lab.ladder(e, QUESTION, waits="[0, 1]"), ["waits=(0, 1)"]),
        (lambda e: lab.sweep(e, PROBLEMS, caps=8), ["caps=8", "caps=(8,)"]),
        (lambda e: lab.sweep(e, PROBLEMS, caps=None), ["caps and waits are empty"]),
        (lambda e: lab.sweep(e, PROBLEMS, caps=object()), ["caps=(1, 2)"]),
        (lambda e: lab.sweep(e, PROBLEMS, caps=(16,), budget=SHORT), ["max_tokens=8", "leave"]),
        (lambda e: lab.sweep(e, PROBLEMS, waits=(1,), budget=lab.Budget(waits=2)), ["waits=2"]),
        (lambda e: lab.force(e, QUESTION, store=True), ["store=True", "store='runs/x.db'"]),
        (lambda e: lab.force(e, QUESTION, store=["x.db"]), ["store=['x.db']", "runs/x.db"]),
        (lambda e: lab.force(e, QUESTION, store=""), ["store is an empty text"]),
        (lambda e: lab.benchmarks.load("embedded", 50), ["path=50", "n=50", "the second place"]),
        (lambda e: lab.Driver("s1-tiny"), ["lab.load('s1-tiny')"]),
        (lambda e: lab.tiny.problems("3"), ["n='3'", "such as n=3"]),
        (lambda e: lab.tiny.problems(2.0), ["n=2.0", "such as n=2"]),
        (lambda e: lab.tiny.problems(2, seed="3"), ["seed='3'", "such as seed=3"]),
        (lambda e: lab.tiny.pool("50"), ["n='50'", "such as n=50"]),
        (lambda e: lab.tiny.pool(50, seed=None), ["seed=None", "such as seed=0"]),
    ],
)  # fmt: skip
def test_a_usual_slip_gets_a_sentence_that_says_what_to_write(scripted, call, words):
    engine = think(scripted)
    with pytest.raises((ValueError, TypeError)) as error:
        call(engine)
    says(error, *words)
    assert not engine.requests


def test_a_driver_names_what_it_does_not_have(scripted):
    with lab.Driver(think(scripted)) as driver:
        for options, words in (
            ({"waits": 1}, ["budget=lab.Budget(waits=1)"]),
            ({"banana": 1}, ["banana=", "temperature"]),
        ):
            with pytest.raises(TypeError) as error:
                driver.force(QUESTION, **options)
            says(error, *words)
        assert driver.force(QUESTION, SHORT, seed=np.int64(3)).result().cut


def test_a_budget_with_a_cap_goes_with_rungs_of_waits(scripted):
    """It holds on every rung of Waits, so it has an effect."""
    swept = lab.sweep(think(scripted), PROBLEMS, waits=(0, 1), budget=SHORT, progress=False)
    assert [r.traces[0].budget.max_tokens for r in swept.values()] == [8, 8]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "abacus"}, ["device='abacus'", "'cpu'"]),
        ({"device": 3}, ["device=3", "'cpu'"]),
        ({"device": "cuda:99"}, ["device='cuda:99'", "leave it out"]),
        ({"device": "gpu:99"}, ["device='gpu:99'", "leave it out"]),
        ({"dtype": "float17"}, ["dtype='float17'", "'float32'"]),
        ({"dtype": "int8"}, ["dtype='int8'", "'float32'"]),
        ({"dtype": torch.int64}, ["dtype=torch.int64", "'float32'"]),
        ({"keep_bytes": "1GB"}, ["keep_bytes='1GB'", "keep_bytes=536870912"]),
        ({"keep_bytes": 1.5e9}, ["keep_bytes=1500000000.0", "keep_bytes=1500000000"]),
        ({"keep_bytes": -1}, ["keep_bytes=-1", "0 for no cache"]),
        ({"keep_bytes": 8, "kv_bytes": 8}, ["keep_bytes=8", "kv_bytes=8", "leaves no room"]),
        ({"kv_bytes": 0}, ["kv_bytes=0", "leaves no room"]),
        ({"kv_bytes": "4GB"}, ["kv_bytes='4GB'", "kv_bytes=4294967296"]),
        ({"max_batch": True}, ["max_batch=True", "whole number"]),
        ({"max_len": 9}, ["'max_len'", "did you mean max_model_len?"]),
    ],
)
def test_an_option_of_the_engine_is_refused_before_the_model_is_loaded(options, words, monkeypatch):
    monkeypatch.setattr("s1lab.engines.transformers.load_network", None)
    with pytest.raises(ValueError) as error:
        lab.load("s1-tiny", **options)
    says(error, *words)


def test_number_formats_have_the_names_of_other_tools():
    names = {"fp16": "float16", "half": "float16", "bf16": "bfloat16", "fp32": "float32"}
    assert {name: dtype_of(name) for name in names} == names
    assert dtype_of("torch.bfloat16") == "bfloat16" and dtype_of(None) == "auto"
    assert dtype_of(torch.float16) is torch.float16
    assert {dtype_of(name) for name in ("auto", "float32")} == {"auto", "float32"}


def test_the_old_name_of_the_samples_works_with_a_warning(scripted):
    problems = lab.tiny.problems(2)
    calls = {
        "evaluate": lambda **n: lab.evaluate(think(scripted), problems, temperature=1.0, **n),
        "sweep": lambda **n: lab.sweep(think(scripted), problems, (4,), temperature=1.0, **n),
        "vote": lambda **n: lab.vote(think(scripted), QUESTION, **n),
        "best_of": lambda **n: lab.methods.best_of(think(scripted), QUESTION, score=equal, **n),
        "mixture": lambda **n: lab.methods.mixture(think(scripted), QUESTION, caps=(4,), **n),
    }
    for name, call in calls.items():
        with pytest.warns(DeprecationWarning, match=rf"n= of {name}\(\) is samples= now") as told:
            old = call(n=2)
        assert told[0].filename == __file__  # the line to change
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)
            assert repr(call(samples=2)) == repr(old)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda e: lab.force(e, QUESTION, seed=5), "seed=5 has no effect at temperature 0"),
        (lambda e: lab.evaluate(e, PROBLEMS, top_p=0.5), "top_p=0.5 has no effect"),
        (lambda e: lab.ladder(e, QUESTION, (4,), min_p=0.5), "min_p=0.5 has no effect"),
        (lambda e: lab.vote(e, QUESTION, 1, seed=5, temperature=0), "seed=5 has no effect"),
        (lambda e: lab.force(e, QUESTION, lab.Budget(wait="Hmm")), "wait='Hmm' has no effect"),
        (lambda e: lab.sweep(e, PROBLEMS, (4,), budget=lab.Budget(wait="Hmm")), "wait='Hmm'"),
    ],
)
def test_an_option_that_changes_nothing_is_noted_once(scripted, call, words):
    with pytest.warns(OptionUnused, match=words) as noted:
        call(think(scripted))
    assert [w.filename for w in noted if w.category is OptionUnused] == [__file__]


def test_options_that_have_an_effect_are_not_noted(scripted):
    hmm = lab.Budget(wait="Hmm")
    with warnings.catch_warnings():
        warnings.simplefilter("error", OptionUnused)
        lab.force(think(scripted), QUESTION, seed=0)
        lab.force(think(scripted), QUESTION, seed=5, temperature=0.7)
        lab.vote(think(scripted), QUESTION, 2, seed=5)
        lab.force(think(scripted), QUESTION, lab.Budget(wait="Hmm", min_tokens=3))
        lab.force(think(scripted), QUESTION, lab.Budget(wait=None))
        lab.ladder(think(scripted), QUESTION, waits=(0, 1), budget=hmm)
        lab.sweep(think(scripted), PROBLEMS, waits=(1,), budget=hmm, progress=False)
