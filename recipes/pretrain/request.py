"""What the command line asks for, checked before anything is started or queued."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

from fairseq2.recipe.config import AdamWConfig, CosineAnnealingLRConfig
from fairseq2.utils.argparse import ConfigAction
from fairseq2.utils.config import StandardConfigMerger
from fairseq2.utils.structured import StandardValueConverter, StructureError
from fairseq2.utils.validation import StandardObjectValidator, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from motion_data.manifest import read_corpus
from recipes.pretrain.config import PretrainConfig
from recipes.pretrain.errors import PretrainError
from recipes.pretrain.model import PretrainedModelConfig

CONFIGS = Path(__file__).parent / "configs"
"""Where a configuration is looked for by its name alone."""

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
        PretrainError: an unknown option or key, an impossible value, a corpus that is not there.
    """
    parse(arguments)


def parse(arguments: Sequence[str]) -> Request:
    """The run that the arguments ask for.

    Raises:
        PretrainError: as :func:`check`.
    """
    options = parser().parse_args(arguments)
    config = read_config(options.config_file, options.config_overrides or [])
    for corpus in config.data.corpora:
        read_corpus(corpus)
    return Request(options.folder, config)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise PretrainError(f"{message}; see python -m recipes.pretrain --help")


def parser() -> argparse.ArgumentParser:
    """Of the command line."""
    names = sorted(path.relative_to(CONFIGS).with_suffix("").as_posix() for path in CONFIGS.rglob("*.yaml"))
    made = _Parser("python -m recipes.pretrain", description="Pretrain MotionBeat, or go on with a run.")
    made.add_argument("folder", type=Path, metavar="OUT", help="folder of the run; a run found there goes on")
    made.add_argument(
        "--config-file",
        metavar="FILE",
        help=f"YAML file, or the name of one that is packaged: {', '.join(names)}",
    )
    made.add_argument(
        "--config",
        dest="config_overrides",
        action=ConfigAction,
        help="values that come after the file's, for example data.corpora=[data/constructed] common.seed=1",
    )
    return made


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
        for layer in [*(_layers(_find(file)) if file is not None else []), *overrides]:
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
    return config


def _find(file: str | Path) -> Path:
    for path in (Path(file), CONFIGS / f"{file}.yaml"):
        if path.is_file():
            return path
    raise PretrainError(f"--config-file {file}: no such file, and no packaged configuration of that name")


def _layers(path: Path, seen: tuple[Path, ...] = ()) -> list[Mapping[str, object]]:
    """The values of a file, after those of the file that it names as its base."""
    if path in seen:
        raise PretrainError(f"{path}: is its own {BASE}")
    try:
        values = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError, OSError) as error:
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
            raise PretrainError(f"unknown key {place}{key}; there are {', '.join(sorted(known))}")
    for name, hint in get_type_hints(kls).items():
        if isinstance(hint, type) and is_dataclass(hint) and name in values:
            _refuse_unknown(values[name], hint, f"{place}{name}.")


def _structured(converter: StandardValueConverter, values: object, kls: type, place: str) -> Any:
    try:
        return converter.structure(values, kls)
    except StructureError as error:
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
