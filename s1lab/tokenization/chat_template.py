"""A tokenizer's chat template: how it renders a question, and opens or closes the thinking."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from s1lab.tokenization.conversation import Conversation, Message, messages_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Texts that are in no template. They are letters only, so that no template escapes, trims or splits
# them.
QUESTION, SYSTEM = "QUESTIONzqxMARK", "SYSTEMzqxMARK"
# Texts that some templates cut or escape, each with its name in a note.
ODD = {
    "quotes": "\"a\" 'b'",
    "<, > or &": "a < b & c > d",
    "</think>": "a</think>b",
    "empty lines": "a\n\n\nb",
    "backslashes or braces": "\\frac{a}{b} {{ c }}",
    "a long text": "a " * 20_000,
}
# The switches of today's templates for their thinking. Qwen3 and many others have the first,
# DeepSeek V3.1 and Granite the second.
SWITCHES = ("enable_thinking", "thinking")
OFF = "the chat template has thinking off by default: it is used with {}=True"
RESERVED = (
    "conversation", "messages", "tools", "documents", "chat_template", "add_generation_prompt",
    "continue_final_message", "tokenize", "return_dict", "return_tensors",
    "return_assistant_tokens_mask",
)  # fmt: skip
_CLOCKS = (datetime(2001, 2, 3, 4, 5, 6), datetime(2022, 11, 30, 17, 18, 19))


@dataclass(frozen=True)
class Chat:
    """How to render a question with one tokenizer's chat template. Made by `examine`.

    Attributes:
        tokenizer: The tokenizer.
        kwargs: The template's own variables, such as ``enable_thinking``.
        parts: Whether content is given as a list of parts.
        without: Variables that turn the thinking off, in addition to ``kwargs``; None if the
            template has no such form.
        system_fault: Why a system text can't be given, as a sentence; None if it can.
        notes: Facts about the template that a reader of results must know, one sentence each.
        strict: Whether the template was checked. The template of an old store is not.
    """

    tokenizer: PreTrainedTokenizerBase = field(repr=False)
    kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    parts: bool = False
    without: Mapping[str, Any] | None = field(default=None, hash=False)
    system_fault: str | None = None
    notes: tuple[str, ...] = ()
    strict: bool = True

    def render(
        self, question: str | Conversation, system: str | None = None, *, thinking: bool = True
    ) -> str:
        """The prompt as text, up to the beginning of the assistant's turn.

        Args:
            question: The question, a text or a conversation.
            system: The system text; None for none.
            thinking: Whether thinking follows.

        Raises:
            ValueError: A system text is given, and the template loses or refuses it.
        """
        messages = messages_of(question, system)
        if messages[0]["role"] == "system" and self.system_fault:
            raise ValueError(self.system_fault)
        extra = {} if thinking or self.without is None else self.without
        return _rendered(self.tokenizer, messages, self.parts, {**self.kwargs, **extra})

    def answered(self, question: str | Conversation, answer: str) -> str:
        """The conversation as text with the assistant's answer behind it, and its end."""
        messages = Conversation((*messages_of(question), Message(role="assistant", content=answer)))
        return _rendered(self.tokenizer, messages, self.parts, self.kwargs, prompt=False)


def _render(
    tokenizer: PreTrainedTokenizerBase,
    question: str,
    system: str | None,
    parts: bool,
    kwargs: Mapping[str, Any],
) -> str:
    return _rendered(tokenizer, messages_of(question, system), parts, kwargs)


def _rendered(
    tokenizer: PreTrainedTokenizerBase,
    messages: Conversation,
    parts: bool,
    kwargs: Mapping[str, Any],
    prompt: bool = True,
) -> str:
    def content(text: str) -> Any:
        return [{"type": "text", "text": text}] if parts else text

    turns = [{"role": m["role"], "content": content(m["content"])} for m in messages]
    variables = dict(kwargs)
    day = variables.get("strftime_now")
    if isinstance(day, str):  # a fixed day, in a form that can be stored
        variables["strftime_now"] = datetime.fromisoformat(day).strftime
    text = tokenizer.apply_chat_template(
        turns, tokenize=False, add_generation_prompt=prompt, **variables
    )
    assert isinstance(text, str)
    return text


