"""Representations of a body per frame: EDGE's 151 numbers with rotations, or positions of joints.

==========  ====  =========================================================================================
rotations   151   4 contacts, 3 root, 24 × 6 rotations of SMPL's joints against their parents, as in EDGE
                  (Tseng et al., "EDGE: Editable Dance Generation From Music", CVPR 2023). Rotations are
                  the first two rows of their matrices, as in pytorch3d; hands have the identity
joints       70   4 contacts, 3 root, 21 × 3 joints against the pelvis in metres [O]
==========  ====  =========================================================================================

A contact is 1 if an ankle or the ball of a foot moves less than a centimetre per frame at 30 frames per
second (EDGE's rule). The root is the pelvis in metres, y up.

EDGE keeps the position of dancers in the room. Here every slice starts at the origin, facing +z [O], so that
a long dance may move away, and each of its slices is like those in training.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from smplx.lbs import batch_rigid_transform
from torch import Tensor, nn

from motion_data.skeleton import INDEX, JOINTS, PARENTS, SMPL_JOINTS
from recipes.downstream.dance_generation.rigid import estimate_rest_pose, fix_bone_lengths

BODY_AXES = ("hip", "shoulder")
"""Lines from the right to the left joint that define the heading."""


@dataclass(frozen=True)
class Placement:
    """Position and heading of B bodies on the floor."""

    ground: Tensor
    """(B, 2) x and z in metres."""
    heading: Tensor
    """(B,) radians from +z towards +x."""


def placement_of(joints: Tensor) -> Placement:
    """The placement of bodies: position of the pelvis, and heading from the lines of hips and shoulders.

    Args:
        joints: (B, 22, 3) joints in metres, y up.
    """
    across = sum(joints[:, INDEX[f"left_{part}"]] - joints[:, INDEX[f"right_{part}"]] for part in BODY_AXES)
    assert isinstance(across, Tensor)
    # left × up points forward
    return Placement(joints[:, 0, [0, 2]], torch.atan2(-across[:, 2], across[:, 0]))


def rotate_y(vectors: Tensor, angle: Tensor) -> Tensor:
    """Rotate (B, ..., 3) vectors about y by (B,) radians from +z towards +x."""
    shape = (-1,) + (1,) * (vectors.ndim - 2)
    cosine, sine = angle.cos().view(shape), angle.sin().view(shape)
    x, y, z = vectors.unbind(-1)
    return torch.stack([x * cosine + z * sine, y, z * cosine - x * sine], -1)


FPS = 30.0
"""Frames per second, as in EDGE."""

CONTACT_JOINTS = tuple(INDEX[name] for name in ("left_ankle", "right_ankle", "left_foot", "right_foot"))

MAX_CONTACT_STEP = 0.01
"""Largest movement of a contact in metres per frame."""

CONTACTS, ROOT = slice(0, 4), slice(4, 7)
"""Slices of contacts and root in both layouts; the pose follows."""

N_HANDS = len(SMPL_JOINTS) - len(JOINTS)
"""Number of SMPL's joints that the common skeleton lacks."""


class BodyNumbers(nn.Module, ABC):
    """A representation of bodies."""

    size: int
    """Numbers per frame, N."""

    @abstractmethod
    def encode(self, joints: Tensor, rotations: Tensor | None) -> Tensor:
        """(B, T, N) representation of bodies.

        Args:
            joints: (B, T, 22, 3) joints in metres.
            rotations: (B, T, 22, 3, 3) rotations against the parents, if known.
        """

    @abstractmethod
    def joints(self, numbers: Tensor) -> Tensor:
        """(B, T, 22, 3) joints in metres."""

    @abstractmethod
    def rotate_pose(self, pose: Tensor, angle: Tensor) -> Tensor:
        """(B, T, N - 7) poses rotated about y by (B,) radians."""

    @abstractmethod
    def bones(self, numbers: Tensor) -> Tensor:
        """(B, 22, 3) rest poses of the bodies."""

    @abstractmethod
    def with_bones(self, numbers: Tensor, bones: Tensor) -> Tensor:
        """(B, T, N) of the same dances by bodies with rest poses (B, 22, 3); contacts do not change."""

    def move(self, numbers: Tensor, placement: Placement, to_origin: bool) -> Tensor:
        """Move bodies from a placement to the origin, facing +z, or from there to the placement."""
        root = numbers[..., ROOT]
        shift = torch.stack(
            [placement.ground[:, 0], torch.zeros_like(placement.heading), placement.ground[:, 1]], -1
        )
        if to_origin:
            root = rotate_y(root - shift[:, None], -placement.heading)
        else:
            root = rotate_y(root, placement.heading) + shift[:, None]
        pose = self.rotate_pose(
            numbers[..., ROOT.stop :], -placement.heading if to_origin else placement.heading
        )
        return torch.cat([numbers[..., CONTACTS], root, pose], -1)

    def placement(self, numbers: Tensor, frame: int = 0) -> Placement:
        """The placement of (B, T, N) bodies at a frame."""
        return placement_of(self.joints(numbers[:, frame : frame + 1])[:, 0])


