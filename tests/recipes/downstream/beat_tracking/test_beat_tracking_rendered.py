"""The rendered data sets: on small corpora made here, and on the real ones where they are."""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
import soundfile
from numpy.typing import NDArray

from motion_data import soundfont
from motion_data.beats_file import Beats, read_beats
from motion_data.errors import DataError
from motion_data.soundfont import default_soundfont
from recipes.downstream.beat_tracking.dataset import load_recordings, load_splits
from recipes.downstream.beat_tracking.prepare.midi_corpora import Take, asap_beats
from recipes.downstream.beat_tracking.prepare.rendered import main, prepare, select_takes
from tests.shared_data import shared

FOLDERS = {"groove": "groove_midi", "asap": "asap", "pop909": "pop909"}


def write_midi(
    path: Path, bpm: float, metre: tuple[int, int], beats: int, drums: bool, start: float = 0.0
) -> None:
    """A note on each quarter (each dotted quarter in 6/8), from ``start`` seconds on."""
    score = pretty_midi.PrettyMIDI(initial_tempo=bpm)
    score.time_signature_changes.append(pretty_midi.TimeSignature(*metre, 0))
    track = pretty_midi.Instrument(0, is_drum=drums)
    period = 60 / bpm * (1.5 if metre[1] == 8 else 1)
    for beat in range(beats):
        onset = start + beat * period
        track.notes.append(pretty_midi.Note(100, 38 if drums else 60 + beat % 5, onset, onset + 0.2))
    score.instruments.append(track)
    path.parent.mkdir(parents=True, exist_ok=True)
    score.write(str(path))


def make_groove(folder: Path) -> None:
    rows = ["id,style,bpm,beat_type,time_signature,midi_filename,split"]
    takes = [
        ("train", "beat", 4, 4),
        ("validation", "beat", 3, 4),
        ("test", "beat", 6, 8),
        ("train", "fill", 4, 4),
        ("train", "beat", 5, 8),
    ]
    for index, (split, kind, upper, lower) in enumerate(takes):
        name = f"d/s/{index}"
        write_midi(folder / f"{name}.mid", 100 + 10 * index, (upper, lower), 24, True)
        rows.append(f"{name},rock,{100 + 10 * index},{kind},{upper}-{lower},{name}.mid,{split}")
    (folder / "info.csv").write_text("\n".join(rows) + "\n")


def make_asap(folder: Path) -> None:
    for index in range(3):
        place = folder / "Bach" / f"fugue_{index}"
        # Two beats before the first downbeat of a bar of three.
        write_midi(place / "Me01.mid", 90, (3, 4), 23, False)
        times = [beat * 60 / 90 for beat in range(23)]
        labels = ["db,3/4,0" if beat % 3 == 2 else "bR" if beat == 7 else "b" for beat in range(23)]
        lines = [f"{time}\t{time}\t{label}" for time, label in zip(times, labels, strict=True)]
        (place / "Me01_annotations.txt").write_text("\n".join(lines) + "\n")
        (place / "midi_score_annotations.txt").write_text("of the score, not of a performance\n")


def make_pop909(folder: Path) -> None:
    for index in range(3):
        place = folder / f"00{index + 1}"
        write_midi(place / f"{place.name}.mid", 80, (4, 4), 20, False, start=4 * 0.75)
        rows = [f"{beat * 0.75} {float(beat % 2 == 1)} {float(beat % 4 == 1)}" for beat in range(32)]
        (place / "beat_midi.txt").write_text("\n".join(rows) + "\n")


MAKERS = {"groove": make_groove, "asap": make_asap, "pop909": make_pop909}


@pytest.fixture
def corpus(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path, Path]:
    name = str(request.param)
    MAKERS[name](tmp_path / "source")
    return name, tmp_path / "source", tmp_path / "out"


def onset_strength(path: Path) -> NDArray[np.float64]:
    """Rise of the log spectrum, in frames of 5 ms."""
    audio, rate = soundfile.read(path)
    hop = rate // 200
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(audio, 128), 256)[::hop] * np.hanning(256)
    spectra = np.log1p(100 * np.abs(np.fft.rfft(frames)))
    rises: NDArray[np.float64] = np.maximum(np.diff(spectra, axis=0, prepend=spectra[:1]), 0).sum(axis=1)
    return rises


