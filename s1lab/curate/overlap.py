"""Repeats within a pool, and test questions in it: lower-cased word n-grams, as in the paper's section 2.1.

What counts as equal: words are what white space parts, after Unicode's canonical composition (NFC) and ``str.lower``. So case,
spacing and the two spellings of an accented letter make no difference; anything else does, a mark behind a word and letters
that only look alike (a Cyrillic a, a full-width digit) included. A question of fewer than n words has one gram, itself whole:
it matches questions of just these words.
"""

from __future__ import annotations

import os
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from s1lab.curate.report import Report, account, needs

BATCH = 8_192
Gram = tuple[str, ...]
_PAD = ""  # stands behind the words of a question of fewer than n; no word is empty


def words_of(text: str) -> list[str]:
    """The words of a text, as they are compared."""
    return unicodedata.normalize("NFC", text).lower().split()


def grams_of(text: str, n: int) -> list[Gram]:
    """The n-grams of a text in order; of a text of fewer than n words that alone, of an empty one none."""
    words = words_of(text)
    if len(words) < n:
        return [tuple(words)] if words else []
    return [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]


def decontaminate(pool: Dataset, benchmarks: Sequence[Dataset], n: int = 8) -> tuple[Dataset, Report]:
    """Drop every question that shares an n-gram of words with a question of a benchmark; the reason names both.

    pool and benchmarks: Datasets with ``question``. Exact: what the hashes find is compared word by word. Time grows with the
    words of the pool; memory is that of the benchmarks' grams and of one batch of the pool, however large it is.
    Raises ValueError for n below 1, no benchmark, or an empty one.
    """
    if n < 1:
        raise ValueError(f"n is {n}: a gram has at least one word (the paper: 8)")
    if isinstance(benchmarks, Dataset):
        benchmarks = [benchmarks]
    if not benchmarks:
        raise ValueError("there is no benchmark to compare with: give a list of Datasets with a column 'question'")
    needs(pool, "the pool", question="text")
    for place, benchmark in enumerate(benchmarks):
        needs(benchmark, f"benchmark {place}", question="text")
        if all(question is None for question in benchmark["question"]):
            raise ValueError(f"benchmark {place} has no question in any of its rows: give the column of its texts as 'question'")
    index = _Index(benchmarks, n)
    drops, offset = {}, 0
    for texts, rows in _in_threads(index.candidates, _batches(pool)):
        for row in rows:
            if found := index.match(texts[row].as_py()):
                gram, place, at = found
                named = f"row {at} of benchmark {place}" if len(benchmarks) > 1 else f"row {at} of the benchmark"
                drops[offset + row] = ("contaminated", f"{named}: {' '.join(gram)!r}")
        offset += len(texts)
    return account("decontaminate", pool, drops, [f"{n}-grams of {sum(map(len, benchmarks)):,} benchmark questions"])


