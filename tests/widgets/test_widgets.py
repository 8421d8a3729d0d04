"""The widgets without a browser: what they show, what they refuse, and that a stream ends in the
trace of ``lab.force``.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock

import ipywidgets as ipw
import nbformat
import pytest

import s1lab as lab
from s1lab import questions
from s1lab.figures.trace_view import LOOKS, tokens_html
from s1lab.storage.diff import first_difference
from s1lab.trace import FORCED, Source, Trace
from s1lab.widgets import tokens
from s1lab.widgets.ladder import Rungs
from s1lab.widgets.panel import PAGE, VIEW
from s1lab.widgets.rows import filters, paired, rows_of
from s1lab.widgets.streaming import stream

HOSTILE = "<script>alert(1)</script> & <img src=x onerror=alert(1)> how many r in berry"
QUESTION = "How many r in raspberry"


class Seen(HTMLParser):
    """What a page shows: its elements by name, the titles of tokens, and all its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.titles: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        title = dict(attributes).get("title") or ""
        if ", position " in title and title.startswith(("'", '"')):
            self.titles.append(title)

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def problems():
    return lab.tiny.problems(30, seed=1)


@pytest.fixture(scope="module")
def runs(tiny, problems):
    return [
        lab.evaluate(tiny, problems, budget, progress=False)
        for budget in (lab.Budget(), lab.Budget(waits=1))
    ]


def test_ipywidgets_is_imported_when_it_is_used_and_missed_in_one_sentence():
    code = """
import sys
import s1lab as lab
assert "ipywidgets" not in sys.modules
sys.modules["ipywidgets"] = None
try:
    lab.widgets
except ImportError as why:
    assert 'pip install "s1lab[notebooks]"' in str(why) and "\\n" not in str(why)
    print("missed")
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout == "missed\n", ran.stderr


# Streaming


@pytest.mark.parametrize("temperature", [0.0, 0.9])
@pytest.mark.parametrize(
    "budget",
    [
        lab.Budget(),
        lab.Budget(max_tokens=21),
        lab.Budget(waits=2),
        lab.Budget(waits=2, wait=None),
        lab.Budget(min_tokens=90, max_tokens=100, wait="Hmm", on_cut=None),
    ],
    ids=["own stop", "cap", "Waits", "no text", "floor and cap"],
)
def test_a_stream_ends_in_the_trace_of_force_and_grows_towards_it(tiny, budget, temperature):
    whole = lab.force(tiny, QUESTION, budget, temperature=temperature, seed=5)
    grown = [
        (list(t.ids), list(t.source))
        for t in stream(tiny, QUESTION, budget, temperature=temperature, seed=5, every=5)
    ]
    last = list(stream(tiny, QUESTION, budget, temperature=temperature, seed=5, every=64))[-1]
    assert last == whole and grown[-1] == (whole.ids, whole.source)
    assert all(
        whole.ids[: len(ids)] == ids and whole.source[: len(ids)] == source for ids, source in grown
    )
    assert len(grown) > 5 and [len(ids) for ids, _ in grown] == sorted(len(ids) for ids, _ in grown)


def test_a_conversation_is_streamed_and_shown(tiny):
    talk = [
        {"role": "user", "content": HOSTILE},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": QUESTION},
    ]
    *_, last = stream(tiny, talk, lab.Budget(max_tokens=8), every=4)
    assert last == lab.force(tiny, talk, lab.Budget(max_tokens=8))
    rungs = lab.widgets.ladder(lab.ladder(tiny, talk, (4, 8)))
    for shown in (lab.widgets.explore(last).head.value, rungs.head.value):
        assert "assistant: <b>2</b>" in shown and "<script>" not in shown


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_a_stream_costs_what_force_costs(tiny, temperature):
    def cost(work) -> tuple[int, int]:
        before = dict(tiny.counts)
        work()
        return tuple(tiny.counts[name] - before[name] for name in ("sampled", "steps"))

    heat = {"temperature": temperature, "seed": 1}
    budget = lab.Budget(waits=1)
    lab.force(tiny, QUESTION, budget, **heat)  # from now on the prompt is in the prefix cache
    alone = cost(lambda: lab.force(tiny, QUESTION, budget, **heat))
    assert cost(lambda: list(stream(tiny, QUESTION, budget, every=4, **heat))) == alone


def test_stop_ends_a_stream_between_two_steps_and_leaves_the_engine_whole(tiny):
    steps = iter(range(10**6))
    *_, last = stream(
        tiny, QUESTION, lab.Budget(min_tokens=2000), every=8, stopped=lambda: next(steps) > 60
    )
    assert last.error == questions.UNFINISHED and 20 < last.thinking_tokens < 70
    assert tiny.poll() == []
    assert lab.force(tiny, QUESTION).error is None


def test_a_stream_that_is_left_early_gives_the_engine_back(tiny):
    growing = stream(tiny, QUESTION, every=4)
    next(growing), next(growing)
    growing.close()
    assert lab.force(tiny, QUESTION).answer == "Answer: 2"


def test_an_engine_that_streams_serves_another_thread_too(tiny):
    alone = lab.force(tiny, QUESTION).ids
    growing = stream(tiny, QUESTION, lab.Budget(waits=1), every=4)
    next(growing)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lab.force, tiny, QUESTION).result(60).ids == alone
    assert list(growing)[-1].ids == lab.force(tiny, QUESTION, lab.Budget(waits=1)).ids


def test_what_does_not_fit_fails_as_it_does_in_force(tiny):
    long = "How many r in " + "raspberry " * 3000
    assert list(stream(tiny, long))[-1] == lab.force(tiny, long)
    with pytest.raises(ValueError, match="the question is empty"):
        stream(tiny, " ")
    with pytest.raises(ValueError, match="can't be streamed"):
        stream(tiny, QUESTION, lab.Budget(compat="readme"))
    with pytest.raises(ValueError, match="temperature=-1 can't be used"):
        stream(tiny, QUESTION, temperature=-1)


# Tokens


def test_every_token_has_its_text_id_position_and_origin(tiny):
    trace = lab.force(tiny, QUESTION, lab.Budget(max_tokens=60, waits=1))
    seen = Seen(
        tokens_html(
            tokens.read(trace.ids, trace.source, trace.template.decode),
            stops=trace.stops,
            cut=trace.cut,
        )
    )
    assert len(seen.titles) == len(trace.ids)
    for at, (title, token, source) in enumerate(
        zip(seen.titles, trace.ids, trace.source, strict=True)
    ):
        assert title == f"{trace.template.decode([token])!r}, id {token}, position {at}, {source}"
    assert seen.text.count("«") == seen.text.count("»") == 3  # the Wait, the close, "Final Answer:"
    plain = (
        seen.text.replace("↵", "")
        .replace("«", "")
        .replace("»", "")
        .replace("[stop 1]", "")
        .replace("[cut]", "")
    )
    assert plain == trace.text


def test_bytes_of_one_character_are_one_token_and_lost_ones_are_shown():
    def decode(ids):
        return bytes(ids).decode("utf-8", "replace")

    assert list(tokens.pieces(list("aé😀b".encode()), decode)) == [
        ("a", 1),
        ("é", 2),
        ("😀", 4),
        ("b", 1),
    ]
    (smile,) = tokens.read(list("é😀".encode()), [Source.SAMPLED] * 6, decode, start=2)
    assert str(smile) == "'😀', ids 240 159 152 128, position 2, sampled" and (
        smile.at,
        smile.end,
    ) == (2, 6)
    assert list(tokens.pieces([0xF0, 0x9F], decode)) == [("\ufffd", 1), ("\ufffd", 1)]


def test_a_window_keeps_the_space_of_its_first_token():
    def decode(ids):  # as a tokenizer does whose texts lose their first space
        return "".join(f" w{i}" for i in ids)[1:]

    whole = tokens.read([1, 2, 3, 4], [Source.PROMPT, *[Source.SAMPLED] * 3], decode)
    assert [t.text for t in whole] == ["w1", "w2", " w3", " w4"]
    assert (
        tokens.read([1, 2, 3, 4], [Source.PROMPT, *[Source.SAMPLED] * 3], decode, 2, 3)
        == whole[2:3]
    )


def test_a_trace_falls_into_its_rounds(tiny):
    for wait in ("Wait", None):
        trace = lab.force(tiny, QUESTION, lab.Budget(waits=2, wait=wait))
        found = tokens.parts(trace.source, trace.stops)
        assert [p.name for p in found] == [
            "the prompt",
            "round 1",
            "round 2",
            "round 3",
            "the answer",
        ]
        assert [p.end for p in found[:-1]] == [p.start for p in found[1:]]
        assert (found[0].start, found[-1].end) == (0, len(trace.ids))
        assert [p.start for p in found[2:4]] == trace.stops[:2]
    direct = lab.direct(tiny, QUESTION, prefix="Answer:")
    assert [p.name for p in tokens.parts(direct.source)] == ["the prompt", "the answer"]


@pytest.mark.parametrize("source", [s for s in Source if s is not Source.SAMPLED])
def test_a_trace_in_a_notebook_marks_every_origin_by_more_than_colour(template, source):
    """A line below or slant, as in the widgets, and guillemets where the text was forced."""
    trace = Trace("q", template)
    for origin, text in ((Source.SAMPLED, "1 r 1"), (source, "so\n"), (Source.SAMPLED, "2 r 2")):
        trace.extend(template.encode(text), origin)
    shown = trace._repr_html_()
    tag, look = re.search(rf'<(\w+) title="{source}: [^"]*" style="([^"]*)">', shown).groups()
    assert tag in ("i", "b", "ins") or source is Source.CLOSE  # where styles are removed
    assert "border-bottom:" in look or "font-style:italic" in look
    assert f'style="{look}"' in tokens_html(tokens.read(trace.ids, trace.source, template.decode))
    assert ("«so»\n" in unescape(shown)) == (source in FORCED)
    assert f"{source} {trace.source.count(source)} ({LOOKS[source].words})" in Seen(shown).text


def test_no_two_origins_have_the_same_marks():
    assert list(LOOKS) == list(Source) and len({look.words for look in LOOKS.values()}) == len(
        LOOKS
    )
    assert {name for name, look in LOOKS.items() if look.quoted} == set(FORCED)


# The explorer


def texts(widget) -> str:
    """All that a widget's HTML shows."""
    return Seen("\n".join(view.value for view in walk(widget) if isinstance(view, ipw.HTML))).text


