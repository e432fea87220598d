"""Beats and bars chosen from activations: recovered from noisy ones, refused from ambiguous ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.corpora.recordings.labelling import (
    MAX_BPM,
    MIN_BPM,
    TrackLabels,
    label_track,
    tatum_times,
)

SECONDS = 80.0


def logits(times: NDArray[np.float64], noise: float, draw: Any, shift: int = 0) -> NDArray[np.float64]:
    """(F,) -2.5 but for 2 at the frames of the given times, and noise."""
    found = np.full(round(50 * SECONDS), -2.5)
    frames = np.floor(times * 50).astype(int) + shift
    found[frames[(frames >= 0) & (frames < len(found))]] = 2.0
    noisy: NDArray[np.float64] = found + draw.normal(0, noise, len(found))
    return noisy


@st.composite
def truths(draw: st.DrawFn) -> tuple[float, float, int, int, int, int, int]:
    """Rate, phase, tatums a beat, first beat, metre, first downbeat, seed."""
    rate = draw(st.floats(3.0, 12.0))
    levels = [k for k in range(1, 13) if MIN_BPM + 0.1 < 60 * rate / k < MAX_BPM - 0.1]
    level = draw(st.sampled_from(levels))
    metre = draw(st.sampled_from((3, 4)))
    return (
        rate,
        draw(st.floats(0, 1)) / rate,
        level,
        draw(st.integers(0, level - 1)),
        metre,
        draw(st.integers(0, metre - 1)),
        draw(st.integers(0, 999)),
    )


class TestRecovered:
    @settings(max_examples=60, deadline=None)
    @given(truths(), st.floats(0, 1.2), st.sampled_from((-1, 0, 1)))
    def test_level_phase_and_bars(
        self, truth: tuple[float, float, int, int, int, int, int], noise: float, shift: int
    ) -> None:
        rate, phase, level, first, metre, opening, seed = truth
        draw = np.random.default_rng(seed)
        beats = tatum_times(rate, phase, 0.0, SECONDS)[first::level]
        labels = label_track(
            logits(beats, noise, draw, shift),
            logits(beats[opening::metre], noise, draw, shift),
            rate,
            phase,
            0.0,
            SECONDS,
        )
        assert isinstance(labels, TrackLabels)
        assert labels.tatums_a_beat == level
        assert labels.beats == pytest.approx(beats)
        assert labels.bars_known
        assert labels.metre == metre
        assert labels.grid.downbeats == pytest.approx(beats[opening::metre])
        assert labels.grid.downbeat_confidence > 0

    @settings(max_examples=10, deadline=None)
    @given(st.integers(0, 999), st.integers(0, 1))
    def test_two_dotted_beats_a_bar(self, seed: int, opening: int) -> None:
        draw = np.random.default_rng(seed)
        beats = tatum_times(6.0, 0.1, 0.0, SECONDS)[::3]
        labels = label_track(
            logits(beats, 1, draw), logits(beats[opening::2], 1, draw), 6.0, 0.1, 0.0, SECONDS
        )
        assert isinstance(labels, TrackLabels)
        assert (labels.metre, labels.tatums_a_beat) == (2, 3)

    def test_beats_lie_where_there_is_sound(self) -> None:
        draw = np.random.default_rng(0)
        beats = tatum_times(8.0, 0.0, 0.0, SECONDS)[::4]
        labels = label_track(
            logits(beats, 0.5, draw), logits(beats[::4], 0.5, draw), 8.0, 0.0, 7.3, SECONDS - 9.1
        )
        assert isinstance(labels, TrackLabels)
        assert 7.3 <= labels.beats[0] < 7.8
        assert SECONDS - 9.6 < labels.beats[-1] <= SECONDS - 9.1


class TestRefused:
    def test_activations_that_change_sides(self) -> None:
        draw = np.random.default_rng(0)
        tatums = tatum_times(8.0, 0.0, 0.0, SECONDS)
        half = len(tatums) // 2
        beats = np.concatenate([tatums[:half][::4], tatums[half:][2::4]])
        found = label_track(logits(beats, 0, draw), logits(beats[::4], 0, draw), 8.0, 0.0, 0.0, SECONDS)
        assert isinstance(found, str)
        assert "ambiguous" in found

    def test_activations_that_know_nothing(self) -> None:
        nothing = np.zeros(round(50 * SECONDS))
        assert isinstance(label_track(nothing, nothing, 8.0, 0.0, 0.0, SECONDS), str)
        assert isinstance(label_track(nothing - 3, nothing, 8.0, 0.0, 0.0, SECONDS), str)

    def test_a_margin_that_is_not_reached(self) -> None:
        draw = np.random.default_rng(0)
        beats = tatum_times(8.0, 0.0, 0.0, SECONDS)[::4]
        arguments = logits(beats, 0, draw), logits(beats[::4], 0, draw), 8.0, 0.0, 0.0, SECONDS
        labels = label_track(*arguments)
        assert isinstance(labels, TrackLabels)
        assert isinstance(label_track(*arguments, beat_margin=labels.beat_margin + 1e-6), str)
        again = label_track(*arguments, beat_margin=labels.beat_margin - 1e-6)
        assert isinstance(again, TrackLabels)

    def test_bars_without_evidence_are_unknown(self) -> None:
        draw = np.random.default_rng(0)
        beats = tatum_times(8.0, 0.0, 0.0, SECONDS)[::4]
        labels = label_track(logits(beats, 0.5, draw), logits(beats, 0, draw), 8.0, 0.0, 0.0, SECONDS)
        assert isinstance(labels, TrackLabels)
        assert not labels.bars_known
        assert labels.grid.downbeat_confidence == 0
        assert labels.grid.confidence == 1

    def test_too_few_beats(self) -> None:
        draw = np.random.default_rng(0)
        beats = tatum_times(8.0, 0.0, 0.0, SECONDS)[::4]
        found = label_track(logits(beats, 0, draw), logits(beats[::4], 0, draw), 8.0, 0.0, 0.0, 5.0)
        assert isinstance(found, str)
        assert "beats; expected" in found
