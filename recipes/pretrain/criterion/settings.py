"""The settings of the criterion: the weight of each loss and its settings. All values are ours [O]."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from motion_data.settings import CONFIG, Bool, Integer, NotNegative, Number
from recipes.pretrain.criterion.augmentation import AugmentationSettings
from recipes.pretrain.criterion.beat_losses import BeatHeadSettings
from recipes.pretrain.criterion.sral import SRALSettings


@dataclass(config=CONFIG, frozen=True, kw_only=True)
class ECLSettings:
    """The Embodied Contrastive Loss."""

    weight: NotNegative = 1.0
    symmetric: Bool = True
    """Whether the motion-anchored term is added; the paper's is anchored in the audio [S]."""
    jittered: Annotated[Integer, Field(ge=0, le=6)] = 2
    """Beat-jitter negatives a clip."""
    stretched: Annotated[Integer, Field(ge=0, le=16)] = 1
    """Tempo-aware negatives a clip: the paired motion, slower or faster."""
    others: Annotated[Integer, Field(ge=0, le=16)] = 1
    """Tempo-aware negatives a clip: other motion of similar tempo on this music's grid."""


@dataclass(config=CONFIG, frozen=True, kw_only=True)
class FrameSettings:
    """The losses of the frame trunk, which sees no grid."""

    infonce: NotNegative = 1.0
    """Weight of the windowed InfoNCE."""
    onsets: NotNegative = 0.5
    """Weight of the head that predicts the onset envelope."""
    pulses: NotNegative = 1.0
    """Weight of the head that predicts the pulse."""
    pulse_target: Literal["contacts", "beats"] = "contacts"
    """What the pulse is: the motion's contacts; or the pair's exact beats, the supervised upper reference."""
    window: Annotated[Number, Field(ge=0.1, le=60)] = 2.0
    """Seconds of a window."""
    windows: Annotated[Integer, Field(ge=1, le=64)] = 2
    """Windows a clip."""
    shifts: Annotated[Integer, Field(ge=0, le=64)] = 6
    """Copies of the motion, moved by 80 to 800 ms."""


@dataclass(config=CONFIG, frozen=True, kw_only=True)
class CriterionSettings:
    """L = ECL + λ·SRAL + the frame-level terms + the beat heads'."""

    ecl: ECLSettings = field(default_factory=ECLSettings)
    sral: SRALSettings = field(default_factory=SRALSettings)
    sral_weight: NotNegative = 0.1
    """λ."""
    frames: FrameSettings = field(default_factory=FrameSettings)
    heads: BeatHeadSettings = field(default_factory=BeatHeadSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)

    @property
    def uses_tokens(self) -> bool:
        """Whether a loss needs the token layers."""
        return self.ecl.weight > 0 or self.sral_weight > 0

    @property
    def uses_motion_tower(self) -> bool:
        """Whether a loss needs the motion tower."""
        return self.uses_tokens or self.frames.infonce > 0

    @property
    def uses_motions(self) -> bool:
        """Whether a loss needs the motions of a batch."""
        contacts = self.frames.pulses > 0 and self.frames.pulse_target == "contacts"
        return self.uses_motion_tower or contacts

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        frames = self.frames.infonce, self.frames.onsets, self.frames.pulses
        if not any((self.ecl.weight, self.sral_weight, *frames, *self.heads.weights().values())):
            raise ValueError("every weight is 0; give one loss a weight")
        return self
