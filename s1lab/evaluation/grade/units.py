"""Units: what each measures, and its size, by every name it has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Unit:
    """A known unit: what it measures, and its size in that measure's first unit."""

    measures: str
    size: Fraction = Fraction(1)


# What is measured: its units by all their names, and their size in the first one. Size 0 keeps a
# unit apart from the others: radians are not converted to degrees.
_TABLE: dict[str, dict[str, int | Fraction]] = {
    "time": {
        "s sec secs second seconds": 1,
        "min mins minute minutes": 60,
        "h hr hrs hour hours": 3600,
        "day days": 86400,
        "week weeks": 604800,
        "fortnight fortnights": 1209600,
    },
    "months": {
        "month months": 1,
        "year years yr yrs": 12,
        "decade decades": 120,
        "century centuries": 1200,
    },
    "length": {
        "m meter meters metre metres": 1,
        "cm centimeter centimeters centimetre centimetres": Fraction(1, 100),
        "mm millimeter millimeters millimetre millimetres": Fraction(1, 1000),
        "km kilometer kilometers kilometre kilometres": 1000,
        "dm decimeter decimeters": Fraction(1, 10),
        "inch inches": Fraction(254, 10000),
        "ft foot feet": Fraction(3048, 10000),
        "yd yard yards": Fraction(9144, 10000),
        "mi mile miles": Fraction(1609344, 1000),
    },
    "mass": {
        "g gram grams": 1,
        "kg kilogram kilograms": 1000,
        "mg milligram milligrams": Fraction(1, 1000),
        "lb lbs pound pounds": Fraction(45359237, 100000),
        "oz ounce ounces": Fraction(45359237, 1600000),
    },
    "volume": {
        "L l liter liters litre litres": 1,
        "mL ml milliliter milliliters millilitre millilitres": Fraction(1, 1000),
    },
    "spoons": {"teaspoon teaspoons tsp": 1, "tablespoon tablespoons tbsp": 3},
    "volume in gallons": {
        "cup cups": Fraction(1, 16),
        "gallon gallons gal": 1,
        "quart quarts": Fraction(1, 4),
        "pint pints": Fraction(1, 8),
    },
    "area": {"acre acres": Fraction(40468564224, 10000000), "hectare hectares": 10000},
    "tons": {"ton tons tonne tonnes": 1},
    "force": {"newton newtons N": 1},
    "energy": {"joule joules J": 1},
    "power": {"watt watts W": 1},
    "amount": {"mol mole moles": 1},
    "temperature in celsius": {"^\\circc celsius": 1},
    "temperature in fahrenheit": {"^\\circf fahrenheit": 1},
    "money": {"dollar dollars usd $ \\$": 1, "cent cents ¢": Fraction(1, 100)},
    "yen": {"yen ¥": 1},
    "pounds sterling": {"£": 1},
    "euros": {"euro euros €": 1},
    "rupees": {"rs rupee rupees ₹": 1},
    "length per time": {"mph": Fraction(1609344, 3600000), "kph kmh kmph": Fraction(1000, 3600)},
    "angle": {"degree degrees deg ^\\circ": 1, "radian radians rad": 0},
}


def _units() -> dict[str, Unit]:
    """All units by every name they have."""
    found = {}
    for measure, names in _TABLE.items():
        for spelled, size in names.items():
            for name in spelled.split():
                kind = measure if size else f"{measure} in {spelled.split()[0]}"
                found[name] = Unit(kind, Fraction(size or 1))
    return found


UNITS = _units()

ONE_LETTER = frozenset("msghlLJNWVAKC")  # one-letter units that may follow a number and a space

_POWER = re.compile(r"\^?\{?\s*([23])\s*\}?$")


def named(words: str) -> Unit | None:
    """The unit that words name, with its power ("square cm", "cm^2"); None for unknown words."""
    words = words.strip().lower() if words.strip() not in ONE_LETTER else words.strip()
    above, slash, below = re.sub(
        r"\s+per\s+|\s+an?\s+(?=hour|minute|second|day)", "/", words
    ).partition("/")
    if slash and words not in UNITS:
        top, bottom = named(above), named(below)
        return (
            Unit(f"{top.measures} per {bottom.measures}", top.size / bottom.size)
            if top and bottom
            else None
        )
    words = re.sub(r"^degrees?\s+(?=celsius|fahrenheit)|(?<=circ)\s+(?=[cf]$)", "", words)
    power = 1
    if raised := _POWER.search(words):
        power, words = int(raised[1]), words[: raised.start()].strip(" ^{")
    for prefix, exponent in (("square ", 2), ("sq ", 2), ("sq. ", 2), ("cubic ", 3), ("cu ", 3)):
        if words.startswith(prefix):
            power, words = exponent, words.removeprefix(prefix).strip()
    unit = UNITS.get(words) or UNITS.get(words.split(" ")[0].strip(".,"))
    if unit is None:
        return None
    return unit if power == 1 else Unit(f"{unit.measures}^{power}", unit.size**power)
