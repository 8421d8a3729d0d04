"""The wheel: all that the library needs, nothing else, and it works where the repository is not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import PurePosixPath

import pytest

import s1lab as lab
from tests.helpers import ROOT

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def files(wheel) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def metadata(files):
    (name,) = (name for name in files if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(files[name].decode())


def test_it_holds_the_package_with_its_data_and_types_and_nothing_else(files):
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "s1lab"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if tracked.returncode == 0:  # where the tests run without git, the suffixes below still hold
        there = {name for name in tracked.stdout.splitlines() if (ROOT / name).is_file()}
        assert {name for name in files if name.startswith("s1lab/")} == there
    models = {
        f"s1lab/tiny/s1-tiny{name}/model.safetensors"
        for name in ("", "-base", "-tcc", "-scc", "-ccc")
    }
    data = {
        "py.typed",
        "tiny/reward.safetensors",
        "tiny/reward.json",
        "tiny/made.json",
        "smol/measured.json",
        "smol/s1-smol/adapter_model.safetensors",
        "sft/accelerate/node.yaml",
    }
    assert models | {f"s1lab/{name}" for name in data} <= set(files)
    tops = {PurePosixPath(name).parts[0] for name in files}
    assert tops == {"s1lab", f"s1lab-{lab.__version__}.dist-info"}
    suffixes = {PurePosixPath(name).suffix for name in files if name.startswith("s1lab/")}
    assert suffixes <= {".py", ".typed", ".json", ".safetensors", ".jinja", ".md", ".yaml", ".txt"}


def test_nothing_in_it_imports_the_tools_of_the_repository(files):
    code = {name: source.decode() for name, source in files.items() if name.endswith(".py")}
    assert (
        code
        and [
            name
            for name, source in code.items()
            if re.search(r"^\s*(?:from|import) tools\b", source, re.MULTILINE)
        ]
        == []
    )


def test_it_is_small_enough_to_install_anywhere(wheel):
    assert wheel.stat().st_size < 20e6


def test_its_metadata_says_what_it_is_and_its_links_lead_somewhere_without_the_repository(metadata):
    assert (metadata["Name"], metadata["Version"]) == ("s1lab", lab.__version__)
    assert (
        metadata["License-Expression"] == "Apache-2.0" and metadata["Requires-Python"] == ">=3.11"
    )
    page = metadata.get_payload()
    links = re.findall(r"\]\(([^)]+)\)|<(?:img|a)[^>]+(?:src|href)=\"([^\"]+)", page)
    assert links and all(link.startswith("https://") for pair in links for link in pair if link)
    extras = set(metadata.get_all("Provides-Extra"))
    assert set(re.findall(r"`s1lab\[([a-z]+)\]`", page)) <= extras


def test_the_four_lines_of_its_page_are_the_readmes(metadata):
    first = r"```python\n(.*?)```"
    pages = metadata.get_payload(), (ROOT / "README.md").read_text(encoding="utf-8")
    ours, theirs = (re.findall(first, page, re.DOTALL)[0] for page in pages)
    assert ours == theirs


def test_installed_from_it_the_quickstart_runs_where_the_repository_is_not(wheel, tmp_path):
    site, empty = tmp_path / "site", tmp_path / "empty"
    zipfile.ZipFile(wheel).extractall(site)
    empty.mkdir()
    environment = os.environ | {"PYTHONPATH": str(site), "HF_HUB_OFFLINE": "1"}

    def python(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, cwd=empty, env=environment
        )

    code = "import s1lab, sys; print(s1lab.__file__); from s1lab.cli import app; app()"
    ran = python("-c", code, "run", "How many r in raspberry", "--waits", "1")
    where, *shown = ran.stdout.splitlines()
    assert ran.returncode == 0 and where.startswith(str(site)) and "»Answer: 3" in shown, ran.stderr
    assert not list(empty.iterdir())