def walk(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from walk(child)


def test_filters_find_right_wrong_cut_and_what_a_wait_flipped(runs):
    own, waited = runs
    explorer = lab.widgets.explore(own, waited)
    expected = {
        "all": range(30),
        "right": [i for i in range(30) if own.verdicts[i]],
        "wrong": [i for i in range(30) if not own.verdicts[i]],
        "cut": [],
        "right only here": [i for i in range(30) if own.verdicts[i] and not waited.verdicts[i]],
        "right only in the other": [
            i for i in range(30) if waited.verdicts[i] and not own.verdicts[i]
        ],
        "ids differ": range(30),
    }
    assert {name: explorer.kept[name] for name in expected} == {
        name: list(rows) for name, rows in expected.items()
    }
    assert expected["right only in the other"]  # a Wait flips some
    explorer.filter.value = "right only in the other"
    assert [number for _, number in explorer.pages.list.options] == expected[
        "right only in the other"
    ]
    assert explorer.current == expected["right only in the other"][0]
    shown = texts(explorer)
    assert "first run: wrong" in shown and "other run: right" in shown
    explorer.filter.value = "cut"
    assert "cut: no rows" in texts(explorer) and explorer.views[0].value == ""


def test_a_filter_without_rows_leaves_nothing_to_step_through(runs):
    explorer = lab.widgets.explore(*runs)
    explorer.filter.value = "cut"
    pages = explorer.pages
    steps = [
        explorer.back,
        explorer.on,
        explorer.all,
        explorer.apart,
        pages.up,
        pages.down,
        pages.back,
        pages.on,
    ]
    assert all(button.disabled for button in steps)
    for button in steps:
        button.click()  # what a click that was under way brings
    pages.jump.value = 7
    assert "7 is not among these 0 rows" in texts(explorer) and all(
        view.value == "" for view in explorer.views
    )
    assert runs[0].traces[explorer.current].question not in texts(explorer)
    explorer.filter.value = "all"
    assert "is not among" not in texts(explorer)
    assert not any(
        button.disabled for button in (explorer.on, explorer.apart, pages.up, pages.down, pages.on)
    )
    assert runs[0].traces[explorer.current].question in texts(explorer)


def test_rows_are_jumped_to_and_one_that_is_filtered_out_is_said_to_be(runs):
    explorer = lab.widgets.explore(runs[0])
    assert len(explorer.pages.list.options) == PAGE and explorer.pages.back.disabled
    explorer.pages.jump.value = 27
    assert explorer.current == 27 and [n for _, n in explorer.pages.list.options] == list(
        range(20, 30)
    )
    assert runs[0].traces[27].question in texts(explorer)
    explorer.pages.step(-1)
    assert explorer.current == 26
    assert explorer.pages.jump.value == 26
    explorer.pages.jump.value = 0
    assert explorer.current == 0
    explorer.pages.list.value = 19
    explorer.pages.step(1)
    assert explorer.current == 20
    explorer.filter.value = "wrong"
    right = explorer.kept["right"][0]
    explorer.pages.jump.value = right
    assert (
        f"{right} is not among these" in explorer.pages.where.value
        and explorer.current in explorer.kept["wrong"]
    )
    explorer.on.click()  # an error goes away with the next action
    assert "Error" not in explorer.pages.where.value
    assert explorer.pages.jump.value == explorer.current


def test_rounds_are_stepped_through_and_the_first_difference_is_marked(tiny):
    own, waited = (lab.force(tiny, QUESTION, lab.Budget(waits=n)) for n in (0, 1))
    explorer = lab.widgets.explore(own, waited)
    at = first_difference(own.ids, waited.ids)
    assert (
        explorer.differs == at and own.ids[:at] == waited.ids[:at] and own.ids[at] != waited.ids[at]
    )
    assert texts(explorer).count("first difference") >= 2 and f"position {at}" in texts(explorer)
    names = []
    while not explorer.on.disabled:
        explorer.on.click()
        names.append(explorer.part)
    assert names == ["the prompt", "round 1", "the answer"]
    waited_only = lab.widgets.explore(waited, own)
    waited_only.look("round 2")
    assert (
        "round 2 is not in this trace" in waited_only.views[1].value
        and "«Wait»" in Seen(waited_only.views[0].value).text
    )
    explorer.look("round 1")
    assert len(Seen(explorer.views[0].value).titles) == own.thinking_tokens
    explorer.apart.click()
    left = Seen(explorer.views[0].value)
    lead = len(left.titles) - (len(own.ids) - at)
    assert 0 < lead <= 40 and own.template.decode(own.ids[at - lead : at]).count("\n") <= 5
    explorer.all.click()
    assert len(Seen(explorer.views[0].value).titles) == len(own.ids)


def framed(view) -> list[str]:
    """The titles of the tokens that are framed as looked at."""
    return [
        unescape(title)
        for title in re.findall('<span title="([^"]*)" style="outline:4px double', view.value)
    ]


def test_the_token_of_a_position_is_said_in_text_and_framed(tiny):
    own, waited = (lab.force(tiny, QUESTION, lab.Budget(waits=n)) for n in (0, 1))
    explorer = lab.widgets.explore(own, waited)
    field, said = explorer.window.field, explorer.window.said
    at = waited.source.index(Source.CONTINUATION)
    field.value = at
    expected = [
        f"{t.template.decode([t.ids[at]])!r}, id {t.ids[at]}, position {at}, {t.source[at]}"
        for t in (own, waited)
    ]
    assert Seen(said.value).text == f"first run: {expected[0]}other run: {expected[1]}"
    assert expected[1].startswith("'Wait") and expected[1].endswith("continuation")
    assert [framed(view) for view in explorer.views] == [[title] for title in expected]
    explorer.look("round 1")
    first = own.source.index(Source.SAMPLED)
    assert field.value == first and f"position {first}, sampled" in said.value
    field.value = first + 3
    assert explorer.part == "round 1" and f"position {first + 3}, " in framed(explorer.views[0])[0]
    field.value = 0  # before the round
    assert (
        explorer.part == "the whole trace" and "position 0, prompt" in framed(explorer.views[0])[0]
    )
    field.value = len(own.ids)  # one more than it has; the other has it
    assert (
        f"first run: there is no token at position {len(own.ids)} of what is shown"
        in Seen(said.value).text
    )
    assert framed(explorer.views[0]) == [] and len(framed(explorer.views[1])) == 1
    explorer.apart.click()
    assert field.value == explorer.differs


def test_a_clicked_token_is_selected_where_it_is(tiny, long):
    """The window stays: what the reader pointed at does not move."""
    pair = [lab.force(tiny, QUESTION, lab.Budget(waits=n)) for n in (0, 1)]
    slider = lab.widgets.ladder(lab.ladder(tiny, QUESTION, caps=(8,), waits=(1,)))
    slider.on.click()
    explorer = lab.widgets.explore(*pair)
    for window, views in ((explorer.window, explorer.views), (slider.window, [slider.view])):
        before = [positions(view) for view in views]
        for _ in range(2):  # again too, after another one was looked at
            window.clicked.value = 40
            assert window.field.value == 40 and window.clicked.value == -1
            assert [positions(view) for view in views] == before
            assert all("position 40, " in framed(view)[0] for view in views)
            window.clicked.value = 41
    explorer = lab.widgets.explore(long)
    explorer.window.field.value = 20_000
    before = positions(explorer.views[0])
    explorer.window.clicked.value = 23_000
    assert positions(explorer.views[0]) == before and "23000" in framed(explorer.views[0])[0]


def test_two_traces_have_one_legend_and_heads_of_their_own(runs):
    explorer = lab.widgets.explore(*runs)
    first, other = runs[0].traces[0], runs[1].traces[0]
    counts = [t.source.count(Source.SAMPLED) for t in (first, other)]
    assert f"sampled {counts[0]} and {counts[1]} (plain)" in Seen(explorer.legend.value).text
    assert not any("(plain)" in part.value for part in explorer.heads + explorer.views)


@pytest.mark.parametrize(
    ("a", "b", "at"),
    [([1, 2], [1, 2], None), ([1, 2], [1, 3], 1), ([1], [1, 3], 1), ([], [7], 0), ([], [], None)],
)
def test_the_first_difference_of_two_lists(a, b, at):
    assert first_difference(a, b) == first_difference(b, a) == at


def test_runs_in_another_order_are_paired_by_question_and_sample(tiny):
    questions = ["How many a in banana", QUESTION, QUESTION]
    a, b = (
        rows_of(lab.force(tiny, questions)),
        rows_of(lab.force(tiny, [QUESTION, "How many e in tree"])),
    )
    assert paired(a, b) == [None, 0, None]
    assert filters(a, b, paired(a, b))["not in the other"] == [0, 2]


def test_a_stored_run_is_explored_like_the_run_itself(runs, tmp_path):
    stored = lab.storage.read_run(runs[0].save(tmp_path / "a.jsonl"))
    live, kept = lab.widgets.explore(runs[0]), lab.widgets.explore(stored)
    assert kept.kept == live.kept
    assert [(t.summary(), t.ending) for t in stored.traces] == [
        (t.summary(), t.ending) for t in runs[0].traces
    ]
    assert Seen(kept.views[0].value).titles == Seen(live.views[0].value).titles


def test_a_row_and_the_trace_it_opens_end_in_the_same_words(tiny):
    cut, own = (
        lab.force(tiny, QUESTION, budget)
        for budget in (lab.Budget(max_tokens=21), lab.Budget(waits=1))
    )
    failed, none = lab.force(tiny, QUESTION), lab.direct(tiny, QUESTION)
    failed.error = "the server died"
    explorer = lab.widgets.explore([cut, own, failed, none])
    for i, (trace, ending) in enumerate(
        [(cut, "cut"), (own, "own stop"), (failed, "error"), (none, "no thinking")]
    ):
        explorer.pages.go(i)
        listed = explorer.pages.list.options[i][0].replace("\u00a0", " ")
        assert (
            trace.ending == ending
            and f"tokens  {ending} " in listed
            and f"{trace.thinking_tokens} tokens" in listed
        )
        assert f"trace: {trace.summary()}" in texts(explorer) and trace.summary().endswith(ending)


def test_two_thousand_traces_of_two_thousand_tokens_show_a_page_of_rows_and_one_trace(
    template, record_property
):
    """What is made and sent is a page and a trace, however many there are; the seconds it took are
    in the test's report.
    """
    text = template.encode("1 ra 1\n2 ras 2\n")
    traces = []
    for i in range(2000):
        trace = Trace(f"How many r in word {i}", template, lab.Budget(), cut=i % 2 == 0)
        trace.extend(template.encode("How many r"), Source.PROMPT)
        trace.extend((text * 2000)[: 2000 - len(trace.ids)], Source.SAMPLED)
        trace.ids[-1] = i % 7
        traces.append(trace)
    counted = CountingTemplate(template)
    for trace in traces:
        trace.template = counted
    began = time.perf_counter()
    explorer = lab.widgets.explore(traces, traces[::-1])
    still = explorer.still()
    record_property("seconds_to_open", round(time.perf_counter() - began, 3))
    assert len(explorer.pages.list.options) == PAGE
    assert [len(Seen(view.value).titles) for view in explorer.views] == [2000, 2000]
    assert (
        counted.decoded <= 4 * 2 * 2000
    )  # two or three short decodes a token that is shown, and none of another
    assert sum(len(v.value) for v in walk(explorer) if isinstance(v, ipw.HTML)) < 1_000_000
    assert len(still) < 1_000_000
    assert len(explorer.kept["cut"]) == 1000
    before = counted.decoded
    explorer.pages.turn(50)
    assert [n for _, n in explorer.pages.list.options] == list(range(1000, 1020))
    assert counted.decoded - before <= 4 * 2 * 2000


class CountingTemplate:
    def __init__(self, template) -> None:
        self.template, self.decoded = template, 0

    def decode(self, ids):
        self.decoded += 1
        return self.template.decode(ids)


# Long traces


@pytest.fixture
def long(template):
    trace = Trace("How many r in a long word", template, lab.Budget())
    trace.extend(template.encode("How many r"), Source.PROMPT)
    trace.extend(
        (template.encode("1 ra 1\n2 ras 2\n") * 4000)[: 32_000 - len(trace.ids)], Source.SAMPLED
    )
    return trace


def positions(view) -> tuple[int, int, int]:
    """The first and the last position that a view shows, and how many tokens."""
    seen = [int(re.search(r"position (\d+)", title)[1]) for title in Seen(view.value).titles]
    return seen[0], seen[-1], len(seen)


def above(view, at: int) -> int:
    """How many tokens a view shows before a position, which must be among its first lines."""
    shown = [
        title
        for title in Seen(view.value).titles
        if int(re.search(r"position (\d+)", title)[1]) < at
    ]
    assert len(shown) <= 40 and sum("\\n" in title for title in shown) <= 5, (at, len(shown))
    return len(shown)


@pytest.mark.parametrize("at", [1900, 1901, 700])
def test_a_token_that_is_asked_for_is_among_the_first_lines_of_every_widget(long, at):
    """A trace of 2,000 tokens fits into one window and not into the box; no script scrolls it."""
    trace = long.fork(2000, lab.Budget())
    explorer = lab.widgets.explore(trace, trace)
    slider = lab.widgets.LadderSlider(Rungs(["own stop"], [[trace]]))
    pad = lab.widgets.playground(Writing(trace), QUESTION)
    pad.trace = trace
    pad._show(trace, ended=True)
    assert positions(pad.view) == (0, 1_999, 2_000)  # and its box shows the end
    for window, views in (
        (explorer.window, explorer.views),
        (slider.window, [slider.view]),
        (pad.window, [pad.view]),
    ):
        window.field.value = at
        for view in views:
            assert f"position {at}, sampled" in framed(view)[0] and above(view, at) > 0
            assert (
                positions(view)[1] == 1_999
                and not window.earlier.disabled
                and window.later.disabled
            )
        window.field.value = 3
        assert [positions(view) for view in views] == [(0, 1_999, 2_000)] * len(
            views
        ) and window.earlier.disabled


def test_a_long_trace_is_made_a_window_at_a_time_around_the_token_looked_at(long):
    explorer = lab.widgets.explore(long, long)
    window, views = explorer.window, explorer.views
    assert [positions(view) for view in views] == [(0, 3_999, 4_000)] * 2
    assert (
        "positions 0 to 3,999: 4,000 of 32,000 tokens; not shown: 0 before and 28,000 after"
        in texts(explorer)
    )
    assert window.earlier.disabled and not window.later.disabled
    assert max(len(view.value) for view in views) < 500_000
    still = explorer.still()
    assert len(Seen(still).titles) == 8_000 and "not shown: 0 before and 28,000 after" in still
    window.field.value = 20_000
    assert [20_000 - positions(view)[0] for view in views] == [above(views[0], 20_000)] * 2
    assert [positions(view)[2] for view in views] == [4_000] * 2
    assert f"not shown: {positions(views[0])[0]:,} before" in texts(explorer)
    assert (
        "position 20000, sampled" in framed(views[0])[0]
        and "position 20000, sampled" in window.said.value
    )
    last = positions(views[0])[1]
    window.later.click()
    assert (
        window.field.value == last + 1
        and above(views[0], last + 1)
        and positions(views[0])[2] == 4_000
    )
    for button, edge in ((window.earlier, 0), (window.later, 31_999)):
        window.field.value = 20_000
        seen, stepped = set(range(*positions(views[0])[:2])), 0
        while not button.disabled:
            button.click()
            first, last, _ = positions(views[0])
            assert window.field.value == first or above(views[0], window.field.value)
            seen, stepped = seen | set(range(first, last + 1)), stepped + 1
        assert (
            stepped < 9 and edge in seen and seen == set(range(min(seen), max(seen) + 1))
        )  # every token is reached
    window.field.value = 31_999
    assert window.later.disabled and above(views[0], 31_999)


def test_a_round_is_seen_through_a_window_of_its_own(long):
    explorer = lab.widgets.explore(long)
    explorer.look("round 1")
    begin = long.source.index(Source.SAMPLED)
    assert (
        positions(explorer.views[0]) == (begin, begin + 3_999, 4_000)
        and explorer.window.earlier.disabled
    )
    explorer.window.later.click()
    assert explorer.part == "round 1" and above(explorer.views[0], begin + 4_000) > 0
    explorer.window.earlier.click()
    assert explorer.part == "round 1" and positions(explorer.views[0])[0] == begin


def test_a_growing_long_trace_is_sent_as_its_last_window(long):
    pad = lab.widgets.playground(Writing(long), QUESTION)
    sent = []
    pad.view.observe(lambda change: sent.append(len(change["new"])), "value")
    for length in (3_000, 16_000, 32_000):
        pad.trace = long.fork(length, lab.Budget())
        pad._show(pad.trace)
        assert positions(pad.view) == (max(0, length - 4_000), length - 1, min(length, 4_000))
        assert (
            pad.window.field.disabled and pad.window.later.disabled and pad.window.earlier.disabled
        )
    assert len(sent) == 3 and max(sent) < 500_000
    pad.asked = pad.settings
    assert "not shown: 28,000 before and 0 after" in pad.static_html()
    pad._show(long, ended=True)
    assert "position 31999, sampled" in pad.window.said.value and not pad.window.field.disabled
    pad.window.field.value = 10_000
    first = positions(pad.view)[0]
    assert above(pad.view, 10_000) and "position 10000, sampled" in framed(pad.view)[0]
    pad.window.earlier.click()
    assert positions(pad.view)[0] < first <= positions(pad.view)[1] + 1


class Writing:
    """An engine that a playground can be made for, and nothing more."""

    def __init__(self, trace: Trace) -> None:
        self.context = len(trace.ids)

    def submit(self, key, request):
        raise NotImplementedError

    def poll(self):
        return []


def test_a_rung_with_a_long_trace_is_seen_through_a_window(long):
    slider = lab.widgets.LadderSlider(
        Rungs(["cap 9", "own stop"], [[long.fork(9, lab.Budget())], [long]])
    )
    slider.on.click()
    assert positions(slider.view) == (0, 3_999, 4_000) and "28,000 after" in texts(slider)
    slider.window.field.value = 31_000
    assert above(slider.view, 31_000) and "position 31000, sampled" in framed(slider.view)[0]
    slider.back.click()
    assert (
        positions(slider.view) == (0, 8, 9)
        and slider.window.later.disabled
        and slider.window.field.value == 0
    )


# The playground


def test_the_playground_asks_on_a_thread_and_shows_the_trace_of_force(tiny):
    pad = lab.widgets.playground(tiny, QUESTION, every=4)
    pad.waits.value, pad.temperature.value, pad.seed.value = 1, 0.7, 3
    shown = []
    pad.view.observe(lambda change: shown.append(len(Seen(change["new"]).titles)), "value")
    pad.run.click()
    trace = pad.wait(60)
    assert trace == lab.force(tiny, QUESTION, lab.Budget(waits=1), temperature=0.7, seed=3)
    assert shown == sorted(shown) and shown[-1] == len(trace.ids) and shown[0] < len(trace.ids)
    assert f"done: {trace.summary()}" in pad.answered.value
    assert not pad.run.disabled and pad.halt.disabled


def test_the_playground_stops_and_runs_again(tiny):
    pad = lab.widgets.playground(tiny, QUESTION, every=2)
    pad.least.value = 3000
    seen = threading.Event()
    pad.view.observe(lambda change: seen.set(), "value")
    pad.run.click()
    assert seen.wait(60) and not pad.halt.disabled
    pad.halt.click()
    assert pad.wait(60).error and pad.trace.thinking_tokens < 3000
    assert "stopped: " in pad.answered.value
    pad.least.value = 0
    pad.run.click()
    assert pad.wait(60) == lab.force(tiny, QUESTION)


def test_stop_does_not_wait_for_a_server_that_is_silent(tiny):
    silence = threading.Event()

    class Silent(BaseHTTPRequestHandler):
        asked = 0

        def log_message(self, *_):
            pass

        def do_GET(self):
            self.answer({"data": [{"id": "s1-tiny", "root": "s1-tiny", "max_model_len": 4096}]})

        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            Silent.asked += 1
            if Silent.asked > 1:  # the first is the probe at load
                silence.wait(60)
            self.answer({"choices": [{"token_ids": [5], "finish_reason": "length"}]})

        def answer(self, content):
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):  # whoever asked is gone
                self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Silent) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        with lab.load(f"http://127.0.0.1:{http.server_port}/v1") as engine:
            pad = lab.widgets.playground(engine, QUESTION).start()
            while Silent.asked < 2:
                time.sleep(0.01)
            pad.halt.click()
            trace = pad.wait(30)
            assert (
                not silence.is_set()
                and trace.error
                and "stopped: 0 thinking tokens" in pad.answered.value
            )
            silence.set()
        http.shutdown()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"question": "  "}, "Question: it is empty"),
        ({"cap": -4}, "Cap: -4 leaves no room to think"),
        ({"cap": 5, "least": 9}, "Minimum: 9 is above the Cap, which is 5"),
        ({"waits": -1}, "Waits: -1 is negative"),
        ({"temperature": -1.0}, "Temperature: -1 can&#x27;t be used"),
        ({"temperature": float("inf")}, "Temperature inf"),
        ({"question": "How many r in " + "berry " * 5000}, "leaves no room to think and answer"),
    ],
)
def test_the_playground_shows_what_is_wrong_as_a_sentence(tiny, settings, said):
    pad = lab.widgets.playground(tiny, QUESTION)
    for name, value in settings.items():
        getattr(pad, name).value = value
    pad.run.click()
    pad.wait(60)
    assert (
        said in pad.status.value
        and "Error:" in pad.status.value
        and "Traceback" not in pad.status.value
    )
    assert not re.search(r"\b(max_tokens|min_tokens|waits?|temperature|seed)=", pad.status.value)
    assert not pad.run.disabled
    pad.text.value += "!"
    assert "Error:" not in pad.status.value  # it goes away with the next action


