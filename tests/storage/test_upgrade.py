"""A store of version 0.1 is continued as it is, or rewritten whole or not at all."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import s1lab as lab
from s1lab.cli import app
from s1lab.storage import schema_upgrade
from s1lab.storage.sqlite import StoreError
from s1lab.storage.store import Store
from tests.helpers import FIXTURES, ROOT
from tests.helpers.scripted import Scripted, thinker

MODEL = thinker("1 r 1\n2 a 1\n", "3 s 1\n")
QUESTIONS = [f"How many {c} in raspberry?" for c in "raspbey"]
TABLES = ("models", "runs", "completions", "traces")
OLD = {"answer_tokens": 1024, "answer_room": 1024}
SCHEMA_1 = """
PRAGMA application_id = 0x73316C62; PRAGMA user_version = 1;
CREATE TABLE models (
    fingerprint TEXT PRIMARY KEY, name TEXT NOT NULL, template TEXT NOT NULL,
    tokenizer BLOB NOT NULL);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, started TEXT NOT NULL, made TEXT NOT NULL, semantics TEXT NOT NULL,
    questions INTEGER NOT NULL, wall_s REAL NOT NULL DEFAULT 0, reused INTEGER NOT NULL DEFAULT 0,
    status TEXT NOT NULL DEFAULT 'unfinished');
CREATE TABLE completions (
    key BLOB PRIMARY KEY, run INTEGER NOT NULL, ids BLOB NOT NULL, stop INTEGER) WITHOUT ROWID;
CREATE TABLE traces (
    run INTEGER NOT NULL, place INTEGER NOT NULL, rung INTEGER NOT NULL, correct INTEGER,
    row TEXT NOT NULL, PRIMARY KEY (run, place, rung)) WITHOUT ROWID;
