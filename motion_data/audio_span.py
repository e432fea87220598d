"""The part of an audio file that a pair uses."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from motion_data.errors import DataError
from motion_data.pair import AudioSpan
from motionbeat_upstream.audio import read_audio
from motionbeat_upstream.config import SAMPLE_RATE


def read_span(path: Path, span: AudioSpan) -> Tensor:
    """(T,) float32 at 16 kHz: the span of a file.

    Raises:
        AudioError: the file cannot be read.
        DataError: the file ends more than 0.1 s before the span does.
    """
    wanted = round((span.stop - span.start) * SAMPLE_RATE)
    wav = read_audio(path, span.start, span.stop)
    if len(wav) < wanted - SAMPLE_RATE // 10:
        raise DataError(
            f"{path}: ends at {span.start + len(wav) / SAMPLE_RATE:.2f} s, but the pair reaches to "
            f"{span.stop:.2f} s; the file has changed since the corpus was prepared: prepare it again"
        )
    return torch.nn.functional.pad(wav, (0, max(0, wanted - len(wav))))[:wanted]
