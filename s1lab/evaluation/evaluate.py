"""Run an engine on a benchmark and grade the answers."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from s1lab.api import Budgets, Storing, budgets_of, check_thinking, direct, force, settings
from s1lab.arguments import shown, whole
from s1lab.budget import Budget
from s1lab.engine import Engine
from s1lab.evaluation import grade
from s1lab.evaluation.grade import Grader, Verdict
from s1lab.evaluation.grade.extract import plain
from s1lab.evaluation.intervals import Interval, accuracy_interval
from s1lab.forcing import Sampling
from s1lab.interop.exports import save_harness
from s1lab.load import describe
from s1lab.methods.ladder import ladder, names, rungs_of
from s1lab.methods.samples import unread
from s1lab.storage.replay import recording
from s1lab.storage.saved import write_run
from s1lab.trace import Trace

# Numbers of each trace. Each one becomes a column of the rows.
COUNTED = ("thinking_tokens", "forced_tokens", "waits", "cut", "answer_cut")


class AnswersCut(UserWarning):
    """Some answers of a benchmark were cut before their end."""


@dataclass(frozen=True)
class Results:
    """The graded rows of a run on a benchmark, with the accuracy and its interval.

    With n samples a question, a row's response and reason are those of the first sample. Its
    numbers, ``correct`` included, are means over the n samples. Its errors are the first ones.

    Attributes:
        rows: One row a question. Its columns are question, answer (the benchmark's), kind,
            response, given (the extracted answer), correct, reason (the rule that decided),
            thinking_tokens, forced_tokens, waits, cut, answer_cut (the answer was cut before its
            end), error, and grade_error (grading failed; ``error`` has it too). The benchmark's
            other columns follow unchanged.
        traces: One Trace for each question and sample, question by question.
        accuracy: pass@1, in percent.
        interval: The 95 % interval of the accuracy, in percent.
        thinking_tokens: Mean thinking tokens a question.
        graded: The verdict on each trace, with its reason.
        made: How the run was made: model, engine, dtype, versions, temperature, top_p, seed,
            semantics, and the benchmark's name, number of questions and their checksum.
    """

    rows: Dataset
    traces: list[Trace]
    accuracy: float
    interval: Interval
    thinking_tokens: float
    graded: list[Verdict]
    made: dict[str, Any]

    @property
    def verdicts(self) -> list[bool]:
        """Whether each trace is right."""
        return [v.correct for v in self.graded]

    @property
    def grading_errors(self) -> int:
        """How many traces could not be graded. They count as wrong: check them if they are many."""
        return sum(v.error is not None for v in self.graded)

    @property
    def answers_cut(self) -> int:
        """How many answers were cut before their end, by ``answer_tokens`` or by the context."""
        return sum(t.answer_cut for t in self.traces)

    @property
    def correct(self) -> list[float]:
        """The outcome of each row, for the paired tests of :mod:`s1lab.evaluation.metrics`."""
        return [float(c) for c in self.rows["correct"]]

    @property
    def failed(self) -> int:
        """How many questions failed, in the run or in grading. They count as wrong."""
        return sum(error is not None for error in self.rows["error"])

    @classmethod
    def of(
        cls, problems: Dataset, traces: Sequence[Trace], made: dict[str, Any] | None = None
    ) -> Results:
        """Grade traces that any call gave for ``problems["question"]``.

        Args:
            problems: The benchmark, as in :func:`evaluate`.
            traces: One trace a question, or n a question, question by question.
            made: How the traces were made. It becomes ``Results.made``.
        """
        n, rest = divmod(len(traces), max(1, len(problems)))
        if rest or not n:
            raise ValueError(
                f"{len(traces)} traces do not share out over {len(problems)} questions: give as many for each"
            )
        columns = _checked(problems, n, temperature=1.0)
        return _graded(problems, columns, traces, _verdicts(columns, traces, n), n, made or {})

    def save(self, path: str | Path) -> Path:
        """Write the run to a new file, one trace a line, and return its path.

        ``s1lab diff`` compares two such files, and :func:`s1lab.read_run` reads one.
        """
        return write_run(path, self.traces, self.made, [v.mark for v in self.graded])

    def save_harness(self, folder: str | Path, task: str | None = None) -> Path:
        """Write the files of lm-evaluation-harness: :func:`s1lab.interop.exports.save_harness`."""
        return save_harness(self, folder, task)

    def __repr__(self) -> str:
        failed = f", {self.failed} of them FAILED" if self.failed else ""
        failed += f" ({self.grading_errors} in grading)" if self.grading_errors else ""
        failed += f", {self.answers_cut} answers cut" if self.answers_cut else ""
        return f"Results({len(self.rows)} questions{failed}, accuracy {self.interval} %, {self.thinking_tokens:.0f} thinking tokens)"


def evaluate(
    engine: Engine,
    problems: Dataset,
    budget: Budgets | None = None,
    *,
    n: int = 1,
    thinking: bool = True,
    prefix: str | None = None,
    temperature: float = 0.0,
    top_p: float = 1.0,
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
        engine: The engine, from :func:`s1lab.load`.
        problems: A Dataset with the columns ``question`` and ``answer``. A column ``kind`` says how
            each row is graded; without it every row is "math". A column ``unanswered`` says what a
            response without an answer counts as. The original uses "A" for GPQA-Diamond, see
            :func:`s1lab.evaluation.benchmarks.load`. Only the rules use that column, and ``made``
            and the row's reason say so.
        budget: One budget for all questions, or a list with one a question. None lets the model
            think until it stops.
        n: Samples a question. The accuracy is the mean over them.
        thinking: False asks without opening any thinking. It takes no budget.
        prefix: As in :func:`s1lab.direct`; for ``thinking=False`` only.
        temperature: As in :func:`s1lab.force`.
        top_p: As in :func:`s1lab.force`.
        seed: As in :func:`s1lab.force`.
        answer_tokens: As in :func:`s1lab.force`, instead of the budgets' own. A warning says how
            many answers were cut, and ``Results.answers_cut`` counts them.
        answer_room: As in :func:`s1lab.force`, instead of the budgets' own.
        system: As in :func:`s1lab.force`.
        store: As in :func:`s1lab.force`. It also keeps the verdicts.
        grader: Grades in place of the rules of :mod:`s1lab.evaluation.grade`, for example
            ``lab.grade.by_model(engine)``.
        progress: Whether to show a progress bar.

    Raises:
        ValueError: A column is missing, there are no rows, or a row has no answer.

    Example:
        results = lab.evaluate(engine, problems, lab.Budget(max_tokens=64))
    """
    columns = _checked(problems, n, temperature)
    questions = [q for q in columns["question"] for _ in range(n)]
    check_thinking(thinking, budget, prefix)
    asked = budgets_of(budget, len(columns["question"]), single=False)
    sampling = Sampling(temperature, top_p, seed)
    made = _made(
        engine, problems, columns["question"], sampling, system, asked if thinking else [], n
    ) | {"call": "evaluate"}
    made |= {} if thinking else {"prefix": prefix, "answer_tokens": answer_tokens}
    with recording(store, engine, made, len(questions)) as record:
        if thinking:
            budgets = (
                budget
                if budget is None or isinstance(budget, Budget)
                else [b for b in budget for _ in range(n)]
            )
            traces = force(
                engine, questions, budgets, temperature=temperature, top_p=top_p, seed=seed,
                answer_tokens=answer_tokens, answer_room=answer_room, system=system, store=record, progress=progress,
            )  # fmt: skip
        else:
            traces = direct(
                engine, questions, prefix=prefix, temperature=temperature, top_p=top_p, seed=seed,
                answer_tokens=answer_tokens, answer_room=answer_room, system=system, store=record, progress=progress,
            )  # fmt: skip
        _warn_cut(traces, engine.context)
        verdicts = _verdicts(columns, traces, n, grader)
        record.grade([v.mark for v in verdicts])
    return _graded(problems, columns, traces, verdicts, n, made)


def sweep(
    engine: Engine,
    problems: Dataset,
    caps: Sequence[int] = (),
    waits: Sequence[int] = (),
    budget: Budgets | None = None,
    *,
    n: int = 1,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    answer_tokens: int | None = None,
    answer_room: int | None = None,
    system: str | None = None,
    store: Storing = None,
    progress: bool = True,
) -> dict[str, Results]:
    """Measure a scaling curve with one ladder a question.

    Args:
        engine: As in :func:`evaluate`.
        problems: As in :func:`evaluate`.
        caps: As in :func:`s1lab.ladder`.
        waits: As in :func:`s1lab.ladder`.
        budget: As in :func:`s1lab.ladder`.
        n: Samples a question, as in :func:`evaluate`.
        temperature: As in :func:`s1lab.ladder`.
        top_p: As in :func:`s1lab.ladder`.
        seed: As in :func:`s1lab.ladder`.
        answer_tokens: As in :func:`s1lab.ladder`.
        answer_room: As in :func:`s1lab.ladder`.
        system: As in :func:`s1lab.ladder`.
        store: As in :func:`evaluate`.
        progress: Whether to show a progress bar.

    Returns:
        The Results of every rung by its name: "cap 16", "own stop", "2 Waits". Each equals what
        :func:`evaluate` gives for that rung's budget.
    """
    columns = _checked(problems, n, temperature)
    questions = [q for q in columns["question"] for _ in range(n)]
    budgets = [b for b in budgets_of(budget, len(columns["question"]), False) for _ in range(n)]
    rungs_of(budgets[0], caps, waits)  # before the store is opened
    sampling = Sampling(temperature, top_p, seed)
    made = _made(engine, problems, columns["question"], sampling, system, [Budget()], n) | {
        "call": "sweep"
    }
    labels = names(tuple(caps), tuple(waits))
    with recording(store, engine, made | {"rungs": labels}, len(questions)) as record:
        ladders = ladder(
            engine, questions, caps, waits, budget=budgets, temperature=temperature, top_p=top_p, seed=seed,
            answer_tokens=answer_tokens, answer_room=answer_room, system=system, store=record, progress=progress,
        )  # fmt: skip
        _warn_cut([trace for found in ladders for trace in found.traces], engine.context)
        verdicts = [
            _verdicts(columns, [found.traces[rung] for found in ladders], n)
            for rung in range(len(labels))
        ]
        record.grade([of_rung[i].mark for i in range(len(ladders)) for of_rung in verdicts])
    return {
        label: _graded(
            problems,
            columns,
            [found.traces[rung] for found in ladders],
            verdicts[rung],
            n,
            made | {"rung": label},
        )
        for rung, label in enumerate(labels)
    }


def _warn_cut(traces: Sequence[Trace], context: int) -> None:
    """Warn once a call: how many answers were cut before their end, and the fix."""
    cut = [trace for trace in traces if trace.answer_cut]
    if not cut:
        return
    filled = sum(len(trace.ids) >= context for trace in cut)
    fixes = [] if filled == len(cut) else ["raise answer_tokens, or leave it out"]
    if filled:
        fixes.append(
            f"leave more room to the {filled} that filled the context of {context} with answer_room or a lower cap, "
            "or load the model with a longer context"
        )
    warnings.warn(
        f"{len(cut)} of {len(traces)} answers were cut before their end and may have lost their result: {'; '.join(fixes)}",
        AnswersCut,
        stacklevel=3,
    )


def checksum(questions: Sequence[str]) -> str:
    """Sixteen hex digits of SHA-256 over the sorted questions, without spaces and case."""
    return hashlib.sha256(
        "\n".join(sorted(map(plain, questions))).encode("utf-8", "replace")
    ).hexdigest()[:16]


def _made(
    engine: Engine,
    problems: Dataset,
    questions: list[str],
    sampling: Sampling,
    system: str | None,
    budgets: list[Budget],
    n: int,
) -> dict[str, Any]:
    benchmark: dict[str, Any] = {
        "name": problems.info.dataset_name,
        "questions": len(questions),
        "checksum": checksum(questions),
    }
    if "unanswered" in problems.column_names:
        benchmark["unanswered"] = sorted(set(map(str, problems["unanswered"])))
    return {
        **describe(engine),
        **settings(sampling, system, budgets),
        "samples": n,
        "benchmark": benchmark,
    }


def _checked(problems: Dataset, n: int, temperature: float) -> dict[str, list[str]]:
    if not hasattr(problems, "column_names"):
        raise ValueError(
            f"problems={shown(problems)} is no Dataset: load one with lab.benchmarks.load, "
            "or make one with datasets.Dataset.from_list"
        )
    whole("n", n)
    if n > 1 and temperature == 0:
        raise ValueError(
            f"n={n} samples at temperature 0 are all the same: raise the temperature or leave n out"
        )
    missing = [c for c in ("question", "answer") if c not in problems.column_names]
    if missing:
        raise ValueError(
            f"the benchmark has no column {missing[0]!r}, only {problems.column_names}: rename the one that holds it"
        )
    if not len(problems):
        raise ValueError("the benchmark has no rows: give at least one question")
    columns = {c: list(problems[c]) for c in ("question", "answer")}
    columns["kind"] = (
        list(problems["kind"]) if "kind" in problems.column_names else ["math"] * len(problems)
    )
    for place, (gold, kind) in enumerate(zip(columns["answer"], columns["kind"], strict=True)):
        if gold is None or not str(gold).strip():
            raise ValueError(
                f"row {place} of the benchmark has no answer: fill it in or drop the row"
            )
        if kind not in grade.KINDS:
            raise ValueError(
                f"row {place} of the benchmark is of kind {kind!r}: choose from {list(grade.KINDS)}"
            )
    if "unanswered" in problems.column_names:
        columns["unanswered"] = list(problems["unanswered"])
    return columns


def _verdicts(
    columns: dict[str, list[str]], traces: Sequence[Trace], n: int, grader: Grader | None = None
) -> list[Verdict]:
    golds = [str(gold) for gold in columns["answer"] for _ in range(n)]
    answers = [t.answer for t in traces]
    if grader is None:
        kinds = [kind for kind in columns["kind"] for _ in range(n)]
        verdicts = grade.verdicts(answers, golds, kinds)
        if "unanswered" in columns:
            letters = [letter for letter in columns["unanswered"] for _ in range(n)]
            verdicts = _answered_for(traces, verdicts, letters, golds, kinds)
        return verdicts
    found = grader([q for q in columns["question"] for _ in range(n)], answers, golds)
    if len(found) != len(answers):
        raise ValueError(
            f"the grader gave {len(found)} verdicts on {len(answers)} responses: it must give one for each, in order"
        )
    return found


def _answered_for(
    traces: Sequence[Trace],
    verdicts: list[Verdict],
    letters: Sequence[str | None],
    golds: Sequence[str],
    kinds: Sequence[str],
) -> list[Verdict]:
    """Replace the verdicts on responses without an answer by verdicts on the stand-in letter.

    The original's evaluator counts a GPQA question without an answer as answered "A". A benchmark
    asks for that with a column ``unanswered``. A question that could not be run has no response.
    """
    found = []
    for trace, verdict, letter, gold, kind in zip(
        traces, verdicts, letters, golds, kinds, strict=True
    ):
        if (
            letter is not None
            and not (trace.error or verdict.error)
            and unread(verdict.given, kind)
        ):
            right = grade.same(letter, gold, kind)
            verdict = Verdict(
                right, letter, f"no answer was found, which counts as {letter!r} here"
            )
        found.append(verdict)
    return found


def _graded(
    problems: Dataset,
    columns: dict[str, list[str]],
    traces: Sequence[Trace],
    verdicts: list[Verdict],
    n: int,
    made: dict[str, Any],
) -> Results:
    golds, kinds = columns["answer"], columns["kind"]
    rows = []
    for i, row in enumerate(problems):
        mine, judged = traces[i * n : (i + 1) * n], verdicts[i * n : (i + 1) * n]
        not_graded = next((v.error for v in judged if v.error), None)
        measured = {
            "correct": [v.correct for v in judged],
            **{name: [getattr(t, name) for t in mine] for name in COUNTED},
        }
        graded = {
            "question": columns["question"][i],
            "answer": str(golds[i]),
            "kind": kinds[i],
            "response": mine[0].answer,
            "given": judged[0].given,
            "reason": judged[0].reason,
            **{
                name: values[0] if n == 1 else float(np.mean(values))
                for name, values in measured.items()
            },
            "error": next((t.error for t in mine if t.error), None) or not_graded,
            "grade_error": not_graded,
        }
        rows.append(
            {**graded, **{column: value for column, value in row.items() if column not in graded}}
        )
    table = Dataset.from_list(rows)
    share = [float(c) for c in table["correct"]]
    if n == 1:
        interval = accuracy_interval([bool(c) for c in share])
    else:
        half = 1.96 * float(np.std(share, ddof=1)) / len(share) ** 0.5 if len(share) > 1 else 0.5
        mean = float(np.mean(share))
        interval = Interval(100 * mean, 100 * max(0.0, mean - half), 100 * min(1.0, mean + half))
    thought = float(np.mean([t.thinking_tokens for t in traces]))
    return Results(table, list(traces), interval.value, interval, thought, verdicts, made)