class JointNumbers(BodyNumbers):
    """Positions of the joints."""

    size = 4 + 3 + 3 * (len(JOINTS) - 1)

    def encode(self, joints: Tensor, rotations: Tensor | None) -> Tensor:
        """See the base class; rotations are ignored."""
        root = joints[..., 0, :]
        return torch.cat([contacts(joints), root, (joints[..., 1:, :] - root[..., None, :]).flatten(-2)], -1)

    def joints(self, numbers: Tensor) -> Tensor:
        """See the base class."""
        root = numbers[..., None, ROOT]
        return torch.cat([root, numbers[..., ROOT.stop :].unflatten(-1, (-1, 3)) + root], -2)

    def rotate_pose(self, pose: Tensor, angle: Tensor) -> Tensor:
        """See the base class."""
        return rotate_y(pose.unflatten(-1, (-1, 3)), angle).flatten(-2)

    def bones(self, numbers: Tensor) -> Tensor:
        """See the base class; every bone has its median length."""
        joints = self.joints(numbers).detach().cpu().numpy()
        return torch.from_numpy(np.stack([estimate_rest_pose(body) for body in joints])).to(numbers)

    def with_bones(self, numbers: Tensor, bones: Tensor) -> Tensor:
        """See the base class; feet keep their positions if the legs reach them."""
        joints, rest = self.joints(numbers).detach().cpu().numpy(), bones.cpu().numpy()
        rigid = np.stack([fix_bone_lengths(*body) for body in zip(joints, rest, strict=True)])
        encoded = self.encode(torch.from_numpy(rigid).to(numbers), None)
        return torch.cat([numbers[..., CONTACTS], encoded[..., CONTACTS.stop :]], -1)


class RotationNumbers(BodyNumbers):
    """EDGE's 151 numbers.

    Args:
        rest: (22, 3) rest pose in metres; the mean body of the training data.
    """

    size = 4 + 3 + 6 * len(SMPL_JOINTS)
    rest: Tensor

    def __init__(self, rest: Tensor) -> None:
        super().__init__()
        self.register_buffer("rest", rest.float())
        self.register_buffer("parents", torch.tensor(PARENTS), persistent=False)

    def encode(self, joints: Tensor, rotations: Tensor | None) -> Tensor:
        """See the base class.

        Raises:
            ValueError: no rotations.
        """
        if rotations is None:
            raise ValueError("the motion has no rotations; use joints")
        hands = torch.eye(3).expand(*rotations.shape[:2], N_HANDS, 3, 3)
        six = torch.cat([rotations, hands.to(rotations)], 2)[..., :2, :].flatten(2)
        return torch.cat([contacts(joints), joints[..., 0, :], six], -1)

    def joints(self, numbers: Tensor) -> Tensor:
        """See the base class."""
        matrices = self.matrices(numbers).flatten(0, 1)
        posed, _ = batch_rigid_transform(
            matrices, self.rest.expand(len(matrices), -1, -1), self.parents, dtype=matrices.dtype
        )
        at_origin = posed.unflatten(0, numbers.shape[:2]) - self.rest[0]
        placed: Tensor = at_origin + numbers[..., None, ROOT]
        return placed

    def matrices(self, numbers: Tensor) -> Tensor:
        """(B, T, 22, 3, 3) rotations of the joints of the common skeleton against their parents."""
        return matrices_of_rows(numbers[..., ROOT.stop :].unflatten(-1, (-1, 6)))[..., : len(JOINTS), :, :]

    def rotate_pose(self, pose: Tensor, angle: Tensor) -> Tensor:
        """See the base class; only the rotation of the pelvis changes."""
        # Rows of R_y · M are combinations of all three rows of M.
        matrices = matrices_of_rows(pose[..., :6]).transpose(-1, -2)
        first = rotate_y(matrices, angle).transpose(-1, -2)[..., :2, :].flatten(-2)
        return torch.cat([first, pose[..., 6:]], -1)

    def bones(self, numbers: Tensor) -> Tensor:
        """See the base class; all have the same body."""
        return self.rest.expand(len(numbers), -1, -1)

    def with_bones(self, numbers: Tensor, bones: Tensor) -> Tensor:
        """See the base class; rotations do not depend on bones."""
        return numbers


def contacts(joints: Tensor) -> Tensor:
    """(B, T, 4) contacts, 0 or 1, of (B, T, 22, 3) joints; the last frame equals the one before it."""
    feet = joints[..., CONTACT_JOINTS, :]
    speed = (feet[:, 1:] - feet[:, :-1]).norm(dim=-1)
    return (torch.cat([speed, speed[:, -1:]], 1) < MAX_CONTACT_STEP).to(joints.dtype)


def matrices_of_rows(six: Tensor) -> Tensor:
    """(..., 3, 3) rotations from (..., 6), two rows of any length, by Gram-Schmidt orthogonalisation."""
    first = nn.functional.normalize(six[..., :3], dim=-1)
    second = six[..., 3:] - (first * six[..., 3:]).sum(-1, keepdim=True) * first
    second = nn.functional.normalize(second, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -2)
