"""``make test`` runs each stage, says what it took, and fails if one of them fails."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.helpers import ROOT
from tools.stages import table

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
STAGES = ["lint", "unit", "conformance", "notebooks-test"]


@pytest.mark.parametrize(
    ("stages", "status", "rows"),
    [
        (["one", "two"], 0, ["one", "two", "total"]),
        (["one", "bad", "two"], 2, ["one", "bad FAILED", "two not run", "total"]),
    ],
)
def test_the_table_comes_last_and_names_the_stage_that_failed(tmp_path, stages, status, rows):
    (tmp_path / "Makefile").write_text("one two:\n\t@echo ran $@\nbad:\n\t@exit 7\n")
    ran = subprocess.run(
        [sys.executable, "-m", "tools.stages", "make", *stages],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", "PYTHONPATH": str(ROOT)},
    )
    assert ran.returncode == status, ran.stderr
    lines = ran.stdout.splitlines()
    found = [" ".join(re.sub(r" \d+\b| - ", " ", line).split()) for line in lines[-len(rows) :]]
    assert found == rows
    ahead = stages[: stages.index("bad")] if "bad" in stages else stages
    assert [line for line in lines if line.startswith("ran ")] == [f"ran {s}" for s in ahead]


def test_the_total_is_the_sum_of_what_began():
    text = table(["a", "b", "c"], {"a": 1.2, "b": 61.0}, 1)
    assert [line.split()[1:] for line in text.splitlines()[1:]] == [
        ["1"],
        ["61", "FAILED"],
        ["-", "not", "run"],
        ["62"],
    ]
    assert "stopped" in table(["a"], {"a": 3.0}, 130)


def test_every_stage_runs_by_itself_and_ci_calls_make_test_alone():
    (named,) = re.findall(r"^STAGES := (.*)$", MAKEFILE, re.MULTILINE)
    assert named.split() == STAGES
    for stage in STAGES:
        assert re.search(rf"^{stage}: setup ##", MAKEFILE, re.MULTILINE), stage
    commands = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert commands[-1] == "make test"
    assert [line for line in commands if "make" in line or "pytest" in line] == ["make test"]
