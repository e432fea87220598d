"""The motions that a training step encodes: each clip's own, then the hard negatives, in one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from motion_data.motion import Motion
from motion_data.negatives.grid_error import displaced
from motion_data.negatives.recipe import Negative, apply, sampled
from motion_data.pipeline.batch import Batch, pulse_activation
from motion_data.skeleton import JOINTS
from motionbeat_upstream.nn.grid import Grid, fallback_grid
from motionbeat_upstream.nn.motion_tower import RATE

SIDES = ("left", "right")
"""What the names of limbs begin with; feet and hands of a side count alike."""

SMOOTHING = 1.0
"""Standard deviation in frames of 20 ms."""


@dataclass(frozen=True)
class MotionRows:
    """R motions on the frames of the music's features, padded with 0; row i < B is clip i's own."""

    joints: Tensor
    """(R, F, 22, 3) float32 in metres at 50 Hz; frame k stands at (k + 0.5) · 20 ms, give or take 10 ms."""
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


def motion_rows(batch: Batch, place: float, rng: np.random.Generator, rolled: bool = False) -> MotionRows:
    """Lay out the motions of a batch, bending those of its negatives.

    A network must not tell a bent motion from a paired one by how it was made. So every motion is taken
    from its source by one spline, at a fraction of a frame that chance says, and then smoothed: what
    interpolation does to the highest frequencies is gone from all of them [O].

    Args:
        batch: on the CPU; ``negatives`` holds the recipes of each clip, or nothing at all.
        place: share of a bar at which every clip begins on the grid that it is shown on.
        rng: of the fractions of a frame, and of the rolling.
        rolled: roll each motion around itself, by as much as chance says.
    """
    drawn: Sequence[Sequence[Negative]] = batch.negatives or [()] * len(batch)
    sources = [roll(motion, rng) if rolled else motion for motion in batch.motions]
    wanted: list[tuple[int, int, Negative | None]] = [(row, row, None) for row in range(len(batch))]
    wanted += [(row, negative.source, negative) for row, own in enumerate(drawn) for negative in own]
    grids = shared_grids(batch, place)
    frames = batch.feature_lengths.tolist()
    owner = [row for row, _, _ in wanted]
    lengths = [frames[row] for row in owner]
    size = max(lengths)
    joints = torch.zeros(len(wanted), size, len(JOINTS), 3)
    pulses = torch.zeros(len(wanted), size, len(SIDES))
    for place, (row, source, negative) in enumerate(wanted):
        motion, length = sources[source], frames[row]
        clock = (np.arange(length) + 0.5 + rng.uniform(-0.5, 0.5)) / RATE
        positions, touches = sampled(motion, clock, negative)
        if motion.names:
            smooth = gaussian_filter1d(positions, SMOOTHING, axis=0, mode="nearest")
            joints[place, :length] = torch.from_numpy(smooth.astype(np.float32))
        pulses[place, :length] = torch.from_numpy(_sides(touches, length))
    return MotionRows(
        joints,
        pulses,
        torch.tensor([bool(sources[source].names) for _, source, _ in wanted]),
        torch.tensor(lengths),
        tuple(grids[row] for row in owner),
        torch.tensor(owner),
    )


def shared_grids(batch: Batch, place: float) -> tuple[Grid, ...]:
    """The grid that each clip is shown on, with an error of its own; the fallback where it has none."""
    seconds = (batch.feature_lengths / RATE).tolist()
    return tuple(
        fallback_grid(length) if grid is None else displaced(grid, place)
        for grid, length in zip(batch.grids, seconds, strict=True)
    )


def roll(motion: Motion, rng: np.random.Generator) -> Motion:
    """The motion from a moment drawn at random on, its beginning put behind its end."""
    late = float(rng.uniform(0, motion.seconds))
    ends = (0.0, motion.seconds)
    rolling = Negative("rolled", 0, late, ends, (late, late + motion.seconds), motion.seconds, motion.seconds)
    rolled = apply(rolling, moved(motion, -motion.start))
    return moved(rolled, motion.start)


def moved(motion: Motion, seconds: float) -> Motion:
    """The same motion that much later."""
    pulses = {limb: times + seconds for limb, times in motion.pulses.items()}
    return replace(motion, start=motion.start + seconds, pulses=pulses)


def _sides(pulses: Mapping[str, NDArray[np.float64]], frames: int) -> NDArray[np.float32]:
    """(F, 2) pulses of left and right limbs, at most 1."""
    sides = np.zeros((frames, len(SIDES)), dtype=np.float32)
    for number, side in enumerate(SIDES):
        for limb, times in pulses.items():
            if limb.startswith(side):
                sides[:, number] += pulse_activation(times[(times >= 0) & (times < frames / RATE)], frames)
    return np.minimum(sides, 1.0)
