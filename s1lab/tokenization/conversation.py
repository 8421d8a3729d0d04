"""A question that is a conversation: its messages, checked, and in a form that has a hash."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

ROLES = ("system", "user", "assistant")
# C0 and C1 controls but tab and newline, and the marks that change the direction of a text.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
FORM = '{"role": "user", "content": "…"}'  # the form of a message, for error messages


class Message(dict[str, str]):
    """A message of a conversation, with its ``role`` and its ``content``.

    It is a dict that can't be changed, so it has a hash, and equals the dict that was given.
    """

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> Any:  # a copy of a dict is filled item by item, which is refused here
        return Message, (dict(self),)

    def _fixed(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("a message of a trace can't be changed: make a list of new ones")

    __setitem__ = __delitem__ = __ior__ = _fixed  # type: ignore[assignment]
    clear = pop = popitem = setdefault = update = _fixed  # type: ignore[assignment]


class Conversation(tuple[Message, ...]):
    """The messages of a question, as `s1lab.Trace` holds them: a tuple that has a hash.

    Example:
        import s1lab as lab

        engine = lab.load("s1-tiny")
        first = lab.force(engine, [{"role": "user", "content": "How many r in raspberry?"}])
        reply = {"role": "assistant", "content": first.answer}
        more = {"role": "user", "content": "How many e in raspberry?"}
        second = lab.force(engine, [*first.question, reply, more])
        print(second.answer)
    """

    __slots__ = ()

    @property
    def last(self) -> str:
        """The text of the last message, which is the user's."""
        return self[-1]["content"]

    def ending(self, change: Callable[[str], str]) -> Conversation:
        """The conversation with the text of its last message changed."""
        return Conversation((*self[:-1], Message(self[-1], content=change(self.last))))

    def __str__(self) -> str:
        """The text that its seeds come from: JSON.

        The message of a user alone is the same question as its text, with the same seeds.
        """
        alone = len(self) == 1 and self[0]["role"] == "user"
        return self.last if alone else json.dumps(self, ensure_ascii=False)


class Unaskable(str):
    """A question of a benchmark that is not put to the engine; its trace has the reason.

    Attributes:
        fault: Why not, as a sentence.
    """

    fault: str

    def __new__(cls, text: str, fault: str) -> Unaskable:
        found = super().__new__(cls, text)
        found.fault = fault
        return found

    def __str__(self) -> str:  # a call makes texts of its questions, and must not lose the reason
        return self

    def __reduce__(self) -> Any:
        return Unaskable, (self[:], self.fault)


def conversation(messages: Iterable[Any], where: str = "the question") -> Conversation:
    """Check the messages of a question.

    Args:
        messages: The messages, each with a role and a content.
        where: The question's name in an error message.

    Returns:
        The conversation.

    Raises:
        ValueError: There are no messages, one of them can't be used, a system message is not the
            first one, or the last one is not the user's. The error names the message.
    """
    listed = list(messages)
    if not listed:
        raise ValueError(f"{where} is an empty list: give its messages, such as [{FORM}]")
    for place, message in enumerate(listed):
        fault = _fault(message, place)
        if not fault and place == len(listed) - 1 and message["role"] != "user":
            fault = f"is the last one and has the role {message['role']!r}: end with the user's"
        if fault:
            raise ValueError(f"message {place} of {where} {fault}")
    return Conversation(Message(role=m["role"], content=m["content"]) for m in listed)


