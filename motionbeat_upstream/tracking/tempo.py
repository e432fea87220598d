"""The beat period over time: how a piece repeats itself, and which of its pulses is the beat [O].

The periodicity of three signals is measured in windows of a few seconds: of the onsets, of the
onsets in the bass, and of the spectrum's shape. A tempo is scored by a weighted sum of their
autocorrelations at simple fractions and multiples of its beat period, the subdivisions and groups
a beat has. The weights are those of a multinomial logistic regression.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from motionbeat_upstream.config import ENVELOPE_RATE
from motionbeat_upstream.tracking.accents import Accents
from motionbeat_upstream.tracking.local_contrast import STEP, local_deviation
from motionbeat_upstream.tracking.viterbi import best_path

SLOWEST, FASTEST, PER_OCTAVE = 40.0, 240.0, 24
"""Range of tempi in beats per minute, and their number in an octave."""

TEMPO_CLASSES = 32
"""Tempi between them that beat heads tell apart: evenly spaced in the logarithm, 6 % apart."""

POOL = 2
"""Frames of 10 ms that are pooled to one."""

RATE = ENVELOPE_RATE / POOL
"""Pooled frames a second, at which periodicity is measured."""

WINDOW = 400
"""Pooled frames of a window: 8 s."""

HOP = 2.0
"""Seconds from one window to the next."""

SHAPE_REACH = 75
"""Pooled frames to either side of the mean that the spectrum's shape is seen against: 1.5 s."""

STIFFNESS = 40.0
"""Cost of a change of tempo by a factor e from one window to the next, as a logarithm of probability."""

MULTIPLES = (1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 1, 4 / 3, 3 / 2, 2, 3, 4)
"""Lags looked at, in beat periods."""

WEIGHTS = (
    (0.8, 0.9, 3.4, 0.1, -0.1, 3.6, -0.6, 0.1, 0.1, 0.1, -0.7),
    (1.7, 0.9, 0.9, 0.3, 1.8, 1.2, -0.6, -1.4, 0.8, -1.2, 0.6),
    (-1.5, 0.6, -0.8, -0.1, -1.6, 0.7, -0.2, -1.3, 2.1, -1.2, 2.4),
)
"""Weights of the autocorrelations of onsets, bass and shape at ``MULTIPLES``.

Fitted to windows of 827 clips rendered from MIDI files (Groove; ASAP; POP909 as it is, and at other
speeds with made drum and guitar parts) and of 120 made clips in compound time, the clips weighted so
that their tempi spread by half an octave about 133 beats per minute."""

PRIOR = (1.55, -1.52, 0.15)
"""Weights of x, x² and x³, where x is the tempo in octaves above 120 beats per minute; fitted likewise."""

SAME_TEMPO = 3
"""Steps between two of the tempi up to which they are taken for one: an eighth of an octave."""

SCORE_STEP = 1e-3
"""Steps that scores are rounded to, so that the noise of a Fourier transform decides nothing."""


