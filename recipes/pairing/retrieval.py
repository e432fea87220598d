"""Retrieval of the motion that belongs to a music, among the motions of other pairs.

R@1 depends on the number of candidates, so it is reported for pools of a fixed size: the music's own motion
and ``pool - 1`` others. The scores are exact means over all such pools, computed with the hypergeometric
distribution instead of random draws [O]. Every piece has the same weight. Motions of the same piece or take
are not candidates, because they may fit the music as well [O].
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
"""Number of candidates, including the music's own motion."""


@dataclass(frozen=True)
class Retrieval:
    """Ranks of the own motions of N queries. Queries without other candidates are left out."""

    pool: int
    """Largest number of candidates."""
    sizes: NDArray[np.int64]
    """(N,) number of candidates of each query, including its own motion; at most ``pool``."""
    rank_probabilities: NDArray[np.float64]
    """(N, pool) probability that the own motion ranks first, second, ... in a random pool."""
    pieces: NDArray[np.int64]
    """(N,) piece of each query."""
    queries: NDArray[np.int64]
    """(N,) row of each query in the similarity matrix."""
    left_out: int
    """Number of queries without other candidates."""

    def hits(self, k: int) -> NDArray[np.float64]:
        """(N,) probability that the own motion of a query is among the first ``k``, in [0, 1]."""
        return np.asarray(self.rank_probabilities[:, :k].sum(axis=1))

    def recall(self, k: int) -> Estimate:
        """R@k with its interval over pieces."""
        return mean_estimate(self.hits(k), self.pieces)

    def chance(self, k: int) -> float:
        """R@k of guessing; NaN without queries."""
        if not len(self.queries):
            return float("nan")
        return float(group_weights(self.pieces) @ np.minimum(k / self.sizes, 1.0))

    @property
    def mean_reciprocal_rank(self) -> Estimate:
        """Mean of 1 / rank with its interval over pieces."""
        return mean_estimate(self.rank_probabilities @ (1.0 / np.arange(1, self.pool + 1)), self.pieces)

    @property
    def median_rank(self) -> float:
        """Median rank of the own motion, from 1; NaN without queries."""
        if not len(self.queries):
            return float("nan")
        cumulative = np.cumsum(group_weights(self.pieces) @ self.rank_probabilities)
        # The tolerance makes the result independent of rounding.
        return float(np.argmax(cumulative >= 0.5 - 1e-9) + 1)


def retrieval(
    similarity: NDArray[np.floating[Any]],
    pieces: Sequence[int] | NDArray[np.int64],
    takes: Sequence[int] | NDArray[np.int64],
    groups: Sequence[int] | NDArray[np.int64] | None = None,
    pool: int = POOL,
) -> Retrieval:
    """Rank the own motion of each music among others. Ties share their ranks.

    Args:
        similarity: (N, N) of music i (row) and motion j (column), finite; pairs are on the diagonal.
        pieces: (N,) number of the music's piece.
        takes: (N,) number of the motion's take.
        groups: (N,) group of each pair, such as its tempo and metre; all candidates are from the query's
            group, so that the group does not identify the pair.
        pool: number of candidates, including the own motion, at least 2; a query may have fewer.

    Raises:
        ValueError: a similarity matrix of another shape, or with NaN or infinity.
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
        raise ValueError(f"pool is {pool}; expected at least 2, including the own motion")
    candidates = negative_mask(list(pieces), list(takes))
    if groups is not None:
        candidates &= np.equal.outer(np.asarray(groups), np.asarray(groups))
    own = np.diagonal(similarity)[:, None]
    counts = candidates.sum(axis=1)
    better = ((similarity > own) & candidates).sum(axis=1)
    equal = ((similarity == own) & candidates).sum(axis=1)
    queries = np.flatnonzero(counts)
    # Computed once for each distinct triple, of which there are few.
    triples, inverse = np.unique(
        np.stack([counts, better, equal], 1)[queries].reshape(-1, 3), axis=0, return_inverse=True
    )
    probabilities = np.array(
        [_rank_probabilities(count, better, equal, pool) for count, better, equal in triples.tolist()]
    )
    return Retrieval(
        pool=pool,
        sizes=np.minimum(counts + 1, pool)[queries],
        rank_probabilities=probabilities.reshape(-1, pool)[inverse.reshape(-1)],
        pieces=np.asarray(pieces, dtype=np.int64)[queries],
        queries=queries,
        left_out=len(similarity) - len(queries),
    )


def retrieval_metrics(scores: Retrieval) -> dict[str, float]:
    """Metrics to log; without queries only the counts."""
    metrics = {"queries": float(len(scores.queries)), "queries_left_out": float(scores.left_out)}
    if not len(scores.queries):
        return metrics
    metrics |= {"pool": float(scores.sizes.mean()), "smallest_pool": float(scores.sizes.min())}
    metrics |= scores.recall(1).metrics("recall_at_1")
    metrics |= scores.recall(5).metrics("recall_at_5")
    metrics |= scores.mean_reciprocal_rank.metrics("mean_reciprocal_rank")
    metrics |= {"median_rank": scores.median_rank}
    metrics |= {"chance_at_1": scores.chance(1), "chance_at_5": scores.chance(5)}
    return metrics


def _rank_probabilities(count: int, better: int, equal: int, pool: int) -> NDArray[np.float64]:
    """(pool,) probability of each rank if up to ``pool - 1`` of ``count`` candidates are drawn.

    ``better`` of them are more similar than the own motion, and ``equal`` more are as similar.
    """
    drawn = min(count, pool - 1)
    ahead = np.arange(better, better + equal + 1)[:, None]
    return np.asarray(hypergeom.pmf(np.arange(pool), count, ahead, drawn).mean(axis=0))
