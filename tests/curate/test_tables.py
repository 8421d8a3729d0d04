"""Files of rows: text stays text, and a hostile file ends in one sentence."""

from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys

import pytest
from datasets import Dataset

import s1lab as lab
from s1lab import curate
from s1lab.curate.tables import MOST_COLUMNS, MOST_DEEP, opened
from s1lab.evaluation.benchmarks import load

# Texts that the readers of pyarrow and pandas take for something else.
TEXTS = [
    "123456789012345678901234567890", "2012-12-12", "2012-12-12T10:00:00Z", "12:30", "007", "3",
    "3.0", "3.10", "1e5", "0x10", "None", "NaN", "nan", "null", "NA", "N/A", "inf", "-", "#N/A",
    "True", "false", "1,000", "+5", " 4 ", "a\nb", 'a "b"', "１２", "[1, 2]", '{"a": 1}',
]  # fmt: skip


def as_csv(path, columns):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def as_lines(path, columns):
    lines = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize(("write", "kind"), [(as_csv, "csv"), (as_lines, "jsonl")])
@pytest.mark.parametrize("together", [True, False])
def test_text_of_a_pool_stays_text(tmp_path, write, kind, together):
    """All texts in one column, and each of them alone, where a reader would guess its type."""
    for place, texts in enumerate([TEXTS] if together else [[text] for text in TEXTS]):
        columns = {"problem": texts, "solution": texts[::-1], "hint": texts}
        found = curate.read(write(tmp_path / f"{place}.{kind}", columns), ("question", "answer"))
        assert found["question"] == texts and found["answer"] == texts[::-1]
        assert found["hint"] == texts


@pytest.mark.parametrize(("write", "kind"), [(as_csv, "csv"), (as_lines, "jsonl")])
def test_options_and_answers_of_a_benchmark_stay_text(tmp_path, write, kind):
    options = ["None", "3", "007", "2012-12-12"]
    names = ["Correct Answer", *(f"Incorrect Answer {i}" for i in (1, 2, 3))]
    columns = {"Question": ["Which?", "What?"]}
    columns |= {name: [option, option] for name, option in zip(names, options, strict=True)}
    rows = load("gpqa-diamond", write(tmp_path / f"gpqa.{kind}", columns), check=False)
    assert all(f") {option}\n" in row["question"] + "\n" for row in rows for option in options)
    golds = {"problem": ["a", "b", "c"], "answer": ["007", "3", "70"]}
    found = load("aime24", write(tmp_path / f"aime.{kind}", golds), check=False)
    assert found["answer"] == ["007", "3", "70"]


