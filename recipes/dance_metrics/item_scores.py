"""All that is measured on one dance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recipes.dance_metrics.beat_align import BodyBeats, aligned, body_beats
from recipes.dance_metrics.constructed_truth import scored, touch_downs
from recipes.dance_metrics.dance import Dance
from recipes.dance_metrics.foot_skating import foot_skating
from recipes.dance_metrics.geometric_features import geometric_features
from recipes.dance_metrics.kinetic_features import kinetic_features
from recipes.dance_metrics.physical_foot_contact import physical_foot_contact


@dataclass(frozen=True)
class ItemScores:
    """One dance's features and scores."""

    name: str
    kinetic: NDArray[np.float64]
    """(72,) not normalised."""
    geometric: NDArray[np.float64]
    """(32,) not normalised."""
    scores: dict[str, float]
    """By the keys of :data:`ITEM_MEASURES`; NaN where one is not defined, as without music."""


ITEM_MEASURES = (
    *("beat_align_fact", "beat_align_bailando", "pfc", "skating_ratio", "skating_speed"),
    *("contacts_on_beats", "contacts_on_steps"),
)
"""Measures that each dance has of its own."""


def item_scores(dance: Dance) -> ItemScores:
    """Measure one dance."""
    skating = foot_skating(dance.joints, dance.fps)
    scores = {
        "pfc": physical_foot_contact(dance.joints, dance.fps),
        "skating_ratio": skating.ratio,
        "skating_speed": skating.speed,
        **music_scores(dance),
    }
    return ItemScores(
        dance.name,
        kinetic_features(dance.joints, dance.fps),
        geometric_features(dance.joints, dance.fps),
        {measure: scores[measure] for measure in ITEM_MEASURES},
    )


def music_scores(dance: Dance) -> dict[str, float]:
    """How one dance fits its music, by those keys of :data:`ITEM_MEASURES` that ask for it."""
    return fit(movement(dance), dance)


@dataclass(frozen=True)
class Movement:
    """When a body slows down and touches down, whatever the music."""

    body: BodyBeats
    touched: NDArray[np.float64]
    """(N,) seconds."""


def movement(dance: Dance) -> Movement:
    """Find it."""
    return Movement(body_beats(dance), touch_downs(dance))


def fit(moves: Movement, dance: Dance) -> dict[str, float]:
    """As :func:`music_scores`, where the movement is known."""
    alignment, contacts = aligned(moves.body, dance), scored(moves.touched, dance)
    return {
        "beat_align_fact": alignment.fact,
        "beat_align_bailando": alignment.bailando,
        "contacts_on_beats": contacts.on_beats,
        "contacts_on_steps": contacts.on_steps,
    }
