"""What a dance reaches on the music of others: as it would who does not listen.

Touch-downs meet beats by chance, the more often the more there are of them. A dance's own scores on music
that it was not made to say how often; what its score is above them, it owes to its music. [O]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recipes.dance_metrics.dance import Dance
from recipes.dance_metrics.item_scores import Movement, music_scores
from recipes.results.estimates import group_means

OTHERS = 5
"""Other musics that each dance is laid on, at most."""

OF_MUSIC = ("beat_align_fact", "beat_align_bailando", "contacts_on_beats", "contacts_on_steps")
"""Measures that ask how a dance fits its music."""


def to_others_music(dances: Sequence[Dance], moves: Sequence[Movement]) -> list[dict[str, float]]:
    """By :data:`OF_MUSIC`, each dance's mean score on the music of those that come next to it in a circle.

    Dances whose music has the same beats are passed over. NaN where there is no other music.

    Args:
        dances: each with its own music.
        moves: of each its :func:`~recipes.dance_metrics.item_scores.movement`.
    """
    found = []
    for place, (dance, own) in enumerate(zip(dances, moves, strict=True)):
        circle = [*dances[place + 1 :], *dances[:place]]
        others = [other for other in circle if not _same_music(dance, other)][:OTHERS]
        scores = [music_scores(replace(dance, beats=other.beats, steps=other.steps), own) for other in others]
        found.append({key: _mean([score[key] for score in scores]) for key in OF_MUSIC})
    return found


def _mean(values: Sequence[float]) -> float:
    """Of those that are not NaN; NaN without any."""
    known = group_means(values)
    return float(known.mean()) if len(known) else float("nan")


def _same_music(one: Dance, other: Dance) -> bool:
    if one.beats is None or other.beats is None:
        return one.beats is other.beats
    return np.array_equal(one.beats, other.beats)