def read_questions(
    questions: object, check: Callable[[Iterable[Any], str], Conversation]
) -> tuple[bool, list[str | Conversation]]:
    """Tell a single question from many, and check them.

    Args:
        questions: One question, or many. A list of messages is one: a conversation.
        check: Checks a conversation, from its messages and its name in an error message.

    Returns:
        Whether it is a single question, and the list of them.

    Raises:
        ValueError: The list or a question is empty, or one of them can't be used.
    """
    if isinstance(questions, Mapping) or not isinstance(questions, Iterable):
        raise ValueError(
            f"questions={questions!r:.60} is neither a text nor a list of messages: give one, or "
            "a list of them"
        )
    columns = getattr(questions, "column_names", getattr(questions, "columns", None))
    if isinstance(questions, bytes | bytearray) or columns is not None:  # it has rows, or numbers
        kind = type(questions).__name__
        fix = "give its text, questions.decode()"
        if columns is not None:
            fix = (
                "give the list of its questions, such as list(table['question']), or measure it "
                "with lab.evaluate(engine, table)"
            )
        raise ValueError(f"questions is a {kind}, not a text or a list of them: {fix}")
    given: list[Any] = [questions] if isinstance(questions, str) else list(questions)
    if not given:
        raise ValueError("the list of questions is empty: give at least one")
    if isinstance(given[0], Mapping) and "question" in given[0] and "role" not in given[0]:
        raise ValueError(
            "question 0 is a row of a table, not a text: give [row['question'] for row in rows], "
            "or measure the rows with lab.evaluate"
        )
    messages = isinstance(questions, list | tuple) and isinstance(given[0], Mapping)
    single, given = messages or isinstance(questions, str), [given] if messages else given
    for place, question in enumerate(given):
        where = "the question" if single else f"question {place}"
        if isinstance(question, list | tuple):
            given[place] = check(question, where)
        elif not isinstance(question, str):
            kind = type(question).__name__
            raise ValueError(
                f"{where} is a {kind}, not text or a list of messages: {question!r:.60}"
            )
        elif not question.strip():
            raise ValueError(f"{where} is empty: write something to ask")
    return single, given


def _fault(message: Any, place: int) -> str | None:
    """What is wrong with a message, as the end of a sentence; None if it can be used."""
    if not isinstance(message, Mapping):
        return f"is a {type(message).__name__}, not a message: give a dict such as {FORM}"
    role, content = message.get("role"), message.get("content")
    if "role" not in message:
        return f"has no role: give a dict such as {FORM}"
    if role not in ROLES:
        return f"has the role {role!r:.60}: choose from {list(ROLES)}"
    if content is None:
        return f"has no content: give a dict such as {FORM}"
    if not isinstance(content, str):
        return f"has content that is a {type(content).__name__}, not text: {content!r:.60}"
    if not content.strip() and role != "assistant":
        return "is empty: write something, or leave it out"
    if role == "system" and place:
        return "is a system message: only the first message may be one"
    other = [key for key in message if key not in ("role", "content") and message[key] is not None]
    if other:
        return (
            f"has {other[0]!r:.60}, which s1lab does not pass on: give role and content only, with "
            "thinking, if there is any, in the content"
        )
    return None


def messages_of(question: str | Iterable[Any], system: str | None = None) -> Conversation:
    """The messages that a question is asked with.

    Args:
        question: A text, or messages.
        system: A system text that comes first; None for none.
    """
    if isinstance(question, str):
        asked = Conversation([Message(role="user", content=question)])
    else:
        asked = question if isinstance(question, Conversation) else conversation(question)
    first = [] if system is None else [Message(role="system", content=system)]
    return Conversation([*first, *asked])


def transcript(question: str | Conversation) -> str:
    """A question as text to read: a text itself, or the messages with their roles before them."""
    if isinstance(question, str):
        return question
    return "\n".join(f"{message['role']}: {message['content']}" for message in question)


def printable(text: str) -> str:
    r"""Text that a terminal only shows: control characters become their escapes, such as ``\x1b``.

    A model's text is data. As it is, an escape sequence in it would move the cursor, clear the
    screen, set the window's title or write to the clipboard, and a mark of direction would show
    words in another order. Newlines and tabs stay.
    """
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def headline(question: str | Conversation) -> str:
    """A question for one line: a text itself, or the last message and how many there are."""
    if isinstance(question, str):
        return question
    return question.last if len(question) == 1 else f"[{len(question)} messages] {question.last}"


def to_text(question: str | Conversation) -> str:
    """A question as one text, which `of_text` reads: messages become JSON.

    A text is itself, unless `of_text` would read messages out of it.
    """
    if isinstance(question, str):
        return question if of_text(question) == question else json.dumps(question)
    return json.dumps(question, ensure_ascii=False)


def of_text(text: str) -> str | Conversation:
    """The question that `to_text` wrote."""
    if text[:1] not in ("[", '"'):
        return text
    try:
        found = json.loads(text)
        if isinstance(found, list):
            return conversation(found)
    except (ValueError, RecursionError):
        return text
    # A text that looks like messages was put into quotes, and only such a text.
    return found if isinstance(found, str) and of_text(found) != found else text
