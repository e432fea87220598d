from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

from motionbeat_upstream.threads import use_idle_cores


@pytest.fixture(autouse=True)
def _keep_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("load", "threads"), [(0.0, 4), (0.4, 4), (1.1, 3), (3.6, 1), (50.0, 1)])
def test_busy_cores_are_left_alone(monkeypatch: pytest.MonkeyPatch, load: float, threads: int) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)))
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    use_idle_cores()
    assert torch.get_num_threads() == threads


def test_what_the_user_set_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    torch.set_num_threads(1)
    use_idle_cores()
    assert torch.get_num_threads() == 1
