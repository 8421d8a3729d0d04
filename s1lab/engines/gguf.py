"""GGUF files: one file of quantised weights, converted once into a folder that every engine loads.

The header is checked first (`s1lab.engines.gguf_header`). The weights are read by transformers. Its
tokenizer is trusted only where it is known to split text as the file says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from math import prod
from pathlib import Path
from typing import Any

from s1lab.engines.gguf_header import DIGITS_FIRST, FOLDER, TOKENS, GGUFError, Header, header
from s1lab.engines.model_cache import announced, cache, megabytes
from s1lab.storage.files import local, unfinished

CONVERSION = 1  # goes up when the same file becomes another folder
# Vocabularies in which a word that is a token is never built by merges (llama.cpp's table).
WHOLE_WORDS = (
    "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
    "jina-v5-nano", "tekken",
)  # fmt: skip
WHOLE = (3, 4)  # the kinds of tokens that are never split: control tokens, and a user's own


def folder_for(path: str | Path) -> Path:
    """The folder in the cache that a GGUF file is converted into, whether it is there or not.

    Its name holds a digest of the file (see `s1lab.engines.model_cache.cache`).

    Raises:
        GGUFError: There is no such file.
    """
    return cache() / f"{local(path).stem[:60]}-{digest_of(path)}-{CONVERSION}"


def digest_of(path: str | Path) -> str:
    """A digest of a whole file, 20 hexadecimal digits. It is remembered while the file stays."""
    path = local(path)
    try:
        found = path.stat()
    except OSError:
        raise GGUFError(f"no file is at {path}: give a GGUF file") from None
    return _digest(str(path.resolve()), found.st_size, found.st_mtime_ns)


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
    path = local(path)
    found = header(path)
    size = megabytes(4 * sum(map(prod, found.shapes.values())))
    with (
        announced(f"converting {path.name} once, into {size} of {cache()}"),
        unfinished(folder) as half,
        _one_sentence(path),
    ):
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
            f"{path} can't be converted ({type(why).__name__}: {said}): fetch it again, or {FOLDER}"
        ) from why


def _write(path: Path, found: Header, half: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from s1lab.engines.weights import no_report

    given: dict[str, Any] = {"gguf_file": path.name}
    config = _config(found)
    network: Any
    told: dict[str, Any]
    with no_report(), no_bars():
        tokenizer = AutoTokenizer.from_pretrained(path.parent, **given)
        network, told = AutoModelForCausalLM.from_pretrained(  # type: ignore[misc]
            path.parent, config=config, dtype=torch.float32, output_loading_info=True, **given
        )
    lost = [name for kind in told.values() for name in kind]
    if lost:
        raise ValueError(f"the weight {lost[0]} was not found or is left over")
    _set_words(tokenizer, found.settings.get("tokenizer.ggml.pre"))
    _check_tokenizer(path, tokenizer)
    # transformers refuses to save a network that it read from a GGUF file, so a plain one is made.
    config = _config(found)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(config, name, getattr(tokenizer, name))
    config.architectures = [type(network).__name__]
    config.dtype = torch.float32
    with torch.device("meta"):
        plain = type(network)(config)
    plain.load_state_dict(network.state_dict(), assign=True)
    if config.tie_word_embeddings:
        plain.tie_weights()
    with no_bars():
        plain.save_pretrained(half)
        tokenizer.save_pretrained(half)
    # The same file gives the same folder under any version, so that adapters and stores know it.
    settings = json.loads((half / "config.json").read_text(encoding="utf-8"))
    settings.pop("transformers_version", None)
    (half / "config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _config(found: Header) -> Any:
    """The configuration of the network, from the header alone.

    transformers' own would take a default of the class for each setting that the file leaves out.
    """
    from transformers import AutoConfig

    return AutoConfig.for_model(
        found.architecture,
        vocab_size=found.vocabulary,
        hidden_size=found.number("embedding_length"),
        intermediate_size=found.number("feed_forward_length"),
        num_hidden_layers=found.number("block_count"),
        num_attention_heads=found.number("attention.head_count"),
        num_key_value_heads=found.number("attention.head_count_kv"),
        head_dim=found.head,
        max_position_embeddings=found.number("context_length"),
        rms_norm_eps=found.real("attention.layer_norm_rms_epsilon"),
        rope_parameters={
            "rope_type": "default",
            "rope_theta": found.real("rope.freq_base", 10_000.0),
        },
        tie_word_embeddings="output.weight" not in found.shapes,
    )


def _set_words(tokenizer: Any, split: Any) -> None:
    """Set what transformers does not know of how a vocabulary splits text."""
    from tokenizers import pre_tokenizers

    if split in DIGITS_FIRST:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
    if split in WHOLE_WORDS:
        tokenizer.backend_tokenizer.model.ignore_merges = True


@contextmanager
def no_bars() -> Iterator[None]:
    """Hide transformers' progress bars."""
    from transformers.utils import logging

    reader: Any = import_module("transformers.modeling_gguf_pytorch_utils")
    bars, own = logging.is_progress_bar_enabled(), reader.tqdm
    logging.disable_progress_bar()
    reader.tqdm = lambda rows, **_: rows  # this bar ignores that setting
    try:
        yield
    finally:
        reader.tqdm = own
        if bars:
            logging.enable_progress_bar()


def _check_tokenizer(path: Path, tokenizer: Any) -> None:
    """Compare a tokenizer with what the file says: the same tokens under the same ids."""
    from transformers.integrations.gguf.reader import read_gguf_metadata

    settings, _ = read_gguf_metadata(str(path), (TOKENS,))
    tokens, kinds = settings[TOKENS], settings.get("tokenizer.ggml.token_type")
    for at, token in enumerate(tokens):
        if tokenizer.convert_ids_to_tokens(at) != token and not (
            kinds is not None and kinds[at] != 1
        ):
            raise GGUFError(
                f"the tokenizer of {path} can't be built with certainty (id {at} is {token!r} in "
                f"the file and {tokenizer.convert_ids_to_tokens(at)!r} in the tokenizer): {FOLDER}"
            )
    for at, kind in enumerate(kinds or ()):
        whole = tokenizer.encode(tokens[at], add_special_tokens=False) if kind in WHOLE else [at]
        if whole != [at]:
            raise GGUFError(
                f"the tokenizer of {path} can't be built with certainty (the control token "
                f"{tokens[at]!r} is not one id): {FOLDER}"
            )
