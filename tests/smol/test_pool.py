"""The pool for SmolLM2: right answers, no text about stopping, and no test question."""

from __future__ import annotations

import re
import statistics
from collections import Counter

import pytest
from datasets import Dataset

import s1lab as lab
from s1lab import curate, smol
from s1lab.evaluation.gym import PREFIX, scored
from s1lab.smol.families import FAMILIES, FIRST_SEED, MOST_SEEDS, drawn
from s1lab.smol.pool import has_stop_text
from s1lab.smol.teachers import ANSWER, TEACHERS

pytestmark = pytest.mark.long
THOUSAND = 1_000


@pytest.fixture(scope="module")
def pool():
    return smol.pool()


@pytest.fixture(scope="module")
def tests():
    return smol.benchmark("test"), smol.benchmark("dev")


@pytest.fixture(scope="module")
def rows(pool):
    """The rows of each family."""
    found = {name: [] for name in smol.TRAINED}
    for row in pool:
        found[row["family"]].append(row)
    return found


def test_there_are_over_10_000_questions_of_all_families_and_levels(pool):
    assert len(pool) > 10_000
    cells = Counter(zip(pool["family"], pool["level"], strict=True))
    assert cells == {(name, level): FAMILIES[name].count for name, level in cells}
    assert len(smol.TRAINED) >= 6 and len(cells) == 3 * len(smol.TRAINED)
    assert set(pool["domain"]) == {f"{name}, level {level}" for name, level in cells}
    assert not set(smol.KEPT_OUT) & set(pool["family"]) and len(smol.KEPT_OUT) == 1


def test_no_two_rows_ask_the_same(pool):
    asked = list(map(smol.what_varies, pool["family"], pool["question"]))
    assert len(set(asked)) == len(pool)


@pytest.mark.parametrize("family", smol.TRAINED)
def test_a_teacher_arrives_at_the_packages_answer(rows, family):
    found = rows[family][-THOUSAND:]  # levels take turns, so these are of all levels
    assert len(found) == THOUSAND and {row["level"] for row in found} == {1, 2, 3}
    answers = [row["attempt"].removeprefix(ANSWER) for row in found]
    wrong = [
        row["question"]
        for row, answer in zip(found, answers, strict=True)
        if scored(family, answer, row["answer"])["score"] != 1
    ]
    assert wrong == []


def test_the_grader_reads_an_attempt(rows):
    some = [row for found in rows.values() for row in found[:40]]
    verdicts = lab.grade.verdicts(
        [row["attempt"] for row in some],
        [row["answer"] for row in some],
        [row["kind"] for row in some],
        workers=1,
    )
    assert all(verdict.correct for verdict in verdicts)


def test_the_thinking_ends_in_the_answer(rows):
    for family in TEACHERS:
        for row in rows[family]:
            end = row["thinking"].splitlines()[-1]
            assert row["attempt"].removeprefix(ANSWER) in end, row


def test_no_row_has_a_wait_or_a_text_about_stopping(pool):
    about_stopping = {"wait", "hmm", "stop", "stops", "alternatively", "actually"}
    for name in set(pool.column_names) - {"level"}:
        for text in pool[name]:
            text = text.removeprefix(ANSWER) if name == "attempt" else text
            words = set(re.findall(r"[a-z]+", text.lower()))
            assert not has_stop_text(text) and not words & about_stopping, (name, text)


@pytest.mark.parametrize(
    "text",
    [
        "Wait", "7+8=15. wait, no", "Hmm, so 5", "Let me double check.", "Hold on: 5",
        "I stop here.", "Alternatively, 5", "That is not yet enough", "I give up", "Actually 5",
        "Final Answer: 5",
    ],
)  # fmt: skip
def test_texts_about_stopping_are_found(text):
    assert has_stop_text(text)


@pytest.mark.parametrize("text", ["7+8=15.", "The count is 5.", "So 5 are left.", "A nonstop bus"])
def test_other_texts_are_not(text):
    assert not has_stop_text(text)


def test_no_thinking_goes_on_behind_its_answer(rows):
    for family in TEACHERS:
        for row in rows[family]:
            lines = row["thinking"].splitlines()
            assert lines[-1] not in lines[:-1], row
            assert smol.solve(row) == (row["thinking"], row["attempt"].removeprefix(ANSWER))


def test_the_pool_shares_no_question_with_the_test_sets(pool, tests):
    for questions in tests:
        assert lab.benchmarks.shared(pool, questions) == []
    assert lab.benchmarks.shared(*tests) == []


