"""A real vLLM server on loopback, started and stopped by the tests, by its own process id."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

KEY = "a-key-that-must-not-show"


def _worker() -> int:
    """The number of this pytest worker, 0 where there is one."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Server:
    """``python -m vllm.entrypoints.openai.api_server`` with the embedded model; ``more`` are its
    options.
    """

    def __init__(
        self, model: Path, log: Path, port: int | None = None, *, more: Sequence[str] = ()
    ) -> None:
        self.model, self.log, self.port, self.more = model, log, port or free_port(), more
        self.address = f"http://127.0.0.1:{self.port}/v1"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Server:
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
        options = {
            "model": self.model,
            "served-model-name": "s1-tiny",
            "dtype": "float32",
            "block-size": 32,
            "host": "127.0.0.1",
            "port": self.port,
            "api-key": KEY,
        }
        command += [word for name, value in options.items() for word in (f"--{name}", str(value))]
        command += ["--enforce-eager", "--disable-uvicorn-access-log"]
        # Beside each completion it says what it took.
        command += ["--enable-prompt-tokens-details", "--enable-per-request-metrics", *self.more]
        env = os.environ | {
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "TORCH_COMPILE_DISABLE": "1",  # no C++ compiler, which fails where a path has a space
            "VLLM_LOGGING_LEVEL": "WARNING",
        }
        # One core for the model leaves the others to HTTP. Two workers' servers take one each.
        env |= {"VLLM_CPU_OMP_THREADS_BIND": str(_worker() % (os.cpu_count() or 1))}
        self.process = subprocess.Popen(
            command,
            stdout=self.log.open("ab"),
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
        return self

    def wait(self, seconds: float = 300) -> Server:
        assert self.process
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}/health").status_code == 200:
                    return self
            except httpx.TransportError:
                pass
            time.sleep(0.3)
        raise AssertionError(
            f"the server did not come up in {seconds} s: {self.log.read_text()[-3000:]}"
        )

    def kill(self) -> None:
        """SIGKILL to the server and the engine process it started: they are one session of their
        own.
        """
        if self.process:
            with contextlib.suppress(ProcessLookupError):  # it died by itself
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        if self.process:
            os.killpg(self.process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
            self.kill()
