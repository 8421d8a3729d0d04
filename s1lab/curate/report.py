"""What a step of the curation dropped, and why: nothing is dropped without being counted."""

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

LEFT = '<td style="text-align: left">'


@dataclass(frozen=True, repr=False)
class Report:
    """One step's account: ``before`` rows came in, ``after`` went on, and each of the others has a rule and a reason.

    stage: the step's name. rows, rules, whys: of each dropped row its number in the pool that came in, the rule's name, and
    the reason in words. notes: what else there is to say.
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
        if not self.rows:  # to nothing, datasets can add no column
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
        """In a notebook: the counts, and under each rule its first ten rows, to be unfolded."""
        parts = [f"<b>{escape(self.stage)}</b>: {self.before:,} rows, {self.after:,} kept"]
        parts += [f"<div>{escape(note)}</div>" for note in self.notes]
        for rule, count in self.counts.items():
            places = [place for place, name in enumerate(self.rules) if name == rule][:10]
            questions = self.pool.select([self.rows[p] for p in places])["question"] if self.pool else [""] * len(places)
            cells = zip(
                [self.rows[p] for p in places], map(_short, questions), [_short(self.whys[p]) for p in places], strict=True
            )
            rows = [f"<tr>{''.join(f'{LEFT}{escape(str(cell))}</td>' for cell in row)}</tr>" for row in cells]
            head = f"<tr>{LEFT}row</td>{LEFT}question</td>{LEFT}why</td></tr>"
            parts.append(f"<details><summary>{count:,} {escape(rule)}</summary><table>{head}{''.join(rows)}</table></details>")
        return "".join(parts)


def _short(text: str | None) -> str:
    text = repr(text)[1:-1] if text else ""
    return text if len(text) <= 90 else text[:89] + "…"


def account(
    stage: str, pool: Dataset, drops: Mapping[int, tuple[str, str]], notes: Iterable[str] = (), order: Iterable[str] = ()
) -> tuple[Dataset, Report]:
    """What is left of a pool when ``drops`` (row: rule, reason) are taken out, and the report that says so.

    order: the rules in the order in which their counts are listed; others come behind in the order of their rows.
    """
    mask = np.ones(len(pool), bool)
    mask[list(drops)] = False
    kept = np.flatnonzero(mask)
    rank = {rule: place for place, rule in enumerate(order)}
    dropped = sorted(drops, key=lambda row: (rank.get(drops[row][0], len(rank)), row))
    rules, whys = [drops[row][0] for row in dropped], [drops[row][1] for row in dropped]
    # datasets would name the result by pickling every row number.
    name = hashlib.sha256(f"{pool._fingerprint} {stage}".encode() + kept.tobytes()).hexdigest()[:16]
    return pool.select(kept, new_fingerprint=name), Report(stage, len(pool), len(kept), dropped, rules, whys, list(notes), pool)


def funnel(*reports: Report) -> str:
    """The counts of steps that followed one another, as a table. ValueError where one does not begin with what another left."""
    for earlier, later in pairwise(reports):
        if earlier.after != later.before:
            raise ValueError(f"{earlier.stage} left {earlier.after:,} rows, but {later.stage} began with {later.before:,}")
    return "\n".join(f"{stage:<16}{left:>9,}  {why}".rstrip() for stage, left, why in steps(reports))


def steps(reports: Sequence[Report]) -> list[tuple[str, int, str]]:
    """What was collected, then each step: its name, the rows it left, and how many each rule dropped."""
    found = [("collected", reports[0].before, "")] if reports else []
    return found + [(r.stage, r.after, "; ".join(f"{rule} {n:,}" for rule, n in r.counts.items())) for r in reports]


def with_column(table: Dataset, name: str, values: Sequence[Any]) -> Dataset:
    """The table with a column behind the others, in place of one of that name."""
    rest = table.remove_columns(name) if name in table.column_names else table
    return rest.add_column(name, values)


def needs(pool: Any, what: str, **columns: str) -> None:
    """Check a pool before work begins: a Dataset with rows and with these columns (name: type), named in the error if not.

    Types: "text", "number", "truth". ValueError or TypeError in one sentence.
    """
    if not isinstance(pool, Dataset):
        raise TypeError(f"{what} is a {type(pool).__name__}, not a datasets.Dataset: use Dataset.from_list or curate.read")
    if not len(pool):
        raise ValueError(f"{what} has no rows: give at least one")
    for name, kind in columns.items():
        if name not in pool.column_names:
            raise ValueError(f"{what} has no column {name!r}, only {pool.column_names}: {MENDS.get(name, MENDS[''])}")
        has = pool.features[name]
        dtype = has.dtype if isinstance(has, Value) else None
        fits = {"text": ("string", "large_string", "null"), "truth": ("bool", "null")}.get(kind)
        if not (dtype in fits if fits else dtype is not None and dtype.startswith(("int", "uint", "float"))):
            found = dtype or type(has).__name__
            mend = f"cast it with pool.cast_column({name!r}, datasets.Value('string'))" if kind == "text" else "cast it first"
            raise TypeError(f"column {name!r} of {what} holds {found}, not {kind}: {mend}")


MENDS = {
    "question": "rename the one that holds the questions, or read the file with curate.read",
    "answer": "rename the one that holds the right answers, or read the file with curate.read",
    "domain": "label the questions with curate.domains(engine, pool), or name another column with domain=",
    "thinking": "have a teacher write traces with curate.traces(teacher, pool), or read the file with curate.read",
    "attempt": "have a teacher write traces with curate.traces(teacher, pool), or read the file with curate.read",
    "thinking_tokens": "count them with curate.count_tokens(pool, tokenizer)",
    "": "rename the one that holds it",
}
