"""Sums in small steps, as text: each digit is worked out next to the digits that it comes from."""

from __future__ import annotations

from itertools import zip_longest


def _columns(a: int, b: int) -> list[tuple[int, int]]:
    """Return the digits of two numbers in pairs, starting with the ones."""
    digits = zip_longest(reversed(str(a)), reversed(str(b)), fillvalue="0")
    return [(int(x), int(y)) for x, y in digits]


def add_columns(a: int, b: int) -> str:
    """Write an addition digit by digit, starting with the ones, with carries.

    Example:
        >>> add_columns(587, 946)
        '587+946: 7+6=13, 8+4+1=13, 5+9+1=15. 587+946=1533.'
    """
    steps, carry = [], 0
    for x, y in _columns(a, b):
        total = x + y + carry
        steps.append(f"{x}+{y}{'+1' if carry else ''}={total}")
        carry = total // 10
    return f"{a}+{b}: {', '.join(steps)}. {a}+{b}={a + b}."


def subtract_columns(a: int, b: int) -> str:
    """Write a subtraction of a smaller number digit by digit, with borrowing.

    A digit that is too small gets ten more, and the next digit gives one back.

    Example:
        >>> subtract_columns(92, 46)
        '92-46: 12-6=6, 9-4-1=4. 92-46=46.'
    """
    steps, borrow = [], 0
    for x, y in _columns(a, b):
        left = x - y - borrow
        steps.append(f"{x + 10 * (left < 0)}-{y}{'-1' if borrow else ''}={left % 10}")
        borrow = int(left < 0)
    return f"{a}-{b}: {', '.join(steps)}. {a}-{b}={a - b}."


def add_by_tens(a: int, b: int) -> str:
    """Write an addition in at most three steps: the hundreds, the tens and the ones of b.

    Example:
        >>> add_by_tens(287, 64)
        '287+60=347, 347+4=351'
    """
    digits = reversed(list(enumerate(reversed(str(b)))))
    parts = [int(digit) * 10**place for place, digit in digits if digit != "0"] or [0]
    steps = []
    for part in parts:
        steps.append(f"{a}+{part}={a + part}")
        a += part
    return ", ".join(steps)


def multiply(a: int, b: int) -> str:
    """Write a product. A first number over 10 is split into 10 and the rest.

    Example:
        >>> multiply(13, 6)
        '10*6=60, 3*6=18, 60+18=78'
    """
    if a <= 10:
        return f"{a}*{b}={a * b}"
    rest = a - 10
    return f"10*{b}={10 * b}, {rest}*{b}={rest * b}, {10 * b}+{rest * b}={a * b}"


def remainder_steps(a: int, b: int) -> tuple[list[str], int]:
    """Write how a remainder is found, with one step for each digit of the quotient.

    Each step subtracts a multiple of b.

    Returns:
        The steps, and the remainder.

    Example:
        >>> remainder_steps(299, 7)
        (['40*7=280, 299-280=19', '2*7=14, 19-14=5'], 5)
    """
    steps = []
    for place in range(len(str(a)) - 1, -1, -1):
        if times := a // (b * 10**place) * 10**place:
            taken = times * b
            product = f"{times}*{b}={taken}, " if times > 1 else ""
            steps.append(f"{product}{a}-{taken}={a - taken}")
            a -= taken
    return steps, a
