"""How the training data changes a model of the embedded world: the record of ``make ablations``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RECORD = Path(__file__).parent / "ablations.json"


def ablations() -> list[dict[str, Any]]:
    """Read the recorded trainings: one for each set of training rows and each seed.

    Returns:
        One mapping for each training, with ``set``, ``seed``, ``rows``, the ``tokens`` and
        ``steps`` of training, ``block``, ``loss`` and ``seconds``. For each rung, ``correct`` has
        the outcomes as a text of 0 and 1, one digit for each question, and ``thinking_tokens`` the
        mean.

    Example:
        >>> from s1lab.tiny.ablations import ablations
        >>> len(ablations())
        18
    """
    found: list[dict[str, Any]] = json.loads(RECORD.read_text(encoding="utf-8"))["runs"]
    return found
