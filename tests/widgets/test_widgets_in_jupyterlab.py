"""The widgets in a real JupyterLab, in a headless Chromium: what a reader does with mouse and
keyboard, in both themes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from s1lab.widgets.panel import hiding
from tests.helpers import ROOT
from tests.helpers.jupyterlab import (
    BROWSER,
    OWN_NOISE,
    TOKEN,
    needs_browser,
    notebook_of,
    open_notebook,
    served,
    set_theme,
    until,
)

pytestmark = pytest.mark.long

WAIT_MS = 60_000

# The name of the control that has the focus, as a screen reader says it.
LABEL = """() => {
    const at = document.activeElement;
    return at.getAttribute("aria-label") || at.labels?.[0]?.innerText || at.innerText;
}"""
# The boxes of a widget whose content is wider than they are.
TOO_WIDE = """panel => [panel, ...panel.querySelectorAll('.widget-box')]
    .filter(box => box.scrollWidth > box.clientWidth + 1)
    .map(box => `${box.className}: ${box.scrollWidth} in ${box.clientWidth}`)"""
# Where the boxes of the traces begin, in one look: they may be drawn anew between two.
TOPS = """cell => [...cell.querySelectorAll('.s1lab-trace')]
    .map(box => box.getBoundingClientRect().y)"""
# How opaque a trace is drawn: below 1 it is dimmed.
DIM = "cell => getComputedStyle(cell.querySelector('.s1lab-trace').closest('.widget-html')).opacity"
IDLE = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
ACTIVE_CELL = "window.jupyterapp.shell.currentWidget.content.activeCellIndex"
OVERFLOWS = "box => box.querySelector('pre').scrollHeight > box.clientHeight + 200"
CELLS = [
    """
import s1lab as lab
engine = lab.load("s1-tiny")
problems = lab.tiny.problems(24, seed=1)
own = lab.evaluate(engine, problems, progress=False)
waited = lab.evaluate(engine, problems, lab.Budget(waits=1), progress=False)
swept = lab.sweep(engine, problems, caps=(8, 16, 32), waits=(0, 1), progress=False)
pool, faults = lab.curate.quality(lab.tiny.pool(900, seed=0), progress=False)
pool, repeats = lab.curate.deduplicate(pool)
script = "<script>console.error('script ran')</script>"
evil = lab.force(engine, script + "<img src=x onerror=console.error(1)> & how many r in berry")
""",
    "lab.widgets.explore(own, waited)",
    "lab.widgets.ladder(swept)",
    "lab.widgets.pool([faults, repeats])",
    "pad = lab.widgets.playground(engine)\npad",
    "lab.widgets.explore(evil)",
    """
