"""Everything on disk: the store that resumes a run, saved runs, replays, and differences of runs.

The folder is not called runs, because the call `s1lab.runs` would hide it.
"""

from s1lab.storage.run import Run
from s1lab.storage.saved import read_run
from s1lab.storage.schema_upgrade import upgrade
from s1lab.storage.sqlite import StoreError
from s1lab.storage.store import import_run

__all__ = ["Run", "StoreError", "import_run", "read_run", "upgrade"]
