"""Configurations: pydantic dataclasses whose types say what is allowed, read from plain values.

Every mistake is reported at once, by the full path of its key, with what was found and what is allowed.
pydantic takes text and true/false for numbers where it can; the number types below do not. They take whole
numbers written as 4.0, and no NaN or infinity.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, Strict, TypeAdapter, ValidationError
from pydantic_core import ArgsKwargs

Config = TypeVar("Config")

CONFIG = ConfigDict(extra="forbid", allow_inf_nan=False)
"""Of every dataclass that is a configuration. Dataclasses of other packages within it are read by the same
rules."""


def _no_text_or_bool(value: object) -> object:
    if isinstance(value, bool | str | bytes):
        raise ValueError("must be a number")
    return value


Bool = Annotated[bool, Strict()]
Integer = Annotated[int, BeforeValidator(_no_text_or_bool)]
Number = Annotated[float, BeforeValidator(_no_text_or_bool)]
Count = Annotated[Integer, Field(ge=1)]
Natural = Annotated[Integer, Field(ge=0)]  # zero too
Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Share = Annotated[Number, Field(ge=0, le=1)]


def read_values(kind: type[Config], values: object, faults: list[str], path: str = "") -> Config | None:
    """A configuration from plain values, as a YAML file or a command line gives them.

    Args:
        kind: a dataclass; what is left out takes its default.
        values: its fields by their names; those of a dataclass within it likewise.
        faults: gets a message for each unknown key and each value that is not allowed.
        path: the keys that lead to ``values`` itself, for messages.

    Returns:
        The configuration, or None where there are faults.
    """
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        faults += _messages(error, kind, values, path)
        return None


def _messages(error: ValidationError, kind: type[Any], values: object, path: str) -> list[str]:
    """A message for each key at fault."""
    faults: dict[str, list[str]] = {}
    for fault in error.errors(include_url=False):
        key, found = ".".join(filter(None, (path, *_keys(fault["loc"], values)))), fault["input"]
        if fault["type"] == "unexpected_keyword_argument":
            faults[key] = [f"unknown key {key}{_known_keys(kind, fault['loc'][:-1])}"]
            continue
        if fault["type"] == "missing":
            missing = ".".join(filter(None, (path, *map(str, fault["loc"]))))
            faults[missing] = [f"{missing} is missing"]
            continue
        allowed = fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        allowed = allowed.partition(" or an instance of ")[0]
        # A rule between several keys is about their section, whose whole content says nothing.
        is_section = fault["type"] == "value_error" and isinstance(found, Mapping | ArgsKwargs)
        subject = key if is_section else f"{key} = {reprlib.repr(found)}"
        faults.setdefault(key, [f"{subject}: " if key else ""]).append(allowed)
    # Of a union pydantic names each member that the value is not.
    messages = [subject + " or ".join(dict.fromkeys(allowed)) for subject, *allowed in faults.values()]
    return [" ".join(message.split()) for message in messages]


def _keys(location: tuple[int | str, ...], values: object) -> list[str]:
    """The keys that lead to a value; pydantic puts names of types, such as a union's, between them."""
    keys = []
    for part in location:
        is_key = isinstance(values, Mapping) and part in values
        if is_key or (isinstance(values, list | tuple) and part in range(len(values))):
            keys.append(str(part))
            values = values[part]  # type: ignore[index]  # a mapping or a sequence
    return keys


def _known_keys(kind: type[Any], section: tuple[int | str, ...]) -> str:
    config: Any = kind() if section else kind
    for part in section:
        config = getattr(config, str(part), None)
    return f"; there are {', '.join(field.name for field in fields(config))}" if is_dataclass(config) else ""
