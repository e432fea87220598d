"""The settings of dance_generation, as ``config.yaml`` gives them under ``downstream_expert``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from motion_data.settings import CONFIG, Bool, Count, Integer, Natural, NotNegative, Number, Positive, Share
from motionbeat_upstream.config import MAX_SIZE
from recipes.downstream.s3prl_runner.task_settings import read_section

Size = Annotated[Integer, Field(ge=1, le=MAX_SIZE)]
LessThanOne = Annotated[Number, Field(ge=0, lt=1)]


def _check_odd(frames: int) -> int:
    if frames and frames % 2 == 0:
        raise ValueError("must be odd, or 0")
    return frames


@dataclass(config=CONFIG, frozen=True)
class DataSettings:
    """``datarc``: the corpus and how it is cut."""

    root: str = ""
    """Folder of a corpus of motion_data."""
    body: Literal["auto", "joints", "rotations"] = "auto"
    """rotations (EDGE's 151 numbers), joints, or auto: rotations where the motions have them."""
    slice_seconds: Annotated[Number, Field(ge=1)] = 5.0
    """Length of a slice."""
    stride_seconds: Positive = 0.5
    """Slices begin at multiples of it."""
    longest_seconds: Annotated[Number, Field(ge=1, le=3600)] = 20.0
    """The upstream hears so much of a pair at once, at most."""
    pairs_a_step: Count = 4
    """Pairs of a training step, each heard whole once."""
    slices_a_pair: Count = 4
    """Slices cut from each."""
    eval_pairs: Count = 40
    """Pairs danced in an evaluation, at most."""
    eval_batch_size: Count = 20
    """Pairs danced at once."""
    memory_megabytes: NotNegative = 4096.0
    """Decoded pairs kept in memory; an hour is 260 MB."""

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if self.slice_seconds > self.longest_seconds:
            raise ValueError("slice_seconds must be at most longest_seconds")
        return self


@dataclass(config=CONFIG, frozen=True)
class ModelSettings:
    """``modelrc``: the denoiser."""

    width: Size = 96
    layers: Size = 3
    heads: Size = 4
    hidden: Size = 384
    """Of each feed-forward part."""
    dropout: LessThanOne = 0.0
    frame_sum: Bool = True
    """Whether frames of music are also added to the motion's own; EDGE has cross-attention alone."""
    reach: Annotated[Natural, AfterValidator(_check_odd)] = 9
    """Frames of a convolution beside self-attention, odd; 0 for none, as EDGE has it."""
    filtered: Bool = True
    """Whether filters of the noisy slice are added to what the decoder says; EDGE has none."""
    average_decay: LessThanOne = 0.995
    """Of the moving average of the weights, a step; dances are made with the average."""

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        if self.width % self.heads or self.width % 2:
            raise ValueError("heads must divide width, and width be even")
        return self


@dataclass(config=CONFIG, frozen=True)
class DiffusionSettings:
    """``diffusionrc``: noise, losses and how a dance is drawn."""

    levels: Annotated[Integer, Field(ge=1, le=100_000)] = 1000
    """Steps of noise in training, on the cosine schedule."""
    level_draws: Count = 2
    """The step of noise is the largest of so many draws: with 2 high noise, where the music decides, is
    learned more often [O]; with 1 all alike, as in EDGE."""
    steps: Count = 50
    """Steps of DDIM when a dance is drawn."""
    guidance: NotNegative = 2.0
    """1 follows the music as learned; more exaggerates what it changes; 0 does not listen."""
    unheard: Share = 0.25
    """Share of training slices without music, which guidance needs."""
    given: Share = 0.5
    """Share of training slices with frames that are given, from which a dance goes on [O]."""
    clean: NotNegative = 0.636
    """Weight of the loss on the body's numbers, as EDGE has it."""
    velocity: NotNegative = 6.0
    """Of their change from frame to frame."""
    joints: NotNegative = 0.646
    """Of the joints' places in metres."""
    contact: NotNegative = 100.0
    """Of the feet's movement while they are said to stand, in metres a frame."""
    guess: NotNegative = 1.0
    """Of what the music alone says of the dance, without the noisy motion [O]; EDGE has no such loss."""

    @model_validator(mode="after")
    def _check_steps(self) -> Self:
        if self.steps > self.levels:
            raise ValueError("steps must be at most levels")
        return self


@dataclass(config=CONFIG, frozen=True)
class TaskSettings:
    """Everything under ``downstream_expert``."""

    datarc: DataSettings = field(default_factory=DataSettings)
    modelrc: ModelSettings = field(default_factory=ModelSettings)
    diffusionrc: DiffusionSettings = field(default_factory=DiffusionSettings)


def read_settings(values: Mapping[str, Any], inference: bool = False) -> TaskSettings:
    """The task's settings; for inference no corpus is needed."""
    return read_section("dance_generation", TaskSettings, values, needs_root=not inference)
