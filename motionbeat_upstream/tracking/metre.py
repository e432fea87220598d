"""Downbeats and metre by rules [O].

Each beat has cues that distinguish downbeats from other beats: the onset, the bass and the change of harmony.
A state is a metre with an offset of its downbeats. Metre and downbeats are the best path of states over
blocks of twelve beats, a multiple of bars of 2, 3 and 4 beats.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from motionbeat_upstream.tracking.accents import spectral_change
from motionbeat_upstream.tracking.frontend import length_mask
from motionbeat_upstream.tracking.local_contrast import RESOLUTION
from motionbeat_upstream.tracking.viterbi import best_path

CUE_WEIGHTS = (0.3, 0.8, 1.0, 0.5)
"""Weights of activation, bass, and the change of harmony over one and over two beats, as evidence of a
downbeat. Rounded from a logistic regression on 163 clips in 4/4, rendered from the POP909 and ASAP MIDI
files."""

CONTRAST = 0.6
"""Mean of that evidence at downbeats, in its standard deviations."""

BLOCK_BEATS = 12
"""Beats per block."""

METRE_PRIOR = {4: 1.0, 3: 0.2, 2: 1e-9}
"""Prior probability, up to a factor, of each metre if beats are not divided into three."""

COMPOUND_PRIOR = {4: 0.02, 3: 0.02, 2: 1.0}
"""The same if they are: 6/8, counted as two."""

COMPOUND_MARGIN = 0.5
"""Minimum excess of the activation at thirds of a beat over that at its half in compound time."""

MIN_SCALE = 0.1
"""Minimum standard deviation by which cues are divided."""

MIN_CUE_DEVIATION = (0.09, 0.3, 0.05, 0.05)
"""Standard deviation over a clip's beats below which each cue counts as constant. The clicks of a metronome,
in silence or in noise at -60 dB, have less than 0.07, 0.26, 0.03 and 0.02; clicks 3 dB softer than every
fourth have 0.1 in the first cue, and rendered pop songs and metal songs 0.72, 0.87, 0.07 and 0.08 or more in
all."""

NOISE_MARGIN, FULL_MARGIN = 0.8, 2.5
"""Margin of bars over others, in units of that of random evidence: up to the first value it may be chance,
from the second the confidence of downbeats is 1. For random evidence the confidence is 0 in 9 of 10 clips of
up to 60 beats, and below 0.25 in 95 of 100 of 240 beats."""

MIN_RESIDUAL = 0.3
"""Minimum deviation of the evidence, within downbeats and within other beats, by which the margin is
divided."""

SLIP_COST, METRE_CHANGE_COST = 6.0, 12.0
"""Costs of a shift of the downbeats and of a change of metre, as logarithms of probability."""


def bar_positions(
    activation: Tensor, bass: Tensor, band_sums: Tensor, frames: Tensor, count: Tensor, audible: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Estimate the position of each beat in its bar, and the metre.

    Bars begin with the first beat unless the evidence for others is more than chance.

    Args:
        activation: (B, F) of unit variance.
        bass: (B, F) onsets in the bass, of unit variance.
        band_sums: (B, C, F + 1) as in :class:`~motionbeat_upstream.tracking.accents.Accents`.
        frames: (B, N) frame of each beat, increasing; those beyond ``count`` are ignored.
        count: (B,) beats of each clip, at least 2.
        audible: (B, N) false for beats in silences and beyond ``count``.

    Returns:
        (B, N) positions from 1; the (B,) most frequent metre: 2, 3 or 4; and the (B,) confidence in [0, 1] of
        these bars over the best alternative with other downbeats or another metre: 0 where their margin may
        be chance.
    """
    weights = torch.tensor(CUE_WEIGHTS, device=frames.device)
    # Beats next to a silence or an end of the clip lack a neighbour.
    inner = F.pad(audible, (1, 1)).unfold(1, 3, 1).all(2)
    cues = _cues(activation, bass, band_sums, frames, count, inner)
    evidence = _standardise((cues * weights).sum(-1), inner)

    states = [(metre, offset) for metre in METRE_PRIOR for offset in range(metre)]
    metre, offset = torch.tensor(states, device=frames.device).T
    beat = torch.arange(frames.shape[1], device=frames.device)[:, None]
    downbeat = (beat - offset) % metre == 0
    expected = torch.where(downbeat, CONTRAST, -CONTRAST / (metre - 1))
    scores = (evidence[..., None] * expected - expected.square() / 2) * inner[..., None]
    blocks = F.pad(scores, (0, 0, 0, -frames.shape[1] % BLOCK_BEATS)).unflatten(1, (-1, BLOCK_BEATS)).sum(2)
    compound = _is_compound(activation, frames, count)
    simple_prior, compound_prior = (
        torch.tensor([prior[m] / m for m, _ in states], device=frames.device)
        for prior in (METRE_PRIOR, COMPOUND_PRIOR)
    )
    prior = torch.where(compound[:, None], compound_prior, simple_prior).log()
    # A metre that cannot be the first cannot follow another one either.
    blocks += torch.where(prior < -METRE_CHANGE_COST, prior, 0.0)[:, None]
    blocks[:, 0] += prior
    transition = torch.where(metre[:, None] == metre, -SLIP_COST, -METRE_CHANGE_COST).fill_diagonal_(0.0)
    path = best_path(
        (blocks / RESOLUTION).round(),
        (transition / RESOLUTION).round(),
        (count + BLOCK_BEATS - 1) // BLOCK_BEATS,
    )
    # Sums of integers do not depend on the batch.
    unit = inner.sum(1).clamp(min=1).sqrt() * _residual_deviation(
        evidence, _positions(path, metre, offset, beat) == 1, inner
    )
    steps = (blocks.double() / RESOLUTION).round()
    first = (path - offset[path])[:, -1:].expand_as(path)
    significant = (_path_score(steps, path) - _path_score(steps, first)) * RESOLUTION / unit > NOISE_MARGIN
    path = torch.where(significant[:, None], path, first)
    positions = _positions(path, metre, offset, beat)
    state = path.repeat_interleave(BLOCK_BEATS, 1)[:, : frames.shape[1]]
    metres = torch.tensor(list(METRE_PRIOR), device=frames.device)
    beats_in_metre = (torch.where(audible, metre[state], 0)[..., None] == metres).sum(1)
    margin = (_path_score(steps, path) - _best_alternative(steps, path, metre, offset)) * RESOLUTION / unit
    confidence = ((margin - NOISE_MARGIN) / (FULL_MARGIN - NOISE_MARGIN)).clamp(0, 1)
    return positions, metres[beats_in_metre.argmax(1)], confidence


