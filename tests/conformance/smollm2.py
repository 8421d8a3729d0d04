"""What one engine makes of a few cases on SmolLM2, as a process of its own: vLLM holds one model a
process.

``python -m tests.conformance.smollm2 ENGINE FILE`` writes the ids and their sources as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import s1lab as lab

QUESTIONS = (
    "How many legs do 3 cows and 2 hens have?",
    "What is 17 + 26?",
    "Name a fruit that is yellow.",
    "Sort the words: pear, apple, fig.",
)
# The model was not trained to think: it would stop at once. A minimum or a Wait makes it go on.
BUDGETS = {
    "minimum and cap": lab.Budget(max_tokens=12, min_tokens=12, answer_tokens=4),
    "two waits": lab.Budget(max_tokens=20, waits=2, answer_tokens=4),
    "own stop": lab.Budget(max_tokens=8, answer_tokens=4),
}
CAPS, WAITS = (6, 10), (0, 1)
SHARED = {"min_tokens": 4, "answer_tokens": 3}
SAMPLED = {"temperature": 0.8, "top_p": 0.95, "seed": 3, "progress": False}


def rows(traces: Sequence[lab.Trace]) -> list[dict[str, Any]]:
    return [
        {
            "ids": trace.ids, "source": list(map(str, trace.source)), "waits": trace.waits,
            "cut": trace.cut, "error": trace.error, "thinking": trace.thinking_tokens,
        }
        for trace in traces
    ]  # fmt: skip


def main(engine: str, file: str) -> None:
    asked = list(QUESTIONS)
    found: dict[str, Any] = {}
    memory = {"kv_cache_memory_bytes": 2**28} if engine == "vllm" else {}
    with lab.load("smollm2", engine=engine, max_model_len=512, **memory) as loaded:
        found["model"] = [loaded.model, loaded.fingerprint, str(loaded.dtype)]
        for name, budget in BUDGETS.items():
            found[name] = rows(lab.force(loaded, asked, budget, progress=False))
        found["no thinking"] = rows(lab.direct(loaded, asked, answer_tokens=12, progress=False))
        budget = lab.Budget(max_tokens=6, min_tokens=6, answer_tokens=2)
        found["sampled"] = rows(lab.force(loaded, asked, budget, **SAMPLED))
        found["sampled again"] = rows(lab.force(loaded, asked[::-1], budget, **SAMPLED)[::-1])
        found["sampled alone"] = rows([lab.force(loaded, asked[1], budget, **SAMPLED)])
        ladders = lab.ladder(
            loaded, asked[:2], CAPS, WAITS, budget=lab.Budget(12, **SHARED), progress=False
        )
        found["ladder"] = [rows([ladder.at(cap=cap) for ladder in ladders]) for cap in CAPS]
        found["ladder"] += [rows([ladder.at(waits=n) for ladder in ladders]) for n in WAITS]
        rungs = [lab.Budget(cap, **SHARED) for cap in CAPS]
        rungs += [lab.Budget(12, waits=n, **SHARED) for n in WAITS]
        found["rungs"] = [rows(lab.force(loaded, asked[:2], b, progress=False)) for b in rungs]
    Path(file).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
