"""The beats and the bar that a captured motion keeps by itself, told from its footfalls and its speed [O]."""

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
"""Samples a second that beats are looked for at."""

BEAT_SECONDS = (0.30, 0.72)
"""Seconds of a beat: less than an octave and a half, so that steps and not bars are counted."""

PRIOR_BEAT_SECONDS, PRIOR_OCTAVES = 0.38, 0.4
"""Seconds of the beat that is likeliest before anything is seen, and octaves of its spread."""

FOOTFALL_SECONDS = 0.03
"""Seconds (standard deviation) within which a footfall counts as on a beat."""

TEMPO_CHANGE_COST = 20.0
"""Footfalls that a dancer would give up for not stretching a beat by a factor of e."""


@dataclass(frozen=True)
class TakeRhythm:
    """What a take keeps by itself; all in seconds from its first frame."""

    footfalls: Array
    """(M,) touch-downs of both feet, in order."""
    feet: NDArray[np.int64]
    """(M,) 0 left, 1 right."""
    beats: Array
    """(N,) its own beats."""
    accents: Array
    """(N,) how much the body moves around each: mean speed of all joints in m/s."""
    movement: Array
    """(N, 4) what it does there: mean speeds of body, left and right foot, and how fast it goes forward."""

    @property
    def bpm(self) -> float:
        """Its own median tempo."""
        return float(60 / np.median(np.diff(self.beats)))


def footfall_salience(times: Array, footfalls: Array) -> Array:
    """How near each time is to footfalls: 1 on one, 1.3 at most."""
    near = np.exp(-0.5 * ((times[..., None] - footfalls) / FOOTFALL_SECONDS) ** 2).sum(axis=-1)
    nearness: Array = np.minimum(near, 1.3)
    return nearness


def estimate_take_rhythm(take: Motion) -> TakeRhythm | None:
    """Footfalls, beats and accents of a take; None where it hardly steps or lasts under 8 of its beats."""
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
    # Onto the footfalls themselves, which lie between the samples.
    nearest = footfalls[np.abs(beats[:, None] - footfalls).argmin(axis=1)]
    beats = np.where(np.abs(nearest - beats) < 1.5 / SAMPLE_RATE_HZ, nearest, beats)
    doings = np.stack([_beat_means(beats, signal, take.fps) for signal in _movement_signals(take)], axis=-1)
    return TakeRhythm(footfalls, feet, beats, doings[:, 0], doings)


def strongest_beat(accents: Array, bar: int) -> int:
    """Which of ``bar`` beats, counted from the first, has the strongest accents on average."""
    place = np.arange(len(accents)) % bar
    return int(np.argmax([accents[place == k].mean() for k in range(bar)]))


def periodicity(doings: Array, bars: int) -> float:
    """How much of the variance of what is done at beats is explained by their place among ``bars`` beats.

    Adjusted for the number of places, so about 0 for none of it, and 1 for what is repeated exactly; the mean
    over the columns of ``doings`` (N, K). Slow changes do not count.
    """
    count = len(doings)
    if count <= bars + 1:
        return 0.0
    window = np.ones(9)
    around = np.stack([np.convolve(column, window, "same") for column in doings.T], axis=-1)
    above = doings - around / np.convolve(np.ones(count), window, "same")[:, None]
    place = np.arange(count) % bars
    means = np.stack([above[place == k].mean(axis=0) for k in range(bars)])
    left = ((above - means[place]) ** 2).sum(axis=0) / (count - bars)
    whole = ((above - above.mean(axis=0)) ** 2).sum(axis=0) / (count - 1)
    return float((1 - left / np.maximum(whole, 1e-12)).mean())


def _movement_signals(take: Motion) -> list[Array]:
    speed = smoothed_speed(take.joints, take.fps)
    across = take.joints[:, INDEX["left_hip"]] - take.joints[:, INDEX["right_hip"]]
    forward = np.stack([-across[:, 2], across[:, 0]], axis=-1).astype(np.float64)
    forward /= np.maximum(np.linalg.norm(forward, axis=1, keepdims=True), 1e-6)
    course = np.gradient(take.joints[:, 0][:, [0, 2]].astype(np.float64), axis=0) * take.fps
    feet = [speed[:, INDEX[f"{side}_foot"]] for side in ("left", "right")]
    return [speed.mean(axis=1), *feet, (course * forward).sum(axis=1)]


def _beat_means(beats: Array, signal: Array, fps: float) -> Array:
    """(N,) mean of a signal from half a beat before to half a beat after each beat."""
    reach = 0.5 * float(np.median(np.diff(beats)))
    total = np.concatenate([[0.0], np.cumsum(signal)])
    low = np.clip(((beats - reach) * fps).astype(int), 0, len(signal) - 1)
    high = np.clip(((beats + reach) * fps).astype(int), low + 1, len(signal))
    means: Array = (total[high] - total[low]) / (high - low)
    return means


def _estimate_period(steps: Array, speed: Array) -> float:
    """Samples of the likeliest beat: by how well steps and speed repeat after 1, 2 and 4 of it."""
    lags = np.arange(round(BEAT_SECONDS[0] * SAMPLE_RATE_HZ), round(BEAT_SECONDS[1] * SAMPLE_RATE_HZ) + 1)
    score = np.zeros(len(lags))
    for signal, weight in ((steps, 1.0), (speed, 0.7)):
        centred = signal - signal.mean()
        spectrum = np.fft.rfft(centred, 2 * len(centred))
        kept = np.fft.irfft(np.abs(spectrum) ** 2)[: len(centred)]
        kept = kept / max(kept[0], 1e-12)
        for multiple, share in ((1, 1.0), (2, 0.7), (4, 0.7)):
            score += weight * share * np.interp(lags * multiple, np.arange(len(kept)), kept, right=0.0)
    prior = np.exp(-0.5 * (np.log2(lags / SAMPLE_RATE_HZ / PRIOR_BEAT_SECONDS) / PRIOR_OCTAVES) ** 2)
    return float(lags[np.argmax((score - min(score.min(), 0.0)) * prior)])


def _track_beats(steps: Array, period: float) -> Array:
    """Samples of the beats: dynamic programming over footfalls and even spacing (after Ellis, 2007)."""
    gaps = np.arange(round(0.65 * period), round(1.5 * period) + 1)
    cost = TEMPO_CHANGE_COST * np.log(gaps / period) ** 2
    best, back = steps.copy(), np.full(len(steps), -1)
    for now in range(int(gaps[0]), len(steps)):
        before = now - gaps[gaps <= now]
        gained = best[before] - cost[: len(before)]
        choice = int(gained.argmax())
        if gained[choice] > 0:
            best[now] += gained[choice]
            back[now] = before[choice]
    last = len(steps) - 1 - int(best[::-1][: round(period)].argmax())
    beats = [last]
    while back[beats[-1]] >= 0:
        beats.append(int(back[beats[-1]]))
    return np.array(beats[::-1], dtype=np.float64)
