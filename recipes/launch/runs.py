"""The runs of one launch: one, or one for each configuration and seed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from motionbeat_upstream.errors import MotionBeatError


@dataclass(frozen=True)
class Run:
    """One training: its name in the launch, its folder, and the recipe's options."""

    name: str
    folder: Path
    options: tuple[str, ...]

    @property
    def arguments(self) -> tuple[str, ...]:
        """What follows the recipe's module on the command line."""
        return (str(self.folder), *self.options)


def plan(
    folder: Path,
    options: Sequence[str],
    configs: Sequence[str],
    seeds: Sequence[int],
    each: tuple[str, Sequence[str]] | None = None,
) -> list[Run]:
    """The runs of a launch.

    Args:
        folder: of the launch. A single run without ``configs`` and ``seeds`` is made in it, others in
            subfolders named by configuration and seed (``narrow``, ``seed1``, ``narrow-seed1``).
        options: the recipe's, for every run.
        configs: configuration files, or names by which the recipe finds them; one run each
            (``--config-file``).
        seeds: one run each (``--config common.seed=N``); with ``configs``, all combinations.
        each: an option of the recipe's and its values; one run each, all of them in ``folder`` itself, which
            the recipe must bear.

    Raises:
        MotionBeatError: two runs would have one name, or the options name a configuration file too.
    """
    if each is not None:
        return _each(folder, options, *each, alone=not configs and not seeds)
    if not configs and not seeds:
        return [Run("run", folder, tuple(options))]
    if configs and "--config-file" in options:
        raise MotionBeatError("--sweep gives each run its configuration file; leave --config-file out")
    runs = []
    for config in configs or (None,):
        for seed in seeds or (None,):
            named = [] if config is None else [Path(config).stem]
            own = [] if config is None else ["--config-file", config]
            if seed is not None:
                named.append(f"seed{seed}")
                own += ["--config", f"common.seed={seed}"]
            name = "-".join(named)
            runs.append(Run(name, folder / name, (*options, *own)))
    return _named_apart(runs, "--sweep, --seeds")


def _each(folder: Path, options: Sequence[str], option: str, values: Sequence[str], alone: bool) -> list[Run]:
    if not alone:
        raise MotionBeatError("--each makes its own runs; leave --sweep and --seeds out")
    if f"--{option}" in options:
        raise MotionBeatError(f"--each gives each run its --{option}; leave it out after the --")
    runs = [
        # What has a path or a label in it names a run by what a file may be called.
        Run(re.sub(r"[^\w.-]+", "_", value), folder, (*options, f"--{option}", value))
        for value in values
    ]
    return _named_apart(runs, "--each")


def _named_apart(runs: list[Run], option: str) -> list[Run]:
    """The runs; raises MotionBeatError where two have one name."""
    for name in {run.name for run in runs}:
        if sum(run.name == name for run in runs) > 1:
            raise MotionBeatError(f"{option}: two runs would be named {name}; give each another name")
    return runs
