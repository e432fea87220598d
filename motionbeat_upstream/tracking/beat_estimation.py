"""Metrical grids from audio by rules, without a trained network: beats, downbeats and metre [O].

The beat period comes from :mod:`~motionbeat_upstream.tracking.tempo`, the beats from
:mod:`~motionbeat_upstream.tracking.beat_decoding`, the bars from :mod:`~motionbeat_upstream.tracking.metre`.
If the pulses of a trained head are given, they decide on the phase of the beats; tempo, bars and confidence
come from the onsets, to which they were fitted. When pulses also decided on the metrical level, F rose by .01
to .02 on constructed dance tunes and fell by .06 to .11 on rendered pop songs. Sums are over integers, and
results of Fourier transforms are rounded before decisions, so grids do not depend on the batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from motionbeat_upstream.config import ENVELOPE_RATE, SAMPLE_RATE, MusicTowerConfig
from motionbeat_upstream.tracking.accents import DEFAULT_TRUST, compute_accents
from motionbeat_upstream.tracking.beat_decoding import decode_beats
from motionbeat_upstream.tracking.frontend import length_mask, spectra
from motionbeat_upstream.tracking.grid import Grid, fallback_grid
from motionbeat_upstream.tracking.local_contrast import local_contrast
from motionbeat_upstream.tracking.metre import bar_positions
from motionbeat_upstream.tracking.silence import silent_frames
from motionbeat_upstream.tracking.tempo import SCORE_STEP, beat_periods

ACTIVATION_OFFSET = 0.02
"""Added to the activation from which beats are decoded, which is about 3 on beats, so that decoding continues
through digital silence of any length."""

NOISE_CLARITY = (0.05, 0.45)
"""a and b in a + b / √seconds. The autocorrelation at the beat period is below this for white, pink and brown
noise, 1 s to 30 s long, in 99 of 100 clips."""

FULL_CLARITY = 0.6
"""Autocorrelation at the beat period from which the confidence is 1."""


@torch.no_grad()
def estimate_grids(
    activation: Tensor,
    log_mel: Tensor,
    lengths: Tensor,
    durations: Sequence[float],
    trust: float = DEFAULT_TRUST,
    pulses: Tensor | None = None,
) -> list[Grid]:
    """Estimate beats, bars and metre (2, 3 or 4; 6/8 counts as two) of each clip.

    Args:
        activation: (B, F) at 100 Hz, at least 0, with peaks of about 1: the onset envelope or similar. Frame
            j is centred at (j + 0.5) · 10 ms.
        log_mel: (B, F, M) log-mel.
        lengths: (B,) frames of ``activation`` of each clip.
        durations: (B,) lengths of the clips in seconds.
        trust: weight in [0, 1] of the pulses if they are given, otherwise of the activation, for the phase of
            the beats; the rest goes to accents in the log-mel. Use 1 for activations trained on beats.
        pulses: (B, F/k) probabilities of a beat from a trained head, at 100 / k Hz for an integer k; values
            beyond a clip's end are ignored.

    Returns:
        One grid per clip, without beats in silences, see :mod:`~motionbeat_upstream.tracking.silence`. For a
        clip without a pulse it is :func:`~motionbeat_upstream.tracking.grid.fallback_grid`, with confidence
        0.

    Raises:
        ValueError: shapes do not match.
    """
    size = activation.shape[1]
    if log_mel.shape[1] != size or lengths.shape != (len(activation),) or len(durations) != len(activation):
        raise ValueError(
            f"{len(activation)} activations of {size} frames do not match {len(lengths)} lengths, "
            f"{len(durations)} durations and a log-mel of shape {tuple(log_mel.shape)}; expected one of each "
            f"per clip, and as many mel frames as frames of the activation"
        )
    if pulses is not None and (pulses.ndim != 2 or len(pulses) != len(activation) or size % pulses.shape[1]):
        raise ValueError(
            f"pulses of shape {tuple(pulses.shape)} do not match {len(activation)} activations of {size} "
            f"frames; expected as many rows, and an integer number of activation frames per frame of pulses"
        )
    accents = compute_accents(activation, log_mel, lengths)
    periods, choice, clarity, tempo_probability = beat_periods(accents, lengths)
    sounding = length_mask(lengths, size) & ~silent_frames(accents.sounding, periods[choice])
    beat_activation = accents.onsets
    if pulses is not None:
        beat_activation = local_contrast(_resample_pulses(pulses, size, lengths), lengths)
    strength = trust * beat_activation + (1 - trust) * accents.log_mel + ACTIVATION_OFFSET
    beats = decode_beats(strength, periods, choice, lengths, ENVELOPE_RATE)
    beats = [
        _trim_silent_beats(frames, row) for frames, row in zip(beats, sounding.cpu().numpy(), strict=True)
    ]

    count = torch.tensor([len(frames) for frames in beats], device=lengths.device)
    frames = pad_sequence([torch.from_numpy(frames) for frames in beats], batch_first=True).to(lengths.device)
    # Padding is 0, which is more than values below a clip's mean.
    beyond = ~length_mask(lengths, size)
    activations = accents.onsets, accents.bass, accents.combined
    onsets, bass, combined = (x.masked_fill(beyond, -math.inf) for x in activations)
    audible = sounding.gather(1, frames) & length_mask(count, frames.shape[1])
    positions, metres, bar_confidence = bar_positions(onsets, bass, accents.band_sums, frames, count, audible)
    mean_clarity = _mean(clarity, sounding) * SCORE_STEP
    confidence = _pulse_confidence(mean_clarity, sounding.sum(1) / ENVELOPE_RATE) * torch.minimum(
        _mean(tempo_probability, sounding) * SCORE_STEP, _phase_probability(combined, frames, audible)
    )
    peaks = (frames + 0.5 + peak_offset(beat_activation, frames)).cpu().numpy()
    clips = zip(
        peaks.astype(np.float64) / ENVELOPE_RATE,
        positions.cpu().numpy(),
        audible.cpu().numpy(),
        metres.tolist(),
        confidence.tolist(),
        torch.minimum(confidence, bar_confidence).tolist(),
        durations,
        strict=True,
    )
    return [_grid(times[keep], in_bar[keep], *values) for times, in_bar, keep, *values in clips]


@torch.inference_mode()
def estimate_grid(wav: Tensor, n_mels: int = MusicTowerConfig.n_mels) -> Grid:
    """Estimate beats, bars and metre of one waveform (T,) at 16 kHz by the rules."""
    lengths = torch.tensor([len(wav)], device=wav.device)
    mel, mel_lengths, onset = spectra(wav[None], lengths, n_mels)
    return estimate_grids(onset, mel, mel_lengths, [len(wav) / SAMPLE_RATE])[0]


def _grid(
    times: NDArray[np.float64],
    positions: NDArray[np.int64],
    metre: int,
    confidence: float,
    downbeat_confidence: float,
    duration: float,
) -> Grid:
    """The grid of one clip, or the fallback grid if it has no pulse."""
    inside = times < duration
    if confidence <= 0 or inside.sum() < 2:
        return fallback_grid(duration)
    return Grid(times[inside], positions[inside], metre, confidence, downbeat_confidence)


def _trim_silent_beats(frames: NDArray[np.int64], sounding: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Drop silent beats at both ends, so that bars are counted from the first audible beat."""
    audible = np.flatnonzero(sounding[frames])
    return frames[audible[0] : audible[-1] + 1] if len(audible) else frames


