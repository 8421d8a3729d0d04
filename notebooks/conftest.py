"""How `make notebooks-test` shares the notebooks out: a group runs in one process, in order."""

from __future__ import annotations

import pytest

# 02 trains on the rows that 01 wrote. 03, 05 and 07 ask the same questions and share a store, which
# has one writer at a time.
GROUPS = {"01": "data", "02": "data", "03": "sweeps", "05": "sweeps", "07": "sweeps"}


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        number = item.path.name[:2]
        item.add_marker(pytest.mark.xdist_group(GROUPS.get(number, number)))
