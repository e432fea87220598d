"""Measure the speed of features, beats and pretraining on this machine, compared with other software.

    python -m recipes.benchmark speed OUT [--threads 2] [--turns 7]

Each measurement runs in a separate process. Compared functions are called alternately in one process, so that
other processes slow both; the fastest call counts. The sound is synthetic. The other encoders have random
weights, which does not affect their speed.

OUT contains speed.json (all values, the machine and its load) and table.md.
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
from recipes.benchmark.speed.measurement import Measurement
from recipes.benchmark.speed.training import measure_training

T = TypeVar("T")


def measure(threads: int, turns: int) -> list[Measurement]:
    """Run all measurements, each group in a separate process."""
    measurements: list[Measurement] = []
    with tqdm(total=4 + 2 * len(LENGTHS), unit="measurement", disable=None) as bar:
        for function, arguments in (
            (measure_features, (threads, turns)),
            (measure_busy, (turns,)),
            (measure_grid, (turns,)),
            (measure_training, (threads,)),
        ):
            bar.set_description(function.__name__.removeprefix("measure_"))
            measurements += _in_process(function, *arguments)
            bar.update()
        for beats in (False, True):
            subject = "beats" if beats else "features"
            costs, memory = {}, {}
            for seconds in LENGTHS:
                bar.set_description(f"{subject}, {seconds} s")
                length_turns = turns if seconds < 600 else 1
                costs[seconds], memory[seconds] = _in_process(
                    measure_length, threads, seconds, length_turns, beats
                )
                bar.update()
            measurements += [
                Measurement(f"{subject}, cost of a second, {seconds} s", 1e3 * cost, "ms")
                for seconds, cost in costs.items()
            ]
            ratio = max(costs.values()) / min(costs.values())
            measurements.append(
                Measurement(f"{subject}, highest of these over the lowest", ratio, "", most=1.3)
            )
            measurements += [
                Measurement(f"{subject}, resident memory, {seconds} s", memory[seconds], "GB", most=most)
                for seconds, most in ((600, 1.0), (3600, 1.2))
            ]
    return measurements


def _in_process(function: Callable[..., T], *arguments: int) -> T:
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


def report(measurements: Sequence[Measurement], machine_info: Mapping[str, object], threads: int) -> str:
    """Format the table as markdown."""
    from recipes.results.tables import markdown_table

    rows = [
        [
            measurement.name,
            f"{measurement.value:.3g} {measurement.unit}".strip(),
            measurement.target,
            "" if not measurement.target else "yes" if measurement.met else "no",
        ]
        for measurement in measurements
    ]
    lines = markdown_table(["what", "measured", "target", "met"], rows)
    lines += [
        "",
        f"{machine_info['processor']}, {machine_info['cores']} cores, load {machine_info['load']:.1f} "
        f"before; {threads} threads.",
    ]
    return "\n".join(lines) + "\n"


@command("recipes.benchmark speed", extra="s3prl")
def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        "python -m recipes.benchmark speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for speed.json and table.md")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="threads of torch (%(default)s)")
    parser.add_argument(
        "--turns",
        type=int,
        default=7,
        metavar="N",
        help="calls of each function, of which the fastest counts (%(default)s)",
    )
    options = parser.parse_args(arguments)
    if options.threads < 1 or options.turns < 1:
        parser.error("--threads and --turns must be at least 1")
    machine_info = machine()
    measurements = measure(options.threads, options.turns)
    rows = [
        asdict(measurement) | {"met": measurement.met if measurement.target else None}
        for measurement in measurements
    ]
    content = {"machine": machine_info, "threads": options.threads, "turns": options.turns, "figures": rows}
    write_text(options.out / "speed.json", json.dumps(content, indent=2) + "\n")
    text = report(measurements, machine_info, options.threads)
    write_text(options.out / "table.md", text)
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
