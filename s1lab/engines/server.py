"""Any OpenAI-compatible completions endpoint that takes token ids and gives them back: vLLM's server, or many behind one address.

One asynchronous client on a thread of its own keeps many requests in flight, so it works in a script and inside a running
event loop (a notebook) alike. What fails for want of luck (429, 5xx, a dropped connection, half an answer) is asked again
with growing pauses; what the server refuses is reported in the server's words.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import random
import threading
import time
from collections.abc import Coroutine, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import httpx

from s1lab.engine import Completion, Request, misfit
from s1lab.engines.pretrained import end_ids, fingerprint, load_tokenizer, rows_of
from s1lab.template import ThinkTemplate, bind

MOMENT = 0.1  # seconds that a poll waits for an answer
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between tries: doubling from the one to the other


class ServerEngine:
    """Requests in, completions out, over HTTP.

    address: where the API lies, such as "http://host:8000/v1"; a user and password in it are sent as basic authentication.
    model: the name it serves under; None takes the only one there is.
    tokenizer: folder, hub id or embedded name of the model's tokenizer; None takes where the server says its model is from.
    api_key: sent as a bearer token, and never shown; None takes the environment variable S1LAB_API_KEY, where it is set.
    concurrency: most requests in flight; the server batches them. timeout: seconds to wait for an answer, which comes whole.
    retries: how often one request is asked again. patience: after so many seconds of failures without any answer between them
        the server counts as lost, and what is still in flight or waiting fails after one try each.
    max_model_len: the context, where the server doesn't say it.
    Raises ConnectionError, PermissionError or ValueError at load for a server that can't be reached, refuses the key, or
    can't return token ids, and for an address or key that is none.
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
        for field, value, least in (("concurrency", concurrency, 1), ("retries", retries, 0)):
            if value < least:
                raise ValueError(f"{field}={value}: give at least {least}")
        api_key = api_key or os.environ.get("S1LAB_API_KEY")
        if api_key and not (api_key.isascii() and api_key.isprintable() and " " not in api_key):
            raise ValueError("api_key holds a space, a line end or a letter that no header carries: pass the key alone")
        self._retries, self._patience = retries, patience
        self.width = concurrency
        self.address, userinfo = _apart(address)
        self._secrets = [secret for secret in (api_key, *(userinfo or ())[1:]) if secret]
        self._inbox: queue.Queue[tuple[int, Completion]] = queue.Queue()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._flying = 0
        self._pauses = random.Random()  # jitter only: nothing that is sampled depends on it
        self._failing: float | None = None  # since when there has been nothing but failures
        self._lost = False
        self.retried = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="s1lab server engine", daemon=True)
        self._thread.start()
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        self._client = httpx.AsyncClient(
            base_url=self.address + "/",
            headers=headers,
            auth=userinfo if userinfo and not api_key else None,
            limits=limits,
            timeout=httpx.Timeout(timeout, connect=10.0, pool=None),
        )
        self._slots = asyncio.Semaphore(concurrency)
        try:
            card = self._card(model)
            self.model = str(card["id"])
            self._root = str(card.get("root") or card["id"])
            self.tokenizer = tokenizer or self._root
            try:
                loaded = load_tokenizer(self.tokenizer)
            except FileNotFoundError as why:
                raise FileNotFoundError(
                    f"the tokenizer of the served model {self.model!r} is not at {self.tokenizer!r} on this machine: pass "
                    "tokenizer= with a folder, a hub id or an embedded name"
                ) from why
            self.template = bind(
                template,
                loaded,
                end_ids(self.tokenizer, loaded),
                chat_template_kwargs=chat_template_kwargs,
                allow_special=allow_special,
            )
            self._vocabulary = len(loaded)
            self._outside = frozenset(range(self._vocabulary, rows_of(self.tokenizer) or 0))
            context = max_model_len or card.get("max_model_len")
            if not context:
                raise ValueError(f"{self.address} does not say how long its context is: pass max_model_len=")
            self.context = int(context)
            self._probe()
            self.versions = self._versions()
        except BaseException:
            self.close()
            raise

    def submit(self, key: int, request: Request) -> None:
        if self._loop.is_closed():
            raise RuntimeError("this server engine is closed: load it again")
        if not self._flying:  # an outage of an earlier run says nothing about this one
            self._failing, self._lost = None, False
        self._flying += 1
        if error := misfit(request, self.context):  # a server may serve as much of it as fits, and not say so
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
        return done

    def cancel(self) -> None:
        """Drop every request in flight; vLLM's server stops working on a request whose connection is closed."""
        if self._loop.is_closed():
            return
        self._wait(self._stop())
        self._inbox = queue.Queue()
        self._flying = 0

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
        """A server doesn't show its weights: unless they lie on this machine too, its name for them is trusted."""
        return fingerprint(self._root) if Path(self._root).is_dir() else f"served {self.model} {self._root}"

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
        if threading.current_thread() is self._thread:  # nobody else can end it, and it can't wait for itself
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
            done = Completion((), error=f"the request failed: {type(why).__name__}: {self._plain(str(why))}")
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
        written: list[int] = []
        masked = 0
        while True:
            try:
                ids, finish, stop = await self._ask(request, written, masked)
            except _RefusedError as why:
                return Completion(tuple(written), error=str(why))
            if finish == "stop" and ids and (stop is None or ids[-1] == stop):
                stop = ids.pop()
            # Qwen's models have rows beyond their vocabulary and now and then choose one. Such an id can't be decoded: go on from
            # there with all of them masked. Where their number is known they are stops, so that nothing is written after one.
            at = next((i for i, token in enumerate(ids) if token >= self._vocabulary), len(ids))
            written += ids[:at]
            if at < len(ids) or stop in self._outside:
                if masked:
                    error = "the server ignores allowed_token_ids and wrote an id that can't be decoded"
                    return Completion(tuple(written), error=error)
                masked += 1
            elif finish in ("stop", "length"):
                return Completion(tuple(written), stop if finish == "stop" else None)
            else:
                return Completion(tuple(written), error=f"the server ended the request: {finish}")

    async def _ask(self, request: Request, written: list[int], masked: int) -> tuple[list[int], str, int | None]:
        """Ids, reason and stop of one answer, asked for until it is there."""
        body: dict[str, Any] = {
            "model": self.model,
            "prompt": [*request.ids, *written],
            "max_tokens": request.max_tokens - len(written),
            "min_tokens": max(0, request.min_tokens - len(written)),
            "temperature": request.temperature,
            "top_p": request.top_p,
            "stop_token_ids": sorted(request.stop | self._outside),
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
            body["seed"] = request.seed + masked
        if masked:
            body["allowed_token_ids"] = list(range(self._vocabulary))
        for attempt in range(self._retries + 1):
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt) * self._pauses.uniform(0.5, 1.5)
            try:
                response = await self._client.post("completions", json=body)
                if response.is_redirect:
                    raise _RefusedError(
                        self._plain(f"{self.address} sends us on to {response.headers.get('location')}: use that")
                    )
                if response.status_code < 400:
                    choice = response.json()["choices"][0]
                    self._failing, self._lost = None, False
                    if (ids := choice.get("token_ids")) is None:
                        raise _RefusedError(self._no_ids())
                    return list(ids), str(choice["finish_reason"]), choice.get("stop_reason")
                if response.status_code < 500 and response.status_code not in (408, 429):
                    raise _RefusedError(f"the server refuses the request ({response.status_code}): {self._words(response)}")
                trouble = f"{response.status_code}: {self._words(response)}"
                with contextlib.suppress(KeyError, ValueError):
                    pause = max(pause, min(LONGEST_PAUSE, float(response.headers["retry-after"])))
            except httpx.TransportError as why:
                trouble = self._plain(f"{type(why).__name__} {why}".strip())
            except (ValueError, KeyError, IndexError, TypeError):
                trouble = "an answer that is no completion, or half of one"
            # Whoever has waited in vain for so long speaks for all: the others try once each, until one of them succeeds.
            self._failing = self._failing or time.monotonic()
            self._lost |= time.monotonic() - self._failing > self._patience
            if attempt == self._retries or self._lost:
                break
            self.retried += 1
            await asyncio.sleep(pause)
        raise _RefusedError(f"{self.address} gave no answer after {attempt + 1} tries, the last one {trouble}: is the server up?")

    def _card(self, model: str | None) -> dict[str, Any]:
        """What the server says of the model."""
        try:
            response: httpx.Response = self._wait(self._client.get("models"))
        except (httpx.TransportError, httpx.InvalidURL) as why:
            raise ConnectionError(
                f"no server answers at {self.address} ({type(why).__name__}): start one, or correct the address, "
                "which ends in /v1 for vLLM"
            ) from None
        if response.status_code in (401, 403):
            raise PermissionError(
                f"{self.address} refuses the key ({response.status_code}): pass the right one as api_key= "
                f"(the server says: {self._words(response)})"
            )
        try:
            cards = {str(c["id"]): c for c in response.json()["data"]}
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                f"{self.address}/models gives no list of models ({response.status_code}): correct the address, which ends in "
                "/v1 for vLLM"
            ) from None
        if model is None and len(cards) == 1:
            model = next(iter(cards))
        if model not in cards:
            raise ValueError(f"{self.address} does not serve {model!r}: pass model= with one of {sorted(cards)}")
        return dict(cards[model])

    def _probe(self) -> None:
        """Ask for one token: whether prompts of ids are taken and ids come back, before anything depends on it."""
        probe = Request(tuple(self.template.prompt("?")), 1, self.template.think_stop)
        done = self._wait(self._complete(probe))
        if done.error:
            raise ValueError(done.error)
        self.retried = 0

    def _versions(self) -> dict[str, str]:
        """What the server runs, as far as it says; nothing of this machine's."""
        try:
            said = self._wait(self._client.get(f"{self.address.removesuffix('/v1')}/version")).json()["version"]
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            said = "unknown"
        return {"server": f"vllm {said}" if said != "unknown" else said}

    def _no_ids(self) -> str:
        return (
            f"{self.address} does not return token ids: it must honour return_token_ids, as vLLM's server does "
            "(python -m vllm.entrypoints.openai.api_server); turn that on or use another server"
        )

    def _words(self, response: httpx.Response) -> str:
        """The server's own message, on one line."""
        try:
            said = response.json()
            said = said.get("error", said)
            text = said.get("message", said) if isinstance(said, dict) else said
        except (ValueError, AttributeError):
            text = response.text
        return self._plain(" ".join(str(text).split())[:500]) or response.reason_phrase

    def _plain(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[key]")
        return text


class _RefusedError(Exception):
    """What ends a request for good, in words."""


def _apart(address: str) -> tuple[str, tuple[str, str] | None]:
    """An address without its user and password, which would show in logs, and these two. ValueError for what is no address."""
    parts = urlsplit(address)
    userinfo, _, host = parts.netloc.rpartition("@")
    try:
        httpx.URL(urlunsplit(parts._replace(netloc=host)))
        fault = "" if parts.hostname else "no host"
    except (httpx.InvalidURL, ValueError) as why:
        fault = str(why)
    if fault:
        raise ValueError(f"//{host}{parts.path} is no address ({fault}): give one such as http://host:8000/v1")
    user, _, password = userinfo.partition(":")
    plain = urlunsplit(parts._replace(netloc=host)).rstrip("/")
    return plain, (unquote(user), unquote(password)) if userinfo else None
