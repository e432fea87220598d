"""Guitar amplifier: overdrive and the impulse response of a cabinet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from motion_data.errors import DataError
from motionbeat_upstream.config import SAMPLE_RATE

MAX_RESPONSE_SECONDS = 0.2
"""Impulse responses are cut to this length."""


def amplify(
    guitar: NDArray[np.float32], rate: float, cabinet: NDArray[np.float32], drive: float
) -> NDArray[np.float32]:
    """Play a clean guitar through an amplifier and a cabinet; onsets keep their times.

    Args:
        guitar: (T,) at ``rate`` Hz.
        rate: more than 32 kHz, because overdrive adds high frequencies.
        cabinet: (K,) impulse response at 16 kHz, its direct sound at sample 0.
        drive: amplitude of the peak before soft clipping by tanh; 12 is typical of metal.

    Returns:
        (T · 16000 / rate,) at 16 kHz.
    """
    loudest = max(float(np.abs(guitar).max(initial=0.0)), 1e-9)
    driven = np.tanh(guitar * np.float32(drive / loudest))
    driven = soxr.resample(driven, rate, SAMPLE_RATE, quality=soxr.HQ)
    amplified: NDArray[np.float32] = oaconvolve(driven, cabinet)[: len(driven)].astype(np.float32)
    return amplified


def read_cabinet(path: Path) -> NDArray[np.float32]:
    """Read an impulse response: (K,) at 16 kHz, mono, with energy 1 and its peak within the first 1 ms.

    Raises:
        DataError: the file is not readable or is silent.
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
    # Samples before the direct sound would delay every note.
    loudest = int(np.abs(sound).argmax())
    response: NDArray[np.float32] = sound[max(0, loudest - SAMPLE_RATE // 1000) :][
        : round(MAX_RESPONSE_SECONDS * SAMPLE_RATE)
    ]
    return (response / energy).astype(np.float32)
