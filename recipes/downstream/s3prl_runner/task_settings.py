"""Settings of a task, from the section ``downstream_expert`` of its ``config.yaml``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BeforeValidator

from motion_data.settings import read_values
from motionbeat_upstream.errors import ConfigError

Settings = TypeVar("Settings")

EmptyIsNone = BeforeValidator(lambda value: None if value == "" else value)
"""Validator of an optional setting: an empty value on the command line means None."""


def read_section(
    task: str,
    kind: type[Settings],
    values: Mapping[str, Any],
    layouts: Sequence[str] | None = None,
    needs_root: bool = False,
) -> Settings:
    """Read and validate the settings of a task.

    Args:
        task: name of the task, for error messages.
        kind: dataclass of the settings, with a default for each.
        values: the section ``downstream_expert``.
        layouts: allowed values of ``datarc.layout``, if the task has it.
        needs_root: whether ``datarc.root`` is required.

    Raises:
        ConfigError: lists all unknown keys and invalid values.
    """
    errors: list[str] = []
    data = values.get("datarc")
    data = data if isinstance(data, Mapping) else {}
    if needs_root and not data.get("root"):
        errors.append("datarc.root must name the folder of a corpus of motion_data")
    if layouts is not None and data.get("layout") not in (None, "", *layouts):
        errors.append(f"datarc.layout = {data['layout']!r}: must be one of {', '.join(layouts)}")
    settings = read_values(kind, values, errors)
    if settings is None or errors:
        raise ConfigError(f"{task}, downstream_expert: {'; '.join(errors)}")
    return settings
