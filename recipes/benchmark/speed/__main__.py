"""How fast features, beats and pretraining are on this machine, next to other software.

    python -m recipes.benchmark speed OUT [--threads 2] [--turns 7]

Each measurement runs in a process of its own. What is compared takes turns in one process, so that other work
on the machine slows both; the fastest turn counts. The sound is synthetic. The encoders that MotionBeat is
compared with have random weights, which changes nothing about their speed.

Written to OUT: speed.json (all figures, and the machine with its load) and table.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from motionbeat_upstream.atomic_write import write_text
from motionbeat_upstream.commands.command import command
from recipes.benchmark.speed.features import (
    LENGTHS,
    measure_busy,
    measure_features,
    measure_grid,
    measure_length,
)
from recipes.benchmark.speed.figure import Figure
from recipes.benchmark.speed.training import measure_training

T = TypeVar("T")


def measure(threads: int, turns: int) -> list[Figure]:
    """All figures, each group from a process of its own."""
    figures: list[Figure] = []
    with tqdm(total=4 + 2 * len(LENGTHS), unit="measurement", disable=None) as bar:
        for function, arguments in (
            (measure_features, (threads, turns)),
            (measure_busy, (turns,)),
            (measure_grid, (turns,)),
            (measure_training, (threads,)),
        ):
            bar.set_description(function.__name__.removeprefix("measure_"))
            figures += _apart(function, *arguments)
            bar.update()
        for beats in (False, True):
            what = "beats" if beats else "features"
            costs, memory = {}, {}
            for seconds in LENGTHS:
                bar.set_description(f"{what}, {seconds} s")
                turns_of = turns if seconds < 600 else 1
                costs[seconds], memory[seconds] = _apart(measure_length, threads, seconds, turns_of, beats)
                bar.update()
            figures += [
                Figure(f"{what}, cost of a second, {seconds} s", 1e3 * cost, "ms")
                for seconds, cost in costs.items()
            ]
            ratio = max(costs.values()) / min(costs.values())
            figures.append(Figure(f"{what}, highest of these over the lowest", ratio, "", most=1.3))
            figures += [
                Figure(f"{what}, resident memory, {seconds} s", memory[seconds], "GB", most=most)
                for seconds, most in ((600, 1.0), (3600, 1.2))
            ]
    return figures


def _apart(function: Callable[..., T], *arguments: int) -> T:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def machine() -> dict[str, object]:
    """The processor, its cores and its load."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


def report(figures: Sequence[Figure], about: Mapping[str, object], threads: int) -> str:
    """The table, as markdown."""
    from recipes.results.tables import markdown_table

    rows = [
        [
            one.name,
            f"{one.value:.3g} {one.unit}".strip(),
            one.target,
            "" if not one.target else "yes" if one.met else "no",
        ]
        for one in figures
    ]
    lines = markdown_table(["what", "measured", "target", "met"], rows)
    lines += [
        "",
        f"{about['processor']}, {about['cores']} cores, load {about['load']:.1f} before; {threads} threads.",
    ]
    return "\n".join(lines) + "\n"


@command("recipes.benchmark speed", extra="s3prl")
def main(arguments: Sequence[str]) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        "python -m recipes.benchmark speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of speed.json and table.md")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="threads of torch (%(default)s)")
    parser.add_argument(
        "--turns", type=int, default=7, metavar="N", help="turns, the fastest counts (%(default)s)"
    )
    options = parser.parse_args(arguments)
    if options.threads < 1 or options.turns < 1:
        parser.error("--threads and --turns must be at least 1")
    about = machine()
    figures = measure(options.threads, options.turns)
    rows = [asdict(one) | {"met": one.met if one.target else None} for one in figures]
    content = {"machine": about, "threads": options.threads, "turns": options.turns, "figures": rows}
    write_text(options.out / "speed.json", json.dumps(content, indent=2) + "\n")
    text = report(figures, about, options.threads)
    write_text(options.out / "table.md", text)
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
