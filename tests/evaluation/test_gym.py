"""Questions of reasoning-gym: the package's own rows and scores, and answers that do nothing."""

from __future__ import annotations

import json
import random
import re
import sys
from functools import cache
from importlib import metadata

import pytest
import reasoning_gym
from datasets import Dataset

import s1lab as lab
from s1lab.evaluation import gym
from s1lab.evaluation.grade import sandbox
from tests.helpers import ROOT
from tests.helpers.scripted import Scripted

NAMES = [gym.PREFIX + task for task in gym.TASKS]
N = 8
KNIGHT = "Al is a knight, and Bo is a knave."
every_task = pytest.mark.parametrize("name", NAMES)


@cache
def drawn(name: str) -> Dataset:
    return lab.benchmarks.load(name, n=N)


def package(name: str, seed: int = 0, size: int = 50, **settings):
    return reasoning_gym.create_dataset(
        name.removeprefix(gym.PREFIX), seed=seed * gym.SPACING, size=size, **settings
    )


def wrong_answers(answer: str, rng: random.Random) -> list[str]:
    """Answers that are near a right one."""
    number = re.search(r"\d", answer)
    return [
        answer + "1",
        answer[:-1],
        "".join(rng.sample(answer, len(answer))),
        answer.replace(number[0], str((int(number[0]) + 1) % 10), 1) if number else "17",
        ", ".join(reversed(answer.split(", "))),
        "Tuesday",
        "Yes",
        "3 days",
        "00:00",
        "1/0",
        "I do not know",
    ]


@every_task
def test_rows_are_the_packages_own_and_its_own_answers_are_right(name):
    rows = drawn(name)
    theirs = package(name)
    entries = [theirs[row] for row in rows["row"]]
    assert rows["question"] == [entry["question"] for entry in entries]
    assert rows["answer"] == [entry["answer"] for entry in entries]
    assert set(rows["kind"]) == {name} == {rows.info.dataset_name}
    assert len(set(rows["question"])) == N
    found = lab.grade.verdicts(
        [rf"So it is \boxed{{{answer}}}." for answer in rows["answer"]], rows["answer"], name
    )
    assert [verdict.score for verdict in found] == [1.0] * N
    assert all(verdict.correct and not verdict.error for verdict in found)
    assert found[0].reason == f"scored 1 by reasoning-gym {gym.VERSION}"


@every_task
def test_scores_are_those_of_the_package_though_only_the_right_answer_is_known(name):
    """The scorer is asked in another process, with what is made from the right answer."""
    theirs, rng = package(name), random.Random(5)
    task = name.removeprefix(gym.PREFIX)
    asked, wanted = [], []
    for row in drawn(name).select(range(4)):
        entry = theirs[row["row"]]
        for given in [row["answer"], *wrong_answers(row["answer"], rng)]:
            asked.append({"task": task, "given": given, "gold": row["answer"]})
            wanted.append(theirs.score_answer(given, entry))
    scores = [answer["score"] for answer in sandbox.ask_all(asked)]
    assert scores == wanted
    assert 1 in scores and any(score < 1 for score in scores)


@every_task
@pytest.mark.parametrize(
    "sentence",
    ["{}", "The answer is {}.", "Some thoughts.\nFinal Answer: {}", "<answer>{}</answer>"],
)
def test_an_answer_is_found_as_in_other_responses(name, sentence):
    answers = drawn(name)["answer"]
    found = lab.grade.verdicts([sentence.format(answer) for answer in answers], answers, name)
    assert [verdict.correct for verdict in found] == [True] * N, [v.given for v in found]


