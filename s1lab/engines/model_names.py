"""Names of models: an embedded one, a folder, or a hub id; and whether the hub can be reached.

This module imports neither torch nor transformers, so a wrong name is refused at once.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

EMBEDDED = ("s1-tiny", "s1-tiny-base", "s1-tiny-tcc", "s1-tiny-scc", "s1-tiny-ccc")
TINY = Path(__file__).parent.parent / "tiny"
PATIENCE = 3.0  # seconds that the hub has for its first answer


def locate(model: str) -> str:
    """The folder or hub id of a model's files.

    Raises:
        FileNotFoundError: The name can be neither.
    """
    if model in EMBEDDED:
        return str(TINY / model)
    folder = os.path.expanduser(model)
    if Path(folder).is_dir():
        return folder
    if Path(folder).is_file():
        raise FileNotFoundError(
            f"{model!r} is a file, and a model is a folder of files: give the folder that holds "
            "its config.json"
        )
    if Path(model).is_absolute() or model.startswith((".", "~")) or model.count("/") != 1:
        raise FileNotFoundError(
            f"no model is at {model!r}: give {' or '.join(map(repr, EMBEDDED))} (embedded), a "
            "folder that holds a model, a hub id of the form owner/name, or a server's address "
            "that begins with http"
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
    """Refuse a hub id that must be fetched if the hub does not answer within a few seconds.

    The hub's own client tries again for minutes.

    Raises:
        ConnectionError: The hub does not answer.
    """
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
