"""Files that people really have: cut downloads, files of two models in one folder, a tokenizer that
does not fit.
"""

from __future__ import annotations

import json
import shutil
import struct
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaTokenizerFast,
    PreTrainedTokenizerFast,
)

import s1lab as lab
from s1lab.engines import weights as weight_files
from s1lab.engines.end_of_sequence import end_ids, end_ids_of, ends_of, turn_ends
from s1lab.engines.finite import not_finite
from s1lab.engines.model_files import PROBES, check_unread, load_network, load_tokenizer
from s1lab.engines.weights import ModelFilesError
from tests.helpers import TINY

QUESTION = "How many r in raspberry"
ONE, HEAD, BIAS = (
    "model.layers.0.mlp.up_proj.weight",
    "lm_head.weight",
    "model.layers.0.self_attn.q_proj.bias",
)


@pytest.fixture
def folder(one_layer, tmp_path) -> Path:
    return Path(shutil.copytree(one_layer, tmp_path / "model"))


def change(file: Path, **values: Any) -> None:
    """Set fields of a JSON file; ``...`` takes one out."""
    content = json.loads(file.read_text(encoding="utf-8")) | values
    file.write_text(
        json.dumps({k: v for k, v in content.items() if v is not ...}), encoding="utf-8"
    )


def refused(
    folder: Path,
    *words: str,
    call: Callable[[str], object] = lab.load,
    kind: type[Exception] = ModelFilesError,
) -> None:
    with pytest.raises(kind) as error:
        call(str(folder))
    text = str(error.value)
    assert all(word in text for word in words), text
    assert "\n" not in text and len(text) < 400 + 2 * len(str(folder)), text


def test_the_folder_as_it_is_loads_without_a_note(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with lab.load(str(folder)) as engine:
            assert (
                lab.force(engine, QUESTION, lab.Budget(max_tokens=3), answer_tokens=3).error is None
            )
    check_unread(str(folder))


# Safetensors: eight bytes of length, a header in JSON, the numbers.

GOOD = (TINY / "model.safetensors").read_bytes()
LENGTH = struct.unpack("<Q", GOOD[:8])[0]
FIRST = min(
    json.loads(GOOD[8 : 8 + LENGTH]).items(), key=lambda item: item[1].get("data_offsets", [1])[0]
)[0]


def with_header(header: object, data: bytes = GOOD[8 + LENGTH :]) -> bytes:
    written = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(written)) + written + data


def with_entry(**values: Any) -> bytes:
    """The first weight's entry with other fields; ``...`` takes one out."""
    header = json.loads(GOOD[8 : 8 + LENGTH])
    header[FIRST] = {k: v for k, v in (header[FIRST] | values).items() if v is not ...}
    return with_header(header)


def with_length(length: int) -> bytes:
    return struct.pack("<Q", length) + GOOD[8:]


