"""Completes and checks the options and the configuration of a run before S3PRL starts it."""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import difflib
import importlib
import math
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from motionbeat_upstream.errors import MotionBeatError
from recipes.downstream.s3prl_runner.registration import own_tasks, packaged_config, s3prl_tasks, upstreams
from recipes.downstream.s3prl_runner.run_files import (
    Files,
    has_checkpoint,
    latest_checkpoint,
    list_run_files,
    read_checkpoint_options,
    read_run_options,
)

UNSET = "???"
"""Value in a packaged config.yaml for a path of data that the user must give."""

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
"""Keys of the section ``runner`` that S3PRL's training loop requires."""


CHECKPOINT_OPTIONS = {
    "downstream": "-d",
    "downstream_variant": "-v",
    "upstream": "-u",
    "upstream_ckpt": "-k",
    "upstream_feature_selection": "-s",
    "upstream_layer_selection": "-l",
}
"""Options that S3PRL takes from the checkpoint when a training is resumed, whatever the command line says."""


@dataclass(frozen=True)
class Request:
    """A checked run."""

    options: argparse.Namespace
    """S3PRL's options, complete."""
    task: str
    folder: Path
    """Folder of the results."""
    replaced_files: Files
    """Files of an earlier run in the folder that this run replaces."""
    section: Mapping[str, Any]
    """``downstream_expert`` of the configuration, including the changes of ``-o``."""


def complete_request(args: argparse.Namespace, overwrite: bool = False) -> Request:
    """Find the configuration of the task, and report early the errors that S3PRL reports late or not at all.

    Nothing is written. torch and S3PRL are imported only to read a checkpoint.

    Args:
        args: S3PRL's options as parsed; ``config`` is set if it is None.
        overwrite: whether an earlier training in the folder may be replaced.

    Raises:
        MotionBeatError: the first error.
    """
    overrides = _overrides(args.override)
    if args.mode == "inference" and not Path(args.evaluate_split).is_file():
        raise MotionBeatError(
            f"-t {args.evaluate_split}: no such file; -m inference takes an audio file as -t"
        )
    past = _past_experiment(args)
    if past is not None:
        checkpoint = latest_checkpoint(past)
        settings, config = read_checkpoint_options(checkpoint)
        _check_same_training(args, settings, checkpoint)
        settings.mode = args.mode
    else:
        _check_required(args)
        _check_task(args.downstream)
        if args.config is None:
            args.config = str(find_config(args.downstream))
        settings, config = copy.deepcopy(args), read_config(Path(args.config))
    for option, (section, *names, key), value in overrides:
        target = vars(settings) if section == "args" else config
        for name in names:
            target = target.setdefault(name, {})
            if not isinstance(target, dict):
                raise MotionBeatError(f"-o {option!r}: {name} is {target!r}, expected a section")
        target[key] = value
    _check_upstream(settings)
    _check_task(settings.downstream)
    check_config(settings, config)
    folder = Path(settings.expdir or f"result/downstream/{settings.expname}")
    if folder.is_file():
        raise MotionBeatError(f"-p {folder}: expected a folder, got a file; give another -p")
    if past is not None and folder.resolve() != checkpoint.parent.resolve():
        print(
            f"run_downstream.py: results go to {folder}, as at the start of the training; "
            f"-o args.expdir={checkpoint.parent} writes them beside the checkpoint",
            file=sys.stderr,
        )
    replaced_files = {} if past is not None else _check_folder(args, settings, folder, overwrite)
    return Request(args, settings.downstream, folder, replaced_files, config["downstream_expert"])


def check_environment(request: Request) -> None:
    """Set the device and the rank, and check the run on this machine; within ``registered()``.

    The settings of a task are checked if its expert has ``read_settings``.

    Raises:
        MotionBeatError: no such device, a module of the task is not installed, or its settings are invalid.
    """
    import torch

    options = request.options
    if options.device is None:
        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    if options.local_rank is None and torch.distributed.is_torchelastic_launched():
        options.local_rank = int(os.environ["LOCAL_RANK"])
    _check_device(options)
    expert = _import_task(request.task).DownstreamExpert
    if hasattr(expert, "read_settings"):
        expert.read_settings(request.section)


def _check_same_training(args: argparse.Namespace, settings: argparse.Namespace, checkpoint: Path) -> None:
    for name, option in CHECKPOINT_OPTIONS.items():
        value, trained = getattr(args, name), getattr(settings, name, None)
        default = "hidden_states" if name == "upstream_feature_selection" else None
        if value not in (default, trained):
            raise MotionBeatError(
                f"{option} {value}: {checkpoint} was trained with {option} {trained}; leave {option} out to "
                f"resume it, or give another folder (-p, -n)"
            )


