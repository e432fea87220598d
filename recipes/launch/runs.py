"""The runs of one launch: one, or one for each configuration and seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recipes.launch.errors import LaunchError


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


def plan(folder: Path, options: Sequence[str], configs: Sequence[str], seeds: Sequence[int]) -> list[Run]:
    """The runs of a launch.

    Args:
        folder: of the launch. A single run without ``configs`` and ``seeds`` is made in it, others in
            subfolders named by configuration and seed (``narrow``, ``seed1``, ``narrow-seed1``).
        options: the recipe's, for every run.
        configs: configuration files, or names by which the recipe finds them; one run each
            (``--config-file``).
        seeds: one run each (``--config common.seed=N``); with ``configs``, all combinations.

    Raises:
        LaunchError: two runs would have one name, or the options name a configuration file too.
    """
    if not configs and not seeds:
        return [Run("run", folder, tuple(options))]
    if configs and "--config-file" in options:
        raise LaunchError("--sweep gives each run its configuration file; leave --config-file out")
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
    for name in {run.name for run in runs}:
        if sum(run.name == name for run in runs) > 1:
            raise LaunchError(
                f"--sweep, --seeds: two runs would be named {name}; give each file another name"
            )
    return runs
