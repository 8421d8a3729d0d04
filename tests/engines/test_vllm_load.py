"""vLLM's batch-invariant mode: where it is refused, and that a process has one mode."""

from __future__ import annotations

import os
import sys
from types import ModuleType, SimpleNamespace

import pytest

from s1lab.engines import vllm_load
from s1lab.engines.vllm_load import INVARIANT, invariance_fault, set_invariant


def platform(kind: str, capability: int = 90) -> SimpleNamespace:
    return SimpleNamespace(
        device_type=kind,
        is_cpu=lambda: kind == "cpu",
        is_cuda=lambda: kind == "cuda",
        is_cuda_alike=lambda: kind in ("cuda", "rocm"),
        is_xpu=lambda: kind == "xpu",
        has_device_capability=lambda least: capability >= least,
    )


@pytest.mark.parametrize(
    ("kind", "capability", "variables", "says"),
    [
        ("cuda", 90, {INVARIANT}, None),
        ("cuda", 80, {INVARIANT}, None),
        ("rocm", 0, {INVARIANT}, None),
        ("xpu", 0, {INVARIANT}, None),
        ("cuda", 75, {INVARIANT}, "capability 8.0"),
        ("cpu", 0, {INVARIANT}, "on 'cpu'"),
        ("tpu", 0, {INVARIANT}, "on 'tpu'"),
        ("cuda", 90, set(), "no batch-invariant mode; install a newer one"),
    ],
)
def test_it_is_refused_where_the_version_or_the_card_lacks_it(kind, capability, variables, says):
    fault = invariance_fault(platform(kind, capability), variables)
    assert (fault is None) if says is None else (says in fault and "deterministic=True" in fault)


@pytest.fixture
def card(monkeypatch):
    """A vLLM, not imported, on a card that has the mode."""
    vllm, platforms = ModuleType("vllm"), ModuleType("vllm.platforms")
    vllm.envs = SimpleNamespace(environment_variables={INVARIANT: bool})
    platforms.current_platform = platform("cuda")
    for name in [n for n in sys.modules if n.partition(".")[0] == "vllm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    monkeypatch.setitem(sys.modules, "vllm.platforms", platforms)
    monkeypatch.setattr(vllm_load, "_MODES", [])
    monkeypatch.setenv(INVARIANT, "0")
    return monkeypatch


def test_it_is_set_before_vllm_starts(card):
    assert set_invariant(True) and os.environ[INVARIANT] == "1"
    assert set_invariant(True)  # a second engine of the same mode


@pytest.mark.parametrize("first", [True, False])
def test_a_process_has_one_mode(card, first):
    set_invariant(first)
    card.setenv(INVARIANT, "0")
    with pytest.raises(ValueError, match=r"too late.*start another process"):
        set_invariant(not first)


def test_the_environment_turns_it_on_too(card):
    card.setenv(INVARIANT, "1")
    assert set_invariant(False)


def test_files_of_vllm_that_were_read_in_the_other_mode_are_noticed(card):
    read = ModuleType("vllm.attention")
    read.is_batch_invariant = False
    card.setitem(sys.modules, "vllm.attention", read)
    assert not set_invariant(False)
    card.setattr(vllm_load, "_MODES", [])
    with pytest.raises(ValueError, match="too late"):
        set_invariant(True)


def test_it_is_true_or_false(card):
    with pytest.raises(ValueError, match="deterministic='yes': give True or False"):
        set_invariant("yes")
