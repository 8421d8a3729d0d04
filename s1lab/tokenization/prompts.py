"""A prompt's ids and its notes: the chat template's own pieces, and what it keeps of the texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from s1lab.tokenization.chat_template import QUESTION, SYSTEM
from s1lab.tokenization.conversation import Conversation, Message, messages_of

if TYPE_CHECKING:
    from s1lab.tokenization.bound_template import BoundTemplate

# The changes that chat templates make to the ends of a text. Gemma's trims only the question,
# SmolLM3's the end of the system text, Qwen3's the newlines before an answer.
_TRIMS: tuple[Callable[[str], str], ...] = (
    str, str.strip, str.rstrip, str.lstrip, lambda text: text.strip("\n"),
    lambda text: text.rstrip("\n"), lambda text: text.lstrip("\n"),
)  # fmt: skip
# Many templates look for this one in earlier turns, whatever delimiters the model itself has.
_END = "</think>"
_LETTERS = str.maketrans("0123456789", "ABCDEFGHIJ")


def prompt_ids(template: BoundTemplate, messages: Conversation, thinking: bool) -> list[int]:
    """The ids of a prompt; see `BoundTemplate.prompt`.

    Args:
        template: The template.
        messages: All messages, a system message among them.
        thinking: Whether thinking follows.
    """
    text = template.chat.render(messages, thinking=thinking)
    if thinking and template.chat.strict and template.template.closed(text):
        raise ValueError(
            "the question or the system text turns the thinking off in the chat template: "
            "take the words out that do so, "
            "such as /no_think, or ask with thinking=False"
        )
    own = _form(template, messages, thinking)
    # Load has checked the prompt of a single text.
    earlier = any(message["role"] != "system" for message in messages[:-1])
    if earlier and own.times[-1] != 1:
        raise ValueError(
            f"the chat template has the last message {own.times[-1]} times behind the messages "
            "before it: ask it without them"
        )
    ids = template.encoder.whole(text)
    if template.allow_special or template._controls(ids) == own.controls:
        return ids
    if found := _split(template, text, messages, thinking):
        return found.ids(template)
    if not any(template.encoder.may_hold_control(m["content"]) for m in messages):
        return ids  # the template has its own form for these texts
    raise ValueError(
        "the chat template changes a text that holds control tokens, "
        "so they can't be told from its own: take them out, "
        "or load with allow_special=True"
    )


def prompt_notes(
    template: BoundTemplate, question: str | Conversation, system: str | None, thinking: bool
) -> list[str]:
    """What a reader must know of a prompt; see `BoundTemplate.prompt_notes`."""
    if isinstance(question, str):
        return template.foreign_notes(question=question, system_text=system)
    messages, notes = messages_of(question, system), list[str]()
    text = template.chat.render(messages, thinking=thinking)
    found = _split(template, text, messages, thinking)
    times = _form(template, messages, thinking).times
    kept = dict(zip(found.places, found.given, strict=True)) if found else {}
    if found is None:
        notes.append(
            "the chat template changes the messages: the text of the trace shows what the model got"
        )
    texts = {"system_text": system}
    for place, message in enumerate(question):
        at, name = place + len(messages) - len(question), f"message {place} ({message['role']})"
        if not times[at]:
            notes.append(f"the chat template leaves {name} out")
            continue
        given = kept.get(at, message["content"])
        if given.strip() != message["content"].strip():
            notes.append(f"the chat template leaves the thinking of {name} out of the prompt")
        texts[f"text of {name}"] = given
    return notes + template.foreign_notes(**texts)


@dataclass(frozen=True)
class _Form:
    """A chat template's form for messages with certain roles.

    Attributes:
        controls: The template's own control tokens, in order.
        times: How often the prompt has each message.
    """

    controls: list[int]
    times: list[int]


@dataclass(frozen=True)
class _Split:
    """A prompt's text in pieces.

    Attributes:
        places: The messages in the order in which the prompt has them.
        given: What the prompt has of each of them.
        own: The template's own pieces: before, between and after them.
    """

    places: list[int]
    given: tuple[str, ...]
    own: list[str]

    def ids(self, template: BoundTemplate) -> list[int]:
        """The prompt's ids, with the pieces of the template encoded apart from the messages."""
        ids = template.encoder.whole(self.own[0])
        for theirs, ours in zip(self.given, self.own[1:], strict=True):
            ids += template.encoder.foreign(theirs) + template.encoder.piece(ours)
        return ids


def _marked(messages: Conversation) -> Conversation:
    """The messages with marks in place of their texts, letters only like `QUESTION`."""
    numbers = [str(place).translate(_LETTERS) for place in range(len(messages) - 1)]
    marks = [*(f"TURN{number}zqxMARK" for number in numbers), QUESTION]
    if messages[0]["role"] == "system":
        marks[0] = SYSTEM
    return Conversation(
        Message(message, content=mark) for message, mark in zip(messages, marks, strict=True)
    )


def _form(template: BoundTemplate, messages: Conversation, thinking: bool) -> _Form:
    known: dict[tuple[bool, tuple[str, ...]], _Form] = template.__dict__.setdefault("_forms", {})
    key = thinking, tuple(message["role"] for message in messages)
    if key not in known:
        marked = _marked(messages)
        text = template.chat.render(marked, thinking=thinking)
        times = [text.count(message["content"]) for message in marked]
        known[key] = _Form(template._controls(template.encoder.whole(text)), times)
    return known[key]


def _split(
    template: BoundTemplate, text: str, messages: Conversation, thinking: bool
) -> _Split | None:
    """Find the messages in a prompt's text. None if the template changes more than it may.

    It may trim a text, leave a message out, and leave the thinking of an earlier turn out.
    """
    marked = _marked(messages)
    form = template.chat.render(marked, thinking=thinking)
    at = {place: form.find(message["content"]) for place, message in enumerate(marked)}
    places = sorted((place for place in at if at[place] >= 0), key=lambda place: at[place])
    own, done = list[str](), 0
    for place in places:
        own.append(form[done : at[place]])
        done = at[place] + len(marked[place]["content"])
    own.append(form[done:])
    ends = dict.fromkeys((*template.template.ends, template.template.close.strip(), _END))
    # Every way to read the text up to a position, the first one only: what follows is the same.
    read: dict[int, tuple[str, ...]] = {0: ()}
    for place, ours in zip(places, own, strict=False):
        further: dict[int, tuple[str, ...]] = {}
        for position, given in read.items():
            if not text.startswith(ours, position):
                continue
            start = position + len(ours)
            for theirs in _kept(messages[place], ends):
                if text.startswith(theirs, start):
                    further.setdefault(start + len(theirs), (*given, theirs))
        read = further
    for position, given in read.items():
        if text[position:] == own[-1]:
            return _Split(places, given, own)
    return None


def _kept(message: Message, ends: Iterable[str]) -> dict[str, None]:
    """What a template may keep of a message, in the order in which it is tried."""
    content = message["content"]
    texts = [content]
    if message["role"] == "assistant":
        texts += [content.rpartition(end)[2] for end in ends if end in content]
    return dict.fromkeys(trim(text) for text in texts for trim in _TRIMS)
