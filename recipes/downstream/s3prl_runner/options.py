"""The options of ``run_downstream.py``: those of S3PRL's command and our own, with their help.

S3PRL's own parser requires to import all of S3PRL, which takes seconds. A test compares the two parsers.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from motionbeat_upstream.commands.command import RaisingParser
from recipes.downstream.s3prl_runner.registration import own_tasks, upstreams

CACHE_VARIABLE = "MOTIONBEAT_FEATURE_CACHE"
"""Environment variable with the default of ``--feature_cache``."""

NO_CACHE = "none"
"""Value of ``--feature_cache`` that disables the cache."""

EPILOG = """\
added by MotionBeat to S3PRL's command:
  -u motionbeat            the model that ships; also motionbeat_v1, motionbeat_untrained,
                           motionbeat_log_mel, motionbeat_base
                           motionbeat_local -k FILE, motionbeat_url -k ADDRESS
                           mert_local, muq_local, musicfm_local, hf_audio_local -k FOLDER
  -d {tasks}
                           MotionBeat's tasks, in addition to S3PRL's
  -c                       default: ./downstream/TASK/config.yaml if it exists, else the packaged one
  -o config.downstream_expert.datarc.KEY=PATH
                           the data of a task; an error message names missing keys
  --device                 default: cuda if available, else cpu
  --overwrite              replace an earlier training in the folder, which is an error without it or -a
  --feature_cache          cache of frozen features, for other epochs, seeds and folds

examples:
  run_downstream.py -m train -u motionbeat -d beat_tracking -p result/beats
  run_downstream.py -m evaluate -e result/beats/dev-best.ckpt
  run_downstream.py -m train -e result/beats -o config.runner.total_steps=2000
"""


@dataclass(frozen=True)
class FeatureCache:
    """Settings of the cache of frozen features."""

    folder: Path | None
    """None disables the cache."""
    gigabytes: float
    """Largest size of the folder."""
    clip_by_clip: bool
    """Whether to cache also features that depend on the batch."""


def parse(argv: Sequence[str]) -> tuple[argparse.Namespace, bool, FeatureCache]:
    """Parse the command line.

    Returns:
        S3PRL's options under S3PRL's names, with ``device`` None if not given; the value of ``--overwrite``;
        and the settings of the feature cache.

    Raises:
        MotionBeatError: an unknown or incomplete option.
    """
    options = parser().parse_args(argv)
    overwrite: bool = options.overwrite
    folder = options.feature_cache or os.environ.get(CACHE_VARIABLE) or str(_user_cache())
    cache = FeatureCache(
        None if folder == NO_CACHE else Path(folder), options.feature_cache_gigabytes, options.clip_by_clip
    )
    # S3PRL stores its options in every checkpoint and passes them to the task.
    for name in ("overwrite", "feature_cache", "feature_cache_gigabytes", "clip_by_clip"):
        delattr(options, name)
    return options, overwrite, cache


def _gigabytes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"{text}: expected a number of gigabytes, 0 or more")
    return value


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "motionbeat" / "features"


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = RaisingParser(
        prog="run_downstream.py",
        epilog=EPILOG.format(tasks=", ".join(own_tasks()) or "TASK"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("-m", "--mode", choices=["train", "evaluate", "inference"], required=True)
    add("-t", "--evaluate_split", default="test", help="split to evaluate; with -m inference an audio file")
    add("-o", "--override", help="config.KEY=VALUE or args.OPTION=VALUE, several joined by two commas (,,)")
    add("--backend", default="nccl", help="backend of distributed training (%(default)s)")
    # torch.distributed.launch passes --local-rank since torch 2.0.
    add("--local_rank", "--local-rank", type=int, help="GPU of this process in distributed training")
    add("-e", "--past_exp", metavar="{CKPT_PATH,CKPT_DIR}", help="resume the training of a checkpoint")
    add("-i", "--init_ckpt", metavar="CKPT_PATH", help="load the weights of a checkpoint, not its options")
    add("-c", "--config", help="YAML file of runner, optimizer and task")
    add("-d", "--downstream", metavar="TASK", help="the task")
    add("-v", "--downstream_variant", help="variant of the task")
    add("--hub", default="torch", choices=["torch", "huggingface"], help="where the upstream comes from")
    add(
        "-u",
        "--upstream",
        help="the upstream; names with _local or _url need a checkpoint (-k) or a configuration (-g), others "
        "download theirs. One of: " + ", ".join(upstreams()),
    )
    add("-k", "--upstream_ckpt", metavar="{PATH,URL,GOOGLE_DRIVE_ID}", help="checkpoint of the upstream")
    add("-g", "--upstream_model_config", help="configuration of the upstream")
    add("-r", "--upstream_refresh", action="store_true", help="download the upstream's checkpoint again")
    add("-f", "--upstream_trainable", action="store_true", help="train the upstream too")
    add("-s", "--upstream_feature_selection", default="hidden_states", help="the features (%(default)s)")
    add("-l", "--upstream_layer_selection", type=int, help="a single layer, from 0")
    add("--upstream_feature_normalize", action="store_true", help="normalise layers before their sum")
    add("--upstream_model_name", default="model.pt", help="file name of the model on the Hugging Face Hub")
    add("--upstream_revision", help="commit of the Hugging Face repository")
    add("-n", "--expname", help="results go to result/downstream/EXPNAME")
    add("-p", "--expdir", help="results go to EXPDIR")
    add("-a", "--auto_resume", action="store_true", help="resume if the folder contains checkpoints")
    add("--overwrite", action="store_true", help="replace an earlier training in the folder")
    add(
        "--feature_cache",
        metavar="{FOLDER,none}",
        help=f"cache of frozen features (${CACHE_VARIABLE}, or ~/.cache/motionbeat/features)",
    )
    add(
        "--feature_cache_gigabytes",
        type=_gigabytes,
        default=20.0,
        metavar="GB",
        help="largest size of the cache (%(default)s)",
    )
    add(
        "--clip_by_clip",
        action="store_true",
        help="encode each clip separately, and cache also features that depend on the batch",
    )
    add("--push_to_hf_hub", default=False, help="push the folder to the Hugging Face Hub")
    add("--hf_hub_org", help="organisation on the Hugging Face Hub to push to")
    add("--seed", default=1337, type=int, help="(%(default)s)")
    add("--device", help="cpu, cuda or cuda:N")
    add("--cache_dir", help="folder of downloaded checkpoints")
    add("--verbose", action="store_true", help="print the model")
    add("--disable_cudnn", action="store_true", help="do not use cuDNN")
    return parser
