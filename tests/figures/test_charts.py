"""Figures that grow or compare: what they hold, not how they look."""

from __future__ import annotations

import html
import json
import re
from itertools import pairwise

import nbformat
import plotly.graph_objects as go
import pytest
from plotly.subplots import make_subplots

import s1lab as lab
from s1lab import figures as plots
from s1lab.figures import export, style
from tests.helpers import ROOT
from tests.helpers.figures import kinds


def test_a_training_is_drawn_as_it_runs_and_whole_at_the_end(monkeypatch):
    shown = []

    class Handle:
        def update(self, bundle, metadata, raw):
            shown.append(bundle)

    monkeypatch.setattr(
        "IPython.display.display",
        lambda bundle, metadata, raw, display_id: shown.append(bundle) or Handle(),
    )
    live = plots.Live(40, seconds=0)
    for step in range(1, 41):
        live({"step": step, "loss": 2 / step, "rate": 1e-3 * (40 - step) / 40})
    figure = live.close()
    assert len(shown) == 41 and [
        len(b["application/vnd.plotly.v1+json"]["data"][0]["x"]) for b in shown[:3]
    ] == [1, 2, 3]
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

    figure = plots.differences(
        {"a": [interval(1.0), interval(0.5), interval(1.5)], "b": [interval(-4.0)]},
        {"a": interval(-9.0)},
    )
    measured, published, runs = figure.data
    assert (measured.x, measured.y) == ((1.0, -4.0), ("a", "b")) and measured.error_x.array == (
        3.0,
        3.0,
    )
    assert published.x == (-9.0,) and runs.x == (0.5, 1.5) and runs.y == ("a", "a")
    zero = [(line.x0, line.x1, line.xref) for line in figure.layout.shapes]
    assert zero == [(0, 0, "x"), (0, 0, "x2")]  # a line where nothing differs, in both panels
    assert figure.layout.xaxis2.matches == "x"  # one scale, so that the spans can be compared
    assert {"+1.0", "−4.0", "−9.0"} <= {a.text for a in figure.layout.annotations}


def test_rivals_stand_on_one_axis_with_their_frontier_and_the_papers_below():
    def rung(label, tokens, value):
        return plots.Rung(label, tokens, lab.metrics.Interval(value, value - 5, value + 5))

    methods = {
        "forcing": [rung("own stop", 80, 60), rung("1 Wait", 120, 75)],
        "majority": [rung("maj@1", 85, 55), rung("maj@4", 340, 74)],
    }
    published = {"Figure 4": lab.paper.FIGURE_4_RIGHT, "Figure 7": lab.paper.FIGURE_7}
    figure = plots.rivals(methods, published, dict.fromkeys(published, "tokens"), title="a model")
    steps, *_ = figure.data
    assert (steps.x, steps.y) == ((80, 120, 340), (60, 75, 75)) and steps.line.shape == "hv"
    open_markers = [
        t for t in figure.data if t.mode == "lines+markers" and "open" in str(t.marker.symbol)
    ]
    assert len(open_markers) == len(lab.paper.FIGURE_4_RIGHT) + len(lab.paper.FIGURE_7)
    # each label begins with the mark of its line; the paper's are open
    assert {"● forcing", "◆ majority", "◇ majority voting, base"} <= {
        a.text for a in figure.layout.annotations
    }


def test_labels_that_would_overlap_are_moved_apart():
    moved = style.apart({"b": 51.0, "a": 50.0, "c": 51.0, "d": 90.0}, 4.0)
    heights = [moved[name] for name in "abcd"]
    assert all(above - below > 3.99 for below, above in pairwise(heights)) and moved["d"] == 90.0
    assert sum(heights) == pytest.approx(50 + 51 + 51 + 90)


def test_each_rival_has_a_panel_with_budget_forcing_in_it_measured_and_the_papers():
    rungs = [
        plots.Rung(f"{n} tokens", t, lab.metrics.Interval(a, a - 2, a + 2))
        for n, t, a in ((1, 40, 30.0), (2, 20, 10.0))
    ]
    figure = plots.controls(
        {"BF": rungs, "TCC": rungs[:1], "TCC + BF": rungs[1:]}, lab.paper.TABLE_3_RUNS
    )
    lines = {panel["title"]: [t["name"] for t in panel["traces"]] for panel in plots.shown(figure)}
    tokens, short = "TCC, told a number of tokens", "RS, sampled until it is short"
    assert lines[f"measured: {tokens}"] == lines[f"the paper's: {tokens}"]
    assert lines[f"measured: {tokens}"] == ["BF", "TCC", "TCC + BF"]
    assert lines[f"the paper's: {short}"] == ["BF", "RS"] and lines[f"measured: {short}"] == ["BF"]
    forcing, asked, _ = plots.shown(figure)[0]["traces"]
    assert [p["x"] for p in forcing["points"]] == [20, 40]  # by tokens, whatever was asked
    assert asked["points"] == [{"label": "1 tokens", "x": 40, "y": 30, "low": 28, "high": 32}]
    published = [d for d in figure.data if d.meta == "the paper's"]
    assert published and all("-open" in d.marker.symbol and d.line.dash == "dot" for d in published)
    texts = {a.text for a in figure.layout.annotations}
    assert not figure.layout.showlegend and {"■ TCC + BF", "□ TCC + BF", "◇ RS"} <= texts
    assert any("budget forcing" in text for text in texts)  # what BF is
    assert {tuple(axis.range) for axis in figure.select_yaxes()} == {(-3, 103)}  # one scale


