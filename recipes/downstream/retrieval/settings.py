"""The settings of retrieval, as ``config.yaml`` gives them under ``downstream_expert``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from motion_data.pipeline.config import PipelineConfig
from recipes.downstream.settings_values import SettingsError, read_values


@dataclass(frozen=True)
class DataSettings:
    """``datarc``: the corpus and how it is cut."""

    root: str = ""
    """Folder of a corpus of motion_data."""
    bars: int = 4
    """Bars of a clip."""
    longest_seconds: float = 6.0
    """A clip of slow bars has fewer of them."""
    seconds: float = 5.0
    """Length of a clip of a pair without a grid."""
    margin_seconds: float = 3.0
    """Motion beside a clip, from which it can be moved and stretched without a seam."""
    tempo_octaves: float = 0.25
    """Spread of the tempos in a batch, as log2 of their ratio."""
    train_batch_size: int = 16
    """Pairs a step, each other's negatives."""
    eval_batch_size: int = 16
    """Pairs evaluated together."""
    eval_clips: int = 300
    """Pairs evaluated, at most."""
    memory_megabytes: float = 2048.0
    """Decoded pairs kept in memory; an hour is 260 MB."""

    def pipeline(self, seed: int, training: bool) -> PipelineConfig:
        """How clips are cut and put into batches."""
        return PipelineConfig(
            bars=self.bars,
            seconds=self.seconds,
            longest_seconds=self.longest_seconds,
            margin_seconds=self.margin_seconds,
            start_place=None,
            batch_size=self.train_batch_size if training else self.eval_batch_size,
            least_clips=2,
            tempo_octaves=self.tempo_octaves,
            fps=50.0,
            seed=seed,
            same_every_epoch=not training,
            memory_megabytes=self.memory_megabytes,
        )


@dataclass(frozen=True)
class ModelSettings:
    """``modelrc``: the two sides of the probe."""

    width: int = 64
    """Numbers a frame on either side."""
    curves: int = 8
    """Accent curves whose spectra over the bar are compared."""
    taps: int = 9
    """Frames of 20 ms that each of the motion side's two convolutions sees."""


@dataclass(frozen=True)
class ScoringSettings:
    """``scoringrc``: what is reported."""

    pool: int = 64
    """Motions that each music's own is found among, and the reverse."""


@dataclass(frozen=True)
class TaskSettings:
    """Everything under ``downstream_expert``."""

    datarc: DataSettings = field(default_factory=DataSettings)
    modelrc: ModelSettings = field(default_factory=ModelSettings)
    scoringrc: ScoringSettings = field(default_factory=ScoringSettings)


def read_settings(values: Mapping[str, Any]) -> TaskSettings:
    """Settings from the plain values of a YAML file; what is left out takes its default.

    Raises:
        SettingsError: with every unknown key, wrong type and value out of range.
    """
    faults: list[str] = []
    settings = read_values(TaskSettings, values, faults)
    data, model, scoring = settings.datarc, settings.modelrc, settings.scoringrc
    rules = {
        "datarc.root must name the folder of a corpus of motion_data": bool(data.root),
        "datarc.bars must be at least 1": data.bars >= 1,
        "datarc.seconds must lie between 1 and longest_seconds": 1 <= data.seconds <= data.longest_seconds,
        "datarc.margin_seconds and memory_megabytes must be at least 0": (
            data.margin_seconds >= 0 and data.memory_megabytes >= 0
        ),
        "datarc.tempo_octaves must be above 0": data.tempo_octaves > 0,
        "datarc.train_batch_size and eval_batch_size must be at least 2: pairs are each other's negatives": (
            data.train_batch_size >= 2 and data.eval_batch_size >= 2
        ),
        "datarc.eval_clips must be at least 2": data.eval_clips >= 2,
        "modelrc.width, curves and taps must be at least 1": min(model.width, model.curves, model.taps) >= 1,
        "scoringrc.pool must be at least 2": scoring.pool >= 2,
    }
    faults = faults or [rule for rule, kept in rules.items() if not kept]
    if faults:
        raise SettingsError("retrieval, downstream_expert: " + "; ".join(faults))
    return settings
