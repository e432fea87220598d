"""A body in numbers, frame by frame: EDGE's 151 where a motion has rotations, positions of joints elsewhere.

==========  ====  =========================================================================================
rotations   151   4 contacts, 3 root, 24 × 6 rotations of SMPL's joints against their parents: EDGE's own
                  (Tseng et al., "EDGE: Editable Dance Generation From Music", CVPR 2023). The 6-D are the
                  first two ROWS of the matrix, as pytorch3d has them; the hands keep their arm's frame
joints       70   4 contacts, 3 root, 21 × 3 joints against the pelvis in metres [O]
==========  ====  =========================================================================================

A contact is 1 where an ankle or the ball of a foot moves less than a centimetre a frame at 30 frames a
second (EDGE's rule). The root is the pelvis in metres, y up.

EDGE leaves dancers where they are in the room. Here every slice begins at the origin, facing +z, and says
how the body moves from there [O]; so a long dance may wander, and each slice of it is like one that was
trained on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from smplx.lbs import batch_rigid_transform
from torch import Tensor, nn

from motion_data.skeleton import INDEX, JOINTS, PARENTS, SMPL_JOINTS
from recipes.downstream.dance_generation.rigid import bones_of, on_rigid_body

LINES = ("hip", "shoulder")
"""From left to right across the body."""


@dataclass(frozen=True)
class Place:
    """Of B bodies."""

    ground: Tensor
    """(B, 2) x and z in metres."""
    heading: Tensor
    """(B,) radians from +z towards +x."""


def place_of(joints: Tensor) -> Place:
    """Where bodies stand, by the pelvis, and face, by the mean line across hips and shoulders.

    Args:
        joints: (B, 22, 3) metres, y up.
    """
    across = sum(joints[:, INDEX[f"left_{part}"]] - joints[:, INDEX[f"right_{part}"]] for part in LINES)
    assert isinstance(across, Tensor)
    # left × up is ahead
    return Place(joints[:, 0, [0, 2]], torch.atan2(-across[:, 2], across[:, 0]))


def turned(vectors: Tensor, angle: Tensor) -> Tensor:
    """(B, ..., 3) turned about y by (B,) radians from +z towards +x."""
    shape = (-1,) + (1,) * (vectors.ndim - 2)
    cosine, sine = angle.cos().view(shape), angle.sin().view(shape)
    x, y, z = vectors.unbind(-1)
    return torch.stack([x * cosine + z * sine, y, z * cosine - x * sine], -1)


FPS = 30.0
"""Frames a second, as EDGE has them."""

CONTACT_JOINTS = tuple(INDEX[name] for name in ("left_ankle", "right_ankle", "left_foot", "right_foot"))

STILL = 0.01
"""Metres a frame."""

CONTACTS, ROOT = slice(0, 4), slice(4, 7)
"""Places of both layouts; the rest says the pose."""

HANDS = len(SMPL_JOINTS) - len(JOINTS)
"""Joints that SMPL has beyond the common skeleton."""


class BodyNumbers(nn.Module, ABC):
    """One of the two layouts."""

    size: int
    """N, numbers a frame."""

    @abstractmethod
    def encode(self, joints: Tensor, rotations: Tensor | None) -> Tensor:
        """(B, T, N) of bodies.

        Args:
            joints: (B, T, 22, 3) metres.
            rotations: (B, T, 22, 3, 3) against the parents, where the motion has them.
        """

    @abstractmethod
    def joints(self, numbers: Tensor) -> Tensor:
        """(B, T, 22, 3) metres."""

    @abstractmethod
    def pose_turned(self, pose: Tensor, angle: Tensor) -> Tensor:
        """(B, T, N - 7) of bodies that are turned about y by (B,) radians."""

    @abstractmethod
    def bones(self, numbers: Tensor) -> Tensor:
        """(B, 22, 3) bodies at rest, as (B, T, N) show them."""

    @abstractmethod
    def with_bones(self, numbers: Tensor, bones: Tensor) -> Tensor:
        """(B, T, N) of the same dances by bodies of (B, 22, 3) bones; contacts stay as they are."""

    def moved(self, numbers: Tensor, place: Place, to_origin: bool) -> Tensor:
        """Bodies brought from a place to the origin, facing +z; or from there to the place."""
        root = numbers[..., ROOT]
        shift = torch.stack([place.ground[:, 0], torch.zeros_like(place.heading), place.ground[:, 1]], -1)
        if to_origin:
            root = turned(root - shift[:, None], -place.heading)
        else:
            root = turned(root, place.heading) + shift[:, None]
        pose = self.pose_turned(numbers[..., ROOT.stop :], -place.heading if to_origin else place.heading)
        return torch.cat([numbers[..., CONTACTS], root, pose], -1)

    def place(self, numbers: Tensor, frame: int = 0) -> Place:
        """Where (B, T, N) bodies are at a frame."""
        return place_of(self.joints(numbers[:, frame : frame + 1])[:, 0])


class JointNumbers(BodyNumbers):
    """Positions."""

    size = 4 + 3 + 3 * (len(JOINTS) - 1)

    def encode(self, joints: Tensor, rotations: Tensor | None) -> Tensor:
        """See above; rotations are not looked at."""
        root = joints[..., 0, :]
        return torch.cat([contacts(joints), root, (joints[..., 1:, :] - root[..., None, :]).flatten(-2)], -1)

    def joints(self, numbers: Tensor) -> Tensor:
        """See above."""
        root = numbers[..., None, ROOT]
        return torch.cat([root, numbers[..., ROOT.stop :].unflatten(-1, (-1, 3)) + root], -2)

    def pose_turned(self, pose: Tensor, angle: Tensor) -> Tensor:
        """See above."""
        return turned(pose.unflatten(-1, (-1, 3)), angle).flatten(-2)

    def bones(self, numbers: Tensor) -> Tensor:
        """See above; the median of every bone's length."""
        shown = self.joints(numbers).detach().cpu().numpy()
        return torch.from_numpy(np.stack([bones_of(joints) for joints in shown])).to(numbers)

    def with_bones(self, numbers: Tensor, bones: Tensor) -> Tensor:
        """See above; feet stay where the legs reach them."""
        shown, rest = self.joints(numbers).detach().cpu().numpy(), bones.cpu().numpy()
        rigid = np.stack([on_rigid_body(*of) for of in zip(shown, rest, strict=True)])
        encoded = self.encode(torch.from_numpy(rigid).to(numbers), None)
        return torch.cat([numbers[..., CONTACTS], encoded[..., CONTACTS.stop :]], -1)


