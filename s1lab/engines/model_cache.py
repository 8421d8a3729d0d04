"""The cache of converted and merged models: folders that are made once, and can be removed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from s1lab.storage.files import is_leftover, local


def cache() -> Path:
    """The folder that holds them: ``s1lab/models`` in ``$XDG_CACHE_HOME``, or in ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or local("~/.cache")) / "s1lab" / "models"


def size_of(folder: Path) -> int:
    """Bytes of a folder's files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def sizes() -> dict[str, int]:
    """The bytes of each model in the cache, by the name of its folder.

    Example:
        print(sizes())
    """
    if not cache().is_dir():
        return {}
    folders = sorted(path for path in cache().iterdir() if path.is_dir() and not is_leftover(path))
    return {folder.name: size_of(folder) for folder in folders}


def forget() -> int:
    """Remove every model from the cache. A model that is loaded later is made anew.

    Returns:
        The bytes that were freed.

    Example:
        freed = forget()
    """
    freed = size_of(cache()) if cache().is_dir() else 0
    shutil.rmtree(cache(), ignore_errors=True)
    return freed


def megabytes(size: float) -> str:
    """A size in the form "541 MB"."""
    return f"{size / 1e6:,.0f} MB"


@contextmanager
def announced(what: str) -> Iterator[None]:
    """Say on a terminal what takes so long, while it does."""
    from tqdm import tqdm

    with tqdm(
        total=1, desc=what, bar_format="{desc} … {elapsed}", disable=None, leave=False
    ) as bar:
        bar.refresh()
        yield
