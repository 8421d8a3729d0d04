"""Any OpenAI-compatible completions endpoint that takes token ids and returns them.

That is vLLM's server, or many of them behind one address. One asynchronous client on its own thread
keeps many requests in flight, so the engine works in a script and inside a running event loop (a
notebook). Temporary failures (429, 5xx, a dropped connection, half a reply) are retried with
growing pauses. Any other fault of the server becomes the error of that one question.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import queue
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeGuard

from s1lab.engine import Completion, Progress, Request, Usage
from s1lab.engines.client import Client
from s1lab.engines.end_of_sequence import end_ids
from s1lab.engines.fingerprint import fingerprint
from s1lab.engines.flight import Flight
from s1lab.engines.limits import misfit
from s1lab.engines.model_files import load_tokenizer
from s1lab.engines.raw_logprobs import RawLogprobs
from s1lab.engines.reply import ReplyError, Streamed, body_of, check, usage_of
from s1lab.engines.retries import Retries, which_stop
from s1lab.engines.server_card import card_of, versions_of
from s1lab.engines.vocabulary import outside, rows_of
from s1lab.template import ThinkTemplate
from s1lab.tokenization.bound_template import BoundTemplate, bind

MOMENT = 0.1  # seconds that a poll waits for an answer
IDLE = 1.0  # seconds without a request after which an outage is forgotten


class ServerEngine:
    """Requests in, completions out, over HTTP.

    Args:
        address: The address of the API, such as "http://host:8000/v1". A user and a password in it
            are sent as basic authentication, unless there is a key. They are never shown.
        model: The name the server uses for the model; None takes its only model.
        tokenizer: Folder, hub id or embedded name of the model's tokenizer; None takes the place
            that the server names for its model.
        template: As in `s1lab.load`.
        chat_template_kwargs: As in `s1lab.load`.
        allow_special: As in `s1lab.load`.
        api_key: Sent as a bearer token, and never shown. None takes the environment variable
            S1LAB_API_KEY, if it is set.
        concurrency: The most requests in flight. The server batches them.
        timeout: The most seconds for one try, in all.
        retries: How often one request is tried again.
        patience: Seconds of failures, without any reply between them, after which the server counts
            as lost. Then each question gets one more try, and none begins later than ``timeout``
            after that.
        max_model_len: The context, for a server that does not say it.

    A server may write fewer ids than requested and call that "length", because of a limit of its
    own. The engine then requests the rest, and all pieces are one request. With a temperature each
    piece has its own seed (the request's plus the number of the piece), so a sampled completion in
    pieces differs from the same one written whole. Greedy completions are equal.

    Raises:
        ConnectionError: The server can't be reached.
        PermissionError: It refuses the key.
        ValueError: It can't return token ids, or an argument is wrong.

    Example:
        engine = lab.load("http://localhost:8000/v1")
    """

    name = "server"
    device = "server"

    def __init__(
        self,
        address: str,
        *,
        model: str | None = None,
        tokenizer: str | None = None,
        template: str | ThinkTemplate | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        allow_special: bool = False,
        api_key: str | None = None,
        concurrency: int = 256,
        timeout: float = 600.0,
        retries: int = 8,
        patience: float = 120.0,
        max_model_len: int | None = None,
    ) -> None:
        for name, value, least in (
            ("concurrency", concurrency, 1),
            ("retries", retries, 0),
            ("max_model_len", max_model_len, 2),
        ):
            if value is not None and (not _whole(value) or value < least):
                raise ValueError(f"{name}={value!r}: give a whole number of at least {least}")
        for name, seconds in (("timeout", timeout), ("patience", patience)):
            number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
            if not number or not 0 < seconds < math.inf:
                raise ValueError(f"{name}={seconds!r}: give a number of seconds above 0")
        self.width = concurrency
        self._client = Client(address, api_key or os.environ.get("S1LAB_API_KEY"), timeout)
        self.address = self._client.address
        self._timeout = timeout
        self._retries = Retries(self._client, timeout, retries, patience)
        self._inbox: queue.Queue[tuple[Flight, Completion | Progress]] = queue.Queue()
        self._flying: dict[int, Flight] = {}
        self._last_key, self._idle = -1, 0.0
        self._limit: int | None = None  # the number of ids at which the server ended by itself
        self._told = False  # whether the user was warned of that
        self._slots = asyncio.Semaphore(concurrency)
        try:
            bound = partial(
                bind,
                template,
                chat_template_kwargs=chat_template_kwargs,
                allow_special=allow_special,
            )
            self._connect(model, tokenizer, bound, max_model_len)
        except BaseException:
            self.close()
            raise

    def _connect(
        self,
        model: str | None,
        tokenizer: str | None,
        bound: Callable[..., BoundTemplate],
        max_model_len: int | None,
    ) -> None:
        """Find out what the server serves, and check that it can do what is needed."""
        card = card_of(self._client, model, self._timeout)
        self._served = str(card["id"])  # the server's own name for it
        self.model = self._client.mask_name(self._served)
        root = card.get("root") or card["id"]
        if not isinstance(root, str):
            raise ValueError(
                f"{self.address} says that its model comes from something that is no text: pass "
                "tokenizer="
            )
        self._root = root
        where = tokenizer or root
        self.tokenizer = tokenizer or self._client.mask_name(root)
        try:
            loaded = load_tokenizer(where)
        except FileNotFoundError as why:
            raise FileNotFoundError(
                f"the tokenizer of the served model {self.model!r} is not at {self.tokenizer!r} on "
                "this machine: pass tokenizer= with a folder, a hub id or an embedded name "
                f"({self._client.words(why, 200)})"
            ) from None
        self.template = bound(loaded, end_ids(where, loaded))
        self._vocabulary = len(loaded)
        self._rows = rows_of(where)
        self._outside = outside(self._vocabulary, self._rows)
        said = card.get("max_model_len")
        context = max_model_len if max_model_len is not None else said
        if not _whole(context) or context < 2:
            told = "does not say how long its context is"
            if said is not None:
                told = f"says that its context is {self._client.words(said)!r}, which is no length"
            raise ValueError(f"{self.address} {told}: pass max_model_len=")
        self.context = context
        prompt = tuple(self.template.prompt("?"))
        self._raw = RawLogprobs(self._retries, self._served, prompt)
        self._probe()
        self.versions = versions_of(self._client, self._timeout)

    def submit(self, key: int, request: Request) -> None:
        if self._client.closed:
            raise RuntimeError("this server engine is closed: load it again")
        # An outage of an earlier run says nothing about this one. Having nothing in flight
        # does not mark a new run: all requests of one may have failed at once. Keys restart with
        # it.
        idle = not self._flying and time.monotonic() - self._idle > IDLE
        if key <= self._last_key or idle:
            self._retries.forget()
        self._last_key = key
        flight = self._flying[key] = Flight(key, request)
        # A server may only serve the part that fits, and not say so.
        if error := misfit(request, self.context):
            self._inbox.put((flight, Completion((), error=error, usage=Usage())))
            return
        self._client.start(self._start(flight))

    def poll(self) -> list[tuple[int, Completion | Progress]]:
        if not self._flying:
            return []
        try:
            done = [self._inbox.get(timeout=MOMENT)]
        except queue.Empty:  # the caller can stop between polls
            return []
        with contextlib.suppress(queue.Empty):
            while True:
                done.append(self._inbox.get_nowait())
        told: list[tuple[int, Completion | Progress]] = []
        for flight, what in done:
            if self._flying.get(flight.key) is not flight:
                continue  # it was cancelled after this was written
            if isinstance(what, Completion):
                del self._flying[flight.key]
            told.append((flight.key, what))
        self._idle = time.monotonic()
        if self._limit is not None and not self._told:
            self._told = True
            warnings.warn(
                f"{self.address} ends an answer by itself after {self._limit} ids: the rest is "
                "asked for, which takes more requests. A vLLM server takes such a limit from "
                "max_new_tokens in the model's generation config; --generation-config vllm turns "
                "it off",
                stacklevel=2,
            )
        return told

    def cancel(self, keys: Iterable[int] | None = None) -> dict[int, Completion]:
        """Drop requests in flight; see `s1lab.engine.Engine.cancel`.

        vLLM's server stops working on a request whose connection is closed. What a request has
        written is known if it is ``partial``. Otherwise the server tells it at the end only.
        """
        if self._client.closed:
            return {}
        gone = [*self._flying] if keys is None else [key for key in keys if key in self._flying]
        flights = [self._flying.pop(key) for key in gone]
        self._client.wait(self._stop(flights))
        if keys is None:
            self._last_key = -1
        return {flight.key: flight.done or flight.completion(cancelled=True) for flight in flights}

    def close(self) -> None:
        """Drop all requests in flight and end the client's thread. Closing twice is allowed."""
        if self._client.closed:
            return
        self._client.wait(self._stop([*self._flying.values()]))
        self._client.close()

    @cached_property
    def fingerprint(self) -> str:
        """The name of the model in a store.

        A server does not show its weights. Unless they are also on this machine, the server's name
        for them is trusted.
        """
        if Path(self._root).is_dir():
            return fingerprint(self._root)
        return f"served {self.model} {self._client.mask_name(self._root)}"

    @property
    def retried(self) -> int:
        """How many tries failed and were made again."""
        return self._retries.retried

    @property
    def semantics(self) -> str:
        return f"{self.name} 1"

    def __repr__(self) -> str:
        return f"{self.name} engine: {self.model} at {self.address}, context {self.context}"

    def __enter__(self) -> ServerEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if (client := getattr(self, "_client", None)) is None or client.closed or not threading:
            return  # closed, or the interpreter is shutting down
        if not client.drop():
            self.close()

    async def _start(self, flight: Flight) -> None:
        flight.task = asyncio.current_task()
        try:
            async with self._slots:
                done = await self._complete(flight)
        except Exception as why:  # a defect here must not make the run wait for ever
            error = f"the request failed: {type(why).__name__}: {self._client.words(str(why))}"
            done = flight.completion(error=error)
        flight.done = done
        self._inbox.put((flight, done))

    async def _stop(self, flights: list[Flight]) -> None:
        mine = asyncio.current_task()
        tasks = [f.task for f in flights if f.task and f.task is not mine]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _complete(self, flight: Flight) -> Completion:
        """One completion, in as many replies as the server needs."""
        request, written = flight.request, flight.written
        stops = request.stop | self._outside
        pieces = empty = 0
        # A request in pieces would count its penalties anew: it has the mask at once.
        masked = bool(request.penalised and self._outside)
        try:
            if request.logprobs is not None:
                await self._raw.check()
            while True:
                most = request.max_tokens - len(written)
                body = body_of(request, self._served, written, most, pieces)
                body["stop_token_ids"] = sorted(stops)
                if masked or request.banned:
                    allowed = (i for i in range(self._vocabulary) if i not in request.banned)
                    body["allowed_token_ids"] = list(allowed)
                if pieces and (request.presence_penalty or request.frequency_penalty):
                    raise ReplyError(
                        "the server ended an answer before its end, and its penalties can't be "
                        "continued there: raise its limit, or leave presence_penalty and "
                        "frequency_penalty out"
                    )
                self._tell(flight, written[len(flight.told) :])
                asked = self._retries.ask(body, partial(self._heard, flight, stops))
                choice, said = await asked
                reply = check(
                    choice,
                    most=most,
                    least=body["min_tokens"],
                    stops=stops,
                    vocabulary=self._vocabulary,
                    rows=self._rows,
                    words=self._client.words,
                )
                flight.add(choice, reply)
                flight.usage += usage_of(said, choice)
                stop = reply.stop
                undecodable = reply.undecodable
                if reply.unnamed:
                    pieces += 1
                    body = body_of(request, self._served, written, 1, pieces)
                    stop, usage = await which_stop(
                        self._retries, body, stops, max(self._vocabulary, self._rows or 0)
                    )
                    flight.usage += usage
                    undecodable = stop >= self._vocabulary
                    if stop not in stops:  # the server stopped at a stop of its own
                        flight.append(stop)
                        stop = None
                # An id past the vocabulary: continue from there with all of them masked.
                if undecodable:
                    if masked:
                        raise ReplyError(
                            "the server ignores allowed_token_ids and wrote an id that can't be "
                            "decoded"
                        )
                    masked = True
                elif stop is not None:
                    return flight.completion(stop)
                elif len(written) >= request.max_tokens:
                    return flight.completion()
                else:
                    empty = 0 if reply.ids else empty + 1
                    if empty == 2:
                        raise ReplyError(
                            f"the server wrote {len(written)} of {request.max_tokens} ids and then "
                            "ended two replies in a row without one: it has a limit of its own, "
                            "such as max_new_tokens in its generation config (--generation-config "
                            "vllm turns that off) or one of a gateway"
                        )
                    if self._limit is None and choice["finish_reason"] == "length":
                        self._limit = len(reply.ids)
                pieces += 1
        except ReplyError as why:
            return flight.completion(error=str(why))

    def _heard(self, flight: Flight, stops: frozenset[int], reply: Streamed) -> None:
        self._tell(flight, flight.fresh(reply, stops, self._vocabulary))

    def _tell(self, flight: Flight, ids: list[int]) -> None:
        if ids and flight.request.partial:
            flight.told += ids
            self._inbox.put((flight, Progress(tuple(ids))))

    def _probe(self) -> None:
        """Request one token before anything depends on it.

        It shows whether the server takes prompts of ids and returns ids.
        """
        probe = Request(tuple(self.template.prompt("?")), 1, self.template.think_stop)
        done = self._client.wait(self._complete(Flight(-1, probe)))
        if done.error:
            raise ValueError(done.error)
        self._retries.retried = 0


def _whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
