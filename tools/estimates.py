"""What each notebook will cost: the tokens that models write for it, and the hours of its training.

In the ladder's formula a sweep writes its longest thinking once, and an answer for each rung. Mean
token counts are the paper's for its model on its benchmarks, and the embedded model's on its own
world.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from s1lab import paper
from s1lab.evaluation.benchmarks import EMBEDDED
from s1lab.evaluation.token_counts import Habit, habit, rows_of
from s1lab.sft.memory import FLOPS, H100_FLOPS
from s1lab.sft.memory import plan as plan_sft
from s1lab.sft.recipes import Recipe, recipe
from tools.profiles import Profile

# For each notebook: a line about it, the tokens that models write, and hours of training.
Estimate = tuple[str, float, float | None]


def _curve(n: int, h: Habit, caps: list[int], waits: list[int]) -> float:
    """Return the tokens of a sweep, whose rungs all come from one thinking pass."""
    rungs = len(caps) + len(waits)
    longest = h.after(max(waits, default=0)) if waits else max(map(h.under, caps), default=0)
    return n * (longest + rungs * h.answer)


def _asked(p: dict[str, Any]) -> tuple[int, Habit]:
    """Return how many questions of its benchmark a notebook asks, and the model's thinking."""
    return p["benchmark_size"] or rows_of(p["benchmark"]), habit(p["benchmark"], p.get("model", ""))


def _quickstart(p: dict[str, Any], _: Profile) -> Estimate:
    n, h = p["questions"], habit(p["benchmark"], p.get("model", ""))
    tokens = n * (
        sum(map(h.under, p["caps"])) + h.own + h.after(1) + (len(p["caps"]) + 2) * h.answer
    )
    return f"{n} questions at {len(p['caps']) + 2} budgets", tokens, 0.0


# REACHED is the share of the embedded pool that reaches the models. SOLVED is the share of that
# which the first model solves. Both are from notebook 01. The paper publishes no share for its
# first model, so the same one is used. Answers to the pool have LONGER more tokens than answers to
# the test questions.
REACHED, SOLVED, LONGER = 0.83, 0.28, 0.8


def _curation(p: dict[str, Any], _: Profile) -> Estimate:
    """Estimate difficulty: models get what the steps before leave.

    A model does not get the questions that one before it solved.
    """
    if p["pool_path"]:
        n, each = float(paper.FUNNEL["without formatting faults"][0]), habit("aime24").direct[0]
    else:
        n, each = REACHED * p["pool_size"], habit(EMBEDDED).direct[0] + LONGER
    n = min(n, p["tried"] or n)
    asked = n * (1 + (1 - SOLVED) * (len(p["models"]) - 1))
    # a code of two digits each
    labels = 10.0 * paper.FUNNEL["not solved by either model"][0] if p["label_with"] else 0.0
    return f"{asked:,.0f} direct answers of {len(p['models'])} models", asked * each + labels, 0.0


def recipe_of(given: dict[str, Any], profile: Profile) -> Recipe:
    """Return the recipe of 02_sft: the profile's recipe with its changes."""
    try:
        return recipe(given.get("recipe", "tiny")).but(**given.get("changes", {}))
    except TypeError as why:
        raise ValueError(
            f"the profile {profile.name}: the changes of 02_sft fit no recipe ({why}): give fields "
            "of sft.Recipe, of their kind"
        ) from None


def _sft(p: dict[str, Any], profile: Profile) -> Estimate:
    chosen = recipe_of(p, profile)
    size, h = _asked(p)
    tokens = size * sum(h.direct) + _curve(size, h, p["caps"], [0, *p["waits"]])
    machine, what = (
        profile.machine,
        f"{chosen.steps(1000)} steps over 1,000 rows; {size} questions before and after",
    )
    if machine.gpus and chosen.shape:
        peak = FLOPS.get(machine.gpu)  # of other GPUs the time is not estimated
        return (
            what,
            tokens,
            plan_sft(chosen, machine.gpus, machine.memory_gb).hours * H100_FLOPS / peak
            if peak
            else None,
        )
    return (
        what,
        tokens,
        chosen.epochs * 1000 / machine.rows_per_second / 3600 if machine.rows_per_second else None,
    )


