"""How the transformers engine chooses ids: the order and the formulas are those of vLLM.

Raw log-probabilities first, then masks, penalties, temperature, min_p, top_k and top_p. A sampled
id is the best one after seeded Gumbel noise, which is a sample from the softmax that depends on
nothing but its own row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from s1lab.engine import Logprobs, Request

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Choice:
    """The state of one request's sampling: its random numbers, and the ids it has met.

    Args:
        request: The request.
        vocabulary: The number of ids that can be sampled, from 0.
    """

    def __init__(self, request: Request, vocabulary: int) -> None:
        self.request = request
        self.random: torch.Generator | None = None
        if request.temperature > 0:
            self.random = torch.Generator().manual_seed(request.seed)
        self.written: torch.Tensor | None = None  # [vocabulary], how often each id was written
        self.met: torch.Tensor | None = None  # [vocabulary], whether it is there, prompt included
        if request.penalised:
            self.written = torch.zeros(vocabulary)
            self.met = torch.zeros(vocabulary, dtype=torch.bool)
            self.met[[i for i in request.ids if i < vocabulary]] = True
        self._stops = torch.tensor([s for s in request.stop if s < vocabulary], dtype=torch.long)
        self._banned = torch.tensor([b for b in request.banned if b < vocabulary], dtype=torch.long)

    def plain(self, written: int) -> bool:
        """Whether the next id is simply the most likely one."""
        early = written < self.request.min_tokens
        return not (
            early or self.random is not None or self.met is not None or self._banned.numel()
        )

    def add(self, token: int) -> None:
        """Count an id that was written."""
        if self.written is not None and self.met is not None:
            self.written[token] += 1
            self.met[token] = True

    def adjusted(self, logits: torch.Tensor, written: int) -> torch.Tensor:
        """The logits whose best id is the choice.

        Args:
            logits: [vocabulary], float32. They are not changed.
            written: How many ids the request has written.

        Returns:
            [vocabulary], float32.
        """
        request = self.request
        logits = logits.clone()
        if self._banned.numel():
            logits[self._banned] = -torch.inf
        if written < request.min_tokens:
            logits[self._stops] = -torch.inf
        if self.met is not None and self.written is not None:
            met, count = self.met.to(logits.device), self.written.to(logits.device)
            factor = torch.where(met, request.repetition_penalty, 1.0)
            logits = torch.where(logits > 0, logits / factor, logits * factor)
            logits -= request.frequency_penalty * count + request.presence_penalty * (count > 0)
        if self.random is None:
            return logits
        logits = kept(logits / request.temperature, request.top_k, request.top_p, request.min_p)
        uniform = torch.rand(len(logits), generator=self.random, dtype=torch.float64)
        noise = -torch.log(-torch.log(uniform.clamp_min(1e-300)))
        return logits + noise.to(logits.device, logits.dtype)


def kept(logits: torch.Tensor, top_k: int, top_p: float, min_p: float) -> torch.Tensor:
    """Drop ids that may not be sampled: -inf in their places. The most likely id always stays.

    Args:
        logits: [vocabulary], after the temperature.
        top_k: How many of the most likely ids stay; 0 for all.
        top_p: The least likely ids, whose mass is beyond this, are dropped; 1 keeps all.
        min_p: Ids less likely than this share of the most likely one are dropped.

    Returns:
        [vocabulary].
    """
    if min_p > 0:
        share = logits.softmax(-1)
        logits = logits.masked_fill(share < min_p * share.max(), -torch.inf)
    if 0 < top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    if top_p < 1:
        ordered, order = logits.sort(descending=True)
        mass = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)  # the mass before each
        logits = logits.index_fill(0, order[mass >= top_p], -torch.inf)
    return logits


def logprobs(logits: torch.Tensor, chosen: Sequence[int], k: int) -> NDArray[np.uint32]:
    """Log-probabilities of rows: the chosen id's, and those of the k most likely.

    Args:
        logits: [rows, all rows of the output layer].
        chosen: The id that was chosen in each row.
        k: How many of the most likely ids.

    Returns:
        [rows, 1 + 2k] words of 4 bytes: the chosen id's as float32, the most likely ids as int32,
        theirs as float32. `unpacked` reads them.
    """
    logits = logits.float()
    # log_softmax of everything would write as much as it reads; only k + 1 numbers are needed.
    total = logits.logsumexp(-1, keepdim=True)
    mine = logits.gather(1, torch.tensor(chosen, device=logits.device)[:, None]) - total
    if not k:
        return mine.cpu().numpy().view(np.uint32)
    best = logits.topk(k, dim=-1)
    parts = (mine, best.indices.to(torch.int32), best.values - total)
    return np.concatenate([part.cpu().numpy().view(np.uint32) for part in parts], axis=1)


def cut(words: NDArray[np.uint32], k: int, kept: int) -> NDArray[np.uint32]:
    """A row of `logprobs` with fewer of the most likely ids."""
    return words if kept == k else np.concatenate([words[: 1 + kept], words[1 + k :][:kept]])


def unpacked(words: bytes | bytearray, k: int) -> Logprobs:
    """Rows of `logprobs`, one after the other, as what a completion has."""
    # A copy: the rows may grow while the completion is in use.
    rows = np.frombuffer(bytes(words), np.uint32).reshape(-1, 1 + 2 * k)
    sampled, ids, top = (np.ascontiguousarray(part) for part in np.split(rows, [1, 1 + k], axis=1))
    return Logprobs(sampled[:, 0].view(np.float32), ids.view(np.int32), top.view(np.float32))
