"""The fingerprint of a model, by which a store knows that completions are of the same model."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from s1lab.engines.model_names import locate

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Up to this many bytes of weights are read as a whole. Of larger ones only pieces are read.
WHOLE_BYTES = 1024**3
PIECES, PIECE = 256, 64 * 1024


def fingerprint(model: str) -> str:
    """A digest of a model's config, tokenizer and weights, or the hub's commit.

    It distinguishes a model's files from all others. If the weight files have over a gigabyte in
    all, only 256 evenly spread pieces of each and the sizes are read. That distinguishes two
    trainings, but does not prove that nothing was tampered with.
    """
    where = Path(locate(model))
    if not where.is_dir():
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(model, "config.json")
        return (
            f"hub {model} {Path(cached).parent.name}" if isinstance(cached, str) else f"hub {model}"
        )
    weights = [p for kind in ("*.safetensors", "*.bin") for p in sorted(where.glob(kind))]
    digest = hashlib.blake2b(digest_size=20)
    whole = sum(p.stat().st_size for p in weights) <= WHOLE_BYTES
    for path in [
        p
        for name in ("config.json", "tokenizer.json", "vocab.json", "merges.txt")
        if (p := where / name).is_file()
    ]:
        digest.update(path.name.encode() + path.read_bytes())
    for path in weights:
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            for at in (
                [None]
                if whole or size < PIECES * PIECE
                else [i * (size - PIECE) // (PIECES - 1) for i in range(PIECES)]
            ):
                file.seek(at or 0)
                while block := file.read(PIECE if at is not None else 1024**2):
                    digest.update(block)
                    if at is not None:
                        break
    return digest.hexdigest()


def fingerprint_of(network: PreTrainedModel) -> str:
    """The fingerprint of a model in memory that has no files.

    It is a digest of up to 4,096 numbers of each weight.
    """
    digest = hashlib.blake2b(network.config.to_json_string().encode(), digest_size=20)
    for name, weight in network.state_dict().items():
        flat = weight.detach().reshape(-1)
        some = flat[:: max(1, flat.numel() // 4096)].float().cpu().contiguous()
        digest.update(
            f"{name} {tuple(weight.shape)} {weight.dtype}".encode() + some.numpy().tobytes()
        )
    return f"memory {digest.hexdigest()}"
