"""Rotations fitted to joints: kinematics bring the joints back, against loops, scipy and real captures."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from motion_data.body.kinematics import REST, axis_angle_to_matrix, forward_kinematics
from motion_data.body.rotation_fit import CHILDREN, PosedBody, fit_rotations, kabsch_rotation, posed_body
from motion_data.corpora.bvh import read_bvh
from motion_data.corpora.constructed.dancer import STYLES, dance
from motion_data.errors import DataError
from motion_data.motion import Motion
from motion_data.skeleton import INDEX, JOINTS, PARENTS
from motionbeat_upstream.tracking.grid import regular_grid
from tests.shared_data import shared

Array = NDArray[np.float64]


def errors(body: PosedBody, joints: NDArray[np.floating[Any]]) -> Array:
    """(T, 22) metres between a posed body and joints."""
    away = forward_kinematics(body.rotations, body.root, body.rest) - joints
    distance: Array = np.linalg.norm(away, axis=2)
    return distance


def someone(generator: np.random.Generator, frames: int, wide: float = 1.0) -> tuple[Array, Array, Array]:
    """A body of other proportions and shape than REST's, in random poses: joints, rest pose, rotations."""
    bones = REST - REST[[max(parent, 0) for parent in PARENTS]]
    bones = bones * generator.uniform(0.7, 1.3, (len(JOINTS), 1)) + generator.normal(0, 0.01, bones.shape)
    rest = np.zeros_like(REST)
    for joint, parent in enumerate(PARENTS[1:], 1):
        rest[joint] = rest[parent] + bones[joint]
    rotations = generator.normal(0, wide, (frames, len(JOINTS), 3))
    return forward_kinematics(rotations, generator.normal(0, 2, (frames, 3)), rest), rest, rotations


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.sampled_from([0.01, 0.5, 3.0]))
def test_any_rigid_body_comes_back_from_any_poses(seed: int, frames: int, wide: float) -> None:
    joints, rest, _ = someone(np.random.default_rng(seed), frames, wide)
    body = fit_rotations(joints)
    assert errors(body, joints).max() < 1e-9
    bones = [np.linalg.norm(rest[joint] - rest[parent]) for joint, parent in enumerate(PARENTS) if joint]
    own = [
        np.linalg.norm(body.rest[joint] - body.rest[parent]) for joint, parent in enumerate(PARENTS) if joint
    ]
    np.testing.assert_allclose(own, bones, atol=1e-9)
    ends = [joint for joint, children in enumerate(CHILDREN) if not children]
    assert [JOINTS[joint] for joint in ends] == [
        "left_foot",
        "right_foot",
        "head",
        "left_wrist",
        "right_wrist",
    ]
    assert not body.rotations[:, ends].any()


@pytest.mark.parametrize("style", [style for styles in STYLES.values() for style in styles[:4]])
def test_dances_come_back_and_nothing_flips(style: str) -> None:
    metre = next(metre for metre, styles in STYLES.items() if style in styles)
    grid = regular_grid(8.0, 110.0, metre)
    motion = dance(grid, style, 8.0, 0.8, np.random.default_rng(3), 30.0)
    body = posed_body(motion)
    assert errors(body, motion.joints).max() < 1e-6
    for joint in range(len(JOINTS)):
        turns = Rotation.from_rotvec(body.rotations[:, joint])
        assert (turns[:-1].inv() * turns[1:]).magnitude().max() < np.radians(45), JOINTS[joint]


