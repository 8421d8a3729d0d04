"""Difficulty: which questions models already solve, and how long a trace is (paper section 2.2)."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset

from s1lab.budget import Budget
from s1lab.curate.report import Report, account, needs, with_column
from s1lab.engine import Engine
from s1lab.evaluation.evaluate import evaluate
from s1lab.loader import load
from s1lab.storage.files import local

BATCH = 1_000


def count_tokens(pool: Dataset, tokenizer: Any, column: str = "thinking") -> Dataset:
    """Count the tokens of each trace.

    The paper counts them with the tokenizer of Qwen2.5.

    Args:
        pool: A Dataset with the column named by ``column``.
        tokenizer: A tokenizer of transformers.
        column: The column with the traces.

    Returns:
        The pool with the column ``thinking_tokens``: the tokens of each trace.

    Example:
        tokenizer = lab.load("s1-tiny").template.tokenizer
        pool = lab.curate.count_tokens(lab.tiny.pool(200), tokenizer)
    """
    needs(pool, "the pool", **{column: "text"})
    counts: list[int] = []
    for start in range(0, len(pool), BATCH):
        texts = [text or "" for text in pool[start : start + BATCH][column]]
        counts += map(len, tokenizer(texts, add_special_tokens=False)["input_ids"])
    return with_column(pool, "thinking_tokens", counts)


def difficulty(
    pool: Dataset,
    models: Sequence[Engine | str],
    *,
    budget: Budget | None = None,
    prefix: str | None = None,
    temperature: float = 0.0,
    seed: int = 0,
    answer_tokens: int | None = None,
    system: str | None = None,
    store: str | Path | None = None,
    progress: bool = True,
    **engine_options: Any,
) -> tuple[Dataset, Report]:
    """Drop the questions that any of the models solves.

    The paper asks Qwen2.5-7B-Instruct and Qwen2.5-32B-Instruct. A question that could not be put to
    a model counts as not solved by that model. The report's notes say how many there were.

    Args:
        pool: A Dataset with question, answer, and kind for answers that are not "math". Answers are
            graded by rule (`s1lab.evaluation.grade`); the paper grades them by a model.
        models: Engines, or names that `s1lab.load` loads. Named models are loaded one after
            the other, with ``engine_options``, and closed again, so they need not fit into memory
            together. A later model gets only the questions that the earlier ones did not solve.
        budget: None asks for an answer without opening any thinking, as the paper does.
        prefix: As in `s1lab.direct`.
        temperature: As in `s1lab.force`. The original samples at 0.05 without a seed.
        seed: As in `s1lab.force`.
        answer_tokens: The most tokens of an answer. None sets no limit but the context. The
            original's limit is 32,768 (its data/bulk_inference.py), which is all that its models
            can hold. A limit that is too low for an answer makes a question look harder than it is.
        system: As in `s1lab.force`.
        store: A file, such as "runs/x.db". The completions of each model go to a file of its own
            beside it, "runs/x-MODEL.db". The same call resumes from these files after a kill. A
            model can also be such a file: ``lab.replay("runs/x-MODEL.db")``.
        progress: Whether to show progress bars.
        engine_options: Options for `s1lab.load`.

    Returns:
        The rows that no model solved, and the report.

    Raises:
        ValueError: If there are no models, or a row has no question or no answer.

    Example:
        pool = lab.tiny.problems(8, split="train")
        hard, solved = lab.curate.difficulty(pool, [lab.load("s1-tiny")], prefix="Answer:")
    """
    needs(pool, "the pool", question="text", answer="text")
    if isinstance(models, str) or not isinstance(models, Sequence) or not models:
        raise ValueError(
            "models is a list of engines or of names for lab.load: give at least one (the paper: "
            "two)"
        )
    columns = {
        name: list(pool[name])
        for name in ("question", "answer", "kind")
        if name in pool.column_names
    }
    for name in ("question", "answer"):
        empty = next(
            (row for row, text in enumerate(columns[name]) if not (text or "").strip()), None
        )
        if empty is not None:
            raise ValueError(
                f"row {empty} of the pool has no {name}: drop such rows with curate.quality first"
            )
    left, drops, notes = list(range(len(pool))), {}, []
    for model in models:
        if not left:
            notes.append("nothing was left to ask of the others")
            break
        with (
            load(model, **engine_options)
            if isinstance(model, str)
            else contextlib.nullcontext(model) as engine
        ):
            name = Path(engine.model).name
            asked = Dataset.from_dict(
                {key: [values[row] for row in left] for key, values in columns.items()}
            )
            found = evaluate(
                engine, asked, budget, thinking=budget is not None, prefix=prefix,
                temperature=temperature, seed=seed, answer_tokens=answer_tokens, system=system,
                store=_beside(store, name), progress=progress,
            )  # fmt: skip
        failed = sum(trace.error is not None for trace in found.traces)
        counts = {
            "solved": sum(found.verdicts),
            "failed": failed or None,
            "cut at answer_tokens": (answer_tokens and found.answers_cut) or None,
            "not graded": found.grading_errors or None,
        }
        told = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count is not None)
        notes.append(f"{name}: {len(left):,} asked, {told}")
        for row, solved, trace in zip(left, found.verdicts, found.traces, strict=True):
            if solved:
                drops[row] = (f"solved by {name}", f"it answered {trace.answer.strip()[:80]!r}")
        left = [row for row in left if row not in drops]
    return account("difficulty", pool, drops, notes)


def _beside(store: str | Path | None, model: str) -> Path | None:
    """The store of this model: a store holds the completions of one model."""
    if store is None:
        return None
    path = local(store)
    return path.with_name(f"{path.stem}-{re.sub(r'[^A-Za-z0-9._-]+', '-', model)}{path.suffix}")
