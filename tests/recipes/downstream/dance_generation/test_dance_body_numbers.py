"""A body in numbers and back, and where it stands."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from motion_data.body.kinematics import REST, axis_angle_to_matrix, forward_kinematics
from motion_data.motion import Motion
from motion_data.skeleton import INDEX, JOINTS, PARENTS
from recipes.downstream.dance_generation.body_numbers import (
    CONTACT_JOINTS,
    CONTACTS,
    MAX_CONTACT_STEP,
    BodyNumbers,
    JointNumbers,
    Placement,
    RotationNumbers,
    contacts,
    placement_of,
)
from recipes.downstream.dance_generation.rigid import BLOCK_FRAMES, fix_bone_lengths
from recipes.downstream.dance_generation.song_dance import start_numbers
from tests.dances import constructed, small_model


def bodies(seed: int, size: int = 2, frames: int = 5) -> tuple[Tensor, Tensor]:
    """Random rotations of the resting body: (B, T, 22, 3) joints and (B, T, 22, 3, 3) matrices."""
    draw = np.random.default_rng(seed)
    turns = draw.normal(0, 0.6, (size * frames, len(JOINTS), 3))
    root = draw.normal(0, 2.0, (size * frames, 3))
    joints = forward_kinematics(turns, root)
    return (
        torch.from_numpy(joints).float().unflatten(0, (size, frames)),
        torch.from_numpy(axis_angle_to_matrix(turns)).float().unflatten(0, (size, frames)),
    )


def layouts() -> list[BodyNumbers]:
    return [JointNumbers(), RotationNumbers(torch.tensor(REST - REST[0]))]


@given(seed=st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_a_body_comes_back_from_its_numbers(seed: int) -> None:
    joints, matrices = bodies(seed)
    for layout, size in zip(layouts(), (70, 151), strict=True):
        numbers = layout.encode(joints, matrices)
        assert numbers.shape == (2, 5, size) == (2, 5, layout.size)
        torch.testing.assert_close(layout.joints(numbers), joints, atol=1e-4, rtol=0)
    back = layouts()[1]
    assert isinstance(back, RotationNumbers)
    torch.testing.assert_close(back.matrices(back.encode(joints, matrices)), matrices, atol=1e-4, rtol=0)


@given(seed=st.integers(0, 999), x=st.floats(-5, 5), angle=st.floats(-3, 3))
@settings(max_examples=20, deadline=None)
def test_a_body_is_moved_to_the_origin_and_back(seed: int, x: float, angle: float) -> None:
    joints, matrices = bodies(seed)
    elsewhere = Placement(torch.tensor([[x, 1.0], [0.5, x]]), torch.tensor([angle, 0.3]))
    for layout in layouts():
        numbers = layout.move(layout.encode(joints, matrices), elsewhere, to_origin=False)
        place = layout.placement(numbers)
        at_origin = layout.move(numbers, place, to_origin=True)
        found = layout.placement(at_origin)
        torch.testing.assert_close(found.ground, torch.zeros(2, 2), atol=1e-4, rtol=0)
        torch.testing.assert_close(found.heading, torch.zeros(2), atol=1e-4, rtol=0)
        # Wherever it was, it is the same slice.
        whole = layout.encode(joints, matrices)
        same = layout.move(whole, layout.placement(whole), to_origin=True)
        torch.testing.assert_close(layout.joints(at_origin), layout.joints(same), atol=2e-3, rtol=0)
        back = layout.joints(layout.move(at_origin, place, to_origin=False))
        torch.testing.assert_close(back, layout.joints(numbers), atol=2e-3, rtol=0)


def test_the_resting_body_faces_ahead_and_a_turned_one_where_it_was_turned() -> None:
    rest = torch.tensor(REST).float()[None]
    assert placement_of(rest).heading.item() == pytest.approx(0.0, abs=1e-6)
    # A quarter to the left of +z is +x.
    to_the_left = rest[..., [2, 1, 0]] * torch.tensor([1.0, 1.0, -1.0])
    assert placement_of(to_the_left).heading.item() == pytest.approx(np.pi / 2, abs=1e-6)


def test_contacts_are_edges_rule_on_a_constructed_dance() -> None:
    joints = torch.from_numpy(constructed())[None]
    found = contacts(joints)[0].numpy()
    speed = np.linalg.norm(np.diff(joints[0].numpy()[:, CONTACT_JOINTS], axis=0), axis=-1)
    np.testing.assert_array_equal(found[:-1], speed < MAX_CONTACT_STEP)
    # Feet stand some of the time, and not all of it; seldom neither of them.
    assert 0.3 < found.mean() < 0.9
    assert (found.max(1) > 0).mean() > 0.6


def test_a_motion_without_rotations_cannot_be_written_as_rotations() -> None:
    with pytest.raises(ValueError, match="use joints"):
        layouts()[1].encode(bodies(0)[0], None)


def test_bones_keep_their_length_on_a_rigid_body() -> None:
    joints = constructed()
    np.testing.assert_allclose(fix_bone_lengths(joints), joints, atol=1e-4)
    # Longer than what is worked on at once, and the bones still have one length.
    joints = np.tile(joints, (1 + BLOCK_FRAMES // len(joints), 1, 1))
    bent = fix_bone_lengths(joints + np.random.default_rng(0).normal(0, 0.01, joints.shape))
    for child, parent in enumerate(PARENTS[1:], 1):
        assert np.ptp(np.linalg.norm(bent[:, child] - bent[:, parent], axis=1)) < 1e-4, JOINTS[child]
    assert np.linalg.norm(bent - joints, axis=-1).mean() < 0.05


@given(size=st.floats(0.8, 1.25), first=st.integers(0, 60))
@settings(max_examples=20, deadline=None)
def test_a_body_of_other_bones_dances_the_same(size: float, first: int) -> None:
    layout = JointNumbers()
    numbers = layout.encode(torch.from_numpy(constructed())[None, first : first + 30], None)
    bones = layout.bones(numbers)
    # Its own bones change nothing.
    torch.testing.assert_close(layout.with_bones(numbers, bones), numbers, atol=1e-3, rtol=0)
    other = layout.with_bones(numbers, size * bones)
    torch.testing.assert_close(other[..., CONTACTS], numbers[..., CONTACTS], atol=0, rtol=0)
    joints = layout.joints(other)[0]
    for child, parent in enumerate(PARENTS[1:], 1):
        lengths = (joints[:, child] - joints[:, parent]).norm(dim=-1)
        wanted = size * (bones[0, child] - bones[0, parent]).norm()
        torch.testing.assert_close(lengths, wanted.expand(30), atol=1e-3, rtol=0)


def test_rotations_turn_one_body_whatever_is_shown() -> None:
    layout = layouts()[1]
    numbers = layout.encode(*bodies(0))
    assert layout.with_bones(numbers, layout.bones(numbers)) is numbers
    assert layout.bones(numbers).shape == (2, 22, 3)


@given(st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_feet_that_rest_stay_at_rest_on_a_rigid_body(seed: int) -> None:
    joints = constructed()[:60].copy()
    feet = [INDEX[f"{side}_{part}"] for side in ("left", "right") for part in ("ankle", "foot")]
    joints[:, feet] = joints[0, feet]
    # The body trembles above them, so that hips and bones are wrong in every frame.
    rest = [joint for joint in range(len(JOINTS)) if joint not in feet]
    joints[:, rest] += np.random.default_rng(seed).normal(0, 0.02, (60, len(rest), 3)).astype(np.float32)
    joints[:, rest, 1] -= 0.08
    found = fix_bone_lengths(joints)
    ankles = feet[::2]
    np.testing.assert_allclose(found[:, ankles], joints[:, ankles], atol=1e-3)


def test_a_dance_begins_with_the_last_frames_of_a_motion() -> None:
    joints = constructed()
    for layout in layouts():
        model = small_model(layout)
        numbers = start_numbers(model, Motion(30.0, JOINTS, joints), "before")
        assert numbers.shape == (1, 60, layout.size)
        assert numbers[..., CONTACTS].unique().tolist() == [0, 1]
        place = layout.placement(numbers)
        assert place.ground.abs().max() < 1e-4
        # The same body, seen from where it stands; rotations turn a body of other proportions.
        seen = layout.joints(numbers)[0, :, INDEX["head"], 1].detach().numpy()
        apart = 1e-4 if isinstance(layout, JointNumbers) else 0.06
        np.testing.assert_allclose(seen, joints[-60:, INDEX["head"], 1], atol=apart)
