"""Find repeats within a pool, and test questions in it, by word n-grams (paper section 2.1).

Two words are equal if they are the same text after Unicode's canonical composition (NFC) and
``str.lower``. Words are separated by white space. So case, spacing and the two spellings of an
accented letter make no difference. Everything else does, for example a mark behind a word, or
letters that only look alike (a Cyrillic a, a full-width digit). A question of fewer than n words
has one gram: the whole question. It matches questions of exactly these words.

Chinese, Japanese, Thai and other scripts are written without spaces between words. There each
character counts as a word, so grams are of n characters. Eight characters of Chinese are about five
words: take a larger n for a pool that is mostly in such a script. Korean has spaces, and its words
are words.
"""

from __future__ import annotations

import os
import re
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
from s1lab.evaluation.arguments import dataset_fix

BATCH = 8_192
Gram = tuple[str, ...]
_PAD = ""  # fills up a question of fewer than n words; no word is empty
# Characters of scripts without spaces between words, by the blocks of Unicode.
_UNSPACED = re.compile(
    "["
    "\u0e00-\u0fff"  # Thai, Lao, Tibetan
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u1950-\u19ff\u1a20-\u1aaf"  # Tai Le, New Tai Lue, Khmer symbols, Tai Tham
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029"  # parts of Chinese characters, and their numerals
    "\u3041-\u312f\u31a0-\u31bf\u31f0-\u31ff"  # hiragana, katakana, bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
    "\ua000-\ua4cf\ua980-\ua9ff\uaa60-\uaadf"  # Yi, Javanese, more of Burmese and Tai
    "\uff66-\uff9f"  # katakana of half width
    "]"
)


def split_words(text: str) -> list[str]:
    """Return the words of a text as they are written.

    In a script without spaces each character is a word, and the text between two of them too.
    """
    if not text.isascii() and _UNSPACED.search(text):
        # A space of no width stands between the words of some Thai and Khmer texts only.
        text = _UNSPACED.sub(r" \g<0> ", text.replace("\u200b", ""))
    return text.split()


def words_of(text: str) -> list[str]:
    """Return the words of a text in the form in which they are compared."""
    return split_words(unicodedata.normalize("NFC", text).lower())


def grams_of(text: str, n: int) -> list[Gram]:
    """Return the n-grams of a text in order.

    Args:
        text: The text.
        n: The words of a gram.

    Returns:
        The grams. A text of fewer than n words has one gram, the whole text. An empty text has
        none.
    """
    words = words_of(text)
    if len(words) < n:
        return [tuple(words)] if words else []
    return [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]


def decontaminate(
    pool: Dataset, benchmarks: Sequence[Dataset], n: int = 8
) -> tuple[Dataset, Report]:
    """Drop every question that shares an n-gram of words with a question of a benchmark.

    In a script without spaces, such as Chinese, Japanese or Thai, each character counts as a word.
    The reason of each drop names both. The result is exact: every match of the hashes is compared
    word by word. Time grows with the words of the pool. Memory holds the benchmarks' grams and one
    batch of the pool, for a pool of any size.

    Args:
        pool: A Dataset with question.
        benchmarks: Datasets with question.
        n: The words of a gram; 8 in the paper.

    Returns:
        The rows that share no gram, and the report.

    Raises:
        ValueError: If n is below 1, if there is no benchmark, or if one is empty.

    Example:
        pool, leaked = lab.curate.decontaminate(lab.tiny.pool(200), [lab.tiny.benchmark()])
    """
    if n < 1:
        raise ValueError(f"n is {n}: a gram has at least one word (the paper: 8)")
    if isinstance(benchmarks, Dataset):
        benchmarks = [benchmarks]
    if not isinstance(benchmarks, list | tuple):
        raise TypeError(
            f"benchmarks is a {type(benchmarks).__name__}: give a Dataset, or a list of them; "
            f"{dataset_fix(benchmarks)}"
        )
    if not benchmarks:
        raise ValueError(
            "there is no benchmark to compare with: give a list of Datasets with a column "
            "'question'"
        )
    needs(pool, "the pool", question="text")
    for place, benchmark in enumerate(benchmarks):
        needs(benchmark, f"benchmark {place}", question="text")
        if all(question is None for question in benchmark["question"]):
            raise ValueError(
                f"benchmark {place} has no question in any of its rows: give the column of its "
                "texts as 'question'"
            )
    index = _Index(benchmarks, n)
    drops, offset = {}, 0
    for texts, rows in _in_threads(index.candidates, _batches(pool)):
        for row in rows:
            if found := index.match(texts[row].as_py()):
                gram, place, at = found
                named = (
                    f"row {at} of benchmark {place}"
                    if len(benchmarks) > 1
                    else f"row {at} of the benchmark"
                )
                drops[offset + row] = ("contaminated", f"{named}: {' '.join(gram)!r}")
        offset += len(texts)
    return account(
        "decontaminate",
        pool,
        drops,
        [f"{n}-grams of {sum(map(len, benchmarks)):,} benchmark questions"],
    )


