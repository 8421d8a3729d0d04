"""GGUF files: one file of quantised weights, converted once into a folder that every engine loads.

The header is checked here before any library reads the file, so a damaged or lying one costs
neither memory nor time. The conversion itself is transformers'. Its tokenizer is trusted only where
it is known to split text as the file says.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from s1lab.storage.files import local, unfinished

ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen3")
# How text is split into words before it is encoded, by the names that llama.cpp gives. transformers
# knows those of its own table (`_splits`); the others are set here.
DIGITS_FIRST = ("smollm",)
GPT2 = ("gpt-2", "default")
# Keys and elements that a header may have. The largest vocabularies have about 300,000 tokens.
MOST_KEYS, MOST_ELEMENTS, MOST_TENSORS = 10_000, 4_000_000, 100_000
_FIXED = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
TOKENS = "tokenizer.ggml.tokens"


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
        return value if isinstance(value, int) and value > 0 else 0


def header(path: str | Path) -> Header:
    """Read and check the header of a GGUF file, without its weights.

    Args:
        path: The file.

    Returns:
        The header. Arrays of texts are counted, not read.

    Raises:
        GGUFError: The file is damaged, of another format, or describes a model that can't be
            converted faithfully.

    Example:
        print(header("model.gguf").architecture)
    """
    path = local(path)
    if not path.is_file():
        raise GGUFError(f"no file is at {path}: give a GGUF file")
    with path.open("rb") as file:
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
        step = settings.get("general.alignment", 32)
        if not isinstance(step, int) or not 0 < step <= 1 << 20:
            raise _Damaged(f"its alignment is {step!r}")
        self._check_data(table, -(-self.at // step) * step)
        return Header(settings, {name: shape[::-1] for name, shape, *_ in table})

    def _check_data(self, table: list[tuple[str, tuple[int, ...], int, int]], start: int) -> None:
        """Every tensor must lie within the file."""
        from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

        for name, shape, kind, offset in table:
            if kind not in {int(k) for k in GGMLQuantizationType}:
                raise _Damaged(f"{name} is of the unknown type {kind}")
            block, size = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
            if start + offset + prod(shape) // block * size > len(self.content):
                raise _Damaged(f"{name} lies behind the end of the file")

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


def _check_model(path: Path, found: Header) -> None:
    """Refuse what transformers would convert into another model than the file describes."""
    settings, name = found.settings, found.settings.get("general.architecture")
    if name not in ARCHITECTURES:
        raise GGUFError(
            f"{path} is of the architecture {name!r}, and {', '.join(ARCHITECTURES)} can be "
            "converted: give a folder that holds the model in transformers' format"
        )
    for key in ("block_count", "embedding_length", "attention.head_count", "context_length"):
        if not found.number(key):
            raise GGUFError(f"{path} does not say its {name}.{key}: fetch it again")
    unread = [
        key
        for key in (f"{name}.expert_count", f"{name}.rope.scaling.type")
        if settings.get(key) not in (None, 0, "none")
    ] + [key for key in found.shapes if key.startswith("rope_freqs")]
    if unread:
        raise GGUFError(
            f"{path} has {unread[0]}, which the conversion would leave out: give a folder that "
            "holds the model in transformers' format"
        )
    layers = {key.split(".")[1] for key in found.shapes if key.startswith("blk.")}
    rows = found.shapes.get("token_embd.weight", (0,))[0]
    tokens = settings.get(TOKENS)
    if len(layers) != found.number("block_count") or not tokens or rows < tokens:
        raise GGUFError(
            f"{path} contradicts itself (it says {found.number('block_count')} layers and {tokens} "
            f"tokens, and has weights for {len(layers)} and {rows}): fetch it again"
        )
    if not settings.get("tokenizer.chat_template"):
        raise GGUFError(
            f"{path} has no chat template, so nobody knows how to ask it: give a chat model's file"
        )
    kind, split = settings.get("tokenizer.ggml.model"), settings.get("tokenizer.ggml.pre")
    if not (kind == "llama" or (kind == "gpt2" and _split_known(split))):
        raise GGUFError(
            f"the tokenizer of {path} ({kind}, {split}) can't be built with certainty: give a "
            "folder that holds the model in transformers' format"
        )


def _split_known(name: Any) -> bool:
    if name in DIGITS_FIRST or name in GPT2:
        return True
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    return name in GGUF_PRE_TOKENIZER_SPLITS


def folder_for(path: str | Path) -> Path:
    """The folder in the cache that a GGUF file is converted into, whether it is there or not.

    Its name holds a digest of the file. The cache is ``s1lab/models`` in ``$XDG_CACHE_HOME``, or in
    ``~/.cache``. Removing a folder there costs no more than the time of another conversion.

    Raises:
        GGUFError: There is no such file.
    """
    return cache() / f"{local(path).stem[:60]}-{digest_of(path)}"


def digest_of(path: str | Path) -> str:
    """A digest of a whole file, 20 hexadecimal digits. It is remembered while the file stays."""
    path = local(path)
    try:
        found = path.stat()
    except OSError:
        raise GGUFError(f"no file is at {path}: give a GGUF file") from None
    return _digest(str(path.resolve()), found.st_size, found.st_mtime_ns)


def cache() -> Path:
    """The folder of converted and merged models."""
    return Path(os.environ.get("XDG_CACHE_HOME") or local("~/.cache")) / "s1lab" / "models"


@lru_cache(maxsize=32)
def _digest(path: str, size: int, changed_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=10)).hexdigest()


def convert(path: str | Path) -> Path:
    """Convert a GGUF file into a folder of transformers' format, unless that was done before.

    The weights are float32, so the folder takes 4 bytes for each: 538 MB for 135 million weights.
    It is written whole or not at all.

    Args:
        path: The file.

    Returns:
        The folder, in the cache (see `folder_for`).

    Raises:
        GGUFError: The file can't be converted.
        ImportError: The package gguf is missing.
        OSError: The cache can't be written.

    Example:
        folder = convert("model.gguf")
    """
    folder = folder_for(path)
    if folder.is_dir():
        return folder
    try:
        import gguf  # noqa: F401
    except ImportError:
        raise ImportError(
            "a GGUF file is read with the package gguf: pip install 's1lab[gguf]'"
        ) from None
    path = local(path)
    found = header(path)
    with unfinished(folder) as half, _one_sentence(path):
        _write(path, found, half)
    return folder


@contextmanager
def _one_sentence(path: Path) -> Iterator[None]:
    try:
        yield
    except (GGUFError, OSError, MemoryError):
        raise
    except Exception as why:
        said = str(why).splitlines()[0][:140] if str(why) else ""
        raise GGUFError(
            f"{path} can't be converted ({type(why).__name__}: {said}): fetch it again, or give a "
            "folder that holds the model in transformers' format"
        ) from why


def _write(path: Path, found: Header, half: Path) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    from s1lab.engines.weights import no_report

    given = {"gguf_file": path.name}
    with no_report(), no_bars():
        tokenizer = AutoTokenizer.from_pretrained(path.parent, **given)
        config = AutoConfig.from_pretrained(path.parent, **given)
        network = AutoModelForCausalLM.from_pretrained(path.parent, dtype=torch.float32, **given)
    if found.settings.get("tokenizer.ggml.pre") in DIGITS_FIRST:
        from tokenizers import pre_tokenizers

        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
    _check_tokenizer(path, tokenizer)
    # transformers refuses to save a network that it read from a GGUF file, so a plain one is made.
    config.architectures = [type(network).__name__]
    config.dtype = torch.float32
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):
        plain = type(network)(config)
    plain.load_state_dict(network.state_dict(), assign=True)
    if config.tie_word_embeddings:
        plain.tie_weights()
    plain.generation_config = network.generation_config
    with no_bars():
        plain.save_pretrained(half)
        tokenizer.save_pretrained(half)


@contextmanager
def no_bars() -> Iterator[None]:
    """Hide transformers' progress bars."""
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if bars:
            logging.enable_progress_bar()


