"""Tools that need this repository and are not part of the package.

They are reproduce, profiles, plan, rehearse, report, bench, exactness, grading, count_lines, and
the training in ``tools/tiny/``, which makes the embedded models.
"""

from pathlib import Path

ROOT = Path(__file__).parent.parent  # of the repository
