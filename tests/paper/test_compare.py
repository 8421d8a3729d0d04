"""The paper's own comparisons, recomputed from its published numbers."""

from __future__ import annotations

import math

import pytest

from s1lab.paper.compare import lead


def test_the_27_percent_is_a_gain_that_thirty_questions_do_not_show():
    found = lead("s1-32B", "o1-preview")
    assert found.gain.value == pytest.approx(100 * (56.7 / 44.6 - 1))
    assert found.difference.value == pytest.approx(12.1)
    # By hand: the logarithm of the ratio of 17 and 13.38 right answers of 30 each.
    spread = math.sqrt((1 - 0.567) / (30 * 0.567) + (1 - 0.446) / (30 * 0.446))
    for end, sign in ((found.gain.low, -1), (found.gain.high, 1)):
        assert end == pytest.approx(
            100 * (0.567 / 0.446 * math.exp(sign * 1.96 * spread) - 1), abs=0.1
        )
    assert found.gain.low < 0 < found.gain.high and found.p > 0.05


def test_the_other_way_round_it_is_the_negative():
    assert lead("o1-preview", "s1-32B").difference.value == pytest.approx(-12.1)


def test_a_number_that_the_paper_does_not_have_is_named():
    with pytest.raises(ValueError, match="no number of 's2-32B' on 'AIME24'"):
        lead("s2-32B", "o1-preview")
    with pytest.raises(ValueError, match="on 'AIME26'"):
        lead("s1-32B", "o1-preview", "AIME26")
    with pytest.raises(ValueError, match="no number of 'QwQ' on 'AIME99'"):
        lead("QwQ", "o1-preview", "AIME99")
