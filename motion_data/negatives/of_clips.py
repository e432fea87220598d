"""The negatives of a pipeline's batches: drawn from its clips, bent when a training step wants them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from motion_data.motion import Motion
from motion_data.negatives.descriptor import describe
from motion_data.negatives.drawing import Drawn, Wanted, draw_negatives
from motion_data.pipeline.batch import Batch
from motion_data.pipeline.example import Example
from motion_data.skeleton import JOINTS
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.nn.grid import fallback_grid


def drawer(
    fps: float, wanted: Wanted | None = None
) -> Callable[[Sequence[Example], np.random.Generator], list[Drawn]]:
    """What a :class:`~motion_data.pipeline.reader.ClipReader` takes as ``draw_negatives``.

    A clip without a grid is counted on the fixed fallback grid.

    Args:
        fps: frames of motion a second of the pipeline.
        wanted: how many of each kind; None is the default of :class:`~motion_data.negatives.drawing.Wanted`.
    """

    def draw(examples: Sequence[Example], rng: np.random.Generator) -> list[Drawn]:
        outlines = [
            describe(
                example.pair.piece,
                example.pair.take,
                _motion(example.joints, fps, example.pulses, example.seconds),
                example.grid or fallback_grid(example.seconds),
                example.seconds,
            )
            for example in examples
        ]
        return draw_negatives(outlines, rng, wanted or Wanted())

    return draw


def motion_of(batch: Batch, row: int) -> Motion:
    """One clip's motion out of a batch, to be bent by :func:`~motion_data.negatives.recipe.apply`."""
    frames = int(batch.joint_lengths[row])
    pulses = {
        limb: batch.pulse_times[row, number, : int(batch.pulse_counts[row, number])].double().numpy()
        for number, limb in enumerate(batch.limbs)
        if batch.has_pulses[row, number]
    }
    seconds = int(batch.wav_lengths[row]) / SAMPLE_RATE
    return _motion(
        batch.joints[row, :frames].numpy() if batch.has_joints[row] else None, batch.fps, pulses, seconds
    )


def _motion(
    joints: NDArray[np.float32] | None, fps: float, pulses: dict[str, NDArray[np.float64]], seconds: float
) -> Motion:
    """A step chart has frames too, and no joints in them."""
    if joints is None:
        return Motion(fps, (), np.zeros((max(2, math.ceil(seconds * fps - 1e-6)), 0, 3)), 0.0, None, pulses)
    return Motion(fps, JOINTS, joints, 0.0, None, pulses)
