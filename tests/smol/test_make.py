"""How s1-smol was made and measured: its rival's data, and what ships."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from safetensors import safe_open
from safetensors.torch import save_file

import s1lab as lab
from s1lab import sft
from s1lab.engines.adapter_files import BASE, CONFIG, WEIGHTS
from s1lab.engines.model_names import ADAPTED
from s1lab.smol.record import measured
from s1lab.smol.teachers import ANSWER
from tools.smol.card import card
from tools.smol.data import PATIENCE, guess, taught
from tools.smol.make import rounded
from tools.smol.measure import CAPS, WAITS, bars, outcomes

FOLDER = Path(lab.smol.__file__).parent
SHIPPED = [name for name in ADAPTED if (FOLDER / name).is_dir()]
LINES = [f"{n} dogs: {n}." for n in range(1, 9)]
ROW = {
    "question": "How many legs?", "family": "leg_counting", "answer": "8",
    "thinking": "\n".join(LINES), "attempt": f"{ANSWER}8",
}  # fmt: skip
SHORT = ROW | {"question": "How many arms?", "thinking": "2 men: 4.\nSo 4.", "attempt": "4"}
WORDS = ("Wait", "Hmm", "Alternatively")


def words(row: dict[str, Any]) -> int:
    return sum(len(row[name].split()) for name in ("question", "thinking", "attempt"))


@pytest.fixture(scope="module")
def source() -> Dataset:
    return Dataset.from_list([ROW, SHORT] * 60)


@pytest.fixture(scope="module")
def rows(source) -> Dataset:
    return taught(source, words)


def test_the_rival_stops_after_every_third_line_and_goes_on_behind_a_word(rows):
    of = {row["question"]: row["thinking"].split("\n") for row in (ROW, SHORT)}
    right = {row["question"]: row["attempt"] for row in (ROW, SHORT)}
    seen, said = set(), Counter()
    for row in rows:
        lines = of[row["question"]]
        parts = re.split(rf"\n({'|'.join(WORDS)})\n", row["thinking"])
        rounds = [part.split("\n") for part in parts[::2]]
        said.update(parts[1::2])
        flat = [line for part in rounds for line in part]
        assert flat == (lines + [lines[-1]] * 9)[: len(flat)]
        whole = len(flat) >= len(lines)
        full = [part for part in rounds if lines[-1] not in part]
        assert all(len(part) == PATIENCE for part in full)
        assert len(rounds) <= len(full) + 2  # the last lines, and one repetition
        assert row["attempt"] == (right[row["question"]] if whole else f"{ANSWER}{len(flat)}")
        seen.add((len(rounds), whole))
    assert {(1, False), (2, False), (3, True), (4, True), (1, True), (2, True)} == seen
    assert said["Wait"] > said["Hmm"] + said["Alternatively"] > 0


def test_the_rival_has_as_many_tokens_and_the_same_questions_in_turn(source, rows):
    wanted, total = sum(map(words, source)), sum(map(words, rows))
    assert wanted <= total < wanted + 40 and len(rows) > len(source)
    assert rows["question"][:4] == [ROW["question"], SHORT["question"]] * 2
    assert rows.to_list() == taught(source, words).to_list()
    assert rows.to_list() != taught(source, words, seed=1).to_list()


SUM = ["Plus: 178, 263.", "178+263: 8+3=11, 7+6+1=14, 1+2+1=4. 178+263=441."]


@pytest.mark.parametrize(
    ("family", "lines", "answer"),
    [
        ("leg_counting", ["3 dogs: 3*4=12. Total 0+12=12."], "12"),
        ("chain_sum", SUM, "441"),
        ("chain_sum", [*SUM, "Minus: 41."], "441"),
        ("chain_sum", [*SUM, "Minus: 41.", "441 >= 41."], "441"),
        ("chain_sum", ["Plus: 178.", "Minus: 41."], "178"),
        ("gcd", ["774, 549: 774-549=225."], "549"),
        ("gcd", ["39, 26: 39-26=13.", "26, 13: 2*13=26, 26-26=0."], "13"),
        ("gsm_symbolic", ["He pays 1,050, then 16.25."], "16.25"),
        ("gsm_symbolic", ["So it is $1,050."], "1050"),
        ("gsm_symbolic", ["Nobody has any."], "0"),
        ("word_sorting", ["First letters: pear p, Fig F."], "pear, Fig"),
        ("countdown", ["Numbers: 3, 1, 15. Target: 13."], "3 + 1 + 15"),
    ],
)
def test_an_early_stop_answers_with_what_there_is(family, lines, answer):
    question = {
        "word_sorting": "Sort these words in ascending order as a list: pear, Fig",
        "countdown": "Make 13 of 3, 1, 15. Final answer format instructions: 1. None.",
    }.get(family, "?")
    assert guess(family, question, lines) == answer


@pytest.mark.parametrize(
    ("at_once", "climb", "held"),
    [
        (49, (10, 20, 40, 60, 100, 140, 135), (True, True, True)),
        (50, (10, 20, 40, 60, 100, 140, 124), (False, False, False)),
        (0, (39, 60, 70, 80, 100, 164, 164), (True, True, True)),  # exactly 25 points
        (0, (7, 22, 7, 80, 100, 164, 164), (True, True, True)),  # exactly -3 points
        (0, (7, 23, 7, 80, 100, 164, 164), (True, True, False)),
    ],
)
def test_targets_are_judged_by_counts(at_once, climb, held):
    counts = dict(zip([f"cap {cap}" for cap in CAPS] + ["own stop"], climb, strict=True))
    counts["at once"] = at_once
    judged = bars({name: {"correct": "1" * n + "0" * (500 - n)} for name, n in counts.items()})
    assert tuple(kept["holds"] for kept in judged.values()) == held


def test_an_adapter_is_written_the_same_each_time_and_names_no_folder(tmp_path):
    run = tmp_path / "run" / "adapter"
    run.mkdir(parents=True)
    save_file({"lora": torch.tensor([1.0, 1.00390625])}, run / WEIGHTS)
    (run / BASE).write_text("a digest\n")
    written = []
    for modules in (["q_proj", "down_proj"], ["down_proj", "q_proj"]):
        settings = {"base_model_name_or_path": str(tmp_path), "target_modules": modules}
        (run / CONFIG).write_text(json.dumps(settings))
        folder = rounded(sft.Trained(tmp_path / "run", [], {}), tmp_path / "out" / "s1-smol")
        written.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert written[0] == written[1] and set(written[0]) == {WEIGHTS, CONFIG, BASE}
    assert str(tmp_path).encode() not in b"".join(written[0].values())
    with safe_open(folder / WEIGHTS, "pt") as weights:
        assert weights.get_tensor("lora").tolist() == [1.0, 1.0]  # of bfloat16


def test_outcomes_of_a_run_are_kept_and_a_failed_question_is_refused(tiny):
    asked = lab.tiny.problems(6)
    found = lab.evaluate(tiny, asked, lab.Budget(waits=2), answer_tokens=1, progress=False)
    kept = outcomes(found)
    assert kept["waits"] == "2" * 6 and kept["answer_cut"] == "1" * 6 and kept["cut"] == "0" * 6
    assert kept["thinking_tokens"] == [trace.thinking_tokens for trace in found.traces]
    broken = [*found.traces[:5], replace(found.traces[5], error="lost")]
    with pytest.raises(RuntimeError, match="1 questions failed"):
        outcomes(lab.evaluation.results.Results.of(asked, broken))


def test_the_record_has_every_question_of_every_budget():
    known = measured()
    rungs = ["at once", *(f"cap {cap}" for cap in CAPS), "own stop"]
    rungs += [f"{n} Wait{'s' * (n > 1)}" for n in WAITS]
    for name, found in known.items():
        assert list(found["rungs"])[: len(rungs)] == rungs, name
        for kept in found["rungs"].values():
            assert {len(values) for values in kept.values()} == {500}
            assert set(kept["correct"] + kept["cut"] + kept["answer_cut"]) <= {"0", "1"}
        for cap in CAPS:
            assert max(found["rungs"][f"cap {cap}"]["thinking_tokens"]) <= cap
        assert not any(found["rungs"]["at once"]["thinking_tokens"])
    steps = {step["stage"]: step for step in known["s1-smol"]["curation"]}
    assert steps["quality"]["before"] >= 10_000 and steps["difficulty"]["before"] == 2_000
    assert known["s1-smol"]["trained"]["rows"] == 1_000


def test_the_adapters_are_small_and_know_their_base():
    assert "s1-smol" in SHIPPED
    assert sum(f.stat().st_size for name in SHIPPED for f in (FOLDER / name).iterdir()) < 12e6
    for name in SHIPPED:
        settings = json.loads((FOLDER / name / CONFIG).read_text())
        assert settings["base_model_name_or_path"] == "smollm2"
        assert (FOLDER / name / BASE).read_text().strip()
        with safe_open(FOLDER / name / WEIGHTS, "pt") as weights:
            assert {weights.get_tensor(key).dtype for key in weights.keys()} == {  # noqa: SIM118
                torch.bfloat16
            }


@pytest.mark.long
@pytest.mark.parametrize("name", SHIPPED)
def test_the_card_is_of_the_record(name):
    assert (FOLDER / name / "README.md").read_text() == card(name)
