"""How long models think: mean tokens a question at each budget, as measured here or published, to plan with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from s1lab import paper
from s1lab.arguments import real, text
from s1lab.evaluation.benchmarks import EMBEDDED, known
from s1lab.tiny.world import BENCHMARK

MADE = Path(__file__).parent.parent / "tiny" / "made.json"
_NAME = "a benchmark's name, such as 'aime24'"
S11_LONGER = 9_290 / 4_693


@dataclass(frozen=True)
class Habit:
    """How long a model thinks and answers on a benchmark, in mean tokens a question.

    own: until it stops by itself. capped: (cap, tokens thought under it). waited: (Waits, tokens thought with them), 0 the own
    stop. answer: of an answer. direct: of a reply without thinking, at once and as the model likes.
    """

    own: float
    capped: tuple[tuple[float, float], ...]
    waited: tuple[tuple[float, float], ...]
    answer: float
    direct: tuple[float, float]

    def under(self, cap: float) -> float:
        """Mean thinking under a cap; beyond the last known one it nears the own stop.

        Raises ValueError for a cap that is no number of tokens.
        """
        cap = real("cap", cap, "a number of thinking tokens, 0 or more", 0)
        last = max(2 * self.capped[-1][0], 1.5 * self.own)
        return min(cap, self.own, _between((*self.capped, (last, self.own)), cap))

    def after(self, waits: int) -> float:
        """Mean thinking with so many Waits; beyond the last known number each adds as much as the last ones did.

        Raises ValueError for a number of Waits that is none.
        """
        number = real("waits", waits, "a number of Waits, 0 or more", 0)
        return _between(self.waited, number, beyond=True)


def _between(points: tuple[tuple[float, float], ...], at: float, beyond: bool = False) -> float:
    """Linear between known points; before the first from zero, behind the last flat, or (beyond) with the last slope."""
    known = ((0.0, 0.0), *points) if points[0][0] > 0 else points
    for (x, y), (nx, ny) in pairwise(known):
        if at <= nx:
            return y + (ny - y) * (at - x) / (nx - x)
    (x, y), (nx, ny) = known[-2:]
    return ny + (ny - y) / (nx - x) * (at - nx) if beyond else ny


def habit(benchmark: str, model: str = "") -> Habit:
    """The embedded model's on its own world, from the run that its card tells of; else s1-32B's, from the paper's figures.

    A model called s1.1 is taken to think as much longer as the traces it was trained on are: 9,290 tokens in the mean, not 4,693.
    The embedded model's answers, and replies without thinking, are means over 120 of its questions. s1-32B's answers: 690 tokens,
    Table 12's mean; a reply of its base: 646, Figure 4's first dot. A benchmark that the paper has no figure of is taken as
    AIME24, whose thinking is the longest. Waits that a figure leaves out add what they add on AIME24.
    Raises ValueError for a name that is no text.
    """
    text("benchmark", benchmark, _NAME)
    if not isinstance(model, str):
        text("model", model, "the model's name as text, or nothing")
    if benchmark == EMBEDDED:
        rungs = json.loads(MADE.read_text(encoding="utf-8"))["measured"]["rungs"]
        tokens = {name: rung["thinking_tokens"] for name, rung in rungs.items() if isinstance(rung, dict)}
        own = tokens["own stop"]
        caps = tuple((float(name[4:]), t) for name, t in tokens.items() if name.startswith("cap"))
        waits = tuple((float(name[6:]), t) for name, t in tokens.items() if name.startswith("waits"))
        return Habit(own, caps, ((0.0, own), *waits), answer=5.5, direct=(3.7, 44.1))
    _, found = known(benchmark)
    curve = paper.FIGURE_1[found.paper if found and found.paper in paper.FIGURE_1 else "AIME24"]
    own = next(p.tokens for p in curve if p.how == "own stop")
    caps = tuple((float(p.how[4:]), float(p.tokens)) for p in curve if p.how.startswith("cap"))
    forced = {p.how: p.tokens for p in paper.FIGURE_4_LEFT}
    longer = {w: forced[f"{w} Waits"] / forced["own stop"] for w in (2, 4, 6)}
    if first := next((p for p in curve if p.how == "2 Waits"), None):  # the figure has its own
        longer = {w: ratio * first.tokens / own / longer[2] for w, ratio in longer.items()}
    if "s1.1" in model:
        own *= S11_LONGER
        caps = tuple((cap * S11_LONGER, tokens * S11_LONGER) for cap, tokens in caps)
    return Habit(float(own), caps, ((0.0, float(own)), *((float(w), own * r) for w, r in longer.items())), 690.0, (646.0, 646.0))


def rows_of(benchmark: str) -> int:
    """Questions in a benchmark; one that is not known is taken to have as many as the embedded one.

    Raises ValueError for a name that is no text.
    """
    text("benchmark", benchmark, _NAME)
    _, found = known(benchmark)
    return found.rows if found else BENCHMARK
