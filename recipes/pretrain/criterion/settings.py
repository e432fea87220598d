"""Settings of the criterion: the weight of each loss and its settings. All values are our choice [O]."""

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
    """Settings of the Embodied Contrastive Loss."""

    weight: NotNegative = 1.0
    symmetric: Bool = True
    """Whether to add the motion-anchored term; the anchor of the paper's loss is the audio [S]."""
    jittered: Annotated[Integer, Field(ge=0, le=6)] = 2
    """Beat-jitter negatives per clip."""
    stretched: Annotated[Integer, Field(ge=0, le=16)] = 1
    """Tempo-aware negatives per clip: the paired motion, slower or faster."""
    others: Annotated[Integer, Field(ge=0, le=16)] = 1
    """Tempo-aware negatives per clip: other motion of similar tempo on the grid of this music."""


@dataclass(config=CONFIG, frozen=True, kw_only=True)
class FrameSettings:
    """Settings of the losses of the frame trunk, which does not use the grid."""

    infonce: NotNegative = 1.0
    """Weight of the windowed InfoNCE."""
    onsets: NotNegative = 0.5
    """Weight of the head that predicts the onset envelope."""
    pulses: NotNegative = 1.0
    """Weight of the head that predicts ``pulse_target``."""
    pulse_target: Literal["contacts", "beats"] = "contacts"
    """Foot contacts of the motion, or the exact beats of the pair (the supervised upper bound)."""
    window: Annotated[Number, Field(ge=0.1, le=60)] = 2.0
    """Length of a window in seconds."""
    windows: Annotated[Integer, Field(ge=1, le=64)] = 2
    """Windows per clip."""
    shifts: Annotated[Integer, Field(ge=0, le=64)] = 6
    """Copies of the motion, shifted by 80 to 800 ms."""


@dataclass(config=CONFIG, frozen=True, kw_only=True)
class CriterionSettings:
    """Settings of L = ECL + λ·SRAL + frame-level losses + losses of the beat heads."""

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
