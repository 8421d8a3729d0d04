"""The pool browser: the funnel of a curation, and each dropped row with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from s1lab.curate.report import Report, funnel, steps
from s1lab.figures.style import BLUE
from s1lab.widgets.panel import PLAIN, Pages, Panel, choices, html, sentence
from s1lab.widgets.rows import short

ANY = ""  # the value of "any rule"; with None, ipywidgets would show no button as chosen
LONGEST = 1_500  # characters of a column that are shown
TABLE = "style='border-collapse:collapse;line-height:1.45'"
HEAD = "style='text-align:left;padding:.1em .6em;vertical-align:top;white-space:nowrap'"
CELL = "style='text-align:left;padding:.1em .6em;white-space:pre-wrap;overflow-wrap:anywhere'"


class PoolBrowser(Panel):
    """The widget that `pool` makes.

    ``stage`` and ``rule`` choose the rows that ``pages`` lists. A row's number is its place among
    the dropped.
    """

    def __init__(self, reports: Sequence[Report]) -> None:
        self.reports = reports
        self.stage = choices(
            "Stage", [(f"{r.stage} ({len(r.rows):,} dropped)", i) for i, r in enumerate(reports)]
        )
        self.rule = choices("Dropped by")
        self.detail = html()
        self.pages = Pages(self._lines, self.choose)
        # The reader sees the rows' numbers in the pool that came in.
        self._place: dict[int, int] = {}
        self.stage.observe(lambda _: self._staged(), "value")
        self.rule.observe(lambda _: self._ruled(), "value")
        super().__init__(
            [html(self.funnel_html()), self.stage, self.rule, self.pages.box, self.detail]
        )
        self._staged()

    @property
    def report(self) -> Report:
        found: Report = self.reports[self.stage.value]
        return found

    def _staged(self) -> None:
        report = self.report
        self._place = {number: place for place, number in enumerate(report.rows)}
        counts = [
            (f"any rule ({len(report.rows):,})", ANY),
            *((f"{r} ({n:,})", r) for r, n in report.counts.items()),
        ]
        self.rule.options, self.rule.index = counts, 0
        self._ruled()

    def _ruled(self) -> None:
        report, wanted = self.report, self.rule.value
        self.detail.value = ""
        rows = [
            number
            for number, rule in zip(report.rows, report.rules, strict=True)
            if wanted in (ANY, rule)
        ]
        self.pages.show(rows, wanted or "any rule")

    def _lines(self, numbers: Sequence[int]) -> list[str]:
        report = self.report
        pool = report.pool
        questions = (
            pool.select_columns(["question"])[list(numbers)]["question"]
            if pool is not None
            else [""] * len(numbers)
        )
        rules = [report.rules[self._place[number]] for number in numbers]
        whys = [short(report.whys[self._place[number]], 52) for number in numbers]
        widths = max(map(len, rules)), max(map(len, whys))
        return [
            f"{number:>7}  {rule:<{widths[0]}}  {why:<{widths[1]}}  {short(question, 60)}".replace(
                " ", "\u00a0"
            )
            for number, rule, why, question in zip(numbers, rules, whys, questions, strict=True)
        ]

    def choose(self, number: int) -> None:
        """Show a dropped row in full: its reason, then its columns."""
        report, place = self.report, self._place[number]
        columns: dict[str, Any] = report.pool[number] if report.pool is not None else {}
        lines = [
            f"<tr><th {HEAD}>{escape(name)}</th><td {CELL}>{escape(_text(v))}</td></tr>"
            for name, v in columns.items()
        ]
        why = (
            f"row {number:,}, dropped by {report.stage}, rule {report.rules[place]}: "
            f"{report.whys[place]}"
        )
        table = f"<table {TABLE}>{''.join(lines)}</table>"
        frame = (
            "tabindex='0' role='region' aria-label='the dropped row' style='max-height:22em;"
            "overflow-y:auto'"
        )
        self.detail.value = f"{sentence(why)}<div {frame}>{table}</div>"

    def funnel_html(self) -> str:
        """Return the steps, with the rows that each left, as bars and as numbers."""
        try:
            funnel(*self.reports)
            broken = ""
        except ValueError as why:  # each report is still useful alone
            broken = sentence(f"these reports do not follow one another: {why}", error=True)
        most = max(1, *(r.before for r in self.reports))
        lines = "".join(
            f"<tr><th {HEAD}>{escape(stage)}</th><td style='text-align:right;padding:.1em .6em;"
            f"vertical-align:top'>{left:,}</td><td style='min-width:7em;padding:.35em .4em;"
            f"vertical-align:top'><div style='width:{100 * left / most:.1f}%;min-width:2px;"
            f"height:.8em;background:{BLUE}'></div></td><td {CELL}>{escape(why)}</td></tr>"
            for stage, left, why in steps(self.reports)
        )
        heads = "".join(
            f"<th scope='col' {HEAD}>{name}</th>" for name in ("step", "rows left", "", "dropped")
        )
        table = f"<table {TABLE}><tr>{heads}</tr>{lines}</table>"
        return f"{broken}<div style='overflow-x:auto'>{table}</div>"

    def static_html(self) -> str:
        lines = "\n".join(escape(text) for text, _ in self.pages.list.options)
        listed = f"{PLAIN}{lines}</pre>" if lines else ""
        name = escape(str(self.stage.label))
        return (
            f"{self.funnel_html()}<div style='margin-top:.6em'><b>{name}</b></div>"
            f"{listed}{self.detail.value}"
        )


def _text(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters in all)"


def pool(reports: Any) -> PoolBrowser:
    """Browse the drops of a curation: its funnel, and each dropped row with rule and reason.

    Rows are read from the pool that each report holds, a page at a time.

    Args:
        reports: One `s1lab.curate.Report`, or the reports of consecutive steps, in order.

    Returns:
        The widget.

    Raises:
        TypeError: If the value is not a report or a sequence of reports.

    Example:
        kept, faults = lab.curate.quality(lab.tiny.pool(200))
        lab.widgets.pool(faults)
    """
    given = (
        [reports]
        if isinstance(reports, Report)
        else list(reports)
        if isinstance(reports, list | tuple)
        else []
    )
    if not given or not all(isinstance(r, Report) for r in given):
        raise TypeError(
            f"a {type(reports).__name__} of reports is wanted: give what the steps of lab.curate "
            "returned as second"
        )
    return PoolBrowser(given)
