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


@dataclass(frozen=True)
class ItemScores:
    """One dance's features and scores."""

    name: str
    kinetic: NDArray[np.float64]
    """(72,) not normalised."""
    geometric: NDArray[np.float64]
    """(32,) not normalised."""
    moves: Movement
    scores: dict[str, float]
    """By the keys of :data:`ITEM_MEASURES`; NaN where one is not defined, as without music."""


ITEM_MEASURES = (
    *("beat_align_fact", "beat_align_bailando", "pfc", "skating_ratio", "skating_speed"),
    *("contacts_on_beats", "contacts_on_steps"),
)
"""Measures that each dance has of its own."""


def item_scores(dance: Dance) -> ItemScores:
    """Measure one dance."""
    skating, moves = foot_skating(dance.joints, dance.fps), movement(dance)
    scores = {
        "pfc": physical_foot_contact(dance.joints, dance.fps),
        "skating_ratio": skating.ratio,
        "skating_speed": skating.speed,
        **music_scores(dance, moves),
    }
    return ItemScores(
        dance.name,
        kinetic_features(dance.joints, dance.fps),
        geometric_features(dance.joints, dance.fps),
        moves,
        {measure: scores[measure] for measure in ITEM_MEASURES},
    )


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
