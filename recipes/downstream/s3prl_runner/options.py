"""The options of ``run_downstream.py``: those of S3PRL's command, our own, and what -h says of both.

S3PRL's own parser cannot be had without importing all of S3PRL, which takes seconds. A test compares them.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from motionbeat_upstream.commands.command import Parser
from recipes.downstream.s3prl_runner.registration import own_tasks, upstreams

CACHE_VARIABLE = "MOTIONBEAT_FEATURE_CACHE"
"""Environment variable of the folder of kept features, where ``--feature_cache`` is not given."""

NONE = "none"
"""In place of that folder: no features are kept."""

EPILOG = """\
added by MotionBeat to S3PRL's command:
  -u motionbeat            the model that ships; also motionbeat_v1, motionbeat_untrained,
                           motionbeat_log_mel, motionbeat_base
                           motionbeat_local -k FILE, motionbeat_url -k ADDRESS
                           mert_local, muq_local, musicfm_local, hf_audio_local -k FOLDER
  -d {tasks}
                           MotionBeat's tasks, beside S3PRL's own
  -c                       left out: ./downstream/TASK/config.yaml if it is there, else the packaged one
  -o config.downstream_expert.datarc.KEY=PATH
                           where a task's data is; a task says which keys it lacks
  --device                 left out: cuda if there is one, else cpu
  --overwrite              a folder that holds an earlier training is refused without it, or -a
  --feature_cache          frozen features are computed once and kept there, for other epochs, seeds and folds

examples:
  run_downstream.py -m train -u motionbeat -d beat_tracking -p result/beats
  run_downstream.py -m evaluate -e result/beats/dev-best.ckpt
  run_downstream.py -m train -e result/beats -o config.runner.total_steps=2000
"""


@dataclass(frozen=True)
class FeatureCache:
    """Where the features of frozen upstreams are kept."""

    folder: Path | None
    """None keeps none."""
    gigabytes: float
    """That the folder may hold."""
    clip_by_clip: bool
    """Whether features are kept of upstreams, too, whose features depend on the batch."""


def parse(argv: Sequence[str]) -> tuple[argparse.Namespace, bool, FeatureCache]:
    """S3PRL's options as S3PRL names them, whether ``--overwrite`` was given, and where features are kept.

    ``--device`` is None where it was not given.

    Raises:
        MotionBeatError: an unknown or incomplete option.
    """
    options = parser().parse_args(argv)
    overwrite: bool = options.overwrite
    place = options.feature_cache or os.environ.get(CACHE_VARIABLE) or str(_user_cache())
    cache = FeatureCache(
        None if place == NONE else Path(place), options.feature_cache_gigabytes, options.clip_by_clip
    )
    # S3PRL stores its options in every checkpoint, and hands them to the task.
    for own in ("overwrite", "feature_cache", "feature_cache_gigabytes", "clip_by_clip"):
        delattr(options, own)
    return options, overwrite, cache


def _gigabytes(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not found >= 0:
        raise argparse.ArgumentTypeError(f"{text}: expected a number of gigabytes, 0 or more")
    return found


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "motionbeat" / "features"


def parser() -> argparse.ArgumentParser:
    """Of the command line."""
    made = Parser(
        prog="run_downstream.py",
        epilog=EPILOG.format(tasks=", ".join(own_tasks()) or "TASK"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("-m", "--mode", choices=["train", "evaluate", "inference"], required=True)
    add("-t", "--evaluate_split", default="test", help="split to evaluate; with -m inference an audio file")
    add("-o", "--override", help="config.KEY=VALUE or args.OPTION=VALUE, several joined by two commas (,,)")
    add("--backend", default="nccl", help="of distributed training (%(default)s)")
    # torch.distributed.launch writes --local-rank since torch 2.0.
    add("--local_rank", "--local-rank", type=int, help="GPU of this process in distributed training")
    add("-e", "--past_exp", metavar="{CKPT_PATH,CKPT_DIR}", help="go on with the training of a checkpoint")
    add("-i", "--init_ckpt", metavar="CKPT_PATH", help="load the weights of a checkpoint, not its options")
    add("-c", "--config", help="YAML file of runner, optimizer and task")
    add("-d", "--downstream", metavar="TASK", help="the task")
    add("-v", "--downstream_variant", help="variant of the task")
    add("--hub", default="torch", choices=["torch", "huggingface"], help="where the upstream comes from")
    add(
        "-u",
        "--upstream",
        help="the features; names in _local or _url need a checkpoint (-k) or a configuration (-g), others "
        "fetch what they need. There are: " + ", ".join(upstreams()),
    )
    add("-k", "--upstream_ckpt", metavar="{PATH,URL,GOOGLE_DRIVE_ID}", help="checkpoint of the upstream")
    add("-g", "--upstream_model_config", help="configuration of the upstream")
    add("-r", "--upstream_refresh", action="store_true", help="fetch the upstream's checkpoint again")
    add("-f", "--upstream_trainable", action="store_true", help="train the upstream too")
    add("-s", "--upstream_feature_selection", default="hidden_states", help="which features (%(default)s)")
    add("-l", "--upstream_layer_selection", type=int, help="one layer of them, from 0")
    add("--upstream_feature_normalize", action="store_true", help="normalise layers before their sum")
    add("--upstream_model_name", default="model.pt", help="file name of the model on the Hugging Face Hub")
    add("--upstream_revision", help="commit of the Hugging Face repository")
    add("-n", "--expname", help="results go to result/downstream/EXPNAME")
    add("-p", "--expdir", help="results go to EXPDIR")
    add("-a", "--auto_resume", action="store_true", help="go on if the folder holds checkpoints")
    add("--overwrite", action="store_true", help="replace the training that the folder holds")
    add(
        "--feature_cache",
        metavar="{FOLDER,none}",
        help=f"features of a frozen upstream are computed once and kept in FOLDER "
        f"(${CACHE_VARIABLE}, or ~/.cache/motionbeat/features)",
    )
    add(
        "--feature_cache_gigabytes",
        type=_gigabytes,
        default=20.0,
        metavar="GB",
        help="that FOLDER may hold; what is beyond is not kept (%(default)s)",
    )
    add(
        "--clip_by_clip",
        action="store_true",
        help="encode each clip alone, and keep its features, also where the upstream's depend on the batch",
    )
    add("--push_to_hf_hub", default=False, help="push the folder to the Hugging Face Hub")
    add("--hf_hub_org", help="organisation on the Hugging Face Hub to push to")
    add("--seed", default=1337, type=int, help="(%(default)s)")
    add("--device", help="cpu, cuda or cuda:N")
    add("--cache_dir", help="folder of fetched checkpoints")
    add("--verbose", action="store_true", help="print the model")
    add("--disable_cudnn", action="store_true", help="do not use cuDNN")
    return made
