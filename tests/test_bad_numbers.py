"""Metrics, votes and costs meet bad input: one sentence that names the argument, never a number."""

from __future__ import annotations

import math

import numpy as np
import pytest

import s1lab as lab
from s1lab.evaluation import metrics
from s1lab.evaluation import token_counts as habits
from s1lab.methods.allocation import balanced, ceilings
from s1lab.methods.costs import Cost, cost
from s1lab.methods.majority import elected
from s1lab.trace import Source, Trace

NAN, INF = float("nan"), float("inf")

# What can be wrong with an argument of a kind. Each list has a wrong type, None where that means
# nothing, True where a number is meant, NaN, infinities, and numbers out of range.
WHOLE = ["3", None, True, 1.5, 2.0, NAN, INF, -1, [3], 1j]
BAD: dict[str, list] = {
    "count": [*WHOLE, 0],
    "count or none": [x for x in [*WHOLE, 0] if x is not None],
    "index": WHOLE,
    "size": [*WHOLE, 0, 10**40],
    "share": ["0.95", None, True, NAN, INF, -INF, -0.5, 0, 1, 95, [0.95], 1j],
    "percent": ["50", None, True, NAN, INF, -1, 100.5, [50], 1j],
    "percent or none": ["50", True, NAN, INF, -1, 0, 100.5, [50]],
    "tokens": ["50", None, True, NAN, INF, -INF, 0, -1, [50], 10**400],
    "amount": ["50", None, True, NAN, INF, -1, [50]],
    "outcomes": [
        "101", "wrong", None, True, 1, NAN, {}, {1, 0}, [], [[1, 0], [0, 1]], [[1], [1, 0]],
        ["wrong", "right", "right"], [1, None, 0], [1, 0.5, 0], [1, NAN, 0], [1, INF, 0],
        [1, -1, 0], [1, 2, 0], np.ones((3, 1)), np.array(1),
    ],
    "shares": [
        "101", None, True, 1, NAN, {}, {1, 0}, [], [[1, 0], [0, 1]], [[1], [1, 0]],
        ["a", "b", "c"], [1, None, 0], [1, NAN, 0], [1, INF, 0], [1, -1, 0], [1, 2, 0],
        [0.5, 57.0, 0.1], np.ones((3, 1)), [1, 1j, 0], [1, "0", 0],
    ],
    "samples": [
        "8", True, NAN, 0, -1, 1.5, 10**30, {1, 2, 3}, [], [8, 8], [8, 0, 8], [8, 1.5, 8],
        [8, None, 8], [8, True, 8], ["8", 8, 8], np.ones(3),
    ],
    "grid": [
        "101", None, 1, {}, [], [1, 2, 3], [[]], [[1, 2], [3]], [[["a", "b"], [1, 2]]],
        [["a", "b", "c"]] * 3, [[1, None, 1]] * 3, [[1, NAN, 1]] * 3, [[1, INF, 1]] * 3,
        [[-1, 1, 1]] * 3, [[1, 2]] * 3,
    ],
    "some tokens": [
        "101", None, 5, True, {}, {1, 2, 3}, [], [[1, 2, 4]], ["a", "b", "c"], [1, None, 4],
        [True, 2, 4], [1, NAN, 4], [1, INF, 4], [1, -2, 4], [0, 2, 4], [1, 2, 10**400],
        np.array([True, False, True]), np.ones((3, 2)), [1, 2], [1, "2", 4],
    ],
    "some percents": [
        "101", None, 5, True, {}, [], [[1, 2, 4]], ["a", "b", "c"], [1, None, 4], [True, 2, 4],
        [1, NAN, 4], [1, INF, 4], [1, -2, 4], [1, 2, 101], np.ones((3, 2)), [1, 2],
    ],
    "bound": ["100", NAN, True, -1, [1, 2], [1, NAN, 3], [1, "2", 3], [1, True, 3], {}, 1j, INF],
    "traces": [None, "trace", [], [3], {}, 5],
    "kind": [None, "poem", 3, True],
    "numbers a trace": [None, "12", [], [1.0], [1.0, NAN], [1.0, INF], [1.0, "2"], [1.0, True]],
    "vote": [None, "first", 3],
    "gold": [None, 3, True, "", "  ", "abc", ["3"]],
    "text": [None, 3, True, "", " "],
    "text or none": [3, True, "", " "],
    "model": [None, 3, True],
    "k": ["1", True, 1.5, 2.0, NAN, 0, -1, 3, 10**30, [1]],
    "counts": [None, "12", 3, [1, -1], [1.5], [True], [[1, 2]], [None], {1: 2}],
    "rewards": [[1.0, NAN], [1.0, INF], [1.0, "2"], [1.0, None], [True, 1.0]],
    "balance": ["1", None, True, NAN, INF, 0, -1],
    "voted": [None, 3, "votes", [], [1, 2], [None]],
    "golds": [None, 3, "3", [], [None], [True], [["3"]], ["3", "4"]],
}  # fmt: skip
CURVE = {"tokens": "some tokens", "accuracy": "some percents"}
RUNS, RIGHT, GRID = [100, 200, 400], [10.0, 20.0, 30.0], [[1, 2, 3], [2, 4, 6], [4, 8, 12]]
RESAMPLED = {"resamples": "size", "level": "share", "seed": "index"}