"""


@pytest.fixture
def fixture(tmp_path) -> Path:
    return Path(shutil.copy(FIXTURES / "v0.1" / "store.db", tmp_path / "store.db"))


@pytest.fixture
def old(tmp_path) -> Path:
    """An empty store as version 0.1 made it."""
    with contextlib.closing(sqlite3.connect(tmp_path / "old.db")) as db:
        db.executescript(SCHEMA_1)
    return tmp_path / "old.db"


def held(path: Path, columns: str = "*") -> dict[str, list[tuple]]:
    """All rows of a store, and its schema."""
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        found = {t: db.execute(f"SELECT {columns} FROM {t}").fetchall() for t in TABLES}
        found["schema"] = db.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()
        found["version"] = db.execute("PRAGMA user_version").fetchall()
        return found


def test_the_schema_here_is_that_of_the_fixture(fixture, old):
    a, b = held(fixture), held(old)
    assert a["version"] == b["version"] == [(1,)]
    words = [["".join(sql.split()) for (sql,) in x["schema"] if sql] for x in (a, b)]
    assert words[0] == words[1]


def test_an_old_store_is_continued_as_it_is(template, old):
    before = held(old)
    lab.force(Scripted(template, MODEL), QUESTIONS[:3], store=old)
    engine = Scripted(template, MODEL)
    problems = [{"question": q, "answer": "3", "kind": "integer"} for q in QUESTIONS]
    found = lab.evaluate(engine, lab.curate.io.Dataset.from_list(problems), store=old)
    assert len(engine.requests) == 2 * 4  # three of seven were there
    after = held(old)
    assert after["schema"] == before["schema"] and after["version"] == [(1,)]
    assert [t.correct for t in lab.storage.read_run(old).traces] == found.verdicts
    assert list(lab.runs(old).completions) == [6, 8] and min(lab.runs(old).tokens) > 0
    with lab.replay(old) as engine:
        assert [t.ids for t in lab.force(engine, QUESTIONS)] == [t.ids for t in found.traces]
    # The rows are version 0.1's: its own reader takes them.
    for run, *_, correct, row in after["traces"]:
        assert "logprobs" not in json.loads(row) and correct == (1 if run == 2 else None)


def test_an_old_store_with_rows_of_01_is_continued_without_a_change_of_them(fixture, template):
    before = held(fixture)
    fingerprint, name = before["models"][0][:2]
    engine = Scripted(template, MODEL)
    engine.fingerprint, engine.model = fingerprint, name
    lab.force(engine, QUESTIONS, store=fixture)
    after = held(fixture)
    for table in TABLES:
        assert set(before[table]) <= set(after[table])
    assert after["schema"] == before["schema"]
    # A cancelled request leaves nothing: there is no place for it.
    assert "prefixes" not in str(after["schema"])


def test_an_old_store_refuses_log_probabilities_and_says_how_to_keep_them(template, old):
    engine = Scripted(template, MODEL)
    with pytest.raises(StoreError, match=r"old\.db is a store of version 0\.1.*--upgrade .*old"):
        lab.force(engine, QUESTIONS, store=old, logprobs=0)
    assert not engine.requests
    lab.storage.upgrade(old)
    lab.force(engine, QUESTIONS, store=old, logprobs=0)


def test_an_upgrade_keeps_every_row_and_every_result(fixture):
    before = held(fixture)
    runs = [lab.storage.read_run(f"{fixture}#{n}").traces for n in range(1, 9)]
    listed = lab.runs(fixture)
    said = lab.storage.upgrade(fixture)
    n = {table: len(before[table]) for table in TABLES}
    for words in (
        "had schema 1 and now has schema 2",
        f"{n['runs']} runs, {n['completions']} completions, {n['traces']} traces",
    ):
        assert words in said and "\n" not in said
    after = held(fixture)
    assert after["version"] == [(2,)]
    for table, width in zip(TABLES, (4, 8, 4, 5), strict=True):
        assert [row[:width] for row in after[table]] == before[table]
    assert all(row[-1] for t in ("models", "completions", "traces") for row in after[t])
    assert [lab.storage.read_run(f"{fixture}#{n}").traces for n in range(1, 9)] == runs
    assert lab.runs(fixture).equals(listed)
    questions = lab.tiny.problems(4, seed=0)["question"]
    with lab.replay(fixture) as engine:
        traces = lab.force(engine, questions, lab.Budget(max_tokens=40, waits=1), **OLD)
    assert [t.ids for t in traces] == [t.ids for t in runs[0]] and not any(t.error for t in traces)
    assert "nothing was done" in lab.storage.upgrade(fixture) and held(fixture) == after


def test_an_upgraded_store_has_the_tables_of_a_new_one(fixture, tmp_path):
    lab.storage.upgrade(fixture)
    Store(tmp_path / "new.db").close()

    def columns(path):
        with contextlib.closing(sqlite3.connect(path)) as db:
            tables = [*TABLES, "prefixes", "logprobs"]
            return {t: db.execute(f"PRAGMA table_info({t})").fetchall() for t in tables}

    assert columns(fixture) == columns(tmp_path / "new.db")


def test_the_command_says_what_it_did(fixture):
    shown = CliRunner().invoke(app, ["runs", str(fixture), "--upgrade"])
    assert shown.exit_code == 0 and "had schema 1 and now has schema 2" in " ".join(
        shown.stdout.split()
    )
    shown = CliRunner().invoke(app, ["runs", str(fixture), "--upgrade", "--json"])
    assert "nothing was done" in json.loads(shown.stdout)["upgrade"]


KILLED = """
import os, signal, sys
from s1lab.storage import schema_upgrade as upgrade
rows, right = 0, upgrade.digest
def digest(*columns):
    global rows
    rows += 1
    if rows == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return right(*columns)
upgrade.digest = digest
upgrade.upgrade(sys.argv[1])
"""


@pytest.mark.parametrize("rows", [1, 20, -1])
def test_an_upgrade_that_is_killed_in_the_middle_leaves_the_old_store(fixture, rows):
    before = held(fixture)
    last = 1 + len(before["completions"]) + len(before["traces"])
    command = [sys.executable, "-c", KILLED, str(fixture), str(rows if rows > 0 else last)]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert held(fixture) == before
    assert len(lab.storage.read_run(fixture).traces) == 4
    assert "now has schema 2" in lab.storage.upgrade(fixture)


def test_an_upgrade_that_fails_leaves_the_old_store(fixture, monkeypatch):
    before = held(fixture)
    steps = (*schema_upgrade.STEPS[:-1], "INSERT INTO none VALUES (1)")
    with monkeypatch.context() as patch, pytest.raises(StoreError, match="can't be used"):
        patch.setattr(schema_upgrade, "STEPS", steps)
        lab.storage.upgrade(fixture)
    assert held(fixture) == before
    assert "now has schema 2" in lab.storage.upgrade(fixture)


def test_a_store_that_is_being_written_is_not_upgraded(fixture, tmp_path):
    store, before = Store(fixture), held(fixture)
    with pytest.raises(StoreError, match="being written by another run"):
        lab.storage.upgrade(fixture)
    store.close()
    assert held(fixture) == before
    with pytest.raises(StoreError, match="no store is at"):
        lab.storage.upgrade(tmp_path / "none.db")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="is no store"):
        lab.storage.upgrade(tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "mine"