def _positions(path: Tensor, metre: Tensor, offset: Tensor, beat: Tensor) -> Tensor:
    """(B, N) position in the bar of each of (N, 1) beats, from the (B, K) states of their blocks."""
    state = path.repeat_interleave(BLOCK_BEATS, 1)[:, : len(beat)]
    return (beat.T - offset[state]) % metre[state] + 1


def _residual_deviation(evidence: Tensor, downbeat: Tensor, inner: Tensor) -> Tensor:
    """(B,) deviation of the evidence from its means over downbeats and other beats, at least
    ``MIN_RESIDUAL``."""
    steps = (evidence.double() / RESOLUTION).round()
    residual = torch.zeros_like(steps)
    for group in (inner & downbeat, inner & ~downbeat):
        mean = (steps * group).sum(1, keepdim=True) / group.sum(1, keepdim=True).clamp(min=1)
        residual += (steps - mean.round()) * group
    deviation = (residual.square().sum(1) / inner.sum(1).clamp(min=1)).sqrt() * RESOLUTION
    return deviation.clamp(min=MIN_RESIDUAL)


def _best_alternative(blocks: Tensor, path: Tensor, metre: Tensor, offset: Tensor) -> Tensor:
    """(B,) maximum score of the alternatives to a path.

    These are the path with all downbeats shifted by the same number of beats, and constant states of another
    metre than that at the end of the path.

    Args:
        blocks: (B, K, S) score of each state in each block.
        path: (B, K) states.
        metre, offset: (S,) metre of each state, and offset of its downbeats.
    """
    alternatives = [blocks.sum(1).masked_fill(metre == metre[path[:, -1:]], -math.inf).amax(1)]
    for shift in range(1, int(metre.max())):
        shifted = path + (offset[path] + shift) % metre[path] - offset[path]
        alternatives.append(torch.where((shifted == path).all(1), -math.inf, _path_score(blocks, shifted)))
    return torch.stack(alternatives).amax(0)


