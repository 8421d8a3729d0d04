"""Votes of any size against exact counts; groups that no order of samples changes; the original's
own rules as recorded cases.
"""

from __future__ import annotations

import itertools
import math
import random
from fractions import Fraction

import pytest
from datasets import Dataset
from scipy import stats

import s1lab as lab
from s1lab.evaluation import grade
from s1lab.evaluation.benchmarks import choices_as_original
from s1lab.methods import majority
from s1lab.methods.allocation import balanced, ceilings
from s1lab.methods.majority import elected
from s1lab.trace import Source, Trace
from tests.helpers import ROOT


@pytest.fixture
def voted(template):
    """A vote of traces that end in these texts."""

    def make(*answers: str, kind: str = "integer", **fields) -> lab.methods.Vote | lab.methods.Tree:
        traces = []
        for answer in answers:
            trace = Trace("How many?", template)
            trace.extend(template.encode("How many?"), Source.PROMPT)
            trace.extend(template.encode(answer), Source.ANSWER)
            traces.append(trace)
        return (lab.methods.Tree if fields else lab.methods.Vote)(
            "How many?", traces, kind, **fields
        )

    return make


# Any number of samples


def counted(counts, silent, k):
    """maj@k in whole numbers: every way to draw so many of each answer, as a fraction."""
    shares = [Fraction(0)] * len(counts)
    for taken in itertools.product(*(range(min(count, k) + 1) for count in counts)):
        rest = k - sum(taken)
        if not 0 <= rest <= silent or not any(taken):
            continue
        ways = math.comb(silent, rest) * math.prod(map(math.comb, counts, taken))
        tied = [i for i, t in enumerate(taken) if t == max(taken)]
        for i in tied:
            shares[i] += Fraction(ways, len(tied))
    return [float(share / math.comb(sum(counts) + silent, k)) for share in shares]


@pytest.mark.parametrize(
    ("counts", "silent", "k"),
    [
        ((200, 90, 10), 0, 7), ((200, 90, 10), 12, 8), ((150, 150), 1, 31), ((1, 1, 300), 5, 3),
        ((600, 450, 50), 0, 5), ((2500, 2000, 400), 100, 6), ((3000, 2000), 0, 2),
        ((500, 600), 4000, 9),
    ],
)  # fmt: skip
def test_a_vote_of_many_samples_is_the_count_of_its_subsets(counts, silent, k):
    assert elected(counts, silent, k) == pytest.approx(counted(counts, silent, k), abs=1e-13)


