"""FSDP2 on processors: accelerate shards a model on accelerators alone, and trains whole copies on
CPUs without a word.
"""

from __future__ import annotations

from typing import Any

from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType


def shard_on_cpus() -> None:
    """Before a launched process trains: have accelerate take its CPUs for GPUs where it decides
    whether to shard.
    """
    begin = AcceleratorState.__init__

    def decide(state: AcceleratorState, *args: Any, **options: Any) -> None:
        shared = PartialState._shared_state
        if shared.get("distributed_type") == DistributedType.MULTI_CPU:
            shared["distributed_type"] = DistributedType.MULTI_GPU
        begin(state, *args, **options)

    AcceleratorState.__init__ = decide
