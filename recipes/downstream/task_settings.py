"""A task's settings from the section ``downstream_expert`` of its ``config.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BeforeValidator

from motion_data.settings import read_values
from recipes.downstream.errors import TaskError

Settings = TypeVar("Settings")

EmptyIsNone = BeforeValidator(lambda value: None if value == "" else value)
"""Of a setting that can be None: an option left empty on the command line."""

NO_CORPUS = "datarc.root must name the folder of a corpus of motion_data"


def read_section(
    task: str, kind: type[Settings], values: Mapping[str, Any], faults: list[str] | None = None
) -> Settings:
    """A task's settings.

    Args:
        task: its name, for messages.
        kind: a dataclass of the sections, with a default for every setting; what is left out takes it.
        values: the section ``downstream_expert``.
        faults: what is wrong with them by other rules.

    Raises:
        TaskError: with every unknown key and every value that is not allowed.
    """
    faults = list(faults or ())
    settings = read_values(kind, values, faults)
    if settings is None or faults:
        raise TaskError(f"{task}, downstream_expert: {'; '.join(faults)}")
    return settings


def data_values(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The section ``datarc`` as it was given."""
    data = values.get("datarc")
    return data if isinstance(data, Mapping) else {}
