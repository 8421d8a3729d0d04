"""The catalogue of benchmarks: where each one is, and what it must contain.

If a revision or checksum is None, this project could not look it up, and only the number of rows is
checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FILES = (".parquet", ".jsonl", ".json", ".csv")


@dataclass(frozen=True)
class Benchmark:
    """Where a benchmark is, and what it must contain.

    Attributes:
        hub: Its id on the hub; ``split`` and ``config`` are those of that data set.
        rows: The number of its questions.
        kind: How its answers are graded.
        task: Its name in lm-evaluation-harness; the authors' name if they have one.
        paper: Its name in `s1lab.paper.numbers`.
        revision: The pinned revision on the hub; None if it could not be looked up.
        checksum: Of the published questions, see `s1lab.evaluation.evaluate.checksum`.
        note: How to get access, for a gated set.
    """

    hub: str
    split: str
    rows: int
    kind: str
    task: str
    paper: str | None
    revision: str | None = None
    checksum: str | None = None
    config: str | None = None
    note: str = ""


_MATH500 = "3fb9fc9822127d12"

_GPQA = "it is gated: accept its terms on its page, then log in with `hf auth login`"

# The authors report aime24_nofigures. Figures are Asymptote code in the question; it is kept only
# where the question needs it.
# For AIME 2025, "aime25" is the set that can be pinned. "aime25-nofigures" is what the authors'
# task of that name loads (``dataset_path`` in its aime25_nofigures.yaml): TIGER-Lab's set, not one
# of their own.
BENCHMARKS: dict[str, Benchmark] = {
    "aime24": Benchmark(
        "simplescaling/aime24_nofigures", "train", 30, "integer", "aime24_nofigures", "AIME24",
        checksum="de4125fa03e50b09",
    ),
    "aime24-figures": Benchmark(
        "simplescaling/aime24_figures", "train", 30, "integer", "aime24_figures", "AIME24"
    ),
    "aime25": Benchmark(
        "math-ai/aime25", "test", 30, "integer", "aime25", "AIME25",
        "563bb8404243c5f09de6ec262f2db674fe5bce9b",
    ),
    "aime25-nofigures": Benchmark(
        "TIGER-Lab/AIME25", "train", 30, "integer", "aime25_nofigures", "AIME25"
    ),
    "aime25-figures": Benchmark(
        "simplescaling/aime25_figures", "train", 30, "integer", "aime25_figures", "AIME25"
    ),
    "math500": Benchmark(
        "HuggingFaceH4/MATH-500", "test", 500, "math", "openai_math", "MATH500",
        "ff5b20257d8185524591543f8ff5993951537bb8", _MATH500,
    ),
    "openai-math": Benchmark(
        "simplescaling/openaimath", "test", 500, "math", "openai_math", "MATH500",
        checksum=_MATH500,
    ),
    "gpqa-diamond": Benchmark(
        "Idavidrein/gpqa", "train", 198, "choice", "gpqa_diamond_openai", "GPQA-Diamond",
        "633f5ee89ab8ad4522a9f850766b73f62147ffdd", config="gpqa_diamond", note=_GPQA,
    ),
}  # fmt: skip

EMBEDDED = "embedded"

ALIASES = {"aime24-nofigures": "aime24", "math-500": "math500", "gpqa": "gpqa-diamond"}


def known(name: str) -> tuple[str, Benchmark | None]:
    """The name of a benchmark in `BENCHMARKS`, and the benchmark; None for an unknown one.

    The name may have any spelling, or be a file of that name.
    """
    key = (Path(name).stem if Path(name).suffix in FILES else name).lower().replace("_", "-")
    key = ALIASES.get(key, key)
    return key, BENCHMARKS.get(key)
