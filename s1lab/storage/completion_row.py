"""A completion as a row of a store: its key, its columns, and the digest that seals them."""

from __future__ import annotations

import hashlib
import sqlite3
import struct
from array import array
from typing import Any

import numpy as np

from s1lab.engine import Completion, Logprobs, Request
from s1lab.storage.sqlite import ChangedRow

# The fields of a request that version 0.1 did not have, and those that a greedy one does not use.
LATER = (
    "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty", "banned",
    "logprobs",
)  # fmt: skip
DRAWN = ("top_k", "min_p")
PLAIN = Request((), 0, frozenset())
SHAPE = struct.Struct("<II")  # rows and k of log-probabilities
# By the table and the schema.
QUERIES = {
    ("completions", 1): "SELECT run, ids, stop FROM completions WHERE key = ?",
    ("completions", 2): (
        "SELECT run, ids, stop, packed, digest FROM completions LEFT JOIN logprobs USING (key) "
        "WHERE completions.key = ?"
    ),
    ("prefixes", 2): (
        "SELECT run, ids, packed, digest FROM prefixes LEFT JOIN logprobs USING (key) "
        "WHERE prefixes.key = ?"
    ),
}


def key_of(prefix: bytes, request: Request) -> bytes:
    """The key of a request. Temperature, top_p and seed only count if it is sampled.

    What version 0.1 did not have counts only where it is used, so its stores go on as they are.
    """
    fixed = (request.max_tokens, request.min_tokens, *sorted(request.stop))
    drawn = (
        (float(request.temperature), float(request.top_p), request.seed)
        if request.temperature > 0
        else ()
    )
    content = hashlib.blake2b(prefix, digest_size=16)
    content.update(repr((fixed, drawn)).encode())
    content.update(array("I", request.ids).tobytes())
    used = []
    for name in LATER:
        value = getattr(request, name)
        if value != getattr(PLAIN, name) and (request.temperature > 0 or name not in DRAWN):
            used.append((name, sorted(value) if isinstance(value, frozenset) else value))
    if used:
        content.update(repr(used).encode())
    return content.digest()


def digest(*columns: Any) -> bytes:
    """A digest of a row's columns. It depends on their types, lengths and values."""
    content = hashlib.blake2b(digest_size=16)
    for value in columns:
        data = value if isinstance(value, bytes) else repr(value).encode()
        content.update(b"%s %d " % (type(value).__name__.encode(), len(data)))
        content.update(data)
    return content.digest()


def unsealed(path: object, what: str, columns: tuple[Any, ...], fix: str = "") -> tuple[Any, ...]:
    """The columns of a row without their digest.

    Args:
        path: The store, for the message.
        what: What the row holds, for the message.
        columns: The columns, the digest last.
        fix: What to do, for the message.

    Returns:
        The columns before the digest.

    Raises:
        ChangedRow: The digest is another one.
    """
    if digest(*columns[:-1]) != columns[-1]:
        raise ChangedRow(f"{path}: {what} was changed on disk (its digest differs){fix}")
    return columns[:-1]


def logprobs_bytes(logprobs: Logprobs | None) -> bytes | None:
    """Log-probabilities as one column: rows and k, then the three arrays, 4 bytes a number."""
    if logprobs is None:
        return None
    parts = (("<f4", logprobs.sampled), ("<i4", logprobs.ids), ("<f4", logprobs.top))
    shape = SHAPE.pack(len(logprobs), logprobs.ids.shape[1])
    return shape + b"".join(values.astype(kind).tobytes() for kind, values in parts)


def logprobs_of(column: bytes | None) -> Logprobs | None:
    """The log-probabilities of `logprobs_bytes`, bit for bit."""
    if column is None:
        return None
    rows, k = SHAPE.unpack_from(column)
    numbers = np.frombuffer(column, "<u4", offset=SHAPE.size).astype(np.uint32)
    sampled, ids, top = np.split(numbers, [rows, rows + rows * k])
    return Logprobs(
        sampled.view(np.float32),
        ids.view(np.int32).reshape(rows, k),
        top.view(np.float32).reshape(rows, k),
    )


def look_up(
    db: sqlite3.Connection, path: object, version: int, key: bytes, table: str = "completions"
) -> Completion | None:
    """Look up a completion in a store.

    Args:
        db: The open store.
        path: Its file, for the message.
        version: Its schema.
        key: The key of the request.
        table: "completions", or "prefixes" for what a cancelled one had written.

    Returns:
        The completion; None if it is not there.

    Raises:
        ChangedRow: It was changed on disk.
    """
    found = db.execute(QUERIES[table, version], (key,)).fetchone()
    if found is None:
        return None
    what = f"the completion {key.hex()[:12]} of run {found[0]}"
    if version > 1:
        found = unsealed(path, what, (key, *found))[1:]
    try:
        if table == "prefixes":
            _, ids, logprobs = found
            return Completion(_ids(ids), cancelled=True, logprobs=logprobs_of(logprobs))
        _, ids, stop, *rest = found
        return completion_of(ids, stop, *rest)
    # Schema 1 has no digest, and a digest says nothing about who wrote the row.
    except (TypeError, ValueError, struct.error):
        raise ChangedRow(f"{path}: {what} was changed on disk (it is no list of ids)") from None


def completion_of(ids: bytes, stop: int | None, logprobs: bytes | None = None) -> Completion:
    """A completion from the columns of its row."""
    return Completion(_ids(ids), stop, logprobs=logprobs_of(logprobs))


def _ids(column: bytes) -> tuple[int, ...]:
    return tuple(array("I", column))


def resumable(request: Request) -> bool:
    """Whether a request can go on after ids that it has written.

    It can where the next id depends on nothing but the ids before it. A seed starts anew with each
    request, and two of the penalties count what this request alone has written.
    """
    counts = (request.presence_penalty, request.frequency_penalty) != (0, 0)
    return request.temperature == 0 and not counts


def joined(before: Completion, rest: Completion) -> Completion:
    """A completion that was written in two pieces."""
    a, b, both = before.logprobs, rest.logprobs, None
    if a is not None and b is not None:
        both = Logprobs(
            np.concatenate([a.sampled, b.sampled]),
            np.concatenate([a.ids, b.ids]),
            np.concatenate([a.top, b.top]),
        )
    ids = before.ids + rest.ids
    return Completion(ids, rest.stop_id, rest.error, rest.cancelled, both, rest.usage)