class _Index:
    """The grams of the benchmarks: as text for the proof, and as hashes of word numbers for the search."""

    def __init__(self, benchmarks: Sequence[Dataset], n: int) -> None:
        self.n = n
        self.grams: dict[Gram, tuple[int, int]] = {}
        for place, benchmark in enumerate(benchmarks):
            for row, question in enumerate(benchmark["question"]):
                for gram in grams_of(question or "", n):
                    self.grams.setdefault(gram, (place, row))
        words = sorted({word for gram in self.grams for word in gram} | {_PAD})
        self.vocabulary = pa.array(words, pa.large_string())
        rng = np.random.default_rng(0)
        self._of_word = rng.integers(0, 2**64, len(words), np.uint64)  # a random number a word,
        self._of_place = rng.integers(0, 2**63, n, np.uint64) * np.uint64(2) + np.uint64(1)  # and an odd one a place
        texts = [self._windows(text) for benchmark in benchmarks for text in _batches(benchmark)]
        self.hashes = np.unique(np.concatenate([hashes for hashes, _ in texts]))

    def candidates(self, texts: pa.Array) -> list[int]:
        """Rows with a window of n words whose hash is a gram's; nearly always it is that gram."""
        hashes, rows = self._windows(texts)
        found: list[int] = np.unique(rows[np.isin(hashes, self.hashes)]).tolist()
        return found

    def match(self, text: str) -> tuple[Gram, int, int] | None:
        """The first gram that a question shares with a benchmark, with the benchmark's number and the row in it."""
        for gram in grams_of(text, self.n):
            if gram in self.grams:
                return (gram, *self.grams[gram])
        return None

    def _windows(self, texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """The hash of each window of n words that the benchmarks know, and the row it stands in."""
        lists = pc.ascii_split_whitespace(pc.ascii_trim_whitespace(pc.ascii_lower(texts)))
        counts = lists.value_lengths().to_numpy().astype(np.int64)
        known = pc.index_in(lists.flatten(), value_set=self.vocabulary).fill_null(-1).to_numpy()
        # A row of fewer than n words is filled up with the pad, which is word 0: nothing sorts before it.
        filled = np.maximum(counts, self.n)
        starts = np.cumsum(filled) - filled
        numbers = np.zeros(filled.sum(), np.int64)
        numbers[np.arange(len(known)) + np.repeat(starts - (np.cumsum(counts) - counts), counts)] = known
        rows = np.repeat(np.arange(len(counts)), filled)
        # A window counts if the benchmarks know all its words and it does not reach into the next row.
        unknown = np.concatenate(([0], np.cumsum(numbers < 0)))
        at = np.flatnonzero((unknown[self.n :] == unknown[: -self.n]) & (rows[self.n - 1 :] == rows[: 1 - self.n or None]))
        hashes = np.zeros(len(at), np.uint64)
        for place in range(self.n):
            hashes += self._of_word[numbers[at + place]] * self._of_place[place]
        return hashes, rows[at]


def _in_threads(work: Callable[[pa.Array], list[int]], batches: Iterable[pa.Array]) -> Iterator[tuple[pa.Array, list[int]]]:
    """Each batch with what the work finds in it, in order; a few at a time, since Arrow and NumPy leave Python to others."""
    most = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(most) as threads:
        waiting: deque[tuple[pa.Array, Future[list[int]]]] = deque()
        for batch in batches:
            waiting.append((batch, threads.submit(work, batch)))
            if len(waiting) > most:
                texts, done = waiting.popleft()
                yield texts, done.result()
        for texts, done in waiting:
            yield texts, done.result()


def _batches(pool: Dataset) -> Iterator[pa.Array]:
    """The questions as Arrow arrays whose words Arrow parts and lowers just as :func:`words_of` does."""
    for table in pool.select_columns("question").with_format("arrow").iter(batch_size=BATCH):
        texts = table["question"].combine_chunks().cast(pa.large_string()).fill_null("")
        odd = pc.invert(pc.string_is_ascii(texts))
        written = np.frombuffer(texts.buffers()[2] or b"", np.uint8)
        if np.any((written >= 0x1C) & (written <= 0x1F)):  # white space to Python, not to Arrow
            odd = pa.array([True] * len(texts))
        if pc.any(odd).as_py():
            spelt = pa.array([" ".join(words_of(text)) for text in texts.filter(odd).to_pylist()], pa.large_string())
            texts = pc.replace_with_mask(texts, odd, spelt)
        yield texts


def deduplicate(pool: Dataset, n: int | None = None) -> tuple[Dataset, Report]:
    """Keep the first of the rows that ask the same.

    Rule "repeat": the same words. Rule "near repeat": the same words once a ``. , ; : ?`` behind a word is taken off.
    n: also drop (rule "shared words") a question that shares n words in a row with an earlier one that was kept, as the
    authors' scripts do between sources with 8; None does not. Questions made from one pattern share many words: look at the
    drops before you trust an n. The memory of this one grows with the pool.
    """
    if n is not None and n < 1:
        raise ValueError(f"n is {n}: a gram has at least one word")
    needs(pool, "the pool", question="text")
    first: dict[str, dict[Any, int]] = {"repeat": {}, "near repeat": {}, "shared words": {}}
    drops: dict[int, tuple[str, str]] = {}
    for row, question in enumerate(_texts(pool)):
        words = words_of(question)
        keys: dict[str, Iterable[Any]] = {
            "repeat": [" ".join(words)],
            "near repeat": [" ".join(word.rstrip(".,;:?") for word in words)],
            "shared words": grams_of(question, n) if n is not None and len(words) >= n else (),
        }
        for rule, kept in first.items():
            if earlier := next(((kept[key], key) for key in keys[rule] if key in kept), None):
                of, key = earlier
                drops[row] = (rule, f"row {of}" + (f": {' '.join(key)!r}" if rule == "shared words" else ""))
                break
        else:
            for rule, kept in first.items():
                kept.update(dict.fromkeys(keys[rule], row))
    return account("deduplicate", pool, drops, order=first)


def _texts(pool: Dataset) -> Iterator[str]:
    for table in pool.select_columns("question").with_format("arrow").iter(batch_size=BATCH):
        yield from (text or "" for text in table["question"].to_pylist())