def lag_of_sound(audio: Path, beats: Path) -> tuple[float, float]:
    """Seconds by which the sound is late to the beats, and how much stronger it is there than elsewhere."""
    strength = onset_strength(audio)
    lags = np.arange(-30, 31)
    frames = np.round(read_beats(beats).times[:, None] * 200).astype(int) + lags
    curve = strength[np.clip(frames, 0, len(strength) - 1)].mean(axis=0)
    return float(lags[curve.argmax()]) / 200, float(curve.max() / strength.mean())


@pytest.mark.parametrize("corpus", MAKERS, indirect=True)
def test_a_corpus_becomes_a_data_set_whose_sound_meets_its_beats(corpus: tuple[str, Path, Path]) -> None:
    name, source, out = corpus
    assert prepare(name, source, out) == []
    splits = load_splits(out)
    assert {split: len(of) for split, of in splits.items()} == {"train": 1, "dev": 1, "test": 1}
    for path in sorted((out / "audio").iterdir()):
        assert soundfile.info(path).samplerate == 16_000
        lag, strength = lag_of_sound(path, out / "beats" / f"{path.stem}.beats")
        assert abs(lag) <= 0.01
        assert strength > 5
    readme = (out / "README.md").read_text()
    assert {"groove": "CC BY 4.0", "asap": "CC BY-NC-SA 4.0", "pop909": "MIT"}[name] in readme
    assert "3 files" in readme


@pytest.mark.parametrize(
    ("corpus", "bars"),
    [("groove", {4: 1, 3: 1, 2: 1}), ("asap", {3: 3}), ("pop909", {4: 3})],
    indirect=["corpus"],
)
def test_bars_are_counted_as_annotated(corpus: tuple[str, Path, Path], bars: dict[int, int]) -> None:
    name, source, out = corpus
    prepare(name, source, out)
    found: dict[int, int] = {}
    for path in (out / "beats").iterdir():
        beats = read_beats(path)
        metre = int(beats.positions.max())
        found[metre] = found.get(metre, 0) + 1
        expected = (np.arange(len(beats.times)) + beats.positions[0] - 1) % metre + 1
        np.testing.assert_array_equal(beats.positions, expected)
        assert beats.positions[0] == {"groove": 1, "asap": 2, "pop909": 4}[name]
        if name == "pop909":
            assert beats.times[0] == pytest.approx(3.0, abs=1e-3)  # the silence before has no beats
            assert len(beats.times) == 20
    assert found == bars


