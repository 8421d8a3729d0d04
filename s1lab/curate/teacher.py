"""A teacher's traces: another model answers the questions at length."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from datasets import Dataset

from s1lab.api import force
from s1lab.budget import Budget
from s1lab.curate.report import Report, account, needs, with_column
from s1lab.engine import Engine
from s1lab.evaluation.arguments import dataset_fix
from s1lab.evaluation.grade import verdicts
from s1lab.trace import Trace

Teacher = Callable[[str], tuple[str, str]]


def traces(
    teacher: Engine | Teacher,
    questions: Dataset | Iterable[str],
    *,
    keep_wrong: bool = True,
    budget: Budget | None = None,
    temperature: float = 0.0,
    seed: int = 0,
    system: str | None = None,
    store: str | Path | None = None,
    progress: bool = True,
) -> tuple[Dataset, Report]:
    """Collect reasoning traces from a teacher.

    A question is dropped (rule "no trace") if the teacher failed, or if its trace or answer is
    empty.

    Args:
        teacher: An engine, which answers as in `s1lab.force` and whose traces also come with
            ``thinking_tokens`` and ``cut``. Or a function from a question to (thinking, answer),
            such as `s1lab.tiny.Teacher`.
        questions: A Dataset with ``question``, or texts. The Dataset's other columns stay. With
            ``answer``, attempts are graded.
        keep_wrong: Keep wrong attempts, as the paper does (46.4 % of s1K's are wrong). False drops
            them.
        budget: As in `s1lab.force`.
        temperature: As in `s1lab.force`.
        seed: As in `s1lab.force`.
        system: As in `s1lab.force`.
        store: As in `s1lab.force`.
        progress: Whether to show a progress bar.

    Returns:
        The questions with ``thinking``, ``attempt`` (the teacher's answer) and ``correct``, and the
        report.

    Raises:
        TypeError: If questions is a single text, or neither a Dataset nor texts.

    Example:
        questions = lab.tiny.problems(40, split="train")
        rows, report = lab.curate.traces(lab.tiny.Teacher(seed=0), questions)
    """
    if isinstance(questions, str):
        raise TypeError(
            "questions is one text: give a list of texts, or a Dataset with a column 'question'"
        )
    pool = questions if isinstance(questions, Dataset) else _listed(questions)
    needs(pool, "the questions", question="text")
    asked = list(pool["question"])
    if callable(teacher):
        rows = [_taught(teacher, question) for question in asked]
    else:
        rows = [
            _written(trace)
            for trace in force(
                teacher, asked, budget, temperature=temperature, seed=seed, system=system,
                store=store, progress=progress,
            )
        ]  # fmt: skip
    golds = list(pool["answer"]) if "answer" in pool.column_names else [None] * len(rows)
    kinds = list(pool["kind"]) if "kind" in pool.column_names else ["math"] * len(rows)
    graded = [
        place
        for place, (row, gold) in enumerate(zip(rows, golds, strict=True))
        if gold and not row["error"]
    ]
    judgements = verdicts(
        [rows[place]["attempt"] for place in graded],
        [str(golds[place]) for place in graded],
        [kinds[place] or "math" for place in graded],
    )
    judged = dict(zip(graded, judgements, strict=True))
    drops = {}
    for place, (row, gold) in enumerate(zip(rows, golds, strict=True)):
        found = judged.get(place)
        row["correct"] = None if found is None or found.error else found.correct
        if row["error"] or not row["thinking"].strip() or not row["attempt"].strip():
            drops[place] = ("no trace", row["error"] or "the trace or its answer is empty")
        elif row["correct"] is False and not keep_wrong:
            drops[place] = ("wrong answer", f"{row['attempt'].strip()[:80]!r} is not {gold!r}")
    table = pool
    for name in rows[0]:
        if name != "error":
            table = with_column(table, name, [row[name] for row in rows])
    known = [row["correct"] for row in rows if row["correct"] is not None]
    notes = (
        [f"{sum(known):,} of {len(known):,} graded answers are right"]
        if known
        else ["no answers to grade against"]
    )
    return account("traces", table, drops, notes)


def _listed(questions: Any) -> Dataset:
    """Texts as a Dataset. A DatasetDict or a DataFrame would give its names as questions."""
    names = hasattr(questions, "columns") or hasattr(questions, "column_names")
    named = names or isinstance(questions, Mapping)
    if named or not isinstance(questions, Iterable):
        raise TypeError(
            f"questions is a {type(questions).__name__}, not a datasets.Dataset or a list of "
            f"texts: {dataset_fix(questions)}"
        )
    texts = list(questions)
    odd = next((place for place, text in enumerate(texts) if not isinstance(text, str)), None)
    if odd is not None:
        kind, fix = type(texts[odd]).__name__, dataset_fix(texts)
        raise TypeError(f"question {odd} is a {kind}, not a text: give texts, or {fix}")
    return Dataset.from_dict({"question": texts})


def _written(trace: Trace) -> dict[str, Any]:
    return {
        "thinking": trace.thinking,
        "attempt": trace.answer,
        "thinking_tokens": trace.thinking_tokens,
        "cut": trace.cut,
        "error": trace.error,
    }


def _taught(teacher: Teacher, question: str) -> dict[str, Any]:
    try:
        thinking, attempt = teacher(question)
    except ValueError as why:
        return {"thinking": "", "attempt": "", "error": str(why)}
    return {"thinking": thinking, "attempt": attempt, "error": None}
