"""The command line: results, messages and exit codes, command by command."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import s1lab as lab
from s1lab.cli import app
from s1lab.cli.options import engine_options
from s1lab.cli.shell import work

ASKED = "How many r in raspberry"


def invoke(*arguments: str | Path, code: int = 0):
    ran = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert ran.exit_code == code, (ran.stdout, ran.stderr, ran.exception)
    return ran


def facts(*arguments: str | Path, code: int = 0):
    return json.loads(invoke(*arguments, "--json", code=code).stdout)


@pytest.fixture(autouse=True)
def one_model(monkeypatch, tiny):
    """The embedded model, loaded once for all commands that ask for it without options."""
    load = lab.load

    def loaded(model, **options):
        return (
            contextlib.nullcontext(tiny)
            if (model, options) == ("s1-tiny", {"engine": "auto"})
            else load(model, **options)
        )

    monkeypatch.setattr(lab, "load", loaded)


def test_run_prints_the_trace_with_what_was_forced(tiny):
    trace = lab.force(tiny, ASKED, lab.Budget(waits=1))
    shown = invoke("run", ASKED, "--waits", "1").stdout
    assert shown.strip() == trace.show()
    assert "«Wait»" in shown and trace.answer in shown and "1 wait" in shown
    found = facts("run", ASKED, "--waits", "1")
    assert found["answer"] == trace.answer and found["thinking_tokens"] == trace.thinking_tokens
    assert [tuple(s) for s in found["segments"]] == [
        (str(source), text) for source, text in trace.segments()
    ]


def test_ladder_says_the_same_as_text_and_as_json(tiny):
    arguments = ["ladder", ASKED, "--caps", "8,32", "--waits", "0,1"]
    expected = lab.ladder(tiny, ASKED, (8, 32), (0, 1))
    text, found = invoke(*arguments).stdout, facts(*arguments)
    assert [(r["rung"], r["answer"]) for r in found["rungs"]] == [
        (name, t.answer) for name, t in expected.items()
    ]
    assert (
        str(expected) in text
        and f"{found['written']} tokens written for all rungs, {found['alone']} one by one" in text
    )


def test_evaluate_saves_and_diff_compares(tiny, tmp_path):
    a, b = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    shown = invoke("evaluate", "--n", "10", "--save", a).stdout
    found = facts("evaluate", "--n", "10", "--waits", "1", "--save", b)
    expected = lab.evaluate(
        tiny, lab.tiny.benchmark().select(range(10)), lab.Budget(waits=1), progress=False
    )
    assert found["accuracy"] == expected.accuracy and (found["low"], found["high"]) == (
        expected.interval.low,
        expected.interval.high,
    )
    assert (
        found["right"] == sum(expected.verdicts)
        and found["written"] == lab.methods.cost(*expected.traces).sampled
    )
    assert (
        found["budget"]["waits"] == 1
        and found["made"]["model"] == "s1-tiny"
        and found["saved"] == str(b)
    )
    own = lab.evaluate(tiny, lab.tiny.benchmark().select(range(10)), progress=False)
    assert f"accuracy {own.interval}" in shown and "no errors" in shown and f"saved {a}" in shown
    invoke("diff", a, a)
    differ = facts("diff", a, b, code=1)
    assert (
        differ["same"] == 0 and differ["part"] == 10 and differ["only"] == [0, 0]
    )  # each with the same question under a Wait
    assert "is there already" in invoke("evaluate", "--n", "10", "--save", a, code=2).stderr


def test_evaluate_sweeps_into_a_file_a_rung(tiny, tmp_path):
    arguments = ["evaluate", "--n", "6", "--sweep-caps", "16", "--sweep-waits", "0,1"]
    found = facts(*arguments, "--save", tmp_path / "x.jsonl", "--store", tmp_path / "x.db")["rungs"]
    assert list(found) == ["cap 16", "own stop", "1 Wait"]
    expected = lab.evaluate(
        tiny, lab.tiny.benchmark().select(range(6)), lab.Budget(max_tokens=16), progress=False
    )
    assert found["cap 16"]["accuracy"] == expected.accuracy
    stored = lab.storage.read_run(tmp_path / "x-cap-16.jsonl")
    assert [t.ids for t in stored.traces] == [t.ids for t in expected.traces]
    assert (
        lab.runs(tmp_path / "x.db")["finished"][0] == 6
        and facts("runs", tmp_path / "x.db")[0]["call"] == "sweep"
    )
    assert "own stop" in invoke(*arguments).stdout


def test_evaluate_takes_problems_from_a_file_and_counts_what_failed(tmp_path):
    long = "How many r in raspberry? " + "Think well. " * 3000
    rows = [
        {"question": ASKED, "answer": "3", "kind": "integer"},
        {"question": long, "answer": "3", "kind": "integer"},
    ]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ["evaluate", "--data", tmp_path / "x.jsonl", "--waits", "1"]
    found = facts(*arguments, code=1)
    assert (found["questions"], found["failed"], found["right"], found["accuracy"]) == (
        2,
        1,
        1,
        50.0,
    )
    assert "leaves no room" in found["errors"][0]["error"]
    shown = invoke(*arguments, code=1).stdout
    assert "1 questions FAILED" in shown and "leaves no room" in shown and "no errors" not in shown
    assert facts(*arguments, "--n", "1")["questions"] == 1


def test_evaluate_asks_a_benchmark_and_puts_the_papers_numbers_beside(monkeypatch, tmp_path):
    monkeypatch.setitem(
        lab.benchmarks.BENCHMARKS,
        "aime24",
        lab.benchmarks.Benchmark("x/y", "train", 2, "integer", "t", "AIME24"),
    )
    rows = [{"problem": ASKED, "answer": "3"}, {"problem": "How many e in tree", "answer": "2"}]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown = invoke("evaluate", "--benchmark", "aime24", "--path", tmp_path / "x.jsonl").stdout
    assert "2 questions of aime24" in shown and "the paper's" in shown and "ours" in shown


def test_curate_writes_rows_and_an_account_of_every_drop(tmp_path):
    out = tmp_path / "forty.jsonl"
    arguments = ["curate", "--pool-size", "900", "--ngram", "13", "--chosen", "40", "--out", out]
    found = facts(*arguments)
    rows = lab.curate.read(out)
    assert len(rows) == found["rows"] == 40 and lab.curate.digest(rows) == found["sha256"]
    report = json.loads(Path(found["report"]).read_text())
    assert [step["stage"] for step in report["steps"]] == [
        "quality",
        "decontaminate",
        "deduplicate",
        "select (paper)",
    ]
    for step, after in zip(report["steps"], [*report["steps"][1:], {"before": 40}], strict=True):
        assert step["before"] - len(step["rows"]) == step["after"] == after["before"]
        assert sum(step["dropped"].values()) == len(step["rows"]) and all(
            why for _, _, why in step["rows"]
        )
    assert "is there already" in invoke(*arguments, code=2).stderr
    again = invoke(
        "curate",
        "--pool",
        out,
        "--ngram",
        "13",
        "--chosen",
        "20",
        "--out",
        tmp_path / "twenty.jsonl",
    ).stdout
    assert "collected" in again and len(lab.curate.read(tmp_path / "twenty.jsonl")) == 20


def test_curate_drops_what_a_model_solves(tmp_path):
    found = facts(
        *("curate", "--pool-size", "200", "--ngram", "13", "--chosen", "10"),
        *("--difficulty", "s1-tiny", "--prefix", "Answer:"),
        *("--store", tmp_path / "d.db", "--out", tmp_path / "ten.jsonl"),
    )  # fmt: skip
    solved = next(step for step in found["steps"] if step["stage"] == "difficulty")
    assert solved["dropped"]["solved by s1-tiny"] == solved["before"] - solved["after"] > 0
    assert (tmp_path / "d-s1-tiny.db").exists()


def test_sft_plans_the_same_as_text_and_as_json():
    arguments = ["sft", "--recipe", "qwen-0.5b", "--gpus", "2", "--memory", "4"]
    planned = lab.sft.plan("qwen-0.5b", 2, 4.0)
    assert not planned.fits
    found = facts(*arguments)
    assert (found["fits"], found["total"], found["would_fit"]) == (
        planned.fits,
        planned.total,
        planned.ways(),
    )
    assert invoke(*arguments).stdout.strip() == str(planned)
    assert facts("sft", "--plan", "--recipe", "tiny")["gpus"] == 1


def test_sft_trains_what_curate_wrote(tmp_path):
    invoke(
        "curate",
        "--pool-size",
        "600",
        "--ngram",
        "13",
        "--chosen",
        "16",
        "--out",
        tmp_path / "rows.jsonl",
    )
    arguments = [
        "sft",
        "--data",
        tmp_path / "rows.jsonl",
        "--epochs",
        "1",
        "--out",
        tmp_path / "out",
    ]
    found = facts(*arguments)
    assert found["steps"] == 1 == len(found["loss"]) and lab.load(found["path"]).model == str(
        tmp_path / "out"
    )
    assert f"in 1 steps; the model is in {tmp_path / 'out'}" in invoke(*arguments).stdout


def test_every_command_has_help_with_an_example_and_the_exit_codes_are_told():
    shown = invoke("--help").stdout
    for code in ("0 ", "1 ", "2 ", "130 "):
        assert f"\n    {code}" in shown
    for name in ("run", "ladder", "evaluate", "curate", "sft", "diff", "runs"):
        assert f"\n  {name} " in shown
        told = invoke(name, "--help").stdout
        assert f"Example:\n    s1lab {name}" in told or f"\n    s1lab {name}" in told
        assert "--json" in told
    assert invoke("--version").stdout == f"{lab.__version__}\n" == "0.1.0\n"


def test_options_are_json_where_they_read_as_such():
    pairs = [
        "max_batch=16",
        "dtype=float32",
        "enforce-eager=true",
        'limit={"image": 0}',
        "empty=",
        "sign=a=b",
    ]
    assert engine_options(pairs, None) == {
        "max_batch": 16, "dtype": "float32", "enforce_eager": True, "limit": {"image": 0},
        "empty": "", "sign": "a=b",
    }  # fmt: skip


def test_a_key_comes_from_the_environment_or_a_file_and_is_never_shown(monkeypatch, tmp_path):
    monkeypatch.setenv("SERVED", "sesame")
    (tmp_path / "key").write_text("open\n")
    assert engine_options(None, "env:SERVED") == {"api_key": "sesame"}
    assert engine_options(None, f"file:{tmp_path / 'key'}") == {"api_key": "open"}
    for arguments in (
        ["--api-key", "sesame"],
        ["--option", "api_key=sesame"],
        ["--option", "api-key=sesame"],
    ):
        said = invoke("run", ASKED, "--model", "http://127.0.0.1:9/v1", *arguments, code=2).stderr
        assert "sesame" not in said and "--api-key" in said
    refused = invoke(
        "run", ASKED, "--model", "http://127.0.0.1:9/v1", "--api-key", "env:SERVED", code=2
    ).stderr
    assert "127.0.0.1:9" in refused and "sesame" not in refused
    for where, words in (
        ("env:NO_SUCH_NAME", "not set"),
        (f"file:{tmp_path / 'none'}", "can't be read"),
        ("env:", "env:NAME"),
    ):
        assert words in invoke("run", ASKED, "--api-key", where, code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", " "], "empty"),
        (["run", "x", "--model", "./no"], "./no"),
        (["run", "x", "--option", "max_batches=3"],
         "the transformers engine has no option 'max_batches'"),
        (["run", "x", "--option", "max_batch=many"], "max_batch='many': give a whole number"),
        (["run", "x", "--option", "max_batch"], "no key=value"),
        (["run", "x", "--option", "max_batch=1", "--option", "max-batch=2"], "twice"),
        (["run", "x", "--option", "engine=vllm"], "--engine"),
        (["ladder", "x", "--caps", "16,a"], "--caps '16,a' is no list of whole numbers"),
        (["evaluate", "--benchmark", "aime24", "--data", "x"], "give one of them"),
        (["evaluate", "--path", "x"], "--benchmark"),
        (["evaluate", "--samples", "2"], "--samples 2"),
        (["evaluate", "--benchmark", "aime24", "--api-key", "env:NO_SUCH_NAME"],
         "NO_SUCH_NAME is not set"),
        (["evaluate", "--prefix", "Answer:"], "--no-thinking"),
        (["evaluate", "--no-thinking", "--waits", "1"], "nothing to budget"),
        (["evaluate", "--sweep-caps", "16", "--waits", "1"], "--sweep-waits"),
        (["evaluate", "--data", "no.jsonl"], "no.jsonl"),
        (["curate", "--pool", "no.jsonl", "--out", "new.jsonl"], "no.jsonl"),
        (["curate", "--pool", "x", "--pool-size", "9", "--out", "new.jsonl"], "--pool-size"),
        (["sft"], "nothing to train on"),
        (["runs", "no.db"], "no store is at no.db"),
        (["diff", "no", "no"], "no stored run is at no"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = invoke(*arguments, code=2)
    assert (
        not said.stdout
        and said.stderr.startswith("s1lab: ")
        and words in said.stderr
        and said.stderr.count("\n") == 1
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "x", "--max-tokens", "0"],
        ["run", "x", "--waits", "-1"],
        ["evaluate", "--n", "0"],
        ["curate", "--out", "new.jsonl", "--pool-size", "0"],
    ],
)
def test_a_number_out_of_range_is_called_by_its_option(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = invoke(*arguments, code=2)
    assert not said.stdout and f"'{arguments[-2]}'" in said.stderr
    assert not list(tmp_path.iterdir())


def test_a_package_that_is_missing_is_named_with_what_installs_it(capsys):
    for package, words in (
        ("trl.trainer", "trl is not installed: pip install 's1lab[sft]'"),
        ("zzz", "zzz is not installed"),
    ):
        with pytest.raises(typer.Exit) as end, work():
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        assert end.value.exit_code == 2 and words in capsys.readouterr().err


def test_a_fault_of_the_program_itself_is_not_taken_for_bad_input():
    with pytest.raises(ZeroDivisionError), work():
        raise ZeroDivisionError


@pytest.mark.parametrize("folder", [".", "/", "runs"])
def test_a_folder_in_place_of_a_new_file_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for command, option in (("curate", "--out"), ("evaluate", "--save")):
        said = invoke(command, option, folder, code=2).stderr
        assert f"{option} {folder} is a folder: give a new file in it, such as" in said
        assert len(said.splitlines()) == 1


def test_an_option_without_effect_is_noted_on_one_line():
    said = invoke("run", ASKED, "--seed", "5", "--max-tokens", "4").stderr
    assert said.strip() == (
        "s1lab: note: seed=5 has no effect at temperature 0, which is greedy: give a temperature, "
        "or leave it out"
    )
