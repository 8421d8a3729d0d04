"""Curation: every drop counted and explained, exact n-grams, Algorithm 1, the same rows from the
same seed.
"""

from __future__ import annotations

import collections
import json
import random
import re

import pytest
from datasets import Dataset, concatenate_datasets
from hypothesis import example, given, settings
from hypothesis import strategies as st

import s1lab as lab
from s1lab import curate
from s1lab.curate import overlap
from s1lab.curate.domains import SUBJECTS
from s1lab.curate.io import SOURCES
from s1lab.curate.quality import LOOP_SHARE, RULES
from s1lab.curate.selection import _Drawing, _like_benchmarks
from tests.helpers import REAL_DATA


def rows(*questions: str, **columns) -> Dataset:
    return Dataset.from_dict({"question": list(questions), **columns})


def accounted(pool: Dataset, kept: Dataset, report: curate.Report) -> None:
    """Nothing is dropped without being counted."""
    assert report.before == len(pool) and report.after == len(kept)
    assert (
        report.before - report.after
        == len(report.rows)
        == len(set(report.rows))
        == sum(report.counts.values())
    )
    assert all(report.rules) and all(report.whys)
    left = [row for row in range(len(pool)) if row not in set(report.rows)]
    assert kept["question"] == pool.select(left)["question"]
    assert [row["question"] for row in report.dropped] == [
        pool[row]["question"] for row in report.rows
    ]


# quality


def test_each_rule_finds_its_fault_and_says_what_it_found():
    good = {
        "question": "What is 2 + 2?",
        "answer": "4",
        "thinking": "two and two is four",
        "attempt": "4",
        "source": "MATH",
    }
    faults = {
        "missing question": {"question": " "},
        "missing answer": {"answer": None},
        "missing thinking": {"thinking": ""},
        "missing attempt": {"attempt": "\n"},
        "API error": {"attempt": "Error code: 429 - rate limited"},
        "figure code": {"question": "What is 2 + 2? [asy] draw(a); [/asy]"},
        "image link": {"question": "![Image](a.png) What is it?"},
        "part number": {"question": "p12. What is 2 + 2?"},
        "bold number": {"question": "**7.** What is 2 + 2?"},
        "repetition": {"thinking": "so it is four, no wait, it is five, and again. " * 40},
    }
    assert list(faults) == list(RULES)
    pool = Dataset.from_list([good, *(good | fault for fault in faults.values())])
    kept, report = curate.quality(pool)
    accounted(pool, kept, report)
    assert len(kept) == 1 and dict(zip(report.rules, report.rows, strict=True)) == {
        r: i for i, r in enumerate(faults, 1)
    }
    assert "429" in report.whys[list(faults).index("API error")] and "p12." in " ".join(report.whys)
    assert "API error" in str(report) and "11 rows, 1 kept" in str(report)


def test_figures_of_aime_stay_and_a_rule_alone_can_be_run():
    pool = rows(
        "[asy] x [/asy] Find x.", "[asy] x [/asy] Find x.", source=["AIME 1983-2021", "MATH"]
    )
    assert curate.quality(pool)[1].rows == [1]
    assert curate.quality(pool, ["part number"])[1].rows == []
    with pytest.raises(ValueError, match=r"no rule is called 'figure'.*figure code"):
        curate.quality(pool, ["figure"])


@settings(max_examples=400, deadline=None)
@given(st.text(alphabet="*ab1 ]\n\t٣p.", max_size=24))
@example("p1٣.")  # numbers of parts are ASCII digits, as the notebook writes them
def test_bold_and_part_numbers_are_the_notebooks_patterns(question):
    """The authors' own expressions, which take quadratic time on hostile text."""
    found = curate.quality(rows(question + "?"), ["part number", "bold number"])[1].rules
    expected = (
        "part number" if any(f"p{i}." in question + "?" for i in range(1, 1000))
        else "bold number" if re.search(r"\*\*(?=.*\d)[^\s\]]*\*\*", question + "?") else None
    )  # fmt: skip
    assert found == ([expected] if expected else [])


def test_a_hostile_question_costs_no_time():
    curate.quality(rows("**" * 200_000, "p1" * 200_000, "[" * 400_000))


def test_a_long_trace_that_does_not_repeat_stays():
    rng, words = random.Random(0), [f"word{k}" for k in range(40)]
    mixed = " ".join(rng.choice(words) for _ in range(400))  # few words, ever new stretches
    assert len(set(words)) < LOOP_SHARE * 400
    pool = rows("a", "b", thinking=[mixed, " ".join(words) * 20])
    assert curate.quality(pool)[1].rows == [1]


def test_the_limits_of_a_traces_length_are_counted_apart():
    pool = rows("a", "b", "c", thinking=["one", "one two three", "one two three four five"])
    report = curate.quality(pool, words=(2, 4))[1]
    assert report.rules == ["short", "long"] and report.rows == [0, 2]


# n-grams


def plainly(pool: Dataset, benchmarks: list[Dataset], n: int) -> list[int]:
    """The same test in plain Python sets."""

    def grams(text: str) -> set[tuple[str, ...]]:
        words = overlap.words_of(text)
        return (
            {tuple(words[at : at + n]) for at in range(len(words) - n + 1)}
            if len(words) >= n
            else {tuple(words)} - {()}
        )

    tests = set().union(*(grams(q) for b in benchmarks for q in b["question"]))
    return [row for row, q in enumerate(pool["question"]) if grams(q) & tests]


