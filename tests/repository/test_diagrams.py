"""The diagrams of the notebooks: drawn by the code, readable in both schemes, and true."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

import s1lab as lab
from s1lab.methods.allocation import balanced
from tools.diagrams import DIAGRAMS, budgets, methods

FOLDER = Path(__file__).parents[2] / "notebooks" / "diagrams"
NAMES = {
    "trace", "cut", "wait", "ladder", "funnel", "algorithm_1", "loss_mask", "program", "vote",
    "tree", "probes", "paired", "controls", "split",
}  # fmt: skip
SVG = "{http://www.w3.org/2000/svg}"
EM = 0.6
diagram = pytest.mark.parametrize("name", sorted(NAMES))


class Area(NamedTuple):
    left: float
    top: float
    right: float
    low: float
    kind: str
    text: str = ""

    def holds(self, other: Area) -> bool:
        return (
            self.left <= other.left
            and self.top <= other.top
            and other.right <= self.right
            and other.low <= self.low
        )

    def meets(self, other: Area) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.low
            and other.top < self.low
        )

    def size(self) -> float:
        return (self.right - self.left) * (self.low - self.top)


def parsed(name: str) -> ElementTree.Element:
    return ElementTree.fromstring((FOLDER / f"{name}.svg").read_text(encoding="utf-8"))


def style(root: ElementTree.Element) -> str:
    return root.findtext(f"{SVG}style")


def boxes(root: ElementTree.Element) -> list[Area]:
    found = []
    for rect in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(rect.get(key)) for key in ("x", "y", "width", "height"))
        found.append(Area(x, y, x + w, y + h, rect.get("class")))
    return found


def texts(root: ElementTree.Element) -> list[Area]:
    sizes = dict(re.findall(r"\.(\w+)\{font:(?:bold )?(\d+)px", style(root)))
    found = []
    for text in root.iter(f"{SVG}text"):
        size = int(sizes[text.get("class")])
        width, x, y = EM * size * len(text.text), float(text.get("x")), float(text.get("y"))
        x -= width * {"start": 0, "middle": 0.5, "end": 1}[text.get("text-anchor", "start")]
        found.append(
            Area(x, y - 0.8 * size, x + width, y + 0.2 * size, text.get("class"), text.text)
        )
    return found


def around(text: Area, areas: list[Area]) -> Area:
    """The smallest box that has the middle of a text in it."""
    x, y = (text.left + text.right) / 2, (text.top + text.low) / 2
    point = Area(x, y, x, y, "")
    return min((area for area in areas if area.holds(point)), key=Area.size)


def colours(css: str) -> dict[str, str]:
    """Each class's fill; that of text without a class of its own is "text"."""
    return dict(re.findall(r"^\.?(\w+)\{fill:(#\w{6})", css, re.MULTILINE))


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def crosses(start: tuple[float, float], end: tuple[float, float], area: Area) -> bool:
    """Whether a line goes through an area."""
    points = (
        (start[0] + (end[0] - start[0]) * n / 200, start[1] + (end[1] - start[1]) * n / 200)
        for n in range(201)
    )
    return any(area.left < x < area.right and area.top < y < area.low for x, y in points)


def test_the_folder_has_the_fourteen_diagrams_and_nothing_else():
    assert set(DIAGRAMS) == NAMES
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.svg" for name in NAMES}


@diagram
def test_the_committed_file_is_what_the_code_draws(name):
    assert (FOLDER / f"{name}.svg").read_bytes() == DIAGRAMS[name]().encode(), "make diagrams"


@diagram
def test_it_is_small_and_narrow_and_says_in_words_what_it_shows(name):
    root = parsed(name)
    width, height = (float(root.get(side)) for side in ("width", "height"))
    assert root.get("viewBox") == f"0 0 {width:g} {height:g}" and width <= 900
    assert (FOLDER / f"{name}.svg").stat().st_size <= 12 * 1024
    assert root.findtext(f"{SVG}title") and len(root.findtext(f"{SVG}desc")) > 80


@diagram
def test_no_text_leaves_its_box_or_meets_another_text(name):
    root = parsed(name)
    areas, found = boxes(root), texts(root)
    for text in found:
        assert around(text, areas).holds(text), text
        for area in areas:
            assert area.holds(text) or not area.meets(text), (text, area)
    for one, other in combinations(found, 2):
        assert not one.meets(other), (one.text, other.text)


@diagram
def test_no_arrow_goes_through_a_text(name):
    root = parsed(name)
    for path in root.findall(f"{SVG}path"):
        points = [tuple(map(float, p.split())) for p in path.get("d")[1:].split("L")]
        for start, end in pairwise(points):
            for text in texts(root):
                assert not crosses(start, end, text), (path.get("d"), text.text)


@diagram
def test_every_text_has_contrast_in_both_schemes(name):
    root = parsed(name)
    light, _, dark = style(root).partition("@media (prefers-color-scheme:dark)")
    assert dark
    for fills in (colours(light), colours(dark)):
        for text in texts(root):
            filled = [area for area in boxes(root) if area.kind in fills]
            ground = fills[around(text, filled).kind]
            assert contrast(fills.get(text.kind, fills["text"]), ground) >= 4.5, text


def test_the_shares_of_the_tree_are_those_of_rebase():
    width = len(methods.STEP_1)
    assert balanced(methods.STEP_1, width, 0.2) == methods.SHARES_1
    open_branches = sum(methods.SHARES_1) - 1  # one has finished
    assert balanced(methods.STEP_2, open_branches, 0.2) == methods.SHARES_2


@pytest.mark.long
def test_the_traces_of_the_diagrams_are_those_of_the_embedded_model():
    engine = lab.load("s1-tiny")
    rungs = lab.ladder(engine, budgets.QUESTION, (16, 24), (0, 1), progress=False)
    drawn = [(name, tokens, str(answer)) for name, tokens, answer in budgets.RUNGS]
    assert drawn == [(n, t.thinking_tokens, t.answer.split()[-1]) for n, t in rungs.items()]
    lines = rungs.at(waits=1).thinking.split("\n")
    assert lines == [*budgets.LINES, "stop", "Wait", *budgets.MORE, ""]
    counts = {str(s): rungs.at(waits=1).source.count(s) for s in rungs.at(waits=1).source}
    assert counts == {"prompt": 29, "sampled": 73, "continuation": 1, "close": 3, "answer": 4}
    caps = [tokens for tokens, _ in budgets.PROBES]
    probes = lab.ladder(engine, budgets.QUESTION, caps, progress=False).traces
    assert [t.answer.split()[-1] for t in probes] == [str(answer) for _, answer in budgets.PROBES]
