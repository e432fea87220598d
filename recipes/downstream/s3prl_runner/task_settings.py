"""A task's settings from the section ``downstream_expert`` of its ``config.yaml``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BeforeValidator

from motion_data.settings import read_values
from motionbeat_upstream.errors import ConfigError

Settings = TypeVar("Settings")

EmptyIsNone = BeforeValidator(lambda value: None if value == "" else value)
"""Of a setting that can be None: an option left empty on the command line."""


def read_section(
    task: str,
    kind: type[Settings],
    values: Mapping[str, Any],
    layouts: Sequence[str] | None = None,
    needs_root: bool = False,
) -> Settings:
    """A task's settings.

    Args:
        task: its name, for messages.
        kind: a dataclass of the sections, with a default for every setting; what is left out takes it.
        values: the section ``downstream_expert``.
        layouts: that ``datarc.layout`` may be, if the task has them.
        needs_root: whether ``datarc.root`` must be given.

    Raises:
        ConfigError: with every unknown key and every value that is not allowed.
    """
    faults: list[str] = []
    data = values.get("datarc")
    data = data if isinstance(data, Mapping) else {}
    if needs_root and not data.get("root"):
        faults.append("datarc.root must name the folder of a corpus of motion_data")
    if layouts is not None and data.get("layout") not in (None, "", *layouts):
        faults.append(f"datarc.layout = {data['layout']!r}: must be one of {', '.join(layouts)}")
    settings = read_values(kind, values, faults)
    if settings is None or faults:
        raise ConfigError(f"{task}, downstream_expert: {'; '.join(faults)}")
    return settings
