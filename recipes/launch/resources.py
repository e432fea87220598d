"""Resources of a job, and their translation to submitit's parameters."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from motion_data.settings import CONFIG, Count, Natural
from motionbeat_upstream.errors import MotionBeatError

DAY_MINUTES = 24 * 60
"""Default time limit of a job on SLURM."""

YEAR_MINUTES = 365 * DAY_MINUTES
"""Default time limit of a job on this machine."""

_CLOCK = re.compile(r"(?:(?P<days>\d+)-)?(?P<first>\d+)(?::(?P<second>\d+))?(?::(?P<third>\d+))?", re.ASCII)

BY_OPTION = ConfigDict(
    **CONFIG, alias_generator=lambda field: "--" + field.replace("_", "-"), populate_by_name=True
)
"""Fields have the names of command-line options as aliases, which appear in messages."""


def _read_limit(limit: object) -> object:
    return parse_time_limit(limit) if isinstance(limit, str) else limit


@dataclass(config=BY_OPTION, frozen=True)
class Resources:
    """Resources of a job: one process per GPU, or ``tasks_per_node`` processes on the CPU."""

    cluster: Literal["slurm", "local", "debug"]
    name: str
    nodes: Count = 1
    tasks_per_node: Count = 1
    gpus_per_node: Annotated[Natural, Field(alias="--gpus")] = 0
    cpus_per_task: Annotated[Count | None, Field(alias="--cpus")] = None
    minutes: Annotated[Count | None, BeforeValidator(_read_limit), Field(alias="--time")] = None
    """Time limit of one attempt; None: a day on SLURM, no limit elsewhere."""
    notice: Count = 120
    """Seconds before the time limit at which the job is signalled to requeue."""
    restarts: Natural = 1000
    """Number of times that a job out of time is requeued."""
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    mem: Annotated[str, Field(pattern="^[0-9]+[KMGT]?$")] | None = None
    setup: tuple[str, ...] = ()
    """Shell commands to run before the job, such as ``module load cuda``."""
    slurm: tuple[str, ...] = ()
    """Further options of sbatch, as KEY=VALUE or KEY."""

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        messages = []
        if self.gpus_per_node not in (0, self.tasks_per_node):
            messages.append(
                f"--tasks-per-node {self.tasks_per_node} with --gpus {self.gpus_per_node}: each GPU has one "
                f"process; leave --tasks-per-node out, or use it with --gpus 0"
            )
        if self.minutes is not None and 60 * self.minutes <= self.notice:
            messages.append(
                f"--time of {self.minutes} min: not longer than the --notice of {self.notice} s, so the job "
                f"would only requeue itself; give more time, or a shorter --notice"
            )
        if self.cluster != "slurm":
            if self.nodes != 1:
                messages.append(
                    f"--nodes {self.nodes}: --cluster {self.cluster} has one; use --cluster slurm"
                )
            for option in ("partition", "account", "qos", "mem", "setup", "slurm"):
                if getattr(self, option):
                    messages.append(f"--{option}: is an option of --cluster slurm only; leave it out")
        if self.cluster == "debug" and self.tasks_per_node != 1:
            messages.append("--cluster debug: runs a single process; use --cluster local for more")
        if messages:
            raise ValueError("; ".join(messages))
        return self

    def slurm_parameters(self) -> dict[str, Any]:
        """Arguments of ``update_parameters`` of submitit's ``SlurmExecutor``."""
        # A failed process ends the others, which would wait for it.
        srun = ["--kill-on-bad-exit=1"]
        additional: dict[str, Any] = {"requeue": True}
        for option in self.slurm:
            key, equals, value = option.removeprefix("--").partition("=")
            additional[key] = value if equals else True
        values = {"partition": self.partition, "account": self.account, "qos": self.qos, "mem": self.mem}
        parameters: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
        if self.gpus_per_node:
            parameters["gpus_per_node"] = self.gpus_per_node
        if self.cpus_per_task is not None:
            parameters["cpus_per_task"] = self.cpus_per_task
            # Since SLURM 22.05, srun does not inherit it from sbatch.
            srun.append(f"--cpus-per-task={self.cpus_per_task}")
        return {
            **parameters,
            "job_name": self.name,
            "time": self.minutes or DAY_MINUTES,
            "nodes": self.nodes,
            "ntasks_per_node": self.tasks_per_node,
            "signal_delay_s": self.notice,
            "srun_args": srun,
            "setup": list(self.setup),
            "additional_parameters": additional,
            # submitit's default, a wckey "submitit", is refused if wckeys are tracked.
            "wckey": None,
        }

    def local_parameters(self, visible_devices: str | None) -> dict[str, Any]:
        """Arguments of ``update_parameters`` of submitit's ``LocalExecutor``.

        Args:
            visible_devices: CUDA_VISIBLE_DEVICES of the caller; the job gets the first of these GPUs.

        Raises:
            MotionBeatError: there are too few GPUs, or they are not given by their numbers.
        """
        parameters: dict[str, Any] = {
            "timeout_min": self.minutes or YEAR_MINUTES,
            "tasks_per_node": self.tasks_per_node,
            "gpus_per_node": self.gpus_per_node,
            "signal_delay_s": self.notice,
        }
        if visible_devices and self.gpus_per_node:
            numbers = visible_devices.split(",")
            if not all(number.strip().isdecimal() for number in numbers) or len(numbers) < self.gpus_per_node:
                raise MotionBeatError(
                    f"--gpus {self.gpus_per_node}: CUDA_VISIBLE_DEVICES is {visible_devices}; expected the "
                    f"numbers of at least {self.gpus_per_node} GPUs, or no such variable"
                )
            parameters["visible_gpus"] = tuple(int(number) for number in numbers)
        return parameters


def parse_time_limit(text: str) -> int:
    """Parse a time limit M, M:S, H:M:S, D-H, D-H:M or D-H:M:S to minutes, rounded up.

    Raises:
        MotionBeatError: ``text`` has another format, or is 0.
    """
    match = _CLOCK.fullmatch(text)
    seconds = 0
    if match is not None:
        parts = [int(part) for part in match.group("first", "second", "third") if part is not None]
        if match["days"] is not None:
            units = (3600, 60, 1)
        else:
            units = (3600, 60, 1) if len(parts) == 3 else (60, 1, 0)
        seconds = 86400 * int(match["days"] or 0) + sum(
            n * unit for n, unit in zip(parts, units, strict=False)
        )
    if seconds <= 0:
        raise MotionBeatError(
            "expected minutes, H:MM:SS or D-HH:MM:SS as in SLURM, such as 90, 12:00:00 or 2-00:00:00"
        )
    return math.ceil(seconds / 60)
