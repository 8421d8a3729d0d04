"""What needs this repository, outside the package: reproduce, profiles, plan, rehearse, report, bench, grading, and training.

``tools/tiny/`` trains the embedded models.
"""

from pathlib import Path

ROOT = Path(__file__).parent.parent  # of the repository
