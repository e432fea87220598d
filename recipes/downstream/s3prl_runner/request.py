"""Completes and checks what the user asked for, before S3PRL starts on it."""

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
    files_of_run,
    holds_training,
    latest_checkpoint,
    options_of_run,
    read_settings,
)

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


OF_A_TRAINING = {
    "downstream": "-d",
    "downstream_variant": "-v",
    "upstream": "-u",
    "upstream_ckpt": "-k",
    "upstream_feature_selection": "-s",
    "upstream_layer_selection": "-l",
}
"""Options that S3PRL takes from the checkpoint, whatever is given, when a training goes on."""


@dataclass(frozen=True)
class Request:
    """A run that is wanted."""

    options: argparse.Namespace
    """S3PRL's, complete."""
    task: str
    folder: Path
    """Of the results."""
    replaced: Files
    """The files of an earlier run in it that are to be replaced."""
    section: Mapping[str, Any]
    """``downstream_expert`` of the configuration, with what ``-o`` changes in it."""


def complete(args: argparse.Namespace, overwrite: bool = False) -> Request:
    """Find the task's configuration, and refuse early what S3PRL would refuse late or not at all.

    Neither torch nor S3PRL is imported, but to read a checkpoint, and nothing is written: a mistake leaves no
    folder behind.

    Args:
        args: S3PRL's options as parsed; ``config`` is filled in where it was not given.
        overwrite: whether a training that the folder holds may be replaced.

    Raises:
        MotionBeatError: the first thing that is wrong.
    """
    overrides = _overrides(args.override)
    if args.mode == "inference" and not Path(args.evaluate_split).is_file():
        raise MotionBeatError(
            f"-t {args.evaluate_split}: no such file; -m inference takes an audio file as -t"
        )
    past = _past_experiment(args)
    if past is not None:
        checkpoint = latest_checkpoint(past)
        settings, config = read_settings(checkpoint)
        _check_same_training(args, settings, checkpoint)
        settings.mode = args.mode
    else:
        _check_given(args)
        _check_task(args.downstream)
        if args.config is None:
            args.config = str(find_config(args.downstream))
        settings, config = copy.deepcopy(args), read_config(Path(args.config))
    for option, (section, *names, last), value in overrides:
        target = vars(settings) if section == "args" else config
        for name in names:
            target = target.setdefault(name, {})
            if not isinstance(target, dict):
                raise MotionBeatError(f"-o {option!r}: {name} is {target!r}, expected a section")
        target[last] = value
    _check_upstream(settings)
    _check_task(settings.downstream)
    check_config(settings, config)
    folder = Path(settings.expdir or f"result/downstream/{settings.expname}")
    if folder.is_file():
        raise MotionBeatError(f"-p {folder}: expected a folder, found a file; give another -p")
    if past is not None and folder.resolve() != checkpoint.parent.resolve():
        print(
            f"run_downstream.py: results go to {folder}, as when the training was started; "
            f"-o args.expdir={checkpoint.parent} puts them beside the checkpoint",
            file=sys.stderr,
        )
    replaced = {} if past is not None else _check_folder(args, settings, folder, overwrite)
    return Request(args, settings.downstream, folder, replaced, config["downstream_expert"])


def check_machine(request: Request) -> None:
    """Fill in the device and the rank, and refuse what cannot be run here; within ``registered()``.

    A task whose expert has ``read_settings`` is asked for what is wrong with its settings.

    Raises:
        MotionBeatError: no such device, a module of the task is not installed, or its settings are wrong.
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
    for name, option in OF_A_TRAINING.items():
        given, trained = getattr(args, name), getattr(settings, name, None)
        default = "hidden_states" if name == "upstream_feature_selection" else None
        if given not in (default, trained):
            raise MotionBeatError(
                f"{option} {given}: {checkpoint} was trained with {option} {trained}; leave {option} out to "
                f"go on with it, or give another folder (-p, -n)"
            )


def _check_folder(
    args: argparse.Namespace, settings: argparse.Namespace, folder: Path, overwrite: bool
) -> Files:
    """The files of an earlier training in the folder, if they may be replaced."""
    earlier = files_of_run(folder)
    if not holds_training(earlier) or (args.init_ckpt and Path(args.init_ckpt) in earlier):
        return {}
    if overwrite:
        return earlier
    then = options_of_run(earlier)
    asked = (settings.upstream, settings.downstream)
    trained = (then.get("upstream", asked[0]), then.get("downstream", asked[1]))
    goes_on = "" if trained != asked else "-a goes on with it, "
    if args.auto_resume and trained == asked:
        return {}
    raise MotionBeatError(
        f"{folder}: holds a training of -u {trained[0]} -d {trained[1]}; {goes_on}--overwrite replaces it, "
        f"or give another folder (-p, -n)"
    )


def check_config(args: argparse.Namespace, config: Mapping[str, Any]) -> None:
    """Refuse a configuration that lacks something, or whose values S3PRL's training loop cannot use.

    Raises:
        MotionBeatError: what is missing or wrong.
    """
    origin = args.config
    missing = [name for name in ("runner", "downstream_expert") if name not in config]
    if args.mode == "train" and "runner" in config:
        missing += [f"runner.{key}" for key in RUNNER_KEYS if key not in config["runner"]]
        missing += [name for name in ("optimizer",) if name not in config]
    if missing:
        raise MotionBeatError(
            f"{origin}: lacks {', '.join(missing)}; add them, or give them with -o config.KEY=VALUE"
        )
    wrong = [f"runner.{key} is {value!r}" for key, value in config["runner"].items() if _is_wrong(key, value)]
    if wrong:
        raise MotionBeatError(
            f"{origin}: {'; '.join(wrong)}; expected numbers above 0, and names of splits in eval_dataloaders"
        )
    unset = [key for key, value in _leaves(config) if value == UNSET]
    if unset:
        example = ",,".join(f"config.{key}=PATH" for key in unset)
        raise MotionBeatError(f'-d {args.downstream}: where is its data? Give -o "{example}"')
    packaged = packaged_config(args.downstream)
    if packaged is None or args.config is None or Path(args.config).resolve() != packaged.resolve():
        return
    given = dict(_leaves(config))
    for key, value in _leaves(read_config(packaged)):
        if value == UNSET and not Path(str(given[key])).exists():
            raise MotionBeatError(
                f"config.{key} = {given[key]}: no such file or folder; give the place of the data with "
                f"-o config.{key}=PATH"
            )


def _is_wrong(key: str, value: Any) -> bool:
    """Whether S3PRL's training loop cannot use a value of the section ``runner``."""
    if key not in RUNNER_KEYS:
        return False
    if key == "eval_dataloaders":
        return not isinstance(value, list) or not all(isinstance(name, str) for name in value)
    kind = int | float if key == "gradient_clipping" else int
    return isinstance(value, bool) or not isinstance(value, kind) or not 0 < value < math.inf


