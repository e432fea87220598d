"""The task's settings, as ``config.yaml`` gives them under ``downstream_expert``."""

from __future__ import annotations

from dataclasses import field
from functools import partial
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from motion_data.settings import CONFIG, Bool, Count, Integer, Natural, NotNegative, Number, Positive, Share
from recipes.downstream.s3prl_runner.task_settings import EmptyIsNone, read_section

Decoder = Literal["dbn", "peaks"]


def _check_decoders(decoders: tuple[Decoder, ...]) -> tuple[Decoder, ...]:
    if not decoders or len(set(decoders)) < len(decoders):
        raise ValueError("must be one or more, none twice")
    return decoders


@dataclass(config=CONFIG, frozen=True)
class DataSettings:
    """``datarc``: the data set, its splits and how it is cut."""

    root: Annotated[str | None, EmptyIsNone] = None
    """A CSV file or folder of audio with .beats files; none: synthetic clips, a smoke test."""
    test_fold: Annotated[str | Integer | None, EmptyIsNone] = None
    """Value of the CSV's column fold to test on; the next fold is dev, the rest train."""
    split_ratios: tuple[Positive, NotNegative, NotNegative] = (0.8, 0.1, 0.1)
    """Shares of train, dev and test where the data set names no splits."""
    split_seed: Integer = 0
    """Another number gives other splits by ratio."""
    crop_seconds: Annotated[Number, Field(ge=1)] = 12.0
    """Length of a training crop."""
    crop_step_seconds: NotNegative = 0.0
    """Crops begin at multiples of this, and at the last place where one fits: few enough that their features
    are kept for other epochs, seeds and folds. 0: anywhere, and nothing is kept of them."""
    chunk_seconds: Positive = 60.0
    """Longest stretch evaluated at once; memory grows with it."""
    overlap_seconds: NotNegative = 10.0
    """What neighbouring stretches of a longer piece share."""
    train_batch_size: Count = 4
    """Crops a step."""
    eval_batch_size: Count = 1
    """Stretches evaluated together."""
    num_workers: Natural = 0
    """Processes that load data; with 0 decoded audio stays in memory from epoch to epoch."""
    cache_megabytes: NotNegative = 2048.0
    """Decoded audio kept in memory; an hour is 230 MB."""

    @model_validator(mode="after")
    def _check_overlap(self) -> Self:
        if self.chunk_seconds <= 2 * self.overlap_seconds:
            raise ValueError("chunk_seconds must be above twice overlap_seconds")
        return self


@dataclass(config=CONFIG, frozen=True)
class ModelSettings:
    """``modelrc``: the probe."""

    probe: Literal["linear", "mlp", "conv"] = "linear"
    normalise: Bool = True
    """Bring each feature to mean 0 and deviation 1 first."""
    hidden: Count = 512
    """Width of the MLP's hidden layer."""
    dropout: Annotated[Number, Field(ge=0, lt=1)] = 0.2
    """Share of hidden activations dropped in training."""
    conv_channels: Count = 32
    """Width of the convolutional probe."""
    conv_seconds: Positive = 0.3
    """Time that each of its two convolutions spans."""


@dataclass(config=CONFIG, frozen=True)
class LossSettings:
    """``lossrc``: the shift-tolerant loss."""

    tolerance_seconds: Annotated[Number, Field(ge=0, le=0.5)] = 0.06
    """How early or late a logit may be."""
    positive_weight: Positive | Literal["auto"] = "auto"
    """Factor on frames with a beat; auto: balanced, from the training annotations."""


@dataclass(config=CONFIG, frozen=True)
class DecodingSettings:
    """``decodingrc``: from logits to beats."""

    decoders: Annotated[tuple[Decoder, ...], AfterValidator(_check_decoders)] = ("dbn", "peaks")
    """Every one is scored; the first is the one that inference, plots and beat_f go by."""
    metres: Annotated[tuple[Count, ...], Field(min_length=1)] = (2, 3, 4)
    """Beats per bar that the dbn chooses from; 6/8 counts as 2."""
    min_bpm: Positive = 55.0
    """Slowest tempo of the dbn."""
    max_bpm: Positive = 215.0
    """Fastest tempo of the dbn."""
    unbalance: Share = 0.5
    """Share of the log of the positive weight that is taken off the logits before the dbn: weighted
    training makes beats too probable for it. 1 undoes the weight; half did best on dev."""

    @model_validator(mode="after")
    def _check_tempi(self) -> Self:
        if self.min_bpm >= self.max_bpm:
            raise ValueError("max_bpm must be above min_bpm")
        return self


@dataclass(config=CONFIG, frozen=True)
class ScoringSettings:
    """``scoringrc``: what is scored, and which checkpoint is kept."""

    trim_seconds: NotNegative = 5.0
    """Beats before this are not scored, as the field does, in pieces long enough."""
    resamples: Count = 10_000
    """Bootstrap resamples over pieces."""
    select_by: Literal["loss", "beat_f"] = "loss"
    """dev-best.ckpt has the least dev loss (loss) or the highest mean dev beat F (beat_f)."""


@dataclass(config=CONFIG, frozen=True)
class TaskSettings:
    """Everything under ``downstream_expert``."""

    datarc: DataSettings = field(default_factory=DataSettings)
    modelrc: ModelSettings = field(default_factory=ModelSettings)
    lossrc: LossSettings = field(default_factory=LossSettings)
    decodingrc: DecodingSettings = field(default_factory=DecodingSettings)
    scoringrc: ScoringSettings = field(default_factory=ScoringSettings)
    plots: Bool = False
    """Draw each test piece into expdir/plots."""


read_settings = partial(read_section, "beat_tracking", TaskSettings)
