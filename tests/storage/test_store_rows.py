"""What a row of a store promises: a changed one is named, log-probabilities come back bit for bit,
and a cancelled request goes on where it was.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import shutil
import sqlite3
import struct
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset

import s1lab as lab
from s1lab.engine import Completion, Logprobs, Progress, Request
from s1lab.storage.completion_row import look_up, resumable
from s1lab.storage.replay import Recorded, recording
from s1lab.storage.run_table import run_rows
from s1lab.storage.sqlite import StoreError
from s1lab.storage.store import Store
from s1lab.storage.stored_run import _stored_trace
from tests.helpers.scripted import ANSWER, THINK, Scripted

QUESTIONS = [f"How many {c} in raspberry?" for c in "raspbey"]
BUDGET = lab.Budget(waits=1, max_tokens=60)
THOUGHTS, REPLY = ("1 r 1\n2 a 1\n", "3 s 1\n"), "Answer: 3"


def says(text: str) -> str:
    """A model that thinks as told, and goes on from any place within its text."""
    if ANSWER in text:
        return REPLY[len(text.split(ANSWER)[1]) :] + "<|im_end|>"
    thought = text.split(THINK)[1]
    whole = THOUGHTS[0] if "Wait" not in thought else "Wait".join(THOUGHTS)
    return whole[len(thought) :] + "<|im_start|>"


class Likely(Scripted):
    """A scripted engine with log-probabilities of any bits."""

    def poll(self):
        told = super().poll()
        for place, (key, what) in enumerate(told):
            rows = len(what.ids) + (getattr(what, "stop_id", None) is not None)
            rng = np.random.default_rng(what.ids)
            # From -2 to -1: every bit of the fraction counts.
            bits = rng.integers(0xBF800000, 0xC0000000, (2, rows, 3), dtype=np.uint32)
            sampled, top = bits.view(np.float32)
            ids = rng.integers(0, 300, (rows, 3), dtype=np.int32)
            told[place] = (
                key,
                type(what)(**{**vars(what), "logprobs": Logprobs(sampled[:, 0], ids, top)}),
            )
        return told


@pytest.fixture
def store(template, tmp_path) -> Path:
    """A store with completions, traces and verdicts, each with its log-probabilities."""
    path, engine = tmp_path / "x.db", Likely(template, says)
    with recording(path, engine, {}, len(QUESTIONS)) as record:
        lab.force(engine, QUESTIONS, BUDGET, store=record, logprobs=3)
        record.grade([True] * len(QUESTIONS))
    return path


def plain(template) -> list[lab.Trace]:
    return lab.force(Likely(template, says), QUESTIONS, BUDGET, logprobs=3)


def same(a, b) -> bool:
    bits = [np.array(t.logprobs, np.float32).tobytes() for t in (a, b)]
    return (a.ids, a.source, a.answer) == (b.ids, b.source, b.answer) and bits[0] == bits[1]


def flipped(value):
    """A value with each of its bits turned, one at a time."""
    if value is None:
        yield 0
    elif isinstance(value, int):
        yield from (value ^ 1 << bit for bit in range(63))
    else:
        for bit in range(8 * len(value)):
            turned = bytearray(value)
            turned[bit // 8] ^= 1 << bit % 8
            yield bytes(turned)


def sampled_rows(db, table, columns, n, seed=0):
    rows = db.execute(f"SELECT {columns} FROM {table}").fetchall()
    return random.Random(seed).sample(rows, min(n, len(rows)))


def test_each_flipped_bit_of_a_completion_is_named(store):
    names = ("key", "run", "ids", "stop", "digest", "packed")
    count = 0
    with contextlib.closing(sqlite3.connect(store, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        joined = "completions JOIN logprobs USING (key)"
        for row in sampled_rows(db, joined, ", ".join(names), 3):
            key = row[0]
            assert look_up(db, store, 2, key).logprobs
            for place, name in enumerate(names):
                table = "logprobs" if name == "packed" else "completions"
                for value in flipped(row[place]):
                    db.execute("BEGIN")
                    db.execute(f"UPDATE {table} SET {name} = ? WHERE key = ?", (value, key))
                    with pytest.raises(StoreError, match=r"of run \d+ was changed on disk"):
                        look_up(db, store, 2, value if name == "key" else key)
                    db.execute("ROLLBACK")
                    count += 1
            db.execute("BEGIN")
            db.execute("DELETE FROM logprobs WHERE key = ?", (key,))
            with pytest.raises(StoreError, match="was changed on disk"):
                look_up(db, store, 2, key)
            db.execute("ROLLBACK")
    assert count > 3000


def test_each_flipped_bit_of_a_trace_is_named(store):
    names = ("run", "place", "rung", "correct", "CAST(row AS BLOB)", "logprobs", "digest")
    with contextlib.closing(sqlite3.connect(store)) as db:
        rows = sampled_rows(db, "traces", ", ".join(names), 2)
    for row in rows:
        assert _stored_trace(store, *row).correct is True
        for place in range(len(names)):
            for value in flipped(row[place]):
                with pytest.raises(StoreError, match=r"the trace \d+.\d+ of run \d+ "):
                    _stored_trace(store, *row[:place], value, *row[place + 1 :])


def damage(path: Path, table: str, which: int = 0) -> None:
    """Turn one bit of the ids of a row."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        key, ids = db.execute(f"SELECT key, ids FROM {table} ORDER BY key").fetchall()[which]
        turned = bytes([ids[0] ^ 1, *ids[1:]])
        db.execute(f"UPDATE {table} SET ids = ? WHERE key = ?", (turned, key))


