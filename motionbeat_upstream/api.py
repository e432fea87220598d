"""Features and beats of a file or an array in one call.

import motionbeat_upstream as motionbeat

estimate = motionbeat.beats("song.mp3")      # .times, .positions, .bpm, .metre, .confidence
estimate.save("song.jams")                   # or .beats, .csv, .json, .lab, .svl, .mid, .xml
outputs = motionbeat.features(samples, 44_100)
model = motionbeat.load("checkpoint.safetensors", device="cuda")
for estimate in motionbeat.iter_beats(paths, model=model): ...
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionbeat_upstream import hubconf
from motionbeat_upstream.audio import as_waveform, read_audio
from motionbeat_upstream.beat_files import save_beats
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.decoding import audio_length
from motionbeat_upstream.errors import AudioError, ConfigError
from motionbeat_upstream.expert import UpstreamExpert
from motionbeat_upstream.tracking.bar_pointer import Hints

Audio: TypeAlias = str | PathLike[str] | NDArray[Any] | Tensor
"""A file of any format that FFmpeg reads, or samples: (T,) or (channels, T)."""


@dataclass(frozen=True)
class BeatEstimate:
    """Beats, bars and tempo of a recording."""

    times: NDArray[np.float64]
    """(N,) seconds; empty without a pulse."""
    positions: NDArray[np.int64]
    """(N,) position of each beat in its bar, from 1; 1 is a downbeat."""
    bpm: float | None
    """Median tempo in beats per minute; None without a pulse."""
    metre: int | None
    """Beats per bar; 6/8 counts as two. None without a pulse."""
    confidence: float
    """Confidence of the beats, in [0, 1]."""
    downbeat_confidence: float
    """Confidence of downbeats and metre, in [0, 1]."""
    duration: float
    """Duration of the recording in seconds."""
    rate: float
    """Sampling rate of the recording in Hz."""
    file: Path | None
    """Path of the recording; None for samples."""

    @property
    def downbeats(self) -> NDArray[np.float64]:
        """(M,) seconds of the downbeats."""
        downbeats: NDArray[np.float64] = self.times[self.positions == 1]
        return downbeats

    def save(self, path: str | PathLike[str]) -> None:
        """Write the beats in the format of the suffix, see :ref:`formats-of-beats`.

        An existing file is replaced, atomically.

        Raises:
            ConfigError: the suffix is unknown, or it is .xml and the beats are those of samples.
            AudioError: the suffix is .mid and two beats are more than 16.7 s apart.
            OSError: the file cannot be written.
        """
        save_beats(self, Path(path))

    def __str__(self) -> str:
        if self.bpm is None:
            return "no beats"
        return (
            f"{len(self.times)} beats from {self.times[0]:.2f} to {self.times[-1]:.2f} s, "
            f"{self.bpm:.1f} bpm, {self.metre} beats per bar, confidence {self.confidence:.2f} "
            f"(downbeats {self.downbeat_confidence:.2f})"
        )


def load(
    name_or_path: str | PathLike[str] = "motionbeat",
    device: str | torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> UpstreamExpert:
    """Load a model in eval mode; ``model([wav, …])`` takes waveforms at 16 kHz.

    See :class:`~motionbeat_upstream.expert.UpstreamExpert`.

    Args:
        name_or_path: ``motionbeat``, ``motionbeat_v1``, ``motionbeat_untrained``, ``motionbeat_base``, or a
            checkpoint (.safetensors).
        device: by default CUDA if it is available, otherwise the CPU.
        dtype: of the weights and features. Spectra and beats are always computed in float32.

    Raises:
        CheckpointError: unknown model, or the file is not a checkpoint.
        ConfigError: the device is not available.
    """
    models = {
        name: getattr(hubconf, name)
        for name in ("motionbeat", "motionbeat_v1", "motionbeat_untrained", "motionbeat_base")
    }
    create = models.get(str(name_or_path))
    model = create() if create is not None else hubconf.motionbeat_local(ckpt=Path(name_or_path))
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return model.to(device=device, dtype=dtype).eval()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device {device}: not available ({reason}); leave it out for the CPU") from None


@torch.inference_mode()
def features(
    audio: Audio, rate: float | None = None, *, model: UpstreamExpert | None = None
) -> dict[str, Any]:
    """Compute all outputs of a model for one recording.

    Args:
        audio: a file or samples.
        rate: sampling rate of samples in Hz; None for a file.
        model: from :func:`load`; None for the shipped weights.

    Returns:
        The outputs of :class:`~motionbeat_upstream.expert.UpstreamExpert` without the batch dimension:
        ``hidden_states`` (L, F, D), ``last_hidden_state`` (F, D), ``embedding`` (E,), ``beat_activation``
        (F,) and so on, with F = ceil(T / 320) frames of 20 ms, and ``grid``.

    Raises:
        AudioError: the file cannot be read, or samples have another shape or type, or no rate.
    """
    model = model or _shipped()
    outputs = model([_waveform(audio, rate).to(next(model.parameters()).device)])
    single = {name: value[0] for name, value in outputs.items() if name not in ("hidden_states", "grids")}
    return {
        "hidden_states": torch.stack([state[0] for state in outputs["hidden_states"]]),
        **single,
        "grid": outputs["grids"][0],
    }


def beats(
    audio: Audio,
    rate: float | None = None,
    *,
    model: UpstreamExpert | None = None,
    min_bpm: float = Hints.min_bpm,
    max_bpm: float = Hints.max_bpm,
    metres: Iterable[int] = Hints.metres,
) -> BeatEstimate:
    """Estimate beats, bars and tempo of one recording, as ``motionbeat beats`` does.

    Args:
        audio: a file or samples.
        rate: sampling rate of samples in Hz; None for a file.
        model: from :func:`load`; None for the shipped weights.
        min_bpm: lowest tempo.
        max_bpm: highest tempo.
        metres: possible numbers of beats per bar.

    Raises:
        AudioError: as in :func:`features`.
        ConfigError: no tempo or no metre remains.
    """
    model = model or _shipped()
    try:
        hints = Hints(min_bpm, max_bpm, tuple(sorted(set(metres))))
    except ValueError as error:
        raise ConfigError(f"min_bpm, max_bpm, metres: {error}") from None
    wav = _waveform(audio, rate)
    grid = model.tower.estimate_grid(wav.to(next(model.parameters()).device), hints)
    duration = len(wav) / SAMPLE_RATE
    file = Path(audio) if isinstance(audio, str | PathLike) else None
    recording = duration, float(audio_length(file)[1] if file else rate or SAMPLE_RATE), file
    if grid.confidence == 0:
        return BeatEstimate(np.zeros(0), np.zeros(0, np.int64), None, None, 0.0, 0.0, *recording)
    inside = (grid.beats >= 0) & (grid.beats <= duration)
    return BeatEstimate(
        grid.beats[inside],
        grid.positions[inside],
        grid.bpm,
        grid.metre,
        grid.confidence,
        grid.downbeat_confidence,
        *recording,
    )


def iter_features(
    files: Iterable[str | PathLike[str]], *, model: UpstreamExpert | None = None
) -> Iterator[dict[str, Any]]:
    """Yield :func:`features` of each file; one file at a time is in memory."""
    for file in files:
        yield features(file, model=model)


def iter_beats(
    files: Iterable[str | PathLike[str]], *, model: UpstreamExpert | None = None, **hints: Any
) -> Iterator[BeatEstimate]:
    """Yield :func:`beats` of each file; ``hints`` are its other arguments."""
    for file in files:
        yield beats(file, model=model, **hints)


@lru_cache(maxsize=1)
def _shipped() -> UpstreamExpert:
    return load()


def _waveform(audio: Audio, rate: float | None) -> Tensor:
    """Read or convert audio to (T,) float32 at 16 kHz, the mean of the channels.

    Raises:
        AudioError: as in :func:`features`.
    """
    if isinstance(audio, str | PathLike):
        if rate is not None:
            raise AudioError(f"{audio}: rate {rate} was given for a file, which has its own; leave it out")
        return read_audio(Path(audio))
    if rate is None or not 0 < rate < float("inf"):
        raise AudioError(f"samples need their rate in Hz, got {rate}; give it, as in beats(samples, 44_100)")
    samples = torch.as_tensor(audio).cpu()
    if samples.dim() == 2 and 0 < samples.shape[0] <= samples.shape[1]:
        wav = torch.stack([as_waveform(channel, "samples") for channel in samples]).mean(0)
    elif samples.dim() == 2:
        raise AudioError(
            f"samples of shape {tuple(samples.shape)}: expected (T,) or (channels, T); transpose them"
        )
    else:
        wav = as_waveform(samples, "samples")
    return wav if rate == SAMPLE_RATE else torch.from_numpy(soxr.resample(wav.numpy(), rate, SAMPLE_RATE))
