"""Each profile's notebooks, tokens to figures, through real vLLM on a model of random weights with
Qwen2.5's ids.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nbformat
import pytest

from tools import ROOT
from tools.profiles import profiles, read_profile
from tools.reproduce import rehearse


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The project's notebooks in a folder of their own, so that nothing is written into the
    checkout.
    """
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks", ignore=shutil.ignore_patterns(".*"))
    return tmp_path


def kept(root: Path, name: str, only: set[str]) -> None:
    """Leave these notebooks of a profile alone in its file."""
    import yaml

    path = root / "notebooks" / "profiles" / f"{name}.yaml"
    content = yaml.safe_load(path.read_text())
    path.write_text(
        yaml.safe_dump(
            {key: value for key, value in content.items() if key in only | {"machine"}},
            sort_keys=False,
        )
    )


def ran(root: Path, name: str) -> None:
    executed = rehearse(name, root=root)
    assert [path.stem for path in executed] == list(read_profile(name, root).notebooks)
    folder = root / "runs" / f"dry-{name}"
    for path in executed:
        cells = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
        assert all(cell.execution_count for cell in cells)
        results = folder / f"{path.stem}.json"
        assert json.loads(results.read_text())
    figures = (
        {p.stem for p in (folder / "figures").glob("*.json")}
        if (folder / "figures").exists()
        else set()
    )
    assert figures or all(p.stem == "00_quickstart" for p in executed)


@pytest.mark.usefixtures("no_pictures")
def test_a_profile_of_a_server_runs_from_tokens_to_figures(root):
    """All but the two longest, which the slow test runs as well."""
    kept(root, "server", {"00_quickstart", "03_budget_forcing", "08_benchmarks"})
    ran(root, "server")


@pytest.mark.usefixtures("no_pictures")
def test_a_profile_of_one_gpu_trains_and_forces(root):
    kept(root, "one-gpu", {"02_sft", "06_scaling"})
    ran(root, "one-gpu")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", [name for name in profiles() if name != "tiny"])
def test_every_notebook_of_every_profile_rehearses(root, name):
    ran(root, name)
