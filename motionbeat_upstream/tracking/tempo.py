"""Local beat periods from autocorrelations [O].

In windows of a few seconds, the autocorrelations of three signals are computed: onsets, onsets in the bass,
    and the
shape of the spectrum. The score of a tempo is a weighted sum of these at simple fractions and multiples of
its beat period, which correspond to subdivisions and groups of beats. The weights are those of a multinomial
logistic regression.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from motionbeat_upstream.config import ENVELOPE_RATE
from motionbeat_upstream.tracking.accents import Accents
from motionbeat_upstream.tracking.local_contrast import RESOLUTION, local_deviation
from motionbeat_upstream.tracking.viterbi import best_path

MIN_BPM, MAX_BPM, TEMPI_PER_OCTAVE = 40.0, 240.0, 24
"""Range of tempi in beats per minute, and their number per octave."""

TEMPO_CLASSES = 32
"""Number of tempo classes of the beat heads in this range: evenly spaced in the logarithm, 6 % apart."""

POOL_FRAMES = 2
"""Frames of 10 ms per pooled frame."""

RATE = ENVELOPE_RATE / POOL_FRAMES
"""Pooled frames per second."""

WINDOW = 400
"""Length of a window in pooled frames: 8 s."""

HOP_SECONDS = 2.0
"""Hop between windows."""

SHAPE_RADIUS = 75
"""Pooled frames on each side for the local mean that is subtracted from the spectrum: 1.5 s."""

TEMPO_CHANGE_COST = 40.0
"""Cost of a change of tempo by a factor e between windows, as a logarithm of probability."""

PERIOD_MULTIPLES = (1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 1, 4 / 3, 3 / 2, 2, 3, 4)
"""Lags of the autocorrelations, in beat periods."""

PERIODICITY_WEIGHTS = (
    (0.8, 0.9, 3.4, 0.1, -0.1, 3.6, -0.6, 0.1, 0.1, 0.1, -0.7),
    (1.7, 0.9, 0.9, 0.3, 1.8, 1.2, -0.6, -1.4, 0.8, -1.2, 0.6),
    (-1.5, 0.6, -0.8, -0.1, -1.6, 0.7, -0.2, -1.3, 2.1, -1.2, 2.4),
)
"""Weights of the autocorrelations of onsets, bass and shape at ``PERIOD_MULTIPLES``.

Fitted to windows of 827 clips rendered from MIDI files (Groove; ASAP; POP909 as it is, and at other
speeds with synthetic drum and guitar parts) and of 120 synthetic clips in compound time, the clips weighted
so that their tempi spread by half an octave about 133 beats per minute."""

PRIOR_WEIGHTS = (1.55, -1.52, 0.15)
"""Weights of x, x² and x³, where x is the tempo in octaves above 120 beats per minute; fitted likewise."""

SAME_TEMPO_STEPS = 3
"""Steps between two of the tempi up to which they are considered equal: an eighth of an octave."""

SCORE_STEP = 1e-3
"""Step to which scores are rounded, so that rounding errors of Fourier transforms have no effect."""


def beat_periods(accents: Accents, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Estimate the local beat period of each clip, smooth over time.

    Args:
        accents: of the clips; windows without sounding frames are ignored.
        lengths: (B,) frames of each clip.

    Returns:
        (S,) periods in frames; the (B, F) index of the local period; and of the window around each frame,
        both (B, F) in steps of ``SCORE_STEP``: the autocorrelation of the onsets at one or two periods, in
        [-1, 1], and p / (p + q) in [0, 1], where p is the probability of the tempo and q that of the best
        alternative.
    """
    periodicity, scores = _window_scores(accents, lengths)
    bpm = candidate_tempi().to(scores.device)
    octaves = torch.log(bpm)
    transition = (-TEMPO_CHANGE_COST * (octaves[:, None] - octaves).abs() / SCORE_STEP).round()
    hop = round(HOP_SECONDS * ENVELOPE_RATE)
    last = torch.div(lengths, hop, rounding_mode="floor")
    frame = torch.arange(accents.onsets.shape[1], device=lengths.device)
    window = (frame / hop).round().long().minimum(last[:, None])
    path = best_path(scores, transition, last + 1)
    clarity, probability = _pulse_clarity(periodicity, path), _tempo_probability(scores, path)
    choice, clarity, probability = (x.gather(1, window) for x in (path, clarity, probability))
    return 60.0 * ENVELOPE_RATE / bpm, choice, clarity, probability


