from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.statistics.mean_interval import mean_interval


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.integers(0, 5))
def test_lies_among_the_values_around_their_mean_and_is_set_by_the_seed(
    values: list[float], seed: int
) -> None:
    interval = mean_interval(np.array(values), 200, seed)
    assert interval is not None
    low, high = interval
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9
    assert interval == mean_interval(np.array(values), 200, seed)


def test_is_the_normal_one_for_many_rows_and_narrower_than_for_few() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.1, (400, 2))
    many, few = mean_interval(values, 2000), mean_interval(values[:10], 2000)
    assert many is not None
    assert few is not None
    error = values.std(0) / np.sqrt(len(values))
    for bound, sign in zip(many, (-1, 1), strict=True):
        assert bound == pytest.approx(values.mean(0) + sign * 1.96 * error, abs=0.2 * error.max())
    assert (few[1] - few[0] > many[1] - many[0]).all()


def test_columns_are_drawn_together() -> None:
    values = np.random.default_rng(1).random(20)
    both, alone = mean_interval(np.stack([values, 1 - values], 1)), mean_interval(values)
    assert both is not None
    assert alone is not None
    assert both[0][0] == pytest.approx(alone[0])
    assert both[0][0] == pytest.approx(1 - both[1][1])


def test_a_single_row_has_none_and_equal_rows_have_no_width() -> None:
    assert mean_interval(np.array([0.3])) is None
    interval = mean_interval(np.full((3, 2), 0.3))
    assert interval is not None
    assert (interval[0] == interval[1]).all()
