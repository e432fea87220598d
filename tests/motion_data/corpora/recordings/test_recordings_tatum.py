"""Rate, phase, strength and drift of the tatum, on made envelopes and clicks whose tempo is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.corpora.recordings.tatum import Tatum, audio_onset_envelope, measure_tatum
from motion_data.corpora.recordings.tracks import MIN_VECTOR_STRENGTH
from tests.clicks_at_tempo import clicks


def envelope(times: NDArray[np.float64], seconds: float, noise: float, seed: int) -> NDArray[np.float64]:
    """Bumps of 8 ms at the given times, of unequal height, over noise that is never negative."""
    draw = np.random.default_rng(seed)
    frames = (np.arange(round(100 * seconds)) + 0.5) / 100
    found = noise * draw.exponential(size=len(frames))
    for time, height in zip(times, draw.uniform(0.5, 1.5, len(times)), strict=True):
        found += height * np.exp(-0.5 * ((frames - time) / 0.008) ** 2)
    return found


def tatums(rate: float, phase: float, seconds: float, seed: int) -> NDArray[np.float64]:
    """Times of the tatums that sound: three of five."""
    times = phase + np.arange(int((seconds - phase) * rate)) / rate
    return times[np.random.default_rng(seed).random(len(times)) < 0.6]


def off(tatum: Tatum, rate: float, phase: float, time: float) -> float:
    """Seconds by which the measured tatums at a time miss the true ones."""
    nearest = phase + round((time - phase) * rate) / rate
    return float(abs((nearest - tatum.phase + 0.5 / tatum.rate) % (1 / tatum.rate) - 0.5 / tatum.rate))


class TestConstantTempo:
    @pytest.mark.slow
    @settings(max_examples=25, deadline=None)
    @given(
        st.floats(3.0, 11.5),  # slower, twice the rate is as strong within noise
        st.floats(0, 0.08),
        st.floats(60, 200),
        st.floats(0.001, 0.005),  # onsets that all fall on frames have equal strength at twice the rate
        st.integers(0, 99),
    )
    def test_tatums_are_met_from_the_first_to_the_last(
        self, rate: float, phase: float, seconds: float, jitter: float, seed: int
    ) -> None:
        times = tatums(rate, phase, seconds, seed)
        moved = times + np.random.default_rng(seed).normal(0, jitter, len(times))
        tatum = measure_tatum(envelope(moved, seconds, 0.02, seed))
        assert tatum.rate == pytest.approx(rate, rel=2e-4)
        assert off(tatum, rate, phase, 0.0) < 0.005
        assert off(tatum, rate, phase, seconds) < 0.005
        assert tatum.rejection is None
        assert tatum.drift < 0.012

    @settings(max_examples=10, deadline=None)
    @given(st.floats(3, 10), st.floats(-2e-4, 2e-4), st.integers(0, 99))
    def test_a_known_rate_is_refined_and_not_replaced(self, rate: float, error: float, seed: int) -> None:
        sound = envelope(tatums(rate, 0.05, 120, seed), 120, 0.02, seed)
        tatum = measure_tatum(sound, rate * (1 + error))
        assert tatum.rate == pytest.approx(rate, rel=2e-5)
        half = measure_tatum(sound, rate / 2)
        assert half.rate == pytest.approx(rate / 2, abs=0.02)

    def test_gain_changes_nothing(self) -> None:
        sound = envelope(tatums(7.3, 0.03, 60, 0), 60, 0.05, 0)
        one, other = measure_tatum(sound), measure_tatum(31 * sound)
        assert one.rate == pytest.approx(other.rate, rel=1e-9)
        assert one.strength == pytest.approx(other.strength)

    @settings(max_examples=5, deadline=None)
    @given(st.floats(125, 200), st.floats(0, 0.3))
    def test_clicks_that_sound(self, bpm: float, phase: float) -> None:
        tatum = measure_tatum(audio_onset_envelope(torch.from_numpy(clicks(bpm, 40, phase))))
        multiple = tatum.rate * 60 / bpm
        assert multiple == pytest.approx(round(multiple), rel=2e-4)
        assert off(tatum, bpm / 60, phase, 20.0) < 0.006
        assert tatum.rejection is None

    @settings(max_examples=10)
    @given(st.floats(3, 7), st.floats(40, 90), st.integers(0, 99))
    def test_a_syncopated_passage_is_left_out_alone(self, rate: float, start: float, seed: int) -> None:
        seconds, stop = 180.0, start + 12.0
        times = tatums(rate, 0.05, seconds, seed)
        times[(times > start) & (times < stop)] += 0.35 / rate
        tatum = measure_tatum(envelope(times, seconds, 0.02, seed), rate)
        assert tatum.rejection is None
        assert off(tatum, rate, 0.05, seconds) < 0.012
        middles = tatum.deviations.mean(1)
        assert len(middles) >= 1
        assert ((middles > start - 4) & (middles < stop + 4)).all()


class TestRefused:
    @pytest.mark.slow
    @settings(max_examples=20, deadline=None)
    @given(st.floats(3, 11), st.floats(0.09, 0.15), st.booleans(), st.integers(0, 99))
    def test_a_drifting_tempo_is_refused_with_its_drift(
        self, rate: float, bend: float, late: bool, seed: int
    ) -> None:
        seconds = 150.0
        times = tatums(rate, 0.05, seconds, seed)
        share = times / seconds
        times = times + (1 if late else -1) * bend * 4 * share * (1 - share)
        tatum = measure_tatum(envelope(times[times > 0], seconds, 0.02, seed), rate)
        # Nine tenths of a parabola are within .48 of its height from its best straight line.
        assert tatum.drift == pytest.approx(0.48 * bend, rel=0.35)
        assert f"drifts: {1000 * tatum.drift:.0f} ms" in str(tatum.rejection)

    @settings(max_examples=10, deadline=None)
    @given(st.integers(0, 999), st.floats(30, 120))
    def test_onsets_at_random_have_no_tatum(self, seed: int, seconds: float) -> None:
        times = np.sort(np.random.default_rng(seed).uniform(0, seconds, round(5 * seconds)))
        tatum = measure_tatum(envelope(times, seconds, 0.02, seed))
        assert tatum.strength < MIN_VECTOR_STRENGTH
        assert tatum.rejection is not None

    def test_silence_has_no_tatum(self) -> None:
        assert measure_tatum(np.zeros(4000)).rejection is not None
