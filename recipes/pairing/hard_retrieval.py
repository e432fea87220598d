"""A music's own motion against its hard negatives: jittered and stretched copies, and other motion laid
on its beats.

Unlike retrieval among other pairs, tempo and style cannot decide here: what is moved by a beat is the
same dance in another bar phase.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.negatives.recipe import Negative
from recipes.results.estimates import Estimate, group_weights, mean_estimate


@dataclass(frozen=True)
class HardRetrieval:
    """How often a music's own motion is nearer than what is almost right."""

    accuracy: Estimate
    """Share of musics whose own motion is nearer than all of its negatives: 1 of K + 1."""
    chance: float
    """The same for one who guesses; NaN without negatives."""
    by_kind: dict[str, Estimate]
    """Share of single comparisons that the own motion wins, by kind and, where the motion is moved, by how
    far: ``jittered``, ``jittered_0.25`` (a quarter of a beat, early or late), ``stretched``, ``other``.
    Chance is 1/2."""
    negatives: float
    """K, on average."""
    left_out: int
    """Musics without negatives."""
    first: NDArray[np.float64]
    """(N,) how likely each music's own motion comes first, in [0, 1]; NaN for those without negatives."""


def hard_retrieval(
    own: NDArray[np.floating[Any]],
    negatives: NDArray[np.floating[Any]],
    owner: NDArray[np.int64],
    kinds: Sequence[tuple[str, float]],
    pieces: Sequence[int] | NDArray[np.int64],
) -> HardRetrieval:
    """Compare; motions that are equally similar share the win.

    Args:
        own: (N,) similarity of each music and its own motion, finite.
        negatives: (R,) similarity of music and hard negative, finite.
        owner: (R,) row of ``own`` that each is a negative of.
        kinds: (R,) kind and amount of each, see :func:`negative_kinds`.
        pieces: (N,) number of the music's piece.

    Raises:
        ValueError: NaN or infinity, or arrays that do not fit each other.
    """
    own, negatives = np.asarray(own, dtype=np.float64), np.asarray(negatives, dtype=np.float64)
    owner, pieces = np.asarray(owner, dtype=np.int64), np.asarray(pieces, dtype=np.int64)
    if not len(negatives) == len(owner) == len(kinds) or len(own) != len(pieces):
        raise ValueError(
            f"{len(negatives)} negatives with {len(owner)} owners and {len(kinds)} kinds, {len(own)} musics "
            f"of {len(pieces)} pieces; expected as many of each"
        )
    if not (np.isfinite(own).all() and np.isfinite(negatives).all()):
        raise ValueError("similarities are NaN or infinite; expected numbers")
    beaten = np.bincount(owner[negatives > own[owner]], minlength=len(own))
    tied = np.bincount(owner[negatives == own[owner]], minlength=len(own))
    count = np.bincount(owner, minlength=len(own))
    asked = count > 0
    first = np.where(beaten == 0, 1.0 / (tied + 1), 0.0)
    won = (np.sign(own[owner] - negatives) + 1) / 2
    labels: dict[str, list[int]] = {}
    for row, (kind, amount) in enumerate(kinds):
        labels.setdefault(kind, []).append(row)
        if kind == "jittered":
            labels.setdefault(f"{kind}_{abs(amount):g}", []).append(row)
    return HardRetrieval(
        mean_estimate(first[asked], pieces[asked]),
        float(group_weights(pieces[asked]) @ (1.0 / (count[asked] + 1))) if asked.any() else float("nan"),
        {label: mean_estimate(won[rows], pieces[owner[rows]]) for label, rows in sorted(labels.items())},
        float(count[asked].mean()) if asked.any() else 0.0,
        int((~asked).sum()),
        np.where(asked, first, np.nan),
    )


def hard_retrieval_metrics(found: HardRetrieval) -> dict[str, float]:
    """Figures to log; those that need a negative are left out where there was none."""
    figures = {"negatives": found.negatives, "queries_left_out": float(found.left_out)}
    figures |= found.accuracy.metrics("accuracy")
    if found.accuracy.groups:
        figures["chance"] = found.chance
    for label, mean in found.by_kind.items():
        figures |= mean.metrics(f"beats_{label}")
    return figures


def negative_kinds(negatives: Iterable[Negative]) -> list[tuple[str, float]]:
    """Kind and amount of hard negatives, such as those of a batch, in their order."""
    return [(negative.kind, negative.amount) for negative in negatives]
