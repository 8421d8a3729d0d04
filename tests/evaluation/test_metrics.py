"""The paper's three metrics, from its own published runs, and the statistics on known cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from s1lab import paper
from s1lab.evaluation import metrics

RUNS = {
    "BF": [(p.tokens, p.accuracy) for p in paper.TABLE_3_BF_RUNS],
    "RS": [(p.tokens, p.accuracy) for p in paper.TABLE_3_RS_RUNS],
    "CCC": [paper.TABLE_14[k]["AIME24"][::-1] for k in ("short", "long")],
    **{
        name: list(zip(sweep.thinking_tokens, sweep.accuracy, strict=True))
        for table in (paper.TABLE_12, paper.TABLE_13)
        for name, sweep in table.items()
    },
}


@pytest.mark.parametrize("method", paper.TABLE_3)
def test_table_3_comes_out_of_the_published_runs_as_printed(method):
    printed = paper.TABLE_3[method]
    tokens = [t for t, _ in RUNS[method]]
    accuracy = [paper.exact(a, "AIME24") for _, a in RUNS[method]]
    assert len(tokens) == printed.runs
    if method == "BF":
        limits = [
            int(p.how.split()[1]) if p.how.startswith("cap") else None
            for p in paper.TABLE_3_BF_RUNS
        ]
        assert limits.count(None) == 3 and metrics.control(tokens, None, limits) == printed.control
    if method == "RS":
        limits = [int(p.how.split()[-1]) for p in paper.TABLE_3_RS_RUNS]
        assert metrics.control(tokens, None, limits) == printed.control and set(limits) < set(
            paper.FIGURE_6_TRIES
        )
    assert round(metrics.scaling(tokens, accuracy)) == printed.scaling
    if method != "RS":  # its best run is not among the five that its slope is from
        assert round(metrics.performance(accuracy), 1) == printed.performance
    else:
        assert (
            round(max(paper.exact(p.accuracy, "AIME24") for p in paper.FIGURE_6), 1)
            == printed.performance
        )
    sweep = (paper.TABLE_12 | paper.TABLE_13).get(method)
    if sweep:
        assert metrics.control(tokens, None, sweep.limits) == printed.control
    elif method == "CCC":
        unprompted = paper.TABLE_14["none"]["AIME24"][1]
        assert metrics.control(tokens, [None, unprompted], [unprompted, None]) == printed.control


def test_the_paper_as_data_holds_together():
    assert sum(n for n, _ in paper.TABLE_7.values()) == 59_029
    for points in paper.FIGURE_1.values():
        assert [p.tokens for p in points] == sorted(p.tokens for p in points)
    for name, figures in paper.TABLE_1.items():
        assert set(figures) == set(paper.QUESTIONS), name
    for accuracy in [
        p.accuracy for p in paper.FIGURE_1["AIME24"] + paper.FIGURE_4_LEFT + paper.FIGURE_6
    ]:
        assert paper.exact(accuracy, "AIME24") == pytest.approx(accuracy, abs=0.051)


def test_scaling_is_points_a_doubling_in_any_order_and_unit_free_in_tokens():
    tokens, accuracy = [100, 200, 400, 800], [10.0, 20.0, 30.0, 40.0]
    assert metrics.scaling(tokens, accuracy) == pytest.approx(10)
    assert metrics.scaling(tokens[::-1], accuracy[::-1]) == pytest.approx(10)
    assert metrics.scaling([7 * t for t in tokens], accuracy) == pytest.approx(10)
    assert metrics.scaling([100, 100, 200], [0.0, 50.0, 30.0]) == pytest.approx((30 - 20) / 2)
    for bad in ([5, 5], [0, 5]):
        with pytest.raises(ValueError, match="tokens"):
            metrics.scaling(bad, [1.0, 2.0])
    with pytest.raises(ValueError, match="2 runs have tokens and 1"):
        metrics.scaling([1, 2], [1.0])


def test_control_counts_bounds_on_both_sides_and_as_kept_at_equality():
    assert metrics.control([10, 20, 30], 10, 30) == 100
    assert metrics.control([10, 20, 30], 11, 29) == pytest.approx(100 / 3)
    assert metrics.control([10, 20], None, [10, 19]) == 50
    assert metrics.control([10, 20]) == 100
    with pytest.raises(ValueError, match="high has 1 bounds for 2 runs"):
        metrics.control([10, 20], None, [5])


def test_a_score_agrees_with_its_parts_and_its_intervals_shrink_with_questions():
    rng = np.random.default_rng(1)

    def made(n):
        tokens = np.outer([100, 200, 400], np.ones(n)) * rng.uniform(0.5, 1.5, n)
        return tokens, rng.random((3, n)) < np.array([[0.3], [0.5], [0.7]])

    few, many = (metrics.score(*made(n), high=[200, 400, 800], resamples=500) for n in (40, 2_000))
    assert many.runs == 3 and many.control.value == 100
    assert many.scaling.low < 20 < many.scaling.high and many.performance.value == pytest.approx(
        70, abs=4
    )
    assert few.scaling.high - few.scaling.low > 3 * (many.scaling.high - many.scaling.low)
    tokens, correct = made(50)
    found = metrics.score(tokens, correct, resamples=50)
    assert found.scaling.value == pytest.approx(
        metrics.scaling(tokens.mean(1), 100 * correct.mean(1))
    )
    assert metrics.score(tokens, correct, resamples=50) == found
    with pytest.raises(ValueError, match="runs, questions"):
        metrics.score(tokens, correct[:2])


def test_flips_and_mcnemar_by_hand():
    before, after = [1, 1, 0, 0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 1, 1, 1, 0]
    found = metrics.flips(before, after)
    assert (found.right_to_wrong, found.wrong_to_right, found.both_right, found.both_wrong) == (
        1,
        6,
        1,
        1,
    )
    assert str(found) == "6 wrong to right, 1 right to wrong"
    assert metrics.mcnemar(before, after) == pytest.approx(2 * (1 + 7) / 2**7)
    assert metrics.mcnemar(before, before) == 1.0
    assert metrics.mcnemar(before, after) == metrics.mcnemar(after, before)
    with pytest.raises(ValueError, match="paired_bootstrap"):
        metrics.flips([0.5], [1])
    with pytest.raises(ValueError, match="pair question by question"):
        metrics.mcnemar([1], [1, 0])


def test_the_smallest_difference_is_where_the_exact_test_turns():
    for n in (30, 198, 500):
        flipped = round(metrics.smallest_difference(n) * n / 100)
        for k, significant in ((flipped, True), (flipped - 1, False)):
            after = [1] * k + [0] * (n - k)
            assert (metrics.mcnemar([0] * n, after) < 0.05) == significant
    assert metrics.smallest_difference(30) == 20.0
    assert math.isnan(metrics.smallest_difference(5))


def test_no_difference_is_larger_than_the_share_that_differs():
    assert math.isnan(metrics.smallest_difference(30, disagree=20)) and math.isnan(
        metrics.smallest_difference(5, disagree=20)
    )
    for n, share in ((30, 50), (100, 20), (198, 20), (198, 100)):
        assert 0 < metrics.smallest_difference(n, disagree=share) <= share


def test_a_resample_without_a_slope_is_left_out():
    found = metrics.score([[10, 10, 10], [10, 10, 20]], [[0, 1, 1], [1, 1, 1]], resamples=200)
    assert math.isfinite(found.scaling.low) and found.scaling.value > 0
    with pytest.raises(ValueError, match="tokens"):
        metrics.score([[10, 10], [10, 10]], [[0, 1], [1, 1]])


def test_the_smallest_difference_with_power_is_found_that_often():
    n, share = 100, 0.25
    d = metrics.smallest_difference(n, disagree=100 * share) / 100
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(2000):
        gained, lost, _ = rng.multinomial(n, [(share + d) / 2, (share - d) / 2, 1 - share])
        before, after = [0] * gained + [1] * lost + [0], [1] * gained + [0] * lost + [0]
        found += metrics.mcnemar(before, after) < 0.05
    assert 0.77 < found / 2000 < 0.83
    with pytest.raises(ValueError, match="disagree=0"):
        metrics.smallest_difference(30, disagree=0)


def test_a_fit_finds_the_line_and_its_band_holds_it():
    rng = np.random.default_rng(3)
    tokens = np.array([16, 32, 64, 128, 256, 512])
    inside = 0
    for _ in range(300):
        accuracy = 5 + 8 * np.log2(tokens) + rng.normal(0, 3, tokens.size)
        fit = metrics.scaling_fit(tokens, accuracy)
        band = fit.at(100)
        inside += band.low <= 5 + 8 * math.log2(100) <= band.high
        assert fit.slope.low < fit.slope.value < fit.slope.high
    assert 0.91 < inside / 300 <= 0.99
    assert fit.at(2**20).high - fit.at(2**20).low > fit.at(100).high - fit.at(100).low
    with pytest.raises(ValueError, match="three runs"):
        metrics.scaling_fit([1, 2], [1.0, 2.0])


def test_the_frontier_is_what_no_cheaper_run_reaches():
    tokens, accuracy = [100, 50, 200, 200, 400, 50], [60.0, 40.0, 55.0, 70.0, 70.0, 40.0]
    assert metrics.frontier(tokens, accuracy) == [1, 0, 3]
    with pytest.raises(ValueError, match="2 runs have tokens and 1 have"):
        metrics.frontier([1, 2], [3])


def test_two_accuracies_apart_have_newcombes_interval():
    """Newcombe 1998, table II, method 10: 56 of 70 against 48 of 80 is 0.2000 [0.0524, 0.3339]."""
    found = metrics.unpaired(100 * 56 / 70, 60.0, 70, 80)
    assert (found.difference.value, found.difference.low, found.difference.high) == pytest.approx(
        (20.0, 5.24, 33.39), abs=0.01
    )
    assert found.gain.value == pytest.approx(100 / 3) and found.p == pytest.approx(0.0125, abs=1e-3)
    back = metrics.unpaired(60.0, 80.0, 80, 70)
    assert back.difference.value == pytest.approx(-20) and back.difference.low == pytest.approx(
        -found.difference.high
    )


def test_the_papers_headline_holds_zero_and_its_gain_is_27_percent():
    claim = metrics.unpaired(56.7, 44.6, 30)
    assert claim.difference.low < 0 < claim.difference.high and claim.p > 0.4
    assert claim.gain.value == pytest.approx(27, abs=0.5)


def test_accuracies_at_the_edges_and_outside():
    edge = metrics.unpaired(100.0, 0.0, 5)
    assert (
        edge.difference.value == 100
        and -100 <= edge.difference.low <= edge.difference.high <= 100.0001
    )
    assert edge.gain.value != edge.gain.value  # no ratio to nothing
    with pytest.raises(ValueError, match="percents from 0 to 100"):
        metrics.unpaired(101, 50, 30)
    with pytest.raises(ValueError, match="level=95"):
        metrics.unpaired(60, 50, 30, level=95)


def test_a_published_share_has_the_interval_of_its_counts():
    counted = metrics.accuracy_interval([True] * 17 + [False] * 13)
    assert metrics.share_interval(100 * 17 / 30, 30).low == pytest.approx(counted.low)
    assert metrics.share_interval(100, 5).high == 100 and metrics.share_interval(0, 5).low == 0


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


@pytest.mark.parametrize("accuracy", [0.02, 0.5, 0.98])
def test_an_accuracys_interval_covers_it_with_one_sample_a_question(accuracy):
    """Exact, without drawing: the chance of every number of right answers whose interval covers."""
    covered = 0.0
    for right in range(31):
        found = metrics.accuracy_interval([True] * right + [False] * (30 - right))
        if found.low <= 100 * accuracy <= found.high:
            covered += stats.binom.pmf(right, 30, accuracy)
    assert covered >= 0.93  # 0.978, 0.957 and 0.978


@pytest.mark.parametrize("samples", [8, 64])
@pytest.mark.parametrize("alike", [0, 0.05, 0.5, 0.9])
@pytest.mark.parametrize("accuracy", [0.02, 0.5, 0.98])
def test_an_accuracys_interval_covers_it_with_many_samples_a_question(accuracy, alike, samples):
    """Questions differ in difficulty (a beta distribution): `alike` is their samples' correlation.

    Of 400 drawn benchmarks the standard error is 1.1 points. With 20,000 of them every case here
    covers in 94.9 % or more. For comparison: a design effect from the drawn questions alone covers
    in 77 % (64 samples, accuracy 2 or 98 %, alike = 0.5), and the normal approximation in 49 to
    85 % (8 samples, accuracy 2 or 98 %).
    """
    rng = np.random.default_rng(7)
    difficulty = np.full((400, 30), accuracy)
    if alike:
        both = np.array([accuracy, 1 - accuracy]) * (1 - alike) / alike
        difficulty = rng.beta(*both, (400, 30))
    covered = 0
    for shares in rng.binomial(samples, difficulty) / samples:
        found = metrics.accuracy_interval(shares, samples=samples)
        covered += found.low <= 100 * accuracy <= found.high
    assert covered / 400 >= 0.93


def test_samples_count_by_how_alike_they_are():
    """The effective number lies between the questions and the answers, and can be had by hand."""

    def wilson(share, n):
        return tuple(100 * end for end in proportion_confint(share * n, n, method="wilson"))

    def ends(shares, samples):
        found = metrics.accuracy_interval(shares, samples=samples)
        return found.low, found.high

    # With half a question that is always right and half a one that is always wrong the mean is 2/3
    # and the variance 5/24: 2 questions * 2/3 * 1/3 / (5/24) = 32/15 answers.
    assert ends([1, 0.5], 2) == pytest.approx(wilson(0.75, 32 / 15))
    # All alike: one answer a question.
    assert ends([1] * 12 + [0] * 18, 8) == pytest.approx(wilson(0.4, 30))
    for share in (0, 1):  # nothing tells how alike they are
        assert metrics.accuracy_interval([share] * 30, samples=8) == metrics.accuracy_interval(
            [share] * 30
        )
    # Equal rates, in many questions: all answers are independent.
    assert ends([0.5] * 500, 2) == pytest.approx(wilson(0.5, 1000))
    # A question of one sample tells less than one of eight.
    assert ends([0.5] * 4, [8, 8, 8, 8]) == ends([0.5] * 4, 8)
    assert ends([0.5] * 500, [1, 8] * 250) == pytest.approx(wilson(0.5, 500 / np.mean([1, 1 / 8])))
    # One sample, and a vote with ties: as many answers as questions.
    assert ends([1, 0, 0.5], 1) == pytest.approx(wilson(0.5, 3))
    rng = np.random.default_rng(2)
    for alike in (0.1, 1, 10):
        shares = rng.binomial(8, rng.beta(alike, alike, 40)) / 8
        (few_low, few_high), (low, high), (many_low, many_high) = (
            wilson(shares.mean(), 40), ends(shares, 8), wilson(shares.mean(), 320),
        )  # fmt: skip
        assert few_low <= low <= many_low and many_high <= high <= few_high
    with pytest.raises(ValueError, match="samples has 2 numbers for 3 questions"):
        metrics.accuracy_interval([1, 0, 1], samples=[2, 2])
