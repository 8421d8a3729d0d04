"""The committed notebooks: run in order, with outputs, and a test would notice a change."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.helpers import ROOT
from tools.profiles import profiles, read_profile

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SOLUTIONS = sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))
NOT_COMPARED = "nbval-ignore-output"  # the tag of a cell whose output nbval does not compare
COLUMNS = 88  # what a page of JupyterLab shows of a line of code


def name_of(path: Path) -> str:
    return path.relative_to(ROOT / "notebooks").with_suffix("").as_posix()


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [c for c in notebook.cells if c.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_executed_in_order_with_outputs_and_without_noise(path):
    cells = code(read(path))
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    outputs = [o for c in cells for o in c.outputs]
    assert len(outputs) >= len(cells) // 2
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert [c for c in cells if "parameters" in c.metadata.get("tags", [])] == [cells[0]]


@pytest.mark.parametrize("path", SOLUTIONS, ids=name_of)
def test_a_solution_was_executed_in_order_without_noise(path):
    cells = code(read(path))
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    outputs = [o for c in cells for o in c.outputs]
    assert outputs
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]


@pytest.mark.parametrize("path", [*NOTEBOOKS, *SOLUTIONS], ids=name_of)
def test_a_cell_that_is_not_compared_says_why_and_most_are_compared(path):
    cells = code(read(path))
    skipped = [c for c in cells if NOT_COMPARED in c.metadata.get("tags", [])]
    for cell in skipped:
        assert len(cell.metadata.get("not_compared", "")) >= 20, cell.source
    assert not [c.source for c in cells if "not_compared" in c.metadata and c not in skipped]
    assert len(skipped) <= len(cells) / 2


@pytest.mark.parametrize("path", [*NOTEBOOKS, *SOLUTIONS], ids=name_of)
def test_no_cell_has_a_comment_for_nbval_or_prints_a_stored_number(path):
    for cell in read(path).cells:
        assert not re.search(r"NBVAL|\bnear\(|\bstored = \{", cell.source), cell.source


@pytest.mark.parametrize("path", [*NOTEBOOKS, *SOLUTIONS], ids=name_of)
def test_a_line_of_code_fits_the_page(path):
    lines = [line for cell in code(read(path)) for line in cell.source.splitlines()]
    assert [line for line in lines if len(line) > COLUMNS] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_a_notebook_ends_with_exercises_that_are_solved_under_its_name(path):
    text = [c.source for c in read(path).cells if c.cell_type == "markdown"]
    exercises = [t for t in text if re.search(r"^## Exercises$", t, re.MULTILINE)]
    assert len(exercises) == 1
    assert f"(solutions/{path.name})" in exercises[0]
    assert (path.parent / "solutions" / path.name).exists()


def test_every_solution_belongs_to_a_notebook():
    assert {path.name for path in SOLUTIONS} <= {path.name for path in NOTEBOOKS}


@pytest.mark.parametrize("path", [*NOTEBOOKS, *SOLUTIONS], ids=name_of)
def test_nothing_of_one_machine_is_committed(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"/(home|root|tmp|work|Users)/", text)


def test_the_tiny_profile_is_what_the_committed_notebooks_ran_with():
    for name, parameters in read_profile("tiny").notebooks.items():
        scope: dict = {}
        exec(code(read(ROOT / "notebooks" / f"{name}.ipynb"))[0].source, scope)
        assert {key: scope[key] for key in parameters} == parameters
    assert {p.stem for p in NOTEBOOKS} == set(read_profile("tiny").notebooks)


@pytest.mark.parametrize("name", profiles())
def test_a_profile_gives_parameters_that_its_notebooks_know(name):
    import papermill

    for notebook, parameters in read_profile(name).notebooks.items():
        assert set(parameters) <= set(
            papermill.inspect_notebook(str(ROOT / "notebooks" / f"{notebook}.ipynb"))
        )


@pytest.mark.long
@pytest.mark.usefixtures("no_pictures")
def test_curation_runs_on_a_local_file_with_the_published_columns(tmp_path):
    """What the profile s1k-59k does, at the size of a laptop: a pool with no domains and no token
    counts, labelled by source.
    """
    import json

    import papermill

    import s1lab as lab

    published = {
        "question": "question",
        "answer": "solution",
        "source": "source_type",
        "thinking": "deepseek_thinking_trajectory",
        "attempt": "deepseek_attempt",
        "kind": "kind",
    }
    pool = lab.tiny.pool(300, 5).select_columns(list(published)).rename_columns(published)
    pool.to_parquet(str(tmp_path / "pool.parquet"))
    (tmp_path / "tests.jsonl").write_text(
        "".join(json.dumps({"problem": q}) + "\n" for q in lab.tiny.benchmark()["question"])
    )
    given = {"pool_path": str(tmp_path / "pool.parquet"), "domain": "source",
             "benchmark_paths": [str(tmp_path / "tests.jsonl")],
             "chosen": 40, "results": str(tmp_path), "figures": str(tmp_path)}  # fmt: skip
    papermill.execute_notebook(
        str(ROOT / "notebooks" / "01_data_curation.ipynb"), str(tmp_path / "out.ipynb"), given,
        cwd=str(ROOT / "notebooks"), kernel_name="python3", execution_timeout=600,
        progress_bar=False,
    )  # fmt: skip
    record = json.loads((tmp_path / "01_data_curation.json").read_text())
    rows = [json.loads(line) for line in (tmp_path / "s1-tiny-1k.jsonl").read_text().splitlines()]
    assert record["funnel"]["collected"] == 300 and len(rows) == 40 == sum(
        record["domains"].values()
    )
    assert "rebuilt" in str(
        code(read(tmp_path / "out.ipynb"))[-3].outputs
    ) and "contaminated" in str(record["dropped"])


@pytest.mark.long
def test_an_unknown_profile_and_an_unknown_parameter_are_refused_in_one_sentence(tmp_path):
    assert "tiny" in profiles()
    with pytest.raises(ValueError, match="no profile is called 'huge'") as error:
        read_profile("huge")
    assert "tiny" in str(error.value) and "\n" not in str(error.value)
    from tools.reproduce import run_notebooks

    (tmp_path / "notebooks" / "profiles").mkdir(parents=True)
    (tmp_path / "notebooks" / "00_quickstart.ipynb").write_bytes(
        (ROOT / "notebooks" / "00_quickstart.ipynb").read_bytes()
    )
    (tmp_path / "notebooks" / "profiles" / "odd.yaml").write_text(
        "00_quickstart: {modle: s1-tiny}\n"
    )
    with pytest.raises(ValueError, match="modle"):
        run_notebooks("odd", root=tmp_path)
    assert not (tmp_path / "runs").exists()
    ran = subprocess.run(
        [sys.executable, "-m", "tools.reproduce", "huge"], capture_output=True, text=True
    )
    assert ran.returncode == 1 and ran.stderr.count("\n") == 1 and "Traceback" not in ran.stderr


def nbval(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--nbval",
            "--nbval-current-env",
            "-q",
            "-p",
            "no:cacheprovider",
            path.name,
        ],
        capture_output=True,
        text=True,
        cwd=path.parent,
    )


def until(notebook: nbformat.NotebookNode, text: str) -> int:
    return next(i for i, c in enumerate(notebook.cells) if text in c.source) + 1


@pytest.mark.long
@pytest.mark.parametrize(
    ("before", "after"),
    [("", ""), ("lab.Budget(waits=1)", "lab.Budget(waits=0)"), ("cap = 24", "cap = 25")],
)
def test_nbval_fails_when_a_trace_changes(tmp_path, before, after):
    """00 up to the table of its three traces."""
    notebook = read(ROOT / "notebooks" / "00_quickstart.ipynb")
    notebook.cells = notebook.cells[: until(notebook, '"one Wait": waited')]
    for cell in notebook.cells:
        cell.source = cell.source.replace(before, after) if before else cell.source
    nbformat.write(notebook, tmp_path / "changed.ipynb")
    ran = nbval(tmp_path / "changed.ipynb")
    assert ran.returncode == (1 if before else 0), ran.stdout


@pytest.mark.long
@pytest.mark.parametrize("changed", [False, True])
def test_nbval_fails_when_an_accuracy_changes(tmp_path, changed):
    """The sweep of 03 with one cap alone, and the cell that asserts its accuracy with a tolerance.

    No output of the sweep is compared. As committed it passes. With a cap of half as many tokens
    again, the assertion fails, and nbval with it.
    """
    notebook = read(ROOT / "notebooks" / "03_budget_forcing.ipynb")
    sweep = notebook.cells[until(notebook, "runs = lab.sweep(") - 1]
    check = notebook.cells[until(notebook, "abs(runs[name].accuracy - accuracy) <= 1") - 1]
    setting = code(notebook)[:3]  # the parameters, the imports, and the engine
    load = notebook.cells[until(notebook, "problems = lab.benchmarks.load(") - 1]
    assert "lab.load(" in setting[-1].source and not check.outputs
    assert NOT_COMPARED not in check.metadata.get("tags", [])
    cap = "caps[1] + caps[1] // 2" if changed else "caps[1]"
    sweep.source = (
        f"budget = lab.Budget(max_tokens={cap})\n"
        'runs = {"cap 32": lab.evaluate(engine, problems, budget, progress=False)}'
    )
    sweep.outputs = []
    notebook.cells = [*setting, load, sweep, check]
    nbformat.write(notebook, tmp_path / "changed.ipynb")
    ran = nbval(tmp_path / "changed.ipynb")
    assert ran.returncode == int(changed), ran.stdout
    assert ("AssertionError" in ran.stdout) == changed


def test_make_test_runs_every_notebook_once():
    (rows,) = re.findall(r"^NBVAL_ROWS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    numbers = re.split(r"[ _]", rows)
    notebooks = [path.name[:2] for path in (ROOT / "notebooks").glob("*.ipynb")]
    assert sorted(numbers) == sorted([*notebooks, "solutions"])
    for row in ("01_02", "03_06_08_09"):  # rows that are trained on; a store for four
        assert row in rows.split()
