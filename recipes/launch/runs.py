"""The runs of a launch: a single run, or one for each configuration and seed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from motionbeat_upstream.errors import MotionBeatError


@dataclass(frozen=True)
class Run:
    """A run: its name in the launch, its folder, and the options of the recipe."""

    name: str
    folder: Path
    options: tuple[str, ...]

    @property
    def arguments(self) -> tuple[str, ...]:
        """Command-line arguments of the recipe."""
        return (str(self.folder), *self.options)


def plan_runs(
    folder: Path,
    options: Sequence[str],
    configs: Sequence[str],
    seeds: Sequence[int],
    each_option: tuple[str, Sequence[str]] | None = None,
) -> list[Run]:
    """Plan the runs of a launch.

    Args:
        folder: folder of the launch. A single run without ``configs`` and ``seeds`` is in it, others are in
            subfolders named by configuration and seed (``narrow``, ``seed1``, ``narrow-seed1``).
        options: options of the recipe for every run.
        configs: configuration files or names; one run each (``--config-file``).
        seeds: seeds; one run each (``--config common.seed=N``), with ``configs`` all combinations.
        each_option: an option of the recipe and its values; one run each, all in ``folder`` itself, which the
            recipe must support.

    Raises:
        MotionBeatError: two runs would have the same name, or the options contain a configuration file too.
    """
    if each_option is not None:
        return _plan_each(folder, options, *each_option, alone=not configs and not seeds)
    if not configs and not seeds:
        return [Run("run", folder, tuple(options))]
    if configs and "--config-file" in options:
        raise MotionBeatError("--sweep sets --config-file for each run; leave --config-file out")
    runs = []
    for config in configs or (None,):
        for seed in seeds or (None,):
            name_parts = [] if config is None else [Path(config).stem]
            run_options = [] if config is None else ["--config-file", config]
            if seed is not None:
                name_parts.append(f"seed{seed}")
                run_options += ["--config", f"common.seed={seed}"]
            name = "-".join(name_parts)
            runs.append(Run(name, folder / name, (*options, *run_options)))
    return _check_names(runs, "--sweep, --seeds")


def _plan_each(
    folder: Path, options: Sequence[str], option: str, values: Sequence[str], alone: bool
) -> list[Run]:
    if not alone:
        raise MotionBeatError("--each cannot be combined with --sweep and --seeds; leave them out")
    if f"--{option}" in options:
        raise MotionBeatError(f"--each sets --{option} for each run; leave it out after the --")
    runs = [
        # Run names are file names; values may be paths.
        Run(re.sub(r"[^\w.-]+", "_", value), folder, (*options, f"--{option}", value))
        for value in values
    ]
    return _check_names(runs, "--each")


def _check_names(runs: list[Run], option: str) -> list[Run]:
    """Return the runs; raise MotionBeatError if two have the same name."""
    for name in {run.name for run in runs}:
        if sum(run.name == name for run in runs) > 1:
            raise MotionBeatError(f"{option}: two runs would be named {name}; use different values")
    return runs
