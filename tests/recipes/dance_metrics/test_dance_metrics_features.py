"""Kinetic and geometric features: against what the published code gives, and what must hold of any.

The numbers were computed once, outside this project, by a transcription of the published code on
``swaying(seed, 181, 60.0)``: features/manual.py and features/utils.py of google/aistplusplus_api, and its
kinetic.py as LinghaoChan/Motion2Motion_codes (utils/features) has it, since the original was not at hand.
"""

import numpy as np
import pytest

from motion_data.errors import DataError
from motion_data.skeleton import INDEX, SMPL_JOINTS, SMPL_PARENTS
from recipes.dance_metrics.dance import HAND_LENGTH, SMPL_INDEX, Dance, with_hands
from recipes.dance_metrics.dance_features import geometric_features, kinetic_features
from tests.dancing import constructed, swaying
from tests.fabricated_smpl import SMPL_PARENTS as PUBLISHED_PARENTS
from tests.moving_body import moving_body

KINETIC = (
    *(1.6112187, 0.6035995, 18.061832, 0.3857431, 0.3164195, 6.291729, 2.182183, 0.0671181, 17.624317),
    *(0.4200794, 0.3435825, 10.461723, 0.9812238, 0.8011753, 16.864367, 1.312394, 0.0953524, 13.686685),
)
"""Of seed 0, the first six joints."""

KINETIC_SUMS = (32.0497, 15.6931, 398.4783)
"""Over all joints: horizontal, vertical, expenditure."""

GEOMETRIC = {
    0: (
        *(75, 64, 0, 0, 78, 78, 180, 110, 0, 81, 84, 80, 175, 176, 169, 96, 131, 180, 156, 136, 160, 178),
        *(180, 180, 152, 100, 123, 180, 0, 116, 167, 180),
    ),
    1: (
        *(129, 67, 98, 0, 66, 66, 118, 133, 0, 84, 85, 78, 180, 176, 180, 0, 180, 180, 7, 180, 180, 167),
        *(179, 156, 180, 180, 180, 0, 0, 0, 180, 180),
    ),
}
"""By seed: frames of 180 in which each relation is given."""


def test_kinetic_features_are_the_published_ones() -> None:
    features = kinetic_features(swaying(0, 181, 60.0), 60.0)
    assert features.shape == (72,)
    np.testing.assert_allclose(features[:18], KINETIC, rtol=1e-5)
    np.testing.assert_allclose(features.reshape(24, 3).sum(axis=0), KINETIC_SUMS, rtol=1e-5)


@pytest.mark.parametrize("seed", GEOMETRIC)
def test_geometric_features_are_the_published_ones(seed: int) -> None:
    features = geometric_features(swaying(seed, 181, 60.0), 60.0)
    assert features.shape == (32,)
    np.testing.assert_allclose(features * 180, GEOMETRIC[seed], atol=1e-6)


def test_kinetic_features_of_a_steady_glide() -> None:
    joints = np.repeat(swaying(0, 1, 60.0), 120, axis=0)
    joints += np.arange(120)[:, None, None] / 60 * np.array([3.0, 2.0, 4.0])
    features = kinetic_features(joints, 60.0).reshape(24, 3)
    np.testing.assert_allclose(features, np.tile([25.0, 4.0, 0.0], (24, 1)), atol=1e-8)


def test_features_are_the_same_at_any_frame_rate() -> None:
    # The constructed dancer's feet are faster than 30 frames per second show; sums of sines are not.
    for rate in (30.0, 50.0, 120.0):
        other = swaying(0, round(5 * rate) + 1, rate)
        np.testing.assert_allclose(
            kinetic_features(other, rate), kinetic_features(swaying(0, 301, 60.0), 60.0), rtol=0.02
        )
        np.testing.assert_allclose(
            geometric_features(other, rate), geometric_features(swaying(0, 301, 60.0), 60.0), atol=0.02
        )
    fast, slow = constructed(1), constructed(1, fps=30.0)
    np.testing.assert_allclose(
        kinetic_features(fast.joints, 60.0), kinetic_features(slow.joints, 30.0), rtol=0.15, atol=0.05
    )
    np.testing.assert_allclose(
        geometric_features(fast.joints, 60.0), geometric_features(slow.joints, 30.0), atol=0.03
    )


def test_features_of_a_frozen_body() -> None:
    joints = np.repeat(swaying(0, 1, 60.0), 60, axis=0)
    assert not kinetic_features(joints, 60.0).any()
    assert set(geometric_features(joints, 60.0)) <= {0.0, 1.0}


def test_a_relation_of_points_that_coincide_is_not_given() -> None:
    joints = np.repeat(swaying(0, 1, 60.0), 60, axis=0)
    joints[:, SMPL_INDEX["right_elbow"]] = joints[:, SMPL_INDEX["right_shoulder"]]
    with np.errstate(all="raise"):
        assert geometric_features(joints, 60.0)[6] == 0


def test_hands_continue_the_forearms() -> None:
    joints = moving_body()
    joints[0, INDEX["left_wrist"]] = joints[0, INDEX["left_elbow"]]
    body = with_hands(joints)
    np.testing.assert_array_equal(body[:, :22], joints)
    forearm = body[:, SMPL_INDEX["right_wrist"]] - body[:, SMPL_INDEX["right_elbow"]]
    hand = body[:, SMPL_INDEX["right_hand"]] - body[:, SMPL_INDEX["right_wrist"]]
    np.testing.assert_allclose(np.linalg.norm(hand, axis=1), HAND_LENGTH)
    np.testing.assert_allclose(np.cross(forearm, hand), 0, atol=1e-12)
    assert ((forearm * hand).sum(axis=1) > 0).all()
    np.testing.assert_array_equal(body[0, SMPL_INDEX["left_hand"]], joints[0, INDEX["left_wrist"]])
    with pytest.raises(DataError, match=r"\(60, 21, 3\)"):
        with_hands(joints[:, 1:])


def test_the_joints_are_smpls() -> None:
    assert len(SMPL_JOINTS) == 24
    assert SMPL_PARENTS == PUBLISHED_PARENTS


def test_what_is_no_dance_is_refused() -> None:
    joints = swaying(0, 60, 60.0)
    for wrong, fps, message in (
        (joints[:, :22], 60.0, r"\(60, 22, 3\); expected \(T, 24, 3\)"),
        (joints[:20], 60.0, "20 frames at 60 per second; expected at least 0.5 s"),
        (joints, 0.0, "0 frames per second"),
        (joints * 100, 60.0, "left thigh is .* long; expected 0.1 to 1 m"),
    ):
        with pytest.raises(DataError, match=message):
            Dance("wrong", wrong, fps)
    joints[3, 5, 1] = np.nan
    with pytest.raises(DataError, match="1 joint positions are NaN"):
        Dance("wrong", joints, 60.0)
