"""What every engine needs of a model's files: where they lie, the tokenizer, the ids that end a sequence."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

EMBEDDED = ("s1-tiny", "s1-tiny-base", "s1-tiny-tcc", "s1-tiny-scc", "s1-tiny-ccc")
_TINY = Path(__file__).parent.parent / "tiny"


def locate(model: str) -> str:
    """The folder or hub id of a model's files; FileNotFoundError for what can be neither."""
    if model in EMBEDDED:
        return str(_TINY / model)
    if Path(model).is_dir():
        return model
    if Path(model).is_absolute() or model.startswith((".", "~")) or model.count("/") != 1:
        raise FileNotFoundError(
            f"no model is at {model!r}: give {' or '.join(map(repr, EMBEDDED))} (embedded), a folder that holds a model, "
            "a hub id of the form owner/name, or a server's address that begins with http"
        )
    return model


@contextlib.contextmanager
def reading(model: str) -> Iterator[None]:
    """Turn what transformers raises for missing or broken files into one sentence; no bars meanwhile."""
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    except (OSError, ValueError) as why:
        raise FileNotFoundError(
            f"the model {model!r} can't be loaded: {str(why).strip().splitlines()[0]} Give a folder that holds a "
            f"transformers model with its tokenizer, a hub id that this machine can reach, or {EMBEDDED[0]!r}"
        ) from why
    finally:
        if bars:
            transformers_logging.enable_progress_bar()


def load_tokenizer(model: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a model."""
    where = locate(model)
    with reading(model):
        # AutoTokenizer gives every Qwen2 model Qwen's normaliser, which changes some text; the embedded one's own file does not.
        kind = PreTrainedTokenizerFast if Path(where).parent.resolve() == _TINY.resolve() else AutoTokenizer
        tokenizer: PreTrainedTokenizerBase = kind.from_pretrained(where)
    return tokenizer


def end_ids(model: str, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """The ids that end a sequence, by the model's generation config (where it has one) and its tokenizer."""
    try:
        config = GenerationConfig.from_pretrained(locate(model))
    except OSError:
        config = None
    return eos_ids(config, tokenizer)


def rows_of(model: str) -> int | None:
    """How many ids the model's output has, those beyond its tokenizer's counted; None where its files don't say."""
    try:
        return int(AutoConfig.from_pretrained(locate(model)).vocab_size)
    except (OSError, ValueError, AttributeError):
        return None


def formats_of(model: str) -> tuple[str, ...] | None:
    """The formats of conditional control that a model's config says it was trained in; None where its files are not at hand."""
    try:
        config = AutoConfig.from_pretrained(locate(model), local_files_only=True)
    except (OSError, ValueError):
        return None
    return tuple(getattr(config, "s1lab_formats", None) or ())


def eos_ids(config: Any, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """The same from a generation config that is at hand, or None."""
    named = config.eos_token_id if config else None
    ids = {*(named if isinstance(named, list) else [named]), tokenizer.eos_token_id}
    return {i for i in ids if isinstance(i, int)}


WHOLE_BYTES = 1024**3  # of weights; of more than that, evenly spread pieces are read
PIECES, PIECE = 256, 64 * 1024


def fingerprint(model: str) -> str:
    """What tells a model's files from any other's: a digest of config, tokenizer and weights, or the hub's commit.

    Of weight files over a gigabyte in all, 256 pieces each are read, and the sizes: enough to tell two trainings apart, not to
    prove that nothing was tampered with.
    """
    where = Path(locate(model))
    if not where.is_dir():
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(model, "config.json")
        return f"hub {model} {Path(cached).parent.name}" if isinstance(cached, str) else f"hub {model}"
    weights = [p for kind in ("*.safetensors", "*.bin") for p in sorted(where.glob(kind))]
    digest = hashlib.blake2b(digest_size=20)
    whole = sum(p.stat().st_size for p in weights) <= WHOLE_BYTES
    for path in [p for name in ("config.json", "tokenizer.json", "vocab.json", "merges.txt") if (p := where / name).is_file()]:
        digest.update(path.name.encode() + path.read_bytes())
    for path in weights:
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            for at in [None] if whole or size < PIECES * PIECE else [i * (size - PIECE) // (PIECES - 1) for i in range(PIECES)]:
                file.seek(at or 0)
                while block := file.read(PIECE if at is not None else 1024**2):
                    digest.update(block)
                    if at is not None:
                        break
    return digest.hexdigest()


@torch.inference_mode()
def fingerprint_of(network: PreTrainedModel) -> str:
    """The same for a model that is in memory and came from no file: a digest of up to 4,096 numbers of each weight."""
    digest = hashlib.blake2b(network.config.to_json_string().encode(), digest_size=20)
    for name, weight in network.state_dict().items():
        flat = weight.reshape(-1)
        some = flat[:: max(1, flat.numel() // 4096)].float().cpu().contiguous()
        digest.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode() + some.numpy().tobytes())
    return f"memory {digest.hexdigest()}"
