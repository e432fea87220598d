"""Configurations of the towers, and the named architectures."""

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

BEAT_STREAM_LATENCY = 4.0
"""Default latency of beats of a stream in seconds."""

ENVELOPE_RATE = 100.0
"""Frames of the onset envelope per second; frame j is centred at (j + 0.5) / ENVELOPE_RATE seconds."""

MAX_SIZE = 65_536
"""Maximum of all sizes, so that a damaged file cannot ask for more than the memory."""

GRID_SOURCES = ("onsets", "pulses", "heads")
"""Values of ``grid_from``."""

TRUNKS = ("bottleneck", "depthwise")
"""Values of ``trunk``."""


@dataclass(frozen=True)
class TowerConfig:
    """Settings of both towers. All deerrors are ours [O]; the paper's text was not available."""

    KIND: ClassVar[str] = "tower"
    # Minimum of each integer.
    MINIMA: ClassVar[Mapping[str, int]] = {
        "dim": 2,
        "trunk_kernel": 1,
        "token_layers": 1,
        "heads": 1,
        "expansion": 1,
        "subdivisions": 1,
        "embedding_dim": 1,
    }
    # Values of keys that are missing in older checkpoints.
    LEGACY_VALUES: ClassVar[Mapping[str, Any]] = {"trunk": "depthwise"}

    arch: str = "tiny"
    """Name of the architecture, for messages and model cards."""

    dim: int = 192
    """Width D of the trunk, the token layers and every hidden state."""

    trunk: str = "bottleneck"
    """Kind of the frame trunk: ``bottleneck``, or ``depthwise`` as in the first weights."""

    trunk_dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    """Dilations of the convolutions of the frame trunk."""

    trunk_kernel: int = 3
    """Kernel size of those convolutions; odd. The receptive field is (kernel - 1) * sum(dilations) + 1 frames
    of 20 ms."""

    token_layers: int = 4
    """N, number of layers of phase rotation, attention and feed-forward over beat-synchronous tokens."""

    heads: int = 4
    """Number of attention heads; the width of each, dim / heads, is even."""

    expansion: int = 4
    """Hidden width of the feed-forward parts in multiples of ``dim``."""

    subdivisions: int = 4
    """S, tokens per beat."""

    harmonics: tuple[int, ...] = (0, 1, 2, 3, 4, 6, 8, 12)
    """Cycles per bar of a head's pairs of dimensions, assigned cyclically; integers >= 0."""

    hypermetre: tuple[int, ...] = (2, 4, 8, 16)
    """Periods in bars that encode the order of bars, assigned cyclically to the pairs with harmonic 0."""

    embedding_dim: int = 256
    """Width of the pooled embedding, the same in both towers."""

    dropout: float = 0.1
    """Dropout probability in training, in [0, 1)."""

    @property
    def layers(self) -> int:
        """Number of hidden states: the stem's, the trunk's layers and the token layers."""
        return 1 + len(self.trunk_dilations) + self.token_layers

    @property
    def trunk_reach(self) -> int:
        """Receptive field of the trunk's dilated convolutions on each side, in frames."""
        return sum(self.trunk_dilations) * (self.trunk_kernel - 1) // 2

    def validate(self) -> None:
        """Check all settings.

        Raises:
            ConfigError: lists all invalid settings.
        """
        if errors := self._errors():
            raise ConfigError(f"{self.KIND} {self.arch!r}: " + "; ".join(errors))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as stored in checkpoints."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Create a configuration from the values of :meth:`to_dict`.

        Raises:
            ConfigError: unknown or missing keys, or invalid values.
        """
        known = {field.name for field in fields(cls)}
        values = {**cls.LEGACY_VALUES, **values}
        errors = [f"unknown key {key!r}" for key in sorted(set(values) - known)]
        errors += [f"missing key {key!r}" for key in sorted(known - set(values))]
        if errors:
            raise ConfigError(f"{cls.KIND}: " + "; ".join(errors))
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        config = cls(**plain)
        config.validate()
        return config

    def _errors(self) -> list[str]:
        errors = [
            f"{name} must be at least {minimum} and at most {MAX_SIZE}, got {getattr(self, name)!r}"
            for name, minimum in self.MINIMA.items()
            if not _is_int(getattr(self, name)) or not minimum <= getattr(self, name) <= MAX_SIZE
        ]
        if not errors:
            if self.trunk_kernel % 2 == 0:
                errors.append(f"trunk_kernel must be odd, got {self.trunk_kernel}")
            if self.dim % (2 * self.heads):
                errors.append(
                    f"dim must be a multiple of 2 * heads, got dim {self.dim} and heads {self.heads}"
                )
        if not self.trunk_dilations or not _are_ints(self.trunk_dilations, 1):
            errors.append(f"trunk_dilations must be integers of at least 1, got {self.trunk_dilations}")
        if not self.harmonics or not _are_ints(self.harmonics, 0):
            errors.append(f"harmonics must be integers of at least 0, got {self.harmonics}")
        if not _are_ints(self.hypermetre, 2):
            errors.append(f"hypermetre must be integers of at least 2 bars, got {self.hypermetre}")
        if not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            errors.append(f"dropout must lie in [0, 1), got {self.dropout!r}")
        if self.trunk not in TRUNKS:
            errors.append(f"trunk must be one of {', '.join(TRUNKS)}, got {self.trunk!r}")
        if not isinstance(self.arch, str):
            errors.append(f"arch must be a name, got {self.arch!r}")
        return errors


@dataclass(frozen=True)
class MusicTowerConfig(TowerConfig):
    """Sizes of the music tower."""

    KIND = "music tower"
    MINIMA: ClassVar[Mapping[str, int]] = {"n_mels": 8, **TowerConfig.MINIMA}
    LEGACY_VALUES: ClassVar[Mapping[str, Any]] = {
        "beat_heads": False,
        "front_end_layer": False,
        **TowerConfig.LEGACY_VALUES,
    }

    n_mels: int = 96
    """Mel bands between 30 Hz and 8 kHz."""

    front_end_layer: bool = False
    """Whether the first hidden state is the input of the trunk: two frames of log-mel, padded with zeros to
    ``dim``. A probe that weights the layers can then use the log-mel [O]."""

    trunk_dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128)
    """Dilations of the convolutions of the frame trunk."""

    beat_heads: bool = True
    """Whether the trunk has heads for beats, downbeats, position in the bar, metre and tempo."""

    grid_from: str = "onsets"
    """Source of the estimate if no grid is given: the ``onsets`` of the onset envelope, the ``pulses`` of the
    contact head, or the beat ``heads``; the latter two must be trained."""

    grid_trust: float = 0.3
    """Weight in [0, 1] of the onsets or pulses for the phase of the beats; the rest goes to accents in the
    log-mel. The default is for onsets; use more for trained pulses."""

    @property
    def layers(self) -> int:
        """Number of hidden states: the front end's, if there is one, the stem's, the trunk's and the token
        layers'."""
        return super().layers + self.front_end_layer

    @property
    def trunk_layers(self) -> range:
        """Indices of the trunk's hidden states: the stem's and those of the layers."""
        return range(self.front_end_layer, self.front_end_layer + 1 + len(self.trunk_dilations))

    def _errors(self) -> list[str]:
        errors = super()._errors()
        if not isinstance(self.front_end_layer, bool):
            errors.append(f"front_end_layer must be true or false, got {self.front_end_layer!r}")
        elif self.front_end_layer and not errors and self.dim < 2 * self.n_mels:
            errors.append(
                f"front_end_layer needs dim of at least 2 * n_mels, got dim {self.dim} and n_mels "
                f"{self.n_mels}"
            )
        if self.grid_from not in GRID_SOURCES:
            errors.append(f"grid_from must be one of {', '.join(GRID_SOURCES)}, got {self.grid_from!r}")
        if not isinstance(self.beat_heads, bool):
            errors.append(f"beat_heads must be true or false, got {self.beat_heads!r}")
        elif self.grid_from == "heads" and not self.beat_heads:
            errors.append("grid_from is heads, but beat_heads is false")
        trust = self.grid_trust
        if isinstance(trust, bool) or not isinstance(trust, int | float) or not 0 <= trust <= 1:
            errors.append(f"grid_trust must lie in [0, 1], got {trust!r}")
        return errors


