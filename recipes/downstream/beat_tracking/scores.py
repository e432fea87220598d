"""How well estimated beats meet the annotated ones, piece by piece, and on average.

The measures are mir_eval's (Davies, Degara and Plumbley 2009): F with ±70 ms, CMLt (correct at the
annotated metrical level, in total) and AMLt (also at twice or half the level, or off-beat), each
for beats and for downbeats, against annotated times that are not rounded to frames.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motion_data.beats_file import Beats
from recipes.statistics.mean_interval import mean_interval

MEASURES = ("F", "CMLt", "AMLt")
TARGETS = ("beat", "downbeat")

F_WINDOW = 0.07
"""Seconds to either side within which a beat counts for F."""

LEFT_AFTER_TRIM = {"beat": 4, "downbeat": 2}
"""Annotated beats and downbeats that must be left for a piece's start to be trimmed."""


@dataclass(frozen=True)
class PieceScores:
    """One piece's scores by one decoder."""

    name: str
    decoder: str
    beat: dict[str, float]
    """F, CMLt, AMLt, in [0, 1]."""
    downbeat: dict[str, float] | None
    """The same; none where the annotation marks fewer than two downbeats."""
    trimmed: bool
    """Whether the start was left out; not where too few annotated beats would be left."""
    bias: float | None
    """Median seconds by which matched beats are late, none without a match."""


@dataclass(frozen=True)
class Mean:
    """A mean over pieces with its 95 % bootstrap interval."""

    mean: float
    low: float | None
    """None for a single piece, which says nothing about others."""
    high: float | None
    pieces: int


def score_piece(
    name: str, decoder: str, annotated: Beats, estimated: Beats, trim_seconds: float = 5.0
) -> PieceScores:
    """Score one piece.

    Beats before ``trim_seconds`` are left out of both sides, as the field does; but not where
    fewer than 4 annotated beats, or of marked downbeats fewer than 2, would be left.
    """
    downbeats = annotated.downbeats if annotated.downbeats_known else None
    trimmed = int((annotated.times >= trim_seconds).sum()) >= LEFT_AFTER_TRIM["beat"] and (
        downbeats is None or int((downbeats >= trim_seconds).sum()) >= LEFT_AFTER_TRIM["downbeat"]
    )
    start = trim_seconds if trimmed else 0.0
    return PieceScores(
        name,
        decoder,
        _measures(annotated.times, estimated.times, start),
        None if downbeats is None else _measures(downbeats, estimated.downbeats, start),
        trimmed,
        _bias(annotated.times, estimated.times),
    )


def mean_scores(rows: Sequence[PieceScores], resamples: int, seed: int) -> dict[str, dict[str, Mean]]:
    """Mean and interval of each measure over the pieces that have it, by target and measure.

    The interval is the percentile bootstrap over pieces: pieces, not beats, are what is sampled.
    """
    means: dict[str, dict[str, Mean]] = {}
    for target in TARGETS:
        scored = [getattr(row, target) for row in rows if getattr(row, target) is not None]
        if not scored:
            continue
        values = np.array([[score[measure] for measure in MEASURES] for score in scored])
        interval = mean_interval(values, resamples, seed)
        means[target] = {
            measure: Mean(
                float(values[:, column].mean()),
                None if interval is None else float(interval[0][column]),
                None if interval is None else float(interval[1][column]),
                len(values),
            )
            for column, measure in enumerate(MEASURES)
        }
    return means


def f_measure(annotated: NDArray[np.float64], estimated: NDArray[np.float64]) -> float:
    """F with ±70 ms over everything given; 0 without estimates."""
    from mir_eval import beat as mir_beat

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # An empty estimate is a score of 0, not a fault.
        return float(mir_beat.f_measure(annotated, estimated, f_measure_threshold=F_WINDOW))


def _measures(
    annotated: NDArray[np.float64], estimated: NDArray[np.float64], start: float
) -> dict[str, float]:
    from mir_eval import beat as mir_beat

    annotated = mir_beat.trim_beats(annotated, start)
    estimated = mir_beat.trim_beats(estimated, start)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, cml_total, _, aml_total = mir_beat.continuity(annotated, estimated)
    return {"F": f_measure(annotated, estimated), "CMLt": float(cml_total), "AMLt": float(aml_total)}


def _bias(annotated: NDArray[np.float64], estimated: NDArray[np.float64]) -> float | None:
    from mir_eval.util import match_events

    pairs = match_events(annotated, estimated, F_WINDOW)
    if not pairs:
        return None
    return float(np.median([estimated[found] - annotated[true] for true, found in pairs]))
