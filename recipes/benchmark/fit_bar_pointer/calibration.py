"""The curves from margins to confidences, and the probability of beats below which there is no pulse."""

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
from recipes.benchmark.beats.reliability import RIGHT, reliability
from recipes.benchmark.fit_bar_pointer.activations import Activations, activations_of, excerpt
from recipes.benchmark.fit_bar_pointer.search import Values, beats_of, decode, score

NOISE_SECONDS = 20.0

NOISE_LEVELS = (0.003, 0.1)
"""Root mean square of the signals without a pulse; full scale is 1."""

REPEATS = 3
"""Signals of each kind and level."""


@dataclass(frozen=True)
class Outcome:
    """How a recording was decoded."""

    set: str
    margins: tuple[float, float]
    """Lead of the beats and of the bars, over the root of the number of beats."""
    f: tuple[float, float]
    """Beat F and downbeat F; the second is NaN where downbeats are not known."""
    pulse: float
    """Mean probability of the beats."""


def outcome(one: Activations, values: Values) -> Outcome:
    """Decode a recording with its margins."""
    path = decode(one, values, margins=True)
    root = max(len(path.frames), 1) ** 0.5
    return Outcome(
        one.set,
        (path.beat_margin / root, path.bar_margin / root),
        score(one, beats_of(one, path)),
        mean_beat_probability(path, one.evidence.beat[0]),
    )


def samples(outcomes: Sequence[Outcome], target: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(N,) margins of beats (target 0) or bars (target 1), and whether these are right.

    Bars are taken where the beats are right and downbeats are known.
    """
    kept = [one for one in outcomes if np.isfinite(one.margins[target]) and not np.isnan(one.f[target])]
    if target:
        kept = [one for one in kept if one.f[0] >= RIGHT]
    return np.array([one.margins[target] for one in kept]), np.array([one.f[target] >= RIGHT for one in kept])


def fit_calibration(margin: NDArray[np.float64], right: NDArray[np.bool_]) -> Calibration | None:
    """The logistic curve of greatest likelihood; None where all are right or wrong."""
    if len(set(right.tolist())) < 2:
        return None
    model = LogisticRegression(C=1e4).fit(margin[:, None], right)
    slope = float(model.coef_[0, 0])
    return Calibration(scale=1 / slope, midpoint=-float(model.intercept_[0]) / slope) if slope > 0 else None


def calibration_errors(
    margin: NDArray[np.float64], right: NDArray[np.bool_], present: Calibration
) -> tuple[float, float | None]:
    """Expected calibration error of the present curve, and of fitted ones on samples left out in turn."""
    before = reliability([present.confidence(value, 1) for value in margin], right.tolist()).error
    if min(right.sum(), (~right).sum()) < 5:
        return before, None
    confidence = cross_val_predict(
        LogisticRegression(C=1e4), margin[:, None], right, cv=5, method="predict_proba"
    )[:, 1]
    return before, reliability(confidence.tolist(), right.tolist()).error


def least_pulse(music: Sequence[float], noise: Sequence[float]) -> float:
    """The threshold with the fewest errors, as shares of music below it and of noise above it.

    Of several it is the geometric mean of the lowest and the highest.
    """
    candidates = np.unique(np.concatenate([music, noise]))
    between = np.sqrt(candidates[1:] * candidates[:-1])
    errors = np.array([np.mean(np.less(music, at)) + np.mean(np.greater_equal(noise, at)) for at in between])
    best = between[errors <= errors.min() + 1e-9]
    return float(np.sqrt(best[0] * best[-1]))


def noise_pulses(tower: MusicTower, values: Values, seed: int) -> dict[str, list[float]]:
    """The mean probability of the beats in signals without a pulse; 0 where there are no beats."""
    found: dict[str, list[float]] = {}
    for name, signals in noises(seed).items():
        for wav in signals:
            one = excerpt(name, name, Beats(np.zeros(0), np.zeros(0, np.int64)), activations_of(tower, wav))
            path = decode(one, values)
            probability = mean_beat_probability(path, one.evidence.beat[0]) if len(path.frames) else 0.0
            found.setdefault(name, []).append(probability)
    return found


def noises(seed: int) -> dict[str, list[Tensor]]:
    """Signals (T,) at 16 kHz without a pulse, by kind: noise, hum, silence, and noise that is like speech."""
    draw = np.random.default_rng(seed)
    size = round(NOISE_SECONDS * SAMPLE_RATE)
    time = np.arange(size) / SAMPLE_RATE
    frequency = np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), 20.0)

    def coloured(slope: float) -> NDArray[np.float64]:
        spectrum = np.fft.rfft(draw.normal(size=size)) * frequency**-slope
        return np.fft.irfft(spectrum, size)

    def speech() -> NDArray[np.float64]:
        """Noise and a buzz in bands of vowels, in syllables of uneven length with pauses."""
        sound, at = np.zeros(size), 0.0
        while at < NOISE_SECONDS:
            length = draw.uniform(0.08, 0.4)
            begin, end = round(at * SAMPLE_RATE), min(round((at + length) * SAMPLE_RATE), size)
            pitch = draw.uniform(90, 220)
            source = draw.normal(size=end - begin) * 0.3 + np.sign(
                np.sin(2 * np.pi * pitch * time[begin:end])
            )
            low = draw.uniform(250, 2500)
            band = butter(2, (low, 1.6 * low), "bandpass", fs=SAMPLE_RATE, output="sos")
            sound[begin:end] = sosfilt(band, source) * np.hanning(end - begin)
            at += length + (draw.exponential(0.6) if draw.random() < 0.2 else draw.uniform(0, 0.08))
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
            for _ in range(REPEATS):
                wav = kind()
                wav *= level / np.sqrt(np.mean(wav**2))
                signals.setdefault(name, []).append(torch.from_numpy(wav).float())
    return signals