WORDS = st.lists(
    st.sampled_from(["a", "A", "b", "c", "é", "é", "É", "x=1", "Σ", "ς", "а", "1"]), max_size=8
)
SPACES = st.sampled_from([" ", "  ", "\n", "\t", "\x0b", "\x1c", "\xa0", "\u2003", "\r\n"])
TEXTS = st.lists(st.tuples(WORDS, SPACES).map(lambda t: t[1].join(t[0])), min_size=1, max_size=12)


@settings(max_examples=300, deadline=None)
@given(TEXTS, TEXTS, st.integers(1, 5), st.integers(1, 3))
def test_decontaminate_is_the_plain_test_whatever_the_spaces_letters_and_batches(
    pool, tests, n, batch
):
    overlap.BATCH, before = batch, overlap.BATCH
    try:
        kept, report = curate.decontaminate(rows(*pool), [rows(*tests)], n)
    finally:
        overlap.BATCH = before
    assert report.rows == plainly(rows(*pool), [rows(*tests)], n)
    accounted(rows(*pool), kept, report)


@pytest.mark.skipif(
    not REAL_DATA.is_dir(), reason="no folder of real benchmarks lies beside the repository"
)
def test_real_pools_and_benchmarks():
    pool = curate.read(REAL_DATA / "question_pool.jsonl")
    benchmarks = [curate.read(REAL_DATA / "math500.jsonl"), curate.read(REAL_DATA / "aime24.jsonl")]
    kept, report = curate.decontaminate(pool, benchmarks)
    accounted(pool, kept, report)
    assert report.rows == plainly(pool, benchmarks, 8) and report.rows
    accounted(pool, *curate.quality(pool, progress=False))
    accounted(pool, *curate.deduplicate(pool))


def test_a_drop_names_the_benchmark_row_and_the_gram():
    pool = rows(
        "Quick: how many primes are there below one hundred in all?", "How many primes are there?"
    )
    tests = [rows("x y z"), rows("What is 1?", "HOW many  primes are there below one hundred?")]
    kept, report = curate.decontaminate(pool, tests, n=6)
    assert report.rows == [0] and kept["question"] == ["How many primes are there?"]
    assert report.whys == ["row 1 of benchmark 1: 'how many primes are there below'"]


def test_a_question_of_fewer_than_n_words_is_compared_whole():
    tests = rows("Find x.", "Find the smallest x of all that there are.")
    pool = rows(
        "find X.",
        "Find x. Now.",
        "Find the smallest x",
        "Find the smallest x of all that there are. Please.",
    )
    assert curate.decontaminate(pool, [tests], n=8)[1].rows == [0, 3]


def test_what_counts_as_equal():
    tests = rows("Find the caf\u00e9")
    pool = rows(
        "FIND\u00a0the  cafe\u0301",
        "Find the c\u0430f\u00e9",
        "\uff26ind the caf\u00e9",
        "Find the caf\u00e9.",
    )
    assert curate.decontaminate(pool, [tests])[1].rows == [
        0
    ]  # not the Cyrillic a, the full-width F, nor the mark


def test_hashes_that_all_collide_drop_nothing_wrongly(monkeypatch):
    class Colliding(overlap._Index):
        def _windows(self, texts):
            hashes, at = super()._windows(texts)
            return hashes * 0, at

    monkeypatch.setattr(overlap, "_Index", Colliding)
    tests, pool = rows("a b c d"), rows("b c d a", "a b c d e", "d c b a")
    assert curate.decontaminate(pool, [tests], n=4)[1].rows == [1]


def test_memory_is_bounded_by_a_batch_and_the_benchmark(monkeypatch):
    import tracemalloc

    monkeypatch.setattr(
        overlap.os, "cpu_count", lambda: 1
    )  # how many batches are worked on at once is not to vary
    tests = lab.tiny.benchmark()
    peaks = []
    for copies in (1, 8):
        pool = concatenate_datasets(
            [rows(*(f"question number {i} of a long list" for i in range(20_000)))] * copies
        )
        tracemalloc.start()
        curate.decontaminate(pool, [tests])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (
        peaks[1] < 1.5 * peaks[0] + 3 * 8 * 160_000
    )  # the numbers of the kept rows, eight bytes each, and two copies of them


def test_the_first_of_equals_stays():
    pool = rows("Find x: 1", "find  X: 1", "Find x, 1", "Find y", "Find x 1?", "Find -x 1")
    kept, report = curate.deduplicate(pool)
    accounted(pool, kept, report)
    assert kept["question"] == ["Find x: 1", "Find y", "Find -x 1"]
    assert list(zip(report.rows, report.rules, report.whys, strict=True)) == [
        (1, "repeat", "row 0"), (2, "near repeat", "row 0"), (4, "near repeat", "row 0")
    ]  # fmt: skip


def test_shared_words_within_a_pool_are_found_when_asked():
    pool = rows(
        "one two three four five",
        "so: one two three four",
        "two three four five six",
        "one two three",
    )
    report = curate.deduplicate(pool, n=4)[1]
    assert (
        report.rows == [1, 2]
        and set(report.rules) == {"shared words"}
        and "row 0: 'one two three four'" in report.whys
    )
    assert not curate.deduplicate(pool)[1].rows