@pytest.fixture(scope="module")
def traces(template):
    """Two traces: one answers 3, the other nothing."""
    made = []
    for answer in ("Answer: 3", "none"):
        trace = Trace("How many?", template)
        trace.extend(template.encode("How many?"), Source.PROMPT)
        trace.extend(template.encode(answer), Source.ANSWER)
        made.append(trace)
    return made


def calls(traces):
    """(name, call, good arguments, what each may be): every public call that takes numbers."""
    vote = lab.methods.Vote("q", traces, "integer")
    best = lab.methods.Best("q", traces, "integer", (1.0, 2.0))
    tree = lab.methods.Tree("q", traces, "integer", (1.0, 2.0))
    fit, habit = metrics.scaling_fit(RUNS, [10.0, 25.0, 30.0]), habits.habit("aime24")
    of = {"question": "q", "traces": traces, "kind": "integer"}
    return [
        (metrics.accuracy_interval, {"correct": [1, 0, 1]},
         {"correct": "outcomes", "level": "share"}),
        (metrics.accuracy_interval, {"correct": [1, 0.5, 0], "samples": 8},
         {"correct": "shares", "samples": "samples", "level": "share"}),
        (metrics.share_interval, {"percent": 50, "n": 30},
         {"percent": "percent", "n": "size", "level": "share"}),
        (metrics.paired_bootstrap, {"a": [1, 0, 1], "b": [0, 0.5, 1]},
         {"a": "shares", "b": "shares", **RESAMPLED}),
        (metrics.control, {"tokens": RUNS}, {"low": "bound", "high": "bound"}),
        (metrics.scaling, {"tokens": RUNS, "accuracy": RIGHT}, CURVE),
        (metrics.scaling_fit, {"tokens": RUNS, "accuracy": RIGHT}, CURVE | {"level": "share"}),
        (metrics.score, {"tokens": GRID, "correct": np.eye(3)},
         {"tokens": "grid", "correct": "grid", "low": "bound", "high": "bound", **RESAMPLED}),
        (metrics.flips, {"before": [1, 0, 1], "after": [0, 0, 1]},
         {"before": "outcomes", "after": "outcomes"}),
        (metrics.mcnemar, {"a": [1, 0, 1], "b": [0, 0, 1]}, {"a": "outcomes", "b": "outcomes"}),
        (metrics.smallest_difference, {"n": 30}, {"n": "size", "level": "share", "power": "share"}),
        (metrics.smallest_difference, {"n": 30, "disagree": 20},
         {"n": "size", "disagree": "percent or none", "level": "share", "power": "share"}),
        (metrics.unpaired, {"a": 56.7, "b": 44.6, "n": 30, "m": 30},
         {"a": "percent", "b": "percent", "n": "size", "level": "share"}),
        (fit.at, {"tokens": 100}, {"tokens": "tokens"}),
        (elected, {"counts": [2, 1], "silent": 1}, {"counts": "counts", "silent": "index"}),
        (balanced, {"rewards": [1.0, 2.0], "n": 3, "balance": 0.2},
         {"rewards": "rewards", "n": "index", "balance": "balance"}),
        (ceilings, {"rewards": [1.0, 2.0], "n": 3, "balance": 0.2},
         {"rewards": "rewards", "n": "index", "balance": "balance"}),
        (lab.methods.Vote, of, {"traces": "traces", "kind": "kind"}),
        (lab.methods.Best, of | {"scores": (1.0, 2.0)},
         {"traces": "traces", "kind": "kind", "scores": "numbers a trace"}),
        (lab.methods.Tree, of | {"rewards": (1.0, 2.0)},
         {"traces": "traces", "kind": "kind", "rewards": "numbers a trace", "vote": "vote"}),
        (vote.maj, {}, {"k": "k"}),
        (vote.tokens, {}, {"k": "k"}),
        (vote.first, {}, {"k": "k", "unanswered": "text or none"}),
        (vote.right, {"gold": "3"}, {"gold": "gold"}),
        (vote.accuracy, {"gold": "3"}, {"gold": "gold", "k": "k"}),
        (vote.accuracy, {"gold": "3", "as_original": True}, {"gold": "gold", "k": "k"}),
        (best.accuracy, {"gold": "3"}, {"gold": "gold", "k": "k"}),
        (best.tokens, {}, {"k": "k"}),
        (tree.accuracy, {"gold": "3"}, {"gold": "gold", "k": "k"}),
        (tree.tokens, {}, {"k": "k"}),
        (lab.methods.outcome, {"found": [vote], "golds": ["3"]}, {"k": "k"}),
        (lab.methods.outcome, {"found": [vote], "golds": ["3"]},
         {"found": "voted", "golds": "golds"}),
        (Cost, {}, {"sampled": "index", "forced": "index", "thrown_away": "index"}),
        (habits.habit, {"benchmark": "aime24"}, {"benchmark": "text", "model": "model"}),
        (habits.rows_of, {"benchmark": "aime24"}, {"benchmark": "text"}),
        (habit.under, {"cap": 100}, {"cap": "amount"}),
        (habit.after, {"waits": 1}, {"waits": "amount"}),
        (lab.benchmarks.load, {"name": "embedded", "n": 3}, {"n": "count or none", "name": "text"}),
    ]  # fmt: skip


