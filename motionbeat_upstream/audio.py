"""Reading and checking of audio for the tower: mono, float32, 16 kHz."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soxr
import torch
from torch import Tensor

from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.decoding import decode
from motionbeat_upstream.errors import AudioError as AudioError


def read_audio(path: str | Path, start: float = 0.0, stop: float | None = None) -> Tensor:
    """Read an audio file or a part of it, in any format that FFmpeg reads, as 16 kHz mono.

    Args:
        path: the file.
        start: seconds; see :mod:`motionbeat_upstream.decoding` for the clock and for damaged files.
        stop: seconds; None for the end.

    Returns:
        (T,) float32, the mean of the channels; T is at least 1 if ``start`` is 0, and less than
        16,000 · (stop - start) if the file ends before ``stop``.

    Raises:
        AudioError: the file is missing or empty, is not audio, or has no samples or non-finite ones.
    """
    resampler: soxr.ResampleStream | None = None
    parts = []
    count = size = invalid = 0
    for samples, rate in decode(Path(path), start, stop):
        count += samples.shape[1]
        size += samples.size
        invalid += int((~np.isfinite(samples)).sum())
        mono = samples.mean(axis=0)
        if rate != SAMPLE_RATE:
            resampler = resampler or soxr.ResampleStream(rate, SAMPLE_RATE, 1, "float32", "HQ")
            mono = resampler.resample_chunk(mono)
        parts.append(mono)
    if invalid:
        raise AudioError(f"{path}: {invalid} of {size} samples are NaN or infinite; export it again")
    if not parts:
        if start:
            return torch.zeros(0)
        raise AudioError(f"{path}: the file has no samples; download or export it again")
    if resampler is not None:
        parts.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
        count = -(-count * SAMPLE_RATE // rate)
    wav = np.concatenate(parts)
    return torch.from_numpy(np.pad(wav, (0, max(0, count - len(wav))))[:count])


def as_waveform(wav: Tensor, name: str = "wav") -> Tensor:
    """Check a waveform and convert it to float32 on its device.

    Args:
        wav: (T,) at 16 kHz: floats in about [-1, 1], or int16 or int32 at full scale.
        name: of the waveform, for messages.

    Raises:
        AudioError: another shape or type, no samples, or samples that are NaN or infinite.
    """
    if not isinstance(wav, Tensor):
        raise AudioError(f"{name}: expected a torch tensor, got {type(wav).__name__}; use torch.as_tensor")
    if wav.dim() != 1:
        raise AudioError(
            f"{name}: expected one dimension (samples), got shape {tuple(wav.shape)}; "
            f"for several channels take the mean, for a batch pass a list of 1-D tensors"
        )
    if wav.numel() == 0:
        raise AudioError(f"{name}: has no samples; leave it out")
    if wav.dtype in (torch.int16, torch.int32):
        return wav.float() / -float(torch.iinfo(wav.dtype).min)
    if not wav.is_floating_point():
        raise AudioError(
            f"{name}: expected floats in [-1, 1], int16 or int32, got {wav.dtype}; convert it first"
        )
    wav = wav.float()
    if not bool(torch.isfinite(wav).all()):
        invalid = int((~torch.isfinite(wav)).sum())
        raise AudioError(f"{name}: {invalid} of {wav.numel()} samples are NaN or infinite; clean or drop it")
    return wav
