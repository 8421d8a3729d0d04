"""The options that commands share, each declared once, and the values made from them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import s1lab as lab
from s1lab.cli.shell import announce
from s1lab.engines.model_names import ADAPTED, EMBEDDED, SMOLLM2
from s1lab.storage.files import local


def _names(names: Sequence[str]) -> Callable[[str], list[str]]:
    """What a shell completes an option's value with."""

    def begun(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return begun


Question = Annotated[str, typer.Argument(help="What to ask; - reads it from standard input.")]
Model = Annotated[
    str,
    typer.Option(
        autocompletion=_names((*EMBEDDED, SMOLLM2, *ADAPTED)),
        help="s1-tiny or another embedded model, smollm2, s1-smol, a folder, a .gguf file, a hub "
        "id, or a server's address. 'MODEL + FOLDER' is a model with a LoRA adapter.",
    ),
]
EngineName = Annotated[
    str,
    typer.Option(
        "--engine",
        autocompletion=_names(("auto", "transformers", "vllm", "server")),
        help="transformers, vllm or server; auto is the server for an address.",
    ),
]
EngineOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="KEY=VALUE",
        help="An option of the engine, such as max_batch=16; as often as needed.",
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        metavar="env:NAME|file:PATH",
        help="Where a server's key lies; never the key itself.",
    ),
]
MaxTokens = Annotated[int | None, typer.Option(min=1, help="Cap: at most so many thinking tokens.")]
MinTokens = Annotated[int, typer.Option(min=0, help="Floor: at least so many thinking tokens.")]
Waits = Annotated[int | None, typer.Option(min=0, help="How many stops to suppress.")]
Wait = Annotated[
    str, typer.Option(help='The text appended for a suppressed stop; "" appends none.')
]
OnCut = Annotated[
    str, typer.Option(help='The text that opens the answer after a cut; "" for none.')
]
AnswerTokens = Annotated[
    int | None, typer.Option(min=1, help="Most tokens of the answer; without it, all that is left.")
]
AnswerRoom = Annotated[
    int, typer.Option(min=1, help="How many tokens the thinking must leave for the answer.")
]
Compat = Annotated[
    str,
    typer.Option(
        autocompletion=_names(("exact", "readme", "harness")),
        help="Semantics: exact, or the original's loops, readme and harness.",
    ),
]
Temperature = Annotated[float, typer.Option(min=0, help="0 is greedy.")]
TopP = Annotated[
    float, typer.Option(help="Sample from the likeliest tokens that come to this share.")
]
TopK = Annotated[int, typer.Option(min=0, help="Sample from so many of the likeliest tokens.")]
MinP = Annotated[
    float, typer.Option(min=0, max=1, help="Drop what is less likely than this share of the best.")
]
Repetition = Annotated[
    float, typer.Option(help="Above 1, tokens that were there before become less likely.")
]
Presence = Annotated[
    float, typer.Option(min=-2, max=2, help="Makes tokens that the round has less likely.")
]
Frequency = Annotated[
    float, typer.Option(min=-2, max=2, help="The same, for each time that the round has them.")
]
Seed = Annotated[int, typer.Option(help="Of a temperature above 0.")]
System = Annotated[str | None, typer.Option(help="The system turn.")]
Store = Annotated[
    Path | None,
    typer.Option(help="A file that keeps what was written; the same command goes on from it."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


def load(model: str, engine: str, options: list[str] | None, key: str | None) -> lab.Engine:
    """Load the engine that a command's options name."""
    check_model(model, engine=engine)
    named = engine_options(options, key)
    from s1lab.engines.address import shown

    announce(f"loading {shown(model)} …")
    try:
        return lab.load(model, engine=engine, **named)
    # of torch or vLLM: a wrong value, or too little memory
    except (TypeError, AttributeError, RuntimeError, AssertionError) as why:
        given = f" with --option {' --option '.join(options)}" if options else ""
        raise ValueError(f"the engine of {model} can't be made{given}: {why}") from None


def asked(question: str) -> str:
    """Return the question of a command; "-" reads it from standard input.

    Raises:
        ValueError: If it is empty.
    """
    if question == "-":
        if sys.stdin.isatty():
            announce("write the question, and end it with Ctrl-D on a line of its own")
        question = sys.stdin.read().strip()
    if not question.strip():
        raise ValueError("the question is empty: write something to ask")
    return question


def check_model(model: str, option: str = "--model", engine: str = "auto") -> None:
    """Check a model's name before anything is loaded, and refuse a secret in its address.

    A command line is kept in the shell's history, and everybody on the machine sees it in the list
    of processes. ``lab.load`` takes such an address, for servers that want basic authentication.

    Args:
        model: A model's name or address.
        option: The option that gave it, for the error.
        engine: The engine that is to load it.

    Raises:
        ValueError: If the address has one, or the engine can't load the model.
        FileNotFoundError: If no model is there.
        ConnectionError: If it must be fetched, and the hub can't be reached.
    """
    from s1lab.engines.address import engine_for, holds_user, shown
    from s1lab.loader import ENGINES

    if holds_user(model) and not os.path.exists(model):
        raise ValueError(
            f"{option} {shown(model)} has a user or a key before the '@', where the shell's "
            "history and the list of processes show it: leave that out, and put the key into the "
            "environment variable S1LAB_API_KEY, or name where it is with --api-key"
        )
    engine_for(model, engine, ENGINES)


def engine_options(pairs: list[str] | None, key: str | None) -> dict[str, Any]:
    """Turn ``--option`` and ``--api-key`` into keywords of `s1lab.load`.

    A value is read as JSON if it is JSON, else as text.

    Args:
        pairs: The values of ``--option``, such as "name=value".
        key: The value of ``--api-key``.

    Returns:
        The keywords.

    Raises:
        ValueError: If a pair or a key can't be read.
    """
    found = key_values(pairs, "--option", "max_batch=16", ("api_key", "engine"))
    return found | ({"api_key": secret(key)} if key is not None else {})


def key_values(
    pairs: list[str] | None, option: str, such: str, own: Sequence[str] = ()
) -> dict[str, Any]:
    """Turn texts such as "name=value" into keywords. A value is read as JSON if it is JSON.

    Args:
        pairs: The values of an option.
        option: The option, for the error.
        such: An example.
        own: Names that have an option of their own.

    Returns:
        The keywords.

    Raises:
        ValueError: If a pair can't be read.
    """
    found: dict[str, Any] = {}
    for pair in pairs or ():
        name, equals, text = pair.partition("=")
        name = name.strip().replace("-", "_")
        if name in own:
            raise ValueError(f"{option} {name}=... is given as --{name.replace('_', '-')}")
        if not equals or not name.isidentifier():
            raise ValueError(f"{option} {pair!r} is no key=value: give one such as {such}")
        if name in found:
            raise ValueError(f"{option} {name}=... is given twice: leave one out")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


def secret(where: str) -> str:
    """Read a key from an environment variable or a file.

    So the key is in no list of processes and in no shell's history.

    Args:
        where: The variable or the file: "env:NAME" or "file:PATH".

    Returns:
        The key.

    Raises:
        ValueError: If the variable or the file holds no key, or the text names neither.
    """
    kind, _, name = where.partition(":")
    if kind == "env" and name.isidentifier():
        key = os.environ.get(name, "").strip()
        if not key:
            raise ValueError(
                f"--api-key: the environment variable {name} is not set: export it first"
            )
    elif kind == "file" and name:
        try:
            key = local(name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as why:
            raise ValueError(
                f"--api-key: the file {name} can't be read ({type(why).__name__}): name one that "
                "holds it"
            ) from None
        if not key:
            raise ValueError(f"--api-key: the file {name} is empty: write the key into it")
    else:
        raise ValueError(
            "--api-key takes env:NAME or file:PATH: a key on the command line is seen by everybody "
            "on the machine"
        )
    return key
