"""A run that is graded: what is counted, and what each row says."""

from __future__ import annotations

import pandas as pd
import pytest

import s1lab as lab
from s1lab.methods.costs import Cost
from tests.helpers.scripted import thinker

PROBLEMS = lab.tiny.problems(4, families=["letters"])


@pytest.fixture
def swept(scripted):
    model = thinker(
        "1 r 1\n2 a 1\n", "3 x 2\n", answer=f"Answer: {PROBLEMS['answer'][0]}<|im_end|>"
    )
    return lab.sweep(scripted(model), PROBLEMS, (4, 8), (0, 1), progress=False)


def test_evaluate_grades_and_counts(scripted):
    problems = lab.tiny.problems(12, families=["letters"])
    golds = dict(zip(problems["question"], problems["answer"], strict=True))

    def say(text: str) -> str:
        question = text.split("user\n")[1].split("<|im_end|>")[0]
        if "answer\n" not in text:
            return "1 x\n<|im_start|>"
        wrong = list(golds).index(question) % 3 == 0
        return f"Answer: {int(golds[question]) + wrong}<|im_end|>"

    results = lab.evaluate(scripted(say), problems, lab.Budget(), progress=False)
    assert results.accuracy == pytest.approx(100 * 8 / 12)
    assert results.interval.low < results.accuracy < results.interval.high
    assert list(results.rows["correct"]) == [i % 3 != 0 for i in range(12)]
    assert {
        "question",
        "response",
        "answer",
        "correct",
        "thinking_tokens",
        "forced_tokens",
        "waits",
        "cut",
    } <= set(results.rows.column_names)
    assert (
        results.thinking_tokens
        == results.traces[0].thinking_tokens
        == results.rows[0]["thinking_tokens"]
        > 0
    )
    assert results.rows["family"] == problems["family"]
    sampled = lab.evaluate(
        scripted(say), problems, lab.Budget(), samples=2, temperature=1.0, progress=False
    )
    assert len(sampled.traces) == 24 and sampled.accuracy == pytest.approx(results.accuracy)
    assert sampled.interval == results.interval  # samples that are all alike tell nothing new
    assert [t.sample for t in sampled.traces[:4]] == [0, 1, 0, 1]


def test_results_have_a_length_rows_and_a_table(swept):
    results = swept["own stop"]
    assert len(results) == 4 and [row["question"] for row in results] == PROBLEMS["question"]
    table = results.to_pandas()
    assert isinstance(table, pd.DataFrame) and list(table["correct"]) == results.rows["correct"]
    assert results.cost == lab.cost(*results.traces) == lab.cost(results)


def test_a_sweep_is_a_mapping_with_a_table_a_picture_and_files(swept, tmp_path):
    assert isinstance(swept, lab.Sweep) and isinstance(swept, dict)
    assert list(swept) == ["cap 4", "cap 8", "own stop", "1 Wait"]
    table = swept.to_pandas()
    assert list(table.index) == list(swept)
    assert list(table["accuracy"]) == [results.accuracy for results in swept.values()]
    lines = str(swept).splitlines()
    assert "4 questions" in lines[0] and len(lines) == 5
    for line, (name, results) in zip(lines[1:], swept.items(), strict=True):
        assert line.startswith(name) and f"{results.interval} %" in line
    assert "<table" in swept._repr_html_()
    files = swept.save(tmp_path / "x.jsonl")
    assert [f.name for f in files.values()][2:] == ["x-own-stop.jsonl", "x-1-Wait.jsonl"]
    saved = lab.storage.read_run(files["1 Wait"])
    assert [t.ids for t in saved.traces] == [t.ids for t in swept["1 Wait"].traces]
    files["cap 4"].unlink()
    with pytest.raises(FileExistsError, match=r"x-cap-8\.jsonl exists"):
        swept.save(tmp_path / "x.jsonl")
    assert not files["cap 4"].exists()  # nothing is written where not all can be


