"""Which motion belongs to a music: how high its own comes among others.

R@1 depends on how many candidates there are, so it is given for pools of one size: the music's own motion
and ``pool - 1`` others. The figures are their exact means over all such pools, by the hypergeometric
distribution: no seed decides them, and no draw adds noise [O]. Every piece counts the same. A motion of the
same piece or take is no candidate: it may fit the music as well [O].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from motion_data.negatives.drawing import negative_mask
from recipes.results.estimates import Estimate, group_weights, mean_estimate

POOL = 64
"""Candidates, the music's own motion among them."""


@dataclass(frozen=True)
class Retrieval:
    """What N queries found; those without any candidate beside their own motion are left out of it."""

    pool: int
    """Candidates asked for."""
    sizes: NDArray[np.int64]
    """(N,) candidates that each query had, its own motion among them: fewer where there are not so many."""
    places: NDArray[np.float64]
    """(N, pool) probability that its own motion comes first, second, ... in a pool drawn at random."""
    pieces: NDArray[np.int64]
    """(N,) piece of each query."""
    queries: NDArray[np.int64]
    """(N,) row of each query in the matrix."""
    left_out: int
    """Queries without candidates."""

    def hits(self, first: int) -> NDArray[np.float64]:
        """(N,) how likely each query has its own motion among the ``first``, in [0, 1]."""
        return np.asarray(self.places[:, :first].sum(axis=1))

    def recall(self, first: int) -> Estimate:
        """R@first with its interval by piece."""
        return mean_estimate(self.hits(first), self.pieces)

    def chance(self, first: int) -> float:
        """R@first of one who guesses; NaN without queries."""
        if not len(self.queries):
            return float("nan")
        return float(group_weights(self.pieces) @ np.minimum(first / self.sizes, 1.0))

    @property
    def mean_reciprocal_rank(self) -> Estimate:
        """Mean of 1 / rank with its interval by piece."""
        return mean_estimate(self.places @ (1.0 / np.arange(1, self.pool + 1)), self.pieces)

    @property
    def median_rank(self) -> float:
        """The rank, from 1, that half of the queries reach; NaN without queries."""
        if not len(self.queries):
            return float("nan")
        reached = np.cumsum(group_weights(self.pieces) @ self.places)
        # A little less than a half, or rounding would decide between two ranks.
        return float(np.argmax(reached >= 0.5 - 1e-9) + 1)


def retrieval(
    similarity: NDArray[np.floating[Any]],
    pieces: Sequence[int] | NDArray[np.int64],
    takes: Sequence[int] | NDArray[np.int64],
    groups: Sequence[int] | NDArray[np.int64] | None = None,
    pool: int = POOL,
) -> Retrieval:
    """Rank each music's own motion among others. Motions that are equally similar share their places.

    Args:
        similarity: (N, N) of music i (row) and motion j (column), finite; pairs are on the diagonal.
        pieces: (N,) number of the music's piece.
        takes: (N,) number of the motion's take.
        groups: (N,) numbers of tempo and metre, or whatever else may not give the answer away: candidates
            are of the query's group alone.
        pool: candidates, the own motion among them, at least 2; a query with fewer has what there is.

    Raises:
        ValueError: a matrix that is not square, of other size than the names, or with NaN or infinity.
    """
    similarity = np.asarray(similarity, dtype=np.float64)
    if similarity.shape != (len(pieces), len(pieces)) or len(takes) != len(pieces):
        raise ValueError(
            f"similarities of shape {similarity.shape} for {len(pieces)} pieces and {len(takes)} takes; "
            f"expected (N, N) for N of each"
        )
    if not np.isfinite(similarity).all():
        raise ValueError(f"{int((~np.isfinite(similarity)).sum())} similarities are NaN or infinite")
    if pool < 2:
        raise ValueError(f"pool is {pool}; expected at least 2, the own motion among them")
    candidates = negative_mask(list(pieces), list(takes))
    if groups is not None:
        candidates &= np.equal.outer(np.asarray(groups), np.asarray(groups))
    own = np.diagonal(similarity)[:, None]
    counts = candidates.sum(axis=1)
    ahead = ((similarity > own) & candidates).sum(axis=1)
    beside = ((similarity == own) & candidates).sum(axis=1)
    queries = np.flatnonzero(counts)
    sizes = np.minimum(counts + 1, pool)[queries]
    # Few triples differ, and a tower that has collapsed has one alone.
    triples, which = np.unique(
        np.stack([counts, ahead, beside], 1)[queries].reshape(-1, 3), axis=0, return_inverse=True
    )
    places = np.array(
        [_places(count, better, equal, pool) for count, better, equal in triples.tolist()]
    ).reshape(-1, pool)
    return Retrieval(
        pool,
        sizes,
        places[which.reshape(-1)],
        np.asarray(pieces, dtype=np.int64)[queries],
        queries,
        len(similarity) - len(queries),
    )


def retrieval_metrics(found: Retrieval) -> dict[str, float]:
    """Figures to log; those that need a query are left out where there was none."""
    figures = {"queries": float(len(found.queries)), "queries_left_out": float(found.left_out)}
    if not len(found.queries):
        return figures
    return (
        figures
        | {"pool": float(found.sizes.mean()), "smallest_pool": float(found.sizes.min())}
        | found.recall(1).metrics("recall_at_1")
        | found.recall(5).metrics("recall_at_5")
        | found.mean_reciprocal_rank.metrics("mean_reciprocal_rank")
        | {"median_rank": found.median_rank, "chance_at_1": found.chance(1), "chance_at_5": found.chance(5)}
    )


def _places(count: int, better: int, equal: int, pool: int) -> NDArray[np.float64]:
    """(pool,) probability of each place when up to ``pool - 1`` of ``count`` candidates are drawn.

    ``better`` of them are more similar than the own motion. It may stand anywhere among ``equal`` more.
    """
    drawn = min(count, pool - 1)
    ahead = np.arange(better, better + equal + 1)[:, None]
    return np.asarray(hypergeom.pmf(np.arange(pool), count, ahead, drawn).mean(axis=0))