def rung(name, tokens, value):
    return plots.Rung(name, tokens, lab.metrics.Interval(value, value - 1, value + 2))


def test_caps_and_waits_look_and_are_named_alike_measured_and_the_papers():
    caps, waits = (
        [rung("cap 16", 16, 20), rung("own stop", 60, 50)],
        [rung("1 Wait", 90, 70), rung("2 Waits", 140, 60)],
    )
    beside = plots.scaling(caps, waits, {"AIME24": lab.paper.FIGURE_4_LEFT}, title="a model")
    below = plots.panels({"all": [*caps, *waits]}, {"AIME24": lab.paper.FIGURE_1["AIME24"]})
    for figure in (beside, below):
        lines = [d for d in figure.data if d.mode == "lines+markers"]
        assert [(d.name, d.meta) for d in lines] == [
            (n, s) for s in ("measured", "the paper's") for n in ("caps", "Waits")
        ]
        assert [d.line.color for d in lines[:2]] == [d.line.color for d in lines[2:]]
        assert [d.marker.symbol for d in lines] == [
            "circle",
            "diamond",
            "circle-open",
            "diamond-open",
        ]
        assert [a.text for a in figure.layout.annotations].count("own stop") == 2


def test_the_limits_of_a_falling_line_are_all_named():
    figure = plots.scaling(
        [rung("up to 16", 16, 20), rung("up to 32", 25, 30)],
        [],
        {"AIME24": lab.paper.FIGURE_6},
        title="a model",
    )
    assert {p.how for p in lab.paper.FIGURE_6} <= {a.text for a in figure.layout.annotations}


@pytest.mark.parametrize(
    ("tokens", "ticks"),
    [
        ([2974, 5293], ["2,048", "4,096", "8,192"]),
        ([16, 200], ["16", "32", "64", "128", "256"]),
        ([2862, 229_085], ["4K", "8K", "16K", "32K", "64K", "128K", "256K"]),
        ([128_000, 8_130_000], ["0.125M", "0.25M", "0.5M", "1M", "2M", "4M", "8M"]),
    ],
)
def test_each_tick_of_a_token_axis_is_twice_the_one_before_and_says_what_it_is(tokens, ticks):
    figure = make_subplots(1, 1)
    style.log_axis(figure, 1, tokens)
    axis = figure.layout.xaxis
    assert list(axis.ticktext) == ticks and all(b == 2 * a for a, b in pairwise(axis.tickvals))
    factors = {"K": 1000, "M": 10**6}
    said = [float(t.rstrip("KM").replace(",", "")) * factors.get(t[-1], 1) for t in axis.ticktext]
    assert said == list(axis.tickvals)
    assert 10 ** axis.range[0] < min(*tokens, *said) and max(*tokens, *said) < 10 ** axis.range[1]


