"""``make smol``: from nothing to s1-smol, measured and described.

It curates 1,000 traces, trains a LoRA adapter for SmolLM2 on them, and measures it. Everything is
seeded. If it is stopped, the same command goes on from there.
"""

from __future__ import annotations

import argparse
import sys

from s1lab import sft
from tools.smol import BASE, RUNS
from tools.smol.data import sets


def train(name: str = "chosen", progress: bool = True) -> sft.Trained:
    """Train the adapter on a set, or return the finished run.

    Args:
        name: The name of the set.
        progress: Whether to show progress bars.

    Returns:
        The run.
    """
    rows = sets(progress)[name]
    return sft.train(BASE, rows, "smol", out=RUNS / f"trained-{name}", progress=progress)


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="make smol", description=__doc__)
    parser.add_argument("--set", default="chosen", help="the set of traces to train on")
    options = parser.parse_args(arguments)
    trained = train(options.set)
    print(f"{trained.path}: loss {trained.loss[0]:.3f} to {trained.loss[-1]:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