@pytest.mark.parametrize("corpus", ["asap"], indirect=True)
def test_a_second_run_keeps_what_is_whole_and_refuses_another_rendering(
    corpus: tuple[str, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    name, source, out = corpus
    prepare(name, source, out, seconds=8.0)
    audio = sorted((out / "audio").iterdir())
    assert [soundfile.info(path).duration for path in audio] == [8.0] * 3
    assert all(read_beats(path).times[-1] < 8 for path in (out / "beats").iterdir())
    os.utime(audio[0], (1, 1))
    audio[1].unlink()
    before = time.time() - 1
    prepare(name, source, out, seconds=8.0)
    assert audio[0].stat().st_mtime == 1
    assert audio[1].stat().st_mtime > before
    assert main([name, str(source), str(out)]) == 1
    assert "give another folder as OUT" in capsys.readouterr().err


@pytest.mark.parametrize("corpus", ["pop909"], indirect=True)
def test_pieces_are_dealt_out_in_folds(
    corpus: tuple[str, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    name, source, out = corpus
    with pytest.raises(SystemExit):
        main([name, str(source), str(out), "--folds", "2"])
    assert "at least 3" in capsys.readouterr().err
    assert main([name, str(source), str(out), "--seconds", "12", "--folds", "3"]) == 0
    splits = [load_splits(out / "splits.csv", test_fold=fold) for fold in range(3)]
    tested = [clip.piece for split in splits for clip in split["test"]]
    assert len(tested) == len(set(tested)) == 3


@pytest.mark.parametrize("corpus", ["asap"], indirect=True)
def test_pieces_of_another_data_set_are_left_out(
    corpus: tuple[str, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, source, out = corpus
    prepare(name, source, out)
    with (out / "splits.csv").open() as file:
        rows = list(csv.DictReader(file))
    held = tmp_path / "held"
    held.mkdir()
    text = "\n".join(f"{out / row['audio']},{out / row['beats']},{row['piece']}" for row in rows[:2])
    (held / "splits.csv").write_text(f"audio,beats,piece\n{text}\n")
    assert main([name, str(source), str(tmp_path / "rest"), "--without", str(held)]) == 0
    assert [song.piece for song in load_recordings(tmp_path / "rest")] == [rows[2]["piece"]]
    assert main([name, str(source), str(tmp_path / "none"), "--without", str(out)]) == 1
    assert "contains no other pieces than" in capsys.readouterr().err


@pytest.mark.parametrize("corpus", ["groove"], indirect=True)
def test_a_broken_file_is_left_out_and_named(
    corpus: tuple[str, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    name, source, out = corpus
    (source / "d/s/1.mid").write_bytes(b"MThd broken")
    assert main([name, str(source), str(out)]) == 0
    assert "d/s/1.mid: not readable as MIDI" in capsys.readouterr().err
    with (out / "splits.csv").open() as file:
        assert [row["split"] for row in csv.DictReader(file)] == ["train", "test"]
    assert not any(path.name.startswith(".") for path in out.rglob("*"))


@pytest.mark.parametrize("corpus", ["groove"], indirect=True)
def test_a_soundfont_of_the_users_own_is_checked_first(
    corpus: tuple[str, Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, source, out = corpus
    write_midi(source / "d/s/0.mid", 100, (4, 4), 24, False)
    font = source / "own.sf2"
    font.write_bytes(default_soundfont().read_bytes())
    monkeypatch.setattr(soundfont, "find_program_error", lambda soundfont, program: f"program {program} bad")
    arguments = [name, str(source), str(out), "--soundfont", str(font)]
    assert main(arguments) == 1
    assert "own.sf2: program 0 bad" in capsys.readouterr().err
    assert not out.exists()
    monkeypatch.undo()
    assert main(arguments) == 0
    assert "with own.sf2" in (out / "README.md").read_text()


def test_mistakes_are_told_without_a_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in MAKERS:
        assert main([name, str(tmp_path), str(tmp_path / "out")]) == 1
        said = capsys.readouterr().err
        assert "SOURCE must be" in said
        assert "Traceback" not in said
    make_asap(tmp_path / "asap")
    assert main(["asap", str(tmp_path / "asap"), str(tmp_path / "out"), "--soundfont", "none.sf2"]) == 1
    assert "none.sf2: not readable" in capsys.readouterr().err
    annotation = tmp_path / "asap" / "Bach" / "fugue_1" / "Me01_annotations.txt"
    annotation.write_text("0.5\t0.5\tx\n")
    with pytest.raises(DataError, match=r"Me01_annotations.txt:1: expected"):
        asap_beats(annotation)


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDERS)
def test_real_files_sound_on_their_beats(name: str, tmp_path: Path) -> None:
    source = shared(f"audio/{FOLDERS[name]}")
    assert prepare(name, source, tmp_path, limit=3, seconds=60.0) == []
    assert all(len(of) == 1 for of in load_splits(tmp_path).values())
    for path in sorted((tmp_path / "audio").iterdir()):
        lag, strength = lag_of_sound(path, tmp_path / "beats" / f"{path.stem}.beats")
        # Drummers are ahead of the metronome.
        assert abs(lag) <= (0.04 if name == "groove" else 0.01), path
        assert strength > 1.5, path


def test_a_limit_takes_of_every_split() -> None:
    def nothing() -> Beats:
        raise AssertionError

    splits = ["dev" if index == 7 else "test" if index % 10 == 3 else "train" for index in range(50)]
    takes = [Take(f"t{index}", f"t{index}", Path(), split, nothing) for index, split in enumerate(splits)]
    assert select_takes(takes, None) == takes == select_takes(takes, 50)
    chosen = select_takes(takes, 10)
    assert len({take.name for take in chosen}) == 10
    assert [take.split for take in chosen].count("train") >= 7
    assert {take.split for take in chosen} == {"train", "dev", "test"}
