"""Launch the small recipe in tests, and check its results."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from recipes.launch.__main__ import main
from recipes.launch.jobs import has_ended, read_states
from recipes.launch.record import Record, read_record
from tests.launch_recipe.fitting import undisturbed
from tests.launch_recipe.request import Request

RECIPES = {"small": "tests.launch_recipe"}


def launch(folder: Path, *options: str, config: Sequence[str] = ()) -> int:
    recipe = ["--", "--config", *config] if config else []
    return main(["small", "--folder", str(folder), *options, *recipe], RECIPES)


def state(folder: Path, run: str = "run") -> str:
    return read_states(folder, read_record(folder))[run]


def record(folder: Path) -> Record:
    return read_record(folder)


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """Complete lines of the metrics of a run."""
    path = run / "metrics" / "train.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def last_step(run: Path) -> int:
    """The last recorded step."""
    lines = read_metrics(run)
    return int(lines[-1]["Step"]) if lines else 0


def wait(condition: Callable[[], bool], description: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds} s for {description}")
        time.sleep(0.1)


def wait_until_over(folder: Path, run: str = "run") -> str:
    wait(lambda: has_ended(state(folder, run)), f"the end of {run}", 90)
    return state(folder, run)


def assert_undisturbed(run: Path, request: Request, world: int) -> None:
    """Check that all steps have the losses of an undisturbed run, also those that were repeated."""
    expected = undisturbed(request, world)
    lines = read_metrics(run)
    assert {line["Step"] for line in lines} == set(range(1, request.steps + 1))
    for line in lines:
        assert line["Loss"] == pytest.approx(expected[line["Step"] - 1], rel=1e-5)


def assert_resumed(run: Path, request: Request) -> None:
    """Check that there were two attempts, and that the second resumed from a checkpoint of the first."""
    lines = read_metrics(run)
    processes = list(dict.fromkeys(line["Pid"] for line in lines))
    assert len(processes) == 2
    first = next(line["Step"] for line in lines if line["Pid"] == processes[1])
    assert first > 1
    assert (first - 1) % request.every == 0


def processes_of(folder: Path) -> list[int]:
    """Numbers of the processes with the folder in their command line."""
    pids = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(
            str(folder) in part for part in process.info["cmdline"] or ()
        ):
            pids.append(int(process.info["pid"]))
    return pids
