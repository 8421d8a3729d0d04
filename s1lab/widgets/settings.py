"""What a playground asks: the values of its controls, their faults, and how they read."""

from __future__ import annotations

import re
from dataclasses import dataclass

from s1lab.budget import Budget
from s1lab.methods.ladder import rung_name

# The controls of the playground by the name of what they set.
CONTROLS = {
    "max_tokens": "Cap",
    "min_tokens": "Minimum",
    "waits": "Waits",
    "wait": "Wait word",
    "temperature": "Temperature",
    "seed": "Seed",
}


@dataclass(frozen=True)
class Settings:
    """The values of the controls.

    Attributes:
        question: The text of the question.
        cap: Most thinking tokens. None is no cap.
        least: Fewest thinking tokens.
        waits: How many tries to stop are suppressed.
        word: What is appended in place of a stop.
        temperature: The temperature; 0 is greedy.
        seed: The seed of sampling.
    """

    question: str
    cap: int | None
    least: int
    waits: int
    word: str
    temperature: float
    seed: int

    @property
    def budget(self) -> Budget:
        """The budget. ValueError if no run can keep it."""
        return Budget(self.cap, self.least, self.waits, self.word)

    @property
    def fault(self) -> str | None:
        """Say what can't be asked. The sentence begins with the name of the control."""
        if not self.question.strip():
            return "Question: it is empty. Write something to ask."
        if self.cap is not None and self.cap < 1:
            return f"Cap: {self.cap} leaves no room to think. Give 1 or more, or tick No cap."
        if self.least < 0:
            return f"Minimum: {self.least} is negative. Give 0 for no minimum."
        if self.cap is not None and self.least > self.cap:
            return (
                f"Minimum: {self.least} is above the Cap, which is {self.cap}. Lower the Minimum "
                "or raise the Cap."
            )
        if self.waits < 0:
            return f"Waits: {self.waits} is negative. Give 0 to let the model stop by itself."
        if not self.temperature >= 0:
            return f"Temperature: {self.temperature:g} can't be used. Give 0, or a number above it."
        return None

    def words(self) -> str:
        """Write the budget and the sampling in words."""
        said = ["no cap" if self.cap is None else f"cap {self.cap:,}"]
        said += [f"minimum {self.least:,}"] if self.least else []
        said += [rung_name(waits=self.waits) if self.waits else "no Waits"]
        if self.waits or self.least:
            said += [f"Wait word {self.word!r}" if self.word else "no Wait word"]
        said += [f"temperature {self.temperature:g}" if self.temperature else "greedy"]
        return ", ".join(said + ([f"seed {self.seed}"] if self.temperature else []))


def in_controls(text: str) -> str:
    """Put the names of controls for the names of arguments in an error's text."""
    return re.sub(rf"\b({'|'.join(CONTROLS)})=", lambda found: f"{CONTROLS[found[1]]} ", text)
