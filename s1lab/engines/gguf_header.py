"""The header of a GGUF file: what the file says of its model, read and checked before its weights.

So a damaged or lying file costs neither memory nor time. Whatever a conversion would leave out or
fill in by a default is refused: the model would not be the file's.
"""

from __future__ import annotations

import mmap
import struct
from importlib.metadata import version
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from s1lab.storage.files import local

ARCHITECTURES = ("llama", "qwen2", "qwen3")  # Mistral's files are of the architecture llama
# How text is split into words before it is encoded, by the names that llama.cpp gives. transformers
# knows those of its own table; these are set here, or are what it does without a name.
DIGITS_FIRST = ("smollm",)
GPT2 = ("gpt-2",)
# Settings of the architecture that the conversion reads.
NEEDED = (
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
)
READ = (
    *NEEDED,
    "attention.key_length",
    "attention.layer_norm_rms_epsilon",
    "attention.value_length",
    "rope.dimension_count",
    "rope.freq_base",
    "vocab_size",
)
# Others that change nothing with these values.
NEUTRAL = {
    "attention.causal": (True,),
    "expert_count": (0,),
    "expert_used_count": (0,),
    "rope.scaling.factor": (0, 1),
    "rope.scaling.type": ("none",),
    "tensor_data_layout": ("Meta AI original pth",),
}
# Keys and elements that a header may have. The largest vocabularies have about 300,000 tokens.
MOST_KEYS, MOST_ELEMENTS, MOST_TENSORS = 10_000, 4_000_000, 100_000
_FIXED = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
TOKENS = "tokenizer.ggml.tokens"
READER = (5, 19)  # the first transformers that says how it splits text
FOLDER = "give a folder that holds the model in transformers' format"


class GGUFError(ValueError, FileNotFoundError):
    """A GGUF file that can't be used. The message is one sentence."""

    def __str__(self) -> str:
        return str(self.args[0])


class Header(NamedTuple):
    """What a file says of itself: its settings, and the shape of each tensor."""

    settings: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]

    @property
    def architecture(self) -> str:
        return str(self.settings["general.architecture"])

    def number(self, key: str) -> int:
        """A whole number above 0 among the architecture's settings; 0 if there is none."""
        value = self.settings.get(f"{self.architecture}.{key}")
        return value if type(value) is int and value > 0 else 0

    def real(self, key: str, default: float = 0.0) -> float:
        """A number above 0 among the architecture's settings; 0 if it is something else."""
        value = self.settings.get(f"{self.architecture}.{key}", default)
        return float(value) if type(value) in (int, float) and 0 < value < 1e12 else 0.0

    @property
    def head(self) -> int:
        """The width of an attention head."""
        return (
            self.number("attention.key_length")
            or self.number("rope.dimension_count")
            or self.number("embedding_length") // self.number("attention.head_count")
        )

    @property
    def vocabulary(self) -> int:
        """The rows of the embedding."""
        return self.shapes.get("token_embd.weight", (0,))[0]

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """The tensors of the model that the settings describe, with their shapes."""
        layers, width, inner = map(self.number, NEEDED[:1] + NEEDED[2:4])
        queries, keys = (self.number(key) * self.head for key in NEEDED[4:])
        layer = {
            "attn_norm.weight": (width,),
            "ffn_norm.weight": (width,),
            "attn_q.weight": (queries, width),
            "attn_k.weight": (keys, width),
            "attn_v.weight": (keys, width),
            "attn_output.weight": (width, queries),
            "ffn_gate.weight": (inner, width),
            "ffn_up.weight": (inner, width),
            "ffn_down.weight": (width, inner),
        }
        if self.architecture == "qwen2":
            layer |= {"attn_q.bias": (queries,), "attn_k.bias": (keys,), "attn_v.bias": (keys,)}
        if self.architecture == "qwen3":
            layer |= {"attn_q_norm.weight": (self.head,), "attn_k_norm.weight": (self.head,)}
        found = {f"blk.{i}.{name}": shape for i in range(layers) for name, shape in layer.items()}
        ends = {"token_embd.weight": (self.vocabulary, width), "output_norm.weight": (width,)}
        if "output.weight" in self.shapes:
            ends["output.weight"] = (self.vocabulary, width)
        return found | ends


