"""What is said of a run, from what SLURM still knows and what the job told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recipes.launch import jobs
from recipes.launch.jobs import is_over, states
from recipes.launch.record import (
    LaunchedRun,
    Progress,
    Record,
    find_record,
    launch_folder,
    progress_file,
    write_progress,
    write_record,
)

DONE, BROKEN, REFUSED, BEGUN = (
    Progress("t", "u", 0),
    Progress("t", "u", -9),
    Progress("t", "u", 2),
    Progress("t"),
)


@pytest.mark.parametrize(
    ("answer", "told", "stopped", "expected"),
    [
        # While SLURM has the job, its word counts, whatever an earlier attempt told.
        (("PENDING", "Resources"), None, False, "PENDING (Resources)"),
        (("PENDING", "BeginTime"), BROKEN, False, "PENDING (BeginTime)"),
        (("RUNNING", "None"), BEGUN, False, "RUNNING"),
        (("COMPLETING", "None"), DONE, False, "COMPLETING"),
        # Then the job's own, where it is more than SLURM's and does not contradict it.
        (("COMPLETED", "None"), DONE, False, "FINISHED"),
        (("FAILED", "NonZeroExitCode"), REFUSED, False, "FAILED (the recipe refused its options)"),
        (("FAILED", "NonZeroExitCode"), BROKEN, False, "FAILED (exit -9)"),
        (("FAILED", "NonZeroExitCode"), BEGUN, False, "FAILED"),
        (("FAILED", "NonZeroExitCode"), DONE, False, "FAILED"),
        (("CANCELLED", "None"), BEGUN, True, "CANCELLED"),
        (("TIMEOUT", "TimeLimit"), BEGUN, False, "TIMEOUT"),
        # SLURM forgets within minutes.
        (None, DONE, False, "FINISHED"),
        (None, DONE, True, "FINISHED"),
        (None, BROKEN, False, "FAILED (exit -9)"),
        (None, BROKEN, True, "STOPPED"),
        (None, None, True, "STOPPED"),
        (None, BEGUN, False, "GONE (killed, or lost; its log may say why)"),
        (None, None, False, "GONE (killed, or lost; its log may say why)"),
    ],
)
def test_the_state_of_a_job_on_slurm(
    answer: tuple[str, str] | None,
    told: Progress | None,
    stopped: bool,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs, "queued", lambda job: {} if answer is None else {f"{job}_1": answer})
    run = LaunchedRun("a", str(tmp_path), "5_1")
    record = Record("slurm", "small", "elsewhere", "t", (run,), stopped="u" if stopped else None)
    if told is not None:
        write_progress(progress_file(launch_folder(tmp_path), "a"), told)
    write_record(tmp_path, record)
    assert find_record(tmp_path) == record
    assert states(tmp_path, record) == {"a": expected}
    assert is_over(expected) == (expected.split()[0] not in ("PENDING", "RUNNING", "COMPLETING"))


def test_a_record_of_an_earlier_version_tells_when_its_one_process_began(tmp_path: Path) -> None:
    path = launch_folder(tmp_path) / "record.json"
    write_record(tmp_path, Record("local", "pretrain", "h", "t", (LaunchedRun("a", "f", "7"),)))
    content = json.loads(path.read_text())
    del content["runs"][0]["process_started"]
    path.write_text(json.dumps({**content, "process_started": 5.0}))
    found = find_record(tmp_path)
    assert found is not None
    assert found.runs[0].process_started == 5.0
