"""``make reproduce``: every notebook through papermill with a profile, then what was measured beside what was published."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from s1lab import plots
from s1lab.paper import FIGURE_1, FIGURE_4_RIGHT, FIGURE_7, FUNNEL, TABLE_3, Point

ROOT = Path(__file__).parent.parent
CELL_LIMIT_S = 1800


def profiles(root: Path = ROOT) -> dict[str, Path]:
    """The profiles there are, by name."""
    return {p.stem: p for p in sorted((root / "notebooks" / "profiles").glob("*.yaml"))}


def read_profile(name: str, root: Path = ROOT) -> dict[str, dict[str, Any]]:
    """A profile: for each notebook (by its file name without ending) the parameters it gets.

    Raises ValueError for an unknown name, or a file that is not such a mapping.
    """
    known = profiles(root)
    if name not in known:
        raise ValueError(f"no profile is called {name!r}: choose from {list(known)} or write notebooks/profiles/{name}.yaml")
    content = yaml.safe_load(known[name].read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
        raise ValueError(f"the profile {known[name].name} is no mapping from notebooks to their parameters: see tiny.yaml")
    return content


def run_notebooks(name: str, *, in_place: bool = False, root: Path = ROOT) -> list[Path]:
    """Run the notebooks of a profile in order; the executed copies, under runs/NAME/ (or in place).

    A parameter that a notebook does not know is refused before any of them runs.
    """
    import papermill

    chosen = read_profile(name, root)
    folder = root / "runs" / name
    sources = {notebook: root / "notebooks" / f"{notebook}.ipynb" for notebook in chosen}
    for notebook, parameters in chosen.items():
        if not sources[notebook].is_file():
            raise ValueError(f"the profile {name} names a notebook that is not there: notebooks/{notebook}.ipynb")
        unknown = set(parameters) - set(papermill.inspect_notebook(str(sources[notebook])))
        if unknown:
            raise ValueError(f"the profile {name} gives {notebook} parameters that it does not know: {sorted(unknown)}")
    folder.mkdir(parents=True, exist_ok=True)
    executed = []
    for place, (notebook, parameters) in enumerate(chosen.items(), 1):
        target = sources[notebook] if in_place else folder / f"{notebook}.ipynb"
        print(f"[{place}/{len(chosen)}] {notebook}", flush=True)
        began = time.time()
        papermill.execute_notebook(
            str(sources[notebook]),
            str(target),
            # In place nothing is injected: the committed notebooks run with the parameters that stand in them.
            {} if in_place else parameters,
            cwd=str(root / "notebooks"),
            kernel_name="python3",
            execution_timeout=CELL_LIMIT_S,
            progress_bar=sys.stderr.isatty(),
            stdout_file=sys.stdout,
            stderr_file=sys.stderr,
        )
        if in_place:
            tidy(target)
        print(
            f"[{place}/{len(chosen)}] {notebook} took {time.time() - began:.0f} s and wrote {target.relative_to(root)}",
            flush=True,
        )
        executed.append(target)
    return executed


def tidy(path: Path) -> None:
    """Take out of an executed notebook what changes from run to run and means nothing: papermill's times and paths, and widgets.

    A widget lives in the kernel that made it; without that its view says no more than "loading". The HTML beside it stays.
    """
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("papermill", None)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.get("metadata", {}).get("tags") == []:
            del cell.metadata["tags"]
        for output in cell.get("outputs", []):
            if "text/html" in output.get("data", {}):
                output.data.pop("application/vnd.jupyter.widget-view+json", None)
    nbformat.write(notebook, path)


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


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m s1lab.reproduce", description=__doc__)
    parser.add_argument("profile", nargs="?", default="tiny")
    parser.add_argument("--in-place", action="store_true", help="write outputs into notebooks/ itself, to commit them")
    options = parser.parse_args()
    try:
        run_notebooks(options.profile, in_place=options.in_place)
    except ValueError as why:
        sys.exit(f"s1lab: {why}")
    if not plots.can_draw():
        print("no Chrome or Chromium answers here, so figures/ got its data (JSON) but no new pictures: install one to draw them")
    print("\n" + comparison(options.profile))


if __name__ == "__main__":
    main()
