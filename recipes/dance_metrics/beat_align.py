"""Beat alignment of a dance and its music, both published ways round.

FACT asks whether each slowing-down of the body falls on a beat of the music, Bailando whether each beat of
the music has one: a dance that halts once, on a beat, has the full score of the first and next to none of
the second. Their kinematic beats differ as well; see :mod:`motion_data.rhythm.kinematic_beats`, where both
are in seconds. EDGE and later works report Bailando's. What the published codes leave undefined: without a
beat of the music in the dance there is no score (NaN); with beats and a body that never slows down it is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motion_data.rhythm.kinematic_beats import bailando_beats, beat_alignment, fact_beats
from recipes.dance_metrics.dance import Dance


@dataclass(frozen=True)
class BeatAlign:
    """Scores in [0, 1] with σ = 50 ms; NaN where no beat of music lies within the dance, or none is known."""

    fact: float
    """Mean over the body's beats: motion to music."""
    bailando: float
    """Mean over the music's beats: music to motion."""


@dataclass(frozen=True)
class BodyBeats:
    """Seconds at which a body slows down, (N,) by FACT's rule and (M,) by Bailando's."""

    fact: NDArray[np.float64]
    bailando: NDArray[np.float64]


def body_beats(dance: Dance) -> BodyBeats:
    """Find them, whatever the music."""
    return BodyBeats(fact_beats(dance.joints, dance.fps), bailando_beats(dance.joints, dance.fps))


def beat_align(dance: Dance, body: BodyBeats | None = None) -> BeatAlign:
    """Score a dance on the beats that lie within it.

    Args:
        dance: with the beats of the music.
        body: its :func:`body_beats`, where they are known already.
    """
    music = None if dance.beats is None else dance.heard(dance.beats)
    if music is None or not len(music):
        return BeatAlign(float("nan"), float("nan"))
    body = body or body_beats(dance)
    return BeatAlign(beat_alignment(body.fact, music), beat_alignment(music, body.bailando))