# difficulty


def test_what_any_model_solves_is_dropped_and_the_later_one_is_asked_the_rest(scripted, tmp_path):
    pool = rows(
        *(f"Question {i}?" for i in range(12)),
        answer=[str(i) for i in range(12)],
        kind=["integer"] * 12,
    )

    def knows(*right):
        return lambda text: next(
            (f"Answer: {i}<|im_end|>" for i in right if f"Question {i}?" in text),
            "Answer: 99<|im_end|>",
        )

    small, large = scripted(knows(1, 2)), scripted(knows(2, 3, 5))
    small.model, large.model = "some/small", "some/large"
    kept, report = curate.difficulty(pool, [small, large], store=tmp_path / "x.db")
    accounted(pool, kept, report)
    assert report.counts == {"solved by small": 2, "solved by large": 2} and len(kept) == 8
    assert dict(zip(report.rows, report.rules, strict=True)) == {
        1: "solved by small", 2: "solved by small", 3: "solved by large", 5: "solved by large"
    }  # fmt: skip
    assert (
        len(small.requests) == 12
        and len(large.requests) == 10
        and "10 asked, 2 solved" in report.notes[1]
    )
    assert sorted(p.name for p in tmp_path.glob("*.db")) == ["x-large.db", "x-small.db"]
    again = [scripted(knows()), scripted(knows())]  # would answer otherwise, if they were asked
    again[0].model, again[1].model = "some/small", "some/large"
    assert curate.difficulty(pool, again, store=tmp_path / "x.db")[1].rows == report.rows
    assert not again[0].requests and not again[1].requests


def test_models_by_name_are_loaded_in_turn_and_agree_with_engines(tiny, tiny_base):
    pool = lab.tiny.problems(40, 3, "dev")
    by_engine = curate.difficulty(pool, [tiny_base, tiny], prefix="Answer:")
    by_name = curate.difficulty(pool, ["s1-tiny-base", "s1-tiny"], prefix="Answer:")
    assert by_name[1].rows == by_engine[1].rows and 0 < len(by_name[0]) < 40
    solved = lab.evaluate(tiny_base, pool, thinking=False, prefix="Answer:").correct
    assert [
        row
        for row, rule in zip(by_engine[1].rows, by_engine[1].rules, strict=True)
        if rule == "solved by s1-tiny-base"
    ] == [row for row, correct in enumerate(solved) if correct]


def test_an_answer_may_be_as_long_as_it_needs_unless_it_is_limited(scripted):
    """data/bulk_inference.py: max_tokens=32768, the whole context of its models. The box comes
    behind 3,000 tokens here.
    """
    engine = scripted(lambda text: "so " * 1000 + "\\boxed{7}<|im_end|>")
    pool = rows("One?", answer=["7"], kind=["integer"])
    assert curate.difficulty(pool, [engine])[1].rules == ["solved by scripted"]
    (asked,) = engine.requests
    assert asked.max_tokens == engine.context - len(asked.ids)
    with pytest.warns(UserWarning, match="answers were cut"):
        assert curate.difficulty(pool, [engine], answer_tokens=1024)[1].rules == []
    assert engine.requests[-1].max_tokens == 1024
    thinker = scripted(
        lambda text: (
            ("so " * 1000 + "\\boxed{7}<|im_end|>") if "answer\n" in text else "so<|im_start|>"
        )
    )
    with pytest.warns(UserWarning, match="answers were cut"):
        assert (
            curate.difficulty(pool, [thinker], budget=lab.Budget(), answer_tokens=1024)[1].rules
            == []
        )
    assert curate.difficulty(pool, [thinker], budget=lab.Budget(), answer_tokens=3500)[1].rules == [
        "solved by scripted"
    ]


def test_what_a_model_could_not_be_asked_is_not_solved_and_is_counted(scripted):
    engine = scripted(lambda text: "Answer: 1<|im_end|>", context=60)
    pool = rows("One?", "One? " * 40, answer=["1", "1"], kind=["integer"] * 2)
    report = curate.difficulty(pool, [engine])[1]
    assert report.rows == [0] and "1 failed" in report.notes[0]


# selection


def labelled(n: int, seed: int = 0) -> Dataset:
    rng = random.Random(seed)
    return Dataset.from_list(
        [
            {
                "question": f"question {i}",
                "domain": f"domain {rng.randrange(7)}",
                "thinking_tokens": rng.randrange(10_000),
                "source": rng.choice(
                    ["AIME 1983-2021", "GPQA (non-diamond)", "MATH", *["NuminaMATH"] * 12]
                ),
                "correct": rng.random() < 0.5,
            }
            for i in range(n)
        ]
    )


@pytest.mark.parametrize("variant", ["paper", "code"])
def test_the_same_seed_gives_the_same_rows_in_whatever_order_they_came(variant):
    pool = labelled(2000)
    kept, report = curate.select(pool, 400, seed=3, variant=variant)
    accounted(pool, kept, report)
    assert len(kept) == len(set(kept["question"])) == 400
    assert set(curate.select(pool.shuffle(seed=1), 400, 3, variant)[0]["question"]) == set(
        kept["question"]
    )
    assert set(curate.select(pool, 400, 4, variant)[0]["question"]) != set(kept["question"])


