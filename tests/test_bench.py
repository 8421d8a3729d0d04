"""The arithmetic of ``make bench``; what it measures is never asserted."""

from __future__ import annotations

import json
import time

import pytest
from typer.testing import CliRunner

from s1lab.cli import app
from tools import bench


def test_a_ratio_is_ours_over_the_rivals_rate_whatever_the_tokens():
    calls = []

    def work(name, seconds, tokens):
        def once():
            calls.append(name)
            time.sleep(seconds)
            return tokens

        return once

    row = bench.compare("row", work("ours", 0.02, 300), work("rival", 0.02, 100), 3)
    assert calls.count("ours") == calls.count("rival") == 4  # one each to warm up
    assert calls != sorted(calls) and row["repeats"] == 3
    assert row["spread"][0] <= row["ratio"] <= row["spread"][1] and row["ratio"] > 1
    assert set(row) == {"name", "ours", "rival", "unit", "ratio", "repeats", "spread"}


def test_rows_are_kept_until_they_are_run_again(tmp_path):
    path = tmp_path / "runs" / "bench.json"
    rows = [{"name": n, "ours": 1, "rival": 1, "unit": "tokens/s", "ratio": 1.0, "repeats": 1, "spread": [1, 1]} for n in "ab"]
    bench.write(rows, path)
    bench.write([rows[1] | {"ratio": 0.5}], path)
    assert [(r["name"], r["ratio"]) for r in json.loads(path.read_text())] == [("a", 1.0), ("b", 0.5)]


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
    assert bench.table([row]).endswith("below") and not bench.table([row | {"ratio": 0.9}]).endswith("below")


def test_an_unknown_row_is_named():
    with pytest.raises(ValueError, match="force-vs-plane"):
        bench.bench(1, ["force-vs-plane"])
    ran = CliRunner().invoke(app, ["bench", "nothing"])
    assert ran.exit_code == 2 and "no row is called 'nothing'" in ran.stderr
