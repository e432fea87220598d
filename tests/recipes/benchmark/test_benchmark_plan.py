"""Runs of the benchmark: done once, resumed after an interruption, and repeated if they differ."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from motionbeat_upstream.errors import MotionBeatError
from recipes.benchmark.beat_tracking_table import BeatPlan
from recipes.benchmark.plan import Job, RunFailed, run_jobs
from recipes.benchmark.upstream_choice import UpstreamChoice
from recipes.downstream import run_downstream
from recipes.results.record import Results, Run, results_path, write_results

OPTIONS = ("-u", "mfcc", "-d", "dance_generation")


class Training:
    """Fake ``run_downstream.py`` that writes a checkpoint and returns a given exit code."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.checkpoints: list[list[str]] = []
        self.code: int | BaseException = 0

    def __call__(self, argv: Sequence[str]) -> int:
        value = dict(itertools.pairwise(argv))
        folder = Path(value["-p"])
        self.calls.append(list(argv))
        self.checkpoints.append(sorted(path.name for path in folder.glob("states-*.ckpt")))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "states-500.ckpt").touch()
        if isinstance(self.code, BaseException):
            raise self.code
        if not self.code:
            write_results(results_path(folder), [Results(Run("t", "d", value["-u"]), [])])
        return self.code


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Training:
    training = Training()
    monkeypatch.setattr(run_downstream, "main", training)
    return training


def run(folder: Path, fingerprint: str = "data", overwrite: bool = False) -> None:
    run_jobs([Job(folder, fingerprint, OPTIONS, ["config.a=1", "config.b=2"])], overwrite=overwrite)


def test_a_finished_run_is_not_made_again(training: Training, tmp_path: Path) -> None:
    folder = tmp_path / "mfcc-seed0"
    run(folder)
    run(folder)
    assert training.calls == [
        [
            *("-m", "train", "-p", str(folder), "-a", *OPTIONS, "--feature_cache", "none"),
            *("-o", "config.a=1,,config.b=2"),
        ]
    ]


@pytest.mark.parametrize("cache", ["features", None])
def test_runs_of_a_plan_share_their_features(training: Training, tmp_path: Path, cache: str | None) -> None:
    songs = tmp_path / "songs" / "splits.csv"
    songs.parent.mkdir()
    songs.write_text("audio,beats,fold\n" + "".join(f"{name}.wav,{name}.beats,{name}\n" for name in "abc"))
    kept = None if cache is None else tmp_path / cache
    BeatPlan(songs.parent, (0, 1)).run(UpstreamChoice("mfcc", "mfcc", None), tmp_path / "out", kept)
    caches = [call[call.index("--feature_cache") + 1] for call in training.calls]
    assert caches == ["none" if kept is None else str(kept)] * 6


@pytest.mark.parametrize("ended", [KeyboardInterrupt(), 1, 130])
def test_an_interrupted_run_goes_on_from_its_checkpoint(
    training: Training, tmp_path: Path, ended: int | BaseException
) -> None:
    training.code = ended
    with pytest.raises(KeyboardInterrupt if isinstance(ended, BaseException) else RunFailed):
        run(tmp_path)
    training.code = 0
    run(tmp_path)
    assert training.calls[1] == training.calls[0]
    assert training.checkpoints == [[], ["states-500.ckpt"]]
    run(tmp_path)
    assert len(training.calls) == 2


def test_a_run_of_other_data_is_replaced_on_demand_without_the_checkpoints_of_before(
    training: Training, tmp_path: Path
) -> None:
    run(tmp_path)
    before = {path: path.stat() for path in tmp_path.iterdir()}
    with pytest.raises(MotionBeatError, match=r"contains a run of other data.*--overwrite"):
        run(tmp_path, "other data")
    assert {path: path.stat() for path in tmp_path.iterdir()} == before
    training.code = 1
    with pytest.raises(RunFailed, match="ended with code 1"):
        run(tmp_path, "other data", overwrite=True)
    assert training.calls[1][2:] == training.calls[0][2:]
    assert training.checkpoints == [[], []]
    # What was done before no longer stands: its folder was written over.
    training.code = 0
    run(tmp_path, overwrite=True)
    assert len(training.calls) == 3


def test_a_run_whose_results_are_gone_is_made_anew(training: Training, tmp_path: Path) -> None:
    run(tmp_path)
    results_path(tmp_path).unlink()
    run(tmp_path)
    assert training.checkpoints == [[], []]
    run(tmp_path)
    assert len(training.calls) == 2
