"""Phase locking: pulses made on a beat lock to it, others do not; and what real motion does."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import find_peaks

from motion_data.rhythm.contacts import contact_pulses
from motionbeat_upstream.audio import read_audio
from motionbeat_upstream.tracking.frontend import log_mel, onset_envelope
from tests.phase_locking import (
    Surrogate,
    beat_phases,
    best_lag,
    locking,
    other_tempo,
    resultant,
    shuffled_intervals,
)
from tests.shared_data import shared

PIANIST_START = 2 / 30
"""Seconds at which the container shows the first picture: two frames of H.264 wait for each other."""


def steps(
    rng: np.random.Generator, period: float, count: int, jitter: float, late: float = 0.0
) -> NDArray[np.float64]:
    """Pulses on randomly chosen beats, ``late`` seconds after them, give or take ``jitter``."""
    chosen = np.cumsum(rng.choice([1, 2, 3], count))
    pulses: NDArray[np.float64] = np.sort(chosen * period + late + rng.normal(0, jitter, count))
    return pulses


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0.3, 1.0))
def test_phases_turn_once_a_beat_and_know_no_tempo(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    beats = np.cumsum(rng.uniform(0.3, 0.8, 20))
    phases = np.sort(rng.uniform(0, 1, 19))
    pulses = beats[:-1] + phases * np.diff(beats)
    np.testing.assert_allclose(beat_phases(pulses, beats), phases, atol=1e-9)
    np.testing.assert_allclose(beat_phases(scale * pulses, scale * beats), phases, atol=1e-9)
    assert abs(resultant(phases)) == pytest.approx(
        np.hypot(np.cos(2 * np.pi * phases).mean(), np.sin(2 * np.pi * phases).mean())
    )
    assert abs(resultant((phases + 0.3) % 1)) == pytest.approx(abs(resultant(phases)))


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**32 - 1), st.floats(0.4, 0.8), st.floats(-0.15, 0.15))
def test_steps_on_the_beat_lock(seed: int, period: float, late: float) -> None:
    rng = np.random.default_rng(seed)
    pulses = steps(rng, period, 60, 0.02, late)
    beats = np.arange(300) * period
    for surrogate in (shuffled_intervals, other_tempo):
        found = locking(pulses, beats, surrogate, surrogates=100)
        assert found.resultant > 0.8
        assert found.phase == pytest.approx(late / period, abs=0.05)
    assert locking(pulses, beats, other_tempo, surrogates=100).p <= 0.02
    lag = best_lag(pulses, beats, reach=0.19, surrogates=100)
    assert lag.seconds == pytest.approx(late, abs=0.02)
    assert lag.score > 0.85


@pytest.mark.parametrize("surrogate", [shuffled_intervals, other_tempo])
def test_chance_is_called_chance(surrogate: Surrogate) -> None:
    beats = np.arange(200) * 0.5
    p = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        pulses = np.cumsum(rng.uniform(0.3, 0.9, 80))
        p.append(locking(pulses, beats, surrogate, surrogates=99, seed=seed).p)
    # p is uniform where there is nothing to find: about 1 in 20 at .05, about half at .5.
    assert np.mean(np.array(p) <= 0.05) < 0.15
    assert 0.3 < np.mean(np.array(p) <= 0.5) < 0.7


def test_even_steps_say_nothing_of_their_order_but_much_of_their_tempo() -> None:
    pulses, beats = np.arange(1, 60) * 0.5 + 0.1, np.arange(70) * 0.5
    assert locking(pulses, beats, shuffled_intervals, surrogates=50).p == 1.0
    assert locking(pulses, beats, other_tempo, surrogates=50).p < 0.02


def test_the_same_seed_gives_the_same_answer() -> None:
    pulses, beats = steps(np.random.default_rng(1), 0.5, 30, 0.1), np.arange(200) * 0.5
    assert locking(pulses, beats, seed=3) == locking(pulses, beats, seed=3)
    assert best_lag(pulses, beats, seed=3) == best_lag(pulses, beats, seed=3)


def test_too_few_pulses_are_refused() -> None:
    with pytest.raises(ValueError, match="1 pulses"):
        locking(np.array([0.2, 9.0]), np.array([0.0, 1.0]))


def wavefile_pulses() -> NDArray[np.float64]:
    with np.load(shared("motion/wavefile/wavefile_joints_30fps.npz")) as arrays:
        names = [name.replace("toe", "foot") for name in arrays["names"].tolist()]
        start = -float(arrays["audio_offset_s"])
        pulses = contact_pulses(arrays["pos_m"], names, float(arrays["fps"]), start)
    return np.sort(np.concatenate(list(pulses.values())))


def test_wavefile_locks_to_its_music() -> None:
    """R = .36 over 88 s, .47 to .75 in windows of 14 s: the dance drifts by 90 ms."""
    pulses, beats = wavefile_pulses(), np.arange(0, 90.05, 60 / 135)
    whole = locking(pulses, beats)
    assert whole.resultant > 0.3
    assert whole.p < 0.05
    assert locking(pulses, beats, other_tempo).p < 0.005
    windows = [pulses[(pulses >= at) & (pulses < to)] for at, to in pairwise(range(0, 85, 14))]
    assert min(abs(resultant(beat_phases(window, beats))) for window in windows) > 0.4


def onsets(name: str) -> NDArray[np.float64]:
    """Seconds of the peaks of an audio file's onset envelope."""
    wav = read_audio(shared(f"motion/pianist_dancer/{name}.flac"))
    mel, frames = log_mel(wav[None], torch.tensor([len(wav)]), 80)
    envelope = onset_envelope(mel, frames)[0].double().numpy()
    envelope = np.convolve((envelope - envelope.mean()) / envelope.std(), [0.25, 0.5, 0.25], mode="same")
    peaks, _ = find_peaks(envelope, height=0.5, prominence=0.5, distance=6)
    times: NDArray[np.float64] = (peaks + 0.5) / 100
    return times