BROKEN = {
    **{
        f"cut after {n} bytes": GOOD[:n]
        for n in (0, 1, 7, 8, 9, 8 + LENGTH // 2, 8 + LENGTH, 9 + LENGTH)
    },
    "cut in half": GOOD[: len(GOOD) // 2],
    "cut by a byte": GOOD[:-1],
    "a byte too many": GOOD + b"\0",
    "twice": GOOD + GOOD,
    "without its beginning": GOOD[4:],
    **{
        f"length {n}": with_length(n)
        for n in (0, 1, LENGTH - 1, LENGTH + 1, len(GOOD), 100_000_001, 2**40, 2**63, 2**64 - 1)
    },
    "zeros": bytes(len(GOOD)),
    "a page of a web server": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "a pointer of git lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:"
    + b"0" * 64
    + b"\nsize 3752888\n",
    "a zip": b"PK\x03\x04" + GOOD[4:],
    "header is no JSON": with_header(b"{model.norm.weight: F32}"),
    "header is no UTF-8": with_header(b'{"\xff\xfe": 1}'),
    "header is cut": with_header(GOOD[8 : LENGTH - 20]),
    "header is a list": with_header([]),
    "header is a text": with_header("weights"),
    "header is null": with_header(None),
    "header is nested": with_header(b'{"a":' * 50_000),
    "header is empty": with_header({}),
    "metadata is a list": with_header(json.loads(GOOD[8 : 8 + LENGTH]) | {"__metadata__": [1]}),
    "an entry is a list": with_header(json.loads(GOOD[8 : 8 + LENGTH]) | {FIRST: []}),
    "an entry more": with_header(
        json.loads(GOOD[8 : 8 + LENGTH])
        | {"x": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}
    ),
    "no dtype": with_entry(dtype=...),
    "no shape": with_entry(shape=...),
    "no offsets": with_entry(data_offsets=...),
    "dtype unknown": with_entry(dtype="F31"),
    "dtype of another size": with_entry(dtype="F16"),
    "dtype is a number": with_entry(dtype=32),
    "shape of another size": with_entry(shape=[7, 7]),
    "shape negative": with_entry(shape=[-322, -128]),
    "shape a fraction": with_entry(shape=[322.5, 128]),
    "shape beyond 64 bits": with_entry(shape=[2**40, 2**40]),
    "offsets reversed": with_entry(data_offsets=[164864, 0]),
    "offsets overlap": with_entry(data_offsets=[64, 164928]),
    "offsets beyond the file": with_entry(data_offsets=[0, 2**50]),
    "offsets negative": with_entry(data_offsets=[-4, 164860]),
    "one offset": with_entry(data_offsets=[0]),
}


@pytest.mark.parametrize("way", BROKEN)
def test_broken_weights_are_refused_by_the_file_s_name(folder, way):
    (folder / "model.safetensors").write_bytes(BROKEN[way])
    refused(folder, "model.safetensors is broken", "fetch it again", call=load_network)
    refused(folder, "model.safetensors is broken", "fetch it again", call=check_unread)


def test_at_least_32_ways_are_tried():
    assert len(BROKEN) >= 32 and len(set(BROKEN.values())) == len(BROKEN)


@pytest.mark.parametrize("dtype", ["I32", "U32"])
def test_weights_that_are_whole_numbers(folder, dtype):
    (folder / "model.safetensors").write_bytes(with_entry(dtype=dtype))
    refused(folder, "whole numbers", FIRST, call=load_network)


def test_only_headers_are_read_before_loading(folder):
    """Sixty gigabytes that are holes: to read them would take a minute."""
    size = 60 * 2**30
    with (folder / "model.safetensors").open("wb") as file:
        file.write(
            with_header(
                {ONE: {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}, b""
            )
        )
        file.truncate(file.tell() + size)
    begun = time.monotonic()
    assert weight_files.check_files(folder) == {ONE: ("F32", (size // 4,))}
    assert time.monotonic() - begun < 2


# Weights that are not those of the configuration.


def weights(folder: Path, alter: Callable[[dict[str, torch.Tensor]], None]) -> None:
    held = load_file(folder / "model.safetensors")
    alter(held)
    save_file({k: v.clone().contiguous() for k, v in held.items()}, folder / "model.safetensors")


FOREIGN = {
    "a weight is missing": (lambda w: w.pop(ONE), ["lack", ONE, "random numbers"]),
    "the head is missing": (lambda w: w.pop(HEAD), ["lack", HEAD]),
    "the norm is missing": (lambda w: w.pop("model.norm.weight"), ["lack", "model.norm.weight"]),
    "a bias is missing": (lambda w: w.pop(BIAS), ["lack", BIAS]),
    "many are missing": (
        lambda w: [w.pop(k) for k in list(w) if "mlp" in k or "bias" in k],
        ["lack", "and 3 more"],
    ),
    "a weight more": (lambda w: w.update(extra=torch.ones(3)), ["extra", "does not use"]),
    "a layer more": (
        lambda w: w.update({ONE.replace(".0.", ".1."): w[ONE]}),
        ["layers.1", "does not use"],
    ),
    "a weight renamed": (lambda w: w.update({ONE + "s": w.pop(ONE)}), ["lack", ONE]),
    "an adapter's weight": (
        lambda w: w.update({ONE.replace("weight", "lora_A.weight"): torch.ones(4, 128)}),
        ["lora_A"],
    ),
    "another shape": (
        lambda w: w.update({ONE: torch.ones(384, 64)}),
        ["other shapes", ONE, "(384, 64)", "(384, 128)"],
    ),
    "turned round": (lambda w: w.update({ONE: w[ONE].T}), ["other shapes", ONE]),
    "more rows": (lambda w: w.update({HEAD: torch.ones(330, 128)}), ["other shapes", HEAD]),
}


@pytest.mark.parametrize("way", FOREIGN)
def test_missing_and_foreign_weights_are_named(folder, way):
    alter, words = FOREIGN[way]
    weights(folder, alter)
    refused(folder, *words, call=load_network)
    refused(folder, *words, call=check_unread)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("llama", ["q_proj.bias", "'llama'"]),
        ("qwen3", ["lack", "q_norm", "'qwen3'"]),
        ("gemma2", ["lack", "feedforward_layernorm"]),
        ("gpt2", ["lack", "transformer.h.0"]),
        ("qwen2_moe", ["lack", "mlp.experts"]),
    ],
)
@pytest.mark.parametrize("call", [load_network, check_unread])
def test_another_model_type_is_refused(folder, kind, words, call):
    change(folder / "config.json", model_type=kind)
    if call is load_network:
        refused(folder, *words, call=call)
    else:
        refused(folder, f"'{kind}'", call=call)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", [ONE, HEAD, "model.norm.weight"])
def test_weights_that_are_no_numbers_are_named(folder, number, name):
    weights(folder, lambda w: w[name].view(-1)[7:8].fill_(number))
    refused(folder, name, "NaN or infinite")


def test_weights_too_large_for_the_dtype_are_named(folder):
    weights(folder, lambda w: w[ONE].mul_(1e6))
    refused(folder, ONE, "bfloat16", call=lambda model: lab.load(model, dtype="float16"))
    lab.load(str(folder)).close()


def test_a_sum_that_overflows_is_no_infinite_weight():
    layer = torch.nn.Linear(4, 4, bias=False)
    with torch.no_grad():
        layer.weight.fill_(3e38)
    assert not_finite(layer) == []
    with torch.no_grad():
        layer.weight[1, 2] = float("inf")
    assert not_finite(layer) == ["weight"]


def test_a_model_in_memory_is_checked_too():
    network = AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32)
    with torch.no_grad():
        network.lm_head.weight[3, 3] = float("nan")
    from s1lab.engines.transformers import TransformersEngine

    with pytest.raises(ModelFilesError, match="lm_head"):
        TransformersEngine(network, tokenizer=load_tokenizer("s1-tiny"))


@pytest.mark.parametrize("held", [True, False])
def test_tied_embeddings_are_no_missing_weight(folder, held):
    change(folder / "config.json", tie_word_embeddings=True)
    weights(
        folder, lambda w: w.update({HEAD: w["model.embed_tokens.weight"]}) if held else w.pop(HEAD)
    )
    network = load_network(str(folder), torch.float32)
    assert torch.equal(
        network.get_input_embeddings().weight, network.get_output_embeddings().weight
    )
    check_unread(str(folder))


# Configurations.

CONFIGS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no model_type": ({"model_type": ...}, ["has no model_type"]),
    "model_type a number": ({"model_type": 5}, ["has no model_type"]),
    "model_type unknown": ({"model_type": "nosuch"}, ["nosuch"]),
    "no heads": ({"num_attention_heads": 0}, ["num_attention_heads is 0"]),
    "heads do not share": ({"num_attention_heads": 3}, ["other shapes"]),
    "fewer key heads": ({"num_key_value_heads": 2}, ["other shapes", "k_proj"]),
    "width 0": ({"hidden_size": 0}, ["hidden_size is 0"]),
    "width negative": ({"hidden_size": -128}, ["hidden_size is -128"]),
    "width a text": ({"hidden_size": "128"}, ["config.json", "hidden_size", "'128'"]),
    "width a fraction": ({"hidden_size": 128.5}, ["config.json", "hidden_size", "128.5"]),
    "width a truth": ({"hidden_size": True}, ["config.json", "hidden_size", "True"]),
    "width missing": ({"hidden_size": ...}, ["other shapes", "(322, 4096)"]),
    "width of another": ({"hidden_size": 64}, ["other shapes"]),
    "width of a giant": ({"hidden_size": 2**30}, ["describes a model of"]),
    "width beyond all": ({"hidden_size": 2**70}, ["hidden_size is"]),
    "words of a giant": ({"vocab_size": 2**33}, ["describes a model of"]),
    "words of another": ({"vocab_size": 300}, ["other shapes", "lm_head"]),
    "heads of a giant": ({"head_dim": 10**9}, ["describes a model of"]),
    "experts of a giant": (
        {"model_type": "qwen2_moe", "num_experts": 10**6},
        ["describes a model of"],
    ),
    "no size at all": (
        dict.fromkeys(weight_files.SIZES, ...) | {"num_hidden_layers": ..., "layer_types": ...},
        ["describes a model"],
    ),
    "layers too many": ({"num_hidden_layers": 2, "layer_types": ...}, ["lack", "layers.1"]),
    "layers of a giant": (
        {"num_hidden_layers": 10**7, "layer_types": ...},
        ["num_hidden_layers is 10000000"],
    ),
    "layers of a large model": (
        {"num_hidden_layers": 96, "layer_types": ...},
        ["96 layers", "15 weights"],
    ),
    "layers of a giant by another name": (
        {"model_type": "gpt2", "n_layer": 10**7, "layer_types": ...},
        ["n_layer is 10000000"],
    ),
    "layers of a giant within": (
        {"text_config": {"num_hidden_layers": 10**12}},
        ["num_hidden_layers is 1000000000000"],
    ),
    "layer types too few": ({"layer_types": []}, ["layer_types"]),
    "layer type unknown": ({"layer_types": ["nosuch"]}, ["layer_types"]),
    "activation unknown": ({"hidden_act": "nosuch"}, ["config.json", "nosuch"]),
    "context 0": ({"max_position_embeddings": 0}, ["max_position_embeddings is 0"]),
    "epsilon a text": ({"rms_norm_eps": "small"}, ["rms_norm_eps"]),
    "epsilon NaN": ({"rms_norm_eps": float("nan")}, ["config.json", "NaN"]),
    "rope unknown": ({"rope_parameters": {"rope_type": "nosuch"}}, ["config.json", "nosuch"]),
    "rope without its factor": (
        {"rope_parameters": {"rope_type": "yarn"}},
        ["config.json", "factor"],
    ),
    "padding beyond the words": ({"pad_token_id": 10**6}, ["config.json", "Padding_idx"]),
    "dtype unknown": ({"dtype": "float99"}, ["config.json", "float99"]),
    "end a text": ({"eos_token_id": "<|im_end|>"}, ["eos_token_id"]),
    "attention unknown": ({"attn_implementation": "nosuch"}, ["attn_implementation"]),
}


@pytest.mark.parametrize("way", CONFIGS)
def test_a_configuration_that_fits_no_model_is_refused(folder, way):
    values, words = CONFIGS[way]
    change(folder / "config.json", **values)
    refused(folder, *words)


TEXTS = {
    "empty": b"",
    "cut": (TINY / "config.json").read_bytes()[:200],
    "a list": b"[]",
    "null": b"null",
    "a page of a web server": b"<!DOCTYPE html>",
    "no UTF-8": b"\xff\xfe\x00",
    "nested": b'{"a":' * 100_000,
    "a number without end": b'{"a":' + b"9" * 100_000 + b"}",
    "far too large": b'{"a":"' + b"x" * 17_000_000 + b'"}',
}


@pytest.mark.parametrize("way", TEXTS)
@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer_config.json"])
def test_json_that_is_broken_is_refused_by_the_file_s_name(folder, name, way):
    (folder / name).write_bytes(TEXTS[way])
    refused(folder, str(folder / name))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("config.json", ["config.json", "model_type"]),
        ("model.safetensors", ["model.safetensors"]),
        ("tokenizer.json", ["tokenizer"]),
        ("chat_template.jinja", ["chat template"]),
    ],
)
def test_a_file_that_is_not_there_is_named(folder, name, words):
    (folder / name).unlink()
    refused(folder, *words, kind=ValueError)


