"""LoRA adapters: merged into their own base only, into the model that peft itself computes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

import s1lab as lab
from s1lab.engines import adapter_files as adapters
from s1lab.engines.fingerprint import fingerprint
from s1lab.engines.model_names import locate
from tests.helpers import TINY

peft = pytest.importorskip("peft", reason="peft is not installed")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "s1lab" / "models"


@pytest.fixture
def adapter(tmp_path) -> Path:
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32)
    settings = peft.LoraConfig(r=4, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")
    network = peft.get_peft_model(base, settings)
    for name, weight in network.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.2)
    network.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def change(adapter: Path, **settings) -> None:
    path = adapter / adapters.CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def test_the_merged_model_is_the_one_that_peft_computes(adapter):
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32)
    plain, apart = base(torch.tensor([[3, 5, 8]])).logits, None
    with torch.inference_mode():
        apart = peft.PeftModel.from_pretrained(base, str(adapter))(torch.tensor([[3, 5, 8]])).logits
    with lab.load("s1-tiny", adapter=str(adapter)) as engine, torch.inference_mode():
        merged = engine.network(torch.tensor([[3, 5, 8]])).logits
        assert engine.model == f"s1-tiny + {adapter}"
    assert torch.allclose(merged, apart, atol=1e-4)
    assert not torch.allclose(merged, plain, atol=1e-2)


def test_it_is_merged_once_and_its_fingerprint_is_of_the_merged_weights(adapter, cache):
    name = f"s1-tiny + {adapter}"
    with lab.load("s1-tiny", adapter=str(adapter)) as engine:
        (folder,) = cache.iterdir()
        made = folder.stat().st_mtime_ns
        assert engine.fingerprint == fingerprint(str(folder)) != fingerprint("s1-tiny")
    with lab.load(name) as engine:  # the whole name, such as a run's record has it
        assert folder.stat().st_mtime_ns == made and list(cache.iterdir()) == [folder]


def test_an_adapter_of_another_base_is_refused(adapter, cache):
    (adapter / adapters.BASE).write_text(fingerprint("s1-tiny-base"))
    with pytest.raises(adapters.AdapterError, match="was trained on another model than 's1-tiny'"):
        lab.load("s1-tiny", adapter=str(adapter))
    (adapter / adapters.BASE).write_text(fingerprint("s1-tiny"))
    lab.load("s1-tiny", adapter=str(adapter)).close()
    assert len(list(cache.iterdir())) == 1


def test_an_adapter_that_only_names_its_base_is_compared_with_it(adapter, tmp_path):
    """peft notes the name or the folder of the base, and no digest."""
    other = shutil.copytree(TINY.parent / "s1-tiny-base", tmp_path / "other")
    change(adapter, base_model_name_or_path=str(other))
    with pytest.raises(adapters.AdapterError, match="was trained on another model than 's1-tiny'"):
        lab.load("s1-tiny", adapter=str(adapter))
    change(adapter, base_model_name_or_path="somebody/Another-1B")
    with pytest.warns(UserWarning, match=r"says that its base is 'somebody/Another-1B'"):
        lab.load("s1-tiny", adapter=str(adapter)).close()


def test_the_name_of_the_merged_folder_is_known_before_a_gguf_file_is_converted(adapter, tmp_path):
    """vLLM is told the folder."""
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    name = f"{tmp_path / 'x.gguf'} + {adapter}"
    assert locate(name).startswith(str(adapters.cache() / "x-adapter-"))


def test_a_folder_with_a_plus_in_its_name_is_a_folder(tmp_path):
    folder = shutil.copytree(TINY, tmp_path / "a + b")
    with lab.load(str(folder)) as engine:
        assert engine.model == str(folder)


def test_a_missing_adapter_is_told_before_the_base_is_converted(tmp_path):
    with pytest.raises(adapters.AdapterError, match=r"has no adapter_config.json: give a folder"):
        lab.load(str(tmp_path / "no.gguf"), adapter=str(tmp_path / "none"))


def odd_shape(adapter: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(adapter / adapters.WEIGHTS)
    name = next(iter(weights))
    save_file(weights | {name: weights[name][:, :-1].contiguous()}, adapter / adapters.WEIGHTS)


def no_weights(adapter: Path) -> None:
    from safetensors.torch import save_file

    save_file({}, adapter / adapters.WEIGHTS)


def half_of_the_weights(adapter: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(adapter / adapters.WEIGHTS)
    kept = sorted(weights)[: len(weights) // 2]
    save_file({name: weights[name] for name in kept}, adapter / adapters.WEIGHTS)


BROKEN = {
    "no settings": (lambda a: (a / adapters.CONFIG).unlink(), "has no adapter_config.json"),
    "no weights": (lambda a: (a / adapters.WEIGHTS).unlink(), "has no adapter_model.safetensors"),
    "half of the settings": (lambda a: (a / adapters.CONFIG).write_text('{"r": '), "is not JSON"),
    "a list": (lambda a: (a / adapters.CONFIG).write_text("[]"), "of the kind None"),
    "another kind": (lambda a: change(a, peft_type="PROMPT_TUNING"), "kind 'PROMPT_TUNING'"),
    "a kind of LoRA": (lambda a: change(a, use_dora=True), "has use_dora, which is not merged"),
    "no weights in it": (no_weights, "holds no weights"),
    "half of the weights": (half_of_the_weights, "lacks .*, which its settings name"),
    "damaged weights": (lambda a: (a / adapters.WEIGHTS).write_bytes(b"\xff" * 99), "is damaged"),
    "other shapes": (odd_shape, "is not of 's1-tiny'"),
    "names of another type": (lambda a: change(a, target_modules=5), "can't be merged"),
    "a text as a number": (lambda a: change(a, lora_alpha="x"), "can't be merged"),
    "what peft can't merge": (lambda a: change(a, alora_invocation_tokens=[1]), "can't be merged"),
    "another rank": (lambda a: change(a, r=7), "is not of 's1-tiny'"),
}


@pytest.mark.filterwarnings("ignore:Found missing adapter keys")  # peft's; it goes on
@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_adapter_is_refused_in_one_sentence(adapter, kind, cache):
    breaks, words = BROKEN[kind]
    breaks(adapter)
    with pytest.raises(adapters.AdapterError, match=words) as refused:
        lab.load("s1-tiny", adapter=str(adapter))
    assert "\n" not in str(refused.value) and not list(cache.glob("*"))
