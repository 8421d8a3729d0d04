"""The one way in which files are written: whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def write_whole(path: Path, lines: Iterable[bytes]) -> None:
    """Write a file whole or not at all.

    It replaces a file at ``path``. If writing fails or is interrupted, that file stays as it was,
    and nothing is left beside it. Missing folders are made.

    Args:
        path: The file.
        lines: Its content, in parts.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".part")
    try:
        with half.open("wb") as file:
            file.writelines(lines)
        os.replace(half, path)
    except BaseException:  # Ctrl-C too
        half.unlink(missing_ok=True)
        raise
