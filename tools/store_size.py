"""Measure a store: its size and its time, with and without log-probabilities.

python -m tools.store_size [--completions 100000] [--tokens 100] [--folder runs]

The completions are random ids and random numbers, made before the clock runs. The store is written
as a run writes it, opened again, and each completion is looked up once, in another order. Times are
those of the processor, the kernel's included: they do not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

import numpy as np

import s1lab as lab
from s1lab.engine import Completion, Logprobs
from s1lab.storage.store import Store

CASES: tuple[tuple[str, int | None], ...] = (
    ("none", None),
    ("of the sampled ids", 0),
    ("of 20 ids a place", 20),
)
DIFFERENT = 200  # completions that are made; the others repeat them under keys of their own


def completions(tokens: int, k: int | None) -> list[Completion]:
    """Random completions, with log-probabilities unless ``k`` is None."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(DIFFERENT):
        ids = tuple(rng.integers(0, 100_000, tokens).tolist())
        likely = None
        if k is not None:
            rows = tokens + 1  # the stop has one too
            likely = Logprobs(
                -rng.random(rows, np.float32),
                rng.integers(0, 100_000, (rows, k), np.int32),
                -rng.random((rows, k), np.float32),
            )
        made.append(Completion(ids, 0, logprobs=likely))
    return made


def measure(engine: lab.Engine, path: Path, n: int, tokens: int, k: int | None) -> dict[str, float]:
    """Write a store, open it and read it.

    Args:
        engine: The engine whose model the store belongs to.
        path: The store's file.
        n: The number of completions.
        tokens: Their length.
        k: How many log-probabilities a place; None for none.

    Returns:
        Its bytes, and the processor's seconds for writing, opening and reading.
    """
    made = completions(tokens, k)
    keys = [random.Random(i).randbytes(16) for i in range(n)]
    began = time.process_time()
    store = Store(path)
    store.begin(engine, {}, n)
    for i, key in enumerate(keys):
        store.put(key, made[i % DIFFERENT])
        store.flush_when_due()
    store.close("finished")
    wrote = time.process_time() - began
    size = path.stat().st_size
    random.Random(0).shuffle(keys)
    began = time.process_time()
    store = Store(path)
    opened = time.process_time() - began
    began = time.process_time()
    if not all(store.get(key) for key in keys):
        raise RuntimeError(f"{path} has lost completions")
    read = time.process_time() - began
    store.close()
    return {"bytes": size, "write": wrote, "open": opened, "read": read}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--completions", type=int, default=100_000)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--folder", type=Path, default=Path("runs"))
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    n = given.completions
    print(f"{n:,} completions of {given.tokens} ids")
    print("| log-probabilities | MB | bytes a completion | write, s | open, s | read all, s |")
    print("| --- | --- | --- | --- | --- | --- |")
    with lab.load("s1-tiny") as engine, tempfile.TemporaryDirectory(dir=given.folder) as folder:
        for name, k in CASES:
            path = Path(folder) / "store.db"
            found = measure(engine, path, n, given.tokens, k)
            cells = [
                name,
                f"{found['bytes'] / 1e6:,.1f}",
                f"{found['bytes'] / n:,.0f}",
                *(f"{found[step]:.1f}" for step in ("write", "open", "read")),
            ]
            print(f"| {' | '.join(cells)} |", flush=True)
            path.unlink()


if __name__ == "__main__":
    main()
