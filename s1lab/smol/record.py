"""What was measured of the small real model and its adapters: the record of ``make smol``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RECORD = Path(__file__).parent / "measured.json"


def measured() -> dict[str, dict[str, Any]]:
    """Read what ``make smol`` measured, on the 500 questions of `s1lab.smol.benchmark`.

    Returns:
        A mapping for each model, by its name: "s1-smol", and those that it is compared with.
        ``rungs`` has each budget's outcomes, in the order of the questions: ``correct`` is a text
        of 0 and 1, and ``thinking_tokens`` a list. ``trained`` says how the model was trained.

    Example:
        >>> "own stop" in lab.smol.measured()["s1-smol"]["rungs"]
        True
    """
    found: dict[str, dict[str, Any]] = json.loads(RECORD.read_text(encoding="utf-8"))
    return found