def test_a_changed_completion_is_refused_in_a_replay_and_asked_again_by_a_run(template, store):
    damage(store, "completions", 3)
    with lab.replay(store) as engine:
        traces = lab.force(engine, QUESTIONS, BUDGET, logprobs=3)
    errors = [t.error for t in traces if t.error]
    assert len(errors) == 1 and "was changed on disk" in errors[0] and "'scripted'" in errors[0]
    assert all(same(t, p) for t, p in zip(traces, plain(template), strict=True) if not t.error)
    engine = Likely(template, says)
    with pytest.warns(UserWarning, match=r"x\.db: the completion .* of run 1 was changed on disk"):
        again = lab.force(engine, QUESTIONS, BUDGET, store=store, logprobs=3)
    assert len(engine.requests) == 1
    assert all(map(same, again, plain(template)))
    with lab.replay(store) as engine, warnings.catch_warnings():  # and it is whole again
        warnings.simplefilter("error")
        assert all(map(same, lab.force(engine, QUESTIONS, BUDGET, logprobs=3), plain(template)))


def test_a_store_with_any_flipped_bit_gives_the_same_or_an_error(template, store, tmp_path):
    """Anywhere in the file: in a row, a page's header, the tokenizer, the schema, the runs."""
    content, rng, right = store.read_bytes(), random.Random(22), plain(template)
    run, table = lab.storage.read_run(store), lab.runs(store)
    assert all(trace.correct for trace in run.traces) and run.made["model"]
    path, named = tmp_path / "turned.db", Counter()
    for number in range(400):
        turned = bytearray(content)
        # Half of them in the first pages, which hold the header, the schema and the runs.
        place = rng.randrange(len(content) if number % 2 else 6 * 4096)
        turned[place] ^= 1 << rng.randrange(8)
        path.write_bytes(turned)
        try:
            found = lab.storage.read_run(path)
            assert found.traces == run.traces and found.made == run.made
        except StoreError:
            named["run"] += 1
        try:
            assert lab.runs(path).equals(table)
        except StoreError:
            named["table"] += 1
        if number % 8:
            continue
        try:
            with lab.replay(path) as engine:
                for trace, there in zip(
                    lab.force(engine, QUESTIONS, BUDGET, logprobs=3), right, strict=True
                ):
                    assert trace.error or same(trace, there)
        except StoreError:
            named["replay"] += 1
    assert min(named["run"], named["table"]) > 15


