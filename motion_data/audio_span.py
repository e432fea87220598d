"""The part of an audio file that a pair uses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motion_data.errors import DataError
from motion_data.pair import AudioSpan
from motion_data.stages import count_decoded, stage
from motionbeat_upstream.audio import read_audio
from motionbeat_upstream.config import SAMPLE_RATE

SILENCE = 0.01
"""Share of a recording's peak below which a block of 0.1 s counts as silence at either end."""


def read_span(span: AudioSpan, folder: Path = Path()) -> Tensor:
    """(T,) float32 at 16 kHz: the span of a file.

    Args:
        span: seconds of a file.
        folder: that its path starts from, unless it is absolute.

    Raises:
        AudioError: the file cannot be read.
        DataError: the file ends more than 0.1 s before the span does.
    """
    path, wanted = folder / span.path, round((span.stop - span.start) * SAMPLE_RATE)
    with stage("audio"):
        wav = read_audio(path, span.start, span.stop)
    count_decoded(len(wav) / SAMPLE_RATE)
    if len(wav) < wanted - SAMPLE_RATE // 10:
        raise DataError(
            f"{path}: ends at {span.start + len(wav) / SAMPLE_RATE:.2f} s, but the pair reaches to "
            f"{span.stop:.2f} s; the file has changed since the corpus was prepared: prepare it again"
        )
    return torch.nn.functional.pad(wav, (0, max(0, wanted - len(wav))))[:wanted]


def sounding_span(wav: NDArray[np.float32], rate: int) -> tuple[float, float]:
    """Seconds at which the sound of (T,) samples starts and ends, silence at either end left out.

    Returns:
        Start and end; (0, 0) where there is no sound.
    """
    block = rate // 10
    power = (wav[: len(wav) // block * block].reshape(-1, block) ** 2).mean(1)
    loud = np.flatnonzero(power > (SILENCE * np.abs(wav).max(initial=0.0)) ** 2)
    return (float(loud[0]) / 10, (float(loud[-1]) + 1) / 10) if len(loud) else (0.0, 0.0)
