"""One server over HTTP, on its own thread, with replies in bounded time and memory.

The output of `Client.words` contains no secret: keys and passwords are masked in all text of
a server.
"""

from __future__ import annotations

import asyncio
import json
import threading
import zlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import httpx

from s1lab.engines.address import masker, proxy_to, split_address
from s1lab.engines.connections import Lanes
from s1lab.engines.reply import ReplyError

WORDS = 500  # most characters of a server's own words in a message
BYTES_OF_WORDS = 64 * 1024  # most bytes of a refusal that are read


@dataclass(frozen=True)
class Answer:
    """One whole reply."""

    status: int
    headers: httpx.Headers
    content: bytes

    def json(self) -> Any:
        """The content as JSON; None if it is not JSON."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return None


class TroubleError(Exception):
    """A failure that may be temporary."""


class Client:
    """The connections to one server.

    Args:
        address: The address of the API. A user and a password in it are sent as basic
            authentication, unless there is a key.
        api_key: Sent as a bearer token; None sends none.
        timeout: The most seconds for one reply.

    Raises:
        ValueError: The key, the address, or the proxy that leads to it, can't be used.
    """

    def __init__(self, address: str, api_key: str | None, timeout: float) -> None:
        if api_key and not (
            isinstance(api_key, str)
            and api_key.isascii()
            and api_key.isprintable()
            and " " not in api_key
        ):
            raise ValueError(
                "api_key holds a space, a line end or a letter that no header carries: pass the "
                "key alone"
            )
        self.address, userinfo = split_address(address)
        proxy = proxy_to(self.address)
        self.via = proxy.sentence(self.address) if proxy else ""
        secrets = [api_key, proxy.secret if proxy else None]
        if userinfo:  # a user without a password is most often a token
            secrets.append(userinfo[1] or userinfo[0])
        known = [secret for secret in secrets if secret]
        self._mask = masker(known, [userinfo] if userinfo else [])
        # A short password may be part of a model's name by chance.
        self.mask_name = masker(secret for secret in known if len(secret) >= 8)
        headers = {"Accept-Encoding": "identity"}  # for a few ids, packing costs more than it saves
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        certificates = httpx.create_ssl_context()  # those that the environment names

        def lane() -> httpx.AsyncHTTPTransport:
            # The client uses the proxy that was found, so messages name the right one. httpx by
            # itself also creates proxies that it never uses, and fails if it can't.
            return httpx.AsyncHTTPTransport(
                verify=certificates,
                trust_env=False,
                proxy=proxy.url if proxy else None,
                limits=httpx.Limits(max_keepalive_connections=1),
            )

        try:
            self._http = httpx.AsyncClient(
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
            raise ValueError(
                f"{self.address} can't be asked{self.via}; that proxy {fault}"
            ) from None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="s1lab server engine", daemon=True
        )
        self._thread.start()

    @property
    def closed(self) -> bool:
        return self._loop.is_closed()

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Start ``work`` on the client's loop, without waiting."""
        asyncio.run_coroutine_threadsafe(work, self._loop)

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run ``work`` on the client's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """Close the connections and end the thread."""
        self.wait(self._http.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def drop(self) -> bool:
        """Stop the loop from its own thread, which can't wait for itself. False in other ones."""
        if threading.current_thread() is not self._thread:
            return False
        self._loop.stop()
        return True

    async def fetch(
        self,
        method: str,
        path: str,
        most: int,
        seconds: float,
        body: dict[str, Any] | None = None,
        last: bool = False,
        event: Callable[[Any], None] | None = None,
    ) -> Answer:
        """Get one whole reply, in bounded time and memory.

        Args:
            method: The HTTP method.
            path: The path below the address.
            most: The most bytes of the reply.
            seconds: The most seconds for all of it.
            body: The JSON to send; None sends none.
            last: Whether the connection is closed afterwards.
            event: Is called with each event of a streamed reply, as JSON. The reply's content is
                then empty. A reply that is not streamed is returned as usual.

        Raises:
            TroubleError: There is no reply; another try may help.
            ReplyError: There is a reply that another try would not improve.
        """
        try:
            # httpx limits each read only. A byte now and then, or interim replies (1xx) without
            # end, would satisfy those limits for ever.
            async with (
                asyncio.timeout(seconds),
                self._http.stream(
                    method, path, json=body, headers={"Connection": "close"} if last else None
                ) as response,
            ):
                refused = response.status_code >= 300
                kind = response.headers.get("content-type", "")
                if event and not refused and kind.startswith("text/event-stream"):
                    await self._events(response, most, event)
                    return Answer(response.status_code, response.headers, b"")
                content = await self._content(
                    response, BYTES_OF_WORDS if refused else most, refused
                )
                return Answer(response.status_code, response.headers, content)
        except TimeoutError:
            raise TroubleError(f"no whole answer within {seconds:.3g} seconds") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, zlib.error) as why:
            told = self.words(f"{type(why).__name__} {why}".strip())
            raise TroubleError(told) from None

    async def _events(
        self, response: httpx.Response, most: int, event: Callable[[Any], None]
    ) -> None:
        """Read server-sent events up to ``[DONE]``."""
        size, rest = 0, b""
        async for part in response.aiter_raw():
            size += len(part)
            if size > most:
                raise ReplyError(_too_long(most))
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                field, _, value = line.partition(b":")
                if field != b"data" or not (value := value.strip()):
                    continue  # an empty line, a comment, or another field
                if value == b"[DONE]":
                    return
                try:
                    event(json.loads(value))
                except (ValueError, RecursionError):
                    raise TroubleError("a streamed answer with an event that is no JSON") from None
        raise TroubleError("a streamed answer that ended before its end")

    async def _content(self, response: httpx.Response, most: int, words: bool) -> bytes:
        """The body of a response. For a refusal (``words``) its beginning is enough."""
        packed = response.headers.get("content-encoding", "identity").strip().lower()
        # httpx would unpack without limit: a thousand bytes for each sent byte, and a thousand
        # times more for every further packing that the header names.
        if packed not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise ReplyError(
                f"the server's answer is packed as {self.words(packed)!r}, which was not asked for"
            )
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
            raise ReplyError(_too_long(most))
        return content

    def message(self, answer: Answer) -> str:
        """The server's own message, on one line."""
        said = answer.json()
        said = said.get("error", said) if isinstance(said, dict) else said
        said = said.get("message", said) if isinstance(said, dict) else said
        if said is None:
            # Half a key at the end would not be recognised, so the end of a cut text is left out.
            cut = len(answer.content) >= BYTES_OF_WORDS
            said = answer.content[: BYTES_OF_WORDS - BYTES_OF_WORDS // 4 * cut]
            said = said.decode(errors="replace")
        return self.words(said) or "no words"

    def words(self, said: Any, most: int = WORDS) -> str:
        """Foreign text on one line, with secrets masked and without unprintable characters."""
        try:
            text = self._mask(str(said))
        except (RecursionError, ValueError):  # lists within lists, or an endless number
            return f"a {type(said).__name__} that can't be shown"
        return " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * most]).split())[
            :most
        ]


def _too_long(most: int) -> str:
    return (
        f"the server's answer has more than {most:,} bytes, which no answer to this request "
        "needs: it was not read to its end"
    )
