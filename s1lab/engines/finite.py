"""Weights that are NaN or infinite. A model with one is refused in a sentence that names it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from s1lab.engines.weights import ModelFilesError, listed

if TYPE_CHECKING:
    import torch
    from torch import nn


def check_finite(model: str, network: nn.Module) -> None:
    """Refuse weights that are NaN or infinite.

    Args:
        model: The name to show.
        network: The model in memory.

    Raises:
        ModelFilesError: There are some. The message names them.
    """
    if bad := not_finite(network):
        raise ModelFilesError(not_numbers(model, bad))


def not_numbers(model: str, bad: Iterable[str]) -> str:
    """The sentence about weights that are NaN or infinite."""
    return (
        f"the weights {listed(bad)} of {model!r} hold NaN or infinite numbers in the dtype they "
        "were loaded in: the training that wrote them failed, the file is broken, or the dtype is "
        "too small (bfloat16 holds what float16 can't)"
    )


def not_finite(network: nn.Module) -> list[str]:
    """The names of the parameters that hold NaN or infinite numbers."""
    import torch

    with torch.inference_mode():
        return [name for name, weight in network.named_parameters() if not finite(weight)]


def finite(weight: torch.Tensor, dtype: torch.dtype | None = None) -> bool:
    """Whether all numbers of a weight are finite.

    Args:
        weight: The weight. Packed weights (whole numbers, float8) count as finite.
        dtype: The dtype that it will be converted to; None is its own dtype.
    """
    import torch

    if weight.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        return True  # torch can't sum them
    weight = weight.to(dtype) if dtype else weight
    # One pass without a copy. A sum may overflow although no number is infinite: then look again.
    return bool(torch.isfinite(weight.sum(dtype=torch.float32))) or bool(
        torch.isfinite(weight).all()
    )