def test_the_data_of_a_figure_is_what_it_shows():
    caps, waits = (
        [rung("cap 16", 15.91449999, 20), rung("own stop", 60, 50)],
        [rung("1 Wait", 90, 70)],
    )
    measured, published = plots.shown(
        plots.scaling(caps, waits, lab.paper.FIGURE_1, title="a model")
    )
    assert measured == {
        "title": "measured: a model",
        "x": "thinking tokens a question, log scale",
        "y": "accuracy, %",
        "traces": [
            {
                "name": "caps",
                "source": "measured",
                "points": [
                    {"label": "cap 16", "x": 15.9145, "y": 20, "low": 19, "high": 22},
                    {"label": "own stop", "x": 60, "y": 50, "low": 49, "high": 52},
                ],
            },
            {
                "name": "Waits",
                "source": "measured",
                "points": [{"label": "1 Wait", "x": 90, "y": 70, "low": 69, "high": 72}],
            },
        ],
    }
    assert published["y"] == "accuracy, %" and {t["source"] for t in published["traces"]} == {
        "the paper's"
    }
    assert {
        t["name"]: [(p["x"], p["y"], p["label"]) for p in t["points"]] for t in published["traces"]
    } == {
        name: [(p.tokens, p.accuracy, p.how) for p in points]
        for name, points in lab.paper.FIGURE_1.items()
    }
    left, right = plots.shown(
        plots.differences({"a": [rung("", 0, 3).accuracy] * 2}, {"a": rung("", 0, -1).accuracy})
    )
    assert left["traces"][0]["points"] == [{"x": 3, "y": "a", "low": 2, "high": 5}]
    assert left["traces"][1] == {
        "name": "each seed",
        "source": "measured",
        "points": [{"x": 3, "y": "a"}],
    }
    assert right["traces"][0]["points"] == [{"x": -1, "y": "a", "low": -2, "high": 1}]
    (bars,) = plots.shown(plots.funnel({"collected": 9, "chosen": 3}, {"collected": 7_243_951}))
    assert {t["source"]: t["points"] for t in bars["traces"]} == {
        "the paper's": [{"x": 7_243_951, "y": "collected"}],
        "measured": [{"x": 9, "y": "collected"}, {"x": 3, "y": "chosen"}],
    }


def test_standings_have_a_column_a_benchmark_and_ours_filled():
    def dot(value):
        return lab.metrics.Interval(value, value - 5, value + 7)

    figure = plots.standings(
        {"A": {"theirs": dot(40), "ours": dot(50)}, "B": {"theirs": dot(60)}}, ours=["ours"]
    )
    filled = [t for t in figure.data if t.marker.symbol == "circle" and t.x]
    assert [(t.x, t.y, t.error_x.array, t.error_x.arrayminus) for t in filled] == [
        ((50,), ("ours",), (7,), (5,))
    ]
    assert sum(len(t.x or ()) for t in figure.data) == 3
    assert figure.layout.yaxis.categoryarray == ("ours", "theirs")  # the first line on top
    *_, whose = figure.layout.annotations
    assert "measured" in whose.text and "the paper's Table 1" in whose.text
    (*_, whose) = plots.standings({"A": {"theirs": dot(40)}}).layout.annotations
    assert "the paper's Table 1" in whose.text and "measured" not in whose.text


def test_the_gallery_shows_every_figure_that_is_there_with_its_data():
    folder = ROOT / "figures"
    shown = re.findall(
        r"!\[[^\]]*\]\((\w+)\.png\)", (folder / "README.md").read_text(encoding="utf-8")
    )
    assert len(shown) == len(set(shown)) and set(shown) == {
        path.stem for path in folder.glob("*.png")
    }
    texts = {name: (folder / f"{name}.json").read_text(encoding="utf-8") for name in shown}
    assert len(set(texts.values())) == len(texts)
    for name, text in texts.items():
        assert all(
            t["points"] and t["source"] for panel in json.loads(text) for t in panel["traces"]
        ), name
        assert (folder / f"{name}.svg").read_text().startswith("<svg")


def test_a_figure_saved_twice_is_the_same_files(tmp_path):
    if not plots.can_draw():
        pytest.skip("no Chrome or Chromium")
    hatched = go.Bar(x=[1, 2], y=[1, 2], marker_pattern_shape="/", showlegend=True)
    figure = go.Figure([go.Scatter(x=[1, 2], y=[1, 3]), go.Scatter(x=[1, 2], y=[2, 1]), hatched])
    first = plots.save(figure, tmp_path / "a", "curve")
    export._picture.cache_clear()  # drawn anew
    second = plots.save(figure, tmp_path / "b", "curve")
    assert [path.name for path in first] == ["curve.json", "curve.png", "curve.svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_figure_names_the_model_that_was_measured():
    assert (
        plots.called("s1-tiny") == "the embedded model s1-tiny"
        and plots.called("simplescaling/s1-32B") == "s1-32B"
    )
    (own,) = plots.scaling(
        [plots.Rung("cap 16", 16, lab.metrics.Interval(5, 1, 9))], [], title="s1-32B"
    ).layout.annotations[:1]
    assert own.text == "<b>measured</b>: s1-32B"


LINK = '<a href="http://evil.example">s1</a>'


def test_no_outside_link_is_drawn_in_a_figure():
    interval = lab.metrics.Interval(5, 1, 9)
    rung = plots.Rung("cap 16", 16, interval)
    figures = [
        plots.funnel({LINK: 20, "b": 4}, {LINK: 9}, title=LINK),
        plots.standings({LINK: {LINK: interval}}),
        plots.histogram({LINK: [1, 2, 3]}, LINK),
        plots.panels({LINK: [rung]}, {}),
        plots.scaling([rung], [], title=LINK),
        plots.training([{"step": 1, "loss": 2.0, "rate": 0.1}], 1),
    ]

    def texts(value):
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            for one in value.values():
                yield from texts(one)
        elif isinstance(value, list):
            for one in value:
                yield from texts(one)

    for figure in figures:
        found = [*texts(json.loads(figure.to_json()))]
        assert not [text for text in found if re.search(r"<\s*/?\s*a\b", text, re.IGNORECASE)]
    drawn = [text for figure in figures[:-1] for text in texts(json.loads(figure.to_json()))]
    assert sum("&lt;a href" in text for text in drawn) >= 5  # it is shown, not lost
    assert any("<b>" in text for text in drawn)  # other marks stay


def colors(value):
    """Every colour that a figure writes text in."""
    if isinstance(value, dict):
        for key, one in value.items():
            if key.endswith("font") and isinstance(one, dict) and "color" in one:
                yield one["color"]
            yield from colors(one)
    elif isinstance(value, list):
        for one in value:
            yield from colors(one)
    elif isinstance(value, str):
        yield from re.findall(r"color:\s*(#\w{6})", value)


def contrast_to_white(color):
    """The contrast between a colour and a white page, as WCAG counts it."""
    shares = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in shares]
    light = sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return 1.05 / (light + 0.05)


