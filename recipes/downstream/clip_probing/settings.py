"""Settings of a clip task: the section ``downstream_expert`` of ``config.yaml``."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from motion_data.settings import CONFIG, Bool, Count, Integer, Natural, Number
from recipes.downstream.s3prl_runner.task_settings import EmptyIsNone


@dataclass(config=CONFIG, frozen=True)
class DataSettings:
    """``datarc``: the data set and its slices."""

    root: Annotated[str | None, EmptyIsNone] = None
    """Folder of the data set; None for the synthetic one."""
    layout: Annotated[str | None, EmptyIsNone] = None
    """Name of the published data set; None for the first of the task."""
    test_fold: Annotated[Integer | None, EmptyIsNone] = None
    """Test fold of a data set with folds; the next is dev, the rest train. None for the first."""
    slice_seconds: Annotated[Number, Field(ge=0.5)] = 30.0
    """Maximum length of a slice; predictions for a clip are means over its slices."""
    train_batch_size: Annotated[Integer, Field(ge=2)] = 16
    """Slices per step."""
    eval_batch_size: Count = 4
    """Clips per batch of an evaluation, with all their slices."""
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
    """Dropout probability of the hidden layer."""


@dataclass(config=CONFIG, frozen=True)
class ScoringSettings:
    """``scoringrc``: scoring."""

    resamples: Count = 200
    """Bootstrap resamples over groups."""


@dataclass(config=CONFIG, frozen=True)
class TaskSettings:
    """The section ``downstream_expert``."""

    datarc: DataSettings = field(default_factory=DataSettings)
    modelrc: ModelSettings = field(default_factory=ModelSettings)
    scoringrc: ScoringSettings = field(default_factory=ScoringSettings)
    plots: Bool = True
    """Plot the confusion matrix, or predicted against true values, into expdir."""
