"""What a server says about itself: its model and its version."""

from __future__ import annotations

import contextlib
from typing import Any

from s1lab.engines.client import Answer, Client, TroubleError
from s1lab.engines.reply import ReplyError
from s1lab.engines.retries import BYTES_AT_LEAST

AT_LOAD = 60.0  # most seconds for the list of models and the version, which are cheap


def card_of(client: Client, model: str | None, timeout: float) -> dict[str, Any]:
    """The server's entry for the model."""
    seconds = min(AT_LOAD, timeout)
    try:
        answer: Answer = client.wait(client.fetch("GET", "models", 16 * BYTES_AT_LEAST, seconds))
    except TroubleError as why:
        raise ConnectionError(
            f"no server answers at {client.address} ({why}): start one, or correct the address, "
            f"which ends in /v1 for vLLM{client.via}"
        ) from None
    except ReplyError as why:
        raise ValueError(f"{client.address}/models gives no list of models: {why}") from None
    if answer.status in (401, 403):
        raise PermissionError(
            f"{client.address} refuses the key ({answer.status}): pass the right one as api_key= "
            f"(the server says: {client.message(answer)}){client.via}"
        )
    said = answer.json()
    listed = said.get("data") if isinstance(said, dict) else None
    named = [c for c in listed if isinstance(c, dict)] if isinstance(listed, list) else []
    cards = {c["id"]: c for c in named if isinstance(c.get("id"), str) and c["id"]}
    if answer.status >= 300 or not cards:
        raise ValueError(
            f"{client.address}/models gives no list of models ({answer.status}): correct the "
            f"address, which ends in /v1 for vLLM (the server says: {client.message(answer)})"
            f"{client.via}"
        )
    if model is None and len(cards) == 1:
        model = next(iter(cards))
    if model not in cards:
        names = [client.words(name, 100) for name in sorted(cards)[:20]]
        more = f" and {len(cards) - 20} others" if len(cards) > 20 else ""
        raise ValueError(
            f"{client.address} does not serve {model!r}: pass model= with one of {names}{more}"
        )
    return cards[model]


def versions_of(client: Client, timeout: float) -> dict[str, str]:
    """The versions the server reports. None of them is of this machine."""
    address = f"{client.address.removesuffix('/v1')}/version"
    said = None
    with contextlib.suppress(TroubleError, ReplyError):
        seconds = min(AT_LOAD, timeout)
        answer: Answer = client.wait(client.fetch("GET", address, BYTES_AT_LEAST, seconds))
        found = answer.json()
        said = found.get("version") if isinstance(found, dict) else None
    known = isinstance(said, str) and said
    return {"server": f"vllm {client.words(said, 100)}" if known else "unknown"}
