"""What the command line asks for, checked before anything is started or queued."""

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
from recipes.pretrain.options import find_config, parser
from recipes.pretrain.sources import training_sources

BASE = "base"
"""Key of a configuration file that names another, whose values it changes."""


@dataclass(frozen=True)
class Request:
    """A run that is wanted."""

    folder: Path
    config: PretrainConfig


def check(arguments: Sequence[str]) -> None:
    """Refuse what could not be run.

    Args:
        arguments: of ``python -m recipes.pretrain``.

    Raises:
        MotionBeatError: an unknown option or key, an impossible value, a missing corpus, or a folder
            that holds a run of another configuration.
    """
    from recipes.pretrain.run_folder import refuse_other_config

    request = parse(arguments)
    refuse_other_config(request.folder, request.config)


def parse(arguments: Sequence[str]) -> Request:
    """The run that the arguments ask for.

    Raises:
        MotionBeatError: as :func:`check`.
    """
    options = parser().parse_args(arguments)
    config = read_config(options.config_file, options.config_overrides or [])
    training_sources([read_corpus(folder) for folder in config.data.corpora], config.data)
    for file in (config.init.music, config.init.motion):
        if file is not None and not file.is_file():
            raise MotionBeatError(f"init: {file}: no such file; export a run, or leave init out")
    return Request(options.folder, config)


def read_config(file: str | Path | None, overrides: Sequence[Mapping[str, object]] = ()) -> PretrainConfig:
    """The configuration in a file, with overrides.

    Args:
        file: its path, the name of a packaged one, or None for the defaults.
        overrides: as fairseq2 parses them.

    Raises:
        MotionBeatError: no such file, not YAML, or every unknown key and every value that is not allowed.
    """
    merger = StandardConfigMerger()
    values: Any = StandardValueConverter().unstructure(PretrainConfig())
    try:
        for layer in [*(_layers(find_config(file)) if file is not None else []), *overrides]:
            values = merger.merge(values, layer)
    except (TypeError, ValueError, RecursionError) as error:
        raise MotionBeatError(f"{file}: {error}") from error
    values = _with_dtypes(values)
    faults: list[str] = []
    config = read_values(PretrainConfig, values, faults)
    # What fairseq2 gives no type.
    sections = {name: section for name, section in values.items() if isinstance(section, Mapping)}
    for name, kinds in COMPONENTS.items():
        component = sections.get(name, {})
        kind = kinds.get(str(component.get("name")))
        if kind is not None:
            chosen = read_values(kind, component.get("config"), faults, f"{name}.config")
            if config is not None:
                getattr(config, name).config = chosen
    model = sections.get("model", {})
    sizes = model.get("config_overrides") or {}
    if isinstance(sizes, Mapping):
        sizes = {"arch": model.get("arch") or PretrainedModelConfig.arch, **sizes}
    read_values(PretrainedModelConfig, sizes, faults, "model.config_overrides")
    if config is None or faults:
        raise ConfigError("; ".join(faults))
    return config


def _with_dtypes(values: Any) -> Any:
    """torch's types in place of their names, which pydantic does not know."""
    if not isinstance(values, Mapping):
        return values
    known = {key: _with_dtypes(value) for key, value in values.items()}
    if "dtype" in known:
        known["dtype"] = getattr(torch, str(known["dtype"]).removeprefix("torch."), known["dtype"])
    return known


def _layers(path: Path, seen: tuple[Path, ...] = ()) -> list[Mapping[str, object]]:
    """The values of a file, after those of the file that it names as its base."""
    if path in seen:
        raise MotionBeatError(f"{path}: is its own {BASE}")
    try:
        values = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (YAMLError, ValueError, RecursionError, OSError) as error:
        reason = " ".join(str(error).split())
        raise MotionBeatError(f"{path}: not a YAML file that can be read ({reason})") from error
    if not isinstance(values, dict):
        raise MotionBeatError(f"{path}: expected keys with values, found {type(values).__name__}")
    base = values.pop(BASE, None)
    if base is None:
        return [values]
    return [*_layers((path.parent / str(base)).resolve(), (*seen, path)), values]
