"""Delimiters in a tokenizer's ids: one token, or several tokens in more than one way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from s1lab.tokenization.encoding import Encoder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Texts that may come before and after a delimiter. Some tokenizers join their characters with those
# of the delimiter.
_BEFORE = ("", "\n", " ", "a", ".", "1")
_BEHIND = ("", "\n", "\n\n", " ")


@dataclass(frozen=True)
class Delimiter:
    """A delimiter of several tokens.

    Attributes:
        text: The delimiter.
        ways: The sequences of ids that the tokenizer may write it as.
        last: Ids that complete it.
        first: Ids that begin it.
    """

    text: str
    ways: tuple[tuple[int, ...], ...]
    last: frozenset[int]
    first: frozenset[int]


def single_id(text: str, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The id of a text that is always one token of the tokenizer; None if there is none."""
    ids = tokenizer.encode(text, add_special_tokens=False)
    # A tokenizer has one id for everything that it can't write, and may not name that id.
    known = len(ids) == 1 and text in tokenizer.decode(
        ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
    )
    return ids[0] if known else None


def delimiter_of(text: str, encoder: Encoder) -> Delimiter:
    """All ways in which a tokenizer writes a delimiter, after and before other text.

    Args:
        text: The delimiter.
        encoder: The tokenizer's encoder.

    Raises:
        ValueError: The tokenizer can't write the delimiter.
    """
    if not text.strip() or text not in encoder.decode(encoder.piece(text)):
        raise ValueError(
            f"the tokenizer can't write the end-of-thinking delimiter {text!r}: "
            "add it to the tokenizer as a special token, or "
            "pass a template with other delimiters"
        )
    ways, last, first = list[tuple[int, ...]](), set[int](), set[int]()
    for before in _BEFORE:
        for behind in _BEHIND:
            ids = encoder.piece(before + text + behind)
            # A character with missing bytes is decoded as a replacement character, which does not
            # count.
            ends = [
                len(encoder.decode(ids[:n]).rstrip("\N{REPLACEMENT CHARACTER}"))
                for n in range(len(ids) + 1)
            ]
            start = max(n for n in range(len(ids)) if ends[n] <= len(before))
            stop = min(n for n in range(len(ids) + 1) if ends[n] >= len(before + text))
            last.add(ids[stop - 1])
            if ends[start] == len(before) or not before.strip():
                first.add(ids[start])
            if ends[start] == len(before) and (way := tuple(ids[start:stop])) not in ways:
                ways.append(way)
    return Delimiter(text, tuple(ways), frozenset(last), frozenset(first))
