"""Chords for a melody that has none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from motion_data.corpora.constructed.tunes import TICKS, Tune

PREFERENCE = (0.30, 0.04, 0.0, 0.22, 0.22, 0.12, 0.02)
"""How much more a chord on each degree is liked, as a share of the melody's time in a bar [O]."""

HOME = 0.5
"""The same for the tonic where a phrase of four bars opens the tune or closes a half of it [O]."""


def chords_of(tune: Tune) -> NDArray[np.int64]:
    """(bars, 3) pitch classes of a triad a bar, root first: the one that holds most of the melody.

    Triads are stacked from the tune's scale; diminished ones are left out.
    """
    bar = tune.metre * TICKS
    weight = np.zeros((tune.bars, 12))
    # A note counts in the bar in which it starts, and more on a beat.
    on_beat = 1.0 + 0.5 * (tune.notes[:, 0] % TICKS == 0)
    np.add.at(
        weight,
        (tune.notes[:, 0] // bar, tune.notes[:, 2] % 12),
        np.minimum(tune.notes[:, 1], bar) * on_beat,
    )
    weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
    triads = np.array([[tune.scale[(degree + step) % 7] for step in (0, 2, 4)] for degree in range(7)])
    liked = weight[:, triads].sum(axis=2) + PREFERENCE
    liked[:, (triads[:, 2] - triads[:, 0]) % 12 == 6] = -np.inf
    home = (np.arange(tune.bars) % 8 == 7) | (np.arange(tune.bars) == 0)
    liked[home, 0] += HOME
    # A bar in which the melody rests goes on with the chord before.
    best = np.argmax(liked, axis=1)
    silent = weight.sum(axis=1) == 0
    for index in np.flatnonzero(silent):
        best[index] = best[index - 1] if index else 0
    chosen: NDArray[np.int64] = triads[best]
    return chosen
