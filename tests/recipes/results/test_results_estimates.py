"""Means, intervals and differences: properties of random values, and the known intervals of many groups."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from recipes.results.estimates import (
    bootstrap_estimates,
    group_weights,
    jackknife_estimate,
    mean_estimate,
)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.integers(0, 5))
def test_an_interval_lies_within_the_range_of_the_values_and_depends_only_on_the_seed(
    values: list[float], seed: int
) -> None:
    estimate = mean_estimate(values, resamples=200, seed=seed)
    assert estimate.value == pytest.approx(np.mean(values))
    assert min(values) - 1e-9 <= estimate.low <= estimate.high <= max(values) + 1e-9
    assert estimate == mean_estimate(values, resamples=200, seed=seed)


def test_an_interval_is_the_normal_one_for_many_groups_and_narrower_than_for_few() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.1, 400)
    many, few = mean_estimate(values, resamples=2000), mean_estimate(values[:10], resamples=2000)
    error = values.std() / np.sqrt(len(values))
    assert many.low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert many.high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)
    assert many.standard_error == pytest.approx(error, rel=0.1)
    assert few.high - few.low > many.high - many.low


def test_measures_of_the_same_groups_are_resampled_together() -> None:
    values = np.random.default_rng(1).random(20)
    assert mean_estimate(values).low == pytest.approx(1 - mean_estimate(1 - values).high)


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(1, 20))
def test_repeated_items_of_a_group_do_not_change_the_interval(seed: int, times: int) -> None:
    values = np.random.default_rng(seed).random(6)
    once = mean_estimate(values, resamples=200)
    groups = np.repeat([f"g{number}" for number in range(6)], times)
    repeated = mean_estimate(np.repeat(values, times), groups, 200)
    assert (once.value, once.low, once.high, once.groups) == pytest.approx(
        (repeated.value, repeated.low, repeated.high, repeated.groups)
    )
    assert group_weights(groups) == pytest.approx(np.full(6 * times, 1 / (6 * times)))


def test_every_group_has_the_same_weight() -> None:
    estimate = mean_estimate([1.0, 1.0, 1.0, 0.0], ["a", "a", "a", "b"])
    assert (estimate.value, estimate.groups) == (0.5, 2)
    assert group_weights([7, 7, 7, 2]) == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])


def test_nan_is_left_out() -> None:
    values = np.array([0.1, np.nan, 0.7, 0.4])
    assert mean_estimate(values) == mean_estimate(values[[0, 2, 3]])
    assert mean_estimate(values, [1, 1, 2, 3]) == mean_estimate(values[[0, 2, 3]])
    for empty in (mean_estimate([np.nan]), mean_estimate([], [])):
        assert (empty.text(), empty.groups, empty.metrics("f")) == ("–", 0, {})


def test_a_single_group_has_no_interval_and_equal_groups_have_an_empty_one() -> None:
    single = mean_estimate([0.2, 0.4], ["a", "a"])
    assert (single.text(), single.groups, single.standard_error) == ("0.300", 1, 0.0)
    assert single.metrics("f") == {"f": pytest.approx(0.3)}
    equal = mean_estimate([0.3, 0.3, 0.3])
    assert equal.text("+") == "+0.300 [+0.300, +0.300]"
    assert set(equal.metrics("f")) == {"f", "f_low", "f_high"}


def mean(values: NDArray[np.float64], items: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.array([values[items].mean()])


@pytest.mark.slow
def test_the_bootstrap_over_groups_has_its_nominal_coverage() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        values = rng.normal(1.0, 1.0, 40)
        groups = [str(item) for item in range(40)]
        (estimate,) = bootstrap_estimates(partial(mean, values), groups, 300, trial)
        covered += estimate.low <= 1.0 <= estimate.high
    assert 0.88 <= covered / 200 <= 0.99


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 99))
def test_both_bootstraps_give_the_same_interval_of_a_mean(seed: int) -> None:
    values = np.random.default_rng(seed).random(12)
    groups = [f"{item:02}" for item in range(12)]
    (estimate,) = bootstrap_estimates(partial(mean, values), groups, 300, seed)
    expected = mean_estimate(values, resamples=300, seed=seed)
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx(
        (expected.value, expected.low, expected.high)
    )


def test_the_bootstrap_of_a_statistic_draws_groups() -> None:
    values = np.repeat([0.0, 1.0, 1.0, 0.0, 1.0, 0.0], 50)
    (by_group,) = bootstrap_estimates(partial(mean, values), [str(k) for k in np.repeat(range(6), 50)])
    (by_item,) = bootstrap_estimates(partial(mean, values), [str(k) for k in range(300)])
    assert by_group.high - by_group.low > 4 * (by_item.high - by_item.low)


def test_undefined_statistics_and_a_single_group_have_no_interval() -> None:
    def statistic(items: NDArray[np.int64]) -> NDArray[np.float64]:
        seldom = 1.0 if len(set(items.tolist())) == 3 else np.nan
        often = 1.0 if 0 in items else np.nan
        return np.array([np.nan, float(len(items)), seldom, often])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        single_group = bootstrap_estimates(statistic, ["a", "a", "a"])
        never, size, seldom, often = bootstrap_estimates(statistic, ["a", "b", "c"])
    assert np.isnan([estimate.low for estimate in single_group]).all()
    assert np.isnan([never.value, never.low, seldom.low]).all()
    assert seldom.value == 1.0
    assert (size.low, size.high) == (3, 3)
    assert (often.low, often.high) == (1, 1)


def test_the_jackknife_of_a_mean_gives_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(5, 2, 40)
    estimate = jackknife_estimate(lambda items: float(values[items].mean()), len(values))
    error = 1.96 * values.std(ddof=1) / np.sqrt(40)
    assert (estimate.low, estimate.value, estimate.high) == pytest.approx(
        (values.mean() - error, values.mean(), values.mean() + error)
    )
    assert estimate.groups == 40
    assert np.isnan(jackknife_estimate(lambda items: float(values[items].mean()), 2).low)
    assert jackknife_estimate(lambda items: float(values[items].var()), 3, minimum=0.0).low == 0
