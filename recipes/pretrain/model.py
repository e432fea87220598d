"""What is trained: MotionBeat, what its sides are compared by, and the temperatures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fairseq2.utils.validation import ValidationResult
from torch import Tensor, nn

from motion_data.pipeline.batch import Batch
from motionbeat_upstream.config import ConfigError, MotionTowerConfig, MusicTowerConfig, architecture
from motionbeat_upstream.nn.motionbeat import MotionBeat, MotionSide, MusicFrames, MusicSide
from recipes.pretrain.criterion.augmentation import augment
from recipes.pretrain.criterion.ecl import COLDEST, HOTTEST, Temperature
from recipes.pretrain.criterion.pretraining_loss import pretraining_loss
from recipes.pretrain.criterion.settings import CriterionSettings


@dataclass(frozen=True, kw_only=True)
class PretrainedModelConfig:
    """Sizes of what is trained. All values are ours [O]."""

    arch: str = "tiny"
    """The music tower's architecture."""
    music: dict[str, object] = field(default_factory=dict)
    """Values of the music tower that differ from its architecture's."""
    motion: dict[str, object] = field(default_factory=dict)
    """Values of the motion tower that differ from its defaults."""
    projection: int = 32
    """Width of the frames that are contrasted."""
    curves: int = 4
    """Learned accent curves whose spectra over the bar are compared; 0 for the pooled embedding alone."""
    ecl_temperature: float = 0.1
    """τ of the ECL before training; it is learned, between 0.01 and 1."""
    frame_temperature: float = 0.1
    """τ of the frame-level InfoNCE, likewise."""

    def towers(self) -> tuple[MusicTowerConfig, MotionTowerConfig]:
        """The configurations of both towers.

        Raises:
            ConfigError: unknown keys, or sizes that cannot be.
        """
        music = architecture(self.arch)
        values = MotionTowerConfig(subdivisions=music.subdivisions, embedding_dim=music.embedding_dim)
        return (
            MusicTowerConfig.from_dict({**music.to_dict(), **_plain(self.music)}),
            MotionTowerConfig.from_dict({**values.to_dict(), **_plain(self.motion)}),
        )

    def validate(self) -> ValidationResult:
        """What cannot be, as fairseq2 asks for it."""
        result = ValidationResult()
        try:
            self.towers()
        except ConfigError as error:
            result.add_error(str(error))
        if self.projection < 1:
            result.add_error(f"projection must be at least 1, got {self.projection}")
        if not 0 <= self.curves <= 256:
            result.add_error(f"curves must be 0 to 256, got {self.curves}")
        for name in ("ecl_temperature", "frame_temperature"):
            if not COLDEST <= getattr(self, name) <= HOTTEST:
                result.add_error(f"{name} must be {COLDEST:g} to {HOTTEST:g}, got {getattr(self, name):g}")
        return result


class PretrainedModel(nn.Module):
    """The towers and all that has parameters in the loss.

    Raises:
        ConfigError: sizes that cannot be, or that do not fit each other.
    """

    def __init__(self, config: PretrainedModelConfig) -> None:
        super().__init__()
        self.motionbeat = MotionBeat(*config.towers(), config.projection, config.curves)
        self.ecl_temperature = Temperature(config.ecl_temperature)
        self.frame_temperature = Temperature(config.frame_temperature)

    def forward(self, batch: Batch, settings: CriterionSettings) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch, and its parts by name.

        What losses without a weight would need is not computed. The loss is computed here, so that what
        shares gradients between ranks sees one call.
        """
        change = partial(augment, settings=settings.augmentation) if self.training else None
        music: MusicFrames
        if settings.uses_tokens:
            music = self.motionbeat.encode_music(batch.wav, batch.wav_lengths, batch.grids, change)
        else:
            music = self.motionbeat.encode_music_frames(batch.wav, batch.wav_lengths, change)
        return pretraining_loss(
            music,
            self._encode_motions(batch) if settings.uses_motion_tower else None,
            batch,
            settings,
            ecl_temperature=self.ecl_temperature(),
            frame_temperature=self.frame_temperature(),
            blind=self.motionbeat.motion.reach,
        )

    def encode(self, batch: Batch) -> tuple[MusicSide, MotionSide]:
        """Outputs of both towers for a batch, as validation needs them."""
        music = self.motionbeat.encode_music(batch.wav, batch.wav_lengths, batch.grids)
        return music, self._encode_motions(batch)

    def _encode_motions(self, batch: Batch) -> MotionSide:
        return self.motionbeat.encode_motion(
            batch.joints, batch.pulses, batch.has_joints, batch.motion_lengths, batch.owner_grids
        )


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Lists as a checkpoint has them, where a configuration file or its merging gave tuples."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
