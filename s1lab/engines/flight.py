"""A request in flight to a server, and what is known of its completion."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import Any

from s1lab.engine import Completion, Logprobs, Request, Usage
from s1lab.engines.reply import LogprobRow, Reply, ReplyError, Streamed, logprob_rows


@dataclass
class Flight:
    """A request in flight, and what is known of its completion."""

    key: int
    request: Request
    task: asyncio.Task[None] | None = None
    done: Completion | None = None
    reply: Streamed | None = None  # the streamed reply in progress
    heard: int = 0  # how many of its ids were looked at
    told: list[int] = field(default_factory=list)  # the ids that were reported
    written: list[int] = field(default_factory=list)  # the ids of whole replies, checked
    rows: list[LogprobRow] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)  # of the replies

    def add(self, choice: dict[str, Any], reply: Reply) -> None:
        """Add a reply that was checked, with its log-probabilities."""
        self.written += reply.ids
        if self.request.logprobs is not None:
            named = reply.stop is not None and len(choice["token_ids"]) > len(reply.ids)
            rows = logprob_rows(choice, self.request.logprobs)
            self.rows += rows[: len(reply.ids) + named]

    def fresh(self, reply: Streamed, stops: frozenset[int], vocabulary: int) -> list[int]:
        """The ids of a streamed reply that were not told, up to a stop or one past the vocabulary.

        Raises:
            ReplyError: A further try wrote other ids than those that were told.
        """
        if reply is not self.reply:  # after a failure a further try writes the reply again
            self.reply, self.heard = reply, 0
        since, self.heard = self.heard, len(reply.ids)
        found = []
        for at, token in enumerate(reply.ids[since:], len(self.written) + since):
            if at < len(self.told):
                if token != self.told[at]:
                    raise ReplyError("the server wrote other ids when it was asked again")
            elif not isinstance(token, int) or token in stops or not 0 <= token < vocabulary:
                break
            elif at < self.request.max_tokens:
                found.append(token)
        return found

    def append(self, token: int) -> None:
        """Add an id that the server wrote without its log-probabilities."""
        self.written.append(token)
        if (k := self.request.logprobs) is not None:
            self.rows.append((math.nan, [-1] * k, [math.nan] * k))

    def completion(
        self, stop: int | None = None, error: str | None = None, cancelled: bool = False
    ) -> Completion:
        """What was written so far, as the end of the request."""
        k, ids = self.request.logprobs, self.written
        if cancelled and len(self.told) > len(ids):
            ids = self.told
        found = None if k is None else Logprobs.of(self.rows, k)
        usage = self.usage
        if error or cancelled:  # nobody knows what a reply took that never came
            usage = Usage(None, None, max(usage.decoded, len(ids)), None)
        return Completion(tuple(ids), stop, error, cancelled, found, usage)
