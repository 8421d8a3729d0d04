"""The digest of a model's files: the same model has the same, wherever it lies."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

# Up to this many bytes of weights are read as a whole. Of larger ones only pieces are read.
WHOLE_BYTES = 1024**3
PIECES, PIECE = 256, 64 * 1024


def digest_at(place: str) -> str:
    """A digest of the config, tokenizer and weights in a folder, or the commit of a hub id.

    It distinguishes a model's files from all others. If the weight files have over a gigabyte in
    all, only 256 evenly spread pieces of each and the sizes are read. That distinguishes two
    trainings, but does not prove that nothing was tampered with.
    """
    where = Path(place)
    if not where.is_dir():
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(place, "config.json")
        return (
            f"hub {place} {Path(cached).parent.name}" if isinstance(cached, str) else f"hub {place}"
        )
    weights = [p for kind in ("*.safetensors", "*.bin") for p in sorted(where.glob(kind))]
    small = ("config.json", "tokenizer.json", "vocab.json", "merges.txt")
    others = [p for name in small if (p := where / name).is_file()]
    times = [(p, (s := p.stat()).st_size, s.st_mtime_ns) for p in (*others, *weights)]
    return _digest(tuple(others), tuple(weights), tuple(times))


@lru_cache(maxsize=64)
def _digest(others: tuple[Path, ...], weights: tuple[Path, ...], times: tuple[Any, ...]) -> str:
    """Read the files. ``times`` are their sizes and times: as long as they stay, so does this."""
    digest = hashlib.blake2b(digest_size=20)
    whole = sum(p.stat().st_size for p in weights) <= WHOLE_BYTES
    for path in others:
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
