"""What the tests share: a scripted engine, and the embedded models loaded once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

import s1lab as lab
from s1lab.engine import Completion, Request
from s1lab.tiny.tokenizer import build
from s1lab.tokenization.bound_template import BoundTemplate, bind

ROOT = Path(__file__).parent.parent


class Scripted:
    """An engine that answers from a function: a program is tested against it in milliseconds.

    say: what the model would write after these ids, as text; "<|im_start|>" or "<|im_end|>" in it stops where the request says.
    """

    name, model, context, width = "scripted", "scripted", 4096, 64
    fingerprint, semantics = "scripted", "scripted"

    def __init__(
        self, template: BoundTemplate, say: Callable[[str], str], context: int = 4096
    ) -> None:
        self.template, self.say, self.context = template, say, context
        self.requests: list[Request] = []
        self.cancelled = False
        self._done: list[tuple[int, Completion]] = []

    def submit(self, key: int, request: Request) -> None:
        self.requests.append(request)
        assert request.max_tokens >= 1
        assert len(request.ids) + request.max_tokens <= self.context
        written: list[int] = []
        for token in self.template.encode(self.say(self.template.decode(list(request.ids)))):
            if token in request.stop and len(written) >= request.min_tokens:
                self._done.append((key, Completion(tuple(written), token)))
                return
            if (
                token not in request.stop
            ):  # a stop that comes too early is masked: something else is written
                written.append(token)
            if len(written) == request.max_tokens:
                break
        else:
            raise AssertionError("the script ended without a stop")
        self._done.append((key, Completion(tuple(written))))

    def poll(self) -> list[tuple[int, Completion]]:
        done, self._done = (
            self._done[:1],
            self._done[1:],
        )  # one at a time: nobody may lean on rounds ending together
        return done

    def cancel(self) -> None:
        self.cancelled = True
        self._done.clear()

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def template() -> BoundTemplate:
    tokenizer = build()
    return bind("s1", tokenizer, {tokenizer.eos_token_id})


@pytest.fixture
def scripted(template: BoundTemplate) -> Callable[..., Scripted]:
    return lambda say, **options: Scripted(template, say, **options)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it would be published."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    built = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="session")
def tiny() -> Iterator[lab.Engine]:
    engine = lab.load("s1-tiny")
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def tiny_base() -> Iterator[lab.Engine]:
    engine = lab.load("s1-tiny-base")
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def one_layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """s1-tiny with one of its four layers: it loads in milliseconds, and what it writes makes no sense."""
    tiny = Path(lab.tiny.__file__).parent / "s1-tiny"
    folder = tmp_path_factory.mktemp("files") / "model"
    shutil.copytree(tiny, folder)
    settings = json.loads((folder / "config.json").read_text()) | {
        "num_hidden_layers": 1,
        "layer_types": ["full_attention"],
    }
    (folder / "config.json").write_text(json.dumps(settings))
    weights = load_file(tiny / "model.safetensors")
    save_file(
        {k: v for k, v in weights.items() if ".layers." not in k or ".layers.0." in k},
        folder / "model.safetensors",
    )
    return folder
