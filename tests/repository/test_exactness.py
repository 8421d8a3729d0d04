"""``make exactness``: what is compared with what, and what is written of it."""

from __future__ import annotations

import json
import subprocess

import pytest
from typer.testing import CliRunner

from tools import ROOT, exactness
from tools.exactness import Job, Work, compared

WORK = Work(("a", "b", "c"), 8, (1, 2, 4))


def written(job: Job, work: Work):
    """Traces that depend on the engine for "b", on the precision for "c", on a batch of 1 for "a".

    vLLM has no mode that ignores the batch here.
    """
    if job.deterministic:
        raise ValueError("no such mode")
    engine, dtype = (len(job.engine), len(job.dtype))

    def traces(batch):
        return [[7, 7 + (batch == 1 and job.engine == "vllm")], [7, engine], [7, 8, 9, dtype]]

    return {batch: traces(batch) for batch in work.batches}, {"engine": job.engine}


def test_each_kind_of_difference_is_counted_alone():
    measured = exactness.exactness("m", WORK, writer=written)
    counts = {(r["what"], r["a"], r["b"]): r["differ"] for r in measured["rows"]}
    for dtype in ("float32", "bfloat16"):
        assert counts["batch size", f"transformers {dtype}, 1 at once", "4 at once"] == 0
        assert counts["batch size", f"vllm {dtype}, 1 at once", "4 at once"] == 1
        assert counts["batch size", f"vllm {dtype}, 2 at once", "4 at once"] == 0
        assert counts["engine", f"transformers {dtype}", f"vllm {dtype}"] == 1
    for engine in ("transformers", "vllm"):
        assert counts["precision", f"{engine} float32", f"{engine} bfloat16"] == 1
    assert len(counts) == 12
    assert measured["missing"] == {
        f"vllm {dtype} deterministic": "no such mode" for dtype in ("float32", "bfloat16")
    }
    assert measured["engines"]["vllm float32"] == {"engine": "vllm"}
    text = exactness.table(measured)
    assert text.count("| batch size |") == 8
    assert "Not measured: vllm bfloat16 deterministic. no such mode" in text
    assert "| precision | vllm float32 | vllm bfloat16 | 1 of 3 (33.33 %) |" in text


def test_the_first_difference_is_a_place_or_the_shorter_traces_end():
    same, other = [1, 2, 3, 4], [1, 2, 9, 4]
    row = compared("x", "a", "b", [same, same, same], [same, other, same[:3]])
    assert (row["differ"], row["of"], row["first_at"]) == (2, 3, 2.5)
    assert row["interval"][0] < row["percent"] < row["interval"][1]
    none = compared("x", "a", "b", [same] * 4, [same] * 4)
    assert none["differ"] == 0 and none["first_at"] is None and none["interval"][1] > 40


@pytest.mark.parametrize("work", [Work((), 8, (1,)), Work(("a",), 8, ()), Work(("a",), 8, (0,))])
def test_nothing_to_measure_is_refused(work):
    with pytest.raises(ValueError, match="at least"):
        exactness.exactness("m", work, writer=written)


def invoke(*arguments, code=0):
    ran = CliRunner().invoke(exactness.app, [str(argument) for argument in arguments])
    assert ran.exit_code == code, (ran.stdout, ran.stderr, ran.exception)
    return ran


@pytest.mark.long
def test_a_model_is_measured_and_the_table_is_written(tmp_path):
    out = tmp_path / "runs" / "exactness.json"
    given = ("s1-tiny", "--engine", "transformers", "--questions", 3, "--tokens", 8)
    ran = invoke(*given, "--batches", "2,1", "--out", out)
    measured = json.loads(out.read_text())
    assert [row["what"] for row in measured["rows"]] == ["batch size", "batch size", "precision"]
    assert measured["rows"][0]["differ"] == 0 and measured["rows"][0]["of"] == 3  # float32
    assert measured["engines"]["transformers bfloat16"]["dtype"] == "bfloat16"
    assert out.with_suffix(".md").read_text() in ran.stdout


def test_a_wrong_list_of_batches_is_named():
    assert "--batches 'x' is no list" in invoke("m", "--batches", "x", code=2).stderr


def test_the_make_target_names_the_model():
    command = ["make", "-n", "exactness", "MODEL=m", "ARGS=--questions 9"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert '-m tools.exactness "m" --questions 9\n' in ran.stdout