def _window_scores(accents: Accents, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T, W) autocorrelation of the onsets in each window, and (B, T, S) scores of the tempi."""
    template, scores = (x.to(lengths.device) for x in _template())
    periodicity = []
    for signal, kind in zip(_signals(accents, lengths), template, strict=True):
        periodicity.append(_autocorrelation(signal))
        scores = scores + periodicity[-1] @ kind
    reach = WINDOW // 2 * POOL_FRAMES
    sounding = F.pad(accents.sounding.float()[:, None], (reach, reach))
    any_sound = F.max_pool1d(sounding, 2 * reach, stride=round(HOP_SECONDS * ENVELOPE_RATE))[:, 0]
    return periodicity[0], (scores / SCORE_STEP).round() * any_sound[..., None]


def tempo_evidence(accents: Accents, lengths: Tensor) -> Tensor:
    """Compute the terms of the scores of tempi; the arguments are those of :func:`beat_periods`.

    Returns:
        (B, T, S, 3, M) autocorrelations of the three signals at ``PERIOD_MULTIPLES`` of each tempo's beat
        period, in windows centred at 0, ``HOP_SECONDS``, 2 ``HOP_SECONDS``, ... seconds.
    """
    autocorrelations = torch.stack([_autocorrelation(signal) for signal in _signals(accents, lengths)])
    return torch.einsum("kbtw,wsm->btskm", autocorrelations, _lag_weights().to(lengths.device))


def _pulse_clarity(periodicity: Tensor, path: Tensor) -> Tensor:
    """(B, T) maximum autocorrelation at one and two periods of the chosen tempo, in steps."""
    period = 60.0 * RATE / candidate_tempi().to(path.device)[path]
    lags = torch.stack([period, 2 * period], 2).round().long().clamp(max=periodicity.shape[2] - 1)
    return (periodicity.gather(2, lags).amax(2) / SCORE_STEP).round()


def _tempo_probability(scores: Tensor, path: Tensor) -> Tensor:
    """(B, T) p / (p + q) in steps, with the probabilities of the chosen tempo and of the best alternative."""
    tempo = torch.arange(scores.shape[2], device=path.device)
    other = (tempo - path[..., None]).abs() > SAME_TEMPO_STEPS
    margin = scores.masked_fill(other, -math.inf).amax(2) - scores.masked_fill(~other, -math.inf).amax(2)
    return (torch.sigmoid(margin * SCORE_STEP) / SCORE_STEP).round()


def candidate_tempi() -> Tensor:
    """(S,) tempi in beats per minute, evenly spaced in octaves."""
    count = round(math.log2(MAX_BPM / MIN_BPM) * TEMPI_PER_OCTAVE)
    return MIN_BPM * torch.exp2(torch.arange(count + 1) / TEMPI_PER_OCTAVE)


def _signals(accents: Accents, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Onsets (B, 1, F'), bass onsets (B, 1, F') and spectral shape (B, C, F'), pooled over time."""
    onsets = F.avg_pool1d(torch.stack([accents.onsets, accents.bass], 1), POOL_FRAMES)
    bands = accents.bands
    size, pairs = bands.shape[2] // POOL_FRAMES * POOL_FRAMES, bands.shape[1] // 2 * 2
    pooled = bands[:, 0:pairs:2, :size] + bands[:, 1:pairs:2, :size]
    pooled = pooled.unflatten(2, (-1, POOL_FRAMES)).sum(3)
    count = pooled.shape[1]
    within = torch.div(lengths, POOL_FRAMES, rounding_mode="floor").repeat_interleave(count)
    shape = local_deviation(pooled.flatten(0, 1), within, SHAPE_RADIUS) * (RESOLUTION / 2 / POOL_FRAMES)
    return onsets[:, :1], onsets[:, 1:], shape.unflatten(0, (-1, count))


def _autocorrelation(signal: Tensor) -> Tensor:
    """(B, T, W) autocorrelation of (B, C, F') in windows, summed over C and 1 at lag 0."""
    reach, hop = WINDOW // 2, round(HOP_SECONDS * RATE)
    windows = F.pad(signal, (reach, reach)).unfold(2, WINDOW, hop) * _taper().to(signal.device)
    spectrum = torch.view_as_real(torch.fft.rfft(windows, n=2 * WINDOW))
    power = (spectrum[..., 0].square() + spectrum[..., 1].square()).sum(1)
    correlation = torch.fft.irfft(power)[..., :WINDOW]
    normalised: Tensor = correlation / (correlation[..., :1] + 1.0)
    return normalised


def _taper() -> Tensor:
    return torch.hann_window(WINDOW, periodic=False).sqrt()


@cache
def _template() -> tuple[Tensor, Tensor]:
    """(3, W, S) weight of each lag of each signal in the score of each tempo, and (S,) prior scores."""
    template = torch.einsum("wsm,km->kws", _lag_weights(), torch.tensor(PERIODICITY_WEIGHTS))
    octaves = torch.log2(candidate_tempi() / 120.0)
    prior = sum(weight * octaves**power for power, weight in enumerate(PRIOR_WEIGHTS, start=1))
    return template, torch.as_tensor(prior)


def _lag_weights() -> Tensor:
    """(W, S, M) weight of each lag in the autocorrelation at each multiple of each beat period."""
    overlap = torch.fft.irfft(torch.fft.rfft(_taper(), n=2 * WINDOW).abs().square())[:WINDOW]
    unbias = overlap[0] / overlap.clamp(min=0.15 * overlap[0])
    lags = (60.0 * RATE / candidate_tempi()[:, None] * torch.tensor(PERIOD_MULTIPLES)).clamp(
        max=0.85 * WINDOW
    )
    # Linear interpolation between integer lags.
    tent = (1 - (lags - torch.arange(WINDOW)[:, None, None]).abs()).clamp(min=0)
    weights: Tensor = tent * unbias[:, None, None]
    return weights


def tempo_class(bpm: Tensor) -> Tensor:
    """Convert tempi in beats per minute to fractional class indices in [0, 31]."""
    octaves = torch.log2(bpm / MIN_BPM) / math.log2(MAX_BPM / MIN_BPM)
    return (octaves * (TEMPO_CLASSES - 1)).clamp(0, TEMPO_CLASSES - 1)


def class_tempi() -> Tensor:
    """(32,) tempi of the classes in beats per minute, see :func:`tempo_class`."""
    return MIN_BPM * torch.pow(MAX_BPM / MIN_BPM, torch.arange(TEMPO_CLASSES) / (TEMPO_CLASSES - 1))
