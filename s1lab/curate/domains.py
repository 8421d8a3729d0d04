"""Domains: a model says which subject a question belongs to (paper section 2.2 and appendix).

The classes are those of the Mathematics Subject Classification of the American Mathematical Society
(MSC2020), except 00 (general) and 01 (history). The paper's list has 61 classes. The classification
has classes for physics, computer science, biology and others, so it covers the sciences too.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from datasets import Dataset

from s1lab.api import direct
from s1lab.curate.report import Report, account, needs, with_column
from s1lab.engine import Engine

SUBJECTS: dict[str, str] = {
    "03": "Mathematical logic and foundations",
    "05": "Combinatorics",
    "06": "Order, lattices, ordered algebraic structures",
    "08": "General algebraic systems",
    "11": "Number theory",
    "12": "Field theory and polynomials",
    "13": "Commutative algebra",
    "14": "Algebraic geometry",
    "15": "Linear and multilinear algebra; matrix theory",
    "16": "Associative rings and algebras",
    "17": "Nonassociative rings and algebras",
    "18": "Category theory; homological algebra",
    "19": "K-theory",
    "20": "Group theory and generalizations",
    "22": "Topological groups, Lie groups",
    "26": "Real functions",
    "28": "Measure and integration",
    "30": "Functions of a complex variable",
    "31": "Potential theory",
    "32": "Several complex variables and analytic spaces",
    "33": "Special functions",
    "34": "Ordinary differential equations",
    "35": "Partial differential equations",
    "37": "Dynamical systems and ergodic theory",
    "39": "Difference and functional equations",
    "40": "Sequences, series, summability",
    "41": "Approximations and expansions",
    "42": "Harmonic analysis on Euclidean spaces",
    "43": "Abstract harmonic analysis",
    "44": "Integral transforms, operational calculus",
    "45": "Integral equations",
    "46": "Functional analysis",
    "47": "Operator theory",
    "49": "Calculus of variations and optimal control; optimization",
    "51": "Geometry",
    "52": "Convex and discrete geometry",
    "53": "Differential geometry",
    "54": "General topology",
    "55": "Algebraic topology",
    "57": "Manifolds and cell complexes",
    "58": "Global analysis, analysis on manifolds",
    "60": "Probability theory and stochastic processes",
    "62": "Statistics",
    "65": "Numerical analysis",
    "68": "Computer science",
    "70": "Mechanics of particles and systems",
    "74": "Mechanics of deformable solids",
    "76": "Fluid mechanics",
    "78": "Optics, electromagnetic theory",
    "80": "Classical thermodynamics, heat transfer",
    "81": "Quantum theory",
    "82": "Statistical mechanics, structure of matter",
    "83": "Relativity and gravitational theory",
    "85": "Astronomy and astrophysics",
    "86": "Geophysics",
    "90": "Operations research, mathematical programming",
    "91": "Game theory, economics, social and behavioral sciences",
    "92": "Biology and other natural sciences",
    "93": "Systems theory; control",
    "94": "Information and communication, circuits",
    "97": "Mathematics education",
}


def prompt(question: str) -> str:
    """Ask for the class of a question, as a two-digit code on the last line."""
    classes = "\n".join(f"{code} {title}" for code, title in SUBJECTS.items())
    return (
        "Which subject does the question below belong to? Choose one class of this list:\n"
        "\n"
        f"{classes}\n"
        "\n"
        "The question, which you are not to answer:\n"
        "\n"
        f"{question}\n"
        "\n"
        "Say in a sentence why, and end with the two-digit code of the class alone on the last "
        "line."
    )


def code_of(response: str) -> str | None:
    """Return the last two-digit number of a response, or None if it is not a class of the list."""
    found = re.findall(r"(?<!\d)\d\d(?!\d)", response)
    return found[-1] if found and found[-1] in SUBJECTS else None


def domains(
    engine: Engine,
    pool: Dataset,
    *,
    temperature: float = 0.0,
    seed: int = 0,
    store: str | Path | None = None,
    progress: bool = True,
    **asking: Any,
) -> tuple[Dataset, Report]:
    """Let a model name the subject of each question.

    Rows without a subject are dropped (rule "no subject"). The embedded pool already has its
    domains: families and sizes.

    Args:
        engine: The engine that names the subjects.
        pool: A Dataset with question.
        temperature: As in `s1lab.direct`.
        seed: As in `s1lab.direct`.
        store: As in `s1lab.direct`.
        progress: Whether to show a progress bar.
        asking: Other options of `s1lab.direct`.

    Returns:
        The pool with the column ``domain``, the subject of each question, and the report.

    Example:
        pool, unlabelled = lab.curate.domains(lab.load("s1-tiny"), lab.tiny.problems(4))
    """
    needs(pool, "the pool", question="text")
    replies = direct(
        engine,
        [prompt(q) for q in pool["question"]],
        temperature=temperature,
        seed=seed,
        store=store,
        progress=progress,
        **asking,
    )
    assert isinstance(replies, list)
    codes = [None if reply.error else code_of(reply.answer) for reply in replies]
    drops = {
        row: (
            "no subject",
            reply.error or f"the reply names no class of the list: {reply.answer.strip()[-80:]!r}",
        )
        for row, (code, reply) in enumerate(zip(codes, replies, strict=True))
        if code is None
    }
    return account(
        "domains",
        with_column(pool, "domain", [SUBJECTS[code] if code else None for code in codes]),
        drops,
    )
