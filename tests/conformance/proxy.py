"""A proxy on loopback between the client and a real server, which does on purpose what networks do
by chance.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx


class Proxy:
    """Passes requests on to ``target``, doing to the n-th completion what ``mischief(n)`` says.

    "pass"; "500", "429", "400" (answered here); "drop" (the connection ends without an answer);
    "half" (the answer's JSON breaks off); or a number of seconds by which the answer is late.
    asked: the bodies in order; delivered: how many had been asked when each of those answered in
    full was answered.
    """

    def __init__(self, target: str, mischief: Callable[[int], str | float]) -> None:
        self.asked: list[bytes] = []
        self.delivered: dict[bytes, int] = {}
        self.repeats = 0  # bodies that came again after they had been delivered
        lock = threading.Lock()
        client = httpx.Client(base_url=target.removesuffix("/v1"), timeout=120)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                self._pass(client.get(self.path, headers=self._headers()))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with lock:
                    number = len(outer.asked)
                    outer.asked.append(body)
                    outer.repeats += body in outer.delivered
                what = mischief(number)
                if what in ("500", "429", "400"):
                    self._send(int(what), b'{"error": {"message": "made up by the proxy"}}')
                    return
                if what == "drop":
                    self.close_connection = True
                    return
                if isinstance(what, float):
                    time.sleep(what)
                try:
                    answer = client.post(self.path, content=body, headers=self._headers())
                except httpx.TransportError:  # the server is down: nobody answers here either
                    self.close_connection = True
                    return
                if what == "half":
                    self._send(200, answer.content[: len(answer.content) // 2])
                    return
                if self._pass(answer) and answer.status_code == 200 and not isinstance(what, float):
                    with lock:
                        outer.delivered[body] = len(outer.asked)

            def _headers(self) -> dict[str, str]:
                return {
                    k: v
                    for k, v in self.headers.items()
                    if k.lower() in ("authorization", "content-type")
                }

            def _pass(self, answer: httpx.Response) -> bool:
                return self._send(answer.status_code, answer.content)

            def _send(self, status: int, content: bytes) -> bool:
                try:
                    self.send_response(status)
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                    return True
                except OSError:  # the client has gone: it waited long enough
                    return False

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
