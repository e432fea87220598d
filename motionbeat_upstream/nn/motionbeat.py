"""The model of the pretraining: both towers, and the heads for its losses.

The music tower is used alone afterwards. The heads that predict the onset envelope from the music and the
contact pulses from the motion are the paper's [P]; the projections of frames, and the music tower's head for
contact pulses, are ours [O].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from motionbeat_upstream.config import FRAME_RATE, MotionTowerConfig, MusicTowerConfig
from motionbeat_upstream.errors import ConfigError
from motionbeat_upstream.nn.bar_spectrum import BarSpectrum, frame_bars
from motionbeat_upstream.nn.motion_tower import MotionFeatures, MotionTower
from motionbeat_upstream.nn.music_tower import FrameFeatures, MusicFeatures, MusicTower
from motionbeat_upstream.tracking.frontend import length_mask
from motionbeat_upstream.tracking.grid import Grid, fallback_grid


@dataclass(frozen=True)
class MusicFrames:
    """Outputs for the frame-level losses of the music, from the trunk; logits and projections at 50 Hz."""

    features: FrameFeatures
    frames: Tensor
    """(B, F, P) projections for the frame-level contrast."""
    trunk_onsets: Tensor
    """(B, F) logits of the onset envelope, from the trunk."""

    @property
    def trunk_contacts(self) -> Tensor:
        """(B, F) logits of the motion's contact pulses, predicted from the music; 0 beyond a clip's end."""
        return self.features.pulses


@dataclass(frozen=True)
class MusicSide(MusicFrames):
    """Outputs for all losses of the music."""

    features: MusicFeatures
    joint_embedding: Tensor
    """(B, C) of norm 1, in the space of the motion's ``joint_embedding``."""
    onsets: Tensor
    """(B, F) logits of the onset envelope, from trunk and token layers."""


@dataclass(frozen=True)
class MotionSide:
    """Outputs for the losses of the motion; logits and projections at 50 Hz."""

    features: MotionFeatures
    joint_embedding: Tensor
    """(B, C) of norm 1, in the space of the music's ``joint_embedding``."""
    frames: Tensor
    """(B, F, P) projections for the frame-level contrast."""
    contacts: Tensor
    """(B, F) logits of the contact pulses, from trunk and token layers."""


class MotionBeat(nn.Module):
    """Music tower, motion tower and heads.

    Args:
        music: sizes of the music tower.
        motion: sizes of the motion tower, with the same ``embedding_dim`` and ``subdivisions``.
        projection: P, width of the projections for the frame-level contrast.
        curves: number of learned accent activations in the bar spectra that are part of the joint embedding;
            0 for the pooled embeddings alone.

    Raises:
        ConfigError: invalid sizes, or sizes of the towers that do not match.
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
        """Encode the music of a batch; the other arguments are those of the music tower.

        Args:
            own_grids: whether the motion has a grid of its own. The spectra of both sides are then over time,
                not over bars.
        """
        features = self.music(wav, lengths, grids, augment)
        trunk = features.hidden_states[self.music.config.trunk_layers[-1]]
        both = torch.cat([trunk, features.hidden_states[-1]], -1)
        spectrum = self.music_spectrum
        return MusicSide(
            features,
            self.project_music(trunk),
            self.hear_onsets(trunk)[..., 0],
            self._joint_embedding(
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
        """Encode the music without a grid, at a fraction of the cost of :meth:`encode_music`."""
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
        """Encode the motion of a batch; the arguments are those of the motion tower and of
        :meth:`encode_music`."""
        features = self.motion(joints, pulses, has_joints, lengths, grids)
        both = torch.cat([features.frames, features.spread_tokens], -1)
        return MotionSide(
            features,
            self._joint_embedding(
                features.embedding, both, self.motion_spectrum, lengths, None if own_grids else grids
            ),
            self.project_motion(features.frames),
            self.contact_head(both)[..., 0],
        )

    def _joint_embedding(
        self,
        embedding: Tensor,
        frames: Tensor,
        spectrum: BarSpectrum | None,
        lengths: Tensor,
        grids: Sequence[Grid] | None,
    ) -> Tensor:
        """Concatenate the pooled embedding and the bar spectrum, weighted by a learned share.

        Without grids the spectrum is over time.
        """
        pooled = F.normalize(embedding.float(), dim=-1)
        if spectrum is None:
            return pooled
        with torch.autocast(frames.device.type, enabled=False):
            size = frames.shape[1]
            if grids is None:
                # A fixed grid, the same for both sides.
                grids = [fallback_grid(size / FRAME_RATE)] * len(frames)
            bars = frame_bars(grids, size, FRAME_RATE)
            coefficients = spectrum(frames.float(), bars.to(frames.device), length_mask(lengths, size))
        share = torch.sigmoid(self.spectrum_share)
        return torch.cat([(1 - share).sqrt() * pooled, share.sqrt() * F.normalize(coefficients, dim=-1)], -1)