def test_an_engine_that_breaks_is_reported_in_the_playground(scripted):
    def broken(text):
        raise OSError("the disk <b>is</b> gone")

    pad = lab.widgets.playground(scripted(broken), QUESTION)
    pad.run.click()
    pad.wait(60)
    assert (
        "OSError: the disk &lt;b&gt;is&lt;/b&gt; gone" in pad.status.value and not pad.run.disabled
    )


def test_an_empty_extension_suppresses_without_text(tiny):
    pad = lab.widgets.playground(tiny, QUESTION)
    pad.waits.value, pad.text.value = 1, ""
    pad.run.click()
    assert pad.wait(60) == lab.force(tiny, QUESTION, lab.Budget(waits=1, wait=""))


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("cap", "8", "4,096"),
        ("least", "0", "4,096"),
        ("waits", "0", "8"),
        ("temperature", "0.0", "2.0"),
    ],
)
def test_a_number_of_the_playground_is_dragged_and_typed(tiny, name, first, last):
    pad = lab.widgets.playground(tiny, QUESTION)
    field = getattr(pad, name)
    (slider,) = (
        w
        for w in walk(pad)
        if isinstance(w, ipw.SelectionSlider) and w.description == f"{field.description} slider"
    )
    assert [slider.options[0][0], slider.options[-1][0]] == [first, last]
    assert slider.label == ("64" if name == "cap" else first)
    for _, value in slider.options:  # dragged over all of it, there and back
        slider.value = value
        assert field.value == value
    field.value = 0
    assert slider.label == first
    beyond, between = slider.options[-1][1] + 1, (slider.options[3][1] + slider.options[4][1]) / 2
    for typed, shown in [(beyond, last), (-3, first)]:
        field.value = typed
        assert field.value == typed and slider.label == shown
    if name != "waits":  # which has no number between two of its slider's
        field.value = type(field.value)(between)
        assert field.value == type(field.value)(between) and slider.value in (
            slider.options[3][1],
            slider.options[4][1],
        )
    field.value = beyond
    slider.value = slider.options[2][1]
    assert field.value == slider.options[2][1]


