"""What was received runs nothing: a model's folder, a store, a run file and a profile are data.

The code below writes a marker file. It must not be there unless the user asked for the code to run.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import sqlite3
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from transformers import dynamic_module_utils

import s1lab as lab
from s1lab import sft
from s1lab.engines.model_files import check_unread, load_network, load_tokenizer
from s1lab.engines.weights import ModelFilesError
from s1lab.storage.completion_row import digest
from s1lab.storage.diff import decoder
from s1lab.storage.sqlite import StoreError
from tools import ROOT
from tools.profiles import read_profile

QUESTION = "How many r in raspberry"
CAP = lab.Budget(max_tokens=5, answer_tokens=3)
CODE = """
import pathlib
pathlib.Path({marker!r}).touch()
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

class OwnConfig(Qwen2Config):
    model_type = "own"

class OwnModel(Qwen2ForCausalLM):
    config_class = OwnConfig

class OwnTokenizer(PreTrainedTokenizerFast):
    pass
"""


@pytest.fixture
def marker(tmp_path, monkeypatch) -> Path:
    """Where the code leaves its mark. Nobody answers on the terminal; code that is asked for is
    kept in a place of its own.
    """

    def asked(*_: object) -> str:
        raise AssertionError("the terminal was asked")

    monkeypatch.setattr("builtins.input", asked)
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path / "marker"


def with_code(
    folder: Path, marker: Path, *, known: bool, model: bool = True, tokenizer: bool = True
) -> Path:
    """Put code into a model's folder. known: it can be loaded without it, because transformers has
    its model_type.
    """
    (folder / "own.py").write_text(CODE.format(marker=str(marker)))
    config = json.loads((folder / "config.json").read_text())
    if model:
        config["auto_map"] = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    if not known:
        config |= {"model_type": "own", "architectures": ["OwnModel"]}
    (folder / "config.json").write_text(json.dumps(config))
    words = json.loads((folder / "tokenizer_config.json").read_text())
    if tokenizer:
        words |= {
            "tokenizer_class": "OwnTokenizer",
            "auto_map": {"AutoTokenizer": [None, "own.OwnTokenizer"]},
        }
    (folder / "tokenizer_config.json").write_text(json.dumps(words))
    return folder


@pytest.fixture
def folder(one_layer, tmp_path) -> Path:
    return Path(shutil.copytree(one_layer, tmp_path / "model"))


LOADS = {
    "lab.load": lambda model: lab.load(model).close(),
    "its tokenizer": load_tokenizer,
    "its weights": load_network,
    "before vLLM loads it": check_unread,
    "a plan": lambda model: sft.plan(sft.recipe("tiny").but(model=model)),
    "training": lambda model: sft.train(
        model, lab.tiny.problems(2, 1), "tiny", out=model + "-trained", progress=False
    ),
}


@pytest.mark.parametrize("parts", ["model", "tokenizer", "both"])
@pytest.mark.parametrize("known", [True, False], ids=["a known type", "an unknown type"])
@pytest.mark.parametrize("load", LOADS)
def test_a_folder_s_code_does_not_run(folder, marker, load, known, parts):
    with_code(folder, marker, known=known, model=parts != "tokenizer", tokenizer=parts != "model")
    try:
        LOADS[load](str(folder))
    except (ValueError, OSError) as why:
        assert "\n" not in str(why)
    assert not marker.exists()


def test_what_can_be_loaded_without_its_code_is(folder, marker, one_layer):
    with_code(folder, marker, known=True)
    with lab.load(str(folder)) as engine, lab.load(str(one_layer)) as plain:
        assert lab.force(engine, QUESTION, CAP).ids == lab.force(plain, QUESTION, CAP).ids
    assert not marker.exists()


def test_what_needs_its_code_is_refused_and_the_sentence_says_how_to_allow_it(folder, marker):
    with_code(folder, marker, known=False)
    with pytest.raises(ModelFilesError, match="trust_remote_code=True") as error:
        lab.load(str(folder))
    assert "\n" not in str(error.value) and str(folder) in str(error.value)
    assert not marker.exists()


@pytest.mark.parametrize("parts", ["model", "tokenizer", "both"])
def test_code_that_is_asked_for_runs(folder, marker, one_layer, parts):
    """Without this the tests above might hold code that never runs."""
    with_code(
        folder,
        marker,
        known=parts == "tokenizer",
        model=parts != "tokenizer",
        tokenizer=parts != "model",
    )
    with lab.load(str(folder), trust_remote_code=True) as engine, lab.load(str(one_layer)) as plain:
        assert marker.exists()
        assert (type(engine.network).__name__ == "OwnModel") == (parts != "tokenizer")
        assert (type(engine.template.tokenizer).__name__ == "OwnTokenizer") == (parts != "model")
        assert lab.force(engine, QUESTION, CAP).ids == lab.force(plain, QUESTION, CAP).ids


@pytest.mark.parametrize("value", [1, "yes", None, "False"])
def test_only_true_and_false_are_taken(one_layer, value):
    with pytest.raises(ValueError, match="trust_remote_code"):
        lab.load(str(one_layer), trust_remote_code=value)


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("how", ["pickle", "torch"])
def test_pickled_weights_run_nothing(folder, marker, how):
    (folder / "model.safetensors").unlink()
    file = folder / "pytorch_model.bin"
    file.write_bytes(pickle.dumps({"lm_head.weight": Bomb(marker)}))
    if how == "torch":
        torch.save({"lm_head.weight": Bomb(marker)}, file)
    with pytest.raises(ModelFilesError) as error:
        lab.load(str(folder))
    assert "\n" not in str(error.value) and not marker.exists()


@pytest.mark.parametrize(
    "chat",
    [
        "{{ cycler.__init__.__globals__.os.mkdir('MARKER') }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ lipsum.__globals__['os'].mkdir('MARKER') }}",
        "{{ messages.__class__.__base__.__subclasses__()[0] }}",
        "{% include 'MARKER' %}",
        "{{ raise_exception.__globals__['os'].mkdir('MARKER') }}",
    ],
)
def test_a_chat_template_reaches_nothing_outside(folder, marker, chat):
    """It is refused at load, or each question has its error."""
    (folder / "chat_template.jinja").write_text(chat.replace("MARKER", str(marker)))
    try:
        with lab.load(str(folder)) as engine:
            trace = lab.force(engine, QUESTION, CAP)
            assert trace.error and "\n" not in trace.error
    except ValueError as why:
        assert "\n" not in str(why)
    assert not marker.exists()


# A store that was received: its tokenizer is a zip of the tokenizer's files, and the name of their
# class.


def packed(folder: Path, kind: str) -> bytes:
    blob = io.BytesIO()
    with zipfile.ZipFile(blob, "w") as archive:
        for path in folder.iterdir():
            if path.name != "model.safetensors":
                archive.write(path, f"files/{path.name}")
        archive.writestr("class", kind)
    return blob.getvalue()


@pytest.fixture
def store(one_layer, tmp_path) -> Path:
    with lab.load(str(one_layer)) as engine:
        lab.force(engine, QUESTION, CAP, store=tmp_path / "run.db")
    return tmp_path / "run.db"


def put(store: Path, tokenizer: bytes) -> None:
    with sqlite3.connect(store) as db:
        db.create_function("digest", -1, digest)
        db.execute("UPDATE models SET tokenizer = ?", (tokenizer,))
        # Whoever makes such a store seals it too.
        db.execute("UPDATE models SET digest = digest(fingerprint, name, template, tokenizer)")


@pytest.mark.parametrize("known", [True, False], ids=["a known type", "an unknown type"])
@pytest.mark.parametrize(
    "kind",
    ["AutoTokenizer", "OwnTokenizer", "PreTrainedTokenizerFast", "pipeline", "os.system", ""],
)
def test_a_store_s_code_does_not_run(folder, marker, store, kind, known):
    put(store, packed(with_code(folder, marker, known=known), kind))
    try:
        with lab.replay(store) as engine:
            assert lab.force(engine, QUESTION, CAP).ids
    except StoreError as why:
        assert "never done" in str(why) and "\n" not in str(why)
    lab.runs(store)
    run = lab.storage.read_run(store)
    try:
        decoder(run)(run.traces[0].ids)
    except StoreError as why:
        assert "\n" not in str(why)
    assert not marker.exists()


@pytest.mark.parametrize(
    "way", ["no zip", "cut", "empty", "no class", "outside", "a bomb", "not the tokenizer"]
)
def test_a_store_s_tokenizer_that_is_broken_is_refused(folder, marker, store, monkeypatch, way):
    good = packed(folder, "TokenizersBackend")
    blob = io.BytesIO()
    with zipfile.ZipFile(blob, "w", zipfile.ZIP_DEFLATED) as archive:
        if way == "outside":
            archive.writestr("../../../../../.." + str(marker), "x")
        if way == "a bomb":
            monkeypatch.setattr("s1lab.storage.tokenizers.LARGEST_TOKENIZER", 10**6)
            archive.writestr("files/zeros", bytes(10**6 + 1))
        if way != "no class":
            archive.writestr("class", "TokenizersBackend")
    ways = {
        "no zip": b"PK",
        "cut": good[: len(good) // 2],
        "empty": b"",
        "not the tokenizer": packed(ROOT / "docs", "Qwen2Tokenizer"),
    }
    put(store, ways.get(way, blob.getvalue()))
    with pytest.raises(StoreError) as error:
        lab.replay(store)
    assert ("bytes" in str(error.value)) == (way == "a bomb")
    assert (
        "tokenizer" in str(error.value)
        and "\n" not in str(error.value)
        and len(str(error.value)) < 500
    )
    assert not marker.exists()


# A run file that was received names a model, whose tokenizer turns its ids into text.


@pytest.mark.parametrize("field", ["model", "tokenizer"])
def test_a_run_file_s_model_runs_nothing(folder, marker, store, tmp_path, field):
    with_code(folder, marker, known=False)
    run = lab.storage.read_run(store)
    run.made[field] = str(folder)
    file = run.save(tmp_path / "run.jsonl")
    for path in (file, store):
        stored = lab.storage.read_run(path)
        assert decoder(stored)(stored.traces[0].ids)
    lab.diff(file, store)
    assert not marker.exists()


# Profiles.


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("{trust_remote_code: true}", "trust_remote_code"),
        ("{trust_remote_code: false}", "trust_remote_code"),
        ("{Trust_Remote_Code: 1}", "Trust_Remote_Code"),
        ("{hf_overrides: {trust_remote_code: true}}", "trust_remote_code"),
        ("{a: [{code_revision: main}]}", "code_revision"),
        ("{worker_cls: evil.Worker}", "worker_cls"),
        ("{scheduler_cls: evil.Scheduler}", "scheduler_cls"),
        ("{logits_processors: ['evil:Processor']}", "logits_processors"),
        ("{reasoning_parser_plugin: evil.py}", "reasoning_parser_plugin"),
        ("{headers: {Authorization: Bearer sk-1}}", "headers"),
        ("{default_headers: {}}", "default_headers"),
        ("{extra-headers: [a]}", "extra-headers"),
        ("{Authorization: Bearer sk-1}", "Authorization"),
        ("{a: {proxy-authorization: x}}", "proxy-authorization"),
        ("{cookie: a=b}", "cookie"),
        ("{X-Auth: sk-1}", "X-Auth"),
    ],
)
def test_a_profile_switches_no_code_on_and_holds_no_header(tmp_path, options, says):
    (tmp_path / "notebooks" / "profiles").mkdir(parents=True)
    shutil.copy(ROOT / "notebooks" / "00_quickstart.ipynb", tmp_path / "notebooks")
    (tmp_path / "notebooks" / "profiles" / "odd.yaml").write_text(
        f"00_quickstart: {{engine_options: {options}}}"
    )
    with pytest.raises(ValueError, match="the profile odd") as error:
        read_profile("odd", tmp_path)
    assert f"{says} of 00_quickstart" in str(error.value) and "leave it out" in str(error.value)
    assert "sk-1" not in str(error.value) and "\n" not in str(error.value)
