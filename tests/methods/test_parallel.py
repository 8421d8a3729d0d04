"""Votes, bests, mixtures and trees against cases worked by hand, their ledger, and the same through
a store after a kill.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

import s1lab as lab
from s1lab.engine import Completion, Request
from s1lab.methods.allocation import balanced
from s1lab.methods.costs import Cost
from s1lab.methods.majority import elected
from s1lab.trace import Source
from tests.helpers import ROOT
from tests.helpers.scripted import ANSWER, THINK, Scripted, ctrl_c_at

QUESTION = "How many r in raspberry?"


class Drawn(Scripted):
    """A scripted engine whose text depends on the request's seed as well: ``say(text, turn)``,
    turns in the order of asking.
    """

    def __init__(self, template, say):
        self.turns: dict[int, int] = {}
        super().__init__(template, lambda text: say(text, self.turn))

    def submit(self, key: int, request: Request) -> None:
        self.turn = self.turns.setdefault(request.seed, len(self.turns))
        super().submit(key, request)


@pytest.fixture
def answering(template):
    """An engine on which sample i of a question thinks a line and answers the i-th of these."""

    def make(*answers: str) -> Drawn:
        def say(text: str, turn: int) -> str:
            return (
                f"Answer: {answers[turn - len(answers)]}<|im_end|>"
                if ANSWER in text
                else "1 r 1\n<|im_start|>"
            )

        return Drawn(template, say)

    return make


def test_a_vote_with_a_tie(answering):
    """Of 5, 3, 5, 3, 4: all five tie 5 with 3; any one is right 2 times of 5; pairs and triples
    counted by hand.
    """
    voted = lab.vote(answering("5", "3", "5", "3", "4"), QUESTION, 5, kind="integer")
    assert voted.answers == ["5", "3", "5", "3", "4"] and voted.classes == [[0, 2], [1, 3], [4]]
    assert voted.answer == "5"  # of tied answers the one that was given first
    assert voted.maj() == pytest.approx({"5": 1 / 2, "3": 1 / 2, "4": 0})
    assert voted.maj(1) == pytest.approx({"5": 2 / 5, "3": 2 / 5, "4": 1 / 5})
    # Pairs: 1 of 10 is 3 3, 4 are 3 5, 2 are 3 4, 1 is 5 5, 2 are 5 4.
    assert voted.accuracy("3", 2) == pytest.approx((1 + 4 / 2 + 2 / 2) / 10)
    # Triples: 3 3 5 twice and 3 3 4 once elect 3, as many elect 5, and the 4 with all different are
    # split in three.
    assert voted.accuracy("3", 3) == pytest.approx((3 + 4 / 3) / 10)
    assert voted.accuracy("9") == 0


def brute(answers, k):
    """maj@k by looking at every subset."""
    shares: dict = {}
    subsets = list(itertools.combinations(answers, k))
    for subset in subsets:
        votes = [a for a in subset if a is not None]
        top = max((votes.count(a) for a in votes), default=0)
        tied = {a for a in votes if votes.count(a) == top}
        for answer in tied:
            shares[answer] = shares.get(answer, 0) + 1 / len(tied) / len(subsets)
    return shares


def test_majority_is_what_all_subsets_elect():
    rng = random.Random(8)
    for _ in range(60):
        answers = [rng.choice([None, "a", "a", "b", "c", "d"]) for _ in range(rng.randint(1, 10))]
        known = list(dict.fromkeys(a for a in answers if a))
        table = elected(tuple(answers.count(a) for a in known), answers.count(None))
        for k in range(1, len(answers) + 1):
            expected = brute(answers, k)
            assert list(table[k]) == pytest.approx([expected.get(a, 0) for a in known])


def test_majority_of_many_samples_is_exact_and_quick():
    """64 samples, every k at once: sums to 1 where all vote, rises for the majority, and is the
    plain share at k=1.
    """
    table = elected((30, 20, 10, 4), 0)
    assert table[1:].sum(axis=1) == pytest.approx(1)
    assert all(b > a - 1e-12 for a, b in itertools.pairwise(table[1::2, 0])) and table[
        1, 0
    ] == pytest.approx(30 / 64)
    assert elected((1,) * 64, 0)[7] == pytest.approx(1 / 64)


@pytest.mark.parametrize(
    ("kind", "answers", "classes"),
    [
        ("integer", ["1,000", "1000", "+1000", "-1000"], [[0, 1, 2], [3]]),
        ("choice", ["(B)", "B.", "C"], [[0, 1], [2]]),
        ("exact", ["17 + 4", "17+4", "4+17"], [[0, 1], [2]]),
        ("math", ["\\boxed{1/2}", "0.5", "\\frac{1}{2}", "2"], [[0, 1, 2], [3]]),
    ],
)
def test_equal_answers_are_one_class(answering, kind, answers, classes):
    assert lab.vote(answering(*answers), QUESTION, len(answers), kind=kind).classes == classes


def test_a_sample_without_an_answer_has_no_vote(answering):
    voted = lab.vote(answering("none", "3", "none", "3", "7"), QUESTION, 5, kind="integer")
    assert voted.answers == [None, "3", None, "3", "7"] and voted.answer == "3"
    assert voted.accuracy("3", 1) == pytest.approx(2 / 5) and voted.accuracy("3") == 1
    assert sum(voted.maj(1).values()) == pytest.approx(3 / 5)
    silent = lab.vote(answering("none", "none"), QUESTION, 2, kind="integer")
    assert silent.answer is None and silent.maj() == {} and silent.accuracy("3") == 0


def test_votes_are_of_the_samples_that_force_gives_for_a_repeated_question(tiny):
    questions = list(lab.tiny.problems(6, 8, "dev")["question"])
    budgets = [lab.Budget(max_tokens=20 + n, waits=1) for n in range(6)]
    options = {"temperature": 0.8, "top_p": 0.95, "seed": 3, "progress": False}
    voted = lab.vote(tiny, questions, 3, budgets, **options)
    alone = lab.force(
        tiny,
        [q for q in questions for _ in range(3)],
        [b for b in budgets for _ in range(3)],
        **options,
    )
    assert [t.ids for v in voted for t in v.traces] == [t.ids for t in alone]
    assert [t.sample for t in voted[0].traces] == [0, 1, 2] and voted[0].question == questions[0]
    assert voted[0].cost.total == sum(t.sampled_tokens + t.forced_tokens for t in alone[:3])
    assert voted[0].tokens(2) == pytest.approx(voted[0].cost.total * 2 / 3)
    single = lab.vote(tiny, questions[0], 3, budgets[0], **options)
    assert isinstance(single, lab.methods.Vote) and [t.ids for t in single.traces] == [
        t.ids for t in alone[:3]
    ]


def test_best_of_n_is_the_highest_score_over_all_subsets(answering):
    scores = {"5": 0.2, "3": 0.9, "4": 0.5, "7": 0.9}
    best = lab.methods.best_of(
        answering(*scores), QUESTION, 4, lambda t: scores[t.answer[-1]], kind="integer"
    )
    assert best.answer == "3" and best.trace is best.traces[1]
    for k in (1, 2, 3, 4):
        subsets = list(itertools.combinations(scores, k))
        top = [[a for a in s if scores[a] == max(scores[b] for b in s)] for s in subsets]
        expected = sum(tied.count("3") / len(tied) for tied in top) / len(subsets)
        assert best.accuracy("3", k) == pytest.approx(expected)
    assert best.cost == lab.vote(answering(*scores), QUESTION, 4, kind="integer").cost


def test_a_mixture_is_a_vote_at_each_rung(tiny):
    questions = list(lab.tiny.problems(5, 9, "dev")["question"])
    options = {"temperature": 0.8, "seed": 3, "progress": False, "kind": "exact"}
    mixed = lab.methods.mixture(tiny, questions, 3, (12,), (0, 2), **options)
    assert list(mixed) == ["cap 12", "own stop", "2 Waits"]
    for label, budget in (("cap 12", lab.Budget(max_tokens=12)), ("2 Waits", lab.Budget(waits=2))):
        alone = lab.vote(tiny, questions, 3, budget, **options)
        assert [t.ids for v in mixed[label] for t in v.traces] == [
            t.ids for v in alone for t in v.traces
        ]
        assert [v.maj(2) for v in mixed[label]] == [v.maj(2) for v in alone]
    single = lab.methods.mixture(tiny, questions[0], 3, (12,), (0, 2), **options)
    assert [t.ids for t in single["own stop"].traces] == [
        t.ids for t in mixed["own stop"][0].traces
    ]


def test_shares_follow_the_rewards_and_add_up():
    assert balanced([0.0, 0.0, 0.0, 0.0], 6, 0.2) == [
        2,
        2,
        1,
        1,
    ]  # equal remainders: to the earlier
    # e^0 : e^-1 : e^-2 of 8 is 5.32 : 1.96 : 0.72
    assert balanced([1.0, 0.8, 0.6], 8, 0.2) == [5, 2, 1]
    assert balanced([1.0, 0.8, 0.6], 2, 0.2) == [1, 1, 0]
    assert balanced([1.0, 0.0], 5, 1e-6) == [5, 0] and balanced([1e9, -1e9], 5, 1e12) == [3, 2]
    assert balanced([], 3, 0.2) == []


def growing(text: str, turn: int) -> str:
    """Two branches a step: their first line is good or bad by turns, the good ones end after the
    second line.
    """
    if ANSWER in text:
        return f" {3 if 'good' in text else 4}<|im_end|>"
    thought = text.split(THINK)[1]
    if not thought:
        return "good\n" if turn % 2 else "bad\n"
    return "<|im_start|>" if "good" in thought and thought.count("\n") == 2 else "so\n"


def test_a_step_of_rebase_with_known_rewards(template):
    """Width 4: two good first lines and two bad ones; at rewards 1 and 0 and a low balance the bad
    ones get no share.
    """
    seen = []

    def reward(trace):
        seen.append(trace.thinking)
        return 1.0 if "good" in trace.thinking else 0.0

    tree = lab.rebase(Drawn(template, growing), QUESTION, 4, reward, balance=0.1, kind="integer")
    assert [t.thinking for t in tree.traces] == ["good\nso\n"] * 4 and tree.answer == "3"
    assert seen == [
        "bad\n",
        "good\n",
        "good\nso\n",
        "good\nso\n",
    ]  # equal branches are read once; the end is scored too
    assert (
        tree.depth == 3
        and tree.scored == 4
        and tree.rewards == (1.0,) * 4
        and tree.accuracy("3") == 1
    )
    line, answer = len(template.encode("so\n")), len(template.encode(" 3"))
    good, bad = len(template.encode("good\n")), len(template.encode("bad\n"))
    close = len(template.encode(ANSWER))
    # Each of two good first lines was written once, whatever grew out of it; 4 second lines; the
    # two bad lines are thrown away.
    assert tree.cost == Cost(2 * good + 4 * line + 4 * answer, 4 * close, 2 * bad)
    assert tree.cost.total < lab.methods.cost(*tree.traces).total + 2 * bad


def test_rewards_that_are_even_starve_nobody_and_weigh_the_vote(template):
    tree = lab.rebase(
        Drawn(template, growing),
        QUESTION,
        4,
        lambda t: 0.5,
        lab.Budget(max_tokens=30),
        kind="integer",
    )
    assert [t.cut for t in tree.traces] == [False, False, True, True]  # finished in this order
    assert tree.cost.thrown_away == 0 and all(t.thinking_tokens <= 30 for t in tree.traces)
    assert tree.maj() == pytest.approx({"3": 0.5, "4": 0.5}) and tree.accuracy("3") == 0.5
    weighed = lab.methods.Tree(
        tree.question,
        tree.traces,
        "integer",
        tuple(0.9 if "good" in t.thinking else 0.2 for t in tree.traces),
    )
    assert (
        weighed.answer == "3"
        and weighed.accuracy("3") == 1
        and weighed.maj()["3"] == pytest.approx(1.8 / 2.2)
    )
    below = lab.methods.Tree(tree.question, tree.traces, "integer", (-1.0,) * 4)
    assert below.weights == (1.0,) * 4


def test_a_tree_holds_its_budget_and_its_ledger_for_any_model(template):
    rng = random.Random(5)
    for _ in range(40):
        budget = lab.Budget(
            rng.choice([None, 5, 40]),
            rng.choice([0, 5]),
            rng.choice([0, 2]),
            rng.choice(["Wait", None]),
            answer_tokens=10,
        )
        lines = ["ab\n", "a<|im_start|>", "\n", "abcdefgh", "<|im_start|>"]
        engine = Scripted(
            template,
            lambda _, lines=lines: rng.choice(lines) + "z" * 9 + "<|im_start|><|im_end|>",
            context=160,
        )
        width, longest = rng.randint(1, 5), rng.choice([3, 50])
        tree = lab.rebase(
            engine,
            QUESTION,
            width,
            lambda t: rng.random(),
            budget,
            step_tokens=longest,
            step=rng.choice(["\n", None]),
        )
        assert len(tree.traces) == len(tree.rewards) == width and tree.error is None
        asked = sum(r.max_tokens >= 1 for r in engine.requests)
        for trace in tree.traces:
            assert budget.max_tokens is None or trace.thinking_tokens <= budget.max_tokens
            assert len(trace.ids) == len(trace.source) <= 160 and trace.cut == (
                Source.PREFIX in trace.source
            )
            fed = {tuple(r.ids) for r in engine.requests}
            assert (
                trace.waits == trace.of(Source.CONTINUATION).count(template.encode("Wait")[0])
                or budget.wait is None
            )
            assert any(tuple(trace.ids[: len(f)]) == f for f in fed)
        assert asked and tree.cost.sampled <= sum(t.sampled_tokens for t in tree.traces)
        longest_path = max(t.sampled_tokens for t in tree.traces)
        assert tree.cost.sampled >= longest_path and tree.cost.forced >= max(
            t.forced_tokens for t in tree.traces
        )


def test_a_branch_that_is_made_to_go_on_stays_open(template):
    """With a Wait each branch stops twice; the token behind the Wait may end a line, but not the
    thinking.
    """

    def say(text: str, turn: int) -> str:
        if ANSWER in text:
            return "Answer: 3<|im_end|>"
        thought = text.split(THINK)[1]
        whole = "1 r 1Wait\n2 a 1\n" if "Wait" in thought else "1 r 1"
        return whole.removeprefix(thought) + "<|im_start|>"

    engine = Drawn(template, say)
    tree = lab.rebase(engine, QUESTION, 2, lambda t: 1.0, lab.Budget(waits=1), kind="integer")
    assert [t.thinking for t in tree.traces] == ["1 r 1Wait\n2 a 1\n"] * 2 and [
        t.waits for t in tree.traces
    ] == [1, 1]
    masked = [r for r in engine.requests if r.min_tokens]
    assert len(masked) == 2 and all(
        r.max_tokens == 1 and r.stop == template.think_stop for r in masked
    )


def test_a_tree_is_the_same_in_any_company(tiny):
    questions = list(lab.tiny.problems(5, 10, "dev")["question"])
    options = {"temperature": 0.8, "seed": 3, "progress": False, "balance": 0.5}
    score = lambda trace: min(1.0, trace.thinking_tokens / 60)  # noqa: E731
    together = lab.rebase(tiny, questions, 3, score, **options)
    alone = lab.rebase(tiny, questions[2], 3, score, **options)
    assert [t.ids for t in alone.traces] == [
        t.ids for t in together[2].traces
    ] and alone.cost == together[2].cost
    assert (
        all(len(t.traces) == 3 for t in together) and len({tuple(t.ids) for t in alone.traces}) >= 1
    )


def test_a_question_that_fails_leaves_the_others(template, scripted):
    engine = scripted(
        lambda text: "Answer: 3<|im_end|>" if ANSWER in text else "1 r 1\n<|im_start|>", context=200
    )
    bad, good = lab.vote(engine, ["x " * 300, QUESTION], 2, kind="integer", progress=False)
    assert (
        "200" in bad.error
        and bad.answer is None
        and bad.accuracy("3") == 0
        and good.accuracy("3") == 1
    )
    bad, good = lab.rebase(
        engine, ["x " * 300, QUESTION], 2, lambda t: 1.0, kind="integer", progress=False
    )
    assert "200" in bad.error and bad.accuracy("3") == 0 and good.accuracy("3") == 1


def broken(trace):
    raise ZeroDivisionError("division by\nzero")


def not_a_number(trace):
    return float("nan")


@pytest.mark.parametrize(
    "score", [broken, not_a_number, lambda t: "high", lambda t: None, lambda t: float("inf")]
)
def test_a_score_or_reward_that_is_no_number_is_named_with_its_question(scripted, score):
    engine = scripted(
        lambda text: "Answer: 3<|im_end|>" if ANSWER in text else "1 r 1\n<|im_start|>"
    )
    for call in (lab.methods.best_of, lab.rebase):
        found = call(engine, [QUESTION, "How many s?"], 2, score, progress=False)
        for made, question in zip(found, [QUESTION, "How many s?"], strict=True):
            text = made.error
            assert (
                score.__name__ in text and question in text and "\n" not in text and len(text) < 400
            )
            assert made.answer is None and all(trace.error for trace in made.traces)
    with pytest.raises(ValueError, match=score.__name__):  # of one vote alone, it is the caller's
        lab.vote(engine, QUESTION, 2, progress=False).best(score)


def test_a_score_or_reward_that_fails_on_one_question_leaves_the_others(scripted):
    engine = scripted(
        lambda text: "Answer: 3<|im_end|>" if ANSWER in text else "1 r 1\n<|im_start|>"
    )

    def picky(trace):
        if "How many s?" in trace.question:
            raise ZeroDivisionError("division by zero")
        return 1.0

    for call in (lab.methods.best_of, lab.rebase):
        first, bad, last = call(
            engine, [QUESTION, "How many s?", QUESTION], 2, picky, kind="integer", progress=False
        )
        assert first.answer == last.answer == "3" and first.error is last.error is None
        assert (
            "ZeroDivisionError" in bad.error
            and "picky" in bad.error
            and bad.question == "How many s?"
        )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda e: lab.vote(e, QUESTION, 0), "samples=0 is no number of samples"),
        (lambda e: lab.vote(e, QUESTION, 2.0), "samples=2.0 is no number of samples"),
        (
            lambda e: lab.vote(e, QUESTION, 10_001),
            "samples=10001 are more samples a question than the 10,000",
        ),
        (lambda e: lab.vote(e, QUESTION, 4, temperature=0), "samples=4 at temperature 0"),
        (lambda e: lab.vote(e, [QUESTION], 2, [lab.Budget()] * 2), "2 budgets for 1 question"),
        (lambda e: lab.vote(e, [QUESTION], 2, kind=["math"] * 2), "2 kinds for 1 questions"),
        (lambda e: lab.vote(e, QUESTION, 2, kind="poem"), "'poem'"),
        (lambda e: lab.vote(e, [], 2), "empty"),
        (lambda e: lab.methods.mixture(e, QUESTION, 2), "caps and waits are empty"),
        (
            lambda e: lab.methods.mixture(e, QUESTION, 2, (4,), budget=lab.Budget(compat="readme")),
            "can't be laddered",
        ),
        (lambda e: lab.rebase(e, QUESTION, 0, len), "width=0"),
        (lambda e: lab.rebase(e, QUESTION, 2, len, balance=0), "balance=0"),
        (lambda e: lab.rebase(e, QUESTION, 2, len, step_tokens=0), "step_tokens=0"),
        (
            lambda e: lab.rebase(e, QUESTION, 2, len, allocation="floor"),
            "allocation='floor' is unknown: choose",
        ),
        (lambda e: lab.rebase(e, QUESTION, 2, len, vote=None), "vote=None is unknown: choose from"),
        (
            lambda e: lab.rebase(e, QUESTION, 2, len, step="no such text"),
            "stands in no single token",
        ),
        (
            lambda e: lab.rebase(e, QUESTION, 2, len, lab.Budget(compat="harness")),
            "original's loops",
        ),
    ],
)
def test_calls_that_make_no_sense_are_refused_before_anything_runs(scripted, call, words):
    engine = scripted(lambda _: "<|im_end|>")
    with pytest.raises(ValueError, match=words) as error:
        call(engine)
    assert "\n" not in str(error.value) and not engine.requests


def test_more_votes_than_samples_are_refused(answering):
    voted = lab.vote(answering("3", "4"), QUESTION, 2, kind="integer")
    for call in (
        voted.maj,
        lambda k: voted.accuracy("3", k),
        lambda k: voted.best(lambda t: 1.0).accuracy("3", k),
        voted.tokens,
    ):
        for k in (3, 0):
            with pytest.raises(ValueError, match=rf"k={k} of n=2 samples"):
                call(k)
    tree = lab.methods.Tree(QUESTION, voted.traces, "integer", (1.0, 1.0))
    with pytest.raises(ValueError, match="k=1: a tree has one size"):
        tree.accuracy("3", 1)


def test_an_outcome_is_graded_question_by_question(answering):
    easy = lab.vote(answering("3", "3"), QUESTION, 2, kind="integer")
    hard = lab.vote(answering("3", "4"), QUESTION, 2, kind="integer")
    found = lab.methods.outcome([easy, hard], ["3", "3"], 1)
    assert (
        found.correct == [1.0, 0.5]
        and found.accuracy.value == 75
        and found.accuracy == lab.metrics.accuracy_interval([1.0, 0.5], samples=2)
    )
    assert found.tokens == [easy.cost.total / 2] * 2 and found.mean_tokens == easy.cost.total / 2
    both = lab.methods.outcome([easy, hard], ["3", "3"])  # all samples vote: one vote a question
    assert both.accuracy == lab.metrics.accuracy_interval(both.correct, samples=1)
    with pytest.raises(ValueError, match="2 results for 1 answers"):
        lab.methods.outcome([easy, hard], ["3"])


ASKED = [QUESTION, "How many s?"]
CALLS = [
    lambda e, **o: lab.vote(e, ASKED, 3, kind="integer", **o),
    lambda e, **o: lab.methods.best_of(e, ASKED, 3, lambda t: len(t.ids), kind="integer", **o),
    lambda e, **o: lab.methods.mixture(e, ASKED, 2, (4,), (0, 1), kind="integer", **o)["1 Wait"],
    lambda e, **o: lab.rebase(
        e, ASKED, 3, lambda t: len(t.ids) / 99, lab.Budget(waits=1), kind="math", **o
    ),
]  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_through_a_store_all_is_the_same_and_nothing_is_asked_again(scripted, tmp_path, call):
    def model(text: str) -> str:
        return (
            "Answer: 3<|im_end|>" if ANSWER in text else f"{text.count(chr(10))} r 1\n<|im_start|>"
        )

    def plain(found):
        return [([t.ids for t in x.traces], x.cost, x.accuracy("3")) for x in found]

    path, expected = tmp_path / "x.db", plain(call(scripted(model), progress=False))
    first, second = scripted(model), scripted(model)
    assert plain(call(first, progress=False, store=path)) == expected and first.requests
    assert plain(call(second, progress=False, store=path)) == expected and not second.requests
    with lab.replay(path) as engine:
        assert plain(call(engine, progress=False)) == expected
    table = lab.runs(path)
    assert list(table.status) == ["finished"] * 2 and list(table.finished) == [2, 2]
    rungs = 3 if "mixture" in call.__code__.co_names else 1
    assert len(lab.storage.read_run(path).traces) == rungs * sum(len(ids) for ids, _, _ in expected)


def test_an_interrupted_vote_has_votes(scripted):
    def model(text: str) -> str:
        return "Answer: 3<|im_end|>" if ANSWER in text else "1 r 1\n<|im_start|>"

    engine = scripted(ctrl_c_at(12, model))
    engine.width = 1
    with pytest.raises(lab.Interrupted) as stopped:
        lab.vote(engine, [f"question {n}?" for n in range(9)], 2, kind="integer")
    finished = [v for v in stopped.value.traces if v.error is None]
    assert (
        len(stopped.value.traces) == 9
        and 0 < len(finished) < 9
        and all(v.answer == "3" for v in finished)
    )


def test_an_engine_that_fails_on_one_sample_leaves_the_others_their_votes(template, scripted):
    class Failing(Scripted):
        def submit(self, key: int, request: Request) -> None:
            super().submit(key, request)
            if len(self.requests) == 2:
                self._done[-1] = (key, Completion((), error="made up"))

    engine = Failing(
        template, lambda text: "Answer: 3<|im_end|>" if ANSWER in text else "1 r 1\n<|im_start|>"
    )
    voted = lab.vote(engine, QUESTION, 3, kind="integer")
    assert (
        voted.error == "made up" and voted.answers == ["3", None, "3"] and voted.accuracy("3") == 1
    )


KILLED = """
import sys
import s1lab as lab
from s1lab.storage import store

