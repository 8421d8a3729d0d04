"""vLLM refuses the same files as transformers, and both end answers at the same ids.

vLLM loads files by itself: it fills no missing weight, but says nothing of it, and takes what it
knows. The unit tests try every kind on :func:`s1lab.engines.model_files.check_unread`; here a
handful goes through the engine.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerFast

import s1lab as lab
from s1lab.engines.weights import ModelFilesError
from tests.helpers import TINY

pytest.importorskip("vllm")

ONE, HEAD = "model.layers.0.mlp.up_proj.weight", "lm_head.weight"
TEXT_END, END = 256, 258


def change(file: Path, **values: Any) -> None:
    file.write_text(
        json.dumps(json.loads(file.read_text(encoding="utf-8")) | values), encoding="utf-8"
    )


def weights(alter: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def altered(folder: Path) -> None:
        held = load_file(folder / "model.safetensors")
        alter(held)
        save_file({k: v.clone() for k, v in held.items()}, folder / "model.safetensors")

    return altered


def token(text: str, special: bool) -> Callable[[Path], None]:
    def added(folder: Path) -> None:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        tokenizer.add_tokens([text], special_tokens=special)
        tokenizer.save_pretrained(folder)

    return added


def cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


REFUSED: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "a cut download": (cut, ["model.safetensors", "broken"]),
    "a weight missing": (weights(lambda w: w.pop(ONE)), ["lack", ONE]),
    "a weight more": (weights(lambda w: w.update(extra=torch.ones(3))), ["extra"]),
    "another shape": (
        weights(lambda w: w.update({ONE: torch.ones(384, 64)})),
        ["other shapes", ONE],
    ),
    "another model_type": (lambda f: change(f / "config.json", model_type="llama"), ["'llama'"]),
    "a giant's width": (lambda f: change(f / "config.json", hidden_size=2**30), ["config.json"]),
    "ordinary tokens without a row": (token("raspberry", False), ["'raspberry'", "322 rows"]),
    "a broken tokenizer": (lambda f: (f / "tokenizer.json").write_bytes(b"{"), ["tokenizer"]),
}
LOADED: dict[str, tuple[Callable[[Path], None], list[str], str]] = {
    "NaN weights": (
        weights(lambda w: w[HEAD].view(-1)[5].fill_(float("nan"))),
        ["NaN", HEAD],
        "auto",
    ),
    "infinite weights": (
        weights(lambda w: w[ONE].view(-1)[5].fill_(float("inf"))),
        ["infinite", ONE],
        "auto",
    ),
    "too large for the dtype": (weights(lambda w: w[ONE].mul_(1e6)), [ONE, "bfloat16"], "float16"),
}


@pytest.mark.parametrize("way", REFUSED)
@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_the_same_files_are_refused_before_anything_is_loaded(one_layer, tmp_path, way, engine):
    folder = Path(shutil.copytree(one_layer, tmp_path / "model"))
    alter, words = REFUSED[way]
    alter(folder)
    with pytest.raises(ModelFilesError) as error:
        lab.load(str(folder), engine=engine)
    assert all(word in str(error.value) for word in words), error.value
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("way", LOADED)
def test_weights_that_are_no_numbers_are_refused_by_name(one_layer, tmp_path, way):
    folder = Path(shutil.copytree(one_layer, tmp_path / "model"))
    alter, words, dtype = LOADED[way]
    alter(folder)
    with pytest.raises(ModelFilesError) as error:
        lab.load(str(folder), engine="vllm", dtype=dtype, max_model_len=256)
    assert all(word in str(error.value) for word in words), error.value
    assert "\n" not in str(error.value)


def test_what_vllm_itself_refuses_is_one_sentence(one_layer):
    with pytest.raises(ValueError, match="vLLM can't load") as error:
        lab.load(str(one_layer), engine="vllm", max_model_len=10**6)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_code_in_the_folder_does_not_run(one_layer, tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("the terminal was asked"))
    folder, marker = Path(shutil.copytree(one_layer, tmp_path / "model")), tmp_path / "marker"
    (folder / "own.py").write_text(f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n")
    places = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    change(folder / "config.json", model_type="own", architectures=["OwnModel"], auto_map=places)
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        lab.load(str(folder), engine="vllm")
    assert not marker.exists()


def test_both_end_answers_at_the_same_ids(tmp_path, tiny, questions):
    """Every file names another end than the one that turns end in; a control token without a row is
    noted by both.
    """
    folder = Path(shutil.copytree(TINY, tmp_path / "model"))
    change(folder / "generation_config.json", eos_token_id=TEXT_END)
    change(folder / "config.json", eos_token_id=TEXT_END)
    change(folder / "tokenizer_config.json", eos_token="<|endoftext|>")
    token("[PAD]", True)(folder)
    found = {}
    for engine in ("transformers", "vllm"):
        asked = {
            "engine": engine,
            "allow_special": True,
        }  # else "[PAD]" in a question is plain text
        with pytest.warns(UserWarning, match=r"\[PAD\]"), lab.load(str(folder), **asked) as loaded:
            assert loaded.template.answer_stop == {TEXT_END, END}
            found[engine] = lab.force(
                loaded,
                [*questions[:8], "What is [PAD]?"],
                lab.Budget(max_tokens=40),
                progress=False,
            )
    want = lab.force(tiny, questions[:8], lab.Budget(max_tokens=40), progress=False)
    for traces in found.values():
        assert [t.ids for t in traces[:8]] == [t.ids for t in want] and not any(
            t.error for t in traces[:8]
        )
        assert "322" in traces[8].error
