"""Asking a server until it answers: pauses that grow, and an end to the patience that all questions share."""

from __future__ import annotations

import asyncio
import math
import random
import time
from email.utils import parsedate_to_datetime
from typing import Any

from s1lab.engines.client import Answer, Client, TroubleError
from s1lab.engines.reply import MixedUpError, ReplyError, check_prompt

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between tries: doubling from the one to the other
# Bytes of a reply. An id takes about 8 and the text of a token seldom more than 20, but both may be
# escaped or indented, and the ids of the prompt come back too.
BYTES_AT_LEAST, BYTES_AN_ID = 256 * 1024, 256


class Retries:
    """Requests for completions, each tried again while its failures may pass.

    Args:
        client: The server.
        timeout: Seconds that one try may take.
        retries: How often one request is tried again.
        patience: Seconds of failures, without any answer between them, after which the server counts
            as lost.

    """

    def __init__(self, client: Client, timeout: float, retries: int, patience: float) -> None:
        self._client, self._timeout, self._retries, self._patience = client, timeout, retries, patience
        self._pauses = random.Random()  # jitter only: nothing that is sampled depends on it
        self._failing: float | None = None  # since when there has been nothing but failures
        self._lost = False
        self._trouble = ""  # the last failure, in words
        self.retried = 0

    def forget(self) -> None:
        """Forget an outage."""
        self._failing, self._lost = None, False

    async def ask(self, body: dict[str, Any]) -> dict[str, Any]:
        """The choice of one answer, asked for until it is there. ReplyError when it never is."""
        most = BYTES_AT_LEAST + BYTES_AN_ID * (len(body["prompt"]) + body["max_tokens"])
        tries = mixed = 0
        while (seconds := self._allowed()) > 0:
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**tries) * self._pauses.uniform(0.5, 1.5)
            tries += 1
            try:
                answer = await self._client.fetch("POST", "completions", most, seconds, body, mixed > 0)
                if answer.status < 300:
                    choice = self._choice(answer)
                    check_prompt(choice, body["prompt"])
                    return choice
                if answer.status < 400:
                    place = self._client.words(answer.headers.get("location", "another place"))
                    raise ReplyError(f"{self._client.address} sends us on to {place}: use that address{self._client.via}")
                said = f"{answer.status}: {self._client.message(answer)}"
                if answer.status < 500 and answer.status not in (408, 429):
                    raise ReplyError(f"the server refuses the request ({said}){self._client.via}")
                self._trouble = said
                asked = seconds_to_wait(answer.headers.get("retry-after"))
                pause = max(pause, min(LONGEST_PAUSE, asked))
            except MixedUpError:
                # A server that sends too much leaves it in the connection, for whoever asks next.
                mixed += 1
                if mixed > 2:
                    raise
                continue
            except TroubleError as why:
                self._trouble = str(why)
            # Whoever has waited in vain for so long speaks for all: the others try once each, until
            # one of them succeeds.
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
                f"{self._client.address} was not asked any more: for {self._patience:g} seconds and longer it "
                f"gave no answer, the last failure {self._trouble}; is the server up?{self._client.via}"
            )
        raise ReplyError(
            f"{self._client.address} gave no answer in {tries} tries, the last failure {self._trouble}; "
            f"is the server up?{self._client.via}"
        )

    def _allowed(self) -> float:
        """Seconds that a try may take from now on.

        A server that answers nothing and closes nothing takes the whole timeout of every try. Without
        an end for all together, each round of the questions that wait would take that long again.
        """
        if self._failing is None:
            return self._timeout
        end = self._failing + self._patience + self._timeout
        return min(self._timeout, end - time.monotonic())

    def _choice(self, answer: Answer) -> dict[str, Any]:
        """The choice in an answer. It is the place where a server counts as one that answers."""
        said = answer.json()
        choices = said.get("choices") if isinstance(said, dict) else None
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            kind = answer.headers.get("content-type", "")
            told = f"{answer.status}: {self._client.message(answer)}" if answer.content else "an empty one"
            raise TroubleError(f"an answer that is no completion, or half of one ({self._client.words(kind[:100])} {told})")
        self.forget()
        if choice.get("token_ids") is None:
            raise ReplyError(
                f"{self._client.address} does not return token ids: it must honour return_token_ids, as "
                "vLLM's server does (python -m vllm.entrypoints.openai.api_server); turn that on or "
                "use another server"
            )
        return choice


def seconds_to_wait(said: str | None) -> float:
    """What a Retry-After header asks for; 0 where it is no time to come. The caller has a limit."""
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
