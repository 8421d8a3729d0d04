"""The teachers: for each trained family, a function that writes the thinking for a question.

A teacher reads the text of the question and nothing else. Each line is a small step. Values that
are compared are next to each other on a line, and running totals are on each line. A small model
learns such lines, and does not learn a comparison with a number that is far away in the question.
No word follows a number of hundreds: `s1lab.curate.quality` takes "500 legs" for a server's error.

A teacher stops when the answer is found, and not before. It never goes back to check. So the
thinking has no text that suppresses a stop, and no early stop.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from s1lab.smol.arithmetic import (
    add_by_tens,
    add_columns,
    multiply,
    remainder_steps,
    subtract_columns,
)
from s1lab.smol.families import solution_lines
from s1lab.smol.overlap import (
    animals,
    counted_text,
    gcd_numbers,
    numbers_and_target,
    terms,
    words_to_sort,
)

Thought = tuple[str, str]  # the thinking, and the answer that it ends in

# What an attempt begins with: the text that opens an answer after a cut (`s1lab.Budget.on_cut`).
ANSWER = "Final Answer: "
_LEGS = {
    0: "snake, sea slug, jellyfish, flatworm, leech",
    2: "chicken, bird, human, duck",
    4: "dog, cat, cow, horse, lion, elephant, giraffe, tiger, deer, sheep",
    5: "starfish",
    6: "insect, ant, butterfly, beetle, bee, wasp, grasshopper, cricket, cockroach, "
    "praying mantis, firefly",
    8: "spider, scorpion",
    10: "crab, lobster, shrimp",
    14: "woodlouse",
}
LEGS = {name: legs for legs, names in _LEGS.items() for name in names.split(", ")}


def chain_sum(question: str) -> Thought:
    """Add the numbers with a plus, add those with a minus, and take one sum from the other.

    Each sum is written digit by digit.
    """
    plus, minus = terms(question)
    lines, totals = [], []
    for name, numbers in (("Plus", plus), ("Minus", minus)):
        if not numbers:
            continue
        lines.append(f"{name}: {', '.join(map(str, numbers))}.")
        total = numbers[0]
        for number in numbers[1:]:
            lines.append(add_columns(total, number))
            total += number
        totals.append(total)
    if minus:
        more, less = totals
        if more >= less:
            lines.append(f"{more} >= {less}.")
            lines.append(subtract_columns(more, less))
        else:
            lines.append(f"{more} < {less}, so the result is negative.")
            lines.append(subtract_columns(less, more))
        totals = [more - less]
    lines.append(f"The result is {totals[0]}.")
    return "\n".join(lines), str(totals[0])


def leg_counting(question: str) -> Thought:
    """Go from animal to animal, with a product and a running total on each line."""
    lines, total = [], 0
    for count, written in animals(question):
        legs = LEGS[written if written in LEGS else written.removesuffix("s")]
        more = count * legs
        lines.append(
            f"{count} {written}: {multiply(count, legs)}. Total {add_by_tens(total, more)}."
        )
        total += more
    return "\n".join([*lines, f"In total {total}."]), str(total)


def letter_counting(question: str) -> Thought:
    """Spell each word. A letter that is counted has the running count behind it."""
    letter, words = counted_text(question)
    lines, count = [], 0
    for word in words:
        spelt = []
        for one in word.lower():
            count += one == letter
            spelt.append(f"{one}={count}" if one == letter else one)
        lines.append(f"{letter} in {word}: {' '.join(spelt)}. So {count}.")
    return "\n".join([*lines, f"The count is {count}."]), str(count)


def gcd(question: str) -> Thought:
    """Euclid's algorithm: the larger number is replaced by the remainder, until that is 0."""
    small, large = sorted(gcd_numbers(question))
    lines = []
    while small:
        steps, rest = remainder_steps(large, small)
        lines.append(f"{large}, {small}: {'; '.join(steps)}.")
        large, small = small, rest
    lines.append(f"Nothing is left, so the GCD is {large}.")
    return "\n".join(lines), str(large)


