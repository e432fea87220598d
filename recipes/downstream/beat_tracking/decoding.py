"""Decoders of beats and downbeats from logits: peak picking and a bar-pointer model.

The bar-pointer model is that of Böck, Krebs and Widmer, "Joint beat and downbeat tracking with recurrent
neural networks" (ISMIR 2016), in the implementation of ``metricon``, which was more than 20 times faster than
``madmom-infer`` on whole pieces, with the same scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import metricon
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from motion_data.beats_file import UNKNOWN, Beats
from recipes.downstream.beat_tracking.scores import f_measure

PEAK_WINDOW = 0.07
"""A peak is the highest frame within this many seconds to either side."""

NO_BEATS = Beats(np.empty(0), np.empty(0, dtype=np.int64))

Decoder = Callable[[Tensor], Beats]
"""Maps (T, 2) logits of beat and downbeat to beats."""


def pick_peaks(logits: Tensor, threshold: float, frame_rate: float) -> NDArray[np.float64]:
    """Times in seconds of the peaks of (T,) logits whose probability is above ``threshold``.

    A peak is the highest frame within 70 ms to either side; adjacent frames of equal height are one peak at
    their centre. Frame k is at (k + 0.5) / ``frame_rate``, like its target.
    """
    if len(logits) == 0:
        return np.empty(0)
    radius = max(round(PEAK_WINDOW * frame_rate), 1)
    highest = F.max_pool1d(logits[None, None], 2 * radius + 1, stride=1, padding=radius)[0, 0]
    frames = torch.nonzero((logits == highest) & (logits.sigmoid() > threshold))[:, 0].numpy()
    gaps = np.diff(frames) > 1
    first, last = frames[np.append(True, gaps)[: len(frames)]], frames[np.append(gaps, True)[: len(frames)]]
    return np.asarray((first + last) / 2 + 0.5, dtype=np.float64) / frame_rate


def decode_peaks(logits: Tensor, thresholds: Sequence[float], frame_rate: float) -> Beats:
    """Beats at the peaks of (T, 2) logits of beat and downbeat; downbeats are the beats next to downbeat
    peaks.

    Positions are counted from each downbeat; before the first one they are unknown. ``thresholds`` are the
    minimum probabilities of a beat and of a downbeat.
    """
    times = pick_peaks(logits[:, 0], thresholds[0], frame_rate)
    downbeats = pick_peaks(logits[:, 1], thresholds[1], frame_rate)
    if len(times) == 0:
        return NO_BEATS
    nearest = np.unique(np.abs(times[:, None] - downbeats[None]).argmin(axis=0))
    index = np.arange(len(times))
    bar = np.searchsorted(nearest, index, side="right") - 1
    positions = (
        np.where(bar >= 0, index - nearest[bar] + 1, UNKNOWN)
        if len(nearest)
        else np.full(len(times), UNKNOWN)
    )
    return Beats(times, positions)


def decode_dbn(
    logits: Tensor, metres: tuple[int, ...], min_bpm: float, max_bpm: float, frame_rate: float
) -> Beats:
    """The most probable beats and bars of (T, 2) logits, in one of ``metres``."""
    if len(logits) == 0:
        return NO_BEATS
    # metricon needs an integer frame rate: use the nearest, and scale tempi and times.
    fps = max(round(frame_rate), 1)
    scale = fps / frame_rate
    tracker = _tracker(metres, min_bpm * scale, max_bpm * scale, fps)
    beat, downbeat = logits.double().T.numpy()
    bars = tracker.track(beat, downbeat, snap="center")
    times = bars.times * scale + 0.5 / frame_rate
    # Two beats may snap to one peak.
    increasing = np.diff(np.maximum.accumulate(times), prepend=-np.inf) > 0
    return Beats(times[increasing], bars.numbers[increasing].astype(np.int64))


@lru_cache(maxsize=4)
def _tracker(metres: tuple[int, ...], min_bpm: float, max_bpm: float, fps: int) -> metricon.DownbeatTracker:
    return metricon.DownbeatTracker(beats_per_bar=metres, min_bpm=min_bpm, max_bpm=max_bpm, fps=fps)


THRESHOLDS = tuple(float(value) for value in np.round(np.arange(0.05, 1.0, 0.05), 2))

DEFAULT_THRESHOLD = 0.5
"""Used if all thresholds score the same on dev."""


def select_thresholds(
    logits: Sequence[Tensor], annotated: Sequence[Beats], frame_rate: float
) -> tuple[float, float]:
    """The thresholds of beat and downbeat with the highest mean F over pieces.

    Args:
        logits: (T_i, 2) logits of each piece.
        annotated: annotated beats of each piece.
        frame_rate: frames per second.
    """
    beat = _best(
        [
            _mean(
                f_measure(
                    reference.times, decode_peaks(piece, (threshold, DEFAULT_THRESHOLD), frame_rate).times
                )
                for piece, reference in zip(logits, annotated, strict=True)
            )
            for threshold in THRESHOLDS
        ]
    )
    downbeat = _best(
        [
            _mean(
                f_measure(reference.downbeats, decode_peaks(piece, (beat, threshold), frame_rate).downbeats)
                for piece, reference in zip(logits, annotated, strict=True)
                if reference.downbeats_known
            )
            for threshold in THRESHOLDS
        ]
    )
    return beat, downbeat


def _best(scores: Sequence[float]) -> float:
    """The middle of the thresholds with the highest score, or the default if all scores are equal."""
    best = np.flatnonzero(np.isclose(scores, max(scores)))
    if len(best) == len(THRESHOLDS):
        return DEFAULT_THRESHOLD
    return THRESHOLDS[int(best[len(best) // 2])]


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return float(np.mean(listed)) if listed else 0.0
