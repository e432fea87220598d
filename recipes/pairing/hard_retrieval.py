"""Retrieval of a music's own motion among its hard negatives: shifted and stretched copies, and other motions
aligned to its beats.

Unlike in retrieval among other pairs, tempo and style do not help: a copy shifted by a beat is the same dance
at another phase of the bar.
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
    """Scores of N queries, each a music with its own motion and K hard negatives."""

    accuracy: Estimate
    """Share of queries whose own motion is more similar than all negatives."""
    chance: float
    """Accuracy of guessing; NaN without negatives."""
    by_kind: dict[str, Estimate]
    """Share of comparisons with single negatives that the own motion wins, by kind and, for jittered ones, by
    the size of the shift: ``jittered``, ``jittered_0.25`` (a quarter of a beat, early or late),
    ``stretched``, ``other``. Chance is 1/2."""
    negatives: float
    """Mean of K."""
    left_out: int
    """Queries without negatives."""
    first: NDArray[np.float64]
    """(N,) probability that the own motion ranks first, in [0, 1]; NaN for queries without negatives."""


def hard_retrieval(
    own: NDArray[np.floating[Any]],
    negatives: NDArray[np.floating[Any]],
    owner: NDArray[np.int64],
    kinds: Sequence[tuple[str, float]],
    pieces: Sequence[int] | NDArray[np.int64],
) -> HardRetrieval:
    """Score the similarities of own motions and hard negatives; ties share the win.

    Args:
        own: (N,) similarity of each music and its own motion, finite.
        negatives: (R,) similarity of each music and hard negative, finite.
        owner: (R,) row of ``own`` that each negative belongs to.
        kinds: (R,) kind and amount of each negative, see :func:`negative_kinds`.
        pieces: (N,) number of the music's piece.

    Raises:
        ValueError: NaN or infinity, or arrays of inconsistent lengths.
    """
    own, negatives = np.asarray(own, dtype=np.float64), np.asarray(negatives, dtype=np.float64)
    owner, pieces = np.asarray(owner, dtype=np.int64), np.asarray(pieces, dtype=np.int64)
    if not len(negatives) == len(owner) == len(kinds) or len(own) != len(pieces):
        raise ValueError(
            f"{len(negatives)} negatives with {len(owner)} owners and {len(kinds)} kinds, {len(own)} own "
            f"motions of {len(pieces)} pieces; expected equal numbers"
        )
    if not (np.isfinite(own).all() and np.isfinite(negatives).all()):
        raise ValueError("similarities are NaN or infinite; expected finite numbers")
    more_similar = np.bincount(owner[negatives > own[owner]], minlength=len(own))
    tied = np.bincount(owner[negatives == own[owner]], minlength=len(own))
    count = np.bincount(owner, minlength=len(own))
    queries = count > 0
    first = np.where(more_similar == 0, 1.0 / (tied + 1), 0.0)
    wins = (np.sign(own[owner] - negatives) + 1) / 2
    rows_by_kind: dict[str, list[int]] = {}
    for row, (kind, amount) in enumerate(kinds):
        rows_by_kind.setdefault(kind, []).append(row)
        if kind == "jittered":
            rows_by_kind.setdefault(f"{kind}_{abs(amount):g}", []).append(row)
    by_kind = {
        kind: mean_estimate(wins[rows], pieces[owner[rows]]) for kind, rows in sorted(rows_by_kind.items())
    }
    chance, mean_count = float("nan"), 0.0
    if queries.any():
        chance = float(group_weights(pieces[queries]) @ (1.0 / (count[queries] + 1)))
        mean_count = float(count[queries].mean())
    return HardRetrieval(
        accuracy=mean_estimate(first[queries], pieces[queries]),
        chance=chance,
        by_kind=by_kind,
        negatives=mean_count,
        left_out=int((~queries).sum()),
        first=np.where(queries, first, np.nan),
    )


def hard_retrieval_metrics(scores: HardRetrieval) -> dict[str, float]:
    """Metrics to log; without negatives only the counts."""
    metrics = {"negatives": scores.negatives, "queries_left_out": float(scores.left_out)}
    metrics |= scores.accuracy.metrics("accuracy")
    if scores.accuracy.groups:
        metrics["chance"] = scores.chance
    for kind, estimate in scores.by_kind.items():
        metrics |= estimate.metrics(f"beats_{kind}")
    return metrics


def negative_kinds(negatives: Iterable[Negative]) -> list[tuple[str, float]]:
    """Kind and amount of each hard negative, in order."""
    return [(negative.kind, negative.amount) for negative in negatives]
