"""Parse the command line: options, upstreams, and the available data sets.

Slow imports are inside functions, so that ``--help`` is fast.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from motion_data.errors import DataError
from motionbeat_upstream.commands.command import RaisingParser
from motionbeat_upstream.errors import MotionBeatError
from recipes.benchmark import run

if TYPE_CHECKING:
    from recipes.benchmark.plan import Plan
    from recipes.benchmark.upstream_choice import UpstreamChoice

TASKS = (
    *("beat_tracking", "tagging", "genre", "instrument", "music_emotion"),
    *("retrieval", "dance_generation"),
)

UPSTREAMS = ("motionbeat", "motionbeat_untrained", "motionbeat_log_mel", "fbank", "mfcc")


def check(arguments: Sequence[str]) -> None:
    """Check a command line.

    Raises:
        MotionBeatError: an unknown option, a missing file of an upstream, or no data set.
    """
    parse(arguments)


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[UpstreamChoice], list[Plan], list[str]]:
    """Parse the options, the upstreams, the available data sets, and the sources of the missing ones.

    Raises:
        MotionBeatError: as :func:`check`; a ``DataError`` for an invalid data set.
    """
    from recipes.benchmark.upstream_choice import read_upstreams

    options = parse_options(arguments)
    upstreams = read_upstreams(options.upstreams)
    plans, missing = find_data(options)
    if not plans:
        raise DataError(f"{options.data}: contains none of the data sets: " + "; ".join(missing))
    return options, upstreams, plans, missing


def find_data(options: argparse.Namespace) -> tuple[list[Plan], list[str]]:
    """Find the available data sets, and the sources of the missing ones.

    Raises:
        MotionBeatError: invalid options.
    """
    from recipes.benchmark.beat_tracking_table import BEAT_SETS, BeatPlan
    from recipes.benchmark.clip_tasks import CLIP_TASKS, ClipPlan
    from recipes.benchmark.corpus_tasks import CORPORA, DancePlan, RetrievalPlan
    from recipes.downstream.clip_probing.settings import TaskSettings
    from recipes.downstream.s3prl_runner.task_settings import read_section

    overrides = {"datarc": {"slice_seconds": options.slice_seconds}, "modelrc": {"probe": options.probe}}
    clips = read_section("clip tasks", TaskSettings, overrides)
    model, seconds = clips.modelrc, clips.datarc.slice_seconds
    tasks = TASKS if "all" in options.tasks else options.tasks
    seeds = tuple(options.seeds)
    plans: list[Plan] = []
    missing: list[str] = []

    def add_data_set(
        task: str, name: str, source: str, plan: Callable[[Path], Plan], required_file: str = "."
    ) -> None:
        root = options.data / name
        if (root / required_file).exists():
            plans.append(plan(root))
        else:
            missing.append(f"{task}, {name}: no {root / required_file}; get {source}")

    if "beat_tracking" in tasks:
        for name, source in BEAT_SETS.items():
            add_data_set(
                "beat_tracking", name, source, lambda root: BeatPlan(root, seeds, options.probe), "splits.csv"
            )
    for task in (CLIP_TASKS[name] for name in tasks if name in CLIP_TASKS):
        for name, layout in task.layouts.items():
            plan = partial(
                ClipPlan, seeds=seeds, clip_task=task, layout=name, model=model, slice_seconds=seconds
            )
            add_data_set(task.name, name, layout.about, plan)
    corpus_plans: dict[str, Callable[[Path], Plan]] = {
        "retrieval": lambda root: RetrievalPlan(root, seeds),
        "dance_generation": lambda root: DancePlan(root, seeds, options.dance_config),
    }
    for name in (name for name in corpus_plans if name in tasks):
        for corpus, source in CORPORA.items():
            add_data_set(name, corpus, source, corpus_plans[name])
    return plans, missing


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the options.

    Raises:
        MotionBeatError: an unknown option, a missing file, or a missing folder of data.
    """
    options = _parser().parse_args(arguments)
    if not options.data.is_dir():
        raise DataError(f"--data {options.data}: no such folder; expected a folder of data sets")
    if options.dance_config is not None and not options.dance_config.is_file():
        raise MotionBeatError(f"--dance-config {options.dance_config}: no such file")
    return options


def _parser() -> argparse.ArgumentParser:
    """Create the parser of the command line."""
    parser = RaisingParser(
        "python -m recipes.benchmark run",
        description=run.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the results and table.md")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the data sets")
    parser.add_argument(
        "-u",
        "--upstreams",
        nargs="+",
        default=list(UPSTREAMS),
        metavar="NAME",
        help="names in S3PRL's hub, .safetensors files, or NAME:PATH; LABEL=… sets the label of a row "
        "(%(default)s)",
    )
    parser.add_argument("--tasks", nargs="+", default=["all"], choices=["all", *TASKS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--probe", default="linear", choices=("linear", "mlp"))
    parser.add_argument(
        "--slice-seconds", type=float, default=30.0, help="length of encoded slices (%(default)s)"
    )
    parser.add_argument(
        "--dance-config",
        type=Path,
        metavar="FILE",
        help="configuration of dance_generation, for example its edge.yaml (its config.yaml)",
    )
    parser.add_argument("--resamples", type=int, default=1000, help="bootstrap resamples (%(default)s)")
    parser.add_argument(
        "--no-table",
        action="store_true",
        help="only run missing trainings, for several commands that share OUT",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace runs in OUT of other data, weights or versions"
    )
    parser.add_argument("--no-cache", action="store_true", help="do not cache features")
    return parser
