"""Process pools: results, and cleanup after errors, signals and crashes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motionbeat_upstream.errors import MotionBeatError
from motionbeat_upstream.processes import parallel_map, process_pool


@settings(max_examples=5, deadline=None)
@given(items=st.lists(st.integers(-1000, 1000), max_size=20), workers=st.integers(1, 3))
def test_results_are_in_the_order_of_the_items(items: list[int], workers: int) -> None:
    for method in ("spawn", "forkserver"):
        assert list(parallel_map(abs, items, workers, method=method)) == [*map(abs, items)]


def test_an_error_is_raised_where_its_item_is_awaited() -> None:
    with process_pool(2, method="spawn") as parallel:
        results = parallel(int, ["1", "2", "x", "4"])
        assert [next(results), next(results)] == [1, 2]
        with pytest.raises(ValueError, match="'x'"):
            next(results)


def test_a_killed_worker_is_an_error_in_one_line() -> None:
    with (
        pytest.raises(MotionBeatError, match="one of 2 processes was killed"),
        process_pool(2, method="spawn") as parallel,
    ):
        list(parallel(os._exit, [1, 2, 3]))


WORK = """
import sys, time
from pathlib import Path
from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.processes import process_pool

def write(number):
    with atomic_path(Path(f"{number}.txt")) as draft:
        time.sleep(0.02 if number < 2 else 60)

if __name__ == "__main__":
    with process_pool(2, method="spawn") as parallel:
        list(parallel(write, range(50)))
"""


def start_work(folder: Path) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """A process and its two workers, while each writes a file."""
    (folder / "work.py").write_text(WORK)
    process = subprocess.Popen(
        [sys.executable, "work.py"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while len(list(folder.glob(".part-*"))) < 2 or len(list(folder.glob("?.txt"))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process, psutil.Process(process.pid).children(recursive=True)


@pytest.mark.slow
@pytest.mark.parametrize("signalled", [os.kill, os.killpg], ids=["the parent", "all, as the terminal does"])
def test_ctrl_c_ends_all_and_removes_drafts(tmp_path: Path, signalled: Callable[[int, int], None]) -> None:
    process, children = start_work(tmp_path)
    signalled(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert errors.count("Traceback") == 1, errors  # of the script itself
    assert "KeyboardInterrupt" in errors
    assert psutil.wait_procs(children, timeout=30)[1] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.txt", "1.txt", "work.py"]


@pytest.mark.slow
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    process, children = start_work(tmp_path)
    process.kill()
    assert psutil.wait_procs(children, timeout=30)[1] == []
    process.communicate()
    assert sorted(path.name for path in tmp_path.glob("?.txt")) == ["0.txt", "1.txt"]
