"""From logits per frame to beats and downbeats: by peak picking, or by a bar-pointer model.

The bar-pointer model is that of Böck, Krebs and Widmer, "Joint beat and downbeat tracking with
recurrent neural networks" (ISMIR 2016), as ``metricon`` decodes it: on frames of a whole piece it
was more than 20 times faster here than ``madmom-infer``, and no worse.
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
"""Seconds to either side over which a peak must be the highest frame."""

NO_BEATS = Beats(np.empty(0), np.empty(0, dtype=np.int64))

Decoder = Callable[[Tensor], Beats]
"""From logits (T, 2), beat and downbeat, to beats."""


def pick_peaks(logits: Tensor, threshold: float, frame_rate: float) -> NDArray[np.float64]:
    """Times in seconds of the peaks of (T,) logits whose probability is above ``threshold``.

    A peak is the highest frame within 70 ms to either side; frames side by side that share the
    height are one peak in their middle. Frame k is at (k + 0.5) frames, where its target was.
    """
    if len(logits) == 0:
        return np.empty(0)
    reach = max(round(PEAK_WINDOW * frame_rate), 1)
    highest = F.max_pool1d(logits[None, None], 2 * reach + 1, stride=1, padding=reach)[0, 0]
    frames = torch.nonzero((logits == highest) & (logits.sigmoid() > threshold))[:, 0].numpy()
    gaps = np.diff(frames) > 1
    first, last = frames[np.append(True, gaps)[: len(frames)]], frames[np.append(gaps, True)[: len(frames)]]
    return np.asarray((first + last) / 2 + 0.5, dtype=np.float64) / frame_rate


def decode_peaks(logits: Tensor, thresholds: Sequence[float], frame_rate: float) -> Beats:
    """Beats at the peaks of (T, 2) logits of beat and downbeat; downbeats are those next to downbeat peaks.

    Positions are counted from each downbeat on; before the first one they are not known. ``thresholds`` are
    the
    least probabilities of a beat and of a downbeat.
    """
    times = pick_peaks(logits[:, 0], thresholds[0], frame_rate)
    downbeats = pick_peaks(logits[:, 1], thresholds[1], frame_rate)
    if len(times) == 0:
        return NO_BEATS
    nearest = np.unique(np.abs(times[:, None] - downbeats[None]).argmin(axis=0))
    index = np.arange(len(times))
    since = np.searchsorted(nearest, index, side="right") - 1
    positions = (
        np.where(since >= 0, index - nearest[since] + 1, UNKNOWN)
        if len(nearest)
        else np.full(len(times), UNKNOWN)
    )
    return Beats(times, positions)


def decode_dbn(
    logits: Tensor, metres: tuple[int, ...], min_bpm: float, max_bpm: float, frame_rate: float
) -> Beats:
    """The most probable beats and bars of (T, 2) logits, at a steady tempo and in one of ``metres``."""
    if len(logits) == 0:
        return NO_BEATS
    # metricon counts in whole frames a second; other rates are called by the nearest and put right.
    called = max(round(frame_rate), 1)
    scale = called / frame_rate
    tracker = _tracker(metres, min_bpm * scale, max_bpm * scale, called)
    beat, downbeat = logits.double().T.numpy()
    bars = tracker.track(beat, downbeat, snap="center")
    times = bars.times * scale + 0.5 / frame_rate
    # Two beats can snap to one peak.
    rising = np.diff(np.maximum.accumulate(times), prepend=-np.inf) > 0
    return Beats(times[rising], bars.numbers[rising].astype(np.int64))


@lru_cache(maxsize=4)
def _tracker(metres: tuple[int, ...], min_bpm: float, max_bpm: float, fps: int) -> metricon.DownbeatTracker:
    return metricon.DownbeatTracker(beats_per_bar=metres, min_bpm=min_bpm, max_bpm=max_bpm, fps=fps)


THRESHOLDS = tuple(float(value) for value in np.round(np.arange(0.05, 1.0, 0.05), 2))

DEFAULT_THRESHOLD = 0.5
"""Where dev cannot tell: the probability at which a balanced loss is indifferent."""


def choose_thresholds(
    logits: Sequence[Tensor], annotated: Sequence[Beats], frame_rate: float
) -> tuple[float, float]:
    """The thresholds of beat and of downbeat with the highest mean F over the pieces.

    Args:
        logits: (T_i, 2) of each piece.
        annotated: its beats.
        frame_rate: frames a second.
    """
    beat = _best(
        [
            _mean(
                f_measure(truth.times, decode_peaks(piece, (threshold, DEFAULT_THRESHOLD), frame_rate).times)
                for piece, truth in zip(logits, annotated, strict=True)
            )
            for threshold in THRESHOLDS
        ]
    )
    downbeat = _best(
        [
            _mean(
                f_measure(truth.downbeats, decode_peaks(piece, (beat, threshold), frame_rate).downbeats)
                for piece, truth in zip(logits, annotated, strict=True)
                if truth.downbeats_known
            )
            for threshold in THRESHOLDS
        ]
    )
    return beat, downbeat


def _best(scores: Sequence[float]) -> float:
    """The middle of the candidates that share the highest score, or the default if all do."""
    best = np.flatnonzero(np.isclose(scores, max(scores)))
    if len(best) == len(THRESHOLDS):
        return DEFAULT_THRESHOLD
    return THRESHOLDS[int(best[len(best) // 2])]


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return float(np.mean(listed)) if listed else 0.0