import time
poll = engine.poll
engine.poll = lambda: (time.sleep(0.005), poll())[1]  # slow enough to be looked at
slow = lab.widgets.playground(engine, 'How many r in raspberry', every=1)
slow
""",
    "print('the kernel answers', 6 * 7)",
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with served(tmp_path, {"widgets.ipynb": notebook_of(*CELLS)}) as address:
        yield address


@needs_browser
@pytest.mark.timeout(300)
def test_a_reader_works_all_four_widgets_in_light_and_dark(server: str, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": 1300, "height": 1600})
            page.set_default_timeout(WAIT_MS)
            logged: list[str] = []
            page.on(
                "console",
                lambda said: (
                    logged.append(f"{said.text} ({said.location})")
                    if said.type == "error"
                    else None
                ),
            )
            page.on("pageerror", lambda error: logged.append(f"pageerror: {error}"))
            open_notebook(page, server, "widgets.ipynb", len(CELLS))
            page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
            page.get_by_text("the kernel answers 42").wait_for()
            cells = [
                page.locator(".jp-CodeCell").nth(i).locator(".jp-OutputArea .jupyter-widgets").first
                for i in range(len(CELLS))
            ]
            for cell in cells[1:7]:
                cell.wait_for()
            stills = page.locator("[class^='s1lab-still']")
            until(
                lambda: [still.is_visible() for still in stills.all()] == [False] * 6,
                "the live ones hide the stills",
            )
            explores(page, cells[1])
            climbs(page, cells[2])
            browses(page, cells[3])
            asks(page, cells[4])
            until(
                lambda: cells[5].locator(".s1lab-trace").inner_text().count("<script>") == 1,
                "the script as text",
            )
            until(lambda: cells[5].locator("script, img").count() == 0, "and no script")
            stops(page, cells[6])
            for theme in ("Light", "Dark"):
                set_theme(page, theme)
                for i in range(1, 7):
                    until(
                        lambda i=i: contrast(page, cells[i]) > 4.5, f"contrast: {theme}, {CELLS[i]}"
                    )
                    cells[i].scroll_into_view_if_needed()
                    cells[i].screenshot(path=tmp_path / f"{theme}-{i}.png")
            narrow(page, cells, tmp_path)
            outlives(page, server, tmp_path)
        except BaseException:
            page.screenshot(path=tmp_path / "failed.png")
            raise
        finally:
            browser.close()
    ours = [line for line in logged if not any(re.search(noise, line) for noise in OWN_NOISE)]
    assert ours == []


# Whether an element lies within what its box shows, top to bottom.
SEEN = """element => {
    const box = element.closest(".s1lab-trace").getBoundingClientRect();
    const own = element.getBoundingClientRect();
    return own.height > 0 && own.top >= box.top - 1 && own.bottom <= box.bottom + 1;
}"""


def seen(element) -> bool:
    return element.evaluate(SEEN)


def newest_seen(cell) -> bool:
    """Whether the last token of a trace is in sight, in one look: the box may be written anew
    between two.
    """
    return cell.evaluate(
        f"cell => ({SEEN})([...cell.querySelectorAll('.s1lab-trace span[title]')].pop())"
    )


def scrolls(page, cell) -> None:
    """The keyboard moves what the box shows, which is taller than itself."""
    box = cell.locator(".s1lab-trace").first
    until(lambda: box.evaluate("box => box.scrollHeight > box.clientHeight + 100"), "it overflows")
    tops = []
    for key in ("Home", "PageDown", "End"):
        box.focus()
        page.keyboard.press(key)
        page.wait_for_timeout(400)
        tops.append(box.evaluate("box => box.querySelector('pre').getBoundingClientRect().top"))
    assert tops[0] > tops[1] > tops[2], tops  # the text goes up


def explores(page, cell) -> None:
    """Filter, jump, step through rounds, hover: each changes the text that is seen."""
    rows = cell.get_by_label("Rows")
    until(lambda: rows.locator("option").count() == 20, "a page of the 24")
    rows.focus()
    active = page.evaluate(ACTIVE_CELL)
    asked = cell.inner_text()
    page.keyboard.press("ArrowDown")
    until(lambda: rows.evaluate("list => list.selectedIndex") == 1, "the arrow moves the rows")
    until(lambda: cell.inner_text() != asked, "and the trace with them")
    page.wait_for_function(IDLE)  # all of the trace
    second = cell.inner_text()
    page.keyboard.press("End")
    until(lambda: rows.evaluate("list => list.selectedIndex") == 19, "the last row of the page")
    until(lambda: cell.inner_text() != second, "and its trace: the kernel knows the row")
    page.keyboard.press("ArrowDown")  # over the edge of the page
    until(lambda: rows.locator("option").count() == 4, "the next page")
    page.keyboard.press("ArrowUp")
    until(lambda: rows.locator("option").count() == 20, "and back")
    page.keyboard.press("x")  # in JupyterLab alone it would cut the cell
    assert page.evaluate(ACTIVE_CELL) == active and cell.is_visible()
    until(lambda: page.evaluate(LABEL).strip() == "Rows", "the focus is where it was")
    page.keyboard.press("Home")
    until(lambda: rows.evaluate("list => list.selectedIndex") == 0, "the first row")
    until(lambda: cell.inner_text() == asked, "its traces again")
    until(lambda: len(tops := cell.evaluate(TOPS)) == 2 and abs(tops[0] - tops[1]) < 1, "aligned")
    until(lambda: cell.inner_text().count("(plain)") == 1, "one legend")
    selects(page, cell)
    first = cell.locator(".s1lab-trace").first.inner_text()
    wrong = cell.get_by_role("button", name=re.compile(r"^wrong \("))
    count = int(re.search(r"\d+", wrong.inner_text())[0])
    wrong.click()
    until(lambda: rows.locator("option").count() == count, "the filter lists the wrong ones")
    until(
        lambda: all("wrong" in text for text in rows.locator("option").all_inner_texts()),
        "each of them is wrong",
    )
    cell.get_by_role("button", name=re.compile(r"^all \(")).press(
        "Space"
    )  # the keyboard does it too
    until(lambda: rows.locator("option").count() == 20, "all again")
    jump = cell.get_by_label("Go to row")
    jump.fill("22")
    jump.press("Enter")
    until(
        lambda: cell.locator(".s1lab-trace").first.inner_text() != first,
        "the trace of row 22 is shown",
    )
    until(lambda: rows.locator("option").count() == 4, "on the next page")
    cell.get_by_role("button", name="row ▶").press("Enter")
    until(lambda: rows.evaluate("list => list.selectedIndex") == 3, "the row below")
    until(
        lambda: "first difference" in cell.locator(".s1lab-trace").last.inner_text(),
        "where its traces differ",
    )
    for _ in range(2):
        cell.get_by_role("button", name="round ▶").press("Enter")
        page.wait_for_timeout(300)
    until(lambda: "shown: round 1" in cell.inner_text(), "the first round")
    until(
        lambda: "<|im_start|>user" not in cell.locator(".s1lab-trace").first.inner_text(),
        "without the question",
    )
    field = cell.get_by_label("Token", exact=True)
    field.fill("70")
    field.press("Enter")
    until(lambda: ", position 70, " in cell.inner_text(), "the token in text, without a pointer")
    framed = cell.locator(".s1lab-trace span[style*='double']")
    until(
        lambda: (
            {
                re.search(r"position \d+", text)[0]
                for text in framed.evaluate_all("found => found.map(f => f.title)")
            }
            == {"position 70"}
        ),
        "and framed in each trace",
    )
    until(
        lambda: framed.evaluate_all(f"found => found.every({SEEN})"),
        "the token that was asked for, without scrolling",
    )
    token = cell.locator(".s1lab-trace span[title*='position']").first
    says = re.compile(r"^'.*', ids? \d+, position \d+, sampled$")
    until(lambda: says.search(token.get_attribute("title")), "what a pointer reads on a token")


def selects(page, cell) -> None:
    """A click on a token selects it, in both traces, and nothing moves under the pointer."""
    box = cell.locator(".s1lab-trace").first
    box.evaluate("box => { box.scrollTop = 60; }")
    top = box.evaluate("box => box.scrollTop")
    token = box.locator("span[title*='position 60, ']")
    place = token.bounding_box()
    token.click()
    until(lambda: ", position 60, " in cell.inner_text(), "the clicked token in words")
    until(lambda: "double" in (token.get_attribute("style") or ""), "and framed")
    until(
        lambda: box.evaluate("box => box.scrollTop") == top and token.bounding_box() == place,
        "the trace, drawn anew, at the same place",
    )
    until(lambda: cell.get_by_label("Token", exact=True).input_value() == "60", "its number")


def narrow(page, cells, tmp_path: Path) -> None:
    """On a phone every control wraps: no widget is wider than its place."""
    page.set_viewport_size({"width": 390, "height": 800})
    page.evaluate("window.jupyterapp.shell.collapseLeft()")
    page.wait_for_timeout(1000)
    for i in range(1, 7):
        cells[i].scroll_into_view_if_needed()
        cells[i].screenshot(path=tmp_path / f"narrow-{i}.png")
        until(lambda i=i: cells[i].evaluate(TOO_WIDE) == [], f"nothing is too wide: {CELLS[i]}")
    page.set_viewport_size({"width": 1300, "height": 1600})


def outlives(page, server: str, tmp_path: Path) -> None:
    """When the kernel is gone, and in a notebook that is not trusted, the stills say what to do."""
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    saved = tmp_path / "work" / "widgets.ipynb"
    until(lambda: "A still picture" in saved.read_text(), "the notebook is saved")
    copy = nbformat.read(saved, as_version=4)
    copy.cells[0].source += "\n# another notebook, which nobody has signed"
    nbformat.write(copy, tmp_path / "work" / "copy.ipynb")
    page.goto(f"{server}/lab/tree/copy.ipynb?token={TOKEN}")
    # JupyterLab opens the first notebook's tab again too, behind this one.
    shown = ".jp-NotebookPanel:not(.lm-mod-hidden)"
    stills = page.locator(f"{shown} [class^='s1lab-still']")
    until(lambda: stills.count() == 6, "the stills of a notebook that is not trusted")
    for at in range(6):
        still = stills.nth(at)
        until(lambda still=still: "Run the cell again to use it" in still.inner_text(), "its words")
        until(lambda still=still: still.locator("style, script, svg").count() == 0, "as on a host")
    rungs = stills.nth(1)
    until(
        lambda: rungs.locator("tr th").all_inner_texts()[1:3] == ["budget", "thinking tokens"],
        "the table of the rungs",
    )
    until(
        lambda: (
            rungs.locator("tr td:nth-child(2)").all_inner_texts()
            == ["cap 8", "cap 16", "cap 32", "own stop", "1 Wait"]
        ),
        "each rung",
    )
    until(
        lambda: rungs.locator("img").get_attribute("alt").startswith("accuracy over"), "the figure"
    )
    stills.nth(1).screenshot(path=tmp_path / "still.png")
    page.wait_for_function(IDLE)  # a server does not end well while a kernel starts


def drags(page, slider, share: float) -> None:
    """Drag a slider's handle to a share of its way."""
    handle = slider.locator(".noUi-handle")
    handle.scroll_into_view_if_needed()
    box, at = slider.locator(".noUi-base").bounding_box(), handle.bounding_box()
    page.mouse.move(at["x"] + at["width"] / 2, at["y"] + at["height"] / 2)
    page.mouse.down()
    for way in (share / 2, share):
        page.mouse.move(box["x"] + way * box["width"], at["y"] + at["height"] / 2, steps=8)
    page.mouse.up()


