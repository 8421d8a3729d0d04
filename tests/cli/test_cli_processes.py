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


def test_a_terminal_sees_what_is_loaded_and_the_tokens_as_they_come(tiny, tmp_path):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    question = "How many r in raspberry"
    process = subprocess.Popen(
        [*COMMAND, "run", question, "--waits", "1"],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        cwd=tmp_path,
        env=ENVIRONMENT | {"NO_COLOR": "1", "TERM": "xterm"},
    )
    os.close(theirs)
    blocks = []
    with contextlib.suppress(OSError):
        while block := os.read(ours, 4096):
            blocks.append(block)
    assert process.wait(timeout=120) == 0
    os.close(ours)
    shown = b"".join(blocks).decode().replace("\r\n", "\n")
    trace = lab.force(tiny, question, lab.Budget(waits=1))
    assert shown.startswith("loading s1-tiny …\n") and trace.show() in shown
    assert shown.count(trace.answer) == 1 and len(blocks) > 10


@pytest.mark.parametrize("moment", ["typer", "s1lab.cli.evaluate", "s1lab.forcing", "torch"])
def test_ctrl_c_in_the_first_second_ends_in_one_line(moment, tmp_path):
    code = (
        "import sys\n"
        "class Pressed:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {moment!r}:\n"
        "            sys.meta_path.remove(self)\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Pressed())\n"
        "from s1lab.cli import app\n"
        "app(args=['run', 'How many r in raspberry'])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT
    )
    assert (ran.returncode, ran.stdout) == (130, "")
    assert ran.stderr.startswith("s1lab: interrupted: ") and ran.stderr.count("\n") == 1


def _traces(store: Path) -> int:
    """Traces that the store holds by now."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT count(*) FROM traces").fetchone()[0])
    except sqlite3.Error:
        return 0


HEAVY = {"torch", "transformers", "vllm", "trl", "datasets", "pandas", "scipy", "pyarrow"}


@pytest.mark.parametrize("used", ["0", "lab.cli.app", "lab.Budget(waits=1)", "lab.force"])
def test_what_is_heavy_is_imported_when_it_is_first_used(used):
    """So that `import s1lab`, help and errors come within a second."""
    code = f"import sys, s1lab as lab, s1lab.cli; {used}; print({HEAVY} & set(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert ran.stdout == "set()\n", ran.stderr


def test_the_import_and_the_help_take_less_than_a_second_of_processor_time():
    code = (
        "import time, s1lab.cli; s1lab.cli.app(args=['--help'], standalone_mode=False); "
        "print(time.process_time())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert float(ran.stdout.splitlines()[-1]) < 1
