"""MIDI: beats and sound by the same tempi, and damaged files as one line."""

from pathlib import Path

import mido
import numpy as np
import pytest
import symusic
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_data.errors import DataError
from motion_data.midi_beats import midi_beats
from motion_data.midi_file import read_score, ticks_to_seconds
from motion_data.soundfont import default_soundfont
from recipes.downstream.beat_tracking.prepare.rendered import render

META = mido.MetaMessage


def write(path: Path, *tracks: list[mido.MetaMessage | mido.Message], division: int = 480) -> Path:
    """A file of format 1."""
    file = mido.MidiFile(type=1, ticks_per_beat=division)
    file.tracks.extend(mido.MidiTrack(track) for track in tracks)
    file.save(path)
    return path


def notes(count: int, ticks: int = 480) -> list[mido.Message]:
    """A struck drum on each of ``count`` beats."""
    return [
        mido.Message(kind, channel=9, note=38, velocity=100, time=0 if kind == "note_on" else ticks)
        for _ in range(count)
        for kind in ("note_on", "note_off")
    ]


def test_tempi_of_any_track_count_for_beats_and_for_sound(tmp_path: Path) -> None:
    # 120 bpm for 4 beats, by the first track; then 60 bpm for 8, by the second.
    slower = META("set_tempo", tempo=1_000_000)
    path = write(
        tmp_path / "a.mid",
        [META("set_tempo", tempo=500_000), META("time_signature", numerator=3, denominator=4)],
        [*notes(4), slower, *notes(8)],
    )
    by_hand = np.concatenate([0.5 * np.arange(4), 2.0 + np.arange(8)])
    beats = midi_beats(path)
    np.testing.assert_allclose(beats.times, by_hand, atol=1e-9)
    np.testing.assert_array_equal(beats.positions, np.arange(12) % 3 + 1)
    audio = render(path, default_soundfont())
    power = np.array([np.sum(audio[k : k + 160] ** 2) for k in range(0, len(audio) - 160, 160)])
    before = np.concatenate([[0.0], power[:-1]])
    loud = np.flatnonzero((power > 4 * before) & (power > 0.1 * power.max()))
    struck = loud[np.diff(loud, prepend=-100) > 20] / 100
    np.testing.assert_allclose(struck, by_hand, atol=0.02)


TEMPI = st.lists(st.tuples(st.integers(0, 4000), st.integers(100_000, 2_000_000)), max_size=40)


@settings(deadline=None, max_examples=30)
@given(st.lists(TEMPI, min_size=1, max_size=3), st.sampled_from([24, 96, 480, 960]))
def test_seconds_are_those_that_symusic_plays(
    tmp_path_factory: pytest.TempPathFactory, tempi: list[list[tuple[int, int]]], division: int
) -> None:
    tracks: list[list[mido.MetaMessage | mido.Message]] = [list(notes(10, 120))]
    for track in tempi:
        ticks = [tick for tick, _ in sorted(track)]
        tracks.append(
            [
                META("set_tempo", tempo=tempo, time=int(step))
                for (_, tempo), step in zip(sorted(track), np.diff(ticks, prepend=0), strict=True)
            ]
        )
    path = write(tmp_path_factory.mktemp("midi") / "a.mid", *tracks, division=division)
    score = read_score(path)
    played = [note.start for track in score.to("second").tracks for note in track.notes]
    starts = np.array([note.start for track in score.tracks for note in track.notes])
    np.testing.assert_allclose(ticks_to_seconds(score, starts), played, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected", "metre"),
    [(4, 4, 0.5, 4), (3, 4, 0.5, 3), (6, 8, 0.75, 2), (12, 8, 0.75, 4), (3, 8, 0.25, 3), (2, 2, 1.0, 2)],
)
def test_beats_are_the_units_of_the_metre(
    tmp_path: Path, numerator: int, denominator: int, expected: float, metre: int
) -> None:
    signature = META("time_signature", numerator=numerator, denominator=denominator)
    beats = midi_beats(write(tmp_path / "a.mid", [signature], list(notes(24))))
    np.testing.assert_allclose(np.diff(beats.times), expected)
    np.testing.assert_array_equal(beats.positions, np.arange(len(beats.times)) % metre + 1)