def _check_tokenizer(path: Path, tokenizer: Any) -> None:
    """Compare a tokenizer with what the file says: the same tokens under the same ids."""
    from transformers.integrations.gguf import read_gguf_metadata

    settings, _ = read_gguf_metadata(str(path), (TOKENS,))
    tokens, kinds = settings[TOKENS], settings.get("tokenizer.ggml.token_type")
    for at, token in enumerate(tokens):
        if tokenizer.convert_ids_to_tokens(at) != token and not (
            kinds is not None and kinds[at] != 1
        ):
            raise GGUFError(
                f"the tokenizer of {path} can't be built with certainty (id {at} is {token!r} in "
                f"the file and {tokenizer.convert_ids_to_tokens(at)!r} in the tokenizer): give a "
                "folder that holds the model in transformers' format"
            )
    for at, kind in enumerate(kinds or ()):
        whole = tokenizer.encode(tokens[at], add_special_tokens=False) if kind == 3 else [at]
        if whole != [at]:
            raise GGUFError(
                f"the tokenizer of {path} can't be built with certainty (the control token "
                f"{tokens[at]!r} is not one id): give a folder that holds the model in "
                "transformers' format"
            )


def size_of(folder: Path) -> int:
    """Bytes of a folder's files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def forget() -> int:
    """Remove every converted and merged model from the cache.

    Returns:
        The bytes that were freed.

    Example:
        freed = forget()
    """
    freed = size_of(cache()) if cache().is_dir() else 0
    shutil.rmtree(cache(), ignore_errors=True)
    return freed
