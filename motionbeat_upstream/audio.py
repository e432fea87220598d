"""Audio from files and tensors, made fit for the tower: mono, float32, 16 kHz."""

from __future__ import annotations

import warnings
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionbeat_upstream.config import SAMPLE_RATE

AUDIO_SUFFIXES = (
    *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64"),
    *(".m4a", ".aac", ".mp4", ".wma", ".webm", ".mka"),
)
"""File names that a folder is searched for; the second row needs ffmpeg."""


class AudioError(ValueError):
    """Audio that cannot be used; the message names the file or item, the fault and the remedy."""


def read_audio(path: str | Path) -> Tensor:
    """Read a file of any rate and number of channels, in any format libsndfile or ffmpeg knows.

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
    samples, rate = _decode(path)
    if samples.size == 0:
        raise AudioError(f"{path}: the file holds no samples; fetch or export it again")
    bad = int((~np.isfinite(samples)).sum())
    if bad:
        raise AudioError(f"{path}: {bad} of {samples.size} samples are NaN or infinite; export it again")
    mono = samples if samples.ndim == 1 else samples.mean(axis=0)
    if rate != SAMPLE_RATE:
        mono = librosa.resample(mono, orig_sr=rate, target_sr=SAMPLE_RATE, res_type="soxr_hq")
    return torch.from_numpy(np.ascontiguousarray(mono, dtype=np.float32))


def _decode(path: Path) -> tuple[NDArray[np.float32], float]:
    """Samples (T,) or (C, T) at the file's own rate."""
    try:
        samples, rate = soundfile.read(path, dtype="float32")
        return samples.T, rate
    except (soundfile.LibsndfileError, RuntimeError) as error:
        fault = str(error)
    try:
        with warnings.catch_warnings():
            # librosa announces that it will drop what it does here for files libsndfile cannot read.
            warnings.simplefilter("ignore")
            return librosa.load(path, sr=None, mono=False)
    except Exception as error:  # every decoder behind librosa raises errors of its own
        raise AudioError(
            f"{path}: not audio that libsndfile ({fault}) or an installed ffmpeg can read; "
            f"check that it plays, or convert it to WAV or FLAC"
        ) from error


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
