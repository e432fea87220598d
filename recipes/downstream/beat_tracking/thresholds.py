"""The peak picker's thresholds, chosen on the dev split and never on the test split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from torch import Tensor

from motion_data.beats_file import Beats
from recipes.downstream.beat_tracking.decoding import decode_peaks
from recipes.downstream.beat_tracking.scores import f_measure

CANDIDATES = tuple(float(value) for value in np.round(np.arange(0.05, 1.0, 0.05), 2))

DEFAULT = 0.5
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
                f_measure(truth.times, decode_peaks(piece, (threshold, DEFAULT), frame_rate).times)
                for piece, truth in zip(logits, annotated, strict=True)
            )
            for threshold in CANDIDATES
        ]
    )
    downbeat = _best(
        [
            _mean(
                f_measure(truth.downbeats, decode_peaks(piece, (beat, threshold), frame_rate).downbeats)
                for piece, truth in zip(logits, annotated, strict=True)
                if truth.downbeats_known
            )
            for threshold in CANDIDATES
        ]
    )
    return beat, downbeat


def _best(scores: Sequence[float]) -> float:
    """The middle of the candidates that share the highest score, or the default if all do."""
    best = np.flatnonzero(np.isclose(scores, max(scores)))
    if len(best) == len(CANDIDATES):
        return DEFAULT
    return CANDIDATES[int(best[len(best) // 2])]


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return float(np.mean(listed)) if listed else 0.0