def complaint(call, arguments, name):
    """What is wrong with a call's answer to a bad argument; None for one sentence that names it."""
    asked = f"{call.__qualname__}({name}={arguments.get(name)!r:.60})"
    try:
        found = call(**arguments)
    except ValueError as error:
        said = str(error)
        named = name in said or name in ("found", "golds")
        good = named and ": " in said and "\n" not in said and 20 < len(said) < 300
        return None if good else f"{asked} says: {said}"
    except Exception as error:
        return f"{asked} raises {type(error).__name__}: {error}"
    return f"{asked} gives {found!r:.60}"


def test_every_public_call_names_the_bad_argument(traces):
    wrong, tried = [], 0
    for call, good, kinds in calls(traces):
        call(**good)  # the good arguments are good
        for name, kind in kinds.items():
            for bad in BAD[kind]:
                wrong.append(complaint(call, good | {name: bad}, name))
                tried += 1
    wrong = [w for w in wrong if w]
    assert not wrong
    assert tried > 500


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: metrics.accuracy_interval([1, 0.5]),
         ["correct[1]=0.5", "neither right nor wrong"]),
        (lambda: metrics.accuracy_interval([NAN]), ["correct[0]=nan", "not finite"]),
        (lambda: metrics.accuracy_interval(["wrong"]), ["correct[0]='wrong'", "no number"]),
        (lambda: metrics.accuracy_interval([]), ["correct is empty"]),
        (lambda: metrics.accuracy_interval([1], 95), ["level=95", "share"]),
        (lambda: metrics.paired_bootstrap([1, NAN], [1, 0]), ["a[1]=nan", "not finite"]),
        (lambda: metrics.paired_bootstrap([1, 0], [1, 57.0]), ["b[1]=57", "0 to 1"]),
        (lambda: metrics.paired_bootstrap([1, 0], [1]), ["a has 2 outcomes and b has 1"]),
        (lambda: metrics.paired_bootstrap([1], [1], resamples=0), ["resamples=0", "from 1"]),
        (lambda: metrics.scaling_fit([0, 2, 4], RIGHT), ["tokens[0]=0", "no logarithm"]),
        (lambda: metrics.scaling([0, 2], [1, 2]), ["tokens[0]=0", "no logarithm"]),
        (lambda: metrics.scaling([2, 2], [1, 2]), ["tokens are the same", "two runs or more"]),
        (lambda: metrics.scaling_fit([1, 2], [1, 2]), ["tokens", "three runs or more", "2 runs"]),
        (lambda: metrics.control(RUNS, 5, [9, 4, 9]), ["low=5", "high=4", "run 1"]),
        (lambda: metrics.control(RUNS, None, np.array([9, 4])), ["high has 2 bounds for 3 runs"]),
        (lambda: metrics.mcnemar([1], [1, 0]), ["a has 1 outcomes and b has 2"]),
        (lambda: metrics.smallest_difference(30, disagree=20, power=0.01), ["power=0.01", "level"]),
        (lambda: metrics.smallest_difference(30.5), ["n=30.5", "no whole number"]),
        (lambda: metrics.unpaired(50, 50, 30, 0), ["m=0", "from 1"]),
        (lambda: metrics.unpaired(0.567, 0.446, 30), ["a=0.567", "looks like a share", "56.7"]),
        (lambda: metrics.unpaired(56.7, 0.446, 30), ["b=0.446", "looks like a share", "44.6"]),
        (lambda: metrics.share_interval(0.567, 30), ["percent=0.567", "looks like a share"]),
        (lambda: metrics.smallest_difference(30, disagree=0.2), ["disagree=0.2", "such as 20"]),
        (lambda: cost("trace"), ["traces[0]='trace'", "no trace"]),
        (lambda: cost([]), ["traces[0]=[]", "cost(*traces)"]),
        (lambda: elected([1] * 3, 0, 4), ["k=4", "from 0 to 3"]),
        (lambda: lab.benchmarks.load("embedded", seed=1.5), ["seed=1.5", "no whole number"]),
    ],
)  # fmt: skip
def test_the_sentence_says_what_is_wrong_and_what_to_do(call, words):
    with pytest.raises(ValueError) as error:
        call()
    said = str(error.value)
    assert all(word in said for word in words) and "\n" not in said, said


