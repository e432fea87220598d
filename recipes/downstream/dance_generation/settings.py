"""Settings of dance_generation: the section ``downstream_expert`` of ``config.yaml``."""

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
    """``datarc``: the corpus and its slices."""

    root: str = ""
    """Folder of a corpus of motion_data."""
    body: Literal["auto", "joints", "rotations"] = "auto"
    """rotations (EDGE's 151 numbers), joints, or auto: rotations if the motions have them."""
    slice_seconds: Annotated[Number, Field(ge=1)] = 5.0
    """Length of a slice."""
    stride_seconds: Positive = 0.5
    """Slices start at multiples of it."""
    longest_seconds: Annotated[Number, Field(ge=1, le=3600)] = 20.0
    """Maximum length of a pair for the upstream."""
    pairs_a_step: Count = 4
    """Pairs per training step."""
    slices_a_pair: Count = 4
    """Slices of each pair in a step."""
    eval_pairs: Count = 40
    """Maximum number of pairs in an evaluation."""
    eval_batch_size: Count = 20
    """Pairs per batch of an evaluation."""
    memory_megabytes: NotNegative = 4096.0
    """Cache of decoded pairs; an hour takes 260 MB."""

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
    """Width of the feed-forward blocks."""
    dropout: LessThanOne = 0.0
    frame_sum: Bool = True
    """Whether frames of music are added to those of the motion; EDGE has cross-attention only."""
    reach: Annotated[Natural, AfterValidator(_check_odd)] = 9
    """Kernel size of a convolution beside self-attention in frames, odd; 0 for none, as in EDGE."""
    filtered: Bool = True
    """Whether filters of the noisy slice are added to the output of the decoder; EDGE has none."""
    average_decay: LessThanOne = 0.995
    """Decay of the moving average of the weights per step; the average generates the dances."""

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        if self.width % self.heads or self.width % 2:
            raise ValueError("width must be even and a multiple of heads")
        return self


@dataclass(config=CONFIG, frozen=True)
class DiffusionSettings:
    """``diffusionrc``: noise, losses and sampling."""

    levels: Annotated[Integer, Field(ge=1, le=100_000)] = 1000
    """Noise levels in training, on the cosine schedule."""
    level_draws: Count = 2
    """The noise level is the maximum of this many draws: with 2, high levels, at which the music matters, are
    more frequent [O]; with 1, levels are uniform, as in EDGE."""
    steps: Count = 50
    """Steps of DDIM in sampling."""
    guidance: NotNegative = 2.0
    """Classifier-free guidance: 1 is the learned condition, more amplifies it, 0 ignores the music."""
    unheard: Share = 0.25
    """Share of training slices without music, for guidance."""
    given: Share = 0.5
    """Share of training slices with given frames, for continuing a dance [O]."""
    clean: NotNegative = 0.636
    """Weight of the loss on body numbers, as in EDGE."""
    velocity: NotNegative = 6.0
    """Weight of the loss on their differences between frames."""
    joints: NotNegative = 0.646
    """Weight of the loss on joint positions in metres."""
    contact: NotNegative = 100.0
    """Weight of the loss on the movement of feet in contact, in metres per frame."""
    guess: NotNegative = 1.0
    """Weight of the loss on predictions from music alone [O]; EDGE has no such loss."""

    @model_validator(mode="after")
    def _check_steps(self) -> Self:
        if self.steps > self.levels:
            raise ValueError("steps must be at most levels")
        return self


@dataclass(config=CONFIG, frozen=True)
class TaskSettings:
    """The section ``downstream_expert``."""

    datarc: DataSettings = field(default_factory=DataSettings)
    modelrc: ModelSettings = field(default_factory=ModelSettings)
    diffusionrc: DiffusionSettings = field(default_factory=DiffusionSettings)


def read_settings(values: Mapping[str, Any], inference: bool = False) -> TaskSettings:
    """Read the settings of the task; inference needs no corpus."""
    return read_section("dance_generation", TaskSettings, values, needs_root=not inference)
