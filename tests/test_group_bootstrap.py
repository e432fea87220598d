"""The bootstrap over groups."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from recipes.statistics.group_bootstrap import group_interval


def test_with_one_item_a_group_it_covers_the_mean_as_often_as_it_says() -> None:
    draw = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        values = draw.normal(1.0, 1.0, 40)

        def mean(items: NDArray[np.int64], values: NDArray[np.float64] = values) -> NDArray[np.float64]:
            return np.array([values[items].mean()])

        found = group_interval(mean, [str(k) for k in range(40)], 300, trial)
        assert found is not None
        covered += bool(found[0][0] <= 1.0 <= found[1][0])
    assert 0.88 <= covered / 200 <= 0.99


def test_many_alike_items_are_no_more_evidence_than_one() -> None:
    values = np.repeat([0.0, 1.0, 1.0, 0.0, 1.0, 0.0], 50)
    groups = [str(k) for k in np.repeat(range(6), 50)]

    def mean(items: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.array([values[items].mean()])

    by_group = group_interval(mean, groups)
    by_item = group_interval(mean, [str(k) for k in range(300)])
    assert by_group is not None
    assert by_item is not None
    assert by_group[1][0] - by_group[0][0] > 4 * (by_item[1][0] - by_item[0][0])


def test_one_group_says_nothing_and_what_is_undefined_has_no_ends() -> None:
    def figures(items: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.array([np.nan, float(len(items))])

    assert group_interval(figures, ["a", "a", "a"]) is None
    found = group_interval(figures, ["a", "b", "b"])
    assert found is not None
    assert np.isnan([found[0][0], found[1][0]]).all()
    assert (found[0][1], found[1][1]) == pytest.approx((2, 4))