def word_sorting(question: str) -> Thought:
    """Sort by the first letter, and words with the same one by the first letter that differs."""
    descending, words = words_to_sort(question)
    if descending:
        lines = ["Descending: z to a, then _, then Z to A, then 9 to 0."]
    else:
        lines = ["Ascending: 0 to 9, then A to Z, then _, then a to z."]
    result = _sorted(words, descending, lines)
    answer = ", ".join(result)
    return "\n".join([*lines, f"The order is {answer}."]), answer


def _sorted(words: list[str], descending: bool, lines: list[str]) -> list[str]:
    """Sort words by the first place at which they differ, and write how."""
    alike = itertools.takewhile(lambda each: len(set(each)) == 1, zip(*words, strict=False))
    shared = "".join(each[0] for each in alike)
    at = len(shared)
    letters = {word: word[at : at + 1] for word in words}
    listed = ", ".join(f"{word} {letters[word] or 'end'}" for word in words)
    lines.append(f"After {shared}: {listed}." if shared else f"First letters: {listed}.")
    result = []
    for letter in sorted(set(letters.values()), reverse=descending):  # the end comes before a
        same = [word for word in words if letters[word] == letter]
        lines.append(f"{letter or 'end'}: {', '.join(same)}")
        result += _sorted(same, descending, lines) if len(same) > 1 else same
    return result


def countdown(question: str) -> Thought:
    """Find the numbers to subtract.

    The sum of all numbers is too large by some amount. The numbers to subtract must add up to half
    of that amount.

    Sums of one number come first, then of two, and so on. Each is compared with the wanted sum on
    its own line.
    """
    numbers, target = numbers_and_target(question)
    lines = [f"Numbers: {', '.join(map(str, numbers))}. Target: {target}."]
    total = numbers[0]
    steps = []
    for number in numbers[1:]:
        steps.append(f"{total}+{number}={total + number}")
        total += number
    lines.append(f"Sum of all: {', '.join(steps)}.")
    lines.append(f"{total}-{target}={total - target}.")
    wanted, odd = divmod(total - target, 2)
    if odd or wanted < 0:
        raise ValueError(f"plus and minus do not make the target: {question!r:.120}")
    away: tuple[int, ...] = ()
    if wanted:
        lines.append(f"Half of {total - target} is {wanted}. Which numbers make {wanted}?")
        away = _search(numbers, wanted, lines)
    plus = [str(n) for place, n in enumerate(numbers) if place not in away]
    minus = [str(numbers[place]) for place in away]
    answer = " - ".join([" + ".join(plus), *minus])
    return "\n".join([*lines, f"{answer} = {target}."]), answer


def _search(numbers: list[int], wanted: int, lines: list[str]) -> tuple[int, ...]:
    """Write each choice of numbers until one has the wanted sum; return its places."""
    for size in range(1, len(numbers)):
        for places in itertools.combinations(range(len(numbers)), size):
            chosen = [numbers[place] for place in places]
            shown = "+".join(map(str, chosen)) + (f"={sum(chosen)}" if size > 1 else "")
            if sum(chosen) == wanted:
                lines.append(f"{shown}, {wanted} yes.")
                return places
            lines.append(f"{shown}, {wanted} no.")
    raise ValueError(f"no choice of {numbers} makes {wanted}")


TEACHERS: dict[str, Callable[[str], Thought]] = {
    "chain_sum": chain_sum,
    "leg_counting": leg_counting,
    "letter_counting": letter_counting,
    "gcd": gcd,
    "word_sorting": word_sorting,
    "countdown": countdown,
}


def solve(row: Mapping[str, Any]) -> Thought:
    """Write the thinking for a question, and the answer that it arrives at.

    The answer is the teacher's own. It is never copied from the row. For gsm_symbolic both are read
    from the package's worked solution.

    Args:
        row: A row with question and family, and for gsm_symbolic also solution.

    Returns:
        The thinking and the answer.

    Raises:
        ValueError: The family has no teacher, such as the one that is kept out of training; or the
            question can't be read.

    Example:
        thinking, answer = lab.smol.solve({"family": "gcd", "question": "The GCD of 54, 12."})
    """
    family = row["family"]
    if family == "gsm_symbolic":
        end = row["solution"].rpartition("####")[2].strip()
        return "\n".join(solution_lines(row)), end
    if family not in TEACHERS:
        raise ValueError(f"{family!r} has no teacher: choose from {[*TEACHERS, 'gsm_symbolic']}")
    return TEACHERS[family](row["question"])
