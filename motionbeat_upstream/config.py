"""The shape of the music tower, and the architectures that have a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self

from motionbeat_upstream.errors import ConfigError

SAMPLE_RATE = 16_000
"""Sampling rate of all audio in Hz, as S3PRL requires."""

STRIDE = 320
"""Samples from one feature to the next, in every architecture."""

FRAME_RATE = SAMPLE_RATE / STRIDE
"""Features per second, 50; frame k is centred at (k + 0.5) / FRAME_RATE seconds."""

ENVELOPE_RATE = 100.0
"""Frames of the onset envelope per second; frame j is centred at (j + 0.5) / ENVELOPE_RATE seconds."""

LARGEST = 65_536
"""Most that any size may be: a damaged file must not make a tower that fills the memory."""

GRID_SOURCES = ("onsets", "pulses", "heads")
"""What a music tower can estimate a grid from."""

TRUNKS = ("bottleneck", "depthwise")
"""Layers that a frame trunk can have."""


@dataclass(frozen=True)
class TowerConfig:
    """Sizes that both towers have. All defaults are ours [O]; the paper's text was not available."""

    KIND: ClassVar[str] = "tower"
    # The least value of each whole number.
    LEAST: ClassVar[Mapping[str, int]] = {
        "dim": 2,
        "trunk_kernel": 1,
        "token_layers": 1,
        "heads": 1,
        "expansion": 1,
        "subdivisions": 1,
        "embedding_dim": 1,
    }
    # Values of keys that older checkpoints lack.
    OLD: ClassVar[Mapping[str, Any]] = {"trunk": "depthwise"}

    arch: str = "tiny"
    """Name of the architecture, for messages and model cards."""

    dim: int = 192
    """Width D of the trunk, the token layers and every hidden state."""

    trunk: str = "bottleneck"
    """Layers of the frame trunk: ``bottleneck``, or ``depthwise`` as in the first weights."""

    trunk_dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    """One dilated convolution of the frame trunk each; the sum sets how far it sees."""

    trunk_kernel: int = 3
    """Taps of those convolutions; odd. The view is (kernel - 1) * sum(dilations) frames of 20 ms."""

    token_layers: int = 4
    """N, layers of phase rotation, attention and feed-forward over beat-synchronous tokens."""

    heads: int = 4
    """Attention heads; each is dim / heads wide, an even number."""

    expansion: int = 4
    """Width of a feed-forward part in multiples of ``dim``."""

    subdivisions: int = 4
    """S, tokens per beat."""

    harmonics: tuple[int, ...] = (0, 1, 2, 3, 4, 6, 8, 12)
    """Turns per bar of a head's pairs of dimensions, dealt out in this order; integers >= 0."""

    hypermetre: tuple[int, ...] = (2, 4, 8, 16)
    """Periods in bars that tell the order between bars, dealt to the pairs with harmonic 0."""

    embedding_dim: int = 256
    """Width of the pooled embedding, the same in both towers."""

    dropout: float = 0.1
    """Share of activations dropped in training, in [0, 1)."""

    @property
    def layers(self) -> int:
        """Number of hidden states: the stem's, the trunk's layers and the token layers."""
        return 1 + len(self.trunk_dilations) + self.token_layers

    @property
    def trunk_reach(self) -> int:
        """Frames to either side that the trunk's dilated convolutions see."""
        return sum(self.trunk_dilations) * (self.trunk_kernel - 1) // 2

    def validate(self) -> None:
        """Raise ``ConfigError`` with every fault found, or return in silence."""
        if faults := self._faults():
            raise ConfigError(f"{self.KIND} {self.arch!r}: " + "; ".join(faults))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as a checkpoint keeps them."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The reverse of :meth:`to_dict`, validated; unknown or missing keys raise ``ConfigError``."""
        known = {field.name for field in fields(cls)}
        values = {**cls.OLD, **values}
        faults = [f"unknown key {key!r}" for key in sorted(set(values) - known)]
        faults += [f"missing key {key!r}" for key in sorted(known - set(values))]
        if faults:
            raise ConfigError(f"{cls.KIND}: " + "; ".join(faults))
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        config = cls(**plain)
        config.validate()
        return config

    def _faults(self) -> list[str]:
        faults = [
            f"{name} must be at least {least} and at most {LARGEST}, got {getattr(self, name)!r}"
            for name, least in self.LEAST.items()
            if not _is_int(getattr(self, name)) or not least <= getattr(self, name) <= LARGEST
        ]
        if not faults:
            if self.trunk_kernel % 2 == 0:
                faults.append(f"trunk_kernel must be odd, got {self.trunk_kernel}")
            if self.dim % (2 * self.heads):
                faults.append(
                    f"dim must be a multiple of 2 * heads, got dim {self.dim} and heads {self.heads}"
                )
        if not self.trunk_dilations or not _are_ints(self.trunk_dilations, 1):
            faults.append(f"trunk_dilations must be integers of at least 1, got {self.trunk_dilations}")
        if not self.harmonics or not _are_ints(self.harmonics, 0):
            faults.append(
                f"harmonics must be integers of at least 0, or a bar is no full turn, got {self.harmonics}"
            )
        if not _are_ints(self.hypermetre, 2):
            faults.append(f"hypermetre must be whole numbers of at least 2 bars, got {self.hypermetre}")
        if not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            faults.append(f"dropout must lie in [0, 1), got {self.dropout!r}")
        if self.trunk not in TRUNKS:
            faults.append(f"trunk must be one of {', '.join(TRUNKS)}, got {self.trunk!r}")
        if not isinstance(self.arch, str):
            faults.append(f"arch must be a name, got {self.arch!r}")
        return faults


