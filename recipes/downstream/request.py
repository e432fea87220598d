"""Completes and checks what the user asked for, before S3PRL starts on it."""

from __future__ import annotations

import argparse
import contextlib
import copy
import difflib
import importlib
import io
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from recipes.downstream.checkpoints import latest_checkpoint, read_settings
from recipes.downstream.errors import TaskError
from recipes.downstream.registration import own_tasks, packaged_config, s3prl_tasks, upstreams

UNSET = "???"
"""Value of a data place in a packaged config.yaml, which the user must give."""

RUNNER_KEYS = (
    "total_steps",
    "gradient_clipping",
    "gradient_accumulate_steps",
    "log_step",
    "eval_step",
    "save_step",
    "max_keep",
    "eval_dataloaders",
)
"""What S3PRL's training loop takes from the section ``runner`` without a default."""


def complete(args: argparse.Namespace) -> None:
    """Find the task's configuration, and refuse early what S3PRL would refuse late or not at all.

    Nothing is written: a mistake leaves no folder behind.

    Args:
        args: S3PRL's options as parsed; ``config`` is filled in where it was not given.

    Raises:
        TaskError: the first thing that is wrong.
    """
    _check_device(args)
    _check_override(args.override)
    if args.mode == "inference" and not Path(args.evaluate_split).is_file():
        raise TaskError(f"-t {args.evaluate_split}: no such file; -m inference takes an audio file as -t")
    past = _past_experiment(args)
    if past is not None:
        checkpoint = latest_checkpoint(past)
        settings, config = read_settings(checkpoint)
        settings.mode = args.mode
    else:
        _check_given(args)
        _check_task(args.downstream)
        if args.config is None:
            args.config = str(find_config(args.downstream))
        settings, config = copy.deepcopy(args), _read_config(Path(args.config))
    _apply_override(args.override, settings, config)
    _check_upstream(settings)
    _check_task(settings.downstream)
    _check_config(settings, config)
    if Path(settings.expdir or ".").is_file():
        raise TaskError(f"-p {settings.expdir}: expected a folder, found a file; give another -p")
    if past is not None and Path(settings.expdir).resolve() != checkpoint.parent.resolve():
        print(
            f"run_downstream.py: results go to {settings.expdir}, as when the training was started; "
            f"-o args.expdir={checkpoint.parent} puts them beside the checkpoint",
            file=sys.stderr,
        )


def _check_config(args: argparse.Namespace, config: Mapping[str, Any]) -> None:
    origin = args.config
    missing = [name for name in ("runner", "downstream_expert") if name not in config]
    if args.mode == "train" and "runner" in config:
        missing += [f"runner.{key}" for key in RUNNER_KEYS if key not in config["runner"]]
        missing += [name for name in ("optimizer",) if name not in config]
    if missing:
        raise TaskError(
            f"{origin}: lacks {', '.join(missing)}; add them, or give them with -o config.KEY=VALUE"
        )
    unset = [key for key, value in _leaves(config) if value == UNSET]
    if unset:
        example = ",,".join(f"config.{key}=PATH" for key in unset)
        raise TaskError(f'-d {args.downstream}: where is its data? Give -o "{example}"')
    for key, place in _data_places(args, config):
        if not Path(place).exists():
            raise TaskError(
                f"config.{key} = {place}: no such file or folder; give the place of the data with "
                f"-o config.{key}=PATH"
            )


def find_config(task: str) -> Path:
    """The configuration of a task where ``-c`` names none.

    S3PRL's own place in the working directory comes first, then what is packaged here.

    Raises:
        TaskError: there is neither.
    """
    local = Path("downstream", task, "config.yaml")
    packaged = packaged_config(task)
    if local.is_file():
        return local
    if packaged is None:
        raise TaskError(
            f"-d {task}: no configuration is packaged for this task of S3PRL's; give one with -c, such as "
            f"s3prl/downstream/{task}/config.yaml from S3PRL's repository"
        )
    return packaged


def _check_device(args: argparse.Namespace) -> None:
    try:
        kind = torch.device(args.device).type
    except RuntimeError as error:
        raise TaskError(f"--device {args.device}: not a device; give cpu, cuda or cuda:N") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise TaskError(
            f"--device {args.device}: this machine has no usable CUDA; leave --device out to run on the CPU"
        )
    if args.local_rank is not None and not torch.cuda.is_available():
        raise TaskError(
            "--local_rank or torchrun: S3PRL's distributed training needs CUDA, and there is none; "
            "start one process without them"
        )


