"""LoRA adapters: merged into their base once, in a folder that every engine loads."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

from s1lab.engines.gguf import folder_for as converted
from s1lab.engines.gguf import no_bars
from s1lab.engines.model_cache import announced, cache
from s1lab.engines.model_names import gguf_of
from s1lab.storage.files import local, unfinished

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
BASE = "s1lab_base.txt"  # beside them, in adapters of s1lab.sft: the fingerprint of their base


class AdapterError(ValueError, FileNotFoundError):
    """An adapter that can't be merged. The message is one sentence."""

    def __str__(self) -> str:
        return str(self.args[0])


def folder_for(base: str, adapter: str | Path) -> Path:
    """The folder in the cache that holds a base with its adapter, whether it is there or not.

    Its name holds digests of both.

    Raises:
        AdapterError: The folder holds no adapter.
    """
    from s1lab.engines.fingerprint import fingerprint

    adapter = local(adapter)
    settings_of(adapter)
    # A GGUF file may not be converted yet.
    known = converted(file).name if (file := gguf_of(base)) else fingerprint(base)
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


def merge(base: str, adapter: str | Path) -> Path:
    """Merge a LoRA adapter into its base, unless that was done before.

    Args:
        base: The base model, by any name of a model with files.
        adapter: Folder of the adapter, as peft writes it.

    Returns:
        The folder of the merged model, in the cache, in float32.

    Raises:
        AdapterError: It is no adapter of this base.
        ImportError: peft is missing.

    Example:
        folder = merge("smollm2", "runs/mine/adapter")
    """
    from s1lab.engines.model_files import load_network, load_tokenizer, ready

    ready(base)
    folder = folder_for(base, adapter)
    if folder.is_dir():
        return folder
    adapter = local(adapter)
    settings = settings_of(adapter)
    _check_base(base, adapter, settings)
    try:
        import peft
    except ImportError:
        raise ImportError("an adapter is merged by peft: pip install 's1lab[sft]'") from None
    import torch

    with announced(f"merging {adapter.name} into {base} once, in {cache()}"):
        network = load_network(base, torch.float32)
        names = _check_shapes(base, adapter, network, settings)
        tokenizer = load_tokenizer(base)
        folder = folder_for(base, adapter)  # a base of the hub has its commit in it from now on
        with unfinished(folder) as half, no_bars():
            adapted = peft.PeftModel.from_pretrained(network, str(adapter))
            if (
                lost := peft.get_peft_model_state_dict(adapted, save_embedding_layers=False).keys()
                - names
            ):
                raise AdapterError(
                    f"{adapter / WEIGHTS} lacks {min(lost)}, which its settings name: write it "
                    "again"
                )
            adapted.merge_and_unload().save_pretrained(half)
            tokenizer.save_pretrained(half)
    return folder


def _check_base(base: str, adapter: Path, settings: dict[str, Any]) -> None:
    """Refuse an adapter of another base, where that can be known."""
    from s1lab.engines.fingerprint import fingerprint

    own, noted = str(settings.get("base_model_name_or_path")), adapter / BASE
    try:
        known = noted.read_text(encoding="utf-8").strip() if noted.is_file() else None
        if known is None and Path(own).is_dir():
            known = fingerprint(own)
    except (OSError, ValueError):
        known = None
    if known is None:
        if not base.lower().endswith(own.rpartition("/")[2].lower()):
            warnings.warn(
                f"adapter {adapter} says that its base is {own!r}, and it is merged into {base!r}: "
                "only the shapes of its weights were compared",
                stacklevel=2,
            )
    elif known != fingerprint(base):
        raise AdapterError(
            f"adapter {adapter} was trained on another model than {base!r}: name its own base, "
            f"{own!r}"
        )


def _check_shapes(base: str, adapter: Path, network: Any, settings: dict[str, Any]) -> set[str]:
    """The names of an adapter's weights. Each of them must fit a weight of the base."""
    from safetensors import SafetensorError, safe_open

    shapes = {name: tuple(weight.shape) for name, weight in network.named_parameters()}
    rank = settings.get("r")
    try:
        with safe_open(adapter / WEIGHTS, "pt") as file:
            names = list(file.keys())
            found = {name: tuple(file.get_slice(name).get_shape()) for name in names}
    except SafetensorError as why:
        raise AdapterError(f"{adapter / WEIGHTS} is damaged ({why}): write it again") from why
    for name, shape in found.items():
        part, _, side = name.removeprefix("base_model.model.").rpartition(".lora_")
        wanted = shapes.get(f"{part}.weight", ())
        fits = (rank, wanted[1]) if side.startswith("A") else (wanted[0], rank) if wanted else ()
        if len(wanted) != 2 or shape != fits:
            raise AdapterError(
                f"adapter {adapter} is not of {base!r} ({name} has the shape {shape}): name its "
                f"own base, {settings.get('base_model_name_or_path')!r}"
            )
    if not found:
        raise AdapterError(f"{adapter / WEIGHTS} holds no weights: write it again")
    return set(found)