# Weights in several files.


@pytest.fixture
def shards(folder) -> Path:
    held = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(held)
    places = {
        name: f"model-{1 + (i >= 7):05d}-of-00002.safetensors" for i, name in enumerate(names)
    }
    for file in set(places.values()):
        save_file({n: held[n] for n in names if places[n] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": places})
    )
    return folder


def test_a_model_in_several_files_is_the_one_in_one(shards, one_layer):
    check_unread(str(shards))
    whole, parts = (
        load_network(str(one_layer), "auto").state_dict(),
        load_network(str(shards), "auto").state_dict(),
    )
    assert whole.keys() == parts.keys() and all(torch.equal(whole[k], parts[k]) for k in whole)


SECOND = "model-00002-of-00002.safetensors"
SHARDS: dict[str, tuple[Callable[[dict[str, Any]], object], list[str]]] = {
    "a file is not there": (
        lambda i: i["weight_map"].update({ONE: "model-00003-of-00003.safetensors"}),
        ["00003-of-00003"],
    ),
    "a weight is not there": (
        lambda i: i["weight_map"].update(extra=SECOND),
        ["'extra'", "not hold"],
    ),
    "no map": (lambda i: i.pop("weight_map"), ["no weight_map"]),
    "the map is a list": (lambda i: i.update(weight_map=[]), ["no weight_map"]),
    "a place is a number": (lambda i: i["weight_map"].update({ONE: 2}), ["no weight_map"]),
    "a place is a folder": (lambda i: i["weight_map"].update({ONE: "."}), ["does not hold"]),
    "a place is outside": (
        lambda i: i["weight_map"].update({ONE: "../model/" + SECOND}),
        ["outside"],
    ),
    "a place is anywhere": (lambda i: i["weight_map"].update({ONE: "/etc/hostname"}), ["outside"]),
}


@pytest.mark.parametrize("way", SHARDS)
def test_an_index_that_is_wrong_is_refused(shards, way):
    alter, words = SHARDS[way]
    index = shards / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    alter(content)
    index.write_text(json.dumps(content))
    refused(shards, "model.safetensors.index.json", *words, call=load_network)


@pytest.mark.parametrize("way", ["empty", "cut", "a list", "nested"])
def test_an_index_that_is_broken_is_refused(shards, way):
    (shards / "model.safetensors.index.json").write_bytes(TEXTS[way])
    refused(shards, "model.safetensors.index.json", call=load_network)


@pytest.mark.parametrize("size", [0, 5, 1000, -1])
def test_one_of_several_files_that_is_cut_is_named(shards, size):
    (shards / SECOND).write_bytes((shards / SECOND).read_bytes()[:size])
    refused(shards, SECOND, "fetch it again", call=load_network)


def test_a_weight_that_no_index_names_is_missing(shards):
    index = shards / "model.safetensors.index.json"
    change(
        index,
        weight_map={
            k: v for k, v in json.loads(index.read_text())["weight_map"].items() if v != SECOND
        },
    )
    (shards / SECOND).unlink()
    refused(shards, "lack", call=load_network)


# Tokenizers.


def tokenizer_json(folder: Path, alter: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    alter(content)
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")


def splitting(pattern: str) -> Callable[[dict[str, Any]], object]:
    split = {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Isolated",
        "invert": False,
    }
    return lambda t: t.update(pre_tokenizer=split)


TOKENIZERS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a version of the future": lambda t: t.update(version="9.0"),
    "no model": lambda t: t.update(model=None),
    "a model of no kind": lambda t: t["model"].update(type="NoSuch"),
    "a merge of no words": lambda t: t["model"].update(merges=[["q", "zzz"]]),
    "a merge of one": lambda t: t["model"].update(merges=["a"]),
    "an id below 0": lambda t: t["model"]["vocab"].update(a=-1),
    "an id beyond 32 bits": lambda t: t["model"]["vocab"].update(a=2**40),
    "no letters": lambda t: t["model"].update(vocab={}, merges=[]),
    "a pattern that is none": splitting("("),
    "a panic": lambda t: t.update(
        normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}
    ),
    "a stride beyond the cut": lambda t: t.update(
        truncation={"max_length": 1, "strategy": "LongestFirst", "stride": 5, "direction": "Right"}
    ),
}


