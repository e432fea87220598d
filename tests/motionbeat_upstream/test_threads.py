from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

from motionbeat_upstream.threads import cores, idle_cores, use_idle_cores


@pytest.fixture(autouse=True)
def _keep_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    idle_cores.cache_clear()
    yield
    idle_cores.cache_clear()
    torch.set_num_threads(before)


def machine(monkeypatch: pytest.MonkeyPatch, total: int, own: int, load: float) -> None:
    """Simulate a machine with ``total`` cores, of which this process may use ``own``, under a load."""
    for name in ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: total)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(own)), raising=False)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0), raising=False)


@pytest.mark.parametrize(("load", "threads"), [(0.0, 4), (0.4, 4), (1.1, 3), (3.6, 1), (50.0, 1)])
def test_busy_cores_are_not_used(monkeypatch: pytest.MonkeyPatch, load: float, threads: int) -> None:
    machine(monkeypatch, 4, 4, load)
    torch.set_num_threads(4)
    use_idle_cores()
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(("load", "idle"), [(0, 8), (56, 8), (58, 6), (64, 1)])
def test_load_is_attributed_to_the_cores_of_others_first(
    monkeypatch: pytest.MonkeyPatch, load: float, idle: int
) -> None:
    machine(monkeypatch, 64, 8, load)
    assert idle_cores() == idle


@pytest.mark.parametrize(("own", "processes", "idle"), [(8, 1, 8), (8, 2, 4), (8, 16, 1), (2, 2, 2)])
def test_processes_of_one_machine_share_its_cores(
    monkeypatch: pytest.MonkeyPatch, own: int, processes: int, idle: int
) -> None:
    machine(monkeypatch, 8, own, 0)
    assert idle_cores(processes) == idle


def test_slurm_grants_a_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 8, 8, 0)
    for granted, expected in (("2", 2), ("16", 8)):
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", granted)
        assert cores() == expected


def test_the_load_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 4, 4, 0)
    assert idle_cores() == 4
    monkeypatch.setattr(os, "getloadavg", lambda: (4.0, 0.0, 0.0), raising=False)
    assert idle_cores() == 4


def test_the_number_of_threads_is_never_increased(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 16, 16, 0)
    torch.set_num_threads(2)
    use_idle_cores()
    assert torch.get_num_threads() == 2


def test_omp_num_threads_takes_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 4, 4, 3)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    torch.set_num_threads(3)
    use_idle_cores()
    assert torch.get_num_threads() == 3


def test_all_cores_count_without_information_on_cores_and_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """macOS has no sched_getaffinity, Windows no getloadavg either."""
    machine(monkeypatch, 6, 4, 50)
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.delattr(os, "getloadavg")
    assert cores() == 6
    assert idle_cores() == 6
    torch.set_num_threads(8)
    use_idle_cores()
    assert torch.get_num_threads() == 6