def test_a_number_in_a_column_of_text_keeps_its_digits_and_other_columns_stay_numbers(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(
        '{"question": "a", "answer": 123456789012345678901234567890, "n": 1, "x": 0.5, "ok": true}'
        '\n{"question": "b", "answer": 2.50, "n": null, "x": 2, "ok": false, "id": 1e30}\n'
        '{"question": "c", "answer": "x", "n": 9223372036854775807, "id": 9223372036854775808}\n'
        '{"question": 5, "answer": NaN, "n": -3, "x": NaN, "list": [1, null, 3], "id": 7}\n'
    )
    found = curate.read(path)
    assert found["question"] == ["a", "b", "c", "5"]
    assert found["answer"] == ["123456789012345678901234567890", "2.50", "x", None]
    assert found["n"] == [1, None, 9223372036854775807, -3] and found["ok"][:2] == [True, False]
    assert found["x"][:3] == [0.5, 2.0, None] and found["list"][3] == [1, None, 3]
    assert found["id"] == [None, "1e30", "9223372036854775808", "7"]


def test_a_csv_files_empty_cells_are_missing_and_what_our_steps_count_are_numbers(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(
        "\ufeff,question,answer,thinking_tokens,correct\r\n0,a,,12,True\r\n1,b,x,,false\r\n\r\n2,c\n",
        encoding="utf-8",
    )
    found = curate.read(path)
    assert found["answer"] == [None, "x", None] and found["thinking_tokens"] == [12, None, None]
    assert found["correct"] == [True, False, None] and found["Unnamed: 0"] == ["0", "1", "2"]
    long = "word " * 100_000  # the csv module refuses a cell of more than 131,072 characters
    before = csv.field_size_limit()
    assert opened(as_csv(path, {"thinking": [long]}))["thinking"] == [long]
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    "text",
    [
        '{"question": "a"}\n{"question": "b"}\n',
        '\n\n{"question": "a"}\r\n\r\n{"question": "b"}',
        '[{"question": "a"}, {"question": "b"}]',
        '[\n  {"question": "a"},\n  {"question": "b"}\n]\n',
        '{\n  "question": "a"\n}\n{\n  "question":\n "b"\n}\n',
        '\ufeff{"question": "a"}\n{"question": "b"}\n',
    ],
)
def test_json_is_read_in_lines_in_a_list_and_pretty_printed(tmp_path, text):
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    assert opened(tmp_path / "x.json")["question"] == ["a", "b"]


def test_values_of_several_types_in_a_column_stay_what_they_are(tmp_path):
    talk = [{"role": "user", "content": "2012-12-12"}]
    rows = [{"question": "a", "x": {"a": 1}}, {"question": talk, "x": {"b": ["2012-12-12", 2]}}]
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert opened(path)["question"] == ["a", talk]
    assert opened(path)["x"] == [{"a": 1}, {"b": ["2012-12-12", 2]}]


def test_what_was_written_is_read_back(tmp_path):
    pool = lab.tiny.pool(40)
    curate.write(pool, tmp_path / "pool.jsonl")
    found = curate.read(tmp_path / "pool.jsonl")
    assert found.to_list() == pool.to_list() and curate.digest(found) == curate.digest(pool)
    assert found._fingerprint == curate.read(tmp_path / "pool.jsonl")._fingerprint


DEEP = 10_000
HOSTILE = {
    "null at the beginning": ('null\n{"question": "a"}\n', "line 1 is null"),
    "null later": ('{"question": "a"}\nnull\n', "line 2 is null"),
    "nulls without end": ("null" * 100_000, "null"),
    "a number": ("3\n", "line 1 is"),
    "a text": ('"a"\n', 'line 1 is "a"'),
    "a list in lines": ('{"question": "a"}\n[null]\n', "row 0 is null"),
    "a list of lists": ("[[1, 2], [3]]", "row 0 is"),
    "deep lists": (f'{{"question": "a", "x": {"[" * DEEP}{"]" * DEEP}}}\n', "inside each other"),
    "deep objects": ('{"x": ' * DEEP + "1" + "}" * DEEP, "inside each other"),
    "deep and cut": ("[" * 1_000_000, "inside each other"),
    "just too deep": (
        f'{{"question": "a", "x": {"[" * (MOST_DEEP + 2)}{"]" * (MOST_DEEP + 2)}}}\n',
        "inside each other",
    ),
    "a column a row": (
        "\n".join(f'{{"c{i}": 1}}' for i in range(MOST_COLUMNS + 1)), f"more than {MOST_COLUMNS:,}"
    ),
    "a name twice": ('{"answer": "1", "answer": "2"}\n', "'answer' comes twice"),
    "half of a surrogate pair": ('{"question": "a\\ud83d"}\n', "question of row 0"),
    "a cut line": ('{"question": "a"}\n{"question": "b', "line 2"),
    "words behind a row": ('{"question": "a"} x\n', "can't be read"),
    "no row": ("\n\n", "no rows"),
    "no UTF-8": ('{"question": "\udcff"}\n', "utf-8"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_json_file_ends_in_one_sentence(tmp_path, name):
    text, words = HOSTILE[name]
    path = tmp_path / "x.jsonl"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match="can't be read as jsonl") as error:
        curate.read(path)
    assert words in str(error.value) and str(path) in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_a_number_of_many_digits_costs_no_time(tmp_path):
    """int() refuses 5,000 digits, and float() rounds them."""
    path = tmp_path / "x.jsonl"
    path.write_text(f'{{"question": "a", "answer": {"7" * 10**6}, "x": {"1" * 10**6}}}\n')
    row = opened(path)[0]
    assert row["answer"] == "7" * 10**6 and row["x"] == "1" * 10**6


@pytest.mark.long
def test_a_hostile_json_file_costs_bounded_memory(tmp_path):
    """In a process with little memory, which pyarrow's reader would bring down."""
    (tmp_path / "null.jsonl").write_text("null\n" * 1_000_000)
    (tmp_path / "deep.jsonl").write_text("[" * 2_000_000 + "]" * 2_000_000)
    code = (
        "import sys; from s1lab import curate\n"
        "for path in sys.argv[1:]:\n"
        "    try: curate.read(path)\n"
        "    except ValueError as why: print(why)\n"
    )
    files = [str(tmp_path / name) for name in ("null.jsonl", "deep.jsonl")]
    ran = subprocess.run(
        [sys.executable, "-c", code, *files], capture_output=True, text=True, timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (3 << 30, 3 << 30)),
    )  # fmt: skip
    assert ran.returncode == 0 and len(ran.stdout.splitlines()) == 2, ran.stderr[-2000:]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("question,answer\na,b,c\n", "3 cells, and the header 2"),
        ("question,question\na,b\n", "two columns are called 'question'"),
        ('question\n"a\n', "unexpected end"),
        ("question\n", "no rows"),
        ("\n", "can't be read"),
    ],
)
def test_a_broken_csv_file_ends_in_one_sentence(tmp_path, text, words):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(ValueError, match=r"x\.csv can't be read as csv") as error:
        curate.read(tmp_path / "x.csv")
    assert words in str(error.value) and "\n" not in str(error.value)


def test_trajectories_without_text_are_empty_and_others_are_named(tmp_path):
    path = tmp_path / "x.parquet"
    Dataset.from_dict(
        {"question": list("abcd"), "thinking_trajectories": [["one", "two"], [None], [], None]}
    ).to_parquet(str(path))
    found = curate.read(path, ("question", "thinking"))
    assert found["thinking"] == ["one\ntwo", None, None, None]
    assert curate.quality(found, ["missing thinking"])[1].rows == [1, 2, 3]
    for odd in ([{"text": "one"}], [["one"]], {"text": "one"}):
        rows = {"question": ["a", "b"], "thinking_trajectories": [odd] * 2}
        Dataset.from_dict(rows).to_parquet(str(path))
        with pytest.raises(ValueError, match=r"trajectories of row 0 of .*x\.parquet holds a"):
            curate.read(path)


def test_an_answer_that_is_an_object_is_named_in_a_benchmark(tmp_path):
    path = as_lines(tmp_path / "x.jsonl", {"problem": ["a", "b"], "answer": ["1", {"value": 2}]})
    with pytest.raises(ValueError, match=r"the answer of row 1 of .*x\.jsonl is a dict"):
        load("aime24", path, check=False)
