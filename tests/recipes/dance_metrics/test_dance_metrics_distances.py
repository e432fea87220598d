"""Fréchet distance and diversity: against scipy's definition, the published code, and a loop."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import sqrtm

from motion_data.errors import DataError
from recipes.dance_metrics.feature_distances import (
    diversity,
    gaussian_distance,
    truth_scale,
)


def features(seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(50, 8) generated and (60, 8) true ones, the true ones correlated."""
    draw = np.random.default_rng(seed)
    truth = draw.normal(0, 1, (60, 8)) @ draw.normal(0, 1, (8, 8))
    return draw.normal(0.3, 1.2, (50, 8)), truth


def frechet_distance(made: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """On the truth's scale."""
    scale = truth_scale(truth)
    return gaussian_distance(scale.normalised(made), scale.normalised(truth))


def by_definition(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    away = one.mean(axis=0) - other.mean(axis=0)
    return float(away @ away + np.trace(first + second - 2 * np.real(sqrtm(first @ second))))


def test_the_published_code_gives_the_same() -> None:
    # Computed once, outside this project, by a transcription of calculate_frechet_feature_distance of
    # google-research/mint, tools/calculate_fid_scores.py.
    made, truth = features(6)
    assert frechet_distance(made, truth) == pytest.approx(4.129104519512175, rel=1e-6)
    assert truth_scale(truth).warnings(len(made), len(truth)) == []
    assert diversity(truth_scale(truth).normalised(made)).value == pytest.approx(1.5324581461608904, rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_distance_by_its_definition(seed: int) -> None:
    made, truth = features(seed)
    assert gaussian_distance(made, truth) == pytest.approx(by_definition(made, truth), rel=1e-8)
    assert gaussian_distance(truth, made) == pytest.approx(gaussian_distance(made, truth))


def test_one_dimension_by_hand() -> None:
    one, other = np.array([[0.0], [2.0], [4.0]]), np.array([[9.0], [10.0], [11.0]])
    assert gaussian_distance(one, other) == pytest.approx(8**2 + (2 - 1) ** 2)


def test_a_set_is_no_distance_from_itself() -> None:
    _, truth = features(0)
    assert frechet_distance(truth, truth) == pytest.approx(0, abs=1e-10)
    few = truth[:4]
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-10)


def test_too_few_dances_are_said_and_give_a_number() -> None:
    made, truth = features(0)
    assert 0 < frechet_distance(made[:5], truth) < np.inf
    (warning,) = truth_scale(truth).warnings(5, len(truth))
    assert "5 generated and 60 true dances for 8 features: a covariance needs 9" in warning
    for one, other in ((made[:1], truth), (made, truth[:1])):
        with pytest.raises(DataError, match=r"features of 1 dance\(s\); expected at least 2"):
            frechet_distance(one, other)


def test_a_feature_that_never_varies_is_left_out_and_said() -> None:
    made, truth = features(0)
    padded = np.insert(truth, 3, 0.25, axis=1)
    found = frechet_distance(np.insert(made, 3, made[:, 0], axis=1), padded)
    assert found == pytest.approx(frechet_distance(made, truth))
    assert truth_scale(padded).warnings(len(made), len(truth)) == [
        "1 of 9 features are the same in every true dance and left out of the distances"
    ]
    with pytest.raises(DataError, match="60 true dances are identical"):
        frechet_distance(made, np.zeros_like(truth))


def test_features_that_are_none_are_refused() -> None:
    made, truth = features(0)
    with pytest.raises(DataError, match="7 features; expected 8"):
        frechet_distance(made[:, 1:], truth)
    with pytest.raises(DataError, match=r"shape \(8,\)"):
        frechet_distance(made[0], truth)
    made[0, 0] = np.inf
    with pytest.raises(DataError, match="1 of 400 features are NaN or infinite"):
        frechet_distance(made, truth)


def test_diversity_against_a_loop() -> None:
    made, _ = features(1)
    pairs = [math.dist(a, b) for k, a in enumerate(made) for b in made[:k]]
    assert diversity(made).value == pytest.approx(sum(pairs) / len(pairs))
    with pytest.raises(DataError, match="at least 2"):
        diversity(made[:1])
