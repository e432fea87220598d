"""How fast features and beats are on this machine, next to other software.

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
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tqdm import tqdm

from motionbeat_upstream.atomic_write import write_text
from motionbeat_upstream.commands.command import command
from motionbeat_upstream.config import SAMPLE_RATE

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

MATRIX = 2048
"""Rows and columns of the matrix product that gives the machine's rate."""

EXCERPT, CLIP, BATCH = 30, 5, 16
"""Seconds of most measurements, seconds of a short clip, and clips of a batch."""

LENGTHS = (10, 80, 600, 3600)
"""Seconds of sound whose cost per second is compared."""

GIGABYTE = 1e9


@dataclass(frozen=True)
class Figure:
    """A measured value, and what it should be at least, or at most."""

    name: str
    value: float
    unit: str
    least: float | None = None
    most: float | None = None

    @property
    def target(self) -> str:
        """In words; empty where there is none."""
        if self.least is not None:
            return f"≥ {self.least:g}"
        return "" if self.most is None else f"≤ {self.most:g}"

    @property
    def met(self) -> bool:
        """Whether the value is what it should be; true without a target."""
        if self.least is not None:
            return self.value >= self.least
        return self.most is None or self.value <= self.most


def music(seconds: float) -> Tensor:
    """(T,) a synthetic waveform at 16 kHz with beats at 120 bpm, always the same."""
    import torch

    time_ = torch.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    noise = torch.randn(len(time_), generator=torch.Generator().manual_seed(0))
    return 0.2 * noise * torch.exp(-30 * (time_ % 0.5)) + 0.1 * torch.sin(2 * torch.pi * 220 * time_)