def test_what_is_dragged_is_what_runs(tiny):
    pad = lab.widgets.playground(tiny, QUESTION)
    sliders = {w.description: w for w in walk(pad) if isinstance(w, ipw.SelectionSlider)}
    assert pad.uncapped.value and sliders["Cap slider"].disabled and pad.settings.cap is None
    pad.uncapped.value = False
    assert not sliders["Cap slider"].disabled and pad.settings.cap == 64
    sliders["Cap slider"].value, sliders["Temperature slider"].value = 24, 0.7
    assert pad.start().wait(60) == lab.force(
        tiny, QUESTION, lab.Budget(max_tokens=24), temperature=0.7
    )
    assert pad.trace.cut and pad.trace.thinking_tokens == 24
    pad.cap.value = 20  # between two of the slider's
    assert pad.start().wait(60).thinking_tokens == 20
    pad.uncapped.value = True
    assert pad.start().wait(60) == lab.force(tiny, QUESTION, temperature=0.7)


def test_a_trace_is_shown_with_the_question_and_the_budget_that_it_answers(tiny):
    pad = lab.widgets.playground(tiny, QUESTION)
    assert "not asked yet" in pad.static_html()
    pad.waits.value = 1
    pad.start().wait(60)
    right = f"answer to: {QUESTION}, no cap, 1 Wait, Wait word 'Wait', greedy"
    dimmed = lambda: "s1lab-dim" in pad.view._dom_classes  # noqa: E731
    assert right in texts(pad) and "done: " in texts(pad) and not dimmed()
    for control, value in (
        (pad.question, "How many e in tree"), (pad.waits, 2), (pad.uncapped, False),
        (pad.cap, 9), (pad.least, 3), (pad.text, "Hmm"), (pad.temperature, 0.5), (pad.seed, 1),
    ):  # fmt: skip
        before = control.value
        control.value = value
        assert dimmed() and f"the controls have changed since; this is the {right}" in texts(pad)
        still = Seen(pad.static_html()).text
        assert right in still and "e in tree" not in still and "changed" not in still
        control.value = before
        pad.uncapped.value = True
        assert not dimmed() and "changed since" not in texts(pad)
    pad.question.value = "How many e in tree"
    pad.start()
    assert "answer to: How many e in tree" in texts(pad) and not dimmed()
    assert pad.wait(60).question == "How many e in tree"
    pad.cap.value = 0
    pad.start()
    assert "Cap: 0 leaves no room" in pad.status.value and pad.trace.question in pad.static_html()


