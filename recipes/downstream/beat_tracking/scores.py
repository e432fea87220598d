"""Scores of the estimated beats of a piece.

The measures are mir_eval's (Davies, Degara and Plumbley 2009): F at ±70 ms, CMLt (correct metrical level,
total) and AMLt (also double or half the tempo, or off-beat), each for beats and for downbeats.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from motion_data.beats_file import Beats

TARGETS = ("beat", "downbeat")
MEASURES = ("F", "CMLt", "AMLt")
SCORES = tuple(f"{target} {measure}" for target in TARGETS for measure in MEASURES)

LATENESS = "beat lateness"
"""Median lateness of matched beats in seconds."""

TRIMMED = "start trimmed"
"""1 if the start of the piece is not scored, 0 if too few annotated beats would remain."""

F_WINDOW = 0.07
"""Tolerance of F in seconds."""

MIN_BEATS_AFTER_TRIM = {"beat": 4, "downbeat": 2}
"""Annotated beats and downbeats that must remain if the start of a piece is not scored."""


def score_piece(annotated: Beats, estimated: Beats, trim_seconds: float = 5.0) -> dict[str, float]:
    """Score one piece.

    Beats before ``trim_seconds`` are not scored, as is common, unless fewer than 4 annotated beats or fewer
    than 2 annotated downbeats would remain.

    Returns:
        :data:`SCORES` in [0, 1], without those of downbeats if none are annotated; :data:`TRIMMED`; and
        :data:`LATENESS` if any beat is matched.
    """
    downbeats = annotated.downbeats if annotated.downbeats_known else None
    trimmed = int((annotated.times >= trim_seconds).sum()) >= MIN_BEATS_AFTER_TRIM["beat"] and (
        downbeats is None or int((downbeats >= trim_seconds).sum()) >= MIN_BEATS_AFTER_TRIM["downbeat"]
    )
    start = trim_seconds if trimmed else 0.0
    scores = _measures("beat", annotated.times, estimated.times, start)
    if downbeats is not None:
        scores |= _measures("downbeat", downbeats, estimated.downbeats, start)
    scores[TRIMMED] = float(trimmed)
    return scores | _lateness(annotated.times, estimated.times)


def f_measure(annotated: NDArray[np.float64], estimated: NDArray[np.float64]) -> float:
    """F at ±70 ms; 0 without estimates."""
    from mir_eval import beat as mir_beat

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mir_eval warns of empty estimates.
        return float(mir_beat.f_measure(annotated, estimated, f_measure_threshold=F_WINDOW))


def _measures(
    target: str, annotated: NDArray[np.float64], estimated: NDArray[np.float64], start: float
) -> dict[str, float]:
    from mir_eval import beat as mir_beat

    annotated = mir_beat.trim_beats(annotated, start)
    estimated = mir_beat.trim_beats(estimated, start)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, cml_total, _, aml_total = mir_beat.continuity(annotated, estimated)
    values = (f_measure(annotated, estimated), float(cml_total), float(aml_total))
    return {f"{target} {measure}": value for measure, value in zip(MEASURES, values, strict=True)}


def _lateness(annotated: NDArray[np.float64], estimated: NDArray[np.float64]) -> dict[str, float]:
    from mir_eval.util import match_events

    pairs = match_events(annotated, estimated, F_WINDOW)
    if not pairs:
        return {}
    return {LATENESS: float(np.median([estimated[j] - annotated[i] for i, j in pairs]))}
