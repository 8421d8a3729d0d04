"""Load a model into vLLM, and leave this process as it was before."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import tempfile
from collections.abc import Container, Iterator, Mapping
from typing import Any

from s1lab.engines.finite import finite
from s1lab.engines.model_files import code_needed
from s1lab.engines.weights import ModelFilesError, one_line

# Checked at load. This project ran only 0.32.0. Versions near it are allowed but not tried.
SUPPORTED = (0, 20), (0, 33)
INVARIANT = "VLLM_BATCH_INVARIANT"  # the environment variable of vLLM's batch-invariant mode
OLDEST_CARD = 80  # compute capability 8.0: vLLM's own overrides begin there
_MODES: list[bool] = []  # whether this process's first vLLM was batch-invariant


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse options that vLLM does not have, with a ValueError."""
    from vllm import EngineArgs

    if unknown := set(options) - set(EngineArgs.__dataclass_fields__):
        raise ValueError(
            f"vLLM has no option {min(unknown)!r}: the ones it has are those of its EngineArgs"
        )


def start(model: str, arguments: dict[str, Any]) -> tuple[Any, list[str]]:
    """Start vLLM's engine. The list names weights that are NaN or infinite."""
    from vllm import EngineArgs
    from vllm.v1.engine.llm_engine import LLMEngine

    with _as_it_was(), _in_this_process(), _not_finite() as bad:
        try:
            return LLMEngine.from_engine_args(EngineArgs(**arguments)), bad
        except Exception as why:  # several libraries may raise anything here
            if "trust_remote_code" in str(why):
                raise ModelFilesError(code_needed(model)) from why
            raise ValueError(
                f"vLLM can't load {model!r} ({type(why).__name__}: {one_line(why, 300)})"
            ) from why


def import_vllm() -> str:
    """Import vLLM and return its version, if that is supported."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")  # its many warnings are about itself
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    try:
        import vllm
    except ImportError as why:
        raise ImportError(
            f"vLLM can't be imported ({why}): on a GPU machine pip install 's1lab[vllm]', on a CPU "
            'follow the repository\'s CONTRIBUTING.md; or load with engine="transformers"'
        ) from why
    version = tuple(int(part) for part in vllm.__version__.split(".")[:2] if part.isdigit())
    oldest, newest = SUPPORTED
    if not oldest <= version <= newest:
        raise ImportError(
            f"vLLM {vllm.__version__} is not supported: install one from "
            f"{'.'.join(map(str, oldest))} to {'.'.join(map(str, newest))}"
        )
    return str(vllm.__version__)


def set_invariant(wanted: bool) -> bool:
    """Turn vLLM's batch-invariant mode on if it is wanted. It stays on as long as this process.

    vLLM and its workers read it from the environment, once. So all vLLM engines of a process have
    the same mode.

    Args:
        wanted: Whether it must be on. It also is if the environment says so.

    Returns:
        Whether it is on.

    Raises:
        ValueError: It can't be on here, or this process has loaded vLLM in the other mode.
    """
    if not isinstance(wanted, bool):
        raise ValueError(f"deterministic={wanted!r}: give True or False")
    from vllm import envs
    from vllm.platforms import current_platform

    if wanted and (fault := invariance_fault(current_platform, envs.environment_variables)):
        raise ValueError(fault)
    on = wanted or os.environ.get(INVARIANT, "0") not in ("", "0")
    # Some of vLLM's files keep what they read when they were imported.
    read = [vars(m).get("is_batch_invariant") for n, m in [*sys.modules.items()] if "vllm" in n]
    if (_MODES and _MODES[0] != on) or (on and False in read):
        raise ValueError(
            f"deterministic={wanted} comes too late: vLLM was loaded in this process in the other "
            "mode, and decides on it once; start another process"
        )
    if on:
        os.environ[INVARIANT] = "1"
    _MODES.append(on)
    return on


def invariance_fault(platform: Any, variables: Container[str]) -> str | None:
    """Why vLLM can't be batch-invariant here, in a sentence; None if it can.

    Args:
        platform: vLLM's ``current_platform``.
        variables: The environment variables that vLLM knows.
    """
    if INVARIANT not in variables:
        return (
            "deterministic=True: the installed vLLM has no batch-invariant mode; install a newer "
            "one, or leave it out"
        )
    if platform.is_cpu() or not (platform.is_cuda_alike() or platform.is_xpu()):
        return (
            f"deterministic=True: vLLM has no batch-invariant mode on {platform.device_type!r}; "
            "leave it out, and take dtype='float32' for traces that seldom depend on the batch"
        )
    if platform.is_cuda() and not platform.has_device_capability(OLDEST_CARD):
        return (
            "deterministic=True: vLLM's batch-invariant mode needs a card of compute capability "
            f"{OLDEST_CARD / 10}, and this one is older; leave it out"
        )
    return None


@contextlib.contextmanager
def _as_it_was() -> Iterator[None]:
    """Undo the changes that vLLM makes to the process it loads in.

    It sets seeds, disables ``torch.set_num_threads``, and changes the environment. Text that its
    libraries write to standard error meanwhile is held back, and shown if the load fails.
    """
    import numpy as np
    import torch

    threads, states = (
        torch.set_num_threads,
        (random.getstate(), np.random.get_state(), torch.get_rng_state()),
    )
    real = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(real, held.read())
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)
            torch.set_num_threads = threads
            random.setstate(states[0])
            np.random.set_state(states[1])
            torch.set_rng_state(states[2])
            os.environ.pop("VLLM_DIST_IDENT", None)


@contextlib.contextmanager
def _not_finite() -> Iterator[list[str]]:
    """Collect the names of weights that are NaN or infinite while vLLM loads a model.

    They are checked as they are read, in the dtype that vLLM converts them to, so that no file is
    read twice. A later check is not possible: on CPUs vLLM packs weights into its own form. With
    several ranks other processes load the weights, and they are not checked.
    """
    from vllm.model_executor.model_loader.default_loader import DefaultModelLoader

    bad: list[str] = []
    read = DefaultModelLoader.get_all_weights

    def checked(self: Any, model_config: Any, model: Any) -> Iterator[tuple[str, Any]]:
        for name, weight in read(self, model_config, model):
            if not finite(weight, model_config.dtype):
                bad.append(name)
            yield name, weight

    DefaultModelLoader.get_all_weights = checked
    try:
        yield bad
    finally:
        DefaultModelLoader.get_all_weights = read


@contextlib.contextmanager
def _in_this_process() -> Iterator[None]:
    """Make vLLM keep its core in this process. The environment is restored afterwards."""
    name = "VLLM_ENABLE_V1_MULTIPROCESSING"
    before = os.environ.get(name)
    os.environ[name] = "0"
    try:
        yield
    finally:
        os.environ.pop(name) if before is None else os.environ.update({name: before})
