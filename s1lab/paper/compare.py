"""Our results on a benchmark beside the paper's, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from datasets import Dataset

from s1lab.evaluation.arguments import text
from s1lab.evaluation.catalog import BENCHMARKS, known
from s1lab.evaluation.intervals import Interval, Unpaired, share_interval, unpaired
from s1lab.evaluation.paired import smallest_difference
from s1lab.evaluation.results import Results
from s1lab.paper.numbers import QUESTIONS, TABLE_1, TABLE_5

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Comparison:
    """Our runs and the paper's in one table.

    It prints as a table. `to_pandas` and `to_dataset` give its rows.

    Attributes:
        benchmark: The benchmark.
        questions: The number of its questions.
        smallest: The smallest difference, in percentage points, that two runs on so many questions
            can show.
        rows: One row a run: run, whose ("ours" or "the paper's"), accuracy with its Wilson 95 %
            interval (low, high), all in percent, thinking_tokens (None if the paper gives none),
            and not_graded.
    """

    benchmark: str
    questions: int
    smallest: float
    rows: list[dict[str, Any]] = field(repr=False)

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a pandas DataFrame."""
        import pandas

        return pandas.DataFrame(self.rows)

    def to_dataset(self) -> Dataset:
        """The rows as a Dataset."""
        return Dataset.from_list(self.rows)

    def __str__(self) -> str:
        lines = [
            f"{self.benchmark}, {self.questions} questions: accuracy in % with its interval "
            "(Wilson 95 %)"
        ]
        width = max(len(row["run"]) for row in self.rows)
        for row in self.rows:
            interval = str(Interval(row["accuracy"], row["low"], row["high"]))
            tokens = (
                f"{row['thinking_tokens']:,.0f} thinking tokens"
                if row["thinking_tokens"] is not None
                else ""
            )
            failed = f", {row['not_graded']} not graded" if row["not_graded"] else ""
            lines.append(
                f"{row['run']:<{width}}  {row['whose']:<11}  {interval:<18}  "
                f"{tokens}{failed}".rstrip()
            )
        # From 50 %, where the interval is widest; no accuracy is above 100 %.
        apart = next(
            d
            for d in range(1, 101)
            if d == 50 or unpaired(50 + d, 50, self.questions).difference.low > 0
        )
        lines.append(
            f"one question is {100 / self.questions:.1f} points. Two runs of yours can't be told "
            f"apart below {self.smallest:.1f} points, even if every answer that changes changes "
            "the same way (McNemar's exact test, 95 %); a run and a published number, near 50 %, "
            f"not below {apart} (Newcombe's interval)"
        )
        return "\n".join(lines)


def compare(results: Results | Mapping[str, Results], name: str | None = None) -> Comparison:
    """Put our results on a benchmark beside the paper's (Table 1, and what only Table 5 has).

    The paper gives no intervals for these numbers. The intervals here are Wilson's.

    Args:
        results: One Results, or several by the name to show, such as the result of ``lab.sweep``.
        name: The benchmark. None takes the name that `s1lab.evaluation.benchmarks.load` wrote into
            the rows.

    Raises:
        ValueError: The paper has no numbers for this benchmark, or the results are on another
            number of questions.

    Example:
        engine = lab.load("simplescaling/s1.1-32B", engine="vllm")
        results = lab.evaluate(engine, lab.benchmarks.load("aime24"))
        print(lab.benchmarks.compare(results))
    """
    runs = (
        dict(results)
        if isinstance(results, Mapping)
        else {getattr(results, "made", {}).get("model", "ours"): results}
    )
    if not runs or not all(isinstance(run, Results) for run in runs.values()):
        raise ValueError(
            "results are one Results, or several by what they are to be called, such as what "
            "lab.sweep gives"
        )
    name = name or str(next(iter(runs.values())).made.get("benchmark", {}).get("name"))
    key, benchmark = known(text("name", name, "a benchmark's name, such as 'aime24', or None"))
    if benchmark is None or benchmark.paper is None:
        raise ValueError(f"the paper has no numbers on {name!r}: choose from {sorted(BENCHMARKS)}")
    rows = []
    for label, run in runs.items():
        if len(run.rows) != benchmark.rows:
            raise ValueError(
                f"{label!r} has {len(run.rows)} questions and {key} has {benchmark.rows}: compare "
                "what ran on all of them"
            )
        rows.append(_row(label, "ours", run.interval, run.thinking_tokens, run.grading_errors))
    published: dict[str, float] = {}
    for table in (TABLE_1, TABLE_5):  # Table 1 wins if both have a model
        for label, accuracies in table.items():
            if (accuracy := accuracies.get(benchmark.paper)) is not None:
                published.setdefault(label, accuracy)
    rows += [
        _row(label, "the paper's", share_interval(a, benchmark.rows), None, 0)
        for label, a in published.items()
    ]
    return Comparison(benchmark.paper, benchmark.rows, smallest_difference(benchmark.rows), rows)


def lead(model: str, over: str, benchmark: str = "AIME24") -> Unpaired:
    """How far a model of the paper is ahead of another, as far as published accuracies tell.

    The paper's abstract says "up to 27 %": that is the gain of s1-32B over o1-preview on AIME24.

    Args:
        model: A model of Table 1.
        over: The other one.
        benchmark: A benchmark of Table 1.

    Returns:
        The difference in percentage points, the gain in percent, and the p of Fisher's exact test.

    Raises:
        ValueError: Table 1 has no such number.

    Example:
        >>> found = lab.paper.compare.lead("s1-32B", "o1-preview")
        >>> print(found.gain)
        27.1 [-23.4, 111.0]
    """
    ours, theirs = (TABLE_1.get(name, {}).get(benchmark) for name in (model, over))
    if ours is None or theirs is None:
        raise ValueError(
            f"Table 1 has no number of {(model if ours is None else over)!r} on {benchmark!r}: its "
            f"models are {list(TABLE_1)}, its benchmarks {list(QUESTIONS)}"
        )
    return unpaired(ours, theirs, QUESTIONS[benchmark])


def _row(
    run: str, whose: str, accuracy: Interval, tokens: float | None, failed: int
) -> dict[str, Any]:
    numbers = {"accuracy": accuracy.value, "low": accuracy.low, "high": accuracy.high}
    return {"run": run, "whose": whose, **numbers, "thinking_tokens": tokens, "not_graded": failed}