@dataclass(frozen=True)
class MotionTowerConfig(TowerConfig):
    """Sizes of the motion tower."""

    KIND = "motion tower"
    MINIMA: ClassVar[Mapping[str, int]] = {"contact_harmonics": 0, **TowerConfig.MINIMA}

    trunk_dilations: tuple[int, ...] = (1, 2, 4, 8, 16)
    """Dilations of the convolutions of the frame trunk; motions need less context than music."""

    contact_guidance: bool = True
    """Whether foot contacts guide the attention [P]."""

    contact_harmonics: int = 4
    """Highest harmonic of the guidance as a function of the relative bar phase."""


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_ints(values: object, minimum: int) -> bool:
    return (
        isinstance(values, tuple)
        and len(values) <= MAX_SIZE
        and all(_is_int(value) and minimum <= value <= MAX_SIZE for value in values)
    )


ARCHITECTURES: Mapping[str, MusicTowerConfig] = {
    "tiny": MusicTowerConfig(front_end_layer=True),
    "base": MusicTowerConfig(
        arch="base", front_end_layer=True, dim=768, token_layers=12, heads=12, embedding_dim=512
    ),
}
"""``tiny``, that of the shipped weights, and ``base``, about the size of HuBERT base."""


def architecture(name: str) -> MusicTowerConfig:
    """Return an architecture by name.

    Raises:
        ConfigError: unknown name; lists the names.
    """
    if name not in ARCHITECTURES:
        raise ConfigError(f"unknown architecture {name!r}; expected one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]
