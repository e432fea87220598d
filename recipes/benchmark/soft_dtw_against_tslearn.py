"""Our soft-DTW against tslearn's: time of forward and backward on a processor.

    python -m recipes.benchmark.soft_dtw_against_tslearn

Both get the same pairs of series of one channel in float32, and give the value and the gradients by both
series, without a band. That they give the same is checked first. They take turns, so that other work on
the machine slows both; both are warm and have the same number of threads. The sizes are those of SRAL,
2,048 beats of 16 and 32 steps, and longer ones; each is timed for plain soft-DTW and for the divergence.

The exit code is 1 if we are less than 3 times as fast at SRAL's sizes or slower at another, by medians,
and 2 if tslearn is missing or the two do not give the same.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.commands.command import command
from motionbeat_upstream.errors import MotionBeatError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Loss = Callable[["Tensor", "Tensor"], "Tensor"]

SRAL_SIZES = ((2048, 16), (2048, 32))
"""Pairs and steps."""

LONGER_SIZES = ((64, 64), (64, 256), (16, 1024))

LEAST_SPEED_UP_AT_SRAL = 3.0
GAMMA = 0.05
TOLERANCE = 1e-4
"""By how much values and gradients may differ, relative to the largest."""


@dataclass(frozen=True)
class Row:
    """Times of one size, in seconds, each list in the order of the turns."""

    kind: str
    """``soft-DTW`` or ``divergence``."""
    pairs: int
    steps: int
    ours: list[float]
    theirs: list[float]

    @property
    def speed_up(self) -> float:
        """Median over median."""
        return statistics.median(self.theirs) / statistics.median(self.ours)

    @property
    def miss(self) -> str | None:
        """The aim that is missed, in words."""
        least = LEAST_SPEED_UP_AT_SRAL if (self.pairs, self.steps) in SRAL_SIZES else 1.0
        if self.speed_up >= least:
            return None
        size = f"{self.kind} of {self.pairs} x {self.steps}"
        return f"{size}: {self.speed_up:.2f} times as fast, not {least:g} times"


def tslearn_losses(threads: int) -> dict[str, Loss]:
    """tslearn's two, for so many threads."""
    try:
        numba, metrics = (importlib.import_module(name) for name in ("numba", "tslearn.metrics"))
    except ImportError as error:
        raise MotionBeatError(f"{error}; install it with `pip install tslearn==0.10.0`") from error
    try:
        numba.set_num_threads(threads)
    except ValueError as error:
        raise MotionBeatError(f"--threads {threads}: more than numba gives tslearn ({error})") from error
    return {
        "soft-DTW": metrics.SoftDTWLossPyTorch(gamma=GAMMA),
        "divergence": metrics.SoftDTWLossPyTorch(gamma=GAMMA, normalize=True),
    }


def our_losses() -> dict[str, Loss]:
    """Ours, without a band."""
    from recipes.pretrain.criterion.soft_dtw import soft_dtw, soft_dtw_divergence, squared_distances

    return {
        "soft-DTW": lambda first, second: soft_dtw(squared_distances(first, second), GAMMA),
        "divergence": lambda first, second: soft_dtw_divergence(first, second, GAMMA),
    }


def forward_backward(loss: Loss, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Values (B,), and gradients of their sum by both series."""
    import torch

    first, second = (x.detach().requires_grad_() for x in (first, second))
    value = loss(first, second)
    by_first, by_second = torch.autograd.grad(value.sum(), (first, second))
    return value.detach(), by_first, by_second


def compare(
    kind: str, ours: Loss, theirs: Loss, pairs: int, steps: int, repeats: int, generator: torch.Generator
) -> Row:
    """Both at one size: whether they give the same, then how long they take, by turns."""
    import torch

    first, second = torch.rand(2, pairs, steps, 1, generator=generator)
    results = [forward_backward(loss, first, second) for loss in (ours, theirs)]
    for name, mine, other in zip(("values", "gradients", "gradients"), *results, strict=True):
        difference = float((mine - other).abs().max() / other.abs().max())
        if not difference <= TOLERANCE:
            raise MotionBeatError(
                f"{kind} of {pairs} x {steps}: {name} differ by {difference:.1e} of the largest, more than "
                f"{TOLERANCE:g}; times of different things say nothing, look into it first"
            )
    del results
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for loss, times in zip((ours, theirs), seconds, strict=True):
            gc.collect()
            start = time.perf_counter()
            forward_backward(loss, first, second)
            times.append(time.perf_counter() - start)
    return Row(kind, pairs, steps, *seconds)


def table(rows: Sequence[Row]) -> str:
    """What is printed: medians, fastest to slowest in brackets, in milliseconds."""

    def spread(times: Sequence[float]) -> str:
        median, low, high = (1e3 * t for t in (statistics.median(times), min(times), max(times)))
        return f"{median:.1f} [{low:.1f}, {high:.1f}]"

    heads = "", "pairs x steps", "ours (ms)", "tslearn (ms)", "faster", "by minima"
    cells = [heads] + [
        (
            row.kind,
            f"{row.pairs} x {row.steps}",
            spread(row.ours),
            spread(row.theirs),
            f"{row.speed_up:.1f}x",
            f"{min(row.theirs) / min(row.ours):.1f}x",
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.rjust, line, widths)) for line in cells]
    return "\n".join(lines)


@command("soft_dtw_against_tslearn", extra="pretrain")
def main(arguments: Sequence[str]) -> int:
    """Run the command; 1 where we are slower than is aimed at."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.benchmark.soft_dtw_against_tslearn",
        description="Compare our soft-DTW with tslearn's: time of forward and backward.",
    )
    parser.add_argument("--threads", type=int, default=2, help="threads of both (default 2)")
    parser.add_argument("--repeats", type=int, default=9, help="turns of each (default 9)")
    parser.add_argument("--seed", type=int, default=0, help="of the series (default 0)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all times there as well")
    options = parser.parse_args(arguments)
    if options.threads < 1 or options.repeats < 1:
        parser.error("--threads and --repeats must be at least 1")
    import torch

    theirs, ours = tslearn_losses(options.threads), our_losses()
    torch.set_num_threads(options.threads)
    print(
        f"{platform.machine()}, {os.cpu_count()} processors, {options.threads} threads each, torch "
        f"{torch.__version__}, float32, gamma {GAMMA:g}, no band, {options.repeats} turns"
    )
    generator = torch.Generator().manual_seed(options.seed)
    rows = [
        compare(kind, ours[kind], theirs[kind], pairs, steps, options.repeats, generator)
        for kind in ours
        for pairs, steps in SRAL_SIZES + LONGER_SIZES
    ]
    print(table(rows))
    if options.json:
        figures = {
            "rows": [{**asdict(row), "speed_up": row.speed_up} for row in rows],
            "threads": options.threads,
            "seed": options.seed,
        }
        with atomic_path(options.json) as draft:
            draft.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    misses = [row.miss for row in rows if row.miss]
    for miss in misses:
        print(f"missed: {miss}", file=sys.stderr)
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
