"""Sums in small steps: every equation in the text is true, and the text ends in the result."""

from __future__ import annotations

import random
import re

from s1lab.smol.arithmetic import (
    add_by_tens,
    add_columns,
    multiply,
    remainder_steps,
    subtract_columns,
)

EQUATION = re.compile(r"(\d+(?:[-+*]\d+)+)=(\d+)")


def untrue(text: str) -> list[str]:
    """The equations of a text that are not true. There must be at least one equation."""
    found = EQUATION.findall(text)
    assert found, text
    return [f"{left}={right}" for left, right in found if value(left) != int(right)]


def value(sum_: str) -> int:
    """The value of a sum, a difference or a product."""
    if "*" in sum_:
        a, b = sum_.split("*")
        return int(a) * int(b)
    return sum(int(term) for term in re.findall(r"-?\d+", sum_))


def test_every_step_of_a_sum_is_true_and_the_last_is_the_result():
    rng = random.Random(0)
    for _ in range(2_000):
        a, b = sorted((rng.randrange(10 ** rng.randint(1, 5)) for _ in range(2)), reverse=True)
        for text, result in (
            (add_columns(a, b), a + b),
            (subtract_columns(a, b), a - b),
            (add_by_tens(a, b), a + b),
            (multiply(a % 20, b % 20), a % 20 * (b % 20)),
        ):
            assert untrue(text) == [] and text.rstrip(".").endswith(f"={result}"), text


def test_a_remainder_is_found_by_multiples_of_one_digit():
    rng = random.Random(0)
    for _ in range(2_000):
        a, b = rng.randrange(5_000), rng.randrange(1, 300)
        steps, rest = remainder_steps(a, b)
        assert rest == a % b
        assert all(untrue(step) == [] for step in steps)
        assert all(int(times.rstrip("0")) < 10 for times in re.findall(r"(\d+)\*", " ".join(steps)))