@pytest.mark.parametrize(
    ("task", "response", "gold", "score"),
    [
        ("leg_counting", "There are 2,720 legs in all.", "2720", 1),
        ("leg_counting", r"\boxed{272.5}", "272", 0.6),
        ("gsm_symbolic", "She pays $1,012.50 in total.", "1012.5", 1),
        ("gsm_symbolic", "It is 28.", "27", 0.01),
        ("spell_backward", 'The word is "nus".', "nus", 1),
        # The scorer adds up ninths: more than 1 is not right either.
        ("spell_backward", "noremopyh1", "noremopyh", 1.0000000000000002),
        ("spell_backward", r"\boxed{\text{nas}}", "nus", pytest.approx(2 / 3)),
        ("word_sorting", "Here they are:\nThe sorted list is: Bee, ant, cat.", "Bee, ant, cat", 1),
        ("word_sorting", "Answer: ant, Bee, cat", "Bee, ant, cat", pytest.approx(1 / 3)),
        ("calendar_arithmetic", "Counting on, April 8 is a **Tuesday**.", "Tuesday", 1),
        ("calendar_arithmetic", "Yes, 2024 is a leap year.", "Yes", 1),
        ("calendar_arithmetic", "The answer is Monday or Tuesday.", "Tuesday", 0),
        ("calendar_arithmetic", "There are 13 of them.", "13", 1),
        ("time_intervals", "It took 05:46 hours.", "05:46", 1),
        ("time_intervals", "17:34 - 11:48 = 05:46", "05:46", 1),
        ("time_intervals", "It lasted 76 days, 16:32 in all.", "76 days, 16:32", 1),
        ("knights_knaves", "Bo is a knave, Al is a knight", KNIGHT, 1),
        ("knights_knaves", "Al is a knight, and Bo is a knight.", KNIGHT, pytest.approx(0.65)),
        ("countdown", r"\boxed{(19 - 5) \times 17 - 86}", "17*(19 - 5) - 86", 1),
        ("countdown", r"Thus $\text{17*(19 - 5) - 86}$.", "17*(19 - 5) - 86", 1),
        ("countdown", "17*(19 - 5) - 86 = 152", "17*(19 - 5) - 86", 0.01),
        ("countdown", "17*(19 - 5) - 86 + 0", "17*(19 - 5) - 86", 0.05),
        ("gcd", "I cannot tell.", "9", 0),
    ],
)  # fmt: skip
def test_an_answer_is_put_into_the_form_that_the_scorer_reads(task, response, gold, score):
    found = lab.grade.verdict(response, gold, gym.PREFIX + task)
    assert found.score == score and found.correct is (score == 1) and not found.error, found


@every_task
def test_a_hostile_answer_does_nothing(name, tmp_path):
    mark = tmp_path / "mark"
    hostile = [
        f"__import__('os').system('touch {mark}')",
        f"open('{mark}', 'w')",
        "9**9**9",
        "9" * 1_000_000,
        "(" * 5_000,
        "9" * 999,
        "*".join(["9" * 8] * 100),
        "1e999999999",
        "factorial(10000000)",
        "\x00\ud800",
        "",
        None,
        3,
    ]
    task, gold = name.removeprefix(gym.PREFIX), drawn(name)["answer"][0]
    items = [{"task": task, "given": given, "gold": gold} for given in hostile]
    scores = [answer.get("score", 0) for answer in sandbox.ask_all(items)]
    assert all(0 <= score < 1 for score in scores), scores
    texts = [text for text in hostile if isinstance(text, str)]
    found = lab.grade.verdicts([rf"\boxed{{{text}}}" for text in texts], [gold] * len(texts), name)
    assert not any(verdict.correct for verdict in found)
    # A number of a thousand digits is too large for one scorer, which is an error of its row.
    assert {re.search(r"\w+Error", v.error)[0] for v in found if v.error} <= {"OverflowError"}
    assert not mark.exists()


def test_the_right_answer_is_data_too(tmp_path):
    mark = tmp_path / "mark"
    found = lab.grade.verdict("1 + 2", f"open('{mark}', 'w')", "reasoning-gym/countdown")
    assert not mark.exists()
    assert not found.correct and found.score == 0 and "not an expression of numbers" in found.error


@pytest.mark.parametrize(
    ("scorer", "error"),
    [
        ("raise RuntimeError('lost')", "RuntimeError: lost"),
        ("return None", "TypeError"),
        ("\n        while True: pass", "took more than 2 s"),
        ("return 'x' * 10**10", "took too much memory"),
    ],
)
def test_a_scorer_that_fails_is_an_error_of_its_row(scorer, error, tmp_path, monkeypatch):
    folder = tmp_path / "reasoning_gym"
    folder.mkdir()
    (folder / "__init__.py").write_text(f"""
class Scores:
    def score_answer(self, answer, entry):
        if answer == "1":
            return 1.0
        {scorer}

def create_dataset(task, seed, size):
    return Scores()
""")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    sandbox.close()  # workers that have the package itself
    try:
        found = lab.grade.verdicts(["1", "2", "3"], ["1", "2", "1"], "reasoning-gym/gcd")
        assert [verdict.correct for verdict in found] == [True, False, False]
        assert [verdict.score for verdict in found] == [1.0, 0.0, 0.0]
        assert error in found[1].error and found[0].error is None
    finally:
        sandbox.close()


