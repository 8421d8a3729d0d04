"""What the tests share: a scripted engine, and the embedded models loaded once."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

import s1lab as lab
from s1lab.tiny.tokenizer import build
from s1lab.tokenization.bound_template import BoundTemplate, bind
from tests.helpers import ROOT, TINY
from tests.helpers.scripted import Scripted


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
    """s1-tiny with one of its four layers: it loads in milliseconds, and what it writes makes no
    sense.
    """
    folder = tmp_path_factory.mktemp("files") / "model"
    shutil.copytree(TINY, folder)
    settings = json.loads((folder / "config.json").read_text()) | {
        "num_hidden_layers": 1,
        "layer_types": ["full_attention"],
    }
    (folder / "config.json").write_text(json.dumps(settings))
    weights = load_file(TINY / "model.safetensors")
    save_file(
        {k: v for k, v in weights.items() if ".layers." not in k or ".layers.0." in k},
        folder / "model.safetensors",
    )
    return folder


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No browser is found: figures are written as data alone, which takes a third less time.

    For notebooks that are run for other reasons: tests of the figures see that pictures are drawn.
    """
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "no browser"))


@pytest.fixture(scope="session")
def smollm2_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds SmolLM2, for ``XDG_CACHE_HOME``: the user's own if it has it already.

    Else the model is converted once, for all workers of this session.
    """
    pytest.importorskip("gguf", reason="gguf is not installed")
    from s1lab.engines import gguf, model_names

    try:
        file = model_names.gguf_of("smollm2")
    except FileNotFoundError as why:
        pytest.skip(str(why))
    assert file is not None
    if gguf.folder_for(file).is_dir():
        return gguf.cache().parent.parent
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    cache = shared / "models of this session"
    with (shared / "converting").open("w") as lock, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        patch.setenv("XDG_CACHE_HOME", str(cache))
        gguf.convert(file)
    return cache
