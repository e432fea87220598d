"""What the command line asks for: options, upstreams, and the data sets that are at hand.

What takes seconds to import is imported where it is needed: ``--help`` need not wait for it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from motion_data.errors import DataError
from motionbeat_upstream.commands.command import Parser
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
    """Refuse what could not be run.

    Raises:
        MotionBeatError: an unknown option, an upstream's file that is not there, or no data set at all.
    """
    parse(arguments)


def parse(
    arguments: Sequence[str],
) -> tuple[argparse.Namespace, list[UpstreamChoice], list[Plan], list[str]]:
    """The options, the upstreams, the data sets that are there, and where the others are obtained.

    Raises:
        MotionBeatError: as :func:`check`; of a data set that is none, its ``DataError``.
    """
    from recipes.benchmark.upstream_choice import read_upstreams

    options = parse_options(arguments)
    upstreams = read_upstreams(options.upstreams)
    plans, missing = find_data(options)
    if not plans:
        raise DataError(f"{options.data}: holds none of the data sets: " + "; ".join(missing))
    return options, upstreams, plans, missing


def find_data(options: argparse.Namespace) -> tuple[list[Plan], list[str]]:
    """The data sets that are there, and of the others where they are obtained.

    Raises:
        MotionBeatError: options that are not allowed.
    """
    from recipes.benchmark.beat_tracking_table import BEAT_SETS, BeatPlan
    from recipes.benchmark.clip_tasks import CLIP_TASKS, ClipPlan
    from recipes.benchmark.corpus_tasks import CORPORA, DancePlan, RetrievalPlan
    from recipes.downstream.clip_probing.settings import TaskSettings
    from recipes.downstream.s3prl_runner.task_settings import read_section

    given = {"datarc": {"slice_seconds": options.slice_seconds}, "modelrc": {"probe": options.probe}}
    clips = read_section("clip tasks", TaskSettings, given)
    model, seconds = clips.modelrc, clips.datarc.slice_seconds
    tasks = TASKS if "all" in options.tasks else options.tasks
    seeds = tuple(options.seeds)
    plans: list[Plan] = []
    missing: list[str] = []

    def look(task: str, name: str, about: str, plan: Callable[[Path], Plan], needed: str = ".") -> None:
        root = options.data / name
        if (root / needed).exists():
            plans.append(plan(root))
        else:
            missing.append(f"{task}, {name}: no {root / needed}; get {about}")

    if "beat_tracking" in tasks:
        for name, about in BEAT_SETS.items():
            look(
                "beat_tracking", name, about, lambda root: BeatPlan(root, seeds, options.probe), "splits.csv"
            )
    for task in (CLIP_TASKS[name] for name in tasks if name in CLIP_TASKS):
        for name, layout in task.layouts.items():
            plan = partial(
                ClipPlan, seeds=seeds, clip_task=task, layout=name, model=model, slice_seconds=seconds
            )
            look(task.name, name, layout.about, plan)
    paired: dict[str, Callable[[Path], Plan]] = {
        "retrieval": lambda root: RetrievalPlan(root, seeds),
        "dance_generation": lambda root: DancePlan(root, seeds, options.dance_config),
    }
    for name in (name for name in paired if name in tasks):
        for corpus, about in CORPORA.items():
            look(name, corpus, about, paired[name])
    return plans, missing


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """The options.

    Raises:
        MotionBeatError: an unknown option, a file that is not there, or no folder of data.
    """
    options = _parser().parse_args(arguments)
    if not options.data.is_dir():
        raise DataError(f"--data {options.data}: no such folder; expected one of data sets")
    if options.dance_config is not None and not options.dance_config.is_file():
        raise MotionBeatError(f"--dance-config {options.dance_config}: no such file")
    return options


def _parser() -> argparse.ArgumentParser:
    """Of the command line."""
    made = Parser(
        "python -m recipes.benchmark run",
        description=run.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("out", type=Path, metavar="OUT", help="folder of the results and of table.md")
    made.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the data sets")
    made.add_argument(
        "-u",
        "--upstreams",
        nargs="+",
        default=list(UPSTREAMS),
        metavar="NAME",
        help="of S3PRL's hub, a .safetensors file, or NAME:PATH; LABEL=… names its row (%(default)s)",
    )
    made.add_argument("--tasks", nargs="+", default=["all"], choices=["all", *TASKS])
    made.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    made.add_argument("--probe", default="linear", choices=("linear", "mlp"))
    made.add_argument("--slice-seconds", type=float, default=30.0, help="encoded at once (%(default)s)")
    made.add_argument(
        "--dance-config",
        type=Path,
        metavar="FILE",
        help="of dance_generation's size and training, for example its edge.yaml (its config.yaml)",
    )
    made.add_argument("--resamples", type=int, default=1000, help="of the bootstrap (%(default)s)")
    made.add_argument(
        "--no-table", action="store_true", help="run what is missing only, as one of several such commands"
    )
    made.add_argument(
        "--overwrite", action="store_true", help="replace runs in OUT of other data, weights or versions"
    )
    made.add_argument("--no-cache", action="store_true", help="compute features anew, and keep none")
    return made