@pytest.mark.parametrize("way", TOKENIZERS)
def test_a_tokenizer_that_is_broken_is_refused(folder, way):
    tokenizer_json(folder, TOKENIZERS[way])
    refused(folder, "the tokenizer", call=load_tokenizer)


@pytest.mark.parametrize("way", [way for way in TEXTS if way != "far too large"])
def test_a_tokenizer_file_that_is_broken_is_refused(folder, way):
    (folder / "tokenizer.json").write_bytes(TEXTS[way])
    refused(folder, "the tokenizer", call=load_tokenizer)


@pytest.mark.parametrize(
    "saved",
    [
        {
            "truncation": {
                "max_length": 2,
                "strategy": "LongestFirst",
                "stride": 0,
                "direction": "Right",
            }
        },
        {
            "padding": {
                "strategy": {"Fixed": 99},
                "direction": "Right",
                "pad_to_multiple_of": None,
                "pad_id": 0,
                "pad_type_id": 0,
                "pad_token": "x",
            }
        },
    ],
    ids=["truncation", "padding"],
)
def test_what_a_call_left_in_the_file_is_no_disagreement(folder, saved, template):
    tokenizer_json(folder, lambda t: t.update(saved))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = load_tokenizer(str(folder))
    for text in PROBES:
        assert found.encode(text, add_special_tokens=False) == template.encode(text)


