"""Beats and bar of a captured motion, estimated from its footfalls and speed [O]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motion_data.motion import Motion
from motion_data.rhythm.contacts import contact_pulses
from motion_data.rhythm.speed import smoothed_speed
from motion_data.skeleton import INDEX

Array = NDArray[np.float64]

SAMPLE_RATE_HZ = 100.0
"""Sampling rate of the signals in which beats are tracked."""

BEAT_SECONDS = (0.30, 0.72)
"""Range of the beat period, less than 1.5 octaves, so that steps and not bars are counted."""

PRIOR_BEAT_SECONDS, PRIOR_OCTAVES = 0.38, 0.4
"""Mean and standard deviation (octaves) of the log-normal prior of the beat period."""

FOOTFALL_SECONDS = 0.03
"""Standard deviation of footfalls around their beat."""

TEMPO_CHANGE_COST = 20.0
"""Cost of a change of the beat period by a factor of e, in footfalls that are missed."""


@dataclass(frozen=True)
class TakeRhythm:
    """Rhythm of a take; times are seconds from its first frame."""

    footfalls: Array
    """(M,) touch-downs of both feet, sorted."""
    feet: NDArray[np.int64]
    """(M,) 0 left, 1 right."""
    beats: Array
    """(N,) beats."""
    accents: Array
    """(N,) mean speed of all joints around each beat in m/s."""
    movement: Array
    """(N, 4) mean speeds of body, left foot and right foot, and forward speed, around each beat."""

    @property
    def bpm(self) -> float:
        """Median tempo."""
        return float(60 / np.median(np.diff(self.beats)))


def footfall_salience(times: Array, footfalls: Array) -> Array:
    """Nearness of each time to footfalls: 1 at a single one, at most 1.3."""
    near = np.exp(-0.5 * ((times[..., None] - footfalls) / FOOTFALL_SECONDS) ** 2).sum(axis=-1)
    nearness: Array = np.minimum(near, 1.3)
    return nearness


def estimate_take_rhythm(take: Motion) -> TakeRhythm | None:
    """Estimate footfalls, beats and accents of a take; None with fewer than 8 footfalls or beats."""
    pulses = contact_pulses(take.joints, take.names, take.fps)
    left, right = (pulses.get(limb, np.empty(0)) for limb in ("left_foot", "right_foot"))
    footfalls = np.concatenate([left, right])
    if len(footfalls) < 8:
        return None
    order = np.argsort(footfalls, kind="stable")
    feet = np.repeat([0, 1], [len(left), len(right)])[order]
    footfalls = footfalls[order]
    times = np.arange(0, (take.frames - 1) / take.fps, 1 / SAMPLE_RATE_HZ)
    steps = footfall_salience(times, footfalls)
    speed = smoothed_speed(take.joints, take.fps).mean(axis=1)
    speed = np.interp(times, np.arange(take.frames) / take.fps, speed)
    beats = _track_beats(steps, _estimate_period(steps, speed)) / SAMPLE_RATE_HZ
    if len(beats) < 8:
        return None
    # Footfalls lie between the samples.
    nearest = footfalls[np.abs(beats[:, None] - footfalls).argmin(axis=1)]
    beats = np.where(np.abs(nearest - beats) < 1.5 / SAMPLE_RATE_HZ, nearest, beats)
    doings = np.stack([_beat_means(beats, signal, take.fps) for signal in _movement_signals(take)], axis=-1)
    return TakeRhythm(footfalls, feet, beats, doings[:, 0], doings)


def strongest_beat(accents: Array, bar: int) -> int:
    """Index in [0, bar) of the beat with the strongest mean accent."""
    position = np.arange(len(accents)) % bar
    return int(np.argmax([accents[position == k].mean() for k in range(bar)]))


def periodicity(movement: Array, period: int) -> float:
    """Share of the variance of (N, K) movement that repeats after ``period`` beats, averaged over columns.

    Adjusted R², so about 0 for random movement and 1 for exact repetition. Slow changes are removed.
    """
    count = len(movement)
    if count <= period + 1:
        return 0.0
    window = np.ones(9)
    sums = np.stack([np.convolve(column, window, "same") for column in movement.T], axis=-1)
    detrended = movement - sums / np.convolve(np.ones(count), window, "same")[:, None]
    position = np.arange(count) % period
    means = np.stack([detrended[position == k].mean(axis=0) for k in range(period)])
    residual = ((detrended - means[position]) ** 2).sum(axis=0) / (count - period)
    variance = ((detrended - detrended.mean(axis=0)) ** 2).sum(axis=0) / (count - 1)
    return float((1 - residual / np.maximum(variance, 1e-12)).mean())


def _movement_signals(take: Motion) -> list[Array]:
    speed = smoothed_speed(take.joints, take.fps)
    across = take.joints[:, INDEX["left_hip"]] - take.joints[:, INDEX["right_hip"]]
    forward = np.stack([-across[:, 2], across[:, 0]], axis=-1).astype(np.float64)
    forward /= np.maximum(np.linalg.norm(forward, axis=1, keepdims=True), 1e-6)
    velocity = np.gradient(take.joints[:, 0][:, [0, 2]].astype(np.float64), axis=0) * take.fps
    feet = [speed[:, INDEX[f"{side}_foot"]] for side in ("left", "right")]
    return [speed.mean(axis=1), *feet, (velocity * forward).sum(axis=1)]


def _beat_means(beats: Array, signal: Array, fps: float) -> Array:
    """(N,) mean of a signal from half a beat before to half a beat after each beat."""
    reach = 0.5 * float(np.median(np.diff(beats)))
    total = np.concatenate([[0.0], np.cumsum(signal)])
    low = np.clip(((beats - reach) * fps).astype(int), 0, len(signal) - 1)
    high = np.clip(((beats + reach) * fps).astype(int), low + 1, len(signal))
    means: Array = (total[high] - total[low]) / (high - low)
    return means


def _estimate_period(steps: Array, speed: Array) -> float:
    """Beat period in samples, from the autocorrelation of steps and speed at 1, 2 and 4 periods."""
    lags = np.arange(round(BEAT_SECONDS[0] * SAMPLE_RATE_HZ), round(BEAT_SECONDS[1] * SAMPLE_RATE_HZ) + 1)
    score = np.zeros(len(lags))
    for signal, weight in ((steps, 1.0), (speed, 0.7)):
        centred = signal - signal.mean()
        spectrum = np.fft.rfft(centred, 2 * len(centred))
        correlation = np.fft.irfft(np.abs(spectrum) ** 2)[: len(centred)]
        correlation = correlation / max(correlation[0], 1e-12)
        samples = np.arange(len(correlation))
        for multiple, share in ((1, 1.0), (2, 0.7), (4, 0.7)):
            score += weight * share * np.interp(lags * multiple, samples, correlation, right=0.0)
    prior = np.exp(-0.5 * (np.log2(lags / SAMPLE_RATE_HZ / PRIOR_BEAT_SECONDS) / PRIOR_OCTAVES) ** 2)
    return float(lags[np.argmax((score - min(score.min(), 0.0)) * prior)])


def _track_beats(steps: Array, period: float) -> Array:
    """Beats in samples, by dynamic programming over footfalls and beat periods (after Ellis, 2007)."""
    gaps = np.arange(round(0.65 * period), round(1.5 * period) + 1)
    cost = TEMPO_CHANGE_COST * np.log(gaps / period) ** 2
    best, back = steps.copy(), np.full(len(steps), -1)
    for sample in range(int(gaps[0]), len(steps)):
        before = sample - gaps[gaps <= sample]
        scores = best[before] - cost[: len(before)]
        choice = int(scores.argmax())
        if scores[choice] > 0:
            best[sample] += scores[choice]
            back[sample] = before[choice]
    last = len(steps) - 1 - int(best[::-1][: round(period)].argmax())
    beats = [last]
    while back[beats[-1]] >= 0:
        beats.append(int(back[beats[-1]]))
    return np.array(beats[::-1], dtype=np.float64)
