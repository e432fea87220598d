"""The settings of retrieval, as ``config.yaml`` gives them under ``downstream_expert``."""

from __future__ import annotations

from dataclasses import field
from functools import partial
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from motion_data.pipeline.config import PipelineConfig
from motion_data.settings import CONFIG, Count, Integer, NotNegative, Number, Positive
from recipes.downstream.s3prl_runner.task_settings import read_section

AtLeastTwo = Annotated[Integer, Field(ge=2)]
"""Pairs are each other's negatives."""


@dataclass(config=CONFIG, frozen=True)
class DataSettings:
    """``datarc``: the corpus and how it is cut."""

    root: str = ""
    """Folder of a corpus of motion_data."""
    bars: Count = 4
    """Bars of a clip."""
    longest_seconds: Positive = 6.0
    """A clip of slow bars has fewer of them."""
    seconds: Annotated[Number, Field(ge=1)] = 5.0
    """Length of a clip of a pair without a grid."""
    margin_seconds: NotNegative = 3.0
    """Motion beside a clip, from which it can be moved and stretched without a seam."""
    tempo_octaves: Positive = 0.25
    """Spread of the tempos in a batch, as log2 of their ratio."""
    train_batch_size: AtLeastTwo = 16
    """Pairs a step, each other's negatives."""
    eval_batch_size: AtLeastTwo = 16
    """Pairs evaluated together."""
    eval_clips: AtLeastTwo = 300
    """Pairs evaluated, at most."""
    memory_megabytes: NotNegative = 2048.0
    """Decoded pairs kept in memory; an hour is 260 MB."""

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if self.seconds > self.longest_seconds:
            raise ValueError("seconds must be at most longest_seconds")
        return self

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


@dataclass(config=CONFIG, frozen=True)
class ModelSettings:
    """``modelrc``: the two sides of the probe."""

    width: Count = 64
    """Numbers a frame on either side."""
    curves: Count = 8
    """Accent curves whose spectra over the bar are compared."""
    taps: Count = 9
    """Frames of 20 ms that each of the motion side's two convolutions sees."""


@dataclass(config=CONFIG, frozen=True)
class ScoringSettings:
    """``scoringrc``: what is reported."""

    pool: AtLeastTwo = 64
    """Motions that each music's own is found among, and the reverse."""


@dataclass(config=CONFIG, frozen=True)
class TaskSettings:
    """Everything under ``downstream_expert``."""

    datarc: DataSettings = field(default_factory=DataSettings)
    modelrc: ModelSettings = field(default_factory=ModelSettings)
    scoringrc: ScoringSettings = field(default_factory=ScoringSettings)


read_settings = partial(read_section, "retrieval", TaskSettings, needs_root=True)
