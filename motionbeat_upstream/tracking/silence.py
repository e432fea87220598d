"""Silences of several bars in a clip, which have no beats [O].

A frame is sounding if it is loud relative to the clip, or if the spectrum changes there more than that of
steady noise does. So soft music is sounding, and hiss, hum, dither and digital zeros are not.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from motionbeat_upstream.tracking.frontend import LOG_MEL_STD, length_mask
from motionbeat_upstream.tracking.local_contrast import RESOLUTION

LOUD_DECIBELS = 35.0
"""Frames down to this level below the loudest band of the loudest frame are sounding without any change."""

MIN_CHANGE = 0.12
"""Change of the spectrum, in units of the log-mel, of an onset or offset. White, pink and brown noise at -50
to -90 dB of full scale changes by less than 0.1 within a minute; clicks 40 dB softer than the next ones, and
30 dB softer than a band, change the spectrum by more."""

MIN_SILENCE_PERIODS = 11.0
"""Shortest silence in beat periods: three bars of four, less the decay at its start. In shorter rests the
beats continue, except before the first and after the last sounding frame of a clip."""

SOUND_MARGIN_PERIODS = 0.25
"""Beat periods before and after a sounding frame that are not silent."""


def sounding_frames(bands: Tensor, change: Tensor, lengths: Tensor, reach: int) -> Tensor:
    """Detect the sounding frames of a batch.

    Args:
        bands: (B, C, F) int64 as in :class:`~motionbeat_upstream.tracking.accents.Accents`.
        change: (B, F) difference of the mean spectra before and after each frame.
        lengths: (B,) frames of each clip.
        reach: frames before and after each frame that ``change`` compares.

    Returns:
        (B, F) bool, false beyond a clip's end.
    """
    size = change.shape[1]
    inside = length_mask(lengths, size)
    loudness = bands.amax(1).masked_fill(~inside, torch.iinfo(torch.int64).min)
    threshold = round(LOUD_DECIBELS / 10 * math.log(10) / LOG_MEL_STD / RESOLUTION)
    loud = loudness >= loudness.amax(1, keepdim=True) - threshold
    peak = change >= F.max_pool1d(change[:, None], 2 * reach + 1, stride=1, padding=reach)[:, 0]
    # Near the ends fewer frames are compared, and the change of noise is larger.
    frame = torch.arange(size, device=change.device)
    whole = (frame >= reach) & (frame < lengths[:, None] - reach)
    return inside & (loud | (whole & peak & (change >= MIN_CHANGE)))


def silent_frames(sounding: Tensor, period: Tensor) -> Tensor:
    """Detect the frames that have no beats.

    Args:
        sounding: (B, F) from :func:`sounding_frames`.
        period: (B, F) local beat period in frames.

    Returns:
        (B, F) bool, true in silences and beyond a clip's last sounding frame.
    """
    frame = torch.arange(sounding.shape[1], device=sounding.device, dtype=torch.float32).expand(period.shape)
    before = frame - torch.where(sounding, frame, -math.inf).cummax(1).values
    after = torch.where(sounding, frame, math.inf).flip(1).cummin(1).values.flip(1) - frame
    long = before + after >= MIN_SILENCE_PERIODS * period
    return long & (torch.minimum(before, after) > SOUND_MARGIN_PERIODS * period)