def test_a_new_time_signature_begins_a_bar(tmp_path: Path) -> None:
    waltz = META("time_signature", numerator=3, denominator=4, time=6 * 480)
    beats = midi_beats(write(tmp_path / "a.mid", [waltz], list(notes(12))))
    np.testing.assert_array_equal(beats.positions, [1, 2, 3, 4, 1, 2, 1, 2, 3, 1, 2, 3])


def patched(path: Path, old: bytes, new: bytes) -> Path:
    data = path.read_bytes()
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new))
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"\x00\x01\x00\x02\x01\xe0", b"\x00\x01\x00\x02\x00\x00", "a division of 0 ticks per quarter note"),
        (b"\x00\x01\x00\x02\x01\xe0", b"\x00\x01\x00\x02\xe7\x28", "not readable as MIDI"),
        (b"\xff\x59\x02\x00\x00", b"\xff\x59\x02\x09\x00", "Could not decode key with 9 sharps"),
        (b"\xff\x59\x02\x00\x00", b"\xff\x59\x02\x00\x05", "Could not decode key"),
        (b"\xff\x58\x04\x04", b"\xff\x58\x04\x00", "a time signature of 0/4"),
        (b"\xff\x51\x03\x07\xa1\x20", b"\xff\x51\x03\0\0\0", "beats do not increase in time"),
        # A track that is longer than the file: symusic alone may crash on it.
        (b"MTrk\x00\x00\x00\x94", b"MTrk\x12\x00\x00\x94", "not readable as MIDI"),
        (b"MThd", b"MThx", "not readable as MIDI"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, old: bytes, new: bytes, message: str) -> None:
    marks = [
        META("set_tempo", tempo=500_000),
        META("key_signature", key="C"),
        META("time_signature", numerator=4, denominator=4),
    ]
    path = write(tmp_path / "a.mid", marks, list(notes(16)))
    assert len(midi_beats(path).times) == 16
    patched(path, old, new)
    with pytest.raises(DataError, match=message) as error:
        midi_beats(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_file_of_endless_length_is_neither_counted_nor_played(tmp_path: Path) -> None:
    late = [mido.Message("note_on", note=60, velocity=90, time=2**28 - 1)]
    path = write(tmp_path / "a.mid", [], [*late, *notes(2)], division=1)
    with pytest.raises(DataError, match=r"a\.mid: more than 100,000 beats"):
        midi_beats(path)
    with pytest.raises(DataError, match=r"a\.mid: the score lasts \d+ s; expected at most 14400 s"):
        render(path, default_soundfont())


@settings(deadline=None, max_examples=100)
@given(at=st.integers(0, 200), removed=st.integers(0, 8), put=st.binary(max_size=4))
def test_any_damage_gives_beats_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, at: int, removed: int, put: bytes
) -> None:
    path = tmp_path_factory.mktemp("midi") / "a.mid"
    write(path, [META("set_tempo", tempo=500_000), META("key_signature", key="C")], list(notes(16)))
    data = path.read_bytes()
    path.write_bytes(data[:at] + put + data[at + removed :])
    said = str(path)
    try:
        assert (np.diff(midi_beats(path).times) > 0).all()
    except DataError as error:
        said = str(error)
    assert str(path) in said
    assert "\n" not in said


def test_mido_refuses_what_symusic_takes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mid", [], list(notes(1)))
    patched(path, b"\x99\x26\x64", b"\x99\xc6\x64")
    assert symusic.Score.from_midi(path.read_bytes()).note_num() >= 0
    with pytest.raises(DataError, match="not readable as MIDI"):
        read_score(path)
