"""A trace's tokens, each with the text that the pointer shows, and the rounds they belong to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from s1lab.trace import THINKING, Source

Decode = Callable[[list[int]], str]
UNFINISHED_TEXT = "\ufffd"  # a decoder's text for bytes that the next ids complete
LONGEST_CHARACTER = 4  # bytes of one character in UTF-8, and so the most ids of one


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
        return (
            f"{self.text!r}, id{'s' * (len(self.ids) > 1)} {' '.join(map(str, self.ids))}, "
            f"position {self.at}, {self.origin}"
        )


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
