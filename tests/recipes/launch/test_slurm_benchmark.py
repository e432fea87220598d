"""The benchmark as a job array on a real SLURM, one job an upstream."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipes.benchmark.run.__main__ import main as run_benchmark
from recipes.launch.__main__ import main as launch
from tests import slurm_cluster
from tests.launched import record, wait_until_over
from tests.published_layouts import LAYOUTS

slurm = slurm_cluster.slurm
pytestmark = [pytest.mark.usefixtures("slurm"), pytest.mark.slurm]


def test_the_jobs_of_the_array_leave_what_the_table_is_made_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    LAYOUTS["mtg_jamendo"](tmp_path / "data" / "mtg_jamendo")
    out, upstreams = tmp_path / "out", ["motionbeat_log_mel", "mfcc"]
    benchmark_options = ["--data", str(tmp_path / "data"), "--seeds", "0"]
    array = ["--cluster", "slurm", "--folder", str(out), "--cpus", "1", "--time", "0:10:00"]
    assert (
        launch(
            [
                "benchmark",
                *array,
                "--each",
                f"upstreams={','.join(upstreams)}",
                "--",
                *benchmark_options,
                "--no-table",
            ]
        )
        == 0
    )
    runs = record(out).runs
    assert len({run.job.partition("_")[0] for run in runs}) == 1
    assert [run.job.partition("_")[2] for run in runs] == ["0", "1"]
    for run in runs:
        assert wait_until_over(out, run.name) == "FINISHED"

    stamps = {file: file.stat().st_mtime_ns for file in out.rglob("scores-test.jsonl")}
    assert len(stamps) == 2
    capsys.readouterr()
    assert run_benchmark([str(out), *benchmark_options, "-u", *upstreams]) == 0
    assert "| motionbeat_log_mel − mfcc |" in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for file in stamps} == stamps
