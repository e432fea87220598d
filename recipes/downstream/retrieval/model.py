"""The probe of retrieval: a linear map of music features, and a small network over motions."""

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

INITIAL_SCALE = 10.0
"""Initial scale of the cosines in the loss; it is learned, up to ``MAX_SCALE``."""

MAX_SCALE = 100.0


class PairProbe(nn.Module):
    """Embeds music and motion as vectors of length 1, which are compared by their product.

    The music side is linear in the features of each frame, so that scores depend on the upstream; the motion
    side is a small network. A vector consists of the mean over frames and of the spectrum over bars of a few
    learned curves (:mod:`~motionbeat_upstream.nn.bar_spectrum`), with equal weights.

    Args:
        dim: D, width of the upstream's features.
        settings: sizes of both sides.
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
        self.log_scale = nn.Parameter(torch.tensor(math.log(INITIAL_SCALE)))

    def music_frames(self, features: Sequence[Tensor], frames: Tensor) -> Tensor:
        """(B, F, W) frames at 50 Hz from (T_i, D) features at any rate; 0 beyond the end of a clip.

        Args:
            features: features of each clip; feature k of T is at (k + 0.5) / T of the clip.
            frames: (B,) frames of 20 ms of each clip.
        """
        resampled = [
            F.interpolate(clip.float().T[None], size=int(count), mode="linear", align_corners=False)[0].T
            for clip, count in zip(features, frames.tolist(), strict=True)
        ]
        outputs = self.music(self.music_normalisation(torch.cat(resampled)))
        return nn.utils.rnn.pad_sequence(outputs.split(frames.tolist()), batch_first=True)

    def motion_frames(self, joints: Tensor, pulses: Tensor, has_joints: Tensor, lengths: Tensor) -> Tensor:
        """(R, F, W) frames of motions at 50 Hz, 0 beyond their ends; arguments as of ``nn.motion_frames``."""
        mask = length_mask(lengths, joints.shape[1])
        pulses = pulses * mask[..., None]
        channels = motion_frames(extrapolate_joints(joints, lengths), pulses, has_joints, FRAME_RATE)
        inside = torch.zeros_like(channels)
        inside[mask] = self.motion_normalisation(channels[mask])
        hidden = F.gelu(self.motion_first(inside.transpose(1, 2))) * mask[:, None]
        outputs: Tensor = self.motion_second(hidden)
        return outputs.transpose(1, 2) * mask[..., None]

    def vectors(self, frames: Tensor, lengths: Tensor, grids: Sequence[Grid] | None, music: bool) -> Tensor:
        """(B, V) vectors of length 1 from (B, F, W) frames, on the given grids, or over time without
        grids."""
        mask = length_mask(lengths, frames.shape[1])
        mean = F.normalize(frames.sum(1) / lengths[:, None].clamp(min=1), dim=-1)
        size = frames.shape[1]
        turns = frame_bars(grids or [fallback_grid(size / FRAME_RATE)] * len(frames), size, FRAME_RATE)
        spectrum = (self.music_spectrum if music else self.motion_spectrum)(
            frames, turns.to(frames.device), mask
        )
        return torch.cat([mean, F.normalize(spectrum, dim=-1)], -1) / math.sqrt(2)

    @property
    def scale(self) -> Tensor:
        """Scale of the cosines in the loss."""
        return self.log_scale.exp().clamp(max=MAX_SCALE)


def contrastive_loss(
    music: Tensor, motion: Tensor, hard: Tensor, owner: Tensor, allowed: Tensor, scale: Tensor
) -> Tensor:
    """Symmetric InfoNCE: each music against all motions and its hard negatives, each motion against all
    music.

    Args:
        music: (B, V) vectors of length 1.
        motion: (B, V) vectors of the own motions.
        hard: (R, V) vectors of hard negatives.
        owner: (R,) row of each negative's music.
        allowed: (B, B) bool, which motions may be negatives of which music.
        scale: scale of the cosines.

    Returns:
        A scalar.
    """
    size = len(music)
    own = torch.eye(size, dtype=torch.bool, device=music.device)
    table = (scale * music @ motion.T).masked_fill(~(allowed | own), -math.inf)
    negatives = (scale * music @ hard.T).masked_fill(
        owner != torch.arange(size, device=owner.device)[:, None], -math.inf
    )
    labels = torch.arange(size, device=music.device)
    return (F.cross_entropy(torch.cat([table, negatives], 1), labels) + F.cross_entropy(table.T, labels)) / 2
