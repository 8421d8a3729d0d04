"""The request to a server, and the check of its reply.

No part of a reply is used before its types, range, length and stops are checked.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeGuard

from s1lab.engine import Request, Usage


class ReplyError(Exception):
    """A server's fault, in one sentence. It becomes the question's own error."""


class MixedUpError(ReplyError):
    """A reply to other ids than the request's, perhaps left over in the connection."""


@dataclass(frozen=True)
class Reply:
    """One reply that has been checked.

    If ``stop`` is None and the two flags are False, the server ended at a length: the requested one
    or its own.

    Attributes:
        ids: The ids that it adds to the completion, without a stop.
        stop: The stop that was sampled after them.
        unnamed: The server stopped at one of several stops and does not say at which.
        undecodable: After ``ids`` it wrote an id beyond the vocabulary.
    """

    ids: tuple[int, ...]
    stop: int | None = None
    unnamed: bool = False
    undecodable: bool = False


def check_prompt(choice: dict[str, Any], prompt: list[int]) -> None:
    """Check that a reply belongs to its request, if the server says which ids it continued.

    vLLM says so. Without that, one id too many before the prompt would not be noticed.

    Args:
        choice: The reply's choice.
        prompt: The ids that were sent.

    Raises:
        MixedUpError: It continued other ids.
    """
    sent = choice.get("prompt_token_ids")
    if isinstance(sent, list) and sent != prompt:
        raise MixedUpError(
            f"the server continued {len(sent)} other ids than the {len(prompt)} that were sent: it "
            "cuts or changes the prompt, or it mixes up its answers"
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

    The ids decide, not the words beside them. An id of ``stops`` at the end is the stop, whatever
    ``finish_reason`` says, and ``most`` ids without a stop are the cap. An id is dropped only if it
    is a stop or beyond the vocabulary.

    Args:
        choice: The reply's choice.
        most: The number of requested ids, including the stop.
        least: The number of ids that must come before a stop.
        stops: Ids that end the completion, including those beyond the vocabulary.
        vocabulary: The number of ids of the tokenizer.
        rows: The number of ids of the model; None if that is not known.
        words: How to show a value of the server: short, and without a key in it.

    Returns:
        The ids that the reply adds, and how it ended.

    Raises:
        ReplyError: The reply can't be used.
    """
    finish, ids = choice.get("finish_reason"), choice.get("token_ids")
    if finish not in ("stop", "length"):
        raise ReplyError(
            f"the server ended the request with the reason {_told(finish, words)}, which is "
            "neither 'stop' nor 'length'"
        )
    if not isinstance(ids, list):
        raise ReplyError(f"the server's token_ids are no list but {_told(ids, words)}")
    _check_ids(ids, max(vocabulary, rows) if rows else None, words)
    if len(ids) > most:
        raise ReplyError(
            f"the server wrote {len(ids)} ids where at most {most} were asked for: it ignores "
            "max_tokens"
        )
    end = len(ids)
    if ids and max(ids) >= vocabulary:
        end = next(place for place, token in enumerate(ids) if token >= vocabulary)
    kept = ids[:end]
    if not stops.isdisjoint(kept):
        place = next(place for place, token in enumerate(kept) if token in stops)
        if place < len(ids) - 1:
            raise ReplyError(
                f"the server wrote {len(ids) - 1 - place} more ids after the stop {kept[place]}: "
                "it ignores stop_token_ids"
            )
        return _stopped(kept[:-1], kept[-1], choice, least, stops, vocabulary)
    if end < len(ids):
        return Reply(tuple(kept), undecodable=True)
    if len(ids) == most or finish == "length":
        return Reply(tuple(ids))

    # It stopped early, and the stop is not among the ids. Some servers omit it.
    named = choice.get("stop_reason")
    if _is_id(named) and (named in stops or named >= vocabulary):
        return _stopped(ids, named, choice, least, stops, vocabulary)
    if _is_id(named):
        # A stop of the server's own (its generation config may name some). The model continued with
        # it, and so does the completion.
        return Reply(tuple(ids) if ids and ids[-1] == named else (*ids, named))
    if isinstance(named, str) or not stops:  # this server stops at a text, whose ids are included
        return Reply(tuple(ids))
    if len(ids) < least:
        raise ReplyError(
            f"the server stopped after {len(ids)} ids where min_tokens asks for {least}: it "
            "ignores min_tokens"
        )
    return Reply(tuple(ids), unnamed=True)


def _stopped(
    ids: list[int],
    stop: int,
    choice: dict[str, Any],
    least: int,
    stops: frozenset[int],
    vocabulary: int,
) -> Reply:
    if stop >= vocabulary:  # such ids are stops only so that nothing follows them
        return Reply(tuple(ids), undecodable=True)
    named = choice.get("stop_reason")
    if _is_id(named) and named in stops and named != stop:
        raise ReplyError(f"the server wrote the stop {stop} and says that it stopped at {named}")
    if len(ids) < least:
        raise ReplyError(
            f"the server stopped at {stop} after {len(ids)} ids where min_tokens asks for {least}: "
            "it ignores min_tokens"
        )
    return Reply(tuple(ids), stop)


def _check_ids(ids: list[Any], rows: int | None, words: Callable[[Any], str]) -> None:
    # Types first: True and 5.0 compare as whole numbers.
    if not set(map(type, ids)) <= {int} or (
        ids and (min(ids) < 0 or (rows is not None and max(ids) >= rows))
    ):
        wrong = next(i for i in ids if not _is_id(i) or (rows is not None and i >= rows))
        most = f" to {rows - 1}" if rows is not None else ""
        raise ReplyError(
            f"the server wrote {_told(wrong, words)} where a token id belongs, a whole number from "
            f"0{most}"
        )


def _is_id(value: Any) -> TypeGuard[int]:
    return type(value) is int and value >= 0


def _told(value: Any, words: Callable[[Any], str]) -> str:
    """A short form of a foreign value."""
    if isinstance(value, list | dict):
        return f"a {type(value).__name__}"
    if isinstance(value, str):
        return f"{words(value)!r}"
    if type(value) is int and abs(value) > 10**20:  # Python refuses to print the longest ones
        return "a number of more than 20 digits"
    return repr(value)


def body_of(
    request: Request, model: str, written: list[int], most: int, pieces: int
) -> dict[str, Any]:
    """The request for the next piece of a completion.

    Args:
        request: The request.
        model: The server's name for the model.
        written: The ids of the earlier pieces.
        most: The most ids of this piece.
        pieces: The number of earlier pieces.

    Returns:
        The body, without the stops.
    """
    body: dict[str, Any] = {
        "model": model,
        "prompt": [*request.ids, *written],
        "max_tokens": most,
        "min_tokens": max(0, request.min_tokens - len(written)),
        "temperature": request.temperature,
        "top_p": request.top_p,
        "ignore_eos": True,  # the request names its stops, the end of sequence included
        "return_token_ids": True,
        "skip_special_tokens": False,
        # A server takes missing values from the model's generation config, penalties included.
        "top_k": request.top_k,
        "min_p": request.min_p,
        "repetition_penalty": request.repetition_penalty,
        "presence_penalty": request.presence_penalty,
        "frequency_penalty": request.frequency_penalty,
    }
    if request.logprobs is not None:
        body |= {"logprobs": request.logprobs, "return_tokens_as_token_ids": True}
    if request.partial:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if request.temperature > 0:
        # A piece with the seed of the previous one would draw the same random numbers again.
        body["seed"] = (request.seed + pieces) % 2**63
    return body


COUNTS = ("usage", "metrics")  # what a server says beside a reply's choices


def usage_of(said: dict[str, Any], choice: dict[str, Any]) -> Usage:
    """What a server says that a reply took.

    vLLM says how many ids came from its cache if it was started with
    ``--enable-prompt-tokens-details``, and how long the ids took with
    ``--enable-per-request-metrics``.

    Args:
        said: The reply.
        choice: Its choice, whose ids have been checked.

    Returns:
        The usage, with None for what the server does not say, or says in another form.
    """

    def at(name: str, *path: str) -> Any:
        found: Any = said.get(name)
        for step in path:
            found = found.get(step) if isinstance(found, dict) else None
        return found

    prompt, wrote = at("usage", "prompt_tokens"), at("usage", "completion_tokens")
    cached = at("usage", "prompt_tokens_details", "cached_tokens")
    if not (_is_id(prompt) and _is_id(cached) and cached <= prompt):
        cached = None
    took = at("metrics", "generation_time_ms")
    timed = type(took) in (int, float) and 0 <= took < math.inf
    return Usage(
        prefilled=None if cached is None else prompt - cached,
        cached=cached,
        decoded=wrote if _is_id(wrote) else len(choice["token_ids"]),
        seconds=took / 1000 if timed else None,
    )


class Streamed:
    """The events of a streamed reply, put together to the choice of a whole one."""

    def __init__(self) -> None:
        self.choice: dict[str, Any] = {"finish_reason": None, "stop_reason": None, "token_ids": []}
        self.said: dict[str, Any] = {}  # what the server says of the request as a whole

    @property
    def ended(self) -> bool:
        """Whether the event that ends the completion was there."""
        return self.choice["finish_reason"] is not None

    @property
    def ids(self) -> list[int]:
        """The ids so far, unchecked."""
        ids: list[int] = self.choice["token_ids"]
        return ids

    def add(self, event: Any) -> None:
        """Add an event.

        Args:
            event: The event as JSON.

        Raises:
            ReplyError: It is no event of a completion.
        """
        choices = event.get("choices") if isinstance(event, dict) else None
        if isinstance(event, dict):
            self.said |= {name: event[name] for name in COUNTS if event.get(name) is not None}
        if choices == []:
            return  # the last event may have counts only
        piece = choices[0] if isinstance(choices, list) else None
        if not isinstance(piece, dict):
            raise ReplyError("the server streams something that is no piece of a completion")
        ids = piece.get("token_ids")
        if isinstance(ids, list):
            self.choice["token_ids"] += ids
        elif piece.get("text"):
            raise ReplyError("the server streams text without its token ids")
        for name in ("finish_reason", "stop_reason", "prompt_token_ids"):
            if piece.get(name) is not None:
                self.choice[name] = piece[name]
        if isinstance(piece.get("logprobs"), dict):
            mine = self.choice.setdefault("logprobs", {})
            for name, values in piece["logprobs"].items():
                if isinstance(values, list):
                    mine.setdefault(name, []).extend(values)


LogprobRow = tuple[float, list[int], list[float]]


def logprob_rows(choice: dict[str, Any], k: int) -> list[LogprobRow]:
    """Read the log-probabilities of a choice.

    Args:
        choice: The reply's choice, whose ids have been checked.
        k: How many of the most likely ids were requested.

    Returns:
        A row for each of the choice's ids, with (its own, the most likely ids, theirs).

    Raises:
        ReplyError: They are missing, or are not what was requested.
    """
    found = choice.get("logprobs")
    found = found if isinstance(found, dict) else {}
    mine, best = found.get("token_logprobs"), found.get("top_logprobs")
    if not isinstance(mine, list) or len(mine) != len(choice["token_ids"]):
        raise ReplyError("the server returns no log-probability for each id: it ignores logprobs")
    rows = []
    for place, value in enumerate(mine):
        at = best[place] if k and isinstance(best, list) and place < len(best) else {}
        pairs = [(_id_of(name), number) for name, number in (at or {}).items()]
        pairs.sort(key=lambda pair: -pair[1])
        if not isinstance(value, int | float) or len(pairs) < k:
            raise ReplyError(
                f"the server returns {len(pairs)} log-probabilities where {k} were asked for: "
                "start it with --max-logprobs 20 or more"
            )
        rows.append((float(value), [i for i, _ in pairs[:k]], [float(v) for _, v in pairs[:k]]))
    return rows


def _id_of(name: Any) -> int:
    """The id in a server's "token_id:12"."""
    mark, _, number = str(name).partition("token_id:")
    if mark or not number.isdigit():
        raise ReplyError(
            "the server names tokens by their text: it ignores return_tokens_as_token_ids"
        )
    return int(number)
