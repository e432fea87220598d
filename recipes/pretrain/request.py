"""What the command line asks for, checked before anything is started or queued."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from fairseq2.recipe.config import AdamWConfig, CosineAnnealingLRConfig
from fairseq2.utils.config import StandardConfigMerger
from fairseq2.utils.structured import StandardValueConverter, StructureError
from fairseq2.utils.validation import StandardObjectValidator, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from motion_data.manifest import read_corpus
from recipes.pretrain.config import PretrainConfig
from recipes.pretrain.errors import PretrainError
from recipes.pretrain.model import PretrainedModelConfig
from recipes.pretrain.options import find_config, parser

BASE = "base"
"""Key of a configuration file that names another, whose values it changes."""

COMPONENTS: Mapping[str, Mapping[str, type]] = {
    "optimizer": {"adamw": AdamWConfig},
    "lr_scheduler": {"cosine_annealing": CosineAnnealingLRConfig},
}
"""Configurations that fairseq2 chooses by a name."""


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
        PretrainError: an unknown option or key, an impossible value, a corpus that is not there, or a folder
            that holds a run of another configuration.
    """
    from recipes.pretrain.run_folder import refuse_other_config

    request = parse(arguments)
    refuse_other_config(request.folder, request.config)


def parse(arguments: Sequence[str]) -> Request:
    """The run that the arguments ask for.

    Raises:
        PretrainError: as :func:`check`.
    """
    options = parser().parse_args(arguments)
    config = read_config(options.config_file, options.config_overrides or [])
    for corpus in config.data.corpora:
        read_corpus(corpus)
    for file in (config.init.music, config.init.motion):
        if file is not None and not file.is_file():
            raise PretrainError(f"init: {file}: no such file; export a run, or leave init out")
    return Request(options.folder, config)


def read_config(file: str | Path | None, overrides: Sequence[Mapping[str, object]] = ()) -> PretrainConfig:
    """The configuration in a file, with overrides.

    Args:
        file: its path, the name of a packaged one, or None for the defaults.
        overrides: as fairseq2 parses them.

    Raises:
        PretrainError: no such file, not YAML, unknown keys or impossible values; all by their names.
    """
    converter, merger = StandardValueConverter(), StandardConfigMerger()
    values: object = converter.unstructure(PretrainConfig())
    try:
        for layer in [*(_layers(find_config(file)) if file is not None else []), *overrides]:
            values = merger.merge(values, layer)
    except (TypeError, ValueError) as error:
        raise PretrainError(f"{file}: {error}") from error
    _refuse_unknown(values, PretrainConfig, "")
    config: PretrainConfig = _structured(converter, values, PretrainConfig, "")
    for section, known in COMPONENTS.items():
        component = getattr(config, section)
        if component.name in known:
            _refuse_unknown(component.config, known[component.name], f"{section}.config.")
            component.config = _structured(
                converter, component.config, known[component.name], f"{section}.config."
            )
    model = merger.merge(converter.unstructure(PretrainedModelConfig()), config.model.config_overrides or {})
    _refuse_unknown(model, PretrainedModelConfig, "model.config_overrides.")
    sizes = _structured(converter, model, PretrainedModelConfig, "model.config_overrides.")
    try:
        for value in (config, dataclasses.replace(sizes, arch=config.model.arch or sizes.arch)):
            StandardObjectValidator().validate(value)
    except ValidationError as error:
        raise PretrainError(str(error)) from error
    except (ArithmeticError, TypeError, ValueError) as error:
        # fairseq2 divides numbers of steps by each other before it looks at them.
        raise PretrainError(
            f"{file}: a value cannot be used ({error}); check that numbers of steps are at least 1"
        ) from error
    return config


def _layers(path: Path, seen: tuple[Path, ...] = ()) -> list[Mapping[str, object]]:
    """The values of a file, after those of the file that it names as its base."""
    if path in seen:
        raise PretrainError(f"{path}: is its own {BASE}")
    try:
        values = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (YAMLError, ValueError, RecursionError, OSError) as error:
        reason = " ".join(str(error).split())
        raise PretrainError(f"{path}: not a YAML file that can be read ({reason})") from error
    if not isinstance(values, dict):
        raise PretrainError(f"{path}: expected keys with values, found {type(values).__name__}")
    base = values.pop(BASE, None)
    if base is None:
        return [values]
    return [*_layers((path.parent / str(base)).resolve(), (*seen, path)), values]


def _refuse_unknown(values: object, kls: type, place: str) -> None:
    if not isinstance(values, Mapping):
        if isinstance(values, kls):
            return
        raise PretrainError(
            f"{place.rstrip('.') or 'configuration'}: expected keys with values, got {values!r}"
        )
    known = {field.name for field in fields(kls)}
    for key in values:
        if key not in known:
            named = " ".join(f"{place}{key}".split())
            raise PretrainError(f"unknown key {named}; there are {', '.join(sorted(known))}")
    for name, hint in get_type_hints(kls).items():
        if isinstance(hint, type) and is_dataclass(hint) and name in values:
            _refuse_unknown(values[name], hint, f"{place}{name}.")


def _structured(converter: StandardValueConverter, values: object, kls: type, place: str) -> Any:
    try:
        return converter.structure(values, kls)
    except (StructureError, ValueError, OverflowError, TypeError) as error:
        raise PretrainError(_said(error, place)) from error


def _said(error: BaseException, place: str) -> str:
    """The innermost of a chain of errors, and the fields that lead to it."""
    path: list[str] = []
    while True:
        found = re.match(r"`(\w+)` field cannot be structured", str(error))
        if found:
            path.append(found[1])
        if error.__cause__ is None:
            return f"{place}{'.'.join(path)}: {error}"
        error = error.__cause__
