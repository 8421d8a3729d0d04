"""The command line: results, messages and exit codes, command by command."""

from __future__ import annotations

import contextlib
import json
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import s1lab as lab
from s1lab.cli import app
from s1lab.cli.options import engine_options
from s1lab.cli.shell import duration, in_color, told_by_terminal, work
from s1lab.figures.trace_view import follow
from tests.helpers.scripted import thinker

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


def test_a_question_that_the_embedded_model_does_not_know_gets_a_note():
    assert invoke("run", ASKED).stderr == ""
    said = invoke("run", "What is the capital of France?", "--json").stderr
    assert said.startswith("s1lab: note: s1-tiny was taught six kinds of questions only")
    assert said.count("\n") == 1


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
    other = invoke("evaluate", "--n", "10", "--waits", "2", "--save", a, code=2).stderr
    assert "is there already, and holds another run (other: budget)" in other


@pytest.mark.parametrize(
    "budget", [["--waits", "1"], ["--no-thinking"], ["--sweep-caps", "16", "--sweep-waits", "0"]]
)
def test_the_same_evaluate_goes_on_with_its_file_and_its_store(budget, tmp_path):
    save, store = tmp_path / "x.jsonl", tmp_path / "x.db"
    call = ["evaluate", "--n", "4", *budget, "--store", store, "--save", save]
    first = invoke(*call).stdout
    files = {path: path.read_bytes() for path in tmp_path.glob("*.jsonl")}
    written = [run["completions"] for run in facts("runs", store)]
    assert invoke(*call).stdout == first and files
    assert {path: path.read_bytes() for path in tmp_path.glob("*.jsonl")} == files
    again = [run["completions"] for run in facts("runs", store)]
    assert again[-1] == written[-1] or again[-1] == 0  # nothing was asked again


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--temperature", "0.5"], "temperature"),
        (["--n", "5"], "benchmark"),
        (["--seed", "3"], "seed"),
        (["--system", "Be short."], "system"),
        (["--no-thinking"], "semantics"),
        (["--sweep-caps", "16"], ""),
        (["--answer-tokens", "9"], "budget"),
        (["--model", "s1-tiny-base"], "model"),
        (["--option", "max_model_len=2000"], "context"),
    ],
)
def test_another_evaluate_never_replaces_a_saved_run(change, words, tmp_path):
    save = tmp_path / "x.jsonl"
    invoke("evaluate", "--n", "4", "--save", save)
    before = save.read_bytes()
    if "--sweep-caps" in change:  # of a sweep each rung has its file
        save.rename(tmp_path / "x-cap-16.jsonl")
    said = invoke("evaluate", "--n", "4", "--save", save, *change, code=2).stderr
    assert "is there already, and holds another run" in said and words in said
    assert next(tmp_path.glob("*.jsonl")).read_bytes() == before
    (tmp_path / "y.jsonl").write_text("mine\n")
    assert "is there already" in invoke("evaluate", "--save", tmp_path / "y.jsonl", code=2).stderr
    assert (tmp_path / "y.jsonl").read_text() == "mine\n"


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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", ""], "the question is empty"),
        (["run", "x", "--top-p", "3"], "top_p=3.0 can't be used: give a number above 0"),
        (["run", "x", "--repetition-penalty", "-1"], "repetition_penalty=-1.0"),
        (["run", "x", "--compat", "original"], "compat='original'"),
        (["run", "x", "--model", "README.md"], "'README.md' is a file"),
        (["run", "x", "--model", "docs/guide.md"], "'docs/guide.md' is a file"),
        (["run", "x", "--model", "s1-tinny"], "no model is at 's1-tinny'"),
        (["run", "x", "--model", "no/such.gguf"], "no file is at no/such.gguf"),
        (["run", "x", "--model", "s1-tiny + nowhere"], "adapter nowhere has no adapter_config"),
        (["run", "x", "--engine", "vlm"], "no engine is called 'vlm'"),
        (["run", "x", "--model", "http://127.0.0.1:9/v1", "--engine", "vllm"], "server engine"),
        (["ladder", " "], "the question is empty"),
        (["ladder", "x", "--caps", "0"], "max_tokens=0"),
        (["ladder", "x", "--caps", "64,16"], "caps"),
        (["ladder", "x", "--top-p", "0"], "top_p=0.0"),
        (["evaluate", "--top-p", "3"], "top_p=3.0"),
        (["evaluate", "--sweep-caps", "0"], "max_tokens=0"),
        (["evaluate", "--model", "README.md"], "'README.md' is a file"),
        (["curate", "--difficulty", "README.md", "--out", "new.jsonl"], "'README.md' is a file"),
        (["sft", "--data", "no.jsonl"], "--data no.jsonl: there is no such file"),
    ],
)  # fmt: skip
def test_arguments_are_checked_before_a_model_is_loaded(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    for file in ("README.md", "docs/guide.md"):
        (tmp_path / file).write_text("# A page\n")

    def loaded(*_, **__):
        raise AssertionError("a model is loaded")

    monkeypatch.setattr(lab, "load", loaded)
    monkeypatch.setitem(sys.modules, "trl", None)  # an import of it would fail
    said = invoke(*arguments, code=2).stderr
    assert said.startswith("s1lab: ") and words in said and said.count("\n") == 1


def test_a_question_comes_from_standard_input(tiny):
    for command, more in (("run", ["--max-tokens", "16"]), ("ladder", ["--caps", "16"])):
        ran = [
            CliRunner().invoke(app, [command, question, *more, "--json"], input=given)
            for question, given in ((ASKED, None), ("-", f"{ASKED}\n"))
        ]
        assert [r.exit_code for r in ran] == [0, 0] and ran[0].stdout == ran[1].stdout
    empty = CliRunner().invoke(app, ["run", "-"], input=" \n")
    assert empty.exit_code == 2 and "the question is empty" in empty.stderr


def test_help_has_a_short_form_and_fits_into_80_columns():
    for name in ("", "run", "ladder", "evaluate", "curate", "sft", "diff", "runs"):
        short, long = (invoke(*filter(None, [name]), option).stdout for option in ("-h", "--help"))
        assert short == long and max(map(len, long.splitlines())) <= 80, name


def test_the_table_of_runs_fits_into_a_terminal(tmp_path, monkeypatch):
    stored = import_module("s1lab.cli.runs")  # the package has the function of that name
    invoke("run", ASKED, "--store", tmp_path / "x.db")
    table = lab.runs(tmp_path / "x.db")
    assert stored._fitting(table, 80).splitlines()[0].split() == stored.SHOWN  # in a pipe
    monkeypatch.setattr(stored, "on_terminal", lambda: True)
    assert stored._fitting(table, 500).splitlines()[0].split() == stored.SHOWN
    narrow = stored._fitting(table, 80)
    assert max(map(len, narrow.splitlines())) <= 80
    assert {"run", "status", "call", "model", "tokens", "wall_s"} <= set(narrow.split())


def test_a_shell_completes_options_and_their_values(monkeypatch):
    monkeypatch.setenv("_S1LAB_COMPLETE", "complete_bash")
    for words, found in (
        (
            "s1lab run --model s1-tiny-",
            {"s1-tiny-base", "s1-tiny-tcc", "s1-tiny-scc", "s1-tiny-ccc"},
        ),
        ("s1lab run --engine v", {"vllm"}),
        ("s1lab run --compat ", {"exact", "readme", "harness"}),
        ("s1lab evaluate --sweep-", {"--sweep-caps", "--sweep-waits"}),
        ("s1lab ev", {"evaluate"}),
    ):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
        ran = CliRunner().invoke(app, [], prog_name="s1lab")
        assert set(ran.stdout.split()) == found, words


def test_a_sweep_says_what_its_one_pass_wrote(tiny):
    problems = lab.tiny.benchmark().select(range(4))
    ladders = lab.ladder(tiny, problems["question"], (16,), (0, 1), progress=False)
    arguments = ["evaluate", "--n", "4", "--sweep-caps", "16", "--sweep-waits", "0,1"]
    written, alone = sum(one.written for one in ladders), sum(one.alone for one in ladders)
    assert written < alone
    words = f"{written:,} tokens written in one pass for all rungs, {alone:,} one by one"
    assert words in invoke(*arguments).stdout
    found = facts(*arguments)
    assert (found["written"], found["alone"]) == (written, alone)


def test_many_questions_are_announced_with_a_time(monkeypatch):
    command = import_module("s1lab.cli.evaluate")  # the package has the function of that name
    for module, name, n in ((command, "LONG", 12), (command, "TRIED", 4)):
        monkeypatch.setattr(module, name, n)
    said = invoke("evaluate", "--n", "12", "--max-tokens", "8").stderr.splitlines()
    assert said[0].startswith("making 12 questions takes about ")
    assert said[1] == "timing the first 4 of 12 questions …"
    assert said[2].startswith("12 questions take about ") and "(4 of them took " in said[2]
    assert invoke("evaluate", "--n", "11", "--max-tokens", "8").stderr == ""


def test_times_are_said_in_words():
    said = [duration(seconds) for seconds in (2.4, 89, 90, 3000, 5400, 9000)]
    assert said == ["2 s", "89 s", "2 min", "50 min", "1.5 h", "2.5 h"]


def test_colour_and_bars_follow_the_terminals_wishes(monkeypatch):
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    for variables, color, bars in (
        ({}, True, True),
        ({"NO_COLOR": "1"}, False, True),
        ({"NO_COLOR": ""}, True, True),  # empty is as if it were not set
        ({"TERM": "dumb"}, False, False),
    ):
        with monkeypatch.context() as patched:
            patched.delenv("NO_COLOR", raising=False)
            patched.setenv("TERM", "xterm")
            for name, value in variables.items():
                patched.setenv(name, value)
            assert (in_color(), told_by_terminal()) == (color, bars), variables


HOSTILE = "1 r \x1b[2J\x1b]0;mine\x07\x9b31m\u202eabc\rx\ty\n"


def test_control_characters_of_a_model_never_reach_a_terminal(scripted, monkeypatch, tmp_path):
    engine = scripted(thinker(HOSTILE, answer=f"{HOSTILE}<|im_end|>"))
    monkeypatch.setattr(lab, "load", lambda *_, **__: contextlib.nullcontext(engine))
    data = tmp_path / "x.jsonl"
    data.write_text(json.dumps({"question": f"How {HOSTILE}?", "answer": "3"}) + "\n")
    saved = tmp_path / "run.jsonl"
    for arguments in (
        ["run", f"How {HOSTILE}?"],
        ["run", "How?", "--json"],
        ["ladder", "How?", "--caps", "4", "--json"],
        ["ladder", "How?", "--caps", "4"],
        ["evaluate", "--data", data, "--save", saved],
        ["diff", saved, saved, "--json"],
        ["diff", saved, saved],
    ):
        ran = CliRunner().invoke(app, [str(argument) for argument in arguments])
        odd = {c for c in ran.stdout + ran.stderr if not c.isprintable()} - {"\n", "\t"}
        assert ran.exit_code in (0, 1) and not odd, (arguments, odd)
    shown = invoke("run", "How?").stdout
    assert r"\x1b[2J\x1b]0;mine\x07\x9b31m\u202eabc\rx" in shown and "\ty" in shown
    told = facts("run", "How?")
    assert "\x9b31m\u202eabc\rx" in told["segments"][1][1]  # JSON escapes, and loses nothing


@pytest.mark.parametrize("color", [False, True])
def test_a_trace_that_is_followed_ends_as_it_is_shown_whole(tiny, color):
    questions = ["How many r in raspberry", "Schreibe ä日本 😀: what is 2 + 3?"]
    for question in questions:
        for budget in (lab.Budget(waits=2), lab.Budget(max_tokens=9)):
            with lab.Driver(tiny) as driver:
                handle = driver.force(question, budget, watch=True)
                parts: list[str] = []
                trace = follow(handle.events(), parts.append, color)
            assert trace.ids == lab.force(tiny, question, budget).ids
            assert "".join(parts) == trace.show(color) and len(parts) > 8


def test_a_letter_that_is_half_written_waits_for_its_other_bytes(scripted):
    engine = scripted(thinker("é日😀 1\n"))
    whole = lab.force(engine, "How?", lab.Budget())
    parts: list[str] = []
    grown = [whole.fork(length, whole.budget) for length in range(1, len(whole.ids))] + [whole]
    follow(iter(grown), parts.append, False)
    assert "".join(parts) == whole.show() and not any("\ufffd" in part for part in parts)


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
        (["run", "x", "--option", "max_batch=many"], "max_batch='many' is no whole number"),
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
