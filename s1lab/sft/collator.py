"""Make a batch of rows: padded, or joined end to end. Both give the same loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from s1lab.sft.encode import IGNORED
from s1lab.sft.recipes import Batches


@dataclass
class Collator:
    """Rows of input_ids, labels and row number to a batch of tensors.

    The tensors have the shape [lines, tokens]. ``rows`` holds the numbers of the batch's rows.

    Attributes:
        kind: "padded": one row on each line, filled up to the longest, with an attention mask.
            "packed": rows end to end in lines no longer than the longest row, by first fit. "flat":
            all rows on one line. In the last two, positions start over with each row, which tells
            transformers to keep the rows' attention apart.
        pad: Id of the token that fills up a line.
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
                # The first token of a row follows nothing. With a label it would be learned from
                # the row before it.
                batch["labels"][at, start:end] = torch.tensor([IGNORED, *labels[row][1:]])
                batch["attention_mask"][at, start:end] = 1
                batch["position_ids"][at, start:end] = torch.arange(end - start)
                start = end
            # padding is a row of its own
            batch["position_ids"][at, start:] = torch.arange(width - start)
        # With a mask, transformers ignores where positions start over. Without one, it looks at
        # them.
        del batch["position_ids" if self.kind == "padded" else "attention_mask"]
        batch["rows"] = torch.tensor([r["row"] for r in rows])
        return batch


def _first_fit(lengths: list[int], most: int) -> list[list[int]]:
    """Put rows on lines of at most ``most`` tokens: the longest first, each where it first fits."""
    lines: list[tuple[int, list[int]]] = []
    for row in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        for at, (used, line) in enumerate(lines):
            if used + lengths[row] <= most:
                lines[at] = (used + lengths[row], [*line, row])
                break
        else:
            lines.append((lengths[row], [row]))
    return [line for _, line in lines]
