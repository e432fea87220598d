"""The tatum of a recording whose tempo is constant: its rate, its phase, how clear it is, how it drifts [O].

The tatum is the fastest regular pulse that the onsets keep to. Its rate is where the onset envelope, taken as
weights on the circle of one tatum, has the longest resultant vector (the vector strength of Goldberg and
Brown, 1969). Short windows find the rate coarsely, then the phase of each window along the recording gives
rate and phase by a straight line, to about a millisecond from end to end.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import find_peaks
from torch import Tensor

from motion_data.corpora.recordings.tracks import MAX_DRIFT_SECONDS, MIN_VECTOR_STRENGTH
from motionbeat_upstream.config import ENVELOPE_RATE, MusicTowerConfig
from motionbeat_upstream.tracking.frontend import log_mel, onset_envelope

Array = NDArray[np.float64]

MIN_TATUM_RATE, MAX_TATUM_RATE = 2.0, 12.0
"""Tatums a second."""

WINDOW_SECONDS, HOP_SECONDS = 16.0, 4.0
"""Seconds of a window whose phase is taken, and from one to the next."""

MAX_CANDIDATES = 6
"""Rates that are measured over the whole recording after the coarse search."""

MIN_RELATIVE_STRENGTH = 0.35
"""A window whose vector strength is below this share of the median has no phase of its own to speak of."""

MAX_RATE_CORRECTION = 0.25 / WINDOW_SECONDS
"""Tatums a second by which the phases may correct a rate: a quarter of a turn in a window. More comes of
phases at random, of a rate that the sound does not keep."""


@dataclass(frozen=True)
class Tatum:
    """The tatum of a recording."""

    rate: float
    """Tatums a second."""
    phase: float
    """Seconds of the first tatum at or after 0, in [0, 1 / rate)."""
    strength: float
    """Vector strength of the onset envelope at the rate, in [0, 1]."""
    drift: float
    """90th percentile of the deviations of the windows' phases from the straight line, in seconds."""
    deviations: Array = field(default_factory=lambda: np.zeros((0, 2)))
    """(N, 2) start and end in seconds of passages that deviate by more than is allowed."""

    @property
    def rejection(self) -> str | None:
        """Why the recording cannot be labelled on this tatum; None where it can."""
        if not self.drift <= MAX_DRIFT_SECONDS:
            return (
                f"the tempo drifts: {1000 * self.drift:.0f} ms from a constant {60 * self.rate:.2f} tatums "
                f"a minute (vector strength {self.strength:.2f}); expected at most "
                f"{1000 * MAX_DRIFT_SECONDS:.0f} ms"
            )
        if not self.strength >= MIN_VECTOR_STRENGTH:
            return (
                f"no constant tatum: vector strength {self.strength:.2f} at {60 * self.rate:.2f} tatums a "
                f"minute (drift {1000 * self.drift:.0f} ms); expected {MIN_VECTOR_STRENGTH:g} or more"
            )
        return None


@torch.no_grad()
def audio_onset_envelope(wav: Tensor) -> Array:
    """(F,) onset envelope at 100 Hz of a waveform (T,) at 16 kHz."""
    mel, frames = log_mel(wav[None], torch.tensor([len(wav)]), MusicTowerConfig.n_mels)
    return onset_envelope(mel, frames)[0].double().numpy()


def measure_tatum(envelope: Array, rate: float | None = None) -> Tatum:
    """Rate, phase, vector strength and drift of the tatum.

    Args:
        envelope: (F,) onset envelope at 100 Hz, at least 0.
        rate: tatums a second where they are known; phase, strength and drift are then measured at it, and it
            is refined by the slope of the phase.
    """
    sharp = sharpen_envelope(envelope)
    if not sharp.any():
        return Tatum(rate or MIN_TATUM_RATE, 0.0, 0.0, np.inf)
    rates = [rate] if rate is not None else _coarse_rates(sharp)
    found = [_refine_tatum(sharp, candidate) for candidate in rates]
    return max(found, key=lambda tatum: tatum.strength)


