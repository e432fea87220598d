"""The training of a task as a recipe for the launcher."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipes.downstream.task_run.request import check, command
from recipes.launch.__main__ import main as launch


def test_the_command_starts_or_resumes_a_training() -> None:
    options = ["-u", "mfcc", "-d", "beat_tracking"]
    assert command(["out", *options]) == ["-m", "train", "-p", "out", "-a", *options]


def test_errors_are_reported_before_a_job_is_queued(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, section = tmp_path / "out", "config.downstream_expert"
    check([str(out), "-u", "mfcc", "-d", "beat_tracking"])
    for options, message in (
        (["-u", "nothing", "-d", "beat_tracking"], "-u nothing: no such upstream"),
        (["-u", "mfcc", "-d", "beat_tracking", "-p", "elsewhere"], "-p: set by this recipe"),
        (["-u", "mfcc", "-d", "beat_tracking", "--overwrite"], "--overwrite: set by this recipe"),
        (["-u", "mfcc", "-d", "dance_generation"], "needs the path of its data"),
        (["-u", "mfcc", "-d", "beat_tracking", "--tempo"], "unrecognized arguments: --tempo"),
        (
            ["-u", "mfcc", "-d", "beat_tracking", "-o", f"{section}.datarc.rot=x,,{section}.plots=1"],
            "unknown key datarc.rot; there are root, ",
        ),
        (
            f"-u mfcc -d genre -o {section}.datarc.layout=nsynth,,{section}.modelrc.hidden=0".split(),
            "genre, downstream_expert: datarc.layout = 'nsynth': must be one of gtzan, groove; "
            "modelrc.hidden = 0: must be greater than or equal to 1",
        ),
    ):
        assert launch(["downstream", "--cluster", "debug", "--folder", str(out), "--", *options]) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(ValueError, match="expected OUT"):
        check(["-u", "mfcc"])
    assert not out.exists()
