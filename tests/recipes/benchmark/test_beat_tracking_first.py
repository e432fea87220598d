"""The first experiment: its songs and its table."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from recipes.benchmark.__main__ import main
from recipes.benchmark.beat_tracking_first import verdict
from recipes.downstream import run_downstream
from recipes.results.estimates import Estimate
from recipes.results.record import Results, Run, results_path, write_results
from tests.beat_tracking_clicks import write_clicks


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    """A folder with five songs and their .beats, in no splits."""
    folder = write_clicks(tmp_path / "songs", seconds=6.0)
    (folder / "splits.csv").unlink()
    return folder


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Options of each run; motionbeat scores .7 and .4, fbank .5 and .4, in peaks and with the decoder."""
    calls: list[dict[str, str]] = []

    def run(argv: Sequence[str]) -> int:
        value = dict(itertools.pairwise(argv))
        calls.append(value)
        print("what S3PRL prints")
        overrides = dict(override.split("=") for override in value["-o"].split(",,"))
        data = Path(overrides["config.downstream_expert.datarc.root"])
        lines = [line.split(",") for line in data.read_text().splitlines()[1:]]
        fold = overrides["config.downstream_expert.datarc.test_fold"]
        f = {"dbn": 0.4, "peaks": 0.7 if value["-u"] == "motionbeat" else 0.5}
        rows = [
            (audio, audio, f"{decoder} {target} F", f[decoder] + 0.01 * number)
            for decoder in f
            for number, (audio, _, song_fold) in enumerate(lines)
            if song_fold == fold
            for target in ("beat", "downbeat")
        ]
        results = Results(Run("beat_tracking", "d", value["-u"], fold=fold, step=50), rows)
        write_results(results_path(Path(value["-p"])), [results])
        return 0

    monkeypatch.setattr(run_downstream, "main", run)
    return calls


def test_own_songs_are_each_tested_once_and_the_last_lines_say_what_was_reached(
    songs: Path, runs: list[dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(songs.iterdir())
    out = tmp_path / "out"
    arguments = ["first", "-o", str(out), "--data", str(songs), "-u", "motionbeat", "fbank"]
    assert main(arguments) == 0
    output = capsys.readouterr().out
    assert (out / "table.md").read_text() == output.lstrip("\n")
    assert "what S3PRL prints" not in output
    assert (out / "fbank-linear-seed0-fold0" / "log.txt").read_text() == "what S3PRL prints\n"
    assert sorted(songs.iterdir()) == before, "the user's folder is left as it was"
    count = len(list(songs.glob("*.wav")))
    assert f"{count} songs, each tested by a probe" in output
    assert "| motionbeat − fbank | +0.200 [+0.200, +0.200] | +0.000" in output
    assert (
        "motionbeat − fbank: higher in beat F (peak picking), downbeat F (peak picking); "
        "not told apart in beat F (Bayesian decoder), downbeat F (Bayesian decoder)."
    ) in output
    *_, trained, selected, results = output.splitlines()
    assert trained == "Trained: linear probes on frozen features, 100 steps, 4 fold(s)."
    assert "at steps 50, 50, 50, 50 (motionbeat); 50, 50, 50, 50 (fbank)" in selected
    assert str(out / "table.md") in results
    assert {run["-u"] for run in runs} == {"motionbeat", "fbank"}
    assert all("config.runner.total_steps=100" in run["-o"] for run in runs)
    # The same command finds all of it done.
    assert main(arguments) == 0
    assert len(runs) == 8


def test_without_apt_get_one_line_says_what_to_do_instead(
    runs: list[dict[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("shutil.which", lambda program: None)
    assert main(["first"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("downloading")]
    assert "apt-get: no such program" in line
    assert "--data FOLDER, audio files with .beats files of the same names" in line
    assert not runs


def test_two_songs_are_too_few_and_a_run_that_fails_says_why(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for number in range(2):
        soundfile.write(few / f"{number}.wav", np.zeros(16_000), 16_000)
        (few / f"{number}.beats").write_text("0.1\t1\n0.6\t2\n")
    assert main(["first", "-o", str(tmp_path / "out"), "--data", str(few)]) == 2
    assert f"{few}: 2 songs; expected at least 3" in capsys.readouterr().err

    def failing(argv: Sequence[str]) -> int:
        print("run_downstream.py: error: the disk is full")
        return 2

    monkeypatch.setattr(run_downstream, "main", failing)
    assert main(["first", "-o", str(tmp_path / "out"), "--data", str(songs)]) == 2
    assert "run_downstream.py: error: the disk is full (see " in capsys.readouterr().err


def test_a_margin_counts_where_its_interval_leaves_zero_out() -> None:
    margin = [Estimate(0.2, 0.1, 0.3), Estimate(0.2, -0.1, 0.5), Estimate(-0.2, -0.3, -0.1), Estimate(0.1)]
    assert verdict(("a", "b", "c", "d"), margin) == "higher in a; lower in c; not told apart in b, d"
