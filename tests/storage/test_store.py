"""A store survives: what is in it is not asked again, whatever killed the run; what is no store is
left as it is.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from datasets import Dataset
from typer.testing import CliRunner

import s1lab as lab
from s1lab.cli import app
from s1lab.engine import Completion
from s1lab.storage.files import write_whole
from s1lab.storage.sqlite import VERSION
from s1lab.storage.store import Store
from tests.helpers import ROOT
from tests.helpers.scripted import ctrl_c_at, thinker

MODEL = thinker("1 r 1\n2 a 1\n", "3 s 1\n", "4 p 1\n")
QUESTIONS = [f"How many {c} in raspberry?" for c in "raspbey"]
PROBLEMS = Dataset.from_list([{"question": q, "answer": "3", "kind": "integer"} for q in QUESTIONS])


@pytest.mark.parametrize("fault", [OSError("disk full"), KeyboardInterrupt()])
def test_a_file_is_written_whole_or_not_at_all(tmp_path, fault):
    def torn():
        yield b"half a "
        raise fault

    path = tmp_path / "new folder" / "rows.jsonl"
    write_whole(path, [b"old ", b"rows\n"])
    with pytest.raises(type(fault)):
        write_whole(path, torn())
    assert path.read_bytes() == b"old rows\n" and os.listdir(path.parent) == [path.name]
    with pytest.raises(type(fault)):
        write_whole(path.with_name("none.jsonl"), torn())
    assert os.listdir(path.parent) == [path.name]
    write_whole(path, [b"new"])
    assert path.read_bytes() == b"new" and os.listdir(path.parent) == [path.name]


def says(error: pytest.ExceptionInfo, *words: str) -> None:
    text = str(error.value)
    assert all(w in text for w in words), text
    assert "\n" not in text and len(text) < 400


@pytest.mark.parametrize(
    "call",
    [
        lambda e, **o: lab.force(e, QUESTIONS, lab.Budget(waits=2), **o),
        lambda e, **o: lab.force(e, QUESTIONS[0], lab.Budget(max_tokens=4), **o),
        lambda e, **o: lab.force(e, QUESTIONS, lab.Budget(max_tokens=40, min_tokens=20), **o),
        lambda e, **o: lab.direct(e, QUESTIONS, **o),
        lambda e, **o: [t for x in lab.ladder(e, QUESTIONS, (4, 8), (0, 1), **o) for t in x.traces],
        lambda e, **o: lab.evaluate(e, PROBLEMS, lab.Budget(waits=1), **o).traces,
        lambda e, **o: [
            t for r in lab.sweep(e, PROBLEMS, (4,), (0, 2), **o).values() for t in r.traces
        ],
    ],
)
def test_a_second_call_asks_nothing_and_a_replay_needs_no_model(scripted, tmp_path, call):
    def ids(traces):
        return [
            (t.ids, t.source, t.waits, t.cut, t.answer)
            for t in ([traces] if isinstance(traces, lab.Trace) else traces)
        ]

    say = (lambda text: "Answer: 3<|im_end|>") if "direct" in call.__code__.co_names else MODEL
    path = tmp_path / "deep" / "x.db"
    plain = call(scripted(say))
    first, second = scripted(say), scripted(say)
    assert ids(call(first, store=path)) == ids(plain) and first.requests
    assert ids(call(second, store=str(path))) == ids(plain) and not second.requests
    with lab.replay(path) as engine:
        assert ids(call(engine)) == ids(plain)
    table = lab.runs(path)
    assert (
        list(table.status) == ["finished"] * 2
        and list(table.completions)[1] == 0
        and list(table.reused)[1] > 0
    )
    assert list(table.finished) == list(table.questions)


def test_what_decides_a_completion_tells_it_from_others(scripted, tmp_path):
    path = tmp_path / "x.db"
    lab.force(scripted(MODEL), QUESTIONS[0], lab.Budget(max_tokens=8), store=path)
    for change in (
        lambda e: lab.force(e, QUESTIONS[0], lab.Budget(max_tokens=9), store=path),
        lambda e: lab.force(e, QUESTIONS[0], lab.Budget(max_tokens=8), temperature=0.5, store=path),
        lambda e: lab.force(
            e, QUESTIONS[0], lab.Budget(max_tokens=8), temperature=0.5, seed=1, store=path
        ),
        lambda e: lab.force(
            e, QUESTIONS[0], lab.Budget(max_tokens=8), temperature=0.5, top_p=0.5, store=path
        ),
    ):
        engine = scripted(MODEL)
        change(engine)
        assert engine.requests
    other = scripted(MODEL)
    other.semantics = "another engine"
    lab.force(other, QUESTIONS[0], lab.Budget(max_tokens=8), store=path)
    assert other.requests
    greedy = scripted(MODEL)
    lab.force(
        greedy, QUESTIONS[0], lab.Budget(max_tokens=8), seed=99, store=path
    )  # a seed decides nothing here
    assert not greedy.requests


def test_the_same_request_in_flight_twice_is_asked_once(scripted, tmp_path):
    engine = scripted(MODEL)
    traces = lab.force(
        engine, [QUESTIONS[0]] * 5, lab.Budget(max_tokens=8), store=tmp_path / "x.db"
    )
    assert len(engine.requests) == 2 and len({tuple(t.ids) for t in traces}) == 1


def test_a_completion_that_waits_to_be_written_is_known_already(scripted, tmp_path, monkeypatch):
    """One program after the other, and nothing reaches the file before the end."""
    monkeypatch.setattr(Store, "flush_when_due", lambda _: None)
    engine = scripted(MODEL)
    engine.width = 1
    lab.force(engine, [QUESTIONS[0]] * 3, lab.Budget(max_tokens=8), store=tmp_path / "x.db")
    assert len(engine.requests) == 2 and lab.runs(tmp_path / "x.db").reused[0] == 4


def test_an_error_is_not_kept(scripted, tmp_path, template):
    class Fails(type(scripted(MODEL))):
        def poll(self):
            return [(key, Completion((), error="a bad day")) for key, _ in super().poll()]

    path = tmp_path / "x.db"
    assert lab.force(Fails(template, MODEL), QUESTIONS[0], store=path).error == "a bad day"
    assert lab.force(scripted(MODEL), QUESTIONS[0], store=path).error is None


def test_what_a_replay_does_not_hold_is_a_traces_error(scripted, tmp_path):
    path = tmp_path / "x.db"
    lab.force(scripted(MODEL), QUESTIONS[:2], store=path)
    with lab.replay(path) as engine:
        held, missing = lab.force(engine, [QUESTIONS[0], QUESTIONS[5]])
    assert (
        held.error is None
        and "does not hold this completion" in missing.error
        and "'scripted'" in missing.error
    )
    with pytest.raises(lab.storage.StoreError) as error:
        lab.replay(path, run=7)
    says(error, "no run 7", "[1]")


KILLED = """
import sys
import s1lab as lab
from s1lab.storage import store