class _Index:
    """The grams of the benchmarks: as text for the proof, and as hashes for the search."""

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
        # a random number for each word,
        self._of_word = rng.integers(0, 2**64, len(words), np.uint64)
        # and an odd one for each place
        self._of_place = rng.integers(0, 2**63, n, np.uint64) * np.uint64(2) + np.uint64(1)
        texts = [self._windows(text) for benchmark in benchmarks for text in _batches(benchmark)]
        self.hashes = np.unique(np.concatenate([hashes for hashes, _ in texts]))

    def candidates(self, texts: pa.Array) -> list[int]:
        """Return the rows with a window whose hash is a gram's; nearly always it is that gram."""
        hashes, rows = self._windows(texts)
        found: list[int] = np.unique(rows[np.isin(hashes, self.hashes)]).tolist()
        return found

    def match(self, text: str) -> tuple[Gram, int, int] | None:
        """Return the first gram shared with a benchmark, the benchmark's number and its row."""
        for gram in grams_of(text, self.n):
            if gram in self.grams:
                return (gram, *self.grams[gram])
        return None

    def _windows(self, texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """Return the hash and the row of each window of n words that the benchmarks know."""
        lists = pc.ascii_split_whitespace(pc.ascii_trim_whitespace(pc.ascii_lower(texts)))
        counts = lists.value_lengths().to_numpy().astype(np.int64)
        known = pc.index_in(lists.flatten(), value_set=self.vocabulary).fill_null(-1).to_numpy()
        # A row of fewer than n words is filled up with the pad. The pad is word 0, since nothing
        # sorts before it.
        filled = np.maximum(counts, self.n)
        starts = np.cumsum(filled) - filled
        numbers = np.zeros(filled.sum(), np.int64)
        numbers[
            np.arange(len(known)) + np.repeat(starts - (np.cumsum(counts) - counts), counts)
        ] = known
        rows = np.repeat(np.arange(len(counts)), filled)
        # A window counts if the benchmarks know all its words and it does not reach into the next
        # row.
        unknown = np.concatenate(([0], np.cumsum(numbers < 0)))
        at = np.flatnonzero(
            (unknown[self.n :] == unknown[: -self.n])
            & (rows[self.n - 1 :] == rows[: 1 - self.n or None])
        )
        hashes = np.zeros(len(at), np.uint64)
        for place in range(self.n):
            hashes += self._of_word[numbers[at + place]] * self._of_place[place]
        return hashes, rows[at]


def _in_threads(
    work: Callable[[pa.Array], list[int]], batches: Iterable[pa.Array]
) -> Iterator[tuple[pa.Array, list[int]]]:
    """Yield each batch with the result of the work on it, in order.

    A few batches run at a time, since Arrow and NumPy release Python's lock.
    """
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
    """Yield the questions as Arrow arrays, with words split and lowered as by `words_of`."""
    for table in pool.select_columns("question").with_format("arrow").iter(batch_size=BATCH):
        texts = table["question"].combine_chunks().cast(pa.large_string()).fill_null("")
        odd = pc.invert(pc.string_is_ascii(texts))
        written = np.frombuffer(texts.buffers()[2] or b"", np.uint8)
        # Python counts these as white space, Arrow does not
        if np.any((written >= 0x1C) & (written <= 0x1F)):
            odd = pa.array([True] * len(texts))
        if pc.any(odd).as_py():
            spelt = pa.array(
                [" ".join(words_of(text)) for text in texts.filter(odd).to_pylist()],
                pa.large_string(),
            )
            texts = pc.replace_with_mask(texts, odd, spelt)
        yield texts


def deduplicate(pool: Dataset, n: int | None = None) -> tuple[Dataset, Report]:
    """Keep the first of the rows that ask the same.

    Rule "repeat": the same words. Rule "near repeat": the same words after a ``. , ; : ?`` behind a
    word is removed.

    Args:
        pool: A Dataset with question.
        n: Also drop a question that shares n words in a row with an earlier one that was kept (rule
            "shared words"). The authors' scripts do so between sources, with 8. None turns this
            off. Questions made from one pattern share many words, so look at the drops before you
            trust an n. The memory of this rule grows with the pool.

    Returns:
        The rows that were kept, and the report.

    Raises:
        ValueError: If n is below 1.

    Example:
        pool, repeats = lab.curate.deduplicate(lab.tiny.pool(200))
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
                drops[row] = (
                    rule,
                    f"row {of}" + (f": {' '.join(key)!r}" if rule == "shared words" else ""),
                )
                break
        else:
            for rule, kept in first.items():
                kept.update(dict.fromkeys(keys[rule], row))
    return account("deduplicate", pool, drops, order=first)


def _texts(pool: Dataset) -> Iterator[str]:
    for table in pool.select_columns("question").with_format("arrow").iter(batch_size=BATCH):
        yield from (text or "" for text in table["question"].to_pylist())