def _path_score(blocks: Tensor, path: Tensor) -> Tensor:
    """(B,) sum of (B, K, S) scores along a (B, K) path."""
    return blocks.gather(2, path[..., None]).sum((1, 2))


def _is_compound(activation: Tensor, frames: Tensor, count: Tensor) -> Tensor:
    """(B,) true if beats are divided into three: onsets at both thirds, not at the half."""
    peak = F.max_pool1d(activation[:, None], 3, stride=1, padding=1)[:, 0]
    interval = frames[:, 1:] - frames[:, :-1]
    inside = length_mask(count - 1, interval.shape[1])

    def mean_at(part: float) -> Tensor:
        index = (frames[:, :-1] + (interval * part).round().long()).clamp(0, peak.shape[1] - 1)
        steps = (peak.gather(1, index) / RESOLUTION).round() * inside
        return steps.sum(1) * RESOLUTION / (count - 1)

    return torch.minimum(mean_at(1 / 3), mean_at(2 / 3)) > mean_at(1 / 2) + COMPOUND_MARGIN


def _standardise(x: Tensor, inside: Tensor, constant: float = 0.0) -> Tensor:
    """Standardise along dimension 1 where ``inside``; 0 elsewhere.

    Rows with a standard deviation below ``constant`` become 0. Sums are over integers, so they do not depend
    on the

    batch.
    """
    count = inside.sum(1, keepdim=True).clamp(min=1)
    steps = (x / RESOLUTION).round() * inside
    deviation = (steps - (steps.sum(1, keepdim=True) / count).round()) * inside
    spread = (deviation.double().square().sum(1, keepdim=True) / count).sqrt().float()
    scaled = deviation / spread.clamp(min=MIN_SCALE / RESOLUTION)
    return torch.where(spread < constant / RESOLUTION, 0.0, scaled)


def _cues(
    activation: Tensor, bass: Tensor, band_sums: Tensor, frames: Tensor, count: Tensor, inner: Tensor
) -> Tensor:
    """Compute the cues of a downbeat at each beat; the arguments are as in :func:`bar_positions`.

    Args:
        inner: (B, N) true for the beats that are compared.

    Returns:
        (B, N, 4) with mean 0 and standard deviation 1 over these beats; 0 elsewhere, and for nearly constant
        cues.
    """
    beat = torch.arange(frames.shape[1], device=frames.device).expand_as(frames)
    last = (count - 1)[:, None]

    def change(reach: int) -> Tensor:
        indices = [(beat + step).clamp(min=0).minimum(last) for step in (-reach, 0, reach)]
        first, middle, stop = (frames.gather(1, index) for index in indices)
        sums = [
            band_sums.gather(2, frame[:, None].expand(-1, band_sums.shape[1], -1))
            for frame in (first, middle, stop)
        ]
        return spectral_change(sums, middle - first, stop - middle)

    peak = F.max_pool1d(torch.stack([activation, bass], 1), 7, stride=1, padding=3)
    at_beat = peak.gather(2, frames.clamp(max=activation.shape[1] - 1)[:, None].expand(-1, 2, -1))
    cues = torch.stack([at_beat[:, 0], at_beat[:, 1], change(1), change(2)], 2)
    pairs = zip(cues.unbind(2), MIN_CUE_DEVIATION, strict=True)
    return torch.stack([_standardise(cue, inner, constant) for cue, constant in pairs], 2)
