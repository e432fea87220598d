"""A run that was killed, again and again, ends as if it had never been disturbed."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.pretrain_run import Attempt, checkpoint, metrics, prepare, run, start, without_times

STEPS = 24

MOMENTS = (
    # A line of the log since the start, the how manieth of them, and at most how many seconds later.
    ("Log files are stored", 1, 0.05),
    ("Root gang created", 1, 0.3),
    ("Train Metrics (step", 1, 0.2),
    ("Preparing checkpoint at step", 2, 0.01),
    ("Saving asynchronously", 2, 0.05),
    ("Restoring model state", 1, 0.01),
    ("Starting validation after step", 2, 0.3),
    ("Checkpoint at step", 2, 0.0),
    ("Deleting", 1, 0.005),
    ("Validation finished", 2, 0.1),
    ("Train Metrics (step", 3, 0.2),
    ("End of training reached", 1, 0.3),
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("pretrain"))


@pytest.mark.slow
def test_a_run_killed_at_twelve_moments_is_the_undisturbed_run(tmp_path: Path, config: Path) -> None:
    overrides = f"regime.num_steps={STEPS}"
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    assert run(undisturbed, config, overrides).code() == 0

    draw = random.Random(0)
    for line, count, latest in MOMENTS:
        attempt = start(disturbed, config, overrides)
        kill_after(attempt, disturbed, line, count, draw.uniform(0, latest))
    assert run(disturbed, config, overrides).code() == 0

    assert_same(disturbed, undisturbed)


def assert_same(disturbed: Path, undisturbed: Path) -> None:
    for name in ("train", "valid"):
        assert without_times(metrics(disturbed, name)) == without_times(metrics(undisturbed, name))
    resumed, expected = checkpoint(disturbed, STEPS), checkpoint(undisturbed, STEPS)
    for state in (resumed, expected):
        del state["trainer/rank_00.pt"]["_base_wall_time"]
    assert differing(resumed, expected) == []
    scores = Path("checkpoints/scores")
    names = sorted(file.name for file in (undisturbed / scores).iterdir())
    assert names == [f"step_{STEPS - 2}.txt", f"step_{STEPS}.txt"]
    for name in names:
        assert (disturbed / scores / name).read_text() == (undisturbed / scores / name).read_text()


def kill_after(attempt: Attempt, out: Path, line: str, count: int, seconds: float) -> None:
    """Kill -9, so many seconds after a line came to the log that often."""
    log = out / "logs" / "rank_0.log"
    before = log.stat().st_size if log.exists() else 0
    deadline = time.monotonic() + 60
    while True:
        alive = attempt.process.is_alive()
        text = log.read_bytes()[before:].decode() if log.exists() else ""
        if text.count(line) >= count:
            break
        assert alive, f"over before {line!r} came: {attempt.read_output()[-2000:]}"
        assert time.monotonic() < deadline, f"no {line!r} in the log: {text[-2000:]}"
        time.sleep(0.001)
    time.sleep(seconds)
    attempt.process.kill()
    assert attempt.code() == -signal.SIGKILL, f"over {seconds:.3f} s after {line!r}"


def differing(x: Any, y: Any, path: str = "") -> list[str]:
    """Where two states differ, to the bit."""
    if isinstance(x, torch.Tensor):
        same = isinstance(y, torch.Tensor) and x.dtype == y.dtype and torch.equal(x, y)
        return [] if same else [path]
    if isinstance(x, Mapping):
        if not isinstance(y, Mapping) or x.keys() != y.keys():
            return [path]
        return [difference for key in x for difference in differing(x[key], y[key], f"{path}/{key}")]
    if isinstance(x, Sequence) and not isinstance(x, str):
        if len(x) != len(y):
            return [path]
        return [
            difference
            for i, (a, b) in enumerate(zip(x, y, strict=True))
            for difference in differing(a, b, f"{path}/{i}")
        ]
    return [] if x == y else [f"{path}: {x!r}, {y!r}"]