def test_a_minute_takes_under_two_seconds() -> None:
    joints, _, _ = someone(np.random.default_rng(0), 1800)
    begin = time.perf_counter()
    fit_rotations(joints)
    assert time.perf_counter() - begin < 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mean", "most"),
    [
        ("cmu_salsa/60_01", 1e-4, 0.01),
        ("bandai_namco/dataset-1_dance-short_normal_001", 1e-6, 1e-6),
        ("animated_drawings/jesse_dance", 1e-4, 1e-3),
    ],
)
def test_real_captures_come_back(name: str, mean: float, most: float) -> None:
    motion = read_bvh(shared(f"motion/{name}.bvh"))
    away = errors(posed_body(motion), motion.joints)
    assert away.mean() < mean
    assert away.max() < most


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.booleans())
def test_the_best_rotation_is_scipys(seed: int, count: int, mirrored: bool) -> None:
    generator = np.random.default_rng(seed)
    shape, seen = generator.normal(size=(count, 3)), generator.normal(size=(4, count, 3))
    if mirrored:
        seen = shape * [-1.0, 1.0, 1.0] + 0.01 * seen
    found = kabsch_rotation(shape, seen)
    np.testing.assert_allclose(found @ found.swapaxes(1, 2), np.tile(np.eye(3), (4, 1, 1)), atol=1e-9)
    assert (np.linalg.det(found) > 0).all()
    for frame in range(4):
        theirs = Rotation.align_vectors(seen[frame], shape)[0].as_matrix()
        ours = ((shape @ found[frame].T - seen[frame]) ** 2).sum()
        assert ours <= ((shape @ theirs.T - seen[frame]) ** 2).sum() + 1e-9


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_a_bone_takes_the_shortest_turn(seed: int) -> None:
    """A loop over joints with one child: the angle is that between the two directions."""
    joints, _, _ = someone(np.random.default_rng(seed), 3)
    body = fit_rotations(joints)
    local = axis_angle_to_matrix(body.rotations)
    for frame in range(3):
        facing: list[Array] = []
        for joint, children in enumerate(CHILDREN):
            parent = facing[PARENTS[joint]] if joint else np.eye(3)
            facing.append(parent @ local[frame, joint])
            if len(children) == 1:
                rest = body.rest[children[0]] - body.rest[joint]
                seen = parent.T @ (joints[frame, children[0]] - joints[frame, joint])
                cosine = rest @ seen / np.linalg.norm(rest) / np.linalg.norm(seen)
                angle = np.arccos(np.clip(cosine, -1, 1))
                assert np.linalg.norm(body.rotations[frame, joint]) == pytest.approx(angle, abs=1e-6)


def test_a_bone_against_its_rest_and_bones_without_length() -> None:
    joints = np.tile(REST, (3, 1, 1))
    elbow, wrist = INDEX["left_elbow"], INDEX["left_wrist"]
    joints[1, wrist] = 2 * joints[1, elbow] - joints[1, wrist]
    # A source without the balls of the feet has them at the ankles; a tracker may put a wrist in the elbow.
    for side in ("left", "right"):
        joints[:, INDEX[f"{side}_foot"]] = joints[:, INDEX[f"{side}_ankle"]]
    joints[2, wrist] = joints[2, elbow]
    body = fit_rotations(joints)
    assert np.isfinite(body.rotations).all()
    away = errors(body, joints)
    assert away[:2].max() < 1e-9
    assert np.linalg.norm(body.rotations[1, elbow]) == pytest.approx(np.pi)
    np.testing.assert_allclose(body.rotations[2], 0, atol=1e-12)


def test_rotations_that_are_there_are_kept() -> None:
    joints, rest, rotations = someone(np.random.default_rng(5), 9)
    body = posed_body(Motion(30.0, JOINTS, joints, 0.0, rotations))
    np.testing.assert_array_equal(body.rotations, rotations.astype(np.float32))
    np.testing.assert_allclose(body.rest, rest - rest[0], atol=1e-5)
    assert errors(body, joints).max() < 1e-5
    # Those of some joints alone do not pose a body.
    fitted = posed_body(Motion(30.0, JOINTS, joints, 0.0, rotations[:, :5]))
    assert not fitted.rotations[:, INDEX["head"]].any()
    assert errors(fitted, joints).max() < 1e-5


def test_what_is_no_body_is_refused() -> None:
    with pytest.raises(DataError, match="the motion has no joints; expected the 22 of the common skeleton"):
        posed_body(Motion(30.0, (), np.zeros((4, 0, 3))))
    with pytest.raises(DataError, match=r"2 joints \(a, b\)"):
        posed_body(Motion(30.0, ("a", "b"), np.zeros((4, 2, 3))))
    with pytest.raises(DataError, match=r"shape \(0, 22, 3\)"):
        fit_rotations(np.zeros((0, 22, 3)))