def test_each_flipped_bit_of_a_run_is_named(store):
    with contextlib.closing(sqlite3.connect(store, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        names = [row[1] for row in db.execute("PRAGMA table_info(runs)")]
        (row,) = db.execute("SELECT * FROM runs").fetchall()
        assert run_rows(db, store)[0].traces == len(QUESTIONS)
        for name, there in zip(names, row, strict=True):
            value = struct.pack("<d", there) if isinstance(there, float) else there
            value = value.encode() if isinstance(value, str) else value
            for turned in flipped(value):
                if isinstance(there, float):
                    turned = struct.unpack("<d", turned)[0]
                if isinstance(there, str):
                    turned = turned.decode(errors="replace")
                db.execute("BEGIN")
                db.execute(f"UPDATE runs SET {name} = ?", (turned,))
                with pytest.raises((StoreError, sqlite3.IntegrityError), match=r"changed|NULL"):
                    run_rows(db, store)
                db.execute("ROLLBACK")


@pytest.mark.parametrize("table", ["traces", "runs", "state"])
def test_a_row_that_is_gone_is_missed(store, table):
    with contextlib.closing(sqlite3.connect(store)) as db, db:
        db.execute(
            f"DELETE FROM {table} WHERE rowid IN (SELECT max(rowid) FROM {table})"
            if table != "traces"
            else "DELETE FROM traces WHERE place = 3"
        )
    for read in (lab.storage.read_run, lab.runs, lab.replay):
        with pytest.raises(StoreError, match=r"changed on disk|not those that were written"):
            read(store)


def test_each_flipped_bit_of_a_saved_run_is_named(store, tmp_path):
    run = lab.storage.read_run(store)
    content, rng = run.save(tmp_path / "x.jsonl").read_bytes(), random.Random(5)
    path = tmp_path / "turned.jsonl"
    for _ in range(400):
        turned = bytearray(content)
        turned[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(turned)
        with pytest.raises(ValueError, match=r"turned\.jsonl (is no|has)"):
            found = lab.storage.read_run(path)
            # The newline behind the last line may turn into another space.
            assert (found.traces, found.made) == (run.traces, run.made)
            raise ValueError("turned.jsonl is no other run")
    lines = content.splitlines(keepends=True)
    for part in (lines[:-1], [*lines, lines[-1]], lines[:1], lines[1:]):
        path.write_bytes(b"".join(part))
        with pytest.raises(ValueError, match=r"traces of the|no stored run"):
            lab.storage.read_run(path)
    path.write_bytes(content.replace(b"\n", b"\r\n"))  # as some tools make of it
    assert lab.storage.read_run(path).traces == run.traces


def test_log_probabilities_come_back_bit_for_bit(template, tmp_path):
    rng = np.random.default_rng(0)
    given = {}
    store = Store(tmp_path / "x.db")
    store.begin(Likely(template, says), {}, 1)
    for k in (0, 1, 20):
        for rows in (0, 1, 7):
            bits = rng.integers(0, 2**32, (2, rows, k + 1), dtype=np.uint32)  # NaN and inf too
            bits[0, :, 0] = 0x80000000  # -0.0
            values = bits.view(np.float32)
            ids = rng.integers(0, 2**31 - 1, (rows, k), dtype=np.int32)
            key = b"%d %d" % (k, rows)
            given[key] = Logprobs(values[0, :, 0], ids, values[1, :, 1:])
            store.put(key, Completion(tuple(range(rows)), logprobs=given[key]))
    store.put(b"none", Completion((1, 2)))
    store.close("finished")
    store = Store(tmp_path / "x.db")
    for key, logprobs in given.items():
        found = store.get(key).logprobs
        for name in ("sampled", "ids", "top"):
            a, b = getattr(found, name), getattr(logprobs, name)
            assert a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
    assert store.get(b"none").logprobs is None
    store.close()


def test_a_trace_s_log_probabilities_travel_bit_for_bit(template, store, tmp_path):
    right = plain(template)
    assert any(np.isnan(right[0].logprobs)) and not all(np.isnan(right[0].logprobs))
    run = lab.storage.read_run(store)
    lines = lab.storage.read_run(run.save(tmp_path / "run.jsonl"))
    run.to_dataset().to_parquet(tmp_path / "run.parquet")
    table = Dataset.from_parquet(str(tmp_path / "run.parquet"))
    rows = lab.storage.Run.from_dataset(table)
    lab.storage.import_run(lines, tmp_path / "other.db")
    other = lab.storage.read_run(tmp_path / "other.db")
    for found in (run, lines, rows, other):
        assert all(map(same, found.traces, right))
        assert found.traces == run.traces
    assert "NaN" not in (tmp_path / "run.jsonl").read_text()
    without = lab.force(Scripted(template, says), QUESTIONS[0], BUDGET, store=tmp_path / "n.db")
    assert not without.logprobs
    text = lab.storage.read_run(tmp_path / "n.db").save(tmp_path / "n.jsonl").read_text()
    assert "logprobs" not in text


def test_log_probabilities_are_stored_for_those_who_ask(template, store):
    for k, asked in ((3, 0), (2, 3), (2, 0)):
        engine = Likely(template, says)
        trace = lab.force(engine, QUESTIONS[0], BUDGET, store=store, logprobs=k)
        assert len(engine.requests) == asked and len(trace.logprobs) == len(trace.ids)


# Prefixes of cancelled requests


class Stops(Scripted):
    """Ctrl-C at the n-th poll. A cancelled request has written half of its ids."""

    def __init__(self, template, say, polls):
        super().__init__(template, say)
        self.polls = polls

    def poll(self):
        self.polls -= 1
        if self.polls < 0:
            raise KeyboardInterrupt
        return super().poll()


class Slow(Likely):
    """Nothing is finished while it is held."""

    held = False

    def poll(self):
        return [] if self.held else super().poll()

    def cancel(self, keys=None):
        written = super().cancel(keys)
        rows = {k: [(-0.5, [1, 2, 3], [-0.5, -1.0, -2.0])] * len(d.ids) for k, d in written.items()}
        return {
            k: Completion(d.ids, cancelled=True, logprobs=Logprobs.of(rows[k], 3))
            for k, d in written.items()
        }


@pytest.mark.parametrize("polls", [0, 2, 9])
def test_a_resumed_run_asks_only_for_the_rest(template, tmp_path, polls):
    path = tmp_path / "x.db"
    whole = Scripted(template, says)
    right = lab.force(whole, QUESTIONS, BUDGET)
    with pytest.raises(lab.questions.Interrupted):
        lab.force(Stops(template, says, polls), QUESTIONS, BUDGET, store=path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        begun = db.execute("SELECT count(*) FROM prefixes").fetchone()[0]
    assert begun == len(QUESTIONS)
    again = Scripted(template, says)
    traces = lab.force(again, QUESTIONS, BUDGET, store=path)
    for trace, there in zip(traces, right, strict=True):
        assert (trace.ids, trace.source, trace.answer) == (there.ids, there.source, there.answer)
    asked = {r.ids for r in whole.requests}
    longer = [r for r in again.requests if r.ids not in asked]
    assert len(longer) == begun
    for request in longer:  # the limits are those of the whole request
        begins = [r for r in whole.requests if request.ids[: len(r.ids)] == r.ids]
        first = max(begins, key=lambda r: len(r.ids))
        assert len(first.ids) + first.max_tokens == len(request.ids) + request.max_tokens
    written = sum(t.sampled_tokens for t in right)
    assert lab.runs(path).tokens.sum() == written and lab.runs(path).tokens[1] < written
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM prefixes").fetchone()[0] == 0
    with lab.replay(path) as engine:
        assert [t.ids for t in lab.force(engine, QUESTIONS, BUDGET)] == [t.ids for t in right]


@pytest.mark.parametrize(
    ("field", "value", "goes_on"),
    [
        ("max_tokens", 8, True),
        ("repetition_penalty", 1.2, True),  # it looks at all ids, whoever wrote them
        ("banned", frozenset({7}), True),
        ("presence_penalty", 0.5, False),
        ("frequency_penalty", 0.5, False),
        ("temperature", 0.5, False),
    ],
)
def test_which_requests_can_go_on(field, value, goes_on):
    request = Request((1,), max_tokens=4, stop=frozenset())
    assert resumable(replace(request, **{field: value})) is goes_on


def recorded(template, path):
    store = Store(path)
    engine = Slow(template, says)
    store.begin(engine, {}, 1)
    return Recorded(engine, store), engine, store


def cancelled(engine, inner, request) -> Completion:
    """Ask, let the engine begin, and cancel."""
    inner.held = True
    engine.submit(0, request)
    engine.poll()
    engine.poll()  # the first one may only tell what was there before
    inner.held = False
    return engine.cancel([0])[0]


def ask(template, **options) -> Request:
    prompt = template.prompt(QUESTIONS[0])
    ids = (*prompt, *template.open_ids(prompt))
    return Request(ids, 40, template.think_stop, **options)


def finish(engine, keys):
    done, reports = {}, {}
    while len(done) < keys:
        for key, what in engine.poll():
            if isinstance(what, Progress):
                reports.setdefault(key, []).extend(what.ids)
            else:
                done[key] = what
    return done, reports


def test_reports_begin_with_what_was_written_before(template, tmp_path):
    engine, inner, store = recorded(template, tmp_path / "x.db")
    request = ask(template, partial=True, logprobs=3, min_tokens=4)
    first = cancelled(engine, inner, request)
    assert first.cancelled and first.ids
    engine.submit(1, request)  # in the same run, before anything was flushed
    done, reports = finish(engine, 1)
    assert inner.requests[-1].ids == request.ids + first.ids
    assert inner.requests[-1].min_tokens == max(0, 4 - len(first.ids))
    assert tuple(reports[1]) == done[1].ids[: len(reports[1])] and len(reports[1]) > len(first.ids)
    assert len(done[1].logprobs) == len(done[1].ids) + 1
    assert done[1].logprobs.sampled[: len(first.ids)].tolist() == first.logprobs.sampled.tolist()
    engine.close()
    store.close("finished")


def test_a_request_cancelled_twice_keeps_the_longer_beginning(template, tmp_path):
    path = tmp_path / "x.db"
    request, lengths = ask(template, logprobs=3), []
    for _ in range(3):
        engine, inner, store = recorded(template, path)
        lengths.append(len(cancelled(engine, inner, request).ids))
        engine.close()
        store.close("interrupted")
    assert lengths == sorted(set(lengths))
    assert list(lab.runs(path).tokens) == [b - a for a, b in itertools.pairwise([0, *lengths])]


def test_a_sampled_request_begins_anew(template, tmp_path):
    path = tmp_path / "x.db"
    request = ask(template, temperature=0.7, seed=4, logprobs=3)
    engine, inner, store = recorded(template, path)
    written = len(cancelled(engine, inner, request).ids)
    cancelled(engine, inner, request)
    assert inner.requests == [request, request]
    engine.close()
    store.close("interrupted")
    assert lab.runs(path).tokens[0] == 2 * written


def test_a_changed_beginning_is_named_and_not_used(template, tmp_path):
    path = tmp_path / "x.db"
    for warns in (False, True):
        engine, inner, store = recorded(template, path)
        with pytest.warns(UserWarning, match="was changed") if warns else contextlib.nullcontext():
            cancelled(engine, inner, ask(template, logprobs=3))
        assert inner.requests == [ask(template, logprobs=3)]
        engine.close()
        store.close("interrupted")
        damage(path, "prefixes")


def test_an_interrupted_run_on_a_real_engine_goes_on_with_the_same_ids(tiny, tmp_path, monkeypatch):
    path, budget = tmp_path / "x.db", lab.Budget(max_tokens=60)
    before = tiny.counts["sampled"]
    right = lab.force(tiny, QUESTIONS[:4], budget)
    written = tiny.counts["sampled"] - before
    poll, left = tiny.poll, iter(range(20))

    def stops():
        if next(left, None) is None:
            raise KeyboardInterrupt
        return poll()

    before = tiny.counts["sampled"]
    with monkeypatch.context() as patch, pytest.raises(lab.questions.Interrupted):
        patch.setattr(tiny, "poll", stops)
        lab.force(tiny, QUESTIONS[:4], budget, store=path)
    traces = lab.force(tiny, QUESTIONS[:4], budget, store=path)
    assert [t.ids for t in traces] == [t.ids for t in right]
    assert tiny.counts["sampled"] - before == written  # nothing was written twice
    assert 0 < lab.runs(path).tokens[0] < written == lab.runs(path).tokens.sum()


# One file


def test_after_a_run_the_store_is_one_file_though_a_reader_holds_it(template, tmp_path):
    path, moved = tmp_path / "x.db", tmp_path / "moved" / "x.db"
    lab.force(Likely(template, says), QUESTIONS[0], BUDGET, store=path)
    with lab.replay(path):
        lab.force(Likely(template, says), QUESTIONS, BUDGET, store=path)
        moved.parent.mkdir()
        shutil.copy(path, moved)
    assert len(lab.storage.read_run(moved).traces) == len(QUESTIONS)


def test_a_copy_of_a_run_under_way_is_refused_without_its_log(template, tmp_path):
    engine, _, store = recorded(template, tmp_path / "x.db")
    engine.close()
    store.put(b"key", Completion((1, 2)))
    store.flush()
    (tmp_path / "copy").mkdir()
    copy = Path(shutil.copy(store.path, tmp_path / "copy" / "y.db"))
    before = copy.read_bytes()
    for read in (lab.runs, lab.storage.read_run, lab.replay):
        with pytest.raises(StoreError, match=r"y\.db is only a part.* y\.db-wal.* --upgrade"):
            read(copy)
    assert copy.read_bytes() == before and [p.name for p in copy.parent.iterdir()] == ["y.db"]
    assert list(lab.runs(store.path).status) == ["unfinished"]  # its log is beside this one
    both = tmp_path / "both"
    both.mkdir()
    for name in ("x.db", "x.db-wal"):
        shutil.copy(tmp_path / name, both / name)
    assert list(lab.runs(both / "x.db").completions) == [1]
    store.close("finished")
    assert "without the newest part" in lab.storage.upgrade(copy)
    assert list(lab.runs(copy).completions) == [0]
    assert "nothing was done" in lab.storage.upgrade(copy)


def test_a_run_goes_on_from_a_part_with_a_warning_and_ends_whole(template, tmp_path):
    engine, _, store = recorded(template, tmp_path / "x.db")
    engine.close()
    copy = Path(shutil.copy(store.path, tmp_path / "y.db"))
    store.close("finished")
    with pytest.warns(UserWarning, match=r"y\.db is only a part.*asked for again"):
        lab.force(Likely(template, says), QUESTIONS, BUDGET, store=copy, logprobs=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(lab.runs(copy).status) == ["unfinished", "finished"]
        lab.force(Likely(template, says), QUESTIONS, BUDGET, store=copy, logprobs=3)


def test_a_killed_run_is_one_file_again_after_the_next_one(template, tmp_path):
    engine, _, store = recorded(template, tmp_path / "x.db")
    engine.close()
    store.put(b"key", Completion((1, 2)))
    store.flush()
    killed = tmp_path / "killed"
    killed.mkdir()
    for name in ("x.db", "x.db-wal"):
        shutil.copy(tmp_path / name, killed / name)
    store.close("finished")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Store(killed / "x.db").close()
        assert not (killed / "x.db-wal").exists()
        assert list(lab.runs(killed / "x.db").completions) == [1]


def test_a_log_that_can_not_be_read_is_not_left_out_in_silence(template, tmp_path, monkeypatch):
    engine, _, store = recorded(template, tmp_path / "x.db")
    engine.close()
    store.put(b"key", Completion((1, 2)))
    store.flush()
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(StoreError, match=r"x\.db-wal holds the newest part of x\.db"):
        lab.runs(store.path)
    monkeypatch.undo()
    store.close("finished")
    monkeypatch.setattr("os.access", lambda *_: False)
    assert lab.runs(store.path).tokens[0] == 2