def climbs(page, cell) -> None:
    """Drag the budget from the first rung to the last: thinking, answer and accuracy move."""
    until(lambda: "8 thinking tokens" in cell.inner_text(), "the first rung")
    before = cell.inner_text()
    assert "cap 8: " in before
    drags(page, cell, 1)
    until(lambda: "1 Wait: " in cell.inner_text(), "the last rung")

    def accuracy(text: str) -> float:
        return float(re.search(r"accuracy ([\d.]+)", text)[1])

    until(lambda: accuracy(cell.inner_text()) > accuracy(before), "a higher accuracy")
    handle = cell.locator(".widget-hslider").first.locator(".noUi-handle")
    until(lambda: handle.get_attribute("aria-label") == "Budget", "the slider's name")
    for key, rung in (
        ("ArrowDown", "own stop: "),
        ("ArrowUp", "1 Wait: "),
        ("ArrowLeft", "own stop: "),
        ("ArrowRight", "1 Wait: "),
        ("Home", "cap 8: "),
        ("End", "1 Wait: "),
    ):
        handle.focus()
        page.keyboard.press(key)
        until(lambda rung=rung: rung in cell.inner_text(), f"{key} moves the slider")
    cell.get_by_role("button", name="◀ rung").press("Space")
    until(lambda: "own stop: " in cell.inner_text(), "the keyboard moves it too")


