"""A real model: SmolLM2 on transformers and on vLLM writes the same ids, in float32.

It shows what the embedded model is too small to show: a real vocabulary and real heads, and a model
that comes from a GGUF file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import s1lab as lab
from tests.conformance.smollm2 import BUDGETS, QUESTIONS
from tests.helpers import ROOT

# One after the other: each holds 1.5 GB and uses every core.
pytestmark = pytest.mark.xdist_group("smollm2")
CASES = [*BUDGETS, "no thinking", "rungs"]
Found = dict[str, Any]


@pytest.fixture(scope="module")
def on(smollm2_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Found]:
    """What an engine made of the cases, in a process of its own."""
    folder = tmp_path_factory.mktemp("smollm2")

    @cache
    def run(engine: str) -> Found:
        if engine == "vllm":
            pytest.importorskip("vllm")
        command = [sys.executable, "-m", "tests.conformance.smollm2", engine, str(folder / engine)]
        env = os.environ | {"VLLM_LOGGING_LEVEL": "ERROR", "XDG_CACHE_HOME": str(smollm2_cache)}
        done = subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=400
        )
        assert done.returncode == 0, done.stderr[-3000:]
        found: Found = json.loads((folder / engine).read_text())
        return found

    return run


@pytest.mark.parametrize("case", CASES)
def test_vllm_writes_the_ids_of_transformers(on, case):
    assert on("vllm")[case] == on("transformers")[case]


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_on_each_engine_the_budget_holds_and_a_sample_is_the_same_alone(on, engine):
    found = on(engine)
    assert found["model"][0] == "smollm2" and "float32" in found["model"][2]
    for name, budget in BUDGETS.items():
        for row in found[name]:
            assert row["error"] is None
            # A minimum suppresses stops too.
            assert budget.min_tokens or row["waits"] <= budget.waits
            assert len(row["ids"]) == len(row["source"])
            assert row["cut"] or row["thinking"] >= budget.min_tokens
            assert row["thinking"] <= budget.max_tokens
    assert {row["waits"] for row in found["two waits"]} & {1, 2}
    assert found["sampled"] == found["sampled again"]
    assert found["sampled"][1] == found["sampled alone"][0]
    assert len({tuple(row["ids"]) for row in found["sampled"]}) == len(QUESTIONS)
    assert found["ladder"] == found["rungs"]


def test_both_engines_have_the_same_model(on):
    assert on("vllm")["model"] == on("transformers")["model"]


ADAPTED = """
import json, sys
import s1lab as lab
asked = lab.smol.benchmark().select(range(12))
with lab.load("s1-smol", engine="transformers", max_model_len=1_024) as engine:
    found = lab.evaluate(engine, asked, answer_tokens=64, progress=False)
json.dump([found.correct, [t.thinking_tokens for t in found.traces], engine.model], sys.stdout)
"""


def test_s1_smol_is_what_its_record_says(smollm2_cache):
    """The record was made on vLLM. Another rounding may turn one answer of twelve."""
    env = os.environ | {"XDG_CACHE_HOME": str(smollm2_cache)}
    done = subprocess.run(
        [sys.executable, "-c", ADAPTED], cwd=ROOT, env=env, capture_output=True, text=True,
        timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    correct, tokens, name = json.loads(done.stdout)
    kept = lab.smol.measured()["s1-smol"]["rungs"]["own stop"]
    recorded = [float(digit) for digit in kept["correct"][:12]]
    assert name == "s1-smol" and set(recorded) == {0, 1}
    assert sum(a != b for a, b in zip(correct, recorded, strict=True)) <= 1
    assert sum(a != b for a, b in zip(tokens, kept["thinking_tokens"], strict=False)) <= 3
