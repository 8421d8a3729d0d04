"""What an engine can serve: a request, by its length and ids; and a dtype and a device."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from s1lab.budget import shown, whole
from s1lab.engine import Request

if TYPE_CHECKING:
    import torch

# Other names of number formats, as other tools write them.
FORMATS = {
    "fp16": "float16",
    "half": "float16",
    "bf16": "bfloat16",
    "fp32": "float32",
    "float": "float32",
    "fp64": "float64",
    "double": "float64",
}


def dtype_of(dtype: str | torch.dtype | None) -> str | torch.dtype:
    """Check a number format, under any of its usual names.

    Args:
        dtype: Such as "bfloat16", "bf16" or torch.bfloat16. "auto" or None leaves it to
            the engine.

    Returns:
        The format by torch's name; a torch.dtype as it is.

    Raises:
        ValueError: torch has no such floating-point format.
    """
    import torch

    if dtype is None or (isinstance(dtype, str) and dtype == "auto"):
        return "auto"
    name = dtype.removeprefix("torch.") if isinstance(dtype, str) else None
    name = FORMATS.get(name, name) if name else None
    known = dtype if name is None else getattr(torch, name, None)
    if not isinstance(known, torch.dtype) or not known.is_floating_point:
        raise ValueError(
            f"dtype={shown(dtype)} is no number format of weights: give 'auto', 'float32', "
            "'bfloat16' or 'float16'"
        )
    return dtype if name is None else name


def device_of(device: str | torch.device | None) -> str:
    """Check a device that torch computes on. "gpu" is "cuda", as other tools call it.

    Args:
        device: Such as "cpu", "cuda" or "cuda:1". None is the GPU if there is one.

    Returns:
        The device by torch's name.

    Raises:
        ValueError: torch does not know it, or this machine does not have it.
    """
    import torch

    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device is None:
        return "cuda" if cards else "cpu"
    asked = str(device) if isinstance(device, str | torch.device) else ""
    kind, mark, number = asked.lower().partition(":")
    name = ("cuda" if kind == "gpu" else kind) + mark + number
    try:
        found = torch.device(name)
    except RuntimeError:
        raise ValueError(
            f"device={shown(device)} is unknown: give 'cpu', 'cuda' or 'cuda:1', or leave it out"
        ) from None
    if found.type == "cuda" and (found.index or 0) >= cards:
        raise ValueError(
            f"device={shown(device)}: torch finds {cards or 'no'} GPU{'s' * (cards > 1)} here; "
            "give 'cpu', or leave it out"
        )
    return name


def kv_bytes_of(kv_bytes: int | None, keep_bytes: int | None, device: str) -> int:
    """Check the two bounds of memory of the transformers engine.

    Args:
        kv_bytes: The most bytes for keys and values. None is half of what is free on a GPU, and a
            quarter of the machine's memory elsewhere.
        keep_bytes: How many of them finished rows may take, or None.
        device: The device, by torch's name.

    Returns:
        The most bytes for keys and values.

    Raises:
        ValueError: One is not a whole number or is too small, or the finished rows leave no room.
    """
    import torch

    if kv_bytes is not None:
        kv_bytes = whole("kv_bytes", kv_bytes, 1, 4 * 1024**3)
    elif torch.device(device).type == "cuda":
        kv_bytes = torch.cuda.mem_get_info(torch.device(device))[0] // 2
    elif hasattr(os, "sysconf"):
        kv_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
    else:  # Windows does not tell it this way
        kv_bytes = 2 * 1024**3
    if kv_bytes < 1:
        raise ValueError(f"kv_bytes={kv_bytes} leaves no room: give bytes, such as {4 * 1024**3}")
    if keep_bytes is not None:
        if whole("keep_bytes", keep_bytes, 0, 512 * 1024**2) < 0:
            raise ValueError(f"keep_bytes={keep_bytes} is negative: give 0 for no cache")
        if keep_bytes >= kv_bytes:
            raise ValueError(
                f"keep_bytes={keep_bytes} leaves no room in kv_bytes={kv_bytes}: give less, or "
                "leave it out"
            )
    return kv_bytes


def check_layers(model: str, config: Any) -> None:
    """Refuse a network whose layers the transformers engine can't batch.

    Raises:
        ValueError: It has layers of sliding or linear attention.
    """
    if any(kind != "full_attention" for kind in getattr(config, "layer_types", None) or ()):
        raise ValueError(
            f"{model} has layers of sliding or linear attention, which this engine does not "
            "batch: use vLLM"
        )


def no_room(ids: int, each: int, kv_bytes: int) -> str:
    """The sentence about a row whose keys and values are more than the memory for all rows.

    Args:
        ids: The ids of the row.
        each: The bytes of one id.
        kv_bytes: The bound of the engine.
    """
    return (
        f"{ids} ids need {(ids + 1) * each:,} bytes for their keys and values, which is more than "
        f"the decoded rows' share of kv_bytes={kv_bytes}: give more, or keep_bytes=0"
    )


def misfit(request: Request, context: int, rows: int | None = None) -> str | None:
    """Check whether a request can be served.

    Args:
        request: The request.
        context: The most ids of prompt and completion together.
        rows: How many ids have a row in the model's embeddings. None does not check that.

    Returns:
        A sentence that says why not, or None.
    """
    if rows is not None and request.ids and max(request.ids) >= rows:
        return (
            f"id {max(request.ids)} has no row in the model's embeddings, which are of {rows:,}: "
            "leave that token out"
        )
    if request.ids and request.max_tokens >= 1 and len(request.ids) + request.max_tokens <= context:
        return None
    return (
        f"{len(request.ids)} ids and {request.max_tokens} more do not fit: at least one of each, "
        f"and {context} together"
    )
