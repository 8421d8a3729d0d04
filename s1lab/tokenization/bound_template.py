"""A template in the ids of one tokenizer, which programs and engines use."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from s1lab.template import ThinkTemplate
from s1lab.tokenization.chat_template import QUESTION, Chat, examine
from s1lab.tokenization.conversation import (
    Conversation,
    Unaskable,
    conversation,
    messages_of,
    read_questions,
)
from s1lab.tokenization.delimiters import Delimiter, delimiter_of, single_id
from s1lab.tokenization.encoding import Encoder
from s1lab.tokenization.presets import HARMONY, preset
from s1lab.tokenization.prompts import prompt_ids, prompt_notes

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MARK_IDS = 32  # the most ids that are searched for an opening delimiter
HEADER_IDS = 64  # the same for a header of harmony
# Tokens that begin a tool call: Qwen3's, Mistral's, gpt-oss' (which ends one), Llama's, DeepSeek's,
# Kimi's.
TOOL_CALLS = (
    "<tool_call>", "[TOOL_CALLS]", "<|call|>", "<|python_tag|>", "<｜tool▁calls▁begin｜>",
    "<|tool_calls_section_begin|>",
)  # fmt: skip
# The recipient in a header of harmony: <|channel|>commentary to=functions.search
TOOL_HEADER = " to="


@dataclass(frozen=True)
class Stop:
    """The meaning of a sampled stop: the end of the thinking, or a tool call.

    Attributes:
        before: The number of ids before it that belong to it.
        end: The delimiter; "" for an end of sequence.
        tool: The token of a tool call.
    """

    before: int = 0
    end: str = ""
    tool: str = ""


@dataclass(frozen=True)
class BoundTemplate:
    """A ThinkTemplate in the ids of one tokenizer, which programs and engines use.

    It is made by `bind`.

    Attributes:
        template: The template.
        tokenizer: The tokenizer.
        think_stop: Ids at which a request for thinking ends. Most of them end the thinking. The
            last id of a delimiter of several tokens, and a tool call's id, must be checked, see
            `stopped`.
        answer_stop: Ids that end the answer.
        chat: How to render a question with the chat template.
        allow_special: Whether control tokens in a caller's text become their ids.
        delimiters: The delimiters of several tokens.
        tools: Ids that begin a tool call, with their texts.
        notes: Facts about the model's chat template that a reader of results must know, one
            sentence each.
    """

    template: ThinkTemplate
    tokenizer: PreTrainedTokenizerBase = field(repr=False)
    think_stop: frozenset[int]
    answer_stop: frozenset[int]
    chat: Chat = field(repr=False)
    allow_special: bool = False
    delimiters: tuple[Delimiter, ...] = field(default=(), repr=False)
    tools: Mapping[int, str] = field(default_factory=dict, repr=False, hash=False)
    notes: tuple[str, ...] = ()

    @cached_property
    def encoder(self) -> Encoder:
        return Encoder(self.tokenizer, _named(self.template), self.allow_special)

    def encode(self, text: str | None) -> list[int]:
        """Ids of a whole text, with nothing added. Control tokens in it become their ids."""
        return self.encoder.whole(text)

    def piece(self, text: str | None) -> list[int]:
        """Ids of one of our own texts after other text. Control tokens in it become their ids."""
        return self.encoder.piece(text)

    def foreign(self, text: str | None) -> list[int]:
        """Ids of a caller's text after other text.

        They contain no control token unless ``allow_special`` is set.
        """
        return self.encoder.foreign(text)

    def foreign_notes(self, **texts: str | None) -> list[str]:
        """One sentence for each text that contains control tokens.

        `foreign` and `prompt` encode them as plain text.
        """
        if self.allow_special:
            return []
        held = (
            (what.replace("_", " "), self.encoder.controls_in(text)) for what, text in texts.items()
        )
        return [
            f"the {what} holds {', '.join(map(repr, controls))}, encoded as plain text; "
            "load with allow_special=True to have it read as a control token"
            for what, controls in held
            if controls
        ]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids that follow others, with special tokens shown and spaces unchanged."""
        return self.encoder.decode(ids)

    def decode_whole(self, ids: Sequence[int]) -> str:
        """Text of ids with nothing before them, such as a prompt's."""
        return self.encoder.decode_whole(ids)

    def prompt(
        self, question: str | Conversation, system: str | None = None, *, thinking: bool = True
    ) -> list[int]:
        """Ids of the chat prompt, up to the beginning of the assistant's turn.

        Args:
            question: The question, a text or a conversation. Control tokens in it are encoded as
                plain text, unless ``allow_special`` is set.
            system: The system text, encoded in the same way; None for none.
            thinking: Whether thinking follows. If not, the template's own form without thinking is
                used, if there is one.

        Returns:
            The ids. The control tokens among them are the chat template's own, whatever the
            question contains.

        Raises:
            ValueError: The template takes no system text, turns the thinking off because of words
                in one of the texts, or changes a text that contains control tokens.
        """
        if isinstance(question, Unaskable):
            raise ValueError(question.fault)
        return prompt_ids(self, messages_of(question, system), thinking)

    def prompt_notes(
        self, question: str | Conversation, system: str | None = None, *, thinking: bool = True
    ) -> list[str]:
        """Sentences on what a prompt does not have as it was given.

        They name control tokens that are encoded as plain text, and earlier turns that the chat
        template leaves out or shortens, such as their thinking. The arguments are those of
        `prompt`.
        """
        return prompt_notes(self, question, system, thinking)

    def questions(
        self, questions: object, system: str | None = None
    ) -> tuple[bool, list[str | Conversation]]:
        """Tell a single question from many, and check them.

        Args:
            questions: One question, or many; each a text, or a list of messages.
            system: The call's own system text; None for none.

        Returns:
            Whether it is a single question, and the list of them.

        Raises:
            ValueError: The list or a question is empty, or a message can't be used. There is a
                system message, and the call has a system text too, or the chat template takes none.
        """

        def check(messages: Iterable[Any], where: str) -> Conversation:
            checked = conversation(messages, where)
            first = f"message 0 of {where} is a system message"
            if checked[0]["role"] == "system" and system is not None:
                raise ValueError(f"{first}, and system= is given too: leave one of them out")
            if checked[0]["role"] == "system" and self.chat.system_fault:
                raise ValueError(f"{first}: {self.chat.system_fault}")
            return checked

        return read_questions(questions, check)

    def undecoded(self, question: str | Conversation, system: str | None) -> str | None:
        """A sentence if a question can't be asked or holds half of a surrogate pair; else None."""
        if isinstance(question, Unaskable):
            return question.fault
        for name, text in (("question", str(question)), ("system text", system or "")):
            if any("\ud800" <= letter <= "\udfff" for letter in text):
                return (
                    f"the {name} holds half of a surrogate pair, which no tokenizer takes: "
                    "decode it again from its source"
                )
        return None

    def _controls(self, ids: list[int]) -> list[int]:
        return [i for i in ids if i in self.encoder.control_ids]

    def open_ids(self, after: Sequence[int] = ()) -> list[int]:
        """Ids of the opening delimiter after these ids, or of the rest that they lack."""
        return self.piece(self.template.opening(self.decode(after[-MARK_IDS:])))

    def skip_ids(self, after: Sequence[int]) -> list[int]:
        """Ids that lead from a prompt to an answer without thinking, if it opens thinking."""
        return self.piece(self.template.skipping(self.decode(after[-MARK_IDS:])))

    def close_ids(self, after: Sequence[int]) -> list[int]:
        """Ids of the close after these ids, on its own line if the template requires that."""
        return self.piece(self.template.closing(self.decode(after[-1:])))

    @property
    def longest_end(self) -> int:
        """The largest number of tokens in a delimiter."""
        return max([1, *(len(way) for d in self.delimiters for way in d.ways)])

    @cached_property
    def first_ids(self) -> frozenset[int]:
        """Ids that begin a delimiter of several tokens."""
        return frozenset[int]().union(*(d.first for d in self.delimiters))

    @cached_property
    def last_ids(self) -> frozenset[int]:
        """Ids that complete a delimiter of several tokens. Elsewhere they may be ordinary text."""
        return frozenset[int]().union(*(d.last for d in self.delimiters)) - set(self._single)

    def stopped(self, before: Sequence[int], stop: int) -> Stop | None:
        """Find the meaning of a stop that was sampled in the thinking.

        Args:
            before: The ids of the thinking before it.
            stop: An id of ``think_stop``.

        Returns:
            The stop; None if it is ordinary text.
        """
        for delimiter in self.delimiters:
            if stop in delimiter.last and (n := self._length(delimiter, before, stop)) is not None:
                return Stop(n, delimiter.text)
        if stop in self.tools:
            return Stop(tool=self.tools[stop])
        if stop in self.last_ids:
            header = self.decode([*before[-HEADER_IDS:], stop])
            header = header[max(header.rfind("<|start|>"), header.rfind("<|end|>"), 0) :]
            called = (
                self.template.name == HARMONY.name
                and "<|channel|>" in header
                and TOOL_HEADER in header
            )
            return Stop(tool="<|channel|>commentary to=") if called else None
        return Stop(end=self._single.get(stop, ""))

    @cached_property
    def _single(self) -> dict[int, str]:
        """Stops that are complete by themselves: delimiters of one token, and ends of sequence."""
        ends = {i: "" for i in self.answer_stop if i in self.think_stop}
        for end in self.template.ends:
            if (i := single_id(end, self.tokenizer)) is not None:
                ends[i] = end
        return ends

    def _length(self, delimiter: Delimiter, before: Sequence[int], stop: int) -> int | None:
        """The number of ids before a stop that belong to the delimiter it completes, or None."""
        last = len(self.decode([stop]))
        most = min(len(before), len(delimiter.text.encode()) + 1)  # a token has at least one byte
        if delimiter.text not in self.decode([*before[len(before) - most :], stop]):
            return None
        for n in range(most + 1):
            text = self.decode([*before[len(before) - n :], stop])
            if (at := text.rfind(delimiter.text)) < 0:
                continue
            behind = text[at + len(delimiter.text) :]
            if behind.strip() or len(behind) >= last:
                return None
            # A token with a word of the thinking before the delimiter stays in the thinking.
            return n if not text[:at].strip() else max(0, n - 1)
        return None

    def begun(self, ids: Sequence[int]) -> int:
        """The number of last ids that begin a delimiter of several tokens without completing it."""
        for n in range(min(self.longest_end - 1, len(ids)), 0, -1):
            tail = tuple(ids[len(ids) - n :])
            if any(len(way) > n and way[:n] == tail for d in self.delimiters for way in d.ways):
                return n
        return 0


