"""A very small pretraining run: corpus, configuration, and the command in a separate process."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from ruamel.yaml import YAML

from recipes.pretrain.__main__ import main
from tests.made_corpus import Made, write_corpus

STEPS = 8
"""Steps of a run, with a checkpoint and a validation at every second."""

PAIRS = (
    *(Made(f"train{i}", bpm=88.0 + i, seconds=7.0) for i in range(6)),
    *(Made(f"dev{i}", bpm=89.0 + i, seconds=7.0, split="dev") for i in range(4)),
)

_ATTEMPTS = itertools.count()

SMALL = {"dim": 16, "trunk_dilations": [1, 2], "token_layers": 1, "heads": 2, "expansion": 1}

VALUES: Mapping[str, Mapping[str, object]] = {
    "model": {
        "arch": "tiny",
        "config_overrides": {
            # Dropout uses torch's generator, whose state a resumed run must restore.
            "music": {
                **SMALL,
                "embedding_dim": 16,
                "n_mels": 16,
                "front_end_layer": False,
                "dropout": 0.1,
            },
            "motion": {**SMALL, "embedding_dim": 16, "dropout": 0.1},
            "projection": 8,
        },
    },
    "data": {
        "bars": 1,
        "seconds": 2.0,
        "longest_seconds": 3.0,
        "margin_seconds": 0.5,
        "batch_size": 4,
        # Faster than a second process; test_data_reader.py tests that one.
        "own_process": False,
    },
    "criterion": {"settings": {"frames": {"window": 0.3}}},
    "validation": {"clips": 8, "pool": 2, "probe": True},
    "regime": {
        "num_steps": STEPS,
        "publish_metrics_every_n_steps": 1,
        "validate_every_n_steps": 2,
        "checkpoint_every_n_steps": 2,
    },
    "lr_scheduler": {"config": {"cycle_len": STEPS, "num_warmup_steps": 2, "final_lr_scale": 0.05}},
}


def prepare(folder: Path, pairs: Sequence[Made] = PAIRS) -> Path:
    """Write a corpus and a configuration, and return the file of the configuration."""
    write_corpus(folder / "corpus", pairs)
    file = folder / "small.yaml"
    values = {name: dict(section) for name, section in VALUES.items()}
    values["data"]["corpora"] = [str(folder / "corpus")]
    with file.open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(values, stream)
    return file


def flat_overrides(config: Path) -> list[str]:
    """Overrides of single values that make any configuration as small as this one."""

    def leaves(values: Mapping[str, Any], prefix: str) -> list[str]:
        return [
            override
            for key, value in values.items()
            for override in (
                leaves(value, f"{prefix}{key}.")
                if isinstance(value, Mapping)
                else [f"{prefix}{key}={json.dumps(value)}"]
            )
        ]

    return leaves(YAML(typ="safe", pure=True).load(config), "")


def arguments(out: Path, config: Path, *overrides: str) -> list[str]:
    """Arguments of the command."""
    command_arguments = [str(out), "--config-file", str(config)]
    return [*command_arguments, "--config", *overrides] if overrides else command_arguments


@dataclass(frozen=True)
class Attempt:
    """The command in a separate process."""

    process: BaseProcess
    output: Path
    """File with its output."""

    def code(self, seconds: float = 60) -> int:
        """Wait for the end and return the exit code, or minus the signal."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, (
            f"still running after {seconds:g} s: {self.read_output()[-2000:]}"
        )
        return self.process.exitcode

    def read_output(self) -> str:
        """Output so far."""
        return self.output.read_text(encoding="utf-8", errors="replace")


def start(
    out: Path,
    config: Path,
    *overrides: str,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> Attempt:
    """Start the command in a process forked from a server that has already imported everything.

    Args:
        out, config, overrides: arguments of the command.
        environment: additional variables.
        before: function to call first in the process.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.pretrain_run"])
    # Not in the folder of the run, whose disk may be full.
    output = config.parent / f"{next(_ATTEMPTS)}.out"
    command_arguments = (arguments(out, config, *overrides), dict(environment or {}), output, before)
    process = context.Process(target=_attempt, args=command_arguments)
    process.start()
    return Attempt(process, output)


def _attempt(
    command_arguments: Sequence[str],
    environment: Mapping[str, str],
    output: Path,
    before: Callable[[], None] | None,
) -> None:
    with output.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.environ.update(environment)
    if before is not None:
        before()
    sys.exit(main(command_arguments))


def run(out: Path, config: Path, *overrides: str) -> Attempt:
    """Run the command in a separate process and wait for its end."""
    attempt = start(out, config, *overrides)
    attempt.code()
    return attempt


def start_two(
    out: Path, config: Path, *overrides: str, before: Callable[[], None] | None = None
) -> list[Attempt]:
    """Start two processes of one run, with the variables of torchrun."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    world = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [
        start(out, config, *overrides, environment={**world, "RANK": rank, "LOCAL_RANK": rank}, before=before)
        for rank in ("0", "1")
    ]


def error_line(text: str) -> str:
    """The single error line of the command."""
    lines = [line for line in text.splitlines() if line.startswith("recipes.pretrain: ")]
    assert len(lines) == 1, text
    assert "Traceback" not in text
    return lines[0]


def metrics(out: Path, name: str = "train") -> list[dict[str, Any]]:
    """Recorded metrics of a run."""
    text = (out / "metrics" / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def without_times(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The records without times and speeds."""
    clock = ("Time", "Elapsed", "Wall", "data_wait_share", "per Second", "/s")
    return [{k: v for k, v in record.items() if not any(word in k for word in clock)} for record in records]


def checkpoint(out: Path, step: int) -> dict[str, Any]:
    """All files of a checkpoint, by their paths in it."""
    folder = out / "checkpoints" / f"step_{step}"
    files = sorted(folder.rglob("*.pt"))
    assert files
    return {str(file.relative_to(folder)): torch.load(file, weights_only=True) for file in files}
