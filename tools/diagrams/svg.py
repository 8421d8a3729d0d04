"""A few helpers that write SVG text: boxes, chips, arrows and labels.

Colours are classes of one style sheet, which has a light and a dark scheme. The colours of a
trace's origins are those of `s1lab.figures.trace_view`. The kind of border says the same without
colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, MARGIN = 600, 24
EM = 0.6  # the widest that a letter is on average, in em; of a monospaced font it is the width
SIZES = {"h": 15, "b": 14, "t": 14, "m": 13, "c": 13}  # pixels of each class of text


class Paint(NamedTuple):
    """How a kind of box looks: fill and border in the light and in the dark scheme."""

    fill: str
    stroke: str
    dark_fill: str
    dark_stroke: str
    border: str = ""


# Okabe and Ito's colours, pale as a fill and full as a border.
PAINTS = {
    "card": Paint("#FCFCFB", "#D4D7DB", "#1B2027", "#3D4550"),
    "prompt": Paint("#E8EAED", "#8B939C", "#343B45", "#8B96A3"),
    "sampled": Paint("#FFFFFF", "#8B939C", "#232A33", "#8B96A3"),
    "continuation": Paint("#FBE5B5", "#C98700", "#574007", "#E69F00", "stroke-width:3"),
    "close": Paint("#F4E0EC", "#B0578D", "#4A2A3E", "#DE9AC3", "stroke-dasharray:2 3"),
    "prefix": Paint("#FADECE", "#D55E00", "#56290D", "#F0894A", "stroke-dasharray:7 3"),
    "answer": Paint("#CDEBE0", "#009E73", "#0D4434", "#35BE97", "stroke-width:2.5"),
    "blue": Paint("#DDECF6", "#0072B2", "#123A52", "#56B4E9"),
    "gone": Paint("none", "#8B939C", "none", "#8B96A3", "stroke-dasharray:3 4"),
    "open": Paint("none", "#0072B2", "none", "#56B4E9", "stroke-width:1.5"),
}
INK, MUTED = ("#1F2328", "#E8EDF2"), ("#555D66", "#AEB8C3")
SANS = "-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
LINES = {
    "line": "",
    "dashed": "stroke-dasharray:5 4",
    "limit": "stroke-width:2.5;stroke-dasharray:7 3",
}


class Drawing:
    """A diagram that grows: each method adds to it, and `svg` gives the file's text.

    Args:
        title: What it shows, in a few words; the heading inside the picture too.
        description: The picture in sentences, for those who can't see it.
        of: Whose texts and numbers they are, such as "s1-tiny"; written at the right.
    """

    def __init__(self, title: str, description: str, of: str = "") -> None:
        self.title, self.description = title, description
        self.parts: list[str] = []
        self.kinds: set[str] = {"card"}
        self.lines: set[str] = set()
        self.text(MARGIN, 37, title, "h")
        if of:
            self.text(WIDTH - MARGIN, 37, of, "m", "end")

    def text(self, x: float, y: float, text: str, kind: str = "t", anchor: str = "start") -> None:
        """Write a line of text; ``y`` is its baseline.

        Args:
            x: Where it begins, is centred or ends.
            y: Its baseline.
            text: The text.
            kind: "h" heading, "b" bold, "t" text, "m" muted, "c" code.
            anchor: "start", "middle" or "end".
        """
        if not text:
            return
        where = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self.parts.append(f'<text class="{kind}" x="{x:g}" y="{y:g}"{where}>{escape(text)}</text>')

    def box(
        self, x: float, y: float, w: float, h: float, kind: str, text: str = "", style: str = "t"
    ) -> None:
        """Draw a rounded box, with lines of text in its middle."""
        self.kinds.add(kind)
        self.parts.append(
            f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" '
            f'rx="{min(5, w / 4):g}"/>'
        )
        rows = text.split("\n") if text else []
        for n, row in enumerate(rows):
            middle = y + h / 2 + 18 * (n - (len(rows) - 1) / 2)
            self.text(x + w / 2, middle + 5, row, style, "middle")

    def chips(
        self, x: float, y: float, texts: Sequence[str], kind: str, gap: float = 6
    ) -> tuple[float, float]:
        """Draw texts of a trace in a row, each in a box of its width.

        Returns:
            Where the next chip would begin, and the middle of the last one.
        """
        middle = x
        for text in texts:
            w = chip_width(text)
            self.box(x, y, w, 28, kind, text, "c")
            x, middle = x + w + gap, x + w / 2
        return x, middle

    def arrow(self, *points: tuple[float, float], kind: str = "line", head: bool = True) -> None:
        """Draw a line through points, with a head at its end."""
        self.lines |= {kind}
        path = "L".join(f"{x:g} {y:g}" for x, y in points)
        end = ' marker-end="url(#head)"' if head else ""
        self.parts.append(f'<path class="{kind}" d="M{path}"{end}/>')

    def gather(self, xs: Sequence[float], top: float, low: float) -> None:
        """Draw lines down from several places, joined to one arrow at the middle."""
        middle, joint = (xs[0] + xs[-1]) / 2, (top + low) / 2
        for x in xs:
            self.arrow((x, top), (x, joint), head=False)
        self.arrow((xs[0], joint), (xs[-1], joint), head=False)
        self.arrow((middle, joint), (middle, low))

    def step(self, y: float, number: int, text: str) -> None:
        """Write a numbered step's sentence."""
        self.box(MARGIN, y - 15, 21, 21, "blue", str(number), "b")
        self.text(MARGIN + 31, y, text)

    def svg(self, height: int) -> str:
        """The file's text, of a card as high as this."""
        size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
        head = (
            '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"'
            ' markerUnits="userSpaceOnUse" orient="auto"><path class="tip" d="M0 0L8 4L0 8z"/>'
            "</marker>"
        )
        card = f'<rect class="card" x="1" y="1" width="{WIDTH - 2}" height="{height - 2}" rx="12"/>'
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" '
                'aria-labelledby="title description">',
                f'<title id="title">{escape(self.title)}</title>',
                f'<desc id="description">{escape(self.description)}</desc>',
                f"<style>\n{self._style()}</style>",
                *([head] if self.lines else []),
                card,
                *self.parts,
                "</svg>\n",
            ]
        )

    def _style(self) -> str:
        sizes = "".join(
            f".{kind}{{font:{'bold ' * (kind in 'hb')}{size}px {MONO if kind == 'c' else SANS}}}\n"
            for kind, size in SIZES.items()
        )
        kinds = [kind for kind in PAINTS if kind in self.kinds]
        borders = "".join(
            f".{kind}{{{PAINTS[kind].border}}}\n" for kind in kinds if PAINTS[kind].border
        )
        lines = "".join(
            f".{kind}{{fill:none;{LINES[kind]}}}\n" for kind in LINES if kind in self.lines
        )
        light, dark = ("".join(self._colours(kinds, scheme)) for scheme in (0, 1))
        return f"{sizes}{borders}{lines}{light}@media (prefers-color-scheme:dark){{\n{dark}}}\n"

    def _colours(self, kinds: Sequence[str], scheme: int) -> list[str]:
        paints = [(kind, PAINTS[kind][2 * scheme : 2 * scheme + 2]) for kind in kinds]
        rules = [f"text{{fill:{INK[scheme]}}}\n.m{{fill:{MUTED[scheme]}}}\n"]
        rules += [f".{kind}{{fill:{fill};stroke:{stroke}}}\n" for kind, (fill, stroke) in paints]
        limit = PAINTS["prefix"][2 * scheme + 1]
        if self.lines:
            rules.append(f".tip{{fill:{MUTED[scheme]}}}\n")
        rules += [
            f".{kind}{{stroke:{limit if kind == 'limit' else MUTED[scheme]}}}\n"
            for kind in LINES
            if kind in self.lines
        ]
        return rules


def chip_width(text: str) -> float:
    """The width of a chip: its letters, and room at both sides."""
    return round(SIZES["c"] * EM * len(text)) + 14
