"""Settings of the task: the section ``downstream_expert`` of ``config.yaml``."""

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
        raise ValueError("must be one or more different decoders")
    return decoders


@dataclass(config=CONFIG, frozen=True)
class DataSettings:
    """``datarc``: the data set, its splits and its excerpts."""

    root: Annotated[str | None, EmptyIsNone] = None
    """A CSV file or folder of audio with .beats files; None for synthetic clips (a smoke test)."""
    test_fold: Annotated[str | Integer | None, EmptyIsNone] = None
    """Test fold, a value of the column fold; the next fold is dev, the rest train."""
    split_ratios: tuple[Positive, NotNegative, NotNegative] = (0.8, 0.1, 0.1)
    """Shares of train, dev and test for a data set without splits."""
    split_seed: Integer = 0
    """Seed of the splits by ratio."""
    crop_seconds: Annotated[Number, Field(ge=1)] = 12.0
    """Length of a training crop."""
    crop_step_seconds: NotNegative = 0.0
    """Crops start at multiples of this, and at the last possible start, so that their features are cached for
    other epochs, seeds and folds. With 0 they start anywhere and are not cached."""
    chunk_seconds: Positive = 60.0
    """Maximum length of a chunk in an evaluation; it determines the memory."""
    overlap_seconds: NotNegative = 10.0
    """Overlap of the chunks of a longer piece."""
    train_batch_size: Count = 4
    """Crops per step."""
    eval_batch_size: Count = 1
    """Chunks per batch of an evaluation."""
    num_workers: Natural = 0
    """Processes that load data; with 0 decoded audio stays in memory from epoch to epoch."""
    cache_megabytes: NotNegative = 2048.0
    """Cache of decoded audio; an hour takes 230 MB."""

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
    """Normalise each feature to mean 0 and standard deviation 1."""
    hidden: Count = 512
    """Width of the MLP's hidden layer."""
    dropout: Annotated[Number, Field(ge=0, lt=1)] = 0.2
    """Dropout probability of the hidden layer."""
    conv_channels: Count = 32
    """Width of the convolutional probe."""
    conv_seconds: Positive = 0.3
    """Kernel size of its two convolutions."""


@dataclass(config=CONFIG, frozen=True)
class LossSettings:
    """``lossrc``: the shift-tolerant loss."""

    tolerance_seconds: Annotated[Number, Field(ge=0, le=0.5)] = 0.06
    """Tolerance of the loss."""
    positive_weight: Positive | Literal["auto"] = "auto"
    """Weight of frames with a beat; auto balances them with other frames of the training data."""


@dataclass(config=CONFIG, frozen=True)
class DecodingSettings:
    """``decodingrc``: from logits to beats."""

    decoders: Annotated[tuple[Decoder, ...], AfterValidator(_check_decoders)] = ("dbn", "peaks")
    """All are scored; the first is used for inference, plots and beat_f."""
    metres: Annotated[tuple[Count, ...], Field(min_length=1)] = (2, 3, 4)
    """Beats per bar of the dbn; 6/8 has 2."""
    min_bpm: Positive = 55.0
    """Minimum tempo of the dbn."""
    max_bpm: Positive = 215.0
    """Maximum tempo of the dbn."""
    unbalance: Share = 0.5
    """Share of the log of the positive weight that is subtracted from the logits before the dbn, because
    weighted training makes beats too probable. 1 cancels the weight; 0.5 was best on dev."""

    @model_validator(mode="after")
    def _check_tempi(self) -> Self:
        if self.min_bpm >= self.max_bpm:
            raise ValueError("max_bpm must be above min_bpm")
        return self


@dataclass(config=CONFIG, frozen=True)
class ScoringSettings:
    """``scoringrc``: scoring and selection of the checkpoint."""

    trim_seconds: NotNegative = 5.0
    """Beats before this are not scored in pieces that are long enough."""
    resamples: Count = 10_000
    """Bootstrap resamples over pieces."""
    select_by: Literal["loss", "beat_f"] = "loss"
    """dev-best.ckpt has the lowest dev loss (loss) or the highest mean dev beat F (beat_f)."""


@dataclass(config=CONFIG, frozen=True)
class TaskSettings:
    """The section ``downstream_expert``."""

    datarc: DataSettings = field(default_factory=DataSettings)
    modelrc: ModelSettings = field(default_factory=ModelSettings)
    lossrc: LossSettings = field(default_factory=LossSettings)
    decodingrc: DecodingSettings = field(default_factory=DecodingSettings)
    scoringrc: ScoringSettings = field(default_factory=ScoringSettings)
    plots: Bool = False
    """Plot each test piece into expdir/plots."""


read_settings = partial(read_section, "beat_tracking", TaskSettings)