def test_good_input_of_every_type_is_taken():
    """Lists, tuples, arrays, NumPy's numbers, columns of a Dataset, means that miss 1 by a bit."""
    from datasets import Dataset

    column = Dataset.from_dict({"x": [True, False, True]})["x"]
    wanted = metrics.accuracy_interval([True, False, True])
    for outcomes in (
        (1, 0, 1),
        np.array([1, 0, 1]),
        np.array([True, False, True]),
        [1.0, 0, 1],
        column,
    ):
        assert metrics.accuracy_interval(outcomes) == wanted
    assert metrics.accuracy_interval([np.bool_(True), 0, np.float32(1)], np.float64(0.95)) == wanted
    assert (
        metrics.paired_bootstrap([1 + 1e-12, 0.5], [True, False], resamples=np.int64(20)).low >= 0
    )
    assert metrics.control(
        np.array(RUNS), np.int64(100), np.array([100, 200, 300])
    ) == pytest.approx(200 / 3)
    assert metrics.control(RUNS, high=(100, None, 400)) == 100
    assert metrics.frontier([0, 5], [1.0, 0.5]) == [0]
    assert metrics.smallest_difference(np.int32(30)) == 20.0
    assert elected(np.array([2, 1]), 0, np.int64(1)).tolist() == pytest.approx([2 / 3, 1 / 3])


def test_a_small_percentage_of_whole_questions_is_no_share():
    assert metrics.share_interval(0.5, 1000).value == 0.5
    assert metrics.unpaired(0.5, 1, 200).difference.value == -0.5
    assert metrics.share_interval(0, 30).value == 0


def test_one_question_has_a_wide_interval(traces):
    vote = lab.methods.Vote("q", traces, "integer")
    assert "[0.0, 79.3] %" in str(lab.methods.outcome([vote], ["9"]))


def test_a_benchmark_of_a_billion_questions_costs_no_memory():
    assert metrics.smallest_difference(10**9, disagree=20) == pytest.approx(0.00397, rel=0.01)
    assert 0 < metrics.smallest_difference(10**9) < 1e-5


