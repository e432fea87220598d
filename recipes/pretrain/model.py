"""What is trained: MotionBeat, what its sides are compared by, and the temperatures."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from motionbeat_upstream.config import MotionTowerConfig, MusicTowerConfig
from motionbeat_upstream.nn.bar_spectrum import BarSpectrum
from motionbeat_upstream.nn.motion_tower import MotionFeatures
from motionbeat_upstream.nn.motionbeat import MotionBeat
from motionbeat_upstream.nn.music_tower import MusicFeatures
from recipes.pretrain.batch import PretrainBatch
from recipes.pretrain.criterion.ecl import Temperature
from recipes.pretrain.criterion.pretraining_loss import Encoded, pretraining_loss
from recipes.pretrain.criterion.settings import CriterionSettings


@dataclass(frozen=True, kw_only=True)
class PretrainedModelConfig:
    """Sizes of what is trained."""

    music: MusicTowerConfig = field(default_factory=MusicTowerConfig)
    motion: MotionTowerConfig = field(default_factory=MotionTowerConfig)
    projection: int = 32
    criterion: CriterionSettings = field(default_factory=CriterionSettings)


class PretrainedModel(nn.Module):
    """The towers and all that has parameters in the loss.

    The loss is computed in ``forward``, so that what shares gradients between ranks sees one call.
    """

    def __init__(self, config: PretrainedModelConfig) -> None:
        super().__init__()
        self.config = config
        settings = config.criterion
        self.motionbeat = MotionBeat(config.music, config.motion, config.projection)
        self.music_spectrum = BarSpectrum(config.music.dim, settings.curves) if settings.curves else None
        self.motion_spectrum = BarSpectrum(config.motion.dim, settings.curves) if settings.curves else None
        self.share = nn.Parameter(torch.zeros(()))
        self.ecl_temperature = Temperature(settings.ecl.temperature)
        self.frame_temperature = Temperature(settings.frames.temperature)

    def forward(self, batch: PretrainBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch, and its parts by name."""
        return pretraining_loss(self.encode(batch), batch, self.config.criterion)

    def encode(self, batch: PretrainBatch) -> Encoded:
        """What both towers say of a batch."""
        music = self.motionbeat.encode_music(batch.wav, batch.wav_lengths, batch.grids)
        rows = batch.rows
        motion = self.motionbeat.encode_motion(
            rows.joints, rows.pulses, rows.has_joints, rows.lengths, rows.grids
        )
        return Encoded(
            music,
            motion,
            self._compared(music.features, self.music_spectrum),
            self._compared(motion.features, self.motion_spectrum),
            self.ecl_temperature(),
            self.frame_temperature(),
        )

    def _compared(self, side: MusicFeatures | MotionFeatures, spectrum: BarSpectrum | None) -> Tensor:
        """(B, E) the pooled embedding and the spectrum over bars, in shares that are learned."""
        pooled = nn.functional.normalize(side.embedding.float(), dim=-1)
        if spectrum is None:
            return pooled
        tokens = side.tokens
        placed = spectrum(side.beat_tokens.float(), tokens.phase, tokens.bar, tokens.mask)
        placed = nn.functional.normalize(placed, dim=-1)
        share = torch.sigmoid(self.share)
        return torch.cat([(1 - share).sqrt() * pooled, share.sqrt() * placed], -1)
