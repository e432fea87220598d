"""Compare the speed of our soft-DTW with tslearn's: forward and backward on the CPU.

    python -m recipes.benchmark.soft_dtw_against_tslearn

Both compute the values and the gradients with respect to both series, for the same pairs of one-channel
series in float32, without a band. Their results are compared first. The timed calls alternate, so that other
processes slow both; both are warmed up and have the same number of threads. The sizes are those of SRAL,
2,048 beats of 16 and 32 steps, and longer ones, for soft-DTW and for the divergence.

The exit code is 1 if ours is less than 3 times as fast at the sizes of SRAL or slower at another, by medians,
and 2 if tslearn is missing or the results differ.
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
from recipes.results.tables import markdown_table

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Loss = Callable[["Tensor", "Tensor"], "Tensor"]

SRAL_SIZES = ((2048, 16), (2048, 32))
"""Pairs and steps."""

LONGER_SIZES = ((64, 64), (64, 256), (16, 1024))

MIN_SRAL_SPEED_UP = 3.0
GAMMA = 0.05
TOLERANCE = 1e-4
"""Maximum difference of values and gradients, relative to the maximum."""


@dataclass(frozen=True)
class Row:
    """Times of one size in seconds, in the order of the calls."""

    kind: str
    """``soft-DTW`` or ``divergence``."""
    pairs: int
    steps: int
    ours: list[float]
    theirs: list[float]

    @property
    def speed_up(self) -> float:
        """Ratio of the medians."""
        return statistics.median(self.theirs) / statistics.median(self.ours)

    @property
    def failure(self) -> str | None:
        """Description of a missed target, or None."""
        min_speed_up = MIN_SRAL_SPEED_UP if (self.pairs, self.steps) in SRAL_SIZES else 1.0
        if self.speed_up >= min_speed_up:
            return None
        size = f"{self.kind} of {self.pairs} x {self.steps}"
        return f"{size}: {self.speed_up:.2f} times as fast, not {min_speed_up:g} times"


def tslearn_losses(threads: int) -> dict[str, Loss]:
    """tslearn's losses with a number of threads."""
    try:
        numba, metrics = (importlib.import_module(name) for name in ("numba", "tslearn.metrics"))
    except ImportError as error:
        raise MotionBeatError(f"{error}; install it with `pip install tslearn==0.10.0`") from error
    try:
        numba.set_num_threads(threads)
    except ValueError as error:
        raise MotionBeatError(f"--threads {threads}: more than numba allows ({error}); give fewer") from error
    return {
        "soft-DTW": metrics.SoftDTWLossPyTorch(gamma=GAMMA),
        "divergence": metrics.SoftDTWLossPyTorch(gamma=GAMMA, normalize=True),
    }


def our_losses() -> dict[str, Loss]:
    """Our losses, without a band."""
    from recipes.pretrain.criterion.soft_dtw import soft_dtw, soft_dtw_divergence, squared_distances

    return {
        "soft-DTW": lambda first, second: soft_dtw(squared_distances(first, second), GAMMA),
        "divergence": lambda first, second: soft_dtw_divergence(first, second, GAMMA),
    }


def forward_backward(loss: Loss, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Values (B,), and gradients of their sum with respect to both series."""
    import torch

    first, second = (x.detach().requires_grad_() for x in (first, second))
    value = loss(first, second)
    by_first, by_second = torch.autograd.grad(value.sum(), (first, second))
    return value.detach(), by_first, by_second


def compare(
    kind: str, ours: Loss, theirs: Loss, pairs: int, steps: int, repeats: int, generator: torch.Generator
) -> Row:
    """Compare the results at one size, then time alternating calls."""
    import torch

    first, second = torch.rand(2, pairs, steps, 1, generator=generator)
    results = [forward_backward(loss, first, second) for loss in (ours, theirs)]
    for name, our_values, their_values in zip(("values", "gradients", "gradients"), *results, strict=True):
        difference = float((our_values - their_values).abs().max() / their_values.abs().max())
        if not difference <= TOLERANCE:
            raise MotionBeatError(
                f"{kind} of {pairs} x {steps}: {name} differ by {difference:.1e} of the largest, more than "
                f"{TOLERANCE:g}; correct this before comparing times"
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
    """Markdown table of medians with the range in brackets, in milliseconds."""

    def spread(times: Sequence[float]) -> str:
        median, low, high = (1e3 * t for t in (statistics.median(times), min(times), max(times)))
        return f"{median:.1f} [{low:.1f}, {high:.1f}]"

    cells = [
        [
            f"{row.kind}, {row.pairs} x {row.steps}",
            spread(row.ours),
            spread(row.theirs),
            f"{row.speed_up:.1f}x",
            f"{min(row.theirs) / min(row.ours):.1f}x",
        ]
        for row in rows
    ]
    heading = ["pairs x steps", "ours (ms)", "tslearn (ms)", "faster", "faster, by minima"]
    return "\n".join(markdown_table(heading, cells))


@command("soft_dtw_against_tslearn", extra="pretrain")
def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit code is 1 for a missed target."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.benchmark.soft_dtw_against_tslearn",
        description="Compare our soft-DTW with tslearn's: time of forward and backward.",
    )
    parser.add_argument("--threads", type=int, default=2, help="number of threads (default 2)")
    parser.add_argument("--repeats", type=int, default=9, help="timed calls of each (default 9)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the series (default 0)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write all times to this file")
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
        record = {
            "rows": [{**asdict(row), "speed_up": row.speed_up} for row in rows],
            "threads": options.threads,
            "seed": options.seed,
        }
        with atomic_path(options.json) as draft:
            draft.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    failures = [row.failure for row in rows if row.failure]
    for failure in failures:
        print(f"missed: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
