"""How fast the parts of a body move, in m/s, the same at any frame rate."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from motion_data.body.resampling import resample_positions

SMOOTHING_SECONDS = 0.025
"""Standard deviation in seconds of the Gaussian that positions are smoothed by. It passes 6 % at
15 Hz, all that 30 frames a second can hold, so that more frames a second add nothing."""


def resample_track(track: NDArray[np.floating[Any]], fps: float, rate: float) -> NDArray[np.float64]:
    """Positions (T, ...) at ``fps`` frames a second, at ``rate`` a second.

    Sample j stands at j / ``rate`` seconds after the first frame; none lies after the last.
    """
    last = (len(track) - 1) / fps
    return resample_positions(track, fps, rate)[: int(np.floor(last * rate + 1e-6)) + 1]


def smooth_track(track: NDArray[np.floating[Any]], rate: float) -> NDArray[np.float64]:
    """(T, ...) sampled ``rate`` times a second, smoothed over time by a Gaussian."""
    calm: NDArray[np.float64] = gaussian_filter1d(
        np.asarray(track, dtype=np.float64), SMOOTHING_SECONDS * rate, axis=0, mode="nearest"
    )
    return calm


def smoothed_speed(track: NDArray[np.floating[Any]], rate: float) -> NDArray[np.float64]:
    """(T, ...) speed in m/s of positions (T, ..., 3) in metres, smoothed.

    ``rate`` is in samples a second.
    """
    velocity = np.gradient(smooth_track(track, rate), 1 / rate, axis=0)
    speed: NDArray[np.float64] = np.linalg.norm(velocity, axis=-1)
    return speed
