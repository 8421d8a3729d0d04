"""A server on loopback whose right answers are known, and that misbehaves in every way we know of.

``Toy`` is a model of a few lines: the next id is a function of all ids before it. So a completion
is the same whole or in pieces, and a run on the server can be compared with one on ``ToyEngine``.

It is written on asyncio's own streams, not as an ASGI app: an ASGI server refuses to send half a
header, a wrong length or endless interim replies, and these are what is to be tried.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import socket
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import quote

from s1lab.engine import Completion, Request
from s1lab.tokenization.bound_template import BoundTemplate

KEY = "sk-the+key/that-must=not.show"
MODULUS = 2**61 - 1
QUESTIONS = [f"{i:03d} is what we ask about" for i in range(200)]


class Toy:
    """Ids out of ids. About one in twelve is a stop: an end of thinking, or an end of sequence."""

    def __init__(self, stops: list[int], vocabulary: int) -> None:
        self.stops, self.vocabulary = stops, vocabulary

    def write(
        self, prompt: list[int], most: int, least: int = 0, stop: frozenset[int] = frozenset(),
        allowed: list[int] | None = None,
    ) -> list[int]:  # fmt: skip
        """At most ``most`` ids, the last of them a stop where one was written."""
        state = 7
        for token in prompt:
            state = (state * 1_000_003 + token + 1) % MODULUS
        written: list[int] = []
        while len(written) < most:
            draw = state >> 7
            token = 20 + draw % (self.vocabulary - 20)
            if draw % 12 == 0:
                end = self.stops[(draw // 12) % len(self.stops)]
                token = end if end not in stop or len(written) >= least else token
            elif token in self.stops:
                token = 19
            if allowed is not None and token not in allowed:
                token = allowed[draw % len(allowed)]
            written.append(token)
            if token in stop:
                break
            state = (state * 1_000_003 + token + 1) % MODULUS
        return written


class ToyEngine:
    """The toy in this process: what is right."""

    name, model, context, width = "toy", "toy", 4096, 64
    fingerprint, semantics = "toy", "toy"

    def __init__(self, toy: Toy, template: BoundTemplate) -> None:
        self.toy, self.template = toy, template
        self._done: list[tuple[int, Completion]] = []

    def submit(self, key: int, request: Request) -> None:
        ids = self.toy.write(
            list(request.ids), request.max_tokens, request.min_tokens, request.stop
        )
        stop = ids.pop() if ids[-1] in request.stop else None
        self._done.append((key, Completion(tuple(ids), stop)))

    def poll(self) -> list[tuple[int, Completion]]:
        done, self._done = self._done, []
        return done

    def cancel(self, keys: Iterable[int] | None = None) -> dict[int, Completion]:
        gone = {key for key, _ in self._done if keys is None or key in set(keys)}
        dropped = {key: done for key, done in self._done if key in gone}
        self._done = [pair for pair in self._done if pair[0] not in gone]
        return dropped

    def close(self) -> None:
        pass


@dataclass
class Ask:
    """One request as the server sees it, with the right reply to it."""

    body: dict[str, Any]
    tries: int  # how often the same body has come, this time included
    number: int  # of the question; -1 for none
    wire: asyncio.StreamWriter
    toy: Toy
    ids: list[int] = field(default_factory=list)
    stop: int | None = None

    def __post_init__(self) -> None:
        stop = frozenset(self.body["stop_token_ids"])
        self.ids = self.write(self.body["max_tokens"])
        self.stop = self.ids[-1] if self.ids and self.ids[-1] in stop else None

    def write(self, most: int, **changes: Any) -> list[int]:
        given = {
            "least": self.body["min_tokens"],
            "stop": frozenset(self.body["stop_token_ids"]),
            "allowed": self.body.get("allowed_token_ids"),
        }
        return self.toy.write(self.body["prompt"], most, **(given | changes))

    def right(self, **changes: Any) -> dict[str, Any]:
        """The reply that vLLM would give, with changes to its choice."""
        choice = {
            "index": 0,
            "text": "",
            "token_ids": self.ids,
            "finish_reason": "length" if self.stop is None else "stop",
            "stop_reason": self.stop,
            "prompt_token_ids": self.body["prompt"],
        }
        return {"id": "cmpl", "object": "text_completion", "choices": [choice | changes]}

    async def send(self, content: Any, status: str = "200 OK", **headers: str) -> None:
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        lines = {"content-type": "application/json", "content-length": str(len(content))}
        lines |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
        await self.raw(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + content)

    async def raw(self, content: bytes) -> None:
        self.wire.write(content)
        await self.wire.drain()

    def close(self) -> None:
        self.wire.close()

    def reset(self) -> None:
        """Drop the connection with a TCP reset."""
        sock = self.wire.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.wire.transport.abort()


Act = Callable[[Ask], Awaitable[None]]
SHORT = {"timeout": 0.6, "patience": 0.6, "retries": 1}


@dataclass(frozen=True)
class Mode:
    """One kind of misbehaviour, or some of one kind, and what has to come of it.

    says: for the number of a question, a regular expression that its error matches if it has one.
    None where the question has to come out right. least: the share of them that must have their
    error.
    """

    act: Act
    says: Callable[[int], str | None]
    options: dict[str, Any]
    group: str
    kinds: tuple[str, ...]
    least: float = 0.0


MODES: dict[str, Mode] = {}


def mode(
    group: str, says: str | None = None, *, who: str = "some", **options: Any
) -> Callable[[Act], Act]:
    """Add a mode; one in four questions meets it, in every request, unless ``who`` is "all"."""

    def meets(number: int) -> bool:
        return who == "all" or (number >= 0 and number % 4 == 0)

    def add(act: Act) -> Act:
        async def some(ask: Ask) -> None:
            await (act(ask) if meets(ask.number) else ask.send(ask.right()))

        name = act.__name__
        MODES[name] = Mode(some, lambda n: says if meets(n) else None, options, group, (name,), 0.7)
        return act

    return add


def once(group: str, **options: Any) -> Callable[[Act], Act]:
    """A mode that every request meets at its first try only: all questions come out right."""

    def add(act: Act) -> Act:
        async def first(ask: Ask) -> None:
            await (act(ask) if ask.tries == 1 else ask.send(ask.right()))

        MODES[act.__name__] = Mode(first, lambda n: None, options, group, (act.__name__,))
        return act

    return add


def several(
    group: str,
    name: str,
    kinds: dict[str, tuple[Act, str]],
    *,
    at_first: bool = False,
    **options: Any,
) -> None:
    """A mode of many kinds: question by question the next one, and in between one that meets none.

    at_first: only the first try of a request meets it.
    """
    acts = [*kinds.values(), (well_behaved, None)]

    async def act(ask: Ask) -> None:
        right = at_first and ask.tries > 1
        await (well_behaved if right else acts[ask.number % len(acts)][0])(ask)

    def says(number: int) -> str | None:
        return None if at_first else acts[number % len(acts)][1]

    MODES[name] = Mode(act, says, options, group, tuple(kinds), 1.0)


async def well_behaved(ask: Ask) -> None:
    await ask.send(ask.right())


# Lengths and stops that are unusual, and can be put right -----------------------------------------


@mode("lengths", who="all")
async def writes_five_ids_and_says_length(ask: Ask) -> None:
    ids = ask.ids[:5]
    stopped = ask.stop is not None and len(ask.ids) <= 5
    await ask.send(
        ask.right(token_ids=ids, finish_reason="stop" if stopped else "length", stop_reason=None)
    )


@mode("lengths")
async def writes_one_id_a_reply(ask: Ask) -> None:
    await ask.send(ask.right(token_ids=ask.ids[:1], finish_reason="length", stop_reason=None))


@mode("lengths")
async def writes_no_id_once(ask: Ask) -> None:
    await ask.send(
        ask.right(token_ids=[], finish_reason="length") if ask.tries == 1 else ask.right()
    )


@mode("lengths", "limit of its own")
async def writes_three_ids_and_then_none(ask: Ask) -> None:
    first = ask.body["max_tokens"] in (24, 6)
    await ask.send(ask.right(token_ids=ask.ids[:1] if first else [], finish_reason="length"))


@mode("lengths", "limit of its own")
async def writes_no_id_at_all(ask: Ask) -> None:
    await ask.send(ask.right(token_ids=[], finish_reason="length", stop_reason=None))


@mode("stops", who="all")
async def leaves_the_stop_out_and_names_it(ask: Ask) -> None:
    await ask.send(ask.right(token_ids=ask.ids[:-1] if ask.stop is not None else ask.ids))


@mode("stops", who="all")
async def leaves_the_stop_out_and_names_none(ask: Ask) -> None:
    ids = ask.ids[:-1] if ask.stop is not None else ask.ids
    await ask.send(ask.right(token_ids=ids, stop_reason=None))


@mode("stops", "neither writes the stop nor names it")
async def never_says_where_it_stopped(ask: Ask) -> None:
    if not ask.body["stop_token_ids"]:
        await ask.send(ask.right(token_ids=[], finish_reason="stop"))
    else:
        await ask.send(ask.right(token_ids=ask.ids[:2], finish_reason="stop", stop_reason=None))


@mode("stops", who="all")
async def writes_the_stop_and_does_not_name_it(ask: Ask) -> None:
    await ask.send(ask.right(stop_reason=None))


@mode("stops", who="all")
async def names_the_stop_with_a_value_of_another_type(ask: Ask) -> None:
    await ask.send(ask.right(stop_reason={"id": 4.5}))


@mode("stops", who="all")
async def says_length_though_it_stopped(ask: Ask) -> None:
    await ask.send(ask.right(finish_reason="length", stop_reason=None))


@mode("stops", who="all")
async def says_stop_at_the_cap(ask: Ask) -> None:
    await ask.send(ask.right(finish_reason="stop"))


def own(ask: Ask) -> int:
    """How many ids come until a stop that only the server knows."""
    return next((n for n, i in enumerate(ask.ids, 1) if i % 5 == 0 and i != ask.stop), len(ask.ids))


@mode("stops", who="all")
async def stops_at_ids_of_its_own(ask: Ask) -> None:
    n = own(ask)
    if n == len(ask.ids):
        await ask.send(ask.right())
    else:
        await ask.send(
            ask.right(token_ids=ask.ids[:n], finish_reason="stop", stop_reason=ask.ids[n - 1])
        )


@mode("stops", who="all")
async def stops_at_ids_of_its_own_and_leaves_them_out(ask: Ask) -> None:
    n = own(ask)
    # Where the id before is the same one, nobody can tell whether the last was left out.
    if n == len(ask.ids) or (n > 1 and ask.ids[n - 2] == ask.ids[n - 1]):
        await ask.send(ask.right())
    else:
        await ask.send(
            ask.right(token_ids=ask.ids[: n - 1], finish_reason="stop", stop_reason=ask.ids[n - 1])
        )


@mode("stops", who="all")
async def stops_at_a_text_of_its_own(ask: Ask) -> None:
    if len(ask.ids) > 3:
        await ask.send(ask.right(token_ids=ask.ids[:3], finish_reason="stop", stop_reason="###"))
    else:
        await ask.send(ask.right())


# Wrong ids ----------------------------------------------------------------------------------------


def changed(**changes: Any) -> Act:
    async def act(ask: Ask) -> None:
        await ask.send(ask.right(**changes))

    return act


def one_id(value: Any) -> Act:
    async def act(ask: Ask) -> None:
        ids = list(ask.ids)
        ids[len(ids) // 2] = value
        await ask.send(ask.right(token_ids=ids))

    return act


WRONG_IDS = {
    "negative": (-1, "-1"), "a float": (5.0, "5.0"),
    "nan": (float("nan"), "nan"), "true": (True, "True"),
    "infinite": (float("inf"), "inf"), "null": (None, "None"), "text": ("17", "'17'"),
    "a list": ([17], "a list"), "a dict": ({"id": 17}, "a dict"),
    "beyond the rows": (10**6, "1000000"),
    "of thirty digits": (10**30, "a number of more than 20 digits"),
    "below int64": (-(2**70), "a number of more than 20 digits"),
    "a key": (KEY, r"'\[key\]'"),
}  # fmt: skip
WRONG_LISTS = {
    "null": (None, "return_token_ids"), "text": ("12 13 14", "are no list but '12 13 14'"),
    "a dict": ({"0": 12}, "are no list but a dict"), "a number": (12, "are no list but 12"),
    "lists": ([[12, 13]], "wrote a list where a token id belongs"),
}  # fmt: skip
WRONG_REASONS = {
    "null": (None, "the reason None"), "text": ("content_filter", "the reason 'content_filter'"),
    "a list": (["stop"], "the reason a list"), "a number": (3, "the reason 3"),
    "a key": (f"for {KEY}", r"the reason 'for \[key\]'"),
}  # fmt: skip
several(
    "ids",
    "values_of_wrong_types",
    {
        f"an id: {n}": (one_id(v), f"wrote {w}.* where a token id belongs")
        for n, (v, w) in WRONG_IDS.items()
    }
    | {f"token_ids: {n}": (changed(token_ids=v), w) for n, (v, w) in WRONG_LISTS.items()}
    | {f"finish_reason: {n}": (changed(finish_reason=v), w) for n, (v, w) in WRONG_REASONS.items()},
)


@mode("ids", "ignores max_tokens")
async def writes_more_ids_than_asked(ask: Ask) -> None:
    await ask.send(ask.right(token_ids=[21] * (ask.body["max_tokens"] + 1), finish_reason="length"))


@mode("ids", "more ids after the stop")
async def writes_on_after_a_stop(ask: Ask) -> None:
    stop = ask.body["stop_token_ids"][0]
    await ask.send(ask.right(token_ids=[21, stop, 22], finish_reason="length"))


@mode("ids", "ignores min_tokens", waits=1)
async def stops_below_the_minimum(ask: Ask) -> None:
    if ask.body["min_tokens"]:
        stop = ask.body["stop_token_ids"][0]
        await ask.send(ask.right(token_ids=[stop], finish_reason="stop", stop_reason=stop))
    else:
        await ask.send(ask.right())


@mode("ids", "ignores min_tokens", waits=1)
async def stops_below_the_minimum_without_a_word(ask: Ask) -> None:
    if ask.body["min_tokens"]:
        await ask.send(ask.right(token_ids=[], finish_reason="stop", stop_reason=None))
    else:
        await ask.send(ask.right())


@mode("ids", "says that it stopped at")
async def names_another_stop_than_it_writes(ask: Ask) -> None:
    stops = ask.body["stop_token_ids"]
    if len(stops) < 2:
        await ask.send(ask.right())
    else:
        changes = {"token_ids": [21, stops[0]], "finish_reason": "stop", "stop_reason": stops[1]}
        await ask.send(ask.right(**changes))


@mode("prompts", "other ids than")
async def puts_an_id_before_the_prompt(ask: Ask) -> None:
    await ask.send(ask.right(prompt_token_ids=[1, *ask.body["prompt"]]))


@mode("prompts", "other ids than")
async def cuts_the_prompt(ask: Ask) -> None:
    await ask.send(ask.right(prompt_token_ids=ask.body["prompt"][5:]))


@mode("prompts", "other ids than")
async def answers_another_question(ask: Ask) -> None:
    changed = list(ask.body["prompt"])
    changed[-3] += 1
    await ask.send(ask.right(prompt_token_ids=changed))


# Replies of a wrong form --------------------------------------------------------------------------


def content(value: Any, **headers: str) -> Act:
    async def act(ask: Ask) -> None:
        await ask.send(value, **headers)

    return act


FORMS = {
    "a list": [], "null": None, "a number": 7, "text": "ok", "an empty dict": {},
    "no choices": {"choices": []}, "null choices": {"choices": None},
    "a dict of choices": {"choices": {"0": {}}}, "text for a choice": {"choices": ["x"]},
    "nested deeply": b"[" * 100_000, "dicts nested deeply": b'{"error":' * 900 + b"1" + b"}" * 900,
    "not UTF-8": b'{"choices": [{"text": "\xff\xfe\xfd"}]}', "empty": b"", "zeros": b"\0" * 500,
    "an error with status 200": {"error": {"message": "overloaded, come back"}},
    "lone surrogates": {"error": "\ud800 \ud801"}, "escape codes": {"error": "\x1b[31mred\x07"},
    "a number of many digits": b'{"choices": ' + b"9" * 5000 + b"}", "a key": f"{KEY * 9}".encode(),
}  # fmt: skip
WRONG_FORMS = {name: (content(value), "no completion") for name, value in FORMS.items()} | {
    "html": (content(b"<p>Log in first</p>", content_type="text/html"), "text/html 200: <p>Log in"),
    "a stream": (content(b'data: {"choi', content_type="text/event-stream"), "event-stream"),
}
several("forms", "replies_of_wrong_forms", WRONG_FORMS, retries=1)
several("forms", "replies_of_wrong_forms_at_first", WRONG_FORMS, at_first=True)


@mode("forms", who="all")
async def calls_json_plain_text(ask: Ask) -> None:
    await ask.send(ask.right(), content_type="text/plain; charset=iso-8859-1")


@mode("forms", who="all")
async def begins_with_a_byte_order_mark(ask: Ask) -> None:
    await ask.send(b"\xef\xbb\xbf" + json.dumps(ask.right()).encode())


# Statuses and pauses ------------------------------------------------------------------------------


def status(line: str) -> Act:
    async def act(ask: Ask) -> None:
        await ask.send({"error": {"message": f"so says the server\n  of {KEY}"}}, line)

    return act


async def no_content(ask: Ask) -> None:
    await ask.send(b"", "204 No Content", content_length="")


REFUSED = ("400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found", "413 Too Large")
PASSING = ("408 Late", "429 Too Many", "500 Error", "502 Bad", "503 Away", "599 Odd", "999 Odder")
REFUSED_SO = r"refuses the request \(\d+: so says the server of \[key\]\)"
TRIED_SO = r"in 2 tries.* \d+: so says the server of \[key\]"
STATUSES = (
    {line: (status(line), REFUSED_SO) for line in REFUSED}
    | {line: (status(line), TRIED_SO) for line in PASSING}
    | {"204": (no_content, "no completion"), "206": (status("206 Partial"), "no completion")}
)
several("statuses", "statuses_that_stay", STATUSES, retries=1)
several(
    "statuses",
    "statuses_at_first",
    {k: v for k, v in STATUSES.items() if k in PASSING},
    at_first=True,
)


@mode("statuses", r"sends us on to http://[^ ]*\[key\]: use that address")
async def sends_us_on(ask: Ask) -> None:
    place = f"http://127.0.0.1:9/v1?key={quote(KEY, safe='')}"
    await ask.send(b"", "307 Temporary Redirect", location=place)


@mode("statuses", "location header", retries=1)
async def sends_us_nowhere(ask: Ask) -> None:
    await ask.send(b"", "302 Found", location="http://[half/\x01")


def busy(said: str) -> Act:
    async def act(ask: Ask) -> None:
        await ask.send(b"", "429 Busy", retry_after=said)

    return act


PAUSES = {
    "thirty years": "1000000000", "NaN": "NaN", "a negative time": "-5", "for ever": "inf",
    "until a date": formatdate(2**31, usegmt=True), "until a past date": formatdate(0, usegmt=True),
    "until no date": "Fri, 99 Feb 2026 00:00:00 GMT", "with words": "a while", "1e400": "1e400",
    "a number of many digits": "9" * 5000, "nothing": " ",
}  # fmt: skip
several("pauses", "asks_to_wait", {n: (busy(v), "") for n, v in PAUSES.items()}, at_first=True)


# Connections --------------------------------------------------------------------------------------


async def resets_the_connection(ask: Ask) -> None:
    ask.reset()


async def closes_without_a_reply(ask: Ask) -> None:
    ask.close()


async def resets_within_the_body(ask: Ask) -> None:
    content = json.dumps(ask.right()).encode()
    half = content[: len(content) // 2]
    await ask.raw(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(content) + half)
    ask.reset()


async def sends_half_and_calls_it_whole(ask: Ask) -> None:
    content = json.dumps(ask.right()).encode()
    await ask.send(content[: len(content) // 2])


async def announces_more_than_it_sends(ask: Ask) -> None:
    content = json.dumps(ask.right()).encode()
    await ask.raw(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (2 * len(content)) + content)
    ask.close()


async def speaks_no_http(ask: Ask) -> None:
    await ask.raw(b"SSH-2.0-OpenSSH_9.6\r\n")
    ask.close()


async def breaks_its_chunks(ask: Ask) -> None:
    await ask.raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\nnothing\r\n")
    ask.close()


async def sends_headers_without_end_of_a_megabyte(ask: Ask) -> None:
    await ask.raw(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 2**20)
    ask.close()


async def announces_two_lengths(ask: Ask) -> None:
    await ask.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 9\r\n\r\n{}")
    ask.close()


async def announces_a_negative_length(ask: Ask) -> None:
    await ask.raw(b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n{}")
    ask.close()


async def switches_to_another_protocol(ask: Ask) -> None:
    await ask.raw(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n")
    ask.close()


BROKEN = [
    resets_the_connection,
    closes_without_a_reply,
    resets_within_the_body,
    sends_half_and_calls_it_whole,
    announces_more_than_it_sends,
    speaks_no_http,
    breaks_its_chunks,
    sends_headers_without_end_of_a_megabyte,
    announces_two_lengths,
    announces_a_negative_length,
    switches_to_another_protocol,
]
several(
    "connections",
    "connections_that_break_at_first",
    {act.__name__: (act, "") for act in BROKEN},
    at_first=True,
)


@mode("connections", who="all")
async def answers_as_http_1_0_and_closes(ask: Ask) -> None:
    await ask.raw(b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps(ask.right()).encode())
    ask.close()


@mode("connections", who="all")
async def sends_a_few_interim_replies_first(ask: Ask) -> None:
    await ask.raw(
        b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + b"HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n"
    )
    await ask.send(ask.right())


@mode("connections", who="all")
async def sends_its_answer_in_chunks(ask: Ask) -> None:
    content = json.dumps(ask.right()).encode()
    parts = [content[i : i + 40] for i in range(0, len(content), 40)]
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    await ask.raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + body)


@mode("connections", who="all")
async def sends_its_answer_twice(ask: Ask) -> None:
    content = json.dumps(ask.right()).encode()
    await ask.raw((b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(content) + content) * 2)


# Time ---------------------------------------------------------------------------------------------


@mode("time", "no whole answer within", who="all", **SHORT)
async def never_answers(ask: Ask) -> None:
    await asyncio.sleep(60)


@mode("time", "no whole answer within", who="all", **SHORT)
async def drips_a_byte_now_and_then(ask: Ask) -> None:
    await ask.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n")
    while True:
        await ask.raw(b" ")
        await asyncio.sleep(0.1)


@mode("time", "no whole answer within", who="all", **SHORT)
async def drips_its_headers(ask: Ask) -> None:
    await ask.raw(b"HTTP/1.1 200 OK\r\n")
    while True:
        await ask.raw(b"x: y\r\n")
        await asyncio.sleep(0.1)


@mode("time", "no whole answer within", who="all", **SHORT)
async def sends_interim_replies_for_ever(ask: Ask) -> None:
    while True:
        await ask.raw(b"HTTP/1.1 102 Processing\r\n\r\n")
        await asyncio.sleep(0.05)


@mode("time", "no whole answer within", timeout=1.0, patience=60, retries=1)
async def floods_us_with_interim_replies(ask: Ask) -> None:
    if ask.tries > 1:  # fifty of them at a time would take both cores from everybody
        await asyncio.sleep(60)
    while True:
        await ask.raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 50)
        await asyncio.sleep(0.001)


@mode("time", "no whole answer within", who="all", **SHORT)
async def stalls_after_its_headers(ask: Ask) -> None:
    await ask.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n")
    await asyncio.sleep(60)


@mode("time", "no whole answer within", who="some", timeout=0.7, patience=60, retries=1)
async def drips_for_some_questions(ask: Ask) -> None:
    await drips_a_byte_now_and_then(ask)


@once("time", timeout=1.5, concurrency=256)
async def is_late_for_once(ask: Ask) -> None:
    await asyncio.sleep(60)


@mode("time", "429", who="all", patience=0.5, retries=50)
async def is_busy_for_ever_and_asks_to_wait_long(ask: Ask) -> None:
    await ask.send(b"", "429 Busy", retry_after="1000000000")


# Memory -------------------------------------------------------------------------------------------


@mode("memory", r"more than [\d,]+ bytes")
async def sends_without_end(ask: Ask) -> None:
    await ask.raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        await ask.raw(b"10000\r\n" + b" " * 65536 + b"\r\n")


@mode("memory", r"more than [\d,]+ bytes")
async def announces_gigabytes(ask: Ask) -> None:
    await ask.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n")
    while True:
        await ask.raw(b" " * 65536)


BOMB = gzip.compress(b" " * 2**25)  # 32 MiB in 32 KiB
NESTED = gzip.compress(BOMB)


@mode("memory", r"more than [\d,]+ bytes")
async def sends_a_gzip_bomb(ask: Ask) -> None:
    await ask.send(BOMB, content_encoding="gzip")


@mode("memory", r"packed as 'gzip, gzip'")
async def sends_a_bomb_in_a_bomb(ask: Ask) -> None:
    await ask.send(NESTED, content_encoding="gzip, gzip")


@mode("memory", r"packed as 'br'")
async def packs_in_a_way_that_was_not_asked_for(ask: Ask) -> None:
    await ask.send(json.dumps(ask.right()).encode(), content_encoding="br")


@mode("memory", "error .*incorrect header", retries=1)
async def calls_plain_text_gzip(ask: Ask) -> None:
    await ask.send(ask.right(), content_encoding="gzip")


@once("memory")
async def sends_half_a_gzip(ask: Ask) -> None:
    await ask.send(gzip.compress(json.dumps(ask.right()).encode())[:-20], content_encoding="gzip")


@mode("memory", who="all")
async def packs_with_gzip_though_not_asked_to(ask: Ask) -> None:
    await ask.send(gzip.compress(json.dumps(ask.right()).encode()), content_encoding="gzip")


@mode("memory", who="all")
async def packs_with_deflate_though_not_asked_to(ask: Ask) -> None:
    await ask.send(zlib.compress(json.dumps(ask.right()).encode()), content_encoding="deflate")


@mode("memory", "400: e{100}", retries=1)
async def refuses_in_a_megabyte_of_words(ask: Ask) -> None:
    await ask.send(b"e" * 2**20, "400 Bad Request")


# The server ---------------------------------------------------------------------------------------


class BadServer:
    """Serves the toy on loopback, in a thread, behaving as ``act`` says."""

    def __init__(self, template: BoundTemplate) -> None:
        self.template = template
        self.toy = Toy(sorted(template.think_stop), len(template.tokenizer))
        prompts = {tuple(template.prompt(question)): i for i, question in enumerate(QUESTIONS)}
        lengths = sorted({len(prompt) for prompt in prompts})
        # A request belongs to the question whose prompt it begins with.
        self.number_of = lambda ids: next(
            (prompts[key] for n in lengths if (key := tuple(ids[:n])) in prompts), -1
        )
        self.act: Act = well_behaved
        self.get: Callable[[str], tuple[str, Any]] = self.models
        self.bodies: list[dict[str, Any]] = []
        self.heads: list[bytes] = []
        self._tries: Counter[tuple[Any, ...]] = Counter()
        self._loop = asyncio.new_event_loop()
        started: asyncio.Future[Any] = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._talk, "127.0.0.1", 0, limit=2**24), self._loop
        )  # type: ignore[assignment]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = started.result(10)
        self.address = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    def behave(self, act: Act = well_behaved) -> None:
        self.act = act
        self.bodies.clear()
        self._tries.clear()

    def models(self, path: str) -> tuple[str, Any]:
        if path.endswith("/version"):
            return "200 OK", {"version": "toy"}
        card = {"id": "toy", "root": "s1-tiny", "max_model_len": 4096}
        return "200 OK", {"object": "list", "data": [card]}

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                size = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
                content = await reader.readexactly(int(size[1])) if size else b""
                path = head.split(b" ")[1].decode()
                if head.startswith(b"GET"):
                    status, said = self.get(path)
                    body = {"prompt": [], "max_tokens": 0, "min_tokens": 0, "stop_token_ids": []}
                    await Ask(body, 1, -1, writer, self.toy).send(said, status)
                    continue
                body = json.loads(content)
                self.bodies.append(body)
                about = (*body["prompt"], body["max_tokens"], len(body["stop_token_ids"]))
                self._tries[about] += 1
                number = self.number_of(body["prompt"])
                await self.act(Ask(body, self._tries[about], number, writer, self.toy))
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has gone
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()

    def close(self) -> None:
        async def stop() -> None:
            self._server.close()
            mine = asyncio.current_task()
            tasks = [task for task in asyncio.all_tasks() if task is not mine]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
