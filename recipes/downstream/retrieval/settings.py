"""Settings of retrieval: the section ``downstream_expert`` of ``config.yaml``."""

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
"""A pair needs another one as a negative."""


@dataclass(config=CONFIG, frozen=True)
class DataSettings:
    """``datarc``: the corpus and its clips."""

    root: str = ""
    """Folder of a corpus of motion_data."""
    bars: Count = 4
    """Bars of a clip."""
    longest_seconds: Positive = 6.0
    """Maximum length of a clip; with slow bars it has fewer of them."""
    seconds: Annotated[Number, Field(ge=1)] = 5.0
    """Length of a clip of a pair without a grid."""
    margin_seconds: NotNegative = 3.0
    """Motion before and after a clip, for shifted and stretched copies."""
    tempo_octaves: Positive = 0.25
    """Spread of the tempos in a batch, as log2 of their ratio."""
    train_batch_size: AtLeastTwo = 16
    """Pairs per step, negatives of each other."""
    eval_batch_size: AtLeastTwo = 16
    """Pairs per batch of an evaluation."""
    eval_clips: AtLeastTwo = 300
    """Maximum number of pairs in an evaluation."""
    memory_megabytes: NotNegative = 2048.0
    """Cache of decoded pairs; an hour takes 260 MB."""

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if self.seconds > self.longest_seconds:
            raise ValueError("seconds must be at most longest_seconds")
        return self

    def pipeline(self, seed: int, training: bool) -> PipelineConfig:
        """Configuration of the data path."""
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
    """``modelrc``: sizes of the probe."""

    width: Count = 64
    """Width of the frames of both sides."""
    curves: Count = 8
    """Number of curves whose spectra over the bar are compared."""
    taps: Count = 9
    """Kernel size of the two convolutions over motion, in frames of 20 ms."""


@dataclass(config=CONFIG, frozen=True)
class ScoringSettings:
    """``scoringrc``: scoring."""

    pool: AtLeastTwo = 64
    """Candidates of each query, including the own one."""


@dataclass(config=CONFIG, frozen=True)
class TaskSettings:
    """The section ``downstream_expert``."""

    datarc: DataSettings = field(default_factory=DataSettings)
    modelrc: ModelSettings = field(default_factory=ModelSettings)
    scoringrc: ScoringSettings = field(default_factory=ScoringSettings)


read_settings = partial(read_section, "retrieval", TaskSettings, needs_root=True)
