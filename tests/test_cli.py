"""The command line."""

from __future__ import annotations

import subprocess
import sys

from typer.testing import CliRunner

import s1lab as lab
from s1lab.cli import app


def test_run_prints_the_trace_with_what_was_forced(tiny):
    ran = CliRunner().invoke(app, ["run", "How many r in raspberry", "--waits", "1"])
    assert ran.exit_code == 0
    trace = lab.force(tiny, "How many r in raspberry", lab.Budget(waits=1))
    assert ran.stdout.strip() == trace.show()
    assert "«Wait»" in ran.stdout and trace.answer in ran.stdout and "1 wait" in ran.stdout


def test_bad_input_is_one_line_and_exit_code_2():
    for arguments, word in (
        (["run", "x", "--max-tokens", "0"], "max_tokens=0"),
        (["run", " "], "empty"),
        (["run", "x", "--model", "./no"], "./no"),
        (["ladder", "x", "--caps", "16,a"], "--caps '16,a' is no list of whole numbers"),
    ):
        ran = subprocess.run(
            [sys.executable, "-c", "from s1lab.cli import app; app()", *arguments], capture_output=True, text=True
        )
        assert ran.returncode == 2 and not ran.stdout
        assert ran.stderr.startswith("s1lab: ") and word in ran.stderr and ran.stderr.count("\n") == 1