class RotationNumbers(BodyNumbers):
    """EDGE's 151.

    Args:
        rest: (22, 3) joints of the body that is turned, in metres; the mean body of the training data.
    """

    size = 4 + 3 + 6 * len(SMPL_JOINTS)
    rest: Tensor

    def __init__(self, rest: Tensor) -> None:
        super().__init__()
        self.register_buffer("rest", rest.float())
        self.register_buffer("parents", torch.tensor(PARENTS), persistent=False)

    def encode(self, joints: Tensor, rotations: Tensor | None) -> Tensor:
        """See above.

        Raises:
            ValueError: no rotations.
        """
        if rotations is None:
            raise ValueError("a motion without rotations cannot be written as rotations; use joints")
        hands = torch.eye(3).expand(*rotations.shape[:2], HANDS, 3, 3)
        six = torch.cat([rotations, hands.to(rotations)], 2)[..., :2, :].flatten(2)
        return torch.cat([contacts(joints), joints[..., 0, :], six], -1)

    def joints(self, numbers: Tensor) -> Tensor:
        """See above."""
        matrices = self.matrices(numbers).flatten(0, 1)
        posed, _ = batch_rigid_transform(
            matrices, self.rest.expand(len(matrices), -1, -1), self.parents, dtype=matrices.dtype
        )
        at_origin = posed.unflatten(0, numbers.shape[:2]) - self.rest[0]
        placed: Tensor = at_origin + numbers[..., None, ROOT]
        return placed

    def matrices(self, numbers: Tensor) -> Tensor:
        """(B, T, 22, 3, 3) rotations of the common skeleton's joints against their parents."""
        return matrices_of_rows(numbers[..., ROOT.stop :].unflatten(-1, (-1, 6)))[..., : len(JOINTS), :, :]

    def pose_turned(self, pose: Tensor, angle: Tensor) -> Tensor:
        """See above; the pelvis alone turns against the room."""
        # Rows of R_y · M are combinations of M's rows; so all three are needed.
        whole = matrices_of_rows(pose[..., :6]).transpose(-1, -2)
        first = turned(whole, angle).transpose(-1, -2)[..., :2, :].flatten(-2)
        return torch.cat([first, pose[..., 6:]], -1)

    def bones(self, numbers: Tensor) -> Tensor:
        """See above: one body for all."""
        return self.rest.expand(len(numbers), -1, -1)

    def with_bones(self, numbers: Tensor, bones: Tensor) -> Tensor:
        """See above: rotations have no bones, so they stay as they are."""
        return numbers


def contacts(joints: Tensor) -> Tensor:
    """(B, T, 4) 0 or 1 of (B, T, 22, 3) joints; the last frame is as the one before it."""
    feet = joints[..., CONTACT_JOINTS, :]
    speed = (feet[:, 1:] - feet[:, :-1]).norm(dim=-1)
    return (torch.cat([speed, speed[:, -1:]], 1) < STILL).to(joints.dtype)


def matrices_of_rows(six: Tensor) -> Tensor:
    """(..., 6), two rows of any length, to (..., 3, 3) rotations, by Gram and Schmidt."""
    first = nn.functional.normalize(six[..., :3], dim=-1)
    second = six[..., 3:] - (first * six[..., 3:]).sum(-1, keepdim=True) * first
    second = nn.functional.normalize(second, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -2)
