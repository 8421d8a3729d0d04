"""The embedded pool: the paper's proportions, the same on every run, and blemishes by which every
filter is scored.
"""

from __future__ import annotations

import collections

import pytest

import s1lab as lab
from s1lab import curate
from s1lab.evaluation.grade import is_correct
from s1lab.tiny.pool import MIXES, OF_TEN_THOUSAND, SHARED_WORDS
from s1lab.tiny.world import split_of

N, SEED = 12_000, 4


@pytest.fixture(scope="module")
def pool():
    return lab.tiny.pool(N, SEED)


@pytest.fixture(scope="module")
def labels(pool):
    return lab.tiny.blemishes(N, SEED)


def marked(labels, *names):
    return {row for row, label in enumerate(labels) if label in names}


def test_sources_stand_in_the_papers_proportions():
    assert sum(count for count, _ in lab.paper.TABLE_7.values()) == 59_029 and set(MIXES) == set(
        lab.paper.TABLE_7
    )
    pool = lab.tiny.pool(5_903, 1)
    for source, count in collections.Counter(pool["source"]).items():
        assert abs(count - lab.paper.TABLE_7[source][0] / 10) <= 12, (
            source
        )  # repeats bring their first asker's row along
    assert lab.tiny.pool(7).num_rows == 7 and lab.tiny.pool(1).num_rows == 1
    with pytest.raises(ValueError, match="n is 0"):
        lab.tiny.pool(0)


def test_the_same_seed_gives_the_same_rows():
    assert (
        curate.digest(lab.tiny.pool(800, 2))
        == curate.digest(lab.tiny.pool(800, 2))
        != curate.digest(lab.tiny.pool(800, 3))
    )
    # Written down once: another machine or version that gives another pool must say so.
    assert curate.digest(lab.tiny.pool(800, 2))[:16] == "8246897e77f3d810"


def test_sources_with_long_traces_in_the_paper_have_long_ones_here(pool, labels):
    lengths = collections.defaultdict(list)
    for source, tokens, label in zip(pool["source"], pool["thinking_tokens"], labels, strict=True):
        if label in ("", "wrong trace"):
            lengths[source].append(tokens)
    means = {s: sum(v) / len(v) for s, v in lengths.items() if len(v) >= 40}
    scale = [1000 * lab.paper.TABLE_7[s][1] / mean for s, mean in means.items()]
    assert len(means) >= 12 and max(scale) < 2.2 * min(scale)


def test_counts_of_blemishes_are_as_said(labels):
    counts = collections.Counter(labels)
    for name, of_ten_thousand in OF_TEN_THOUSAND.items():
        assert counts[name] == round(N * of_ten_thousand / 10_000), name
    assert counts["wrong trace"] > 0.1 * N


def test_every_rule_finds_its_blemish_and_nothing_else(pool, labels):
    """Precision and recall 1.0, but for loops: behind a trace that is long itself a few stay
    (recall 0.9 and more).
    """
    report = curate.quality(pool)[1]
    found = collections.defaultdict(set)
    for row, rule in zip(report.rows, report.rules, strict=True):
        found[rule].add(row)
    exact = {
        "missing answer": ["missing answer"],
        "missing thinking": ["missing trace"],
        "missing attempt": ["missing attempt"],
        "API error": ["api error"],
        "figure code": ["figure code"],
        "image link": ["image link"],
        "part number": ["part number"],
        "bold number": ["bold number"],
    }
    for rule, names in exact.items():
        assert found[rule] == marked(labels, *names) and found[rule], rule
    loops = marked(labels, "loop")
    assert found["repetition"] <= loops and len(found["repetition"]) >= 0.9 * len(loops)
    assert any("[asy]" in q for q in curate.quality(pool)[0]["question"])  # AIME's


def test_repeats_and_test_questions_are_found_exactly(pool, labels):
    clean = [
        row
        for row in range(N)
        if labels[row] in ("", "wrong trace", "short", "long")
        or "repeat" in labels[row]
        or "contam" in labels[row]
    ]
    kept, leaked = curate.decontaminate(pool.select(clean), [lab.tiny.benchmark()], n=SHARED_WORDS)
    assert {clean[row] for row in leaked.rows} == marked(
        labels, "contaminated", "contaminated in part"
    )
    left = [row for at, row in enumerate(clean) if at not in set(leaked.rows)]
    _, again = curate.deduplicate(kept, n=SHARED_WORDS)
    found = collections.defaultdict(set)
    for row, rule in zip(again.rows, again.rules, strict=True):
        found[rule].add(left[row])
    assert found["repeat"] | found["near repeat"] | found["shared words"] == marked(
        labels, "repeat", "near repeat", "reworded repeat"
    )
    assert found["repeat"] >= marked(labels, "repeat") and found["shared words"] == marked(
        labels, "reworded repeat"
    )
    clean = {row for row in range(N) if labels[row] in ("", "wrong trace")}
    assert {
        split_of(pool[row]["question"])
        for row in sorted(clean)[:400]
        if "[asy]" not in pool[row]["question"]
    } == {"train"}


def test_lengths_find_short_and_long_ones(pool, labels):
    report = curate.quality(pool, ["missing thinking", "API error", "repetition"], words=(4, 180))[
        1
    ]
    found = {
        rule: {row for row, r in zip(report.rows, report.rules, strict=True) if r == rule}
        for rule in ("short", "long")
    }
    assert found["short"] == marked(labels, "short")
    assert found["long"] - marked(labels, "loop") == marked(labels, "long")


def test_wrong_traces_are_those_the_grader_calls_wrong(pool, labels):
    rows = [row for row in range(N) if labels[row] in ("", "wrong trace")]
    wrong = {
        row
        for row, r in zip(rows, pool.select(rows), strict=True)
        if not is_correct(r["attempt"], r["answer"], r["kind"])
    }
    assert wrong == marked(labels, "wrong trace")


def test_a_typed_question_is_solved_like_a_drawn_one():
    for row in lab.tiny.problems(180, 9, "train"):
        problem = lab.tiny.solve(row["question"])
        assert (problem.question, problem.answer, problem.kind, problem.family) == (
            row["question"],
            row["answer"],
            row["kind"],
            row["family"],
        )
        assert lab.tiny.solve(row["question"][:-1]).answer == row["answer"]
    for text in (
        "",
        "How many z in raspberry?",
        "What is the smallest x with 2x = 1 mod 4?",
        "Heights: Ann < Bob, Bob < Ann. Who is tallest?",
        "Which two of 1 2 3 4 add up to 5?",
        "What is the smallest x with 1x = 0 mod 99999999999?",
    ):
        with pytest.raises(ValueError, match="no question of the embedded world"):
            lab.tiny.solve(text)