def body(name: str) -> tuple[NDArray[np.float64], list[str], float]:
    """MediaPipe's 33 points in metres, y up, short gaps filled, with the common names of feet and hands."""
    with np.load(shared(f"motion/pianist_dancer/{name}_mediapipe33.npz")) as arrays:
        joints = arrays["world"][..., :3].astype(np.float64) * [1, -1, -1]
        names = [point.lower().replace("foot_index", "foot") for point in arrays["names"].tolist()]
        fps = float(arrays["fps"])
    seen = np.isfinite(joints).all(axis=(1, 2))
    frames = np.arange(len(joints))
    for column in joints.reshape(len(joints), -1).T:
        column[~seen] = np.interp(frames[~seen], frames[seen], column[seen])
    return joints, names, fps


def hands(name: str, start: float) -> NDArray[np.float64]:
    joints, names, fps = body(name)
    wrists = [names.index("left_wrist"), names.index("right_wrist")]
    pulses = contact_pulses(joints[:, wrists], ("left_wrist", "right_wrist"), fps, start)
    assert set(pulses) == {"left_hand", "right_hand"}
    return np.sort(np.concatenate(list(pulses.values())))


def test_the_pianists_hands_are_down_when_the_sound_sets_in() -> None:
    """Best lag -20 ms, less than a frame, once the container's own delay of two frames is kept."""
    lag = best_lag(hands("pianist", PIANIST_START), onsets("pianist"), reach=0.1)
    assert abs(lag.seconds) <= 1 / 30
    assert lag.at_zero > lag.chance + 0.1
    assert lag.p < 0.01


def test_the_dancer_keeps_to_no_beat() -> None:
    """Free dance to excerpts with silence between them: that no lock is found is the right answer."""
    joints, names, fps = body("dancer")
    feet = np.sort(np.concatenate(list(contact_pulses(joints, names, fps).values())))
    for pulses in (feet, hands("dancer", 0.0)):
        assert best_lag(pulses, onsets("dancer"), reach=0.05).p > 0.1
