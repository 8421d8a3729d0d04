"""Decide whether an answer is right: by rules, offline, deterministic and with bounded cost.

No answer costs more than a few seconds, however hostile it is. `extract` says which answer a
response gives, and in which order it looks for it. `is_correct` and `verdict` compare
it with the gold answer. `verdicts` does so for many responses, in parallel processes.
`by_model` asks a model instead, and is never the default.
"""

from s1lab.evaluation.grade.extract import KINDS, extract, is_kind, normal
from s1lab.evaluation.grade.verdict import (
    Grader,
    Verdict,
    by_model,
    is_correct,
    same,
    verdict,
    verdicts,
)

__all__ = [
    "KINDS",
    "Grader",
    "Verdict",
    "by_model",
    "extract",
    "is_correct",
    "is_kind",
    "normal",
    "same",
    "verdict",
    "verdicts",
]
