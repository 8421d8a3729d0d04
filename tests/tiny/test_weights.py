"""The embedded models as they ship: small, loadable by anything, and what their record says they
are.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import s1lab as lab
from s1lab.tiny.world import BENCHMARK_SEED, split_of
from tools.tiny import bars
from tools.tiny.card import card

FOLDER = Path(lab.tiny.__file__).parent
NAMES = ("s1-tiny", "s1-tiny-base")
MADE = json.loads((FOLDER / "made.json").read_text())


def test_both_models_together_are_below_12_mb_and_hold_nothing_executable():
    files = [f for name in NAMES for f in (FOLDER / name).iterdir()]
    assert sum(f.stat().st_size for f in files) < 12e6
    assert {f.suffix for f in files} <= {".safetensors", ".json", ".jinja", ".md"}


@pytest.mark.parametrize("name", NAMES)
def test_transformers_loads_them_as_they_are(name):
    model = AutoModelForCausalLM.from_pretrained(FOLDER / name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(FOLDER / name)
    assert (
        type(model).__name__ == "Qwen2ForCausalLM" and model.config.max_position_embeddings == 4096
    )
    assert (
        tokenizer.eos_token == "<|im_end|>"
        and tokenizer.eos_token_id == model.generation_config.eos_token_id
    )
    own = lab.load(name).template.tokenizer
    for question in [*lab.tiny.problems(60)["question"], "你好, what's this?\n\n\tx = <b>3</b>"]:
        turns = [{"role": "user", "content": question}]
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        assert tokenizer.encode(text) == own.encode(text)
        assert tokenizer.decode(tokenizer.encode(question)) == question


def test_the_record_says_that_every_bar_held_on_test_questions():
    measured = MADE["measured"]
    assert (
        measured["split"] == "test"
        and measured["questions"] == 500
        and measured["seed"] == BENCHMARK_SEED
    )
    assert measured["bars"] == json.loads(
        json.dumps(bars.verdicts(measured["base_without_thinking"], measured["rungs"]))
    )
    assert all(verdict["holds"] for verdict in measured["bars"].values())
    assert {split_of(q) for q in lab.tiny.problems(500, BENCHMARK_SEED)["question"]} == {"test"}


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "budget"),
    [
        ("cap 32", lab.Budget(max_tokens=32)),
        ("own stop", lab.Budget()),
        ("waits 2", lab.Budget(waits=2)),
    ],
)
def test_the_record_is_what_the_shipped_weights_do(tiny, name, budget):
    """Question by question on the first 150; another processor may turn an answer, hence two of
    them are let off.
    """
    found = lab.evaluate(tiny, lab.tiny.problems(150, BENCHMARK_SEED), budget, progress=False)
    recorded = [float(c) for c in MADE["measured"]["rungs"][name]["correct"][:150]]
    assert sum(a != b for a, b in zip(found.correct, recorded, strict=True)) <= 2


@pytest.mark.parametrize("question", ["How many r in raspberry", "How many r in raspberry?"])
def test_raspberry_comes_to_three(tiny, question):
    own, waited = (lab.force(tiny, question, lab.Budget(waits=w)).answer for w in (0, 1))
    assert "3" in (lab.grade.extract(own, "integer"), lab.grade.extract(waited, "integer"))


@pytest.mark.parametrize("name", NAMES)
def test_the_cards_are_written_from_the_record(name):
    assert (FOLDER / name / "README.md").read_text(encoding="utf-8") == card(name, MADE)


@pytest.mark.long
def test_a_wheel_carries_the_models_and_they_load_from_it_offline(wheel, tmp_path):
    site = tmp_path / "a place with spaces"
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        "import s1lab as lab, sys; e = lab.load('s1-tiny'); "
        "t = lab.force(e, 'How many r in raspberry?', lab.Budget(waits=1));"
        "print(lab.__file__); print(t.answer)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(site), "PATH": "", "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)},
    )
    assert ran.returncode == 0, ran.stderr
    where, answer = ran.stdout.strip().splitlines()
    assert where.startswith(str(site)) and answer.startswith("Answer:")
