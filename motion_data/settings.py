"""Configurations: pydantic dataclasses that are read from plain values.

All errors are reported at once, each with the full path of its key, its value and what is allowed. Unlike
pydantic's, the number types below do not accept text, true and false, NaN or infinity. They accept whole
numbers written as 4.0.
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
"""pydantic configuration of every configuration dataclass; it also applies to nested dataclasses of other
packages."""


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


def read_values(kind: type[Config], values: object, errors: list[str], path: str = "") -> Config | None:
    """Create a configuration from plain values of a YAML file or command line.

    Args:
        kind: a dataclass; missing fields take their defaults.
        values: fields by name; those of nested dataclasses are mappings as well.
        errors: receives a message for each unknown key and each value that is not allowed.
        path: path of keys that leads to ``values``, for messages.

    Returns:
        The configuration, or None if there are errors.
    """
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        errors += _messages(error, kind, values, path)
        return None


def _messages(error: ValidationError, kind: type[Any], values: object, path: str) -> list[str]:
    """Return a message for each key with an error."""
    messages: dict[str, tuple[str, list[str]]] = {}
    for details in error.errors(include_url=False):
        key, value = ".".join(filter(None, (path, *_keys(details["loc"], values)))), details["input"]
        if details["type"] == "unexpected_keyword_argument":
            messages[key] = f"unknown key {key}{_known_keys(kind, details['loc'][:-1])}", []
            continue
        if details["type"] == "missing":
            missing = ".".join(filter(None, (path, *map(str, details["loc"]))))
            messages[missing] = f"{missing} is missing", []
            continue
        allowed = details["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        allowed = allowed.partition(" or an instance of ")[0]
        # A rule about several keys concerns their section; its whole content would not help.
        is_section = details["type"] == "value_error" and isinstance(value, Mapping | ArgsKwargs)
        subject = key if is_section else f"{key} = {reprlib.repr(value)}"
        messages.setdefault(key, (f"{subject}: " if key else "", []))[1].append(allowed)
    # For a union, pydantic reports every member.
    texts = [subject + " or ".join(dict.fromkeys(allowed)) for subject, allowed in messages.values()]
    return [" ".join(text.split()) for text in texts]


def _keys(location: tuple[int | str, ...], values: object) -> list[str]:
    """Return the keys that lead to a value; pydantic inserts names of types, such as those of a union."""
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
