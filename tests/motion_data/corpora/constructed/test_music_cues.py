"""Cues of music: exact from notes, near the truth from sound."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.corpora.constructed.arrangement import Arrangement, Part
from motion_data.corpora.constructed.music_cues import (
    CUE_RATE,
    MERGE_SECONDS,
    VOICES,
    cues_from_notes,
    find_breaks,
    merge_onsets,
    section_starts,
)
from motion_data.corpora.constructed.plan import make_arrangement, plan_pair
from motion_data.corpora.recordings.sound_cues import cues_from_audio
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.tracking.grid import regular_grid


def band(*parts: Part, seconds: float = 16.0) -> Arrangement:
    return Arrangement(parts, regular_grid(seconds, 120, 4), "rock", 120, 0.5, 0.5, "steady", seconds)


def notes(
    times: list[float], pitch: float, lasting: float = 0.2, velocity: float = 90
) -> NDArray[np.float64]:
    return np.array([[time, lasting, pitch, velocity] for time in times])


@given(st.lists(st.floats(0, 5), max_size=30), st.integers(0, 100))
def test_merged_strokes_are_apart_and_none_is_lost(times: list[float], seed: int) -> None:
    rows = np.array([[time, np.random.default_rng(seed).random()] for time in times]).reshape(-1, 2)
    together = merge_onsets([rows[::2], rows[1::2]])
    assert (np.diff(together[:, 0]) > 0).all()
    if len(rows):
        assert together[:, 1].max() == rows[:, 1].max()
        assert set(together[:, 0]) <= set(rows[:, 0])
        # Each is with one that began at most its chain of neighbours before it.
        assert together[0, 0] == rows[:, 0].min()
    lonely = [t for t in times if sum(abs(t - other) <= MERGE_SECONDS for other in times) == 1]
    assert set(lonely) <= set(together[:, 0])


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 500))
def test_every_drum_is_heard_when_it_is_struck(index: int) -> None:
    piece = make_arrangement(plan_pair(2, index, {}, 8.0, None))
    cues = cues_from_notes(piece)
    assert set(cues.onsets) == set(VOICES)
    for part in piece.parts:
        heard = merge_onsets([cues.onsets[voice] for voice in VOICES])[:, 0]
        assert np.abs(part.notes[:, :1] - heard).min(axis=1).max() <= 2 * MERGE_SECONDS
    for rows in (*cues.onsets.values(), cues.low, cues.any):
        assert (np.diff(rows[:, 0]) > 0).all()
        assert ((rows[:, 1] > 0) & (rows[:, 1] <= 1)).all()
    for curve in (cues.loudness, cues.legato):
        assert len(curve) == round((piece.seconds - cues.start) * CUE_RATE)
        assert ((curve >= 0) & (curve <= 1)).all()


def test_drums_go_to_their_voices() -> None:
    kit = np.concatenate([notes([1.0], 36), notes([2.0], 38), notes([3.0], 42), notes([4.0], 39)])
    cues = cues_from_notes(band(Part("drums", 0, True, kit), Part("bass", 33, False, notes([5.0], 40))))
    assert cues.onsets["kick"][:, 0] == pytest.approx([1])
    assert cues.onsets["snare"][:, 0] == pytest.approx([2, 4])
    assert cues.onsets["hat"][:, 0] == pytest.approx([3])
    assert cues.low[:, 0] == pytest.approx([1, 5])


def test_breaks_begin_where_the_last_note_ends() -> None:
    rows = np.concatenate(
        [notes([k / 2 for k in range(10)], 60, 0.5), notes([k / 2 for k in range(16, 32)], 60, 0.5)]
    )
    breaks = cues_from_notes(band(Part("melody", 0, False, rows))).breaks
    inside = breaks[(breaks[:, 0] > 1) & (breaks[:, 1] < 15)]
    assert inside == pytest.approx(np.array([[5.0, 8.0]]), abs=0.35)
    assert len(find_breaks(np.full(200, 0.5), 0.0)) == 0


def test_louder_notes_are_louder_and_short_ones_less_bound() -> None:
    rows = np.concatenate(
        [notes([k / 2 for k in range(16)], 60, 0.5, 40), notes([k / 2 for k in range(16, 32)], 60, 0.1, 110)]
    )
    cues = cues_from_notes(band(Part("melody", 0, False, rows)))
    first, second = (
        slice(round((a - cues.start) * CUE_RATE), round((a + 4 - cues.start) * CUE_RATE)) for a in (2, 10)
    )
    assert cues.loudness[second].max() > cues.loudness[first].max() + 0.1
    assert cues.legato[first].mean() > cues.legato[second].mean() + 0.4


def test_sections_begin_where_players_change() -> None:
    downbeats = 2.0 * np.arange(17)
    plays = np.ones((16, 3))
    plays[8:, 1] = 0
    assert section_starts(plays, downbeats, 0.6) == pytest.approx([16.0])
    assert len(section_starts(np.ones((16, 3)), downbeats, 0.6)) == 0


def test_thumps_and_bursts_are_told_apart_in_sound() -> None:
    """Low sines on odd beats, noise on even ones, then silence."""
    rate, random = SAMPLE_RATE, np.random.default_rng(0)
    wav, tail = np.zeros(16 * rate), np.arange(rate // 5) / rate
    wav += 1e-4 * random.normal(size=len(wav))
    thump = 0.8 * np.sin(2 * np.pi * 70 * tail) * np.exp(-tail * 20)
    for beat in range(20):
        burst = 0.3 * random.normal(size=len(tail)) * np.exp(-tail * 30)
        at = round((0.25 + 0.5 * beat) * rate)
        wav[at : at + len(tail)] += burst if beat % 2 else thump
    cues = cues_from_audio(torch.from_numpy(wav).float(), regular_grid(16, 120, 4, 0.25))
    kicks, snares = 0.25 + np.arange(0, 10), 0.75 + np.arange(0, 10)
    for voice, times in (("kick", kicks), ("snare", snares)):
        found = cues.onsets[voice][:, 0]
        assert np.mean(np.abs(times[:, None] - found).min(axis=1) < 0.04) > 0.9
    assert np.abs(cues.onsets["snare"][:, :1] - snares).min(axis=1).max() < 0.06
    assert any(start < 11.5 and stop > 15.5 for start, stop in cues.breaks)


def test_digital_silence_has_no_cues() -> None:
    cues = cues_from_audio(torch.zeros(4 * SAMPLE_RATE), regular_grid(4, 120, 4))
    assert all(len(rows) == 0 for rows in cues.onsets.values())
    assert np.isfinite(cues.loudness).all()
    assert np.isfinite(cues.legato).all()