def test_run_during_a_run_stops_it_and_asks_anew(tiny):
    pad = lab.widgets.playground(tiny, QUESTION, every=2)
    pad.least.value = 3000
    seen = threading.Event()
    pad.view.observe(lambda change: seen.set() if change["new"] else None, "value")
    pad.run.click()
    assert seen.wait(60) and not pad.run.disabled  # the focus stays on it
    pad.least.value, pad.question.value = 0, "How many e in tree"
    pad.run.click()
    assert pad.wait(60) == lab.force(tiny, "How many e in tree") and pad.halt.disabled


def test_enter_in_the_question_runs(tiny):
    pad = lab.widgets.playground(tiny, QUESTION)
    pad.question._handle_custom_msg({"event": "submit"}, [])
    assert pad.wait(60) == lab.force(tiny, QUESTION)


def test_an_embedded_model_offers_a_question_of_each_family_and_says_where_one_fits_none(tiny):
    pad = lab.widgets.playground(tiny)
    assert lab.tiny.family_of(pad.question.placeholder)
    asked = []
    for example in pad.examples:
        example.click()
        asked.append(pad.question.value)
    assert [lab.tiny.family_of(q) for q in asked] == list(lab.tiny.FAMILIES)
    pad.start().wait(60)
    assert "six kinds" not in texts(pad)
    pad.question.value = "What is the capital of France?"
    pad.start().wait(60)
    assert "s1-tiny was taught six kinds of questions only" in texts(pad)
    assert "six kinds of questions" in pad.static_html()
    other = lab.widgets.playground(Writing(pad.trace), "What is the capital of France?")
    other.asked = other.settings
    assert not other.examples and "six kinds" not in other.static_html()