def test_all_text_in_figures_can_be_read_on_white():
    assert contrast_to_white("#777777") < 4.5 < contrast_to_white("#767676")  # the known border
    for name, figure in kinds().items():
        made = figure.to_dict()
        made["layout"].pop("template")
        found = set(colors(json.loads(json.dumps(made, default=list))))
        assert found and all(contrast_to_white(color) >= 4.5 for color in found), (name, found)


def test_a_figure_has_no_width_of_its_own_so_that_no_page_cuts_it_off():
    for name, figure in kinds().items():
        assert figure.layout.width is None and figure.layout.height <= 820, name


def test_a_small_number_is_written_without_an_e():
    said = [style.plain_number(v) for v in (0, 0.001, 0.00025, 5e-6, 2.5e-5)]
    assert said == ["0", "0.001", "0.00025", "5·10<sup>−6</sup>", "2.5·10<sup>−5</sup>"]


def test_several_lists_of_numbers_are_drawn_below_each_other_on_the_same_axes():
    figure = plots.histogram({"a": [10, 20, 30], "b": [40, 60]}, "tokens")
    assert [(p["title"], p["x"]) for p in plots.shown(figure)] == [
        ("a: mean 20", "tokens"),
        ("b: mean 50", "tokens"),
    ]
    assert figure.layout.xaxis.matches == "x2" and figure.layout.yaxis2.matches == "y"
    assert len(figure.layout.shapes) == 2  # a line at each mean


PIXEL = b"not looked at"


@pytest.mark.parametrize("picture", [PIXEL, None], ids=["a browser", "no browser"])
def test_a_notebook_holds_a_picture_or_plotlys_viewer_and_the_data_in_any_case(
    monkeypatch, picture
):
    monkeypatch.setattr(export, "_drawn", lambda *_: picture)
    shown = []
    monkeypatch.setattr(
        "IPython.display.display", lambda data, metadata, raw: shown.append((data, metadata))
    )
    figure = kinds()["funnel"]
    plots.show(figure, alt="59,029 and 1000")
    ((data, metadata),) = shown
    # two viewers would be at odds: plotly's takes the picture and changes the notebook
    assert set(data) == {export.DATA, "image/png" if picture else export.LIVE}
    assert data[export.DATA] == json.loads(figure.to_json())
    assert metadata == {"image/png": {"width": 900, "alt": "59,029 and 1000"}}
    plots.show(figure, live=True)
    assert set(shown[-1][0]) == {export.LIVE}


def test_an_exported_page_has_the_text_for_those_who_cant_see_the_figure(monkeypatch):
    """In nbconvert's classic template. Its default one reads no text of a picture (7.17)."""
    nbconvert = pytest.importorskip("nbconvert")
    monkeypatch.setattr(export, "_drawn", lambda *_: PIXEL)
    output = nbformat.v4.new_output(
        "display_data",
        data=export.bundle(kinds()["funnel"]),
        metadata=export.described('from "59,029" to 1000'),
    )
    cell = nbformat.v4.new_code_cell("show()", outputs=[output])
    page, _ = nbconvert.HTMLExporter(template_name="classic").from_notebook_node(
        nbformat.v4.new_notebook(cells=[cell])
    )
    (picture,) = re.findall(r"<img[^>]*base64[^>]*>", html.unescape(page))
    assert 'from "59,029" to 1000' in picture