def browses(page, cell) -> None:
    """Another stage, one of its rules, a row of it: the reason is there."""
    until(lambda: "collected" in cell.inner_text() and "900" in cell.inner_text(), "the pool")
    chosen = cell.locator("button.mod-active")
    until(
        lambda: (
            [re.sub(r" \(.*", "", name) for name in chosen.all_inner_texts()]
            == ["quality", "any rule"]
        ),
        "what is chosen",
    )
    cell.get_by_role("button", name=re.compile("^API error")).click()
    until(lambda: "is an error message" in cell.inner_text(), "a row with its reason")
    until(lambda: re.sub(r" \(.*", "", chosen.last.inner_text()) == "API error", "its rule")
    cell.get_by_role("button", name=re.compile("^any rule")).click()
    until(
        lambda: chosen.last.inner_text().startswith("any rule"),
        "any rule is marked as chosen again",
    )
    cell.get_by_role("button", name=re.compile("^deduplicate")).press("Space")
    until(lambda: "dropped by deduplicate" in cell.inner_text(), "a row of the other stage")
    until(lambda: chosen.last.inner_text().startswith("any rule"), "any rule of it")


def asks(page, cell) -> None:
    """A budget that can't be kept is refused in words; then a question is asked and answered."""

    def bordered() -> bool:
        box, around = cell.get_by_label("Question").bounding_box(), cell.bounding_box()
        left, right = box["x"], box["x"] + box["width"]
        return around["x"] <= left and right <= around["x"] + around["width"]

    until(bordered, "all of the border is seen")
    question, run = cell.get_by_label("Question"), cell.get_by_role("button", name="Run")
    halt = cell.get_by_role("button", name="Stop")
    unlimited = cell.get_by_label("No cap")
    for example in ("letters", "smallest x", "pair with a sum", "+ and -", "tallest",
                    "common divisor"):  # fmt: skip
        cell.get_by_role("button", name=example, exact=True).click()
    until(lambda: "common divisor of" in question.input_value(), "the last example")
    until(lambda: page.evaluate(LABEL).strip() == "Question", "where Enter runs it")
    question.fill("How many r in raspberry")
    unlimited.uncheck()
    until(lambda: cell.get_by_label("Cap", exact=True).is_enabled(), "a cap can be chosen")
    for label, value in (("Cap", "10"), ("Minimum", "20"), ("Waits", "1")):
        cell.get_by_label(label, exact=True).fill(value)
        cell.get_by_label(label, exact=True).press("Tab")
    cell.get_by_role("button", name="common divisor").focus()
    until(lambda: "common divisor" in page.evaluate(LABEL), "where the walk begins")
    walked = []
    for _ in range(12):
        page.keyboard.press("Tab")
        walked.append(page.evaluate(LABEL).strip())
    sliding = [[name, f"{name} slider"] for name in ("Cap", "Minimum", "Waits", "Temperature")]
    assert walked == [
        *sliding[0], "No cap", *sliding[1], *sliding[2], "Wait word", *sliding[3], "Seed", "Run",
    ]  # fmt: skip
    page.keyboard.press("Space")
    until(
        lambda: "Minimum: 20 is above the Cap, which is 10" in cell.inner_text(),
        "the error as a sentence that names the control",
    )
    cell.get_by_label("Minimum", exact=True).fill("0")
    cell.get_by_label("Minimum", exact=True).press("Tab")
    until(lambda: "Error:" not in cell.inner_text(), "the error goes away with the next action")
    unlimited.check()
    until(lambda: cell.get_by_label("Cap", exact=True).is_disabled(), "no cap")
    question.focus()
    question.press("End")
    page.keyboard.type("?")
    page.keyboard.press("Enter")
    until(lambda: "done: " in cell.inner_text(), "the end of the run")
    until(lambda: page.evaluate(LABEL).strip() == "Question", "the focus stays")
    answered = "answer to: How many r in raspberry?, no cap, 1 Wait, Wait word 'Wait', greedy"
    until(lambda: answered in cell.inner_text() and cell.evaluate(DIM) == "1", "what was answered")
    until(
        lambda: (
            "«Wait»" in cell.locator(".s1lab-trace").inner_text()
            and "Answer: 3" in cell.inner_text()
        ),
        "the Wait and the answer",
    )
    waits = cell.get_by_label("Waits", exact=True)
    drags(page, cell.locator(".widget-hslider", has_text="Waits slider"), 2 / 8)
    until(lambda: waits.input_value() == "2", "the number follows the slider")
    until(lambda: f"this is the {answered}" in cell.inner_text(), "what the trace answers")
    until(lambda: float(cell.evaluate(DIM)) < 1, "the old trace is dim")
    run.focus()
    run.press("Enter")
    until(
        lambda: "2 waits" in cell.inner_text() and halt.is_disabled(), "the next trace: two Waits"
    )
    until(
        lambda: page.evaluate(LABEL).strip() == "Run" and cell.evaluate(DIM) == "1",
        "the focus on Run",
    )
    until(lambda: cell.locator(".s1lab-trace").inner_text().count("«Wait»") == 2, "two Waits")
    waits.fill("1")
    waits.press("Enter")  # runs, from a field of a number too
    until(lambda: "1 Wait, " in cell.inner_text() and "done: " in cell.inner_text(), "one Wait")
    token = cell.locator(".s1lab-trace span[title*='position 40, ']")
    token.click()
    until(lambda: ", position 40, " in cell.inner_text(), "the clicked token")
    waits.fill("11")
    waits.press("Tab")
    handle = cell.locator(".widget-hslider", has_text="Waits slider").locator(".noUi-handle")
    until(lambda: handle.get_attribute("aria-valuenow") == "8.0", "the slider follows the number")
    until(lambda: waits.input_value() == "11", "beyond the slider, as it was typed")
    question.fill("What is the capital of France?")
    waits.fill("0")
    waits.press("Enter")
    until(lambda: "taught six kinds of questions only" in cell.inner_text(), "an unknown question")


