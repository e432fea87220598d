"""Bodies that dance, for tests: one of sines alone, for codes of any origin, and the constructed dancer."""

import numpy as np
from numpy.typing import NDArray

from motion_data.corpora.constructed.dancer import STYLES, dance
from motionbeat_upstream.tracking.grid import regular_grid
from recipes.dance_metrics.dance import Dance, with_hands

BPM = 110.0


def swaying(seed: int, frames: int, fps: float, size: float = 0.12) -> NDArray[np.float64]:
    """(T, 24, 3) of a body with no bones, whose joints swing about random places: for code of any origin."""
    draw = np.random.default_rng(seed)
    joints = draw.uniform(-0.8, 0.8, (24, 3))
    joints[4:6] = joints[1:3] - [0.0, 0.4, 0.0]
    times = np.arange(frames)[:, None, None] / fps
    swing = np.zeros((frames, 24, 3))
    for frequency in (0.6, 1.1, 2.3):
        reach, phase = draw.uniform(0, size, (24, 3)), draw.uniform(0, 2 * np.pi, (24, 3))
        swing += reach * np.sin(2 * np.pi * frequency * times + phase)
    return joints + swing


def constructed(
    seed: int, seconds: float = 8.0, late: float = 0.0, fps: float = 60.0, bpm: float = BPM
) -> Dance:
    """A constructed dancer, so many beats late, with the exact beats of the music and its true steps."""
    style = STYLES[4][seed % len(STYLES[4])]
    danced = regular_grid(seconds, bpm, 4, late * 60 / bpm)
    motion = dance(danced, style, seconds, 0.6, np.random.default_rng(seed), fps)
    steps = np.unique(np.concatenate(list(motion.pulses.values())))
    return Dance(
        f"{style}-{seed}", with_hands(motion.joints), fps, regular_grid(seconds, bpm, 4).beats, steps
    )
