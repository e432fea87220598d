"""A command on a list of files as a job array on a real SLURM."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
from pathlib import Path

import pytest
import soundfile

from recipes.launch.__main__ import main
from recipes.launch.files.file_list import task_folder
from recipes.launch.files.outcomes import read_outcomes
from tests import slurm_cluster
from tests.launched import processes_of, record, state, wait, wait_until_over
from tests.small import music

slurm = slurm_cluster.slurm
pytestmark = [pytest.mark.usefixtures("slurm"), pytest.mark.slurm]

FILES = 24


def done(out: Path, task: int) -> int:
    """Files of a task that are done; file k is task k mod 2's."""
    outcomes = read_outcomes(out).values()
    return sum(outcome.status == "done" and int(Path(outcome.file).stem) % 2 == task for outcome in outcomes)


def test_a_killed_task_and_a_requeued_one(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    names, out = tmp_path / "list", tmp_path / "a folder"
    for number in range(FILES):
        soundfile.write(tmp_path / f"{number}.wav", 0.5 * music(30.0, 120.0, number).numpy(), 16_000)
    (tmp_path / "24.wav").write_text("not audio")
    names.write_text("".join(f"{tmp_path}/{number}.wav\n" for number in range(FILES + 1)))
    launched = ["beats", "--cluster", "slurm", "--folder", str(out), "--files", str(names), "--tasks", "2"]
    assert main(launched) == 0
    array = record(out).runs[0].job.partition("_")[0]
    assert [(run.name, run.job) for run in record(out).runs] == [
        ("task0", f"{array}_0"),
        ("task1", f"{array}_1"),
    ]
    wait(lambda: done(out, 0) > 0, "a first file of task 0", 120)
    for process in processes_of(task_folder(out, 0)):
        os.kill(process, signal.SIGKILL)
    wait(lambda: done(out, 1) > 0, "a first file of task 1", 120)
    subprocess.run(["scancel", "--signal=USR2", f"{array}_1"], check=True)
    wait(lambda: state(out, "task1").startswith("PENDING"), "being queued again")
    before = done(out, 1)
    assert before < FILES // 2
    stamps = {path: path.stat().st_mtime_ns for path in out.glob("*.beats")}
    assert wait_until_over(out, "task1") == "FINISHED"
    assert wait_until_over(out, "task0").startswith("FAILED (exit -9)")
    assert done(out, 1) == FILES // 2
    assert done(out, 0) < FILES // 2
    assert main(["report", str(out)]) == 1
    assert f"{FILES // 2 + done(out, 0)} done, 0 failed, " in capfd.readouterr().out

    # Launched again, the array makes what is left, and the task that ends last writes the report.
    (out / "report.csv").unlink()
    assert main(launched) == 0
    assert wait_until_over(out, "task1") == "FINISHED"
    assert wait_until_over(out, "task0") == "FAILED (exit 1)"
    with (out / "report.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["done"] * FILES + ["failed"]
    assert "not audio" in rows[-1]["reason"]
    assert [row["output"] for row in rows[:-1]] == [f"{number}.wav.beats" for number in range(FILES)]
    # Nothing was made twice: what was there before the requeue is as it was.
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert main(["watch", str(out)]) == 1
    assert "files: of 13, failed 1" in capfd.readouterr().out