def header(path: str | Path) -> Header:
    """Read and check the header of a GGUF file, without its weights.

    Args:
        path: The file.

    Returns:
        The header. Arrays of texts are counted, not read.

    Raises:
        GGUFError: The file is damaged, of another format, or describes a model that can't be
            converted faithfully.
        ImportError: A package that reads such files is missing.

    Example:
        print(header("model.gguf").architecture)
    """
    path = local(path)
    if not path.is_file():
        raise GGUFError(f"no file is at {path}: give a GGUF file")
    check_packages()
    try:
        file = path.open("rb")
    except OSError as why:
        raise GGUFError(f"{path} can't be read ({why.strerror}): make it readable") from why
    with file:
        if file.read(4) != b"GGUF":
            raise GGUFError(
                f"{path} is not a GGUF file, whose first four bytes are 'GGUF': give a .gguf file, "
                "or a folder that holds a model"
            )
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                found = _Cursor(content).header()
            except (struct.error, UnicodeDecodeError, ValueError, OverflowError) as why:
                said = str(why) if isinstance(why, _Damaged) else "it ends within its header"
                raise GGUFError(f"{path} is damaged ({said}): fetch it again") from None
    _check_model(path, found)
    return found


def check_packages() -> None:
    """Refuse to go on without the packages that transformers reads a GGUF file with.

    Raises:
        ImportError: One is missing.
    """
    if missing := [name for name in ("gguf", "accelerate") if find_spec(name) is None]:
        raise ImportError(
            f"a GGUF file is read with the package {missing[0]}, which is not installed: "
            "pip install 's1lab[gguf]'"
        )
    if tuple(map(int, version("transformers").split(".")[:2])) < READER:
        raise ImportError(
            f"a GGUF file is read with transformers {READER[0]}.{READER[1]}, and "
            f"{version('transformers')} is installed: pip install 's1lab[gguf]'"
        )


class _Damaged(ValueError):
    pass


