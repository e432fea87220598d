"""Bars: which beats are downbeats, and how many beats a bar has [O].

Every beat gets a few numbers that tell an opening of a bar from its other beats: the bass, the
onset, the change of harmony. A metre and a place of its downbeat are a state; the best path over
blocks of twelve beats, which whole bars of 2, 3 and 4 fill alike, gives both.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from motionbeat_upstream.tracking.accents import spectral_change
from motionbeat_upstream.tracking.frontend import length_mask
from motionbeat_upstream.tracking.local_contrast import STEP
from motionbeat_upstream.tracking.viterbi import best_path

CUE_WEIGHTS = (0.3, 0.8, 1.0, 0.5)
"""How much activation, bass, and the change of harmony over one and two beats speak for a downbeat.
Rounded from a logistic regression on 163 clips in 4/4, rendered from the POP909 and ASAP MIDI files."""

CONTRAST = 0.6
"""How far the mean of that evidence lies higher at downbeats, in its standard deviations."""

BLOCK = 12
"""Beats decided at a time."""

METRE_PRIOR = {4: 1.0, 3: 0.2, 2: 1e-9}
"""Probability, up to a factor, of a metre where a beat does not fall into three parts."""

COMPOUND_PRIOR = {4: 0.02, 3: 0.02, 2: 1.0}
"""The same where it does: 6/8, counted as two."""

COMPOUND_MARGIN = 0.5
"""By how much the activation at thirds of a beat must exceed that at its half to call it compound."""

LEAST_DEVIATION = 0.1
"""Cues that vary less than this over a clip's beats are not blown up to a standard deviation of 1."""

CONSTANT = (0.09, 0.3, 0.05, 0.05)
"""Standard deviation over a clip's beats below which a cue counts as constant. The clicks of a metronome, in
silence or in noise at -60 dB, have less than 0.07, 0.26, 0.03 and 0.02; clicks 3 dB softer than every fourth
have 0.1 in the first cue, and rendered pop songs and metal songs 0.72, 0.87, 0.07 and 0.08 or more in all."""

NOISE_MARGIN, FULL_MARGIN = 0.8, 2.5
"""Lead of bars over others, in units of what random evidence gives: up to the first it may be chance, from
the second on the confidence of downbeats is 1. Where beats differ at random it is 0 in 9 of 10 clips of up to
60 beats, and below 0.25 in 95 of 100 of 240 beats."""

CLEAR = 0.3
"""Least deviation of the evidence, within downbeats and within other beats, that its lead is divided by."""

SLIP, CHANGE = 6.0, 12.0
"""Cost of moving the downbeat within a metre, and of another metre, as a logarithm of probability."""


