"""Whether feet touch down on exact beats, and where they truly do: scores that only constructed dances
allow [O].

Beat alignment rewards whatever slows down near an estimated beat. Where beats and steps are known, a dance
can be asked the plain question instead: do its touch-downs fall on the beats, and are they the true ones?
It is answered as beat trackers are: F at ±70 ms (mir_eval).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from mir_eval.beat import f_measure
from numpy.typing import NDArray

from motion_data.rhythm.contacts import contact_pulses
from motion_data.skeleton import JOINTS
from recipes.dance_metrics.dance import Dance

TOLERANCE = 0.07
"""Seconds between two times that are the same."""


@dataclass(frozen=True)
class ContactScores:
    """F in [0, 1] of the touch-downs found on the feet; NaN where the reference is not known or empty."""

    on_beats: float
    """Against the music's beats."""
    on_steps: float
    """Against the true touch-downs."""


def contact_scores(dance: Dance, touched: NDArray[np.float64] | None = None) -> ContactScores:
    """Find the touch-downs of both feet and score them.

    A contact that the dance begins in has no touch-down. Both feet at once are one step.

    Args:
        dance: with the beats of the music and the true steps.
        touched: its :func:`touch_downs`, where they are known already.
    """
    touched = touch_downs(dance) if touched is None else touched
    return ContactScores(
        *(
            float("nan") if reference is None else _f(one_step(dance.heard(reference)), touched)
            for reference in (dance.beats, dance.steps)
        )
    )


def touch_downs(dance: Dance) -> NDArray[np.float64]:
    """(N,) seconds of the steps that are found, whatever the music."""
    found = contact_pulses(dance.joints[:, : len(JOINTS)], JOINTS, dance.fps)
    return one_step(np.concatenate(list(found.values())))


def one_step(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) seconds in order, without those that follow the last one kept by less than the tolerance."""
    kept: list[float] = []
    for time in np.sort(times):
        if not kept or time - kept[-1] >= TOLERANCE:
            kept.append(float(time))
    return np.array(kept, dtype=np.float64)


def _f(reference: NDArray[np.float64], touched: NDArray[np.float64]) -> float:
    if not len(reference):
        return float("nan")
    if not len(touched):
        return 0.0
    return float(f_measure(reference, touched, f_measure_threshold=TOLERANCE))
