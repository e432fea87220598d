"""Kinematic beats: moments at which a body as a whole slows down, by the two published definitions.

Dances are scored by how these fall together with the beats of music. The two are not the same, nor
are the scores that their codes compute; both are given here in seconds. Motion of another frame
rate is brought to the 60 frames a second that both are defined at; then the beats are theirs, to
the frame.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import argrelextrema

from motion_data.rhythm.speed import sampled

RATE = 60.0
"""Frames a second of AIST++, at which both codes count."""

FACT_REACH = 10
"""Frames to either side that a minimum must lie below: a window of a third of a second."""

BAILANDO_SMOOTHING = 5.0
"""Standard deviation in frames of the Gaussian over the speed."""

TOLERANCE = 3.0 / RATE
"""Seconds at which a beat scores exp(-1/2): σ = 3 frames in both codes."""


def fact_beats(joints: NDArray[np.floating[Any]], fps: float) -> NDArray[np.float64]:
    """Minima of the joints' summed speed within a sixth of a second to either side.

    Source: Li et al., "AI Choreographer: Music Conditioned 3D Dance Generation with AIST++", ICCV
    2021, and the code beside it, google-research/mint, tools/calculate_beat_scores.py. There, a
    step from one frame to the next is counted at its second frame, and so it is here.

    Args:
        joints: (T, J, 3) in metres; T at least 2.
        fps: frames a second.

    Returns:
        (N,) increasing seconds from the first frame.
    """
    speed = np.concatenate([[0.0], _steps(joints, fps).sum(axis=1)])
    (frames,) = argrelextrema(speed, np.less, order=FACT_REACH)
    beats: NDArray[np.float64] = frames / RATE
    return beats


def bailando_beats(joints: NDArray[np.floating[Any]], fps: float) -> NDArray[np.float64]:
    """Minima of the joints' mean speed, smoothed over about a sixth of a second.

    Source: Siyao et al., "Bailando: 3D Dance Generation by Actor-Critic GPT with Choreographic
    Memory", CVPR 2022, and the code beside it, lisiyao21/Bailando, utils/beat_align_score.py. There, a
    step from one frame to the next is counted at its first frame, and so it is here.

    Arguments and result as for :func:`fact_beats`.
    """
    speed = gaussian_filter1d(_steps(joints, fps).mean(axis=1), BAILANDO_SMOOTHING)
    (frames,) = argrelextrema(speed, np.less)
    beats: NDArray[np.float64] = frames / RATE
    return beats


def beat_alignment(times: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Mean over ``times`` of exp(-d² / 2σ²), d the distance to the nearest of ``reference``, σ = 50 ms.

    FACT's score takes the beats of the motion as ``times`` and those of the music as ``reference``;
    Bailando's takes them the other way round. 0 where one of them is empty.

    Args:
        times: (N,) seconds.
        reference: (M,) seconds.
    """
    if not len(times) or not len(reference):
        return 0.0
    distance = np.abs(times[:, None] - reference).min(axis=1)
    return float(np.exp(-0.5 * (distance / TOLERANCE) ** 2).mean())


def _steps(joints: NDArray[np.floating[Any]], fps: float) -> NDArray[np.float64]:
    """(T' - 1, J) metres that each joint goes from one frame to the next at ``RATE``."""
    steps: NDArray[np.float64] = np.linalg.norm(np.diff(sampled(joints, fps, RATE), axis=0), axis=-1)
    return steps
