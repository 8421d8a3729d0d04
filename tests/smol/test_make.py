"""How s1-smol was made and measured: its rival's data, and what ships."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from safetensors import safe_open

import s1lab as lab
from s1lab.engines.adapter_files import BASE, CONFIG, WEIGHTS
from s1lab.smol.record import measured
from s1lab.smol.teachers import ANSWER
from tools.smol.card import card
from tools.smol.data import PATIENCE, guess, taught
from tools.smol.measure import CAPS, WAITS, bars

FOLDER = Path(lab.smol.__file__).parent
SHIPPED = [name for name in ("s1-smol", "s1-smol-waits") if (FOLDER / name).is_dir()]
LINES = [f"Line {n} has {n}." for n in range(1, 9)]
ROW = {
    "question": "How many legs?", "family": "leg_counting", "answer": "8",
    "thinking": "\n".join(LINES), "attempt": f"{ANSWER}8",
}  # fmt: skip


def words(text: str) -> int:
    return len(text.split())


@pytest.fixture(scope="module")
def rows() -> Dataset:
    short = ROW | {"question": "How many arms?", "thinking": "Two and 2.\nSo 4."}
    return taught(Dataset.from_list([ROW, short]), 2_000, words)


def test_the_rival_stops_after_every_third_line_and_goes_on_behind_a_wait(rows):
    of = {ROW["question"]: LINES, "How many arms?": ["Two and 2.", "So 4."]}
    seen = set()
    for row in rows:
        lines, rounds = of[row["question"]], row["thinking"].split("\nWait\n")
        written = [part.split("\n") for part in rounds]
        assert all(1 <= len(part) <= PATIENCE for part in written)
        flat = [line for part in written for line in part]
        assert flat == (lines + [lines[-1]] * 9)[: len(flat)]
        whole = len(flat) >= len(lines)
        assert row["attempt"] == (ROW["attempt"] if whole else f"{ANSWER}{len(flat)}")
        seen.add((len(rounds), whole))
    assert {(1, False), (2, False), (3, True), (4, True)} <= seen  # of eight lines
    assert (1, True) in seen  # of two


def test_the_rival_has_as_many_tokens_and_the_same_questions_in_turn(rows):
    total = sum(map(words, rows["thinking"]))
    assert 2_000 <= total < 2_000 + 40
    assert rows["question"][:4] == [ROW["question"], "How many arms?"] * 2
    again = taught(Dataset.from_list([ROW]), 500, words)
    assert again.to_list() == taught(Dataset.from_list([ROW]), 500, words).to_list()
    assert again.to_list() != taught(Dataset.from_list([ROW]), 500, words, seed=1).to_list()


@pytest.mark.parametrize(
    ("question", "lines", "answer"),
    [
        ("How many legs?", ["3 dogs: 12. Total 0+12=12."], "12"),
        ("What is it?", ["17 < 30, so the result is negative.", "The result is -13."], "-13"),
        ("Who?", ["Nobody has any."], "0"),
        ("Sort them, as a list: pear, Fig", ["First letters: pear p, Fig F."], "pear, Fig"),
        ("Make 12.", ["Numbers: 3, 1, 15, 29. Target: 12."], "3 + 1 + 15 + 29"),
    ],
)  # fmt: skip
def test_an_early_stop_answers_with_what_there_is(question, lines, answer):
    assert guess(question, lines) == answer


def test_bars_are_judged_over_all_questions():
    rungs = {f"cap {cap}": "1" * 10 * n + "0" * (100 - 10 * n) for n, cap in enumerate(CAPS)}
    rungs |= {"own stop": "1" * 46 + "0" * 54, "at once": "1" * 9 + "0" * 91}
    judged = bars({rung: {"correct": outcomes} for rung, outcomes in rungs.items()})
    assert [kept["measured"] for kept in judged.values()] == [9.0, 46.0, -4.0]
    assert [kept["holds"] for kept in judged.values()] == [True, True, False]


def test_the_record_has_every_question_of_every_budget():
    known = measured()
    rungs = ["at once", *(f"cap {cap}" for cap in CAPS), "own stop"]
    rungs += [f"{n} Wait{'s' * (n > 1)}" for n in WAITS]
    for name, found in known.items():
        assert list(found["rungs"])[: len(rungs)] == rungs, name
        for kept in found["rungs"].values():
            assert len(kept["correct"]) == len(kept["thinking_tokens"]) == 500
            assert set(kept["correct"]) <= {"0", "1"}
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
