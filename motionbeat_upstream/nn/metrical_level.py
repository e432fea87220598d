"""The metrical level at which pulses come: every beat, every second, or between the beats [O].

The weights of :mod:`~motionbeat_upstream.nn.tempo` are those of onset envelopes, which show a beat's
subdivisions; pulses that come on beats alone would be taken for the halves of a beat twice as long.
So the tempo stays the onsets' as far as how fast the music goes, and the pulses say which of the
related periods is theirs: the one they come again after, and not sooner.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from motionbeat_upstream.nn.frontend import length_mask
from motionbeat_upstream.nn.local_contrast import STEP
from motionbeat_upstream.nn.tempo import PER_OCTAVE

LEVELS = (1.0, 1 / 2, 2.0, 2 / 3, 3 / 2, 1 / 3, 3.0)
"""Periods looked at, in those that the onsets told; the first stands where none is clearly better."""

PARTS = (1 / 2, 1 / 3, 2 / 3)
"""Parts of a period after which its pulses must not come again."""

PART_WEIGHT = 0.7
"""Cost of the likeness at such a part, in that at the period itself."""

MARGIN = 0.1
"""By how much another level must be better than the onsets' own."""

NEAR = 0.02
"""Seconds that a pulse may be off its period."""

CEILING = 4.0
"""Standard deviations that one pulse counts for at most."""

MOSTLY = 0.9
"""Share of a clip in which a level's tempo must be one that there is."""


def pulse_level(pulses: Tensor, periods: Tensor, choice: Tensor, lengths: Tensor, rate: float) -> Tensor:
    """The local periods, moved to the level at which the pulses come.

    Args:
        pulses: (B, F) as :func:`~motionbeat_upstream.nn.local_contrast.local_contrast` gives it.
        periods: (S,) beat periods in frames, ``PER_OCTAVE`` an octave, the longest first.
        choice: (B, F) index of the local period among ``periods``, int64.
        lengths: (B,) frames of each clip.
        rate: frames a second.

    Returns:
        (B, F) int64 indices: ``choice``, moved by one number of steps for the whole of a clip.
    """
    heights = pulses.clamp(max=CEILING)
    reach = round(NEAR * rate)
    near = F.max_pool1d(heights[:, None], 2 * reach + 1, stride=1, padding=reach)[:, 0]
    frame = torch.arange(pulses.shape[1], device=pulses.device)
    inside = length_mask(lengths, pulses.shape[1])

    def likeness(part: float) -> Tensor:
        """(B,) how alike the pulses are to themselves ``part`` periods later, 1 for the same."""
        later = frame + (part * periods[choice]).round().long()
        both = later < lengths[:, None]
        product = heights * near.gather(1, later.clamp(max=pulses.shape[1] - 1))
        # Whole steps add up exactly, so a clip's sums are the same in any batch.
        alike, alone = ((x / STEP).round().long() * both for x in (product, heights.square()))
        return alike.sum(1) / alone.sum(1).clamp(min=1)

    moves = [-round(PER_OCTAVE * math.log2(level)) for level in LEVELS]
    scores = []
    for level, move in zip(LEVELS, moves, strict=True):
        moved = choice + move
        there = ((moved >= 0) & (moved < len(periods)) & inside).sum(1) >= MOSTLY * lengths
        sooner = torch.stack([likeness(level * part) for part in PARTS]).amax(0).clamp(min=0)
        score = likeness(level) - PART_WEIGHT * sooner
        scores.append(torch.where(there, score, -torch.inf))
    scores[0] = scores[0] + MARGIN
    best = torch.stack(scores, 1).argmax(1)
    return (choice + torch.tensor(moves, device=choice.device)[best][:, None]).clamp(0, len(periods) - 1)
