"""The embedded world: questions that thinking solves, and the two small models trained on them.

``make weights`` (``python -m s1lab.tiny.make``) trains both models from nothing; their cards say what they can do.
"""

from s1lab.tiny.world import FAMILIES, SIZES, SPLITS, problems

__all__ = ["FAMILIES", "SIZES", "SPLITS", "problems"]
