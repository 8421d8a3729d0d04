"""The keys and values of the rows that are decoded together, in one slab of memory."""

from __future__ import annotations

from typing import Any

import torch
from transformers import Cache

from s1lab.engines.prefix_cache import Kept


class Slab(Cache):
    """The keys and values of all rows, [slots, heads, capacity, width] a layer.

    They are written in place, at each row's own length.

    Attributes:
        most_bytes: The bound of its memory; None is no bound. While it grows, one layer is held
            twice.
    """

    def __init__(self, layers: int, most_bytes: int | None = None) -> None:
        self.keys: list[torch.Tensor | None] = [None] * layers
        self.values: list[torch.Tensor | None] = [None] * layers
        self.slots, self.capacity, self.most_bytes = 0, 0, most_bytes

    @property
    def bytes_per_id(self) -> int:
        """The memory of one id of one row, known once a pass was made."""
        slabs = [slab for slab in (*self.keys, *self.values) if slab is not None]
        return sum(s.shape[1] * s.shape[3] * s.element_size() for s in slabs)

    def aim(self, slot: int, rows: int, positions: torch.Tensor, length: int) -> None:
        """Set the place of the next pass: ``rows`` slots from ``slot``, [rows, width] positions."""
        self._span = slice(slot, slot + rows)
        self._positions, self._length = positions, length
        self._at = torch.arange(slot, slot + rows, device=positions.device)[:, None]

    def update(  # type: ignore[override]
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        layer_idx: int,
        *_: Any,
        **__: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        out = []
        for store, new in ((self.keys, key_states), (self.values, value_states)):
            slab = store[layer_idx]
            if slab is None:
                slab = store[layer_idx] = new.new_zeros(
                    self.slots, new.shape[1], self.capacity, new.shape[3]
                )
            slab[self._at, :, self._positions] = new.transpose(1, 2)
            out.append(slab[self._span, :, : self._length])
        return out[0], out[1]

    def reserve(self, slots: int, capacity: int) -> bool:
        """Make room for this many rows and ids.

        It grows by more than is asked for, so that growth is rare. Near the bound it grows by less,
        and gives up slots and ids that are not asked for.

        Returns:
            Whether there is room within the bound.
        """
        if slots <= self.slots and capacity <= self.capacity:
            return True
        ample = self.slots, self.capacity
        if slots > self.slots:
            ample = max(slots, min(2 * self.slots, self.slots + 32)), ample[1]
        if capacity > self.capacity:
            ample = ample[0], max(capacity, self.capacity * 3 // 2, 256 if self.capacity else 0)
        for size in (ample, (slots, capacity + 64), (slots, capacity)):
            if self.most_bytes is None or size[0] * size[1] * self.bytes_per_id <= self.most_bytes:
                self._resize(*size)
                return True
        return False

    def _resize(self, slots: int, capacity: int) -> None:
        rows, ids = min(slots, self.slots), min(capacity, self.capacity)
        self.slots, self.capacity = slots, capacity
        for store in (self.keys, self.values):
            for layer, old in enumerate(store):
                if old is not None:
                    new = old.new_zeros(slots, old.shape[1], capacity, old.shape[3])
                    new[:rows, :, :ids] = old[:rows, :, :ids]
                    store[layer] = new

    def move(self, source: int, target: int) -> None:
        if source != target:
            for slab in [*self.keys, *self.values]:
                assert slab is not None
                slab[target] = slab[source]

    def copy(self, slot: int, ids: list[int]) -> Kept:
        layers = []
        for keys, values in zip(self.keys, self.values, strict=True):
            assert keys is not None and values is not None
            layers.append((keys[slot, :, : len(ids)].clone(), values[slot, :, : len(ids)].clone()))
        return Kept(ids, layers)

    def restore(self, slot: int, kept: Kept, length: int) -> None:
        for layer, pair in enumerate(kept.layers):
            for store, tensor in zip((self.keys, self.values), pair, strict=True):
                slab = store[layer]
                assert slab is not None
                slab[slot, :, :length] = tensor[:, :length]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self._length
