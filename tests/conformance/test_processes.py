"""What engines leave behind: nothing; what Ctrl-C in a notebook leaves: the finished traces and an
engine that works.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from jupyter_client.manager import start_new_kernel

import s1lab as lab
from tests.conformance.serving import KEY
from tests.helpers import ROOT

pytest.importorskip("vllm")


def script(
    code: str, timeout: float = 300, interrupt_after: float | None = None
) -> SimpleNamespace:
    """Run code in a session of its own; ``left`` are the processes of that session that outlive it.

    interrupt_after: so many seconds after its first line of output, the whole session gets a
    Ctrl-C, as from a terminal.
    """
    body = "\n".join("    " + line for line in code.strip().splitlines())
    # A shell's background job is started with Ctrl-C ignored, and its children with it.
    listens = "    import signal\n    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    command = [sys.executable, "-c", f"if __name__ == '__main__':\n{listens}{body}"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    try:
        first = ""
        if interrupt_after is not None:
            first = process.stdout.readline()
            time.sleep(interrupt_after)
            os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=timeout)
        out = first + out
        left = alive(process.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return SimpleNamespace(returncode=process.returncode, stdout=out, stderr=err, left=left)


def alive(session: int, seconds: float = 5) -> list[str]:
    """Processes of a session. multiprocessing's own helper ends a moment after its parent, and is
    dead before it is reaped.
    """
    until = time.monotonic() + seconds
    while True:
        listed = subprocess.run(
            ["ps", "-o", "stat=,args=", "-s", str(session)], capture_output=True, text=True
        ).stdout
        left = [line for line in listed.splitlines() if not line.startswith("Z")]
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.2)


def run_cell(client, code: str, seconds: float = 180) -> tuple[str, str]:
    """Standard output and the name of the error a cell ended with, if any."""
    asked = client.execute(code)
    out, error, until = "", "", time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            message = client.get_iopub_msg(timeout=1)
        except queue.Empty:
            continue
        if message["parent_header"].get("msg_id") != asked:
            continue
        content = message["content"]
        if message["msg_type"] == "stream":
            out += content["text"]
        elif message["msg_type"] == "error":
            error = content["ename"]
        elif message["msg_type"] == "status" and content["execution_state"] == "idle":
            return out, error
    raise AssertionError(f"the cell did not end in {seconds} s: {out}")


SERVED = pytest.param("server", marks=pytest.mark.xdist_group("server"))


@pytest.mark.parametrize("engine", ["vllm", "transformers", SERVED])
def test_ctrl_c_in_a_notebook_keeps_what_is_finished_and_the_engine(engine, request):
    load = f"lab.load('s1-tiny', engine='{engine}')"
    if engine == "server":
        address = request.getfixturevalue("server").address
        load = f"lab.load('{address}', api_key='{KEY}', concurrency=32)"
    manager, client = start_new_kernel(cwd=str(ROOT))
    try:
        out, error = run_cell(
            client,
            f"import s1lab as lab\nengine = {load}\n"
            "questions = list(lab.tiny.problems(3000, 5, 'train')['question'])\n"
            "first = lab.force(engine, questions[:3], progress=False)\nprint('ready')",
        )
        assert "ready" in out and not error
        pressed: list[float] = []
        threading.Timer(
            5, lambda: (pressed.append(time.monotonic()), manager.interrupt_kernel())
        ).start()
        _, error = run_cell(
            client, "lab.force(engine, questions, lab.Budget(max_tokens=30), progress=False)"
        )
        assert error == "Interrupted" and time.monotonic() - pressed[0] < 20
        out, error = run_cell(
            client,
            "kept = [t for t in lab.interrupted() if t.error is None]\n"
            "print(len(kept), all(t.answer for t in kept))\n"
            "again = lab.force(engine, questions[:3], progress=False)\n"
            "print([a.ids == b.ids for a, b in zip(first, again)])",
        )
        assert not error
        count, whole = out.split()[:2]
        assert 0 < int(count) < 3000 and whole == "True"
        assert "[True, True, True]" in out
    finally:
        manager.shutdown_kernel(now=True)


def test_an_exception_leaves_no_process_and_a_second_load_works():
    ran = script(
        """
import multiprocessing, random, torch, s1lab as lab
random.seed(3); torch.manual_seed(3); expected = random.random(), torch.rand(1).item()
random.seed(3); torch.manual_seed(3)
question = "How many r in raspberry"
with lab.load("s1-tiny", engine="vllm") as engine:
    answer = lab.force(engine, question, lab.Budget(waits=1)).answer
assert (random.random(), torch.rand(1).item()) == expected
torch.set_num_threads(1); assert torch.get_num_threads() == 1
engine = lab.load("s1-tiny", engine="vllm", max_model_len=512)
assert engine.context == 512 and lab.force(engine, question, lab.Budget(waits=1)).answer == answer
# as a cell that is run again
before, engine = engine, lab.load("s1-tiny", engine="vllm", max_model_len=256)
try:
    lab.force(before, question)
    raise AssertionError
except RuntimeError as why:
    assert "load it again" in str(why)
del before
assert engine.context == 256 and lab.force(engine, question, lab.Budget(waits=1)).answer == answer
print(answer, multiprocessing.active_children(), flush=True)
raise RuntimeError("made up")
"""
    )
    assert ran.returncode == 1 and ran.stdout == "Answer: 3 []\n", ran.stdout + ran.stderr[-3000:]
    assert "RuntimeError: made up" in ran.stderr and ran.stderr.count("Traceback") == 1
    assert ran.left == []


def test_an_option_vllm_does_not_have_and_a_version_that_is_not_supported(monkeypatch):
    with pytest.raises(ValueError) as unknown:
        lab.load("s1-tiny", engine="vllm", max_nun_seqs=3)
    assert str(unknown.value) == (
        "vLLM has no option 'max_nun_seqs': the ones it has are those of its EngineArgs"
    )
    monkeypatch.setattr("vllm.__version__", "0.6.4")
    with pytest.raises(ImportError) as old:
        lab.load("s1-tiny", engine="vllm")
    assert str(old.value) == "vLLM 0.6.4 is not supported: install one from 0.20 to 0.33"


@pytest.mark.slow
def test_tensor_parallel_2_gives_the_same_ids_and_leaves_no_process():
    ran = script(
        """
import os, s1lab as lab
os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "0|1"
questions = list(lab.tiny.problems(40, 6, "dev")["question"])
with lab.load("s1-tiny") as one, lab.load("s1-tiny", engine="vllm", tensor_parallel_size=2) as two:
    budget = lab.Budget(waits=2)
    print(two)
    found = [lab.force(engine, questions, budget) for engine in (one, two)]
    same = sum(a.ids == b.ids for a, b in zip(*found))
    print(same, "of", len(questions))
""",
        timeout=600,
    )
    print(ran.stdout)
    assert "40 of 40" in ran.stdout, ran.stderr[-3000:]
    assert ran.left == []


@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_ctrl_c_in_a_script_leaves_no_process(ranks):
    ran = script(
        f"""
import os, s1lab as lab
os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "0|1" if {ranks} > 1 else "auto"
questions = list(lab.tiny.problems(3000, 6, "dev")["question"])
engine = lab.load("s1-tiny", engine="vllm", tensor_parallel_size={ranks})
print("ready", flush=True)
lab.force(engine, questions, lab.Budget(waits=2), progress=False)
""",
        timeout=600,
        interrupt_after=4,
    )
    assert ran.returncode != 0 and "ready" in ran.stdout
    assert "Interrupt" in ran.stderr, ran.stderr[-3000:]
    assert ran.left == []
