"""What is asked of the small recipe."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from motionbeat_upstream.errors import MotionBeatError


@dataclass(frozen=True)
class Request:
    out: Path
    steps: int = 30
    every: int = 5
    """Steps between checkpoints."""
    step_seconds: float = 0.0
    save_seconds: float = 0.0
    """Time for which a checkpoint is half written."""
    rate: float = 0.05
    seed: int = 0
    exit_code: int = 0
    """Code to end with before the first step."""


def check(arguments: Sequence[str]) -> None:
    parse(arguments)


def parse(arguments: Sequence[str]) -> Request:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--config-file", type=Path)
    parser.add_argument("--config", nargs="*", action="append", default=[])
    options = parser.parse_args(list(arguments))
    if options.config_file and not options.config_file.is_file():
        raise MotionBeatError(f"--config-file {options.config_file}: no such file")
    given = yaml.safe_load(options.config_file.read_text()) if options.config_file else {}
    for pair in (pair for group in options.config for pair in group):
        key, _, value = pair.partition("=")
        given[key.removeprefix("common.")] = yaml.safe_load(value)
    try:
        return Request(options.out, **given)
    except TypeError as error:
        raise MotionBeatError(f"--config: {error}") from error