# The last is the form of the R1 distills: a byte-level vocabulary under a class that is made for
# another kind.
@pytest.mark.parametrize(
    "named", ["Qwen2Tokenizer", "GPT2Tokenizer", "NoSuchTokenizer", "LlamaTokenizerFast"]
)
@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_the_tokenizer_is_the_one_of_its_file(folder, named, kind, template):
    change(folder / "tokenizer_config.json", tokenizer_class=named)
    change(folder / "config.json", model_type=kind)
    by_class = AutoTokenizer.from_pretrained(folder)
    differs = any(
        by_class.encode(t, add_special_tokens=False) != template.encode(t) for t in PROBES
    )
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always")
        found = load_tokenizer(str(folder))
    for text in PROBES:
        ids = found.encode(text, add_special_tokens=False)
        assert ids == template.encode(text) and found.decode(ids) == text
    assert bool(noted) == differs
    assert all(
        "tokenizer.json" in str(note.message) and str(folder) in str(note.message) for note in noted
    )


def test_a_llama_class_loses_the_spaces_and_the_file_s_tokenizer_does_not(folder):
    """Without this the tests above might compare what is equal anyway."""
    lossy = LlamaTokenizerFast.from_pretrained(folder)
    text = "How many r in raspberry?"
    assert lossy.decode(lossy.encode(text, add_special_tokens=False)) != text
    found = load_tokenizer(str(folder))
    assert found.decode(found.encode(text, add_special_tokens=False)) == text