def test_seeds_share_no_row_and_more_questions_begin_with_fewer():
    few, many = (lab.benchmarks.load("reasoning-gym/chain_sum", n=n, seed=1) for n in (5, 20))
    assert few["question"] == many["question"][:5]
    other = lab.benchmarks.load("reasoning-gym/chain_sum", n=20, seed=2)
    assert not set(many["question"]) & set(other["question"])
    # The package itself: row i of a seed is row i - 1 of the next one.
    assert (
        package("chain_sum")[1]["question"]
        == (reasoning_gym.create_dataset("chain_sum", seed=1, size=9)[0]["question"])
    )
    assert lab.benchmarks.load("Reasoning_Gym/Chain-Sum", n=5, seed=1)["row"] == few["row"]


def test_questions_that_two_sets_share_are_found():
    train, test = (
        lab.benchmarks.load("reasoning-gym/products", n=60, seed=seed, max_digits=1)
        for seed in (1, 2)
    )
    both = lab.benchmarks.shared(train, test)
    assert {train["question"][i] for i in both} == set(train["question"]) & set(test["question"])
    assert both and lab.benchmarks.shared(train, train) == list(range(60))
    # All questions of this task begin alike, so that n-grams say nothing.
    train, test = (
        lab.benchmarks.load("reasoning-gym/leg_counting", n=N, seed=seed) for seed in (1, 2)
    )
    assert lab.benchmarks.shared(train, test) == []


def test_repeated_and_wrong_rows_are_replaced_where_checked():
    rows = lab.benchmarks.load("reasoning-gym/products", n=60, seed=1, max_digits=1)
    assert len(set(rows["question"])) == 60 and rows["row"][-1] > 60
    bare = lab.benchmarks.load("reasoning-gym/products", n=60, seed=1, max_digits=1, check=False)
    assert len(set(bare["question"])) < 60 and bare["row"] == list(range(60))
    with pytest.raises(ValueError, match=r"has only 100 different questions .* give n=100"):
        lab.benchmarks.load("reasoning-gym/products", n=200, max_digits=1)


def test_milliseconds_dropped_times_and_wrong_years_are_rows_that_are_replaced():
    spans = lab.benchmarks.load("reasoning-gym/time_intervals", n=80, task_types=["time_ms"])
    for row in spans:
        start, end, given = (
            (int(h) * 3600 + int(m) * 60 + int(s)) * 1000 + int(ms)
            for h, m, s, ms in re.findall(
                r"(\d\d):(\d\d):(\d\d)\.(\d{3})", row["question"] + row["answer"]
            )
        )
        assert given == end - start, row
    dates = lab.benchmarks.load("reasoning-gym/time_intervals", n=80, task_types=["datetime"])
    assert not [q for q in dates["question"] if re.search(r"day\) \d\d:\d\d", q)]
    days = lab.benchmarks.load(
        "reasoning-gym/calendar_arithmetic", n=80, tasks=["count_business_days"]
    )
    assert not [q for q in days["question"] if "December" in q.split(" to ")[0] and "January" in q]


def test_word_problems_have_worked_solutions_that_end_in_their_answer():
    rows = drawn("reasoning-gym/gsm_symbolic")
    assert rows.column_names == ["question", "answer", "kind", "row", "solution"]
    for row in rows:
        assert float(row["solution"].rpartition("####")[2]) == float(row["answer"])
    entry = {"answer": "27", "metadata": {"answer_cot": "so 26\n#### 26.0"}}
    assert gym.TASKS["gsm_symbolic"].wrong(entry)


@pytest.fixture
def speller(scripted) -> Scripted:
    """A model that answers the first question right, the second one nearly, the others not."""
    rows = drawn("reasoning-gym/spell_backward")
    near = rows["answer"][1][:-1] + "#"
    said = dict(zip(rows["question"], [rows["answer"][0], near] + ["?"] * N, strict=False))

    def say(text: str) -> str:
        if "answer\n" not in text:
            return "1 x\n<|im_start|>"
        question = next(q for q in said if q in text)
        return f"Answer: {said[question]}<|im_end|>"

    return scripted(say)


