"""Benchmarks from files and, where there were a network, the hub; results beside the paper's; files
of the harness's form.
"""

from __future__ import annotations

import csv
import json
import random

import pytest
from datasets import Dataset

import s1lab as lab
from s1lab.evaluation import benchmarks
from s1lab.evaluation.benchmarks import BENCHMARKS, choice_question, compare, load
from s1lab.evaluation.evaluate import checksum
from tests.helpers import REAL_DATA

real = pytest.mark.skipif(
    not REAL_DATA.is_dir(), reason="no folder of real benchmarks lies beside the repository"
)
FIGURE = "Find the area.\n[asy] draw((0,0)--(1,1)); [/asy]"


@pytest.fixture
def aime(tmp_path, monkeypatch):
    """A file of thirty questions, known to the table as AIME24 for this test."""
    rows = [
        {
            "id": i,
            "problem": FIGURE if i == 7 else f"What is {i} + 1?",
            "answer": f"{i + 1:03}",
            "url": "x",
        }
        for i in range(30)
    ]
    path = tmp_path / "aime24.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    known = BENCHMARKS["aime24"]
    fields = vars(known) | {"checksum": checksum([row["problem"] for row in rows])}
    monkeypatch.setitem(BENCHMARKS, "aime24", benchmarks.Benchmark(**fields))
    return path


@pytest.fixture
def gpqa(tmp_path):
    path = tmp_path / "gpqa_diamond.csv"
    names = [
        "Question",
        "Correct Answer",
        "Incorrect Answer 1",
        "Incorrect Answer 2",
        "Incorrect Answer 3",
        "Record ID",
        "Subdomain",
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*names, "Canary String"])
        writer.writerows(
            [
                [f"Which, {i}?", "right", "wrong", "worse", "worst", f"rec{i}", "Optics", "zzz"]
                for i in range(198)
            ]
        )
    return path


def test_every_benchmark_is_one_that_is_graded_and_printed():
    for name, known in BENCHMARKS.items():
        assert known.kind in lab.grade.KINDS and known.rows in (30, 198, 500), name
        assert known.revision is None or len(known.revision) == 40, name
        assert (
            known.paper in lab.paper.QUESTIONS or known.paper in lab.paper.TABLE_5["s1.1 w/o BF"]
        ), name


def test_a_file_is_read_with_its_columns_and_graded_as_what_it_is(aime, scripted):
    problems = load("aime24_nofigures", aime)
    assert problems.column_names == ["question", "answer", "kind", "id", "url"] and set(
        problems["kind"]
    ) == {"integer"}
    assert (
        problems[7]["question"] == FIGURE
        and load("AIME24", aime, figures=False)[7]["question"] == "Find the area."
    )
    assert load("aime24", aime.parent)["answer"] == problems["answer"]  # the folder that holds it
    right = dict(zip(problems["question"], problems["answer"], strict=True))

    def say(text: str) -> str:
        asked = text.split("user\n")[1].split("<|im_end|>")[0]
        return (
            "x<|im_start|>"
            if "answer\n" not in text
            else f"Final Answer: {int(right[asked])}<|im_end|>"
        )

    results = lab.evaluate(scripted(say), problems, lab.Budget(), progress=False)
    assert results.accuracy == 100 and results.made["benchmark"] == {
        "name": "aime24", "questions": 30, "checksum": BENCHMARKS["aime24"].checksum
    }  # fmt: skip
    table = compare(results)
    printed = str(table)
    assert (
        "s1-32B" in printed and "56.7" in printed and "20.0" in printed and "the paper's" in printed
    )
    ours, *theirs = table.rows
    assert (
        ours["whose"] == "ours"
        and ours["accuracy"] == 100
        and ours["low"] < 100
        and ours["thinking_tokens"] == 1
    )
    s1 = next(row for row in theirs if row["run"] == "s1-32B")
    assert (s1["low"], s1["high"]) == pytest.approx((39.2, 72.65), abs=0.1)  # as for 17 of 30
    assert (
        len(table.to_pandas())
        == len(table.to_dataset())
        == 1 + len({**lab.paper.TABLE_1, **lab.paper.TABLE_5})
    )
    listed = list(compare({"a": results, "b": results}, "aime25").to_pandas()["run"])
    assert listed == ["a", "b", *lab.paper.TABLE_5]


def test_gpqas_options_are_shuffled_by_a_seed_and_answered_by_a_letter(gpqa):
    first, again, other = (load("gpqa-diamond", gpqa, seed=seed) for seed in (0, 0, 1))
    assert first["question"] == again["question"] and first["question"] != other["question"]
    assert set(first["answer"]) == set("ABCD") and set(first["kind"]) == {"choice"}
    assert first.column_names == ["question", "answer", "kind", "id", "subdomain"]
    for question, letter in zip(first["question"], first["answer"], strict=True):
        assert f"\n{letter}) right" in question and question.count("\n") == 5
    text, letter = choice_question("Which?", "right", ["wrong", "worse", "worst"], seed=3)
    assert choice_question("Which?", "right", ["wrong", "worse", "worst"], seed=3) == (text, letter)