def examine(
    tokenizer: PreTrainedTokenizerBase,
    closed: Callable[[str], bool],
    opened: Callable[[str], bool],
    kwargs: Mapping[str, Any] | None = None,
    *,
    strict: bool = True,
) -> Chat:
    """Render marked texts with a chat template, and find out how it must be used.

    Args:
        tokenizer: A tokenizer with a chat template.
        closed: Whether a prompt ends in closed thinking.
        opened: Whether a prompt ends in open thinking.
        kwargs: Variables of the template, as the user gave them.
        strict: Whether to refuse a template that can't be used, and to turn on thinking that is
            off. It is False for the template of an old store, whose prompts must not change.

    Returns:
        How to render with it.

    Raises:
        ValueError: The template loses or doubles the question, or closes the thinking and no known
            switch opens it; or ``kwargs`` contains something that no template can take.
    """
    kwargs = _variables(kwargs)
    name = tokenizer.name_or_path or "the tokenizer"
    parts = _parts(tokenizer, name, kwargs, strict)
    if parts is None:
        return Chat(tokenizer, kwargs, strict=False)
    notes = [
        f"the chat template has no variable {v!r}, so chat_template_kwargs={{{v!r}: ...}} changes "
        "nothing"
        for v in kwargs
        if not mentions(tokenizer, v)
    ]
    prompt = _render(tokenizer, QUESTION, None, parts, kwargs)
    if strict and (
        switch := _opening_switch(tokenizer, name, parts, kwargs, prompt, closed, opened)
    ):
        kwargs[switch] = True
        prompt = _render(tokenizer, QUESTION, None, parts, kwargs)
        notes.append(OFF.format(switch))
    without = (
        _without_thinking(tokenizer, parts, kwargs, prompt, closed, opened) if strict else None
    )
    system_fault = _system_fault(tokenizer, name, parts, kwargs)
    if system_fault:
        notes.append(system_fault)
    if dated := _dated(tokenizer, parts, kwargs):
        notes.append(dated)
    changed = (
        [what for what, odd in ODD.items() if _changes(tokenizer, parts, kwargs, odd)]
        if strict
        else []
    )
    if changed:
        notes.append(
            f"the chat template changes some questions: it cuts or escapes {', '.join(changed)}"
        )
    return Chat(tokenizer, kwargs, parts, without, system_fault, tuple(notes), strict)


def _opening_switch(
    tokenizer: PreTrainedTokenizerBase,
    name: str,
    parts: bool,
    kwargs: Mapping[str, Any],
    prompt: str,
    closed: Callable[[str], bool],
    opened: Callable[[str], bool],
) -> str | None:
    """The switch that turns thinking on; None if it is on, or the template has no such switch.

    Raises:
        ValueError: The template closes the thinking, and no known switch opens it.
    """
    if opened(prompt) and not closed(prompt):
        return None

    def tried(switch: str, value: bool) -> str:
        return _tried(tokenizer, parts, {**kwargs, switch: value}, prompt)

    if not closed(prompt):
        # Granite's template asks for thinking in its system turn if thinking=True is given.
        for switch in _switches(tokenizer, kwargs):
            on, off = tried(switch, True), tried(switch, False)
            if on != prompt and off == prompt and (opened(on) or _same_end(on, prompt)):
                return switch
        return None
    for switch in _switches(tokenizer, kwargs):
        if not closed(tried(switch, True)):
            return switch
    if given := next((s for s in SWITCHES if kwargs.get(s) is False), None):
        raise ValueError(
            f"chat_template_kwargs={{{given!r}: False}} closes the thinking before it begins: "
            "leave it out; lab.direct and evaluate(thinking=False) ask without thinking"
        )
    raise ValueError(
        f"the chat template of {name} closes the thinking before it begins, and neither "
        "enable_thinking=True nor thinking=True opens it: name the switch that does, as in "
        "chat_template_kwargs={'reasoning': True}"
    )


def _without_thinking(
    tokenizer: PreTrainedTokenizerBase,
    parts: bool,
    kwargs: Mapping[str, Any],
    prompt: str,
    closed: Callable[[str], bool],
    opened: Callable[[str], bool],
) -> dict[str, bool] | None:
    """The variables of a prompt without thinking, if the template has such a form.

    That form is closed, does not open what the usual form opens, or says so before the assistant's
    turn, as Hunyuan's /no_think does. Any other end belongs to another format than the user's.
    """
    for switch in SWITCHES:
        if mentions(tokenizer, switch):
            other = _tried(tokenizer, parts, {**kwargs, switch: False}, prompt)
            told = other != prompt and _same_end(other, prompt)
            if closed(other) or (opened(prompt) and not opened(other)) or told:
                return {switch: False}
    return None


def _dated(
    tokenizer: PreTrainedTokenizerBase, parts: bool, kwargs: Mapping[str, Any]
) -> str | None:
    """A note on a template that puts the day into each prompt, if it does."""
    if "strftime_now" in kwargs:
        return None
    then, later = (
        _tried(tokenizer, parts, {**kwargs, "strftime_now": at.strftime}, "") for at in _CLOCKS
    )
    if then == later:
        return None
    variable = "'strftime_now': '2024-07-26'"
    if mentions(tokenizer, "date_string"):
        variable = "'date_string': '26 Jul 2024'"
    return (
        "the chat template puts the day into each prompt, so a store answers for runs of the same "
        f"day only: chat_template_kwargs={{{variable}}} fixes it"
    )


