"""What needs this repository and is not in the package: running the notebooks, planning, benchmarking, training the embedded models."""

from pathlib import Path

ROOT = Path(__file__).parent.parent  # of the repository
