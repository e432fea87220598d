"""What is below both Nyquist frequencies stays, what is above goes, and nothing is shifted."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.body.kinematics import axis_angle_to_matrix
from motion_data.body.resampling import resample_positions, resample_rotations, resampled_length
from motion_data.errors import DataError

RATES = (24, 23.976, 25, 29.97, 30, 50, 59.94, 60, 100, 119.88, 120, 240)
rates = st.sampled_from(RATES)


def sine(hertz: float, frames: int, fps: float) -> NDArray[np.float64]:
    """(T, 2): the two phases of a sine, far from the origin."""
    turn = 2 * np.pi * hertz * np.arange(frames) / fps
    return np.stack([3 + np.sin(turn), 3 + np.cos(turn)], axis=1)


def inner(x: NDArray[np.float64], fps: float, seconds: float) -> NDArray[np.float64]:
    """Without what the ends may touch."""
    cut = math.ceil(seconds * fps)
    return x[cut : len(x) - cut]


class TestPositions:
    @settings(deadline=None)
    @given(rates, rates, st.integers(1, 40))
    def test_a_body_at_rest_stays_at_rest(self, fps_in: float, fps_out: float, frames: int) -> None:
        x = np.broadcast_to(np.array([[1e3, -2.5], [0, 7]]), (frames, 2, 2))
        y = resample_positions(x, fps_in, fps_out)
        assert y.shape == (resampled_length(frames, fps_in, fps_out), 2, 2)
        np.testing.assert_allclose(y, np.broadcast_to(x[:1], y.shape), rtol=1e-12)

    @settings(deadline=None)
    @given(rates, rates)
    def test_a_straight_walk_stays_straight_to_its_ends(self, fps_in: float, fps_out: float) -> None:
        walk = 1.5 * np.arange(round(4 * fps_in)) / fps_in
        y = resample_positions(walk, fps_in, fps_out)
        np.testing.assert_allclose(y, 1.5 * np.arange(len(y)) / fps_out, atol=1e-4)

    @settings(deadline=None)
    @given(rates, rates, st.floats(0.01, 0.8))
    def test_what_both_rates_can_show_is_kept_where_it_was(
        self, fps_in: float, fps_out: float, share: float
    ) -> None:
        hertz = share * min(fps_in, fps_out) / 2
        y = resample_positions(sine(hertz, round(6 * fps_in), fps_in), fps_in, fps_out)
        expected = sine(hertz, len(y), fps_out)
        np.testing.assert_allclose(inner(y, fps_out, 1.5), inner(expected, fps_out, 1.5), atol=1e-2)

    @settings(deadline=None)
    @given(
        st.sampled_from([(120, 30), (60, 30), (59.94, 25), (100, 29.97), (240, 60)]), st.floats(0.01, 0.99)
    )
    def test_what_the_new_rate_cannot_show_is_removed(self, fps: tuple[float, float], between: float) -> None:
        fps_in, fps_out = fps
        lowest, highest = 1.2 * fps_out / 2, fps_in / 2
        hertz = lowest + between * (highest - lowest)
        y = resample_positions(sine(hertz, round(6 * fps_in), fps_in), fps_in, fps_out)
        np.testing.assert_allclose(inner(y, fps_out, 1.5), 3, atol=1e-2)

    @settings(deadline=None)
    @given(rates, st.sampled_from([1.5, 2, 2.5, 3.7]), st.integers(0, 10**6))
    def test_up_and_down_again_is_the_same(self, fps: float, factor: float, seed: int) -> None:
        draw = np.random.default_rng(seed)
        seconds = np.arange(round(5 * fps)) / fps
        x = sum(
            draw.normal() * np.sin(2 * np.pi * hertz * seconds + draw.uniform(0, 6))
            for hertz in draw.uniform(0, 0.4 * fps, 5)
        )
        back = resample_positions(resample_positions(x, fps, factor * fps), factor * fps, fps)
        np.testing.assert_allclose(
            inner(back[: len(x)], fps, 1.5), inner(np.asarray(x), fps, 1.5), atol=1e-2 * np.abs(x).max()
        )

    @settings(deadline=None)
    @given(rates, st.integers(1, 30), st.integers(0, 10**6))
    def test_the_same_rate_changes_nothing(self, fps: float, frames: int, seed: int) -> None:
        x = np.random.default_rng(seed).normal(size=(frames, 3, 3))
        y = resample_positions(x, fps, fps)
        np.testing.assert_array_equal(y, x)
        assert not np.shares_memory(x, y)

    def test_coordinates_do_not_touch_each_other(self) -> None:
        x = np.random.default_rng(0).normal(size=(50, 4, 3))
        y = resample_positions(x, 30, 50)
        for joint in range(4):
            np.testing.assert_allclose(y[:, joint], resample_positions(x[:, joint], 30, 50), atol=1e-12)

    @settings(deadline=None)
    @given(st.integers(1, 10**5), rates, rates)
    def test_the_length_is_that_of_the_time(self, frames: int, fps_in: float, fps_out: float) -> None:
        seconds = frames / fps_in
        rounding = 1e-6 * frames
        beyond = resampled_length(frames, fps_in, fps_out) - seconds * fps_out
        assert -rounding <= beyond < 1 + rounding


class TestRotations:
    @settings(deadline=None)
    @given(rates, rates, st.integers(0, 10**6), st.floats(0, 2.5))
    def test_constant_angular_velocity_is_exact(
        self, fps_in: float, fps_out: float, seed: int, step: float
    ) -> None:
        """Also over the flip from +π to −π, and whatever way the angles are written."""
        draw = np.random.default_rng(seed)
        axis = draw.normal(size=3)
        axis /= np.linalg.norm(axis)
        frames = 20
        angles = step * np.arange(frames)
        written = (angles + np.pi) % (2 * np.pi) - np.pi
        y = resample_rotations((written[:, None] * axis)[:, None], fps_in, fps_out)
        times = np.minimum(np.arange(len(y)) / fps_out, (frames - 1) / fps_in)
        expected = axis_angle_to_matrix((step * times * fps_in)[:, None] * axis)
        np.testing.assert_allclose(axis_angle_to_matrix(y[:, 0]), expected, atol=1e-6)

    @settings(deadline=None)
    @given(rates, rates, st.integers(0, 10**6))
    def test_frames_at_the_same_time_are_the_same_and_none_overshoots(
        self, fps_in: float, fps_out: float, seed: int
    ) -> None:
        x = np.random.default_rng(seed).normal(size=(12, 2, 3))
        y = resample_rotations(x, fps_in, fps_out)
        assert y.shape == (resampled_length(12, fps_in, fps_out), 2, 3)
        doubled = resample_rotations(x, 30, 60)
        np.testing.assert_allclose(axis_angle_to_matrix(doubled[:-1:2]), axis_angle_to_matrix(x), atol=1e-9)
        before, after = axis_angle_to_matrix(x[:-1]), axis_angle_to_matrix(x[1:])
        middle = axis_angle_to_matrix(doubled[1:-1:2])
        first, second = (
            np.trace(one.swapaxes(-1, -2) @ other, axis1=-2, axis2=-1)
            for one, other in ((before, middle), (middle, after))
        )
        np.testing.assert_allclose(first, second, atol=1e-9)

    @settings(deadline=None)
    @given(rates, st.integers(1, 10), st.integers(0, 10**6))
    def test_the_same_rate_changes_nothing(self, fps: float, frames: int, seed: int) -> None:
        x = np.random.default_rng(seed).normal(size=(frames, 3, 3)) * 4
        np.testing.assert_array_equal(resample_rotations(x, fps, fps), x)

    def test_one_frame_and_no_joint(self) -> None:
        one = np.array([[[0.1, 0.2, 0.3]]])
        np.testing.assert_array_equal(resample_rotations(one, 30, 60), np.repeat(one, 2, axis=0))
        assert resample_rotations(np.zeros((1, 0, 3)), 30, 60).shape == (2, 0, 3)
        assert resample_rotations(np.zeros((5, 0, 3)), 30, 60).shape == (10, 0, 3)


@pytest.mark.parametrize("resample", [resample_positions, resample_rotations])
class TestRefused:
    @pytest.mark.parametrize("fps", [0.0, -30.0, 1.0, 1e4, math.nan, math.inf])
    def test_rates_that_cannot_be(self, resample: object, fps: float) -> None:
        assert callable(resample)
        for pair in ((fps, 30), (30, fps)):
            with pytest.raises(DataError, match="frames a second; expected 5 to 1000"):
                resample(np.zeros((4, 2, 3)), *pair)

    def test_nan_and_nothing(self, resample: object) -> None:
        assert callable(resample)
        with pytest.raises(DataError, match="1 of 24 numbers are NaN"):
            resample(np.where(np.arange(24).reshape(4, 2, 3) == 5, np.nan, 0.0), 30, 60)
        with pytest.raises(DataError, match="at least one frame"):
            resample(np.zeros((0, 2, 3)), 30, 60)


def test_rotations_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match=r"expected \(T, K, 3\)"):
        resample_rotations(np.zeros((4, 72)), 30, 60)
