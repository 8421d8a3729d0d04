"""What works in the project's repository alone, and says so where s1lab is installed without it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent


def needed(what: str, root: Path = ROOT) -> None:
    """SystemExit, with a sentence, where the notebooks are not beside the package: it is an installed one."""
    if not (root / "notebooks").is_dir():
        raise SystemExit(
            f"s1lab: {what} needs the project's repository, and this s1lab is installed without it: get the repository and call "
            "it there"
        )
