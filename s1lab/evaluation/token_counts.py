"""Mean tokens a question at each budget, measured here or published: the basis of planning."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from s1lab import paper
from s1lab.evaluation.arguments import real, text
from s1lab.evaluation.benchmarks import EMBEDDED, known
from s1lab.methods.ladder import named_rung
from s1lab.tiny.world import BENCHMARK

MADE = Path(__file__).parent.parent / "tiny" / "made.json"
_NAME = "a benchmark's name, such as 'aime24'"
S11_LONGER = 9_290 / 4_693


@dataclass(frozen=True)
class Habit:
    """How long a model thinks and answers on a benchmark, in mean tokens a question.

    Attributes:
        own: Thinking until the model stops by itself.
        capped: Pairs (cap, thinking tokens under it).
        waited: Pairs (number of Waits, thinking tokens with them); 0 Waits is the own stop.
        answer: The answer.
        direct: A reply without thinking: asked for the answer at once, and written freely.
    """

    own: float
    capped: tuple[tuple[float, float], ...]
    waited: tuple[tuple[float, float], ...]
    answer: float
    direct: tuple[float, float]

    def under(self, cap: float) -> float:
        """Mean thinking tokens under a cap. Beyond the last known cap they approach the own stop.

        Args:
            cap: The cap, in thinking tokens.

        Raises:
            ValueError: The cap is not a number of tokens.
        """
        cap = real("cap", cap, "a number of thinking tokens, 0 or more", 0)
        last = max(2 * self.capped[-1][0], 1.5 * self.own)
        return min(cap, self.own, _between((*self.capped, (last, self.own)), cap))

    def after(self, waits: int) -> float:
        """Mean thinking tokens with a number of Waits.

        Beyond the last known number, each Wait adds as much as the last known ones did.

        Args:
            waits: The number of Waits.

        Raises:
            ValueError: It is not a number of Waits.
        """
        number = real("waits", waits, "a number of Waits, 0 or more", 0)
        return _between(self.waited, number, beyond=True)


def _between(points: tuple[tuple[float, float], ...], at: float, beyond: bool = False) -> float:
    """Interpolate linearly between known points.

    Before the first point the line starts at zero. After the last it is flat, or keeps the last
    slope if ``beyond`` is set.
    """
    known = ((0.0, 0.0), *points) if points[0][0] > 0 else points
    for (x, y), (nx, ny) in pairwise(known):
        if at <= nx:
            return y + (ny - y) * (at - x) / (nx - x)
    (x, y), (nx, ny) = known[-2:]
    return ny + (ny - y) / (nx - x) * (at - nx) if beyond else ny


def habit(benchmark: str, model: str = "") -> Habit:
    """Mean token counts of a model on a benchmark.

    On the embedded world they are those of the embedded model, from the run that its card
    describes. Its answers and its replies without thinking are means over 120 of its questions.

    On other benchmarks they are those of s1-32B, from the paper's figures. Its answers take 690
    tokens (Table 12's mean), and a reply of its base 646 (Figure 4's first dot). A benchmark
    without a figure in the paper counts as AIME24, whose thinking is the longest. Waits that a
    figure leaves out add as much as on AIME24. A model called s1.1 is assumed to think longer by
    the ratio of the traces it was trained on: 9,290 tokens on average, not 4,693.

    Args:
        benchmark: The benchmark's name.
        model: The model's name; "" for none.

    Returns:
        The mean token counts.

    Raises:
        ValueError: A name is not text.
    """
    text("benchmark", benchmark, _NAME)
    if not isinstance(model, str):
        text("model", model, "the model's name as text, or nothing")
    if benchmark == EMBEDDED:
        rungs = json.loads(MADE.read_text(encoding="utf-8"))["measured"]["rungs"]
        tokens = {
            rung: found["thinking_tokens"]
            for name, found in rungs.items()
            if (rung := named_rung(name))
        }
        own, waits = tokens[None, 0], tuple((float(n), t) for (_, n), t in tokens.items() if n)
        return Habit(own, _capped(tokens), ((0.0, own), *waits), answer=5.5, direct=(3.7, 44.1))
    _, found = known(benchmark)
    curve = paper.FIGURE_1[found.paper if found and found.paper in paper.FIGURE_1 else "AIME24"]
    published, forced = (
        {rung: p.tokens for p in c if (rung := named_rung(p.how))}
        for c in (curve, paper.FIGURE_4_LEFT)
    )
    own, caps = published[None, 0], _capped(published)
    longer = {w: forced[None, w] / forced[None, 0] for w in (2, 4, 6)}
    if first := published.get((None, 2)):  # the figure's own
        longer = {w: ratio * first / own / longer[2] for w, ratio in longer.items()}
    if "s1.1" in model:
        own *= S11_LONGER
        caps = tuple((cap * S11_LONGER, tokens * S11_LONGER) for cap, tokens in caps)
    return Habit(
        float(own),
        caps,
        ((0.0, float(own)), *((float(w), own * r) for w, r in longer.items())),
        690.0,
        (646.0, 646.0),
    )


def _capped(tokens: Mapping[Any, float]) -> tuple[tuple[float, float], ...]:
    """Pairs (cap, tokens) of the rungs that have a cap."""
    return tuple((float(cap), float(t)) for (cap, _), t in tokens.items() if cap is not None)


def rows_of(benchmark: str) -> int:
    """The number of questions in a benchmark. An unknown one counts as large as the embedded one.

    Args:
        benchmark: The benchmark's name.

    Raises:
        ValueError: The name is not text.
    """
    text("benchmark", benchmark, _NAME)
    _, found = known(benchmark)
    return found.rows if found else BENCHMARK
