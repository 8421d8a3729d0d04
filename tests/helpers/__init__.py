"""What several test files use: paths here, scripted models and recorded cases beside."""

from pathlib import Path

import s1lab as lab

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
REAL_DATA = ROOT.parent / "shared" / "data"
"""Real benchmarks, where somebody has laid them beside the repository; tests of them skip without.
"""
TINY = Path(lab.tiny.__file__).parent / "s1-tiny"
