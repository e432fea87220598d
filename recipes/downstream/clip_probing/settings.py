"""The settings of a clip task, as ``config.yaml`` gives them under ``downstream_expert``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recipes.downstream.settings_values import SettingsError, read_values

PROBES = ("linear", "mlp")


@dataclass(frozen=True)
class DataSettings:
    """``datarc``: the data set and how it is cut."""

    root: str | None = None
    """Its folder; none: the made data set."""
    layout: str | None = None
    """In which published layout it is; none: the task's first."""
    test_fold: int | None = None
    """Of a data set in folds, the one to test on; the next is dev, the rest train. None: the first."""
    slice_seconds: float = 30.0
    """Longest slice that is encoded at once; what is said of a clip is the mean over its slices."""
    train_batch_size: int = 16
    """Slices a step."""
    eval_batch_size: int = 4
    """Clips evaluated together, with all their slices."""
    num_workers: int = 0
    """Processes that load data."""


@dataclass(frozen=True)
class ModelSettings:
    """``modelrc``: the probe."""

    probe: str = "linear"
    """linear, or mlp as in MARBLE."""
    hidden: int = 512
    """Width of the MLP's hidden layer."""
    dropout: float = 0.2
    """Share of hidden activations dropped in training."""


@dataclass(frozen=True)
class ScoringSettings:
    """``scoringrc``: what is reported."""

    resamples: int = 200
    """Bootstrap resamples over groups."""


@dataclass(frozen=True)
class TaskSettings:
    """Everything under ``downstream_expert``."""

    datarc: DataSettings = field(default_factory=DataSettings)
    modelrc: ModelSettings = field(default_factory=ModelSettings)
    scoringrc: ScoringSettings = field(default_factory=ScoringSettings)
    plots: bool = True
    """Draw the confusion matrix, or what was said against what is so, into expdir."""


def read_settings(task: str, layouts: Sequence[str], values: Mapping[str, Any]) -> TaskSettings:
    """Settings from the plain values of a YAML file; what is left out takes its default.

    Args:
        task: its name, for messages.
        layouts: that it can read.
        values: the section ``downstream_expert``.

    Raises:
        SettingsError: with every unknown key, wrong type and value out of range.
    """
    faults: list[str] = []
    settings = read_values(TaskSettings, values, faults)
    data, model = settings.datarc, settings.modelrc
    rules = {
        f"datarc.layout must be one of {', '.join(layouts)}": data.layout in (None, *layouts),
        "datarc.slice_seconds must be at least 0.5": data.slice_seconds >= 0.5,
        "datarc.train_batch_size must be at least 2, and eval_batch_size at least 1": (
            data.train_batch_size >= 2 and data.eval_batch_size >= 1
        ),
        "datarc.num_workers must be at least 0": data.num_workers >= 0,
        f"modelrc.probe must be one of {', '.join(PROBES)}": model.probe in PROBES,
        "modelrc.hidden must be at least 1": model.hidden >= 1,
        "modelrc.dropout must lie in [0, 1)": 0 <= model.dropout < 1,
        "scoringrc.resamples must be at least 1": settings.scoringrc.resamples >= 1,
    }
    faults = faults or [rule for rule, kept in rules.items() if not kept]
    if faults:
        raise SettingsError(f"{task}, downstream_expert: " + "; ".join(faults))
    return settings