def test_algorithm_1_takes_the_high_quality_ones_at_once():
    pool = labelled(2000)
    kept, report = curate.select(pool, 600, long_tokens=5600)
    chosen = set(kept["question"])
    trusted = [r for r in pool if r["correct"] and r["source"][:4] in ("AIME", "GPQA")]
    long = [
        r for r in pool if r["correct"] and r["source"] == "MATH" and r["thinking_tokens"] > 5600
    ]
    assert {r["question"] for r in trusted + long} <= chosen
    assert f"high quality: {len(trusted) + len(long)}" in report.notes
    graded = pool.remove_columns("correct").add_column("answer", ["7"] * 2000)
    graded = graded.add_column(
        "attempt", ["It is 7." if c else "Answer: 8" for c in pool["correct"]]
    )
    graded = graded.add_column("kind", ["integer"] * 2000)
    assert set(curate.select(graded, 600)[0]["question"]) == chosen


def test_domains_are_drawn_alike_and_ranks_by_halves():
    """One draw of each of 4,000 seeds: domains uniform, and the k-th longest of a domain with
    weight 2^-k.
    """
    pool = rows(
        *(f"{d} {k}" for d in "abcd" for k in range(6)),
        domain=[d for d in "abcd" for _ in range(6)],
        thinking_tokens=[k for _ in "abcd" for k in range(6)],
    )
    drawn = [curate.select(pool, 1, seed)[0]["question"][0].split() for seed in range(4000)]
    domains = collections.Counter(d for d, _ in drawn)
    assert all(abs(count - 1000) < 4 * (1000 * 0.75) ** 0.5 for count in domains.values())
    ranks = collections.Counter(5 - int(k) for _, k in drawn)
    total = sum(2.0**-r for r in range(6))
    for rank in range(6):
        expected = 4000 * 2.0**-rank / total
        assert abs(ranks[rank] - expected) < 4 * expected**0.5, rank


def test_the_codes_variant_draws_its_last_third_like_the_benchmarks():
    usual = {"source": "NuminaMATH", "correct": True}
    aime = {"domain": "b", "thinking_tokens": 0, "source": "AIME 1983-2021", "correct": False}
    pool = Dataset.from_list(
        [
            {"question": f"n{i}", "domain": "abc"[i % 3], "thinking_tokens": i, **usual}
            for i in range(900)
        ]
        + [{"question": f"a{i}", **aime} for i in range(40)]
    )
    report = curate.select(pool, 200, variant="code")
    spread = collections.Counter(report[0]["domain"])
    assert spread["b"] > 60 + 30 and abs(spread["a"] - spread["c"]) < 40  # 140 alike, 60 all from b
    assert "a domain like the benchmarks': 60" in report[1].notes
    with pytest.raises(ValueError, match="no variant is called 'notebook'"):
        curate.select(pool, 200, variant="notebook")


