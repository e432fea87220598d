"""A hard negative as a motion of its own, at its source's frame rate."""

from __future__ import annotations

import math

import numpy as np

from motion_data.motion import Motion
from motion_data.negatives.recipe import Negative, sample_motion


def bent(negative: Negative, motion: Motion) -> Motion:
    """What a batch samples of ``negative``, from 0 s to the end of the clip, with the touch-downs in it."""
    times = np.arange(math.ceil(negative.duration * motion.fps - 1e-6)) / motion.fps
    joints, pulses = sample_motion(motion, times, negative)
    inside = {limb: at[(at >= 0) & (at < negative.duration)] for limb, at in pulses.items()}
    return Motion(motion.fps, motion.names, joints, 0.0, None, inside)
