"""The fingerprint of a model, by which a store knows that completions are of the same model."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from s1lab.engines.folder_digest import digest_at
from s1lab.engines.model_names import locate

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def fingerprint(model: str) -> str:
    """A digest of a model's config, tokenizer and weights, or the hub's commit."""
    return digest_at(locate(model))


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
