"""The graded rows of a run on a benchmark, with its accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import Dataset

from s1lab.evaluation import grade
from s1lab.evaluation.arguments import shown
from s1lab.evaluation.grade import Grader, Verdict
from s1lab.evaluation.intervals import Interval, accuracy_interval, paired_bootstrap
from s1lab.evaluation.paired import flips, mcnemar
from s1lab.evaluation.problems import GRADED, Problems, checked_columns, taken
from s1lab.interop.exports import save_harness
from s1lab.methods.costs import Cost, cost
from s1lab.methods.samples import unread
from s1lab.storage.saved import write_run
from s1lab.tokenization.conversation import messages_of, transcript
from s1lab.trace import Trace

if TYPE_CHECKING:
    import pandas as pd

# Numbers of each trace. Each one becomes a column of the rows.
COUNTED = ("thinking_tokens", "forced_tokens", "waits", "cut", "answer_cut")


@dataclass(frozen=True)
class Results:
    """The graded rows of a run on a benchmark, with the accuracy and its interval.

    With n samples a question, a row's response and reason are those of the first sample. Its
    numbers, ``correct`` included, are means over the n samples. Its errors are the first ones.

    Attributes:
        rows: One row a question. Its columns are question, answer (the benchmark's), kind,
            response, given (the extracted answer), correct, reason (the rule that decided),
            thinking_tokens, forced_tokens, waits, cut, answer_cut (the answer was cut before its
            end), error, and grade_error (grading failed; ``error`` has it too). A run on tasks of
            reasoning-gym also has score, from 0 to 1. The benchmark's other columns follow
            unchanged.
        traces: One Trace for each question and sample, question by question.
        accuracy: pass@1, in percent.
        interval: The accuracy with its 95 % interval, in percent (Wilson's, see
            `s1lab.metrics.accuracy_interval`).
        thinking_tokens: Mean thinking tokens a question.
        graded: The verdict on each trace, with its reason.
        made: How the run was made: model, engine, dtype, versions, temperature, top_p, seed,
            semantics, and the benchmark's name, number of questions and their checksum.

    Example:
        results = lab.evaluate(lab.load("s1-tiny"), lab.tiny.problems(8))
        print(results.accuracy, results.interval)
        print(results.rows[0]["question"], results.rows[0]["correct"])
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
        """The outcome of each row, for the paired tests of `s1lab.evaluation.metrics`."""
        return [float(c) for c in self.rows["correct"]]

    @property
    def failed(self) -> int:
        """How many questions failed, in the run or in grading. They count as wrong."""
        return sum(error is not None for error in self.rows["error"])

    @property
    def cost(self) -> Cost:
        """The tokens of all traces."""
        return cost(*self.traces)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rows, each a dictionary."""
        return iter(self.rows)

    def to_pandas(self) -> pd.DataFrame:
        """The rows as a DataFrame."""
        return self.rows.to_pandas()

    @classmethod
    def of(
        cls, problems: Problems, traces: Sequence[Trace], made: dict[str, Any] | None = None
    ) -> Results:
        """Grade traces that any call gave for ``problems["question"]``.

        Args:
            problems: The benchmark, as in `evaluate`.
            traces: One trace a question, or n a question, question by question.
            made: How the traces were made. It becomes ``Results.made``.
        """
        table, columns = taken(problems)
        asked = len(columns["question"])
        n, rest = divmod(len(traces), asked)
        if rest or not n:
            raise ValueError(
                f"{len(traces)} traces do not share out over {asked} questions: give as many for "
                "each"
            )
        columns = checked_columns(columns, n, temperature=1.0)
        return results_of(table, columns, traces, verdicts_on(columns, traces, n), n, made or {})

    def save(self, path: str | Path) -> Path:
        """Write the run to a new file, one trace a line, and return its path.

        ``s1lab diff`` compares two such files, and `s1lab.storage.read_run` reads one.
        """
        return write_run(path, self.traces, self.made, [v.mark for v in self.graded])

    def save_harness(self, folder: str | Path, task: str | None = None) -> Path:
        """Write the files of lm-evaluation-harness: `s1lab.interop.exports.save_harness`."""
        return save_harness(self, folder, task)

    def __repr__(self) -> str:
        failed = f", {self.failed} of them FAILED" if self.failed else ""
        failed += f" ({self.grading_errors} in grading)" if self.grading_errors else ""
        failed += f", {self.answers_cut} answers cut" if self.answers_cut else ""
        return (
            f"Results({len(self.rows)} questions{failed}, accuracy {self.interval} %, "
            f"{self.thinking_tokens:.0f} thinking tokens)"
        )


@dataclass(frozen=True)
class Paired:
    """Two runs on the same questions, compared question by question.

    Attributes:
        difference: The first accuracy minus the second, in percentage points, with its paired
            bootstrap interval (`s1lab.metrics.paired_bootstrap`).
        first_only: How many questions only the first run has right.
        second_only: How many only the second has right.
        p: The p-value of McNemar's exact test. With several samples a question a question is
            neither right nor wrong, and p and both numbers are None.
        questions: How many questions there are.

    Example:
        engine, problems = lab.load("s1-tiny"), lab.tiny.problems(8)
        runs = lab.sweep(engine, problems, waits=(0, 1))
        print(lab.compare(runs["1 Wait"], runs["own stop"]))
    """

    difference: Interval
    first_only: int | None
    second_only: int | None
    p: float | None
    questions: int

    def __str__(self) -> str:
        counts = ""
        if self.p is not None:
            counts = (
                f"; only the first has {self.first_only} right, only the second "
                f"{self.second_only} (McNemar p = {self.p:.2g})"
            )
        found = self.difference
        return (
            f"{found.value:+.1f} [{found.low:+.1f}, {found.high:+.1f}] points on "
            f"{self.questions} questions{counts}"
        )


def compare(first: Results, second: Results) -> Paired:
    """Compare two runs on the same questions: the paired difference of their accuracies.

    Args:
        first: A run, from `evaluate` or a rung of `sweep`.
        second: Another run on the same questions, in the same order.

    Returns:
        The first minus the second, with its interval and a test.

    Raises:
        ValueError: An argument is not a Results, or the questions differ.

    Example:
        engine, problems = lab.load("s1-tiny"), lab.tiny.problems(8)
        short = lab.evaluate(engine, problems, lab.Budget(max_tokens=16))
        print(lab.compare(lab.evaluate(engine, problems), short))
    """
    for name, given in (("first", first), ("second", second)):
        if not isinstance(given, Results):
            hint = (
                "one of its rungs, such as found['own stop']"
                if isinstance(given, dict)
                else ("what lab.evaluate gives")
            )
            raise ValueError(f"{name}={shown(given)} is no Results: give {hint}")
    if list(first.rows["question"]) != list(second.rows["question"]):
        raise ValueError(
            f"the runs asked different questions ({len(first)} and {len(second)}): compare runs on "
            "the same questions in the same order, or two accuracies with lab.metrics.unpaired"
        )
    a, b = first.correct, second.correct
    flipped, p = None, None
    if {*a, *b} <= {0.0, 1.0}:
        right = [x == 1 for x in a], [x == 1 for x in b]
        flipped, p = flips(right[1], right[0]), mcnemar(*right)
    return Paired(
        paired_bootstrap(a, b),
        flipped.wrong_to_right if flipped else None,
        flipped.right_to_wrong if flipped else None,
        p,
        len(a),
    )


def verdicts_on(
    columns: dict[str, list[Any]], traces: Sequence[Trace], n: int, grader: Grader | None = None
) -> list[Verdict]:
    """A verdict on each trace. A row with a fault is wrong, for that reason, and is not graded."""
    if any(columns["fault"]):
        good = [i for i, fault in enumerate(columns["fault"]) if not fault]
        rest = {name: [values[i] for i in good] for name, values in columns.items()}
        mine = [trace for i in good for trace in traces[i * n : (i + 1) * n]]
        graded = iter(verdicts_on(rest, mine, n, grader))
        faults = [fault for fault in columns["fault"] for _ in range(n)]
        return [Verdict(False, None, fault) if fault else next(graded) for fault in faults]
    golds = [gold for gold in columns["answer"] for _ in range(n)]
    answers = [t.answer for t in traces]
    if grader is None:
        kinds = [kind for kind in columns["kind"] for _ in range(n)]
        verdicts = grade.verdicts(answers, golds, kinds)
        if "unanswered" in columns:
            letters = [letter for letter in columns["unanswered"] for _ in range(n)]
            verdicts = _answered_for(traces, verdicts, letters, golds, kinds)
        return verdicts
    asked = [transcript(question) for question in columns["question"] for _ in range(n)]
    found = grader(asked, answers, golds)
    if len(found) != len(answers):
        raise ValueError(
            f"the grader gave {len(found)} verdicts on {len(answers)} responses: it must give one "
            "for each, in order"
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


def results_of(
    table: Dataset,
    columns: dict[str, list[Any]],
    traces: Sequence[Trace],
    verdicts: list[Verdict],
    n: int,
    made: dict[str, Any],
) -> Results:
    golds, kinds = columns["answer"], columns["kind"]
    questions = columns["question"]
    if {isinstance(q, str) for q in questions if q is not None} == {True, False}:
        # A column of a Dataset holds texts or messages, not both.
        questions = [messages_of(q) if isinstance(q, str) else q for q in questions]
    rows = []
    others = [name for name in table.column_names if name not in GRADED]
    rest = list(table.select_columns(others)) if others else [{}] * len(golds)
    for i, row in enumerate(rest):
        mine, judged = traces[i * n : (i + 1) * n], verdicts[i * n : (i + 1) * n]
        not_graded = next((v.error for v in judged if v.error), None)
        measured = {
            "correct": [v.correct for v in judged],
            **{name: [getattr(t, name) for t in mine] for name in COUNTED},
        }
        graded = {
            "question": questions[i],
            "answer": golds[i],
            "kind": kinds[i],
            "response": mine[0].answer,
            "given": judged[0].given,
            "reason": judged[0].reason,
            # With one sample a column keeps its type: True, not 1.0.
            **{
                name: values[0] if n == 1 else float(np.mean(values))
                for name, values in measured.items()
            },
            "error": columns["fault"][i]
            or next((t.error for t in mine if t.error), None)
            or not_graded,
            "grade_error": not_graded,
        }
        if any(v.score is not None for v in verdicts):
            scores = [v.score for v in judged if v.score is not None]
            graded["score"] = float(np.mean(scores)) if scores else None
        # Ours win where the benchmark has a column of the same name, such as "response".
        rows.append(
            {**graded, **{column: value for column, value in row.items() if column not in graded}}
        )
    made_rows = Dataset.from_list(rows)
    interval = accuracy_interval([float(c) for c in made_rows["correct"]], samples=n)
    thought = float(np.mean([t.thinking_tokens for t in traces]))
    return Results(made_rows, list(traces), interval.value, interval, thought, verdicts, made)
