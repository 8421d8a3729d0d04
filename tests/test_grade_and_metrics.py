"""Grading and the statistics of a run."""

from __future__ import annotations

import time

import numpy as np
import pytest

import s1lab as lab
from s1lab.evaluation import grade, metrics


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
    began = time.perf_counter()
    assert grade.is_correct(hostile, "A" if kind == "choice" else "3", kind) is False
    assert time.perf_counter() - began < 10  # generous: unbounded would be hours


def test_accuracy_interval_is_wilsons():
    interval = metrics.accuracy_interval([True] * 17 + [False] * 13)
    assert (round(interval.value, 1), round(interval.low, 1), round(interval.high, 1)) == (
        56.7,
        39.2,
        72.6,
    )
    assert metrics.accuracy_interval([True] * 5).low < 100


def test_paired_bootstrap_is_seeded_signed_and_covers():
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(60):
        b = rng.random(200) < 0.5
        a = np.where(rng.random(200) < 0.2, True, b)  # true gain: 0.2 * 0.5 = 10 points
        interval = metrics.paired_bootstrap(a, b, resamples=2000, seed=trial)
        assert interval.low <= interval.value <= interval.high
        covered += interval.low <= 10 <= interval.high
    assert covered >= 51  # of 60 at 95 %: fewer has a chance below one in ten thousand
    assert metrics.paired_bootstrap(a, b, seed=3) == metrics.paired_bootstrap(a, b, seed=3)
    forth, back = metrics.paired_bootstrap(a, b, seed=3), metrics.paired_bootstrap(b, a, seed=3)
    assert (back.value, back.low, back.high) == pytest.approx(
        (-forth.value, -forth.high, -forth.low)
    )


def test_paired_bootstrap_of_equal_runs_is_zero():
    interval = metrics.paired_bootstrap([1, 0, 1], [1, 0, 1])
    assert (interval.value, interval.low, interval.high) == (0, 0, 0)


def test_paired_bootstrap_wants_pairs():
    with pytest.raises(
        ValueError, match="a has 1 outcomes and b has 2, but they pair question by question"
    ):
        metrics.paired_bootstrap([1], [1, 0])
    with pytest.raises(ValueError, match="a is empty"):
        metrics.paired_bootstrap([], [])


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
        scripted(say), problems, lab.Budget(), n=2, temperature=1.0, progress=False
    )
    assert len(sampled.traces) == 24 and sampled.accuracy == pytest.approx(results.accuracy)
    assert sampled.interval == results.interval  # samples that are all alike tell nothing new
    assert [t.sample for t in sampled.traces[:4]] == [0, 1, 0, 1]
