"""Short gaps are filled and counted, long ones refused."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.body.normalisation import MAX_GAP_SECONDS, fill_gaps
from motion_data.errors import DataError


@st.composite
def gapped(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], float]:
    """A whole motion, the same with short gaps, where they are, and the rate."""
    fps = draw(st.sampled_from([10.0, 25.0, 30.0, 60.0, 120.0]))
    frames, joints = draw(st.integers(30, 80)), draw(st.integers(1, 3))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    whole = np.cumsum(generator.normal(size=(frames, joints, 3)), axis=0)
    longest = int(MAX_GAP_SECONDS * fps + 1e-9)
    missing = np.zeros((frames, joints), dtype=bool)
    for joint in range(joints):
        for _ in range(draw(st.integers(0, 3))):
            first = draw(st.integers(0, frames - 1))
            missing[first : first + draw(st.integers(1, longest)), joint] = True
        runs = [len(list(run)) for lost, run in itertools.groupby(missing[:, joint]) if lost]
        if any(run > longest for run in runs):
            missing[:, joint] = False
    damaged = whole.copy()
    bad = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    # One lost coordinate makes the joint lost.
    damaged[missing, draw(st.integers(0, 2))] = bad
    return whole, damaged, missing, fps


@settings(deadline=None, max_examples=50)
@given(gapped())
def test_what_is_known_stays_and_what_is_filled_lies_between_its_neighbours(
    case: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], float],
) -> None:
    whole, damaged, missing, fps = case
    filled, count = fill_gaps(damaged, fps)
    assert count == missing.sum()
    assert np.isfinite(filled).all()
    assert (filled[~missing] == whole[~missing]).all()
    for joint in range(whole.shape[1]):
        known = np.flatnonzero(~missing[:, joint])
        for frame in np.flatnonzero(missing[:, joint]):
            around = [known[known < frame][-1:], known[known > frame][:1]]
            ends = whole[np.concatenate(around), joint]
            assert (filled[frame, joint] >= ends.min(axis=0) - 1e-9).all()
            assert (filled[frame, joint] <= ends.max(axis=0) + 1e-9).all()


@given(st.integers(1, 6), st.integers(3, 20), st.floats(-5, 5))
def test_a_straight_way_is_filled_exactly(length: int, first: int, speed: float) -> None:
    whole = np.arange(30.0)[:, None, None] * np.array([1.0, speed, 0.0]) + 3
    damaged = whole.copy()
    damaged[first : first + length] = np.nan
    filled, _ = fill_gaps(damaged, 30.0)
    np.testing.assert_allclose(filled, whole, atol=1e-9)


@given(st.integers(7, 15), st.integers(0, 14))
def test_a_long_gap_is_refused_by_joint_and_frames(length: int, first: int) -> None:
    joints = np.zeros((30, 4, 3))
    joints[first : first + length, 2] = np.nan
    with pytest.raises(DataError, match=rf"joint 2 \(knee\).*frames {first} to {first + length - 1}"):
        fill_gaps(joints, 30.0, ("hip", "thigh", "knee", "foot"))


def test_a_joint_that_never_is_there_is_refused() -> None:
    joints = np.zeros((2, 2, 3))
    joints[:, 1] = np.inf
    with pytest.raises(DataError, match="joint 1 is missing"):
        fill_gaps(joints, 30.0)


def test_without_gaps_nothing_is_copied() -> None:
    joints = np.zeros((5, 2, 3))
    assert fill_gaps(joints, 30.0)[0] is joints
