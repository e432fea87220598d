"""Tatum of a recording with constant tempo: rate, phase, vector strength and drift [O].

The tatum is the smallest regular interval of the onsets. Its rate maximises the vector strength of the onset
envelope on the circle of one tatum (Goldberg and Brown, 1969). The rate is estimated coarsely in short
windows; a line through the phases of the windows then gives rate and phase, to about a millisecond over the
recording.
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
"""Range of tatums per second."""

WINDOW_SECONDS, HOP_SECONDS = 16.0, 4.0
"""Length and distance of the windows in which phases are measured."""

MAX_CANDIDATES = 6
"""Rates from the coarse search that are refined."""

MIN_RELATIVE_STRENGTH = 0.35
"""Windows with a smaller vector strength, relative to the median, are ignored."""

MAX_RATE_CORRECTION = 0.25 / WINDOW_SECONDS
"""Maximum correction of a rate by the phases in tatums per second: a quarter of a cycle per window. Larger
corrections come from random phases."""


@dataclass(frozen=True)
class Tatum:
    """The tatum of a recording."""

    rate: float
    """Tatums per second."""
    phase: float
    """Time of the first tatum in seconds, in [0, 1 / rate)."""
    strength: float
    """Vector strength of the onset envelope at the rate, in [0, 1]."""
    drift: float
    """90th percentile of the deviations of the windows' phases from the straight line, in seconds."""
    deviations: Array = field(default_factory=lambda: np.zeros((0, 2)))
    """(N, 2) start and end in seconds of passages that deviate by more than is allowed."""

    @property
    def rejection(self) -> str | None:
        """Reason why the recording cannot be labelled with this tatum; None if it can."""
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
    """Measure the tatum of an onset envelope.

    Args:
        envelope: (F,) onset envelope at 100 Hz, at least 0.
        rate: approximate number of tatums per second, which is refined by the phases; None to estimate it.
    """
    sharp = sharpen_envelope(envelope)
    if not sharp.any():
        return Tatum(rate or MIN_TATUM_RATE, 0.0, 0.0, np.inf)
    rates = [rate] if rate is not None else _coarse_rates(sharp)
    return max((_refine_tatum(sharp, rate) for rate in rates), key=lambda tatum: tatum.strength)


def sharpen_envelope(envelope: Array) -> Array:
    """Subtract the moving average over one second and clip at 0 [O].

    A constant part has no phase and would lower the vector strength.
    """
    width = round(ENVELOPE_RATE)
    around = np.convolve(envelope, np.ones(width) / width, mode="same")
    return np.maximum(envelope - around, 0.0)


def _windows(sharp: Array) -> tuple[Array, Array]:
    """(W, N) Hann-weighted windows of the envelope, and (W,) times of their first frames.

    A quarter of the first and last window lies outside the recording, so that its ends count.
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
    """Rates with the highest mean vector strength of the windows, to a few millihertz."""
    windows, _ = _windows(sharp)
    size = 8 * 2 ** int(np.ceil(np.log2(windows.shape[1])))
    spectrum = np.zeros(size // 2 + 1)
    for window in windows:
        spectrum += np.abs(np.fft.rfft(window, size))
    step = ENVELOPE_RATE / size
    first, last = int(np.ceil(MIN_TATUM_RATE / step)), int(MAX_TATUM_RATE / step)
    # Zeros make peaks at the limits of the range possible.
    inside = np.concatenate([[0.0], spectrum[first : last + 1], [0.0]])
    peaks, _ = find_peaks(inside)
    peaks = peaks[np.argsort(inside[peaks])[::-1][:MAX_CANDIDATES]]
    return [float((first + peak - 1) * step) for peak in peaks]


def _refine_tatum(sharp: Array, rate: float) -> Tatum:
    """Tatum near a rate; a line through the windows' phases gives rate and phase."""
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
        # A wave exp(2πi·f·t) has the phase (f - r)·t relative to rate r.
        rate = float(np.clip(rate + slope, *limits))
    frames = (np.arange(len(sharp)) + 0.5) / ENVELOPE_RATE
    whole = (sharp * np.exp(-2j * np.pi * rate * frames)).sum()
    phase = float((-np.angle(whole) / (2 * np.pi) / rate) % (1 / rate))
    seconds = np.abs(errors) / rate
    # The Hann weights leave the middle half of a window.
    deviations = times[seconds > MAX_DRIFT_SECONDS, None] + WINDOW_SECONDS / 4 * np.array([-1, 1])
    strength = float(np.abs(whole) / sharp.sum())
    return Tatum(rate, phase, strength, float(np.percentile(seconds, 90)), deviations)
