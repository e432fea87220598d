"""The state of a run, from SLURM and from the progress that its job writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recipes.launch import jobs
from recipes.launch.jobs import has_ended, read_states
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
    ("slurm_state", "progress", "stopped", "expected"),
    [
        # Queued and running jobs have the state of SLURM, whatever the progress of an earlier attempt.
        (("PENDING", "Resources"), None, False, "PENDING (Resources)"),
        (("PENDING", "BeginTime"), BROKEN, False, "PENDING (BeginTime)"),
        (("RUNNING", "None"), BEGUN, False, "RUNNING"),
        (("COMPLETING", "None"), DONE, False, "COMPLETING"),
        # Ended jobs have the outcome of their progress, if it does not contradict SLURM.
        (("COMPLETED", "None"), DONE, False, "FINISHED"),
        (("FAILED", "NonZeroExitCode"), REFUSED, False, "FAILED (the recipe refused its options)"),
        (("FAILED", "NonZeroExitCode"), BROKEN, False, "FAILED (exit -9)"),
        (("FAILED", "NonZeroExitCode"), BEGUN, False, "FAILED"),
        (("FAILED", "NonZeroExitCode"), DONE, False, "FAILED"),
        (("CANCELLED", "None"), BEGUN, True, "CANCELLED"),
        (("TIMEOUT", "TimeLimit"), BEGUN, False, "TIMEOUT"),
        # SLURM no longer knows the job.
        (None, DONE, False, "FINISHED"),
        (None, DONE, True, "FINISHED"),
        (None, BROKEN, False, "FAILED (exit -9)"),
        (None, BROKEN, True, "STOPPED"),
        (None, None, True, "STOPPED"),
        (None, BEGUN, False, "GONE (killed or lost; see its log)"),
        (None, None, False, "GONE (killed or lost; see its log)"),
    ],
)
def test_the_state_of_a_job_on_slurm(
    slurm_state: tuple[str, str] | None,
    progress: Progress | None,
    stopped: bool,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        jobs, "query_slurm", lambda job: {} if slurm_state is None else {f"{job}_1": slurm_state}
    )
    run = LaunchedRun("a", str(tmp_path), "5_1")
    record = Record("slurm", "small", "elsewhere", "t", (run,), stopped="u" if stopped else None)
    if progress is not None:
        write_progress(progress_file(launch_folder(tmp_path), "a"), progress)
    write_record(tmp_path, record)
    assert find_record(tmp_path) == record
    assert read_states(tmp_path, record) == {"a": expected}
    assert has_ended(expected) == (expected.split()[0] not in ("PENDING", "RUNNING", "COMPLETING"))


def test_a_record_of_an_earlier_version_has_the_start_time_of_its_process(tmp_path: Path) -> None:
    path = launch_folder(tmp_path) / "record.json"
    write_record(tmp_path, Record("local", "pretrain", "h", "t", (LaunchedRun("a", "f", "7"),)))
    content = json.loads(path.read_text())
    del content["runs"][0]["process_started"]
    path.write_text(json.dumps({**content, "process_started": 5.0}))
    record_read = find_record(tmp_path)
    assert record_read is not None
    assert record_read.runs[0].process_started == 5.0
