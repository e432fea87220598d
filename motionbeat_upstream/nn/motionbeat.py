"""MotionBeat as it is pretrained: both towers, and the heads that its losses speak to.

Afterwards the music tower alone is used. That heads predict the onset envelope from the music and the
contact pulses from the motion is the paper's [P]; the projections of frames, and the music tower's
head that hears contact pulses in the music, are ours [O].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from motionbeat_upstream.config import MotionTowerConfig, MusicTowerConfig
from motionbeat_upstream.errors import ConfigError
from motionbeat_upstream.nn.bar_spectrum import BarSpectrum, frame_bars
from motionbeat_upstream.nn.motion_tower import RATE, MotionFeatures, MotionTower
from motionbeat_upstream.nn.music_tower import FrameFeatures, MusicFeatures, MusicTower
from motionbeat_upstream.tracking.frontend import length_mask
from motionbeat_upstream.tracking.grid import Grid, fallback_grid


@dataclass(frozen=True)
class MusicFrames:
    """What the frame-level losses see of the music; logits and projections are at 50 Hz, from the trunk."""

    features: FrameFeatures
    frames: Tensor
    """(B, F, P) for the frame-level contrast."""
    heard_onsets: Tensor
    """(B, F) logits of the onset envelope."""

    @property
    def heard_contacts(self) -> Tensor:
        """(B, F) logits of the motion's contact pulses, predicted from the music; 0 beyond a clip's end."""
        return self.features.pulses


@dataclass(frozen=True)
class MusicSide(MusicFrames):
    """What all losses see of the music."""

    features: MusicFeatures
    compared: Tensor
    """(B, C) of length 1: what a music and a motion are compared by, as wholes."""
    onsets: Tensor
    """(B, F) logits of the onset envelope, from trunk and token layers."""


@dataclass(frozen=True)
class MotionSide:
    """What the losses see of the motion; logits and projections are at 50 Hz."""

    features: MotionFeatures
    compared: Tensor
    """(B, C) of length 1: what a music and a motion are compared by, as wholes."""
    frames: Tensor
    """(B, F, P) for the frame-level contrast."""
    contacts: Tensor
    """(B, F) logits of the contact pulses, from trunk and token layers."""


class MotionBeat(nn.Module):
    """Music tower, motion tower and heads.

    Args:
        music: sizes of the music tower.
        motion: sizes of the motion tower; its embedding is as wide as the music's.
        projection: P, width of the frames that are contrasted.
        curves: learned accent curves whose spectra over the bar are compared beside the pooled embeddings;
            0 for the embeddings alone.

    Raises:
        ConfigError: sizes that cannot be, or that do not fit each other.
    """

    def __init__(
        self, music: MusicTowerConfig, motion: MotionTowerConfig, projection: int = 32, curves: int = 4
    ) -> None:
        super().__init__()
        for name in ("embedding_dim", "subdivisions"):
            if getattr(music, name) != getattr(motion, name):
                raise ConfigError(
                    f"{name} is {getattr(music, name)} in the music tower and {getattr(motion, name)} in the "
                    f"motion tower; give both the same"
                )
        if projection < 1:
            raise ConfigError(f"projection must be at least 1, got {projection}")
        if curves < 0:
            raise ConfigError(f"curves must be at least 0, got {curves}")
        self.music = MusicTower(music)
        self.motion = MotionTower(motion)
        self.project_music = nn.Linear(music.dim, projection)
        self.project_motion = nn.Linear(motion.dim, projection)
        self.hear_onsets = nn.Linear(music.dim, 1)
        self.onset_head = nn.Linear(2 * music.dim, 1)
        self.contact_head = nn.Linear(2 * motion.dim, 1)
        self.music_spectrum = BarSpectrum(2 * music.dim, curves) if curves else None
        self.motion_spectrum = BarSpectrum(2 * motion.dim, curves) if curves else None
        self.spectrum_share = nn.Parameter(torch.zeros(()))

    def encode_music(
        self,
        wav: Tensor,
        lengths: Tensor,
        grids: Sequence[Grid] | None = None,
        augment: Callable[[Tensor], Tensor] | None = None,
        own_grids: bool = False,
    ) -> MusicSide:
        """The music of a batch; the arguments are the music tower's.

        Args:
            own_grids: whether the motion that it is compared with is on another grid. The spectra of both
                sides are then taken over time, and not over bars.
        """
        features = self.music(wav, lengths, grids, augment)
        trunk = features.hidden_states[len(self.music.config.trunk_dilations)]
        both = torch.cat([trunk, features.hidden_states[-1]], -1)
        spectrum = self.music_spectrum
        return MusicSide(
            features,
            self.project_music(trunk),
            self.hear_onsets(trunk)[..., 0],
            self._compared(
                features.embedding,
                both,
                spectrum,
                features.frame_lengths,
                None if own_grids else features.grids,
            ),
            self.onset_head(both)[..., 0],
        )

    def encode_music_frames(
        self, wav: Tensor, lengths: Tensor, augment: Callable[[Tensor], Tensor] | None = None
    ) -> MusicFrames:
        """The part of :meth:`encode_music` that needs no grid, at a fraction of its cost."""
        features = self.music.encode_frames(wav, lengths, augment)
        trunk = features.hidden_states[-1]
        return MusicFrames(features, self.project_music(trunk), self.hear_onsets(trunk)[..., 0])

    def encode_motion(
        self,
        joints: Tensor,
        pulses: Tensor,
        has_joints: Tensor,
        lengths: Tensor,
        grids: Sequence[Grid],
        own_grids: bool = False,
    ) -> MotionSide:
        """The motion of a batch, on given grids; the arguments are the motion tower's and as for music."""
        features = self.motion(joints, pulses, has_joints, lengths, grids)
        both = torch.cat([features.frames, features.spread_tokens], -1)
        return MotionSide(
            features,
            self._compared(
                features.embedding, both, self.motion_spectrum, lengths, None if own_grids else grids
            ),
            self.project_motion(features.frames),
            self.contact_head(both)[..., 0],
        )

    def _compared(
        self,
        embedding: Tensor,
        frames: Tensor,
        spectrum: BarSpectrum | None,
        lengths: Tensor,
        grids: Sequence[Grid] | None,
    ) -> Tensor:
        """The pooled embedding and the spectrum over bars, or over time, in shares that are learned."""
        pooled = F.normalize(embedding.float(), dim=-1)
        if spectrum is None:
            return pooled
        with torch.autocast(frames.device.type, enabled=False):
            size = frames.shape[1]
            # Both sides share the clock, and so a fixed grid.
            placed_on = [fallback_grid(size / RATE)] * len(frames) if grids is None else grids
            turns = frame_bars(placed_on, size, RATE)
            placed = spectrum(frames.float(), turns.to(frames.device), length_mask(lengths, size))
        share = torch.sigmoid(self.spectrum_share)
        return torch.cat([(1 - share).sqrt() * pooled, share.sqrt() * F.normalize(placed, dim=-1)], -1)
