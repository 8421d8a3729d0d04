"""The command line as real processes: what a pipe and a terminal get, and what Ctrl-C leaves."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

import s1lab as lab
from tests.helpers import ROOT

pytestmark = pytest.mark.long

# A shell that starts the tests in the background has its children ignore Ctrl-C.
COMMAND = [
    sys.executable, "-c",
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from s1lab.cli import app; app(prog_name='s1lab')",
]  # fmt: skip
ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def test_a_pipe_gets_one_json_document_and_nothing_beside_it(tiny, tmp_path):
    ran = subprocess.run(
        [*COMMAND, "evaluate", "--n", "8", "--waits", "1", "--json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=ENVIRONMENT,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    expected = lab.evaluate(
        tiny, lab.tiny.benchmark().select(range(8)), lab.Budget(waits=1), progress=False
    )
    assert json.loads(ran.stdout)["accuracy"] == expected.accuracy


def test_a_terminal_sees_a_bar_that_results_in_a_pipe_are_free_of(tmp_path):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))  # no bar fits in one of no size
    process = subprocess.Popen(
        [*COMMAND, "evaluate", "--n", "8", "--json"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=tmp_path,
        env=ENVIRONMENT,
    )
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # the terminal is gone when its last process is
        while block := os.read(ours, 4096):
            seen += block
    out, _ = process.communicate(timeout=120)
    os.close(ours)
    assert process.returncode == 0 and b"forcing" in seen and b"0/8" in seen
    assert json.loads(out)["questions"] == 8


def test_ctrl_c_keeps_what_was_done_and_the_same_command_goes_on(tiny, tmp_path):
    store = tmp_path / "x.db"
    few = ["--option", "max_batch=8"]  # so that questions end one after another
    command = [
        *COMMAND,
        "evaluate",
        "--n",
        "60",
        "--waits",
        "2",
        *few,
        "--store",
        str(store),
        "--json",
    ]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    until = time.monotonic() + 120
    while _traces(store) < 10 and time.monotonic() < until and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the whole group
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130 and out == ""
    assert (
        err.startswith("s1lab: interrupted: ")
        and err.count("\n") == 1
        and "goes on from there" in err
        and str(store) in err
    )
    (first,) = lab.runs(store).to_dict("records")
    assert first["status"] == "interrupted" and 10 <= first["finished"] < 60
    assert f"{first['finished']} of 60 questions were finished" in err

    again = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT)
    assert (again.returncode, again.stderr) == (0, "")
    second = lab.runs(store).to_dict("records")[1]
    assert (
        second["finished"] == 60 and second["reused"] >= first["finished"]
    )  # each finished question has several completions
    expected = lab.evaluate(
        tiny, lab.tiny.benchmark().select(range(60)), lab.Budget(waits=2), progress=False
    )
    assert json.loads(again.stdout)["accuracy"] == expected.accuracy
    assert [t.ids for t in lab.storage.read_run(store).traces] == [t.ids for t in expected.traces]


def _traces(store: Path) -> int:
    """Traces that the store holds by now."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT count(*) FROM traces").fetchone()[0])
    except sqlite3.Error:
        return 0


def test_the_library_is_imported_without_torch():
    """So that help and errors come at once."""
    heavy = {"torch", "transformers", "vllm", "trl"}
    code = f"import sys, s1lab, s1lab.cli; print({heavy} & set(sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
        == "set()\n"
    )
