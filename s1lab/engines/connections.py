"""One connection for each request in flight, for httpx."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx


class Lanes(httpx.AsyncBaseTransport):
    """A transport of many transports, each with at most one request at a time.

    httpx has one pool of connections. For each request it looks at all of them several times, and
    asks the system about each idle one. With 64 connections that takes four fifths of the client's
    time. Here a request takes the lane that was freed last, whose connection is the warmest.

    Args:
        make: Makes one more lane. It is called when all are taken.
    """

    def __init__(self, make: Callable[[], httpx.AsyncBaseTransport]) -> None:
        self._make = make
        self._lanes: list[httpx.AsyncBaseTransport] = []
        self._free: list[httpx.AsyncBaseTransport] = []
        self._add()  # faults of a proxy or a certificate show here

    def _add(self) -> None:
        self._lanes.append(self._make())
        self._free.append(self._lanes[-1])

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self._free:
            self._add()
        lane = self._free.pop()
        try:
            response = await lane.handle_async_request(request)
        except BaseException:  # a cancelled request too
            self._free.append(lane)
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=_Body(response.stream, lambda: self._free.append(lane)),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        for lane in self._lanes:
            await lane.aclose()


class _Body(httpx.AsyncByteStream):
    """A response's body that frees its lane when it is closed."""

    def __init__(self, body: httpx.AsyncByteStream, free: Callable[[], None]) -> None:
        self._body = body
        self._free: Callable[[], None] | None = free

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._body:
            yield part

    async def aclose(self) -> None:
        try:
            await self._body.aclose()
        finally:
            if self._free is not None:
                self._free()
                self._free = None
