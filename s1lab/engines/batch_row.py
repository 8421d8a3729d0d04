"""One row of the batch of the transformers engine."""

from __future__ import annotations

from dataclasses import dataclass, field

from s1lab.engine import Completion, Logprobs, Progress, Request, Usage
from s1lab.engines.prefix_cache import Kept
from s1lab.engines.sampling import Choice, unpacked


@dataclass
class Row:
    """A request that is waiting or being decoded, and what was written for it."""

    key: int
    request: Request
    ids: list[int]  # the request's ids and the written ones
    choice: Choice
    fed: int = 0  # how many of them are in the slab
    reused: int = 0  # how many of them came from the cache
    began: float = 0.0  # the time of its first written id
    kept: Kept | None = None  # the finished row that it begins like, while it waits
    parent: Kept | None = None  # the one whose keys and values it got
    error: str | None = None
    told: int = 0  # how many of the written ids were reported
    logprobs: bytearray = field(default_factory=bytearray)  # see s1lab.engines.sampling.logprobs

    @property
    def pending(self) -> int:
        """The number of ids that the slab does not contain yet."""
        return len(self.ids) - self.fed

    @property
    def written(self) -> int:
        return len(self.ids) - len(self.request.ids)

    def want_no_more(self) -> Kept | None:
        """Let go of the finished row that this one begins like, and return it."""
        kept, self.kept = self.kept, None
        if kept:
            kept.wanted -= 1
        return kept

    def progress(self) -> Progress:
        """What was written since the last report."""
        since, self.told = self.told, self.written
        return Progress(tuple(self.ids[len(self.request.ids) + since :]), self._logprobs(since))

    def completion(
        self, stop: int | None = None, cancelled: bool = False, now: float = 0.0
    ) -> Completion:
        """What was written so far, as the end of the request; ``now``: the time of the last id."""
        ids = tuple(self.ids[len(self.request.ids) :])
        usage = Usage(
            prefilled=min(self.fed, len(self.request.ids)) - self.reused,
            cached=self.reused,
            decoded=len(ids) + (stop is not None),
            seconds=now - self.began if self.began else 0.0,
        )
        return Completion(ids, stop, self.error, cancelled, self._logprobs(), usage)

    def _logprobs(self, since: int = 0) -> Logprobs | None:
        k = self.request.logprobs
        return None if k is None else unpacked(self.logprobs[since * (1 + 2 * k) * 4 :], k)
