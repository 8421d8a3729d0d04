"""Retries with growing pauses, and one limit of patience for all questions together."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

from s1lab.engine import Usage
from s1lab.engines.client import Answer, Client, TroubleError
from s1lab.engines.reply import MixedUpError, ReplyError, Streamed, check, check_prompt, usage_of

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between tries, doubling from the first to the last
# Bytes of a reply. An id takes about 8, and the text of a token rarely more than 20. Both may be
# escaped or indented, and the reply repeats the ids of the prompt.
BYTES_AT_LEAST, BYTES_AN_ID = 256 * 1024, 256
# Each event of a streamed reply repeats the names of its fields and of the model.
BYTES_AN_EVENT, BYTES_A_LOGPROB = 2048, 256


class Retries:
    """Requests for completions, each repeated while its failures may be temporary.

    Args:
        client: The server.
        timeout: The most seconds for one try.
        retries: How often one request is tried again.
        patience: Seconds of failures, without any reply between them, after which the server counts
            as lost.
    """

    def __init__(self, client: Client, timeout: float, retries: int, patience: float) -> None:
        self._client, self._timeout, self._retries, self._patience = (
            client,
            timeout,
            retries,
            patience,
        )
        self._pauses = random.Random()  # for jitter only: no sample depends on it
        self._failing: float | None = None  # the time of the first failure since the last reply
        self._lost = False
        self._trouble = ""  # the last failure, in words
        self.retried = 0

    def words(self, said: Any) -> str:
        """The server's own words, with secrets masked."""
        return self._client.words(said)

    def forget(self) -> None:
        """Forget an outage."""
        self._failing, self._lost = None, False

    async def ask(
        self, body: dict[str, Any], heard: Callable[[Streamed], None] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Request one choice until the server gives it.

        Args:
            body: The JSON to send.
            heard: Is called with a streamed reply as it grows, unchecked. A further try begins
                another one, from the first id.

        Returns:
            The choice, and the whole reply with what the server says beside it.

        Raises:
            ReplyError: The server never gives it.
        """
        an_id = BYTES_AN_ID
        if body.get("stream"):
            an_id += BYTES_AN_EVENT
        if body.get("logprobs") is not None:
            an_id += BYTES_A_LOGPROB * (body["logprobs"] + 2)
        most = BYTES_AT_LEAST + BYTES_AN_ID * len(body["prompt"]) + an_id * body["max_tokens"]
        tries = mixed = 0
        while (seconds := self._allowed()) > 0:
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**tries) * self._pauses.uniform(0.5, 1.5)
            tries += 1
            streamed = Streamed()

            def event(said: Any, streamed: Streamed = streamed) -> None:
                if isinstance(said, dict) and said.get("error"):
                    raise TroubleError(self._client.words(said["error"]))
                streamed.add(said)
                if heard:
                    heard(streamed)

            try:
                answer = await self._client.fetch(
                    "POST",
                    "completions",
                    most,
                    seconds,
                    body,
                    mixed > 0,
                    event if body.get("stream") else None,
                )
                if answer.status < 300:
                    found = self._choice(answer, streamed)
                    check_prompt(found[0], body["prompt"])
                    return found
                if answer.status < 400:
                    place = self._client.words(answer.headers.get("location", "another place"))
                    raise ReplyError(
                        f"{self._client.address} sends us on to {place}: use that "
                        f"address{self._client.via}"
                    )
                said = f"{answer.status}: {self._client.message(answer)}"
                if answer.status < 500 and answer.status not in (408, 429):
                    raise ReplyError(f"the server refuses the request ({said}){self._client.via}")
                self._trouble = said
                asked = seconds_to_wait(answer.headers.get("retry-after"))
                pause = max(pause, min(LONGEST_PAUSE, asked))
            except MixedUpError:
                # If a server sends too much, the rest stays in the connection, for the next
                # request.
                mixed += 1
                if mixed > 2:
                    raise
                continue
            except TroubleError as why:
                self._trouble = str(why)
            # After so long without success, the server counts as lost for all requests. The others
            # try once each, until one of them succeeds.
            now = time.monotonic()
            self._failing = self._failing or now
            left = self._failing + self._patience - now
            self._lost |= left < 0
            if tries > self._retries or self._lost:
                break
            self.retried += 1
            await asyncio.sleep(min(pause, left + 0.01))
        if not tries:
            raise ReplyError(
                f"{self._client.address} was not asked any more: for {self._patience:g} seconds "
                f"and longer it gave no answer, the last failure {self._trouble}; is the server "
                f"up?{self._client.via}"
            )
        raise ReplyError(
            f"{self._client.address} gave no answer in {tries} tries, the last failure "
            f"{self._trouble}; is the server up?{self._client.via}"
        )

    def _allowed(self) -> float:
        """The seconds that a try may take from now on.

        A server that replies to nothing and closes nothing takes the whole timeout of every try.
        Without a common limit, each round of waiting questions would take that long again.
        """
        if self._failing is None:
            return self._timeout
        end = self._failing + self._patience + self._timeout
        return min(self._timeout, end - time.monotonic())

    def _choice(self, answer: Answer, streamed: Streamed) -> tuple[dict[str, Any], dict[str, Any]]:
        """The choice in a reply, and the reply. Then the server counts as one that replies."""
        said = streamed.said | {"choices": [streamed.choice]} if streamed.ended else answer.json()
        choices = said.get("choices") if isinstance(said, dict) else None
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            kind = answer.headers.get("content-type", "")
            told = (
                f"{answer.status}: {self._client.message(answer)}"
                if answer.content
                else "an empty one"
            )
            raise TroubleError(
                "an answer that is no completion, or half of one "
                f"({self._client.words(kind[:100])} {told})"
            )
        self.forget()
        if choice.get("token_ids") is None:
            raise ReplyError(
                f"{self._client.address} does not return token ids: it must honour "
                "return_token_ids, as vLLM's server does (python -m "
                "vllm.entrypoints.openai.api_server); turn that on or use another server"
            )
        return choice, said


async def which_stop(
    retries: Retries, body: dict[str, Any], stops: frozenset[int], ids: int
) -> tuple[int, Usage]:
    """Find the id at which a server stopped that neither writes its stops nor names them.

    The next id is requested without any stop. Greedy decoding gives the stop itself, or an ordinary
    id if the server stopped for a reason of its own. Sampling draws from the stops only: the server
    drew one of them, and nobody can know which.

    Args:
        retries: Asks the server.
        body: The request for the next id.
        stops: The stops that the server was given.
        ids: How many ids there are.

    Returns:
        The id, and what finding it took.

    Raises:
        ReplyError: The server does not tell.
    """
    sampled = body["temperature"] > 0
    if sampled and len(stops) == 1:
        return next(iter(stops)), Usage()
    body = body | {"min_tokens": 0, "stop_token_ids": []}
    if sampled:
        body["allowed_token_ids"] = sorted(stops)
    choice, said = await retries.ask(body)
    reply = check(
        choice, most=1, least=0, stops=frozenset(), vocabulary=ids, rows=None,
        words=retries.words,
    )  # fmt: skip
    if not reply.ids or (sampled and reply.ids[0] not in stops):
        raise ReplyError(
            "the server says that it stopped, and neither writes the stop nor names it in "
            "stop_reason"
        )
    return reply.ids[0], usage_of(said, choice)


def seconds_to_wait(said: str | None) -> float:
    """The seconds in a Retry-After header; 0 if it is not a future time. The caller has a limit."""
    if not said:
        return 0.0
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(said).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return 0.0
    return seconds if 0 < seconds < math.inf else 0.0