# Counts of domains, then the weights of the notebook's last draws, by hand.
# data/filter.ipynb, "Diversity sampling": gpqa_domain and aime_domain are Counters over all rows of
# that source, made after selected_qhashes was filled and without looking at it; enlarge_ratio =
# 0.5*sum(aime)/sum(gpqa); each of GPQA's counts becomes int(count*enlarge_ratio); the two are added
# as Counters, which keep no zero.
LIKE_BENCHMARKS = {
    # 0.5 * 10 / 7 = 0.714...: 4 -> 2, 2 -> 1, 1 -> 0
    "a domain that comes to less than one is never drawn": (
        {"Algebra": 6, "Geometry": 4}, {"Physics": 4, "Chemistry": 2, "Biology": 1},
        {"Algebra": 6, "Geometry": 4, "Physics": 2, "Chemistry": 1},
    ),
    # 0.5 * 12 / 3 = 2: 1 -> 2, 2 -> 4
    "a domain that both have is added": (
        {"Algebra": 9, "Probability": 3}, {"Probability": 1, "Biology": 2},
        {"Algebra": 9, "Probability": 5, "Biology": 4},
    ),
    # 0.5 * 1 / 4 = 0.125: all of them -> 0
    "few AIME questions leave GPQA out": ({"Algebra": 1}, {"Physics": 4}, {"Algebra": 1}),
    # The notebook divides by GPQA's sum and fails without it; here AIME alone decides, and GPQA
    # alone likewise.
    "no GPQA": ({"Algebra": 2, "Geometry": 1}, {}, {"Algebra": 2, "Geometry": 1}),
    "no AIME": ({}, {"Physics": 4, "Biology": 1}, {"Physics": 4, "Biology": 1}),
    "neither": ({}, {}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", LIKE_BENCHMARKS)
@pytest.mark.parametrize("correct", [False, True])
def test_the_notebooks_last_draws_weigh_domains_by_all_rows_of_the_benchmarks(name, correct):
    """``correct``: whether all of them are taken at once, before any draw."""
    aime, gpqa, weights = LIKE_BENCHMARKS[name]
    rows = [
        {
            "question": f"{source} {domain} {i}",
            "domain": domain,
            "thinking_tokens": i,
            "source": source,
            "correct": correct,
        }
        for source, counts in (
            ("AIME 1983-2021", aime),
            ("GPQA (non-diamond)", gpqa),
            ("NuminaMATH", {"Biology": 3}),
        )
        for domain, count in counts.items()
        for i in range(count)
    ]
    pool = Dataset.from_list(rows)
    assert _like_benchmarks(pool, _Drawing(pool, 1, 0, "domain")) == weights


def test_the_codes_variant_draws_by_benchmark_rows_that_are_taken_already():
    """All AIME rows are right, so all are taken at once; the last 30 of 100 draws still go to their
    domain alone.
    """
    usual = {"source": "NuminaMATH", "correct": False}
    pool = Dataset.from_list(
        [
            {"question": f"n{i}", "domain": "abc"[i % 3], "thinking_tokens": i, **usual}
            for i in range(900)
        ]
        + [
            {
                "question": f"a{i}",
                "domain": "b",
                "thinking_tokens": 0,
                "source": "AIME 1983-2021",
                "correct": True,
            }
            for i in range(9)
        ]
    )
    kept, report = curate.select(pool, 100, variant="code")
    assert {
        "high quality: 9",
        "a domain at random: 61",
        "a domain like the benchmarks': 30",
    } <= set(report.notes)
    drawn = collections.Counter(row["domain"] for row in kept if not row["correct"])
    assert drawn["b"] >= 30 and drawn["a"] + drawn["c"] <= 61 and min(drawn["a"], drawn["c"]) > 8
    assert not any("was left" in note for note in report.notes)


def test_exhausted_domains_leave_the_draw_and_all_can_be_taken():
    pool = labelled(300)
    for kept in (
        curate.select(pool, 300)[0],
        curate.diverse(pool, 300)[0],
        curate.random(pool, 300)[0],
    ):
        assert kept["question"] == pool["question"]


def test_more_than_there_are_is_refused_with_the_number_of_each_domain():
    pool = rows("a", "b", "c", "a", domain=["x", "x", "y", "x"], thinking_tokens=[1, 2, 3, 4])
    with pytest.raises(
        ValueError, match=r"n=1,000, but 3 different questions are left \(x 2; y 1\)"
    ):
        curate.select(pool)
    for draw in (curate.random, curate.longest):
        with pytest.raises(ValueError, match=r"left \(x 2; y 1\)"):
            draw(pool)


def test_a_weighted_draw_follows_its_weights():
    drawing = _Drawing(rows("a"), 1, 5, None)
    drawn = collections.Counter(
        drawing.weighted({"a": 3.0, "b": 0.0, "c": 1.0}) for _ in range(4000)
    )
    assert drawn["b"] == 0 and abs(drawn["a"] - 3000) < 4 * (4000 * 0.75 * 0.25) ** 0.5


def test_the_sets_of_table_2():
    pool = labelled(3000)
    longest, report = curate.longest(pool, 50)
    accounted(pool, longest, report)
    assert sorted(longest["thinking_tokens"]) == sorted(pool["thinking_tokens"])[-50:]
    assert len(curate.full(pool)[0]) == 3000
    few = concatenate_datasets([pool, rows(*map(str, range(60)), domain=["rare"] * 60)])
    assert (
        collections.Counter(curate.diverse(few, 400)[0]["domain"])["rare"] >= 30
    )  # an eighth of the draws
    assert collections.Counter(curate.random(few, 400)[0]["domain"])["rare"] < 30
    assert curate.random(pool, 50, 1)[0]["question"] == curate.random(pool, 50, 1)[0]["question"]


def test_lengths_in_words_are_said_to_be_so():
    pool = rows("a", "b", domain=["x", "x"], thinking=["one", "one two three"])
    kept, report = curate.longest(pool, 1)
    assert kept["question"] == ["b"] and any("words" in note for note in report.notes)


# teachers and domains


def test_the_embedded_teacher_writes_what_the_world_says():
    problems = lab.tiny.problems(60, 4, "train")
    kept, report = curate.traces(lab.tiny.Teacher(waits=6), problems)
    accounted(problems, kept, report)
    assert all(kept["correct"]) and list(kept["answer"]) == list(problems["answer"])
    impatient, report = curate.traces(lab.tiny.Teacher(waits=0), problems, keep_wrong=False)
    assert 0 < report.counts["wrong answer"] < 60 and all(impatient["correct"])
    assert not all(curate.traces(lab.tiny.Teacher(waits=0), problems)[0]["correct"])
    assert (
        curate.traces(lab.tiny.Teacher(2), problems)[0].to_list()
        == curate.traces(lab.tiny.Teacher(2), problems)[0].to_list()
    )


def test_a_question_no_teacher_can_take_is_counted():
    kept, report = curate.traces(lab.tiny.Teacher(), ["How many r in raspberry?", "Who are you?"])
    assert report.counts == {"no trace": 1} and "Who are you?" in report.whys[0]
    assert kept["thinking"][0].startswith("1 r 1\n2 ra 1\n") and kept["correct"] == [None]


def test_an_engine_as_teacher_gives_its_traces(tiny):
    problems = lab.tiny.problems(12, 6, "dev")
    kept, report = curate.traces(tiny, problems, budget=lab.Budget(waits=1))
    forced = lab.force(tiny, list(problems["question"]), lab.Budget(waits=1))
    assert kept["thinking"] == [t.thinking for t in forced] and kept["attempt"] == [
        t.answer for t in forced
    ]
    assert kept["thinking_tokens"] == [t.thinking_tokens for t in forced] and report.after == 12


def test_domains_come_from_the_last_code_of_a_reply(scripted):
    said = {
        "primes": "Of 11 or 05, the second fits.\n05",
        "atoms": "81",
        "poems": "none fits: 99",
        "songs": "I can't say",
    }
    engine = scripted(
        lambda text: next(reply for word, reply in said.items() if word in text) + "<|im_end|>"
    )
    pool = rows(*(f"About {word}?" for word in said))
    kept, report = curate.domains(engine, pool)
    accounted(pool, kept, report)
    assert (
        kept["domain"] == ["Combinatorics", "Quantum theory"] and report.rules == ["no subject"] * 2
    )
    asked = engine.template.decode(list(engine.requests[0].ids))
    assert "About primes?" in asked and all(
        f"{code} {title}" in asked for code, title in SUBJECTS.items()
    )
    assert len(SUBJECTS) == len(set(SUBJECTS.values())) == 61


# in and out


S1K = {
    "question": "Q?",
    "solution": "4",
    "cot_type": "math",
    "source_type": "qfq/openaimath/Algebra",
    "metadata": "{}",
}


def test_the_published_columns_are_read(tmp_path):
    one, both = tmp_path / "s1K.parquet", tmp_path / "s1K-1.1.jsonl"
    Dataset.from_list(
        [S1K | {"thinking_trajectories": ["thought"], "attempt": "4", "cot": None}]
    ).to_parquet(str(one))
    traces = {
        f"{t}_{w}": f"{t} {w}"
        for t in ("gemini", "deepseek")
        for w in ("thinking_trajectory", "attempt")
    }
    both.write_text(json.dumps(S1K | traces) + "\n")
    need = ("question", "answer", "thinking", "attempt", "source")
    (row,) = curate.read(one, need)
    assert [row[c] for c in need] == ["Q?", "4", "thought", "4", "MATH"] and row[
        "source_type"
    ] == "qfq/openaimath/Algebra"
    assert curate.read(both, need)[0]["thinking"] == "deepseek thinking_trajectory"
    row = curate.read(both, need, teacher="gemini")[0]
    assert (row["thinking"], row["attempt"]) == ("gemini thinking_trajectory", "gemini attempt")
    assert set(SOURCES.values()) == set(lab.paper.TABLE_7)


def test_the_kind_of_the_published_rows_comes_from_what_they_are(tmp_path):
    cases = [("math", "B", "math"), ("science", "B", "choice"), ("science", "(C)", "choice"),
             ("science", "4.2 J", "math"),
             ("science", None, "math"), ("crossword", "OBOE", "exact")]  # fmt: skip
    table = Dataset.from_list(
        [
            S1K | {"question": str(i), "cot_type": t, "solution": a}
            for i, (t, a, _) in enumerate(cases)
        ]
    )
    table.to_parquet(str(tmp_path / "59k.parquet"))
    assert list(curate.read(tmp_path / "59k.parquet")["kind"]) == [kind for *_, kind in cases]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("absent.jsonl", None, "no file is at"),
        ("a.tsv", "question\n1\n", "'.tsv'"),
        ("empty.jsonl", "", "is empty"),
        ("broken.jsonl", "{not json", "broken.jsonl can't be read"),
        ("broken.parquet", "PAR0", "broken.parquet can't be read"),
        ("other.jsonl", '{"prompt": "Q?"}\n', "no column 'question' or 'problem'"),
        ("few.jsonl", '{"question": "Q?"}\n', "'deepseek_thinking_trajectory'"),
    ],
)
def test_a_file_that_is_no_pool_is_named(tmp_path, name, content, words):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        curate.read(path, ("question", "thinking"))
    assert words in str(error.value) and name in str(error.value) and "\n" not in str(error.value)