def _check_override(override: str | None) -> None:
    if override is None or override.lower() == "none":
        return
    for option in override.split(",,"):
        key = option.partition("=")[0].strip()
        if option.count("=") != 1 or key.partition(".")[0] not in ("args", "config") or "." not in key:
            raise TaskError(
                f"-o {option.strip()!r}: expected config.KEY=VALUE or args.OPTION=VALUE, several joined by "
                f"two commas (,,), no other '='"
            )


def _apply_override(override: str | None, settings: argparse.Namespace, config: dict[str, Any]) -> None:
    from s3prl.utility import helper

    if override is not None and override.lower() != "none":
        # S3PRL says what it overrides, and will again when it does so for the run.
        with contextlib.redirect_stderr(io.StringIO()):
            helper.override(override, settings, config)


def _read_config(path: Path) -> dict[str, Any]:
    with path.open(encoding="utf-8") as file:
        # The loader that S3PRL reads it with.
        config = yaml.load(file, Loader=yaml.FullLoader)
    if not isinstance(config, dict):
        raise TaskError(f"{path}: expected the sections runner, optimizer and downstream_expert in YAML")
    return config


def _past_experiment(args: argparse.Namespace) -> str | None:
    folder = args.expdir or f"result/downstream/{args.expname}"
    if args.auto_resume and any(Path(folder).glob("states-*.ckpt")):
        return str(folder)
    return str(args.past_exp) if args.past_exp else None


def _check_given(args: argparse.Namespace) -> None:
    missing = []
    overridden = args.override or ""
    if args.upstream is None and "args.upstream=" not in overridden.replace(" ", ""):
        missing.append("-u UPSTREAM (the features, for example -u motionbeat or -u fbank)")
    if args.downstream is None:
        missing.append(f"-d TASK (for example -d {own_tasks()[0]})" if own_tasks() else "-d TASK")
    # Without a name S3PRL would write all such trainings into one folder called None.
    if args.mode == "train" and args.expdir is None and args.expname is None:
        missing.append("-p EXPDIR (the folder of the results)")
    if missing:
        raise TaskError(f"missing: {'; '.join(missing)}; or -e EXPDIR to go on with an earlier training")
    if args.config is not None and not Path(args.config).is_file():
        raise TaskError(f"-c {args.config}: no such file; leave -c out for the packaged configuration")
    if args.init_ckpt is not None:
        read_settings(latest_checkpoint(args.init_ckpt))


def _check_upstream(args: argparse.Namespace) -> None:
    if args.hub != "torch":
        return
    name, known = args.upstream, upstreams()
    if name not in known:
        raise TaskError(f"-u {name}: no such upstream{_near(name, known)}; -h lists all")
    if name.endswith(("_local", "_url", "_gdriveid", "_custom")):
        if args.upstream_ckpt is None and args.upstream_model_config is None:
            raise TaskError(f"-u {name}: needs a checkpoint; give its path or address with -k")
        if name.endswith("_local") and args.upstream_ckpt and not Path(args.upstream_ckpt).exists():
            raise TaskError(f"-u {name}: -k {args.upstream_ckpt}: no such file; check the path")


def _check_task(name: str) -> None:
    ours, theirs = own_tasks(), s3prl_tasks()
    if name not in ours + theirs:
        raise TaskError(
            f"-d {name}: no such task{_near(name, ours + theirs)}; "
            f"there are {', '.join(ours)}, and S3PRL's {', '.join(theirs)}"
        )
    try:
        importlib.import_module(f"s3prl.downstream.{name}.expert")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in (
            "s3prl",
            "recipes",
            "motion_data",
            "motionbeat_upstream",
        ):
            raise
        raise TaskError(
            f"-d {name}: needs the Python module {error.name!r}, which is not installed; install it "
            f"(pip install …) or choose another task"
        ) from error


def _near(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _data_places(args: argparse.Namespace, config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The keys that our packaged configuration leaves to the user, and what the user gave."""
    path = packaged_config(args.downstream)
    if path is None or args.config is None or Path(args.config).resolve() != path.resolve():
        return
    given = dict(_leaves(config))
    for key, value in _leaves(_read_config(path)):
        if value == UNSET:
            yield key, str(given[key])
