"""The motion tower, from joints and foot contacts to features per frame and one embedding.

It sees no audio, so that retrieval between music and motion is a fair test. Contact-guided attention is the
paper's [P]; the layers before it, and the formula, are ours [O].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from motionbeat_upstream.config import FRAME_RATE, MotionTowerConfig
from motionbeat_upstream.nn.beat_pooling import overlaps, pool, spread
from motionbeat_upstream.nn.frame_trunk import (
    BottleneckLayer,
    DilatedLayer,
    convolve,
    to_channels_first,
    to_frames,
)
from motionbeat_upstream.nn.motion_frames import CHANNELS, motion_frames
from motionbeat_upstream.nn.token_encoder import TokenEncoder
from motionbeat_upstream.tracking.frontend import length_mask
from motionbeat_upstream.tracking.grid import Grid, Tokens, cut_tokens


@dataclass(frozen=True)
class MotionFeatures:
    """Outputs of the tower for a batch; all are 0 beyond a motion's end."""

    frames: Tensor
    """(B, F, D) the trunk's last state at 50 Hz; frame k is centred at (k + 0.5) · 20 ms."""
    spread_tokens: Tensor
    """(B, F, D) the last token layer, spread over frames."""
    embedding: Tensor
    """(B, E) the pooled embedding z_m, not normalised."""
    beat_tokens: Tensor
    """(B, N, D) beat-synchronous tokens of the last layer."""
    tokens: Tokens
    """Times, bars and phases of the tokens."""
    contact: Tensor
    """(B, N) the contact pulse of each token, in [0, 1]."""


class MotionTower(nn.Module):
    """A trunk of dilated convolutions over the frames of a motion, and contact-guided token layers."""

    def __init__(self, config: MotionTowerConfig) -> None:
        super().__init__()
        config.validate()
        self.config = config
        self.stem = nn.Conv1d(CHANNELS, config.dim, 5, padding=2)
        self.activation = nn.GELU()
        kernel, dilations = config.trunk_kernel, config.trunk_dilations
        self.norm: nn.Module = nn.Identity()
        if config.trunk == "bottleneck":
            self.layers = nn.ModuleList(
                BottleneckLayer(config.dim, kernel, dilation) for dilation in dilations
            )
        else:
            self.norm = nn.LayerNorm(config.dim)
            self.layers = nn.ModuleList(
                DilatedLayer(config.dim, kernel, dilation, config.expansion, config.dropout)
                for dilation in dilations
            )
        self.encoder = TokenEncoder(config, config.contact_harmonics if config.contact_guidance else None)
        self.embed = nn.Sequential(
            nn.Linear(config.dim, config.dim), nn.GELU(), nn.Linear(config.dim, config.embedding_dim)
        )

    @property
    def reach(self) -> int:
        """Number of frames at each end of a motion that depend on where it ends: those of the dilated
        convolutions, two of the stem and one of the velocities."""
        return self.config.trunk_reach + 3

    def forward(
        self, joints: Tensor, pulses: Tensor, has_joints: Tensor, lengths: Tensor, grids: Sequence[Grid]
    ) -> MotionFeatures:
        """Compute the features of a padded batch; those of a motion do not depend on the others.

        Args:
            joints: (B, F, 22, 3) in metres at 50 Hz, y up; frame k is centred at (k + 0.5) · 20 ms. Frames
                beyond a motion's length are ignored.
            pulses: (B, F, 2) contact pulses, left and right, in [0, 1].
            has_joints: (B,) false for motions that are pulses alone.
            lengths: (B,) frames of each motion, int64, at least 1.
            grids: beats and bars of each motion.
        """
        mask = length_mask(lengths, joints.shape[1])[..., None]
        pulses = pulses * mask
        channels = motion_frames(extrapolate_joints(joints, lengths), pulses, has_joints, FRAME_RATE) * mask
        x = self._trunk(channels.to(self.stem.weight.dtype), mask)

        durations = (lengths / FRAME_RATE).tolist()
        tokens = cut_tokens(grids, durations, self.config.subdivisions)
        table = overlaps(tokens, x.shape[1]).to(x.device)
        tokens = tokens.to(x.device)
        contact = token_contacts(pulses, tokens)
        layers = self.encoder(pool(x, table), tokens.phase, tokens.bar, tokens.mask, contact)
        pooled = layers[-1].sum(1) / tokens.mask.sum(1, keepdim=True)
        return MotionFeatures(x, spread(layers[-1], table), self.embed(pooled), layers[-1], tokens, contact)

    def _trunk(self, channels: Tensor, mask: Tensor) -> Tensor:
        """Map (B, F, C) channels to the last state of the trunk, (B, F, D)."""
        x: Tensor = self.activation(convolve(self.stem, to_channels_first(channels)))
        if self.config.trunk == "bottleneck":
            channels_first_mask = mask.transpose(1, 2)[:, :, None]
            x = x * channels_first_mask
            for layer in self.layers:
                x = layer(x) * channels_first_mask
            return to_frames(x)
        x = self.norm(to_frames(x)) * mask
        for layer in self.layers:
            x = layer(x) * mask
        return x


def extrapolate_joints(joints: Tensor, lengths: Tensor) -> Tensor:
    """Continue joints beyond ``lengths`` at their last velocity, so that padding does not change
    velocities."""
    row = torch.arange(len(joints), device=joints.device)
    last, before = joints[row, lengths - 1], joints[row, (lengths - 2).clamp(min=0)]
    beyond = torch.arange(joints.shape[1], device=joints.device) - (lengths - 1)[:, None]
    drift = (last - before)[:, None] * beyond[..., None, None]
    return torch.where((beyond > 0)[..., None, None], last[:, None] + drift, joints)


def token_contacts(pulses: Tensor, tokens: Tokens) -> Tensor:
    """Maximum pulse of both sides within each token, (B, N).

    A mean would be lower in long tokens than in short ones.

    Args:
        pulses: (B, F, 2) at 50 Hz, in [0, 1], 0 beyond a motion's end.
        tokens: of the batch.
    """
    first = (tokens.start * FRAME_RATE).floor().long()
    last = (tokens.stop * FRAME_RATE).ceil().long()
    frame = torch.arange(pulses.shape[1], device=pulses.device)
    inside = (frame >= first[..., None]) & (frame < last[..., None])
    return torch.where(inside, pulses.amax(-1)[:, None], 0.0).amax(-1) * tokens.mask
