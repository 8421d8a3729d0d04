"""The files of a LoRA adapter, and where it lies once it is merged into its base."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from s1lab.engines.model_cache import cache
from s1lab.storage.files import local

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
BASE = "s1lab_base.txt"  # beside them, in adapters of s1lab.sft: the fingerprint of their base


class AdapterError(ValueError, FileNotFoundError):
    """An adapter that can't be merged. The message is one sentence."""

    def __str__(self) -> str:
        return str(self.args[0])


def folder_for(base: str, known: str, adapter: str | Path) -> Path:
    """The folder in the cache that holds a base with its adapter, whether it is there or not.

    Args:
        base: The name of the base.
        known: A text that tells the base's weights from all others.
        adapter: Folder of the adapter.

    Returns:
        The folder. Its name holds a digest of both.

    Raises:
        AdapterError: The folder holds no adapter.
    """
    adapter = local(adapter)
    settings_of(adapter)
    digest = hashlib.blake2b(known.encode(), digest_size=10)
    for name in (CONFIG, WEIGHTS):
        digest.update((adapter / name).read_bytes())
    return cache() / f"{Path(base).stem[:40]}-{adapter.name[:20]}-{digest.hexdigest()}"


def settings_of(adapter: str | Path) -> dict[str, Any]:
    """The settings of an adapter, as peft writes them.

    Raises:
        AdapterError: The folder holds no LoRA adapter, or one of a kind that is not merged here.
    """
    adapter = local(adapter)
    for name in (CONFIG, WEIGHTS):
        if not (adapter / name).is_file():
            raise AdapterError(
                f"adapter {adapter} has no {name}: give a folder that peft wrote, with safetensors"
            )
    try:
        found = json.loads((adapter / CONFIG).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as why:
        raise AdapterError(f"{adapter / CONFIG} is not JSON ({why}): write it again") from why
    kind = found.get("peft_type") if isinstance(found, dict) else None
    if kind != "LORA":
        raise AdapterError(f"{adapter / CONFIG} is of the kind {kind!r}: give a LoRA adapter")
    for name in ("use_dora", "modules_to_save", "rank_pattern", "trainable_token_indices"):
        if found.get(name):
            raise AdapterError(
                f"{adapter / CONFIG} has {name}, which is not merged here: merge it with peft, and "
                "give the folder of the merged model"
            )
    return dict(found)
