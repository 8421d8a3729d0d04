"""The table at the end of a reproduction: measured results beside the paper's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from s1lab.evaluation.arguments import text
from s1lab.evaluation.benchmarks import known
from s1lab.methods.ladder import rung_name
from s1lab.paper.numbers import FIGURE_1, FIGURE_4_RIGHT, FIGURE_7, FUNNEL, QUESTIONS, TABLE_3
from tools import ROOT


def comparison(name: str, root: Path = ROOT) -> str:
    """Write the table that ends a reproduction.

    It shows the results of a profile's notebooks beside the paper's, each marked by its source. A
    notebook that the profile leaves out is left out.

    Args:
        name: Name of the profile.
        root: Folder of the repository.

    Returns:
        The table as text.

    Raises:
        ValueError: If the name is not a text.

    Example:
        print(comparison("tiny"))
    """
    text("name", name, "a profile's name, such as 'tiny'")
    parts = [_rungs(name, root), _method_row(name, root), _rivals(name, root), _funnel(name, root)]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _stored(name: str, notebook: str, root: Path) -> dict[str, Any] | None:
    """Return the stored results of a profile's notebook; None if the profile leaves it out."""
    path = root / "runs" / name / f"{notebook}.json"
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _rungs(name: str, root: Path) -> list[str]:
    """Accuracy over thinking tokens, measured and published."""
    stored = _stored(name, "03_budget_forcing", root)
    if stored is None:
        return []
    _, benchmark = known(stored["benchmark"])
    name_there = benchmark.paper if benchmark and benchmark.paper in FIGURE_1 else "AIME24"
    rungs, published = stored["rungs"], {p.how: p for p in FIGURE_1[name_there]}
    asked = "the embedded world" if benchmark is None else benchmark.paper
    n = QUESTIONS[name_there]
    lines = [
        f"measured here: {stored['model']}, {stored['questions']} questions of {asked}, Wilson "
        "95 % intervals",
        f"published: s1-32B on {name_there}, {n} questions (paper, Figure 1); one question is "
        f"{100 / n:.1f} points",
        "",
        f"{'measured':<12}{'tokens':>8}  {'accuracy, %':<22}{'published':<12}{'tokens':>8}  "
        f"{'accuracy, %':<12}",
    ]
    # The embedded model's caps take the place of the paper's. A real benchmark has the same caps.
    stand_ins = {16: 500, 32: 1000, 64: 2000, 128: 4000} if benchmark is None else {}
    matches = {rung_name(cap=c): rung_name(cap=theirs) for c, theirs in stand_ins.items()}
    for rung in rungs:
        label = rung["label"]
        point = published.get(label) or published.get(matches.get(label, ""))
        ours = (
            f"{label:<12}{rung['tokens']:>8.0f}  {rung['accuracy']:.1f} [{rung['low']:.1f}, "
            f"{rung['high']:.1f}]"
        )
        theirs = f"{point.how:<12}{point.tokens:>8}  {point.accuracy:.1f}" if point else ""
        lines.append(f"{ours:<44}{theirs}")
    return lines


def _method_row(name: str, root: Path) -> list[str]:
    """Budget forcing's row of the paper's Table 3, measured and published."""
    stored = _stored(name, "06_scaling", root)
    if stored is None:
        return []
    ours, paper = stored["score"], TABLE_3["BF"]
    shown = {k: f"{v['value']:.1f} [{v['low']:.1f}, {v['high']:.1f}]" for k, v in ours.items()}
    theirs = {
        "control": f"{paper.control}",
        "scaling": f"{paper.scaling}",
        "performance": f"{paper.performance}",
    }
    units = {
        "control": "Control, %",
        "scaling": "Scaling, points a doubling",
        "performance": "Performance, %",
    }
    rows = [f"{units[k]:<30}{shown[k]:<24}{theirs[k]}" for k in units]
    return [f"{'budget forcing, five runs':<30}{'measured':<24}published (Table 3, AIME24)", *rows]


def _rivals(name: str, root: Path) -> list[str]:
    """The best point of each method, with all its tokens: measured, then the paper's figures."""
    stored = _stored(name, "07_parallel", root)
    if stored is None:
        return []
    lines = [f"{'best of each method, measured':<44}{'tokens':>9}  accuracy, %"]
    for method, points in stored["methods"].items():
        best = max(points, key=lambda p: p["accuracy"])
        lines.append(
            f"{method:<44}{best['tokens']:>9,.0f}  {best['accuracy']:.1f} [{best['low']:.1f}, "
            f"{best['high']:.1f}]"
        )
    lines.append(f"{'published':<44}{'tokens':>9}  accuracy, %")
    figures = (
        ("GPQA, Figure 4", FIGURE_4_RIGHT, QUESTIONS["GPQA-Diamond"]),
        ("AIME24, Figure 7", FIGURE_7, 1),
    )
    for where, figure, questions in figures:
        for method, points in figure.items():
            dot = max(points, key=lambda p: p.accuracy)
            lines.append(
                f"{f'{method} ({where})':<44}{dot.tokens / questions:>9,.0f}  {dot.accuracy:.1f}"
            )
    return lines


def _funnel(name: str, root: Path) -> list[str]:
    """Questions left after each step of the curation, measured and published."""
    stored = _stored(name, "01_data_curation", root)
    if stored is None:
        return []
    rows = []
    for step, count in stored["funnel"].items():
        published = f"{FUNNEL[step][0]:,}" if step in FUNNEL else ""
        rows.append(f"{step:<50}{count:>10,}{published:>12}")
    return [f"{'questions of the pool':<50}{'measured':>10}{'published':>12}", *rows]
