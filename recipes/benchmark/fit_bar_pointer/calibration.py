"""Calibration of margins to confidences, and the threshold of the beat probability for a pulse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from torch import Tensor

from motion_data.beats_file import Beats
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.nn.music_tower import MusicTower
from motionbeat_upstream.tracking.decoded_grid import Calibration, mean_beat_probability
from recipes.benchmark.beats.reliability import MIN_CORRECT_F, reliability
from recipes.benchmark.fit_bar_pointer.activations import Activations, compute_activations, excerpt
from recipes.benchmark.fit_bar_pointer.search import Values, decode, path_beats, score

NOISE_SECONDS = 20.0

NOISE_LEVELS = (0.003, 0.1)
"""Root mean squares of the signals without a pulse; full scale is 1."""

SIGNALS_PER_LEVEL = 3
"""Number of signals of each kind and level."""


@dataclass(frozen=True)
class Outcome:
    """The decoding of a recording and its scores."""

    set: str
    margins: tuple[float, float]
    """Margins of the beats and of the bars, divided by the square root of the number of beats."""
    f: tuple[float, float]
    """Beat F and downbeat F; the second is NaN if downbeats are unknown."""
    mean_beat_probability: float
    """Mean probability of the beats."""


def outcome(recording: Activations, values: Values) -> Outcome:
    """Decode a recording and score it."""
    path = decode(recording, values, margins=True)
    root = max(len(path.frames), 1) ** 0.5
    return Outcome(
        recording.set,
        (path.beat_margin / root, path.bar_margin / root),
        score(recording, path_beats(recording, path)),
        mean_beat_probability(path, recording.evidence.beat[0]),
    )


def calibration_samples(
    outcomes: Sequence[Outcome], target: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(N,) margins of beats (target 0) or bars (target 1), and whether these are correct.

    Bars are included only if the beats are correct and downbeats are known.
    """
    margins = np.array([result.margins[target] for result in outcomes])
    f = np.array([result.f for result in outcomes]).reshape(-1, 2)
    valid = np.isfinite(margins) & ~np.isnan(f[:, target])
    if target:
        valid &= f[:, 0] >= MIN_CORRECT_F
    return margins[valid], f[valid, target] >= MIN_CORRECT_F


def fit_calibration(margin: NDArray[np.float64], correct: NDArray[np.bool_]) -> Calibration | None:
    """Fit the logistic curve by maximum likelihood; None if all are correct or all are wrong."""
    if len(set(correct.tolist())) < 2:
        return None
    model = LogisticRegression(C=1e4).fit(margin[:, None], correct)
    slope = float(model.coef_[0, 0])
    return Calibration(scale=1 / slope, midpoint=-float(model.intercept_[0]) / slope) if slope > 0 else None


def calibration_errors(
    margin: NDArray[np.float64], correct: NDArray[np.bool_], current: Calibration
) -> tuple[float, float | None]:
    """Expected calibration errors of the current curve, and of fitted curves in cross-validation."""
    before = reliability([current.confidence(value, 1) for value in margin], correct.tolist()).error
    if min(correct.sum(), (~correct).sum()) < 5:
        return before, None
    confidence = cross_val_predict(
        LogisticRegression(C=1e4), margin[:, None], correct, cv=5, method="predict_proba"
    )[:, 1]
    return before, reliability(confidence.tolist(), correct.tolist()).error


def fit_pulse_threshold(music: Sequence[float], noise: Sequence[float]) -> float:
    """Threshold with the fewest errors: the share of music below plus the share of noise above.

    If several are equally good, it is the geometric mean of the lowest and the highest.
    """
    candidates = np.unique(np.concatenate([music, noise]))
    between = np.sqrt(candidates[1:] * candidates[:-1])
    errors = np.array(
        [
            np.mean(np.less(music, position)) + np.mean(np.greater_equal(noise, position))
            for position in between
        ]
    )
    best = between[errors <= errors.min() + 1e-9]
    return float(np.sqrt(best[0] * best[-1]))


def noise_pulses(tower: MusicTower, values: Values, seed: int) -> dict[str, list[float]]:
    """Mean beat probabilities in signals without a pulse, by kind; 0 for signals without beats."""
    pulses: dict[str, list[float]] = {}
    for name, signals in noise_signals(seed).items():
        for wav in signals:
            recording = excerpt(
                name, name, Beats(np.zeros(0), np.zeros(0, np.int64)), compute_activations(tower, wav)
            )
            path = decode(recording, values)
            probability = mean_beat_probability(path, recording.evidence.beat[0]) if len(path.frames) else 0.0
            pulses.setdefault(name, []).append(probability)
    return pulses


def noise_signals(seed: int) -> dict[str, list[Tensor]]:
    """Signals (T,) at 16 kHz without a pulse, by kind: noise, hum, silence, and speech-like noise."""
    draw = np.random.default_rng(seed)
    size = round(NOISE_SECONDS * SAMPLE_RATE)
    time = np.arange(size) / SAMPLE_RATE
    frequency = np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), 20.0)

    def coloured(slope: float) -> NDArray[np.float64]:
        spectrum = np.fft.rfft(draw.normal(size=size)) * frequency**-slope
        return np.fft.irfft(spectrum, size)

    def speech() -> NDArray[np.float64]:
        """Noise and a buzz in vowel bands, in syllables of different lengths with pauses."""
        sound, position = np.zeros(size), 0.0
        while position < NOISE_SECONDS:
            length = draw.uniform(0.08, 0.4)
            start, end = round(position * SAMPLE_RATE), min(round((position + length) * SAMPLE_RATE), size)
            pitch = draw.uniform(90, 220)
            source = draw.normal(size=end - start) * 0.3 + np.sign(
                np.sin(2 * np.pi * pitch * time[start:end])
            )
            low = draw.uniform(250, 2500)
            band = butter(2, (low, 1.6 * low), "bandpass", fs=SAMPLE_RATE, output="sos")
            sound[start:end] = sosfilt(band, source) * np.hanning(end - start)
            position += length + (draw.exponential(0.6) if draw.random() < 0.2 else draw.uniform(0, 0.08))
        return sound

    kinds = {
        "white noise": lambda: coloured(0.0),
        "pink noise": lambda: coloured(0.5),
        "brown noise": lambda: coloured(1.0),
        "hum": lambda: sum(np.sin(2 * np.pi * 50 * k * time) / k for k in (1, 2, 3, 5)),
        "speech-like noise": speech,
    }
    signals = {"silence": [torch.zeros(size)]}
    for name, kind in kinds.items():
        for level in NOISE_LEVELS:
            for _ in range(SIGNALS_PER_LEVEL):
                wav = kind()
                wav *= level / np.sqrt(np.mean(wav**2))
                signals.setdefault(name, []).append(torch.from_numpy(wav).float())
    return signals
