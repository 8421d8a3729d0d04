"""One torch thread for small models on a CPU.

Two threads make a small model hardly faster, since a step is over before they are both awake. But
threads that wait for work spin: two processes with two threads each on two cores can take eight
times as long as one alone.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from weakref import WeakKeyDictionary

import torch
from torch import nn

SMALL = 20_000_000  # weights
VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_CORES = {
    os.cpu_count() or 1,
    len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
}
# torch takes the cores that the process may use. Each of them may be shown as two.
USUAL = _CORES | {max(1, cores // 2) for cores in _CORES}
_small: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


@contextlib.contextmanager
def few_threads(network: nn.Module) -> Iterator[None]:
    """Work with one torch thread if a network is small and on the CPU.

    Nothing changes if the user chose a number: with ``OMP_NUM_THREADS``, ``MKL_NUM_THREADS`` or
    ``torch.set_num_threads``.
    """
    if network not in _small:
        parameters = [*network.parameters()]
        on_cpu = all(parameter.device.type == "cpu" for parameter in parameters)
        _small[network] = on_cpu and sum(p.numel() for p in parameters) <= SMALL
    if not _small[network] or chosen_by_user():
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def chosen_by_user() -> bool:
    """Whether the number of threads is another one than torch takes by itself."""
    return any(os.environ.get(v) for v in VARIABLES) or torch.get_num_threads() not in USUAL