def fastest(calls: Mapping[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """Seconds of the fastest of some turns of each call, after one that does not count."""
    times: dict[str, float] = {}
    for turn in range(turns + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            spent = time.perf_counter() - start
            if turn:
                times[name] = min(times.get(name, spent), spent)
    return times


def measure_features(threads: int, turns: int) -> list[Figure]:
    """Features of an excerpt, a clip and a batch, next to HuBERT and to a matrix product."""
    import torch
    import torchaudio
    from torch.utils.flop_counter import FlopCounterMode

    from motionbeat_upstream.hubconf import motionbeat, motionbeat_base

    torch.set_num_threads(threads)
    ours, base = motionbeat(), motionbeat_base()
    hubert = torchaudio.models.hubert_base().eval()
    excerpt, clip, long = music(EXCERPT), music(CLIP), music(BATCH * CLIP)
    square = torch.rand(MATRIX, MATRIX)
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            ours([excerpt])
        seconds = fastest(
            {
                "motionbeat": lambda: ours([excerpt]),
                "matrix": lambda: square @ square,
                "clip": lambda: ours([clip]),
                "batch": lambda: ours([clip] * BATCH),
                "long": lambda: ours([long]),
                "base": lambda: base([excerpt]),
            },
            turns,
        )
        seconds |= fastest({"hubert": lambda: hubert(excerpt[None])}, max(1, turns // 3))
    rate = 2 * MATRIX**3 / seconds["matrix"]
    with_threads = f"{threads} thread{'s' if threads > 1 else ''}"
    return [
        Figure(f"features, {EXCERPT} s, {with_threads}", 1e3 * seconds["motionbeat"], "ms"),
        Figure(f"features of the base architecture, {EXCERPT} s", 1e3 * seconds["base"], "ms"),
        Figure(f"torchaudio's hubert_base, {EXCERPT} s", 1e3 * seconds["hubert"], "ms"),
        Figure("times the speed of hubert_base", seconds["hubert"] / seconds["motionbeat"], "", least=60),
        Figure(f"matrix product of {MATRIX}", rate / 1e9, "GFLOP/s"),
        Figure(
            "share of that rate in the network",
            counter.get_total_flops() / seconds["motionbeat"] / rate,
            "",
            least=0.65,
        ),
        Figure(f"one clip of {CLIP} s", 1e3 * seconds["clip"], "ms", most=25),
        Figure(
            f"a batch of {BATCH} such clips over one of {BATCH * CLIP} s",
            seconds["batch"] / seconds["long"],
            "",
            most=1,
        ),
    ]


def measure_busy(turns: int) -> list[Figure]:
    """Features by one thread while another process computes."""
    import torch
    import torchaudio

    from motionbeat_upstream.hubconf import motionbeat

    torch.set_num_threads(1)
    ours, hubert, excerpt = motionbeat(), torchaudio.models.hubert_base().eval(), music(EXCERPT)
    with torch.inference_mode(), other_work():
        seconds = fastest({"ours": lambda: ours([excerpt])}, turns)
        seconds |= fastest({"hubert": lambda: hubert(excerpt[None])}, max(1, turns // 3))
    return [
        Figure(
            "times the speed of hubert_base, 1 thread next to a busy core",
            seconds["hubert"] / seconds["ours"],
            "",
            least=40,
        )
    ]


@contextmanager
def other_work() -> Iterator[None]:
    """A process that multiplies matrices by one thread."""
    process = get_context("spawn").Process(target=_multiply, daemon=True)
    process.start()
    try:
        time.sleep(3)
        yield
    finally:
        process.kill()
        process.join()


def _multiply() -> None:
    import torch

    torch.set_num_threads(1)
    square = torch.rand(MATRIX, MATRIX)
    while True:
        torch.mm(square, square)


def measure_length(threads: int, seconds: int, turns: int) -> tuple[float, float]:
    """Seconds that a second of a long sound costs, and the most memory that the process had, in GB."""
    import torch

    from motionbeat_upstream.hubconf import motionbeat

    torch.set_num_threads(threads)
    ours, wav = motionbeat(), music(seconds)
    with torch.inference_mode():
        spent = fastest({"ours": lambda: ours([wav])}, turns)["ours"]
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return spent / seconds, 1024 * kilobytes / GIGABYTE


def measure_grid(turns: int) -> list[Figure]:
    """Decoding the beats of an excerpt, next to a decoder of frames and to librosa's whole beat tracker."""
    import librosa
    import torch

    from motionbeat_upstream.beats.decoded_grid import decode_grids
    from motionbeat_upstream.beats.frontend import log_mel
    from motionbeat_upstream.hubconf import motionbeat
    from recipes.benchmark.beats.trackers import DBN_BPM, DBN_METRES, FRAME_RATE
    from recipes.downstream.beat_tracking.decoding import decode_dbn

    torch.set_num_threads(1)
    tower, wav = motionbeat().tower, music(EXCERPT)
    lengths = torch.tensor([len(wav)])
    with torch.inference_mode():
        mel, mel_lengths = log_mel(wav[None], lengths, tower.config.n_mels)
        beats = tower.encode_frames(wav[None], lengths).beats
        assert beats is not None
        both = torch.stack([beats.beat[0], beats.downbeat[0]], 1)
        seconds = fastest(
            {
                "ours": lambda: decode_grids(
                    beats.beat, beats.downbeat, beats.tempo, mel, mel_lengths, [float(EXCERPT)]
                ),
                "dbn": lambda: decode_dbn(both, DBN_METRES, *DBN_BPM, FRAME_RATE),
                "librosa": lambda: librosa.beat.beat_track(y=wav.numpy(), sr=SAMPLE_RATE),
            },
            turns,
        )
    return [
        Figure(f"decoding of beats and bars, {EXCERPT} s", 1e3 * seconds["ours"], "ms", most=20),
        Figure(f"metricon's bar-pointer decoder, {EXCERPT} s", 1e3 * seconds["dbn"], "ms"),
        Figure(f"librosa's beat tracker, {EXCERPT} s", 1e3 * seconds["librosa"], "ms"),
    ]


def measure(threads: int, turns: int) -> list[Figure]:
    """All figures, each group from a process of its own."""
    figures: list[Figure] = []
    with tqdm(total=3 + len(LENGTHS), unit="measurement", disable=None) as bar:
        for function, arguments in (
            (measure_features, (threads, turns)),
            (measure_busy, (turns,)),
            (measure_grid, (turns,)),
        ):
            bar.set_description(function.__name__.removeprefix("measure_"))
            figures += _apart(function, *arguments)
            bar.update()
        costs, memory = {}, {}
        for seconds in LENGTHS:
            bar.set_description(f"{seconds} s")
            costs[seconds], memory[seconds] = _apart(
                measure_length, threads, seconds, turns if seconds < 600 else 1
            )
            bar.update()
    figures += [Figure(f"cost of a second, {seconds} s", 1e3 * cost, "ms") for seconds, cost in costs.items()]
    figures.append(
        Figure("highest of these over the lowest", max(costs.values()) / min(costs.values()), "", most=1.3)
    )
    figures += [
        Figure(f"resident memory, {seconds} s", memory[seconds], "GB", most=most)
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


@command("recipes.benchmark speed", extra="downstream")
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
