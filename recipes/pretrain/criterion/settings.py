"""What the criterion is told: the weight of each loss and its settings. All values are ours [O]."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from recipes.pretrain.criterion.augmentation import AugmentationSettings
from recipes.pretrain.criterion.beat_losses import BeatHeadSettings
from recipes.pretrain.criterion.sral import SRALSettings


@dataclass(frozen=True, kw_only=True)
class ECLSettings:
    """The Embodied Contrastive Loss."""

    weight: float = 1.0
    symmetric: bool = True
    """Whether the motion-anchored term is added; the paper's is anchored in the audio [S]."""
    jittered: int = 2
    """Beat-jitter negatives a clip, at most 6."""
    stretched: int = 1
    """Tempo-aware negatives a clip: the paired motion, slower or faster."""
    others: int = 1
    """Tempo-aware negatives a clip: other motion of similar tempo on this music's grid."""


@dataclass(frozen=True, kw_only=True)
class FrameSettings:
    """The losses of the frame trunk, which sees no grid."""

    infonce: float = 1.0
    """Weight of the windowed InfoNCE."""
    onsets: float = 0.5
    """Weight of the head that says the onset envelope."""
    pulses: float = 1.0
    """Weight of the head that says the pulse."""
    pulse_target: Literal["contacts", "beats"] = "contacts"
    """What the pulse is: the motion's contacts; or the pair's exact beats, the supervised upper reference."""
    window: float = 2.0
    """Seconds of a window."""
    windows: int = 2
    """Windows a clip."""
    shifts: int = 6
    """Copies of the motion, moved by 80 to 800 ms."""


@dataclass(frozen=True, kw_only=True)
class CriterionSettings:
    """L = ECL + λ·SRAL + the frame-level terms + the beat heads'."""

    ecl: ECLSettings = field(default_factory=ECLSettings)
    sral: SRALSettings = field(default_factory=SRALSettings)
    sral_weight: float = 0.1
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

    def faults(self) -> list[str]:
        """What cannot be, each with its name and value."""
        weights = {
            "ecl.weight": self.ecl.weight,
            "sral_weight": self.sral_weight,
            "sral.per_beat": self.sral.per_beat,
            "sral.per_bar": self.sral.per_bar,
            "sral.regression": self.sral.regression,
            "frames.infonce": self.frames.infonce,
            "frames.onsets": self.frames.onsets,
            "frames.pulses": self.frames.pulses,
            "heads.positive_weight": self.heads.positive_weight,
        } | {f"heads.{name}": value for name, value in self.heads.weights().items()}
        faults = [f"{name} must be at least 0, got {value:g}" for name, value in weights.items() if value < 0]
        counts = {
            "ecl.jittered": (self.ecl.jittered, 0, 6),
            "ecl.stretched": (self.ecl.stretched, 0, 16),
            "ecl.others": (self.ecl.others, 0, 16),
            "frames.windows": (self.frames.windows, 1, 64),
            "frames.shifts": (self.frames.shifts, 0, 64),
            "sral.band": (self.sral.band, 1, 10_000),
            "sral.places": (self.sral.places, 2, 1_000),
        }
        faults += [
            f"{name} must be {least} to {most}, got {value}"
            for name, (value, least, most) in counts.items()
            if not least <= value <= most
        ]
        if self.sral.gamma <= 0:
            faults.append(f"sral.gamma must be above 0, got {self.sral.gamma:g}")
        if not 0.1 <= self.frames.window <= 60:
            faults.append(f"frames.window must be 0.1 to 60 s, got {self.frames.window:g}")
        frames = self.frames.infonce, self.frames.onsets, self.frames.pulses
        if not any((self.ecl.weight, self.sral_weight, *frames, *self.heads.weights().values())):
            faults.append("every weight is 0; give one loss a weight")
        return faults + self.augmentation.faults()
