"""Shared parts of the widgets: a panel that also works without a kernel, and a list in pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from hashlib import sha256
from html import escape
from typing import Any

import ipywidgets as ipw
from IPython.display import display

from s1lab.widgets.page import live_style

VIEW = "application/vnd.jupyter.widget-view+json"
PAGE = 20  # rows of a list that are made and sent at once
NARROW = {"description_width": "initial"}
# the list in a still picture
PLAIN = (
    '<pre style="font-family:monospace;font-size:12px;line-height:1.4;margin:.4em 0;'
    'overflow-x:auto">'
)
SCROLL = re.compile(r"max-height:\d+em;overflow-y:auto;?")
NOTE = (
    "<div><i>A still picture of a widget. Run the cell again to use it (Shift+Enter). An error "
    "message below means only that the kernel of the picture is gone.</i></div>"
)


class Panel(ipw.VBox):  # type: ignore[misc]
    """A column of controls, with HTML for a page or a code host where no kernel runs.

    The HTML is an output of its own. If one output has both, nbconvert takes the view, and a page
    that is read without a network can't fetch its scripts. Where the live view is drawn, its style
    hides the HTML.
    """

    def __init__(self, children: Sequence[ipw.Widget]) -> None:
        self._hiding = ipw.HTML(live_style(), layout=ipw.Layout(display="none"))
        super().__init__([*children, self._hiding])
        self.add_class("s1lab-panel")

    def static_html(self) -> str:
        """Return the current content of the panel as HTML without controls."""
        raise NotImplementedError

    def still(self) -> str:
        """Return the HTML that is shown where the controls don't work.

        Code hosts remove styles, scripts and drawings from HTML. So tables are tables, and nothing
        is said by a style alone.
        """
        # Paper has no scroll bar, and some hosts keep a height but remove the scrolling. So a still
        # picture shows everything.
        return SCROLL.sub("", self.static_html()) + NOTE

    def _ipython_display_(self) -> None:
        still = self.still()
        # the same in every run of a notebook
        name = f"s1lab-still-{sha256(still.encode()).hexdigest()[:12]}"
        self._hiding.value += f"<style>{hiding(name)}</style>"
        words = f"{type(self).__name__}: run the cell again in JupyterLab to use it"
        display({"text/html": f'<div class="{name}">{still}</div>', "text/plain": words}, raw=True)
        # The view's output has no text of its own: the HTML in front of it is shown without a
        # kernel.
        display({VIEW: super()._repr_mimebundle_()[VIEW], "text/html": ""}, raw=True)


def hiding(name: str) -> str:
    """Return the rules that hide a still picture where its live view is.

    A copy of the notebook that is open beside it has the same still picture and no live view. So
    in JupyterLab, and in a page of nbconvert, only the still in the view's own output is hidden.
    """
    return (
        f".{name}:not(.jp-OutputArea *){{display:none}}"
        f".jp-OutputArea:has(.s1lab-panel) > * .{name}{{display:none}}"
    )


def html(value: str = "", grow: bool = False) -> ipw.HTML:
    """Make a place for HTML. With ``grow``, it takes an even share of its row for any content."""
    return ipw.HTML(
        value, layout=ipw.Layout(flex="1 1 0", min_width="0") if grow else ipw.Layout(width="auto")
    )


def sentence(text: str, error: bool = False) -> str:
    """Return a line of text. A word marks an error, besides its colour.

    A screen reader does not read it out by itself. That would need a region of the page that stays
    while its text changes; an ipywidgets HTML replaces all its content and has no role of its own.
    The line is placed where a reader finds it, after the controls that change it.
    """
    look, lead = (
        (";border-left:4px solid #D55E00;padding-left:.5em", "<b>Error:</b> ")
        if error
        else ("", "")
    )
    return f'<div style="line-height:1.5{look}">{lead}{escape(text)}</div>' if text else ""


def button(text: str, tip: str, pressed: Callable[[], Any]) -> ipw.Button:
    """Make a button with a tip, and call ``pressed`` when it is pressed."""
    made = ipw.Button(description=text, tooltip=tip, layout=ipw.Layout(width="auto"))
    made.on_click(lambda _: pressed())
    return made


def partners(one: ipw.Button, other: ipw.Button) -> None:
    """Where a press disables its own button, give the focus to the other, so that it stays near."""

    def hand_over(pressed: ipw.Button) -> None:
        left = other if pressed is one else one
        if pressed.disabled and not left.disabled:
            left.focus()

    for each in (one, other):
        each.on_click(hand_over)


def choices(name: str, options: Sequence[tuple[str, Any]] = ()) -> ipw.ToggleButtons:
    """Make buttons to choose one of a few: all are seen, and each is one press away."""
    return ipw.ToggleButtons(
        options=options, description=name, style={"button_width": "auto", **NARROW}
    )


def row(*children: ipw.Widget) -> ipw.HBox:
    """Put widgets side by side."""
    return ipw.HBox(children, layout=ipw.Layout(flex_flow="row wrap", align_items="center"))


class Pages:
    """Rows by number, listed a page at a time. A chosen row is passed on.

    ``box`` is the widget to show.

    Args:
        labels: Returns the texts of rows. It is called for the rows of one page only.
        chosen: Called with a row's number.
    """

    def __init__(
        self, labels: Callable[[Sequence[int]], list[str]], chosen: Callable[[int], None]
    ) -> None:
        self._labels, self._chosen = labels, chosen
        self.rows: Sequence[int] = ()
        self.page, self._what, self._range = 0, "", ""
        self._turning = self._failed = False
        # JupyterLab would take the arrow keys for its cells: see `s1lab.widgets.page`. Where
        # its script may not run, the keyboard uses the buttons and the number.
        self.list = ipw.Select(
            options=[], description="Rows", rows=8, layout=ipw.Layout(width="auto"), style=NARROW
        )
        self.up = button("◀ row", "the row before", lambda: self.step(-1))
        self.down = button("row ▶", "the next row", lambda: self.step(1))
        self.back = button("◀ page", "the page of rows before", lambda: self.turn(self.page - 1))
        self.on = button("page ▶", "the next page of rows", lambda: self.turn(self.page + 1))
        self.up.add_class("s1lab-up")
        self.down.add_class("s1lab-down")
        partners(self.back, self.on)
        self.jump = ipw.IntText(
            description="Go to row", continuous_update=False, style=NARROW,
            layout=ipw.Layout(width="170px"), tooltip="a row's number; Enter goes there",
        )  # fmt: skip
        self.where = html()
        self.list.observe(self._listed, "value")
        self.jump.observe(lambda change: None if self._turning else self.go(change["new"]), "value")
        self.controls = row(self.jump, self.up, self.down, self.back, self.on, self.where)
        self.box = ipw.VBox([self.controls, self.list])
        self.box.add_class("s1lab-rows")

    def show(self, rows: Sequence[int], what: str = "") -> None:
        """List other rows from their first page on, and choose the first.

        Args:
            rows: Numbers of the rows.
            what: A word for the rows.
        """
        self.rows, self._what = rows, f"{what}: " if what else ""
        self.turn(0)

    def turn(self, page: int, chosen: int | None = None) -> None:
        """Show the nearest page, and choose a row of it (None: its first)."""
        last = max(0, (len(self.rows) - 1) // PAGE)
        self.page = min(max(page, 0), last)
        here = list(self.rows[self.page * PAGE : (self.page + 1) * PAGE])
        options = list(zip(self._labels(here), here, strict=True)) if here else []
        self.back.disabled, self.on.disabled = self.page == 0, self.page == last
        self.up.disabled = self.down.disabled = not here
        first = self.page * PAGE
        self._range = self._what + (
            f"{first + 1:,} to {first + len(here):,} of {len(self.rows):,}" if here else "no rows"
        )
        self._failed = False
        self.where.value = sentence(self._range)
        # new options choose their first by themselves, and the user did not ask to see it
        self._turning = True
        self.list.options = options
        self.list.value = (here[0] if chosen is None else chosen) if here else None
        self._turning = False
        if here:
            self._tell(self.list.value)

    def step(self, by: int) -> None:
        """Go to the row before or after the chosen one, also across the edge of a page."""
        if self.rows:
            place = self.rows.index(self.list.value) + by
            self.go(self.rows[min(max(place, 0), len(self.rows) - 1)])

    def go(self, number: int) -> None:
        """Go to a row by its number. If it is not among these rows, say so."""
        try:
            place = self.rows.index(number)
        except ValueError:
            self._failed = True
            said = f"Go to row: {number:,} is not among these {len(self.rows):,} rows"
            self.where.value = sentence(f"{self._what}{said}", error=True)
        else:
            self.turn(place // PAGE, number)

    def settle(self) -> None:
        """Take an error away, with the number that caused it. Any other action calls this."""
        if self._failed:
            self._failed = False
            self.where.value = sentence(self._range)
            if self.list.value is not None:
                self._turning = True
                self.jump.value = self.list.value
                self._turning = False

    def _listed(self, change: dict[str, Any]) -> None:
        if change["new"] is not None and not self._turning:
            self._tell(change["new"])

    def _tell(self, number: int) -> None:
        """Pass a choice on.

        The number field shows it too, so that any other number in it is a change.
        """
        self.settle()
        self._turning = True
        self.jump.value = number
        self._turning = False
        self._chosen(number)