def says(error: pytest.ExceptionInfo, *words: str) -> None:
    text = str(error.value)
    assert all(word in text for word in words), text
    assert "\n" not in text and len(text) < 500, text


def test_another_set_under_its_name_is_refused(aime, tmp_path):
    rows = aime.read_text().splitlines()
    short = tmp_path / "short.jsonl"
    short.write_text("\n".join(rows[:29]))
    with pytest.raises(ValueError) as error:
        load("aime24", short)
    says(error, "29 rows", "30", "check=False")
    assert len(load("aime24", short, check=False)) == 29
    changed = tmp_path / "changed.jsonl"
    changed.write_text("\n".join([*rows[:29], rows[29].replace("29 + 1", "29 + 2")]))
    with pytest.raises(ValueError) as error:
        load("aime24", changed)
    says(error, "checksum", "check=False", "simplescaling/aime24_nofigures")
    turned = tmp_path / "turned.jsonl"
    turned.write_text("\n".join(reversed(rows)))
    assert len(load("aime24", turned)) == 30  # in another order it is the same set


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"problem": "a"}', ["no column", "answer"]),
        ('{"problem": "a", "answer": ""}', ["row 0", "no answer"]),
        ('{"problem": "a", "answer": "about three"}', ["row 0", "about three", "integer"]),
        ('{"problem": "a", "answer": ', ["can't be read"]),
        ("", ["is empty"]),
    ],
)
def test_a_file_that_can_not_be_used(tmp_path, text, words):
    path = tmp_path / "aime24.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        load("aime24", path, check=False)
    says(error, str(path), *words)


def test_a_set_that_is_not_there_says_how_to_get_it(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError) as error:
        load("gpqa-diamond", tmp_path / "nowhere")
    says(error, "nowhere", "hf download Idavidrein/gpqa", "gated")
    with pytest.raises(FileNotFoundError) as error:
        load("math500", tmp_path)
    says(error, "0 data files", "math500")
    with pytest.raises(ValueError, match="'aime23'"):
        load("aime23")

    def unreachable(*_args, **asked):
        assert asked["revision"] == BENCHMARKS["gpqa-diamond"].revision
        raise ConnectionError("Couldn't reach the Hub\nand more")

    monkeypatch.setattr(benchmarks, "load_dataset", unreachable)
    with pytest.raises(FileNotFoundError) as error:
        load("gpqa-diamond")
    says(
        error,
        "hf download Idavidrein/gpqa",
        BENCHMARKS["gpqa-diamond"].revision,
        "path=",
        "hf auth login",
    )


def test_what_can_not_be_compared_is_said(scripted):
    engine = scripted(lambda text: "x<|im_start|>" if "answer\n" not in text else "3<|im_end|>")
    few = lab.evaluate(
        engine,
        Dataset.from_dict({"question": ["a"], "answer": ["3"]}),
        lab.Budget(),
        progress=False,
    )
    with pytest.raises(ValueError, match="1 questions and aime24 has 30"):
        compare(few, "aime24")
    with pytest.raises(ValueError, match="no numbers on"):
        compare(few)


def test_results_are_written_in_the_harness_form(scripted, tmp_path):
    problems = Dataset.from_dict({"question": ["a", "b"], "answer": ["3", "4"], "level": [1, 2]})
    engine = scripted(
        lambda text: "x<|im_start|>" if "answer\n" not in text else "Answer: 3<|im_end|>"
    )
    results = lab.evaluate(engine, problems, lab.Budget(), progress=False)
    path = results.save_harness(tmp_path, "mine")
    table = json.loads(path.read_text())
    assert (
        table["results"]["mine"]["exact_match,none"] == 0.5
        and table["n-samples"]["mine"]["effective"] == 2
        and table["model_name"] == engine.model
    )
    (samples,) = path.parent.glob("samples_mine_*.jsonl")
    rows = Dataset.from_json(str(samples))
    assert (
        rows["exact_match"] == [1.0, 0.0]
        and rows["target"] == ["3", "4"]
        and rows[0]["doc"]["level"] == 1
    )
    # The original's evaluator logs thinking_start + thinking + thinking_end + answer
    # (vllm_causallms.py, generate_until).
    whole = "<|im_start|>think\nx\n<|im_start|>answer\nAnswer: 3"
    assert rows["resps"] == [[[whole]], [[whole]]] and rows["filtered_resps"] == [[whole], [whole]]
    assert (
        whole.split("<|im_start|>answer\n")[-1] == results.rows[0]["response"]
    )  # as its graders take the answer out
    with pytest.raises(ValueError, match="file's name"):
        results.save_harness(tmp_path, "../mine")
    with pytest.raises(ValueError, match="task=3 becomes part of a file's name"):
        results.save_harness(tmp_path, 3)
    with pytest.raises(ValueError, match="name=3 is no text"):
        compare(results, 3)


