"""Figures that grow or compare: what they hold, not how they look."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import plotly.graph_objects as go
import pytest

import s1lab as lab
from s1lab import plots, style


def test_a_training_is_drawn_as_it_runs_and_whole_at_the_end(monkeypatch):
    shown = []

    class Handle:
        def update(self, bundle, raw):
            shown.append(bundle)

    monkeypatch.setattr("IPython.display.display", lambda bundle, raw, display_id: shown.append(bundle) or Handle())
    live = plots.Live(40, seconds=0)
    for step in range(1, 41):
        live({"step": step, "loss": 2 / step, "rate": 1e-3 * (40 - step) / 40})
    figure = live.close()
    assert len(shown) == 41 and [len(b["application/vnd.plotly.v1+json"]["data"][0]["x"]) for b in shown[:3]] == [1, 2, 3]
    losses, means, rates = figure.data
    assert list(losses.y) == [2 / k for k in range(1, 41)] and means.y[-1] == pytest.approx(
        sum(2 / k for k in range(26, 41)) / 15
    )
    assert rates.y[-1] == 0
    lazy = plots.Live(40, seconds=3600)
    for step in range(1, 41):
        lazy({"step": step, "loss": 1.0, "rate": 0.0})
    assert len(shown) == 42


def test_differences_show_the_measured_beside_the_papers():
    def interval(value):
        return lab.metrics.Interval(value, value - 2, value + 3)

    figure = plots.differences({"a": [interval(1.0), interval(0.5), interval(1.5)], "b": [interval(-4.0)]}, {"a": interval(-9.0)})
    measured, published, runs = figure.data
    assert (measured.x, measured.y) == ((1.0, -4.0), ("a", "b")) and measured.error_x.array == (3.0, 3.0)
    assert published.x == (-9.0,) and runs.x == (0.5, 1.5) and runs.y == ("a", "a")


def test_rivals_stand_on_one_axis_with_their_frontier_and_the_papers_below():
    def rung(label, tokens, value):
        return plots.Rung(label, tokens, lab.metrics.Interval(value, value - 5, value + 5))

    methods = {
        "forcing": [rung("own stop", 80, 60), rung("1 Wait", 120, 75)],
        "majority": [rung("maj@1", 85, 55), rung("maj@4", 340, 74)],
    }
    published = {"Figure 4": lab.paper.FIGURE_4_RIGHT, "Figure 7": lab.paper.FIGURE_7}
    figure = plots.rivals(methods, published, dict.fromkeys(published, "tokens"))
    steps, *_ = figure.data
    assert (steps.x, steps.y) == ((80, 120, 340), (60, 75, 75)) and steps.line.shape == "hv"
    open_markers = [t for t in figure.data if t.mode == "lines+markers" and "open" in str(t.marker.symbol)]
    assert len(open_markers) == len(lab.paper.FIGURE_4_RIGHT) + len(lab.paper.FIGURE_7)
    assert {"forcing", "majority", "REBASE"} <= {a.text for a in figure.layout.annotations}


def test_labels_that_would_overlap_are_moved_apart():
    moved = style.apart({"b": 51.0, "a": 50.0, "c": 51.0, "d": 90.0}, 4.0)
    heights = [moved[name] for name in "abcd"]
    assert all(above - below > 3.99 for below, above in pairwise(heights)) and moved["d"] == 90.0
    assert sum(heights) == pytest.approx(50 + 51 + 51 + 90)


def test_ways_of_control_have_a_line_a_method_on_both_sides_and_one_entry_in_the_legend():
    rungs = [plots.Rung(f"{n} tokens", t, lab.metrics.Interval(a, a - 2, a + 2)) for n, t, a in ((1, 40, 30.0), (2, 20, 10.0))]
    figure = plots.controls({"BF": rungs, "TCC": rungs[:1], "TCC + BF": rungs[1:]}, lab.paper.TABLE_3_RUNS)
    assert [d.name for d in figure.data] == ["BF", "TCC", "TCC + BF", *lab.paper.TABLE_3_RUNS]
    assert list(figure.data[0].x) == [20, 40] and list(figure.data[0].y) == [10, 30]  # by tokens, whatever was asked
    tcc, forced = figure.data[1], figure.data[2]
    assert tcc.line.color == forced.line.color != figure.data[0].line.color and (tcc.line.dash, forced.line.dash) == (
        "solid",
        "dot",
    )
    assert [d.name for d in figure.data if d.showlegend] == ["BF", "TCC", "TCC + BF"]
    assert all("-open" in d.marker.symbol for d in figure.data[3:])


def test_standings_have_a_column_a_benchmark_and_ours_filled():
    def dot(value):
        return lab.metrics.Interval(value, value - 5, value + 7)

    figure = plots.standings({"A": {"theirs": dot(40), "ours": dot(50)}, "B": {"theirs": dot(60)}}, ours=["ours"])
    filled = [t for t in figure.data if t.marker.symbol == "circle" and t.x]
    assert [(t.x, t.y, t.error_x.array, t.error_x.arrayminus) for t in filled] == [((50,), ("ours",), (7,), (5,))]
    assert sum(len(t.x or ()) for t in figure.data) == 3
    assert figure.layout.yaxis.categoryarray == ("ours", "theirs")  # the first line on top


def test_the_gallery_shows_every_figure_that_is_there_with_its_data():
    folder = Path(__file__).parent.parent / "figures"
    shown = re.findall(r"!\[[^\]]*\]\((\w+)\.png\)", (folder / "README.md").read_text(encoding="utf-8"))
    assert len(shown) == len(set(shown)) and set(shown) == {path.stem for path in folder.glob("*.png")}
    for name in shown:
        assert json.loads((folder / f"{name}.json").read_text()) and (folder / f"{name}.svg").read_text().startswith("<svg")


def test_a_figure_saved_twice_is_the_same_files(tmp_path):
    if not plots.can_draw():
        pytest.skip("no Chrome or Chromium")
    figure = go.Figure([go.Scatter(x=[1, 2], y=[1, 3]), go.Scatter(x=[1, 2], y=[2, 1])])
    first, second = (plots.save(figure, tmp_path / folder, "curve", [1]) for folder in "ab")
    assert [path.name for path in first] == ["curve.json", "curve.png", "curve.svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