# Tokens without a row in the embeddings.


def added(folder: Path, token: str, special: bool) -> None:
    """Add a token behind the 322 that the embeddings have rows for, as fine-tuning scripts do
    without resizing.
    """
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.add_tokens([token], special_tokens=special)
    tokenizer.save_pretrained(folder)


def test_a_control_token_without_a_row_is_noted_and_a_question_with_it_is_an_error(
    folder, one_layer
):
    added(folder, "[PAD]", True)
    with pytest.warns(UserWarning, match=r"\[PAD\].*322 rows"):
        engine = lab.load(
            str(folder), allow_special=True
        )  # else "[PAD]" in a question is plain text
    questions = [QUESTION, "What is [PAD]?", "Make 12 from 2, 3 and 4"]
    budget = lab.Budget(max_tokens=5)
    first, bad, last = lab.force(engine, questions, budget, answer_tokens=3)
    assert "322" in bad.error and "\n" not in bad.error and first.error is last.error is None
    with lab.load(str(one_layer)) as plain:
        want = lab.force(plain, questions[::2], budget, answer_tokens=3)
    assert [first.ids, last.ids] == [t.ids for t in want]
    engine.close()
    with pytest.warns(UserWarning, match=r"\[PAD\]"):
        engine = lab.load(str(folder))
    assert lab.force(engine, questions[1], budget, answer_tokens=3).error is None
    engine.close()


