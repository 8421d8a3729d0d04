"""Everything on disk: the store that resumes a run, saved runs, replays, and differences of runs.

The folder is not called runs, because the call `s1lab.runs` would hide it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s1lab.storage.run import Run
    from s1lab.storage.saved import read_run
    from s1lab.storage.schema_upgrade import upgrade
    from s1lab.storage.sqlite import StoreError
    from s1lab.storage.store import import_run

# Imported when they are first used: the command line needs `files` alone, at once.
_HOMES = {
    "Run": "run",
    "StoreError": "sqlite",
    "import_run": "store",
    "read_run": "saved",
    "upgrade": "schema_upgrade",
}

__all__ = ["Run", "StoreError", "import_run", "read_run", "upgrade"]


def __getattr__(name: str) -> Any:
    """Import a name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
