"""The task's settings, as ``config.yaml`` gives them under ``downstream_expert``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recipes.downstream.settings_values import SettingsError, read_values

PROBES = ("linear", "mlp", "conv")
DECODERS = ("dbn", "peaks")
CRITERIA = ("loss", "beat_f")


@dataclass(frozen=True)
class DataSettings:
    """``datarc``: the data set, its splits and how it is cut."""

    root: str | None = None
    """A CSV file or folder of audio with .beats files; none: synthetic clips, a smoke test."""
    test_fold: str | int | None = None
    """Value of the CSV's column fold to test on; the next fold is dev, the rest train."""
    split_ratios: tuple[float, ...] = (0.8, 0.1, 0.1)
    """Shares of train, dev and test where the data set names no splits."""
    split_seed: int = 0
    """Another number gives other splits by ratio."""
    crop_seconds: float = 12.0
    """Length of a training crop."""
    chunk_seconds: float = 60.0
    """Longest stretch evaluated at once; memory grows with it."""
    overlap_seconds: float = 10.0
    """What neighbouring stretches of a longer piece share."""
    train_batch_size: int = 4
    """Crops a step."""
    eval_batch_size: int = 1
    """Stretches evaluated together."""
    num_workers: int = 0
    """Processes that load data; with 0 decoded audio stays in memory from epoch to epoch."""
    cache_megabytes: float = 2048.0
    """Decoded audio kept in memory; an hour is 230 MB."""


@dataclass(frozen=True)
class ModelSettings:
    """``modelrc``: the probe."""

    probe: str = "linear"
    """linear, mlp or conv."""
    normalise: bool = True
    """Bring each feature to mean 0 and deviation 1 first."""
    hidden: int = 512
    """Width of the MLP's hidden layer."""
    dropout: float = 0.2
    """Share of hidden activations dropped in training."""
    conv_channels: int = 32
    """Width of the convolutional probe."""
    conv_seconds: float = 0.3
    """Time that each of its two convolutions spans."""


@dataclass(frozen=True)
class LossSettings:
    """``lossrc``: the shift-tolerant loss."""

    tolerance_seconds: float = 0.06
    """How early or late a logit may be."""
    positive_weight: float | str = "auto"
    """Factor on frames with a beat; auto: balanced, from the training annotations."""


@dataclass(frozen=True)
class DecodingSettings:
    """``decodingrc``: from logits to beats."""

    decoders: tuple[str, ...] = ("dbn", "peaks")
    """Every one is scored; the first is the one that inference, plots and beat_f go by."""
    metres: tuple[int, ...] = (2, 3, 4)
    """Beats per bar that the dbn chooses from; 6/8 counts as 2."""
    min_bpm: float = 55.0
    """Slowest tempo of the dbn."""
    max_bpm: float = 215.0
    """Fastest tempo of the dbn."""
    unbalance: float = 0.5
    """Share of the log of the positive weight that is taken off the logits before the dbn: weighted
    training makes beats too probable for it. 1 undoes the weight; half did best on dev."""


@dataclass(frozen=True)
class ScoringSettings:
    """``scoringrc``: what is scored, and which checkpoint is kept."""

    trim_seconds: float = 5.0
    """Beats before this are not scored, as the field does, in pieces long enough."""
    resamples: int = 10_000
    """Bootstrap resamples over pieces."""
    select_by: str = "loss"
    """dev-best.ckpt has the least dev loss (loss) or the highest mean dev beat F (beat_f)."""


@dataclass(frozen=True)
class TaskSettings:
    """Everything under ``downstream_expert``."""

    datarc: DataSettings = field(default_factory=DataSettings)
    modelrc: ModelSettings = field(default_factory=ModelSettings)
    lossrc: LossSettings = field(default_factory=LossSettings)
    decodingrc: DecodingSettings = field(default_factory=DecodingSettings)
    scoringrc: ScoringSettings = field(default_factory=ScoringSettings)
    plots: bool = False
    """Draw each test piece into expdir/plots."""


def read_settings(values: Mapping[str, Any]) -> TaskSettings:
    """Settings from the plain values of a YAML file; what is left out takes its default.

    Raises:
        SettingsError: with every unknown key, wrong type and value out of range.
    """
    faults: list[str] = []
    settings = read_values(TaskSettings, values, faults)
    faults = faults or _out_of_range(settings)
    if faults:
        raise SettingsError("beat_tracking, downstream_expert: " + "; ".join(faults))
    return settings


def _out_of_range(settings: TaskSettings) -> list[str]:
    data, model, loss = settings.datarc, settings.modelrc, settings.lossrc
    decoding, scoring = settings.decodingrc, settings.scoringrc
    rules = {
        "datarc.split_ratios must be three numbers of at least 0, train above 0": (
            len(data.split_ratios) == 3 and min(data.split_ratios) >= 0 and data.split_ratios[0] > 0
        ),
        "datarc.crop_seconds must be at least 1": data.crop_seconds >= 1,
        "datarc.chunk_seconds must be above twice overlap_seconds, and that at least 0": (
            data.chunk_seconds > 2 * data.overlap_seconds >= 0
        ),
        "datarc.train_batch_size and eval_batch_size must be at least 1": (
            data.train_batch_size >= 1 and data.eval_batch_size >= 1
        ),
        "datarc.num_workers and cache_megabytes must be at least 0": (
            data.num_workers >= 0 and data.cache_megabytes >= 0
        ),
        f"modelrc.probe must be one of {', '.join(PROBES)}": model.probe in PROBES,
        "modelrc.hidden and conv_channels must be at least 1": model.hidden >= 1 and model.conv_channels >= 1,
        "modelrc.dropout must lie in [0, 1)": 0 <= model.dropout < 1,
        "modelrc.conv_seconds must be above 0": model.conv_seconds > 0,
        "lossrc.tolerance_seconds must lie in [0, 0.5]": 0 <= loss.tolerance_seconds <= 0.5,
        "lossrc.positive_weight must be auto or above 0": (
            loss.positive_weight == "auto"
            if isinstance(loss.positive_weight, str)
            else loss.positive_weight > 0
        ),
        f"decodingrc.decoders must be a list of {', '.join(DECODERS)}, none twice": (
            0 < len(decoding.decoders) == len(set(decoding.decoders) & set(DECODERS))
        ),
        "decodingrc.metres must be whole numbers of at least 1": (
            len(decoding.metres) > 0 and min(decoding.metres) >= 1
        ),
        "decodingrc.min_bpm must be above 0, and max_bpm above it": 0 < decoding.min_bpm < decoding.max_bpm,
        "decodingrc.unbalance must lie in [0, 1]": 0 <= decoding.unbalance <= 1,
        "scoringrc.trim_seconds must be at least 0": scoring.trim_seconds >= 0,
        "scoringrc.resamples must be at least 1": scoring.resamples >= 1,
        f"scoringrc.select_by must be one of {', '.join(CRITERIA)}": scoring.select_by in CRITERIA,
    }
    return [rule for rule, kept in rules.items() if not kept]
