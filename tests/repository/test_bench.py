"""The arithmetic of ``make bench``; what it measures is never asserted."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from tools import ROOT, bench, bench_rows


def invoke(*arguments, code=0):
    ran = CliRunner().invoke(bench.app, [str(argument) for argument in arguments])
    assert ran.exit_code == code, (ran.stdout, ran.stderr, ran.exception)
    return ran


def test_a_ratio_is_ours_over_the_rivals_rate_whatever_the_tokens():
    calls = []

    def work(name, seconds, tokens):
        def once():
            calls.append(name)
            time.sleep(seconds)
            return tokens

        return once

    row = bench_rows.compare("row", work("ours", 0.02, 300), work("rival", 0.02, 100), 3)
    assert calls.count("ours") == calls.count("rival") == 4  # one each to warm up
    assert calls != sorted(calls) and row["repeats"] == 3
    assert row["spread"][0] <= row["ratio"] <= row["spread"][1] and row["ratio"] > 1
    assert set(row) == {"name", "ours", "rival", "unit", "ratio", "repeats", "spread"}


def test_rows_are_kept_until_they_are_run_again(tmp_path):
    path = tmp_path / "runs" / "bench.json"
    rows = [
        {
            "name": n,
            "ours": 1,
            "rival": 1,
            "unit": "tokens/s",
            "ratio": 1.0,
            "repeats": 1,
            "spread": [1, 1],
        }
        for n in "ab"
    ]
    bench.write(rows, path)
    bench.write([rows[1] | {"ratio": 0.5}], path)
    assert [(r["name"], r["ratio"]) for r in json.loads(path.read_text())] == [
        ("a", 1.0),
        ("b", 0.5),
    ]


def test_a_row_below_what_is_asked_is_marked():
    row = {
        "name": "force-vs-plain",
        "ours": 80,
        "rival": 100,
        "unit": "tokens/s",
        "ratio": 0.8,
        "repeats": 1,
        "spread": [0.8, 0.8],
    }
    assert bench.table([row]).endswith("below") and not bench.table(
        [row | {"ratio": 0.9}]
    ).endswith("below")


def test_an_unknown_row_is_named():
    with pytest.raises(ValueError, match="force-vs-plane"):
        bench.bench(1, ["force-vs-plane"])
    assert "no row is called 'nothing'" in invoke("nothing", code=2).stderr


def test_each_row_is_kept_as_it_is_measured(monkeypatch, tmp_path):
    row = {
        "name": "sft-vs-padded",
        "ours": 2,
        "rival": 1,
        "unit": "tokens/s",
        "ratio": 2.0,
        "repeats": 1,
        "spread": [2.0, 2.0],
    }
    monkeypatch.setattr(bench, "finetune", lambda repeats: row | {"repeats": repeats})
    out = tmp_path / "runs" / "bench.json"
    found = json.loads(invoke("sft-vs-padded", "--repeats", "2", "--out", out, "--json").stdout)
    assert found["rows"] == [row | {"repeats": 2, "at_least": bench.LEAST["sft-vs-padded"]}]
    monkeypatch.setattr(
        bench,
        "against_generate",
        lambda repeats: row | {"name": "transformers-vs-generate", "ratio": 0.5},
    )

    def stopped(repeats):
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "finetune", stopped)
    said = invoke("transformers-vs-generate", "sft-vs-padded", "--out", out, code=130)
    assert (
        said.stderr == f"s1lab: interrupted: transformers-vs-generate is in {out}\n"
        and not said.stdout
    )
    assert "no row was finished" in invoke("sft-vs-padded", "--out", out, code=130).stderr
    assert {r["name"]: r["ratio"] for r in json.loads(out.read_text())} == {
        "sft-vs-padded": 2.0,
        "transformers-vs-generate": 0.5,
    }
    refused = invoke("sft-vs-padded", "--repeats", "0", code=2)
    assert not refused.stdout and "'--repeats'" in refused.stderr


def test_the_make_target_runs_the_rows_that_it_is_given():
    ran = subprocess.run(
        ["make", "-n", "bench", "ROWS=a b"], capture_output=True, text=True, cwd=ROOT
    )
    assert "-m tools.bench a b\n" in ran.stdout


def test_the_rows_on_reports_and_log_probabilities_ask_for_them_on_one_side_alone(monkeypatch):
    asked = []
    batch, complete = bench_rows._batch, bench_rows.completed

    def small(engine):
        whole = batch(engine)
        assert len(whole) == 64 and all(request.max_tokens == 200 for request in whole)
        return [replace(request, max_tokens=3) for request in whole[:2]]

    def seen(engine, requests):
        asked.append({(request.partial, request.logprobs) for request in requests})
        return complete(engine, requests)

    monkeypatch.setattr(bench_rows, "_batch", small)
    monkeypatch.setattr(bench_rows, "completed", seen)
    rows = [bench_rows.streamed(1), *(bench_rows.with_logprobs(1, k) for k in (1, 20))]
    names = ["stream-vs-whole", "logprobs-vs-none", "logprobs-vs-none-x20"]
    assert [row["name"] for row in rows] == names and set(names) <= set(bench.LEAST)
    plain = {(False, None)}
    for at, ours in enumerate(({(True, None)}, {(False, 1)}, {(False, 20)})):
        assert sorted(map(str, asked[4 * at : 4 * at + 4])) == sorted(
            map(str, [ours, plain, plain, ours])
        )
