"""A trace's tokens as HTML.

Colours and marks of text show the origin of each token. The pointer shows its id and position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby, pairwise

from s1lab.trace import FORCED, LOOKS, MARKS, THINKING, Source, closed

Decode = Callable[[list[int]], str]
UNFINISHED_TEXT = "\ufffd"  # a decoder's text for bytes that the next ids complete
LONGEST_CHARACTER = 4  # bytes of one character in UTF-8, and so the most ids of one

BADGE = "font-size:80%;font-family:sans-serif;font-weight:bold;white-space:nowrap;padding:0 .2em"
BOX = (
    # Without flex, a <pre> that JupyterLab lets overflow would shrink and scroll itself, instead of
    # the box around it.
    "flex:none;white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.6;margin:.3em 0;padding:.5em;border:1px solid #8888;"
    "border-radius:3px;font-family:var(--jp-code-font-family,monospace);font-size:var(--jp-code-font-size,13px);"
    "color:var(--jp-content-font-color1,inherit);background:transparent"
)
FRAME = ' style="outline:2px solid currentColor"'
LOOKED = ' style="outline:4px double currentColor"'
HOVER = "<style>.s1lab-trace span[title]:hover{outline:2px solid currentColor}</style>"


@dataclass(frozen=True)
class Part:
    """A stretch of a trace: its ids from ``start`` to before ``end``."""

    name: str
    start: int
    end: int


def parts(source: Sequence[Source], stops: Sequence[int] = ()) -> list[Part]:
    """Split a trace into its rounds.

    These are the prompt, the thinking up to each suppressed stop, and the text after the thinking.
    A round begins with the continuation text. If a stop was suppressed without text, the round
    begins where the model tried to stop.

    Args:
        source: The origin of each id.
        stops: Positions of the suppressed stops.

    Returns:
        The parts, in order.
    """
    first = next((i for i, s in enumerate(source) if s is not Source.PROMPT), len(source))
    thought = (
        next((i for i in range(len(source) - 1, first - 1, -1) if source[i] in THINKING), first - 1)
        + 1
    )
    begins = {at for at in stops if first < at < thought}
    begins |= {
        i
        for i in range(first + 1, thought)
        if source[i] is Source.CONTINUATION and source[i - 1] is not Source.CONTINUATION
    }
    edges = [first, *sorted(begins), thought] if thought > first else [first]
    found = [Part("the prompt", 0, first)] if first else []
    found += [Part(f"round {n}", a, b) for n, (a, b) in enumerate(pairwise(edges), 1)]
    return found + ([Part("the answer", edges[-1], len(source))] if edges[-1] < len(source) else [])


def pieces(ids: list[int], decode: Decode, first: int = 0) -> Iterator[tuple[str, int]]:
    """Yield texts and how many ids each is of: all those that make up one character.

    Each is decoded after the one before it, because some tokenizers drop the space of a text's
    first id.

    Args:
        ids: The ids.
        decode: Turns ids into text.
        first: The position to start at.

    Yields:
        A text and its number of ids.
    """
    before, at = max(0, first - 1), first
    if decode(ids[before:at]).endswith(UNFINISHED_TEXT):  # it would grow into the text of the next
        before = at
    while at < len(ids):
        known = decode(ids[before:at]) if before < at else ""
        for taken in range(1, min(LONGEST_CHARACTER, len(ids) - at) + 1):
            text = decode(ids[before : at + taken])[len(known) :]
            if not text.endswith(UNFINISHED_TEXT):
                break
        else:
            taken = 1  # they make no character, so the bytes are shown
            text = decode(ids[before : at + taken])[len(known) :]
        yield text, taken
        before, at = at + taken if text.endswith(UNFINISHED_TEXT) else at, at + taken


@dataclass(frozen=True)
class Token:
    """A text and its ids: several if they make up one character together."""

    text: str
    ids: tuple[int, ...]
    at: int
    origin: Source

    @property
    def end(self) -> int:
        return self.at + len(self.ids)

    def __str__(self) -> str:
        return f"{self.text!r}, id{'s' * (len(self.ids) > 1)} {' '.join(map(str, self.ids))}, position {self.at}, {self.origin}"


def read(
    ids: list[int], source: Sequence[Source], decode: Decode, start: int = 0, end: int | None = None
) -> list[Token]:
    """Return the tokens from position ``start`` to before ``end``; none has two origins."""
    found, at = [], start
    for origin, run in groupby(source[start:end]):
        lead = at > 0 and source[at - 1] is origin  # an id before the window, of the same stretch
        for text, taken in pieces(ids[at - lead : at + len(list(run))], decode, int(lead)):
            found.append(Token(text, tuple(ids[at : at + taken]), at, origin))
            at += taken
    return found


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
    close = next((t.at for t in found if t.origin is Source.CLOSE), None)
    if cut and close is not None:
        badges.setdefault(close, []).append(
            _badge("cut", "the cap was reached: the thinking is closed by force")
        )
    if differs is not None:
        badges.setdefault(differs, []).append(
            _badge("first difference", f"the traces part here, at position {differs}")
        )
    out: list[str] = []
    for origin, run in groupby(found, key=lambda token: token.origin):
        together = list(run)
        marks = ("«", "»") if origin in FORCED else ("", "")
        out += [*badges.pop(together[0].at, ()), f'<span style="{LOOKS[origin]}">{marks[0]}']
        for token in together:
            for position in range(token.at, token.end):
                out += badges.pop(position, ())
            frame = (
                LOOKED
                if at in range(token.at, token.end)
                else FRAME
                if differs in range(token.at, token.end)
                else ""
            )
            out.append(_token(token, marks[1] if token is together[-1] else "", frame))
        out.append("</span>")
    return "".join(out + badges.pop(found[-1].end, [])) if found else ""


def _token(token: Token, closing: str, frame: str) -> str:
    shown = escape(token.text).replace("\n", "↵\n") if token.text else "∅"
    return f'<span title="{escape(str(token))}"{frame}>{closed(shown, closing)}</span>'


def _badge(text: str, title: str) -> str:
    return f'<span style="{BADGE}" title="{escape(title)}">[{text}]</span>'


def legend_html(source: Sequence[Source]) -> str:
    """Explain the looks, with the number of tokens of each origin."""
    entries = (
        f'<span style="{LOOKS[s]}">{s}</span> {source.count(s):,} <span style="opacity:.72">({MARKS[s]})</span>'
        for s in Source
        if s in source
    )
    return f'<div style="font-size:90%;line-height:1.8">{" · ".join(entries)}</div>'


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
    return (
        f'{HOVER}<div {attributes} style="{";".join(look)}"><pre style="{BOX}">{inner}</pre></div>'
    )