def test_ordinary_tokens_without_a_row_are_refused(folder):
    added(folder, "raspberry", False)
    refused(folder, "'raspberry'", "322 rows", "resize")


def test_a_tokenizer_of_a_larger_model_is_refused(folder):
    weights(
        folder, lambda w: w.update({k: w[k][:200] for k in (HEAD, "model.embed_tokens.weight")})
    )
    change(folder / "config.json", vocab_size=200, eos_token_id=0, pad_token_id=None)
    refused(folder, "200 rows", "resize")


@pytest.mark.parametrize("where", ["template", "end", "close"])
def test_a_control_token_that_every_question_needs_is_refused(folder, where):
    added(folder, "<|new|>", True)
    options = {}
    if where == "template":
        (folder / "chat_template.jinja").write_text("<|new|>{{ messages[0].content }}<|im_end|>")
    elif where == "end":
        options["template"] = lab.ThinkTemplate(
            "<|im_start|>think\n", ("<|new|>",), "<|im_start|>answer\n"
        )
    else:
        options["template"] = lab.ThinkTemplate("<|im_start|>think\n", ("<|im_start|>",), "<|new|>")
    refused(folder, "<|new|>", "322 rows", call=lambda model: lab.load(model, **options))


def test_rows_beyond_the_tokenizer_are_no_fault(folder):
    weights(
        folder,
        lambda w: w.update(
            {k: torch.cat([w[k], torch.zeros(6, 128)]) for k in (HEAD, "model.embed_tokens.weight")}
        ),
    )
    change(folder / "config.json", vocab_size=328)
    lab.load(str(folder)).close()


# The ends.

TEXT_END, START, END = 256, 257, 258
ORDINARY = 5  # a byte
CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"