def test_a_run_has_scores_and_is_saved_loaded_and_voted_on(speller, tmp_path):
    rows = drawn("reasoning-gym/spell_backward").select(range(3))
    results = lab.evaluate(speller, rows, lab.Budget(), store=tmp_path / "x.db", progress=False)
    assert results.rows["correct"] == [True, False, False]
    length = len(rows["answer"][1])
    assert results.rows["score"] == [1.0, pytest.approx(1 - 1 / length), 0.0]
    assert results.made["benchmark"]["name"] == "reasoning-gym/spell_backward"
    assert results.rows["row"] == rows["row"] and results.accuracy == pytest.approx(100 / 3)
    saved = lab.storage.read_run(results.save(tmp_path / "run.jsonl"))
    assert [trace.correct for trace in saved.traces] == [True, False, False]
    again = lab.Results.of(rows, saved.traces, saved.made)
    assert again.rows["score"] == results.rows["score"]
    assert results.save_harness(tmp_path / "out").exists()
    stored = lab.storage.read_run(tmp_path / "x.db")
    assert [trace.correct for trace in stored.traces] == [True, False, False]

    kinds = rows["kind"]
    votes = lab.vote(speller, rows["question"], 3, kind=kinds, progress=False)
    assert [v.accuracy(a) for v, a in zip(votes, rows["answer"], strict=True)] == [1, 0, 0]
    twice = lab.evaluate(speller, rows, lab.Budget(), samples=2, temperature=1.0, progress=False)
    assert twice.rows["score"] == results.rows["score"]
    # Rows of another kind beside them have no score, and a run without the tasks no such column.
    mixed = [dict(rows[0]), {"question": rows["question"][1], "answer": "3", "kind": "math"}]
    assert lab.evaluate(speller, mixed, lab.Budget(), progress=False).rows["score"] == [1.0, None]
    plain = lab.evaluate(speller, mixed[1:], lab.Budget(), progress=False)
    assert "score" not in plain.rows.column_names


def test_votes_count_one_answer_in_several_spellings_once():
    kind = "reasoning-gym/word_sorting"
    assert lab.grade.same("Bee,ant,  cat", "Bee, ant, cat", kind)
    assert not lab.grade.same("bee, ant, cat", "Bee, ant, cat", kind)  # the score differs
    assert lab.grade.same("1,234", "1234", "reasoning-gym/gcd")
    assert lab.grade.same("17 * (19-5)", "17*(19 - 5)", "reasoning-gym/countdown")
    assert lab.grade.normal("007", "reasoning-gym/gcd") == "7"


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("reasoning-gym/leg_countng", {}, ["leg_countng", "'reasoning-gym/leg_counting'"]),
        ("reasoning-gym/sudoku", {}, ["sudoku", "choose from reasoning-gym/", "countdown"]),
        ("reasoning-gym", {}, ["'reasoning-gym'", "choose from"]),
        ("leg_counting", {}, ["reasoning-gym/", "'leg_counting'"]),
        ("reasoning-gym/gcd", {"n": 0}, ["n=0", "at least 1"]),
        ("reasoning-gym/gcd", {"n": 10**9}, ["n=1000000000", "from 1 to 40,000"]),
        ("reasoning-gym/gcd", {"n": 2.5}, ["n=2.5", "whole number"]),
        ("reasoning-gym/gcd", {"seed": -1}, ["seed=-1", "at least 0"]),
        ("reasoning-gym/gcd", {"seed": "x"}, ["seed='x'"]),
        ("reasoning-gym/gcd", {"seed": 10**10}, ["seed=10000000000", "from 0 to"]),
        ("reasoning-gym/gcd", {"max_valu": 9}, ["'max_valu'", "do you mean 'max_value'?"]),
        ("reasoning-gym/gcd", {"size": 9}, ["'size'", "do you mean 'n'?"]),
        ("reasoning-gym/gcd", {"max_value": 0}, ["max_value=0", "at least 1"]),
        ("reasoning-gym/gcd", {"min_value": 9, "max_value": 3}, ["min_value", "gcd"]),
        ("reasoning-gym/gcd", {"max_value": "many"}, ["max_value", "many"]),
        ("reasoning-gym/calendar_arithmetic", {"tasks": ["tea"]}, ["tea"]),
        ("reasoning-gym/calendar_arithmetic", {"offset_upper_bound": 0}, ["offset_upper_bound=0"]),
        ("reasoning-gym/countdown", {"max_target": 100, "max_value": 1}, ["can't make row"]),
        ("reasoning-gym/gcd", {"path": "x.jsonl"}, ["leave out path"]),
        ("embedded", {"max_animals": 3}, ["max_animals", "embedded"]),
    ],
)
def test_bad_input_gets_a_sentence(name, options, words):
    with pytest.raises((ValueError, TypeError)) as error:
        lab.benchmarks.load(name, **options)
    said = str(error.value)
    assert all(word in said for word in words) and "\n" not in said, said