@pytest.mark.parametrize("rungs", [slice(0, 2), slice(2, 3), slice(3, 4), slice(0, 4)])
def test_a_sweep_draws_any_of_its_rungs(swept, rungs):
    some = lab.Sweep(list(swept.items())[rungs])
    drawn = {str(x) for trace in some.plot().data for x in trace.x or ()}
    assert drawn >= {str(results.thinking_tokens) for results in some.values()}


def test_what_rungs_share_costs_once(swept, scripted):
    model = thinker(
        "1 r 1\n2 a 1\n", "3 x 2\n", answer=f"Answer: {PROBLEMS['answer'][0]}<|im_end|>"
    )
    ladders = lab.ladder(scripted(model), PROBLEMS["question"], (4, 8), (0, 1), progress=False)
    assert swept.cost.sampled == sum(found.written for found in ladders)
    assert lab.cost(swept) == lab.cost(*ladders) == swept.cost
    alone = lab.cost(*swept.values())
    assert alone.sampled == sum(found.alone for found in ladders) > swept.cost.sampled
    assert lab.cost() == Cost()
    for wrong in ("x", 3, None, {}, [ladders[0]]):
        with pytest.raises(ValueError, match=r"traces\[0\].*cost\(\*traces\) for a list"):
            lab.cost(wrong)


def test_two_results_are_compared_question_by_question(swept, scripted):
    golds = dict(zip(PROBLEMS["question"], PROBLEMS["answer"], strict=True))

    def always(text: str) -> str:
        question = text.split("user\n")[1].split("<|im_end|>")[0]
        return f"Answer: {golds[question]}<|im_end|>" if "answer\n" in text else "1 x\n<|im_start|>"

    right = lab.evaluate(scripted(always), PROBLEMS, progress=False)
    some = swept["own stop"]
    found = lab.compare(right, some)
    better = sum(not correct for correct in some.correct)
    assert found.difference == lab.metrics.paired_bootstrap(right.correct, some.correct)
    assert (found.first_only, found.second_only, found.questions) == (better, 0, 4)
    assert found.p == lab.metrics.mcnemar(right.rows["correct"], some.rows["correct"])
    assert f"only the first has {better} right" in str(found) and "points on 4" in str(found)
    back = lab.compare(some, right)
    assert back.difference.value == -found.difference.value and back.second_only == better
    twice = lab.evaluate(scripted(always), PROBLEMS, samples=2, temperature=1.0, progress=False)
    assert lab.compare(twice, some).difference.value == found.difference.value
    other = lab.evaluate(scripted(always), PROBLEMS.select([1, 0, 2, 3]), progress=False)
    for first, second, words in (
        (right, other, "different questions"),
        (right, swept, r"one of its rungs, such as found\['own stop'\]"),
        ("a.jsonl", right, "first='a.jsonl' is no Results"),
    ):
        with pytest.raises(ValueError, match=words):
            lab.compare(first, second)


def test_in_a_terminal_a_result_says_its_answer_and_what_it_took(swept, scripted):
    trace = swept["1 Wait"].traces[0]
    shown = repr(trace)
    assert shown.startswith("Trace(") and f"answer={trace.answer!r}" in shown and len(shown) < 200
    assert f"{trace.thinking_tokens} thinking tokens" in shown and "1 wait" in shown
    trace.error = "the server is gone"
    assert "error='the server is gone'" in repr(trace)
    engine = scripted(thinker("1 r 1\n"))
    voted = lab.vote(engine, "How many r in raspberry?", 4)

    def equal(trace: lab.Trace) -> float:
        return 1.0

    best = lab.methods.best_of(engine, "How many r in raspberry?", 4, equal)
    tree = lab.rebase(engine, "How many r in raspberry?", 2, equal, step=None)
    for name, found in (("Vote", voted), ("Best", best), ("Tree", tree)):
        assert repr(found).startswith(f"{name}('How many r in raspberry?', ")
        assert f"answer={found.answer!r}" in repr(found) and str(found.cost) in repr(found)
