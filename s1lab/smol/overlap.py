"""Test questions in a pool whose questions share their sentences.

All questions of a family are made from one template. So they share n-grams of words, and
`s1lab.curate.decontaminate` would drop nearly every row. Only what varies is compared here: the
template is removed, and the rest is put into one order where the order does not matter. Then the
same function of `s1lab.curate` looks for the same text.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from datasets import Dataset

from s1lab import curate
from s1lab.curate.report import Report

_NUMBER = re.compile(r"\d+")
_NAME = re.compile(r"[A-Z][\w'’]*")


def _after(text: str, mark: str) -> str:
    return text.rpartition(mark)[2].strip(' \n?."')


def terms(question: str) -> tuple[list[int], list[int]]:
    """Return the numbers of a chain_sum that are added, and those that are taken away."""
    found = re.findall(r"([+-]?) ?(\d+)", question.partition(":")[2])
    return [int(n) for sign, n in found if sign != "-"], [
        int(n) for sign, n in found if sign == "-"
    ]


def animals(question: str) -> list[tuple[int, str]]:
    """Return the animals of a leg_counting, each with how many there are, as they are written."""
    listed = _after(question, "if you have ").split(", ")
    return [(int(count), name) for count, _, name in (part.partition(" ") for part in listed)]


def counted_text(question: str) -> tuple[str, list[str]]:
    """Return the letter of a letter_counting, and the words of its text."""
    found = re.search(r'the letter "(.)" appear in the text: "(.*)"', question, re.DOTALL)
    if not found:
        raise ValueError(f"no question of letter_counting: {question!r:.80}")
    return found[1], found[2].split()


def gcd_numbers(question: str) -> list[int]:
    """Return the numbers of a gcd."""
    return [int(n) for n in _NUMBER.findall(question)]


def words_to_sort(question: str) -> tuple[bool, list[str]]:
    """Return whether a word_sorting is descending, and its words."""
    return "in descending order" in question, _after(question, "list: ").split(", ")


def numbers_and_target(question: str) -> tuple[list[int], int]:
    """Return the numbers of a countdown, and its target."""
    asked = question.partition("Final answer format")[0]
    listed = max(re.findall(r"\d+(?:, \d+)*", asked), key=lambda text: text.count(","))
    (target,) = _NUMBER.findall(asked.replace(listed, "", 1))
    return [int(n) for n in listed.split(", ")], int(target)


def _joined(*parts: object) -> str:
    return "_".join(str(part) for part in parts)


def _sum(question: str) -> str:
    plus, minus = terms(question)
    return _joined(*sorted(plus), "minus", *sorted(minus))


def _animals(question: str) -> str:
    return _joined(*sorted(f"{count}-{name}" for count, name in animals(question))).replace(
        " ", "-"
    )


def _letters(question: str) -> str:
    letter, words = counted_text(question)
    return " ".join(f"{letter}:{word}" for word in words)


def _sorting(question: str) -> str:
    descending, words = words_to_sort(question)
    return _joined("down" if descending else "up", *sorted(words))


def _search(question: str) -> str:
    numbers, target = numbers_and_target(question)
    return _joined(*sorted(numbers), "for", target)


def _story(question: str) -> str:
    return _joined(*_NAME.sub(" ", question).split())


_VARIES: dict[str, Callable[[str], str]] = {
    "chain_sum": _sum,
    "leg_counting": _animals,
    "letter_counting": _letters,
    "gcd": lambda question: _joined(*sorted(gcd_numbers(question))),
    "word_sorting": _sorting,
    "countdown": _search,
    "gsm_symbolic": _story,
    "spell_backward": lambda question: _after(question, ": ").lower(),
}


def what_varies(family: str, question: str) -> str:
    """Return what is different in the questions of a family, without their template.

    Two questions with the same text ask the same:

    - chain_sum: the numbers added and the numbers taken away, each in order of size
    - leg_counting: the animals with their numbers, in the order of the alphabet
    - letter_counting: each word with the letter, in the order of the text. Each pair counts as one
      word. Two texts match if they share eight words in a row and count the same letter. A text of
      fewer words matches only as a whole.
    - gcd, word_sorting, countdown: the numbers or words in order, with the direction or the target
    - gsm_symbolic: the whole story without capitalised words. Changing only a name gives
      the same question. Changing a number gives a new one.

    Args:
        family: The family, a key of `s1lab.smol.families.FAMILIES`.
        question: A question of that family.

    Returns:
        The text. Except for letter_counting it is one word, so it is compared as a whole.

    Raises:
        ValueError: The family is unknown.

    Example:
        >>> lab.smol.what_varies("gcd", "Find the GCD of these numbers: 54, 12.")
        'gcd:12_54'
    """
    if family not in _VARIES:
        raise ValueError(f"no family is called {family!r}: choose from {list(_VARIES)}")
    text = _VARIES[family](question)
    return text if family == "letter_counting" else f"{family}:{text}"


def decontaminate(pool: Dataset, benchmarks: list[Dataset], n: int = 8) -> tuple[Dataset, Report]:
    """Drop the questions that ask the same as a test question: `s1lab.curate.decontaminate`.

    That function compares n-grams of words. Here it gets what varies in place of the question.

    Args:
        pool: A Dataset with question and family.
        benchmarks: Datasets with question and family.
        n: The words of a gram. It matters for letter_counting only.

    Returns:
        The rows that are left, and the report. Its rows have what varies as their question.

    Raises:
        ValueError: A column is missing, or a family is unknown.

    Example:
        pool = lab.smol.pool(42)
        kept, leaked = lab.smol.decontaminate(pool, [lab.smol.benchmark("test")])
    """
    benchmarks = [benchmarks] if isinstance(benchmarks, Dataset) else benchmarks
    kept, report = curate.decontaminate(_varying(pool), [_varying(b) for b in benchmarks], n)
    return pool.select(kept["place"]), report


def _varying(questions: Dataset) -> Dataset:
    for name in ("question", "family"):
        if name not in questions.column_names:
            raise ValueError(f"a set of questions has no column {name!r}: {questions.column_names}")
    texts = [
        what_varies(family, question)
        for family, question in zip(questions["family"], questions["question"], strict=True)
    ]
    return Dataset.from_dict({"question": texts, "place": list(range(len(texts)))})
