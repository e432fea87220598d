"""The motions that a training step encodes: each clip's own, then the hard negatives, in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motion_data.motion import Motion
from motion_data.negatives.grid_error import GridError, displaced
from motion_data.negatives.recipe import Negative, apply
from motion_data.pipeline.batch import Batch, pulse_activation
from motion_data.skeleton import JOINTS
from motionbeat_upstream.nn.grid import Grid, fallback_grid
from motionbeat_upstream.nn.motion_tower import RATE

SIDES = ("left", "right")
"""What the names of limbs begin with; feet and hands of a side count alike."""


@dataclass(frozen=True)
class MotionRows:
    """R motions on the frames of the music's features, padded with 0; row i < B is clip i's own."""

    joints: Tensor
    """(R, F, 22, 3) float32 in metres at 50 Hz; frame k stands at (k + 0.5) · 20 ms."""
    pulses: Tensor
    """(R, F, 2) contact pulses of left and right, in [0, 1]."""
    has_joints: Tensor
    """(R,) bool."""
    lengths: Tensor
    """(R,) int64 frames."""
    grids: tuple[Grid, ...]
    """The grid of the music that each is compared with, with the error that they share."""
    owner: Tensor
    """(R,) int64, the clip that each is a motion or a negative of."""


def motion_rows(batch: Batch, error: GridError, rolled: bool = False) -> MotionRows:
    """Lay out the motions of a batch, bending those of its negatives.

    Args:
        batch: on the CPU; ``negatives`` holds the recipes of each clip, or nothing at all.
        error: of the grid that all of the batch is seen on.
        rolled: roll each motion around its clip, by as much as chance says; the same at every call.
    """
    drawn: Sequence[Sequence[Negative]] = batch.negatives or [()] * len(batch)
    motions = [batch.motion(row) for row in range(len(batch))]
    if rolled:
        seeds = zip(batch.pieces.tolist(), batch.takes.tolist(), batch.starts.tolist(), strict=True)
        motions = [
            roll(motion, np.random.default_rng([piece, take, round(start * 1000)]))
            for motion, (piece, take, start) in zip(motions, seeds, strict=True)
        ]
    owner = list(range(len(batch)))
    for row, own in enumerate(drawn):
        for negative in own:
            motions.append(apply(negative, motions[negative.source]))
            owner.append(row)
    grids = shared_grids(batch, error)
    frames = batch.feature_lengths.tolist()
    lengths = [frames[row] for row in owner]
    size = max(lengths)
    joints = torch.zeros(len(motions), size, len(JOINTS), 3)
    pulses = torch.zeros(len(motions), size, len(SIDES))
    for row, (motion, length) in enumerate(zip(motions, lengths, strict=True)):
        if motion.names:
            joints[row, :length] = torch.from_numpy(_on_feature_frames(motion, length))
        pulses[row, :length] = torch.from_numpy(_sides(motion, length))
    return MotionRows(
        joints,
        pulses,
        torch.tensor([bool(motion.names) for motion in motions]),
        torch.tensor(lengths),
        tuple(grids[row] for row in owner),
        torch.tensor(owner),
    )


def shared_grids(batch: Batch, error: GridError) -> tuple[Grid, ...]:
    """The grid of each clip with the error that all share; the fallback where it has none."""
    seconds = (batch.feature_lengths / RATE).tolist()
    return tuple(
        fallback_grid(length) if grid is None else displaced(grid, error)
        for grid, length in zip(batch.grids, seconds, strict=True)
    )


def roll(motion: Motion, rng: np.random.Generator) -> Motion:
    """The motion from a moment drawn at random on, its beginning put behind its end."""
    late = float(rng.uniform(0, motion.seconds))
    ends = (0.0, motion.seconds)
    seen = (late, late + motion.seconds)
    return apply(Negative("rolled", 0, late, ends, seen, motion.seconds, motion.seconds), motion)


def _on_feature_frames(motion: Motion, frames: int) -> NDArray[np.float32]:
    """(F, 22, 3) joints, interpolated linearly; the first and the last frame are held."""
    place = ((np.arange(frames) + 0.5) / RATE - motion.start) * motion.fps
    place = np.clip(place, 0, motion.frames - 1)
    before = np.minimum(np.floor(place).astype(np.int64), motion.frames - 2)
    share = (place - before)[:, None, None].astype(np.float32)
    joints = motion.joints.astype(np.float32)
    between: NDArray[np.float32] = joints[before] * (1 - share) + joints[before + 1] * share
    return between


def _sides(motion: Motion, frames: int) -> NDArray[np.float32]:
    """(F, 2) pulses of left and right limbs, at most 1."""
    sides = np.zeros((frames, len(SIDES)), dtype=np.float32)
    for number, side in enumerate(SIDES):
        for limb, times in motion.pulses.items():
            if limb.startswith(side):
                # A touch-down at the very end may be rounded to just behind it.
                inside = times[(times >= 0) & (times <= frames / RATE + 1e-4)]
                sides[:, number] += pulse_activation(inside, frames)
    return np.minimum(sides, 1.0)