def _check_folder(
    args: argparse.Namespace, settings: argparse.Namespace, folder: Path, overwrite: bool
) -> Files:
    """The files of an earlier training in the folder, if they may be replaced."""
    earlier = list_run_files(folder)
    if not has_checkpoint(earlier) or (args.init_ckpt and Path(args.init_ckpt) in earlier):
        return {}
    if overwrite:
        return earlier
    options = read_run_options(earlier)
    requested = (settings.upstream, settings.downstream)
    trained = (options.get("upstream", requested[0]), options.get("downstream", requested[1]))
    if args.auto_resume and trained == requested:
        return {}
    resume = "-a resumes it, " if trained == requested else ""
    raise MotionBeatError(
        f"{folder}: contains a training of -u {trained[0]} -d {trained[1]}; {resume}--overwrite replaces it, "
        f"or give another folder (-p, -n)"
    )


def check_config(args: argparse.Namespace, config: Mapping[str, Any]) -> None:
    """Check that a configuration is complete and usable by S3PRL's training loop.

    Raises:
        MotionBeatError: missing keys or invalid values.
    """
    missing = [name for name in ("runner", "downstream_expert") if name not in config]
    if args.mode == "train" and "runner" in config:
        missing += [f"runner.{key}" for key in RUNNER_KEYS if key not in config["runner"]]
        if "optimizer" not in config:
            missing.append("optimizer")
    if missing:
        raise MotionBeatError(
            f"{args.config}: lacks {', '.join(missing)}; add them, or give them with -o config.KEY=VALUE"
        )
    invalid = [
        f"runner.{key} is {value!r}" for key, value in config["runner"].items() if not _is_valid(key, value)
    ]
    if invalid:
        raise MotionBeatError(
            f"{args.config}: {'; '.join(invalid)}; expected numbers above 0, and names of splits in "
            f"eval_dataloaders"
        )
    unset = [key for key, value in _leaves(config) if value == UNSET]
    if unset:
        example = ",,".join(f"config.{key}=PATH" for key in unset)
        raise MotionBeatError(f'-d {args.downstream}: needs the path of its data; give -o "{example}"')
    packaged = packaged_config(args.downstream)
    if packaged is None or args.config is None or Path(args.config).resolve() != packaged.resolve():
        return
    values = dict(_leaves(config))
    for key, value in _leaves(read_config(packaged)):
        if value == UNSET and not Path(str(values[key])).exists():
            raise MotionBeatError(
                f"config.{key} = {values[key]}: no such file or folder; give the path of the data with "
                f"-o config.{key}=PATH"
            )


def _is_valid(key: str, value: Any) -> bool:
    """Whether S3PRL's training loop can use a value of the section ``runner``."""
    if key not in RUNNER_KEYS:
        return True
    if key == "eval_dataloaders":
        return isinstance(value, list) and all(isinstance(name, str) for name in value)
    kind = int | float if key == "gradient_clipping" else int
    return isinstance(value, kind) and not isinstance(value, bool) and 0 < value < math.inf


def find_config(task: str) -> Path:
    """The default configuration of a task: S3PRL's in the working directory, or the packaged one.

    Raises:
        MotionBeatError: there is neither.
    """
    local = Path("downstream", task, "config.yaml")
    packaged = packaged_config(task)
    if local.is_file():
        return local
    if packaged is None:
        raise MotionBeatError(
            f"-d {task}: there is no packaged configuration of this task of S3PRL; give one with -c, such as "
            f"s3prl/downstream/{task}/config.yaml from S3PRL's repository"
        )
    return packaged


def _check_device(args: argparse.Namespace) -> None:
    import torch

    try:
        kind = torch.device(args.device).type
    except RuntimeError as error:
        raise MotionBeatError(f"--device {args.device}: not a device; give cpu, cuda or cuda:N") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise MotionBeatError(
            f"--device {args.device}: this machine has no usable CUDA; leave --device out to run on the CPU"
        )
    if args.local_rank is not None and not torch.cuda.is_available():
        raise MotionBeatError(
            "--local_rank or torchrun: S3PRL's distributed training needs CUDA, which is not available; "
            "start one process without them"
        )