store.LATEST = 0.05  # however slow the disk is, a kill finds something stored
engine = lab.load("s1-tiny", max_batch=4)
print("ready", flush=True)
questions = list(lab.tiny.problems(32, 12, "dev")["question"])
options = {"temperature": 0.3, "seed": 5, "store": sys.argv[1], "progress": False}
traces = lab.force(engine, questions, lab.Budget(waits=1), **options)
print(hash(tuple(tuple(t.ids) for t in traces)), engine.counts["sampled"])
"""


@pytest.mark.long
def test_a_run_killed_at_random_moments_ends_with_the_same_results_and_asks_nothing_twice(tmp_path):
    def start(path):
        return subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    def held():
        with sqlite3.connect(path) as db:
            return db.execute("SELECT count(*), count(DISTINCT key) FROM completions").fetchone()

    process = start(tmp_path / "whole.db")
    assert process.stdout.readline() == "ready\n"
    begin = time.monotonic()
    whole, written = process.communicate()[0].split()
    seconds = time.monotonic() - begin
    path, rng, before = tmp_path / "killed.db", random.Random(), 0
    for _ in range(2):  # together sooner than a whole run's time, however fast the machine
        process = start(path)
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.1, 0.4) * seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        with contextlib.suppress(sqlite3.OperationalError):  # killed before there were tables
            now, distinct = held()
            assert now == distinct and now >= before  # nothing that was stored is lost
            before = now
    last, rest = start(path).communicate()[0].split()[1:]
    assert last == whole
    table = lab.runs(path)
    assert table.status.iloc[-1] == "finished" and "unfinished" in set(table.status)
    assert table.tokens.sum() == int(written)  # all of it was written once
    assert table.tokens.iloc[-1] == int(rest) and table.reused.iloc[-1] == before


def test_an_interrupted_run_is_listed_and_goes_on(scripted, tmp_path):
    path, engine = tmp_path / "x.db", scripted(ctrl_c_at(8, MODEL))
    engine.width = 1
    with pytest.raises(lab.Interrupted):
        lab.force(engine, QUESTIONS, store=path)
    again = scripted(MODEL)
    traces = lab.force(again, QUESTIONS, store=path)
    assert all(t.answer == "Answer: 3" for t in traces) and 0 < len(again.requests) < 2 * len(
        QUESTIONS
    )
    assert list(lab.runs(path).status) == ["interrupted", "finished"]
    assert 0 < lab.runs(path).finished[0] < len(QUESTIONS)


def test_readers_read_while_a_run_writes_and_a_second_writer_is_told(scripted, tmp_path):
    path, seen = tmp_path / "x.db", []

    def say(text: str) -> str:
        if path.exists() and len(seen) < 3:
            with pytest.raises(lab.storage.StoreError) as error:
                lab.force(scripted(MODEL), QUESTIONS[0], store=path)
            says(error, str(path), "being written by another run", "of its own")
            seen.append((lab.runs(path).status.iloc[0], int(lab.runs(path).completions.iloc[0])))
        return MODEL(text)

    engine = scripted(say)
    engine.width = 1
    lab.force(engine, QUESTIONS, store=path)
    assert [s for s, _ in seen] == ["unfinished"] * 3 and seen[0][1] < seen[-1][1]


def test_ctrl_c_within_a_transaction_waits_for_its_end(scripted, tmp_path):
    """A key pressed while SQLite is at work: what was being written is there, and the run is listed
    as interrupted.
    """
    path, pressed = tmp_path / "x.db", []

    class Slow:
        def __init__(self, db):
            self.db = db

        def __getattr__(self, name):
            return getattr(self.db, name)

        def execute(self, statement, *values):
            if "completions VALUES" in statement and len(pressed) == 0:
                pressed.append(statement)
                os.kill(os.getpid(), signal.SIGINT)
            return self.db.execute(statement, *values)

    store = Store(path)
    store._db = Slow(store._db)
    engine = scripted(MODEL)
    store.begin(engine, {}, 1)
    store.put(b"key", Completion((1, 2), 3))
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell's background job is started with it ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            store.flush()
    finally:
        signal.signal(signal.SIGINT, before)
    assert not store._pending
    store.close("interrupted")
    assert list(lab.runs(path).status) == ["interrupted"] and lab.runs(path).tokens[0] == 2


def test_a_transaction_that_fails_is_taken_back_and_can_be_tried_again(
    scripted, tmp_path, monkeypatch
):
    store = Store(tmp_path / "x.db")
    store.begin(scripted(MODEL), {}, 1)
    store.put(b"key", Completion((1, 2), 3))

    def broken(_: str) -> None:
        raise MemoryError

    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(store, "_progress", broken)
        store.flush()
    assert store.get(b"key") == Completion((1, 2), 3)
    store.close("finished")
    assert lab.runs(tmp_path / "x.db").completions[0] == 1


def test_a_completion_waits_two_seconds_at_most(scripted, tmp_path):
    store = Store(tmp_path / "x.db")
    store.begin(scripted(MODEL), {}, 1)
    store._cost, store._flushed = (
        60.0,
        time.monotonic() - 2.1,
    )  # the last writing took a minute: a stalled disk
    store.put(b"key", Completion((1,), 3))
    store.flush_when_due()
    assert not store._pending
    store.close("finished")


@pytest.mark.parametrize("kind", ["text", "foreign", "version", "torn", "folder", "cut"])
def test_what_is_no_store_is_named_and_left_as_it_is(scripted, tmp_path, kind):
    path = tmp_path / "x.db"
    if kind == "text":
        path.write_text("my precious notes\n" * 100)
    elif kind == "folder":
        path.mkdir()
    else:
        if kind == "foreign":
            with sqlite3.connect(path) as db:
                db.execute("CREATE TABLE mine (a)")
            db.close()
        else:
            lab.force(scripted(MODEL), QUESTIONS, store=path)
        if kind == "version":
            with sqlite3.connect(path) as db:
                db.execute(f"PRAGMA user_version = {VERSION + 1}")
            db.close()
        if kind == "torn":
            content = bytearray(path.read_bytes())
            content[4096 : 3 * 4096] = b"\xa5" * 8192
            path.write_bytes(content)
        if kind == "cut":
            path.write_bytes(path.read_bytes()[: 5 * 4096])
    before = None if kind == "folder" else path.read_bytes()
    words = {
        "text": "no store",
        "foreign": "another program",
        "version": f"version {VERSION + 1}",
        "torn": "broken",
        "folder": "folder",
        "cut": "broken",
    }[kind]
    for use in (
        lambda: lab.force(scripted(MODEL), QUESTIONS, store=path),
        lambda: lab.runs(path),
        lambda: lab.replay(path),
    ):
        with pytest.raises(lab.storage.StoreError) as error:
            use()
        says(
            error,
            str(path),
            words if kind != "folder" or "folder" in str(error.value) else "no store",
        )
    assert before is None or path.read_bytes() == before


def test_a_store_that_is_not_there(tmp_path):
    with pytest.raises(lab.storage.StoreError) as error:
        lab.runs(tmp_path / "none.db")
    says(error, "no store is at", "store=")
    assert not (tmp_path / "none.db").exists()
    shown = CliRunner().invoke(app, ["runs", str(tmp_path / "none.db")])
    assert shown.exit_code == 2


def test_a_place_where_no_store_can_be(scripted, tmp_path):
    (tmp_path / "file.txt").write_text("x")
    for path in (tmp_path / "file.txt" / "x.db", Path("/proc/x.db")):
        with pytest.raises(lab.storage.StoreError) as error:
            lab.force(scripted(MODEL), QUESTIONS[0], store=path)
        says(error, str(path), "no store can be made")


def test_a_damaged_trace_is_named(scripted, tmp_path):
    path = tmp_path / "x.db"
    lab.force(scripted(MODEL), QUESTIONS[0], store=path)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE traces SET row = substr(row, 1, 40)")
    with pytest.raises(lab.storage.StoreError) as error:
        lab.storage.read_run(path)
    says(error, str(path), "the trace 0.0 of run 1 was changed on disk")


def test_a_store_in_a_folder_that_cannot_be_written_is_read(scripted, tmp_path, monkeypatch):
    path = tmp_path / "x.db"
    lab.force(scripted(MODEL), QUESTIONS[0], store=path)
    with monkeypatch.context() as patch:
        patch.setattr("os.access", lambda *_: False)
        assert len(lab.runs(path)) == 1
    assert not [p.name for p in tmp_path.iterdir() if p.name.endswith(("-wal", "-shm"))]


def test_a_store_of_another_model(scripted, tmp_path):
    path = tmp_path / "x.db"
    lab.force(scripted(MODEL), QUESTIONS, store=path)
    other = scripted(MODEL)
    other.fingerprint, other.model = "0123456789abcdef", "other"
    with pytest.raises(lab.storage.StoreError) as error:
        lab.force(other, QUESTIONS, store=path)
    says(error, "another model", "scripted", "other", "of its own")
    assert not other.requests and len(lab.storage.read_run(path).traces) == len(QUESTIONS)


@pytest.mark.long
def test_a_full_disk_ends_the_run_in_a_sentence_and_what_was_stored_stays_readable(tmp_path):
    """A limit on the size of files fails the write as a full disk does, in a process of its own."""
    path = tmp_path / "x.db"
    code = f"""
