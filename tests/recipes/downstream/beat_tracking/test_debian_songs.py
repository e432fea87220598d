import csv
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
import soundfile

from recipes.downstream.beat_tracking.prepare.debian_songs import SONGS, main, tempo_map_beats

RATE = 8000
SECONDS = 3.0


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both packages, unpacked, with short made songs at 120 bpm."""
    root = tmp_path_factory.mktemp("packages")
    noise = 0.8 * np.random.default_rng(0).uniform(-1, 1, (int(SECONDS * RATE), 2))
    for song in SONGS:
        folder = root / song.package / "usr/share/games/fretsonfire/data/songs" / song.folder
        folder.mkdir(parents=True)
        for name in ("song.ogg", "guitar.ogg"):
            soundfile.write(folder / name, noise, RATE)
        midi = pretty_midi.PrettyMIDI(initial_tempo=120.0)
        midi.instruments.append(pretty_midi.Instrument(0))
        midi.write(str(folder / "notes.mid"))
        licence = root / song.package / "usr/share/doc" / song.package / "copyright"
        licence.parent.mkdir(parents=True, exist_ok=True)
        licence.write_text("terms")
    return root


def test_the_data_set_is_written_whole_and_a_second_run_keeps_it(
    packages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), "--packages", str(packages)]) == 0
    rows = list(csv.DictReader((tmp_path / "splits.csv").open(encoding="utf-8")))
    assert {row["split"] for row in rows} == {"train", "dev", "test"}
    assert len(rows) == len({row["piece"] for row in rows}) == 8
    for row, song in zip(rows, SONGS, strict=True):
        audio, rate = soundfile.read(tmp_path / row["audio"])
        assert rate == RATE
        assert audio.ndim == 1
        assert np.abs(audio).max() <= 1.0
        beats = np.loadtxt(tmp_path / row["beats"])
        np.testing.assert_allclose(np.diff(beats[:, 0]), 0.5, atol=1e-3)
        np.testing.assert_allclose((beats[0, 0] - song.lag) % 0.5, 0.0, atol=1e-3)
        downbeat = beats[beats[:, 1] == 1, 0][0]
        assert (downbeat - song.lag) / 0.5 % 4 == pytest.approx(song.first_downbeat, abs=1e-2)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*")}
    (tmp_path / rows[0]["beats"]).unlink()
    assert main([str(tmp_path), "--packages", str(packages)]) == 0
    assert "wrote armygeddon" in capsys.readouterr().out
    kept = [path for path, then in written.items() if path.stat().st_mtime_ns == then]
    assert len(kept) == len(written) - 2
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]


def test_a_folder_without_the_packages_is_an_error_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "out"), "--packages", str(tmp_path)]) == 1
    assert "apt-get download" in capsys.readouterr().err


def test_no_apt_get_and_a_package_that_cannot_be_had_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda program: None)
    assert main([str(tmp_path / "out")]) == 1
    assert "--packages" in capsys.readouterr().err
    monkeypatch.undo()
    apt = tmp_path / "apt-get"
    apt.write_text("#!/bin/sh\necho 'E: Unable to locate package' >&2\nexit 100\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert main([str(tmp_path / "out")]) == 1
    assert "Unable to locate package" in capsys.readouterr().err


def test_a_change_of_tempo_in_the_map_is_followed(tmp_path: Path) -> None:
    midi = pretty_midi.PrettyMIDI(initial_tempo=120.0, resolution=100)
    midi._tick_scales.append((400, 60.0 / (60.0 * 100)))
    midi.instruments.append(pretty_midi.Instrument(0))
    path = tmp_path / "map.mid"
    midi.write(str(path))
    np.testing.assert_allclose(tempo_map_beats(path, 5.2), [0, 0.5, 1, 1.5, 2, 3, 4, 5], atol=1e-4)
