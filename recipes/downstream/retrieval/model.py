"""The probe of retrieval: linear in the music's features, a small network over the motion; by bars."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from motionbeat_upstream.config import FRAME_RATE
from motionbeat_upstream.nn.bar_spectrum import BarSpectrum, frame_bars
from motionbeat_upstream.nn.motion_frames import CHANNELS, motion_frames
from motionbeat_upstream.nn.motion_tower import extrapolate_joints
from motionbeat_upstream.tracking.frontend import length_mask
from motionbeat_upstream.tracking.grid import Grid, fallback_grid
from recipes.downstream.retrieval.settings import ModelSettings

FIRST_SCALE = 10.0
"""What cosines are multiplied by at first in the loss; learned, at most ``GREATEST_SCALE``."""

GREATEST_SCALE = 100.0


class PairProbe(nn.Module):
    """Music and motion as vectors of length 1, compared by their product.

    The music side is linear in the features, frame by frame, so that what is found is what the upstream has;
    the motion side may learn what it needs. Either is the mean over its frames beside the spectrum over bars
    of a few learned curves (:mod:`~motionbeat_upstream.nn.bar_spectrum`), half and half.

    Args:
        dim: D, width of the upstream's features.
        settings: of both sides.
    """

    def __init__(self, dim: int, settings: ModelSettings) -> None:
        super().__init__()
        width, curves, taps = settings.width, settings.curves, settings.taps
        self.music_normalisation = nn.BatchNorm1d(dim, affine=False)
        self.music = nn.Linear(dim, width)
        self.motion_normalisation = nn.BatchNorm1d(CHANNELS, affine=False)
        self.motion_first = nn.Conv1d(CHANNELS, width, taps, padding="same")
        self.motion_second = nn.Conv1d(width, width, taps, padding="same")
        self.music_spectrum = BarSpectrum(width, curves)
        self.motion_spectrum = BarSpectrum(width, curves)
        self.log_scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALE)))

    def music_frames(self, features: Sequence[Tensor], frames: Tensor) -> Tensor:
        """(B, F, W) of (T_i, D) features at any rate, brought to 50 Hz; 0 beyond a clip's end.

        Args:
            features: of each clip; feature k of T stands at (k + 0.5) / T of the clip.
            frames: (B,) frames of 20 ms of each.
        """
        at_rate = [
            F.interpolate(clip.float().T[None], size=int(count), mode="linear", align_corners=False)[0].T
            for clip, count in zip(features, frames.tolist(), strict=True)
        ]
        said = self.music(self.music_normalisation(torch.cat(at_rate)))
        return nn.utils.rnn.pad_sequence(said.split(frames.tolist()), batch_first=True)

    def motion_frames(self, joints: Tensor, pulses: Tensor, has_joints: Tensor, lengths: Tensor) -> Tensor:
        """(R, F, W) of motions at 50 Hz, 0 beyond their ends; see ``motion_frames`` for the arguments."""
        mask = length_mask(lengths, joints.shape[1])
        pulses = pulses * mask[..., None]
        channels = motion_frames(extrapolate_joints(joints, lengths), pulses, has_joints, FRAME_RATE)
        inside = torch.zeros_like(channels)
        inside[mask] = self.motion_normalisation(channels[mask])
        hidden = F.gelu(self.motion_first(inside.transpose(1, 2))) * mask[:, None]
        said: Tensor = self.motion_second(hidden)
        return said.transpose(1, 2) * mask[..., None]

    def vectors(self, frames: Tensor, lengths: Tensor, grids: Sequence[Grid] | None, music: bool) -> Tensor:
        """(B, V) of length 1 for (B, F, W) frames of one side, on given grids; without grids over time."""
        mask = length_mask(lengths, frames.shape[1])
        mean = F.normalize(frames.sum(1) / lengths[:, None].clamp(min=1), dim=-1)
        size = frames.shape[1]
        turns = frame_bars(grids or [fallback_grid(size / FRAME_RATE)] * len(frames), size, FRAME_RATE)
        placed = (self.music_spectrum if music else self.motion_spectrum)(
            frames, turns.to(frames.device), mask
        )
        return torch.cat([mean, F.normalize(placed, dim=-1)], -1) / math.sqrt(2)

    @property
    def scale(self) -> Tensor:
        """What cosines are multiplied by in the loss."""
        return self.log_scale.exp().clamp(max=GREATEST_SCALE)


def contrast(
    music: Tensor, motion: Tensor, hard: Tensor, owner: Tensor, may_be: Tensor, scale: Tensor
) -> Tensor:
    """Symmetric InfoNCE: a music among all motions and its own hard negatives, a motion among all musics.

    Args:
        music: (B, V) of length 1.
        motion: (B, V) the own motions.
        hard: (R, V) hard negatives.
        owner: (R,) whose.
        may_be: (B, B) bool, which motions may be a music's negatives.
        scale: of the cosines.

    Returns:
        A scalar.
    """
    size = len(music)
    own = torch.eye(size, dtype=torch.bool, device=music.device)
    table = (scale * music @ motion.T).masked_fill(~(may_be | own), -math.inf)
    bent = (scale * music @ hard.T).masked_fill(
        owner != torch.arange(size, device=owner.device)[:, None], -math.inf
    )
    truth = torch.arange(size, device=music.device)
    return (F.cross_entropy(torch.cat([table, bent], 1), truth) + F.cross_entropy(table.T, truth)) / 2
