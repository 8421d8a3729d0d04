"""Every engine there is, real, with the embedded model: a new one gets the whole suite by a line in ``ENGINES``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import s1lab as lab
from s1lab.template import bind
from s1lab.tiny.tokenizer import build
from tests.conformance.serving import KEY, Server

TINY = Path(lab.tiny.__file__).parent / "s1-tiny"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(TINY, tmp_path_factory.mktemp("server") / "log")
    try:
        yield server.start().wait()
    finally:
        server.stop()


ENGINES: dict[str, Callable[[pytest.FixtureRequest], lab.Engine]] = {
    "transformers": lambda _: lab.load("s1-tiny"),
    "vllm": lambda _: lab.load("s1-tiny", engine="vllm"),
    "server": lambda request: lab.load(request.getfixturevalue("server").address, model="s1-tiny", api_key=KEY),
}


@pytest.fixture(scope="session", params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> Iterator[lab.Engine]:
    made = ENGINES[request.param](request)
    yield made
    made.close()


@pytest.fixture(scope="session")
def reference(tiny: lab.Engine) -> lab.Engine:
    return tiny


@pytest.fixture(scope="session")
def template():
    tokenizer = build()
    return bind("s1", tokenizer, {tokenizer.eos_token_id})


@pytest.fixture(scope="session")
def questions() -> list[str]:
    return list(lab.tiny.problems(120, 31, "dev")["question"])


@pytest.fixture
def serving() -> SimpleNamespace:
    return SimpleNamespace(key=KEY, model=TINY)