def _variables(kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    """The user's variables of a template, after a check."""
    if not isinstance(kwargs, Mapping | None) or not all(
        isinstance(name, str) for name in kwargs or {}
    ):
        raise ValueError(
            f"chat_template_kwargs={kwargs!r} must be a dict of the template's variables, such as "
            "{'enable_thinking': True}"
        )
    kwargs = dict(kwargs or {})
    for name, value in kwargs.items():
        given = f"chat_template_kwargs={{{name!r}: {value!r}}}"
        if name in RESERVED:
            raise ValueError(
                f"chat_template_kwargs={{{name!r}: ...}}: s1lab sets this one itself; leave it out"
            )
        if name in SWITCHES and not isinstance(value, bool):
            raise ValueError(f"{given}: this variable is a switch; give True or False")
        if name == "strftime_now":
            try:
                datetime.fromisoformat(value)
            except (TypeError, ValueError):
                raise ValueError(f"{given}: give a day such as '2024-07-26'") from None
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            raise ValueError(
                f"{given}: a store can't hold this value; give text, a number, True, False, a list "
                "or a dict"
            ) from None
    return kwargs


def mentions(tokenizer: PreTrainedTokenizerBase, variable: str) -> bool:
    """Whether a variable is in the source of a tokenizer's chat template."""
    template: Any = tokenizer.chat_template
    source = "\n".join(template.values()) if isinstance(template, dict) else str(template)
    return re.search(rf"\b{re.escape(variable)}\b", source) is not None


def _switches(tokenizer: PreTrainedTokenizerBase, kwargs: Mapping[str, Any]) -> list[str]:
    """The known switches in a template that the user has not set."""
    return [s for s in SWITCHES if s not in kwargs and mentions(tokenizer, s)]


def _tried(
    tokenizer: PreTrainedTokenizerBase, parts: bool, kwargs: Mapping[str, Any], otherwise: str
) -> str:
    """A rendering; ``otherwise`` if it fails or loses the question."""
    try:
        text = _render(tokenizer, QUESTION, None, parts, kwargs)
    except Exception:  # templates may raise anything
        return otherwise
    return text if text.count(QUESTION) == 1 else otherwise


def _same_end(one: str, other: str) -> bool:
    """Whether two prompts are the same after the question."""
    return one.partition(QUESTION)[2] == other.partition(QUESTION)[2]


def _changes(
    tokenizer: PreTrainedTokenizerBase, parts: bool, kwargs: Mapping[str, Any], odd: str
) -> bool:
    """Whether a template changes a question. White space around it does not count."""
    question = f"{QUESTION} {odd} {QUESTION}"
    try:
        return question not in _render(tokenizer, question, None, parts, kwargs)
    except Exception:  # a question gets the error that its template raises
        return False


def _parts(
    tokenizer: PreTrainedTokenizerBase, name: str, kwargs: Mapping[str, Any], strict: bool
) -> bool | None:
    """Whether the template needs content in parts; None if neither works and ``strict`` is off."""
    faults = []
    for parts in (False, True):
        try:
            text = _render(tokenizer, QUESTION, None, parts, kwargs)
        except Exception as why:  # templates may raise anything
            faults.append(f"can't render a question ({' '.join(str(why).split())})")
            continue
        times = text.count(QUESTION)
        if times == 1:
            return parts
        faults.append("loses the question" if not times else f"has the question {times} times")
    if not strict:
        return None
    # Of the two faults, the template's author will recognise the one with plain text.
    fix = "correct tokenizer.chat_template and save it"
    fix = (
        f"give the variables that it needs as chat_template_kwargs=, or {fix}"
        if faults[0].startswith("can't")
        else f"it must have each question once; {fix}"
    )
    raise ValueError(f"the chat template of {name} {faults[0]}: {fix}")


def _system_fault(
    tokenizer: PreTrainedTokenizerBase, name: str, parts: bool, kwargs: Mapping[str, Any]
) -> str | None:
    try:
        text = _render(tokenizer, QUESTION, SYSTEM, parts, kwargs)
    except Exception as why:  # templates may raise anything
        fault = f"takes no system text ({' '.join(str(why).split())})"
    else:
        times = text.count(SYSTEM)
        if times == 1 and text.count(QUESTION) == 1:
            return None
        fault = (
            "loses the question beside a system text"
            if times == 1
            else f"has a system text {times} times"
            if times
            else "leaves a system text out"
        )
    return (
        f"the chat template of {name} {fault}: leave system= out, or write the text into the "
        "question"
    )
