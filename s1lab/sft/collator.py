"""How rows become a batch: padded, or end to end with attention kept apart, the same loss either way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from s1lab.sft.encode import IGNORED
from s1lab.sft.recipes import Batches


@dataclass
class Collator:
    """Rows of input_ids, labels and row to a batch of tensors [lines, tokens], and ``rows``, the numbers of its rows.

    "padded": a line a row, filled up to the longest, with an attention mask. "packed": rows end to end in lines no longer than
    the longest row, by first fit; positions start over with each row, by which transformers keeps their attention apart.
    "flat": all in one line.
    """

    kind: Batches
    pad: int

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        ids, labels = [r["input_ids"] for r in rows], [r["labels"] for r in rows]
        if self.kind == "padded":
            lines = [[i] for i in range(len(ids))]
        elif self.kind == "packed":
            lines = _first_fit([len(i) for i in ids], max(map(len, ids)))
        else:
            lines = [list(range(len(ids)))]
        width = max(sum(len(ids[i]) for i in line) for line in lines)
        batch = {
            "input_ids": torch.full((len(lines), width), self.pad),
            "labels": torch.full((len(lines), width), IGNORED),
            "attention_mask": torch.zeros(len(lines), width, dtype=torch.long),
            "position_ids": torch.zeros(len(lines), width, dtype=torch.long),
        }
        for at, line in enumerate(lines):
            start = 0
            for row in line:
                end = start + len(ids[row])
                batch["input_ids"][at, start:end] = torch.tensor(ids[row])
                # The first token of a row is nobody's successor: it would be learned from the row before it.
                batch["labels"][at, start:end] = torch.tensor([IGNORED, *labels[row][1:]])
                batch["attention_mask"][at, start:end] = 1
                batch["position_ids"][at, start:end] = torch.arange(end - start)
                start = end
            batch["position_ids"][at, start:] = torch.arange(width - start)  # what fills up a line is a row of its own
        # With a mask, transformers would not look at where positions start over; without one, it has to.
        del batch["position_ids" if self.kind == "padded" else "attention_mask"]
        batch["rows"] = torch.tensor([r["row"] for r in rows])
        return batch


def _first_fit(lengths: list[int], most: int) -> list[list[int]]:
    """Rows in lines of at most ``most`` tokens, the longest rows first, each in the first line that has room for it."""
    lines: list[tuple[int, list[int]]] = []
    for row in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        for at, (used, line) in enumerate(lines):
            if used + lengths[row] <= most:
                lines[at] = (used + lengths[row], [*line, row])
                break
        else:
            lines.append((lengths[row], [row]))
    return [line for _, line in lines]
