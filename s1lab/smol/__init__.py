"""Questions, teachers and a pool for a small real model, SmolLM2-135M-Instruct.

The questions come from the package reasoning-gym (`s1lab.smol.families`). Small programs write the
thinking in plain English (`s1lab.smol.teachers`). A pool of more than 10,000 questions with
thinking is ready for `s1lab.curate` (`s1lab.smol.pool`). The pool teaches no early stop and no
"Wait": what a Wait does to a model that is trained on it was not taught.

``lab.load("s1-smol")`` loads SmolLM2 with an adapter that was trained on 1,000 of these traces, and
``lab.smol.measured()`` has what was measured of it. ``make smol`` made both.
"""

from s1lab.smol.families import FAMILIES, KEPT_OUT, LEVELS, TRAINED, benchmark
from s1lab.smol.overlap import decontaminate, what_varies
from s1lab.smol.pool import pool
from s1lab.smol.record import measured
from s1lab.smol.teachers import solve

__all__ = [
    "FAMILIES",
    "KEPT_OUT",
    "LEVELS",
    "TRAINED",
    "benchmark",
    "decontaminate",
    "measured",
    "pool",
    "solve",
    "what_varies",
]
