"""Retrieval of the own motion among hard negatives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_data.negatives.recipe import Negative
from recipes.pairing.hard_retrieval import (
    hard_retrieval,
    hard_retrieval_metrics,
    negative_kinds,
)

KINDS = [("jittered", 1.0), ("jittered", -0.25), ("jittered", 0.25), ("stretched", 1.2), ("other", 2.0)]
SEEDS = st.integers(0, 10_000)


@given(SEEDS, st.integers(1, 12), st.integers(0, 30))
@settings(max_examples=40)
def test_equals_a_count_by_hand(seed: int, clips: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    own, negatives = rng.integers(0, 4, clips) / 4, rng.integers(0, 4, rows) / 4
    owner, pieces = rng.integers(0, clips, rows), rng.integers(0, 5, clips)
    kinds = [KINDS[k] for k in rng.integers(0, len(KINDS), rows)]
    scores = hard_retrieval(own, negatives, owner, kinds, pieces)

    def by_piece(values: list[tuple[int, float]]) -> float:
        return float(np.mean([np.mean([v for p, v in values if p == q]) for q in {p for p, _ in values}]))

    firsts, chances, left_out = [], [], 0
    for clip in range(clips):
        others = negatives[owner == clip]
        if not len(others):
            left_out += 1
            continue
        tied = int((others == own[clip]).sum())
        firsts.append((int(pieces[clip]), 0.0 if (others > own[clip]).any() else 1 / (1 + tied)))
        chances.append((int(pieces[clip]), 1 / (1 + len(others))))
    assert scores.left_out == left_out
    if firsts:
        assert scores.accuracy.value == pytest.approx(by_piece(firsts))
        assert scores.chance == pytest.approx(by_piece(chances))
    for label, (kind, amount) in {
        "jittered_1": ("jittered", 1.0),
        "jittered_0.25": ("jittered", 0.25),
        "stretched": ("stretched", None),
        "other": ("other", None),
        "jittered": ("jittered", None),
    }.items():
        wins = [
            (int(pieces[clip]), 1.0 if own[clip] > score else 0.5 if own[clip] == score else 0.0)
            for score, clip, (its_kind, its_amount) in zip(negatives, owner, kinds, strict=True)
            if its_kind == kind and amount in (None, abs(its_amount))
        ]
        assert (label in scores.by_kind) == bool(wins)
        if wins:
            assert scores.by_kind[label].value == pytest.approx(by_piece(wins))


def test_perfect_similarities_score_1_and_constant_ones_are_at_chance() -> None:
    owner = np.repeat(np.arange(20), 5)
    kinds = KINDS * 20
    perfect = hard_retrieval(np.ones(20), np.zeros(100), owner, kinds, np.arange(20))
    assert perfect.accuracy.value == 1
    assert perfect.chance == pytest.approx(1 / 6)
    assert perfect.negatives == 5
    constant = hard_retrieval(np.ones(20), np.ones(100), owner, kinds, np.arange(20))
    assert constant.accuracy.value == pytest.approx(1 / 6)
    assert {mean.value for mean in constant.by_kind.values()} == {0.5}


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_the_order_of_clips_and_of_negatives_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    own, negatives, owner = rng.random(8), rng.random(30), rng.integers(0, 8, 30)
    pieces, kinds = rng.integers(0, 4, 8), [KINDS[k] for k in rng.integers(0, 5, 30)]
    metrics = hard_retrieval_metrics(hard_retrieval(own, negatives, owner, kinds, pieces))
    clips, rows = rng.permutation(8), rng.permutation(30)
    inverse = np.argsort(clips)
    permuted = hard_retrieval(
        own[clips], negatives[rows], inverse[owner[rows]], [kinds[r] for r in rows], pieces[clips]
    )
    for name, value in hard_retrieval_metrics(permuted).items():
        assert value == pytest.approx(metrics[name]), name


def test_metrics_are_finite_and_undefined_ones_are_left_out() -> None:
    none = hard_retrieval_metrics(hard_retrieval(np.ones(3), np.ones(0), np.zeros(0, int), [], np.arange(3)))
    assert none == {"negatives": 0.0, "queries_left_out": 3.0}
    some = hard_retrieval_metrics(
        hard_retrieval(np.ones(3), np.zeros(5), np.zeros(5, int), KINDS, np.arange(3))
    )
    assert some["beats_jittered_0.25"] == some["accuracy"] == 1
    assert all(isinstance(value, float) and np.isfinite(value) for value in some.values())


def test_nan_and_inconsistent_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        hard_retrieval(np.array([np.nan]), np.ones(1), np.zeros(1, int), KINDS[:1], [0])
    with pytest.raises(ValueError, match="1 owners"):
        hard_retrieval(np.ones(1), np.ones(2), np.zeros(1, int), KINDS[:1], [0])


def test_kinds_are_in_the_order_of_the_negatives() -> None:
    def negative(kind: str, amount: float) -> Negative:
        return Negative(kind, 0, amount, (0.0, 1.0), (0.0, 1.0), 1.0)

    kinds = [("jittered", 1.0), ("other", 2.0), ("stretched", 1.3)]
    assert negative_kinds(negative(kind, amount) for kind, amount in kinds) == kinds
