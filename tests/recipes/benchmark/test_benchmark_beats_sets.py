"""Annotated recordings of data sets and of prepared corpora."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from motion_data.errors import DataError
from motion_data.files import file_sha256
from motion_data.manifest import Corpus, write_manifest
from motion_data.motion import Motion
from motion_data.motion_file import write_motion
from motion_data.pair import AudioSpan, MotionPair
from motionbeat_upstream.audio import read_audio
from motionbeat_upstream.tracking.grid import Grid, regular_grid
from recipes.benchmark.beats.sets import evenly_spaced, read_set
from tests.beat_tracking_clicks import write_clicks
from tests.made_corpus import Made, write_corpus

SECONDS = 60.0
WHOLE = regular_grid(SECONDS, 100.0, 3, 0.31)


def write_track(
    folder: Path, downbeat_confidence: tuple[float, ...] = (1.0, 1.0, 1.0), grid: str = "self-labelled"
) -> Corpus:
    """One recording at 22.05 kHz in stereo, cut into pairs at downbeats, its first and last bars left out."""
    audio = folder / "audio" / "track.flac"
    audio.parent.mkdir(parents=True)
    noise = np.random.default_rng(0).normal(0, 0.1, (round(SECONDS * 22_050), 2))
    soundfile.write(audio, noise, 22_050)
    edges = np.floor(10 * WHOLE.downbeats[[4, 11, 18, 25]]) / 10
    pairs = []
    for number, confidence in enumerate(downbeat_confidence):
        start, stop = float(edges[number]), float(edges[number + 1]) + 0.1
        inside = (WHOLE.beats >= start) & (WHOLE.beats <= stop)
        own = Grid(WHOLE.beats[inside] - start, WHOLE.positions[inside], 3, 1.0, confidence)
        frames = np.zeros((round(60 * (stop - start)), 0, 3))
        motion = Motion(60.0, (), frames, 0.0, None, {"left_foot": own.beats})
        name = f"track-{number}"
        write_motion(folder / "motion" / f"{name}.npz", motion, own)
        pairs.append(
            MotionPair(
                name=name,
                corpus="recordings",
                piece="track",
                take="steps",
                split="dev",
                licence="CC0",
                seconds=stop - start,
                fps=0.0,
                joints=(),
                pulses={"left_foot": len(own.beats)},
                grid=grid,
                metre=3,
                bpm=100.0,
                audio=AudioSpan("audio/track.flac", start, stop, file_sha256(audio)),
                motion=f"motion/{name}.npz",
            )
        )
    return write_manifest(folder, pairs, "recordings", {})


class TestCorpora:
    def test_pairs_of_one_file_are_joined(self, tmp_path: Path) -> None:
        write_track(tmp_path)
        (load,) = read_set(f"{tmp_path}:dev").sounds
        sound = load()
        assert sound.spans is not None
        start, stop = sound.spans[0][0], sound.spans[-1][1]
        inside = (WHOLE.beats >= start) & (WHOLE.beats <= stop)
        np.testing.assert_allclose(sound.annotated.times, WHOLE.beats[inside])
        np.testing.assert_array_equal(sound.annotated.positions, WHOLE.positions[inside])
        assert sound.sha256 == file_sha256(tmp_path / "audio" / "track.flac")
        assert len(sound.samples(16_000)) == round(SECONDS * 16_000)
        np.testing.assert_array_equal(
            sound.samples(16_000), read_audio(tmp_path / "audio" / "track.flac").numpy()
        )
        assert len(sound.samples(22_050)) == round(SECONDS * 22_050)
        assert len(sound.samples(44_100)) == round(SECONDS * 44_100)

    def test_downbeats_that_one_pair_does_not_know(self, tmp_path: Path) -> None:
        write_track(tmp_path, (1.0, 0.0, 1.0))
        (load,) = read_set(str(tmp_path)).sounds
        assert not load().annotated.downbeats_known

    def test_estimated_grids_are_no_annotation(self, tmp_path: Path) -> None:
        write_track(tmp_path, grid="estimated")
        with pytest.raises(DataError, match="annotated grid"):
            read_set(str(tmp_path))

    def test_pairs_without_a_grid_are_left_out(self, tmp_path: Path) -> None:
        write_corpus(tmp_path, [Made("a"), Made("b", bpm=None), Made("c", split="test")])
        assert [load().name for load in read_set(str(tmp_path)).sounds] == ["a", "c"]
        assert [load().name for load in read_set(f"{tmp_path}:test").sounds] == ["c"]
        with pytest.raises(DataError, match="of the split dev"):
            read_set(f"{tmp_path}:dev")

    def test_audio_that_has_changed(self, tmp_path: Path) -> None:
        write_corpus(tmp_path, [Made("a")])
        soundfile.write(tmp_path / "audio" / "a.wav", np.zeros(16_000), 16_000)
        with pytest.raises(DataError, match="changed since"):
            read_set(str(tmp_path)).sounds[0]()

    def test_audio_that_is_gone(self, tmp_path: Path) -> None:
        write_corpus(tmp_path, [Made("a")])
        (tmp_path / "audio" / "a.wav").unlink()
        with pytest.raises(DataError, match="no such file"):
            read_set(str(tmp_path))


class TestDataSets:
    def test_splits_and_limits(self, tmp_path: Path) -> None:
        write_clicks(tmp_path, 8.0)
        assert [load().name for load in read_set(str(tmp_path)).sounds] == [f"p{n}" for n in range(5)]
        assert [load().name for load in read_set(f"{tmp_path}:dev").sounds] == ["p3"]
        assert [load().name for load in read_set(str(tmp_path), 3).sounds] == ["p0", "p2", "p4"]
        assert [load().name for load in read_set(str(tmp_path / "splits.csv"), 1).sounds] == ["p0"]

    def test_a_recording_that_is_not_chosen_need_not_be_there(self, tmp_path: Path) -> None:
        write_clicks(tmp_path, 8.0)
        (tmp_path / "p0.wav").unlink()
        assert len(read_set(f"{tmp_path}:dev").sounds) == 1
        with pytest.raises(DataError, match="p0"):
            read_set(str(tmp_path))

    def test_a_split_that_is_not_there(self, tmp_path: Path) -> None:
        write_clicks(tmp_path, 8.0)
        index = tmp_path / "splits.csv"
        index.write_text(index.read_text().replace(",dev", ",train"))
        with pytest.raises(DataError, match="found test, train"):
            read_set(f"{tmp_path}:dev")


def test_a_limit_takes_the_first_and_the_last() -> None:
    for count in range(1, 30):
        for limit in range(1, 35):
            taken = evenly_spaced(range(count), limit)
            assert len(set(taken)) == min(count, limit)
            assert taken == sorted(taken)
            assert taken[0] == 0
            assert limit == 1 or taken[-1] == count - 1
