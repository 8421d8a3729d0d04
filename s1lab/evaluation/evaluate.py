"""Run an engine on a benchmark and grade the answers."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from typing import Any

from datasets import Dataset

from s1lab.api import direct, force
from s1lab.budget import Budget
from s1lab.engine import Engine, Sampling
from s1lab.engines.description import describe
from s1lab.evaluation.arguments import shown
from s1lab.evaluation.calls import checked
from s1lab.evaluation.grade import Grader
from s1lab.evaluation.grade.extract import plain
from s1lab.evaluation.problems import Problems, checked_columns, taken
from s1lab.evaluation.results import Results, results_of, verdicts_on
from s1lab.evaluation.sweep import Sweep
from s1lab.methods.ladder import ladder, names, rungs_of
from s1lab.methods.voting import check_thinking
from s1lab.questions import Budgets, Options, Storing
from s1lab.storage.replay import recording
from s1lab.tokenization.conversation import Conversation
from s1lab.trace import Trace

__all__ = ["AnswersCut", "Results", "checksum", "evaluate", "sweep"]


class AnswersCut(UserWarning):
    """Some answers of a benchmark were cut before their end."""


@checked
def evaluate(
    engine: Engine,
    problems: Problems,
    budget: Budgets | None = None,
    *,
    samples: int = 1,
    thinking: bool = True,
    prefix: str | None = None,
    temperature: float = 0.0,
    top_p: float = 1.0,
    top_k: int = 0,
    min_p: float = 0.0,
    repetition_penalty: float = 1.0,
    presence_penalty: float = 0.0,
    frequency_penalty: float = 0.0,
    seed: int = 0,
    answer_tokens: int | None = None,
    answer_room: int | None = None,
    system: str | None = None,
    store: Storing = None,
    grader: Grader | None = None,
    progress: bool = True,
) -> Results:
    """Ask a benchmark under a budget and grade the answers (pass@1).

    Args:
        engine: The engine, from `s1lab.load`.
        problems: A Dataset, a list of dicts or a DataFrame, with ``question`` and ``answer``. A
            question is a text, or a list of messages as in `s1lab.force`. An answer is a text or a
            number. A row without one of them (None, NaN, an object of another type) is not asked:
            its ``error`` says so, and it counts as wrong. A column ``kind`` says how
            each row is graded; without it every row is "math". A column ``unanswered`` says what a
            response without an answer counts as. The original uses "A" for GPQA-Diamond, see
            `s1lab.evaluation.benchmarks.load`. Only the rules use that column, and ``made``
            and the row's reason say so.
        budget: One budget for all questions, or a list with one a question. None lets the model
            think until it stops.
        samples: Samples a question. The accuracy is the mean over them.
        thinking: False asks without opening any thinking. It takes no budget.
        prefix: As in `s1lab.direct`; for ``thinking=False`` only.
        temperature: As in `s1lab.force`.
        top_p: As in `s1lab.force`.
        top_k: As in `s1lab.force`.
        min_p: As in `s1lab.force`.
        repetition_penalty: As in `s1lab.force`.
        presence_penalty: As in `s1lab.force`.
        frequency_penalty: As in `s1lab.force`.
        seed: As in `s1lab.force`.
        answer_tokens: As in `s1lab.force`, instead of the budgets' own. A warning says how
            many answers were cut, and ``Results.answers_cut`` counts them.
        answer_room: As in `s1lab.force`, instead of the budgets' own.
        system: As in `s1lab.force`.
        store: As in `s1lab.force`. It also keeps the verdicts.
        grader: Grades in place of the rules of `s1lab.evaluation.grade`, for example
            ``lab.grade.by_model(engine)``.
        progress: Whether to show a progress bar.

    Raises:
        ValueError: A column is missing, or there are no rows, or none that can be used.

    Example:
        problems = lab.tiny.problems(8)
        results = lab.evaluate(lab.load("s1-tiny"), problems, lab.Budget(max_tokens=64))
        print(results.interval, results.thinking_tokens)
    """
    table, columns = taken(problems)
    columns = checked_columns(columns, samples, temperature)
    # A question's samples follow each other: with n of them row i has the traces i * n to
    # i * n + n - 1.
    questions = [q for q in columns["asked"] for _ in range(samples)]
    check_thinking(thinking, budget, prefix)
    options = Options(
        Sampling(
            temperature, top_p, seed, top_k, min_p, repetition_penalty, presence_penalty,
            frequency_penalty,
        ),
        system=system,
    )  # fmt: skip
    asked = options.budgets(budget, len(columns["question"]))
    made = _made(engine, table, columns, options, asked if thinking else [], samples) | {
        "call": "evaluate"
    }
    made |= {} if thinking else {"prefix": prefix, "answer_tokens": answer_tokens}
    with recording(store, engine, made, len(questions)) as record:
        if thinking:
            budgets = [b for b in asked for _ in range(samples)]
            traces = force(
                engine, questions, budgets, temperature=temperature, top_p=top_p, top_k=top_k,
                min_p=min_p, repetition_penalty=repetition_penalty,
                presence_penalty=presence_penalty, frequency_penalty=frequency_penalty, seed=seed,
                answer_tokens=answer_tokens, answer_room=answer_room, system=system, store=record,
                progress=progress,
            )  # fmt: skip
        else:
            traces = direct(
                engine, questions, prefix=prefix, temperature=temperature, top_p=top_p, top_k=top_k,
                min_p=min_p, repetition_penalty=repetition_penalty,
                presence_penalty=presence_penalty, frequency_penalty=frequency_penalty, seed=seed,
                answer_tokens=answer_tokens, answer_room=answer_room, system=system, store=record,
                progress=progress,
            )  # fmt: skip
        _warn_cut(traces, engine.context)
        verdicts = verdicts_on(columns, traces, samples, grader)
        record.grade([v.mark for v in verdicts])
    return results_of(table, columns, traces, verdicts, samples, made)


@checked
def sweep(
    engine: Engine,
    problems: Problems,
    caps: Sequence[int] = (),
    waits: Sequence[int] = (),
    budget: Budgets | None = None,
    *,
    samples: int = 1,
    temperature: float = 0.0,
    top_p: float = 1.0,
    top_k: int = 0,
    min_p: float = 0.0,
    repetition_penalty: float = 1.0,
    presence_penalty: float = 0.0,
    frequency_penalty: float = 0.0,
    seed: int = 0,
    answer_tokens: int | None = None,
    answer_room: int | None = None,
    system: str | None = None,
    store: Storing = None,
    progress: bool = True,
) -> Sweep:
    """Measure a scaling curve with one ladder a question.

    Args:
        engine: As in `evaluate`.
        problems: As in `evaluate`.
        caps: As in `s1lab.ladder`.
        waits: As in `s1lab.ladder`.
        budget: As in `s1lab.ladder`. A cap or a number of Waits that no rung would keep is refused.
        samples: Samples a question, as in `evaluate`.
        temperature: As in `s1lab.ladder`.
        top_p: As in `s1lab.ladder`.
        top_k: As in `s1lab.ladder`.
        min_p: As in `s1lab.ladder`.
        repetition_penalty: As in `s1lab.ladder`.
        presence_penalty: As in `s1lab.ladder`.
        frequency_penalty: As in `s1lab.ladder`.
        seed: As in `s1lab.ladder`.
        answer_tokens: As in `s1lab.ladder`.
        answer_room: As in `s1lab.ladder`.
        system: As in `s1lab.ladder`.
        store: As in `evaluate`.
        progress: Whether to show a progress bar.

    Returns:
        The Results of every rung by its name: "cap 16", "own stop", "2 Waits". Each equals what
        `evaluate` gives for that rung's budget. Printed, it is a table.

    Example:
        results = lab.sweep(lab.load("s1-tiny"), lab.tiny.problems(8), caps=(16, 64), waits=(1,))
        print(results)
        print({rung: found.accuracy for rung, found in results.items()})
    """
    table, columns = taken(problems)
    columns = checked_columns(columns, samples, temperature)
    questions = [q for q in columns["asked"] for _ in range(samples)]
    options = Options(
        Sampling(
            temperature, top_p, seed, top_k, min_p, repetition_penalty, presence_penalty,
            frequency_penalty,
        ),
        system=system,
    )  # fmt: skip
    budgets = [b for b in options.budgets(budget, len(columns["question"])) for _ in range(samples)]
    rungs_of(budgets[0], caps, waits)  # a bad rung is named before the store is opened
    _check_replaced(budgets, caps, waits)
    made = _made(engine, table, columns, options, [Budget()], samples) | {"call": "sweep"}
    labels = names(tuple(caps), tuple(waits))
    with recording(store, engine, made | {"rungs": labels}, len(questions)) as record:
        ladders = ladder(
            engine, questions, caps, waits, budget=budgets, temperature=temperature, top_p=top_p,
            top_k=top_k, min_p=min_p, repetition_penalty=repetition_penalty,
            presence_penalty=presence_penalty, frequency_penalty=frequency_penalty,
            seed=seed, answer_tokens=answer_tokens, answer_room=answer_room, system=system,
            store=record, progress=progress,
        )  # fmt: skip
        _warn_cut([trace for found in ladders for trace in found.traces], engine.context)
        verdicts = [
            verdicts_on(columns, [found.traces[rung] for found in ladders], samples)
            for rung in range(len(labels))
        ]
        record.grade([of_rung[i].mark for i in range(len(ladders)) for of_rung in verdicts])
    return Sweep(
        (
            label,
            results_of(
                table,
                columns,
                [found.traces[rung] for found in ladders],
                verdicts[rung],
                samples,
                made | {"rung": label},
            ),
        )
        for rung, label in enumerate(labels)
    )


def _check_replaced(budgets: Sequence[Budget], caps: Sequence[int], waits: Sequence[int]) -> None:
    """Refuse a budget's cap or Waits that no rung keeps, as the command line does."""
    for own in budgets:
        for name, number, rungs, others in (
            ("max_tokens", own.max_tokens, caps, waits),
            ("waits", own.waits, waits, caps),
        ):
            if number and rungs and not others:
                raise ValueError(
                    f"the budget's {name}={number} has no effect, since each of the rungs "
                    f"{shown(rungs)} takes its place: leave {name} out of the budget"
                )