def test_values_agree_with_scipy_and_with_formulas_of_the_books():
    from scipy import stats

    rng = np.random.default_rng(4)
    for n in (1, 7, 30, 198):
        right, wrong = rng.random(n) < 0.6, rng.random(n) < 0.4
        k, z = int(right.sum()), stats.norm.ppf(0.95)
        # Wilson 1927: the roots of (p - k/n)^2 = z^2 p (1 - p) / n.
        roots = np.roots([1 + z * z / n, -(2 * k / n + z * z / n), (k / n) ** 2])
        found = metrics.accuracy_interval(right, 0.9)
        assert (found.low, found.high) == pytest.approx(tuple(100 * np.sort(roots.real)), abs=1e-6)
        shared = metrics.share_interval(100 * k / n, n, 0.9)
        assert (shared.low, shared.high) == pytest.approx((found.low, found.high), abs=1e-9)
        gained, lost = int((~right & wrong).sum()), int((right & ~wrong).sum())
        both = sum(math.comb(gained + lost, i) for i in range(min(gained, lost) + 1))
        p = min(1.0, 2 * both / 2 ** (gained + lost))
        assert metrics.mcnemar(right, wrong) == pytest.approx(p)
    tokens, accuracy = np.array([16, 64, 128, 700]), np.array([5.0, 31.0, 40.0, 62.0])
    fit, line = metrics.scaling_fit(tokens, accuracy), stats.linregress(np.log2(tokens), accuracy)
    half = stats.t.ppf(0.975, 2) * line.stderr
    assert fit.slope.value == pytest.approx(line.slope) and fit.intercept == pytest.approx(
        line.intercept
    )
    assert fit.slope.high == pytest.approx(line.slope + half)
    a, b = rng.random(150) < 0.7, rng.random(150) < 0.5
    ours = metrics.paired_bootstrap(a, b, seed=1)
    theirs = stats.bootstrap(
        (a.astype(float), b.astype(float)), lambda x, y, axis=-1: (x - y).mean(axis=axis),
        paired=True, vectorized=True, method="percentile", n_resamples=10_000, batch=500,
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    # SciPy draws the questions in the same order, so even the resamples are the same.
    assert (ours.low, ours.high) == pytest.approx((100 * theirs.low, 100 * theirs.high), abs=1e-9)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("engine", ["s1-tiny", None, 5]),
        ("temperature", ["x", None, True, NAN, INF, -1]),
        ("top_p", ["x", None, True, NAN, 0, 2]),
        ("seed", ["x", None, True, 1.5]),
        ("kind", [None, 5, "poem"]),
        ("questions", [None, 5]),
        ("budget", ["x", 5]),
        ("system", [5]),
        ("samples", ["x", None, True, 1.5, NAN, 0]),
    ],
)
def test_the_calls_that_run_name_the_bad_argument(tiny, name, bad):
    good = {"engine": tiny, "questions": "How many o in honey?", "samples": 2}
    rows = {"engine": tiny, "problems": lab.tiny.problems(1)}
    for value in bad:
        assert not complaint(lab.vote, good | {name: value}, name)
        if name not in ("kind", "questions"):  # evaluate takes both from the benchmark
            assert not complaint(lab.evaluate, rows | {name: value}, name)
            assert not complaint(lab.sweep, rows | {"caps": [4], name: value}, name)


def test_what_is_no_benchmark_no_reward_and_no_text_is_named(tiny):
    question, rows = "How many o in honey?", lab.tiny.problems(1)
    for call, name in (
        (lambda: lab.evaluate(tiny, rows[:1]), "problems"),
        (lambda: lab.sweep(tiny, "aime24", [4]), "problems"),
        (lambda: lab.sweep(tiny, rows, 5), "caps"),
        (lambda: lab.methods.best_of(tiny, question, 2, 5), "score"),
        (lambda: lab.rebase(tiny, question, 2, None), "reward"),
        (lambda: lab.rebase(tiny, question, 2, len, step=5), "step"),
        (lambda: lab.Budget(on_cut=5), "on_cut"),
        (lambda: lab.direct(tiny, question, prefix=5), "prefix"),
        (lambda: lab.vote(tiny, question, 2, thinking=False, prefix=5), "prefix"),
        (lambda: lab.evaluate(tiny, rows, thinking=False, prefix=5), "prefix"),
        (lambda: lab.grade.extract(5), "response"),
        (lambda: lab.grade.normal("5", "poem"), "poem"),
        (lambda: lab.grade.same("5", None), "answer"),
        (lambda: lab.grade.verdicts(None, ["5"]), "responses"),
    ):
        assert not complaint(call, {}, name)


def test_the_name_of_a_model_in_place_of_an_engine_is_told_how_to_load_it():
    said = "engine='s1-tiny' is no engine: load it first, lab.load('s1-tiny')"
    question = "How many o in honey?"
    for call in (
        lambda: lab.force("s1-tiny", question),
        lambda: lab.direct("s1-tiny", question),
        lambda: lab.ladder("s1-tiny", question, caps=(4,)),
        lambda: lab.rebase("s1-tiny", question, 2, len),
        lambda: lab.methods.mixture("s1-tiny", question, 2, caps=(4,)),
        lambda: lab.methods.token_conditional("s1-tiny", question, 8),
        lambda: lab.methods.step_conditional("s1-tiny", question, 2),
        lambda: lab.methods.class_conditional("s1-tiny", question, "short"),
        lambda: lab.methods.reject("s1-tiny", question, 8),
        lambda: lab.describe("s1-tiny"),
        lambda: lab.curate.domains("s1-tiny", lab.tiny.problems(1)),
        lambda: lab.grade.by_model("s1-tiny"),
        lambda: lab.widgets.playground("s1-tiny"),
    ):
        with pytest.raises(ValueError) as error:
            call()
        assert str(error.value) == said