def stops(page, cell) -> None:
    """A run of hundreds of tokens, one a piece: it grows, the kernel answers meanwhile, and Stop
    ends it before its time.
    """
    cell.get_by_label("Minimum", exact=True).fill("3000")
    cell.get_by_label("Minimum", exact=True).press("Tab")
    cell.get_by_role("button", name="Run").click()
    until(
        lambda: (
            "writing: " in cell.inner_text()
            and cell.locator(".s1lab-trace span[title]").count() > 60
        ),
        "the first tokens",
    )
    early = cell.locator(".s1lab-trace span[title]").count()
    until(lambda: cell.locator(".s1lab-trace span[title]").count() > early, "more tokens")
    until(lambda: cell.locator(".s1lab-trace").evaluate(OVERFLOWS), "more than the box holds")
    for _ in range(10):
        until(lambda: newest_seen(cell), "the newest token")
        page.wait_for_timeout(100)
    assert "writing: " in cell.inner_text()  # it grew meanwhile
    last = page.locator(".jp-CodeCell").nth(len(CELLS) - 1)
    count = last.locator(".jp-InputPrompt").inner_text()
    last.locator(".jp-InputPrompt").click()
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-cell')")
    until(
        lambda: (
            re.match(r"\[\d+\]", now := last.locator(".jp-InputPrompt").inner_text())
            and now != count
        ),
        "the kernel is free",
    )
    assert "writing: " in cell.inner_text()
    cell.get_by_role("button", name="Stop").press("Enter")
    until(lambda: page.evaluate(LABEL).strip() == "Run", "the focus goes on to Run")
    until(lambda: "stopped: " in cell.inner_text(), "the end of it")
    until(
        lambda: int(re.search(r"stopped: ([\d,]+)", cell.inner_text())[1].replace(",", "")) < 3000,
        "before its time",
    )
    until(lambda: cell.get_by_role("button", name="Run").is_enabled(), "the next may run")
    until(lambda: newest_seen(cell), "the last token")
    scrolls(page, cell)
    field = cell.get_by_label("Token", exact=True)
    for at in ("60", "61"):  # far above, beyond the box
        field.fill(at)
        field.press("Enter")
        until(lambda at=at: f", position {at}, " in cell.inner_text(), "the token in text")
        marked = cell.locator(".s1lab-trace span[style*='double'][title]")
        until(
            lambda marked=marked: seen(marked), "the token in sight"
        )  # it is scrolled to a moment later


