"""What the command line asks for: upstreams, and the data sets that are at hand."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from motion_data.errors import DataError
from recipes.benchmark.beat_tracking_table import BEAT_SETS, BeatPlan
from recipes.benchmark.clip_tasks import CLIP_TASKS, ClipPlan
from recipes.benchmark.corpus_task import CORPORA
from recipes.benchmark.dance_task import DancePlan
from recipes.benchmark.plan import Plan
from recipes.benchmark.retrieval_task import RetrievalPlan
from recipes.benchmark.run.options import TASKS, parse_options
from recipes.benchmark.upstream_choice import UpstreamChoice, read_upstreams
from recipes.downstream.clip_probing.settings import TaskSettings
from recipes.downstream.s3prl_runner.task_settings import read_section


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