# The ladder slider


def test_the_slider_moves_thinking_answer_and_accuracy_without_a_model(tiny, problems):
    swept = lab.sweep(tiny, problems.select(range(8)), caps=(8, 32), waits=(0, 1), progress=False)
    before = tiny.counts["steps"]
    slider = lab.widgets.ladder(swept)
    slider.number.value = 5
    for i, (name, found) in enumerate(swept.items()):
        slider.budget.value = i
        shown, trace = texts(slider), found.traces[5]
        assert (
            f"{name}: {'right' if found.verdicts[5] else 'wrong'}, "
            f"{trace.thinking_tokens} thinking tokens" in shown
        )
        assert (
            f"answer: {' '.join(trace.answer.split())}" in shown
            and f"accuracy {found.interval} %" in shown
        )
        assert len(Seen(slider.view.value).titles) == len(trace.ids)
    slider.back.click()
    assert slider.budget.value == 2 and not slider.on.disabled
    assert (
        slider.curve.value.count("<circle") == 3 and slider.curve.value.count("<rect") == 2
    )  # two caps and a ring
    assert tiny.counts["steps"] == before


def test_the_slider_takes_one_ladder_and_many_with_the_same_rungs(tiny):
    one = lab.ladder(tiny, QUESTION, caps=(8, 32), waits=(0, 1))
    slider = lab.widgets.ladder(one)
    slider.budget.value = 3
    assert "1 Wait: 74 thinking tokens" in texts(slider) and "Answer: 3" in texts(slider)
    assert "accuracy" not in texts(slider)
    many = lab.ladder(
        tiny, [QUESTION, "How many a in banana"], caps=(8, 32), waits=(0, 1), progress=False
    )
    assert lab.widgets.ladder(many).number.max == 1
    with pytest.raises(ValueError, match="different rungs"):
        lab.widgets.ladder([one, lab.ladder(tiny, QUESTION, caps=(8,))])