def beat_periods(accents: Accents, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The local beat period of each clip, smooth over time.

    Args:
        accents: of the clips; windows without any sound do not count.
        lengths: (B,) frames of each clip.

    Returns:
        (S,) periods in frames; the (B, F) index of each frame's own among them; and of the window around
        each frame, both (B, F) in steps of ``SCORE_STEP``: the autocorrelation of the onsets at one or
        two periods, in [-1, 1], and how probable the tempo is against the next best, p / (p + q), in [0, 1].
    """
    periodicity, scores = _window_scores(accents, lengths)
    bpm = tempi().to(scores.device)
    octaves = torch.log(bpm)
    transition = (-STIFFNESS * (octaves[:, None] - octaves).abs() / SCORE_STEP).round()
    hop = round(HOP * ENVELOPE_RATE)
    last = torch.div(lengths, hop, rounding_mode="floor")
    frame = torch.arange(accents.onsets.shape[1], device=lengths.device)
    window = (frame / hop).round().long().minimum(last[:, None])
    path = best_path(scores, transition, last + 1)
    each = path, _clarity(periodicity, path), _share(scores, path)
    choice, clear, sure = (one.gather(1, window) for one in each)
    return 60.0 * ENVELOPE_RATE / bpm, choice, clear, sure


def _window_scores(accents: Accents, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T, W) autocorrelation of the onsets in each window, and the (B, T, S) score of each tempo."""
    template, scores = (x.to(lengths.device) for x in _template())
    periodicity = []
    for signal, kind in zip(_signals(accents, lengths), template, strict=True):
        periodicity.append(_autocorrelation(signal))
        scores = scores + periodicity[-1] @ kind
    reach = WINDOW // 2 * POOL
    sounding = F.pad(accents.sounding.float()[:, None], (reach, reach))
    any_sound = F.max_pool1d(sounding, 2 * reach, stride=round(HOP * ENVELOPE_RATE))[:, 0]
    return periodicity[0], (scores / SCORE_STEP).round() * any_sound[..., None]


def tempo_evidence(accents: Accents, lengths: Tensor) -> Tensor:
    """What a tempo's score is the weighted sum of; the arguments are as for :func:`beat_periods`.

    Returns:
        (B, T, S, 3, M) autocorrelations of the three signals at ``MULTIPLES`` of each tempo's beat period, in
        windows centred at 0, ``HOP``, 2 ``HOP``, ... seconds.
    """
    found = torch.stack([_autocorrelation(signal) for signal in _signals(accents, lengths)])
    return torch.einsum("kbtw,wsm->btskm", found, _at_lags().to(lengths.device))


def _clarity(periodicity: Tensor, path: Tensor) -> Tensor:
    """(B, T) autocorrelation at the period chosen in each window, or at twice it, in whole steps."""
    period = 60.0 * RATE / tempi().to(path.device)[path]
    lags = torch.stack([period, 2 * period], 2).round().long().clamp(max=periodicity.shape[2] - 1)
    return (periodicity.gather(2, lags).amax(2) / SCORE_STEP).round()


def _share(scores: Tensor, path: Tensor) -> Tensor:
    """(B, T) p / (p + q) in whole steps: p of the tempo chosen in each window, q of the best other one."""
    tempo = torch.arange(scores.shape[2], device=path.device)
    other = (tempo - path[..., None]).abs() > SAME_TEMPO
    margin = scores.masked_fill(other, -math.inf).amax(2) - scores.masked_fill(~other, -math.inf).amax(2)
    return (torch.sigmoid(margin * SCORE_STEP) / SCORE_STEP).round()


def tempi() -> Tensor:
    """(S,) tempi in beats per minute, evenly spaced in octaves."""
    count = round(math.log2(FASTEST / SLOWEST) * PER_OCTAVE)
    return SLOWEST * torch.exp2(torch.arange(count + 1) / PER_OCTAVE)


def _signals(accents: Accents, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Onsets (B, 1, F'), bass onsets (B, 1, F') and shape (B, C, F'), pooled over time."""
    onsets = F.avg_pool1d(torch.stack([accents.onsets, accents.bass], 1), POOL)
    bands = accents.bands
    size, pairs = bands.shape[2] // POOL * POOL, bands.shape[1] // 2 * 2
    pooled = bands[:, 0:pairs:2, :size] + bands[:, 1:pairs:2, :size]
    pooled = pooled.unflatten(2, (-1, POOL)).sum(3)
    count = pooled.shape[1]
    within = torch.div(lengths, POOL, rounding_mode="floor").repeat_interleave(count)
    shape = local_deviation(pooled.flatten(0, 1), within, SHAPE_REACH) * (STEP / 2 / POOL)
    return onsets[:, :1], onsets[:, 1:], shape.unflatten(0, (-1, count))


def _autocorrelation(signal: Tensor) -> Tensor:
    """(B, T, W) autocorrelation of (B, C, F') in windows, summed over C, 1 at lag 0."""
    reach, hop = WINDOW // 2, round(HOP * RATE)
    pieces = F.pad(signal, (reach, reach)).unfold(2, WINDOW, hop) * _taper().to(signal.device)
    spectrum = torch.view_as_real(torch.fft.rfft(pieces, n=2 * WINDOW))
    power = (spectrum[..., 0].square() + spectrum[..., 1].square()).sum(1)
    correlation = torch.fft.irfft(power)[..., :WINDOW]
    normalised: Tensor = correlation / (correlation[..., :1] + 1.0)
    return normalised


def _taper() -> Tensor:
    return torch.hann_window(WINDOW, periodic=False).sqrt()


@cache
def _template() -> tuple[Tensor, Tensor]:
    """What each lag of each signal adds to each tempo's score, (3, W, S), and the prior, (S,)."""
    template = torch.einsum("wsm,km->kws", _at_lags(), torch.tensor(WEIGHTS))
    octaves = torch.log2(tempi() / 120.0)
    prior = sum(weight * octaves**power for power, weight in enumerate(PRIOR, start=1))
    return template, torch.as_tensor(prior)


def _at_lags() -> Tensor:
    """(W, S, M) what each lag counts for the autocorrelation at each multiple of each beat period."""
    overlap = torch.fft.irfft(torch.fft.rfft(_taper(), n=2 * WINDOW).abs().square())[:WINDOW]
    unbias = overlap[0] / overlap.clamp(min=0.15 * overlap[0])
    lags = (60.0 * RATE / tempi()[:, None] * torch.tensor(MULTIPLES)).clamp(max=0.85 * WINDOW)
    # Between two whole lags, autocorrelation is interpolated linearly.
    tent = (1 - (lags - torch.arange(WINDOW)[:, None, None]).abs()).clamp(min=0)
    at_lags: Tensor = tent * unbias[:, None, None]
    return at_lags


def tempo_class(bpm: Tensor) -> Tensor:
    """The class of a tempo in beats per minute, as a real number in [0, 31]."""
    octaves = torch.log2(bpm / SLOWEST) / math.log2(FASTEST / SLOWEST)
    return (octaves * (TEMPO_CLASSES - 1)).clamp(0, TEMPO_CLASSES - 1)


def class_tempi() -> Tensor:
    """(32,) tempi of the classes in beats per minute, see :func:`tempo_class`."""
    return SLOWEST * torch.pow(FASTEST / SLOWEST, torch.arange(TEMPO_CLASSES) / (TEMPO_CLASSES - 1))
