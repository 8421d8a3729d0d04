"""Everything that is written is written whole or not at all, wherever a path leads."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

import s1lab as lab
from s1lab.cli import app
from s1lab.evaluation.results import Results
from s1lab.storage import tokenizers
from s1lab.storage.completion_row import digest
from s1lab.storage.files import check_writable, write_together, write_whole
from s1lab.storage.saved import read_run, write_run
from s1lab.storage.sqlite import StoreError
from s1lab.storage.store import Store
from tests.helpers.scripted import thinker

MODEL = thinker("1 r 1\n2 a 1\n", "3 s 1\n", "4 p 1\n")
QUESTIONS = ["How many r in raspberry?", "How many a in raspberry?"]
ROWS = [{"question": q, "answer": "3", "kind": "integer"} for q in QUESTIONS]


def invoke(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words])


@contextlib.contextmanager
def full_disk(size: int = 0):
    """No file of this process may grow beyond ``size`` bytes: writing fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def results(scripted) -> Results:
    rows = lab.curate.io.Dataset.from_list(ROWS)
    return lab.evaluate(scripted(MODEL), rows, lab.Budget(waits=1), progress=False)


# The writer


def test_writers_of_one_file_never_mix(tmp_path):
    path, contents = tmp_path / "x", [bytes([n]) * 200_000 for n in range(1, 6)]
    faults = []

    def write(content: bytes) -> None:
        for _ in range(8):
            write_whole(path, [content[:70_000], content[70_000:]])
            if path.read_bytes() not in contents:
                faults.append("mixed")

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults and os.listdir(tmp_path) == ["x"]


