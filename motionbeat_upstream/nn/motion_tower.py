"""The motion tower: a body's frames and contacts in; features per frame and one embedding out.

It sees no audio, so retrieval between music and motion is honest. Contact-guided attention is the
paper's [P]; what stands before it, and the formula, are ours [O].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from motionbeat_upstream.config import SAMPLE_RATE, STRIDE, MotionTowerConfig
from motionbeat_upstream.nn.beat_pooling import overlaps, pool, spread
from motionbeat_upstream.nn.frame_trunk import BottleneckLayer, DilatedLayer, channels_last, convolved, frames
from motionbeat_upstream.nn.motion_frames import CHANNELS, motion_frames
from motionbeat_upstream.nn.token_encoder import TokenEncoder
from motionbeat_upstream.tracking.frontend import length_mask
from motionbeat_upstream.tracking.grid import Grid, Tokens, cut_tokens

RATE = SAMPLE_RATE / STRIDE
"""Frames a second: frame k stands for (k + 0.5) · 20 ms, as the music tower's does."""


@dataclass(frozen=True)
class MotionFeatures:
    """What the tower says of a batch; everything is 0 beyond a motion's end."""

    frames: Tensor
    """(B, F, D) the trunk's last state."""
    spread_tokens: Tensor
    """(B, F, D) the last token layer, spread over its frames."""
    embedding: Tensor
    """(B, E) the pooled embedding z_m, not normalised."""
    beat_tokens: Tensor
    """(B, N, D) the last layer's beat-synchronous tokens."""
    tokens: Tokens
    """Where the tokens lie in time and in the bar."""
    contact: Tensor
    """(B, N) the contact pulse of each token, in [0, 1]."""


class MotionTower(nn.Module):
    """Frames of a motion, a trunk of dilated convolutions, and contact-guided token layers."""

    def __init__(self, config: MotionTowerConfig) -> None:
        super().__init__()
        config.validate()
        self.config = config
        self.stem = nn.Conv1d(CHANNELS, config.dim, 5, padding=2)
        self.activation = nn.GELU()
        kernel, dilations = config.trunk_kernel, config.trunk_dilations
        self.norm: nn.Module = nn.Identity()
        if config.trunk == "bottleneck":
            self.layers = nn.ModuleList(BottleneckLayer(config.dim, kernel, one) for one in dilations)
        else:
            self.norm = nn.LayerNorm(config.dim)
            self.layers = nn.ModuleList(
                DilatedLayer(config.dim, kernel, one, config.expansion, config.dropout) for one in dilations
            )
        self.encoder = TokenEncoder(config, config.contact_harmonics if config.contact_guidance else None)
        self.embed = nn.Sequential(
            nn.Linear(config.dim, config.dim), nn.GELU(), nn.Linear(config.dim, config.embedding_dim)
        )

    @property
    def reach(self) -> int:
        """Frames at either end of a motion where the trunk knows of the end: its own, the stem's two
        and one of the velocities."""
        return self.config.trunk_reach + 3

    def forward(
        self, joints: Tensor, pulses: Tensor, has_joints: Tensor, lengths: Tensor, grids: Sequence[Grid]
    ) -> MotionFeatures:
        """Features of a padded batch, for each motion the same as if it were alone.

        Args:
            joints: (B, F, 22, 3) in metres at 50 Hz, y up; frame k stands for (k + 0.5) · 20 ms. What
                lies beyond a motion's length does not matter.
            pulses: (B, F, 2) contact pulses, left and right, in [0, 1].
            has_joints: (B,) false where a motion is pulses alone.
            lengths: (B,) frames of each motion, int64, at least 1.
            grids: beats and bars of each.
        """
        mask = length_mask(lengths, joints.shape[1])[..., None]
        pulses = pulses * mask
        seen = motion_frames(continued(joints, lengths), pulses, has_joints, RATE) * mask
        x = self._trunk(seen.to(self.stem.weight.dtype), mask)

        durations = (lengths / RATE).tolist()
        tokens = cut_tokens(grids, durations, self.config.subdivisions)
        table = overlaps(tokens, x.shape[1]).to(x.device)
        tokens = tokens.to(x.device)
        contact = token_contacts(pulses, tokens)
        layers = self.encoder(pool(x, table), tokens.phase, tokens.bar, tokens.mask, contact)
        pooled = layers[-1].sum(1) / tokens.mask.sum(1, keepdim=True)
        return MotionFeatures(x, spread(layers[-1], table), self.embed(pooled), layers[-1], tokens, contact)

    def _trunk(self, seen: Tensor, mask: Tensor) -> Tensor:
        """(B, F, D) the last state, of (B, F, C) channels."""
        x: Tensor = self.activation(convolved(self.stem, channels_last(seen)))
        if self.config.trunk == "bottleneck":
            wide = mask.transpose(1, 2)[:, :, None]
            x = x * wide
            for layer in self.layers:
                x = layer(x) * wide
            return frames(x)
        x = self.norm(frames(x)) * mask
        for layer in self.layers:
            x = layer(x) * mask
        return x


def continued(joints: Tensor, lengths: Tensor) -> Tensor:
    """Joints that go on as they last moved, so that velocities end as they would without padding."""
    row = torch.arange(len(joints), device=joints.device)
    last, before = joints[row, lengths - 1], joints[row, (lengths - 2).clamp(min=0)]
    beyond = torch.arange(joints.shape[1], device=joints.device) - (lengths - 1)[:, None]
    drift = (last - before)[:, None] * beyond[..., None, None]
    return torch.where((beyond > 0)[..., None, None], last[:, None] + drift, joints)


def token_contacts(pulses: Tensor, tokens: Tokens) -> Tensor:
    """(B, N) the strongest pulse of either side within each token.

    A mean would make the pulse of a long token weaker than that of a short one.

    Args:
        pulses: (B, F, 2) at 50 Hz, in [0, 1], 0 beyond a motion's end.
        tokens: of the batch.
    """
    either = pulses.amax(-1)
    first = (tokens.start * RATE).floor().long()
    last = (tokens.stop * RATE).ceil().long()
    frame = torch.arange(pulses.shape[1], device=pulses.device)
    inside = (frame >= first[..., None]) & (frame < last[..., None])
    return torch.where(inside, either[:, None], 0.0).amax(-1) * tokens.mask
