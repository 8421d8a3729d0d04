"""Find out whether a server's log-probabilities are the model's own."""

from __future__ import annotations

import asyncio
import math

from s1lab.engine import MOST_LOGPROBS, Request
from s1lab.engines.reply import ReplyError, body_of, logprob_rows
from s1lab.engines.retries import Retries

HEATS = (0.5, 2.0)  # servers refuse more than 2


class RawLogprobs:
    """One probe at two temperatures, made before the first request that wants log-probabilities.

    Args:
        retries: Asks the server.
        served: The server's name for the model.
        prompt: Ids to continue.
    """

    def __init__(self, retries: Retries, served: str, prompt: tuple[int, ...]) -> None:
        self._retries, self._served, self._prompt = retries, served, prompt
        self._probe: asyncio.Task[None] | None = None

    async def check(self) -> None:
        """Wait for the probe, which is made once.

        Raises:
            ReplyError: The log-probabilities are others. The message names the flag to set.
        """
        if self._probe is None:
            self._probe = asyncio.ensure_future(self._compare())
        try:
            await asyncio.shield(self._probe)
        except ReplyError:
            self._probe = None  # another request looks again: the server may have been away
            raise

    async def _compare(self) -> None:
        found = []
        for heat in HEATS:
            probe = Request(self._prompt, 1, frozenset(), temperature=heat, logprobs=MOST_LOGPROBS)
            choice, _ = await self._retries.ask(body_of(probe, self._served, [], 1, 0))
            ids = choice.get("token_ids")
            if not isinstance(ids, list) or len(ids) != 1:
                raise ReplyError("the server did not write the one id that it was asked for")
            found.append(logprob_rows(choice, MOST_LOGPROBS)[0][2])
        # Raw ones do not change with the temperature, and twenty shares add up to at most one.
        same = max(abs(a - b) for a, b in zip(*found, strict=True)) < 1e-2
        if not same or sum(math.exp(value) for value in found[0]) > 1.01:
            raise ReplyError(
                "the server's log-probabilities are not those of the model before the temperature: "
                "start it with --logprobs-mode raw_logprobs"
            )
