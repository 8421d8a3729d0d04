"""Grading: which answer a response gives, what is equal, and that nothing in it costs more than
bounded time and memory.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from datasets import Dataset

import s1lab as lab
from s1lab.evaluation import grade
from s1lab.evaluation.grade import sandbox as pool
from s1lab.evaluation.grade.extract import plain
from tests.helpers import REAL_DATA

real = pytest.mark.skipif(
    not REAL_DATA.is_dir(), reason="no folder of real benchmarks lies beside the repository"
)

# Towers of powers, a binomial, roots of roots: each would take hours or gigabytes.
HOSTILE = [
    "9^9^9^9^9",
    r"\frac{1}{9**9**9}",
    r"\boxed{\frac{1}{9^{9^{9^9}}}}",
    r"\boxed{\binom{10^9}{5\cdot 10^8}}",
    r"\boxed{" + r"\sqrt{" * 60 + "2" + "}" * 60 + "}",
]
# These cost the rules alone: no process is asked.
LONG = [
    "{" * 500_000 + "}" * 500_000,
    r"\boxed{" * 20_000,
    r"\[" * 500_000,
    "$" * 99_999,
    "\n" * 1_000_000,
    "answer " * 100_000,
    " " * 999_999 + "1/2",
]


@pytest.mark.parametrize(
    ("response", "kind", "given"),
    [
        (r"\boxed{1} no, \boxed{2}", "math", "2"),
        (r"\boxed{2} and then \boxed{3", "math", "2"),  # the last whose braces close
        (r"\boxed{\left\{ 1, \frac{2}{3} \right\}}", "math", r"\left\{ 1, \frac{2}{3} \right\}"),
        (r"\boxed 7", "math", "7"),
        (r"\fbox{7}", "integer", "7"),
        (r"Answer: 3, or \boxed{4}. Final Answer: 5", "math", "4"),
        ("Answer: 3. Then the final answer is $x+1$, as wanted.", "math", "x+1"),
        ("**Final Answer:** **12**", "math", "12"),
        ("### Final Answer\n\n$$x^2$$\nDone.", "math", "x^2"),
        ("The answer to the question is $\\frac12$.", "math", "\\frac12"),
        ("The answers are $1$, $2$ and $3$.", "math", "1, 2, 3"),
        ("It costs $5, so the answer is $5.", "math", "5"),
        ("We start with $x$ and reach $y+1$.", "math", "y+1"),
        ("Some lines.\nSo the value is 3/4.", "math", "3/4"),
        ("Some lines.\nThe result: 3/4", "math", "3/4"),
        ("After some thought, x - 1 is the answer.", "math", "x - 1"),
        (r"\boxed{\frac{1}{2}}", "integer", None),
        (r"\boxed{10^3}", "integer", "1000"),
        (r"\boxed{10^{-3}}", "integer", None),
        (r"\boxed{m+n = 204}", "integer", "204"),
        (r"\boxed{\text{204 minutes}}", "integer", "204"),
        (r"\boxed{336^{\circ}}", "integer", "336"),
        ("The answer is not obvious. Summing up, 7 + 8 = 15.", "integer", "15"),
        ("The answer is (C) because A is wrong.", "choice", "C"),
        (r"\boxed{\textbf{(B)}}", "choice", "B"),
        ("answer: d", "choice", "D"),
        ("I think that A is wrong, so I choose option (B) here.", "choice", "B"),
        ("Correct choice: C", "choice", "C"),
        ("I do not know a word of this.", "choice", None),
    ],
)
def test_where_the_answer_is_found(response, kind, given):
    assert grade.extract(response, kind) == given


@pytest.mark.parametrize(
    ("response", "gold", "kind", "right", "why"),
    [
        ("Final Answer: 12", "13", "math", False, "whole numbers"),
        (r"\boxed{ \frac{1}{2} }", r"\frac{1}{2}", "math", True, "the same text"),
        (r"\boxed{\frac{2}{4}}", r"\frac{1}{2}", "math", True, "numbers compared"),
        (r"\boxed{1+x}", "x+1", "math", True, "equal by math-verify"),
        (r"\boxed{x+1}", "x+2", "math", False, "not equal by math-verify"),
        ("x" * 2_000, "3", "math", False, "more than the 1000 characters"),
        ("no idea", "3", "integer", False, "no answer"),
        ("Answer: B", "B", "choice", True, "letters"),
        ("Answer: 40 + 7", "40+7", "exact", True, "the same text"),
    ],
)
def test_a_verdict_has_its_reason(response, gold, kind, right, why):
    found = grade.verdict(response, gold, kind)
    assert found.correct is right and why in found.reason and found.error is None


@pytest.mark.parametrize(
    ("given", "gold", "right"),
    [
        ("36", "40_9", False),  # its value, where its digits in base 9 are asked for
        ("40", "40_9", True),  # the question names the base
        ("40_{9}", "40_9", True),
        ("5x + 4 = 0", "0", False),
        ("m + n = 204", "204", True),
        ("x = 5", "5", True),
        (r"\$36", r"36^\circ", False),
        ("36", r"36^\circ", True),
        (r"15\text{ cm}^2", "15", True),
        ("(-2,1)", "1, -2", False),
        ("-2, 1", "1,-2", True),
        ("(1, 2)", "(2, 1)", False),
        ("10080", "10,\\!080", True),
    ],
)
def test_forms_that_mathematics_alone_would_mix_up(given, gold, right):
    assert grade.is_correct(rf"\boxed{{{given}}}", gold) is right


def test_a_gold_answer_that_is_none_is_an_error_of_the_row():
    found = grade.verdict("3", "about three", "integer")
    assert not found.correct and "about three" in found.error and "whole number" in found.error
    with pytest.raises(ValueError, match="about three"):
        grade.is_correct("3", "about three", "integer")
    with pytest.raises(ValueError, match="2 responses, 1 gold"):
        grade.verdicts(["1", "2"], ["1"])


def processor_time() -> float:
    """The seconds of processor time of this process, its workers and its ended children.

    The grader promises processor time. On a busy machine the clock shows what others used.
    """
    workers = [worker._process for worker in pool._all if worker._process]
    # The system adds a child's time to its parent's only when the child has ended.
    running = sum(pool._processor_time(process.pid) or 0.0 for process in workers)
    return sum(os.times()[:4]) + running


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda text: text[:20])
def test_a_hostile_answer_costs_bounded_time_and_the_next_is_graded(hostile):
    began = processor_time()
    found = grade.verdict(hostile, "3")
    assert not found.correct
    assert processor_time() - began < 60  # unbounded would be hours
    assert grade.is_correct(r"\boxed{2x/6}", r"\frac{x}{3}")


def test_what_could_not_be_graded_is_an_error_and_not_silently_wrong():
    found = grade.verdict("10000000!", "3")
    assert (
        found.error
        and "10000000!" in found.error
        and "s" in found.error
        and found.reason == "not graded"
    )


@pytest.mark.parametrize("kind", grade.KINDS)
def test_long_nonsense_is_read_in_linear_time(kind):
    began = processor_time()
    for text in LONG:
        assert not grade.is_correct(text, "A" if kind == "choice" else "3", kind)
    assert processor_time() - began < 30  # quadratic would be hours


def test_a_worker_holds_no_more_memory_than_its_limit():
    grade.is_correct(r"\boxed{3x/9}", r"\frac{x}{3}")
    process = next(worker._process for worker in pool._all if worker._process)
    limits = Path(f"/proc/{process.pid}/limits")
    if not limits.exists():
        pytest.skip("this system shows no limits of a process")
    (line,) = (
        line for line in limits.read_text().splitlines() if line.startswith("Max address space")
    )
    assert str(pool.MEMORY) in line


def test_no_answer_runs_as_code(tmp_path):
    mark = tmp_path / "mark"
    for text in (
        f"__import__('os').system('touch {mark}')",
        rf"\text{{__import__('pathlib').Path('{mark}').touch()}}",
    ):
        assert not grade.is_correct(rf"\boxed{{{text}}}", "3")
    assert not mark.exists()


def test_an_interrupted_question_leaves_no_answer_for_the_next(monkeypatch):
    assert not grade.is_correct(r"\boxed{x/2}", r"\frac{x}{5}")

    def interrupt(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(pool.json, "loads", interrupt)
        with pytest.raises(KeyboardInterrupt):
            grade.is_correct(r"\boxed{5x/10}", r"\frac{x}{2}")
    assert not grade.is_correct(r"\boxed{x/2}", r"\frac{x}{7}")


def test_it_grades_from_a_thread():
    found: list[bool] = []
    threads = [
        threading.Thread(
            target=lambda n=n: found.append(
                grade.is_correct(rf"\boxed{{\frac{{\sqrt{{{n * n}}}}}{{{2 * n}}}}}", "0.5")
            )
        )
        for n in range(3, 9)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert found == [True] * 6


def _in_a_child(answers):
    answers.put(grade.is_correct(r"\boxed{7x/14}", "x/2"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_it_grades_from_a_daemonic_child_and_goes_on_in_the_parent():
    assert grade.is_correct(r"\boxed{2x/4}", "x/2")
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=_in_a_child, args=(answers,), daemon=True)
    child.start()
    assert answers.get(timeout=120) is True
    child.join(60)
    assert grade.is_correct(r"\boxed{3x/6}", "x/2")


CHILD = """
import os, sys, time, types
# grade alone: quick
package = types.ModuleType("s1lab"); package.__path__ = [sys.argv[1]]
sys.modules["s1lab"] = package
from s1lab.evaluation import grade
from s1lab.evaluation.grade import sandbox as pool
assert grade.is_correct(r"\\boxed{2x/4}", "x/2")
print(next(w._process.pid for w in pool._all), flush=True)
time.sleep(60 if sys.argv[2] == "wait" else 0)
"""


@pytest.mark.parametrize("how", ["ends", "wait"])
def test_workers_end_with_whoever_started_them(how):
    parent = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(Path(lab.__file__).parent), how],
        stdout=subprocess.PIPE,
        text=True,
    )
    worker = int(parent.stdout.readline())
    if how == "wait":
        parent.send_signal(signal.SIGKILL)
    parent.wait(60)
    for _ in range(100):
        try:
            os.kill(worker, 0)
            if (
                Path(f"/proc/{worker}/stat").exists()
                and Path(f"/proc/{worker}/stat").read_text().split()[2] == "Z"
            ):
                return  # ended, and nobody has asked for it yet
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("the worker outlives its parent")


def test_a_grader_that_fails_is_counted_in_the_results(scripted, monkeypatch, tmp_path):
    problems = Dataset.from_dict({"question": ["a", "b"], "answer": ["x/2", r"x\sqrt3"]})
    engine = scripted(
        lambda text: "x<|im_start|>" if "answer\n" not in text else r"\boxed{2x/4}<|im_end|>"
    )
    monkeypatch.setattr(
        pool, "ask_all", lambda items, workers: [{"error": "took more than 2 s"}] * len(items)
    )
    results = lab.evaluate(engine, problems, lab.Budget(), store=tmp_path / "x.db", progress=False)
    assert results.grading_errors == 2 and "2 in grading" in repr(results)
    assert all(
        "took more than 2 s" in row["error"] and row["error"] == row["grade_error"]
        for row in results.rows
    )
    assert results.verdicts == [False, False]
    assert [
        t.correct for t in lab.storage.read_run(results.save(tmp_path / "run.jsonl")).traces
    ] == [None, None]
    assert [t.correct for t in lab.storage.read_run(tmp_path / "x.db").traces] == [None, None]


def test_rows_say_why(scripted):
    problems = Dataset.from_dict({"question": ["a", "b"], "answer": ["x/2", r"x\sqrt3"]})
    engine = scripted(
        lambda text: "x<|im_start|>" if "answer\n" not in text else r"\boxed{2x/4}<|im_end|>"
    )
    rows = lab.evaluate(engine, problems, lab.Budget(), progress=False).rows
    assert rows["reason"] == ["equal by math-verify", "not equal by math-verify"] and rows[
        "error"
    ] == [None, None]


def test_a_model_grades_where_asked(scripted):
    problems = Dataset.from_dict({"question": ["one", "two", "three"], "answer": ["1", "2", "3"]})
    model = scripted(
        lambda text: "x<|im_start|>" if "answer\n" not in text else "Answer: it<|im_end|>"
    )
    judge = scripted(
        lambda text: (
            {"1": "Yes.", "2": "no", "3": "hm"}[re.search(r"Reference answer: (\d)", text)[1]]
            + "<|im_end|>"
        )
    )
    results = lab.evaluate(
        model, problems, lab.Budget(), grader=grade.by_model(judge), progress=False
    )
    assert results.verdicts == [True, False, False]
    assert results.grading_errors == 1 and "neither yes nor no" in results.rows[2]["error"]
    assert results.rows[0]["reason"] == "asked scripted"
    with pytest.raises(ValueError, match="1 verdicts on 3 responses"):
        lab.evaluate(
            model,
            problems,
            lab.Budget(),
            grader=lambda *_: [grade.Verdict(True, "", "")],
            progress=False,
        )


def mutated(text: str, rng: random.Random) -> str:
    """A text with some of it lost, doubled, turned, or replaced by what trips readers."""
    trips = [
        "{",
        "}",
        "\\",
        "$",
        "\\boxed{",
        "\\frac{",
        "^",
        "\x00",
        "\ud800",
        "ﷺ",
        "٣",
        "9" * 50,
        "\\text{",
        "&",
        "%",
        "#",
        "_",
        "\u202e",
    ]
    for _ in range(rng.randint(1, 6)):
        at, length = rng.randrange(len(text) + 1), rng.randint(0, 8)
        text = rng.choice(
            [
                text[:at] + text[at + length :],
                text[: at + length] + text[at:],
                text[at:] + text[:at],
                text[:at] + rng.choice(trips) + text[at:],
            ]
        )
    return text


def test_mutated_responses_end_in_a_verdict():
    rng = random.Random(3)
    seeds = [
        (
            r"Thus $x = \frac{3}{4}$ and \boxed{\left( 3, \frac{\pi}{2} \right)}.",
            r"\left( 3, \frac{\pi}{2} \right)",
        ),
        (r"The answer is \(x \in [-2,7]\).", "[-2,7]"),
        (
            r"Final Answer: $\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}$",
            r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}",
        ),
        ("Answer: **B** 1,234", "1234"),
    ]
    rows = [
        (mutated(r, rng), mutated(g, rng) if rng.random() < 0.3 else g)
        for r, g in (rng.choice(seeds) for _ in range(120))
    ]
    kinds = [rng.choice(grade.KINDS) for _ in rows]
    found = grade.verdicts([r for r, _ in rows], [g for _, g in rows], kinds)
    assert len(found) == len(rows) and all(v.reason for v in found)
    assert all("\n" not in v.error and len(v.error) < 400 for v in found if v.error)
    assert found == grade.verdicts([r for r, _ in rows], [g for _, g in rows], kinds)


@real
def test_math500_answers_in_a_sentence_and_its_solutions_grade_right():
    rows = [
        json.loads(line)
        for line in (REAL_DATA / "math500.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    golds = [row["answer"] for row in rows]
    for sentence in (
        r"So the final answer is $\boxed{%s}$.",
        "The answer is $%s$.",
        "Final Answer: %s",
        "Hence the value is \\[%s\\]",
    ):
        found = grade.verdicts([sentence.replace("%s", gold) for gold in golds], golds)
        assert sum(v.correct for v in found) == 500, sentence
    found = grade.verdicts([row["solution"] for row in rows], golds)
    assert sum(v.correct for v in found) >= 499 and not any(v.error for v in found)


@real
def test_math500_answers_of_other_questions_grade_wrong():
    golds = [
        json.loads(line)["answer"]
        for line in (REAL_DATA / "math500.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    rng = random.Random(9)
    pairs = [(a, b) for a, b in (rng.sample(golds, 2) for _ in range(1000)) if plain(a) != plain(b)]
    found = grade.verdicts(
        [rf"The answer is \boxed{{{a}}}." for a, _ in pairs], [b for _, b in pairs]
    )
    assert [
        pair for pair, v in zip(pairs, found, strict=True) if v.correct and pair not in EQUAL
    ] == []


# Answers of two questions that are the same answer in another notation.
EQUAL = {("x=5", "5"), ("5", "x=5")}


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="this system shows no processor time of a process"
)
def test_a_worker_that_others_starved_is_replaced_and_the_item_tried_again(monkeypatch):
    """The clock alone decides nothing: a stopped process has used no processor time, so its item is
    asked again.
    """
    pair = {"given": r"\sqrt{8}", "gold": r"2\sqrt{2}"}
    worker = pool.Worker()
    assert worker.ask(pair) == {"same": True, "how": "equal by math-verify"}
    monkeypatch.setattr(pool, "STARVED", 3.0)
    stopped = worker._process
    os.kill(stopped.pid, signal.SIGSTOP)
    try:
        assert worker.ask(pair) == {"same": True, "how": "equal by math-verify"}
        assert worker._process is not stopped and stopped.wait(60) == -signal.SIGKILL
    finally:
        worker.close()


@pytest.mark.parametrize(
    ("response", "kind", "given"),
    [
        ("Final Answer: 3", "integer", "3"),
        ("Answer: 12\nFinal Answer: 13.", "integer", "13"),
        ("so 12 + 4 = 16", "integer", "16"),
        (r"thus \boxed{\frac{1}{2}} and Answer: 3", "math", r"\frac{1}{2}"),
        ("The answer is (C).", "choice", "C"),
        ("Answer: 40+7-3", "exact", "40+7-3"),
        ("1,234", "integer", "1,234"),
        ("no number here", "integer", None),
        ("3.5", "integer", None),
        ("", "math", None),
    ],
)
def test_extract(response, kind, given):
    assert grade.extract(response, kind) == given


@pytest.mark.parametrize(
    ("response", "gold", "kind", "right"),
    [
        ("Final Answer: 3", "3", "integer", True),
        ("Final Answer: 003", "3", "integer", True),
        ("Final Answer: 1,234", "1234", "integer", True),
        ("Final Answer: 13", "3", "integer", False),
        ("Answer: -3", "3", "integer", False),
        (r"\boxed{\frac{1}{2}}", "0.5", "math", True),
        (r"\boxed{x^2+1}", "1+x^2", "math", True),
        (r"\boxed{\frac{1}{3}}", "0.5", "math", False),
        ("Answer: 40 + 7 - 3", "40+7-3", "exact", True),
        ("Answer: 44", "40+7-3", "exact", False),
        ("Answer: ann", "Ann", "exact", True),
        ("Answer: B", "B", "choice", True),
        ("Answer: A", "B", "choice", False),
        ("", "3", "integer", False),
    ],
)
def test_is_correct(response, gold, kind, right):
    assert grade.is_correct(response, gold, kind) is right


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="poem"):
        grade.is_correct("3", "3", "poem")


@pytest.mark.parametrize(
    "hostile", ["9^9^9^9^9", "9" * 100_000, r"\boxed{" * 5000, "((((" * 2000, "10^{99999999}"]
)
@pytest.mark.parametrize("kind", grade.KINDS)
def test_a_hostile_answer_costs_little(hostile, kind):
    began = processor_time()
    assert grade.is_correct(hostile, "A" if kind == "choice" else "3", kind) is False
    assert processor_time() - began < 10  # generous: unbounded would be hours
