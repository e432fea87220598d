"""Audio from files and tensors, made fit for the tower: mono, float32, 16 kHz."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch
from torch import Tensor

from motionbeat_upstream.config import SAMPLE_RATE

AUDIO_SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64"}
)
"""File names that a folder is searched for."""


class AudioError(ValueError):
    """Audio that cannot be used; the message names the file or item, the fault and the remedy."""


def read_audio(path: str | Path) -> Tensor:
    """Read a file of any format, rate and number of channels that libsndfile knows.

    Returns:
        (T,) float32 at 16 kHz, the mean of the channels, T at least 1.

    Raises:
        AudioError: the file is missing, empty, no audio, or holds no or non-finite samples.
    """
    path = Path(path)
    if not path.is_file():
        raise AudioError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: the file is empty (0 bytes); fetch or export it again")
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, ValueError) as error:
        raise AudioError(
            f"{path}: not audio that libsndfile can read ({error}); convert it to WAV or FLAC first"
        ) from error
    if len(samples) == 0:
        raise AudioError(f"{path}: the file holds no samples; fetch or export it again")
    if not np.isfinite(samples).all():
        raise AudioError(
            f"{path}: holds {int((~np.isfinite(samples)).sum())} samples that are NaN or infinite; export it anew"
        )
    mono = samples.mean(axis=1)
    if rate != SAMPLE_RATE:
        mono = librosa.resample(mono, orig_sr=rate, target_sr=SAMPLE_RATE, res_type="soxr_hq")
    return torch.from_numpy(np.ascontiguousarray(mono, dtype=np.float32))


def as_waveform(wav: Tensor, name: str = "wav") -> Tensor:
    """Check one waveform and return it as float32 on its own device.

    Args:
        wav: (T,) at 16 kHz: floats in about [-1, 1], or int16 or int32 at full scale.
        name: what to call it in a message.

    Raises:
        AudioError: another shape, type, no samples, or samples that are NaN or infinite.
    """
    if not isinstance(wav, Tensor):
        raise AudioError(f"{name}: expected a torch tensor, got {type(wav).__name__}; use torch.as_tensor")
    if wav.dim() != 1:
        raise AudioError(
            f"{name}: expected one dimension (samples), got shape {tuple(wav.shape)}; "
            f"for several channels take the mean, for a batch pass a list of 1-D tensors"
        )
    if wav.numel() == 0:
        raise AudioError(f"{name}: holds no samples; leave it out")
    if wav.dtype in (torch.int16, torch.int32):
        return wav.float() / -float(torch.iinfo(wav.dtype).min)
    if not wav.is_floating_point():
        raise AudioError(
            f"{name}: expected floats in [-1, 1], int16 or int32, got {wav.dtype}; convert it first"
        )
    wav = wav.float()
    if not bool(torch.isfinite(wav).all()):
        bad = int((~torch.isfinite(wav)).sum())
        raise AudioError(f"{name}: {bad} of {wav.numel()} samples are NaN or infinite; clean or drop it")
    return wav