def bind(
    template: str | ThinkTemplate | None,
    tokenizer: PreTrainedTokenizerBase,
    eos_ids: set[int],
    *,
    chat_template_kwargs: Mapping[str, Any] | None = None,
    allow_special: bool = False,
    as_of_01: bool = False,
) -> BoundTemplate:
    """Check a template and a chat template against a tokenizer, and turn the template into ids.

    Args:
        template: A preset's name, a ThinkTemplate, or None for the preset that the tokenizer knows.
        tokenizer: The tokenizer, with its chat template.
        eos_ids: The ids that end a sequence for this model (its generation config's and its
            tokenizer's).
        chat_template_kwargs: Variables of the chat template, such as ``{"enable_thinking": True}``.
        allow_special: Whether control tokens in questions and other texts of the caller become
            their ids.
        as_of_01: Use the chat template unchanged and tool calls as text, as version 0.1 did, for a
            store that it wrote.

    Returns:
        The template in ids. Its ``notes`` have been given as warnings.

    Raises:
        ValueError: The tokenizer has no chat template or can't encode a delimiter; the chat
            template loses or doubles the question, or closes the thinking before it begins; or the
            model names no end of sequence.
    """
    if not tokenizer.chat_template:
        raise ValueError(
            "the tokenizer has no chat template: use an instruction-tuned model, "
            "or set tokenizer.chat_template and save it"
        )
    chosen = preset(template, tokenizer)
    encoder = Encoder(tokenizer, _named(chosen))
    singles, delimiters = set[int](), list[Delimiter]()
    for end in chosen.ends:
        if (single := single_id(end, tokenizer)) is not None:
            singles.add(single)
        else:
            delimiters.append(delimiter_of(end, encoder))
    if not eos_ids:
        raise ValueError(
            "the model names no end-of-sequence token: set eos_token_id in its generation config"
        )
    # A token within a delimiter (gpt-oss' <|end|>) does not end the thinking by itself, even if it
    # ends a turn elsewhere.
    within = {i for d in delimiters for way in d.ways for i in way[:-1]}
    last = {i for d in delimiters for i in d.last}
    known = {} if as_of_01 else {single_id(text, tokenizer): text for text in TOOL_CALLS}
    tools = {i: t for i, t in known.items() if i in encoder.control_ids - singles - within - last}
    chat = examine(
        tokenizer, chosen.closed, chosen.opened, chat_template_kwargs, strict=not as_of_01
    )
    if not as_of_01:
        _check_opening(chosen, chat)
        for note in chat.notes:
            warnings.warn(note, stacklevel=3)
    return BoundTemplate(
        chosen,
        tokenizer,
        frozenset(singles | last | set(tools) | (eos_ids - within)),
        frozenset(eos_ids),
        chat,
        allow_special,
        tuple(sorted(delimiters, key=lambda d: -len(d.text))),
        tools,
        () if as_of_01 else chat.notes,
    )


def _check_opening(template: ThinkTemplate, chat: Chat) -> None:
    """Refuse a chat template that opens the thinking and adds words: it would be opened twice."""
    mark, behind = template.open.strip(), chat.render(QUESTION).partition(QUESTION)[2]
    at = behind.rfind(mark) if mark else -1
    words = behind[at + len(mark) :]
    if at > behind.rfind(template.close.strip()) and words.strip():
        raise ValueError(
            f"the chat template opens the thinking with more than {mark!r}: pass all of it as "
            f"template=ThinkTemplate({mark + words!r}, {template.ends!r}, {template.close!r})"
        )


def _named(template: ThinkTemplate) -> set[str]:
    return {template.open.strip(), template.close.strip(), *template.ends}
