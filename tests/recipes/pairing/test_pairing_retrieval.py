"""Retrieval in pools of candidates."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from recipes.pairing.retrieval import retrieval, retrieval_metrics

SEEDS = st.integers(0, 10_000)


def enumerated_rank_probabilities(
    similarity: NDArray[np.float64], candidates: NDArray[np.bool_], pool: int, row: int
) -> NDArray[np.float64]:
    """The oracle: enumerates all pools and all orders of ties."""
    others = np.flatnonzero(candidates[row]).tolist()
    probabilities = np.zeros(pool)
    pools = list(itertools.combinations(others, min(pool - 1, len(others))))
    for indices in pools:
        better = sum(similarity[row, j] > similarity[row, row] for j in indices)
        equal = sum(similarity[row, j] == similarity[row, row] for j in indices)
        probabilities[better : better + equal + 1] += 1 / (equal + 1) / len(pools)
    return probabilities


@given(SEEDS, st.integers(2, 9), st.integers(2, 6), st.booleans())
def test_ranks_are_means_over_all_pools(seed: int, count: int, pool: int, grouped: bool) -> None:
    rng = np.random.default_rng(seed)
    # Few distinct values, so that there are ties.
    similarity = rng.integers(0, 5, (count, count)) / 4
    pieces, takes, groups = rng.integers(0, 4, count), rng.integers(0, 6, count), rng.integers(0, 2, count)
    scores = retrieval(similarity, pieces, takes, groups if grouped else None, pool)
    row = 0
    for i in range(count):
        candidates = np.zeros((count, count), dtype=bool)
        for j in range(count):
            other = pieces[i] != pieces[j] and takes[i] != takes[j]
            candidates[i, j] = other and (not grouped or groups[i] == groups[j])
        if candidates[i].any():
            assert scores.queries[row] == i
            assert scores.sizes[row] == min(pool, candidates[i].sum() + 1)
            expected = enumerated_rank_probabilities(similarity, candidates, pool, i)
            assert scores.rank_probabilities[row] == pytest.approx(expected, abs=1e-12)
            row += 1
    assert row == len(scores.queries)
    assert scores.left_out == count - row


@pytest.mark.parametrize(("sign", "recall", "rank"), [(1.0, 1.0, 1.0), (-1.0, 0.0, 64.0)])
def test_perfect_and_worst_similarities(sign: float, recall: float, rank: float) -> None:
    scores = retrieval(sign * np.eye(100), np.arange(100), np.arange(100))
    assert scores.recall(1).value == recall
    assert scores.recall(5).value == recall
    assert scores.median_rank == rank
    assert scores.mean_reciprocal_rank.value == pytest.approx(1 / rank)
    assert scores.chance(1) == pytest.approx(1 / 64)
    assert scores.chance(5) == pytest.approx(5 / 64)


def test_random_similarities_are_at_chance() -> None:
    rng = np.random.default_rng(0)
    scores = retrieval(rng.standard_normal((600, 600)), np.arange(600), np.arange(600))
    deviation = scores.hits(1).std() / np.sqrt(600)
    assert abs(scores.recall(1).value - scores.chance(1)) < 3.5 * deviation
    assert scores.recall(1).low < scores.chance(1) < scores.recall(1).high
    assert abs(scores.median_rank - 32.5) < 5


def test_constant_similarities_are_exactly_at_chance() -> None:
    scores = retrieval(np.full((90, 90), 0.3), np.arange(90), np.arange(90))
    assert scores.rank_probabilities == pytest.approx(np.full((90, 64), 1 / 64))
    assert scores.recall(5).value == pytest.approx(scores.chance(5))
    assert scores.median_rank == 32


def test_recall_depends_on_the_pool_and_not_on_the_number_of_clips() -> None:
    rng = np.random.default_rng(1)

    def recall(count: int, pool: int) -> float:
        similarity = rng.standard_normal((count, count)) + 2.5 * np.eye(count)
        return retrieval(similarity, np.arange(count), np.arange(count), pool=pool).recall(1).value

    assert recall(900, 16) == pytest.approx(recall(300, 16), abs=0.06)
    assert recall(300, 16) > recall(300, 256) + 0.1


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_permuting_the_items_permutes_the_results(seed: int) -> None:
    rng = np.random.default_rng(seed)
    similarity, pieces = rng.standard_normal((12, 12)), rng.integers(0, 5, 12)
    takes, groups = rng.integers(0, 9, 12), rng.integers(0, 2, 12)
    order = rng.permutation(12)
    scores = retrieval(similarity, pieces, takes, groups, 4)
    permuted = retrieval(similarity[np.ix_(order, order)], pieces[order], takes[order], groups[order], 4)
    row_of = {int(query): row for row, query in enumerate(scores.queries)}
    rows = [row_of[int(order[query])] for query in permuted.queries]
    assert permuted.rank_probabilities == pytest.approx(scores.rank_probabilities[rows])
    assert retrieval_metrics(permuted).keys() == retrieval_metrics(scores).keys()


@given(SEEDS, st.sampled_from(["piece", "take", "group"]))
def test_the_similarity_of_excluded_motions_has_no_effect(seed: int, column: str) -> None:
    similarity = np.random.default_rng(seed).standard_normal((8, 8))
    numbers = {"piece": np.arange(8), "take": np.arange(8), "group": np.zeros(8, dtype=np.int64)}
    # Excludes motion 3 from the candidates of music 0, and the reverse.
    numbers[column][3] = 1 if column == "group" else 0

    def ranks(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return retrieval(matrix, numbers["piece"], numbers["take"], numbers["group"], 4).rank_probabilities

    better = similarity.copy()
    better[0, 3], better[3, 0] = 99.0, 99.0
    assert (ranks(better) == ranks(similarity)).all()


def test_queries_without_candidates_are_left_out() -> None:
    scores = retrieval(np.eye(3), [0, 0, 0], [0, 1, 2])
    assert scores.left_out == 3
    assert np.isnan(scores.median_rank)
    assert retrieval_metrics(scores) == {"queries": 0.0, "queries_left_out": 3.0}


def test_metrics_contain_the_pool_size() -> None:
    metrics = retrieval_metrics(retrieval(np.eye(10), np.arange(10), np.arange(10)))
    assert metrics["pool"] == metrics["smallest_pool"] == 10
    assert metrics["chance_at_1"] == pytest.approx(0.1)
    assert metrics["recall_at_1"] == metrics["recall_at_1_low"] == 1
    assert all(isinstance(value, float) and np.isfinite(value) for value in metrics.values())


def test_invalid_similarities_and_pools_are_refused() -> None:
    with pytest.raises(ValueError, match="1 similarities are NaN"):
        retrieval(np.diag([1.0, np.nan]), [0, 1], [0, 1])
    with pytest.raises(ValueError, match=r"shape \(2, 3\)"):
        retrieval(np.zeros((2, 3)), [0, 1], [0, 1])
    with pytest.raises(ValueError, match="pool is 1"):
        retrieval(np.eye(2), [0, 1], [0, 1], pool=1)