# The pool browser


@pytest.fixture(scope="module")
def reports():
    pool, faults = lab.curate.quality(lab.tiny.pool(900, seed=0), progress=False)
    return [faults, lab.curate.deduplicate(pool)[1]]


def test_the_pool_shows_the_funnel_and_every_dropped_row_with_its_reason(reports):
    browser = lab.widgets.pool(reports)
    funnel = texts(browser.children[0])
    for number in (reports[0].before, reports[0].after, reports[1].after):
        assert f"{number:,}" in funnel
    assert len(browser.pages.list.options) == PAGE < len(reports[0].rows)
    listed = []
    while True:
        listed += [number for _, number in browser.pages.list.options]
        if browser.pages.on.disabled:
            break
        browser.pages.on.click()
    assert listed == reports[0].rows
    assert browser.rule.index == 0 and browser.rule.label.startswith(
        "any rule"
    )  # ipywidgets marks the button of an index
    rule = reports[0].rules[40]
    browser.rule.value = rule
    assert set(browser.pages.rows) == {
        n for n, r in zip(reports[0].rows, reports[0].rules, strict=True) if r == rule
    }
    browser.rule.index = 0
    assert list(browser.pages.rows) == reports[0].rows and browser.rule.index == 0
    browser.rule.value = rule
    browser.pages.jump.value = reports[0].rows[40]
    assert f"rule {rule}: {reports[0].whys[40]}" in texts(browser)
    browser.stage.value = 1
    assert browser.rule.index == 0
    assert f"row {reports[1].rows[0]:,}, dropped by deduplicate" in texts(browser)
    assert reports[1].pool[reports[1].rows[0]]["question"] in texts(browser)


def test_reports_that_do_not_follow_one_another_are_shown_and_said_to_be_so(reports):
    browser = lab.widgets.pool([reports[0], replace(reports[1], before=5)])
    assert "do not follow one another" in texts(browser) and browser.pages.list.options
    empty = lab.widgets.pool(lab.curate.report.Report("nothing", 3, 3, [], [], []))
    assert "no rows" in texts(empty)


# All of them


