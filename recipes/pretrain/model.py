"""The pretrained model: MotionBeat and the temperatures of its losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import partial
from typing import Annotated, Any, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from motion_data.pipeline.batch import Batch
from motion_data.settings import CONFIG, Count, Integer, Number
from motionbeat_upstream.config import MotionTowerConfig, MusicTowerConfig, architecture
from motionbeat_upstream.nn.motionbeat import MotionBeat, MotionSide, MusicFrames, MusicSide
from recipes.pretrain.criterion.augmentation import augment
from recipes.pretrain.criterion.ecl import MAX_TEMPERATURE, MIN_TEMPERATURE, Temperature
from recipes.pretrain.criterion.pretraining_loss import pretraining_loss
from recipes.pretrain.criterion.settings import CriterionSettings

StartTemperature = Annotated[Number, Field(ge=MIN_TEMPERATURE, le=MAX_TEMPERATURE)]


@dataclass(config=CONFIG, frozen=True, kw_only=True)
class PretrainedModelConfig:
    """Sizes of the model. All values are our choice [O]."""

    arch: str = "tiny"
    """Architecture of the music tower."""
    music: dict[str, object] = field(default_factory=dict)
    """Values of the music tower that differ from its architecture."""
    motion: dict[str, object] = field(default_factory=dict)
    """Values of the motion tower that differ from its defaults."""
    projection: Count = 32
    """Dimension of the frame projections."""
    curves: Annotated[Integer, Field(ge=0, le=256)] = 4
    """Number of learned accent curves whose spectra over the bar are compared; 0 for the pooled embedding
    only."""
    ecl_temperature: StartTemperature = 0.1
    """Initial τ of the ECL; it is learned in [0.01, 1]."""
    frame_temperature: StartTemperature = 0.1
    """Initial τ of the frame-level InfoNCE; it is learned in [0.01, 1]."""

    def towers(self) -> tuple[MusicTowerConfig, MotionTowerConfig]:
        """Configurations of both towers.

        Raises:
            ConfigError: unknown keys or invalid sizes.
        """
        music = architecture(self.arch)
        motion = MotionTowerConfig(subdivisions=music.subdivisions, embedding_dim=music.embedding_dim)
        return (
            MusicTowerConfig.from_dict({**music.to_dict(), **_tuples_to_lists(self.music)}),
            MotionTowerConfig.from_dict({**motion.to_dict(), **_tuples_to_lists(self.motion)}),
        )

    @model_validator(mode="after")
    def _check_towers(self) -> Self:
        self.towers()
        return self


class PretrainedModel(nn.Module):
    """Both towers and the parameters of the losses.

    Raises:
        ConfigError: invalid sizes, or sizes of the towers that do not match.
    """

    def __init__(self, config: PretrainedModelConfig) -> None:
        super().__init__()
        self.motionbeat = MotionBeat(*config.towers(), config.projection, config.curves)
        self.ecl_temperature = Temperature(config.ecl_temperature)
        self.frame_temperature = Temperature(config.frame_temperature)

    def forward(self, batch: Batch, settings: CriterionSettings) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss of a batch, and its parts by name.

        Outputs that only losses of weight 0 need are not computed. The loss is part of the forward pass,
        because DDP needs a single call.
        """
        augmentation = partial(augment, settings=settings.augmentation) if self.training else None
        music: MusicFrames
        if settings.uses_tokens:
            music = self.motionbeat.encode_music(batch.wav, batch.wav_lengths, batch.grids, augmentation)
        else:
            music = self.motionbeat.encode_music_frames(batch.wav, batch.wav_lengths, augmentation)
        return pretraining_loss(
            music,
            self._encode_motions(batch) if settings.uses_motion_tower else None,
            batch,
            settings,
            ecl_temperature=self.ecl_temperature(),
            frame_temperature=self.frame_temperature(),
            edge_frames=self.motionbeat.motion.reach,
        )

    def encode(self, batch: Batch) -> tuple[MusicSide, MotionSide]:
        """Outputs of both towers, for validation."""
        music = self.motionbeat.encode_music(batch.wav, batch.wav_lengths, batch.grids)
        return music, self._encode_motions(batch)

    def _encode_motions(self, batch: Batch) -> MotionSide:
        return self.motionbeat.encode_motion(
            batch.joints, batch.pulses, batch.has_joints, batch.motion_lengths, batch.owner_grids
        )


def _tuples_to_lists(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert tuples of a configuration to lists, as in checkpoints."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