def test_a_kind_that_is_nearly_a_task_is_named(speller):
    rows = [{"question": "What?", "answer": "3", "kind": "reasoning-gym/gdc"}]
    for call in (
        lambda: lab.evaluate(speller, rows, progress=False),
        lambda: lab.vote(speller, "What?", 2, kind="reasoning-gym/gdc", progress=False),
        lambda: lab.grade.extract("3", "reasoning-gym/gdc"),
    ):
        with pytest.raises(ValueError, match=r"gdc'.*choose from .*'reasoning-gym/gcd'"):
            call()
    with pytest.raises(ValueError, match=r"lab\.benchmarks\.load\('reasoning-gym/gcd"):
        lab.evaluate(speller, "reasoning-gym/gcd", progress=False)


def test_a_package_that_is_missing_or_of_another_version_is_named(monkeypatch, speller):
    monkeypatch.setattr(gym.metadata, "version", lambda name: "0.2.0")
    with pytest.raises(ValueError, match=r"0\.2\.0 is installed.*==0\.1\.25.*check=False"):
        lab.benchmarks.load("reasoning-gym/gcd", n=2)
    assert len(lab.benchmarks.load("reasoning-gym/gcd", n=2, check=False)) == 2

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(gym.metadata, "version", missing)
    with pytest.raises(ImportError, match=r"not installed: pip install 's1lab\[gym\]'"):
        lab.benchmarks.load("reasoning-gym/gcd", n=2)
    with pytest.raises(ImportError, match="not installed"):  # before anything is asked
        lab.evaluate(speller, drawn("reasoning-gym/gcd"), progress=False)
    assert not speller.requests
    with pytest.raises(ImportError, match="not installed"):
        lab.grade.is_correct("3", "3", "reasoning-gym/gcd")


def test_the_book_lists_every_task_with_its_first_question():
    page = (ROOT / "docs" / "reasoning_gym.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for line, (name, task) in zip(rows, gym.TASKS.items(), strict=True):
        question = " ".join(drawn(gym.PREFIX + name)["question"][0].split())
        if len(question) > 240:
            question = f"{question[:120].rpartition(' ')[0]} … {question[-120:].partition(' ')[2]}"
        answer = drawn(gym.PREFIX + name)["answer"][0]
        cells = [f"`{name}`", task.asks, question, f"`{answer}`"]
        assert line == f"| {' | '.join(cells)} |"


def test_the_command_line_draws_by_seed_and_settings(tmp_path):
    from typer.testing import CliRunner

    from s1lab.cli import app

    def run(*options: str):
        command = ["evaluate", "--benchmark", "reasoning-gym/leg_counting", "--n", "3", *options]
        return CliRunner().invoke(app, [*command, "--max-tokens", "4", "--json"])

    done = run("--benchmark-option", "seed=3", "--benchmark-option", "max_animals=4")
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)["made"]["benchmark"]
    rows = lab.benchmarks.load("reasoning-gym/leg_counting", n=3, seed=3, max_animals=4)
    assert made["questions"] == 3 and made["name"] == "reasoning-gym/leg_counting"
    assert made["checksum"] == lab.evaluation.evaluate.checksum(rows["question"])
    for options, words in (
        (["--benchmark-option", "seed"], "seed=1"),
        (["--benchmark-option", "n=3"], "--n"),
        (["--benchmark-option", "animals=3"], "max_animals"),
    ):
        refused = run(*options)
        assert refused.exit_code == 2 and words in refused.output, refused.output


def test_rows_need_no_more_than_question_answer_and_kind(speller):
    rows = drawn("reasoning-gym/spell_backward").select(range(2))
    bare = Dataset.from_dict({name: rows[name] for name in ("question", "answer", "kind")})
    assert lab.evaluate(speller, bare, progress=False).rows["score"][0] == 1.0
