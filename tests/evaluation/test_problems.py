"""What a call takes as its problems, and rows that can't be asked or graded."""

from __future__ import annotations

import datetime

import numpy as np
import pandas
import pytest
import torch
from datasets import Dataset, DatasetDict

import s1lab as lab
from s1lab.storage import read_run
from s1lab.storage.store import Store

CAP = lab.Budget(max_tokens=4)
GOOD = {"question": "Which number?", "answer": "3"}
TALK = [{"role": "user", "content": "Which number?"}]


@pytest.fixture
def engine(scripted):
    """An engine that answers 3, whatever it is asked."""
    return scripted(
        lambda text: (
            "1 x\n<|im_start|>"
            if "think\n" in text and "answer\n" not in text
            else "Answer: 3<|im_end|>"
        )
    )


BAD = {
    "no answer": ({"answer": None}, "has no answer"),
    "an empty answer": ({"answer": " \n"}, "has no answer"),
    "an answer of NaN": ({"answer": float("nan")}, "has no answer"),
    "an answer of NumPy's NaN": ({"answer": np.float32("nan")}, "has no answer"),
    "an answer of pandas' NA": ({"answer": pandas.NA}, "has no answer"),
    "an answer of pandas' NaT": ({"answer": pandas.NaT}, "has no answer"),
    "an answer that is a dict": ({"answer": {"value": 3}}, "answer of row 1 .* is a dict"),
    "an answer that is a list": ({"answer": ["3"]}, "answer of row 1 .* is a list"),
    "an answer that is a tensor": ({"answer": torch.tensor([3])}, "answer .* is a Tensor"),
    "an answer that is an array": ({"answer": np.array([3])}, "answer .* is a ndarray"),
    "an answer of bytes": ({"answer": b"3"}, "answer .* is a bytes"),
    "an answer that is a date": ({"answer": datetime.date(2012, 12, 12)}, "answer .* is a date"),
    "no question": ({"question": None}, "has no question"),
    "an empty question": ({"question": "\t"}, "question of row 1 .* is empty"),
    "a question of NaN": ({"question": float("nan")}, "has no question"),
    "a question that is a number": ({"question": 5}, "question of row 1 .* is a int"),
    "a question that is a dict": ({"question": TALK[0]}, "question of row 1 .* is a dict"),
    "a question that is a tensor": ({"question": torch.zeros(2)}, "question .* is a Tensor"),
    "a list of texts": ({"question": ["a", "b"]}, "message 0 of the question of row 1"),
    "an empty conversation": ({"question": []}, "question of row 1 is an empty list"),
    "a conversation without a user": (
        {"question": [{"role": "assistant", "content": "3"}]}, "question of row 1"
    ),
    "neither": ({"question": None, "answer": None}, "has no question"),
    "a key that is missing": ({"answer": "gone"}, "has no answer"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_row_that_can_not_be_used_is_wrong_and_says_so_and_the_others_go_on(engine, name):
    change, words = BAD[name]
    bad = GOOD | change
    if name == "a key that is missing":
        del bad["answer"]
    rows = [GOOD, bad, {"question": "And which one?", "answer": 3}]
    found = lab.evaluate(engine, rows, CAP, progress=False)
    assert found.correct == [1.0, 0.0, 1.0] and found.failed == 1 and found.grading_errors == 0
    row = found.rows[1]
    with pytest.raises(ValueError, match=words):
        raise ValueError(row["error"])
    assert row["reason"] == row["error"] == found.traces[1].error and "\n" not in row["error"]
    assert found.traces[1].ids == [] and row["response"] == "" and row["thinking_tokens"] == 0
    assert "1 of them FAILED" in repr(found)
    want = lab.evaluate(engine, [rows[0], rows[2]], CAP, progress=False)
    assert [t.ids for t in found.traces[::2]] == [t.ids for t in want.traces]
    swept = lab.sweep(engine, rows, (2, 4), progress=False)
    assert [one.failed for one in swept.values()] == [1, 1]
    assert [one.correct for one in swept.values()] == [[1.0, 0.0, 1.0]] * 2


def test_nothing_is_asked_of_a_row_that_can_not_be_used(engine):
    lab.evaluate(engine, [GOOD, GOOD | {"question": "Two?", "answer": None}], CAP, progress=False)
    asked = [engine.template.decode(list(request.ids)) for request in engine.requests]
    assert asked and not any("Two?" in text for text in asked)
    engine.requests.clear()
    lab.evaluate(engine, [GOOD, {"question": "Two?", "answer": None}], thinking=False)
    assert len(engine.requests) == 1


def test_such_a_row_in_a_store_a_file_samples_and_a_grader(engine, tmp_path):
    rows = [GOOD, GOOD | {"answer": None}, {"question": TALK, "answer": "4"}]
    graded: list[str] = []

    def grader(questions, responses, golds):
        graded.extend(golds)
        return lab.grade.verdicts(responses, golds, ["math"] * len(golds))

    options = {"n": 2, "temperature": 1.0, "progress": False}
    found = lab.evaluate(engine, rows, CAP, grader=grader, store=tmp_path / "x.db", **options)
    assert graded == ["3", "3", "4", "4"] and found.verdicts == [True, True, *[False] * 4]
    stored, saved = read_run(tmp_path / "x.db"), read_run(found.save(tmp_path / "x.jsonl"))
    for run in (stored, saved):
        assert [t.error for t in run.traces] == [t.error for t in found.traces]
        assert [t.correct for t in run.traces] == found.verdicts
        assert str(run.traces[2].question) == GOOD["question"]
    with lab.replay(tmp_path / "x.db") as replayed:
        again = lab.evaluate(replayed, rows, CAP, **options)
    assert again.rows.to_list() == found.rows.to_list()
    assert found.save_harness(tmp_path / "harness").exists()
    of = lab.Results.of(rows, found.traces)
    assert of.correct == found.correct and of.rows["error"] == found.rows["error"]


def test_a_benchmark_of_which_no_row_can_be_used_is_refused(engine):
    for rows, words in (
        ([GOOD | {"answer": None}] * 2, "row 0 of the benchmark has no answer"),
        ([GOOD | {"question": {}}], "the question of row 0 of the benchmark is a dict"),
    ):
        with pytest.raises(ValueError, match=words):
            lab.evaluate(engine, rows, CAP)
    assert not engine.requests


ROWS = [
    {"question": "Which number?", "answer": "3", "kind": "math", "level": 1, "tags": ["a"]},
    {"question": "Which integer?", "answer": "4", "kind": "integer", "level": 2, "tags": []},
]


@pytest.mark.parametrize(
    "given",
    [
        Dataset.from_list(ROWS), ROWS, tuple(ROWS), pandas.DataFrame(ROWS),
        pandas.DataFrame(ROWS, index=[7, 9]), Dataset.from_list(ROWS).with_format("torch"),
        Dataset.from_list(ROWS).with_format("pandas"),
    ],
    ids=["Dataset", "list", "tuple", "DataFrame", "index", "torch", "pandas"],
)  # fmt: skip
def test_problems_are_a_dataset_a_list_of_dicts_or_a_dataframe(engine, given):
    found = lab.evaluate(engine, given, CAP, progress=False)
    want = lab.evaluate(engine, Dataset.from_list(ROWS), CAP, progress=False)
    assert found.rows.to_list() == want.rows.to_list() and found.made == want.made
    assert found.correct == [1.0, 0.0] and found.rows["level"] == [1, 2]
    swept = lab.sweep(engine, given, (2,), progress=False)["cap 2"]
    assert swept.rows["answer"] == ["3", "4"] and swept.rows["kind"] == ["math", "integer"]
    assert lab.Results.of(given, want.traces).rows.to_list() == want.rows.to_list()


def test_columns_that_only_a_list_can_hold(engine):
    rows = [GOOD | {"unanswered": "3", "kind": "choice", "answer": "A"}] * 2
    found = lab.evaluate(engine, rows, CAP, progress=False)
    assert found.made["benchmark"]["unanswered"] == ["3"] and found.rows["unanswered"] == ["3"] * 2
    mixed = [GOOD | {"x": 1}, GOOD | {"x": {"a": object()}}]
    with pytest.raises(ValueError, match="column 'x' of the problems"):
        lab.evaluate(engine, mixed, CAP, progress=False)
    talk = lab.evaluate(engine, [GOOD, GOOD | {"question": TALK}], CAP, progress=False)
    assert talk.correct == [1.0, 1.0] and talk.rows["question"] == [TALK, TALK]


@pytest.mark.parametrize(
    ("answer", "text"),
    [(3, "3"), (3.0, "3"), (np.int64(3), "3"), (np.float64(3), "3"), (np.str_("3"), "3"),
     (3.5, "3.5"), (2.0**60, str(2.0**60)), (True, "True"), ("3.0", "3.0")],
)  # fmt: skip
def test_answers_that_are_numbers_become_text(engine, answer, text):
    found = lab.evaluate(engine, [GOOD | {"answer": answer}], CAP, progress=False)
    assert found.rows["answer"] == [text] and found.failed == 0
    # A whole number beside a missing one is a float in a DataFrame.
    frame = pandas.DataFrame([GOOD | {"answer": 3}, GOOD | {"answer": None}])
    assert frame["answer"][0] == 3.0
    assert lab.evaluate(engine, frame, CAP, progress=False).rows["answer"][0] == "3"


@pytest.mark.parametrize(
    ("problems", "words"),
    [
        ("aime24", ["name of a benchmark", "lab.benchmarks.load('aime24')"]),
        ("MATH-500", ["name of a benchmark", "lab.benchmarks.load('MATH-500')"]),
        ("embedded", ["lab.benchmarks.load('embedded')"]),
        ("mine.jsonl", ["is a text", "lab.curate.read"]),
        (DatasetDict({"test": Dataset.from_list(ROWS)}), ["DatasetDict", "['test']"]),
        (Dataset.from_list(ROWS).to_iterable_dataset(), ["IterableDataset", "take(1000)"]),
        ({"question": ["a"], "answer": ["b"]}, ["is a dict", "Dataset.from_dict"]),
        ([ROWS[0], "a"], ["row 1 is a str", "a dict with question and answer"]),
        (["a", "b"], ["row 0 is a str"]),
        (pandas.Series(["a"]), ["is a Series"]),
        (iter(ROWS), ["is a list_iterator"]),
        (None, ["is a NoneType"]),
        ([], ["no rows"]),
        (pandas.DataFrame(), ["no rows"]),
        (pandas.DataFrame({"question": [], "answer": []}), ["no rows"]),
        (pandas.DataFrame({"problem": ["a"], "answer": ["b"]}), ["no column 'question'"]),
        ([{"question": "a"}], ["no column 'answer'"]),
        ([GOOD | {"kind": None}], ["row 0", "kind None"]),
        ([GOOD | {"kind": ["math"]}], ["row 0", "kind ['math']"]),
    ],
)
def test_what_is_no_set_of_problems_is_told_how_to_make_one(engine, problems, words):
    for call in (
        lambda: lab.evaluate(engine, problems, CAP),
        lambda: lab.sweep(engine, problems, (4,)),
        lambda: lab.Results.of(problems, []),
    ):
        with pytest.raises(ValueError) as error:
            call()
        said = str(error.value)
        if "Results" not in said and "share out" not in said:
            assert all(word in said for word in words) and "\n" not in said, said
    assert not engine.requests


def test_a_store_takes_a_question_that_was_not_asked(engine, tmp_path):
    """Its text is kept, and a later run finds it again."""
    rows = [GOOD, {"question": {"a": 1}, "answer": "3"}]
    lab.evaluate(engine, rows, CAP, store=tmp_path / "x.db", progress=False)
    lab.evaluate(engine, rows, CAP, store=tmp_path / "x.db", progress=False)
    assert read_run(tmp_path / "x.db").traces[1].question == "{'a': 1}"
    Store(tmp_path / "x.db").close()