def find_config(task: str) -> Path:
    """The configuration of a task where ``-c`` names none.

    S3PRL's own place in the working directory comes first, then what is packaged here.

    Raises:
        MotionBeatError: there is neither.
    """
    local = Path("downstream", task, "config.yaml")
    packaged = packaged_config(task)
    if local.is_file():
        return local
    if packaged is None:
        raise MotionBeatError(
            f"-d {task}: no configuration is packaged for this task of S3PRL's; give one with -c, such as "
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
            "--local_rank or torchrun: S3PRL's distributed training needs CUDA, and there is none; "
            "start one process without them"
        )


def _overrides(text: str | None) -> list[tuple[str, list[str], object]]:
    """What ``-o`` changes: each option as it was given, its keys, and the value that S3PRL will give them."""
    if text is None or text.lower() == "none":
        return []
    found: list[tuple[str, list[str], object]] = []
    for option in map(str.strip, text.split(",,")):
        key, _, given = option.partition("=")
        section, *names = key.strip().split(".")
        nested = {"args": len(names) == 1, "config": len(names) > 0}
        if option.count("=") != 1 or not nested.get(section):
            raise MotionBeatError(
                f"-o {option!r}: expected config.KEY=VALUE or args.OPTION=VALUE, several joined by "
                f"two commas (,,), no other '='"
            )
        value: object = given.strip()
        with contextlib.suppress(ValueError, SyntaxError):
            value = ast.literal_eval(given.strip())
        found.append((option, [section, *names], value))
    return found


def read_config(path: Path) -> dict[str, Any]:
    """A task's configuration, by the loader that S3PRL reads it with.

    Raises:
        MotionBeatError: not YAML, or not sections.
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


def _check_given(args: argparse.Namespace) -> None:
    missing = []
    if args.upstream is None and "args.upstream=" not in (args.override or "").replace(" ", ""):
        missing.append("-u UPSTREAM (the features, for example -u motionbeat or -u fbank)")
    if args.downstream is None:
        missing.append(f"-d TASK (for example -d {own_tasks()[0]})" if own_tasks() else "-d TASK")
    # Without a name S3PRL would write all such trainings into one folder called None.
    if args.mode == "train" and args.expdir is None and args.expname is None:
        missing.append("-p EXPDIR (the folder of the results)")
    if missing:
        raise MotionBeatError(
            f"missing: {'; '.join(missing)}; or -e EXPDIR to go on with an earlier training"
        )
    if args.config is not None and not Path(args.config).is_file():
        raise MotionBeatError(f"-c {args.config}: no such file; leave -c out for the packaged configuration")
    if args.init_ckpt is not None:
        read_settings(latest_checkpoint(args.init_ckpt))


def _check_upstream(args: argparse.Namespace) -> None:
    if args.hub != "torch":
        return
    name, known = args.upstream, upstreams()
    if name not in known:
        raise MotionBeatError(f"-u {name}: no such upstream{_near(name, known)}; -h lists all")
    if name.endswith(("_local", "_url", "_gdriveid", "_custom")):
        if args.upstream_ckpt is None and args.upstream_model_config is None:
            raise MotionBeatError(f"-u {name}: needs a checkpoint; give its path or address with -k")
        if name.endswith("_local") and args.upstream_ckpt and not Path(args.upstream_ckpt).exists():
            raise MotionBeatError(f"-u {name}: -k {args.upstream_ckpt}: no such file; check the path")


def _check_task(name: str) -> None:
    ours, theirs = own_tasks(), s3prl_tasks()
    if name not in ours + theirs:
        raise MotionBeatError(
            f"-d {name}: no such task{_near(name, ours + theirs)}; "
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


def _near(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
