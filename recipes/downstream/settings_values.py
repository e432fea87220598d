"""A task's settings from the plain values of its ``config.yaml``, every mistake told at once.

A section is a frozen dataclass whose defaults are the settings' own; the settings as a whole are a dataclass
of sections. Types are those of the fields: bool, int, float, str, None, unions of them, and tuples of one.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from recipes.downstream.errors import TaskError

Settings = TypeVar("Settings")


class SettingsError(TaskError):
    """Settings that cannot be used; the message lists everything that is wrong."""


def read_values(kind: type[Settings], values: Mapping[str, Any], faults: list[str]) -> Settings:
    """Settings from plain values; what is left out, or is wrong, takes its default.

    Args:
        kind: a dataclass with a default for every field.
        values: as a YAML file gives them; a section is a mapping.
        faults: gets a line for every unknown key and wrong type.
    """
    return _read(kind, values, "", faults)


def _read(kind: type[Settings], values: Mapping[str, Any], prefix: str, faults: list[str]) -> Settings:
    hints = typing.get_type_hints(kind)
    defaults = kind()
    known = [entry.name for entry in fields(kind)]  # type: ignore[arg-type]  # kind is a dataclass
    read: dict[str, Any] = {}
    for key, value in values.items():
        name = " ".join(f"{prefix}{key}".split())
        if key not in known:
            faults.append(f"unknown key {name}; there are {', '.join(known)}")
        elif is_dataclass(hints[key]):
            if isinstance(value, Mapping):
                read[key] = _read(typing.cast(type, hints[key]), value, f"{name}.", faults)
            else:
                faults.append(f"{name} must be a mapping, got {value!r}")
        else:
            try:
                read[key] = _as(hints[key], value)
            except ValueError:
                faults.append(
                    f"{name}: {value!r} is no {_words(hints[key])}, such as {getattr(defaults, key)!r}"
                )
    return kind(**read)


def _as(kind: Any, value: Any) -> Any:
    """The value as the type wants it; ValueError where it is none."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        # An option left empty on the command line is none.
        if types.NoneType in typing.get_args(kind) and value in (None, ""):
            return None
        for one in typing.get_args(kind):
            try:
                return _as(one, value)
            except ValueError:
                continue
        raise ValueError
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_as(typing.get_args(kind)[0], item) for item in value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int and number and math.isfinite(value) and int(value) == value:
        return int(value)
    if kind is float and number:
        return float(value)
    if kind in (bool, str) and isinstance(value, kind):
        return value
    raise ValueError


def _words(kind: Any) -> str:
    if typing.get_origin(kind) is tuple:
        return f"list of {_words(typing.get_args(kind)[0])}"
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return " or ".join(_words(one) for one in typing.get_args(kind))
    return {types.NoneType: "null", str: "text"}.get(kind, getattr(kind, "__name__", str(kind)))
