"""What a server is asked, and the check of its reply: nothing of it is used before types, range, length and stops are right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeGuard

from s1lab.engine import Request


class ReplyError(Exception):
    """What a server did that can't be used, in one sentence. It is the question's own error."""


class MixedUpError(ReplyError):
    """A reply to other ids than those sent. It may be one of before, left over in the connection."""


@dataclass(frozen=True)
class Reply:
    """One reply that has been checked.

    ids: what it adds to the completion; no stop is in it.
    stop: the stop that was sampled after them.
    unnamed: the server stopped at one of several stops, and says of none that it was this one.
    undecodable: after ``ids`` it wrote an id beyond the vocabulary.
    With none of the three, the server ended at a length: that asked for, or one of its own.
    """

    ids: tuple[int, ...]
    stop: int | None = None
    unnamed: bool = False
    undecodable: bool = False


def check_prompt(choice: dict[str, Any], prompt: list[int]) -> None:
    """Check that a reply belongs to its request, where the server says what it continued.

    vLLM does. Without that, an id too many before the prompt would show nowhere.

    Raises:
        MixedUpError: It continued something else.

    """
    sent = choice.get("prompt_token_ids")
    if isinstance(sent, list) and sent != prompt:
        raise MixedUpError(
            f"the server continued {len(sent)} other ids than the {len(prompt)} that were sent: it cuts or changes "
            "the prompt, or it mixes up its answers"
        )


def check(
    choice: dict[str, Any],
    *,
    most: int,
    least: int,
    stops: frozenset[int],
    vocabulary: int,
    rows: int | None,
    words: Callable[[Any], str] = str,
) -> Reply:
    """Read the choice of a completion.

    The ids decide, not the words beside them: an id of ``stops`` at the end is the stop whatever
    ``finish_reason`` says, and ``most`` ids without one are the cap. No id is ever dropped that is
    neither a stop nor beyond the vocabulary.

    Args:
        choice: The reply's choice.
        most: How many ids were asked for, the stop included.
        least: How many must come before a stop.
        stops: Ids that end the completion, those beyond the vocabulary included.
        vocabulary: How many ids the tokenizer has.
        rows: How many ids the model has; None where that is not known.
        words: How a value of the server's is shown: short, and without a key in it.

    Returns:
        What the reply adds.

    Raises:
        ReplyError: The reply can't be used.

    """
    finish, ids = choice.get("finish_reason"), choice.get("token_ids")
    if finish not in ("stop", "length"):
        raise ReplyError(
            f"the server ended the request with the reason {_told(finish, words)}, which is neither 'stop' nor 'length'"
        )
    if not isinstance(ids, list):
        raise ReplyError(f"the server's token_ids are no list but {_told(ids, words)}")
    _check_ids(ids, max(vocabulary, rows) if rows else None, words)
    if len(ids) > most:
        raise ReplyError(f"the server wrote {len(ids)} ids where at most {most} were asked for: it ignores max_tokens")
    end = len(ids)
    if ids and max(ids) >= vocabulary:
        end = next(place for place, token in enumerate(ids) if token >= vocabulary)
    kept = ids[:end]
    if not stops.isdisjoint(kept):
        place = next(place for place, token in enumerate(kept) if token in stops)
        if place < len(ids) - 1:
            raise ReplyError(
                f"the server wrote {len(ids) - 1 - place} more ids after the stop {kept[place]}: it ignores stop_token_ids"
            )
        return _stopped(kept[:-1], kept[-1], choice, least, stops, vocabulary)
    if end < len(ids):
        return Reply(tuple(kept), undecodable=True)
    if len(ids) == most or finish == "length":
        return Reply(tuple(ids))

    # It stopped early, and the stop is not among the ids. Some servers leave it out.
    named = choice.get("stop_reason")
    if _is_id(named) and (named in stops or named >= vocabulary):
        return _stopped(ids, named, choice, least, stops, vocabulary)
    if _is_id(named):
        # A stop of the server's own (its generation config may name some). The model went on with it,
        # and so does the completion.
        return Reply(tuple(ids) if ids and ids[-1] == named else (*ids, named))
    if isinstance(named, str) or not stops:  # a text at which this server stops: its ids are there
        return Reply(tuple(ids))
    if len(ids) < least:
        raise ReplyError(f"the server stopped after {len(ids)} ids where min_tokens asks for {least}: it ignores min_tokens")
    return Reply(tuple(ids), unnamed=True)


def _stopped(ids: list[int], stop: int, choice: dict[str, Any], least: int, stops: frozenset[int], vocabulary: int) -> Reply:
    if stop >= vocabulary:  # such ids are named as stops only so that nothing is written after one
        return Reply(tuple(ids), undecodable=True)
    named = choice.get("stop_reason")
    if _is_id(named) and named in stops and named != stop:
        raise ReplyError(f"the server wrote the stop {stop} and says that it stopped at {named}")
    if len(ids) < least:
        raise ReplyError(
            f"the server stopped at {stop} after {len(ids)} ids where min_tokens asks for {least}: it ignores min_tokens"
        )
    return Reply(tuple(ids), stop)


def _check_ids(ids: list[Any], rows: int | None, words: Callable[[Any], str]) -> None:
    # Types first: True and 5.0 compare as whole numbers.
    if not set(map(type, ids)) <= {int} or (ids and (min(ids) < 0 or (rows is not None and max(ids) >= rows))):
        wrong = next(i for i in ids if not _is_id(i) or (rows is not None and i >= rows))
        most = f" to {rows - 1}" if rows is not None else ""
        raise ReplyError(f"the server wrote {_told(wrong, words)} where a token id belongs, a whole number from 0{most}")


def _is_id(value: Any) -> TypeGuard[int]:
    return type(value) is int and value >= 0


def _told(value: Any, words: Callable[[Any], str]) -> str:
    """A value of someone else's, short."""
    if isinstance(value, list | dict):
        return f"a {type(value).__name__}"
    if isinstance(value, str):
        return f"{words(value)!r}"
    if type(value) is int and abs(value) > 10**20:  # Python refuses to write the longest ones
        return "a number of more than 20 digits"
    return repr(value)


def body_of(request: Request, model: str, written: list[int], most: int, pieces: int) -> dict[str, Any]:
    """What a server is asked for the next piece of a completion.

    Args:
        request: The request.
        model: The name that the server knows the model by.
        written: The ids of the pieces before.
        most: The most ids of this one.
        pieces: How many pieces came before.

    Returns:
        The body, but for the stops.

    """
    body: dict[str, Any] = {
        "model": model,
        "prompt": [*request.ids, *written],
        "max_tokens": most,
        "min_tokens": max(0, request.min_tokens - len(written)),
        "temperature": request.temperature,
        "top_p": request.top_p,
        "ignore_eos": True,  # the request names its stops, the end of sequence among them
        "return_token_ids": True,
        "skip_special_tokens": False,
        # A server takes what is left out from the model's generation config, penalties included.
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
    }
    if request.temperature > 0:
        # A piece with the seed of the one before would draw the same random numbers again.
        body["seed"] = (request.seed + pieces) % 2**63
    return body