import resource, sys
sys.path.insert(0, {str(ROOT)!r})
import s1lab as lab
from tests.helpers.scripted import Scripted
from tests.storage.test_store import MODEL
from s1lab.tokenization.bound_template import bind
from s1lab.tiny.tokenizer import build
tokenizer = build()
engine = Scripted(bind("s1", tokenizer, {{tokenizer.eos_token_id}}), MODEL)
engine.width = 1
resource.setrlimit(resource.RLIMIT_FSIZE, ({900 * 1024}, resource.RLIM_INFINITY))
try:
    questions = [f"question {{n}}?" for n in range(5000)]
    lab.force(engine, questions, store={str(path)!r}, progress=False)
except lab.storage.StoreError as why:
    print(why)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert ran.stdout.count("\n") == 1 and "make room" in ran.stdout and str(path) in ran.stdout, (
        ran.stdout + ran.stderr[-2000:]
    )
    table = lab.runs(path)
    assert table.status[0] in ("unfinished", "failed") and 20 < table.finished[0] < 5000
    assert len(lab.storage.read_run(path).traces) == table.finished[0]
    assert (
        resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    )  # it held for that process alone


def test_runs_travel_as_a_dataset_and_as_json_lines_and_come_back(scripted, tmp_path):
    path = tmp_path / "x.db"
    results = lab.evaluate(
        scripted(MODEL), PROBLEMS, lab.Budget(waits=1, max_tokens=60), store=path, progress=False
    )
    run = lab.storage.read_run(path)
    assert [t.ids for t in run.traces] == [t.ids for t in results.traces]
    assert [t.correct for t in run.traces] == results.verdicts and run.made["engine"] == "scripted"
    run.to_dataset().to_parquet(tmp_path / "run.parquet")
    back = lab.storage.Run.from_dataset(Dataset.from_parquet(str(tmp_path / "run.parquet")))
    lines = lab.storage.read_run(run.save(tmp_path / "run.jsonl"))
    assert run.traces == back.traces == lines.traces and run.made == back.made == lines.made
    elsewhere = tmp_path / "other.db"
    assert lab.storage.import_run(lines, elsewhere) == 1
    assert (
        lab.storage.read_run(elsewhere).traces == run.traces
        and lab.runs(elsewhere).status[0] == "imported"
    )
    assert lab.diff(f"{path}#1", elsewhere).same == len(QUESTIONS)
    with pytest.raises(ValueError, match="'ids' is missing"):
        lab.storage.Run.from_dataset(run.to_dataset().remove_columns("ids"))