class _Cursor:
    """Reads a header from its start to its end."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content, self.at = content, 4

    def header(self) -> Header:
        version, tensors, keys = self._take("IQQ")
        if version not in (2, 3):
            raise _Damaged(f"its version is {version}, and versions 2 and 3 are read")
        if keys > MOST_KEYS or tensors > MOST_TENSORS:
            raise _Damaged(f"it says that it has {keys:,} settings and {tensors:,} tensors")
        settings = {self._text(): self._value() for _ in range(keys)}
        table = [
            (self._text(), self._take(f"{self._dimensions()}Q"), *self._take("IQ"))
            for _ in range(tensors)
        ]
        if len({name for name, *_ in table}) < len(table):
            raise _Damaged("it has two tensors of one name")
        step = settings.get("general.alignment", 32)
        if type(step) is not int or not 0 < step <= 1 << 20:
            raise _Damaged(f"its alignment is {_short(step)}")
        self._check_data(table, -(-self.at // step) * step)
        return Header(settings, {name: shape[::-1] for name, shape, *_ in table})

    def _check_data(self, table: list[tuple[str, tuple[int, ...], int, int]], start: int) -> None:
        """Every tensor must lie within the file."""
        from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

        known = {int(kind) for kind in GGMLQuantizationType}
        for name, shape, kind, offset in table:
            if kind not in known:
                raise _Damaged(f"{_short(name)} is of the unknown type {kind}")
            block, size = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
            if start + offset + prod(shape) // block * size > len(self.content):
                raise _Damaged(f"{_short(name)} lies behind the end of the file")

    def _take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{form}", self.content, self.at)
        self.at += struct.calcsize(f"<{form}")
        return values

    def _dimensions(self) -> int:
        (number,) = self._take("I")
        if number > 8:
            raise _Damaged(f"a tensor has {number} dimensions")
        return int(number)

    def _text(self) -> str:
        (length,) = self._take("Q")
        if length > len(self.content) - self.at:
            raise _Damaged("a text ends behind the end of the file")
        self.at += length
        return self.content[self.at - length : self.at].decode()

    def _value(self) -> Any:
        (kind,) = self._take("I")
        if kind in _FIXED:
            return self._take(_FIXED[kind])[0]
        if kind == _STRING:
            return self._text()
        if kind != _ARRAY:
            raise _Damaged(f"a setting is of the unknown type {kind}")
        inner, number = self._take("IQ")
        if number > MOST_ELEMENTS:
            raise _Damaged(f"a setting has {number:,} values")
        if inner in _FIXED:
            return list(self._take(f"{number}{_FIXED[inner]}"))
        if inner != _STRING:
            raise _Damaged(f"a setting has values of the unknown type {inner}")
        for _ in range(number):
            self._text()
        return number


def _short(value: Any) -> str:
    """Something out of a file, for a sentence: on one line, and not long."""
    shown = ascii(value)
    return shown if len(shown) < 60 else f"{shown[:50]}…"


def _check_model(path: Path, found: Header) -> None:
    """Refuse what would be converted into another model than the file describes."""
    settings, name = found.settings, found.settings.get("general.architecture")
    if name not in ARCHITECTURES:
        raise GGUFError(
            f"{path} is of the architecture {_short(name)}, and {', '.join(ARCHITECTURES)} (also "
            f"Mistral's) can be converted: {FOLDER}"
        )
    for key in NEEDED:
        if not found.number(key):
            raise GGUFError(f"{path} does not say its {name}.{key} in one number: fetch it again")
    if not found.real(eps := "attention.layer_norm_rms_epsilon"):
        raise GGUFError(f"{path} does not say its {name}.{eps}: fetch it again")
    if not found.real(base := "rope.freq_base", 10_000.0):
        raise GGUFError(f"{path} has no number above 0 as its {name}.{base}: fetch it again")
    _check_settings(path, found)
    _check_tensors(path, found)
    if not isinstance(settings.get("tokenizer.chat_template"), str):
        raise GGUFError(
            f"{path} has no chat template, so nobody knows how to ask it: give a chat model's file"
        )
    kind, split = settings.get("tokenizer.ggml.model"), settings.get("tokenizer.ggml.pre")
    if not (kind == "gpt2" and _split_known(split)) and not (
        kind == "llama"  # SentencePiece, which splits nothing in advance
        and split in (None, "default")
        and settings.get("tokenizer.ggml.add_space_prefix") in (None, True)
        and not settings.get("tokenizer.ggml.remove_extra_whitespaces")
        and not settings.get("tokenizer.ggml.precompiled_charsmap")
    ):
        raise GGUFError(
            f"the tokenizer of {path} ({_short(kind)}, {_short(split)}) can't be built with "
            f"certainty: {FOLDER}"
        )


def _check_settings(path: Path, found: Header) -> None:
    """Refuse a setting that the conversion would leave out."""
    name = found.architecture
    unread = [
        key
        for key, value in found.settings.items()
        if key.startswith(f"{name}.")
        and (short := key.removeprefix(f"{name}.")) not in READ
        and value not in NEUTRAL.get(short, ())
    ]
    unread += [
        key
        for key in ("attention.key_length", "attention.value_length", "rope.dimension_count")
        if found.number(key) not in (0, found.head)
    ]
    if name == "qwen2" and found.head * found.number(NEEDED[4]) != found.number(NEEDED[2]):
        unread.append("attention.key_length")
    unread += [key for key in found.shapes if key.startswith("rope_freqs")]
    if unread:
        raise GGUFError(
            f"{path} has {_short(unread[0])}, which the conversion would leave out: {FOLDER}"
        )


def _check_tensors(path: Path, found: Header) -> None:
    """Every tensor that the settings need is there in its shape, and no other."""
    tokens, layers = found.settings.get(TOKENS), found.number("block_count")
    fault = ""
    if type(tokens) is not int or not tokens:
        fault = "it has no list of tokens"
    elif not tokens <= found.vocabulary == (found.number("vocab_size") or found.vocabulary):
        fault = f"it has {tokens} tokens and an embedding of {found.vocabulary} rows"
    elif layers > len(found.shapes):
        fault = f"it says {layers} layers and has {len(found.shapes)} tensors"
    else:
        wanted = found.tensors()
        for name in wanted.keys() | found.shapes.keys():
            want, has = (shapes.get(name, "none") for shapes in (wanted, found.shapes))
            if want != has:
                fault = f"its settings need the shape {want} of {_short(name)}, and it has {has}"
    if fault:
        raise GGUFError(f"{path} contradicts itself ({fault}): fetch it again, or {FOLDER}")


def _split_known(name: Any) -> bool:
    if not isinstance(name, str):
        return False
    if name in DIGITS_FIRST or name in GPT2:
        return True
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    return name in GGUF_PRE_TOKENIZER_SPLITS