store.LATEST = 0.05  # however slow the disk is, a kill finds something stored
engine = lab.load("s1-tiny", max_batch=8)
print("ready", flush=True)
questions = list(lab.tiny.problems(10, 12, "dev")["question"])
options = {"temperature": 0.8, "seed": 5, "kind": "exact", "store": sys.argv[1], "progress": False}
voted = lab.vote(engine, questions, 4, **options)
trees = lab.rebase(engine, questions, 3, lambda t: min(1.0, t.thinking_tokens / 60), **options)
found = (*voted, *trees)
ids = tuple(tuple(t.ids) for x in found for t in x.traces)
print(hash(ids), sum(x.cost.total for x in found))
"""


@pytest.mark.long
def test_a_vote_and_a_tree_killed_in_between_end_with_the_same_results(tmp_path):
    def start(path):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert process.stdout.readline() == "ready\n"
        return process

    def held(path):
        with (
            contextlib.suppress(sqlite3.OperationalError),
            contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db,
        ):
            return db.execute("SELECT count(*), count(DISTINCT key) FROM completions").fetchone()
        return 0, 0  # no tables yet

    whole, path = start(tmp_path / "whole.db").communicate()[0], tmp_path / "killed.db"
    total = held(tmp_path / "whole.db")[0]
    process = start(path)
    while held(path)[0] < total // 2 and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = held(path)[0]
    assert 0 < before < total
    assert start(path).communicate()[0] == whole != ""
    assert held(path) == (total, total)
    table = lab.runs(path)
    assert (
        "unfinished" in set(table.status)
        and table.status.iloc[-1] == "finished"
        and table.completions.sum() == total
    )


def test_the_embedded_reward_reads_the_thinking_alone_and_is_the_same_in_any_batch(tiny):
    reward = lab.tiny.reward()
    assert (
        lab.tiny.reward() is not reward
    )  # and the module of its training does not stand in its way
    questions = list(lab.tiny.problems(6, 13, "dev")["question"])
    traces = lab.force(tiny, questions, lab.Budget(waits=1), progress=False)
    together = reward.many(traces)
    assert all(0 <= value <= 1 for value in together) and len(set(together)) > 1
    assert [reward(t) for t in traces] == pytest.approx(together, abs=1e-4)
    trace = traces[0]
    opened = trace.source.count(Source.PROMPT)
    assert reward(trace.fork(opened + trace.thinking_tokens, trace.budget)) == pytest.approx(
        together[0], abs=1e-4
    )
    trace.ids[0] = 10**6
    with pytest.raises(
        ValueError, match=r"'lab.tiny.reward\(\)' failed on the question .* reads no other model's"
    ):
        lab.methods.Vote(trace.question, [trace]).best(reward)


def test_what_the_reward_was_measured_to_do_is_written_down():
    made = json.loads((ROOT / "s1lab" / "tiny" / "reward.json").read_text())
    assert made["dev"]["auc_within_question"] > 0.55 and made["dev"]["auc_partial"] > 0.6
    assert (
        made["dev"]["pairs_within_question"] > 100
        and (ROOT / "s1lab" / "tiny" / "reward.safetensors").stat().st_size < 200_000
    )


def test_a_reward_of_other_weights_is_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    from s1lab.tiny.reward_model import TinyReward

    save_file(
        load_file(ROOT / "s1lab" / "tiny" / "reward.safetensors"),
        tmp_path / "reward.safetensors",
        {"fingerprint": "other"},
    )
    with pytest.raises(
        ValueError, match="other weights of s1-tiny than these: train it again, make reward"
    ):
        TinyReward(tmp_path)