def test_each_run_says_what_made_it(tiny, tmp_path):
    path = tmp_path / "x.db"
    lab.ladder(tiny, QUESTIONS[:2], (8,), (0,), store=path, progress=False)
    (row,) = lab.runs(path).to_dict("records")
    assert (row["model"], row["engine"], row["dtype"], row["semantics"], row["call"]) == (
        "s1-tiny",
        "transformers",
        "float32",
        "exact",
        "ladder",
    )
    assert (
        "torch" in row["versions"]
        and row["wall_s"] >= 0
        and row["tokens"] > 0
        and row["started"].startswith("20")
    )
    if shutil.which("git") and (ROOT / ".git").exists():
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=os.getcwd()
        ).stdout
        assert not head or head.startswith(row["commit"].rstrip("+"))
    shown = CliRunner().invoke(app, ["runs", str(path)])
    assert shown.exit_code == 0 and "s1-tiny" in shown.stdout
    with lab.replay(path) as engine:
        assert lab.ladder(engine, QUESTIONS[:2], (8,), (0,), progress=False)[1].error is None


def test_a_model_is_known_by_its_weights_wherever_they_lie(tiny, tiny_base, tmp_path):
    from s1lab.engines.fingerprint import fingerprint

    folder = Path(lab.tiny.__file__).parent / "s1-tiny"
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert tiny.fingerprint == fingerprint(str(copy)) != tiny_base.fingerprint
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-100] ^= 1
    weights.write_bytes(content)
    assert fingerprint(str(copy)) != tiny.fingerprint
    loaded = [
        lab.engines.transformers.TransformersEngine(e.network, tokenizer=e.template.tokenizer)
        for e in (tiny, tiny_base)
    ]
    assert (
        loaded[0].fingerprint != loaded[1].fingerprint
        and loaded[0].fingerprint == loaded[0].fingerprint
    )


def test_a_store_can_be_made_by_hand_and_closed(tmp_path):
    Store(tmp_path / "x.db").close()
    with pytest.raises(lab.storage.StoreError, match="no run to replay"):
        lab.replay(tmp_path / "x.db")
    assert lab.runs(tmp_path / "x.db").empty