@pytest.mark.parametrize("n", [1_100, 5_000])
def test_two_answers_are_a_hypergeometric(n):
    """With two answers and an odd k the majority is P(H > k / 2); an even k has ties, half of which
    count.
    """
    first = 3 * n // 5 - 7
    for k in (1, 2, 15, 64, 501, n // 2, n - 1):
        drawn = stats.hypergeom(n, first, k)
        wanted = drawn.sf(k // 2) + (drawn.pmf(k // 2) / 2 if k % 2 == 0 else 0)
        row = elected((first, n - first), 0, k)
        assert row[0] == pytest.approx(wanted, abs=1e-12) and row.sum() == pytest.approx(
            1, abs=1e-12
        )
    assert list(elected((first, n - first), 0, n)) == [1, 0]


def test_any_vote_by_sums_is_the_vote_by_the_table(monkeypatch):
    rng = random.Random(3)
    for _ in range(120):
        largest = rng.choice([1, 3, 20])
        counts = tuple(rng.randint(0, largest) for _ in range(rng.randint(1, 8)))
        silent = rng.randint(0, 5)
        for k, row in enumerate(elected(counts, silent)):
            assert majority._row(counts, silent, k) == pytest.approx(row, abs=1e-12), (
                counts,
                silent,
                k,
            )
    monkeypatch.setattr(majority, "TABLE", 10)
    assert elected((8, 4), 1) == pytest.approx(majority._table((8, 4), 1), abs=1e-12)


def test_many_answers_and_many_ties():
    assert elected((1,) * 1_100, 0, 700) == pytest.approx(1 / 1_100, abs=1e-12)
    assert elected((1,) * 5_000, 0, 64) == pytest.approx(1 / 5_000, abs=1e-12)
    row = elected((900, 300, 120, *[10] * 40), 80, 256)
    assert row.sum() == pytest.approx(1, abs=1e-12) and list(row) == sorted(row, reverse=True)
    assert len(set(row[3:])) == 1 and (row >= 0).all()


def test_a_vote_of_1100_samples_has_every_k(voted):
    vote = voted(*["Answer: 3"] * 700, *["Answer: 4"] * 380, *["none"] * 20)
    assert vote.accuracy("3") == 1 and vote.accuracy("3", 1) == 700 / 1_100
    found = [vote.accuracy("3", k) for k in (1, 2, 4, 16, 64, 256, 1_024)]
    assert found == sorted(found) and all(map(math.isfinite, found)) and found[-1] > 0.999999
    assert vote.maj(2)["4"] == pytest.approx(counted((700, 380), 20, 2)[1])
    best = vote.best(lambda trace: float(len(trace.answer)))
    assert 0 < best.accuracy("3", 500) < 1


# Groups


NOT_TRANSITIVE = {
    frozenset(pair)
    for pair in (("5", "5hours"), ("5", "5minutes"), ("half", "1/2"), ("1/2", "0.5"))
}


@pytest.fixture
def vague(monkeypatch):
    """A comparison in which "5" equals "5 hours" and "5 minutes", which differ. Gives the pairs
    that were compared.
    """
    asked = []
    monkeypatch.setattr(grade, "extract", lambda text, kind: None if text == "none" else text)
    monkeypatch.setattr(grade, "normal", lambda text, kind: text.casefold().replace(" ", ""))

    def same(given: str, wanted: str, kind: str = "math") -> bool:
        asked.append((given, wanted))
        a, b = grade.normal(given, kind), grade.normal(wanted, kind)
        return a == b or frozenset((a, b)) in NOT_TRANSITIVE

    monkeypatch.setattr(grade, "same", same)
    monkeypatch.setattr(
        grade, "is_correct", lambda response, gold, kind="math": same(response, gold, kind)
    )
    return asked


def test_the_order_of_samples_never_changes_a_votes_groups(voted, vague):
    answers = [
        "5",
        "5 hours",
        "5 Hours",
        "5 minutes",
        "5minutes",
        "5 minutes",
        "half",
        "1/2",
        "0.5",
        "7",
        "none",
    ]
    rng, seen = random.Random(1), set()
    for _ in range(200):
        rng.shuffle(answers)
        vote = voted(*answers, kind="math")
        groups = frozenset(
            frozenset(answers[i].casefold().replace(" ", "") for i in c) for c in vote.classes
        )
        firsts = [c[0] for c in vote.classes]
        assert firsts == sorted(firsts) and all(c == sorted(c) for c in vote.classes)
        right = {frozenset(answers[i].casefold().replace(" ", "") for i in c): r
                 for c, r in zip(vote.classes, vote.right("5 minutes"), strict=True)}  # fmt: skip
        share = round(vote.accuracy("5 minutes", 3), 9)
        seen.add((groups, frozenset(right.items()), share, tuple(sorted(map(len, vote.classes)))))
    assert len(seen) == 1
    ((groups, right, *_),) = seen
    # Most samples say 5 minutes, which "5" joins; "5 hours" equals "5" and not "5 minutes", and
    # stays alone.
    assert (
        {"5", "5minutes"} in groups
        and {"5hours"} in groups
        and dict(right)[frozenset({"5", "5minutes"})]
    )
    for group in groups:
        assert all(grade.same(*sorted(pair)) for pair in itertools.combinations(group, 2)), group


def test_a_group_holds_answers_that_all_equal_each_other(voted, vague):
    """Most say 5. "5 hours", said twice, joins them first; "5 minutes" equals "5" too, but not "5
    hours".
    """
    for answers in itertools.permutations(["5", "5", "5", "5 hours", "5 hours", "5 minutes"]):
        vote = voted(*answers, kind="math")
        assert (
            sorted(map(len, vote.classes)) == [1, 5]
            and [answers.index("5 minutes")] in vote.classes
        )
    assert all(
        given <= wanted for given, wanted in vague
    )  # a comparison that knows sides is asked one way round


def test_a_tree_groups_in_any_order_as_well(voted, vague):
    answers = ["5", "5 hours", "5 hours", "5 minutes"]
    shares = set()
    for order in itertools.permutations(range(4)):
        tree = voted(
            *(answers[i] for i in order), kind="math", rewards=tuple(0.1 * (i + 1) for i in order)
        )
        shares.add(tuple(sorted(round(share, 9) for share in tree.maj().values())))
    assert shares == {(0.4, 0.6)}  # "5" goes with "5 hours": 0.1 + 0.2 + 0.3 against 0.4


# The original's rules, recorded


@pytest.mark.parametrize(
    ("answers", "k", "wanted"),
    [
        # aime/utils.py: `Counter(metrics["extracted_answers"]).most_common(1)[0][0]` after the
        # first i answers.
        (["4", "3", "3", "4"], 1, "4"),
        (["4", "3", "3", "4"], 2, "4"),  # 1 : 1, the first seen
        (["4", "3", "3", "4"], 3, "3"),  # 1 : 2
        (["4", "3", "3", "4"], 4, "4"),  # 2 : 2, the first seen, though 3 had two votes before
        (["5", "4", "3", "3"], 4, "3"),
        (["007", "3", "7", "3"], 4, "007"),  # `str(int(a))`: 007 is 7
        # Without a box or "Answer:" the whole text stays as the answer, and has its vote.
        (["none", "3"], 2, None),
        (["none", "none", "3"], 3, None),
        (["none", "nothing", "3", "3"], 4, "3"),
    ],
)
def test_majority_as_the_original_counts_it(voted, answers, k, wanted):
    vote = voted(*[a if a.startswith("no") else f"Answer: {a}" for a in answers])
    assert vote.first(k) == wanted
    for gold in ("3", "4", "7"):
        right = wanted is not None and int(wanted) == int(gold)
        assert vote.accuracy(gold, k, as_original=True) == right


@pytest.mark.parametrize(
    ("answers", "wanted"),
    [
        # gpqa/openai/utils.py: `if a not in ["A", "B", "C", "D"]: a = "A"`.
        (["none", "B"], "A"),
        (["B", "none"], "B"),
        (["B", "none", "Answer: A"], "A"),
        (["none", "none", "B", "B", "B"], "B"),
        (["Answer: H", "Answer: A", "B", "B", "B"], "B"),
        (["Answer: H", "Answer: A", "B", "B"], "A"),
    ],
)
def test_a_sample_without_an_answer_votes_for_a_where_that_is_asked_for(voted, answers, wanted):
    vote = voted(*(f"Answer: {a}" if len(a) == 1 else a for a in answers), kind="choice")
    assert vote.first(unanswered="A") == wanted
    for gold in "ABCD":
        assert vote.accuracy(gold, as_original=True, unanswered="A") == (gold == wanted)
    with pytest.raises(
        ValueError, match="unanswered='A' is the original's rule: add as_original=True"
    ):
        vote.accuracy("A", unanswered="A")


def test_an_outcome_can_be_the_originals(voted):
    votes = [voted("Answer: 4", "Answer: 3", "Answer: 3"), voted("Answer: 3", "Answer: 4", "none")]
    assert lab.methods.outcome(votes, ["3", "3"], 2, as_original=True).correct == [0, 1]
    assert lab.methods.outcome(votes, ["3", "3"], 2).correct == pytest.approx([2 / 3, 1 / 2])
    with pytest.raises(ValueError, match="counts votes, and found holds a Best"):
        lab.methods.outcome([votes[0].best(len_of)], ["3"], as_original=True)


def len_of(trace):
    return float(len(trace.ids))


@pytest.mark.parametrize(
    ("rewards", "n", "wanted"),
    [
        # rebase.py, select_softmax: highest first; num = ceil(width * weight / sum); width -= num;
        # sum -= weight. e^0 : e^-1 : e^-2 is 1 : 0.3679 : 0.1353. 8 * 1 / 1.5032 = 5.32 -> 6; 2 *
        # 0.3679 / 0.5032 = 1.46 -> 2; 0.
        ([1.0, 0.8, 0.6], 8, [6, 2, 0]),
        (
            [0.6, 1.0, 0.8],
            8,
            [0, 6, 2],
        ),  # in the order of the branches, whatever the rewards' order
        # 3 * 0.5 = 1.5 -> 2; the later of two equal ones comes first: the list is sorted, then
        # reversed.
        ([0.5, 0.5], 3, [1, 2]),
        # 6 / 4 -> 2; 4 / 3 -> 2; 2 / 2 = 1; 1.
        ([0.5, 0.5, 0.5, 0.5], 6, [1, 1, 2, 2]),
        # 16 * 1 / 1.0498 = 15.24 -> 16; nothing is left, though the second one's share is 0.76.
        ([0.9, 0.3], 16, [16, 0]),
        # 1 * 0.5 -> 1; 0.
        ([0.5, 0.5], 1, [0, 1]),
        ([0.3], 5, [5]),
        ([0.5, 0.5, 0.5], 3, [1, 1, 1]),
        ([], 3, []),
        ([0.5, 0.2], 0, [0, 0]),
    ],
)
def test_branches_shared_by_greedy_ceilings(rewards, n, wanted):
    assert ceilings(rewards, n, 0.2) == wanted
    if rewards:
        assert sum(balanced(rewards, n, 0.2)) == sum(wanted) == n


def test_ceilings_always_add_up():
    rng = random.Random(7)
    for _ in range(2_000):
        rewards = [rng.choice([rng.random(), 0.5, -1e9, 1e9]) for _ in range(rng.randint(1, 8))]
        n = rng.randint(0, 20)
        shares = ceilings(rewards, n, rng.choice([0.05, 0.2, 1e6]))
        assert sum(shares) == n and min(shares) >= 0


@pytest.mark.parametrize(
    ("answers", "wanted"),
    [
        # math_evaluate.py, majority_vote: a class becomes the elected one when it has more votes
        # than any had before.
        (["4", "3", "3", "4"], "3"),  # 3 is the first to have two
        (["4", "3"], "4"),
        (["4", "3", "4", "3", "3"], "3"),
        (["none", "3"], None),  # "[invalid]" is an answer like any other
        (["none", "3", "none", "3"], None),
        (["none", "3", "3", "none"], "3"),
    ],
)
def test_a_trees_plain_majority(voted, answers, wanted):
    texts = [a if a == "none" else f"Answer: {a}" for a in answers]
    rewards = tuple(9.0 if a == "4" else 0.1 for a in answers)
    tree = voted(*texts, rewards=rewards, vote="majority")
    assert tree.answer == wanted and tree.weights == (1.0,) * len(answers)
    for gold in ("3", "4"):
        assert tree.accuracy(gold) == (gold == wanted)
    weighted = voted(*texts, rewards=rewards)
    assert weighted.answer == ("4" if "4" in answers else "3")


def test_a_search_by_ceilings_says_so_and_ends_with_its_width(scripted, tmp_path):
    lines = itertools.cycle(["a\n", "b\n", "c\n"])

    def say(text: str) -> str:
        if "answer\n" in text:
            return "Answer: 3<|im_end|>"
        return next(lines) if text.endswith("think\n") else "<|im_start|>"

    options = {"kind": "integer", "progress": False, "store": tmp_path / "x.db"}
    reward = lambda trace: {"a": 0.9, "b": 0.85, "c": 0.1}[trace.thinking[0]]  # noqa: E731
    tree = lab.rebase(
        scripted(say), "How many?", 3, reward, allocation="ceiling", vote="majority", **options
    )
    # e^0 : e^-0.25 : e^-4 of 3 is 1.67 : 1.30 : 0.03; the first ceiling is 2, then 1 * 0.98 -> 1.
    assert [t.thinking for t in tree.traces] == ["a\n", "a\n", "b\n"] and tree.vote == "majority"
    made = lab.storage.read_run(tmp_path / "x.db").made
    assert (made["allocation"], made["vote"]) == ("ceiling", "majority")


# GPQA as the original asks it

# Six rows of `random.seed(0)` and `random.shuffle([wrong 1, wrong 2, wrong 3, right])`, one after
# another, run by hand in Python: gpqa/openai/utils.py, process_docs. The number is the wrong
# answer's, R the right one.
SHUFFLED = ["312R D", "12R3 C", "132R D", "21R3 C", "31R2 C", "R231 A"]


def gpqa_rows(n):
    return [
        (f" Which, {i}? ", f"right {i} ", [f"wrong {i}.{j}\n" for j in (1, 2, 3)]) for i in range(n)
    ]


def test_gpqas_options_in_the_originals_order():
    found = choices_as_original(gpqa_rows(6))
    for i, ((asked, letter), recorded) in enumerate(zip(found, SHUFFLED, strict=True)):
        order, answer = recorded.split()
        options = [f"right {i} " if place == "R" else f"wrong {i}.{place}\n" for place in order]
        # QUERY_TEMPLATE there: the texts as they are, with their spaces.
        lines = "\n".join(f"{name}) {option}" for name, option in zip("ABCD", options, strict=True))
        assert asked == f" Which, {i}? \n\n{lines}" and letter == answer
    assert [letter for _, letter in choices_as_original(gpqa_rows(3), 1234)] == ["D", "B", "C"]
    # `choices.index(correct)`: of equal options the first.
    assert choices_as_original([("Which?", "x", ["x", "x", "x"])])[0][1] == "A"


@pytest.fixture
def gpqa(tmp_path):
    rows = [
        {
            "Question": q,
            "Correct Answer": right,
            **{f"Incorrect Answer {j}": wrong[j - 1] for j in (1, 2, 3)},
        }
        for q, right, wrong in gpqa_rows(198)
    ]
    Dataset.from_list(rows).to_json(str(tmp_path / "gpqa_diamond.jsonl"))
    return tmp_path / "gpqa_diamond.jsonl"


def test_a_gpqa_without_an_answer_counts_as_a_where_that_is_asked_for(gpqa, scripted, tmp_path):
    ours = lab.benchmarks.load("gpqa-diamond", gpqa, n=6)
    theirs = lab.benchmarks.load("gpqa-diamond", gpqa, n=6, as_original=True)
    assert "unanswered" not in ours.column_names and set(theirs["unanswered"]) == {"A"}
    assert (
        theirs["answer"] == [recorded[-1] for recorded in SHUFFLED]
        and theirs["question"] != ours["question"]
    )
    engine = scripted(
        lambda text: "x<|im_start|>" if "answer\n" not in text else "I can't say.<|im_end|>"
    )
    plain, original = (
        lab.evaluate(engine, rows, lab.Budget(), progress=False) for rows in (ours, theirs)
    )
    assert plain.accuracy == 0 and "unanswered" not in plain.made["benchmark"]
    assert list(original.rows["correct"]) == [letter == "A" for letter in theirs["answer"]]
    assert original.made["benchmark"]["unanswered"] == ["A"] and set(original.rows["given"]) == {
        "A"
    }
    assert "counts as 'A' here" in original.rows["reason"][0]
    sampled = lab.evaluate(engine, theirs, lab.Budget(), samples=2, temperature=1.0, progress=False)
    assert sampled.correct == original.correct
    again = lab.Results.of(theirs, original.traces)
    assert again.correct == original.correct
    answering = scripted(
        lambda text: "x<|im_start|>" if "answer\n" not in text else "Answer: C<|im_end|>"
    )
    answered = lab.evaluate(answering, theirs, lab.Budget(), progress=False)
    assert list(answered.rows["correct"]) == [letter == "C" for letter in theirs["answer"]]


def test_a_question_that_could_not_be_run_is_not_answered_a(gpqa, scripted):
    theirs = lab.benchmarks.load("gpqa-diamond", gpqa, n=6, as_original=True)
    engine = scripted(lambda text: "x<|im_start|>", context=40)
    results = lab.evaluate(engine, theirs, lab.Budget(), progress=False)
    assert results.failed == 6 and results.accuracy == 0


def test_other_benchmarks_are_not_asked_differently():
    for name in ("embedded", "aime24", "math500"):
        with pytest.raises(
            ValueError, match=f"as_original=True .*{name!r} is not asked differently"
        ):
            lab.benchmarks.load(name, as_original=True)


def test_documents_say_of_the_original_what_its_code_does():
    text = (ROOT / "docs" / "from_original.md").read_text(encoding="utf-8")
    assert (
        "twenty points" not in text and "no minimum" not in text and "min_tokens_thinking" in text
    )
    assert lab.benchmarks.BENCHMARKS["aime25-nofigures"].hub == "TIGER-Lab/AIME25"
