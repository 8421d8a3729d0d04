"""LoRA adapters: merged into their base once, in a folder that every engine loads."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from s1lab.engines.adapter_files import BASE, WEIGHTS, AdapterError, settings_of
from s1lab.engines.fingerprint import fingerprint
from s1lab.engines.gguf import no_bars
from s1lab.storage.files import local, unfinished


def merge(base: str, adapter: str | Path, network: Any, tokenizer: Any, folder: Path) -> None:
    """Merge a LoRA adapter into its base, and save the model.

    Args:
        base: The name of the base.
        adapter: Folder of the adapter, as peft writes it.
        network: The base, loaded in float32. It is changed.
        tokenizer: The tokenizer of the base.
        folder: Where the merged model goes, whole or not at all.

    Raises:
        AdapterError: It is not an adapter of this base.
        ImportError: peft is missing.
    """
    adapter = local(adapter)
    settings = settings_of(adapter)
    _check_base(base, adapter, settings)
    try:
        import peft
    except ImportError:
        raise ImportError("an adapter is merged by peft: pip install 's1lab[sft]'") from None
    names = _check_shapes(base, adapter, network, settings)
    with unfinished(folder) as half, no_bars(), _one_sentence(adapter):
        adapted = peft.PeftModel.from_pretrained(network, str(adapter))
        # Without False it asks the hub whether the base's vocabulary was changed.
        needed = peft.get_peft_model_state_dict(adapted, save_embedding_layers=False)
        if lost := needed.keys() - names:
            raise AdapterError(
                f"{adapter / WEIGHTS} lacks {min(lost)}, which its settings name: write it again"
            )
        adapted.merge_and_unload().save_pretrained(half)
        tokenizer.save_pretrained(half)


@contextmanager
def _one_sentence(adapter: Path) -> Iterator[None]:
    try:
        yield
    except (AdapterError, OSError, MemoryError):
        raise
    except Exception as why:  # peft raises anything on settings that it can't read
        said = str(why).splitlines()[0][:140] if str(why) else ""
        raise AdapterError(
            f"adapter {adapter} can't be merged ({type(why).__name__}: {said}): write it again"
        ) from why


def _check_base(base: str, adapter: Path, settings: dict[str, Any]) -> None:
    """Refuse an adapter of another base, where that can be known."""
    own, noted = str(settings.get("base_model_name_or_path")), adapter / BASE
    try:
        known = noted.read_text(encoding="utf-8").strip() if noted.is_file() else None
        if known is None and Path(own).is_dir():
            known = fingerprint(own)
    except (OSError, ValueError):
        known = None
    found = fingerprint(base)
    # A hub id is known by its commit, and a folder by its files: these can't be compared.
    if known is None or known.startswith("hub ") != found.startswith("hub "):
        if not base.lower().endswith(own.rpartition("/")[2].lower()):
            warnings.warn(
                f"adapter {adapter} says that its base is {own!r}, and it is merged into {base!r}: "
                "only the shapes of its weights were compared",
                stacklevel=2,
            )
    elif known != found:
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
