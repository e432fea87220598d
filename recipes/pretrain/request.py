"""Parse and check the command line and configuration of a run before it is started or queued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fairseq2.utils.config import StandardConfigMerger
from fairseq2.utils.structured import StandardValueConverter
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from motion_data.manifest import read_corpus
from motion_data.settings import read_values
from motionbeat_upstream.errors import ConfigError, MotionBeatError
from recipes.pretrain.config import COMPONENTS, PretrainConfig
from recipes.pretrain.model import PretrainedModelConfig
from recipes.pretrain.options import build_parser, find_config

BASE_KEY = "base"
"""Key of a configuration file for another file, whose values it overrides."""


@dataclass(frozen=True)
class Request:
    """A requested run."""

    folder: Path
    config: PretrainConfig


def check(arguments: Sequence[str]) -> None:
    """Check a command line.

    Args:
        arguments: arguments of ``python -m recipes.pretrain``.

    Raises:
        MotionBeatError: an unknown option or key, an invalid value, a missing corpus, or a folder with a run
            of another configuration.
    """
    from recipes.pretrain.run_folder import check_same_config

    request = parse(arguments)
    check_same_config(request.folder, request.config)


def parse(arguments: Sequence[str]) -> Request:
    """Parse a command line.

    Raises:
        MotionBeatError: as :func:`check`.
    """
    options = build_parser().parse_args(arguments)
    config = read_config(options.config_file, options.config_overrides or [])
    config.data.sources([read_corpus(folder) for folder in config.data.corpora])
    for file in (config.init.music, config.init.motion):
        if file is not None and not file.is_file():
            raise MotionBeatError(f"init: {file}: no such file; export a run, or leave init out")
    return Request(options.folder, config)


def read_config(file: str | Path | None, overrides: Sequence[Mapping[str, object]] = ()) -> PretrainConfig:
    """Read a configuration with overrides.

    Args:
        file: path of a file, the name of a packaged one, or None for the defaults.
        overrides: overrides parsed by fairseq2.

    Raises:
        MotionBeatError: no such file, not YAML, or invalid; the message lists all unknown keys and invalid
            values.
    """
    merger = StandardConfigMerger()
    values: Any = StandardValueConverter().unstructure(PretrainConfig())
    try:
        for layer in [*(_read_layers(find_config(file)) if file is not None else []), *overrides]:
            values = merger.merge(values, layer)
    except (TypeError, ValueError, RecursionError) as error:
        raise MotionBeatError(f"{file}: {error}") from error
    values = _resolve_dtypes(values)
    messages: list[str] = []
    config = read_values(PretrainConfig, values, messages)
    # Sections without a type in fairseq2.
    sections = {name: section for name, section in values.items() if isinstance(section, Mapping)}
    for name, classes in COMPONENTS.items():
        component = sections.get(name, {})
        component_class = classes.get(str(component.get("name")))
        if component_class is not None:
            component_config = read_values(
                component_class, component.get("config"), messages, f"{name}.config"
            )
            if config is not None:
                getattr(config, name).config = component_config
    model = sections.get("model", {})
    sizes = model.get("config_overrides") or {}
    if isinstance(sizes, Mapping):
        sizes = {"arch": model.get("arch") or PretrainedModelConfig.arch, **sizes}
    read_values(PretrainedModelConfig, sizes, messages, "model.config_overrides")
    if config is None or messages:
        raise ConfigError("; ".join(messages))
    return config


def _resolve_dtypes(values: Any) -> Any:
    """Replace names of dtypes, which pydantic does not parse, by torch's dtypes."""
    if not isinstance(values, Mapping):
        return values
    resolved = {key: _resolve_dtypes(value) for key, value in values.items()}
    if "dtype" in resolved:
        resolved["dtype"] = getattr(torch, str(resolved["dtype"]).removeprefix("torch."), resolved["dtype"])
    return resolved


def _read_layers(path: Path, visited: tuple[Path, ...] = ()) -> list[Mapping[str, object]]:
    """Read the values of a file, after those of its base."""
    if path in visited:
        raise MotionBeatError(f"{path}: is its own {BASE_KEY}; give {BASE_KEY} another file, or remove it")
    try:
        values = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (YAMLError, ValueError, RecursionError, OSError) as error:
        reason = " ".join(str(error).split())
        raise MotionBeatError(f"{path}: cannot be read as YAML ({reason})") from error
    if not isinstance(values, dict):
        raise MotionBeatError(f"{path}: expected keys with values, found {type(values).__name__}")
    base = values.pop(BASE_KEY, None)
    if base is None:
        return [values]
    return [*_read_layers((path.parent / str(base)).resolve(), (*visited, path)), values]
