"""How a trace looks: as text in a terminal, as HTML in a notebook, and token by token in a widget.

The looks of a source are in one table. Everything that shows a trace goes through this module. It
does not import `s1lab.trace`, because a trace shows itself with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from s1lab.tokenization.conversation import printable

if TYPE_CHECKING:
    from s1lab.trace import Source, Trace
    from s1lab.widgets.tokens import Token


class Look(NamedTuple):
    """How the ids of one source look.

    Attributes:
        style: The style in HTML. It is inline, because code hosts remove style sheets.
        ansi: The code of a terminal's colour.
        words: The looks in words, for a legend.
        quoted: Whether the text is in «guillemets», as all forced text is.
        tag: An HTML element that says about the same where a code host removes the style.
    """

    style: str
    ansi: str
    words: str
    quoted: bool = False
    tag: str = "span"


# The colours of Okabe and Ito, so faint that text stays readable on a white and on a black page.
# Guillemets, slant and the kind of underline say the same without colour.
LOOKS = {
    "prompt": Look("opacity:.72;font-style:italic", "2", "slanted", tag="i"),
    "sampled": Look("", "0", "plain"),
    "continuation": Look(
        "background:#E69F0055;font-weight:bold;border-bottom:3px double #E69F00",
        "1;33",
        "«bold», double line",
        quoted=True,
        tag="b",
    ),
    "close": Look(
        "background:#CC79A744;border-bottom:2px dotted #CC79A7",
        "35",
        "«», dotted line",
        quoted=True,
    ),
    "answer prefix": Look(
        "background:#D55E0044;font-weight:bold;border-bottom:2px dashed #D55E00",
        "1;31",
        "«bold», dashed line",
        quoted=True,
        tag="b",
    ),
    "answer": Look(
        "background:#009E7333;text-decoration:none;border-bottom:2px solid #009E73",
        "32",
        "line",
        tag="ins",
    ),
}

BADGE = "font-size:80%;font-family:sans-serif;font-weight:bold;white-space:nowrap;padding:0 .2em"
BOX = (
    # Without flex, a <pre> that JupyterLab lets overflow would shrink and scroll itself, instead of
    # the box around it.
    "flex:none;white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.6;margin:.3em 0;"
    "padding:.5em;border:1px solid #8888;border-radius:3px;"
    "font-family:var(--jp-code-font-family,monospace);font-size:var(--jp-code-font-size,13px);"
    "color:var(--jp-content-font-color1,inherit);background:transparent"
)
FRAME = ' style="outline:2px solid currentColor"'
LOOKED = ' style="outline:4px double currentColor"'


def terminal(trace: Trace, color: bool) -> str:
    """Write a trace as text, with its notes and its summary at the end."""
    out = []
    for source, text in trace.segments():
        before, after = _marks(source, color)
        out += [before, printable(text), after]
    return "".join(out) + _remarks(trace)


def follow(events: Iterable[Trace], write: Callable[[str], None], color: bool) -> Trace | None:
    """Write a trace as it grows. In the end what was written is `terminal`'s text.

    Args:
        events: The trace, again and again, as `s1lab.engines.background.Handle.events` gives it.
        write: Writes text.
        color: Whether to add colours.

    Returns:
        The last event, which is the whole trace; None if there was none.
    """
    out: list[str] = []
    at, shown, after, trace = -1, 0, "", None  # the segment that is written, and how much of it

    def put(text: str) -> None:
        if text:
            out.append(text)
            write(text)

    for trace in events:
        segments = trace.segments()
        for place, (source, text) in enumerate(segments):
            if place > at:
                put(after)
                before, after = _marks(source, color)
                at, shown = place, 0
                put(before)
            if place == at:
                # The last letter may be half written: its bytes come with the next id.
                last = place == len(segments) - 1
                text = printable(text).rstrip("\ufffd") if last else printable(text)
                put(text[shown:])
                shown = max(shown, len(text))
    if trace is None:
        return None
    whole, written = terminal(trace, color), "".join(out) + after
    # The program may have thrown something away, or a letter was never finished.
    put(after + whole[len(written) :] if whole.startswith(written) else f"{after}\n\n{whole}")
    return trace


def _marks(source: Source, color: bool) -> tuple[str, str]:
    """What a terminal gets before and after a text of this source."""
    look = LOOKS[source]
    opened, closed = ("«", "»") if look.quoted else ("", "")
    return (f"\x1b[{look.ansi}m{opened}", f"{closed}\x1b[0m") if color else (opened, closed)


def _remarks(trace: Trace) -> str:
    said = [line for line in (*trace.notes, trace.error, trace.summary()) if line]
    return "".join(f"\n[{printable(line)}]" for line in said)


def trace_html(trace: Trace) -> str:
    """Write a trace as HTML: its summary, a legend, its segments, and its notes."""
    counts = {source: trace.source.count(source) for source in trace.source}
    segments = "".join(
        _stretch(source, _closed(source, escape(text)), f"{source}: {counts[source]} tokens")
        for source, text in trace.segments()
    )
    notes = "".join(f"<div>{escape(line)}</div>" for line in trace.notes)
    if trace.error:
        notes += f'<div style="color:#D55E00">{escape(trace.error)}</div>'
    return (
        f'<div style="font-size:90%"><b>{escape(trace.summary())}</b>'
        f'<div style="line-height:1.8">{_legend(trace.source, "({})")}</div></div>'
        '<pre style="white-space:pre-wrap;line-height:1.35;margin:.4em 0">'
        f"{segments}</pre>{notes}"
    )


def legend_html(source: Sequence[Source], other: Sequence[Source] | None = None) -> str:
    """Explain the looks, with the number of tokens of each origin.

    Args:
        source: The origins of a trace.
        other: Those of a trace that is shown beside it.

    Returns:
        The HTML.
    """
    entries = _legend(source, '<span style="opacity:.72">({})</span>', other)
    return f'<div style="font-size:90%;line-height:1.8">{entries}</div>'


def tokens_html(
    found: Sequence[Token],
    *,
    stops: Sequence[int] = (),
    cut: bool = False,
    differs: int | None = None,
    at: int | None = None,
) -> str:
    """Write consecutive tokens as HTML: one escaped element each, forced ones in «guillemets».

    Args:
        found: The tokens.
        stops: Positions where the model tried to stop, shown as a badge.
        cut: Show where the thinking was cut.
        differs: Position of the first id that another trace does not have, shown as a badge and a
            frame.
        at: Position of the token that is looked at, shown by a double frame.

    Returns:
        The HTML.
    """
    badges: dict[int, list[str]] = {}
    for number, stop in enumerate(stops, 1):
        badges.setdefault(stop, []).append(
            _badge(f"stop {number}", f"here, before position {stop}, the model tried to stop")
        )
    close = next((t.at for t in found if t.origin == "close"), None)
    if cut and close is not None:
        badges.setdefault(close, []).append(
            _badge("cut", "the cap was reached: the thinking is closed by force")
        )
    if differs is not None:
        badges.setdefault(differs, []).append(
            _badge("first difference", f"the traces differ from here on, position {differs}")
        )
    out: list[str] = []
    for origin, run in groupby(found, key=lambda token: token.origin):
        together = list(run)
        out += badges.pop(together[0].at, ())
        inner: list[str] = []
        for token in together:
            places = range(token.at, token.end)
            for position in places:
                inner += badges.pop(position, ())
            frame = LOOKED if at in places else FRAME if differs in places else ""
            shown = escape(token.text).replace("\n", "↵\n") if token.text else "∅"
            shown = _closed(origin, shown) if token is together[-1] else shown
            inner.append(f'<span title="{escape(str(token))}"{frame}>{shown}</span>')
        out.append(_stretch(origin, "".join(inner)))
    return "".join(out + badges.pop(found[-1].end, [])) if found else ""


def trace_box(inner: str, label: str, height: str | None = None, newest: bool = False) -> str:
    """Put tokens into a frame that the keyboard reaches and scrolls.

    Args:
        inner: The tokens' HTML.
        label: Name of the frame for screen readers.
        height: Height in CSS units.
        newest: Show its end, and stay there while it grows.

    Returns:
        The HTML.
    """
    look = [f"max-height:{height};overflow-y:auto"] if height else []
    look += ["display:flex;flex-direction:column-reverse"] if newest else []
    attributes = f'class="s1lab-trace" tabindex="0" role="region" aria-label="{escape(label)}"'
    return f'<div {attributes} style="{";".join(look)}"><pre style="{BOX}">{inner}</pre></div>'


def _stretch(source: Source, inner: str, title: str = "") -> str:
    """Give HTML the look of its source. It ends with its closing mark already."""
    look = LOOKS[source]
    named = f' title="{title}"' if title else ""
    opened = "«" if look.quoted else ""
    return f'<{look.tag}{named} style="{look.style}">{opened}{inner}</{look.tag}>'


def _closed(source: Source, text: str) -> str:
    """Add the closing mark of a source, before the newline that ends the text."""
    if not LOOKS[source].quoted:
        return text
    return f"{text[:-1]}»\n" if text.endswith("\n") else f"{text}»"


def _legend(source: Sequence[Source], words: str, other: Sequence[Source] | None = None) -> str:
    entries = []
    for name, look in LOOKS.items():
        # a Source is its name
        counts = [s.count(name) for s in (source, other) if s is not None]  # type: ignore[arg-type]
        if any(counts):
            shown = " and ".join(f"{count:,}" for count in counts)
            entries.append(
                f'<{look.tag} style="{look.style}">{name}</{look.tag}> {shown} '
                f"{words.format(look.words)}"
            )
    return " · ".join(entries)


def _badge(text: str, title: str) -> str:
    return f'<span style="{BADGE}" title="{escape(title)}">[{text}]</span>'
