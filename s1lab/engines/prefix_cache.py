"""A prefix cache of finished rows' keys and values, which a question's next round reuses."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import torch

# Prefixes are compared in blocks of this many ids.
BLOCK = 16
LOOKED_AT = 32  # the most rows with the same prefix that are compared id by id, newest first


@dataclass
class Kept:
    """Keys and values of a finished row.

    Attributes:
        ids: The ids of the row.
        layers: One pair of keys and values a layer, each [heads, len(ids), width]. Empty once the
            cache has dropped the row.
        wanted: How many waiting rows begin like this one.
        fork: Whether it left another kept row in the middle, as a rung leaves a trace.
        number: Its place in the order in which rows were kept.
    """

    ids: list[int]
    layers: list[tuple[torch.Tensor, torch.Tensor]] = field(repr=False)
    wanted: int = 0
    fork: bool = False
    number: int = 0

    @property
    def bytes(self) -> int:
        return sum(t.numel() * t.element_size() for pair in self.layers for t in pair)

    def common(self, ids: list[int]) -> int:
        """The length of the common prefix of this row and ``ids``."""
        n = min(len(self.ids), len(ids))
        if self.ids[:n] == ids[:n]:
            return n
        return next(i for i in range(n) if self.ids[i] != ids[i])


class Shelf:
    """The newest finished rows, up to ``most_bytes`` in all.

    A row that goes on where another ended takes its place, for it holds all of the other's ids.
    Where room is needed, forks are dropped first. Rows that waiting rows begin like are dropped
    last: a trace with nine answers to come stays while the first of them finish.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes, self.bytes = most_bytes, 0
        self._rows: OrderedDict[int, Kept] = OrderedDict()
        # For each prefix, the numbers of the rows that begin with it, oldest first.
        self._beginnings: dict[int, list[int]] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, kept: Kept, parent: Kept | None = None) -> None:
        """Keep a row. ``parent`` is the kept row that it began with."""
        if parent:
            kept.fork = parent.common(kept.ids) < len(parent.ids)
            if not kept.fork and parent.layers:
                self._drop(parent.number)
        self._number = kept.number = self._number + 1
        self._rows[self._number] = kept
        self.bytes += kept.bytes
        for mark in _marks(kept.ids):
            self._beginnings.setdefault(mark, []).append(self._number)
        while self.bytes > self.most_bytes and self._rows:
            least = min(self._rows.values(), key=lambda r: (r.wanted > 0, not r.fork, r.number))
            self._drop(least.number)

    def best(self, ids: list[int]) -> Kept | None:
        """The row with the longest common prefix with ``ids``.

        None if it is at most half of them, because a shorter one is not worth copying.
        """
        marks = _marks(ids)
        for place in range(len(marks), 0, -1):
            if place * BLOCK <= len(ids) // 2:
                return None
            if numbers := self._beginnings.get(marks[place - 1]):
                return max(
                    (self._rows[number] for number in numbers[: -LOOKED_AT - 1 : -1]),
                    key=lambda row: row.common(ids),
                )
        return None

    def clear(self) -> None:
        for kept in self._rows.values():
            kept.layers = []
        self._rows.clear()
        self._beginnings.clear()
        self.bytes = 0

    def _drop(self, number: int) -> None:
        kept = self._rows.pop(number)
        self.bytes -= kept.bytes
        kept.layers = []  # a waiting row may hold it still
        for mark in _marks(kept.ids):
            numbers = self._beginnings[mark]
            numbers.remove(number)
            if not numbers:
                del self._beginnings[mark]


def _marks(ids: list[int]) -> list[int]:
    """A hash for each prefix of 16, 32, 48 ... ids.

    Equal hashes mean equal prefixes, almost surely.
    """
    marks, mark = [], 0
    for at in range(BLOCK, len(ids) + 1, BLOCK):
        mark = hash((mark, *ids[at - BLOCK : at]))
        marks.append(mark)
    return marks