def bar_positions(
    activation: Tensor, bass: Tensor, total: Tensor, frames: Tensor, count: Tensor, audible: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Position of each beat in its bar, the beats per bar, and how sure both are.

    Bars begin with the first beat unless others lead these by more than chance.

    Args:
        activation: (B, F) of unit variance.
        bass: (B, F) onsets in the bass, of unit variance.
        total: (B, C, F + 1) as :func:`~motionbeat_upstream.tracking.accents.running_total` gives it.
        frames: (B, N) frame of each beat, increasing; what lies beyond ``count`` does not matter.
        count: (B,) beats of each clip, at least 2.
        audible: (B, N) false for beats in silences and beyond ``count``.

    Returns:
        (B, N) positions from 1; the (B,) metre that most beats are in: 2, 3 or 4; and (B,) in [0, 1], how far
        these bars lead the next best, which begin on another beat or have another metre: 0 where the lead
        may be chance.
    """
    weights = torch.tensor(CUE_WEIGHTS, device=frames.device)
    # Beats next to a silence, or to the clip's ends, lack the neighbour that they would be compared with.
    inner = F.pad(audible, (1, 1)).unfold(1, 3, 1).all(2)
    evidence = _standardise((_cues(activation, bass, total, frames, count, inner) * weights).sum(-1), inner)

    states = [(metre, place) for metre in METRE_PRIOR for place in range(metre)]
    metre, place = torch.tensor(states, device=frames.device).T
    beat = torch.arange(frames.shape[1], device=frames.device)[:, None]
    downbeat = (beat - place) % metre == 0
    expected = torch.where(downbeat, CONTRAST, -CONTRAST / (metre - 1))
    scores = (evidence[..., None] * expected - expected.square() / 2) * inner[..., None]
    blocks = F.pad(scores, (0, 0, 0, -frames.shape[1] % BLOCK)).unflatten(1, (-1, BLOCK)).sum(2)
    compound = _is_compound(activation, frames, count)
    priors = [
        torch.tensor([p[m] / m for m, _ in states], device=frames.device)
        for p in (METRE_PRIOR, COMPOUND_PRIOR)
    ]
    prior = torch.where(compound[:, None], priors[1], priors[0]).log()
    # What may not be the first metre may not follow it either.
    blocks += torch.where(prior < -CHANGE, prior, 0.0)[:, None]
    blocks[:, 0] += prior
    transition = torch.where(metre[:, None] == metre, -SLIP, -CHANGE).fill_diagonal_(0.0)
    path = best_path((blocks / STEP).round(), (transition / STEP).round(), (count + BLOCK - 1) // BLOCK)
    # Sums of whole numbers are the same in any batch.
    unit = inner.sum(1).clamp(min=1).sqrt() * _unexplained(
        evidence, _positions(path, metre, place, beat) == 1, inner
    )
    steps = (blocks.double() / STEP).round()
    first = (path - place[path])[:, -1:].expand_as(path)
    leads = (_total(steps, path) - _total(steps, first)) * STEP / unit > NOISE_MARGIN
    path = torch.where(leads[:, None], path, first)
    positions = _positions(path, metre, place, beat)
    state = path.repeat_interleave(BLOCK, 1)[:, : frames.shape[1]]
    most = (
        torch.where(audible, metre[state], 0)[..., None]
        == torch.tensor(list(METRE_PRIOR), device=frames.device)
    ).sum(1)
    lead = (_total(steps, path) - _best_rival(steps, path, metre, place)) * STEP / unit
    sure = ((lead - NOISE_MARGIN) / (FULL_MARGIN - NOISE_MARGIN)).clamp(0, 1)
    return positions, torch.tensor(list(METRE_PRIOR), device=frames.device)[most.argmax(1)], sure


def _positions(path: Tensor, metre: Tensor, place: Tensor, beat: Tensor) -> Tensor:
    """(B, N) position in the bar of each of the (N, 1) beats, from the (B, K) states of their blocks."""
    state = path.repeat_interleave(BLOCK, 1)[:, : len(beat)]
    return (beat.T - place[state]) % metre[state] + 1


def _unexplained(evidence: Tensor, downbeat: Tensor, inner: Tensor) -> Tensor:
    """(B,) deviation of the evidence from its means over downbeats and other beats, at least ``CLEAR``."""
    steps = (evidence.double() / STEP).round()
    rest = torch.zeros_like(steps)
    for group in (inner & downbeat, inner & ~downbeat):
        mean = (steps * group).sum(1, keepdim=True) / group.sum(1, keepdim=True).clamp(min=1)
        rest += (steps - mean.round()) * group
    deviation = (rest.square().sum(1) / inner.sum(1).clamp(min=1)).sqrt() * STEP
    return deviation.clamp(min=CLEAR)


def _best_rival(blocks: Tensor, path: Tensor, metre: Tensor, place: Tensor) -> Tensor:
    """(B,) the greatest total of what could be mistaken for a path.

    That is the same path with all its downbeats moved by as many beats, or a constant state of another metre
    than the path has at its end.

    Args:
        blocks: (B, K, S) score of each state in each block.
        path: (B, K) the states chosen.
        metre, place: (S,) beats a bar of each state, and the place of its downbeat.
    """
    rivals = [blocks.sum(1).masked_fill(metre == metre[path[:, -1:]], -math.inf).amax(1)]
    for shift in range(1, int(metre.max())):
        moved = path + (place[path] + shift) % metre[path] - place[path]
        rivals.append(torch.where((moved == path).all(1), -math.inf, _total(blocks, moved)))
    return torch.stack(rivals).amax(0)


def _total(blocks: Tensor, path: Tensor) -> Tensor:
    """(B,) sum of the (B, K, S) scores along a (B, K) path."""
    return blocks.gather(2, path[..., None]).sum((1, 2))


def _is_compound(activation: Tensor, frames: Tensor, count: Tensor) -> Tensor:
    """(B,) true where beats fall into three parts: sound sets in at both thirds, not at the half."""
    near = F.max_pool1d(activation[:, None], 3, stride=1, padding=1)[:, 0]
    gap = frames[:, 1:] - frames[:, :-1]
    inside = length_mask(count - 1, gap.shape[1])

    def at(part: float) -> Tensor:
        place = (frames[:, :-1] + (gap * part).round().long()).clamp(0, near.shape[1] - 1)
        steps = (near.gather(1, place) / STEP).round() * inside
        return steps.sum(1) * STEP / (count - 1)

    return torch.minimum(at(1 / 3), at(2 / 3)) > at(1 / 2) + COMPOUND_MARGIN


def _standardise(x: Tensor, inside: Tensor, constant: float = 0.0) -> Tensor:
    """Mean 0 and standard deviation 1 along dimension 1 where ``inside``, 0 elsewhere.

    What varies less than ``constant`` becomes 0 throughout.

    Whole steps add up exactly, so a clip's numbers are the same in any batch.
    """
    count = inside.sum(1, keepdim=True).clamp(min=1)
    steps = (x / STEP).round() * inside
    deviation = (steps - (steps.sum(1, keepdim=True) / count).round()) * inside
    spread = (deviation.double().square().sum(1, keepdim=True) / count).sqrt().float()
    scaled = deviation / spread.clamp(min=LEAST_DEVIATION / STEP)
    return torch.where(spread < constant / STEP, 0.0, scaled)


def _cues(
    activation: Tensor, bass: Tensor, total: Tensor, frames: Tensor, count: Tensor, inner: Tensor
) -> Tensor:
    """What speaks for a downbeat at each beat.

    Args:
        activation: (B, F) of unit variance.
        bass: (B, F) onsets in the bass, of unit variance.
        total: (B, C, F + 1) as :func:`~motionbeat_upstream.tracking.accents.running_total` gives it.
        frames: (B, N) frame of each beat, increasing; what lies beyond ``count`` does not matter.
        count: (B,) beats of each clip, at least 2.
        inner: (B, N) the beats that are compared with each other.

    Returns:
        (B, N, 4) of mean 0 and standard deviation 1 over these beats; 0 elsewhere, and of what hardly varies.
    """
    beat = torch.arange(frames.shape[1], device=frames.device).expand_as(frames)
    last = (count - 1)[:, None]

    def change(reach: int) -> Tensor:
        places = [(beat + step).clamp(min=0).minimum(last) for step in (-reach, 0, reach)]
        first, middle, stop = (frames.gather(1, place) for place in places)
        at = [
            total.gather(2, frame[:, None].expand(-1, total.shape[1], -1)) for frame in (first, middle, stop)
        ]
        return spectral_change(at, middle - first, stop - middle)

    near = F.max_pool1d(torch.stack([activation, bass], 1), 7, stride=1, padding=3)
    at_beat = near.gather(2, frames.clamp(max=activation.shape[1] - 1)[:, None].expand(-1, 2, -1))
    cues = torch.stack([at_beat[:, 0], at_beat[:, 1], change(1), change(2)], 2)
    each = zip(cues.unbind(2), CONSTANT, strict=True)
    return torch.stack([_standardise(cue, inner, constant) for cue, constant in each], 2)
