"""The embedded world: questions that thinking solves, and the two small models trained on them.

``make weights`` (``python -m s1lab.tiny.make``) trains both models from nothing; their cards say what they can do.
"""

from s1lab.tiny.sources import blemishes, pool
from s1lab.tiny.teacher import Teacher
from s1lab.tiny.world import FAMILIES, SIZES, SPLITS, benchmark, problems, solve

__all__ = ["FAMILIES", "SIZES", "SPLITS", "Teacher", "benchmark", "blemishes", "pool", "problems", "solve"]
