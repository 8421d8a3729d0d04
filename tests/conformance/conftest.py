"""Every engine there is, real, with the embedded model: a new one gets the whole suite by a line in
``ENGINES``.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

import s1lab as lab
from s1lab.engines.end_of_sequence import end_ids
from s1lab.engines.model_files import load_tokenizer
from s1lab.tiny.tokenizer import build
from s1lab.tokenization.bound_template import bind
from tests.conformance.bad_server import BadServer
from tests.conformance.serving import KEY, Server
from tests.helpers import TINY

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def padded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """s1-tiny with rows beyond its vocabulary, as Qwen's models have them, one of which wins
    wherever a 9 would be next.
    """
    folder = tmp_path_factory.mktemp("padded") / "model"
    shutil.copytree(TINY, folder)
    model = AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32)
    known = model.config.vocab_size
    model.resize_token_embeddings(known + 8, mean_resizing=False)
    with torch.no_grad():
        model.lm_head.weight[known:] = 0
        model.lm_head.weight[known + 3] = (
            1.05 * model.lm_head.weight[build().convert_tokens_to_ids("9")]
        )
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, padded: Path) -> Iterator[Server]:
    """It serves the padded model, as vLLM loads it below: all that holds there holds with ids that
    can't be decoded.
    """
    server = Server(padded, tmp_path_factory.mktemp("server") / "log")
    try:
        yield server.start().wait()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def bad_server() -> Iterator[BadServer]:
    """A server whose right answers are known, and that misbehaves as it is told."""
    tokenizer = load_tokenizer("s1-tiny")
    server = BadServer(bind("s1", tokenizer, end_ids("s1-tiny", tokenizer)))
    yield server
    server.close()


# With two workers the long ones come first, so that the many short ones fill what is left.
LONGEST = (
    "test_profiles",
    "test_processes",
    "test_server_robustness",
    "test_conformance",
    "test_server_limits",
    "test_formats",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        name = item.path.stem if item.path.parent == HERE else ""
        return LONGEST.index(name) if name in LONGEST else len(LONGEST)

    items.sort(key=place)


ENGINES: dict[str, Callable[[pytest.FixtureRequest], lab.Engine]] = {
    "transformers": lambda _: lab.load("s1-tiny"),
    "vllm": lambda request: lab.load(str(request.getfixturevalue("padded")), engine="vllm"),
    "server": lambda request: lab.load(
        request.getfixturevalue("server").address, model="s1-tiny", api_key=KEY
    ),
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
def questions() -> list[str]:
    return list(lab.tiny.problems(120, 31, "dev")["question"])
