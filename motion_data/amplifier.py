"""A guitar amplifier: a clean guitar overdriven, and heard through a cabinet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from motion_data.errors import DataError
from motionbeat_upstream.config import SAMPLE_RATE

MAX_RESPONSE_SECONDS = 0.2
"""Seconds that are kept of an impulse response."""


def amplify(
    guitar: NDArray[np.float32], rate: float, cabinet: NDArray[np.float32], drive: float
) -> NDArray[np.float32]:
    """Play a clean guitar through an amplifier and a cabinet; no onset is moved.

    Args:
        guitar: (T,) at ``rate`` Hz; more than twice 16 kHz, because overdriving adds frequencies.
        rate: of ``guitar``.
        cabinet: (K,) impulse response at 16 kHz, its direct sound at sample 0.
        drive: by which the loudest sample is multiplied before it is bent by tanh; 12 is that of metal.

    Returns:
        (T · 16000 / rate,) at 16 kHz.
    """
    loudest = max(float(np.abs(guitar).max(initial=0.0)), 1e-9)
    driven = np.tanh(guitar * np.float32(drive / loudest))
    driven = soxr.resample(driven, rate, SAMPLE_RATE, quality=soxr.HQ)
    heard: NDArray[np.float32] = oaconvolve(driven, cabinet)[: len(driven)].astype(np.float32)
    return heard


def read_cabinet(path: Path) -> NDArray[np.float32]:
    """(K,) an impulse response at 16 kHz, mono, of energy 1; its loudest sample is within the first 1 ms.

    Raises:
        DataError: not readable, or silent.
    """
    import soundfile

    try:
        sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, soundfile.LibsndfileError) as error:
        raise DataError(f"{path}: not readable ({error}); fetch it again") from None
    sound = soxr.resample(sound.mean(axis=1), rate, SAMPLE_RATE, quality=soxr.HQ)
    energy = float(np.sqrt(np.sum(np.square(sound))))
    if not energy > 0:
        raise DataError(f"{path}: silent; leave it out")
    # What comes before the direct sound would make every note late.
    loudest = int(np.abs(sound).argmax())
    response: NDArray[np.float32] = sound[max(0, loudest - SAMPLE_RATE // 1000) :][
        : round(MAX_RESPONSE_SECONDS * SAMPLE_RATE)
    ]
    return (response / energy).astype(np.float32)