def sharpen_envelope(envelope: Array) -> Array:
    """The envelope's peaks alone: what exceeds its mean over a second [O].

    The part that is always there has no phase, and would only lower the vector strength.
    """
    width = round(ENVELOPE_RATE)
    around = np.convolve(envelope, np.ones(width) / width, mode="same")
    return np.maximum(envelope - around, 0.0)


def _windows(sharp: Array) -> tuple[Array, Array]:
    """(W, N) Hann-weighted windows of the envelope, and (W,) the seconds of their first frames.

    A quarter of the first and last window lies outside the recording, so that its ends count as well.
    """
    size, hop, margin = (
        round(seconds * ENVELOPE_RATE) for seconds in (WINDOW_SECONDS, HOP_SECONDS, WINDOW_SECONDS / 4)
    )
    padded = np.pad(sharp, (margin, margin + max(0, size - len(sharp) - 2 * margin)))
    starts = np.arange(0, len(padded) - size + 1, hop)
    parts = np.lib.stride_tricks.sliding_window_view(padded, size)[starts]
    windows: Array = parts * np.hanning(size)
    return windows, (starts - margin) / ENVELOPE_RATE


def _coarse_rates(sharp: Array) -> list[float]:
    """The rates with the highest mean vector strength of the windows, to a few millihertz."""
    windows, _ = _windows(sharp)
    size = 8 * 2 ** int(np.ceil(np.log2(windows.shape[1])))
    spectrum = np.zeros(size // 2 + 1)
    for window in windows:
        spectrum += np.abs(np.fft.rfft(window, size))
    step = ENVELOPE_RATE / size
    first, last = int(np.ceil(MIN_TATUM_RATE / step)), int(MAX_TATUM_RATE / step)
    # Peaks at the outer rates count as well.
    inside = np.concatenate([[0.0], spectrum[first : last + 1], [0.0]])
    peaks, _ = find_peaks(inside)
    peaks = peaks[np.argsort(inside[peaks])[::-1][:MAX_CANDIDATES]]
    return [float((first + peak - 1) * step) for peak in peaks]


def _refine_tatum(sharp: Array, rate: float) -> Tatum:
    """The tatum near a rate: rate and phase by a straight line through the windows' phases."""
    windows, starts = _windows(sharp)
    inner = (np.arange(windows.shape[1]) + 0.5) / ENVELOPE_RATE
    weights = windows.sum(1)
    middles = starts + windows @ inner / np.maximum(weights, 1e-9)
    limits = rate - MAX_RATE_CORRECTION, rate + MAX_RATE_CORRECTION
    errors, times = np.zeros(1), np.zeros(1)
    for _ in range(3):
        vectors = (windows @ np.exp(-2j * np.pi * rate * inner)) * np.exp(-2j * np.pi * rate * starts)
        strengths = np.abs(vectors) / np.maximum(weights, 1e-9)
        clear = (strengths >= MIN_RELATIVE_STRENGTH * np.median(strengths)) & (
            weights >= 0.1 * np.median(weights)
        )
        cycles = np.unwrap(np.angle(vectors[clear])) / (2 * np.pi)
        if clear.sum() < 2:
            break
        slope, offset = np.polyfit(middles[clear], cycles, 1, w=np.abs(vectors[clear]))
        errors, times = cycles - (slope * middles[clear] + offset), middles[clear]
        # A wave exp(2πi·f·t) seen from a rate r has the phase (f - r)·t.
        rate = float(np.clip(rate + slope, *limits))
    frames = (np.arange(len(sharp)) + 0.5) / ENVELOPE_RATE
    whole = (sharp * np.exp(-2j * np.pi * rate * frames)).sum()
    phase = float((-np.angle(whole) / (2 * np.pi) / rate) % (1 / rate))
    seconds = np.abs(errors) / rate
    # The Hann weights leave the middle half of a window.
    deviations = times[seconds > MAX_DRIFT_SECONDS, None] + WINDOW_SECONDS / 4 * np.array([-1, 1])
    strength = float(np.abs(whole) / sharp.sum())
    return Tatum(rate, phase, strength, float(np.percentile(seconds, 90)), deviations)
