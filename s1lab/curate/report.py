"""The account of a curation step: which rows it dropped, and why. No row is dropped uncounted."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np
from datasets import Dataset, Value

from s1lab.evaluation.arguments import dataset_fix

LEFT = '<td style="text-align: left">'


@dataclass(frozen=True, repr=False)
class Report:
    """The account of one step.

    ``before`` rows came in, ``after`` rows were kept, and each other row has a rule and a reason.

    Attributes:
        stage: The step's name.
        before: Number of rows that came in.
        after: Number of rows that were kept.
        rows: For each dropped row, its number in the pool that came in.
        rules: For each dropped row, the name of the rule.
        whys: For each dropped row, the reason in words.
        notes: Further remarks, one sentence each.
        pool: The pool that came in.

    Example:
        kept, report = lab.curate.quality(lab.tiny.pool(200))
        print(report.counts)
    """

    stage: str
    before: int
    after: int
    rows: list[int]
    rules: list[str]
    whys: list[str]
    notes: list[str] = field(default_factory=list)
    pool: Dataset | None = field(default=None, repr=False)

    @property
    def counts(self) -> dict[str, int]:
        """How many rows each rule dropped, in the order in which the rules are tried."""
        return dict(Counter(self.rules))

    @cached_property
    def dropped(self) -> Dataset:
        """The dropped rows with all their columns, and ``row``, ``rule`` and ``why``."""
        assert self.pool is not None
        added: dict[str, Sequence[Any]] = {"row": self.rows, "rule": self.rules, "why": self.whys}
        if not self.rows:  # datasets can't add a column to an empty table
            return Dataset.from_dict({name: [] for name in (*self.pool.column_names, *added)})
        table = self.pool.select(self.rows)
        for name, values in added.items():
            table = with_column(table, name, values)
        return table

    def __str__(self) -> str:
        lines = [f"{self.stage}: {self.before:,} rows, {self.after:,} kept"]
        lines += [f"  {count:>7,}  {rule}" for rule, count in self.counts.items()]
        return "\n".join(lines + [f"  ({note})" for note in self.notes])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Show the counts in a notebook, and under each rule its first ten rows, folded."""
        parts = [f"<b>{escape(self.stage)}</b>: {self.before:,} rows, {self.after:,} kept"]
        parts += [f"<div>{escape(note)}</div>" for note in self.notes]
        for rule, count in self.counts.items():
            places = [place for place, name in enumerate(self.rules) if name == rule][:10]
            questions = (
                self.pool.select([self.rows[p] for p in places])["question"]
                if self.pool
                else [""] * len(places)
            )
            cells = zip(
                [self.rows[p] for p in places],
                map(_short, questions),
                [_short(self.whys[p]) for p in places],
                strict=True,
            )
            rows = [
                f"<tr>{''.join(f'{LEFT}{escape(str(cell))}</td>' for cell in row)}</tr>"
                for row in cells
            ]
            head = f"<tr>{LEFT}row</td>{LEFT}question</td>{LEFT}why</td></tr>"
            parts.append(
                f"<details><summary>{count:,} {escape(rule)}</summary><table>"
                f"{head}{''.join(rows)}</table></details>"
            )
        return "".join(parts)


def _short(text: str | None) -> str:
    text = repr(text)[1:-1] if text else ""
    return text if len(text) <= 90 else text[:89] + "…"


def account(
    stage: str,
    pool: Dataset,
    drops: Mapping[int, tuple[str, str]],
    notes: Iterable[str] = (),
    order: Iterable[str] = (),
) -> tuple[Dataset, Report]:
    """Take the drops out of a pool, and report them.

    Args:
        stage: The step's name.
        pool: The rows that came in.
        drops: For each dropped row's number, its rule and its reason.
        notes: Further remarks.
        order: The rules in the order in which their counts are listed. Other rules follow in the
            order of their rows.

    Returns:
        The rows that are left, and the report.
    """
    mask = np.ones(len(pool), bool)
    mask[list(drops)] = False
    kept = np.flatnonzero(mask)
    rank = {rule: place for place, rule in enumerate(order)}
    dropped = sorted(drops, key=lambda row: (rank.get(drops[row][0], len(rank)), row))
    rules, whys = [drops[row][0] for row in dropped], [drops[row][1] for row in dropped]
    # Otherwise datasets would name the result by pickling every row number.
    name = hashlib.sha256(f"{pool._fingerprint} {stage}".encode() + kept.tobytes()).hexdigest()[:16]
    return pool.select(kept, new_fingerprint=name), Report(
        stage, len(pool), len(kept), dropped, rules, whys, list(notes), pool
    )


