"""Behaviour that all commands share: their output, their exit codes, and Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

import s1lab as lab
from s1lab.storage.files import check_writable, local
from s1lab.tokenization.conversation import printable

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
EXTRAS = {  # how to install packages that the library itself does not need
    "accelerate": "sft",
    "gguf": "gguf",
    "peft": "sft",
    "reasoning_gym": "gym",
    "trl": "sft",
    "vllm": "vllm",
}


@contextlib.contextmanager
def work(
    kept: str | Callable[[], str] = "nothing of it is kept", also: tuple[type[Exception], ...] = ()
) -> Iterator[Callable[[str], None]]:
    """Turn bad input into a sentence and exit code 2, and Ctrl-C into a sentence and 130.

    Args:
        kept: A text that says what an interrupted command leaves and how to resume, or a function
            that returns the text at that time.
        also: Further exceptions that mean a bad input.

    Yields:
        A function that writes a part of the results at once; the command works inside.
    """
    try:
        with _standard_output_for_results() as write, _notes():
            yield write
    except BrokenPipeError:  # the reader of the results has gone, so there is nobody to tell
        raise
    except KeyboardInterrupt as why:
        finished = (
            f"{why.finished} of {len(why.traces)} questions were finished; "
            if isinstance(why, lab.questions.Interrupted)
            else ""
        )
        raise _ended(
            f"interrupted: {finished}{kept if isinstance(kept, str) else kept()}", INTERRUPTED
        ) from None
    except ModuleNotFoundError as why:
        package = (why.name or "").partition(".")[0]
        mend = f": pip install 's1lab[{EXTRAS[package]}]'" if package in EXTRAS else ""
        raise _ended(f"the package {package} is not installed{mend}", BAD_INPUT) from None
    except Exception as why:
        if not isinstance(why, (ValueError, OSError, ImportError, FloatingPointError, *also)):
            raise
        raise _ended(str(why), BAD_INPUT) from None


@contextlib.contextmanager
def _notes() -> Iterator[None]:
    """Say on one line that an option changes nothing, without the place in a file of ours."""
    from s1lab.evaluation.calls import OptionUnused

    with warnings.catch_warnings():
        shown = warnings.showwarning

        def note(message: Warning | str, category: type[Warning], *place: Any) -> None:
            if issubclass(category, OptionUnused):
                typer.echo(f"s1lab: note: {message}", err=True)
            else:
                shown(message, category, *place)

        warnings.simplefilter("always", OptionUnused)
        warnings.showwarning = note  # type: ignore[assignment]
        yield


def _ended(why: str, code: int) -> typer.Exit:
    typer.echo(f"s1lab: {printable(' '.join(why.split()))}", err=True)
    return typer.Exit(code)


@contextlib.contextmanager
def _standard_output_for_results() -> Iterator[Callable[[str], None]]:
    """Send what libraries write to standard output to standard error while a command works.

    vLLM's log is an example.

    Yields:
        A function that writes to standard output all the same.
    """
    sys.stdout.flush()
    try:
        before = os.dup(1)
    except OSError:  # started without a standard output
        yield lambda _: None
        return

    def write(text: str) -> None:
        left = text.encode(sys.__stdout__.encoding if sys.__stdout__ else "utf-8", "replace")
        while left:
            left = left[os.write(before, left) :]

    try:
        with contextlib.suppress(OSError):
            os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield write
    finally:
        os.dup2(before, 1)
        os.close(before)


def tell(facts: Any, text: str, as_json: bool) -> None:
    """Write a command's results: one JSON document, or text."""
    if as_json:
        # JSON escapes control characters below 32 itself. The others may be in its texts only.
        text = re.sub(
            r"[\x7f-\x9f\u202a-\u202e\u2066-\u2069]",
            lambda found: f"\\u{ord(found[0]):04x}",
            json.dumps(facts, ensure_ascii=False),
        )
    typer.echo(text)


def told_by_terminal() -> bool:
    """Return whether somebody can see progress: standard error is a terminal that moves."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def on_terminal() -> bool:
    """Return whether somebody can see the results come: standard output is a terminal."""
    return sys.stdout.isatty()


def in_color() -> bool:
    """Return whether results are coloured: on a terminal, unless NO_COLOR or TERM forbids it."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not plain


def announce(text: str, always: bool = False) -> None:
    """Say on standard error what a command does now; without ``always`` only on a terminal."""
    if always or sys.stderr.isatty():
        typer.echo(printable(text), err=True)


def duration(seconds: float) -> str:
    """A time in words: "40 s", "12 min" or "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def goes_on(store: Path | None) -> str:
    """Say what an interrupted call with ``store`` leaves."""
    if store is None:
        return "nothing was stored: with --store FILE the same command would go on from there"
    return f"what is finished is in {store}, and the same command goes on from there"


def numbers(option: str, text: str | None) -> tuple[int, ...]:
    """Read a list of whole numbers, as in ``--caps 16,64,256``.

    Args:
        option: The option, for the error.
        text: The list.

    Returns:
        The numbers.

    Raises:
        ValueError: If the text is not such a list. The error names the option.
    """
    try:
        return tuple(int(part) for part in (text or "").split(",") if part.strip())
    except ValueError:
        raise ValueError(
            f"{option} {text!r} is no list of whole numbers: give one such as 16,64,256"
        ) from None


def new_file(option: str, path: Path | None) -> None:
    """Refuse a file that exists or can't be written, before hours of work end at it."""
    if path is None:
        return
    if os.path.isdir(local(path)):
        raise ValueError(
            f"{option} {path} is a folder: give a new file in it, such as {path / 'new.jsonl'}"
        )
    if os.path.exists(local(path)):
        raise FileExistsError(
            f"{option} {path} is there already: choose another name, or remove it first"
        )
    try:
        check_writable(path)
    except OSError as why:
        raise type(why)(f"{option}: {why}") from None