def test_rows_for_trl_are_what_the_template_writes(tiny):
    rows = Dataset.from_list(
        [
            {"question": "Q?", "thinking": "a\nb", "attempt": "4"},
            {"question": "Q?", "thinking": "a\n", "attempt": "Answer: 4"},
        ]
    )
    first, second = curate.to_sft(rows, tiny.template)
    assert first["prompt"] == "<|im_start|>user\nQ?<|im_end|>\n<|im_start|>assistant\n"
    assert (
        first["completion"] == "<|im_start|>think\na\nb\n<|im_start|>answer\nAnswer: 4<|im_end|>\n"
    )
    assert second["completion"] == "<|im_start|>think\na\n<|im_start|>answer\nAnswer: 4<|im_end|>\n"
    for row, plain in zip(
        (first, second), curate.to_sft(rows, tiny.template, rows="plain"), strict=True
    ):
        assert plain["completion"] + "\n" == row["completion"]
    tags = lab.ThinkTemplate("<think>\n", ("<|im_start|>",), "</think>\n\n")
    assert (
        "<think>\na\nb\n</think>\n\nAnswer: 4<|im_end|>"
        in curate.to_sft(rows, tags, tiny.template.tokenizer)[0]["completion"]
    )
    assert curate.to_sft(rows, "s1", tiny.template.tokenizer)[0] == first
    with pytest.raises(ValueError, match="tokenizer"):
        curate.to_sft(rows, "s1")
    with pytest.raises(ValueError, match="rows='stripped' is not known"):
        curate.to_sft(rows, tiny.template, rows="stripped")
    with pytest.raises(
        ValueError, match=r"the thinking of row 0 holds the delimiter '<\|im_start\|>'"
    ):
        curate.to_sft(
            Dataset.from_list(
                [{"question": "Q", "thinking": "<|im_start|>answer", "attempt": "4"}]
            ),
            tiny.template,
        )
    unanswered = Dataset.from_dict({"question": ["Q"], "thinking": ["a"], "attempt": [None]})
    with pytest.raises(ValueError, match="row 0 has no attempt"):
        curate.to_sft(unanswered, tiny.template)