def test_the_test_sets_are_balanced(tests):
    for questions in tests:
        assert Counter(questions["trained"]) == {True: 400, False: 100}
        cells = Counter(zip(questions["family"], questions["level"], strict=True))
        known = [count for (name, _), count in cells.items() if name in smol.TRAINED]
        assert len(known) == 21 and set(known) == {19, 20}
        assert {count for (name, _), count in cells.items() if name in smol.KEPT_OUT} == {33, 34}
        texts = list(map(smol.what_varies, questions["family"], questions["question"]))
        assert len(set(texts)) == 500


def test_decontamination_finds_the_same_question_in_another_order(pool, tests):
    few, test = pool.select(range(2_000)), tests[0]
    kept, report = smol.decontaminate(few, [test])
    assert len(kept) + sum(report.counts.values()) == len(few)
    assert len(kept) > 0.95 * len(few)
    again, none = smol.decontaminate(kept, [test])
    assert len(again) == len(kept) and not sum(none.counts.values())
    # The questions' own words would drop nearly all.
    assert len(curate.decontaminate(few, [test])[0]) < 0.2 * len(few)


def test_a_test_question_is_dropped_whatever_its_order():
    def one(family, question):
        return Dataset.from_dict({"family": [family], "question": [question]})

    gcd = "Find the Greatest Common Divisor (GCD) of these numbers: {}. Give only the GCD."
    text = 'How many times does the letter "{}" appear in the text: "{}"?'
    words = "one two three four five six seven eight nine"
    for family, asked, given, same in (
        ("gcd", gcd.format("54, 12"), gcd.format("12, 54"), True),
        ("gcd", gcd.format("54, 12"), gcd.format("12, 55"), False),
        ("letter_counting", text.format("e", words), text.format("e", f"new {words}"), True),
        ("letter_counting", text.format("e", words), text.format("o", words), False),
        ("gsm_symbolic", "Ann has 5 figs. Total?", "Bo has 5 figs. Total?", True),
        ("gsm_symbolic", "Ann has 5 figs. Total?", "Ann has 6 figs. Total?", False),
    ):
        kept, _ = smol.decontaminate(one(family, given), [one(family, asked)])
        assert len(kept) == (not same), (family, given)


def test_the_curation_takes_the_pool(pool):
    few = pool.select(range(1_000))
    kept, report = curate.quality(few)
    # The words to sort or to spell may be those of an error message, such as "overloaded".
    assert len(kept) >= 0.995 * len(few) and set(report.counts) <= {"API error"}
    unique, repeats = curate.deduplicate(kept)
    assert len(unique) == len(kept), repeats.counts
    chosen, _ = curate.select(kept, 100, seed=0)
    assert len(chosen) == 100 and len(set(chosen["domain"])) == 21


def test_level_3_of_a_family_thinks_for_long(rows):
    """A token is a digit, a mark or a short word; most letters here are a token each."""
    found = [row["thinking"] for row in rows["letter_counting"] if row["level"] == 3]
    assert statistics.median(len(text.split()) for text in found) > 180


def test_a_part_of_the_pool_is_its_beginning(pool):
    part = smol.pool(300)
    assert part.to_list() == pool.select(range(300)).to_list()
    assert smol.pool(300, seed=1)["question"] != part["question"]


def test_seeds_of_splits_families_and_levels_differ():
    cells = 3 * len(FAMILIES)
    assert FIRST_SEED["test"] + cells <= FIRST_SEED["dev"]
    assert FIRST_SEED["dev"] + cells <= FIRST_SEED["train"]
    assert FIRST_SEED["train"] + 1_000 * MOST_SEEDS < 10**9 and cells < 1_000


@pytest.mark.parametrize(
    "call",
    [
        lambda: smol.pool(0),
        lambda: smol.pool(100_000),
        lambda: smol.pool(10, seed=-1),
        lambda: smol.benchmark("train"),
        lambda: drawn("chess", 1, 1, "test"),
        lambda: smol.solve({"family": "spell_backward", "question": "Spell: sun"}),
        lambda: smol.what_varies("chess", "?"),
    ],
)
def test_what_can_not_be_drawn_is_refused_in_a_sentence(call):
    with pytest.raises(ValueError, match=r"choose|give|seeds"):
        call()


def test_the_kind_of_a_row_is_the_packages_task(pool):
    assert set(pool["kind"]) == {PREFIX + name for name in smol.TRAINED}
