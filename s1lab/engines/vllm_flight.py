"""A request that vLLM works on in this process, and what it has written."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from s1lab.engine import Completion, Logprobs, Progress, Request, Usage


@dataclass
class Flight:
    """A running request, and what it has written, over all its launches."""

    key: int
    request: Request
    tries: int = 0  # how often an id outside the vocabulary came
    launched: int = 0  # how many ids were written before this launch
    began: float = 0.0  # the time of the first id
    usage: Usage = field(default_factory=Usage)  # of the launches that have ended
    told: int = 0  # how many of the written ids were reported
    written: list[int] = field(default_factory=list)
    logprobs: list[tuple[float, list[int], list[float]]] = field(default_factory=list)

    def add(self, ids: list[int], logprobs: Any) -> None:
        """Add what vLLM tells; ``logprobs`` is None, or its own list with an entry for each id."""
        self.written += ids
        if self.request.logprobs is not None and logprobs is not None:
            self.logprobs += _rows(logprobs, ids, self.request.logprobs)

    def spend(self, read: int | None, cached: int | None, now: float) -> None:
        """Note what a launch took: the ids that it continued, and those that were cached."""
        prefilled = None if read is None or cached is None else read - cached
        new = Usage(prefilled, cached, decoded=len(self.written) - self.launched)
        seconds = now - self.began if self.began else 0.0
        self.usage = replace(self.usage + new, seconds=seconds)

    def progress(self) -> Progress | None:
        """What was written since the last report."""
        since, self.told = self.told, len(self.written)
        if since == self.told:
            return None
        return Progress(tuple(self.written[since:]), self._logprobs(since))

    def completion(
        self, stop: int | None = None, error: str | None = None, cancelled: bool = False
    ) -> Completion:
        found = self._logprobs()
        return Completion(tuple(self.written), stop, error, cancelled, found, self.usage)

    def _logprobs(self, since: int = 0) -> Logprobs | None:
        k = self.request.logprobs
        return None if k is None else Logprobs.of(self.logprobs[since:], k)


def _rows(logprobs: Any, ids: list[int], k: int) -> list[tuple[float, list[int], list[float]]]:
    """Turn vLLM's log-probabilities into rows of (the written id's, the best ids, theirs)."""
    if hasattr(logprobs, "start_indices"):  # flat: the written id, then the most likely ones
        places, values = logprobs.token_ids, logprobs.logprobs
        return [(values[at], places[at + 1 : at + 1 + k], values[at + 1 : at + 1 + k])
                for at in logprobs.start_indices]  # fmt: skip
    found = []
    for token, at in zip(ids, logprobs, strict=True):
        best = sorted(at.items(), key=lambda pair: pair[1].rank)[:k]
        found.append((at[token].logprob, [i for i, _ in best], [one.logprob for _, one in best]))
    return found
