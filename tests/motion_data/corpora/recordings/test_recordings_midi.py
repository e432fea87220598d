"""Recordings that were played from a MIDI file have the file's grid, moved by one lag."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.corpora.recordings.midi_grid import align_midi_grid
from motion_data.corpora.recordings.tracks import find_tracks
from motion_data.errors import DataError
from motion_data.loading import load_pair
from tests.motion_data.corpora.recordings.test_recordings_corpus import (
    BPM,
    SETTINGS,
    FakeModel,
    prepared,
    put,
    use,
)

TICKS = 480


def write_midi(path: Path, tempi: list[float], notes: list[float], numerator: int = 4) -> NDArray[np.float64]:
    """A MIDI file with a tempo for every 8 beats, and notes at some beats; the seconds of all beats."""
    events = [
        (8 * k * TICKS, mido.MetaMessage("set_tempo", tempo=round(6e7 / t))) for k, t in enumerate(tempi)
    ]
    events.append((0, mido.MetaMessage("time_signature", numerator=numerator, denominator=4)))
    for beat in notes:
        events.append((round(beat * TICKS), mido.Message("note_on", note=60, velocity=90)))
        events.append((round(beat * TICKS) + 60, mido.Message("note_off", note=60)))
    track, last = mido.MidiTrack(), 0
    for tick, message in sorted(events, key=lambda event: event[0]):
        track.append(message.copy(time=tick - last))
        last = tick
    file = mido.MidiFile(ticks_per_beat=TICKS)
    file.tracks.append(track)
    path.parent.mkdir(parents=True, exist_ok=True)
    file.save(path)
    steps = [0.0, *np.repeat([round(6e7 / tempo) / 1e6 for tempo in tempi], 8)]
    return np.cumsum(steps)


class TestGrid:
    @settings(max_examples=20, deadline=None)
    @given(
        st.lists(st.floats(70, 180), min_size=4, max_size=8),
        st.floats(-0.4, 3.0),
        st.sampled_from((3, 4)),
        st.integers(0, 99),
    )
    def test_the_lag_to_milliseconds(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        tempi: list[float],
        lag: float,
        numerator: int,
        seed: int,
    ) -> None:
        draw = np.random.default_rng(seed)
        count = 8 * len(tempi)
        notes = sorted({0.0, count - 1.0, *draw.integers(0, 4 * (count - 1), 60) / 4})
        path = tmp_path_factory.mktemp("midi") / "a.mid"
        beats = write_midi(path, tempi, notes, numerator)
        onsets = np.interp(notes, np.arange(len(beats)), beats) + lag
        frames = (np.arange(round(100 * (beats[-1] + lag + 1))) + 0.5) / 100
        envelope = 0.1 * draw.random(len(frames))
        envelope += np.exp(-0.5 * ((frames[:, None] - onsets) / 0.012) ** 2).sum(axis=1)
        found = align_midi_grid(path, envelope)
        assert found.lag == pytest.approx(lag, abs=0.006)
        assert found.grid.metre == numerator
        expected = beats[:count] + lag
        assert found.grid.beats == pytest.approx(expected[expected - lag + found.lag >= 0], abs=0.006)
        assert found.grid.positions[-1] == (count - 1) % numerator + 1

    def test_another_performance_is_refused(self, tmp_path: Path) -> None:
        draw = np.random.default_rng(0)
        beats = write_midi(tmp_path / "a.mid", [120] * 8, list(range(64)))
        frames = (np.arange(3400) + 0.5) / 100
        # Played two percent slower.
        envelope = np.exp(-0.5 * ((frames[:, None] - 1.02 * beats[:64]) / 0.012) ** 2).sum(axis=1)
        with pytest.raises(DataError, match=r"a\.mid: the lag between its notes .* was not played from it"):
            align_midi_grid(tmp_path / "a.mid", envelope + 0.1 * draw.random(3400))


class TestCorpus:
    @pytest.mark.slow
    def test_exact_where_the_midi_file_lies_beside(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        use(monkeypatch, {"a": FakeModel(first=2)})
        raw = tmp_path / "raw"
        put(raw / "planetblupi-music-ogg/usr/b.flac", 30, BPM, 3)
        put(raw / "planetblupi-music-ogg/usr/c.flac", 30, BPM, 4)
        write_midi(raw / "planetblupi-music-midi/usr/b.mid", [BPM] * 9, list(range(70)))
        tracks, _, _ = find_tracks(raw, None)
        assert [track.midi is not None for track in tracks] == [True, False]
        for midi in (True, False):
            corpus = prepared(raw, tmp_path / f"out {midi}", replace(SETTINGS, midi=midi))
            assert corpus.info["left_out"] == {}
            for pair in corpus.pairs:
                exact = midi and pair.piece.endswith("b.flac")
                assert pair.split == "test"
                assert pair.grid == ("exact" if exact else "self-labelled")
                clip = load_pair(pair, corpus.folder)
                assert clip.grid is not None
                assert pair.audio is not None
                # The model hears downbeats two beats later than the file has them.
                first = (clip.grid.downbeats[0] + pair.audio.start + 0.4) % 1.6 - 0.4
                assert first == pytest.approx(0.0 if exact else 0.8, abs=0.02)
