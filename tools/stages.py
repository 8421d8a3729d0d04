"""``make test``: run its stages one after another, and print what each took.

Each stage is a target of the Makefile, so that ``make unit`` runs one of them by itself. The table
comes at the end, also after a stage that failed or a Ctrl-C: the stages behind it are not run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence


def run_stages(make: str, stages: Sequence[str]) -> int:
    """Run stages until one fails, and print a table of their seconds.

    Args:
        make: The make that runs a stage, as a command's name or path.
        stages: Targets of the Makefile here, in order.

    Returns:
        The exit status of the stage that failed, 130 after a Ctrl-C, else 0.
    """
    took: dict[str, float] = {}
    status = 0
    for stage in stages:
        began = time.monotonic()
        try:
            status = subprocess.run([make, "--no-print-directory", stage]).returncode
        except KeyboardInterrupt:
            status = 130
        took[stage] = time.monotonic() - began
        if status:
            break
    print(table(stages, took, status), flush=True)
    return status


def table(stages: Sequence[str], took: dict[str, float], status: int) -> str:
    """Lay out what each stage took.

    Args:
        stages: All stages, in order.
        took: Seconds of those that began.
        status: Exit status of the last one that began.

    Returns:
        A line for each stage, and one for the total.
    """
    rows = []
    for stage in stages:
        if stage not in took:
            rows.append((stage, "-", "not run"))
        elif status and stage == list(took)[-1]:
            rows.append((stage, f"{took[stage]:.0f}", "stopped" if status == 130 else "FAILED"))
        else:
            rows.append((stage, f"{took[stage]:.0f}", ""))
    rows.append(("total", f"{sum(took.values()):.0f}", ""))
    lines = [f"{'stage':16}{'seconds':>8}"]
    lines += [f"{name:16}{seconds:>8}  {note}".rstrip() for name, seconds, note in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    reader = argparse.ArgumentParser(prog="python -m tools.stages")
    reader.add_argument("make", help="the make that runs a stage")
    reader.add_argument("stages", nargs="+", help="targets of the Makefile")
    given = reader.parse_args()
    sys.exit(run_stages(given.make, given.stages))
