"""Every upstream on every task whose data is at hand, in one table.

    python -m recipes.benchmark run result/table --data DIR --upstreams motionbeat motionbeat_log_mel

DIR holds data sets under the names of their layouts (gtzan, nsynth, emomusic …). What is missing is listed
with the place where it is obtained, and is no part of the table. A finished run is not repeated, so the
same command goes on where it was interrupted; features are computed once for each upstream and kept in
OUT/features.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from motion_data.errors import DataError
from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.audio import AudioError
from motionbeat_upstream.checkpoint import CheckpointError
from motionbeat_upstream.threads import use_idle_cores
from recipes.benchmark.beat_tracking_task import BEAT_SETS, BeatPlan
from recipes.benchmark.clip_tasks import CLIP_TASKS, ClipPlan
from recipes.benchmark.retrieval_task import CORPORA, RetrievalPlan
from recipes.benchmark.runner import RunFailed
from recipes.benchmark.upstream_choice import Upstream, UpstreamChoice, read_upstreams
from recipes.downstream.clip_probing.settings import PROBES, ModelSettings
from recipes.downstream.errors import TaskError

TASKS = ("beat_tracking", *CLIP_TASKS, "retrieval")

UPSTREAMS = ("motionbeat", "motionbeat_untrained", "motionbeat_log_mel", "fbank", "mfcc")


class Plan(Protocol):
    """A data set of a task."""

    @property
    def name(self) -> str:
        """As folders are called."""

    def run(self, upstream: Upstream, out: Path, cache: Path | None) -> None:
        """Train and test what is not there yet."""

    def lines(self, upstreams: Sequence[UpstreamChoice], out: Path, resamples: int) -> list[str]:
        """Lines of markdown."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing and print the table; 2 for what the user can mend, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    use_idle_cores()
    try:
        upstreams = read_upstreams(options.upstreams)
        plans, missing = find_data(options)
        if not plans:
            raise DataError(f"{options.data}: holds none of the data sets: " + "; ".join(missing))
        run(plans, upstreams, options.out, None if options.no_cache else options.out / "features")
        lines = [line for plan in plans for line in plan.lines(upstreams, options.out, options.resamples)]
        text = "\n".join([*lines, *_missing_lines(missing)]) + "\n"
        with atomic_path(options.out / "table.md") as draft:
            draft.write_text(text, encoding="utf-8")
    except (DataError, AudioError, TaskError, CheckpointError, OSError, ValueError) as error:
        print(f"recipes.benchmark run: {error}", file=sys.stderr)
        return 2
    except RunFailed as failed:
        return failed.code
    except KeyboardInterrupt:
        print("\nrecipes.benchmark run: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    print(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m recipes.benchmark run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of the results and of table.md")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the data sets")
    parser.add_argument(
        "-u",
        "--upstreams",
        nargs="+",
        default=list(UPSTREAMS),
        metavar="NAME",
        help="of S3PRL's hub, a .safetensors file, or NAME:PATH; LABEL=… names its row (%(default)s)",
    )
    parser.add_argument("--tasks", nargs="+", default=["all"], choices=["all", *TASKS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--probe", default="linear", choices=PROBES)
    parser.add_argument("--slice-seconds", type=float, default=30.0, help="encoded at once (%(default)s)")
    parser.add_argument("--resamples", type=int, default=1000, help="of the bootstrap (%(default)s)")
    parser.add_argument("--no-cache", action="store_true", help="compute features anew, and keep none")
    return parser


def find_data(options: argparse.Namespace) -> tuple[list[Plan], list[str]]:
    """The data sets that are there, and of the others where they are obtained."""
    tasks = TASKS if "all" in options.tasks else options.tasks
    seeds = tuple(options.seeds)
    plans: list[Plan] = []
    missing: list[str] = []

    def look(task: str, name: str, about: str, plan: Callable[[Path], Plan]) -> None:
        root = options.data / name
        if root.is_dir():
            plans.append(plan(root))
        else:
            missing.append(f"{task}, {name}: no {root}; get {about}")

    if "beat_tracking" in tasks:
        for name, about in BEAT_SETS.items():
            look("beat_tracking", name, about, lambda root: BeatPlan(root, seeds, options.probe))
    for task in (CLIP_TASKS[name] for name in tasks if name in CLIP_TASKS):
        model = ModelSettings(options.probe)
        for name, layout in task.layouts.items():
            plan = partial(
                ClipPlan, task, name, model=model, slice_seconds=options.slice_seconds, seeds=seeds
            )
            look(task.name, name, layout.about, plan)
    if "retrieval" in tasks:
        for name, about in CORPORA.items():
            look("retrieval", name, about, lambda root: RetrievalPlan(root, seeds))
    return plans, missing


def run(plans: Sequence[Plan], upstreams: Sequence[UpstreamChoice], out: Path, cache: Path | None) -> None:
    """Train and test every probe that is not there yet.

    Raises:
        DataError, AudioError, TaskError, CheckpointError: what is wrong with data, features or weights.
        RunFailed: a run of ``run_downstream.py`` ended with an error, which it has told.
    """
    with tqdm(total=len(plans) * len(upstreams), unit=" sets", disable=None) as bar:
        for choice in upstreams:
            upstream = Upstream(choice)
            for plan in plans:
                bar.set_description(f"{choice.label}, {plan.name}")
                plan.run(upstream, out, cache)
                bar.update()


def _missing_lines(missing: Sequence[str]) -> list[str]:
    return ["Missing, and no part of the table:", "", *(f"- {line}" for line in missing)] if missing else []


if __name__ == "__main__":
    sys.exit(main())