def contrast(page, cell) -> float:
    """The contrast between the text of a widget and the page behind it, as WCAG counts it."""
    return cell.evaluate(
        """cell => {
            const luminance = color => {
                const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map(Number).map(v => v / 255)
                    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const shown = cell.querySelector('.s1lab-trace pre, .widget-html-content td');
            const text = luminance(getComputedStyle(shown).color);
            const notebook = document.querySelector('.jp-Notebook');
            const page = luminance(getComputedStyle(notebook).backgroundColor);
            return (Math.max(text, page) + 0.05) / (Math.min(text, page) + 0.05);
        }"""
    )


EXPORTED = [
    CELLS[0].replace("24", "4").replace("caps=(8, 16, 32)", "caps=(8,)"),
    *CELLS[1:4],
    "pad = lab.widgets.playground(engine, 'How many r in raspberry')\npad.start().wait(60)\npad",
]


@needs_browser
@pytest.mark.timeout(300)
@pytest.mark.parametrize("runner", ["nbconvert", "papermill"])
def test_an_exported_notebook_shows_every_widget_without_a_network(
    tmp_path: Path, runner: str
) -> None:
    """Both keep the widgets' state, so that nbconvert writes the live views, whose scripts can't be
    fetched.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    nbformat.write(notebook_of(*EXPORTED), tmp_path / "in.ipynb")
    commands = {
        "nbconvert": [
            ["nbconvert", "--execute", "--to", "html", "--output", "out.html", "in.ipynb"]
        ],
        "papermill": [
            ["papermill", "in.ipynb", "out.ipynb"],
            ["nbconvert", "--to", "html", "out.ipynb"],
        ],
    }[runner]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    for command in commands:
        ran = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stderr[-2000:]
    written = (tmp_path / "out.html").read_text()
    assert "widget-state+json" in written  # the case that was blank
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        try:
            page = browser.new_context(offline=True).new_page()
            page.goto((tmp_path / "out.html").as_uri(), wait_until="domcontentloaded")
            stills = page.locator("[class^='s1lab-still']")
            until(lambda: [s.is_visible() for s in stills.all()] == [True] * 4, "each still")
            assert page.get_by_text("A still picture of a widget").count() == 4
            assert (
                "«Wait»" in stills.nth(0).inner_text() and "Answer: " in stills.nth(3).inner_text()
            )
            page.screenshot(path=tmp_path / "page.png", full_page=True)
            # What a live view does where its scripts are there: it brings the style along.
            name = stills.nth(3).get_attribute("class")
            style = f"<style>{hiding(name)}</style>"
            page.evaluate(
                "html => document.body.insertAdjacentHTML('beforeend', html)",
                f'{style}<div id="elsewhere"><div class="{name}">outside JupyterLab</div></div>',
            )
            until(lambda: not page.locator("#elsewhere > div").is_visible(), "hidden elsewhere")
            inside = page.locator(".jp-OutputArea [class^='s1lab-still']")
            assert [still.is_visible() for still in inside.all()] == [True] * 4  # no live view here
            stills.nth(3).evaluate(
                "still => still.closest('.jp-OutputArea').insertAdjacentHTML('beforeend', "
                "'<div><div class=\"s1lab-panel\">live</div></div>')"
            )
            assert [still.is_visible() for still in inside.all()] == [True, True, True, False]
        finally:
            browser.close()