@dataclass(frozen=True)
class MusicTowerConfig(TowerConfig):
    """Sizes of the music tower."""

    KIND = "music tower"
    LEAST: ClassVar[Mapping[str, int]] = {"n_mels": 8, **TowerConfig.LEAST}
    OLD: ClassVar[Mapping[str, Any]] = {"beat_heads": False, **TowerConfig.OLD}

    n_mels: int = 96
    """Mel bands between 30 Hz and 8 kHz."""

    trunk_dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128)
    """As above."""

    beat_heads: bool = True
    """Whether the trunk has heads for beat, downbeat, bar position, metre and tempo."""

    grid_from: str = "onsets"
    """What beats are estimated from when no grid is given: the ``onsets`` of the onset envelope, the
    ``pulses`` of the contact head, or the beat ``heads``; the latter two must be trained for it."""

    grid_trust: float = 0.3
    """Weight in [0, 1] of those onsets or pulses as to where beats lie; the rest goes to accents in the
    log-mel. The default suits onsets, trained pulses deserve more."""

    def _faults(self) -> list[str]:
        faults = super()._faults()
        if self.grid_from not in GRID_SOURCES:
            faults.append(f"grid_from must be one of {', '.join(GRID_SOURCES)}, got {self.grid_from!r}")
        if not isinstance(self.beat_heads, bool):
            faults.append(f"beat_heads must be true or false, got {self.beat_heads!r}")
        elif self.grid_from == "heads" and not self.beat_heads:
            faults.append("grid_from is heads, but beat_heads is false")
        trust = self.grid_trust
        if isinstance(trust, bool) or not isinstance(trust, int | float) or not 0 <= trust <= 1:
            faults.append(f"grid_trust must lie in [0, 1], got {trust!r}")
        return faults


@dataclass(frozen=True)
class MotionTowerConfig(TowerConfig):
    """Sizes of the motion tower."""

    KIND = "motion tower"
    LEAST: ClassVar[Mapping[str, int]] = {"contact_harmonics": 0, **TowerConfig.LEAST}

    trunk_dilations: tuple[int, ...] = (1, 2, 4, 8, 16)
    """As above; a motion needs less context than a sound."""

    contact_guidance: bool = True
    """Whether contacts draw attention [P]; without, the attention is plain."""

    contact_harmonics: int = 4
    """Highest harmonic of the guidance's function of the relative bar phase."""


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_ints(values: object, least: int) -> bool:
    return (
        isinstance(values, tuple)
        and len(values) <= LARGEST
        and all(_is_int(value) and least <= value <= LARGEST for value in values)
    )


ARCHITECTURES: Mapping[str, MusicTowerConfig] = {
    "tiny": MusicTowerConfig(),
    "base": MusicTowerConfig(arch="base", dim=768, token_layers=12, heads=12, embedding_dim=512),
}
"""``tiny`` (the default that ships) and ``base`` (about the size of HuBERT base)."""


def architecture(name: str) -> MusicTowerConfig:
    """The named architecture; ``ConfigError`` lists the names when there is none such."""
    if name not in ARCHITECTURES:
        raise ConfigError(f"unknown architecture {name!r}; there are {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]
