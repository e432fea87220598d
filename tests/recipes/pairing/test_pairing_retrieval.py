"""Retrieval in pools, and the means over pieces that every measure is given as."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from recipes.pairing.retrieval import Retrieval, retrieval, retrieval_metrics
from recipes.results.estimates import group_weights, mean_estimate

SEEDS = st.integers(0, 10_000)


def by_drawing_every_pool(
    similarity: NDArray[np.float64], candidates: NDArray[np.bool_], pool: int, row: int
) -> NDArray[np.float64]:
    """The oracle: all pools one after the other; ties are broken in every way."""
    others = np.flatnonzero(candidates[row]).tolist()
    size = min(pool - 1, len(others))
    places = np.zeros(pool)
    drawn = list(itertools.combinations(others, size))
    for chosen in drawn:
        better = sum(similarity[row, j] > similarity[row, row] for j in chosen)
        equal = sum(similarity[row, j] == similarity[row, row] for j in chosen)
        places[better : better + equal + 1] += 1 / (equal + 1) / len(drawn)
    return places


@given(SEEDS, st.integers(2, 9), st.integers(2, 6), st.booleans())
def test_is_the_mean_over_all_pools(seed: int, count: int, pool: int, grouped: bool) -> None:
    rng = np.random.default_rng(seed)
    # Few values, so that there are ties.
    similarity = rng.integers(0, 5, (count, count)) / 4
    pieces, takes, groups = rng.integers(0, 4, count), rng.integers(0, 6, count), rng.integers(0, 2, count)
    found = retrieval(similarity, pieces, takes, groups if grouped else None, pool)
    row = 0
    for i in range(count):
        candidates = np.zeros((count, count), dtype=bool)
        for j in range(count):
            other = pieces[i] != pieces[j] and takes[i] != takes[j]
            candidates[i, j] = other and (not grouped or groups[i] == groups[j])
        if candidates[i].any():
            assert found.queries[row] == i
            assert found.sizes[row] == min(pool, candidates[i].sum() + 1)
            expected = by_drawing_every_pool(similarity, candidates, pool, i)
            assert found.places[row] == pytest.approx(expected, abs=1e-12)
            row += 1
    assert row == len(found.queries)
    assert found.left_out == count - row


def distinct(count: int) -> NDArray[np.int64]:
    return np.arange(count)


def test_one_who_knows_is_always_right_and_one_who_is_always_wrong_never() -> None:
    for sign, recall, rank in ((1.0, 1.0, 1.0), (-1.0, 0.0, 64.0)):
        found = retrieval(sign * np.eye(100), distinct(100), distinct(100))
        assert found.recall(1).value == recall
        assert found.recall(5).value == recall
        assert found.median_rank == rank
        assert found.mean_reciprocal_rank.value == pytest.approx(1 / rank)
        assert found.chance(1) == pytest.approx(1 / 64)
        assert found.chance(5) == pytest.approx(5 / 64)


def test_guessing_is_at_chance() -> None:
    rng = np.random.default_rng(0)
    found = retrieval(rng.standard_normal((600, 600)), distinct(600), distinct(600))
    deviation = found.hits(1).std() / np.sqrt(600)
    assert abs(found.recall(1).value - found.chance(1)) < 3.5 * deviation
    assert found.recall(1).low < found.chance(1) < found.recall(1).high
    assert abs(found.median_rank - 32.5) < 5


def test_towers_that_have_collapsed_are_at_chance_exactly() -> None:
    found = retrieval(np.full((90, 90), 0.3), distinct(90), distinct(90))
    assert found.places == pytest.approx(np.full((90, 64), 1 / 64))
    assert found.recall(5).value == pytest.approx(found.chance(5))
    assert found.median_rank == 32


def test_the_pool_decides_the_figure_and_the_number_of_clips_does_not() -> None:
    rng = np.random.default_rng(1)

    def recall(count: int, pool: int) -> float:
        similarity = rng.standard_normal((count, count)) + 2.5 * np.eye(count)
        return retrieval(similarity, distinct(count), distinct(count), pool=pool).recall(1).value

    assert recall(900, 16) == pytest.approx(recall(300, 16), abs=0.06)
    assert recall(300, 16) > recall(300, 256) + 0.1


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_permuting_the_items_permutes_the_results(seed: int) -> None:
    rng = np.random.default_rng(seed)
    similarity, pieces = rng.standard_normal((12, 12)), rng.integers(0, 5, 12)
    takes, groups = rng.integers(0, 9, 12), rng.integers(0, 2, 12)
    order = rng.permutation(12)
    plain = retrieval(similarity, pieces, takes, groups, 4)
    turned = retrieval(similarity[np.ix_(order, order)], pieces[order], takes[order], groups[order], 4)
    place = {int(query): row for row, query in enumerate(plain.queries)}
    rows = [place[int(order[query])] for query in turned.queries]
    assert turned.places == pytest.approx(plain.places[rows])
    assert retrieval_metrics(turned).keys() == retrieval_metrics(plain).keys()


@given(SEEDS, st.sampled_from(["piece", "take", "group"]))
def test_what_is_no_candidate_changes_nothing(seed: int, barred: str) -> None:
    rng = np.random.default_rng(seed)
    similarity = rng.standard_normal((8, 8))
    numbers = {name: distinct(8) for name in ("piece", "take")} | {"group": np.zeros(8, dtype=np.int64)}
    numbers[barred] = np.where(
        np.arange(8) == 3, numbers[barred][0] if barred != "group" else 1, numbers[barred]
    )

    def hits(matrix: NDArray[np.float64]) -> Retrieval:
        return retrieval(matrix, numbers["piece"], numbers["take"], numbers["group"], 4)

    better = similarity.copy()
    better[0, 3], better[3, 0] = 99.0, 99.0
    assert (hits(better).places == hits(similarity).places).all()


def test_queries_without_candidates_are_left_out_and_nothing_is_made_up() -> None:
    found = retrieval(np.eye(3), [0, 0, 0], [0, 1, 2])
    assert found.left_out == 3
    assert np.isnan(found.median_rank)
    assert retrieval_metrics(found) == {"queries": 0.0, "queries_left_out": 3.0}


def test_the_metrics_say_how_large_pools_were() -> None:
    figures = retrieval_metrics(retrieval(np.eye(10), distinct(10), distinct(10)))
    assert figures["pool"] == figures["smallest_pool"] == 10
    assert figures["chance_at_1"] == pytest.approx(0.1)
    assert figures["recall_at_1"] == figures["recall_at_1_low"] == 1
    assert all(isinstance(value, float) and np.isfinite(value) for value in figures.values())


def test_a_matrix_that_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(ValueError, match="1 similarities are NaN"):
        retrieval(np.diag([1.0, np.nan]), [0, 1], [0, 1])
    with pytest.raises(ValueError, match=r"shape \(2, 3\)"):
        retrieval(np.zeros((2, 3)), [0, 1], [0, 1])
    with pytest.raises(ValueError, match="pool is 1"):
        retrieval(np.eye(2), [0, 1], [0, 1], pool=1)


def test_every_piece_counts_the_same() -> None:
    mean = mean_estimate([1.0, 1.0, 1.0, 0.0], [7, 7, 7, 2])
    assert mean.value == 0.5
    assert mean.groups == 2
    assert group_weights([7, 7, 7, 2]) == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])


@given(SEEDS, st.integers(1, 20))
def test_more_clips_of_a_piece_are_no_more_evidence(seed: int, times: int) -> None:
    values = np.random.default_rng(seed).random(6)
    once = mean_estimate(values, range(6), 200)
    repeated = mean_estimate(np.repeat(values, times), np.repeat(np.arange(6), times), 200)
    assert (once.low, once.high, once.value) == pytest.approx((repeated.low, repeated.high, repeated.value))


def test_one_piece_has_no_interval_and_none_no_figure() -> None:
    assert mean_estimate([0.5, 0.7], [3, 3]).metrics("f") == {"f": pytest.approx(0.6)}
    assert mean_estimate([], []).metrics("f") == {}