def test_mutated_files_end_in_a_benchmark_or_in_a_clear_error(aime, gpqa, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "datasets.config.HF_DATASETS_CACHE", tmp_path / "cache"
    )  # ninety files would stay in the user's
    rng = random.Random(5)
    made = Dataset.from_json(str(aime))
    made.to_parquet(str(tmp_path / "whole.parquet"))
    sources = {
        "jsonl": aime.read_bytes(),
        "csv": gpqa.read_bytes()[:3000],
        "parquet": (tmp_path / "whole.parquet").read_bytes(),
    }
    ended = {"read": 0, "refused": 0}
    for trial in range(90):
        kind = rng.choice(list(sources))
        data = bytearray(sources[kind])
        for _ in range(rng.randint(1, 4)):
            at, length = rng.randrange(len(data)), rng.randint(1, 40)
            piece = rng.choice(
                [
                    b"",
                    rng.randbytes(length),
                    b'"',
                    b"{",
                    b"]",
                    b"\x00",
                    b"\xff\xfe",
                    b"null",
                    b"1e999",
                    b",",
                    b"\n",
                ]
            )
            data[at : at + rng.choice([0, length])] = piece
        path = tmp_path / f"{trial}.{kind}"
        path.write_bytes(data)
        try:
            load("gpqa-diamond" if kind == "csv" else "aime24", path, check=False)
            ended["read"] += 1
        except ValueError as error:
            assert str(path) in str(error) and len(str(error)) < 500, error
            ended["refused"] += 1
    assert min(ended.values()) > 5, ended


def test_mutated_runs_end_in_a_run_or_in_a_clear_error(scripted, tmp_path):
    rng = random.Random(6)
    problems = Dataset.from_dict({"question": ["a", "b"], "answer": ["3", "4"]})
    engine = scripted(
        lambda text: "x<|im_start|>" if "answer\n" not in text else "Answer: 3<|im_end|>"
    )
    whole = (
        lab.evaluate(engine, problems, lab.Budget(), progress=False)
        .save(tmp_path / "run.jsonl")
        .read_bytes()
    )
    for trial in range(60):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(data))
            data[at : at + rng.randint(0, 9)] = rng.choice(
                [b"", b"{", b'"', b"9", b"\xff", b"null", b"[]", rng.randbytes(5)]
            )
        path = tmp_path / f"{trial}.jsonl"
        path.write_bytes(data)
        try:
            lab.storage.read_run(path)
        except ValueError as error:
            assert str(path) in str(error), error


@real
def test_the_real_files_are_the_sets_they_are_called():
    assert (
        len(load("aime24", REAL_DATA)) == 30
        and len(load("math500", REAL_DATA / "math500.jsonl")) == 500
    )
    assert load("openai-math", REAL_DATA)["question"] == load("math500", REAL_DATA)["question"]
    assert sum("[asy]" in question for question in load("aime24", REAL_DATA)["question"]) == 2
    assert not any(
        "[asy]" in question for question in load("aime24", REAL_DATA, figures=False)["question"]
    )


def test_the_embedded_benchmark_is_the_worlds_test_split_and_n_takes_the_first(aime):
    whole = load("embedded")
    assert (
        whole["question"] == lab.tiny.benchmark()["question"]
        and whole.info.dataset_name == "embedded"
    )
    assert load("embedded", n=9)["question"] == whole["question"][:9]
    assert (
        load("embedded", n=7, seed=5)["question"]
        == lab.tiny.problems(7, seed=5, split="test")["question"]
    )
    assert load("aime24", aime, n=3)["question"] == load("aime24", aime)["question"][:3]
    with pytest.raises(ValueError, match="n=0"):
        load("embedded", n=0)


def test_a_file_of_a_benchmarks_name_is_that_benchmark(aime):
    assert load(str(aime)).info.dataset_name == "aime24"
    assert load(aime).info.dataset_name == "aime24"  # a Path as well
    with pytest.raises(ValueError, match="no benchmark is called 'mine'"):
        load(str(aime.rename(aime.with_name("mine.jsonl"))))


def test_what_compare_can_not_take_is_refused_in_a_sentence():
    for results in ([1], {}, {"ours": 3}, None):
        with pytest.raises(ValueError, match="one Results, or several"):
            lab.benchmarks.compare(results)