def funnel(*reports: Report) -> str:
    """Show the counts of consecutive steps as a table.

    Args:
        reports: The reports, in the order of the steps.

    Returns:
        The table as text.

    Raises:
        ValueError: If a step does not begin with the rows that the one before left.

    Example:
        pool, faults = lab.curate.quality(lab.tiny.pool(200))
        pool, repeats = lab.curate.deduplicate(pool)
        print(lab.curate.funnel(faults, repeats))
    """
    for earlier, later in pairwise(reports):
        if earlier.after != later.before:
            raise ValueError(
                f"{earlier.stage} left {earlier.after:,} rows, but {later.stage} began with "
                f"{later.before:,}"
            )
    return "\n".join(
        f"{stage:<16}{left:>9,}  {why}".rstrip() for stage, left, why in steps(reports)
    )


def steps(reports: Sequence[Report]) -> list[tuple[str, int, str]]:
    """Return the pool at the start and each step: its name, the rows it left, each rule's drops."""
    found = [("collected", reports[0].before, "")] if reports else []
    return found + [
        (r.stage, r.after, "; ".join(f"{rule} {n:,}" for rule, n in r.counts.items()))
        for r in reports
    ]


def with_column(table: Dataset, name: str, values: Sequence[Any]) -> Dataset:
    """Return the table with a new last column; it replaces a column of the same name."""
    rest = table.remove_columns(name) if name in table.column_names else table
    return rest.add_column(name, values)


def needs(pool: Any, what: str, **columns: str) -> None:
    """Check a pool before work begins: it is a Dataset with rows and with the columns named.

    Args:
        pool: The value to check.
        what: What to call it in an error.
        columns: For each column's name its type: "text", "number" or "truth".

    Raises:
        TypeError: If it is not a Dataset, or a column has another type.
        ValueError: If it has no rows, or a column is missing.
    """
    if not isinstance(pool, Dataset):
        verb = "are" if what.endswith("questions") else "is"
        raise TypeError(
            f"{what} {verb} a {type(pool).__name__}, not a datasets.Dataset: {dataset_fix(pool)}"
        )
    if not len(pool):
        raise ValueError(f"{what} has no rows: give at least one")
    for name, kind in columns.items():
        if name not in pool.column_names:
            raise ValueError(
                f"{what} has no column {name!r}, only {pool.column_names}: "
                f"{MENDS.get(name, MENDS[''])}"
            )
        has = pool.features[name]
        dtype = has.dtype if isinstance(has, Value) else None
        fits = {"text": ("string", "large_string", "null"), "truth": ("bool", "null")}.get(kind)
        if not (
            dtype in fits
            if fits
            else dtype is not None and dtype.startswith(("int", "uint", "float"))
        ):
            found = dtype or type(has).__name__
            mend = (
                f"cast it with pool.cast_column({name!r}, datasets.Value('string'))"
                if kind == "text"
                else "cast it first"
            )
            raise TypeError(f"column {name!r} of {what} holds {found}, not {kind}: {mend}")


MENDS = {
    "question": "rename the one that holds the questions, or read the file with curate.read",
    "answer": "rename the one that holds the right answers, or read the file with curate.read",
    "domain": (
        "label the questions with curate.domains(engine, pool), or name another column with domain="
    ),
    "thinking": (
        "have a teacher write traces with curate.traces(teacher, pool), or read the file with "
        "curate.read"
    ),
    "attempt": (
        "have a teacher write traces with curate.traces(teacher, pool), or read the file with "
        "curate.read"
    ),
    "thinking_tokens": "count them with curate.count_tokens(pool, tokenizer)",
    "": "rename the one that holds it",
}