def test_of_two_savers_of_a_new_file_one_is_told(tmp_path):
    path, told = tmp_path / "x", []
    meet = threading.Barrier(4)

    def lines(content: bytes):
        meet.wait()  # each has found that no file is there
        yield content

    def save(content: bytes) -> None:
        try:
            write_whole(path, lines(content), new=True)
        except FileExistsError as why:
            told.append(str(why))

    threads = [threading.Thread(target=save, args=(bytes([n]) * 9,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 3 and all("is there already" in text for text in told)
    assert len(set(path.read_bytes())) == 1 and os.listdir(tmp_path) == ["x"]


KILLED = """
import os, signal, sys
from pathlib import Path
from s1lab.storage.files import write_whole
def lines():
    yield b"half"
    os.kill(os.getpid(), signal.SIGKILL)
write_whole(Path(sys.argv[1]), lines())
"""


@pytest.mark.long
def test_what_a_killed_writer_left_is_removed_by_the_next_one(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=os.getcwd())
    left = [name for name in os.listdir(tmp_path) if name != "x"]
    assert len(left) == 1 and path.read_bytes() == b"old"
    running = tmp_path / left[0].replace(left[0].split("-")[3], str(os.getpid()))
    running.touch()  # of a process that is at work
    write_whole(path, [b"new"])
    assert path.read_bytes() == b"new" and set(os.listdir(tmp_path)) == {"x", running.name}


@pytest.mark.parametrize("name", ["a" * 255, "é" * 127, "a b#?%.json"])
def test_a_name_may_be_as_long_as_names_can_be(tmp_path, name):
    write_whole(tmp_path / name, [b"x"])
    assert os.listdir(tmp_path) == [name]


def test_a_link_leads_to_the_file_that_is_written(tmp_path):
    target = tmp_path / "deep" / "x"
    (tmp_path / "link").symlink_to(target)
    write_whole(tmp_path / "link", [b"1"])
    write_whole(tmp_path / "link", [b"2"])
    assert (tmp_path / "link").is_symlink() and target.read_bytes() == b"2"


def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    for path, words in {
        tmp_path: "is a folder",
        tmp_path / "pipe": "is a device or a pipe",
        Path("/dev/full"): "is a device or a pipe",
        tmp_path / "file" / "x": "can't be written",
        Path("/proc/x"): "can't be written",
        tmp_path / ("a" * 256): "can't be written",
    }.items():
        for write in (lambda p: write_whole(p, [b"x"]), check_writable):
            with pytest.raises(OSError, match=words) as error:
                write(path)
            assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert Path("/dev/full").is_char_device() and (tmp_path / "pipe").is_fifo()
    before = set(os.listdir(tmp_path))
    check_writable(tmp_path / "new" / "x")
    assert set(os.listdir(tmp_path)) == before | {"new"} and not os.listdir(tmp_path / "new")


def test_of_files_that_belong_together_none_is_replaced_before_all_are_written(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text("old")
    files = {tmp_path / "a": b"1" * 10, tmp_path / "b": b"2" * 9_000}
    with full_disk(1_000), pytest.raises(OSError, match=r"b can't be written .*: make room"):
        write_together(files)
    assert [(tmp_path / name).read_text() for name in "ab"] == ["old"] * 2
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
    write_together(files)
    assert [(tmp_path / name).read_bytes() for name in "ab"] == list(files.values())


# A full disk


def test_a_full_disk_names_the_file_and_leaves_the_old_one(results, tmp_path, monkeypatch):
    monkeypatch.setattr("s1lab.figures.export._drawn", lambda *_: b"<svg/>")  # without a browser
    figure = lab.figures.histogram({"all": [10, 20, 40, 60]}, "tokens")
    harness = tmp_path / "h"
    writers = {
        "x.json": lambda: lab.figures.save(figure, tmp_path, "x"),
        "pool.jsonl": lambda: lab.curate.write(lab.tiny.pool(50), tmp_path / "pool.jsonl"),
        "run.jsonl": lambda: results.save(tmp_path / "run.jsonl"),
        "samples_": lambda: results.save_harness(harness),
    }
    for name, write in writers.items():
        old = tmp_path / name
        if name in ("x.json", "pool.jsonl"):
            old.write_text("old")
        with full_disk(), pytest.raises(OSError, match=r"can't be written .*: make room") as error:
            write()
        assert name in str(error.value)
        assert not old.exists() or old.read_text() == "old"
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["pool.jsonl", "x.json"]
    for write in writers.values():
        write()
    assert len(read_run(tmp_path / "run.jsonl").traces) == 2 and list(harness.rglob("results_*"))


@pytest.mark.parametrize("as_json", [True, False])
def test_evaluate_prints_its_results_where_they_can_not_be_saved(tmp_path, monkeypatch, as_json):
    def save(self, path):
        with full_disk():
            return write_run(path, self.traces, self.made)

    monkeypatch.setattr(Results, "save", save)
    path = tmp_path / "run.jsonl"
    shown = invoke("evaluate", "--n", 3, "--save", path, *["--json"] * as_json)
    assert shown.exit_code == 2 and str(path) in shown.stderr and "make room" in shown.stderr
    assert "the results above are not saved" in shown.stderr and "Traceback" not in shown.stderr
    if as_json:
        facts = json.loads(shown.stdout)
        assert facts["questions"] == 3 and facts["saved"] is None
    else:
        assert "accuracy" in shown.stdout and "saved" not in shown.stdout
    assert not os.listdir(tmp_path)


def test_curate_tells_what_it_did_where_its_report_can_not_be_written(tmp_path, monkeypatch):
    def write(path, *_):
        raise OSError(f"{path} can't be written (full): make room")

    module = importlib.import_module("s1lab.cli.curate")
    monkeypatch.setattr(module, "_write_report", write)
    out = tmp_path / "x.jsonl"
    words = ("--pool-size", 300, "--ngram", 13, "--chosen", 9)
    shown = invoke("curate", *words, "--out", out)
    assert shown.exit_code == 2 and "report.json can't be written" in shown.stderr
    assert f"wrote {out}, sha256" in shown.stdout and len(out.read_text().splitlines()) == 9


@pytest.mark.parametrize("option", [("evaluate", "--save"), ("curate", "--out")])
@pytest.mark.parametrize("where", ["/proc/none/x.jsonl", "file/x.jsonl", ".", "/dev/full"])
def test_a_path_that_can_not_be_written_is_refused_before_a_model_is_loaded(
    tmp_path, monkeypatch, option, where
):
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lab, "load", lambda *_, **__: pytest.fail("the model was loaded"))
    monkeypatch.setattr(lab.tiny, "pool", lambda *_, **__: pytest.fail("the pool was read"))
    shown = invoke(*option, where)
    assert shown.exit_code == 2 and where in shown.stderr and shown.stderr.count("\n") == 1
    assert any(
        words in shown.stderr for words in ("can't be written", "is there already", "is a folder")
    )


def test_a_full_disk_leaves_a_store_that_is_read_and_goes_on(scripted, tmp_path):
    path = tmp_path / "x.db"
    right = lab.force(scripted(MODEL), QUESTIONS, lab.Budget(waits=1))
    lab.force(scripted(MODEL), QUESTIONS[:1], lab.Budget(waits=1), store=path)
    for size in (0, path.stat().st_size, path.stat().st_size + 20_000):
        with contextlib.suppress(StoreError), full_disk(size):
            lab.force(scripted(MODEL), QUESTIONS, lab.Budget(waits=1), store=path)
        assert lab.runs(path).status[0] == "finished"
        assert read_run(f"{path}#1").traces[0].ids == right[0].ids
    again = lab.force(scripted(MODEL), QUESTIONS, lab.Budget(waits=1), store=path)
    assert [t.ids for t in again] == [t.ids for t in right]


# "~", links, and what reading leaves


def test_the_home_folder_may_be_written_as_a_tilde(scripted, results, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setattr("s1lab.figures.export._drawn", lambda *_: b"<svg/>")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    engine, figure = scripted(MODEL), lab.figures.histogram({"all": [10, 20]}, "tokens")
    lab.force(engine, QUESTIONS, store="~/x.db")
    assert len(lab.runs("~/x.db")) == 1 and len(read_run("~/x.db#1").traces) == 2
    assert "nothing was done" in lab.storage.upgrade("~/x.db")
    with lab.replay("~/x.db") as replayed:
        assert lab.force(replayed, QUESTIONS[0]).error is None
    results.save("~/run.jsonl")
    results.save_harness("~/harness")
    lab.storage.import_run(read_run("~/run.jsonl"), "~/y.db")
    assert lab.diff("~/run.jsonl", "~/y.db").same == 2
    lab.figures.save(figure, "~/figures", "x")
    lab.curate.write(lab.tiny.pool(20), "~/pool.jsonl")
    assert len(lab.curate.read("~/pool.jsonl")) == 20
    aime = [{"id": n, "problem": "What?", "answer": "7", "url": "", "year": 2024} for n in range(9)]
    (home / "aime.jsonl").write_text("".join(json.dumps(row) + "\n" for row in aime))
    assert len(lab.benchmarks.load("aime24", path="~/aime.jsonl", check=False)) == 9
    shutil.copytree(Path(lab.tiny.__file__).parent / "s1-tiny", home / "model")
    assert lab.engines.model_files.locate("~/model") == str(home / "model")
    (home / "key").write_text("secret")
    assert lab.cli.options.secret("file:~/key") == "secret"
    saved = invoke("evaluate", "--n", 2, "--save", "~/a.jsonl", "--store", "~/a.db")
    assert saved.exit_code == 0, saved.stderr
    assert "is there already" in invoke("evaluate", "--n", 3, "--save", "~/a.jsonl").stderr
    chosen = ("--pool-size", 300, "--ngram", 13, "--chosen", 9)
    assert invoke("curate", *chosen, "--out", "~/c.jsonl").exit_code == 0
    assert (home / "c.jsonl.report.json").is_file()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith("~")]


def test_a_lock_holds_through_links(scripted, tmp_path):
    path = tmp_path / "x.db"
    lab.force(scripted(MODEL), QUESTIONS, store=path)
    (tmp_path / "folder").mkdir()
    links = tmp_path / "soft.db", tmp_path / "folder" / "soft.db"
    for link in links:
        link.symlink_to(path)
    (tmp_path / "folder2").symlink_to(tmp_path)
    for first, second in ((path, links[1]), (links[0], path), (path, tmp_path / "folder2/x.db")):
        store = Store(first)
        with pytest.raises(StoreError, match="being written by another run"):
            Store(second)
        store.close()
    (tmp_path / "new.db").symlink_to(tmp_path / "later.db")  # it leads to nothing yet
    store = Store(tmp_path / "new.db")
    with pytest.raises(StoreError, match="being written by another run"):
        Store(tmp_path / "later.db")
    store.close()
    store = Store(path)
    os.link(path, tmp_path / "hard.db")
    for name in ("hard.db", "x.db"):  # two logs of one file would break it
        with pytest.raises(StoreError, match=r"second name|being written"):
            Store(tmp_path / name)
    store.close()
    assert len(lab.runs(tmp_path / "hard.db")) == 1  # reading it is safe
    os.remove(tmp_path / "hard.db")
    Store(path).close()


def test_reading_leaves_nothing_behind(scripted, tmp_path):
    path = tmp_path / "x.db"
    lab.force(scripted(MODEL), QUESTIONS, store=path)
    for mode in (0o644, 0o444):
        path.chmod(mode)
        before = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
        lab.runs(path)
        read_run(path)
        lab.diff(path, path)
        with lab.replay(path) as first, lab.replay(path) as second:
            lab.force(first, QUESTIONS)
            lab.force(second, QUESTIONS)
        assert {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == before


@pytest.mark.long
def test_reading_in_the_process_of_a_run_keeps_the_locks_of_the_run(scripted, tmp_path):
    """A file that a process opens and closes loses that process' locks: SQLite must do it."""
    path = tmp_path / "x.db"
    store = Store(path)
    store.begin(scripted(MODEL), {}, 1)
    for read in (lab.runs, lambda p: lab.storage.stored_run.stored_template(p)):
        read(path)
    with contextlib.suppress(StoreError):
        read_run(path)
    uri = f"{path.as_uri()}?mode=rw"
    code = f"""
import sqlite3
db = sqlite3.connect({uri!r}, uri=True)
db.execute("SELECT count(*) FROM sqlite_master").fetchone()
db.close()
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert Path(f"{path}-wal").exists()  # the other process was not the last one
    store.close("finished")
    assert list(lab.runs(path).status) == ["finished"]


def test_a_store_without_runs_says_so(tmp_path):
    path = tmp_path / "x.db"
    Store(path).close()
    assert lab.runs(path).empty and "status" in lab.runs(path)
    shown = invoke("runs", path)
    assert shown.exit_code == 0 and shown.stdout == f"{path} has no runs yet\n"
    assert json.loads(invoke("runs", path, "--json").stdout) == []


@pytest.mark.parametrize("number", ["", "x", "-1", "1.5", "²", "１", "9" * 30, "1 ", "0", "7"])
def test_what_is_no_number_of_a_run_is_told(scripted, tmp_path, number):
    path = tmp_path / "x.db"
    lab.force(scripted(MODEL), QUESTIONS, store=path)
    shown = invoke("diff", f"{path}#{number}", f"{path}#1")
    assert shown.exit_code == 2 and str(path) in shown.stderr and shown.stderr.count("\n") == 1
    words = "has no traces of a run" if number in ("0", "7") else "is the number of a run"
    assert words in shown.stderr


def test_a_number_behind_a_saved_run_is_told_and_a_name_may_have_one(results, tmp_path):
    results.save(tmp_path / "a.jsonl")
    with pytest.raises(ValueError, match=r"a\.jsonl is no store, but one saved run: leave out #2"):
        read_run(tmp_path / "a.jsonl#2")
    results.save(tmp_path / "b.jsonl#2")
    assert len(read_run(tmp_path / "b.jsonl#2").traces) == 2
    with pytest.raises(FileNotFoundError, match="no stored run is at"):
        read_run(tmp_path / "none.db#1")


# Hostile content


@pytest.mark.parametrize(
    "change",
    [
        {"source": [["prompt", 10**10]]},
        {"source": [["prompt", 10**10], ["answer", 1 - 10**10]]},
        {"source": [["prompt", 1e10]]},
        {"source": [["prompt", True]]},
        {"source": [["prompt", "3"]]},
        {"source": [["prompt", 0]] * 10},
        {"source": 10**10},
        {"source": "prompt"},
        {"ids": 10**10},
        {"ids": [10**30]},
        {"ids": [-1]},
        {"ids": ["a"]},
        {"ids": [1.5]},
        {"ids": "abc"},
        {"logprobs": [0.5]},
        {"budget": [1]},
        {"budget": {"answer_tokens": 3, "max_tokens": "x"}},
        {"question": 7},
        {"more": 1},
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_a_hostile_run_file_costs_nothing(results, tmp_path, change, version):
    from s1lab.storage.run import FORMAT, _sealed, packed

    rows = [FORMAT | {"version": version, "made": {}, "traces": 1}, packed(results.traces[0])]
    rows[1] |= change
    path = tmp_path / "x.jsonl"
    lines = [json.dumps(row).encode() + b"\n" if version == 1 else _sealed(row) for row in rows]
    path.write_bytes(b"".join(lines))
    began = time.process_time()
    with pytest.raises(ValueError, match=r"x\.jsonl is no stored run of this version: line 2: "):
        read_run(path)
    assert time.process_time() - began < 5


def test_a_run_file_that_nests_deep_or_is_no_run_is_told(tmp_path):
    for name, text in {
        "deep": "[" * 100_000,
        "header": '{"format": "s1lab run", "version": 1, "made": ' + '{"a": ' * 100_000,
        "null": "null\n",
        "list": "[]\n",
        "binary": "\x00" * 5000,
        "number": "1" * 10_000,
        "made": '{"format": "s1lab run", "version": 1, "made": null}\n',
    }.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=f"{name} is no stored run"):
            read_run(tmp_path / name)


def rewrite(path: Path, table: str, **change) -> None:
    """Change columns of a row, with a digest that is right: as a sender would who means it."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        names = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        row = dict(zip(names, db.execute(f"SELECT * FROM {table}").fetchone(), strict=True))
        row |= change
        row["digest"] = digest(*(row[name] for name in names if name != "digest"))
        marks = ", ".join("?" * len(names))
        db.execute(f"DELETE FROM {table}")
        db.execute(f"INSERT INTO {table} VALUES ({marks})", [row[name] for name in names])


def bomb(size: int, entries: int = 1) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("class", "PreTrainedTokenizerFast")
        for n in range(entries):
            archive.writestr(f"files/{n}.json", bytes(size // entries))
    return out.getvalue()


@pytest.mark.parametrize("entries", [1, 100])
def test_a_tokenizer_that_unpacks_to_300_mb_is_refused_before_it_is(
    scripted, tmp_path, monkeypatch, entries
):
    path = tmp_path / "x.db"
    lab.force(scripted(MODEL), QUESTIONS[0], store=path)
    size = 300_000_000 if entries == 1 else 1_000_000
    if entries > 1:
        monkeypatch.setattr(tokenizers, "LARGEST_TOKENIZER", size - 1)
    rewrite(path, "models", tokenizer=bomb(size, entries))
    monkeypatch.setattr(zipfile.ZipFile, "extractall", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(StoreError, match=r"unpacked it has [13]0*,.* bytes, and at most"):
        lab.replay(path)
    assert lab.diff(path, path).same == 1  # it shows ids in place of text


def test_hostile_settings_and_views_of_a_store_are_refused(scripted, tmp_path):
    path = tmp_path / "x.db"
    lab.force(scripted(MODEL), QUESTIONS[0], store=path)
    for made in ('{"a": ' * 100_000, "[]", "null", "x"):
        rewrite(path, "runs", made=made)
        for read in (lab.runs, read_run, lab.replay):
            with pytest.raises(StoreError, match="the settings of run 1"):
                read(path)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    for sql in (
        f"CREATE VIEW more AS {endless}",
        "CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM traces; END",
    ):
        copy = Path(shutil.copy(path, tmp_path / f"{len(sql)}.db"))
        with contextlib.closing(sqlite3.connect(copy)) as db, db:
            db.execute(sql)
        for read in (lab.runs, read_run, lab.replay, Store):
            with pytest.raises(StoreError, match="which no store has"):
                read(copy)
