"""A run that is graded: what is counted, and what each row says."""

from __future__ import annotations

import pytest

import s1lab as lab


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