def _overrides(text: str | None) -> list[tuple[str, list[str], object]]:
    """Parse ``-o``: the text of each option, its keys, and its value as S3PRL evaluates it."""
    if text is None or text.lower() == "none":
        return []
    overrides: list[tuple[str, list[str], object]] = []
    for option in map(str.strip, text.split(",,")):
        key, _, literal = option.partition("=")
        section, *names = key.strip().split(".")
        valid = {"args": len(names) == 1, "config": len(names) > 0}
        if option.count("=") != 1 or not valid.get(section):
            raise MotionBeatError(
                f"-o {option!r}: expected config.KEY=VALUE or args.OPTION=VALUE, several joined by "
                f"two commas (,,), no other '='"
            )
        value: object = literal.strip()
        with contextlib.suppress(ValueError, SyntaxError):
            value = ast.literal_eval(literal.strip())
        overrides.append((option, [section, *names], value))
    return overrides


def read_config(path: Path) -> dict[str, Any]:
    """Read the configuration of a task with S3PRL's YAML loader.

    Raises:
        MotionBeatError: not YAML, or values instead of sections.
    """
    try:
        config = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=yaml.FullLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise MotionBeatError(f"{path}: not a YAML file that can be read ({reason}); correct it") from error
    sections = ("runner", "optimizer", "downstream_expert")
    if not isinstance(config, dict) or not all(isinstance(config.get(name, {}), dict) for name in sections):
        raise MotionBeatError(
            f"{path}: expected the sections {', '.join(sections)}, each with keys and values"
        )
    return config


def _past_experiment(args: argparse.Namespace) -> str | None:
    folder = args.expdir or f"result/downstream/{args.expname}"
    if args.auto_resume and any(Path(folder).glob("states-*.ckpt")):
        return str(folder)
    return str(args.past_exp) if args.past_exp else None


def _check_required(args: argparse.Namespace) -> None:
    missing = []
    if args.upstream is None and "args.upstream=" not in (args.override or "").replace(" ", ""):
        missing.append("-u UPSTREAM (the features, for example -u motionbeat or -u fbank)")
    if args.downstream is None:
        missing.append(f"-d TASK (for example -d {own_tasks()[0]})" if own_tasks() else "-d TASK")
    # Without a name S3PRL would write all such trainings into one folder called None.
    if args.mode == "train" and args.expdir is None and args.expname is None:
        missing.append("-p EXPDIR (the folder of the results)")
    if missing:
        raise MotionBeatError(f"missing: {'; '.join(missing)}; or -e EXPDIR to resume an earlier training")
    if args.config is not None and not Path(args.config).is_file():
        raise MotionBeatError(f"-c {args.config}: no such file; leave -c out for the packaged configuration")
    if args.init_ckpt is not None:
        read_checkpoint_options(latest_checkpoint(args.init_ckpt))


def _check_upstream(args: argparse.Namespace) -> None:
    if args.hub != "torch":
        return
    name, known = args.upstream, upstreams()
    if name not in known:
        raise MotionBeatError(f"-u {name}: no such upstream{_suggestion(name, known)}; -h lists them")
    if name.endswith(("_local", "_url", "_gdriveid", "_custom")):
        if args.upstream_ckpt is None and args.upstream_model_config is None:
            raise MotionBeatError(f"-u {name}: needs a checkpoint; give its path or URL with -k")
        if name.endswith("_local") and args.upstream_ckpt and not Path(args.upstream_ckpt).exists():
            raise MotionBeatError(f"-u {name}: -k {args.upstream_ckpt}: no such file; check the path")


def _check_task(name: str) -> None:
    ours, theirs = own_tasks(), s3prl_tasks()
    if name not in ours + theirs:
        raise MotionBeatError(
            f"-d {name}: no such task{_suggestion(name, ours + theirs)}; "
            f"there are {', '.join(ours)}, and S3PRL's {', '.join(theirs)}"
        )


def _import_task(name: str) -> Any:
    try:
        return importlib.import_module(f"s3prl.downstream.{name}.expert")
    except ModuleNotFoundError as error:
        ours = ("s3prl", "recipes", "motion_data", "motionbeat_upstream")
        if error.name is None or error.name.split(".")[0] in ours:
            raise
        raise MotionBeatError(
            f"-d {name}: needs the Python module {error.name!r}, which is not installed; install it "
            f"(pip install …) or choose another task"
        ) from error


def _suggestion(name: str, known: list[str]) -> str:
    matches = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(matches)}?" if matches else ""


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a configuration by their dotted keys."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
