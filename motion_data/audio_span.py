"""A stretch of an audio file, decoded alone where the format allows it."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch
from torch import Tensor

from motion_data.errors import DataError
from motion_data.pair import AudioSpan
from motionbeat_upstream.audio import read_audio
from motionbeat_upstream.config import SAMPLE_RATE


def read_span(path: Path, span: AudioSpan) -> Tensor:
    """(T,) float32 at 16 kHz: the stretch of a file, decoded alone where the format allows it.

    Raises:
        AudioError: the file cannot be read.
        DataError: the file ends more than 0.1 s before the stretch does.
    """
    wanted = round((span.stop - span.start) * SAMPLE_RATE)
    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            file.seek(min(round(span.start * rate), file.frames))
            samples = file.read(round((span.stop - span.start) * rate), dtype="float32", always_2d=True)
        mono = samples.mean(axis=1)
        if rate != SAMPLE_RATE and len(mono):
            mono = librosa.resample(mono, orig_sr=rate, target_sr=SAMPLE_RATE, res_type="soxr_hq")
        wav = torch.from_numpy(np.ascontiguousarray(mono, dtype=np.float32))
    except (soundfile.LibsndfileError, RuntimeError):
        # A format that only ffmpeg reads, or no audio at all, which read_audio says.
        start = round(span.start * SAMPLE_RATE)
        wav = read_audio(path)[start : start + wanted]
    if len(wav) < wanted - SAMPLE_RATE // 10:
        raise DataError(
            f"{path}: ends at {span.start + len(wav) / SAMPLE_RATE:.2f} s, but the pair reaches to "
            f"{span.stop:.2f} s; the file has changed since the corpus was prepared: prepare it again"
        )
    return torch.nn.functional.pad(wav, (0, max(0, wanted - len(wav))))[:wanted]
