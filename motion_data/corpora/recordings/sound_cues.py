"""Music cues of a recording, estimated from its sound [O].

Onsets in low, middle and high bands stand for voices: low bands for the kick, middle and high bands together
for the snare, high bands alone for the hat, and middle bands alone for the melody. Bass is not distinguished
from the kick, and there are no chords.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.signal import find_peaks
from torch import Tensor

from motion_data.corpora.constructed.music_cues import (
    CUE_RATE,
    VOICES,
    MusicCues,
    find_breaks,
    loudness_from_power,
    section_starts,
)
from motion_data.corpora.constructed.music_steps import nearest_onset
from motionbeat_upstream.config import ENVELOPE_RATE, SAMPLE_RATE, MusicTowerConfig
from motionbeat_upstream.tracking.frontend import log_mel
from motionbeat_upstream.tracking.grid import Grid

Array = NDArray[np.float64]

LOW_BANDS, MIDDLE_BANDS, HIGH_BANDS = slice(0, 4), slice(10, 60), slice(70, 96)
"""Of 96 mel bands: below 160 Hz, 340 Hz to 2.5 kHz, above 3.5 kHz."""

LAG_FRAMES = 4
"""Distance of compared spectra, as in :func:`~motionbeat_upstream.tracking.frontend.onset_envelope`."""

MIN_PROMINENCE, MIN_STRENGTH, MIN_BROAD_STRENGTH = 0.2, 0.4, 0.6
"""Minimum prominence of an onset in the log-mel, and its minimum strength relative to the strong onsets of
its bands; the last one is for middle and high bands together."""

MIN_ONSET_SPACING_SECONDS = 0.09
"""Minimum distance of onsets in one band."""

STACCATO_DECIBELS = 12.0
"""Decay of the level between onsets that counts as staccato."""

MIN_SECTION_NOVELTY = 2.0
"""Minimum distance of sections, in standard deviations of the bars of a recording."""


@torch.no_grad()
def cues_from_audio(wav: Tensor, grid: Grid) -> MusicCues:
    """Estimate the cues of a recording.

    Args:
        wav: (T,) at 16 kHz, at least one second.
        grid: beats and bars; sections begin on downbeats.
    """
    mel = log_mel(wav[None], torch.tensor([len(wav)]), MusicTowerConfig.n_mels)[0]
    bands = mel[0].numpy()
    low, middle, high = (_band_rises(bands[:, band]) for band in (LOW_BANDS, MIDDLE_BANDS, HIGH_BANDS))
    # A drum excites most bands at once, a note only those of its harmonics.
    broad = np.minimum(np.median(middle, axis=1), np.median(high, axis=1))
    snare = _onsets(broad, MIN_BROAD_STRENGTH)
    onsets = {
        **{voice: np.zeros((0, 2)) for voice in VOICES},
        "kick": _onsets(low.mean(axis=1), MIN_STRENGTH),
        "snare": snare,
        "hat": _without_coincident(_onsets(np.median(high, axis=1), MIN_STRENGTH), snare),
        "melody": _without_coincident(_onsets(middle.mean(axis=1), MIN_STRENGTH), snare),
    }
    size = round(SAMPLE_RATE / CUE_RATE)
    power = wav[: len(wav) // size * size].double().square().unflatten(0, (-1, size)).mean(1).numpy()
    loudness = loudness_from_power(gaussian_filter1d(power, 0.1 * CUE_RATE, mode="nearest"))
    levels = [part.mean(axis=1) for part in np.array_split(bands, 8, axis=1)]
    activity = [rises.mean(axis=1) for rises in (low, middle, high)]
    features = _bar_means(np.stack([*levels, *activity], axis=1).astype(np.float64), grid.downbeats)
    return MusicCues(
        onsets,
        0.0,
        loudness,
        _legato(power),
        section_starts(features, grid.downbeats, MIN_SECTION_NOVELTY),
        find_breaks(loudness, 0.0),
    )


def _band_rises(bands: NDArray[np.float32]) -> NDArray[np.float32]:
    """(F, K) rise of (F, K) bands over :data:`LAG_FRAMES`, at least 0."""
    rises = np.zeros_like(bands)
    np.maximum(bands[LAG_FRAMES:] - bands[:-LAG_FRAMES], 0, out=rises[LAG_FRAMES:])
    return rises


def _onsets(envelope: NDArray[np.float32], weakest: float) -> Array:
    """(N, 2) times and strengths of the peaks of an envelope."""
    peaks, _ = find_peaks(
        envelope, prominence=MIN_PROMINENCE, distance=round(MIN_ONSET_SPACING_SECONDS * ENVELOPE_RATE)
    )
    if not len(peaks):
        return np.zeros((0, 2))
    strength = envelope[peaks].astype(np.float64) / np.percentile(envelope[peaks], 90)
    strong = strength >= weakest
    return np.stack([(peaks[strong] + 0.5) / ENVELOPE_RATE, np.minimum(strength[strong], 1.0)], axis=1)


def _without_coincident(onsets: Array, others: Array) -> Array:
    """Remove onsets that coincide with one of the others."""
    apart: Array = onsets[nearest_onset(others, onsets[:, 0], MIN_ONSET_SPACING_SECONDS / 2)[0] == 0]
    return apart


def _legato(power: Array) -> Array:
    """(F,) legato in [0, 1], from the drop of the level below its maximum within half a second."""
    level = 10 * np.log10(power + 1e-9 * max(float(power.max()), 1e-9))
    fall = maximum_filter1d(level, round(CUE_RATE)) - level
    legato = np.clip(1 - fall / STACCATO_DECIBELS, 0.0, 1.0)
    smooth: Array = gaussian_filter1d(legato, 0.5 * CUE_RATE, mode="nearest")
    return smooth


def _bar_means(features: Array, downbeats: Array) -> Array:
    """(B - 1, K) mean of (F, K) features in each bar, divided by the standard deviation of the bars."""
    edges = np.clip((downbeats * ENVELOPE_RATE).astype(int), 0, len(features))
    sums = np.concatenate([np.zeros((1, features.shape[1])), features.cumsum(axis=0)])
    means = (sums[edges[1:]] - sums[edges[:-1]]) / np.maximum(np.diff(edges), 1)[:, None]
    spread: Array = means / (means.std(axis=0) + 1e-6)
    return spread