def _warn_cut(traces: Sequence[Trace], context: int) -> None:
    """Warn once a call: how many answers were cut before their end, and the fix."""
    cut = [trace for trace in traces if trace.answer_cut]
    if not cut:
        return
    filled = sum(len(trace.ids) >= context for trace in cut)
    fixes = [] if filled == len(cut) else ["raise answer_tokens, or leave it out"]
    if filled:
        fixes.append(
            f"leave more room to the {filled} that filled the context of {context} with "
            "answer_room or a lower cap, or load the model with a longer context"
        )
    warnings.warn(
        f"{len(cut)} of {len(traces)} answers were cut before their end and may have lost their "
        f"result: {'; '.join(fixes)}",
        AnswersCut,
        stacklevel=4,  # the caller of evaluate or sweep, past the check of its arguments
    )


def checksum(questions: Sequence[str | Conversation]) -> str:
    """Sixteen hex digits of SHA-256 over the sorted questions, without spaces and case."""
    texts = sorted(plain(str(question)) for question in questions)
    return hashlib.sha256("\n".join(texts).encode("utf-8", "replace")).hexdigest()[:16]


def _made(
    engine: Engine,
    table: Dataset,
    columns: dict[str, list[Any]],
    options: Options,
    budgets: list[Budget],
    samples: int,
) -> dict[str, Any]:
    benchmark: dict[str, Any] = {
        "name": table.info.dataset_name,
        "questions": len(columns["asked"]),
        "checksum": checksum(columns["asked"]),
    }
    if "unanswered" in columns:
        benchmark["unanswered"] = sorted(set(map(str, columns["unanswered"])))
    return {
        **describe(engine),
        **options.settings(budgets),
        "samples": samples,
        "benchmark": benchmark,
    }