@pytest.fixture(scope="module")
def everything(tiny, runs, reports):
    pad = lab.widgets.playground(tiny, HOSTILE)
    pad.start().wait(60)
    hostile = lab.force(tiny, HOSTILE)
    return [
        lab.widgets.explore(runs[0], runs[1]),
        lab.widgets.explore(hostile),
        pad,
        lab.widgets.ladder(lab.ladder(tiny, HOSTILE, caps=(8,))),
        lab.widgets.pool(reports),
    ]


def test_model_text_is_text(everything):
    for widget in everything[1:4]:
        page = Seen(widget.still())
        assert not {"script", "img"} & set(page.tags) and "<script>alert(1)</script>" in page.text
        live = Seen("".join(view.value for view in walk(widget) if isinstance(view, ipw.HTML)))
        assert not {"script", "img"} & set(live.tags)


def test_every_control_has_a_label_and_a_place_in_the_tab_order(everything):
    controls = [
        c
        for w in everything
        for c in walk(w)
        if isinstance(c, ipw.ValueWidget | ipw.Button) and not isinstance(c, ipw.HTML)
    ]
    assert len(controls) > 30
    assert all(c.description.strip() for c in controls) and all(
        c.tabbable is not False for c in controls
    )


def test_nothing_says_that_it_is_read_out_when_it_changes(everything):
    """A live region works where it was in the page before its text, and what an ipywidgets HTML
    holds is replaced whole.
    """
    shown = "".join(
        view.value for widget in everything for view in walk(widget) if isinstance(view, ipw.HTML)
    )
    assert "done: " in shown and not re.search(r"role=.(status|alert|log)|aria-live", shown)


def displayed(widget) -> list[nbformat.NotebookNode]:
    """The outputs of a cell that ends in the widget."""
    with mock.patch("s1lab.widgets.panel.display") as display:
        widget._ipython_display_()
    return [
        nbformat.v4.new_output("display_data", data=call.args[0]) for call in display.call_args_list
    ]


def test_the_live_view_brings_a_style_that_hides_the_still_picture_and_no_other(everything):
    for widget in everything:
        name = re.search(r'class="(s1lab-still-\w+)"', displayed(widget)[0].data["text/html"])[1]
        hiding = [
            w
            for w in everything
            for view in walk(w)
            if isinstance(view, ipw.HTML) and f".{name}{{display:none}}" in view.value
        ]
        assert hiding == [widget]


def test_without_a_kernel_and_its_state_a_page_shows_the_html(everything):
    import nbconvert

    notebook = nbformat.v4.new_notebook()
    for widget in everything:
        still, live = outputs = displayed(widget)
        assert VIEW not in still.data and VIEW in live.data
        notebook.cells.append(nbformat.v4.new_code_cell("w", outputs=outputs))
    page, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)
    assert page.count("A still picture of a widget") == len(everything) and VIEW not in page
    assert "max-height:2" not in page.partition("</head>")[2]  # all of it is seen, on paper too
    seen = Seen(page)
    assert (
        len(seen.titles) > 300
        and "right only in the other" in seen.text
        and "alert(1)" in seen.text
    )


# What GitHub keeps of the HTML in a notebook: elements that say what they are, and no style.
KEPT = set(
    "a b br code div em h1 h2 h3 i img ins li ol p pre q span strong table tbody td th thead tr ul"
    .split()
)  # fmt: skip


def test_a_still_says_the_same_where_a_code_host_removes_style_and_drawing(everything, runs):
    bleach = pytest.importorskip("bleach", reason="it comes with nbconvert")
    swept = lab.widgets.ladder({"cap 8": runs[0], "1 Wait": runs[1]})
    for widget in [*everything, swept]:
        still = widget.still()
        assert not re.search(r"<(style|script|svg)|<[^>]*\son\w+=", still)
        kept = bleach.clean(still, tags=KEPT, attributes={"img": ["alt"]}, strip=True)
        assert unescape(Seen(kept).text) == unescape(Seen(still).text)
        assert "Run the cell again to use it" in kept
    kept = bleach.clean(swept.still(), tags=KEPT, attributes={"img": ["alt"]}, strip=True)
    rows = re.findall(r"<tr>(.*?)</tr>", kept)
    cells = [[Seen(c).text for c in re.findall(r"<t[hd]>(.*?)</t[hd]>", row)] for row in rows]
    assert cells[0][1:3] == ["budget", "thinking tokens"] and len(cells) == 3
    assert cells[1][0] == "▶" and cells[1][-1] == f"{runs[0].interval} %"
    assert 'alt="accuracy over thinking tokens; chosen: cap 8' in kept
    trace = bleach.clean(everything[2].still(), tags=KEPT, strip=True)
    assert "<i>" in trace and "<ins>" in trace  # the prompt and the answer


def test_a_committed_notebook_keeps_the_html_of_a_widget_and_not_its_view(everything, tmp_path):
    from tools.reproduce import tidy

    cell = nbformat.v4.new_code_cell("w", outputs=displayed(everything[0]))
    notebook = nbformat.v4.new_notebook(
        cells=[cell], metadata={"widgets": {"application/vnd.jupyter.widget-state+json": {}}}
    )
    nbformat.write(notebook, tmp_path / "w.ipynb")
    tidy(tmp_path / "w.ipynb")
    kept = nbformat.read(tmp_path / "w.ipynb", as_version=4)
    still, live = kept.cells[0].outputs
    assert (
        set(still.data) == {"text/plain", "text/html"}
        and live.data == {"text/html": ""}
        and "widgets" not in kept.metadata
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda w: w.explore(7), "a int can't be explored"),
        (lambda w: w.explore([]), "the list of traces is empty"),
        (lambda w: w.explore(["a"]), "a list that holds a str"),
        (lambda w: w.explore("a.jsonl"), "lab.storage.read_run"),
        (lambda w: w.playground("s1-tiny"), "load it first, lab.load('s1-tiny')"),
        (lambda w: w.ladder([]), "is no ladder"),
        (lambda w: w.ladder({"cap 8": 3}), "is no ladder"),
        (lambda w: w.pool([]), "reports is wanted"),
        (lambda w: w.pool("quality"), "reports is wanted"),
    ],
)
def test_what_a_widget_cannot_show_is_refused_in_one_sentence(call, said):
    with pytest.raises((TypeError, ValueError)) as error:
        call(lab.widgets)
    assert said in str(error.value) and "\n" not in str(error.value)
