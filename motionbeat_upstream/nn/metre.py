"""Bars: which beats are downbeats, and how many beats a bar has [O].

Every beat gets a few numbers that tell an opening of a bar from its other beats: the bass, the
onset, the change of harmony. A metre and a place of its downbeat are a state; the best path over
blocks of twelve beats, which whole bars of 2, 3 and 4 fill alike, gives both.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from motionbeat_upstream.nn.accents import spectral_change
from motionbeat_upstream.nn.frontend import length_mask
from motionbeat_upstream.nn.local_contrast import STEP
from motionbeat_upstream.nn.viterbi import best_path

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

SLIP, CHANGE = 6.0, 12.0
"""Cost of moving the downbeat within a metre, and of another metre, as a logarithm of probability."""


def bar_positions(
    activation: Tensor, bass: Tensor, total: Tensor, frames: Tensor, count: Tensor
) -> tuple[Tensor, Tensor]:
    """Position of each beat in its bar, and the beats per bar.

    Args:
        activation: (B, F) of unit variance.
        bass: (B, F) onsets in the bass, of unit variance.
        total: (B, C, F + 1) as :func:`~motionbeat_upstream.nn.accents.running_total` gives it.
        frames: (B, N) frame of each beat, increasing; what lies beyond ``count`` does not matter.
        count: (B,) beats of each clip, at least 2.

    Returns:
        (B, N) positions from 1, and the (B,) metre that most beats are in: 2, 3 or 4.
    """
    weights = torch.tensor(CUE_WEIGHTS, device=frames.device)
    inside = length_mask(count, frames.shape[1])
    evidence = _standardise((_cues(activation, bass, total, frames, count) * weights).sum(-1), inside)

    states = [(metre, place) for metre in METRE_PRIOR for place in range(metre)]
    metre, place = torch.tensor(states, device=frames.device).T
    beat = torch.arange(frames.shape[1], device=frames.device)[:, None]
    downbeat = (beat - place) % metre == 0
    expected = torch.where(downbeat, CONTRAST, -CONTRAST / (metre - 1))
    scores = (evidence[..., None] * expected - expected.square() / 2) * inside[..., None]
    blocks = F.pad(scores, (0, 0, 0, -frames.shape[1] % BLOCK)).unflatten(1, (-1, BLOCK)).sum(2)
    compound = _is_compound(activation, frames, count)
    priors = [
        torch.tensor([p[m] / m for m, _ in states], device=frames.device)
        for p in (METRE_PRIOR, COMPOUND_PRIOR)
    ]
    blocks[:, 0] += torch.where(compound[:, None], priors[1], priors[0]).log()
    transition = torch.where(metre[:, None] == metre, -SLIP, -CHANGE).fill_diagonal_(0.0)
    path = best_path((blocks / STEP).round(), (transition / STEP).round(), (count + BLOCK - 1) // BLOCK)
    state = path.repeat_interleave(BLOCK, 1)[:, : frames.shape[1]]
    positions = (beat.T - place[state]) % metre[state] + 1
    most = (
        torch.where(inside, metre[state], 0)[..., None]
        == torch.tensor(list(METRE_PRIOR), device=frames.device)
    ).sum(1)
    return positions, torch.tensor(list(METRE_PRIOR), device=frames.device)[most.argmax(1)]


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


def _standardise(x: Tensor, inside: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 along dimension 1 where ``inside``, 0 elsewhere.

    Whole steps add up exactly, so a clip's numbers are the same in any batch.
    """
    count = inside.sum(1, keepdim=True)
    steps = (x / STEP).round() * inside
    deviation = (steps - (steps.sum(1, keepdim=True) / count).round()) * inside
    return deviation / (deviation.square().sum(1, keepdim=True) / count).sqrt().clamp(
        min=LEAST_DEVIATION / STEP
    )


def _cues(activation: Tensor, bass: Tensor, total: Tensor, frames: Tensor, count: Tensor) -> Tensor:
    """What speaks for a downbeat at each beat.

    Args:
        activation: (B, F) of unit variance.
        bass: (B, F) onsets in the bass, of unit variance.
        total: (B, C, F + 1) as :func:`~motionbeat_upstream.nn.accents.running_total` gives it.
        frames: (B, N) frame of each beat, increasing; what lies beyond ``count`` does not matter.
        count: (B,) beats of each clip, at least 2.

    Returns:
        (B, N, 4) of mean 0 and standard deviation 1 over a clip's beats, 0 beyond them.
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
    return torch.stack([_standardise(cue, beat <= last) for cue in cues.unbind(2)], 2)
