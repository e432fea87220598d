"""Speed of joints in m/s, independent of the frame rate."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from motion_data.body.resampling import resample_positions

SMOOTHING_SECONDS = 0.025
"""Standard deviation of the Gaussian that smooths positions. It passes 6 % at 15 Hz, the Nyquist frequency of
30 frames per second, so higher frame rates give the same result."""


def resample_track(track: NDArray[np.floating[Any]], fps: float, rate: float) -> NDArray[np.float64]:
    """Resample positions (T, ...) from ``fps`` to ``rate`` frames per second.

    Sample j is at j / ``rate`` seconds after the first frame; there are no samples after the last frame.
    """
    last = (len(track) - 1) / fps
    return resample_positions(track, fps, rate)[: int(np.floor(last * rate + 1e-6)) + 1]


def smooth_track(track: NDArray[np.floating[Any]], rate: float) -> NDArray[np.float64]:
    """Smooth (T, ...), sampled at ``rate`` Hz, over time with a Gaussian."""
    smooth: NDArray[np.float64] = gaussian_filter1d(
        np.asarray(track, dtype=np.float64), SMOOTHING_SECONDS * rate, axis=0, mode="nearest"
    )
    return smooth


def smoothed_speed(track: NDArray[np.floating[Any]], rate: float) -> NDArray[np.float64]:
    """Return the (T, ...) speed in m/s of smoothed positions (T, ..., 3) in metres, sampled at ``rate``
    Hz."""
    velocity = np.gradient(smooth_track(track, rate), 1 / rate, axis=0)
    speed: NDArray[np.float64] = np.linalg.norm(velocity, axis=-1)
    return speed
