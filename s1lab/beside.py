"""What a reproduction measured beside what the paper published, as the table that ends it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from s1lab.paper import FIGURE_1, FIGURE_4_RIGHT, FIGURE_7, FUNNEL, TABLE_3, Point
from s1lab.repository import ROOT


def comparison(name: str, root: Path = ROOT) -> str:
    """The table that ends a reproduction: the embedded model's rungs beside the paper's, each marked as whose it is."""
    parts = [_rungs(name, root), _method_row(name, root), _rivals(name, root), _funnel(name, root)]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _stored(name: str, notebook: str, root: Path) -> dict[str, Any] | None:
    """What a notebook of this profile wrote down; None where the profile leaves it out."""
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
    rungs, published = stored["rungs"], {p.how: p for p in FIGURE_1["AIME24"]}
    lines = [
        f"measured here: {stored['model']}, {stored['questions']} questions of the embedded world, 95 % intervals",
        "published: s1-32B on AIME24, 30 questions (paper, Figure 1); one question is 3.3 points",
        "",
        f"{'measured':<12}{'tokens':>8}  {'accuracy, %':<22}{'published':<12}{'tokens':>8}  {'accuracy, %':<12}",
    ]
    matches = {"16": "cap 500", "32": "cap 1000", "64": "cap 2000", "128": "cap 4000"}
    for rung in rungs:
        label = rung["label"]
        point = published.get(label) or published.get(matches.get(label.removeprefix("cap "), ""))
        ours = f"{label:<12}{rung['tokens']:>8.0f}  {rung['accuracy']:.1f} [{rung['low']:.1f}, {rung['high']:.1f}]"
        theirs = f"{point.how:<12}{point.tokens:>8}  {point.accuracy:.1f}" if point else ""
        lines.append(f"{ours:<44}{theirs}")
    return lines


def _method_row(name: str, root: Path) -> list[str]:
    """Budget forcing's row of the paper's Table 3, measured and published."""
    stored = _stored(name, "05_scaling", root)
    if stored is None:
        return []
    ours, paper = stored["score"], TABLE_3["BF"]
    shown = {k: f"{v['value']:.1f} [{v['low']:.1f}, {v['high']:.1f}]" for k, v in ours.items()}
    theirs = {"control": f"{paper.control}", "scaling": f"{paper.scaling}", "performance": f"{paper.performance}"}
    units = {"control": "Control, %", "scaling": "Scaling, points a doubling", "performance": "Performance, %"}
    rows = [f"{units[k]:<30}{shown[k]:<24}{theirs[k]}" for k in units]
    return [f"{'budget forcing, five runs':<30}{'measured':<24}published (Table 3)", *rows]


def _rivals(name: str, root: Path) -> list[str]:
    """The best point of each method with all its tokens, measured, and of the paper's two figures."""
    stored = _stored(name, "06_parallel", root)
    if stored is None:
        return []
    lines = [f"{'best of each method':<30}{'tokens':>8}  {'accuracy, %':<22}{'published':<32}{'tokens':>9}  {'accuracy, %':<12}"]
    best = {method: max(points, key=lambda p: p["accuracy"]) for method, points in stored["methods"].items()}
    theirs: list[tuple[str, Point]] = [
        (f"{method}, {where}", max(points, key=lambda p: p.accuracy))
        for where, figure in (("GPQA", FIGURE_4_RIGHT), ("AIME24", FIGURE_7))
        for method, points in figure.items()
    ]
    for (method, point), (published, dot) in zip(best.items(), theirs, strict=False):
        ours = f"{method:<30}{point['tokens']:>8,.0f}  {point['accuracy']:.1f} [{point['low']:.1f}, {point['high']:.1f}]"
        per_question = dot.tokens / (198 if "GPQA" in published else 1)
        lines.append(f"{ours:<62}{published:<32}{per_question:>9,.0f}  {dot.accuracy:.1f}")
    return lines


def _funnel(name: str, root: Path) -> list[str]:
    """Questions left after each step of the curation, measured and published."""
    stored = _stored(name, "01_data_curation", root)
    if stored is None:
        return []
    rows = [
        f"{step:<50}{count:>10,}{FUNNEL[step][0] if step in FUNNEL else '':>12{',' if step in FUNNEL else ''}}"
        for step, count in stored["funnel"].items()
    ]
    return [f"{'questions of the pool':<50}{'measured':>10}{'published':>12}", *rows]