def _mean(steps: Tensor, inside: Tensor) -> Tensor:
    """(B,) mean of (B, F) integers over the frames ``inside``."""
    return (steps.long() * inside).sum(1) / inside.sum(1).clamp(min=1)


def _pulse_confidence(clarity: Tensor, seconds: Tensor) -> Tensor:
    """(B,) in [0, 1], how far the autocorrelation at the beat period exceeds that of noise."""
    noise = NOISE_CLARITY[0] + NOISE_CLARITY[1] / seconds.clamp(min=1e-3).sqrt()
    confidence: Tensor = ((clarity - noise) / (FULL_CLARITY - noise).clamp(min=0.05)).clamp(0, 1)
    return confidence


def _phase_probability(activation: Tensor, frames: Tensor, audible: Tensor) -> Tensor:
    """(B,) p / (p + q), where p is the probability of the beats and q that of the off-beats half-way between.

    Args:
        activation: (B, F) onsets and accents, with standard deviation about 1.
        frames: (B, N) frame of each beat.
        audible: (B, N) false for beats that are ignored.
    """
    peak = F.max_pool1d(activation[:, None], 7, stride=1, padding=3)[:, 0]
    beat, following = frames[:, :-1], frames[:, 1:]
    half = torch.div(beat + following, 2, rounding_mode="floor")
    inside = audible[:, :-1] & audible[:, 1:]
    margin = ((peak.gather(1, beat) - peak.gather(1, half)) / SCORE_STEP).round().long()
    return torch.sigmoid(_mean(margin, inside) * SCORE_STEP * inside.sum(1).sqrt())


def _resample_pulses(pulses: Tensor, size: int, lengths: Tensor) -> Tensor:
    """Interpolate (B, F/k) pulses linearly to ``size`` = F frames.

    The last frame of a clip is repeated beyond its end, so that the result does not depend on the batch.
    """
    ratio = size // pulses.shape[1]
    last = torch.div(lengths - 1, ratio, rounding_mode="floor")[:, None]
    position = (torch.arange(size, device=pulses.device) + 0.5) / ratio - 0.5
    before = position.floor().long()
    share = position - before
    early, late = (
        torch.nan_to_num(pulses.float()).gather(1, (before + step).clamp(min=0).minimum(last))
        for step in (0, 1)
    )
    return early + share * (late - early)


def peak_offset(activation: Tensor, frames: Tensor) -> Tensor:
    """Offset of the peaks of an activation from ``frames``, in ±0.5 frames, by parabolic interpolation.

    0 for frames that are not peaks.
    """
    padded = F.pad(activation, (1, 1))
    left, centre, right = [padded.gather(1, frames + step) for step in (0, 1, 2)]
    curvature = left - 2 * centre + right
    is_peak = (centre >= left) & (centre >= right) & (curvature < 0)
    return torch.where(is_peak, 0.5 * (left - right) / curvature.clamp(max=-1e-6), 0.0)
