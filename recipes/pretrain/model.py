"""What is trained: MotionBeat, what its sides are compared by, and the temperatures."""

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
    """Sizes of what is trained. All values are ours [O]."""

    arch: str = "tiny"
    """The music tower's architecture."""
    music: dict[str, object] = field(default_factory=dict)
    """Values of the music tower that differ from its architecture's."""
    motion: dict[str, object] = field(default_factory=dict)
    """Values of the motion tower that differ from its defaults."""
    projection: Count = 32
    """Width of the frames that are contrasted."""
    curves: Annotated[Integer, Field(ge=0, le=256)] = 4
    """Learned accent curves whose spectra over the bar are compared; 0 for the pooled embedding alone."""
    ecl_temperature: StartTemperature = 0.1
    """τ of the ECL before training; it is learned, between 0.01 and 1."""
    frame_temperature: StartTemperature = 0.1
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

    @model_validator(mode="after")
    def _check_towers(self) -> Self:
        self.towers()
        return self


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
            edge_frames=self.motionbeat.motion.reach,
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
