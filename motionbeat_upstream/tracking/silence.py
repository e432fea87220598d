"""Silence: stretches of a clip in which nothing sounds for several bars, and which have no beats [O].

A moment sounds when it is loud for its clip, or when the sound changes there more than steady noise does.
So soft music counts as sound, and hiss, hum, dither and digital zeros do not.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from motionbeat_upstream.tracking.frontend import SCALE, length_mask
from motionbeat_upstream.tracking.local_contrast import STEP

LOUD = 35.0
"""Decibels below the loudest band of the loudest frame, down to which a frame sounds even without change."""

LEAST_CHANGE = 0.12
"""Change of the spectrum, in units of the log-mel, from which on something sets in or ends. White, pink and
brown noise at -50 to -90 dB of full scale changes by less than 0.1 within a minute; clicks 40 dB softer than
those that follow, and 30 dB softer than a band, change it by more."""

SILENT_BEATS = 11.0
"""Beats without a sound that are silence: three bars of four, less what rings into them. Through a shorter
rest the beats go on, except before a clip's first and after its last sound."""

NEAR = 0.25
"""Beat periods from a sound up to which a moment belongs to it."""


def sounds(bands: Tensor, change: Tensor, lengths: Tensor, reach: int) -> Tensor:
    """Find the frames in which something sounds.

    Args:
        bands: (B, C, F) int64 as in :class:`~motionbeat_upstream.tracking.accents.Accents`.
        change: (B, F) how much the mean spectrum after a moment differs from that before it.
        lengths: (B,) frames of each clip.
        reach: frames before and after a moment that are compared for ``change``.

    Returns:
        (B, F) bool, false beyond a clip's end.
    """
    size = change.shape[1]
    inside = length_mask(lengths, size)
    loudness = bands.amax(1).masked_fill(~inside, torch.iinfo(torch.int64).min)
    loud = loudness >= loudness.amax(1, keepdim=True) - round(LOUD / 10 * math.log(10) / SCALE / STEP)
    peak = change >= F.max_pool1d(change[:, None], 2 * reach + 1, stride=1, padding=reach)[:, 0]
    # Nearer to the ends too few frames are compared: noise would change by more.
    frame = torch.arange(size, device=change.device)
    whole = (frame >= reach) & (frame < lengths[:, None] - reach)
    return inside & (loud | (whole & peak & (change >= LEAST_CHANGE)))


def silence(sounding: Tensor, period: Tensor) -> Tensor:
    """Find the moments without beats.

    Args:
        sounding: (B, F) as :func:`sounds` gives it.
        period: (B, F) beat period in frames around each frame.

    Returns:
        (B, F) bool: true in silences, and beyond a clip's last sound.
    """
    frame = torch.arange(sounding.shape[1], device=sounding.device, dtype=torch.float32).expand(period.shape)
    before = frame - torch.where(sounding, frame, -math.inf).cummax(1).values
    after = torch.where(sounding, frame, math.inf).flip(1).cummin(1).values.flip(1) - frame
    long = before + after >= SILENT_BEATS * period
    return long & (torch.minimum(before, after) > NEAR * period)
