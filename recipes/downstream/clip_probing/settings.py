"""The settings of a clip task, as ``config.yaml`` gives them under ``downstream_expert``."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from motion_data.settings import CONFIG, Bool, Count, Integer, Natural, Number
from recipes.downstream.s3prl_runner.task_settings import EmptyIsNone


@dataclass(config=CONFIG, frozen=True)
class DataSettings:
    """``datarc``: the data set and how it is cut."""

    root: Annotated[str | None, EmptyIsNone] = None
    """Its folder; none: the made data set."""
    layout: Annotated[str | None, EmptyIsNone] = None
    """In which published layout it is; none: the task's first."""
    test_fold: Annotated[Integer | None, EmptyIsNone] = None
    """Of a data set in folds, the one to test on; the next is dev, the rest train. None: the first."""
    slice_seconds: Annotated[Number, Field(ge=0.5)] = 30.0
    """Longest slice that is encoded at once; what is said of a clip is the mean over its slices."""
    train_batch_size: Annotated[Integer, Field(ge=2)] = 16
    """Slices a step."""
    eval_batch_size: Count = 4
    """Clips evaluated together, with all their slices."""
    num_workers: Natural = 0
    """Processes that load data."""


@dataclass(config=CONFIG, frozen=True)
class ModelSettings:
    """``modelrc``: the probe."""

    probe: Literal["linear", "mlp"] = "linear"
    """linear, or mlp as in MARBLE."""
    hidden: Count = 512
    """Width of the MLP's hidden layer."""
    dropout: Annotated[Number, Field(ge=0, lt=1)] = 0.2
    """Share of hidden activations dropped in training."""


@dataclass(config=CONFIG, frozen=True)
class ScoringSettings:
    """``scoringrc``: what is reported."""

    resamples: Count = 200
    """Bootstrap resamples over groups."""


@dataclass(config=CONFIG, frozen=True)
class TaskSettings:
    """Everything under ``downstream_expert``."""

    datarc: DataSettings = field(default_factory=DataSettings)
    modelrc: ModelSettings = field(default_factory=ModelSettings)
    scoringrc: ScoringSettings = field(default_factory=ScoringSettings)
    plots: Bool = True
    """Draw the confusion matrix, or what was said against what is so, into expdir."""
