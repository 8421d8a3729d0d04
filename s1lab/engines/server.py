"""Any OpenAI-compatible completions endpoint that takes token ids and returns them.

That is vLLM's server, or many of them behind one address. One asynchronous client on a thread of its
own keeps many requests in flight, so the engine works in a script and inside a running event loop (a
notebook) alike. Failures that pass (429, 5xx, a dropped connection, half an answer) are tried again
with growing pauses. Everything else that a server does wrong is the error of that one question.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import queue
import random
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeGuard

import httpx

from s1lab.engine import Completion, Request, misfit
from s1lab.engines.address import masker, proxy_to, split_address
from s1lab.engines.connections import Lanes
from s1lab.engines.end_of_sequence import end_ids
from s1lab.engines.model_files import fingerprint, load_tokenizer
from s1lab.engines.reply import MixedUpError, ReplyError, check, check_prompt
from s1lab.engines.vocabulary import rows_of
from s1lab.template import ThinkTemplate
from s1lab.tokenization.bound_template import BoundTemplate, bind

MOMENT = 0.1  # seconds that a poll waits for an answer
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between tries: doubling from the one to the other
IDLE = 1.0  # seconds without a request after which an outage is forgotten
AT_LOAD = 60.0  # most seconds for the list of models and the version, which take no computing
WORDS = 500  # most characters of a server's own words in a message
# Bytes of a reply. An id takes about 8 and the text of a token seldom more than 20, but both may be
# escaped or indented, and the ids of the prompt come back too.
BYTES_AT_LEAST, BYTES_AN_ID, BYTES_OF_WORDS = 256 * 1024, 256, 64 * 1024


class ServerEngine:
    """Requests in, completions out, over HTTP.

    Args:
        address: Where the API is, such as "http://host:8000/v1". A user and a password in it are
            sent as basic authentication, unless there is a key, and are shown nowhere.
        model: The name it serves the model under; None takes the only one there is.
        tokenizer: Folder, hub id or embedded name of the model's tokenizer; None takes the place
            that the server names for its model.
        template: As in :func:`s1lab.load`.
        chat_template_kwargs: As in :func:`s1lab.load`.
        allow_special: As in :func:`s1lab.load`.
        api_key: Sent as a bearer token, and never shown; None takes the environment variable
            S1LAB_API_KEY, where it is set.
        concurrency: Most requests in flight. The server batches them.
        timeout: Seconds that one try may take in all, however the server spends them.
        retries: How often one request is tried again.
        patience: Seconds of failures, without any answer between them, after which the server counts
            as lost. From then on each question gets one more try, and none begins later than
            ``timeout`` after that.
        max_model_len: The context, for a server that doesn't say it.

    A server may write fewer ids than it was asked for and call that "length": it has a limit of its
    own. The rest is asked for, and all pieces are one request. With a temperature each piece has a
    seed of its own (the request's plus the number of the piece), so a sampled completion in pieces
    differs from the same one written whole. Greedy ones are equal.

    Raises:
        ConnectionError: The server can't be reached.
        PermissionError: It refuses the key.
        ValueError: It can't return token ids, or an argument is wrong.

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
        for field, value, least in (
            ("concurrency", concurrency, 1),
            ("retries", retries, 0),
            ("max_model_len", max_model_len, 2),
        ):
            if value is not None and (not _whole(value) or value < least):
                raise ValueError(f"{field}={value!r}: give a whole number of at least {least}")
        for field, seconds in (("timeout", timeout), ("patience", patience)):
            number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
            if not number or not 0 < seconds < math.inf:
                raise ValueError(f"{field}={seconds!r}: give a number of seconds above 0")
        api_key = api_key or os.environ.get("S1LAB_API_KEY")
        if api_key and not (isinstance(api_key, str) and api_key.isascii() and api_key.isprintable() and " " not in api_key):
            raise ValueError("api_key holds a space, a line end or a letter that no header carries: pass the key alone")
        self._retries, self._patience, self._timeout = retries, patience, timeout
        self.width = concurrency
        self.address, userinfo = split_address(address)
        proxy = proxy_to(self.address)
        self._via = proxy.sentence(self.address) if proxy else ""
        secrets = [api_key, proxy.secret if proxy else None]
        if userinfo:  # a user without a password is most often a token
            secrets.append(userinfo[1] or userinfo[0])
        known = [secret for secret in secrets if secret]
        self._mask = masker(known, [userinfo] if userinfo else [])
        # A short password may be a part of a model's name by chance.
        self._mask_name = masker(secret for secret in known if len(secret) >= 8)
        self._inbox: queue.Queue[tuple[int, Completion]] = queue.Queue()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._flying, self._last_key, self._idle = 0, -1, 0.0
        self._pauses = random.Random()  # jitter only: nothing that is sampled depends on it
        self._failing: float | None = None  # since when there has been nothing but failures
        self._lost = False
        self._trouble = ""  # the last failure, in words
        self._limit: int | None = None  # ids after which the server was seen to end by itself
        self._told = False  # whether the user was warned of that
        self.retried = 0
        headers = {"Accept-Encoding": "identity"}  # a few ids: packing them costs more than it saves
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        certificates = httpx.create_ssl_context()  # those that the environment names

        def lane() -> httpx.AsyncHTTPTransport:
            # The proxy that was found is the one that is used, and so the one that messages name. httpx
            # by itself also makes proxies that it never asks, and fails where it can't.
            return httpx.AsyncHTTPTransport(
                verify=certificates,
                trust_env=False,
                proxy=proxy.url if proxy else None,
                limits=httpx.Limits(max_keepalive_connections=1),
            )

        try:
            self._client = httpx.AsyncClient(
                base_url=self.address + "/",
                headers=headers,
                auth=userinfo if userinfo and not api_key else None,
                timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
                transport=Lanes(lane),
                trust_env=False,
            )
        except (ImportError, ValueError, httpx.InvalidURL) as why:
            fault = "is no address that httpx knows as a proxy"
            if isinstance(why, ImportError):
                fault = "needs the package httpx[socks]"
            raise ValueError(f"{self.address} can't be asked{self._via}; that proxy {fault}") from None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="s1lab server engine", daemon=True)
        self._thread.start()
        self._slots = asyncio.Semaphore(concurrency)
        try:
            bound = partial(bind, template, chat_template_kwargs=chat_template_kwargs, allow_special=allow_special)
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
        """Learn what the server serves, and check that it can do what is needed."""
        card = self._card(model)
        self._served = str(card["id"])  # as the server has to hear it
        self.model = self._mask_name(self._served)
        root = card.get("root") or card["id"]
        if not isinstance(root, str):
            raise ValueError(f"{self.address} says that its model comes from something that is no text: pass tokenizer=")
        self._root = root
        where = tokenizer or root
        self.tokenizer = tokenizer or self._mask_name(root)
        try:
            loaded = load_tokenizer(where)
        except FileNotFoundError as why:
            raise FileNotFoundError(
                f"the tokenizer of the served model {self.model!r} is not at {self.tokenizer!r} on "
                "this machine: pass tokenizer= with a folder, a hub id or an embedded name "
                f"({self._words(why, 200)})"
            ) from None
        self.template = bound(loaded, end_ids(where, loaded))
        self._vocabulary = len(loaded)
        self._rows = rows_of(where)
        self._outside = frozenset(range(self._vocabulary, self._rows or 0))
        said = card.get("max_model_len")
        context = max_model_len if max_model_len is not None else said
        if not _whole(context) or context < 2:
            told = "does not say how long its context is"
            if said is not None:
                told = f"says that its context is {self._words(said)!r}, which is no length"
            raise ValueError(f"{self.address} {told}: pass max_model_len=")
        self.context = context
        self._probe()
        self.versions = self._versions()

    def submit(self, key: int, request: Request) -> None:
        if self._loop.is_closed():
            raise RuntimeError("this server engine is closed: load it again")
        # An outage of an earlier run says nothing about this one. That nothing is in flight is no sign
        # of a new run: all requests of one may have failed in the same moment. Keys begin anew.
        idle = not self._flying and time.monotonic() - self._idle > IDLE
        if key <= self._last_key or idle:
            self._failing, self._lost = None, False
        self._last_key = key
        self._flying += 1
        # A server may serve as much of it as fits, and not say so.
        if error := misfit(request, self.context):
            self._inbox.put((key, Completion((), error=error)))
            return
        asyncio.run_coroutine_threadsafe(self._start(key, request), self._loop)

    def poll(self) -> list[tuple[int, Completion]]:
        if not self._flying:
            return []
        try:
            done = [self._inbox.get(timeout=MOMENT)]
        except queue.Empty:  # whoever drives can stop meanwhile
            return []
        with contextlib.suppress(queue.Empty):
            while True:
                done.append(self._inbox.get_nowait())
        self._flying -= len(done)
        self._idle = time.monotonic()
        if self._limit is not None and not self._told:
            self._told = True
            warnings.warn(
                f"{self.address} ends an answer by itself after {self._limit} ids: the rest is asked "
                "for, which takes more requests. A vLLM server takes such a limit from "
                "max_new_tokens in the model's generation config; --generation-config vllm turns it "
                "off",
                stacklevel=2,
            )
        return done

    def cancel(self) -> None:
        """Drop every request in flight.

        vLLM's server stops working on a request whose connection is closed.
        """
        if self._loop.is_closed():
            return
        self._wait(self._stop())
        self._inbox = queue.Queue()
        self._flying, self._last_key = 0, -1

    def close(self) -> None:
        """Drop what is in flight and end the client's thread. Closing twice is allowed."""
        if self._loop.is_closed():
            return
        self._wait(self._stop())
        self._wait(self._client.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @cached_property
    def fingerprint(self) -> str:
        """What a store knows the model by.

        A server doesn't show its weights. Unless they are on this machine too, the server's name for
        them is trusted.
        """
        if Path(self._root).is_dir():
            return fingerprint(self._root)
        return f"served {self.model} {self._mask_name(self._root)}"

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
        if (loop := getattr(self, "_loop", None)) is None or loop.is_closed() or not threading:
            return  # closed; or the interpreter is going, and modules with it
        if threading.current_thread() is self._thread:  # it can't wait for itself
            loop.stop()
        else:
            self.close()

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run ``work`` on the client's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _start(self, key: int, request: Request) -> None:
        inbox = self._inbox  # after a cancel a late answer lands in the one that was thrown away
        task = asyncio.current_task()
        assert task
        self._tasks[key] = task
        try:
            async with self._slots:
                done = await self._complete(request)
        except Exception as why:  # a defect of ours must not leave the run waiting for ever
            error = f"the request failed: {type(why).__name__}: {self._words(str(why))}"
            done = Completion((), error=error)
        finally:
            self._tasks.pop(key, None)
        inbox.put((key, done))

    async def _stop(self) -> None:
        mine = asyncio.current_task()
        tasks = [t for t in self._tasks.values() if t is not mine]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _complete(self, request: Request) -> Completion:
        """One completion, in as many replies as the server needs for it."""
        written: list[int] = []
        stops = request.stop | self._outside
        pieces = empty = 0
        masked = False
        try:
            while True:
                most = request.max_tokens - len(written)
                body = self._body(request, written, most, pieces)
                body["stop_token_ids"] = sorted(stops)
                if masked:
                    body["allowed_token_ids"] = list(range(self._vocabulary))
                choice = await self._ask(body)
                reply = check(
                    choice,
                    most=most,
                    least=body["min_tokens"],
                    stops=stops,
                    vocabulary=self._vocabulary,
                    rows=self._rows,
                    words=self._words,
                )
                written += reply.ids
                stop = reply.stop
                undecodable = reply.undecodable
                if reply.unnamed:
                    pieces += 1
                    stop = await self._which(request, written, stops, pieces)
                    undecodable = stop >= self._vocabulary
                    if stop not in stops:  # the server stopped at something of its own
                        written.append(stop)
                        stop = None
                # Qwen's models have rows beyond their vocabulary and now and then choose one. Such an
                # id can't be decoded: go on from there with all of them masked. Where their number is
                # known they are stops, so that nothing is written after one.
                if undecodable:
                    if masked:
                        raise ReplyError("the server ignores allowed_token_ids and wrote an id that can't be decoded")
                    masked = True
                elif stop is not None:
                    return Completion(tuple(written), stop)
                elif len(written) >= request.max_tokens:
                    return Completion(tuple(written))
                else:
                    empty = 0 if reply.ids else empty + 1
                    if empty == 2:
                        raise ReplyError(
                            f"the server wrote {len(written)} of {request.max_tokens} ids and then "
                            "ended two replies in a row without one: it has a limit of its own, such "
                            "as max_new_tokens in its generation config (--generation-config vllm "
                            "turns that off) or one of a gateway"
                        )
                    if self._limit is None and choice["finish_reason"] == "length":
                        self._limit = len(reply.ids)
                pieces += 1
        except ReplyError as why:
            return Completion(tuple(written), error=str(why))

    def _body(self, request: Request, written: list[int], most: int, pieces: int) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._served,
            "prompt": [*request.ids, *written],
            "max_tokens": most,
            "min_tokens": max(0, request.min_tokens - len(written)),
            "temperature": request.temperature,
            "top_p": request.top_p,
            "ignore_eos": True,  # the request names its stops, the end of sequence among them
            "return_token_ids": True,
            "skip_special_tokens": False,
            # A server takes what is left out from the model's generation config, penalties included.
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
        }
        if request.temperature > 0:
            # A piece with the seed of the one before would draw the same random numbers again.
            body["seed"] = (request.seed + pieces) % 2**63
        return body

    async def _which(self, request: Request, written: list[int], stops: frozenset[int], pieces: int) -> int:
        """Learn at which id a server stopped that neither writes its stops nor names them.

        The next id is asked for with nothing to stop at. Greedy, that is the id itself, or an ordinary
        id if the server stopped for a reason of its own. Sampled, it is drawn from the stops alone: one
        of them was drawn, as far as anybody can know.
        """
        if request.temperature > 0 and len(stops) == 1:
            return next(iter(stops))
        body = self._body(request, written, 1, pieces) | {"min_tokens": 0, "stop_token_ids": []}
        if request.temperature > 0:
            body["allowed_token_ids"] = sorted(stops)
        reply = check(
            await self._ask(body),
            most=1,
            least=0,
            stops=frozenset(),
            vocabulary=max(self._vocabulary, self._rows or 0),
            rows=self._rows,
            words=self._words,
        )
        if not reply.ids or (request.temperature > 0 and reply.ids[0] not in stops):
            raise ReplyError(
                f"the server says that it stopped after {len(written)} ids, and neither writes the stop "
                "nor names it in stop_reason"
            )
        return reply.ids[0]

    async def _ask(self, body: dict[str, Any]) -> dict[str, Any]:
        """The choice of one answer, asked for until it is there. ReplyError when it never is."""
        most = BYTES_AT_LEAST + BYTES_AN_ID * (len(body["prompt"]) + body["max_tokens"])
        tries = mixed = 0
        while (seconds := self._allowed()) > 0:
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**tries) * self._pauses.uniform(0.5, 1.5)
            tries += 1
            try:
                answer = await self._fetch("POST", "completions", most, seconds, body, mixed > 0)
                if answer.status < 300:
                    choice = self._choice(answer)
                    check_prompt(choice, body["prompt"])
                    return choice
                if answer.status < 400:
                    place = self._words(answer.headers.get("location", "another place"))
                    raise ReplyError(f"{self.address} sends us on to {place}: use that address{self._via}")
                said = f"{answer.status}: {self._message(answer)}"
                if answer.status < 500 and answer.status not in (408, 429):
                    raise ReplyError(f"the server refuses the request ({said}){self._via}")
                self._trouble = said
                asked = _seconds_to_wait(answer.headers.get("retry-after"))
                pause = max(pause, min(LONGEST_PAUSE, asked))
            except MixedUpError:
                # A server that sends too much leaves it in the connection, for whoever asks next.
                mixed += 1
                if mixed > 2:
                    raise
                continue
            except _TroubleError as why:
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
                f"{self.address} was not asked any more: for {self._patience:g} seconds and longer it "
                f"gave no answer, the last failure {self._trouble}; is the server up?{self._via}"
            )
        raise ReplyError(
            f"{self.address} gave no answer in {tries} tries, the last failure {self._trouble}; is the server up?{self._via}"
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

    async def _fetch(
        self,
        method: str,
        path: str,
        most: int,
        seconds: float,
        body: dict[str, Any] | None = None,
        last: bool = False,
    ) -> _Answer:
        """One answer, whole, in bounded time and memory; the ``last`` one on its connection.

        Raises:
            _TroubleError: There is none; trying again may help.
            ReplyError: There is one that no second try makes better.

        """
        try:
            # httpx' own limits are for each read: a byte now and then, or interim replies (1xx) without
            # end, satisfy them for ever.
            async with (
                asyncio.timeout(seconds),
                self._client.stream(method, path, json=body, headers={"Connection": "close"} if last else None) as response,
            ):
                refused = response.status_code >= 300
                content = await self._content(response, BYTES_OF_WORDS if refused else most, refused)
                return _Answer(response.status_code, response.headers, content)
        except TimeoutError:
            raise _TroubleError(f"no whole answer within {seconds:.3g} seconds") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, zlib.error) as why:
            told = self._words(f"{type(why).__name__} {why}".strip())
            raise _TroubleError(told) from None

    async def _content(self, response: httpx.Response, most: int, words: bool) -> bytes:
        """The body of a response. ``words``: of a refusal the beginning is enough."""
        packed = response.headers.get("content-encoding", "identity").strip().lower()
        # httpx would unpack as much as there is: a thousand bytes for each that is sent, and that
        # again for every further packing that the header names.
        if packed not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise ReplyError(f"the server's answer is packed as {self._words(packed)!r}, which was not asked for")
        parts, size = [], 0
        async for part in response.aiter_raw():
            size += len(part)
            parts.append(part[: most - size] if size > most else part)
            if size > most:
                break
        content = b"".join(parts)
        if packed not in ("", "identity"):
            # 47: the format, gzip or zlib, is recognised by its header
            content = zlib.decompressobj(47).decompress(content, most + 1)
            size = max(size, len(content))
        if size > most and not words:
            raise ReplyError(
                f"the server's answer has more than {most:,} bytes, which no answer to this request "
                "needs: it was not read to its end"
            )
        return content

    def _choice(self, answer: _Answer) -> dict[str, Any]:
        """The choice in an answer. It is the place where a server counts as one that answers."""
        said = answer.json()
        choices = said.get("choices") if isinstance(said, dict) else None
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            kind = answer.headers.get("content-type", "")
            told = f"{answer.status}: {self._message(answer)}" if answer.content else "an empty one"
            raise _TroubleError(f"an answer that is no completion, or half of one ({self._words(kind[:100])} {told})")
        self._failing, self._lost = None, False
        if choice.get("token_ids") is None:
            raise ReplyError(
                f"{self.address} does not return token ids: it must honour return_token_ids, as "
                "vLLM's server does (python -m vllm.entrypoints.openai.api_server); turn that on or "
                "use another server"
            )
        return choice

    def _card(self, model: str | None) -> dict[str, Any]:
        """What the server says of the model."""
        seconds = min(AT_LOAD, self._timeout)
        try:
            answer: _Answer = self._wait(self._fetch("GET", "models", 16 * BYTES_AT_LEAST, seconds))
        except _TroubleError as why:
            raise ConnectionError(
                f"no server answers at {self.address} ({why}): start one, or correct the address, "
                f"which ends in /v1 for vLLM{self._via}"
            ) from None
        except ReplyError as why:
            raise ValueError(f"{self.address}/models gives no list of models: {why}") from None
        if answer.status in (401, 403):
            raise PermissionError(
                f"{self.address} refuses the key ({answer.status}): pass the right one as api_key= "
                f"(the server says: {self._message(answer)}){self._via}"
            )
        said = answer.json()
        listed = said.get("data") if isinstance(said, dict) else None
        named = [c for c in listed if isinstance(c, dict)] if isinstance(listed, list) else []
        cards = {c["id"]: c for c in named if isinstance(c.get("id"), str) and c["id"]}
        if answer.status >= 300 or not cards:
            raise ValueError(
                f"{self.address}/models gives no list of models ({answer.status}): correct the "
                f"address, which ends in /v1 for vLLM (the server says: {self._message(answer)})"
                f"{self._via}"
            )
        if model is None and len(cards) == 1:
            model = next(iter(cards))
        if model not in cards:
            names = [self._words(name, 100) for name in sorted(cards)[:20]]
            more = f" and {len(cards) - 20} others" if len(cards) > 20 else ""
            raise ValueError(f"{self.address} does not serve {model!r}: pass model= with one of {names}{more}")
        return cards[model]

    def _probe(self) -> None:
        """Ask for one token before anything depends on it.

        It shows whether prompts of ids are taken and ids come back.
        """
        probe = Request(tuple(self.template.prompt("?")), 1, self.template.think_stop)
        done = self._wait(self._complete(probe))
        if done.error:
            raise ValueError(done.error)
        self.retried = 0

    def _versions(self) -> dict[str, str]:
        """What the server runs, as far as it says; nothing of this machine's."""
        address = f"{self.address.removesuffix('/v1')}/version"
        said = None
        with contextlib.suppress(_TroubleError, ReplyError):
            seconds = min(AT_LOAD, self._timeout)
            answer: _Answer = self._wait(self._fetch("GET", address, BYTES_AT_LEAST, seconds))
            found = answer.json()
            said = found.get("version") if isinstance(found, dict) else None
        known = isinstance(said, str) and said
        return {"server": f"vllm {self._words(said, 100)}" if known else "unknown"}

    def _message(self, answer: _Answer) -> str:
        """The server's own message, on one line."""
        said = answer.json()
        said = said.get("error", said) if isinstance(said, dict) else said
        said = said.get("message", said) if isinstance(said, dict) else said
        if said is None:
            # Half a key at the end would not be recognised: so the last part of a cut text is left out.
            cut = len(answer.content) >= BYTES_OF_WORDS
            said = answer.content[: BYTES_OF_WORDS - BYTES_OF_WORDS // 4 * cut]
            said = said.decode(errors="replace")
        return self._words(said) or "no words"

    def _words(self, said: Any, most: int = WORDS) -> str:
        """Someone else's words on one line, the secrets masked and what can't be printed left out."""
        try:
            text = self._plain(str(said))
        except (RecursionError, ValueError):  # lists within lists, or an endless number
            return f"a {type(said).__name__} that can't be shown"
        return " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * most]).split())[:most]

    def _plain(self, text: str) -> str:
        return self._mask(text)


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: httpx.Headers
    content: bytes

    def json(self) -> Any:
        """The content as JSON; None where it is none."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return None


class _TroubleError(Exception):
    """A failure that may pass."""


def _whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _seconds_to_wait(said: str | None) -> float:
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
