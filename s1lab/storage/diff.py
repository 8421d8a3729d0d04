"""Compare two runs: which traces are equal, where others differ, and which verdicts changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s1lab.storage.run import Run, StoredTrace
from s1lab.storage.saved import read_run
from s1lab.tokenization.conversation import Conversation, headline, printable

CONTEXT = 12  # ids shown on each side of the first difference


@dataclass(frozen=True)
class Parting:
    """Two traces of one question that differ.

    Attributes:
        question: The question, a text or a conversation.
        sample: The sample number of the question.
        at: The place of the first id that differs.
        source: The source of that id in the first run, or "end".
        ids: How many ids each trace has.
        before: The text before that place.
        after: The text after it, in each trace.
        correct: The verdict of each trace; None if not known.
    """

    question: str | Conversation
    sample: int
    at: int
    source: str
    ids: tuple[int, int]
    before: str
    after: tuple[str, str]
    correct: tuple[bool | None, bool | None]


@dataclass(frozen=True)
class Diff:
    """Two runs side by side.

    Traces are paired by question and sample, and also by budget if a run has more than one.

    Attributes:
        a: The first run.
        b: The second run.
        same: How many traces are the same.
        partings: The pairs that differ. Those with a changed verdict come first.
        only: How many traces only one of the runs has.
    """

    a: Run
    b: Run
    same: int
    partings: list[Parting]
    only: tuple[int, int]

    @property
    def flipped(self) -> tuple[int, int]:
        """How many verdicts changed from right to wrong, and from wrong to right."""
        graded = [p.correct for p in self.partings]
        return graded.count((True, False)), graded.count((False, True))

    def show(self, most: int = 10) -> str:
        """The comparison as text.

        Args:
            most: How many differences to show in full.

        Returns:
            The text.
        """
        lines = [self.verdict]
        if any(self.only):
            lines.append(f"only in a: {self.only[0]}, only in b: {self.only[1]}")
        if any(None not in p.correct for p in self.partings):
            lost, won = self.flipped
            lines.append(
                f"of those that differ, {lost} turned from right to wrong and {won} from wrong to "
                "right"
            )
        settings = [
            f"{'' if x == y else '* '}{name}: {x}" + ("" if x == y else f"  |  {y}")
            for name, x, y in self.made()
        ]
        lines += ["", f"a  {self.a.path}", f"b  {self.b.path}"]
        lines += [line for line in settings if line.startswith("* ")]
        for p in self.partings[:most]:
            lines += [
                "",
                f"{headline(p.question)!r}" + (f" (sample {p.sample})" if p.sample else ""),
                f"  differ from id {p.at} ({p.source}) of {p.ids[0]} and {p.ids[1]}"
                + (
                    ""
                    if None in p.correct
                    else f"; a is {_word(p.correct[0])}, b is {_word(p.correct[1])}"
                ),
                f"  both  …{p.before!r}",
                f"  a     {p.after[0]!r}…",
                f"  b     {p.after[1]!r}…",
            ]
        if len(self.partings) > most:
            lines += ["", f"and {len(self.partings) - most} more"]
        lines += ["", "settings that are the same:"]
        lines += [line for line in settings if not line.startswith("* ")]
        return printable("\n".join(lines))

    @property
    def verdict(self) -> str:
        """One sentence: whether the runs have the same traces."""
        paired = self.same + len(self.partings)
        if not paired:
            return "nothing can be paired: the two share no question, or none at the same budget"
        same = not self.partings and not any(self.only)
        return (
            f"the runs {'are the same' if same else 'differ'}: {self.same} of {paired} traces are "
            f"identical" + (f", {len(self.partings)} differ" if self.partings else "")
        )

    def __str__(self) -> str:
        return self.show()

    def made(self) -> list[tuple[str, Any, Any]]:
        """The settings of the two runs.

        Returns:
            A list of (name, value in a, value in b). A missing value is None.
        """
        a, b = _flat(self.a.made), _flat(self.b.made)
        return [(name, a.get(name), b.get(name)) for name in dict.fromkeys([*a, *b])]


def diff(a: str | Path, b: str | Path) -> Diff:
    """Compare two stored runs id by id.

    A question is paired with itself, in the same sample. If each run has a single budget, the two
    budgets may differ: a run with a Wait can be compared with one without. A sweep has many
    budgets, and each rung is paired with its own.

    Args:
        a: The first run, as in `s1lab.storage.read_run`.
        b: The second run.

    Returns:
        The comparison.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A file is not a stored run.

    Example:
        engine = lab.load("s1-tiny")
        lab.force(engine, "How many r in raspberry?", store="runs/x.db")
        lab.force(engine, "How many r in raspberry?", lab.Budget(waits=1), store="runs/x.db")
        print(lab.diff("runs/x.db#1", "runs/x.db#2"))
    """
    first, second = read_run(a), read_run(b)
    one_each = all(len({trace.budget for trace in run.traces}) == 1 for run in (first, second))
    rows = [
        {(t.question, t.sample, None if one_each else t.budget): t for t in run.traces}
        for run in (first, second)
    ]
    texts = decoder(first), decoder(second)
    partings, same = [], 0
    for key, x in rows[0].items():
        y = rows[1].get(key)
        if y is None:
            continue
        if x.ids == y.ids:
            same += 1
        else:
            partings.append(_part(x, y, texts))
    partings.sort(key=lambda parting: parting.correct[0] == parting.correct[1])
    shared = same + len(partings)
    return Diff(first, second, same, partings, (len(rows[0]) - shared, len(rows[1]) - shared))


def first_difference(a: Sequence[int], b: Sequence[int]) -> int | None:
    """The first place at which two lists of ids differ; None if they are equal.

    If one list is the beginning of the other, it is the place where the shorter one ends.
    """
    short = min(len(a), len(b))
    return next((i for i in range(short) if a[i] != b[i]), None if len(a) == len(b) else short)


def _part(x: StoredTrace, y: StoredTrace, texts: tuple[Any, Any]) -> Parting:
    at = first_difference(x.ids, y.ids)
    assert at is not None
    return Parting(
        question=x.question,
        sample=x.sample,
        at=at,
        source=str(x.source[at]) if at < len(x.source) else "end",
        ids=(len(x.ids), len(y.ids)),
        before=texts[0](x.ids[max(0, at - CONTEXT) : at]),
        after=(texts[0](x.ids[at : at + CONTEXT]), texts[1](y.ids[at : at + CONTEXT])),
        correct=(x.correct, y.correct),
    )


def decoder(run: Run) -> Any:
    """A function from ids to text, with the run's own tokenizer.

    The tokenizer comes from the run's store or from this machine. If neither has it, the text is
    the ids themselves.
    """
    from s1lab.engines.model_files import load_tokenizer
    from s1lab.storage.stored_run import stored_template

    try:
        stored = stored_template(run.path)
        tokenizer: Any = (
            stored.tokenizer
            if stored
            else load_tokenizer(run.made.get("tokenizer") or run.made["model"])
        )
    except (OSError, KeyError):
        return lambda ids: " ".join(map(str, ids))
    return lambda ids: tokenizer.decode(
        ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
    )


def _flat(made: dict[str, Any], above: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in made.items():
        out |= _flat(value, f"{above}{key} ") if isinstance(value, dict) else {above + key: value}
    return out


def _word(correct: bool | None) -> str:
    return "right" if correct else "wrong"
