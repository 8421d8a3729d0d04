"""Text to ids and back: our own text, the caller's text, and pieces after other text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Some tokenizers put a space before any text. With them a piece is encoded after one of these
# texts, whose ids are cut off. The first one is used whose ids stay the same if text follows.
ANCHORS = ("\n", ".", "a", ":")
# An added token that is not marked as special is also a control token if it looks like one: Qwen3's
# <think> and <tool_call> are examples. The embedded tokenizer's added words ("Wait", " yes", " <")
# are not.
_BRACKETED = re.compile(r"\s*[<\[{＜◁].+[>\]}＞▷]\s*", re.DOTALL)
# Gemma has HTML tags as added tokens. They are ordinary text, in questions too.
_HTML = re.compile(
    r"</?(?:table|caption|thead|tbody|tfoot|tr|th|td|h[1-6]|blockquote|strong|em|code|sub|sup|[abipsu]|[ou]l|li|br|hr|div|span|img)>"
)


class Encoder:
    """One tokenizer, with the distinctions that its own ``encode`` does not make.

    Args:
        tokenizer: The tokenizer.
        delimiters: Texts that count as control tokens if they are added tokens, even if they don't
            look like control tokens.
        allow_special: Whether control tokens in the caller's text become their ids.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        delimiters: Iterable[str] = (),
        allow_special: bool = False,
    ) -> None:
        self.tokenizer, self.allow_special = tokenizer, allow_special
        named = set(delimiters)
        controls = {
            token.content: i
            for i, token in tokenizer.added_tokens_decoder.items()
            if len(token.content) > 1
            # Any unknown character becomes this token.
            and i != tokenizer.unk_token_id
            and (
                token.special
                or token.content in named
                or (_BRACKETED.fullmatch(token.content) and not _HTML.fullmatch(token.content))
            )
        }
        self.control_ids = frozenset(controls.values())
        longest_first = sorted(controls, key=len, reverse=True)
        self._controls = re.compile("|".join(map(re.escape, longest_first))) if controls else None
        self._anchor, self._anchor_ids, self._anchor_text = "", list[int](), ""
        # SentencePiece tokenizers put a space before any text: "b" alone and "b" after "a" have
        # different ids.
        if self.decode_whole(self.whole("a") + self.whole("b")) != "ab":
            self._find_anchor()

    def _find_anchor(self) -> None:
        for anchor in ANCHORS:
            ids = self.whole(anchor)
            if all(
                self.whole(anchor + text)[: len(ids)] == ids
                for text in ("a", "b", " a", "\n", "Wait", "1", "<")
            ):
                # GPT-2's form of this (add_prefix_space) decodes the anchor with the space that was
                # added before it.
                self._anchor, self._anchor_ids, self._anchor_text = (
                    anchor,
                    ids,
                    self.decode_whole(ids),
                )
                if (
                    self.decode_whole([*ids, *self.piece("a"), *self.piece("b")])
                    == f"{self._anchor_text}ab"
                ):
                    return
        self._anchor, self._anchor_ids, self._anchor_text = "", [], ""

    def whole(self, text: str | None) -> list[int]:
        """Ids of a whole text, with nothing added. Control tokens in it become their ids."""
        return list(self.tokenizer.encode(text, add_special_tokens=False)) if text else []

    def piece(self, text: str | None) -> list[int]:
        """Ids of a text after other text. Control tokens in it become their ids."""
        if not text or not self._anchor:
            return self.whole(text)
        ids = self.whole(self._anchor + text)
        n = len(self._anchor_ids)
        return ids[n:] if ids[:n] == self._anchor_ids else self.whole(text)

    def foreign(self, text: str | None) -> list[int]:
        """Ids of a caller's text after other text.

        They contain no control token unless ``allow_special`` is set. A text without control tokens
        has the ids of `piece`. In other texts each control token is split after its first
        character. The pieces are encoded one by one, so that none of them can become a control
        token.

        Args:
            text: The text; None is the empty text.

        Raises:
            ValueError: The tokenizer gives a control token for a single character of the text.
        """
        ids = self.piece(text)
        if not text or self.allow_special or not self.holds_control(ids):
            return ids
        ids = [i for piece in self._cut(text) for i in self.piece(piece)]
        # A normaliser may have made a control token from other characters.
        if self.holds_control(ids):
            ids = [i for character in text for i in self.piece(character)]
        if self.holds_control(ids):
            raise ValueError(
                f"{text!r} can't be encoded without a control token: take it out, "
                "or load with allow_special=True"
            )
        return ids

    def _cut(self, text: str) -> list[str]:
        pieces, at = [], 0
        while self._controls and (found := self._controls.search(text, at)):
            pieces.append(text[at : found.start() + 1])
            at = found.start() + 1
        return [*pieces, text[at:]]

    def holds_control(self, ids: Iterable[int]) -> bool:
        """Whether a control token is among the ids."""
        return not self.control_ids.isdisjoint(ids)

    def may_hold_control(self, text: str | None) -> bool:
        """Whether a caller's text could give a control token, wherever it is."""
        return bool(self.controls_in(text)) or self.holds_control(self.piece(text))

    def controls_in(self, text: str | None) -> list[str]:
        """The control tokens whose strings are in a text, each once, in order."""
        return list(dict.fromkeys(self._controls.findall(text))) if text and self._controls else []

    def decode_whole(self, ids: Sequence[int]) -> str:
        """Text of ids with nothing before them. Special tokens are shown, spaces are unchanged."""
        text = self.tokenizer.decode(
            list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        assert isinstance(text, str)
        return text

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids that follow others.

        Without the anchor, SentencePiece would omit a space at their beginning.
        """
        if not self._anchor:
            return self.decode_whole(ids)
        return self.decode_whole([*self._anchor_ids, *ids])[len(self._anchor_text) :]
