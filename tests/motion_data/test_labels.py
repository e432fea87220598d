"""Labels: what they may hold, and their targets of frames, which are cut and played as the labels are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data import labels as label_module
from motion_data import loading
from motion_data.errors import DataError
from motion_data.label_targets import NO_CHORD, TARGETS, UNKNOWN, chord_roots, drum_onsets, pitch_roll
from motion_data.labels import (
    CHORD_TONES,
    DRUMS,
    KINDS,
    MODE_STEPS,
    QUALITIES,
    Labels,
    chord_quality,
    drum_classes,
    scale_mode,
)
from motion_data.motion import Motion
from motion_data.motion_file import read_motion, read_motion_and_labels, write_motion
from motion_data.pipeline.padded_targets import padded_targets
from motionbeat_upstream.tracking.grid import regular_grid
from tests.random_labels import labels

RATE, FRAMES = 50.0, 500


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ({"lyrics": np.empty((0, 3))}, "kind 'lyrics'"),
        ({"drums": np.zeros((2, 3))}, "begin, end, class, velocity"),
        ({"sections": np.zeros(3)}, "shape"),
        ({"sections": np.zeros((1, 3), dtype=np.float32)}, "float32"),
        ({"sections": np.array([[2.0, 1.0, 0.0]])}, "end before they begin"),
        ({"sections": np.array([[2.0, np.nan, 0.0]])}, "not finite"),
    ],
)
def test_what_is_no_label_is_refused(events: dict[str, NDArray[np.float64]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Labels(events)


@settings(max_examples=100, deadline=None)
@given(labels(), st.integers(0, FRAMES - 1), st.integers(1, FRAMES))
def test_a_cut_at_frames_has_the_targets_of_the_whole(one: Labels, first: int, length: int) -> None:
    stop = min(FRAMES, first + length)
    cut = one.between(first / RATE, stop / RATE)
    assert cut.events.keys() == one.events.keys()
    for target in TARGETS.values():
        whole = target.compute(one, FRAMES, RATE)
        assert np.array_equal(target.compute(cut, stop - first, RATE), whole[first:stop])


@settings(max_examples=60, deadline=None)
@given(labels(), st.integers(-12, 12))
def test_played_faster_the_targets_are_those_of_slower_frames_and_higher(one: Labels, semitones: int) -> None:
    speed = 2 ** (semitones / 12)
    faster = one.at_speed(speed)
    for name, target in TARGETS.items():
        whole = target.compute(one, FRAMES, RATE / speed)
        played = target.compute(faster, FRAMES, RATE)
        if name in ("pitch_roll", "pitch_onsets"):
            low, high = max(0, semitones), 128 + min(0, semitones)
            assert np.array_equal(played[:, low:high], whole[:, low - semitones : high - semitones])
        elif name == "pitch_classes":
            assert np.array_equal(played, np.roll(whole, semitones, axis=1))
        elif name in ("chord_roots", "key_tonics"):
            known = (whole >= 0) & (whole < 12)
            assert np.array_equal(played, np.where(known, (whole + semitones) % 12, whole))
        else:
            assert np.array_equal(played, whole)


@settings(max_examples=60, deadline=None)
@given(labels())
def test_targets_tell_every_event_and_no_other(one: Labels) -> None:
    """Loop-written oracles of both sorts of targets."""
    roll, struck = pitch_roll(one, FRAMES), drum_onsets(one, FRAMES)
    expected_roll, expected_struck = np.zeros_like(roll), np.zeros_like(struck)
    for begin, end, pitch, *_ in one.events.get("notes", np.empty((0, 6))).tolist():
        for frame in range(FRAMES):
            shares = begin < (frame + 1) / RATE and end > frame / RATE
            expected_roll[frame, int(pitch)] |= shares or frame / RATE <= begin < (frame + 1) / RATE
    for begin, _, drum, _ in one.events.get("drums", np.empty((0, 4))).tolist():
        if 0 <= begin < FRAMES / RATE:
            expected_struck[int(begin * RATE), int(drum)] = True
    assert np.array_equal(roll, expected_roll)
    assert np.array_equal(struck, expected_struck)


def test_no_chord_is_not_an_unknown_chord() -> None:
    none, major = QUALITIES.index("none"), QUALITIES.index("maj")
    rows = np.array([[0.0, 0.1, 9.0, none], [0.1, 0.2, 9.0, major]])
    found = chord_roots(Labels({"chords": rows}), 15)
    assert found.tolist() == [NO_CHORD] * 5 + [9] * 5 + [UNKNOWN] * 5
    # Of the sound played a quarter of a tone higher, the nearest root.
    assert chord_roots(Labels({"chords": rows}).at_speed(2 ** (0.6 / 12)), 9)[-1] == 10


@pytest.mark.parametrize("name", [*CHORD_TONES][1:])
def test_chords_are_named_by_their_tones_from_any_root(name: str) -> None:
    for root in range(12):
        chord = tuple((root + step) % 12 for step in CHORD_TONES[name])
        assert QUALITIES[chord_quality(chord)] == name
    assert QUALITIES[chord_quality((0, 1, 2))] == "other"


def test_modes_and_drums_are_told() -> None:
    for number, steps in enumerate(MODE_STEPS.values()):
        assert scale_mode(tuple((7 + step) % 12 for step in steps)) == number
    assert [DRUMS[drum] for drum in drum_classes([36, 38, 42, 47, 49, 56])] == list(DRUMS)


@settings(max_examples=40, deadline=None)
@given(labels())
def test_a_motion_file_keeps_labels(tmp_path_factory: pytest.TempPathFactory, one: Labels) -> None:
    path = tmp_path_factory.mktemp("m") / "m.npz"
    motion, grid = Motion(30.0, (), np.zeros((9, 0, 3))), regular_grid(2.0, 120.0, 4)
    write_motion(path, motion, grid, one)
    again = read_motion_and_labels(path)[2]
    assert again.events.keys() == one.events.keys()
    assert all(np.array_equal(rows, again.events[kind]) for kind, rows in one.events.items())
    assert len(read_motion(path)) == 2


def test_a_motion_file_with_other_labels_is_refused(tmp_path: Path) -> None:
    write_motion(tmp_path / "m.npz", Motion(30.0, (), np.zeros((9, 0, 3))), None)
    with np.load(tmp_path / "m.npz") as file:
        np.savez(tmp_path / "m.npz", **dict(file), label_drums=np.zeros((2, 7)))
    with pytest.raises(DataError, match=r"m\.npz: not a motion.*\(2, 7\)"):
        read_motion_and_labels(tmp_path / "m.npz")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(labels(), st.integers(1, 300)), min_size=1, max_size=4))
def test_targets_of_a_batch_are_those_of_its_clips(clips: list[tuple[Labels, int]]) -> None:
    padded = padded_targets([one for one, _ in clips], [length for _, length in clips], list(TARGETS))
    assert list(padded) == list(TARGETS)
    for name, target in TARGETS.items():
        values, known = padded[name].values, padded[name].known
        for row, (one, length) in enumerate(clips):
            made = torch.from_numpy(target.compute(one, length, RATE))
            assert torch.equal(values[row, :length], made)
            beyond = values[row, length:]
            assert not beyond.any() if beyond.dtype == torch.bool else bool((beyond == UNKNOWN).all())
            assert bool(known[row]) == (target.kind in one.events)
        if values.dtype == torch.bool:
            assert values.shape[2] == target.size
        else:
            assert int(values.max()) < target.size


def test_every_kind_has_a_target() -> None:
    assert {target.kind for target in TARGETS.values()} == set(KINDS)


def test_old_names_work_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="quality_of is called chord_quality"):
        assert label_module.quality_of is label_module.chord_quality
    with pytest.warns(DeprecationWarning, match="on_common_skeleton is called to_common_skeleton"):
        assert loading.on_common_skeleton is loading.to_common_skeleton
    with pytest.raises(AttributeError):
        _ = label_module.nothing