def _forcing(p: dict[str, Any], _: Profile) -> Estimate:
    n, h = _asked(p)
    tokens = _curve(n, h, p["caps"], [0, *p["waits"]])
    return f"{n} questions on a ladder of {len(p['caps']) + len(p['waits']) + 1} rungs", tokens, 0.0


def _training_data(p: dict[str, Any], _: Profile) -> Estimate:
    """Estimate nothing: the trainings are read from the record of ``make ablations``."""
    return "stored trainings, no model", 0.0, 0.0


def _length_control(p: dict[str, Any], _: Profile) -> Estimate:
    """Estimate seven methods of five runs, and five words.

    Each method thinks about as long as forcing does. The words share their first round.
    """
    h = habit(EMBEDDED)
    words = h.after(2) + 1.2 * (h.after(2) - h.own) + 8 * h.answer
    tokens = p["rivals_size"] * 35 * (h.own + 3 * h.answer) + p["words_size"] * words
    return f"7 methods on {p['rivals_size']} questions, 5 words on {p['words_size']}", tokens, 0.0


def _scaling(p: dict[str, Any], _: Profile) -> Estimate:
    n, h = _asked(p)
    rungs = len(p["caps"]) + len(p["waits"])
    return f"{n} questions on a ladder of {rungs} rungs", _curve(n, h, p["caps"], p["waits"]), 0.0


def _statistics(p: dict[str, Any], _: Profile) -> Estimate:
    n, h = _asked(p)
    doubt = min(p["doubt_size"], n)
    tokens = _curve(n, h, p["caps"], p["waits"]) + 3 * doubt * (h.after(4) - h.own + 4 * h.answer)
    return (
        f"{n} questions on a ladder of {len(p['caps']) + len(p['waits'])} rungs; "
        f"{doubt} with other words",
        tokens,
        0.0,
    )


def _parallel(p: dict[str, Any], _: Profile) -> Estimate:
    n, h = _asked(p)
    one = min(p["cap"], h.after(1))
    # two of the three texts add rounds; without a text the model stops again
    words = n * (2 * (h.after(4) - h.own) + h.own + 9 * h.answer)
    votes = n * p["samples"] * (one + 2 * h.answer)
    trees = n * sum(p["widths"]) * 2 * (0.3 * one + h.answer)  # branches share most of their tokens
    grown = f"trees of width {' and '.join(map(str, p['widths']))}" if p["widths"] else "no trees"
    what = f"{n} questions: {p['samples']} samples of each, {grown}, 3 words"
    return what, words + votes + trees, 0.0


def _benchmarks(p: dict[str, Any], _: Profile) -> Estimate:
    tokens, asked = 0.0, 0
    for name in p["benchmarks"]:
        n, h = (p["benchmark_size"] if name == EMBEDDED else rows_of(name)), habit(name, p["model"])
        base = h.direct[0 if p["prefix"] else 1] if p["base"] else 0
        tokens, asked = (tokens + n * base + _curve(n, h, [], [0, *p["waits"]]), asked + n)
    return (
        f"{asked} questions with {len(p['waits'])} numbers of Waits"
        f"{', and the base model' if p['base'] else ''}",
        tokens,
        0.0,
    )


def _explore(p: dict[str, Any], _: Profile) -> Estimate:
    # The thinking of a large model about the embedded world's questions was never measured.
    # MATH500's is used.
    n, h = (
        p["questions"],
        habit(EMBEDDED if p["model"].startswith("s1-tiny") else "math500", p["model"]),
    )
    return (f"{n} embedded questions on a ladder", _curve(n, h, p["caps"], [0, *p["waits"]]), 0.0)


ESTIMATES: dict[str, Callable[[dict[str, Any], Profile], Estimate]] = {
    "00_quickstart": _quickstart,
    "01_data_curation": _curation,
    "02_sft": _sft,
    "03_budget_forcing": _forcing,
    "04_training_data": _training_data,
    "05_length_control": _length_control,
    "06_scaling": _scaling,
    "07_parallel": _parallel,
    "08_benchmarks": _benchmarks,
    "09_statistics": _statistics,
    "10_explore": _explore,
}
