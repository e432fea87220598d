"""All that is measured on one dance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recipes.dance_metrics.beat_align import BodyBeats, beat_align, body_beats
from recipes.dance_metrics.constructed_truth import contact_scores, touch_downs
from recipes.dance_metrics.dance import Dance
from recipes.dance_metrics.foot_skating import foot_skating
from recipes.dance_metrics.geometric_features import geometric_features
from recipes.dance_metrics.kinetic_features import kinetic_features
from recipes.dance_metrics.physical_foot_contact import physical_foot_contact


@dataclass(frozen=True)
class Movement:
    """When a body slows down and touches down, whatever the music."""

    body: BodyBeats
    touched: NDArray[np.float64]
    """(N,) seconds."""


ITEM_MEASURES = (
    *("beat_align_fact", "beat_align_bailando", "pfc", "skating_ratio", "skating_speed"),
    *("contacts_on_beats", "contacts_on_steps"),
)
"""Measures of single dances."""

FEATURES = {
    kind: tuple(f"{kind} {number}" for number in range(count))
    for kind, count in (("kinetic", 72), ("geometric", 32))
}
"""Names of the features of single dances, which are not normalised."""


def item_scores(dance: Dance, moves: Movement) -> dict[str, float]:
    """Measure one dance: :data:`ITEM_MEASURES`, NaN where one is not defined, and :data:`FEATURES`."""
    skating = foot_skating(dance.joints, dance.fps)
    scores = {
        "pfc": physical_foot_contact(dance.joints, dance.fps),
        "skating_ratio": skating.ratio,
        "skating_speed": skating.speed,
        **music_scores(dance, moves),
    }
    scores = {measure: scores[measure] for measure in ITEM_MEASURES}
    scores |= zip(FEATURES["kinetic"], kinetic_features(dance.joints, dance.fps), strict=True)
    scores |= zip(FEATURES["geometric"], geometric_features(dance.joints, dance.fps), strict=True)
    return scores


def movement(dance: Dance) -> Movement:
    """Find it."""
    return Movement(body_beats(dance), touch_downs(dance))


def music_scores(dance: Dance, moves: Movement) -> dict[str, float]:
    """How a dance that moves so fits its music, by those keys of :data:`ITEM_MEASURES` that ask for it."""
    alignment, contacts = beat_align(dance, moves.body), contact_scores(dance, moves.touched)
    return {
        "beat_align_fact": alignment.fact,
        "beat_align_bailando": alignment.bailando,
        "contacts_on_beats": contacts.on_beats,
        "contacts_on_steps": contacts.on_steps,
    }
