"""The benchmark of soft-DTW: what it compares, what it refuses, what it says."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from recipes.benchmark import soft_dtw_against_tslearn as benchmark
from recipes.benchmark.soft_dtw_against_tslearn import Row, main, table
from recipes.pretrain.criterion.soft_dtw import soft_dtw, soft_dtw_divergence, squared_distances


class StandIn:
    """Has tslearn's signature, and gives what ours gives in float64, times a factor."""

    factor = 1.0

    def __init__(self, gamma: float, normalize: bool = False) -> None:
        self.gamma, self.normalize = gamma, normalize

    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        first, second = first.double(), second.double()
        if self.normalize:
            return self.factor * soft_dtw_divergence(first, second, self.gamma).float()
        return self.factor * soft_dtw(squared_distances(first, second), self.gamma).float()


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> type[StandIn]:
    metrics: Any = ModuleType("tslearn.metrics")
    metrics.SoftDTWLossPyTorch = StandIn
    monkeypatch.setitem(sys.modules, "tslearn", ModuleType("tslearn"))
    monkeypatch.setitem(sys.modules, "tslearn.metrics", metrics)
    monkeypatch.setattr(benchmark, "SRAL_SIZES", ((20, 4),))
    monkeypatch.setattr(benchmark, "LONGER_SIZES", ((3, 9),))
    return StandIn


def test_without_tslearn_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tslearn", None)
    monkeypatch.setitem(sys.modules, "tslearn.metrics", None)
    assert main([]) == 2
    output = capsys.readouterr()
    assert "pip install tslearn==0.10.0" in output.err
    assert len(output.err.splitlines()) == 1
    assert not output.out


@pytest.mark.slow
def test_both_kinds_at_all_sizes_are_timed(
    stand_in: type[StandIn], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "times.json"
    assert main(["--threads", "1", "--repeats", "2", "--json", str(path)]) in (0, 1)
    rows = json.loads(path.read_text())["rows"]
    assert [(row["kind"], row["pairs"], row["steps"]) for row in rows] == [
        ("soft-DTW", 20, 4),
        ("soft-DTW", 3, 9),
        ("divergence", 20, 4),
        ("divergence", 3, 9),
    ]
    assert all(len(row[side]) == 2 and min(row[side]) > 0 for row in rows for side in ("ours", "theirs"))
    assert "1 threads each" in capsys.readouterr().out


def test_other_values_are_not_timed(
    stand_in: type[StandIn], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stand_in, "factor", 1.001)
    assert main(["--threads", "1"]) == 2
    assert "values differ by 1.0e-03" in capsys.readouterr().err


def test_the_aim_is_three_times_at_sral_and_no_slower_elsewhere() -> None:
    def row(pairs: int, steps: int, factor: float) -> Row:
        return Row("divergence", pairs, steps, [1.0, 2.0, 9.0], [2 * factor, 0.1, 90.0])

    assert row(2048, 16, 3.01).failure is None
    assert row(2048, 32, 2.99).failure == "divergence of 2048 x 32: 2.99 times as fast, not 3 times"
    assert row(64, 64, 1.01).failure is None
    assert row(64, 64, 0.99).failure is not None
    line = table([row(2048, 16, 3.5)]).splitlines()[2]
    assert "2000.0 [1000.0, 9000.0]" in line
    assert "3.5x" in line


def test_gradients_are_those_of_both_series() -> None:
    first, second = torch.rand(2, 3, 4, 1)
    _, by_first, by_second = benchmark.forward_backward(lambda x, y: (x * y**2).sum((1, 2)), first, second)
    assert torch.allclose(by_first, second**2)
    assert torch.allclose(by_second, 2 * first * second)


def test_threads_that_cannot_be_are_refused() -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--threads", "0"])
