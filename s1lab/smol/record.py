"""What was measured of the small real model and its adapters: the record of ``make smol``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RECORD = Path(__file__).parent / "measured.json"


def measured() -> dict[str, dict[str, Any]]:
    """Read what ``make smol`` measured, on the 500 questions of `s1lab.smol.benchmark`.

    Returns:
        One dictionary for each model name: "s1-smol", and the models that it is compared with. Its
        ``rungs`` have the outcomes of each budget, in the order of the questions. ``correct``,
        ``cut`` (the thinking was cut) and ``answer_cut`` are texts of 0 and 1, ``waits`` is a text
        of digits (the Waits that were appended), and ``thinking_tokens`` a list. ``trained`` says
        how the model was trained, ``measured`` when and by what it was measured, and ``curation``
        where its rows come from.

    Example:
        >>> "own stop" in lab.smol.measured()["s1-smol"]["rungs"]
        True
    """
    found: dict[str, dict[str, Any]] = json.loads(RECORD.read_text(encoding="utf-8"))
    return found
