"""Published annotations next to audio of other names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from motion_data.beats_file import Beats, write_beats
from recipes.downstream.beat_tracking.dataset import load_splits
from recipes.downstream.beat_tracking.prepare.annotations import main

NAMES = {
    "ballroom_Media-1": "Media-1.wav",
    "ballroom_Albums-Chrisanne1-02": "Samba/albums_chrisanne1 02.flac",
    "ballroom_Media-3": "ballroom_media-3.wav",
}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A data set with three of four recordings at hand."""
    annotations, audio = tmp_path / "ballroom", tmp_path / "audio"
    (annotations / "annotations" / "beats").mkdir(parents=True)
    for number, name in enumerate([*NAMES, "ballroom_Media-4"]):
        beats = Beats(np.arange(1, 8) * 0.5 + 0.1 * number, np.arange(7) % 4 + 1)
        write_beats(annotations / "annotations" / "beats" / f"{name}.beats", beats)
        if name in NAMES:
            path = audio / NAMES[name]
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.zeros(5 * 8000), 8000)
    return annotations, audio


def write_folds(annotations: Path) -> None:
    names = [path.stem for path in sorted((annotations / "annotations/beats").iterdir())]
    (annotations / "8-fold.folds").write_text("".join(f"{name}\t{k}\n" for k, name in enumerate(names)))


def test_recordings_get_their_annotations(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    annotations, audio = folders
    write_folds(annotations)
    out = tmp_path / "ballroom.csv"
    assert main([str(annotations), str(audio), str(out)]) == 0
    assert "no audio for 1 annotations, left out (ballroom_Media-4)" in capsys.readouterr().err
    splits = load_splits(out, test_fold="0")
    assert sorted(len(recordings) for recordings in splits.values()) == [1, 1, 1]
    (tested,) = splits["test"]  # the first by name
    assert tested.beats.times[0] == pytest.approx(0.6)
    before = out.read_bytes()
    assert main([str(annotations), str(audio), str(out)]) == 2
    assert out.read_bytes() == before


def test_a_data_set_without_folds(folders: tuple[Path, Path], tmp_path: Path) -> None:
    annotations, audio = folders
    assert main([str(annotations), str(audio), str(tmp_path / "a.csv")]) == 0
    assert (tmp_path / "a.csv").read_text().splitlines()[0] == "audio,beats"


def test_mistakes_get_one_line(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    annotations, audio = folders
    out = tmp_path / "a.csv"

    def refused(*arguments: Path) -> str:
        assert main([*map(str, arguments), str(out)]) == 2
        assert not out.exists()
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "no annotations/beats/*.beats" in refused(tmp_path, audio)
    (tmp_path / "empty").mkdir()
    message = refused(annotations, tmp_path / "empty")
    assert "none of the 4 recordings of ballroom" in message
    assert "obtained from http" in message
    (annotations / "8-fold.folds").write_text("ballroom_Media-1 3\n")
    assert "8-fold.folds:1: expected a name, a tab and a fold" in refused(annotations, audio)
    soundfile.write(audio / "media_1.wav", np.zeros(8000), 8000)
    assert "has the same name as" in refused(annotations, audio)
    (audio / "media_1.wav").unlink()
    write_folds(annotations)
    soundfile.write(audio / "Media-1.wav", np.zeros(8000), 8000)
    assert "beyond the end" in refused(annotations, audio)