def test_a_written_set_is_named_by_its_bytes(tmp_path):
    import hashlib

    table = rows("é", "b", answer=["1", None])
    name = curate.write(table, tmp_path / "deep" / "set.jsonl")
    assert (
        name
        == curate.digest(table)
        == hashlib.sha256((tmp_path / "deep" / "set.jsonl").read_bytes()).hexdigest()
    )
    assert (
        curate.digest(table.select_columns(["answer", "question"]))
        == name
        != curate.digest(table.select([1, 0]))
    )
    assert [
        json.loads(line) for line in (tmp_path / "deep" / "set.jsonl").read_text().splitlines()
    ] == table.to_list()


def test_tokens_are_counted_by_the_tokenizer(tiny):
    pool = curate.count_tokens(rows("a", "b", thinking=["1 2", None]), tiny.template.tokenizer)
    assert pool["thinking_tokens"] == [len(tiny.template.encode("1 2")), 0]


# bad input


GOOD = Dataset.from_dict(
    {
        "question": ["a", "b"],
        "answer": ["1", "2"],
        "domain": ["x", "y"],
        "thinking": ["t", "u"],
        "attempt": ["1", "2"],
    }
)
EMPTY = GOOD.select([])
CALLS = {
    "quality": lambda pool: curate.quality(pool),
    "deduplicate": lambda pool: curate.deduplicate(pool),
    "decontaminate": lambda pool: curate.decontaminate(pool, [GOOD]),
    "difficulty": lambda pool: curate.difficulty(pool, ["s1-tiny"]),
    "select": lambda pool: curate.select(pool, 1),
    "random": lambda pool: curate.random(pool, 1),
    "diverse": lambda pool: curate.diverse(pool, 1),
    "longest": lambda pool: curate.longest(pool, 1),
    "full": lambda pool: curate.full(pool),
    "traces": lambda pool: curate.traces(lab.tiny.Teacher(), pool),
    "to_sft": lambda pool: curate.to_sft(pool, "s1"),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_bad_pool_is_told_in_one_sentence(call):
    for pool, kind, words in (
        (GOOD.remove_columns("question"), ValueError, "no column 'question'"),
        (EMPTY, ValueError, "no rows"),
        (
            rows(1, 2, **{c: list(GOOD[c]) for c in GOOD.column_names if c != "question"}),
            TypeError,
            "holds int64, not text",
        ),
        (
            rows(["a"], ["b"], **{c: list(GOOD[c]) for c in GOOD.column_names if c != "question"}),
            TypeError,
            "not text",
        ),
    ):
        with pytest.raises(kind) as error:
            CALLS[call](pool)
        assert words in str(error.value) and "\n" not in str(error.value), str(error.value)
    if call != "traces":
        with pytest.raises(TypeError, match=r"is a list, not a datasets\.Dataset"):
            CALLS[call]([{"question": "a"}])


def test_a_report_shows_ten_rows_of_a_kind_and_escapes_them():
    pool = rows(
        *(f"![Image](x) <script>alert({i})</script>" for i in range(15)), "p1. Prove <b>it</b>."
    )
    shown = curate.quality(pool)[1]._repr_html_()
    assert shown.count("&lt;script&gt;") == 10 and "<script>" not in shown and "<b>it" not in shown
    assert (
        "<summary>15 image link</summary>" in shown and "<summary>1 part number</summary>" in shown
    )


def test_other_bad_input():
    with pytest.raises(TypeError, match="column 'answer' of the pool holds int64, not text"):
        curate.quality(rows("a", answer=[1]))
    with pytest.raises(ValueError, match="benchmark 1 has no rows"):
        curate.decontaminate(GOOD, [GOOD, EMPTY])
    with pytest.raises(ValueError, match="benchmark 0 has no question in any of its rows"):
        curate.decontaminate(GOOD, [Dataset.from_dict({"question": [None, None]})])
    with pytest.raises(TypeError, match="column 'correct' of the pool holds string, not truth"):
        curate.select(
            rows("a", source=["AIME"], domain=["x"], thinking_tokens=[1], correct=["False"]), 1
        )
    with pytest.raises(ValueError, match="there is no benchmark"):
        curate.decontaminate(GOOD, [])
    with pytest.raises(ValueError, match="n is 0"):
        curate.decontaminate(GOOD, [GOOD], n=0)
    with pytest.raises(ValueError, match="row 1 of the pool has no answer"):
        curate.difficulty(rows("a", "b", answer=["1", None]), ["s1-tiny"])
    with pytest.raises(ValueError, match="at least one"):
        curate.difficulty(GOOD, [])
    with pytest.raises(ValueError, match=r"no column 'domain'.*curate\.domains"):
        curate.select(rows("a", thinking_tokens=[1]), 1)
    with pytest.raises(ValueError, match="row 1 of the pool has no domain"):
        curate.select(rows("a", "b", thinking_tokens=[1, 2], domain=["x", None]), 1)
    with pytest.raises(ValueError, match=r"no column 'thinking'.*curate\.traces"):
        curate.longest(rows("a"), 1)
    with pytest.raises(ValueError, match=r"left 2 rows, but deduplicate began with 1"):
        curate.funnel(curate.quality(GOOD)[1], curate.deduplicate(GOOD.select([0]))[1])


def test_a_funnel_lists_every_step():
    kept, quality = curate.quality(rows("a", "a", "![Image](x) b"))
    told = curate.funnel(quality, curate.deduplicate(kept)[1])
    assert re.search(r"collected +3\nquality +2  image link 1\ndeduplicate +1  repeat 1", told)


# Scripts without spaces between words. Each text is followed by one that shares eight characters.

UNSPACED = {
    "Chinese": ("求函数在区间上的最小值是多少？", "已知：求函数在区间上的最大值。"),
    "Japanese": ("次の方程式の解をすべて求めなさい。", "問１　次の方程式の解を一つ答えよ。"),
    "katakana of half width": ("ｱﾙｺﾞﾘｽﾞﾑﾉﾓﾝﾀﾞｲ", "ﾂｷﾞﾉｱﾙｺﾞﾘｽﾞﾑ"),
    "Thai": ("จงหาค่าของเอกซ์ทั้งหมด", "ข้อสอบ จงหาค่าของวาย"),
    "Lao": ("ຈົ່ງຊອກຫາຄ່າຂອງເອັກ", "ຂໍ້ນີ້ ຈົ່ງຊອກຫາຄ່າຂອງວາຍ"),
    "Khmer": ("ចូររកតម្លៃនៃអថេរនេះ", "សំណួរ៖ ចូររកតម្លៃនៃចំនួន"),
    "Burmese": ("အောက်ပါညီမျှခြင်းကိုဖြေရှင်းပါ", "မေးခွန်း အောက်ပါညီမျှခြင်းများ"),
    "rare characters": ("𠀀𠀁𠀂𠀃𠀄𠀅𠀆𠀇𠀈", "甲𠀀𠀁𠀂𠀃𠀄𠀅𠀆𠀇乙"),
}


@pytest.mark.parametrize("script", UNSPACED)
def test_texts_without_spaces_are_compared_by_characters(script):
    ours, other = UNSPACED[script]
    pool = rows(other, other[::-1], ours[:7], "What is one and one in all of this?")
    kept, report = curate.decontaminate(pool, [rows(ours, "How many?")])
    accounted(pool, kept, report)
    assert report.rows == plainly(pool, [rows(ours)], 8) == [0]
    assert curate.deduplicate(rows(ours, " ".join(ours), other))[1].rows == [1]
    assert curate.deduplicate(rows(ours, other), n=8)[1].rows == [1]


def test_formulas_and_words_within_a_text_without_spaces_are_words_of_their_own():
    assert overlap.words_of("求x+1的最小值 If Café,가나다 라마") == [
        "求", "x+1", "的", "最", "小", "值", "if", "café,가나다", "라마"
    ]  # fmt: skip
    assert overlap.words_of("ก\u200bข") == overlap.words_of("กข") == ["ก", "ข"]
    korean = rows("다음 방정식의 해를 모두 구하여라 그리고 설명하라")
    assert not curate.decontaminate(rows("방정식의 해를 모두 구하여라"), [korean])[1].rows


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text(alphabet="求x最ก \u200bé。", max_size=12), min_size=1, max_size=8),
    st.lists(st.text(alphabet="求x最ก \u200bé。", max_size=12), min_size=1, max_size=8),
    st.integers(1, 4),
)
def test_the_fast_search_is_the_plain_one_without_spaces_too(pool, tests, n):
    found = curate.decontaminate(rows(*pool), [rows(*tests)], n)[1]
    assert found.rows == plainly(rows(*pool), [rows(*tests)], n)


@pytest.mark.parametrize("loop", ["所以答案是四，等等，应该是五。", "คำตอบคือสี่ไม่ใช่สิห้าต่างหาก"])
def test_a_trace_in_a_circle_is_found_without_spaces_and_lengths_are_characters(loop):
    rng = random.Random(0)
    straight = "".join(chr(rng.randrange(0x4E00, 0x5E00)) for _ in range(600))
    pool = rows("a", "b", "c", thinking=[loop * 40, straight, loop], domain=["x", "x", "x"])
    report = curate.quality(pool)[1]
    assert report.rows == [0] and report.rules == ["repetition"]
    assert curate.quality(pool, ["image link"], words=(None, 100))[1].rows == [0, 1]
    assert curate.longest(pool.select([1, 2]), 1)[0]["question"] == ["b"]