@pytest.mark.parametrize(
    ("generation", "config", "eos", "chat", "want"),
    [
        ({"eos_token_id": END}, {}, None, CHATML, {END}),
        ({}, {"eos_token_id": END}, None, None, {END}),  # only in config.json
        ({}, {"text_config": {"eos_token_id": [END]}}, None, None, {END}),
        ({}, {}, "<|im_end|>", None, {END}),  # only the tokenizer's
        ({}, {}, None, CHATML, {END}),  # only the chat template's
        (
            {"eos_token_id": TEXT_END},
            {"eos_token_id": TEXT_END},
            "<|endoftext|>",
            CHATML,
            {TEXT_END, END},
        ),
        (
            {"eos_token_id": [TEXT_END, END]},
            {"eos_token_id": TEXT_END},
            "<|im_end|>",
            CHATML,
            {TEXT_END, END},
        ),
        (
            {"eos_token_id": END},
            {"eos_token_id": ORDINARY},
            None,
            None,
            {END},
        ),  # left over from another model
        ({}, {"eos_token_id": ORDINARY}, None, CHATML, {END}),
        ({}, {"eos_token_id": ORDINARY}, None, None, {ORDINARY}),  # nothing else says anything
        ({"eos_token_id": [END, 10**6, -1]}, {"eos_token_id": 10**6}, None, None, {END}),
        ({"eos_token_id": [END, True, "2", None, 2.0]}, {"eos_token_id": None}, None, None, {END}),
        ({"eos_token_id": "x"}, {"eos_token_id": {}}, None, None, set()),
        ({}, {}, None, "{{ raise_exception('no such turns') }}", set()),
        ({}, {}, None, "{% for m in messages %}{{ m.content }}\n{% endfor %}", set()),
        (
            {},
            {},
            None,
            "{% for m in messages %}{{ m.content }} answer\n{% endfor %}",
            set(),
        ),  # an added token that is a word
        (
            {},
            {},
            None,
            "{% for m in messages %}{{ m.content }}\n\n<|im_start|>next{% endfor %}",
            {START},
        ),
    ],
)
def test_the_ends_are_all_that_the_files_and_the_chat_template_name(
    generation, config, eos, chat, want
):
    tokenizer = load_tokenizer("s1-tiny")
    tokenizer.eos_token, tokenizer.chat_template = eos, chat
    assert ends_of(tokenizer, generation, config) == want


def test_of_two_tokens_that_begin_alike_the_longer_ends_the_turn():
    tokenizer = load_tokenizer("s1-tiny")
    tokenizer.add_tokens(["<|im_end|>\n"], special_tokens=True)
    tokenizer.chat_template = CHATML
    assert turn_ends(tokenizer) == {len(tokenizer) - 1}


@pytest.mark.parametrize(
    ("generation", "config"),
    [
        ({"eos_token_id": ...}, {}),  # only in config.json
        ({"eos_token_id": TEXT_END}, {"eos_token_id": TEXT_END}),
        ({"eos_token_id": TEXT_END}, {"eos_token_id": 2}),
    ],
)
def test_an_answer_ends_where_turns_end_whatever_the_files_name(
    one_layer, tmp_path, tiny, generation, config
):
    folder = Path(shutil.copytree(TINY, tmp_path / "model"))
    change(folder / "generation_config.json", **generation)
    change(folder / "config.json", **config)
    change(folder / "tokenizer_config.json", eos_token="<|endoftext|>")
    with lab.load(str(folder)) as engine:
        assert END in engine.template.answer_stop
        assert engine.template.answer_stop == end_ids(str(folder), engine.template.tokenizer)
        got, want = (
            lab.force(e, QUESTION, lab.Budget(max_tokens=30), answer_tokens=40)
            for e in (engine, tiny)
        )
    assert got.ids == want.ids and not got.answer_cut


def test_the_ends_of_a_model_in_memory_are_those_of_its_files():
    network, tokenizer = load_network("s1-tiny", torch.float32), load_tokenizer("s1-tiny")
    assert end_ids_of(network, tokenizer) == end_ids("s1-tiny", tokenizer) == {END}
    tokenizer.eos_token = None
    network.generation_config.eos_token_id = TEXT_END
    assert end_ids_of(network, tokenizer) == {TEXT_END, END}
